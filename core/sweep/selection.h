// SPDX-License-Identifier: MIT
/* Names of results in claims.
 *
 *   lion.test.accuracy                    of every run of the arm lion; *.test.accuracy: of every arm
 *   lion[lr=1e-3].test.accuracy           of those with this value of an axis (its key, or what follows the
 * dot) lion[lr=1e-3, seed=2].test.accuracy   with both lion[best=valid.accuracy].test.loss   of the setting
 * of the arm's axes whose mean over seeds is the largest lion[least=valid.loss].test.loss      the smallest
 *   lion.seconds                          also memory (peak bytes), parameters (trained numbers), state_bytes
 *
 * In a file without arms the first word is left out: test.accuracy, [lr=1e-3].test.accuracy. */
#ifndef TENON_CORE_SELECTION_H
#define TENON_CORE_SELECTION_H

#include "core/sweep/outcome.h"
#include "core/sweep/plan.h"
#include "core/sweep/series.h"

/* The figures of a run as a whole, which are results of no stage. */
#define TN_WHOLE_FIGURES "seconds", "memory", "parameters", "state_bytes"

/* The results that `name` stands for. outcomes[i] belongs to cell i of the plan; NULL: only the name is
 * checked, as far as it can be without results. False and why if it stands for nothing. */
bool tn_selection_read(const tn_plan *plan, const tn_outcome_record *outcomes, const char *name,
                       tn_series *into, char *why, size_t bytes);

#endif
