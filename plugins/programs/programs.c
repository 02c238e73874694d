// SPDX-License-Identifier: MIT
/* Optimizers as programs: the language, an optimizer that runs one, and the problem of finding a good one. */
#include "programs.h"

TN_PLUGIN("programs", "1.0.0", "MIT", &program_optimizer_class, &optimizer_search_class)
