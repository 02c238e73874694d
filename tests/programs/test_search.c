// SPDX-License-Identifier: MIT
/* Solvers of genome problems and the stages around them, on problems whose course is known. */
#include "../plugins/harness.h"
#include <omp.h>
#include <tenon/solver.h>

static void start(void) {
  harness_open("float32",
               "[ageing]\nuse = solver.regularized_evolution\npopulation = 3\ntournament = 64\nbatch = 1\n"
               "evaluations = 0\ncandidates = 13\n"
               "[evolution]\nuse = solver.regularized_evolution\npopulation = 20\ntournament = 5\n"
               "evaluations = 0\ncandidates = 3000\nbatch = 8\n"
               "[again]\nbase = evolution\n"
               "[uncached]\nbase = evolution\ncached = no\n"
               "[restarted]\nbase = evolution\ncandidates = 100\nrestarts = 3\nrestart = best\n"
               "[tuning]\nuse = solver.constant_tuning\npopulation = 5\nevaluations = 40\nbatch = 4\n"
               "[random]\nuse = solver.random_search\nevaluations = 500\narchive = 4\n");
}
static void stop(void) { harness_close(); }
TestSuite(search, .init = start, .fini = stop, .timeout = 60);

/* ---- ones: bytes of 0 and 1, as many ones as possible ---- */

enum { BITS = 40 };

struct ones {
  double history[8192]; /* values in the order of evaluation; with one thread */
  int64_t evaluations;
  bool worsens; /* a child is one worse than its parent */
};

static tn_status describe(void *self, tn_problem_info *info) {
  (void)self;
  info->objectives = 1;
  return TN_OK;
}
static tn_status make(tn_genome *child, const tn_genome *from) {
  *child = (tn_genome){tn_alloc(BITS), BITS};
  if (from) memcpy(child->data, from->data, BITS);
  return TN_OK;
}
static tn_status initial(void *self, tn_genome *child) {
  (void)self;
  return make(child, NULL);
}
static tn_status random_bits(void *self, tn_rng *rng, tn_genome *child) {
  (void)self;
  make(child, NULL);
  for (int i = 0; i < BITS; i++) ((char *)child->data)[i] = (char)tn_random_below(rng, 2);
  return TN_OK;
}
/* Turns one bit over; where children are to be worse the next zero becomes a one. */
static tn_status mutate(void *self, const tn_genome *parent, tn_rng *rng, tn_genome *child) {
  const struct ones *ones = self;
  make(child, parent);
  char *bits = child->data;
  int at = (int)tn_random_below(rng, BITS);
  if (ones->worsens)
    for (at = 0; at < BITS - 1 && bits[at];) at++;
  bits[at] = !bits[at];
  return TN_OK;
}
static double count_of(const tn_genome *candidate) {
  double count = 0;
  for (int i = 0; i < BITS; i++) count += ((const char *)candidate->data)[i];
  return count;
}
static tn_status evaluate(void *self, const tn_genome *candidate, double *value) {
  struct ones *ones = self;
  const double count = count_of(candidate);
  *value = ones->worsens ? count : BITS - count;
  const int64_t at = __atomic_fetch_add(&ones->evaluations, 1, __ATOMIC_RELAXED);
  if (at < (int64_t)TN_ARRAY_LENGTH(ones->history)) ones->history[at] = *value;
  return TN_OK;
}
static uint64_t hash(void *self, const tn_genome *candidate) {
  (void)self;
  uint64_t hash = 0;
  for (int i = 0; i < BITS; i++) hash = hash * 2 + (uint64_t)((const char *)candidate->data)[i];
  return hash;
}
/* The first half of the bits are its structure, the others constants. */
static uint32_t parts_count(void *self, const tn_genome *candidate, uint32_t *idle) {
  (void)self;
  *idle = BITS - (uint32_t)count_of(candidate);
  return BITS;
}
static uint64_t structure(void *self, const tn_genome *candidate) {
  return hash(self, candidate) >> (BITS / 2);
}
static tn_status tune(void *self, const tn_genome *parent, tn_rng *rng, tn_genome *child) {
  (void)self;
  make(child, parent);
  ((char *)child->data)[BITS / 2 + (int)tn_random_below(rng, BITS / 2)] = 1;
  return TN_OK;
}
static const void *extension(void *self, const char *id) {
  static const tn_problem_genome genome = {.size = sizeof genome,
                                           .initial = initial,
                                           .random = random_bits,
                                           .mutate = mutate,
                                           .evaluate = evaluate,
                                           .hash = hash};
  static const tn_problem_parts parts = {
      .size = sizeof parts, .count = parts_count, .structure = structure, .tune = tune};
  (void)self;
  return strcmp(id, TN_PROBLEM_GENOME) == 0  ? (const void *)&genome
         : strcmp(id, TN_PROBLEM_PARTS) == 0 ? &parts
                                             : NULL;
}
static const tn_problem ones_table = {.size = sizeof ones_table, .describe = describe};
static const tn_class ones_class = {.size = sizeof ones_class,
                                    .kind = TN_PROBLEM,
                                    .name = "ones",
                                    .summary = "as many ones as possible",
                                    .instance_size = sizeof(struct ones),
                                    .vtable = &ones_table,
                                    .extension = extension};

static struct ones ones;
static const tn_component *problem(bool worsens) {
  static tn_component component = {.size = sizeof component,
                                   .cls = &ones_class,
                                   .vtable = &ones_table,
                                   .self = &ones,
                                   .name = "ones",
                                   .part = "",
                                   .file = ""};
  memset(&ones, 0, sizeof ones);
  ones.worsens = worsens;
  return &component;
}

static tn_solver_status finish(const tn_component *solver) {
  tn_solver_status now = {.size = sizeof now};
  tn_status status = TN_OK;
  while (status == TN_OK) status = tn_solver_step(solver, &now);
  cr_assert(status == TN_DONE, "%s", harness_failure());
  return now;
}
static tn_solver_status solve(const char *name, const tn_component *on) {
  cr_assert(tn_solver_begin(harness_component(name), on) == TN_OK, "%s", harness_failure());
  return finish(harness_component(name));
}

struct figure_sink {
  tn_metric_sink head;
  const char *name;
  double value;
};
static void take_figure(tn_metric_sink *sink, const char *name, double value) {
  struct figure_sink *own = (struct figure_sink *)sink;
  if (strcmp(name, own->name) == 0) own->value = value;
}
static double figure(const char *solver, const char *name) {
  const tn_component *c = harness_component(solver);
  struct figure_sink sink = {{sizeof sink.head, take_figure}, name, NAN};
  ((const tn_solver *)c->vtable)->figures(c->self, &sink.head);
  return sink.value;
}

/* Three copies of value 0, of which the fittest always wins (a tournament of 64 misses a member with
 * probability (2/3)^64). Children are one worse than their parents. If the worst were dropped the zeros would
 * stay, and every child would be 1. As the oldest goes, children come in threes: 1 1 1 2 2 2 3 3 3 ... */
Test(search, ageing_drops_the_oldest_not_the_worst) {
  solve("ageing", problem(true));
  /* the cache answers for equal candidates: what is evaluated is 0, 1, 2, 3, 4 */
  EXPECT_INT(ones.evaluations, 5);
  for (int i = 0; i < 5; i++) EXPECT_REAL(ones.history[i], i);
  EXPECT_REAL(figure("ageing", "candidates"), 13);
  EXPECT_REAL(figure("ageing", "hit_rate"), 8.0 / 13);
}

Test(search, evolution_finds_all_ones_and_random_search_does_not) {
  EXPECT_REAL(solve("evolution", problem(false)).value, 0);
  EXPECT_REAL(figure("evolution", "initial"), BITS);
  cr_assert(solve("random", problem(false)).value > 4);
  EXPECT_INT(ones.evaluations, 500);
}

Test(search, history_does_not_depend_on_the_number_of_threads) {
  tn_genome best[2];
  double values[2][64];
  tn_genome genomes[2][128];
  uint32_t count[2];
  int64_t evaluations[2];
  for (int run = 0; run < 2; run++) {
    const tn_component *c = harness_component(run ? "again" : "evolution");
    omp_set_num_threads(run + 1);
    evaluations[run] = solve(c->name, problem(false)).evaluations;
    const tn_solver *table = c->vtable;
    EXPECT_INT(table->best_genome(c->self, &best[run]), TN_OK);
    EXPECT_INT(table->candidates(c->self, &count[run], NULL, NULL), TN_OK);
    cr_assert(count[run] <= 100);
    double all[128];
    EXPECT_INT(table->candidates(c->self, &count[run], genomes[run], all), TN_OK);
    memcpy(values[run], all, sizeof values[run]);
  }
  EXPECT_INT(evaluations[0], evaluations[1]);
  EXPECT_INT(count[0], count[1]);
  for (uint32_t i = 0; i < count[0]; i++) {
    cr_assert(memcmp(genomes[0][i].data, genomes[1][i].data, BITS) == 0, "candidate %u", i);
    tn_free(genomes[0][i].data);
    tn_free(genomes[1][i].data);
  }
  cr_assert(memcmp(best[0].data, best[1].data, BITS) == 0);
  tn_free(best[0].data);
  tn_free(best[1].data);
}

Test(search, the_cache_saves_evaluations_and_changes_nothing) {
  const tn_solver_status cached = solve("evolution", problem(false));
  const double fingerprint = figure("evolution", "fingerprint");
  const tn_solver_status all = solve("uncached", problem(false));
  EXPECT_REAL(cached.value, all.value);
  EXPECT_REAL(figure("uncached", "fingerprint"), fingerprint);
  EXPECT_REAL(figure("uncached", "candidates"), figure("evolution", "candidates"));
  EXPECT_INT(all.evaluations, 3000);
  cr_assert(cached.evaluations < all.evaluations);
}

Test(search, an_interrupted_search_goes_on_where_it_was) {
  const tn_component *whole = harness_component("evolution"), *resumed = harness_component("again");
  const tn_component *on = problem(false);
  tn_solver_status now = {.size = sizeof now};
  EXPECT_INT(tn_solver_begin(whole, on), TN_OK);
  for (int i = 0; i < 7; i++) EXPECT_INT(tn_solver_step(whole, &now), TN_OK);
  harness_state *saved = harness_save(whole);
  const tn_solver_status wanted = finish(whole);
  EXPECT_INT(tn_solver_begin(resumed, on), TN_OK);
  harness_load(resumed, saved);
  harness_forget(saved);
  const tn_solver_status got = finish(resumed);
  EXPECT_INT(got.evaluations, wanted.evaluations);
  EXPECT_INT(got.iterations, wanted.iterations);
  EXPECT_REAL(got.value, wanted.value);
  EXPECT_REAL(figure("again", "fingerprint"), figure("evolution", "fingerprint"));
  EXPECT_REAL(figure("again", "redundant"), figure("evolution", "redundant"));
}

/* Four runs of 100 candidates: three from zeros, the last from the best of those. */
Test(search, restarts_are_runs_of_their_own_and_the_last_starts_from_the_best) {
  solve("restarted", problem(false));
  EXPECT_REAL(figure("restarted", "candidates"), 4 * 100);
  const double best = figure("restarted", "redundant") * BITS; /* zeros left in the last population */
  cr_assert(best < BITS / 2, "the last population still has %g of %d zeros", best, BITS);
}

Test(search, constant_tuning_leaves_the_structure_alone) {
  const tn_component *tuning = harness_component("tuning");
  const tn_solver *table = tuning->vtable;
  uint32_t count;
  cr_assert(solve("tuning", problem(false)).value >= BITS / 2);
  EXPECT_INT(table->candidates(tuning->self, &count, NULL, NULL), TN_OK);
  EXPECT_INT(count, 1);
}

Test(search, the_archive_holds_the_best_of_each_structure_in_order) {
  const tn_component *random = harness_component("random");
  const tn_solver *table = random->vtable;
  const double best = solve("random", problem(false)).value;
  uint32_t count;
  tn_genome genomes[4];
  double values[4];
  EXPECT_INT(table->candidates(random->self, &count, genomes, values), TN_OK);
  EXPECT_INT(count, 4);
  EXPECT_REAL(values[0], best);
  for (uint32_t i = 0; i < count; i++) {
    EXPECT_REAL(values[i], BITS - count_of(&genomes[i]));
    for (uint32_t k = 0; k < i; k++) {
      cr_assert(structure(NULL, &genomes[i]) != structure(NULL, &genomes[k]));
      cr_assert(values[k] <= values[i]);
    }
  }
  for (uint32_t i = 0; i < count; i++) tn_free(genomes[i].data);
}
