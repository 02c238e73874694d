// SPDX-License-Identifier: MIT
/* A library to preload: the n-th call of a class of functions fails, counted in every process on its own.
 *
 *   TENON_INJECT=CLASS:N[:on]   on: and all later calls too
 *   TENON_INJECTED=FILE         is made when the n-th call is reached
 *
 *   memory   malloc, calloc, realloc, aligned_alloc, posix_memalign: ENOMEM
 *   open     open, fopen, mkdir, opendir: EACCES
 *   write    write, pwrite, fwrite, fflush, fclose, fsync, rename, ftruncate: ENOSPC
 *   short    write, pwrite and fwrite take half of what they were given
 *
 * Calls by libraries that end the process when they get no memory are let through: OpenMP,
 * OpenBLAS, OpenSSL, the dynamic linker, the compiler's runtime. */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *former, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

typedef enum call_class { NONE, MEMORY, OPEN, WRITE, SHORT, CLASSES } call_class;
static const char *const class_names[CLASSES] = {"", "memory", "open", "write", "short"};

static call_class chosen;
static long wanted;
static bool on;
static atomic_long calls;
static _Thread_local bool inside; /* this file's own calls count nothing */

__attribute__((constructor)) static void begin(void) {
  const char *text = getenv("TENON_INJECT");
  for (int c = MEMORY; text && c < CLASSES; c++) {
    const size_t length = strlen(class_names[c]);
    if (strncmp(text, class_names[c], length) != 0 || text[length] != ':') continue;
    char *rest;
    wanted = strtol(text + length + 1, &rest, 10);
    on = strcmp(rest, ":on") == 0;
    chosen = (call_class)c;
  }
}

static bool let_through(const void *caller) {
  static const char *const names[] = {"libgomp",   "libopenblas", "ld-linux",
                                      "libstdc++", "libgcc",      "libcrypto"};
  Dl_info info;
  bool through = false;
  inside = true;
  if (dladdr(caller, &info) && info.dli_fname)
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
      through |= strstr(info.dli_fname, names[i]) != NULL;
  inside = false;
  return through;
}

static bool fails(call_class class, const void *caller) {
  if (class != chosen || inside || let_through(caller)) return false;
  const long n = atomic_fetch_add(&calls, 1) + 1;
  if (n == wanted) {
    const char *path = getenv("TENON_INJECTED");
    if (path) syscall(SYS_close, syscall(SYS_openat, AT_FDCWD, path, O_CREAT | O_WRONLY, 0666));
  }
  return n == wanted || (on && n > wanted);
}
#define CALLER __builtin_return_address(0)

#pragma GCC visibility push(default)

void *malloc(size_t bytes) {
  if (fails(MEMORY, CALLER)) return errno = ENOMEM, NULL;
  return __libc_malloc(bytes);
}
void *calloc(size_t count, size_t bytes) {
  if (fails(MEMORY, CALLER)) return errno = ENOMEM, NULL;
  return __libc_calloc(count, bytes);
}
void *realloc(void *former, size_t bytes) {
  if (fails(MEMORY, CALLER)) return errno = ENOMEM, NULL;
  return __libc_realloc(former, bytes);
}
void *aligned_alloc(size_t alignment, size_t bytes) {
  if (fails(MEMORY, CALLER)) return errno = ENOMEM, NULL;
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void **memory, size_t alignment, size_t bytes) {
  void *new = fails(MEMORY, CALLER) ? NULL : __libc_memalign(alignment, bytes);
  if (!new) return ENOMEM;
  *memory = new;
  return 0;
}

/* The function that this one hides. */
#define NEXT(name) (*(__typeof__(&name) *)next(#name, &(void *){NULL}))
static void *next(const char *name, void **found) {
  const bool former = inside;
  inside = true;
  *found = dlsym(RTLD_NEXT, name);
  inside = former;
  return found;
}

static int opened(const char *path, int flags, mode_t mode, const void *caller) {
  if (fails(OPEN, caller)) return errno = EACCES, -1;
  return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
int open(const char *path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;
  va_end(more);
  return opened(path, flags, mode, CALLER);
}
FILE *fopen(const char *path, const char *mode) {
  if (fails(OPEN, CALLER)) return errno = EACCES, NULL;
  return NEXT(fopen)(path, mode);
}
int mkdir(const char *path, mode_t mode) {
  if (fails(OPEN, CALLER)) return errno = EACCES, -1;
  return NEXT(mkdir)(path, mode);
}
DIR *opendir(const char *path) {
  if (fails(OPEN, CALLER)) return errno = EACCES, NULL;
  return NEXT(opendir)(path);
}

/* Terminals and pipes are not what fills up. */
static bool is_file(int descriptor) {
  struct stat s;
  return fstat(descriptor, &s) == 0 && S_ISREG(s.st_mode);
}

ssize_t write(int descriptor, const void *data, size_t bytes) {
  if (is_file(descriptor) && fails(WRITE, CALLER)) return errno = ENOSPC, -1;
  if (bytes > 1 && is_file(descriptor) && fails(SHORT, CALLER)) bytes /= 2;
  return syscall(SYS_write, descriptor, data, bytes);
}
ssize_t pwrite(int descriptor, const void *data, size_t bytes, off_t offset) {
  if (fails(WRITE, CALLER)) return errno = ENOSPC, -1;
  if (bytes > 1 && fails(SHORT, CALLER)) bytes /= 2;
  return syscall(SYS_pwrite64, descriptor, data, bytes, offset);
}
size_t fwrite(const void *data, size_t size, size_t count, FILE *file) {
  if (is_file(fileno(file)) && fails(WRITE, CALLER)) return errno = ENOSPC, (size_t)0;
  if (count > 1 && is_file(fileno(file)) && fails(SHORT, CALLER))
    return errno = ENOSPC, NEXT(fwrite)(data, size, count / 2, file);
  return NEXT(fwrite)(data, size, count, file);
}
int fflush(FILE *file) {
  if (file && is_file(fileno(file)) && fails(WRITE, CALLER)) return errno = ENOSPC, EOF;
  return NEXT(fflush)(file);
}
int fclose(FILE *file) {
  const bool lost = is_file(fileno(file)) && fails(WRITE, CALLER);
  const int done = NEXT(fclose)(file);
  return lost ? (errno = ENOSPC, EOF) : done;
}
int fsync(int descriptor) {
  if (fails(WRITE, CALLER)) return errno = EIO, -1;
  return (int)syscall(SYS_fsync, descriptor);
}
int rename(const char *from, const char *to) {
  if (fails(WRITE, CALLER)) return errno = ENOSPC, -1;
  return NEXT(rename)(from, to);
}
int ftruncate(int descriptor, off_t bytes) {
  if (fails(WRITE, CALLER)) return errno = ENOSPC, -1;
  return (int)syscall(SYS_ftruncate, descriptor, bytes);
}

#pragma GCC visibility pop
