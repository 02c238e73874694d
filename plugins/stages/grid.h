// SPDX-License-Identifier: MIT
/* Candidates of a genome problem judged with the best of several factors on what they put out: problems of
 * other sizes want steps of other sizes. */
#ifndef TENON_PLUGINS_GRID_H
#define TENON_PLUGINS_GRID_H

#include "plugins/solvers/members.h"
#include "plugins/stages/text.h"

struct grid_job {
  const tn_component *problem;
  const tn_problem_genome *genome;
  tn_genome *children;
  double *values;
};
static inline tn_status grid_piece(void *argument, int64_t index) {
  const struct grid_job *job = argument;
  job->values[index] = INFINITY;
  if (!job->children[index].data) return TN_OK;
  tn_call_stack *stack = tn_enter(job->problem, "evaluate");
  tn_status status = job->genome->evaluate(job->problem->self, &job->children[index], &job->values[index]);
  tn_leave(stack);
  return status;
}

/* The value of each of `count` genomes with the best of the scales, side by side; best_scale may be NULL. A
 * genome without data gets infinity. */
static inline tn_status grid_evaluate(const tn_component *problem, const tn_genome *genomes, uint32_t count,
                                      const tn_reals *scales, double *values, double *best_scale) {
  const tn_problem_parts *parts = tn_extension(problem, TN_PROBLEM_PARTS);
  const size_t total = (size_t)count * scales->count;
  struct grid_job job = {problem, tn_extension(problem, TN_PROBLEM_GENOME),
                         tn_alloc(total * sizeof(tn_genome)), tn_alloc(total * sizeof(double))};
  tn_status status = job.children && job.values ? TN_OK : TN_ERROR_MEMORY;
  for (size_t i = 0; status >= 0 && i < total; i++) {
    const tn_genome *genome = &genomes[i / scales->count];
    if (genome->data)
      status = parts->scale(problem->self, genome, scales->items[i % scales->count], &job.children[i]);
  }
  if (status >= 0) status = tn_parallel_for((int64_t)total, grid_piece, &job);
  for (uint32_t i = 0; status >= 0 && i < count; i++) {
    values[i] = INFINITY;
    if (best_scale) best_scale[i] = scales->items[0];
    for (uint32_t k = 0; k < scales->count; k++) {
      const double value = job.values[i * scales->count + k];
      if (!(value < values[i])) continue;
      values[i] = value;
      if (best_scale) best_scale[i] = scales->items[k];
    }
  }
  for (size_t i = 0; job.children && i < total; i++) tn_free(job.children[i].data);
  tn_free(job.children);
  tn_free(job.values);
  return status;
}

/* What the stages ask of a problem. */
static inline tn_status grid_check(const tn_component *problem, const tn_reals *scales) {
  tn_problem_info info;
  const tn_problem_genome *genome = tn_extension(problem, TN_PROBLEM_GENOME);
  const tn_problem_parts *parts = tn_extension(problem, TN_PROBLEM_PARTS);
  if (!genome || !parts || !TN_HAS(parts, tn_problem_parts, scale) ||
      !TN_HAS(genome, tn_problem_genome, parse) || !TN_HAS(genome, tn_problem_genome, initial))
    return tn_fail(TN_ERROR_INVALID,
                   "'%s' has no candidates that are made of parts and can be scaled and read", problem->name);
  if (scales->count == 0) return tn_fail(TN_ERROR_INVALID, "no scales: give at least 1");
  tn_status status = tn_problem_describe(problem, &info);
  if (status >= 0 && (info.objectives != 1 || info.constraints > 0))
    return tn_fail(TN_ERROR_INVALID, "'%s' has %u objectives and %lld constraints; one and none are needed",
                   problem->name, info.objectives, (long long)info.constraints);
  return status;
}

static inline tn_status grid_parse(const tn_component *problem, const char *text, tn_genome *genome) {
  const tn_problem_genome *table = tn_extension(problem, TN_PROBLEM_GENOME);
  tn_call_stack *stack = tn_enter(problem, "parse");
  tn_status status = table->parse(problem->self, text, genome);
  tn_leave(stack);
  return status;
}

/* The candidate, scaled and tidied, as text that the caller frees. */
static inline tn_status grid_text(const tn_component *problem, const tn_genome *genome, double scale,
                                  char **text) {
  const tn_problem_genome *table = tn_extension(problem, TN_PROBLEM_GENOME);
  const tn_problem_parts *parts = tn_extension(problem, TN_PROBLEM_PARTS);
  tn_genome scaled = {NULL, 0}, tidy = {NULL, 0};
  tn_status status = parts->scale(problem->self, genome, scale, &scaled);
  if (status >= 0) status = parts->tidy(problem->self, scale == 1 || !scaled.data ? genome : &scaled, &tidy);
  if (status >= 0) status = table->print(problem->self, &tidy, text);
  tn_free(scaled.data);
  tn_free(tidy.data);
  return status;
}

#endif
