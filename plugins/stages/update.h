// SPDX-License-Identifier: MIT
/* What stages that train by gradients share: from the gradient to the update. */
#ifndef TENON_PLUGINS_UPDATE_H
#define TENON_PLUGINS_UPDATE_H

#include <math.h>
#include <tenon/gradient.h>
#include <tenon/observer.h>
#include <tenon/stage.h>

/* A training stage's own observers must see parameters. */
static inline tn_status update_check_observers(const tn_references *observers) {
  for (uint32_t o = 0; o < observers->count; o++)
    if (!tn_observer_watches(observers->items[o]))
      return tn_fail(TN_ERROR_INVALID, "'%s' sees events only: it belongs into [pipeline] observers",
                     observers->items[o]->name);
  return TN_OK;
}

/* Shows them the parameters and their gradient (NULL: none any more). */
static inline tn_status update_observe(const tn_references *observers, const tn_params *params,
                                       const tn_params *gradient, const tn_component *optimizer,
                                       const tn_progress *progress) {
  const tn_observation observation = {.size = sizeof observation,
                                      .params = params,
                                      .gradient = gradient,
                                      .optimizer = optimizer,
                                      .progress = *progress};
  tn_status status = TN_OK;
  for (uint32_t o = 0; status >= 0 && o < observers->count; o++)
    status = tn_observer_observe(observers->items[o], &observation);
  return status;
}

static inline tn_status update_begin_gradient(const tn_references *transforms, const tn_params *params) {
  tn_status status = TN_OK;
  for (uint32_t g = 0; status >= 0 && g < transforms->count; g++)
    status = tn_gradient_begin(transforms->items[g], params);
  return status;
}

/* Applies the gradient transforms, in order, to the gradient of one loss. */
static inline tn_status update_gradient(const tn_references *transforms, const tn_params *params,
                                        tn_params *gradient, double loss, const tn_progress *progress) {
  const tn_gradient_call call = {.size = sizeof call,
                                 .count = 1,
                                 .params = params,
                                 .gradients = &gradient,
                                 .losses = &loss,
                                 .progress = *progress};
  tn_status status = TN_OK;
  for (uint32_t g = 0; status >= 0 && g < transforms->count; g++)
    status = tn_gradient_apply(transforms->items[g], &call);
  return status;
}

/* The loss of the step that follows `step` finished ones must be a number. */
static inline tn_status update_check_loss(double loss, int64_t step, double lr) {
  if (isfinite(loss)) return TN_OK;
  return tn_fail(
      TN_ERROR_DIVERGED,
      "the loss became %g in step %lld (learning rate %g): try a smaller one, or gradient.clip_norm", loss,
      (long long)step + 1, lr);
}

#endif
