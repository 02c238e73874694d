// SPDX-License-Identifier: MIT
/* Random parameters and sequences of calls, until the time is over: nothing may crash, hang, or fail without
 * a reason. */
#include "core/conformance/bench.h"
#include "core/conformance/subject.h"
#include <time.h>

enum { MOST_KEYS = 64 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Round `round`: its keys, so that a failure says which. */
static uint32_t choose(const tn_trial *t, uint64_t round, const char **overrides) {
  static char texts[MOST_KEYS][320];
  uint32_t count = 0;
  size_t used = 0;
  char *said = tn_finding_here()->doing;
  const size_t room = sizeof tn_finding_here()->doing;
  used += (size_t)snprintf(said, room, "in round %llu with", (unsigned long long)round);
  for (uint32_t k = 0; k < t->cls->param_count && count < MOST_KEYS; k++) {
    char value[256];
    const tn_param p = tn_class_param(t->cls, k);
    if (tn_trial_random(t, p.key, (1u << 20) + round, 3) ||
        !tn_param_random(t, &p, round, value, sizeof value))
      continue;
    snprintf(texts[count], sizeof texts[0], "subject.%s=%s", p.key, value);
    overrides[count] = texts[count];
    if (used < room) used += (size_t)snprintf(said + used, room - used, " %s", texts[count]);
    count++;
  }
  return count;
}

static void fuzz(tn_trial *t) {
  const double until = now() + t->options->fuzz;
  uint64_t round = 0, calls = 0;
  tn_bench bench;
  t->largest = 24; /* most are sizes, and several of them make the work: what is large is slow, not wrong */
  tn_bench_ready(&bench, t, NULL); /* finds out what it works on */
  tn_bench_close(&bench);
  for (; now() < until; round++) {
    const char *overrides[MOST_KEYS];
    const uint32_t count = choose(t, round, overrides);
    if (!tn_bench_try(&bench, t, &(tn_setup){.overrides = overrides, .override_count = count})) continue;
    const uint64_t length = 1 + tn_trial_random(t, "length", round, 8);
    for (uint64_t i = 0; i < length; i++, calls++) {
      const bool other = tn_trial_random(t, "who", 16 * round + i, 4) == 0;
      tn_bench_attempt(&bench, other ? bench.other : bench.subject,
                       (int64_t)tn_trial_random(t, "unit", 16 * round + i, 10));
    }
    tn_bench_close(&bench);
  }
  tn_trial_note("%llu rounds, %llu calls", (unsigned long long)round, (unsigned long long)calls);
}

const tn_check tn_fuzz_check = {"fuzz", "random parameters and sequences of calls do no harm", fuzz};
