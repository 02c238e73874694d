// SPDX-License-Identifier: MIT
#include "core/conformance/drivers.h"
#include <string.h>

static const tn_driver *const drivers[] = {
    &tn_driver_dataset,  &tn_driver_sampler,      &tn_driver_transform, &tn_driver_model,
    &tn_driver_loss,     &tn_driver_optimizer,    &tn_driver_gradient,  &tn_driver_weighting,
    &tn_driver_schedule, &tn_driver_metric,       &tn_driver_predictor, &tn_driver_environment,
    &tn_driver_problem,  &tn_driver_solver,       &tn_driver_search,    &tn_driver_stage,
    &tn_driver_observer, &tn_driver_communicator, &tn_driver_index};

const tn_driver *const *tn_drivers(uint32_t *count) {
  *count = TN_ARRAY_LENGTH(drivers);
  return drivers;
}

const tn_driver *tn_driver_of(const char *kind) {
  static const tn_driver other = {.kind = ""};
  for (uint32_t i = 0; i < TN_ARRAY_LENGTH(drivers); i++)
    if (strcmp(drivers[i]->kind, kind) == 0) return drivers[i];
  return &other;
}
