// SPDX-License-Identifier: MIT
/* Claims: relations over the results of the cells of a sweep, or of one run.
 *
 *   gain   = mean(lion.test.accuracy) >= mean(adamw.test.accuracy) + 0.005
 *   paired = all(lion.test.loss <= 1.1 * adamw.test.loss)
 *   tuned  = best(lion.test.accuracy) >= best(adamw.test.accuracy)
 *
 * A name is ARM.STAGE.RESULT (STAGE.RESULT in a file without arms), or seconds, memory (peak bytes),
 * parameters (trained numbers), state_bytes (of the optimizers) in place of STAGE.RESULT. It stands for one
 * number a cell of that arm. Operators and functions (tenon.expression/1) work cell by cell, pairing arms by
 * seed and setting. Over the cells go, with one argument: mean, std (n - 1), median, min, max, sum, count,
 * all, any; and best and least: the largest and the smallest, over the settings of an arm's axes, of the mean
 * over seeds. A claim that is still one number a cell holds if it does for every one. */
#ifndef TENON_CORE_CLAIM_H
#define TENON_CORE_CLAIM_H

#include "core/sweep/outcome.h"
#include "core/sweep/plan.h"

/* A number a cell. outcomes[i] belongs to plan->cells[i]; one that did not finish has no results. */
typedef struct tn_evidence {
  const tn_plan *plan;
  const tn_outcome_record *outcomes;
} tn_evidence;

typedef struct tn_verdict {
  const char *name, *text; /* of the claim; the configuration's */
  const char *file;
  uint32_t line;
  bool holds;
  bool judged;        /* false: it could not be evaluated; `why` says so */
  char comparison[3]; /* "<=" ...; "" if the claim is no single comparison */
  double left, right; /* means over the cells of its two sides */
  uint32_t seeds;     /* most cells that a name of it stood for */
  char why[512];
} tn_verdict;

/* Judges every key of [expect]. *verdicts is the caller's (free()). Returns their number. */
uint32_t tn_claims_judge(const tn_evidence *evidence, tn_verdict **verdicts);
/* Refuses malformed claims and arms that are not there, before anything runs. */
tn_status tn_claims_check(const tn_plan *plan, tn_error *error);
/* By how much a comparison fails or holds: "0.812 >= 0.84, short by 0.028". */
void tn_verdict_print(const tn_verdict *verdict, char *text, size_t bytes);

#endif
