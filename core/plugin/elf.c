// SPDX-License-Identifier: MIT
#include "core/plugin/elf.h"
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if UINTPTR_MAX > 0xffffffffu
typedef Elf64_Ehdr header;
typedef Elf64_Phdr segment;
typedef Elf64_Shdr section;
typedef Elf64_Sym symbol;
typedef Elf64_Dyn dynamic;
enum { CLASS = ELFCLASS64 };
#else
typedef Elf32_Ehdr header;
typedef Elf32_Phdr segment;
typedef Elf32_Shdr section;
typedef Elf32_Sym symbol;
typedef Elf32_Dyn dynamic;
enum { CLASS = ELFCLASS32 };
#endif

static bool refuse(char *reason, size_t bytes, const char *why) {
  snprintf(reason, bytes, "not a shared object (%s)", why);
  return false;
}

/* The machine this was compiled for is the one in our own header. */
static bool own_header(header *own) {
  int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  bool read_it = file >= 0 && pread(file, own, sizeof *own, 0) == (ssize_t)sizeof *own;
  if (file >= 0) close(file);
  return read_it;
}

static bool check(int file, char *reason, size_t bytes) {
  struct stat s;
  header h, own;
  if (fstat(file, &s) != 0) return refuse(reason, bytes, strerror(errno));
  ssize_t got = pread(file, &h, sizeof h, 0);
  if (got < 4 || memcmp(h.e_ident, ELFMAG, 4) != 0) return refuse(reason, bytes, "no ELF header");
  if (got < (ssize_t)sizeof h) return refuse(reason, bytes, "truncated");
  if (h.e_ident[EI_CLASS] != CLASS || (own_header(&own) && own.e_machine != h.e_machine))
    return refuse(reason, bytes, "made for another architecture");
  if (h.e_type != ET_DYN || h.e_phentsize != sizeof(segment))
    return refuse(reason, bytes, "not linked with -shared");
  const uint64_t size = (uint64_t)s.st_size;
  for (uint32_t i = 0; i < h.e_phnum; i++) {
    segment p;
    const uint64_t at = (uint64_t)h.e_phoff + i * sizeof p;
    if (at > size || size - at < sizeof p || pread(file, &p, sizeof p, (off_t)at) != (ssize_t)sizeof p)
      return refuse(reason, bytes, "truncated");
    if (p.p_offset > size || p.p_filesz > size - p.p_offset) return refuse(reason, bytes, "truncated");
  }
  return true;
}

bool tn_elf_check(const char *path, char *reason, size_t bytes) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    snprintf(reason, bytes, "cannot be read (%s)", strerror(errno));
    return false;
  }
  bool good = check(file, reason, bytes);
  close(file);
  return good;
}

/* ---- symbols ---- */

typedef struct image {
  unsigned char *bytes;
  size_t size;
} image;

/* `count` bytes at `at`, NULL if the file is shorter. */
static const void *piece(const image *file, uint64_t at, uint64_t count) {
  return at <= file->size && count <= file->size - at ? file->bytes + at : NULL;
}

static const section *sections(const image *file, uint32_t *count) {
  const header *h = piece(file, 0, sizeof *h);
  *count = h && h->e_shentsize == sizeof(section) ? h->e_shnum : 0;
  return *count ? piece(file, h->e_shoff, (uint64_t)*count * sizeof(section)) : NULL;
}

/* The section of a type, its contents and those of the string table that it links to. */
static const section *find_section(const image *file, uint32_t type, const void **data, const char **texts) {
  uint32_t count;
  const section *all = sections(file, &count);
  for (uint32_t i = 0; all && i < count; i++) {
    if (all[i].sh_type != type || all[i].sh_link >= count) continue;
    *data = piece(file, all[i].sh_offset, all[i].sh_size);
    *texts = piece(file, all[all[i].sh_link].sh_offset, all[all[i].sh_link].sh_size);
    return *data && *texts ? &all[i] : NULL;
  }
  return NULL;
}

enum { MOST_LIBRARIES = 64 };

/* The libraries that the file names, which are loaded, for it is. */
static uint32_t needed(const image *file, void **handles) {
  const void *data;
  const char *texts;
  const section *s = find_section(file, SHT_DYNAMIC, &data, &texts);
  uint32_t count = 0;
  for (uint64_t i = 0; s && i < s->sh_size / sizeof(dynamic) && count < MOST_LIBRARIES; i++) {
    const dynamic *d = (const dynamic *)data + i;
    void *handle = d->d_tag == DT_NEEDED ? dlopen(texts + d->d_un.d_val, RTLD_LAZY | RTLD_NOLOAD) : NULL;
    if (handle) handles[count++] = handle;
  }
  return count;
}

static bool known(const char *name, void *const *handles, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    if (dlsym(handles[i], name)) return true;
  return false;
}

static bool check_symbols(const image *file, char *reason, size_t bytes) {
  void *handles[MOST_LIBRARIES];
  const void *data;
  const char *texts;
  const section *s = find_section(file, SHT_DYNSYM, &data, &texts);
  const uint32_t count = needed(file, handles);
  const char *missing = NULL;
  for (uint64_t i = 1; s && i < s->sh_size / sizeof(symbol) && !missing; i++) {
    const symbol *at = (const symbol *)data + i;
    const char *name = texts + at->st_name;
    if (at->st_shndx == SHN_UNDEF && at->st_info >> 4 == STB_GLOBAL && !known(name, handles, count))
      missing = name;
  }
  for (uint32_t i = 0; i < count; i++) dlclose(handles[i]);
  if (!missing) return true;
  snprintf(reason, bytes, "undefined symbol '%s' is in no library that it names", missing);
  return false;
}

bool tn_elf_symbols(const char *path, char *reason, size_t bytes) {
  FILE *in = fopen(path, "rb");
  struct stat s;
  image file = {0};
  bool good = in && fstat(fileno(in), &s) == 0 && (file.bytes = malloc((size_t)s.st_size + 1)) != NULL;
  if (good) good = (file.size = fread(file.bytes, 1, (size_t)s.st_size, in)) == (size_t)s.st_size;
  if (in) fclose(in);
  char name[4096];
  snprintf(name, sizeof name, "%s%s", strchr(path, '/') ? "" : "./", path);
  void *self = good ? dlopen(name, RTLD_NOW | RTLD_LOCAL) : NULL;
  if (!good)
    snprintf(reason, bytes, "cannot be read");
  else if (!self)
    snprintf(reason, bytes, "cannot be loaded (%s)", dlerror());
  else
    good = check_symbols(&file, reason, bytes);
  if (self) dlclose(self);
  free(file.bytes);
  return good && self;
}
