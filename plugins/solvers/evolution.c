// SPDX-License-Identifier: MIT
/* Evolution of a population, with mutation and crossover of the best so far (Guo et al. 2020, Single Path
 * One-Shot, algorithm 1, as NEAS uses it), of any problem, with or without constraints:
 *
 *   population <- `population` random candidates that break no constraint
 *   repeat: parents <- the `parents` best of all so far
 *           population <- children of them, half by mutation, half by crossover; again only such candidates
 *
 * One step is one generation, the first of them the random one. Candidates that behave alike are evaluated
 * once, those that break a constraint too. Drawing gives up a generation's missing places after `rounds`
 * rounds without enough new candidates: small spaces run out. */
#include "genomes.h"
#include "vectors.h"

struct evolution {
  struct genomes all; /* first: see GENOMES_PARAMS */
  int64_t population, parents, generations, rounds;
  double mutation, crossover;
  struct vectors vectors;
  /* state */
  struct members elite; /* best first, no two alike */
  int64_t generation, born, infeasible;
  double mean; /* value of the last generation */
};
static const tn_param evolution_params[] = {
    TN_INTEGER(struct evolution, population, "50", 1, 1 << 20, NULL, "candidates a generation"),
    TN_INTEGER(struct evolution, parents, "10", 1, 1 << 20, NULL, "best of all so far, which have children"),
    TN_INTEGER(struct evolution, generations, "20", 1, 1e9, NULL, "how many, the random one included"),
    TN_REAL(struct evolution, mutation, "0.1", 0, 1, "probability with which a mutation draws a gene anew"),
    TN_REAL(struct evolution, crossover, "0.5", 0, 1,
            "share of children that two parents have together; the others are mutations of one"),
    TN_INTEGER(struct evolution, rounds, "20", 1, 1e6, NULL,
               "rounds of drawing a generation's candidates, before it is left smaller"),
    GENOMES_PARAMS};

static tn_status begin(void *self, const tn_component *problem) {
  struct evolution *e = self;
  const tn_component *genomes = vectors_of(&e->vectors, problem);
  if (!genomes) return TN_ERROR_INVALID;
  members_clear(&e->elite);
  e->generation = e->born = e->infeasible = 0;
  e->mean = INFINITY;
  return genomes_begin(&e->all, genomes);
}

/* ---- one generation ---- */

static const tn_genome *draw_parent(const struct evolution *e, tn_rng *rng) {
  return &e->elite.items[tn_random_below(rng, e->elite.count)].genome;
}

static tn_status make_child(const struct evolution *e, int64_t place, tn_rng *rng, tn_genome *child) {
  const tn_problem_genome *genome = e->all.genome;
  void *problem = e->all.problem->self;
  if (e->elite.count == 0) return genome->random(problem, rng, child);
  const bool crosses = TN_HAS(genome, tn_problem_genome, crossover) && e->elite.count > 1 &&
                       place < (int64_t)(e->crossover * (double)e->population + 0.5);
  const tn_genome *parent = draw_parent(e, rng);
  if (crosses) return genome->crossover(problem, parent, draw_parent(e, rng), rng, child);
  if (TN_HAS(genome, tn_problem_genome, resample))
    return genome->resample(problem, parent, e->mutation, rng, child);
  return genome->mutate(problem, parent, rng, child);
}

static bool among(const struct genomes *g, const struct members *members, uint64_t hash) {
  for (uint32_t i = 0; i < members->count; i++)
    if (genomes_hash(g, &members->items[i].genome) == hash) return true;
  return false;
}

/* The best of all so far, in order. */
static tn_status join_elite(struct evolution *e, const struct member *member) {
  struct members *elite = &e->elite;
  uint32_t at = elite->count;
  if (among(&e->all, elite, genomes_hash(&e->all, &member->genome))) return TN_OK;
  while (at > 0 && member->value < elite->items[at - 1].value) at--;
  if (at == (uint32_t)e->parents) return TN_OK;
  const tn_status status = members_put(elite, at, member);
  if (elite->count > (uint32_t)e->parents) members_drop(elite, elite->count - 1);
  return status;
}

/* One round: as many candidates as are missing; those that are new and break no constraint stay. */
static tn_status draw_round(struct evolution *e, struct members *born) {
  struct genomes *g = &e->all;
  int64_t count = e->population - born->count;
  if (count > g->batch) count = g->batch;
  struct member *made = tn_alloc((size_t)count * sizeof *made);
  tn_status status = made ? TN_OK : TN_ERROR_MEMORY;
  for (int64_t i = 0; status >= 0 && i < count; i++) {
    tn_rng rng = genomes_rng(g, g->candidates + i);
    made[i].value = INFINITY;
    status = make_child(e, born->count + i, &rng, &made[i].genome);
  }
  if (status >= 0) status = genomes_evaluate(g, made, (uint32_t)count);
  for (int64_t i = 0; status >= 0 && i < count; i++) {
    if (!isfinite(made[i].value))
      e->infeasible++;
    else if (!among(g, born, genomes_hash(g, &made[i].genome)))
      status = members_put(born, born->count, &made[i]);
  }
  for (int64_t i = 0; made && i < count; i++) tn_free(made[i].genome.data);
  tn_free(made);
  return status;
}

static tn_status step(void *self, tn_solver_status *result) {
  struct evolution *e = self;
  struct members born = {NULL, 0, 0};
  tn_status status = TN_OK;
  const int64_t batches = (e->population + e->all.batch - 1) / e->all.batch;
  for (int64_t r = 0; status >= 0 && r < e->rounds * batches && born.count < e->population; r++)
    status = draw_round(e, &born);
  if (status >= 0 && e->generation == 0 && born.count == 0)
    status = tn_fail(TN_ERROR_INVALID, "none of %lld random candidates of '%s' meets its constraints",
                     (long long)e->all.candidates, e->all.problem->name);
  e->mean = born.count > 0 ? 0 : e->mean;
  for (uint32_t i = 0; status >= 0 && i < born.count; i++) {
    e->mean += born.items[i].value / born.count;
    status = join_elite(e, &born.items[i]);
  }
  e->born = born.count;
  members_release(&born);
  if (status < 0) return status;
  e->generation++;
  *result = (tn_solver_status){.size = sizeof *result,
                               .iterations = e->generation,
                               .evaluations = e->all.evaluations,
                               .value = genomes_best(&e->all),
                               .bound = -INFINITY};
  return e->generation < e->generations ? TN_OK : TN_DONE;
}

/* ---- the rest ---- */

static tn_status best_genome(void *self, tn_genome *genome) {
  return genomes_take_best(&((struct evolution *)self)->all, genome);
}
static tn_status best(void *self, double *point) {
  const struct evolution *e = self;
  tn_genome genome = {NULL, 0};
  if (e->all.problem != &e->vectors.component)
    return tn_fail(TN_ERROR_INVALID, "the candidates of '%s' are no vectors", e->all.problem->name);
  const tn_status status = genomes_take_best(&e->all, &genome);
  if (status >= 0) memcpy(point, genome.data, genome.bytes);
  tn_free(genome.data);
  return status;
}

/* The elite, best first: unlike the archive, also of problems that know no structure. */
static tn_status candidates(void *self, uint32_t *count, tn_genome *genomes, double *values) {
  const struct evolution *e = self;
  tn_status status = TN_OK;
  *count = e->elite.count;
  for (uint32_t i = 0; status >= 0 && i < *count; i++) {
    if (genomes) status = genome_copy(&e->elite.items[i].genome, &genomes[i]);
    if (values) values[i] = e->elite.items[i].value;
  }
  return status;
}

static tn_status figures(void *self, tn_metric_sink *sink) {
  const struct evolution *e = self;
  genomes_figures(&e->all, sink);
  sink->value(sink, "mean", e->mean);
  sink->value(sink, "born", (double)e->born);
  sink->value(sink, "infeasible", (double)e->infeasible);
  return TN_OK;
}

static void destroy(void *self) {
  struct evolution *e = self;
  genomes_release(&e->all);
  members_release(&e->elite);
}

static tn_status state(void *self, const tn_visitor *visitor) {
  struct evolution *e = self;
  tn_visit_integer(visitor, "generation", &e->generation);
  tn_visit_integer(visitor, "born", &e->born);
  tn_visit_integer(visitor, "infeasible", &e->infeasible);
  tn_visit_real(visitor, "mean", &e->mean);
  const tn_status status = members_visit(visitor, "elite", &e->elite, 0);
  return status < 0 ? status : genomes_visit(&e->all, visitor);
}

static const tn_solver table = {.size = sizeof table,
                                .begin = begin,
                                .step = step,
                                .best = best,
                                .best_genome = best_genome,
                                .figures = figures,
                                .candidates = candidates};
static const tn_class evolution_class = {
    .size = sizeof(tn_class),
    .kind = TN_SOLVER,
    .name = "evolution",
    .summary = "Evolution of a population by mutation and crossover of the best, under constraints",
    .reference = "Guo et al. 2020, Single Path One-Shot Neural Architecture Search with Uniform Sampling",
    TN_CLASS_PARAMS(evolution_params),
    .instance_size = sizeof(struct evolution),
    .vtable = &table,
    .destroy = destroy,
    .state = state};
TN_PLUGIN("solver_evolution", "1.0.0", "MIT", &evolution_class)
