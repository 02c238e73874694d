// SPDX-License-Identifier: MIT
/* Kind tenon.predictor/1: fit, predict, adapt: kNN, naive Bayes, kernel machines, SVM, test-time adaptation.
 */
#ifndef TENON_PREDICTOR_H
#define TENON_PREDICTOR_H

#include <tenon/plugin.h>

#define TN_PREDICTOR "tenon.predictor/1"

typedef struct tn_predictor {
  uint32_t size;
  /* REQUIRED */
  /* [main] Learns from `data` (a dataset with its part) seen through `transforms`; forgets what it learnt
   * before. */
  tn_status (*fit)(void *self, const tn_component *data, const tn_references *transforms);
  /* [main] (n, ...) fields in; sets outputs such as `logits`, `probability` (n, classes), `label` (n),
   * `output`. Does not change what was learnt. */
  tn_status (*predict)(void *self, const tn_fields *inputs, tn_fields *outputs);
  /* OPTIONAL */
  /* [main] The specification of inputs and outputs, as a model's. Default: found when used. */
  tn_status (*declare)(void *self, const tn_spec *inputs, tn_declaration *declaration);
  /* [main] Learns from a batch of the test stream, after it was predicted: `outputs` is what predict gave.
   * Default: does not adapt. */
  tn_status (*adapt)(void *self, const tn_fields *inputs, const tn_fields *outputs);
  /* [main] Back to the state after fit. Default: nothing to undo. */
  tn_status (*reset)(void *self);
} tn_predictor;

static inline tn_status tn_predictor_fit(const tn_component *c, const tn_component *data,
                                         const tn_references *transforms) {
  tn_call_stack *stack = tn_enter(c, "fit");
  tn_status status = ((const tn_predictor *)c->vtable)->fit(c->self, data, transforms);
  tn_leave(stack);
  return status;
}
static inline tn_status tn_predictor_predict(const tn_component *c, const tn_fields *inputs,
                                             tn_fields *outputs) {
  tn_call_stack *stack = tn_enter(c, "predict");
  tn_status status = ((const tn_predictor *)c->vtable)->predict(c->self, inputs, outputs);
  tn_leave(stack);
  return status;
}
static inline tn_status tn_predictor_adapt(const tn_component *c, const tn_fields *inputs,
                                           const tn_fields *outputs) {
  const tn_predictor *p = (const tn_predictor *)c->vtable;
  if (!TN_HAS(p, tn_predictor, adapt)) return TN_OK;
  tn_call_stack *stack = tn_enter(c, "adapt");
  tn_status status = p->adapt(c->self, inputs, outputs);
  tn_leave(stack);
  return status;
}
static inline tn_status tn_predictor_reset(const tn_component *c) {
  const tn_predictor *p = (const tn_predictor *)c->vtable;
  return TN_HAS(p, tn_predictor, reset) ? p->reset(c->self) : TN_OK;
}

#endif
