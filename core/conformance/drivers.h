// SPDX-License-Identifier: MIT
/* One driver a kind, in a file named after it. */
#ifndef TENON_CORE_DRIVERS_H
#define TENON_CORE_DRIVERS_H

#include "core/conformance/bench.h"

extern const tn_driver tn_driver_dataset, tn_driver_sampler, tn_driver_transform, tn_driver_model,
    tn_driver_loss, tn_driver_optimizer, tn_driver_gradient, tn_driver_weighting, tn_driver_schedule,
    tn_driver_metric, tn_driver_predictor, tn_driver_environment, tn_driver_problem, tn_driver_solver,
    tn_driver_search, tn_driver_stage, tn_driver_observer, tn_driver_communicator, tn_driver_index;

#endif
