// SPDX-License-Identifier: MIT
/* Finished runs in groups (arm and setting, or directory), and what their results are: mean, spread, and the
 * difference from the first group, paired by seed. */
#ifndef TENON_CORE_COMPARISON_H
#define TENON_CORE_COMPARISON_H

#include "core/sweep/outcome.h"

typedef struct tn_sample {
  char *group;
  int64_t seed;
  tn_outcome_record outcome;
} tn_sample;

typedef struct tn_samples {
  tn_sample *items;
  uint32_t count, room;
} tn_samples;

/* Takes the group's name over. */
tn_sample *tn_samples_add(tn_samples *samples, char *group, int64_t seed);
/* Adds the run in a directory, or the finished cells of the sweep there. `several`: groups are named after
 * their directory too. */
tn_status tn_samples_gather(tn_samples *samples, const char *directory, bool several, tn_error *error);
void tn_samples_free(tn_samples *samples);

typedef struct tn_comparison {
  const char *result, *group;
  double mean, deviation; /* with n - 1; 0 of one run; NAN of none */
  uint32_t count;
  double difference, low, high; /* of the mean from the first group's, and its 95 % interval; NAN: none */
  uint32_t pairs;
} tn_comparison;

/* One result over the group of sample i. The interval is a bootstrap's: the host must have been started. */
tn_comparison tn_comparison_of(const tn_samples *samples, uint32_t i, const char *result);
bool tn_samples_first_of_group(const tn_samples *samples, uint32_t i);

#endif
