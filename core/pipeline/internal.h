// SPDX-License-Identifier: MIT
/* What the files of core/pipeline share. */
#ifndef TENON_CORE_PIPELINE_INTERNAL_H
#define TENON_CORE_PIPELINE_INTERNAL_H

#include "core/pipeline/directory.h"
#include "core/pipeline/pipeline.h"
#include "core/pipeline/profile.h"
#include "core/report/event_log.h"
#include "core/report/record.h"

typedef struct tn_published {
  struct tn_published *next;
  const tn_component *stage;
  char *name;
  char *text; /* one of the two */
  tn_params *params;
} tn_published;

/* One live component. Derived handles (other parts, `digits:test`) share everything but `part`. */
struct tn_instance {
  tn_component component; /* first: a handle is its instance */
  tn_instance *owner;     /* of a derived handle; NULL for the instance itself */
  const tn_section *section;
  tn_bound *bound;
  char *name, *part;
  bool guarded;    /* self lies in memory of guard.h */
  bool making;     /* between allocation and the end of create: meeting it again is a circle */
  uint32_t copies; /* fresh instances made from it */
  tn_spec *inputs, *outputs;
  tn_declaration *declaration;
  tn_params *params;
};

struct tn_pipeline {
  tn_registry *registry;
  tn_config *config;
  tn_context context;
  tn_context *former_context;
  tn_engine *engine, *former_engine;
  tn_bound *bound;
  char *name;
  char *directory; /* NULL: nothing is written */
  bool smoke, checked, running, profiled, trap_nan, components, guarded;
  tn_profile *profile; /* of the last run; NULL: none was wanted */
  int64_t seed;
  int32_t precision;
  tn_strings stage_names;
  tn_references observers;
  tn_instance **instances;
  uint32_t instance_count, instance_room;
  tn_edge *edges;
  uint32_t edge_count, edge_room;
  tn_published *published;
  const tn_component **stages;
  uint32_t stage_count;
  const tn_component *stage; /* the one that runs */
  tn_run_record record;      /* results */
  tn_event_log *events;      /* events.jsonl, while the run has a directory */
  double began;
  char artifact[4096];
  tn_error *error; /* where the call that runs reports */
};

/* The running pipeline of this thread. */
tn_pipeline *tn_pipeline_current(void);

/* instance.c */
tn_instance *tn_instance_of_section(tn_pipeline *p, const tn_section *section, tn_error *error);
const tn_component *tn_instance_resolve(void *context, const char *text, const char *kind, const tn_key *key,
                                        tn_error *error);
tn_instance *tn_instance_copy(tn_pipeline *p, tn_instance *original, tn_error *error);
void tn_instance_free(tn_instance *instance);
/* Turns the failure that a callback of `component` recorded, or its bare status, into an error with its
 * place. */
tn_status tn_pipeline_failure(tn_pipeline *p, const tn_component *component, const char *function,
                              tn_status status, tn_error *error);

/* service.c, event.c, comm.c: the tables */
extern const tn_pipeline_service tn_pipeline_table;
extern const tn_report_service tn_report_table;
extern const tn_comm_service tn_comm_table;
void tn_pipeline_emit(tn_pipeline *p, tn_event *event);

/* directory.c */
tn_status tn_directory_make(tn_pipeline *p, tn_error *error);
tn_status tn_directory_finish(tn_pipeline *p, const char *outcome, tn_error *error);

#endif
