// SPDX-License-Identifier: MIT
/* Foreign functions as components: any C function of any shared library, called through libffi (Anthony
 * Green et al., https://sourceware.org/libffi) by a signature from the pipeline file. docs/foreign.md is the
 * guide. */
#include "foreign.h"

TN_PLUGIN("foreign", "1.0.0", "MIT", &foreign_problem_class, &foreign_solver_class, &foreign_schedule_class,
          &foreign_metric_class)
