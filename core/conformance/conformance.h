// SPDX-License-Identifier: MIT
/* `tenon test`: does a component keep what its kind promises?
 *
 * Every check runs in a child process of its own with a time limit, from a seed; it makes its inputs itself.
 * A check passes, fails, does not apply (there is nothing to check), or is skipped with a reason. */
#ifndef TENON_CORE_CONFORMANCE_H
#define TENON_CORE_CONFORMANCE_H

#include "core/config/error.h"
#include <stdio.h>

typedef struct tn_conformance_options {
  const char *file;  /* a plugin, or a folder of plugins */
  const char *full;  /* only this component, "optimizer.lion"; NULL: all */
  const char *check; /* only this check; NULL: all */
  /* Pipeline file whose sections give the component its settings and references, or a folder where a
   * component finds its own as KIND.NAME.ini; NULL: none. */
  const char *with;
  const char *junit; /* file for the results as JUnit XML; NULL */
  uint64_t seed;
  bool fast;      /* fewer repetitions */
  double seconds; /* limit for a check; 0: 60 */
  double fuzz;    /* seconds of random parameters and call sequences instead of the checks; 0: none */
} tn_conformance_options;

typedef struct tn_conformance_counts {
  uint32_t classes, passed, failed, skipped, absent;
} tn_conformance_counts;

/* Tests and prints a line a class, and one for every failure and skip. An error: the file or folder cannot be
 * used at all. */
tn_status tn_conformance_run(const tn_conformance_options *options, FILE *out, tn_conformance_counts *counts,
                             tn_error *error);
/* The checks there are, one a line, by kind. */
void tn_conformance_list(FILE *out);

#endif
