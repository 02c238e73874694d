// SPDX-License-Identifier: MIT
/* Hypergradients of a toy in closed form, and how well the difference quotient does on smooth and on
 * piecewise smooth networks. */
#include "../models/support.h"
#include <stdlib.h>
#include <string.h>
#include <tenon/dataset.h>
#include <tenon/optimizer.h>
#include <tenon/search.h>
#include <tenon/supernet.h>
#include <unistd.h>

static char flags[] = "/tmp/tenon-flags-XXXXXX"; /* rows 1 (training) and 0 (validation) */
static void start(void) {
  harness_fixture("searches/fixtures/toys.c");
  const int file = mkstemp(flags);
  cr_assert(write(file, "flag,target\n1,0\n0,0\n", 20) == 20);
  close(file);
}
static void stop(void) {
  harness_close();
  unlink(flags);
}
TestSuite(hypergradient, .init = start, .fini = stop, .timeout = 120);

/* The architecture's optimizer is SGD at rate 1: alpha moves by minus the hypergradient. */
enum { MOST = 256 };
typedef struct walk {
  const tn_component *model, *search;
  tn_search_setting setting;
  double alpha[MOST], d[MOST]; /* after the last step; what it moved alpha by, times -1 */
  uint32_t count;
} walk;

static uint32_t read_alpha(const tn_component *m, double *alpha) {
  tn_supernet_table table;
  uint32_t count = 0;
  for (uint32_t t = 0; tn_supernet_of(m)->table(m->self, t, &table) >= 0; t++)
    for (int64_t i = 0; i < table.rows * table.operations; i++)
      alpha[count++] = harness_at(tn_param_tensor(tn_parameters(m), table.alpha), i);
  return count;
}

static void prepare(walk *w, const char *sections, const int64_t *train, const int64_t *validation,
                    int64_t rows) {
  static const tn_references none = {NULL, 0};
  char all[2048];
  snprintf(all, sizeof all, "%s\n[one]\nuse = optimizer.sgd\nlr = 1\n", sections);
  harness_open("float64", all);
  w->model = harness_component("m");
  w->search = harness_component("s");
  tn_spec *spec = tn_spec_new();
  const tn_spec *outputs;
  cr_assert(tn_dataset_describe(harness_component("data"), spec) >= 0, "%s", harness_failure());
  cr_assert(tn_declare_component(w->model, spec, &outputs) >= 0, "%s", harness_failure());
  cr_assert(tn_declare_component(harness_component("loss"), outputs, NULL) >= 0, "%s", harness_failure());
  tn_spec_release(spec);
  w->setting = (tn_search_setting){.size = sizeof w->setting,
                                   .model = w->model,
                                   .loss = harness_component("loss"),
                                   .optimizer = harness_component("sgd"),
                                   .data = harness_component("data"),
                                   .train_rows = train,
                                   .validation_rows = validation,
                                   .train_count = rows,
                                   .validation_count = rows,
                                   .transforms = &none,
                                   .batch = rows,
                                   .steps = 100};
}
static void begin(walk *w) {
  cr_assert(tn_search_begin(w->search, &w->setting) >= 0, "%s", harness_failure());
  w->count = read_alpha(w->model, w->alpha);
}
static void step(walk *w, int64_t number) {
  double before[MOST];
  memcpy(before, w->alpha, sizeof before);
  const tn_progress progress = {.size = sizeof progress, .mode = TN_TRAIN, .step = number, .steps = 100};
  cr_assert(tn_search_step(w->search, &progress) >= 0, "%s", harness_failure());
  read_alpha(w->model, w->alpha);
  for (uint32_t i = 0; i < w->count; i++) w->d[i] = before[i] - w->alpha[i];
}

/* ---- Ltrain = (w - alpha)^2 / 2, Lval = w^2 / 2, w = 2, alpha = 0.5 ---- */

static int64_t row_of(double flag) {
  for (int64_t i = 0; i < 2; i++) {
    tn_fields *fields = tn_fields_new();
    cr_assert(tn_dataset_read(harness_component("data"), &i, 1, fields) >= 0, "%s", harness_failure());
    if (harness_at(tn_field(fields, "input"), 0) == flag) return i;
  }
  cr_assert(false);
  return -1;
}
static void open_toy(walk *w, const char *sgd, const char *search) {
  static int64_t train, validation;
  char sections[1024];
  snprintf(sections, sizeof sections,
           "[data]\nuse = dataset.csv\nfile = %s\nheader = yes\ntarget = target\ntest = 0\n"
           "[m]\nuse = model.toy\n[loss]\nuse = loss.value\n[sgd]\nuse = optimizer.sgd\nlr = 0.1\n%s\n"
           "[s]\nuse = search.darts\narch_optimizer = one\n%s\n",
           flags, sgd, search);
  prepare(w, sections, &train, &validation, 1);
  train = row_of(1);
  validation = row_of(0);
}
static void begin_toy(walk *w, const char *sgd, const char *search) {
  open_toy(w, sgd, search);
  begin(w);
}
static double weight(const walk *w) { return harness_at(tn_param_tensor(tn_parameters(w->model), 0), 0); }

static const double eta = 0.1;

/* w' = w - eta (w - alpha), d = eta w'; the difference quotient of a quadratic is exact at any radius. */
Test(hypergradient, of_the_toy) {
  static const char *const ways[] = {"order = 2\nhvp = exact", "order = 2\nhvp = difference",
                                     "order = 2\nhvp = difference\nradius = 3"};
  for (size_t k = 0; k < TN_ARRAY_LENGTH(ways); k++) {
    walk w;
    begin_toy(&w, "", ways[k]);
    step(&w, 0);
    EXPECT_NEAR(w.d[0], eta * (2 - eta * (2 - 0.5)), 1e-12);
    /* the weight itself has made one step only, with the new alpha */
    EXPECT_NEAR(weight(&w), 2 - eta * (2 - w.alpha[0]), 1e-12);
  }
}

/* Lval has no alpha of its own; the weight follows the training row. */
Test(hypergradient, of_first_order_is_zero_for_the_toy) {
  walk w;
  begin_toy(&w, "", "order = 1");
  step(&w, 0);
  EXPECT_NEAR(w.d[0], 0, 0);
  EXPECT_NEAR(weight(&w), 2 - eta * (2 - 0.5), 1e-15);
}

/* With momentum mu and decay l, w' = w - eta (mu v + (w - alpha) + l w): shifted by -eta (mu v + l w). */
Test(hypergradient, looks_ahead_with_momentum_and_decay) {
  static const char *const ways[] = {"order = 2", "order = 2\nhvp = difference"};
  const double mu = 0.9, l = 0.05;
  for (size_t k = 0; k < TN_ARRAY_LENGTH(ways); k++) {
    walk w;
    double at = 2, v = 0, alpha = 0.5;
    begin_toy(&w, "momentum = 0.9\nweight_decay = 0.05", ways[k]);
    for (int64_t n = 0; n < 4; n++) {
      const double ahead = at - eta * (mu * v + at - alpha + l * at);
      step(&w, n);
      EXPECT_NEAR(w.d[0], eta * ahead, 1e-12);
      alpha -= eta * ahead;
      v = mu * v + at - alpha + l * at;
      at -= eta * v;
      EXPECT_NEAR(weight(&w), at, 1e-12);
    }
  }
}

/* The norm is limited for the step of the weights, not for the look ahead. */
Test(hypergradient, is_not_clipped) {
  walk w;
  begin_toy(&w, "", "order = 2\nclip = 0.001");
  step(&w, 0);
  EXPECT_NEAR(w.d[0], eta * (2 - eta * (2 - 0.5)), 1e-12);
  EXPECT_NEAR(weight(&w), 2 - eta * 0.001, 1e-12);
}

Test(hypergradient, order_two_refuses_steps_it_cannot_foresee) {
  static const char *const wrong[] = {"momentum = 0.9\ndampening = 0.5", "momentum = 0.9\nnesterov = yes"};
  for (size_t k = 0; k < TN_ARRAY_LENGTH(wrong); k++) {
    walk w;
    begin_toy(&w, wrong[k], "order = 1"); /* does not look ahead */
    open_toy(&w, wrong[k], "order = 2");
    cr_assert(tn_search_begin(w.search, &w.setting) < 0);
    EXPECT_CONTAINS(harness_failure(), "order 2 looks one step of optimizer.sgd");
  }
}

/* ---- exact against difference ---- */

#define DIGITS                                                                                         \
  "[data]\nuse = dataset.csv\nfile = " TN_SOURCE_ROOT "/examples/data/digits.csv.gz\nscale = 16\n%s\n" \
  "[loss]\nuse = loss.cross_entropy\n[sgd]\nuse = optimizer.sgd\nlr = 0.1\nmomentum = 0.9\n"           \
  "weight_decay = 0.01\n[s]\nuse = search.darts\norder = 2\narch_optimizer = one\n%s\n[m]\n%s\n"

/* The hypergradient of the second step, when there is a velocity. */
static void of_digits(walk *w, const char *data, const char *search, const char *model) {
  enum { ROWS = 40 };
  static int64_t rows[2 * ROWS];
  char sections[2048];
  for (int64_t i = 0; i < 2 * ROWS; i++) rows[i] = i;
  snprintf(sections, sizeof sections, DIGITS, data, search, model);
  prepare(w, sections, rows, rows + ROWS, ROWS);
  begin(w);
  step(w, 0);
  step(w, 1);
}

/* 1 - cosine, and the relative difference of the norms. */
static void compare(const walk *a, const walk *b, double *angle, double *norms) {
  double ab = 0, aa = 0, bb = 0;
  for (uint32_t i = 0; i < a->count; i++)
    ab += a->d[i] * b->d[i], aa += a->d[i] * a->d[i], bb += b->d[i] * b->d[i];
  *angle = 1 - ab / sqrt(aa * bb);
  *norms = fabs(sqrt(bb / aa) - 1);
}

static void differ(const char *data, const char *model, const char *radius, double *angle, double *norms) {
  walk exact, difference;
  char keys[64];
  snprintf(keys, sizeof keys, "hvp = difference\nradius = %s", radius);
  of_digits(&exact, data, "", model);
  of_digits(&difference, data, keys, model);
  compare(&exact, &difference, angle, norms);
}

/* The error of a central difference falls with the square of its radius, here from the paper's 0.01. */
Test(hypergradient, exact_and_difference_agree_on_a_smooth_network) {
  double angle, norms, finer;
  differ("", "use = model.smooth", "0.01", &angle, &norms);
  cr_assert(angle < 1e-9 && norms < 1e-4, "1 - cosine %.3g, norms %.3g", angle, norms);
  differ("", "use = model.smooth", "0.001", &angle, &finer);
  cr_assert(finer < norms / 50 && finer > norms / 200, "norms %.3g after %.3g", finer, norms);
}

/* ReLUs and max pools have kinks. One that turns between the two points adds the jump of the gradient there,
 * over twice the radius: the quotient is right only where the radius is too small for any to turn. */
Test(hypergradient, exact_and_difference_agree_on_cells_where_no_kink_is_crossed) {
  static const char cells[] = "use = model.darts_supernet\nchannels = 4\ncells = 2\nreductions = 1\n"
                              "nodes = 2\nstem_multiplier = 2\n"
                              "ops = none, max_pool_3x3, skip_connect, sep_conv_3x3, dil_conv_3x3";
  double angle, norms;
  differ("image = 1, 8, 8", cells, "1e-6", &angle, &norms);
  cr_assert(angle < 1e-9 && norms < 1e-6, "1 - cosine %.3g, norms %.3g", angle, norms);
}
