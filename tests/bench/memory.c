// SPDX-License-Identifier: MIT
/* Counts what the core and this program ask of malloc: the linker sends their calls here (--wrap). */
#include <stdlib.h>

#include "bench.h"

static uint64_t mallocs;

uint64_t bench_mallocs(void) { return __atomic_load_n(&mallocs, __ATOMIC_RELAXED); }

static void count(void) { __atomic_fetch_add(&mallocs, 1, __ATOMIC_RELAXED); }

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t items, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
int __real_posix_memalign(void **memory, size_t alignment, size_t bytes);

void *__wrap_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes) {
  count();
  return __real_malloc(bytes);
}
void *__wrap_calloc(size_t items, size_t bytes);
void *__wrap_calloc(size_t items, size_t bytes) {
  count();
  return __real_calloc(items, bytes);
}
void *__wrap_realloc(void *memory, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes) {
  count();
  return __real_realloc(memory, bytes);
}
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes) {
  count();
  return __real_aligned_alloc(alignment, bytes);
}
int __wrap_posix_memalign(void **memory, size_t alignment, size_t bytes);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t bytes) {
  count();
  return __real_posix_memalign(memory, alignment, bytes);
}
