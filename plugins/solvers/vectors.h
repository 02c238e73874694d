// SPDX-License-Identifier: MIT
/* A vector problem as a genome problem: a candidate is its variables, a gene one of them. Within bounds genes
 * are drawn uniformly, on the grid of discrete ones; without bounds from a standard normal, around the old
 * value where there is one. */
#ifndef TENON_PLUGINS_VECTORS_H
#define TENON_PLUGINS_VECTORS_H

#include <math.h>
#include <string.h>
#include <tenon/problem.h>

struct vectors {
  const tn_component *problem; /* the vector problem */
  tn_problem_info info;
  tn_component component; /* itself as a genome problem */
};

static inline double vectors_gene(const struct vectors *v, int64_t i, double old, tn_rng *rng) {
  const double low = v->info.lower ? v->info.lower[i] : -INFINITY;
  const double high = v->info.upper ? v->info.upper[i] : INFINITY;
  const double step = v->info.step ? v->info.step[i] : 0;
  double x;
  if (!isfinite(low) || !isfinite(high))
    x = fmin(fmax(old + tn_random_normal(rng), low), high);
  else if (step > 0)
    return low + step * (double)tn_random_below(rng, (uint64_t)((high - low) / step + 1e-9) + 1);
  else
    x = low + (high - low) * tn_random_uniform(rng);
  return step > 0 ? step * round(x / step) : x;
}

static inline double *vectors_new(const struct vectors *v, tn_genome *child) {
  const size_t bytes = (size_t)v->info.variables * sizeof(double);
  double *x = tn_alloc(bytes);
  *child = (tn_genome){x, bytes};
  return x;
}
static inline tn_status vectors_random(void *self, tn_rng *rng, tn_genome *child) {
  const struct vectors *v = self;
  double *x = vectors_new(v, child);
  for (int64_t i = 0; x && i < v->info.variables; i++) x[i] = vectors_gene(v, i, 0, rng);
  return x ? TN_OK : TN_ERROR_MEMORY;
}
static inline tn_status vectors_resample(void *self, const tn_genome *parent, double rate, tn_rng *rng,
                                         tn_genome *child) {
  const struct vectors *v = self;
  const double *from = parent->data;
  double *x = vectors_new(v, child);
  for (int64_t i = 0; x && i < v->info.variables; i++)
    x[i] = tn_random_uniform(rng) < rate ? vectors_gene(v, i, from[i], rng) : from[i];
  return x ? TN_OK : TN_ERROR_MEMORY;
}
static inline tn_status vectors_crossover(void *self, const tn_genome *a, const tn_genome *b, tn_rng *rng,
                                          tn_genome *child) {
  const struct vectors *v = self;
  const double *from[2] = {a->data, b->data};
  double *x = vectors_new(v, child);
  for (int64_t i = 0; x && i < v->info.variables; i++) x[i] = from[tn_random_below(rng, 2)][i];
  return x ? TN_OK : TN_ERROR_MEMORY;
}
static inline tn_status vectors_evaluate(void *self, const tn_genome *candidate, double *values) {
  const struct vectors *v = self;
  return tn_problem_evaluate(v->problem, candidate->data, 1, values);
}
static inline tn_status vectors_describe(void *self, tn_problem_info *info) {
  return tn_problem_describe(((const struct vectors *)self)->problem, info);
}

static inline const void *vectors_extension(void *self, const char *id) {
  static const tn_problem_genome table = {.size = sizeof table,
                                          .random = vectors_random,
                                          .evaluate = vectors_evaluate,
                                          .crossover = vectors_crossover,
                                          .resample = vectors_resample};
  (void)self;
  return strcmp(id, TN_PROBLEM_GENOME) == 0 ? &table : NULL;
}

/* `problem` itself if it is one over genomes; else `v` made of it, as such. NULL, with an error, if it is
 * neither. */
static inline const tn_component *vectors_of(struct vectors *v, const tn_component *problem) {
  static const tn_problem table = {.size = sizeof table, .describe = vectors_describe};
  static const tn_class cls = {.size = sizeof cls,
                               .kind = TN_PROBLEM,
                               .name = "vectors",
                               .summary = "a vector problem over genomes",
                               .vtable = &table,
                               .extension = vectors_extension};
  if (tn_extension(problem, TN_PROBLEM_GENOME)) return problem;
  const tn_problem *vector = problem->vtable;
  v->problem = problem;
  if (tn_problem_describe(problem, &v->info) < 0) return NULL;
  if (!TN_HAS(vector, tn_problem, evaluate) || v->info.variables < 1)
    return tn_fail(TN_ERROR_INVALID, "'%s' has neither variables nor genomes", problem->name), NULL;
  v->component = *problem;
  v->component.cls = &cls;
  v->component.vtable = &table;
  v->component.self = v;
  return &v->component;
}

#endif
