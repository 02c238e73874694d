// SPDX-License-Identifier: MIT
/* What the files of core/pipeline share. */
#ifndef TENON_CORE_PIPELINE_INTERNAL_H
#define TENON_CORE_PIPELINE_INTERNAL_H

#include "core/pipeline/box.h"
#include "core/pipeline/directory.h"
#include "core/pipeline/lock.h"
#include "core/pipeline/pipeline.h"
#include "core/pipeline/profile.h"
#include "core/pipeline/state.h"
#include "core/report/event_log.h"
#include "core/report/record.h"
#include <pthread.h>

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
  bool guarded;          /* self lies in memory of guard.h */
  bool making;           /* between allocation and the end of create: meeting it again is a circle */
  uint32_t copies;       /* fresh instances made from it */
  tn_instance *original; /* of a fresh instance */
  char *maker;           /* the component that asked for it */
  bool remade;           /* by a resume, from the list in the checkpoint */
  bool unclaimed;        /* and its maker has not asked for it again yet */
  bool restored;         /* params are of a checkpoint; the declaration comes later */
  tn_spec *inputs, *outputs;
  tn_declaration *declaration;
  bool later; /* the declaration waits for a result (tn_declare_later) */
  tn_params *params;
};

/* Who receives events: while a stage begins again nobody, as what is said then has been said. */
typedef enum tn_audience { TN_EVERYBODY, TN_THOSE_WITHOUT_STATE, TN_NOBODY } tn_audience;

/* The thread that writes a checkpoint, and when the last one was made. */
typedef struct tn_checkpointer {
  pthread_t thread;
  bool writing, done; /* writing: there is a thread to join; done: it has nothing more to do */
  const char *directory;
  int64_t step, keep;
  tn_state *state;
  tn_status status;
  char message[768];
  double last; /* tn_seconds() */
  int64_t count;
  double copying; /* seconds for which the run has stood still */
} tn_checkpointer;

struct tn_pipeline {
  tn_registry *registry;
  tn_config *config;
  tn_context context;
  tn_context *former_context;
  tn_engine *engine, *former_engine;
  tn_bound *bound;
  char *name;
  char *directory; /* NULL: nothing is written */
  const tn_component *communicator;
  int32_t rank, ranks; /* only rank 0 writes into the directory */
  char *own_directory; /* of another rank, below it: log and artifacts; NULL: rank 0 */
  char *data;      /* the folder of data sets, ${data}; NULL: none */
  bool smoke, single, resume, checked, running, profiled, trap_nan, components, guarded;
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
  uint32_t stage_index;      /* the one that runs or is next */
  bool begun;                /* its begin is done */
  int64_t steps;             /* finished, of all stages */
  tn_audience audience;
  int64_t checkpoint_every, checkpoint_keep;
  double checkpoint_seconds;
  tn_checkpointer checkpointer;
  const char *const *overrides, *const *plugins; /* of the command line, for the lock file */
  uint32_t override_count, plugin_count;
  int folder;           /* the run directory, locked; 0: none */
  tn_box *box;          /* NULL: nobody supervises this process */
  bool boxed;           /* and this struct lies in it */
  tn_run_record record; /* results and curves */
  tn_event_log *events; /* events.jsonl, while the run has a directory */
  int64_t event_bytes;  /* of it, when the checkpoint was made */
  double began;
  char artifact[4096];
  bool declare_later; /* said by the declaration that runs */
  tn_error *error;    /* where the call that runs reports */
};

/* The running pipeline of this thread. */
tn_pipeline *tn_pipeline_current(void);
/* parallel.c: tn_pipeline_service.parallel */
tn_status tn_pipeline_parallel(int64_t count, tn_parallel_body body, void *argument);

/* instance.c */
tn_instance *tn_instance_of_section(tn_pipeline *p, const tn_section *section, tn_error *error);
const tn_component *tn_instance_resolve(void *context, const char *text, const char *kind, const tn_key *key,
                                        tn_error *error);
tn_instance *tn_instance_copy(tn_pipeline *p, tn_instance *original, tn_error *error);
/* Makes a fresh instance again that a checkpoint names, unless it is there. Its maker gets it when it asks.
 */
tn_status tn_instance_restore(tn_pipeline *p, const char *name, const char *original, const char *maker,
                              tn_error *error);
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
/* Takes the communicator (NULL: none) as the run's; the ranks must have the same directory and CPU. */
tn_status tn_comm_join(tn_pipeline *p, const tn_component *communicator, tn_error *error);
bool tn_comm_any(tn_pipeline *p, bool mine); /* true on every rank if it is on one; collective */
/* With several ranks: says in one line why the run failed and ends all of them. Else it returns. */
void tn_comm_give_up(tn_pipeline *p, const tn_error *error, bool running);
/* The entry of `name` that `stage` has published or is about to. */
tn_published *tn_pipeline_publish(tn_pipeline *p, const tn_component *stage, const char *name);

/* run_state.c: everything of a run. Loading takes two passes around the `begin` of the stage that goes on:
 * early all but stages and fresh instances, so that begin finds what former stages left; then everything. */
tn_status tn_run_save(tn_pipeline *p, tn_state *state, tn_error *error);
tn_status tn_run_load_early(tn_pipeline *p, tn_state *state, tn_error *error);
tn_status tn_run_load(tn_pipeline *p, tn_state *state, tn_error *error);

/* checkpoint.c */
bool tn_checkpoint_due(tn_pipeline *p); /* after a step */
/* `wait`: returns when the file is safe; else a thread writes it, and an error is that of the one before. */
tn_status tn_checkpoint_save(tn_pipeline *p, bool wait, tn_error *error);
void tn_checkpoint_finish(tn_pipeline *p); /* waits for the thread */
/* The newest checkpoint that is whole; *state NULL: there is none. */
tn_status tn_checkpoint_open(tn_pipeline *p, tn_state **state, tn_error *error);
void tn_checkpoint_prune(const char *directory, int64_t keep);

/* directory.c */
tn_status tn_directory_make(tn_pipeline *p, tn_error *error);
/* Opens events.jsonl: a new one, or behind its first event_bytes. */
tn_status tn_directory_events(tn_pipeline *p, tn_error *error);
/* Opens the directory of a run that goes on. */
tn_status tn_directory_open(tn_pipeline *p, tn_error *error);
tn_status tn_directory_finish(tn_pipeline *p, const char *outcome, tn_error *error);
/* Where this process may write; NULL: nowhere. */
const char *tn_run_directory_of(const tn_pipeline *p);

#endif
