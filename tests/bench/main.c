// SPDX-License-Identifier: MIT
/* bench NAME: sets a row up, warms it, says `ready`, and then answers each line "SECONDS cpu|wall" of
 * standard input by running steps for so long: "rate mallocs steps". At the end of input it says "peak
 * KILOBYTES". bench NAME COUNT: the results of the first steps, to look at. bench limits THREADS. bench list.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "core/plugin/host.h"

enum { WARM_STEPS = 3 };

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static long peak_kilobytes(void) {
  long kilobytes = 0;
  char line[128];
  FILE *status = fopen("/proc/self/status", "r");
  while (status && fgets(line, sizeof line, status))
    if (strncmp(line, "VmHWM:", 6) == 0) kilobytes = strtol(line + 6, NULL, 10);
  if (status) fclose(status);
  return kilobytes;
}

static void check(const bench_row *row, double result) {
  const tn_context *context = tn_context_current();
  if (context->status == TN_OK && isfinite(result)) return;
  if (context->status == TN_OK)
    fprintf(stderr, "error: %s gave %g\n", row->name, result);
  else
    fprintf(stderr, "error: %s: %s\n", row->name, context->message);
  exit(1);
}

/* Two counts of the same thing, by the linker's wrappers and by the engine: the larger one counts. */
static uint64_t all_mallocs(tn_engine *engine) {
  uint64_t wrapped = bench_mallocs(), counted = tn_engine_measure(engine).mallocs;
  return wrapped > counted ? wrapped : counted;
}

/* Looks at the clock about every millisecond only. */
static void window(const bench_row *row, tn_engine *engine, double seconds, clockid_t clock) {
  uint64_t mallocs = all_mallocs(engine), steps = 0, chunk = 1;
  double start = now(clock), elapsed = 0, result = 0;
  do {
    for (uint64_t i = 0; i < chunk; i++) result = row->step();
    steps += chunk;
    double last = elapsed;
    elapsed = now(clock) - start;
    if (elapsed - last < 1e-3) chunk *= 2;
  } while (elapsed < seconds);
  mallocs = all_mallocs(engine) - mallocs;
  check(row, result);
  printf("%.9g %llu %llu\n", (double)steps * row->work / elapsed, (unsigned long long)mallocs,
         (unsigned long long)steps);
}

static int serve(const bench_row *row, tn_engine *engine) {
  char line[64], clock[8];
  double seconds;
  for (int i = 0; i < WARM_STEPS; i++) check(row, row->step());
  puts("ready");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin)) {
    if (sscanf(line, "%lf %7s", &seconds, clock) != 2) return 2;
    window(row, engine, seconds, strcmp(clock, "cpu") == 0 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC);
    fflush(stdout);
  }
  printf("peak %ld\n", peak_kilobytes());
  return 0;
}

static int show(const bench_row *row, int count) {
  for (int i = 0; i < count; i++) printf("%g\n", row->step());
  check(row, 0);
  return 0;
}

static int list(void) {
  for (const bench_row *const *row = bench_rows; *row; row++) puts((*row)->name);
  return 0;
}

int main(int argc, char **argv) {
  const char *name = argc > 1 ? argv[1] : "list";
  if (strcmp(name, "list") == 0) return list();
  if (strcmp(name, "limits") == 0) return bench_limits(argc > 2 ? atoi(argv[2]) : 1);
  const bench_row *const *row = bench_rows;
  while (*row && strcmp((*row)->name, name) != 0) row++;
  if (!*row) {
    fprintf(stderr, "error: no row '%s'\n", name);
    return 2;
  }
  tn_host_start();
  tn_engine *engine = tn_engine_create(0, TN_F32);
  if (!engine) return 1;
  tn_engine_enter(engine);
  bool begun = (*row)->begin();
  check(*row, begun ? 0 : NAN);
  if (argc > 2 && strcmp(argv[2], "profile") == 0) return bench_profile(*row, engine);
  return argc > 2 ? show(*row, atoi(argv[2])) : serve(*row, engine);
}
