// SPDX-License-Identifier: MIT
/* One check of one component, as the child process that runs it sees it.
 *
 * A check is a function that returns if the property holds. What does not hold ends the process there and
 * then (tn_trial_fail): the check's code reads like the property, and nothing has to be cleaned up. */
#ifndef TENON_CORE_TRIAL_H
#define TENON_CORE_TRIAL_H

#include "core/conformance/conformance.h"
#include "core/conformance/isolation.h"
#include "core/config/config.h"
#include "core/plugin/registry.h"

typedef struct tn_driver tn_driver;
typedef struct tn_trial {
  const tn_conformance_options *options;
  tn_registry *registry;
  const char *file; /* of the plugin */
  const char *full; /* "optimizer.lion"; "" for checks of the file itself */
  const tn_class *cls;
  const tn_driver *driver; /* of its kind */
  const char *folder;      /* of sample files */
  const char *given;       /* pipeline file for it; NULL: none */
  const tn_config *with;   /* what it holds; NULL: none */
  const char *run;         /* a run directory */
  uint64_t seed;
  int64_t largest;   /* random whole numbers are this far from 0 or from their lower end; 0: anywhere */
  char lacking[160]; /* why it cannot be composed */
  bool guard;        /* all pipelines in memory that shows writes past it */
  bool composed;
  char *sections;   /* INI text of the subject and all it refers to; NULL: not composed yet */
  uint32_t samples; /* which sample files its required paths name */
  uint32_t base;    /* the tn_data_set that references to data sets name */
  int32_t world;    /* inputs it takes; -1: not looked for yet */
} tn_trial;

typedef struct tn_check {
  const char *name;     /* for --check */
  const char *property; /* one line */
  void (*run)(tn_trial *trial);
} tn_check;

/* What a kind's components do, so that the general checks can let them work. All functions are called within
 * a scope; failures are recorded in the context. */
typedef struct tn_bench tn_bench;
/* TN_INPUTS_BASE: none of its own, but what its references to data sets name is to be found. */
typedef enum tn_inputs {
  TN_INPUTS_NONE,
  TN_INPUTS_BASE,
  TN_INPUTS_BEFORE,
  TN_INPUTS_AFTER,
  TN_INPUTS_DATA
} tn_inputs;
struct tn_driver {
  const char *kind;
  tn_inputs inputs; /* made-up fields as data sets bring them, with what models add, or a data set */
  /* Makes a component ready: declares, begins, fits. NULL: nothing to do. */
  tn_status (*prepare)(tn_bench *bench, const tn_component *c);
  /* Unit `unit` of its work; what comes out goes into the bench's digest. NULL: nothing that can be driven.
   */
  tn_status (*work)(tn_bench *bench, const tn_component *c, int64_t unit);
  /* What the driver keeps for the subject of one bench to that of another, which is prepared: NULL: nothing.
   */
  void (*carry)(const tn_bench *from, tn_bench *to);
  const tn_check *checks;
  uint32_t check_count;
  const char *shares;   /* what two instances change together, so that one must disturb the other; NULL */
  const char *needs[4]; /* kinds of which the pipeline must hold a component; NULL at the end */
};

_Noreturn TN_PRINTF(1, 2) void tn_trial_fail(const char *format, ...);
_Noreturn TN_PRINTF(1, 2) void tn_trial_skip(const char *format, ...);
_Noreturn TN_PRINTF(1, 2) void tn_trial_absent(const char *format, ...); /* the check does not apply */
/* What a check that passes says: sizes, counts. */
TN_PRINTF(1, 2) void tn_trial_note(const char *format, ...);

/* The message recorded by the last calls, which is forgotten; "" if nothing failed. */
const char *tn_trial_message(void);
/* Fails unless `status` is good and nothing is recorded. */
void tn_trial_expect(tn_status status, const char *what);

/* A number below `bound` from the trial's seed and what `about` names. */
uint64_t tn_trial_random(const tn_trial *trial, const char *about, uint64_t index, uint64_t bound);
double tn_trial_uniform(const tn_trial *trial, const char *about, uint64_t index); /* [0, 1) */
double tn_trial_normal(const tn_trial *trial, const char *about, uint64_t index);

/* `full` repetitions, or fewer in the fast profile. */
uint32_t tn_trial_times(const tn_trial *trial, uint32_t full, uint32_t fast);

/* drivers.c: of a kind; one that can do nothing for kinds the host does not know. */
const tn_driver *tn_driver_of(const char *kind);
const tn_driver *const *tn_drivers(uint32_t *count);
/* general.c, file.c: for every class, for every file. */
extern const tn_check tn_general_checks[];
extern const uint32_t tn_general_check_count;
extern const tn_check tn_fuzz_check;
extern const tn_check tn_file_checks[];
extern const uint32_t tn_file_check_count;

#endif
