// SPDX-License-Identifier: MIT
/* Kind tenon.communicator/1: processes that work together. What components use is comm.h; this is what a
 * transport implements. Collective: every rank calls the same functions in the same order. Whatever is not
 * collective must not talk to other ranks: `create` may wait for them, `destroy` may not. */
#ifndef TENON_COMMUNICATOR_H
#define TENON_COMMUNICATOR_H

#include <tenon/plugin.h>

#define TN_COMMUNICATOR "tenon.communicator/1"

typedef struct tn_communicator {
  uint32_t size;
  /* REQUIRED; all [main] */
  int32_t (*rank)(void *self);
  int32_t (*ranks)(void *self);
  /* Every rank's `bytes` bytes, in rank order, at `all` (ranks x bytes) on every rank. Reductions are built
   * on it, or on all_to_all, by the host, so that their bits do not depend on the transport. */
  tn_status (*all_gather)(void *self, const void *mine, void *all, size_t bytes);
  tn_status (*broadcast)(void *self, void *data, size_t bytes, int32_t root);
  tn_status (*barrier)(void *self);
  /* OPTIONAL */
  /* Sum over ranks, in place, of float32 (or float64) numbers, in the order of comm.h. Default: the host's,
   * through all_to_all and all_gather. */
  tn_status (*sum_f32)(void *self, float *values, int64_t count);
  tn_status (*sum_f64)(void *self, double *values, int64_t count);
  /* The i-th `bytes` bytes at `mine` (ranks x bytes) go to rank i; what the ranks sent is at `all`, in rank
   * order. Default: through all_gather, with more traffic. */
  tn_status (*all_to_all)(void *self, const void *mine, void *all, size_t bytes);
  /* Ends every process of the run with this exit code; not collective; does not return. Default: the process
   * exits, and it is the launcher's to end the others. */
  void (*abort)(void *self, int32_t code);
} tn_communicator;

#endif
