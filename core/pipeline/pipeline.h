// SPDX-License-Identifier: MIT
/* A pipeline: sections made into components, wired, checked and run. */
#ifndef TENON_CORE_PIPELINE_H
#define TENON_CORE_PIPELINE_H

#include "core/config/bind.h"
#include "core/plugin/host.h"
#include "core/plugin/registry.h"
#include "core/report/record.h"
#include "core/tensor/engine.h"
#include <tenon/plugin.h>

typedef struct tn_pipeline tn_pipeline;

typedef struct tn_pipeline_options {
  const char *file;
  const char *text; /* NULL: what the file holds; else this instead, and `file` gives the paths' folder */
  const char *const *overrides; /* "section.key=value" */
  uint32_t override_count;
  const char *const *plugins; /* files that the registry was opened with, for the lock file */
  uint32_t plugin_count;
  const char *directory; /* the run directory, made by tn_pipeline_run; NULL: nothing is written */
  bool smoke;            /* a shortened run */
  bool single;           /* one run of a file that may ask for many: pipeline.ini keeps this one's part */
  bool resume;           /* the run in `directory` goes on from its newest checkpoint */
  struct tn_box *box;    /* of a supervised process (box.h); NULL: limits of time and memory are not kept */
  bool quiet;            /* no observers but those that write files, no warnings */
  bool profile;          /* measure components and operations; DIR/trace.json, tn_pipeline_print_profile */
  bool trap_nan;         /* stop at the first operation that makes a non-finite number from finite ones */
  bool components;       /* components only: no stages are needed; it is not run */
  bool guard;            /* tensors and instances lie in memory that shows writes past them (guard.h) */
} tn_pipeline_options;

/* Offers the services of this folder; before a plugin is loaded that may ask for them. Idempotent. */
void tn_pipeline_start(void);
/* Loads the file and makes every section's component, in the order of the file; references make what they
 * need first. NULL and an error if anything is wrong. The registry must outlive the pipeline. */
tn_pipeline *tn_pipeline_open(tn_registry *registry, const tn_pipeline_options *options, tn_error *error);
/* Lets every stage check itself: references, fields and shapes, without computing. */
tn_status tn_pipeline_check(tn_pipeline *pipeline, tn_error *error);
/* Runs the stages. TN_ERROR_INTERRUPTED after SIGINT or SIGTERM (see tn_pipeline_interrupt); a run with a
 * directory has written a checkpoint then. */
tn_status tn_pipeline_run(tn_pipeline *pipeline, tn_error *error);
void tn_pipeline_close(tn_pipeline *pipeline);
/* Asks running pipelines to stop after the current step. Async-signal-safe. */
void tn_pipeline_interrupt(void);

/* What was made, for check, graph and embedding. */
typedef struct tn_instance tn_instance;
const char *tn_pipeline_name(const tn_pipeline *pipeline);
uint32_t tn_pipeline_count(const tn_pipeline *pipeline);
const tn_component *tn_pipeline_at(const tn_pipeline *pipeline, uint32_t index);
const tn_component *tn_pipeline_find(const tn_pipeline *pipeline, const char *section); /* NULL: none */
/* The outputs and parameters of a declared component; NULL if it was not declared. */
const tn_spec *tn_pipeline_outputs(const tn_pipeline *pipeline, const tn_component *component);
tn_params *tn_pipeline_parameters(tn_pipeline *pipeline, const tn_component *component);
/* References, in the order in which they were resolved: `from`'s key `key` names `to`. */
typedef struct tn_edge {
  const tn_component *from, *to;
  const char *key;
} tn_edge;
uint32_t tn_pipeline_edges(const tn_pipeline *pipeline, const tn_edge **edges);
/* Results "STAGE.NAME", in the order in which they came. */
uint32_t tn_pipeline_results(const tn_pipeline *pipeline, const tn_result **results);
char *tn_pipeline_print(const tn_pipeline *pipeline); /* its resolved file; freed with free() */
const char *tn_pipeline_directory(const tn_pipeline *pipeline);
/* False in the processes of a run that do not write its directory: ranks after the first. */
bool tn_pipeline_leads(const tn_pipeline *pipeline);
/* Tables of the profile that the last run took; nothing if it took none. */
void tn_pipeline_print_profile(const tn_pipeline *pipeline, FILE *to);

#endif
