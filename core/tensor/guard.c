// SPDX-License-Identifier: MIT
#define _DEFAULT_SOURCE 1 /* MAP_ANONYMOUS */
#include "guard.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* One page in front of the data. */
typedef struct head {
  size_t bytes, mapped;
} head;

enum { PATTERN = 0xa5 };
static uint32_t damaged;

static size_t page(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static head *head_of(void *memory) {
  const uintptr_t at = (uintptr_t)memory;
  return (head *)((char *)memory - at % page() - page());
}

void *tn_guard_take(size_t bytes, size_t alignment) {
  const size_t size = page(), used = (bytes + alignment - 1) & ~(alignment - 1);
  const size_t data = used ? (used + size - 1) / size * size : size;
  if (bytes > (size_t)1 << 40) return NULL;
  char *base = mmap(NULL, data + 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return NULL;
  char *end = base + size + data, *begin = end - (used ? used : alignment);
  if (mprotect(end, size, PROT_NONE) != 0) {
    munmap(base, data + 2 * size);
    return NULL;
  }
  memset(base + size, PATTERN, (size_t)(begin - base) - size);
  memset(begin + bytes, PATTERN, (size_t)(end - begin) - bytes);
  *(head *)(void *)base = (head){bytes, data + 2 * size};
  return begin;
}

static bool intact(const char *from, const char *to) {
  for (; from < to; from++)
    if ((unsigned char)*from != PATTERN) return false;
  return true;
}

void tn_guard_give(void *memory) {
  if (!memory) return;
  head *h = head_of(memory);
  char *base = (char *)h, *begin = memory, *end = base + h->mapped - page();
  if (!intact(base + page(), begin) || !intact(begin + h->bytes, end))
    __atomic_add_fetch(&damaged, 1, __ATOMIC_RELAXED);
  munmap(base, h->mapped);
}

uint32_t tn_guard_damaged(void) { return __atomic_load_n(&damaged, __ATOMIC_RELAXED); }
