// SPDX-License-Identifier: MIT
/* A small training task that judges optimizer programs: always the same initial weights and batches, so that
 * a program's fitness is a number of its own. */
#ifndef TENON_PLUGINS_TASK_H
#define TENON_PLUGINS_TASK_H

#include "plugins/stages/pass.h"
#include "program.h"
#include <pthread.h>
#include <tenon/schedule.h>

enum { TASK_FIELDS = 16, TASK_NAME = 48 };
enum { TASK_LOSS, TASK_ACCURACY };

/* All rows of a part of the data, transformed. */
struct task_rows {
  int64_t count;
  uint32_t fields;
  char names[TASK_FIELDS][TASK_NAME];
  tn_tensor *values[TASK_FIELDS]; /* (count, ...) */
};
/* What one training run works on; several may be under way. */
struct task_bench {
  tn_params *weights, *gradient, *m, *v;
  tn_buffer_update *updates;
  struct task_bench *next;
};

struct task {
  /* configuration */
  const tn_component *data, *validation, *model, *loss, *schedule;
  tn_references transforms;
  int64_t steps, batch;
  int32_t metric; /* TASK_... */
  /* made by task_begin */
  struct task_rows training, held_out;
  int64_t *order;           /* (steps, batch) rows */
  int64_t planned, size;    /* steps and batch in force */
  const tn_params *initial; /* the pipeline's */
  struct layout layout;
  struct task_bench *free; /* benches that nobody uses, under `lock` */
  pthread_mutex_t lock;
};

tn_status task_check(const struct task *task);
tn_status task_begin(struct task *task);
void task_release(struct task *task);
/* Trains with the program and measures on held-out rows: the mean loss, or the share of errors. Infinite if
 * the numbers go out of range. [worker] */
tn_status task_run(struct task *task, const struct program *program, const struct analysis *analysis,
                   double *value);

#endif
