// SPDX-License-Identifier: MIT
/* Figures of a run as a whole, for results.json and claims. */
#ifndef TENON_CORE_MEASURE_H
#define TENON_CORE_MEASURE_H

#include "core/pipeline/pipeline.h"

typedef struct tn_run_measure {
  double seconds;
  double memory;      /* peak resident bytes of the process */
  int64_t parameters; /* trained numbers of all components */
  size_t state_bytes; /* tensors in the state of the optimizers */
} tn_run_measure;

tn_run_measure tn_pipeline_measure(const tn_pipeline *pipeline);

#endif
