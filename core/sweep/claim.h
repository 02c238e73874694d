// SPDX-License-Identifier: MIT
/* Claims: relations over the results of the cells of a sweep, or of one run.
 *
 *   gain   = mean(lion.test.accuracy) >= mean(adamw.test.accuracy) + 0.005
 *   paired = all(lion.test.loss <= 1.1 * adamw.test.loss)
 *   tuned  = best(lion.test.accuracy) >= best(adamw.test.accuracy)
 *   chosen = mean(lion[best=valid.accuracy].test.accuracy) >= 0.9
 *
 * A name (selection.h) stands for one number a cell. Operators and functions (tenon.expression/1) work cell
 * by cell, pairing arms by seed and, where they have several, by the values of their axes. Over the cells go,
 * with one argument: mean, std (n - 1), median, min, max, sum, count, all, any; and best and least: the
 * largest and the smallest, over the settings of an arm's axes, of the mean over seeds. A claim that is still
 * one number a cell holds if it does for every one. */
#ifndef TENON_CORE_CLAIM_H
#define TENON_CORE_CLAIM_H

#include "core/sweep/outcome.h"
#include "core/sweep/plan.h"

typedef struct tn_verdict {
  const char *name, *text; /* of the claim; the configuration's */
  const char *file;
  uint32_t line;
  bool holds;
  bool judged;                /* false: it could not be evaluated; `why` says so */
  char comparison[3];         /* "<=" ... of the relation that decides; "" if there is no single one */
  double left, right;         /* its sides; where it is made cell by cell, of the one where it holds least */
  uint32_t compared, failing; /* cells in which it is made, and does not hold; 0 if it is made once */
  uint32_t runs;              /* most that a name of it stood for */
  char why[512];
} tn_verdict;

/* Judges every key of [expect]. outcomes[i] belongs to plan->cells[i]; one that did not finish has no
 * results. *verdicts is the caller's (free()). Returns their number. */
uint32_t tn_claims_judge(const tn_plan *plan, const tn_outcome_record *outcomes, tn_verdict **verdicts);
/* Refuses malformed claims, and arms, axes and stages that are not there, before anything runs. */
tn_status tn_claims_check(const tn_plan *plan, tn_error *error);
/* By how much a comparison fails or holds: "0.812 >= 0.84, off by 0.028". */
void tn_verdict_print(const tn_verdict *verdict, char *text, size_t bytes);

#endif
