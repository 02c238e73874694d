// SPDX-License-Identifier: MIT
/* Communicators, with the processes there are: one, unless the test runs under a launcher. */
#include "core/conformance/drivers.h"
#include <tenon/communicator.h>

static tn_status work(tn_bench *bench, const tn_component *c, int64_t unit) {
  const tn_communicator *table = c->vtable;
  const int32_t ranks = table->ranks(c->self);
  int64_t mine = unit, all[64] = {0};
  if (ranks < 1 || ranks > 64) return tn_fail(TN_ERROR_INVALID, "%d ranks", ranks);
  const tn_status status = table->all_gather(c->self, &mine, all, sizeof mine);
  tn_fingerprint_bytes(&bench->digest, all, sizeof all);
  return status;
}

static void collectives(tn_trial *t) {
  tn_bench bench;
  tn_bench_ready(&bench, t, NULL);
  const tn_communicator *table = bench.subject->vtable;
  void *self = bench.subject->self;
  const int32_t rank = table->rank(self), ranks = table->ranks(self);
  int64_t mine = 100 + rank, all[64] = {0};
  float sum = 1.5f;
  double sums = 2.5;
  if (rank < 0 || rank >= ranks) tn_trial_fail("rank %d of %d", rank, ranks);
  tn_trial_expect(table->all_gather(self, &mine, all, sizeof mine), "all_gather");
  for (int32_t i = 0; i < ranks && i < 64; i++)
    if (all[i] != 100 + i) tn_trial_fail("all_gather gives %lld in place %d", (long long)all[i], i);
  if (TN_HAS(table, tn_communicator, all_to_all)) {
    int64_t sent[64], got[64] = {0};
    for (int32_t i = 0; i < 64; i++) sent[i] = 1000 * rank + i;
    tn_trial_expect(table->all_to_all(self, sent, got, sizeof *got), "all_to_all");
    for (int32_t i = 0; i < ranks && i < 64; i++)
      if (got[i] != 1000 * i + rank) tn_trial_fail("all_to_all gives %lld in place %d", (long long)got[i], i);
  }
  tn_trial_expect(table->broadcast(self, &mine, sizeof mine, 0), "broadcast");
  if (mine != 100) tn_trial_fail("broadcast from rank 0 gives %lld, expected 100", (long long)mine);
  tn_trial_expect(table->barrier(self), "barrier");
  if (TN_HAS(table, tn_communicator, sum_f32)) {
    tn_trial_expect(table->sum_f32(self, &sum, 1), "sum_f32");
    if (sum != 1.5f * (float)ranks) tn_trial_fail("sum_f32 of 1.5 over %d ranks is %g", ranks, (double)sum);
  }
  if (TN_HAS(table, tn_communicator, sum_f64)) {
    tn_trial_expect(table->sum_f64(self, &sums, 1), "sum_f64");
    if (sums != 2.5 * ranks) tn_trial_fail("sum_f64 of 2.5 over %d ranks is %g", ranks, sums);
  }
  tn_bench_close(&bench);
}

static const tn_check checks[] = {
    {"collectives", "gathering, broadcasting and sums give what they should", collectives}};
const tn_driver tn_driver_communicator = {
    .kind = TN_COMMUNICATOR, .work = work, .checks = checks, .check_count = TN_ARRAY_LENGTH(checks)};
