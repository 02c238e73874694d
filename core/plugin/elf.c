// SPDX-License-Identifier: MIT
#include "core/plugin/elf.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if UINTPTR_MAX > 0xffffffffu
typedef Elf64_Ehdr header;
typedef Elf64_Phdr segment;
enum { CLASS = ELFCLASS64 };
#else
typedef Elf32_Ehdr header;
typedef Elf32_Phdr segment;
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
