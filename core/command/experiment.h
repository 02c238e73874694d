// SPDX-License-Identifier: MIT
/* A pipeline file with arms and axes: its cells run, its table and its claims are printed. */
#ifndef TENON_CORE_EXPERIMENT_H
#define TENON_CORE_EXPERIMENT_H

#include "core/command/pipeline_options.h"
#include "core/sweep/claim.h"
#include "core/sweep/plan.h"

typedef struct tn_experiment {
  tn_plan *plan;
  tn_outcome_record *outcomes; /* one a cell */
  tn_verdict *verdicts;
  uint32_t verdict_count, failed_cells;
  double seconds; /* of all cells */
} tn_experiment;

/* True if the file has arms or axes; one that cannot be read has none: whoever runs it says why. */
bool tn_experiment_wanted(const tn_command_options *options);
/* The plan of the file: one cell if it has neither arms nor axes. NULL and an error if the file or its claims
 * are wrong. */
tn_plan *tn_experiment_plan(const tn_command_options *options, tn_error *error);
/* Refuses wrong claims, of a file without arms and axes too. */
tn_status tn_experiment_check_claims(const tn_command_options *options, tn_error *error);
/* Checks each arm with every value of its axes, and prints what it is made of unless `quiet`. */
tn_status tn_experiment_check(tn_registry *registry, const tn_command_options *options, bool quiet,
                              tn_error *error);
/* Runs every cell into `directory` and judges the claims. */
tn_status tn_experiment_run(const tn_command_options *options, const char *directory,
                            tn_experiment *experiment, tn_error *error);
void tn_experiment_print_results(const tn_experiment *experiment);
/* Returns TN_EXIT_OK or TN_EXIT_EXPECTATION. */
int tn_experiment_print_claims(const tn_experiment *experiment);
void tn_experiment_free(tn_experiment *experiment);

/* What follows one run that has finished in `directory`: its claims are judged, unless it was a shortened
 * one, and unless `quiet` the report is written. */
int tn_experiment_end(const tn_command_options *options, const char *directory);
/* tenon run FILE of an experiment. */
int tn_experiment_command(const tn_command_options *options);

#endif
