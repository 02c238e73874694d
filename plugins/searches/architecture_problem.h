// SPDX-License-Identifier: MIT
/* The problem that the solver of the one-shot search gets: its genomes are architectures, with genes for all
 * layers of all paths. */
#ifndef TENON_PLUGINS_ARCHITECTURE_PROBLEM_H
#define TENON_PLUGINS_ARCHITECTURE_PROBLEM_H

#include "one_shot.h"

static inline tn_status new_genome(const struct architecture *a, tn_genome *child) {
  struct architecture *data = tn_alloc(sizeof *data);
  if (!data) return TN_ERROR_MEMORY;
  *data = *a;
  *child = (tn_genome){data, sizeof *data};
  return TN_OK;
}
static inline tn_status genome_random(void *self, tn_rng *rng, tn_genome *child) {
  const struct one_shot *s = self;
  struct architecture a;
  pool_draw_architecture(&s->pool, NULL, rng, &a);
  return new_genome(&a, child);
}

/* A layer's genes of one path anew, if they are choices by themselves; else those of all paths. */
static inline void resample_layer(const struct one_shot *s, int64_t layer, double rate, tn_rng *rng,
                                  struct architecture *a) {
  const struct pool *p = &s->pool;
  if (pool_unit(p, layer, 0)->size > 1) {
    if (tn_random_uniform(rng) < rate) pool_draw_layer(p, layer, NULL, rng, a);
    return;
  }
  for (int64_t k = 0; k < a->paths; k++) {
    bool taken[POOL_UNITS] = {false};
    if (tn_random_uniform(rng) >= rate) continue;
    for (int64_t u = 0; p->distinct && u < p->count[layer]; u++)
      for (int64_t j = 0; j < a->paths; j++)
        taken[u] |=
            j != k && space_column(s->space, a->genes[j][layer]) == pool_unit(p, layer, u)->columns[0];
    const int64_t u = pool_draw(p, layer, NULL, taken, rng);
    if (u >= 0) a->genes[k][layer] = space_choice(s->space, pool_unit(p, layer, u)->columns[0]);
  }
}
static inline tn_status genome_resample(void *self, const tn_genome *parent, double rate, tn_rng *rng,
                                        tn_genome *child) {
  const struct one_shot *s = self;
  struct architecture a = *(const struct architecture *)parent->data;
  if (tn_random_uniform(rng) < rate) a.split = pool_draw_split(&s->pool, rng);
  for (int64_t l = 0; l < s->space->layers; l++) resample_layer(s, l, rate, rng, &a);
  return new_genome(&a, child);
}
static inline tn_status genome_mutate(void *self, const tn_genome *parent, tn_rng *rng, tn_genome *child) {
  return genome_resample(self, parent, 0.1, rng, child);
}

/* Layer by layer from one of the two, and the split. */
static inline tn_status genome_crossover(void *self, const tn_genome *a, const tn_genome *b, tn_rng *rng,
                                         tn_genome *child) {
  const struct one_shot *s = self;
  const struct architecture *from[2] = {a->data, b->data};
  struct architecture made = *from[tn_random_below(rng, 2)];
  for (int64_t l = 0; l < s->space->layers; l++) {
    const struct architecture *parent = from[tn_random_below(rng, 2)];
    for (int64_t k = 0; k < made.paths; k++) made.genes[k][l] = parent->genes[k][l];
  }
  return new_genome(&made, child);
}

/* The error rate; how far the budget is exceeded. Nothing is computed of what exceeds it. */
static inline tn_status genome_evaluate(void *self, const tn_genome *candidate, double *values) {
  const struct one_shot *s = self;
  const struct architecture *a = candidate->data;
  double accuracy = 0;
  values[0] = INFINITY;
  values[1] = s->budget > 0 ? macs_of(s, a) / s->budget - 1 : 0;
  if (values[1] > 0) return TN_OK;
  const tn_status status = accuracy_of(s, a, INT64_MAX, &accuracy);
  values[0] = 1 - accuracy;
  return status;
}

/* By the network that it is: genes that it does not use do not count. */
static inline uint64_t genome_hash(void *self, const tn_genome *candidate) {
  const struct one_shot *s = self;
  const struct architecture *a = candidate->data;
  uint64_t hash = 14695981039346656037u ^ (uint64_t)a->split;
  for (int64_t k = 0; k < a->paths; k++)
    for (int64_t l = k == 0 ? 0 : a->split; l < s->space->layers; l++)
      hash = (hash ^ (uint64_t)(architecture_gene(a, k, l) + 2)) * 1099511628211u;
  return hash ^ hash >> 29;
}
static inline tn_status genome_print(void *self, const tn_genome *candidate, char **text) {
  const struct one_shot *s = self;
  const struct architecture all = built(s, candidate->data);
  *text = architecture_text(s->space, &all);
  return *text ? TN_OK : TN_ERROR_MEMORY;
}

static inline tn_status problem_describe(void *self, tn_problem_info *info) {
  (void)self;
  info->objectives = 1;
  info->constraints = 1;
  info->optimum = 0;
  return TN_OK;
}
static const void *problem_extension(void *self, const char *id) {
  static const tn_problem_genome table = {.size = sizeof table,
                                          .random = genome_random,
                                          .mutate = genome_mutate,
                                          .crossover = genome_crossover,
                                          .evaluate = genome_evaluate,
                                          .hash = genome_hash,
                                          .print = genome_print,
                                          .resample = genome_resample};
  (void)self;
  return strcmp(id, TN_PROBLEM_GENOME) == 0 ? &table : NULL;
}
static const tn_problem problem_table = {.size = sizeof problem_table, .describe = problem_describe};
static const tn_class problem_class = {.size = sizeof problem_class,
                                       .kind = TN_PROBLEM,
                                       .name = "architectures",
                                       .summary = "the architectures of a supernet that are left",
                                       .vtable = &problem_table,
                                       .extension = problem_extension};

#endif
