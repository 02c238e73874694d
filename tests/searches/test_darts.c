// SPDX-License-Identifier: MIT
/* Differentiable architecture search: hypergradients, and a whole search. */
#include "../models/support.h"
#include <stdlib.h>
#include <string.h>
#include <tenon/dataset.h>
#include <tenon/optimizer.h>
#include <tenon/search.h>
#include <tenon/supernet.h>

TestSuite(darts, .fini = harness_close, .timeout = 60);

/* A search on the digits, as images of 8 x 8. `d` gets what its first step moves alpha by: with SGD at rate 1
 * that is minus the hypergradient. */
static uint32_t first_move(const char *keys, double *d) {
  enum { ROWS = 40 };
  char sections[2048];
  snprintf(sections, sizeof sections,
           "[digits]\nuse = dataset.csv\nfile = " TN_SOURCE_ROOT
           "/examples/data/digits.csv.gz\nimage = 1, 8, 8\n"
           "[m]\nuse = model.darts_supernet\nchannels = 2\ncells = 1\nreductions = 0\nnodes = 2\n"
           "ops = none, skip_connect, sep_conv_3x3\n"
           "[sgd]\nuse = optimizer.sgd\nlr = 0.1\nmomentum = 0.9\nweight_decay = 0.01\n"
           "[one]\nuse = optimizer.sgd\nlr = 1\n[ce]\nuse = loss.cross_entropy\n"
           "[s]\nuse = search.darts\narch_optimizer = one\n%s\n",
           keys);
  harness_open("float64", sections);
  const tn_component *m = harness_component("m"), *s = harness_component("s");
  tn_spec *spec = tn_spec_new();
  cr_assert(tn_dataset_describe(harness_component("digits"), spec) >= 0, "%s", harness_failure());
  cr_assert(tn_declare_component(m, spec, NULL) >= 0, "%s", harness_failure());
  tn_spec_release(spec);
  int64_t rows[2 * ROWS];
  for (int64_t i = 0; i < 2 * ROWS; i++) rows[i] = i;
  const tn_references none = {NULL, 0};
  const tn_search_setting setting = {.size = sizeof setting,
                                     .model = m,
                                     .loss = harness_component("ce"),
                                     .optimizer = harness_component("sgd"),
                                     .data = harness_component("digits"),
                                     .train_rows = rows,
                                     .validation_rows = rows + ROWS,
                                     .train_count = ROWS,
                                     .validation_count = ROWS,
                                     .transforms = &none,
                                     .batch = 20,
                                     .steps = 3};
  cr_assert(tn_search_begin(s, &setting) >= 0, "%s", harness_failure());
  tn_supernet_table table;
  uint32_t count = 0;
  tn_progress progress = {.size = sizeof progress, .mode = TN_TRAIN, .steps = 3};
  /* The second step's move: then there is a velocity. */
  cr_assert(tn_search_step(s, &progress) >= 0, "%s", harness_failure());
  tn_params *before = tn_params_clone(tn_parameters(m));
  progress.step = 1;
  cr_assert(tn_search_step(s, &progress) >= 0, "%s", harness_failure());
  for (uint32_t t = 0; tn_supernet_of(m)->table(m->self, t, &table) >= 0; t++)
    for (int64_t i = 0; i < table.rows * table.operations; i++)
      d[count++] = harness_at(tn_param_tensor(before, table.alpha), i) -
                   harness_at(tn_param_tensor(tn_parameters(m), table.alpha), i);
  tn_params_release(before);
  return count;
}

static double cosine(const double *x, const double *y, uint32_t n, double *ratio) {
  double xy = 0, xx = 0, yy = 0;
  for (uint32_t i = 0; i < n; i++) xy += x[i] * y[i], xx += x[i] * x[i], yy += y[i] * y[i];
  *ratio = sqrt(xx / yy);
  return xy / sqrt(xx * yy);
}

Test(darts, order_two_differs_from_order_one) {
  double first[64], second[64], ratio;
  const uint32_t n = first_move("order = 1", first);
  EXPECT_INT(first_move("order = 2", second), n);
  const double other = cosine(second, first, n, &ratio);
  cr_assert(other < 0.9999, "cosine %.9g", other);
}

Test(darts, wrong_keys_are_refused) {
  EXPECT_CONTAINS(harness_refusal("float32", "[s]\nuse = search.darts\norder = 3\n"
                                             "arch_optimizer = optimizer.adam\n"),
                  "order");
}

#define PAST "\n[past]\nuse = loss.voting_distillation\ninterval = 1\n"
/* The second step has the first one's weights as its teacher. */
Test(darts, without_weight_or_teachers_distillation_changes_no_bit) {
  double plain[64], off[64];
  static const char *const none[] = {"distill = past\ndistill_level = both" PAST "weight = 0",
                                     "distill = past\ndistill_level = both" PAST "teachers = 0"};
  const uint32_t n = first_move("order = 2", plain);
  for (int k = 0; k < 2; k++) {
    char keys[256];
    snprintf(keys, sizeof keys, "order = 2\n%s", none[k]);
    first_move(keys, off);
    for (uint32_t i = 0; i < n; i++) EXPECT_REAL(off[i], plain[i]);
  }
  first_move("order = 2\ndistill = past" PAST "weight = 50", off);
  double apart = 0;
  for (uint32_t i = 0; i < n; i++) apart += fabs(off[i] - plain[i]);
  cr_assert(apart > 1e-12, "a teacher of the step before changes nothing");
}
