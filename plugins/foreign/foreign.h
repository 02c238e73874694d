// SPDX-License-Identifier: MIT
/* The classes of this plugin. */
#ifndef TENON_FOREIGN_FOREIGN_H
#define TENON_FOREIGN_FOREIGN_H

#include <tenon/plugin.h>

TN_HIDDEN extern const tn_class foreign_problem_class, foreign_solver_class, foreign_schedule_class,
    foreign_metric_class;

#endif
