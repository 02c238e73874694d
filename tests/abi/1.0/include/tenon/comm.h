// SPDX-License-Identifier: MIT
/* tenon.comm/1: the run's communicator (communicator.h) for components that work on several processes. With
 * one process every function is the identity. Threads: [main], the same calls in the same order on every
 * rank. */
#ifndef TENON_COMM_H
#define TENON_COMM_H

#include <tenon/sdk.h>

#define TN_COMM_SERVICE "tenon.comm/1"

typedef struct tn_comm_service {
  uint32_t size;
  int32_t (*rank)(void);
  int32_t (*ranks)(void);
  /* Sums over ranks, in place, neighbours first: ((r0 + r1) + (r2 + r3)) + r4, where a last one without a
   * neighbour waits. The same bits on every rank and for every transport; and where a sum over 2^k parts a
   * rank is made in this order too, the same for every number of ranks. sum_params: the trained entries. */
  tn_status (*sum)(double *values, int64_t count);
  tn_status (*sum_params)(tn_params *params);
  tn_status (*broadcast)(void *data, size_t bytes, int32_t root);
  tn_status (*barrier)(void);
} tn_comm_service;

static inline int32_t tn_rank(void) { return tn_sdk.comm->rank(); }
static inline int32_t tn_ranks(void) { return tn_sdk.comm->ranks(); }

#endif
