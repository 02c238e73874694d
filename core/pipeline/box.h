// SPDX-License-Identifier: MIT
/* What a supervising process can still read when the process that worked has died, even by SIGKILL: memory
 * that both share. The worker keeps its call stack there, so that keeping it costs nothing, with a table of
 * components and one of the mapped plugins in which the names of functions are found. */
#ifndef TENON_CORE_BOX_H
#define TENON_CORE_BOX_H

#include <tenon/component.h>

typedef struct tn_box tn_box;

/* Before the fork; NULL: no memory. It lives as long as the processes. */
tn_box *tn_box_new(void);

/* In the worker. NULL for a box is fine and does nothing. */
void tn_box_work(tn_box *box); /* crashes are recorded from here on */
/* Zeroed memory for the running pipeline, in the box, and where its call stack is in it; NULL: not enough. */
void *tn_box_place(tn_box *box, size_t bytes, size_t stack);
void tn_box_directory(tn_box *box, const char *directory);
void tn_box_log(tn_box *box, int file); /* where a backtrace goes */
void tn_box_component(tn_box *box, const tn_component *component);
void tn_box_limit_step(tn_box *box, double seconds);           /* 0: none */
void tn_box_step(tn_box *box, double now);                     /* a step begins; 0: it is over */
tn_status tn_box_limit_memory(tn_box *box, int64_t megabytes); /* beyond what is in use */
void tn_box_finish(tn_box *box);                               /* what follows is an ordinary exit */

/* In the supervisor. */
bool tn_box_finished(const tn_box *box);
const char *tn_box_run(const tn_box *box); /* the directory; "": not known yet */
/* Seconds until the step that runs is over its limit, 0 if it is; negative: there is none. */
double tn_box_patience(const tn_box *box, double now);
double tn_box_step_limit(const tn_box *box);
/* "FILE:LINE: [section] kind.name function: ", or "" if no component was running. */
void tn_box_place_of_death(const tn_box *box, char *text, size_t bytes);
/* What the worker found out about a signal: "stack overflow", "segmentation fault at address 0x10"; "":
 * nothing. */
const char *tn_box_cause(const tn_box *box);

#endif
