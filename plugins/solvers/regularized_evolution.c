// SPDX-License-Identifier: MIT
/* Regularised (ageing) evolution (Real et al. 2019, Regularized Evolution for Image Classifier Architecture
 * Search, algorithm 1), started warm as in Chen et al. 2023:
 *
 *   population <- P copies of the initial candidate, as a queue
 *   repeat: draw T members at random; the fittest has a mutated child;
 *           evaluate the child, push it, drop the oldest member (not the worst)
 *
 * `batch` children are drawn from one population and pushed together, so that threads can share the work.
 * After `restarts` independent runs comes, if wanted, one that starts from the best candidate of all.
 * Constant tuning is the same search with another mutation: one constant is multiplied by 2^a, a standard
 * normal. */
#include "genomes.h"

enum { RESTART_INITIAL, RESTART_BEST };

struct evolution {
  struct genomes all; /* first: see GENOMES_PARAMS */
  int64_t population, tournament, evaluations, candidates, restarts;
  int32_t restart;
  bool tunes;
  /* state */
  struct members queue; /* a ring */
  uint32_t oldest;
  int64_t run, steps;
  bool running; /* the queue is this run's; after a run it stays for the figures */
  int64_t earlier_evaluations, earlier_candidates; /* of the runs before this one */
  double initial;                                  /* value of the initial candidate */
};
#define EVOLUTION_PARAMS                                                                 \
  TN_INTEGER(struct evolution, population, "1000", 2, 1 << 20, NULL, "members"),         \
      TN_INTEGER(struct evolution, tournament, "2", 1, 1 << 20, NULL,                    \
                 "members that compete to be a parent"),                                 \
      TN_INTEGER(struct evolution, evaluations, "1000", 0, 1e15, NULL,                   \
                 "a run ends after so many; 0: no limit"),                               \
      TN_INTEGER(struct evolution, candidates, "0", 0, 1e15, NULL,                       \
                 "a run ends after so many, those found in the cache too; 0: no limit"), \
      TN_INTEGER(struct evolution, restarts, "1", 1, 1e6, NULL,                          \
                 "independent runs from the initial candidate"),                         \
      TN_CHOICE(struct evolution, restart, "initial", "initial|best",                    \
                "best: one more run after those, from the best candidate of all"),       \
      GENOMES_PARAMS
static const tn_param evolution_params[] = {EVOLUTION_PARAMS};

/* ---- a run's first population ---- */

static tn_status draw_first(struct evolution *e, struct member *first) {
  struct genomes *g = &e->all;
  if (e->run >= e->restarts && g->best.count > 0)
    return genome_copy(&g->best.items[0].genome, &first->genome);
  if (TN_HAS(g->genome, tn_problem_genome, initial))
    return g->genome->initial(g->problem->self, &first->genome);
  tn_rng rng = tn_rng_at(g->problem->name, "initial", (uint64_t)e->run);
  return g->genome->random(g->problem->self, &rng, &first->genome);
}

static tn_status start_run(struct evolution *e) {
  struct member first = {.value = INFINITY};
  e->earlier_evaluations = e->all.evaluations;
  e->earlier_candidates = e->all.candidates;
  e->oldest = 0;
  e->running = true;
  members_clear(&e->queue);
  tn_status status = draw_first(e, &first);
  if (status >= 0) status = genomes_evaluate(&e->all, &first, 1);
  if (status >= 0 && e->run == 0) e->initial = first.value;
  for (int64_t i = 0; status >= 0 && i < e->population; i++)
    status = members_put(&e->queue, (uint32_t)i, &first);
  tn_free(first.genome.data);
  return status;
}

static tn_status begin(void *self, const tn_component *problem) {
  struct evolution *e = self;
  if (e->evaluations == 0 && e->candidates == 0)
    return tn_fail(TN_ERROR_INVALID, "give evaluations or candidates: how long to search");
  tn_status status = genomes_begin(&e->all, problem);
  if (status >= 0 && e->tunes && !e->all.parts)
    status = tn_fail(TN_ERROR_INVALID, "'%s' does not say what constants its candidates have", problem->name);
  members_clear(&e->queue);
  e->run = e->steps = 0;
  e->running = false;
  return status;
}

/* ---- one batch of children ---- */

/* Of T members drawn with replacement the fittest; of equals the first drawn. */
static const struct member *draw_parent(const struct evolution *e, tn_rng *rng) {
  const struct member *best = NULL;
  for (int64_t t = 0; t < e->tournament; t++) {
    const uint32_t age = (uint32_t)tn_random_below(rng, e->queue.count);
    const struct member *drawn = &e->queue.items[(e->oldest + age) % e->queue.count];
    if (!best || drawn->value < best->value) best = drawn;
  }
  return best;
}

static tn_status make_child(const struct evolution *e, int64_t number, struct member *child) {
  const struct genomes *g = &e->all;
  tn_rng rng = genomes_rng(g, number);
  const tn_genome *parent = &draw_parent(e, &rng)->genome;
  *child = (struct member){.value = INFINITY};
  if (!e->tunes) return g->genome->mutate(g->problem->self, parent, &rng, &child->genome);
  tn_status status = g->parts->tune(g->problem->self, parent, &rng, &child->genome);
  if (status >= 0 && !child->genome.data)
    return tn_fail(TN_ERROR_INVALID, "the candidates of '%s' have no constants", g->problem->name);
  return status;
}

/* The child takes the place of the oldest member, and is then the youngest. */
static void push_child(struct evolution *e, struct member *child) {
  struct member *place = &e->queue.items[e->oldest];
  tn_free(place->genome.data);
  *place = *child;
  *child = (struct member){.value = INFINITY};
  e->oldest = (e->oldest + 1) % e->queue.count;
}

/* How many children may still be made in this run. */
static int64_t children_left(const struct evolution *e) {
  const int64_t made = e->all.candidates - e->earlier_candidates;
  const int64_t evaluated = e->all.evaluations - e->earlier_evaluations;
  int64_t left = INT64_MAX;
  if (e->candidates > 0) left = e->candidates - made;
  if (e->evaluations > 0 && e->evaluations - evaluated < left) left = e->evaluations - evaluated;
  return left;
}

static tn_status breed(struct evolution *e, int64_t count) {
  struct member *children = tn_alloc((size_t)count * sizeof *children);
  tn_status status = children ? TN_OK : TN_ERROR_MEMORY;
  for (int64_t i = 0; status >= 0 && i < count; i++)
    status = make_child(e, e->all.candidates + i, &children[i]);
  if (status >= 0) status = genomes_evaluate(&e->all, children, (uint32_t)count);
  for (int64_t i = 0; status >= 0 && i < count; i++) push_child(e, &children[i]);
  for (int64_t i = 0; children && i < count; i++) tn_free(children[i].genome.data);
  tn_free(children);
  return status;
}

static tn_status step(void *self, tn_solver_status *result) {
  struct evolution *e = self;
  tn_status status = !e->running ? start_run(e) : TN_OK;
  int64_t left = children_left(e);
  if (status >= 0 && left > 0) status = breed(e, left < e->all.batch ? left : e->all.batch);
  if (status < 0) return status;
  e->steps++;
  if (children_left(e) <= 0) {
    e->run++;
    e->running = false;
  }
  *result = (tn_solver_status){.size = sizeof *result,
                               .iterations = e->steps,
                               .evaluations = e->all.evaluations,
                               .value = genomes_best(&e->all),
                               .bound = -INFINITY};
  return e->run < e->restarts + (e->restart == RESTART_BEST) ? TN_OK : TN_DONE;
}

/* ---- the rest ---- */

static tn_status best_genome(void *self, tn_genome *genome) {
  return genomes_take_best(&((struct evolution *)self)->all, genome);
}
static tn_status candidates(void *self, uint32_t *count, tn_genome *genomes, double *values) {
  return genomes_take_candidates(&((struct evolution *)self)->all, count, genomes, values);
}

static tn_status figures(void *self, tn_metric_sink *sink) {
  const struct evolution *e = self;
  const struct genomes *g = &e->all;
  double parts = 0, idle_parts = 0;
  genomes_figures(g, sink);
  sink->value(sink, "initial", e->initial);
  for (uint32_t i = 0; g->parts && i < e->queue.count; i++) {
    uint32_t idle = 0;
    parts += g->parts->count(g->problem->self, &e->queue.items[i].genome, &idle);
    idle_parts += idle;
  }
  if (parts > 0) {
    sink->value(sink, "parts", parts / e->queue.count);
    sink->value(sink, "redundant", idle_parts / parts);
  }
  return TN_OK;
}

static void destroy(void *self) {
  struct evolution *e = self;
  genomes_release(&e->all);
  members_release(&e->queue);
}

static tn_status state(void *self, const tn_visitor *visitor) {
  struct evolution *e = self;
  tn_visit_integer(visitor, "run", &e->run);
  tn_visit_integer(visitor, "steps", &e->steps);
  tn_visit_boolean(visitor, "running", &e->running);
  tn_visit_integer(visitor, "earlier_evaluations", &e->earlier_evaluations);
  tn_visit_integer(visitor, "earlier_candidates", &e->earlier_candidates);
  tn_visit_real(visitor, "initial", &e->initial);
  tn_status status = members_visit(visitor, "queue", &e->queue, e->oldest);
  if (visitor->loading) e->oldest = 0;
  return status < 0 ? status : genomes_visit(&e->all, visitor);
}

static tn_status tuning_create(void *self) {
  ((struct evolution *)self)->tunes = true;
  return TN_OK;
}

static const tn_solver table = {.size = sizeof table,
                                .begin = begin,
                                .step = step,
                                .best_genome = best_genome,
                                .figures = figures,
                                .candidates = candidates};
static const tn_class evolution_class = {
    .size = sizeof(tn_class),
    .kind = TN_SOLVER,
    .name = "regularized_evolution",
    .summary = "Ageing evolution of any problem that offers mutation",
    .reference = "Real et al. 2019, Regularized Evolution for Image Classifier Architecture Search",
    TN_CLASS_PARAMS(evolution_params),
    .instance_size = sizeof(struct evolution),
    .vtable = &table,
    .destroy = destroy,
    .state = state};
static const tn_class tuning_class = {
    .size = sizeof(tn_class),
    .kind = TN_SOLVER,
    .name = "constant_tuning",
    .summary = "Ageing evolution of the initial candidate's constants alone",
    .reference = "Chen et al. 2023, Symbolic Discovery of Optimization Algorithms, section 2.2",
    TN_CLASS_PARAMS(evolution_params),
    .instance_size = sizeof(struct evolution),
    .vtable = &table,
    .create = tuning_create,
    .destroy = destroy,
    .state = state};
TN_PLUGIN("solver_regularized_evolution", "1.0.0", "MIT", &evolution_class, &tuning_class)
