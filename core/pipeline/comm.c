// SPDX-License-Identifier: MIT
/* tenon.comm/1 for one process: every collective is the identity. */
#include "core/pipeline/internal.h"

static int32_t rank(void) { return 0; }
static int32_t ranks(void) { return 1; }
static tn_status sum(double *values, int64_t count) {
  (void)values, (void)count;
  return TN_OK;
}
static tn_status sum_params(tn_params *params) {
  (void)params;
  return TN_OK;
}
static tn_status broadcast(void *data, size_t bytes, int32_t root) {
  (void)data, (void)bytes;
  return root == 0 ? TN_OK : tn_fail(TN_ERROR_INVALID, "broadcast from rank %d of 1", root);
}
static tn_status barrier(void) { return TN_OK; }

const tn_comm_service tn_comm_table = {.size = sizeof(tn_comm_service),
                                       .rank = rank,
                                       .ranks = ranks,
                                       .sum = sum,
                                       .sum_params = sum_params,
                                       .broadcast = broadcast,
                                       .barrier = barrier};
