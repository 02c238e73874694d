// SPDX-License-Identifier: MIT
/* Kind tenon.search/1: architecture search: a supernet, its architecture parameters, steps, a derived
 * genotype. */
#ifndef TENON_SEARCH_H
#define TENON_SEARCH_H

#include <tenon/plugin.h>

#define TN_SEARCH "tenon.search/1"

typedef struct tn_search_setting {
  uint32_t size;
  uint32_t reserved;
  const tn_component *model; /* the supernet; its architecture parameters are named by the search */
  const tn_component *loss;
  const tn_component *optimizer; /* of the weights */
  const tn_component *schedule;  /* NULL: constant */
  const tn_component *data;      /* training half and validation half, by rows */
  const int64_t *train_rows, *validation_rows;
  int64_t train_count, validation_count;
  const tn_references *transforms;
  int64_t batch;
  int64_t steps; /* planned */
} tn_search_setting;

typedef struct tn_search {
  uint32_t size;
  /* REQUIRED */
  /* [main] The setting is valid until the end. */
  tn_status (*begin)(void *self, const tn_search_setting *setting);
  /* [main] One step; reports scalars through tn_emit_step. TN_DONE after the last. */
  tn_status (*step)(void *self, const tn_progress *progress);
  /* [main] The genotype found so far, as text; the caller frees it with tn_free. */
  tn_status (*derive)(void *self, char **genotype);
} tn_search;

static inline tn_status tn_search_begin(const tn_component *c, const tn_search_setting *setting) {
  tn_call_stack *stack = tn_enter(c, "begin");
  tn_status status = ((const tn_search *)c->vtable)->begin(c->self, setting);
  tn_leave(stack);
  return status;
}
static inline tn_status tn_search_step(const tn_component *c, const tn_progress *progress) {
  tn_call_stack *stack = tn_enter(c, "step");
  tn_status status = ((const tn_search *)c->vtable)->step(c->self, progress);
  tn_leave(stack);
  return status;
}
static inline tn_status tn_search_derive(const tn_component *c, char **genotype) {
  tn_call_stack *stack = tn_enter(c, "derive");
  tn_status status = ((const tn_search *)c->vtable)->derive(c->self, genotype);
  tn_leave(stack);
  return status;
}

#endif
