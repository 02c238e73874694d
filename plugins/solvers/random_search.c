// SPDX-License-Identifier: MIT
/* Random search: independent random candidates, the best is kept. The baseline of every search (Bergstra and
 * Bengio 2012, Random Search for Hyper-Parameter Optimization). */
#include "genomes.h"

struct random_search {
  struct genomes all; /* first: see GENOMES_PARAMS */
  int64_t evaluations, candidates;
  int64_t steps; /* state */
};
static const tn_param search_params[] = {
    TN_INTEGER(struct random_search, evaluations, "1000", 0, 1e15, NULL, "ends after so many; 0: no limit"),
    TN_INTEGER(struct random_search, candidates, "0", 0, 1e15, NULL,
               "ends after so many, those found in the cache too; 0: no limit"),
    GENOMES_PARAMS};

static tn_status begin(void *self, const tn_component *problem) {
  struct random_search *search = self;
  if (search->evaluations == 0 && search->candidates == 0)
    return tn_fail(TN_ERROR_INVALID, "give evaluations or candidates: how long to search");
  search->steps = 0;
  return genomes_begin(&search->all, problem);
}

static int64_t left(const struct random_search *search) {
  int64_t most = INT64_MAX;
  if (search->candidates > 0) most = search->candidates - search->all.candidates;
  if (search->evaluations > 0 && search->evaluations - search->all.evaluations < most)
    most = search->evaluations - search->all.evaluations;
  return most;
}

static tn_status step(void *self, tn_solver_status *result) {
  struct random_search *search = self;
  struct genomes *g = &search->all;
  const int64_t count = left(search) < g->batch ? left(search) : g->batch;
  struct member *members = tn_alloc((size_t)count * sizeof *members);
  tn_status status = members ? TN_OK : TN_ERROR_MEMORY;
  for (int64_t i = 0; status >= 0 && i < count; i++) {
    tn_rng rng = genomes_rng(g, g->candidates + i);
    members[i].value = INFINITY;
    status = g->genome->random(g->problem->self, &rng, &members[i].genome);
  }
  if (status >= 0) status = genomes_evaluate(g, members, (uint32_t)count);
  for (int64_t i = 0; members && i < count; i++) tn_free(members[i].genome.data);
  tn_free(members);
  if (status < 0) return status;
  *result = (tn_solver_status){.size = sizeof *result,
                               .iterations = ++search->steps,
                               .evaluations = g->evaluations,
                               .value = genomes_best(g),
                               .bound = -INFINITY};
  return left(search) > 0 ? TN_OK : TN_DONE;
}

static tn_status best_genome(void *self, tn_genome *genome) {
  return genomes_take_best(&((struct random_search *)self)->all, genome);
}
static tn_status candidates(void *self, uint32_t *count, tn_genome *genomes, double *values) {
  return genomes_take_candidates(&((struct random_search *)self)->all, count, genomes, values);
}
static tn_status figures(void *self, tn_metric_sink *sink) {
  genomes_figures(&((struct random_search *)self)->all, sink);
  return TN_OK;
}
static void destroy(void *self) { genomes_release(&((struct random_search *)self)->all); }
static tn_status state(void *self, const tn_visitor *visitor) {
  struct random_search *search = self;
  tn_visit_integer(visitor, "steps", &search->steps);
  return genomes_visit(&search->all, visitor);
}

static const tn_solver table = {.size = sizeof table,
                                .begin = begin,
                                .step = step,
                                .best_genome = best_genome,
                                .figures = figures,
                                .candidates = candidates};
static const tn_class search_class = {
    .size = sizeof(tn_class),
    .kind = TN_SOLVER,
    .name = "random_search",
    .summary = "Independent random candidates",
    .reference = "Bergstra and Bengio 2012, Random Search for Hyper-Parameter Optimization",
    TN_CLASS_PARAMS(search_params),
    .instance_size = sizeof(struct random_search),
    .vtable = &table,
    .destroy = destroy,
    .state = state};
TN_PLUGIN("solver_random_search", "1.0.0", "MIT", &search_class)
