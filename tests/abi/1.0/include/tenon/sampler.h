// SPDX-License-Identifier: MIT
/* Kind tenon.sampler/1: which rows make the next batch: shuffled, weighted, P x K, episodes, domain-balanced,
 * rehearsal. Its state (position, order) goes through the class's state visitor. */
#ifndef TENON_SAMPLER_H
#define TENON_SAMPLER_H

#include <tenon/plugin.h>

#define TN_SAMPLER "tenon.sampler/1"

typedef struct tn_sampler {
  uint32_t size;
  /* REQUIRED */
  /* [main] Starts over on `data` (a dataset with its part), `rows` of them, for batches of `batch` rows. */
  tn_status (*begin)(void *self, const tn_component *data, int64_t rows, int64_t batch);
  /* [main] Writes at most `batch` row numbers and their count (at least 1); *epoch_ends is set on the last
   * batch of a pass. */
  tn_status (*next)(void *self, int64_t *index, int64_t *count, bool *epoch_ends);
  /* OPTIONAL */
  /* [main] Batches of one pass over the data. Default: rows / batch, rounded up. */
  int64_t (*batches)(void *self);
  /* [main] Scores of the rows of the last batch (losses), for samplers that learn from them. Default:
   * ignored. */
  tn_status (*feedback)(void *self, const int64_t *index, const double *scores, int64_t count);
} tn_sampler;

static inline tn_status tn_sampler_begin(const tn_component *c, const tn_component *data, int64_t rows,
                                         int64_t batch) {
  tn_call_stack *stack = tn_enter(c, "begin");
  tn_status status = ((const tn_sampler *)c->vtable)->begin(c->self, data, rows, batch);
  tn_leave(stack);
  return status;
}
static inline tn_status tn_sampler_next(const tn_component *c, int64_t *index, int64_t *count,
                                        bool *epoch_ends) {
  tn_call_stack *stack = tn_enter(c, "next");
  tn_status status = ((const tn_sampler *)c->vtable)->next(c->self, index, count, epoch_ends);
  tn_leave(stack);
  return status;
}
static inline int64_t tn_sampler_batches(const tn_component *c, int64_t rows, int64_t batch) {
  const tn_sampler *s = (const tn_sampler *)c->vtable;
  return TN_HAS(s, tn_sampler, batches) ? s->batches(c->self) : (rows + batch - 1) / batch;
}
static inline tn_status tn_sampler_feedback(const tn_component *c, const int64_t *index, const double *scores,
                                            int64_t count) {
  const tn_sampler *s = (const tn_sampler *)c->vtable;
  return TN_HAS(s, tn_sampler, feedback) ? s->feedback(c->self, index, scores, count) : TN_OK;
}

#endif
