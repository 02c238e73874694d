// SPDX-License-Identifier: MIT
/* Where the time of a row goes: the engine's own trace, summed by operation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

enum { OPERATIONS = 128, WARM_STEPS = 3, STEPS = 10 };

typedef struct entry {
  const char *operation;
  double seconds;
  uint64_t calls, bytes;
} entry;
typedef struct profile {
  entry entries[OPERATIONS];
  size_t count;
} profile;

static void record(void *context, const char *operation, double seconds, size_t bytes, const tn_tensor *out) {
  profile *p = context;
  entry *e = p->entries;
  (void)out;
  while (e < p->entries + p->count && strcmp(e->operation, operation) != 0) e++;
  if (e == p->entries + OPERATIONS) return;
  if (e == p->entries + p->count) p->entries[p->count++] = (entry){.operation = operation};
  e->seconds += seconds;
  e->calls++;
  e->bytes += bytes;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int slower_first(const void *a, const void *b) {
  const entry *x = a, *y = b;
  return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

int bench_profile(const bench_row *row, tn_engine *engine) {
  static profile p;
  for (int i = 0; i < WARM_STEPS; i++) row->step();
  tn_engine_set_trace(engine, record, &p);
  double start = now(), traced = 0;
  for (int i = 0; i < STEPS; i++) row->step();
  double total = now() - start;
  tn_engine_set_trace(engine, NULL, NULL);
  qsort(p.entries, p.count, sizeof *p.entries, slower_first);
  printf("%-32s %6s %9s %9s %9s\n", "operation", "share", "us/step", "calls", "kB/call");
  for (const entry *e = p.entries; e < p.entries + p.count; e++) {
    traced += e->seconds;
    printf("%-32s %5.1f%% %9.1f %9.1f %9.1f\n", e->operation, 100 * e->seconds / total,
           1e6 * e->seconds / STEPS, (double)e->calls / STEPS, 1e-3 * (double)e->bytes / (double)e->calls);
  }
  printf("%-32s %5.1f%% %9.1f\n", "(between operations)", 100 * (total - traced) / total,
         1e6 * (total - traced) / STEPS);
  return 0;
}
