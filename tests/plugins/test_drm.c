// SPDX-License-Identifier: MIT
/* DRM's choice, mixture and retraining of domain heads: two domains, digits and their negatives, three heads
 * on the 64 pixels. */
#include "harness.h"
#include <tenon/dataset.h>
#include <tenon/model.h>
#include <tenon/predictor.h>

TestSuite(drm, .fini = harness_close);

#define SECTIONS                                                                                     \
  "[d]\nuse = dataset.csv\nfile = " TN_SOURCE_ROOT "/examples/data/digits.csv.gz\nimage = 1, 8, 8\n" \
  "scale = 16\n"                                                                                     \
  "[two]\nuse = dataset.domains\ndata = d\nview = contrast\nlevels = 1, -1\n"                        \
  "[net]\nuse = model.cnn\nheads = 3\nlayers = flatten\n"
#define DRM(name, keys) "[" name "]\nuse = predictor.drm\nmodel = net\n" keys "\n"
#define JUDGE           "[judge]\nuse = model.mlp\n"
enum { N = 20, D = 64, HEADS = 3, CLASSES = 10 };

static tn_fields *rows_of(int d, int64_t first) {
  const tn_component *two = harness_component("two");
  int64_t index[N];
  for (int64_t i = 0; i < N; i++) index[i] = first + i;
  tn_fields *fields = tn_fields_new();
  cr_assert(
      ((const tn_dataset *)two->vtable)->read(two->self, d ? "domain.1" : "domain.0", index, N, fields) >= 0,
      "%s", harness_failure());
  return fields;
}
static tn_tensor *parameter(const char *name) {
  const tn_params *params = tn_parameters(harness_component("net"));
  for (uint32_t i = 0; i < tn_params_count(params); i++) {
    tn_param_entry e;
    tn_params_entry(params, i, &e);
    if (strcmp(e.name, name) == 0) return e.tensor;
  }
  cr_assert(false, "no parameter '%s'", name);
  return NULL;
}
static const tn_component *declared(const char *section) {
  const tn_component *predictor = harness_component(section);
  tn_spec *spec = tn_spec_new();
  cr_assert(tn_dataset_describe(harness_component("two"), spec) >= 0 &&
                tn_declare_component(predictor, spec, NULL) >= 0,
            "%s", harness_failure());
  tn_spec_release(spec);
  return predictor;
}
static const tn_component *fitted(const char *section) {
  const tn_component *predictor = declared(section);
  cr_assert(tn_predictor_fit(predictor, harness_component("two"), NULL) >= 0, "%s", harness_failure());
  return predictor;
}
static tn_fields *predict(const tn_component *predictor, const tn_fields *inputs) {
  tn_fields *outputs = tn_fields_new();
  cr_assert(tn_predictor_predict(predictor, inputs, outputs) >= 0, "%s", harness_failure());
  return outputs;
}
static void adapt(const tn_component *predictor, const tn_fields *inputs, const tn_fields *outputs) {
  cr_assert(tn_predictor_adapt(predictor, inputs, outputs) >= 0, "%s", harness_failure());
}
static double probability(const tn_fields *outputs, int64_t i, int64_t c) {
  return harness_at(tn_field(outputs, "probability"), i * CLASSES + c);
}
static void expect_same(const tn_fields *a, const tn_fields *b, const char *field) {
  const tn_tensor *x = tn_field(a, field), *y = tn_field(b, field);
  for (int64_t i = 0; i < tn_numel(x); i++) EXPECT_REAL(harness_at(x, i), harness_at(y, i));
}

/* p (N, HEADS, CLASSES) and the entropies (N, HEADS) of the head logits that came out */
static double p_of[N][HEADS][CLASSES], entropy_of[N][HEADS];
static void judge(const tn_fields *outputs) {
  const tn_tensor *logits = tn_field(outputs, "head_logits");
  for (int i = 0; i < N; i++)
    for (int h = 0; h < HEADS; h++) {
      double sum = 0;
      for (int c = 0; c < CLASSES; c++) sum += exp(harness_at(logits, (i * HEADS + h) * CLASSES + c));
      entropy_of[i][h] = 0;
      for (int c = 0; c < CLASSES; c++) {
        const double p = exp(harness_at(logits, (i * HEADS + h) * CLASSES + c)) / sum;
        p_of[i][h][c] = p;
        if (p > 0) entropy_of[i][h] -= p * log(p);
      }
    }
}
static double mean_entropy(int h) {
  double sum = 0;
  for (int i = 0; i < N; i++) sum += entropy_of[i][h] / N;
  return sum;
}
static int least(const double *values) {
  int best = 0;
  for (int h = 1; h < HEADS; h++)
    if (values[h] < values[best]) best = h;
  return best;
}

/* Heads of different confidence on different rows. */
static void stretch_heads(void) {
  double *w = tn_f64(parameter("head.weight"));
  for (int h = 0; h < HEADS; h++)
    for (int k = 0; k < CLASSES * D; k++) w[h * CLASSES * D + k] *= 4 + h;
}

Test(drm, identical_heads_are_one_head_under_every_rule) {
  static const char *const keys[] = {"gap = entropy\ngamma = -1",
                                     "gap = entropy\ngamma = 0",
                                     "gap = entropy\ngamma = 5",
                                     "gap = entropy\ngamma = 1\nunit = sample",
                                     "gap = entropy\nunit = sample",
                                     "gap = prototype",
                                     "gap = prototype\ngamma = 1",
                                     "gap = prototype\ngamma = 2\nunit = sample",
                                     "gap = uniform",
                                     "gap = joint",
                                     "gap = discriminator\ndiscriminator = judge\n" JUDGE,
                                     "gap = discriminator\ngamma = 2\ndiscriminator = judge\n" JUDGE};
  for (size_t r = 0; r < TN_ARRAY_LENGTH(keys); r++) {
    char sections[1024];
    snprintf(sections, sizeof sections, SECTIONS DRM("p", "%s"), keys[r]);
    harness_open("float64", sections);
    declared("p");
    double *w = tn_f64(parameter("head.weight")), *b = tn_f64(parameter("head.bias"));
    for (int h = 1; h < HEADS; h++) {
      memcpy(w + h * CLASSES * D, w, CLASSES * D * sizeof *w);
      memcpy(b + h * CLASSES, b, CLASSES * sizeof *b);
    }
    const tn_fields *outputs = predict(fitted("p"), rows_of(0, 0));
    judge(outputs);
    for (int i = 0; i < N; i++)
      for (int c = 0; c < CLASSES; c++)
        cr_assert(fabs(probability(outputs, i, c) - p_of[i][0][c]) < 1e-14, "%s", keys[r]);
  }
}

Test(drm, entropy_chooses_the_surest_head_of_the_batch_or_of_the_row) {
  harness_open("float64", SECTIONS DRM("batch", "gap = entropy") DRM("row", "gap = entropy\nunit = sample"));
  declared("batch");
  stretch_heads();
  const tn_fields *inputs = rows_of(0, 0), *batch = predict(fitted("batch"), inputs),
                  *row = predict(fitted("row"), inputs);
  judge(batch);
  const double means[HEADS] = {mean_entropy(0), mean_entropy(1), mean_entropy(2)};
  int others = 0;
  for (int i = 0; i < N; i++) {
    const int own = least(entropy_of[i]);
    others += own != least(means);
    for (int c = 0; c < CLASSES; c++) {
      EXPECT_NEAR(probability(batch, i, c), p_of[i][least(means)][c], 1e-14);
      EXPECT_NEAR(probability(row, i, c), p_of[i][own][c], 1e-14);
    }
  }
  cr_assert(others > 0, "the two rules must differ somewhere");
}

/* weight_h ~ (e_h + 1e-8)^-gamma: 0 is the uniform mean, a large gamma the surest head, 2 in between */
Test(drm, gamma_goes_from_the_uniform_mean_to_the_surest_head) {
  harness_open("float64",
               SECTIONS DRM("zero", "gamma = 0") DRM("two_", "gamma = 2") DRM("large", "gamma = 1e5")
                   DRM("uniform", "gap = uniform") DRM("joint", "gap = joint"));
  declared("zero");
  stretch_heads();
  const tn_fields *inputs = rows_of(0, 0), *zero = predict(fitted("zero"), inputs),
                  *two = predict(fitted("two_"), inputs), *large = predict(fitted("large"), inputs),
                  *uniform = predict(fitted("uniform"), inputs), *joint = predict(fitted("joint"), inputs);
  judge(zero);
  const double means[HEADS] = {mean_entropy(0), mean_entropy(1), mean_entropy(2)};
  double weight[HEADS], total = 0;
  for (int h = 0; h < HEADS; h++) total += weight[h] = pow(means[h] + 1e-8, -2);
  for (int i = 0; i < N; i++) {
    double sum = 0;
    for (int c = 0; c < CLASSES; c++) {
      double mean = 0, mixed = 0;
      for (int h = 0; h < HEADS; h++) {
        mean += p_of[i][h][c] / HEADS;
        mixed += weight[h] / total * p_of[i][h][c];
      }
      EXPECT_NEAR(probability(zero, i, c), mean, 1e-14);
      EXPECT_NEAR(probability(uniform, i, c), mean, 1e-14);
      EXPECT_NEAR(probability(two, i, c), mixed, 1e-14);
      EXPECT_NEAR(probability(large, i, c), p_of[i][least(means)][c], 1e-14);
      EXPECT_NEAR(probability(joint, i, c), p_of[i][0][c], 1e-14);
      sum += probability(two, i, c);
    }
    EXPECT_NEAR(sum, 1, 1e-14); /* the weights sum to 1 */
  }
}

/* Entropy 0 against about 1: weights 1e8 : 1. */
Test(drm, a_head_without_entropy_takes_all) {
  harness_open("float64", SECTIONS DRM("p", "gamma = 1\nunit = sample"));
  declared("p");
  tn_f64(parameter("head.bias"))[2 * CLASSES + 7] = 1e4; /* head 2 always says 7 */
  const tn_fields *outputs = predict(fitted("p"), rows_of(0, 0));
  for (int i = 0; i < N; i++) EXPECT_NEAR(probability(outputs, i, 7), 1, 1e-7);
}

/* A digit and its negative are almost orthogonal: the head of the batch's own domain, every time. */
Test(drm, prototypes_find_the_domain) {
  harness_open("float64", SECTIONS DRM("p", "gap = prototype") DRM("s", "gap = prototype\nunit = sample"));
  declared("p");
  double *b = tn_f64(parameter("head.bias"));
  for (int h = 0; h < HEADS; h++) b[h * CLASSES + h] = 100; /* head h says h */
  const tn_component *p = fitted("p"), *s = fitted("s");
  for (int d = 0; d < 2; d++)
    for (int64_t first = 0; first < 200; first += N) {
      const tn_fields *inputs = rows_of(d, first), *batch = predict(p, inputs), *row = predict(s, inputs);
      for (int i = 0; i < N; i++) {
        EXPECT_INT(tn_i64(tn_field(batch, "label"))[i], d + 1);
        EXPECT_INT(tn_i64(tn_field(row, "label"))[i], d + 1);
      }
    }
}

/* Adam's first step is -lr g / (|g| + 1e-8); g of head h: mean over rows of (p_h - onehot) z', of its bias
 * that without z. The label is that of the joint head. */
Test(drm, retraining_is_one_step_of_adam_on_all_heads) {
  harness_open("float64", SECTIONS "[slow]\nuse = optimizer.adam\nlr = 1e-3\n" DRM(
                              "p", "retrain = joint\nbeta = 0\noptimizer = slow"));
  declared("p");
  stretch_heads();
  const tn_component *p = fitted("p");
  tn_params *live = tn_params_clone(tn_parameters(harness_component("net")));
  const tn_fields *inputs = rows_of(0, 0), *outputs = predict(p, inputs);
  judge(outputs);
  const double *z = tn_f64(tn_field(inputs, "image"));
  static double w[HEADS * CLASSES * D], b[HEADS * CLASSES];
  memcpy(w, tn_f64(parameter("head.weight")), sizeof w);
  memcpy(b, tn_f64(parameter("head.bias")), sizeof b);
  for (int h = 0; h < HEADS; h++)
    for (int c = 0; c < CLASSES; c++) {
      double g[D] = {0}, g_bias = 0;
      for (int i = 0; i < N; i++) {
        int label = 0;
        for (int k = 1; k < CLASSES; k++)
          if (p_of[i][0][k] > p_of[i][0][label]) label = k;
        const double slope = (p_of[i][h][c] - (c == label)) / N;
        for (int k = 0; k < D; k++) g[k] += slope * z[i * D + k];
        g_bias += slope;
      }
      for (int k = 0; k < D; k++) w[(h * CLASSES + c) * D + k] -= 1e-3 * g[k] / (fabs(g[k]) + 1e-8);
      b[h * CLASSES + c] -= 1e-3 * g_bias / (fabs(g_bias) + 1e-8);
    }
  adapt(p, inputs, outputs);
  const tn_fields *probe = rows_of(1, 40), *after = predict(p, probe);
  const double *x = tn_f64(tn_field(probe, "image"));
  for (int i = 0; i < N; i++)
    for (int o = 0; o < HEADS * CLASSES; o++) {
      double logit = b[o];
      for (int k = 0; k < D; k++) logit += w[o * D + k] * x[i * D + k];
      EXPECT_NEAR(harness_at(tn_field(after, "head_logits"), i * HEADS * CLASSES + o), logit, 1e-9);
    }
  /* the network itself is untouched, and reset brings its heads back */
  for (uint32_t e = 0; e < tn_params_count(live); e++) {
    tn_param_entry before, now;
    tn_params_entry(live, e, &before);
    tn_params_entry(tn_parameters(harness_component("net")), e, &now);
    for (int64_t i = 0; i < tn_numel(now.tensor); i++)
      EXPECT_REAL(harness_at(now.tensor, i), harness_at(before.tensor, i));
  }
  tn_params_release(live);
  cr_assert(tn_predictor_reset(p) >= 0);
  expect_same(predict(p, inputs), outputs, "head_logits");
}

static const char *const labels_from[] = {"own", "joint", "uniform", "drm"};

/* The features that feed the heads stay the same bits, whatever the labels; above 1 nothing moves at all. */
Test(drm, retraining_moves_heads_only_and_nothing_beyond_certainty) {
  for (int r = 0; r < 8; r++) {
    char sections[1024];
    const bool never = r >= 4;
    snprintf(sections, sizeof sections,
             SECTIONS "[p]\nuse = predictor.drm\nmodel = deep\nretrain = %s\nbeta = %s\nsteps = 2\n"
                      "[deep]\nuse = model.cnn\nheads = 3\nlayers = flatten, linear 8, relu\n",
             labels_from[r % 4], never ? "1.01" : "0");
    harness_open("float64", sections);
    const tn_component *p = fitted("p");
    const tn_fields *inputs = rows_of(0, 0), *before = predict(p, inputs);
    harness_state *untouched = harness_save(p);
    for (int64_t first = 0; first < 60; first += N)
      adapt(p, rows_of(0, first), predict(p, rows_of(0, first)));
    const tn_fields *after = predict(p, inputs);
    expect_same(after, before, "features");
    harness_state *now = harness_save(p);
    if (never)
      cr_assert(harness_same(untouched, now), "%s: parameters moved", labels_from[r % 4]);
    else
      cr_assert(harness_at(tn_field(after, "head_logits"), 0) !=
                harness_at(tn_field(before, "head_logits"), 0));
    harness_forget(untouched);
    harness_forget(now);
  }
}

Test(drm, goes_on_from_its_state) {
  harness_open("float64",
               SECTIONS "[x]\nuse = optimizer.sgd\nlr = 0.1\n[y]\nuse = optimizer.sgd\nlr = 0.1\n" DRM(
                   "a", "gap = prototype\nretrain = drm\nbeta = 0\noptimizer = x")
                   DRM("b", "gap = prototype\nretrain = drm\nbeta = 0\noptimizer = y"));
  const tn_component *a = fitted("a"), *b = fitted("b");
  for (int64_t first = 0; first < 60; first += N) adapt(a, rows_of(1, first), predict(a, rows_of(1, first)));
  harness_state *state = harness_save(a);
  harness_load(b, state);
  harness_forget(state);
  for (int64_t first = 60; first < 120; first += N) {
    const tn_fields *inputs = rows_of(1, first), *one = predict(a, inputs), *two = predict(b, inputs);
    expect_same(one, two, "probability");
    adapt(a, inputs, one);
    adapt(b, inputs, two);
  }
  expect_same(predict(a, rows_of(0, 0)), predict(b, rows_of(0, 0)), "head_logits");
}
