// SPDX-License-Identifier: MIT
/* Samplers: which rows make the next batch. */
#include "core/conformance/drivers.h"
#include <tenon/dataset.h>
#include <tenon/sampler.h>

enum { BATCH = 10, MOST_BATCHES = 10000 };

static tn_status prepare(tn_bench *bench, const tn_component *c) {
  const int64_t rows = tn_dataset_rows(bench->data);
  return rows < 0 ? TN_ERROR_MISSING : tn_sampler_begin(c, bench->data, rows, BATCH);
}

static tn_status work(tn_bench *bench, const tn_component *c, int64_t unit) {
  int64_t index[BATCH], count = 0;
  bool ends = false;
  (void)unit;
  const tn_status status = tn_sampler_next(c, index, &count, &ends);
  if (status < 0) return status;
  if (count >= 1 && count <= BATCH)
    tn_fingerprint_bytes(&bench->digest, index, (size_t)count * sizeof *index);
  double scores[BATCH];
  for (int64_t i = 0; i < count; i++) scores[i] = 1 / (1 + (double)index[i]);
  return tn_sampler_feedback(c, index, scores, count);
}

static void passes(tn_trial *t) {
  tn_bench bench;
  tn_bench_ready(&bench, t, NULL);
  const int64_t rows = tn_dataset_rows(bench.data), batches = tn_sampler_batches(bench.subject, rows, BATCH);
  if (batches < 1) tn_trial_fail("batches() is %lld", (long long)batches);
  for (int64_t pass = 0, seen = 0; pass < 2; pass++, seen = 0) {
    for (bool ends = false; !ends;) {
      int64_t index[BATCH + 1] = {0}, count = -1;
      index[BATCH] = 0x5a5a5a5a;
      tn_scope_open();
      tn_trial_expect(tn_sampler_next(bench.subject, index, &count, &ends), "next");
      tn_scope_close();
      if (index[BATCH] != 0x5a5a5a5a) tn_trial_fail("next writes more than a batch of rows");
      if (count < 1 || count > BATCH)
        tn_trial_fail("a batch of %lld rows, expected 1 to %d", (long long)count, BATCH);
      for (int64_t i = 0; i < count; i++)
        if (index[i] < 0 || index[i] >= rows)
          tn_trial_fail("row %lld of a data set with %lld", (long long)index[i], (long long)rows);
      if (++seen > batches && !ends)
        tn_trial_fail("a pass of more than the %lld batches that it claims", (long long)batches);
    }
    if (seen != batches)
      tn_trial_fail("a pass of %lld batches, batches() says %lld", (long long)seen, (long long)batches);
  }
  tn_bench_close(&bench);
}

static const tn_check checks[] = {{"passes", "rows are in range, and passes as long as it says", passes}};
const tn_driver tn_driver_sampler = {.kind = TN_SAMPLER,
                                     .inputs = TN_INPUTS_DATA,
                                     .prepare = prepare,
                                     .work = work,
                                     .checks = checks,
                                     .check_count = TN_ARRAY_LENGTH(checks)};
