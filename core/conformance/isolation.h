// SPDX-License-Identifier: MIT
/* Running something in a child process that may crash, hang or overflow its stack. */
#ifndef TENON_CORE_ISOLATION_H
#define TENON_CORE_ISOLATION_H

#include <stdbool.h>
#include <stdint.h>

typedef enum tn_verdict { TN_PASSED, TN_FAILED, TN_SKIPPED, TN_ABSENT } tn_verdict;

/* In memory that parent and child share, so that it survives the child. */
typedef struct tn_finding {
  int32_t verdict; /* tn_verdict; -1: the child did not get to the end */
  double seconds;
  char where[128]; /* the component and function that ran when a signal came */
  char doing[512]; /* what it is at, for failures: the child may not get to say it itself */
  char text[900];
} tn_finding;

/* Runs `work` in a child; it returns (passed) or calls tn_finding_end. Nothing it prints is seen. */
void tn_isolate(void (*work)(void *context), void *context, double limit, tn_finding *outcome);
/* In the child. */
tn_finding *tn_finding_here(void);
_Noreturn void tn_finding_end(tn_verdict verdict);

#endif
