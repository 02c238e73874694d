// SPDX-License-Identifier: MIT
/* NSGA-II (Deb et al. 2002): a population of P, P children a generation by binary tournaments, then the best
 * P of both by non-dominated rank and, within the last front that fits, by crowding distance. Candidates that
 * violate constraints rank behind those that do not, by how much.
 *
 * Vectors are crossed by simulated binary crossover and mutated polynomially, within their bounds and on
 * their grid; genomes by the problem's own functions. With a reference point, the value that is minimised is
 * minus the hypervolume of the front between its costs and the point; of one objective it is the objective.
 */
#include "plugins/metrics/front.h"
#include "plugins/solvers/members.h"
#include <tenon/solver.h>

struct nsga2 {
  int64_t population, evaluations;
  double crossover, mutation, crossover_index, mutation_index;
  tn_reals reference;

  const tn_component *problem;
  const tn_problem_genome *genome; /* NULL: vectors */
  tn_problem_info info;
  int64_t width; /* of a row of costs: objectives, then the violation */
  /* state */
  struct members parents; /* their `value` is not used */
  double *costs;          /* (parents, width) */
  size_t costs_bytes;
  int64_t steps, made;
};
static const tn_param nsga2_params[] = {
    TN_INTEGER(struct nsga2, population, "100", 4, 1 << 20, NULL, "candidates"),
    TN_INTEGER(struct nsga2, evaluations, "10000", 0, 1e15, NULL, "it ends after so many; 0: no limit"),
    TN_REAL(struct nsga2, crossover, "0.9", 0, 1, "probability that a child has two parents"),
    TN_REAL(
        struct nsga2, mutation, "0", 0, 1,
        "probability that a variable, or a genome, is mutated; 0: one variable on average, genomes always"),
    TN_REAL(struct nsga2, crossover_index, "15", 0, 1000, "large: children near their parents"),
    TN_REAL(struct nsga2, mutation_index, "20", 0, 1000, "large: small mutations"),
    TN_REALS(struct nsga2, reference, "0", -INFINITY, INFINITY,
             "costs of the reference point; one number: the same in all"),
};

static tn_status nsga2_begin(void *self, const tn_component *problem) {
  struct nsga2 *s = self;
  s->problem = problem;
  s->genome = tn_extension(problem, TN_PROBLEM_GENOME);
  s->steps = s->made = 0;
  members_clear(&s->parents);
  tn_free(s->costs);
  s->costs = NULL;
  s->costs_bytes = 0;
  tn_status status = tn_problem_describe(problem, &s->info);
  if (status < 0) return status;
  s->width = s->info.objectives + 1;
  if (s->info.objectives > FRONT_MOST)
    return tn_fail(TN_ERROR_INVALID, "'%s' has %u objectives, at most %d can be had", problem->name,
                   s->info.objectives, FRONT_MOST);
  if (!s->genome && (!s->info.lower || !s->info.upper))
    return tn_fail(TN_ERROR_INVALID, "the variables of '%s' have no bounds, which the first population needs",
                   problem->name);
  if (s->reference.count > 1 && s->reference.count != s->info.objectives)
    return tn_fail(TN_ERROR_INVALID, "reference: %u numbers for %u objectives", s->reference.count,
                   s->info.objectives);
  return TN_OK;
}

/* ---- candidates ---- */

/* Inside its bounds and on its grid. */
static double settle(const struct nsga2 *s, int64_t v, double x) {
  const double low = s->info.lower[v], high = s->info.upper[v], step = s->info.step ? s->info.step[v] : 0;
  if (step > 0) x = low + step * round((x - low) / step);
  return fmin(fmax(x, low), high);
}

static tn_status random_vector(const struct nsga2 *s, tn_rng *rng, tn_genome *child) {
  double *x = tn_alloc((size_t)s->info.variables * sizeof *x);
  if (!x) return TN_ERROR_MEMORY;
  for (int64_t v = 0; v < s->info.variables; v++)
    x[v] = settle(s, v, s->info.lower[v] + tn_random_uniform(rng) * (s->info.upper[v] - s->info.lower[v]));
  *child = (tn_genome){x, (size_t)s->info.variables * sizeof *x};
  return TN_OK;
}

/* Simulated binary crossover (Deb and Agrawal 1995), one of the two children. */
static void cross_vector(const struct nsga2 *s, double *x, const double *other, tn_rng *rng) {
  for (int64_t v = 0; v < s->info.variables; v++) {
    const double u = tn_random_uniform(rng), power = 1 / (s->crossover_index + 1);
    const bool swap = tn_random_uniform(rng) < 0.5, skip = tn_random_uniform(rng) < 0.5;
    if (skip) continue;
    const double beta = u < 0.5 ? pow(2 * u, power) : pow(1 / (2 - 2 * u), power);
    const double a = swap ? other[v] : x[v], b = swap ? x[v] : other[v];
    x[v] = settle(s, v, ((1 + beta) * a + (1 - beta) * b) / 2);
  }
}
/* Polynomial mutation. */
static void mutate_vector(const struct nsga2 *s, double *x, tn_rng *rng) {
  const double rate = s->mutation > 0 ? s->mutation : 1 / (double)s->info.variables;
  const double power = 1 / (s->mutation_index + 1);
  for (int64_t v = 0; v < s->info.variables; v++) {
    const double u = tn_random_uniform(rng), range = s->info.upper[v] - s->info.lower[v];
    if (!(tn_random_uniform(rng) < rate)) continue;
    const double shift = u < 0.5 ? pow(2 * u, power) - 1 : 1 - pow(2 - 2 * u, power);
    double y = settle(s, v, x[v] + shift * range);
    if (y == x[v] && s->info.step && s->info.step[v] > 0) /* a small move on a grid is one step */
      y = settle(s, v, x[v] + (u < 0.5 ? -1 : 1) * s->info.step[v]);
    x[v] = y;
  }
}

static tn_status make_child(const struct nsga2 *s, const tn_genome *a, const tn_genome *b, tn_rng *rng,
                            tn_genome *child) {
  const bool both = tn_random_uniform(rng) < s->crossover;
  void *self = s->problem->self;
  if (!s->genome) {
    const tn_status status = genome_copy(a, child);
    if (status < 0) return status;
    if (both) cross_vector(s, child->data, b->data, rng);
    mutate_vector(s, child->data, rng);
    return TN_OK;
  }
  tn_genome crossed = {NULL, 0};
  tn_status status = both && TN_HAS(s->genome, tn_problem_genome, crossover)
                         ? s->genome->crossover(self, a, b, rng, &crossed)
                         : genome_copy(a, &crossed);
  const bool mutates = s->mutation == 0 || tn_random_uniform(rng) < s->mutation;
  if (status >= 0 && !mutates) {
    *child = crossed;
    return TN_OK;
  }
  if (status >= 0) status = s->genome->mutate(self, &crossed, rng, child);
  tn_free(crossed.data);
  return status;
}

/* ---- evaluating ---- */

struct job {
  const struct nsga2 *s;
  const struct member *items;
  double *costs;
};
static tn_status evaluate_one(void *argument, int64_t i) {
  const struct job *job = argument;
  const struct nsga2 *s = job->s;
  const int64_t numbers = s->info.objectives + s->info.constraints;
  double *values = tn_alloc((size_t)numbers * sizeof *values), *row = job->costs + i * s->width;
  if (!values) return TN_ERROR_MEMORY;
  tn_call_stack *stack = tn_enter(s->problem, "evaluate");
  const tn_status status = s->genome ? s->genome->evaluate(s->problem->self, &job->items[i].genome, values)
                                     : ((const tn_problem *)s->problem->vtable)
                                           ->evaluate(s->problem->self, job->items[i].genome.data, 1, values);
  tn_leave(stack);
  row[s->width - 1] = 0;
  for (uint32_t k = 0; k < s->info.objectives; k++) row[k] = values[k];
  for (int64_t c = s->info.objectives; c < numbers; c++) row[s->width - 1] += fmax(values[c], 0);
  tn_free(values);
  return status;
}

/* ---- ranks and crowding ---- */

/* Whether a dominates b: feasible before infeasible, then by violation, then by costs. */
static bool dominates(const struct nsga2 *s, const double *a, const double *b) {
  const double va = a[s->width - 1], vb = b[s->width - 1];
  if (va != vb) return va < vb;
  bool better = false;
  for (uint32_t k = 0; k < s->info.objectives; k++) {
    if (a[k] > b[k]) return false;
    better = better || a[k] < b[k];
  }
  return better;
}

/* Rank 0 for those that nobody dominates, 1 for those that only rank 0 dominates ... */
static void rank_all(const struct nsga2 *s, const double *costs, int64_t n, int64_t *rank) {
  int64_t left = n;
  for (int64_t i = 0; i < n; i++) rank[i] = -1;
  for (int64_t r = 0; left > 0; r++)
    for (int64_t i = 0; i < n; i++) {
      bool dominated = rank[i] >= 0 && rank[i] < r;
      if (dominated) continue;
      for (int64_t j = 0; j < n && !dominated; j++)
        dominated = (rank[j] < 0 || rank[j] == r) && dominates(s, costs + j * s->width, costs + i * s->width);
      if (!dominated) rank[i] = r, left--;
    }
}

struct key {
  double value;
  int64_t index;
};
static int compare_keys(const void *a, const void *b) {
  const struct key *x = a, *y = b;
  if (x->value != y->value) return x->value < y->value ? -1 : 1;
  return (x->index > y->index) - (x->index < y->index);
}

/* Crowding distances of the rows of one rank. */
static void crowd(const struct nsga2 *s, const double *costs, int64_t n, const int64_t *rank, int64_t r,
                  double *crowding, struct key *keys) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++)
    if (rank[i] == r) crowding[i] = 0, keys[count++].index = i;
  for (uint32_t k = 0; k < s->info.objectives; k++) {
    for (int64_t i = 0; i < count; i++) keys[i].value = costs[keys[i].index * s->width + k];
    qsort(keys, (size_t)count, sizeof *keys, compare_keys);
    const double range = keys[count - 1].value - keys[0].value;
    crowding[keys[0].index] = crowding[keys[count - 1].index] = INFINITY;
    for (int64_t i = 1; i + 1 < count && range > 0; i++)
      crowding[keys[i].index] += (keys[i + 1].value - keys[i - 1].value) / range;
  }
}

static void crowd_all(const struct nsga2 *s, const double *costs, int64_t n, const int64_t *rank,
                      double *crowding, struct key *keys) {
  int64_t most = 0;
  for (int64_t i = 0; i < n; i++) most = rank[i] > most ? rank[i] : most;
  for (int64_t r = 0; r <= most; r++) crowd(s, costs, n, rank, r, crowding, keys);
}

static const double *cost_row(const struct nsga2 *s, int64_t i) { return s->costs + i * s->width; }

/* ---- a generation ---- */

static tn_status first_population(struct nsga2 *s, tn_rng *rng) {
  tn_status status = members_reserve(&s->parents, (uint32_t)s->population);
  for (int64_t i = 0; status >= 0 && i < s->population; i++) {
    struct member member = {.value = 0};
    if (!s->genome)
      status = random_vector(s, rng, &member.genome);
    else if (TN_HAS(s->genome, tn_problem_genome, random))
      status = s->genome->random(s->problem->self, rng, &member.genome);
    else
      status = s->genome->initial(s->problem->self, &member.genome);
    if (status >= 0) s->parents.items[s->parents.count++] = member;
  }
  s->costs_bytes = (size_t)(s->population * s->width) * sizeof *s->costs;
  s->costs = status >= 0 ? tn_alloc(s->costs_bytes) : NULL;
  if (status >= 0 && !s->costs) status = TN_ERROR_MEMORY;
  struct job job = {s, s->parents.items, s->costs};
  if (status >= 0) status = tn_parallel_for(s->population, evaluate_one, &job);
  s->made += s->population;
  return status;
}

/* Of two drawn members the one of lower rank, or else the less crowded. */
static int64_t tournament(int64_t n, const int64_t *rank, const double *crowding, tn_rng *rng) {
  const int64_t a = (int64_t)tn_random_below(rng, (uint64_t)n),
                b = (int64_t)tn_random_below(rng, (uint64_t)n);
  if (rank[a] != rank[b]) return rank[a] < rank[b] ? a : b;
  return crowding[a] >= crowding[b] ? a : b;
}

/* Takes the best `population` of all 2 P; the rest is freed. */
static void survive(struct nsga2 *s, struct member *all, const double *costs, const int64_t *rank,
                    const double *crowding) {
  const int64_t n = 2 * s->population;
  int64_t taken = 0;
  for (int64_t r = 0; taken < s->population; r++)
    for (;;) { /* of one rank the least crowded first */
      int64_t best = -1;
      for (int64_t i = 0; i < n; i++)
        if (rank[i] == r && all[i].genome.data && (best < 0 || crowding[i] > crowding[best])) best = i;
      if (best < 0 || taken == s->population) break;
      memcpy(s->costs + taken * s->width, costs + best * s->width, (size_t)s->width * sizeof *costs);
      s->parents.items[taken++] = all[best];
      all[best].genome.data = NULL;
    }
  for (int64_t i = 0; i < n; i++) tn_free(all[i].genome.data);
}

static tn_status generation(struct nsga2 *s, tn_rng *rng) {
  const int64_t p = s->population, n = 2 * p;
  struct member *all = tn_alloc((size_t)n * sizeof *all);
  double *costs = tn_alloc((size_t)(n * s->width) * sizeof *costs),
         *crowding = tn_alloc((size_t)n * sizeof *crowding);
  int64_t *rank = tn_alloc((size_t)n * sizeof *rank);
  struct key *keys = tn_alloc((size_t)n * sizeof *keys);
  tn_status status = tn_failed() ? TN_ERROR_MEMORY : TN_OK;
  if (status >= 0) {
    memcpy(costs, s->costs, s->costs_bytes);
    rank_all(s, costs, p, rank);
    crowd_all(s, costs, p, rank, crowding, keys);
  }
  int64_t children = 0;
  for (; status >= 0 && children < p; children++) {
    const int64_t a = tournament(p, rank, crowding, rng), b = tournament(p, rank, crowding, rng);
    status = make_child(s, &s->parents.items[a].genome, &s->parents.items[b].genome, rng,
                        &all[p + children].genome);
  }
  struct job job = {s, all + p, costs + p * s->width};
  if (status >= 0) status = tn_parallel_for(p, evaluate_one, &job);
  s->made += p;
  if (status >= 0) {
    memcpy(all, s->parents.items, (size_t)p * sizeof *all);
    rank_all(s, costs, n, rank);
    crowd_all(s, costs, n, rank, crowding, keys);
    survive(s, all, costs, rank, crowding);
  } else {
    for (int64_t i = 0; all && i < children; i++) tn_free(all[p + i].genome.data);
  }
  tn_free(all);
  tn_free(costs);
  tn_free(crowding);
  tn_free(rank);
  tn_free(keys);
  return status;
}

/* ---- what it has found ---- */

/* Minus the costs of the feasible candidates (count, objectives); NULL: out of memory. */
static double *gains(const struct nsga2 *s, int64_t *count) {
  const uint32_t k = s->info.objectives;
  double *rows = tn_alloc((size_t)s->parents.count * k * sizeof *rows + sizeof *rows);
  *count = 0;
  for (int64_t i = 0; rows && i < s->parents.count; i++) {
    if (cost_row(s, i)[s->width - 1] > 0) continue;
    for (uint32_t j = 0; j < k; j++) rows[*count * k + j] = -cost_row(s, i)[j];
    ++*count;
  }
  return rows;
}

static double value_of(const struct nsga2 *s) {
  const uint32_t objectives = s->info.objectives;
  double reference[FRONT_MOST], best = INFINITY;
  int64_t count;
  double *rows = gains(s, &count);
  if (!rows) return INFINITY;
  for (int64_t i = 0; objectives == 1 && i < count; i++) best = fmin(best, -rows[i]);
  for (uint32_t k = 0; k < objectives; k++)
    reference[k] = s->reference.count == 0 ? 0 : -s->reference.items[s->reference.count > 1 ? k : 0];
  if (objectives > 1 && count > 0) best = -front_hypervolume(rows, count, objectives, reference);
  tn_free(rows);
  return best;
}

static tn_status nsga2_step(void *self, tn_solver_status *result) {
  struct nsga2 *s = self;
  tn_rng rng = tn_rng_at(s->problem->name, "nsga2", (uint64_t)s->steps);
  const tn_status status = s->parents.count == 0 ? first_population(s, &rng) : generation(s, &rng);
  if (status < 0) return status;
  s->steps++;
  *result = (tn_solver_status){.size = sizeof *result,
                               .iterations = s->steps,
                               .evaluations = s->made,
                               .value = value_of(s),
                               .bound = -INFINITY};
  return s->evaluations > 0 && s->made + s->population > s->evaluations ? TN_DONE : TN_OK;
}

/* The first candidate of rank 0: of one objective the best. */
static int64_t best_of(const struct nsga2 *s) {
  int64_t best = 0;
  for (int64_t i = 1; i < s->parents.count; i++)
    if (dominates(s, cost_row(s, i), cost_row(s, best))) best = i;
  return best;
}
static tn_status nsga2_best(void *self, double *point) {
  const struct nsga2 *s = self;
  if (s->parents.count == 0) return tn_fail(TN_ERROR_MISSING, "nothing was evaluated yet");
  memcpy(point, s->parents.items[best_of(s)].genome.data, (size_t)s->info.variables * sizeof *point);
  return TN_OK;
}
static tn_status nsga2_best_genome(void *self, tn_genome *genome) {
  const struct nsga2 *s = self;
  if (s->parents.count == 0) return tn_fail(TN_ERROR_MISSING, "nothing was evaluated yet");
  return genome_copy(&s->parents.items[best_of(s)].genome, genome);
}

static tn_status nsga2_front(void *self, int64_t *count, double *points, double *values) {
  const struct nsga2 *s = self;
  const uint32_t objectives = s->info.objectives;
  *count = 0;
  for (int64_t i = 0; i < s->parents.count; i++) {
    bool dominated = cost_row(s, i)[s->width - 1] > 0;
    for (int64_t j = 0; j < s->parents.count && !dominated; j++)
      dominated = dominates(s, cost_row(s, j), cost_row(s, i));
    if (dominated) continue;
    if (points && !s->genome)
      memcpy(points + *count * s->info.variables, s->parents.items[i].genome.data,
             (size_t)s->info.variables * sizeof *points);
    if (values) memcpy(values + *count * objectives, cost_row(s, i), objectives * sizeof *values);
    ++*count;
  }
  return TN_OK;
}

static tn_status nsga2_figures(void *self, tn_metric_sink *sink) {
  const struct nsga2 *s = self;
  int64_t count;
  double *rows = gains(s, &count);
  if (!rows) return TN_ERROR_MEMORY;
  if (s->info.objectives > 1) sink->value(sink, "hypervolume", -value_of(s));
  sink->value(sink, "front_size", (double)front_filter(rows, count, s->info.objectives));
  tn_free(rows);
  return TN_OK;
}

static void nsga2_destroy(void *self) {
  struct nsga2 *s = self;
  members_release(&s->parents);
  tn_free(s->costs);
}

static tn_status nsga2_state(void *self, const tn_visitor *visitor) {
  struct nsga2 *s = self;
  void *costs = s->costs;
  tn_visit_integer(visitor, "steps", &s->steps);
  tn_visit_integer(visitor, "made", &s->made);
  const tn_status status = tn_visit_block(visitor, "costs", &costs, &s->costs_bytes);
  s->costs = costs;
  return status < 0 ? status : members_visit(visitor, "parents", &s->parents, 0);
}

static const tn_class nsga2_class = {
    .size = sizeof(tn_class),
    .kind = TN_SOLVER,
    .name = "nsga2",
    .summary = "Evolution of a Pareto front: ranks, then crowding",
    .reference = "Deb et al. 2002, A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II",
    TN_CLASS_PARAMS(nsga2_params),
    .instance_size = sizeof(struct nsga2),
    .vtable = &(const tn_solver){.size = sizeof(tn_solver),
                                 .begin = nsga2_begin,
                                 .step = nsga2_step,
                                 .best = nsga2_best,
                                 .best_genome = nsga2_best_genome,
                                 .front = nsga2_front,
                                 .figures = nsga2_figures},
    .destroy = nsga2_destroy,
    .state = nsga2_state};
TN_PLUGIN("solver_nsga2", "1.0.0", "MIT", &nsga2_class)
