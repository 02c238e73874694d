// SPDX-License-Identifier: MIT
/* DRM's discriminator of domains: loss.domain_specific trains it, predictor.drm asks it. Two domains, digits
 * and their negatives, three heads on the 64 pixels. */
#include "harness.h"
#include <tenon/dataset.h>
#include <tenon/loss.h>
#include <tenon/predictor.h>

TestSuite(discriminator, .fini = harness_close);

#define SECTIONS                                                                                     \
  "[d]\nuse = dataset.csv\nfile = " TN_SOURCE_ROOT "/examples/data/digits.csv.gz\nimage = 1, 8, 8\n" \
  "scale = 16\n"                                                                                     \
  "[two]\nuse = dataset.domains\ndata = d\nview = contrast\nlevels = 1, -1\n"                        \
  "[net]\nuse = model.cnn\nheads = 3\nlayers = flatten\n"
#define JUDGE "[judge]\nuse = model.mlp\nhidden =\n"
#define LOSS  "[l]\nuse = loss.domain_specific\ndiscriminator = judge\ndiscriminator_optimizer = adam\n"
#define ADAM  "[adam]\nuse = optimizer.adam\nlr = 0.01\n"
#define DRM(name, keys) \
  "[" name "]\nuse = predictor.drm\nmodel = net\ngap = discriminator\ndiscriminator = judge\n" keys "\n"
enum { D = 64, DOMAINS = 2, HEADS = 3, CLASSES = 10, MOST = 24 };

/* `first` rows of domain 0 and `second` of domain 1, from row `from` of each. */
static tn_fields *rows_of(int64_t first, int64_t second, int64_t from) {
  const tn_component *two = harness_component("two");
  int64_t index[MOST];
  const int64_t rows = tn_dataset_rows(two);
  for (int64_t i = 0; i < first + second; i++) index[i] = i < first ? from + i : rows / 2 + from + i - first;
  tn_fields *fields = tn_fields_new();
  cr_assert(tn_dataset_read(two, index, first + second, fields) >= 0, "%s", harness_failure());
  return fields;
}
/* Declares a component for the data, or, with a model in front, for the model's outputs. */
static const tn_component *declared(const char *section, const char *model) {
  const tn_component *c = harness_component(section);
  tn_spec *data = tn_spec_new();
  const tn_spec *inputs = data;
  cr_assert(tn_dataset_describe(harness_component("two"), data) >= 0 &&
                (!model || tn_declare_component(harness_component(model), data, &inputs) >= 0) &&
                tn_declare_component(c, inputs, NULL) >= 0,
            "%s", harness_failure());
  tn_spec_release(data);
  return c;
}
static const tn_component *loss_of(const char *section) { return declared(section, "net"); }
static const tn_component *predictor_of(const char *section) {
  const tn_component *p = declared(section, NULL);
  cr_assert(tn_predictor_fit(p, harness_component("two"), NULL) >= 0, "%s", harness_failure());
  return p;
}
static tn_fields *predict(const tn_component *predictor, const tn_fields *inputs) {
  tn_fields *outputs = tn_fields_new();
  cr_assert(tn_predictor_predict(predictor, inputs, outputs) >= 0, "%s", harness_failure());
  return outputs;
}
/* The step's other half: what the loss does after the optimizer. The features are the pixels. */
static void after_step(const tn_component *loss, const tn_fields *rows) {
  tn_fields *fields = tn_fields_new();
  const int64_t n = tn_numel(tn_field(rows, "domain"));
  tn_fields_merge(fields, rows);
  tn_fields_set(fields, "features", tn_flatten(tn_field(rows, "image")));
  tn_fields_set(fields, "head_logits", tn_zeros(TN_F64, TN_SHAPE(n, HEADS, CLASSES)));
  const tn_loss_call call = {.size = sizeof call, .fields = fields};
  const bool recording = tn_record(false);
  cr_assert(tn_loss_after_step(loss, &call) >= 0, "%s", harness_failure());
  tn_record(recording);
}
static double *numbers(const char *model, const char *name) {
  const tn_params *params = tn_parameters(harness_component(model));
  for (uint32_t i = 0; i < tn_params_count(params); i++) {
    tn_param_entry e;
    tn_params_entry(params, i, &e);
    if (strcmp(e.name, name) == 0) return tn_f64(e.tensor);
  }
  cr_assert(false, "no parameter '%s'", name);
  return NULL;
}
/* softmax(W z + b) of the linear discriminator */
static void ask(const double *w, const double *b, const double *z, double *p) {
  double total = 0;
  for (int e = 0; e < DOMAINS; e++) {
    double logit = b[e];
    for (int k = 0; k < D; k++) logit += w[e * D + k] * z[k];
    total += p[e] = exp(logit);
  }
  for (int e = 0; e < DOMAINS; e++) p[e] /= total;
}

/* Three steps of Adam by hand on 1/2 sum_e mean CE(W z + b, e): 5 rows of domain 0 weigh as much as 3 of
 * domain 1. */
Test(discriminator, learns_by_steps_of_an_adam_of_its_own) {
  harness_open("float64", SECTIONS JUDGE LOSS ADAM);
  const tn_component *loss = loss_of("l");
  enum { SIZE = DOMAINS * D + DOMAINS };
  double at[SIZE], m[SIZE] = {0}, v[SIZE] = {0};
  memcpy(at, numbers("judge", "layers.0.weight"), DOMAINS * D * sizeof *at);
  memcpy(at + DOMAINS * D, numbers("judge", "layers.0.bias"), DOMAINS * sizeof *at);
  for (int t = 1; t <= 3; t++) {
    const tn_fields *rows = rows_of(5, 3, 10 * t);
    const double *z = tn_f64(tn_field(rows, "image"));
    double g[SIZE] = {0};
    for (int i = 0; i < 8; i++) {
      double p[DOMAINS];
      ask(at, at + DOMAINS * D, z + i * D, p);
      for (int e = 0; e < DOMAINS; e++) {
        const double slope = (p[e] - (e == (i >= 5))) / (2 * (i < 5 ? 5. : 3.));
        for (int k = 0; k < D; k++) g[e * D + k] += slope * z[i * D + k];
        g[DOMAINS * D + e] += slope;
      }
    }
    for (int i = 0; i < SIZE; i++) {
      m[i] = 0.9 * m[i] + 0.1 * g[i];
      v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
      at[i] -= 0.01 * m[i] / (1 - pow(0.9, t)) / (sqrt(v[i] / (1 - pow(0.999, t))) + 1e-8);
    }
    after_step(loss, rows);
  }
  for (int i = 0; i < DOMAINS * D; i++) EXPECT_NEAR(numbers("judge", "layers.0.weight")[i], at[i], 1e-12);
  for (int e = 0; e < DOMAINS; e++)
    EXPECT_NEAR(numbers("judge", "layers.0.bias")[e], at[DOMAINS * D + e], 1e-12);
}

/* It goes on from the same state, in another loss with another discriminator. */
Test(discriminator, goes_on_from_its_state) {
  harness_open("float64", SECTIONS JUDGE LOSS ADAM
               "[other]\nuse = model.mlp\nhidden =\n[fresh]\nuse = optimizer.adam\nlr = 0.01\n"
               "[m]\nuse = loss.domain_specific\ndiscriminator = other\ndiscriminator_optimizer = fresh\n");
  const tn_component *l = loss_of("l"), *m = loss_of("m");
  for (int t = 0; t < 3; t++) after_step(l, rows_of(8, 8, 10 * t));
  harness_state *state = harness_save(l), *moments = harness_save(harness_component("adam#1"));
  harness_load(m, state);
  harness_load(harness_component("fresh#1"), moments);
  harness_forget(state);
  harness_forget(moments);
  tn_params_copy(tn_parameters(harness_component("other")), tn_parameters(harness_component("judge")));
  for (int t = 3; t < 6; t++) {
    after_step(l, rows_of(8, 8, 10 * t));
    after_step(m, rows_of(8, 8, 10 * t));
  }
  for (int i = 0; i < DOMAINS * D; i++)
    EXPECT_REAL(numbers("other", "layers.0.weight")[i], numbers("judge", "layers.0.weight")[i]);
}

/* Weights of the heads: 0 for the joint one; of domain e, ~ (mean over the batch, or of the row, of
 * softmax(d(z))_e)^gamma, or all for the largest. */
Test(discriminator, weighs_the_heads_by_what_it_finds) {
  static const struct {
    const char *section;
    double gamma;
    bool by_row;
  } rules[] = {{"best", -1, false}, {"soft", 1, false}, {"sharp", 3, false},
               {"even", 0, false},  {"row", -1, true},  {"row_soft", 1, true}};
  harness_open("float64", SECTIONS JUDGE DRM("best", "") DRM("soft", "gamma = 1") DRM("sharp", "gamma = 3")
                              DRM("even", "gamma = 0") DRM("row", "unit = sample")
                                  DRM("row_soft", "unit = sample\ngamma = 1"));
  for (size_t r = 0; r < TN_ARRAY_LENGTH(rules); r++) {
    const tn_component *predictor = predictor_of(rules[r].section);
    double *w = numbers("judge", "layers.0.weight");
    for (int k = 0; r == 0 && k < DOMAINS * D; k++) w[k] *= 12; /* surer, and not of all rows alike */
    const tn_fields *inputs = rows_of(5, 15, 40), *outputs = predict(predictor, inputs);
    const double *b = numbers("judge", "layers.0.bias"), *z = tn_f64(tn_field(inputs, "image"));
    double found[20][DOMAINS], mean[DOMAINS] = {0};
    int ones = 0;
    for (int i = 0; i < 20; i++) {
      ask(w, b, z + i * D, found[i]);
      ones += found[i][1] > found[i][0];
      for (int e = 0; e < DOMAINS; e++) mean[e] += found[i][e] / 20;
    }
    cr_assert(ones > 0 && ones < 20, "the rule of a row must differ from that of the batch: %d", ones);
    for (int i = 0; i < 20; i++) {
      const double *p = rules[r].by_row ? found[i] : mean;
      double share[DOMAINS], wanted[CLASSES] = {0};
      for (int e = 0; e < DOMAINS; e++)
        share[e] = rules[r].gamma < 0
                       ? p[e] > p[1 - e]
                       : pow(p[e], rules[r].gamma) / (pow(p[0], rules[r].gamma) + pow(p[1], rules[r].gamma));
      for (int h = 1; h < HEADS; h++) {
        const tn_tensor *logits = tn_field(outputs, "head_logits");
        double total = 0;
        for (int c = 0; c < CLASSES; c++) total += exp(harness_at(logits, (i * HEADS + h) * CLASSES + c));
        for (int c = 0; c < CLASSES; c++)
          wanted[c] += share[h - 1] * exp(harness_at(logits, (i * HEADS + h) * CLASSES + c)) / total;
      }
      for (int c = 0; c < CLASSES; c++)
        EXPECT_NEAR(harness_at(tn_field(outputs, "probability"), i * CLASSES + c), wanted[c], 1e-13);
    }
  }
}

/* Digits and negatives are easy to tell apart: after 60 steps the head of every batch's own domain answers.
 */
Test(discriminator, finds_the_domain_that_it_has_learnt) {
  harness_open("float64", SECTIONS "[judge]\nuse = model.mlp\nhidden = 16\n" LOSS ADAM DRM("p", "")
                              DRM("s", "unit = sample"));
  const tn_component *loss = loss_of("l");
  for (int t = 0; t < 60; t++) after_step(loss, rows_of(12, 12, 12 * t));
  double *b = numbers("net", "head.bias");
  for (int h = 0; h < HEADS; h++) b[h * CLASSES + h] = 100; /* head h says h */
  const tn_component *p = predictor_of("p"), *s = predictor_of("s");
  for (int d = 0; d < DOMAINS; d++)
    for (int64_t from = 800; from < 1000; from += 20) {
      const tn_fields *inputs = rows_of(d ? 0 : 20, d ? 20 : 0, from);
      const tn_fields *batch = predict(p, inputs), *row = predict(s, inputs);
      for (int i = 0; i < 20; i++) {
        EXPECT_INT(tn_i64(tn_field(batch, "label"))[i], d + 1);
        EXPECT_INT(tn_i64(tn_field(row, "label"))[i], d + 1);
      }
    }
}

#define RUN                                                                                         \
  "[pipeline]\nname = d\nseed = 3\nstages = train, stream\nobservers =\n" SECTIONS LOSS ADAM        \
  "[judge]\nuse = model.mlp\nhidden = 16\ndropout = 0.1\n" DRM(                                     \
      "drm", "") "[train]\nuse = stage.supervised\ndata = two\nmodel = net\nloss = l\noptimizer = " \
                 "adam\nbatch = 64\n"                                                               \
                 "sampler = sampler.balanced\nsteps = 40\n"                                         \
                 "[stream]\nuse = stage.test_stream\npredictor = drm\nfit = two\ndata = two\nbatch = 32\n"

/* Trained in a pipeline, with the section of the model's own Adam: the model gets the same bits as without a
 * discriminator, and the heads are found. Parts of a batch are seen one after another. */
Test(discriminator, leaves_the_model_alone) {
  static const char *const without[] = {"l.discriminator=", "drm.gap=prototype"},
                           *const parts[] = {"train.micro_batches=2"};
  tn_pipeline *p = harness_run(RUN, NULL, 0);
  tn_pipeline *q = harness_run(RUN, without, 2);
  const tn_params *a = tn_pipeline_parameters(p, tn_pipeline_find(p, "net"));
  const tn_params *b = tn_pipeline_parameters(q, tn_pipeline_find(q, "net"));
  for (uint32_t i = 0; i < tn_params_count(a); i++) {
    tn_param_entry x, y;
    tn_params_entry(a, i, &x);
    tn_params_entry(b, i, &y);
    EXPECT_INT(memcmp(tn_data(x.tensor), tn_data(y.tensor), (size_t)tn_numel(x.tensor) * sizeof(float)), 0);
  }
  EXPECT_REAL(harness_result(p, "stream.accuracy"), harness_result(q, "stream.accuracy"));
  tn_pipeline_close(q);
  tn_pipeline_close(p);
  p = harness_run(RUN, parts, 1);
  cr_assert(harness_result(p, "stream.accuracy") > 0.7);
  tn_pipeline_close(p);
}

Test(discriminator, refusals_say_what_is_missing) {
  static const struct {
    const char *override, *why;
  } cases[] = {{"drm.discriminator=", "`discriminator`"},
               {"judge.output=3", "one logit for each of the 2 domains"},
               {"judge.norm=batch", "running statistics"},
               {"l.features=picture", "picture"}};
  for (size_t i = 0; i < TN_ARRAY_LENGTH(cases); i++) {
    tn_error error = {0};
    tn_pipeline *p = harness_try(RUN, &cases[i].override, 1, &error);
    EXPECT_CONTAINS(error.text, cases[i].why);
    tn_pipeline_close(p);
  }
}
