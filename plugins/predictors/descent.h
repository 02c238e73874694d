// SPDX-License-Identifier: MIT
/* Gradient steps that a component makes by itself on a batch: a predictor on the test stream, a loss that
 * trains a network of its own; and the entropy that several of them lower. */
#ifndef TENON_PLUGINS_DESCENT_H
#define TENON_PLUGINS_DESCENT_H

#include <tenon/optimizer.h>

struct descent {
  const tn_component *optimizer;
  tn_params *trained, *gradient; /* of one layout */
  int64_t *step;                 /* steps made so far */
};

/* Steps on what `objective` gives for the batch, each of it anew and recorded; where that is NULL, the batch
 * teaches nothing. */
static inline tn_status descend(const struct descent *descent, int64_t steps,
                                tn_status (*objective)(void *self, const void *batch, tn_tensor **loss),
                                void *self, const void *batch) {
  tn_status status = tn_outcome();
  for (int64_t s = 0; status >= 0 && s < steps; s++) {
    tn_tensor *loss = NULL;
    tn_scope_open();
    const bool recording = tn_record(true);
    status = objective(self, batch, &loss);
    if (status >= 0) status = tn_outcome();
    if (status >= 0 && loss) status = tn_grad_params(loss, descent->trained, descent->gradient);
    tn_record(recording);
    if (status >= 0 && loss) {
      const tn_optimizer_step step = {.size = sizeof step,
                                      .params = descent->trained,
                                      .gradient = descent->gradient,
                                      .loss = tn_item(loss),
                                      .schedule = 1,
                                      .step = ++*descent->step};
      status = tn_optimizer_update(descent->optimizer, &step);
    }
    tn_scope_close();
  }
  return status;
}

/* The mean over rows of H(p), from log p (n, classes). */
static inline tn_tensor *mean_entropy(tn_tensor *log_p) {
  return tn_neg(tn_mean(tn_sum_axis(tn_mul(tn_exp(log_p), log_p), 1)));
}

#endif
