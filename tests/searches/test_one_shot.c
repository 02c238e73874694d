// SPDX-License-Identifier: MIT
/* The search of ensembles: scores, shrinking, training of what is sampled, evolution. */
#include "../models/support.h"
#include "plugins/searches/pool.h"
#include <stdlib.h>
#include <string.h>
#include <tenon/dataset.h>
#include <tenon/search.h>
#include <tenon/supernet.h>
#include <unistd.h>

TestSuite(one_shot, .fini = harness_close, .timeout = 120);

/* ---- scores ---- */

Test(one_shot, standard_scores_by_hand) {
  static const double x[] = {1, 2, 3}, same[] = {0.3, 0.3, 0.3};
  double z[3];
  standard_scores(x, 3, z);
  EXPECT_NEAR(z[0], -sqrt(1.5), 1e-15);
  EXPECT_NEAR(z[1], 0, 1e-15);
  EXPECT_NEAR(z[2], sqrt(1.5), 1e-15);
  standard_scores(same, 3, z);
  for (int i = 0; i < 3; i++) EXPECT_REAL(z[i], 0);
}

enum { OPERATORS = 4, WIDTH = 6 };
static void fill(double *phi) {
  for (int i = 0; i < OPERATORS * WIDTH; i++) phi[i] = sin(1.7 * i + 0.2 * cos(i));
}
static void distances_of(const double *phi, double *distances) {
  double copy[OPERATORS * WIDTH];
  memcpy(copy, phi, sizeof copy);
  operator_distances(copy, OPERATORS, WIDTH, distances);
}

Test(one_shot, equal_outputs_have_no_distance_and_scale_does_not_matter) {
  double phi[OPERATORS * WIDTH], first[OPERATORS * OPERATORS], second[OPERATORS * OPERATORS];
  fill(phi);
  distances_of(phi, first);
  for (int i = 0; i < WIDTH; i++) phi[2 * WIDTH + i] *= 17;
  distances_of(phi, second);
  for (int i = 0; i < OPERATORS * OPERATORS; i++) EXPECT_NEAR(second[i], first[i], 1e-14);
  for (int i = 0; i < WIDTH; i++) phi[3 * WIDTH + i] = 0.5 * phi[i];
  distances_of(phi, second);
  EXPECT_NEAR(second[0 * OPERATORS + 3], 0, 1e-14);
  cr_assert(second[0 * OPERATORS + 1] > 0.1);
}

/* ---- pools ---- */

static const int64_t widths[] = {4, 4, 4, 4}, strides[] = {1, 1, 1}, splits[] = {1, 2};
static const char *const choices[] = {"mb_k3_e1", "mb_k5_e1", "mb_k7_e1", "mb_k3_e2"};
static struct space space_of(int64_t paths) {
  struct space s = {
      .widths = {widths, 4}, .strides = {strides, 3}, .splits = {splits, 2}, .choices = {choices, 4}};
  s.paths = paths;
  cr_assert(space_create(&s) >= 0);
  return s;
}

Test(one_shot, permuted_operators_have_permuted_scores) {
  static const int to[OPERATORS] = {2, 0, 3, 1};
  double phi[OPERATORS * WIDTH], moved[OPERATORS * WIDTH], a[OPERATORS * OPERATORS], b[OPERATORS * OPERATORS];
  struct space s;
  struct pool p = {0};
  harness_open("float64", "[e]\nuse = solver.evolution\n");
  s = space_of(2);
  cr_assert(pool_begin(&p, &s, true, false) >= 0);
  fill(phi);
  for (int i = 0; i < OPERATORS; i++) memcpy(moved + to[i] * WIDTH, phi + i * WIDTH, WIDTH * sizeof *phi);
  distances_of(phi, a);
  distances_of(moved, b);
  for (int i = 0; i < OPERATORS; i++)
    EXPECT_NEAR(choice_diversity(&p, 1, b, to[i]), choice_diversity(&p, 1, a, i), 1e-15);
  pool_release(&p);
}

/* Paths that share their weights never make the same choice, and only what is left is drawn. */
Test(one_shot, what_is_drawn_is_left) {
  struct pool p = {0};
  harness_open("float64", "[e]\nuse = solver.evolution\n");
  struct space s = space_of(2);
  for (int tuples = 0; tuples < 2; tuples++) {
    cr_assert(pool_begin(&p, &s, true, tuples) >= 0);
    EXPECT_INT(p.count[1], tuples ? 6 : 4);
    *pool_alive(&p, 1, 1) = *pool_alive(&p, 2, 0) = false;
    tn_rng rng = tn_rng_at("one_shot", "draw", 0);
    for (int i = 0; i < 300; i++) {
      struct architecture a;
      pool_draw_architecture(&p, NULL, &rng, &a);
      cr_assert(a.split == 1 || a.split == 2);
      for (int64_t l = 1; l < 3; l++) {
        bool found = false;
        cr_assert(a.genes[0][l] != a.genes[1][l]);
        for (int64_t u = 0; u < p.count[l]; u++) {
          const bool in = l >= a.split && pool_contains(&p, &a, l, pool_unit(&p, l, u));
          cr_assert(!in || *pool_alive(&p, l, u));
          found = found || in;
        }
        cr_assert(found || l < a.split);
      }
    }
  }
  pool_release(&p);
}

/* ---- a search on sixteen images ---- */

#define NET                                                             \
  "widths = 4, 4, 4, 6\nstrides = 1, 1, 2\nhidden = 4\nsplits = 1, 2\n" \
  "choices = mb_k3_e1, mb_k3_e1, mb_k5_e1, mb_k3_e2\n"
enum { ROWS = 24 };
static char file[64];
static void write_images(bool one_class) {
  snprintf(file, sizeof file, "/tmp/tenon-one-shot-%d.csv", (int)getpid());
  FILE *out = fopen(file, "w");
  for (int i = 0; i < 2 * ROWS; i++) {
    for (int k = 0; k < 16; k++) fprintf(out, "%.4f,", sin(i * 0.9 + k * (i % 2 ? 1.3 : 0.4)));
    fprintf(out, "%d\n", one_class ? 0 : i % 2);
  }
  fclose(out);
}

struct bench {
  const tn_component *model, *search;
  tn_search_setting setting;
  int64_t rows[2 * ROWS];
};
static void open_search(struct bench *b, const char *keys, const char *net, const char *sgd, bool one_class) {
  static const tn_references none = {NULL, 0};
  char sections[2048];
  write_images(one_class);
  snprintf(
      sections, sizeof sections,
      "[data]\nuse = dataset.csv\nfile = %s\nimage = 1, 4, 4\ntest = 0\n[m]\nuse = "
      "model.ensemble_supernet\n" NET "%s\n"
      "[sgd]\nuse = optimizer.sgd\n%s\n[loss]\nuse = loss.ensemble\n[ev]\nuse = solver.evolution\n"
      "population = 6\ngenerations = 2\n[s]\nuse = search.ensemble_one_shot\nevolve = ev\ncalibrate = 16\n"
      "probe = 8\nprefixes = 2\n%s\n",
      file, net, sgd, keys);
  harness_open("float64", sections);
  unlink(file);
  b->model = harness_component("m");
  b->search = harness_component("s");
  tn_spec *spec = tn_spec_new();
  const tn_spec *outputs;
  cr_assert(tn_dataset_describe(harness_component("data"), spec) >= 0, "%s", harness_failure());
  cr_assert(tn_declare_component(b->model, spec, &outputs) >= 0, "%s", harness_failure());
  cr_assert(tn_declare_component(harness_component("loss"), outputs, NULL) >= 0, "%s", harness_failure());
  tn_spec_release(spec);
  for (int64_t i = 0; i < 2 * ROWS; i++) b->rows[i] = i;
  b->setting = (tn_search_setting){.size = sizeof b->setting,
                                   .model = b->model,
                                   .loss = harness_component("loss"),
                                   .optimizer = harness_component("sgd"),
                                   .data = harness_component("data"),
                                   .train_rows = b->rows,
                                   .validation_rows = b->rows + ROWS,
                                   .train_count = ROWS,
                                   .validation_count = ROWS,
                                   .transforms = &none,
                                   .batch = 8,
                                   .steps = 6};
}
static void begin(struct bench *b) {
  cr_assert(tn_search_begin(b->search, &b->setting) >= 0, "%s", harness_failure());
}
static tn_status step(struct bench *b, int64_t number) {
  const tn_progress progress = {.size = sizeof progress,
                                .mode = TN_TRAIN,
                                .step = number,
                                .steps = b->setting.steps,
                                .epoch = (double)number / 3,
                                .epochs = 2};
  tn_scope_open();
  const tn_status status = tn_search_step(b->search, &progress);
  tn_scope_close();
  cr_assert(status >= 0, "%s", harness_failure());
  return status;
}
static char *derived(struct bench *b) {
  char *text = NULL;
  cr_assert(tn_search_derive(b->search, &text) >= 0, "%s", harness_failure());
  return text;
}

#define SGD "lr = 0.1\nmomentum = 0.9\nweight_decay = 0.01\n"

/* Momentum and weight decay too leave the others alone, to the bit. */
Test(one_shot, only_sampled_weights_move) {
  static const char *const shares[] = {"share = layer", "share = branch"};
  for (int i = 0; i < 2; i++) {
    struct bench b;
    open_search(&b, "score = none", shares[i], SGD, false);
    begin(&b);
    const tn_ensemble *table = tn_extension(b.model, TN_ENSEMBLE);
    for (int64_t s = 0; s < 5; s++) {
      tn_params *before = tn_params_clone(tn_parameters(b.model));
      step(&b, s);
      char *text = derived(&b); /* what the last step has sampled */
      int64_t sets, moved = 0, still = 0;
      const struct space *space = table->space(b.model->self, &sets);
      struct architecture a;
      cr_assert(architecture_parse(space, text, &a) >= 0);
      tn_free(text);
      for (uint32_t e = 0; e < tn_params_count(before); e++) {
        tn_param_entry entry;
        tn_params_entry(tn_parameters(b.model), e, &entry);
        const int64_t owner = table->owner(b.model->self, e);
        bool used = owner < 0;
        for (int64_t k = 0; k < a.paths; k++)
          for (int64_t l = 0; l < space->layers; l++)
            used = used || owner == ((sets == 1 || l < a.split ? 0 : k + 1) * space->layers + l) * 4 +
                                        space_column(space, architecture_gene(&a, k, l));
        if (entry.group != TN_DECAY && entry.group != TN_NO_DECAY) continue;
        const bool same = memcmp(tn_data(entry.tensor), tn_data(tn_param_tensor(before, e)),
                                 (size_t)tn_numel(entry.tensor) * sizeof(double)) == 0;
        cr_assert(used || same, "%s moved in step %d without being used", entry.name, (int)s);
        moved += !same;
        still += !used;
      }
      cr_assert(moved > 20 && still > 20, "%d tensors moved, %d were not used", (int)moved, (int)still);
      tn_params_release(before);
    }
  }
}

/* Where nothing is left to drop there are no further rounds, however many would be due. */
Test(one_shot, shrinking_ends_with_what_can_be_dropped) {
  struct bench b;
  open_search(&b, "shrink_every = 1e-12\nkeep = 2\nscore = random", "", "lr = 0", true);
  begin(&b);
  for (int64_t s = 0; s < 3; s++) step(&b, s);
  harness_state *state = harness_save(b.search);
  const int64_t rounds = harness_integer(state, "rounds");
  cr_assert(rounds >= 1 && rounds <= 4, "%d rounds", (int)rounds); /* one drops a choice of each layer */
  harness_forget(state);
}

/* Choices 0 and 1 are the same block with the same weights; with one class all accuracies tie. */
Test(one_shot, a_planted_duplicate_goes_first) {
  struct bench b;
  open_search(&b, "shrink_at = 0.1\nkeep = 3", "", "lr = 0", true);
  tn_params *params = tn_parameters(b.model);
  for (uint32_t i = 0; i < tn_params_count(params); i++) {
    tn_param_entry from, to;
    char *at, name[96];
    tn_params_entry(params, i, &from);
    snprintf(name, sizeof name, "%s", from.name);
    if (!(at = strstr(name, ".0_mb_k3_e1"))) continue;
    at[1] = '1';
    for (uint32_t j = 0; j < tn_params_count(params); j++) {
      tn_params_entry(params, j, &to);
      if (strcmp(to.name, name) == 0)
        memcpy(tn_data(to.tensor), tn_data(from.tensor), (size_t)tn_numel(from.tensor) * sizeof(double));
    }
  }
  begin(&b);
  for (int64_t s = 0; s < 3; s++) step(&b, s);
  harness_state *state = harness_save(b.search);
  EXPECT_INT(harness_integer(state, "rounds"), 1);
  harness_forget(state);
  /* What is drawn from now on never has choice 0, the first of the two. */
  const tn_ensemble *table = tn_extension(b.model, TN_ENSEMBLE);
  int64_t sets;
  const struct space *space = table->space(b.model->self, &sets);
  bool drawn[4] = {false};
  for (int64_t s = 3; s < 60; s++) {
    b.setting.steps = 1000;
    step(&b, s);
    char *text = derived(&b);
    struct architecture a;
    cr_assert(architecture_parse(space, text, &a) >= 0);
    for (int64_t k = 0; k < a.paths; k++)
      for (int64_t l = 0; l < space->layers; l++) drawn[architecture_gene(&a, k, l)] = true;
    tn_free(text);
  }
  cr_assert(!drawn[0] && drawn[1] && drawn[2] && drawn[3], "drawn: %d %d %d %d", drawn[0], drawn[1], drawn[2],
            drawn[3]);
}

static char *whole_search(struct bench *b) {
  begin(b);
  for (int64_t s = 0; step(b, s) != TN_DONE; s++) cr_assert(s < 100);
  return derived(b);
}

/* Every architecture that comes out keeps the budget; with one path it has one path. */
Test(one_shot, a_whole_search_keeps_the_budget) {
  static const char *const nets[] = {"", "paths = 1", "share = branch"};
  static const char *const keys[] = {"budget = 5200", "budget = 4000\nscore = accuracy",
                                     "budget = 5200\nunit = combination\nscore = random\ndrop = 2"};
  for (int i = 0; i < 3; i++) {
    struct bench b;
    open_search(&b, keys[i], nets[i], SGD, false);
    char *text = whole_search(&b);
    int64_t sets;
    const struct space *space =
        ((const tn_ensemble *)tn_extension(b.model, TN_ENSEMBLE))->space(b.model->self, &sets);
    struct architecture a;
    cr_assert(architecture_parse(space, text, &a) >= 0, "%s", text);
    EXPECT_INT(a.paths, i == 1 ? 1 : 2);
    const double budget = i == 1 ? 4000 : 5200;
    cr_assert(space_macs(space, &a) <= budget, "%s: %g", text, space_macs(space, &a));
    cr_assert(space_macs(space, &a) > 0.4 * budget);
    tn_free(text);
  }
}

/* The budget is that of both. */
Test(one_shot, copies_are_equal_branches) {
  struct bench b;
  open_search(&b, "budget = 5200\ncopies = 2", "paths = 1", SGD, false);
  char *text = whole_search(&b);
  int64_t sets;
  const struct space *space =
      ((const tn_ensemble *)tn_extension(b.model, TN_ENSEMBLE))->space(b.model->self, &sets);
  struct architecture a;
  cr_assert(architecture_parse(space, text, &a) >= 0, "%s", text);
  EXPECT_INT(a.paths, 2);
  EXPECT_INT(a.split, 1);
  for (int64_t l = 0; l < space->layers; l++) EXPECT_INT(a.genes[0][l], a.genes[1][l]);
  cr_assert(space_macs(space, &a) <= 5200);
  tn_free(text);
}

/* With one path the search is single-path one-shot: a step is plain SGD of one network's cross-entropy on the
 * sampled path, shared layers throughout, and no gradient is divided. */
Test(one_shot, one_path_is_single_path_one_shot) {
  struct bench b;
  open_search(&b, "score = none", "paths = 1", "lr = 0.1", false);
  begin(&b);
  tn_params *before = tn_params_clone(tn_parameters(b.model)), *after = tn_params_clone(before);
  step(&b, 0);
  tn_params_copy(after, tn_parameters(b.model));
  char *text = derived(&b);
  cr_assert(strncmp(text, "3, 1, |", 7) == 0, "%s", text);
  tn_free(text);
  /* The same step by hand: the first batch of the same order. */
  int64_t order[ROWS], index[8];
  tn_rng rng = tn_rng_at("search.ensemble_one_shot", "train", 0);
  tn_random_permutation(&rng, order, ROWS);
  for (int i = 0; i < 8; i++) index[i] = order[i];
  tn_params_copy(tn_parameters(b.model), before);
  tn_fields *batch = tn_fields_new(), *outputs = tn_fields_new();
  cr_assert(tn_dataset_read(b.setting.data, index, 8, batch) >= 0);
  tn_model_call call = {.size = sizeof call, .params = tn_parameters(b.model), .inputs = batch, .rng = &rng};
  /* `copy` took the gates along: those of the sampled path are in `after`. */
  tn_params_copy(tn_parameters(b.model), after);
  tn_params *g = tn_params_like(after), *w = tn_params_clone(after);
  for (uint32_t i = 0; i < tn_params_count(w); i++) {
    tn_param_entry e;
    tn_params_entry(w, i, &e);
    if (e.group == TN_DECAY || e.group == TN_NO_DECAY)
      memcpy(tn_data(e.tensor), tn_data(tn_param_tensor(before, i)),
             (size_t)tn_numel(e.tensor) * sizeof(double));
  }
  call.params = w;
  call.outputs = outputs;
  call.progress = (tn_progress){.size = sizeof call.progress, .mode = TN_TRAIN};
  cr_assert(tn_model_apply(b.model, &call) >= 0, "%s", harness_failure());
  tn_tensor *loss = tn_mean(tn_cross_entropy(tn_field(outputs, "logits"), tn_field(batch, "label"), 0.1));
  cr_assert(tn_grad_params(loss, w, g) >= 0, "%s", harness_failure());
  tn_params_axpy(w, -0.1, g);
  for (uint32_t i = 0; i < tn_params_count(w); i++) {
    tn_param_entry e;
    tn_params_entry(w, i, &e);
    if (e.group != TN_DECAY && e.group != TN_NO_DECAY) continue;
    for (int64_t k = 0; k < tn_numel(e.tensor); k++)
      EXPECT_NEAR(harness_at(e.tensor, k), harness_at(tn_param_tensor(after, i), k), 1e-12);
  }
  tn_params_release(before);
  tn_params_release(after);
  tn_params_release(g);
  tn_params_release(w);
}

Test(one_shot, wrong_settings_are_refused) {
  struct bench b;
  open_search(&b, "copies = 2", "", SGD, false);
  cr_assert(tn_search_begin(b.search, &b.setting) < 0);
  EXPECT_CONTAINS(harness_failure(), "copies are of a supernet of one path");
  open_search(&b, "", "norm_momentum = 0", SGD, false);
  cr_assert(tn_search_begin(b.search, &b.setting) < 0);
  EXPECT_CONTAINS(harness_failure(), "calibrate needs a norm_momentum");
  open_search(&b, "", "paths = 5", SGD, false);
  cr_assert(tn_search_begin(b.search, &b.setting) < 0);
  EXPECT_CONTAINS(harness_failure(), "has 4 choices for 5 paths that share their weights");
}
