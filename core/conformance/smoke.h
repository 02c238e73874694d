// SPDX-License-Identifier: MIT
/* Whole pipelines, run in their shortened form: for stages and observers. */
#ifndef TENON_CORE_SMOKE_H
#define TENON_CORE_SMOKE_H

#include "core/conformance/bench.h"

typedef struct tn_smoke_setting {
  const char *stages, *observers; /* sections */
  const char *directory;          /* of the run; NULL: none */
  const char *const *overrides;
  uint32_t override_count;
  int32_t threads;
  bool check_only;
} tn_smoke_setting;

/* Runs (or only checks) a pipeline of trial->sections. Results and parameters go into the digest. */
tn_status tn_smoke_run(tn_trial *trial, const tn_smoke_setting *smoke, tn_fingerprint *digest,
                       tn_error *error);

#endif
