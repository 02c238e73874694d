// SPDX-License-Identifier: MIT
/* Which program trains a given model best? The candidates are programs of the language, the objective is the
 * validation loss (or error) after a short training (Chen et al. 2023, section 2). */
#include "programs.h"
#include "task.h"
#include <tenon/problem.h>

struct optimizer_search {
  struct task task; /* first: its keys are the component's */
  const char *initial;
  int64_t max_length;
  struct program start;
  bool locked; /* the task's lock exists */
};
static const tn_param search_params[] = {
    TN_REFERENCE(struct task, data, TN_PARAM_REQUIRED, TN_DATASET, NULL, "training data"),
    TN_REFERENCE(struct task, validation, TN_PARAM_REQUIRED, TN_DATASET, NULL,
                 "what fitness is measured on, `digits:validation`"),
    TN_REFERENCES(struct task, transforms, 0, TN_TRANSFORM, "",
                  "in front of the model, in order; applied once to all rows"),
    TN_REFERENCE(struct task, model, TN_PARAM_REQUIRED, TN_MODEL, NULL, "the model to train"),
    TN_REFERENCE(struct task, loss, 0, TN_LOSS, "loss.cross_entropy", "what is minimised"),
    TN_REFERENCE(struct task, schedule, 0, TN_SCHEDULE, "schedule.cosine", "what programs see as lr"),
    TN_INTEGER(struct task, steps, "60", 1, 1e9, "steps", "length of the training"),
    TN_INTEGER(struct task, batch, "64", 1, 1 << 20, "rows", "rows a batch"),
    TN_CHOICE(struct task, metric, "loss", "loss|accuracy",
              "the objective: validation loss, or 1 - accuracy"),
    TN_PATH(struct optimizer_search, initial, 0, "",
            "the program that searches start from; empty: AdamW without bias correction"),
    TN_INTEGER(struct optimizer_search, max_length, "60", 2, PROGRAM_STATEMENTS, "statements",
               "longest program that mutation makes"),
};

static const char adamw[] =
    "g2 = square(g); m = interp(g, m, 0.9); v = interp(g2, v, 0.999); sqrt_v = sqrt(v);"
    "update = m / sqrt_v; wd = w * 0.01; update = update + wd;"
    "lr = lr * 0.001; update = update * lr";

static tn_status search_create(void *self) {
  struct optimizer_search *search = self;
  if (pthread_mutex_init(&search->task.lock, NULL) != 0) return tn_fail(TN_ERROR_MEMORY, "no lock");
  search->locked = true;
  return *search->initial ? program_load(search->initial, &search->start)
                          : program_parse(adamw, "AdamW", &search->start);
}

static void search_destroy(void *self) {
  struct optimizer_search *search = self;
  task_release(&search->task);
  if (search->locked) pthread_mutex_destroy(&search->task.lock);
}

static tn_status search_describe(void *self, tn_problem_info *info) {
  struct optimizer_search *search = self;
  info->objectives = 1;
  return task_check(&search->task);
}

static tn_status search_begin(void *self) { return task_begin(&((struct optimizer_search *)self)->task); }

/* ---- genomes ---- */

static const struct program *program_of(const tn_genome *genome) { return genome->data; }

/* An empty program as a child to be filled; NULL if out of memory. */
static struct program *new_child(tn_genome *child) {
  child->data = tn_alloc(sizeof(struct program));
  child->bytes = child->data ? sizeof(struct program) : 0;
  return child->data;
}
static tn_status no_child(tn_genome *child) {
  tn_free(child->data);
  *child = (tn_genome){NULL, 0};
  return TN_OK;
}

static tn_status search_initial(void *self, tn_genome *child) {
  struct program *program = new_child(child);
  if (!program) return TN_ERROR_MEMORY;
  *program = ((struct optimizer_search *)self)->start;
  return TN_OK;
}

static tn_status search_random(void *self, tn_rng *rng, tn_genome *child) {
  const struct optimizer_search *search = self;
  struct program *program = new_child(child);
  if (!program) return TN_ERROR_MEMORY;
  if (program_random(rng, (int32_t)search->max_length, program) == TN_OK) return TN_OK;
  no_child(child);
  return tn_fail(TN_ERROR_INVALID, "no valid program among many random ones");
}

static tn_status search_mutate(void *self, const tn_genome *parent, tn_rng *rng, tn_genome *child) {
  const struct optimizer_search *search = self;
  struct program *program = new_child(child);
  if (!program) return TN_ERROR_MEMORY;
  if (program_mutate(program_of(parent), rng, (int32_t)search->max_length, program) == TN_OK) return TN_OK;
  no_child(child);
  return tn_fail(TN_ERROR_INVALID, "no mutation of a program of %d statements is valid",
                 program_of(parent)->count);
}

static tn_status search_evaluate(void *self, const tn_genome *candidate, double *values) {
  struct optimizer_search *search = self;
  struct analysis analysis;
  program_analyse(program_of(candidate), &analysis);
  return task_run(&search->task, program_of(candidate), &analysis, values);
}

static uint64_t search_hash(void *self, const tn_genome *candidate) {
  struct analysis analysis;
  (void)self;
  program_analyse(program_of(candidate), &analysis);
  return analysis.hash;
}

static tn_status search_print(void *self, const tn_genome *candidate, char **text) {
  (void)self;
  *text = program_print(program_of(candidate));
  return *text ? TN_OK : TN_ERROR_MEMORY;
}

static tn_status search_parse(void *self, const char *text, tn_genome *candidate) {
  struct program *program = new_child(candidate);
  (void)self;
  tn_status status = program ? program_parse(text, "program", program) : TN_ERROR_MEMORY;
  if (status < 0) no_child(candidate);
  return status;
}

/* ---- parts: statements ---- */

static uint32_t parts_count(void *self, const tn_genome *candidate, uint32_t *idle) {
  struct analysis analysis;
  (void)self;
  program_analyse(program_of(candidate), &analysis);
  const uint32_t count = (uint32_t)program_of(candidate)->count;
  *idle = count - (uint32_t)__builtin_popcountll(analysis.live);
  return count;
}

static tn_status parts_remove(void *self, const tn_genome *candidate, uint32_t part, tn_genome *child) {
  struct program *program = new_child(child);
  struct analysis analysis;
  (void)self;
  if (!program) return TN_ERROR_MEMORY;
  program_remove(program_of(candidate), (int32_t)part, program);
  program_analyse(program, &analysis);
  return analysis.valid ? TN_OK : no_child(child);
}

static tn_status parts_tidy(void *self, const tn_genome *candidate, tn_genome *child) {
  struct program *program = new_child(child);
  (void)self;
  if (!program) return TN_ERROR_MEMORY;
  program_tidy(program_of(candidate), program);
  return TN_OK;
}

static uint64_t parts_structure(void *self, const tn_genome *candidate) {
  struct analysis analysis;
  (void)self;
  program_analyse(program_of(candidate), &analysis);
  return analysis.structure;
}

static tn_status parts_tune(void *self, const tn_genome *parent, tn_rng *rng, tn_genome *child) {
  struct program *program = new_child(child);
  (void)self;
  if (!program) return TN_ERROR_MEMORY;
  return program_tune(program_of(parent), rng, program) == TN_OK ? TN_OK : no_child(child);
}

static tn_status parts_scale(void *self, const tn_genome *candidate, double factor, tn_genome *child) {
  struct program *program = new_child(child);
  (void)self;
  if (!program) return TN_ERROR_MEMORY;
  return program_scale(program_of(candidate), factor, program) == TN_OK ? TN_OK : no_child(child);
}

static const void *search_extension(void *self, const char *id) {
  static const tn_problem_genome genome = {.size = sizeof genome,
                                           .initial = search_initial,
                                           .random = search_random,
                                           .mutate = search_mutate,
                                           .evaluate = search_evaluate,
                                           .hash = search_hash,
                                           .print = search_print,
                                           .parse = search_parse};
  static const tn_problem_parts parts = {sizeof parts,    parts_count, parts_remove, parts_tidy,
                                         parts_structure, parts_tune,  parts_scale};
  (void)self;
  if (strcmp(id, TN_PROBLEM_GENOME) == 0) return &genome;
  return strcmp(id, TN_PROBLEM_PARTS) == 0 ? &parts : NULL;
}

static const tn_problem search_table = {
    .size = sizeof search_table, .describe = search_describe, .begin = search_begin};
const tn_class optimizer_search_class = {
    .size = sizeof(tn_class),
    .kind = TN_PROBLEM,
    .name = "optimizer_search",
    .summary = "The program that trains a model best in a short run",
    .reference = "Chen et al. 2023, Symbolic Discovery of Optimization Algorithms",
    TN_CLASS_PARAMS(search_params),
    .instance_size = sizeof(struct optimizer_search),
    .vtable = &search_table,
    .create = search_create,
    .destroy = search_destroy,
    .extension = search_extension};
