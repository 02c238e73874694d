// SPDX-License-Identifier: MIT
/* What a person sees of a sweep while it runs: on a terminal a few lines that change, one of the whole and
 * one a running cell; elsewhere one line for each cell that has ended. */
#ifndef TENON_CORE_OVERVIEW_H
#define TENON_CORE_OVERVIEW_H

#include <stdbool.h>
#include <stdint.h>

/* How far a running cell is, from the end of its events. */
typedef struct tn_cell_progress {
  char stage[48];
  int64_t step, steps; /* of that stage; 0: not known */
  char figure[48];     /* "loss 0.1234" */
} tn_cell_progress;
void tn_cell_progress_read(const char *directory, tn_cell_progress *progress);

typedef struct tn_overview_cell {
  const char *name;
  double seconds;
  tn_cell_progress progress;
} tn_overview_cell;

typedef struct tn_overview {
  bool quiet, live;
  uint32_t drawn; /* lines on the screen that change */
} tn_overview;

tn_overview tn_overview_start(bool quiet);
/* A cell has ended; `why`: of one that failed, else NULL. */
void tn_overview_ended(tn_overview *overview, uint32_t done, uint32_t total, const char *name, double seconds,
                       const char *why);
/* Draws the changing lines anew. `seconds` since the sweep began; `ended` cells have run in them. */
void tn_overview_draw(tn_overview *overview, uint32_t done, uint32_t total, uint32_t failed, double seconds,
                      uint32_t ended, const tn_overview_cell *running, uint32_t running_count);
void tn_overview_erase(tn_overview *overview);
/* Seconds that are left if everything goes on as it went; NAN: nothing has gone yet. */
double tn_overview_eta(uint32_t done, uint32_t total, double seconds, uint32_t ended,
                       const tn_overview_cell *running, uint32_t running_count);

#endif
