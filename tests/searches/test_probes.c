// SPDX-License-Identifier: MIT
/* Metrics that look around a model's parameters, on losses known in closed form and on a supernet. */
#include "../models/support.h"
#include <stdlib.h>
#include <string.h>
#include <tenon/dataset.h>
#include <tenon/metric.h>
#include <tenon/supernet.h>
#include <unistd.h>

static void start(void) { harness_fixture("searches/fixtures/toys.c"); }
TestSuite(probes, .init = start, .fini = harness_close, .timeout = 60);

static const tn_component *declared(const char *model, const char *loss, const char *data) {
  const tn_component *m = harness_component(model);
  tn_spec *spec = tn_spec_new();
  const tn_spec *outputs;
  cr_assert(tn_dataset_describe(harness_component(data), spec) >= 0, "%s", harness_failure());
  cr_assert(tn_declare_component(m, spec, &outputs) >= 0, "%s", harness_failure());
  cr_assert(tn_declare_component(harness_component(loss), outputs, NULL) >= 0, "%s", harness_failure());
  tn_spec_release(spec);
  return m;
}

typedef struct sink {
  tn_metric_sink head; /* first: the sink is its head */
  const char *name;
  double value;
} sink;
static void take(tn_metric_sink *head, const char *name, double value) {
  sink *s = (sink *)head;
  if (strcmp(name, s->name) == 0) s->value = value;
}
/* Figure `name` of section [metric], measured on `rows` of `data`. */
static double figure(const tn_metric_probe *probe, const char *name) {
  sink s = {{sizeof s.head, take}, name, NAN};
  cr_assert(tn_metric_measure(harness_component("metric"), probe, &s.head) >= 0, "%s", harness_failure());
  return s.value;
}
static tn_metric_probe probe_of(const char *model, const char *loss, const char *data) {
  const tn_component *m = declared(model, loss, data);
  return (tn_metric_probe){.size = sizeof(tn_metric_probe),
                           .model = m,
                           .params = tn_parameters(m),
                           .loss = harness_component(loss),
                           .data = harness_component(data)};
}

#define DIGITS "[digits]\nuse = dataset.csv\nfile = " TN_SOURCE_ROOT "/examples/data/digits.csv.gz\n"

/* The figure of a quadratic at w; a metric with `keys`. */
static double of_quadratic(const char *quadratic, const double *w, const char *keys, const char *name) {
  char sections[1024];
  snprintf(sections, sizeof sections,
           DIGITS
           "[value]\nuse = loss.value\n[q]\nuse = model.quadratic\n%s\n[metric]\nrows = 7\nbatch = 3\n%s\n",
           quadratic, keys);
  harness_open("float64", sections);
  const tn_metric_probe probe = probe_of("q", "value", "digits");
  tn_tensor *at = tn_param_tensor(probe.params, 0);
  for (int64_t i = 0; i < tn_numel(at); i++) tn_f64(at)[i] = w[i];
  const double value = figure(&probe, name);
  for (int64_t i = 0; i < tn_numel(at); i++) EXPECT_REAL(tn_f64(at)[i], w[i]); /* left as it was */
  return value;
}

/* One step: rho |g| + rho^2 g'Hg / (2 |g|^2). */
Test(probes, sharpness_of_a_quadratic) {
  static const double w[3] = {0.7, -1.1, 2.0}, slope[3] = {0.3, -0.2, 0.5}, curvature[3] = {3, 1, -0.5};
  const double rho = 0.25;
  double gg = 0, ghg = 0;
  for (int i = 0; i < 3; i++) {
    const double g = slope[i] + curvature[i] * w[i];
    gg += g * g;
    ghg += curvature[i] * g * g;
  }
  const double got = of_quadratic("slope = 0.3, -0.2, 0.5\ncurvature = 3, 1, -0.5", w,
                                  "use = metric.sharpness\nrho = 0.25", "sharpness");
  EXPECT_NEAR(got, rho * sqrt(gg) + rho * rho * ghg / (2 * gg), 1e-13);
}

/* The maximum over the ball: (m I - H) e = g with |e| = rho and m above all eigenvalues; steps of length
 * 2.5 rho / k come within a per cent, one step falls short of it. */
Test(probes, sharpness_by_many_steps_is_the_maximum_over_the_ball) {
  static const double w[3] = {0, 0, 0}, slope[3] = {0.8, 1, 0.2}, curvature[3] = {3, 1, -0.5};
  double low = 3, high = 100;
  for (int k = 0; k < 200; k++) {
    const double m = (low + high) / 2;
    double norm = 0;
    for (int i = 0; i < 3; i++) norm += pow(slope[i] / (m - curvature[i]), 2);
    *(norm > 1 ? &low : &high) = m;
  }
  double most = 0;
  for (int i = 0; i < 3; i++) {
    const double e = slope[i] / (low - curvature[i]);
    most += slope[i] * e + curvature[i] * e * e / 2;
  }
  static const char quadratic[] = "slope = 0.8, 1, 0.2\ncurvature = 3, 1, -0.5";
  const double many = of_quadratic(quadratic, w, "use = metric.sharpness\nrho = 1\nsteps = 200", "sharpness");
  const double one = of_quadratic(quadratic, w, "use = metric.sharpness\nrho = 1", "sharpness");
  cr_assert(many > 0.99 * most && many <= most + 1e-9, "maximum %.9g, got %.9g", most, many);
  cr_assert(one < 0.9 * most, "one step is enough here: %.9g of %.9g", one, most);
}

Test(probes, largest_eigenvalues_by_power_iteration) {
  static const double w[3] = {1, 2, 3};
  static const char keys[] = "use = metric.hessian_eigenvalue\nwrt = weights\niterations = 60";
  EXPECT_NEAR(of_quadratic("curvature = 3, 1, -0.5", w, keys, "hessian_eigenvalue"), 3, 1e-12);
  /* the largest, not the largest in absolute value */
  EXPECT_NEAR(of_quadratic("curvature = 1, 0.2, -3", w, keys, "hessian_eigenvalue"), 1, 1e-12);
  EXPECT_NEAR(of_quadratic("curvature = -1, -2, -3", w, keys, "hessian_eigenvalue"), -1, 1e-9);
  EXPECT_NEAR(of_quadratic("curvature = 0, 0, 0\nslope = 1, 1, 1", w, keys, "hessian_eigenvalue"), 0, 0);
  EXPECT_NEAR(of_quadratic("curvature = 3, 1, -0.5", w,
                           "use = metric.sharpness\nmode = hessian\niterations = 60", "sharpness"),
              3, 1e-12);
}

/* A row of `flags` whose input is `flag`. */
static int64_t row_of(double flag) {
  const tn_component *flags = harness_component("flags");
  for (int64_t i = 0; i < tn_dataset_rows(flags); i++) {
    tn_fields *fields = tn_fields_new();
    cr_assert(tn_dataset_read(flags, &i, 1, fields) >= 0, "%s", harness_failure());
    if (harness_at(tn_field(fields, "input"), 0) == flag) return i;
  }
  cr_assert(false, "no row of %g", flag);
  return -1;
}

/* (w - flag alpha)^2 / 2 with w = 2, alpha = 0.5: the rows of the probe decide whether alpha is in it, and
 * `wrt` which of the two moves. */
Test(probes, rows_and_parameters_are_those_asked_for) {
  char path[] = "/tmp/tenon-flags-XXXXXX", sections[1024];
  const int file = mkstemp(path);
  cr_assert(write(file, "flag,target\n1,0\n0,0\n1,0\n", 24) == 24);
  close(file);
  static const struct {
    const char *wrt;
    double flag;
    double norm, curvature; /* of the gradient and along it */
  } cases[] = {{"weights", 1, 1.5, 1},
               {"weights", 0, 2, 1},
               {"alpha", 1, 1.5, 1},
               {"alpha", 0, 0, 0},
               {"all", 1, 1.5 * M_SQRT2, 2}};
  for (size_t k = 0; k < TN_ARRAY_LENGTH(cases); k++) {
    snprintf(sections, sizeof sections,
             "[flags]\nuse = dataset.csv\nfile = %s\nheader = yes\ntarget = target\ntest = 0\n"
             "[value]\nuse = loss.value\n[toy]\nuse = model.toy\n"
             "[metric]\nuse = metric.sharpness\nrho = 0.1\nwrt = %s\n",
             path, cases[k].wrt);
    harness_open("float64", sections);
    tn_metric_probe probe = probe_of("toy", "value", "flags");
    const int64_t row = row_of(cases[k].flag);
    probe.rows = &row;
    probe.row_count = 1;
    EXPECT_NEAR(figure(&probe, "sharpness"), 0.1 * cases[k].norm + 0.005 * cases[k].curvature, 1e-13);
  }
  unlink(path);
}

Test(probes, what_cannot_be_measured_is_refused) {
  sink s = {{sizeof s.head, take}, "sharpness", NAN};
  harness_open("float64", DIGITS "[value]\nuse = loss.value\n[q]\nuse = model.quadratic\n"
                                 "[metric]\nuse = metric.hessian_eigenvalue\n");
  tn_metric_probe probe = probe_of("q", "value", "digits");
  cr_assert(tn_metric_measure(harness_component("metric"), &probe, &s.head) < 0);
  EXPECT_CONTAINS(harness_failure(), "'q' is no supernet");
  harness_open("float64", DIGITS "[value]\nuse = loss.value\n[q]\nuse = model.quadratic\n"
                                 "[metric]\nuse = metric.sharpness\n");
  probe = probe_of("q", "value", "digits");
  probe.loss = NULL;
  cr_assert(tn_metric_measure(harness_component("metric"), &probe, &s.head) < 0);
  EXPECT_CONTAINS(harness_failure(), "it needs a loss");
}

/* ---- the gap, by hand ---- */

static double accuracy_at(const tn_component *m, const tn_params *params, const tn_fields *batch) {
  tn_rng rng = tn_rng_at("probes", "test", 0);
  tn_model_call call = {.size = sizeof call, .params = params, .inputs = batch, .rng = &rng};
  call.outputs = tn_fields_new();
  call.progress = (tn_progress){.size = sizeof call.progress, .mode = TN_EVALUATE};
  cr_assert(tn_model_apply(m, &call) >= 0, "%s", harness_failure());
  const tn_tensor *chosen = tn_argmax(tn_field(call.outputs, "logits"), 1), *label = tn_field(batch, "label");
  double hits = 0;
  for (int64_t i = 0; i < tn_numel(chosen); i++) hits += tn_i64(chosen)[i] == tn_i64(label)[i];
  return hits / (double)tn_numel(chosen);
}

Test(probes, gap_is_what_the_genotype_leaves_out) {
  static const char *const rescale[] = {"no", "yes"};
  for (int k = 0; k < 2; k++) {
    char sections[1024];
    snprintf(sections, sizeof sections,
             DIGITS "image = 1, 8, 8\n[ce]\nuse = loss.cross_entropy\n[m]\nuse = model.darts_supernet\n"
                    "channels = 4\ncells = 2\nreductions = 1\nnodes = 2\n"
                    "[metric]\nuse = metric.discretisation_gap\nrescale = %s\n",
             rescale[k]);
    harness_open("float64", sections);
    tn_metric_probe probe = probe_of("m", "ce", "digits");
    const tn_component *m = probe.model;
    /* Alphas that matter, and a head that prefers classes. */
    tn_params *params = tn_params_clone(tn_parameters(m));
    tn_supernet_table table;
    for (uint32_t t = 0; tn_supernet_of(m)->table(m->self, t, &table) >= 0; t++) {
      tn_tensor *alpha = tn_param_tensor(params, table.alpha);
      for (int64_t i = 0; i < tn_numel(alpha); i++) tn_f64(alpha)[i] = sin(3.0 * (double)i + t);
    }
    int64_t rows[300];
    for (int64_t i = 0; i < 300; i++) rows[i] = 4 * i;
    probe.params = params;
    probe.rows = rows;
    probe.row_count = 300;
    const double gap = figure(&probe, "discretisation_gap"), left = figure(&probe, "discretised_accuracy");

    tn_fields *batch = tn_fields_new();
    cr_assert(tn_dataset_read(probe.data, rows, 300, batch) >= 0, "%s", harness_failure());
    const double whole = accuracy_at(m, params, batch);
    char *genotype = NULL;
    tn_rng rng = tn_rng_at("probes", "derive", 0);
    cr_assert(tn_supernet_of(m)->derive(m->self, params, "", &rng, &genotype) >= 0, "%s", harness_failure());
    cr_assert(tn_supernet_of(m)->discretise(m->self, params, genotype, k == 1) >= 0, "%s", harness_failure());
    EXPECT_NEAR(left, accuracy_at(m, params, batch), 1e-12);
    EXPECT_NEAR(gap, whole - left, 1e-12);
    cr_assert(fabs(gap) > 0, "the genotype's network is as good: nothing is tested");
    tn_free(genotype);
    tn_params_release(params);
  }
}
