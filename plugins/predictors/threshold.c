// SPDX-License-Identifier: MIT
/* A trained network of two classes whose decision threshold is tuned: fit finds the cut of the logit (of two
 * logits, of their difference) with the best value of a metric of the confusion matrix on the training data.
 * It is what a loss made of such a metric must be compared with (Han et al. 2024).
 *
 * Outputs: `logits`, moved so that the decision lies at 0 (of two: where they are equal), for the metrics;
 * `label`, which side of the cut; `probability` of both classes, as the network has it. */
#include "backbone.h"
#include "../stages/threshold.h"

struct threshold {
  const tn_component *model;
  int32_t metric;
  double beta;

  bool fitted;
  double cut; /* logit above which class 1 is predicted */
};
static const tn_param threshold_params[] = {
    BACKBONE_PARAM(struct threshold),
    TN_CHOICE(struct threshold, metric, "f1", BINARY_METRICS,
              "what is best at the threshold, on the data of fit"),
    TN_PARAM_(struct threshold, beta, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "1", 0, INFINITY, NULL, NULL,
              NULL, "of metric = f_beta"),
};

static tn_status threshold_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  const struct threshold *p = self;
  const tn_spec *outputs;
  tn_status status = tn_declare_component(p->model, inputs, &outputs);
  if (status >= 0) status = threshold_check(outputs);
  if (status < 0) return status;
  const int64_t width = tn_spec_numel(tn_spec_get(outputs, "logits"));
  tn_declare_output(declaration, "logits", TN_FLOAT, TN_SHAPE(width), 0);
  tn_declare_output(declaration, "probability", TN_FLOAT, TN_SHAPE(2), 0);
  return TN_OK;
}

struct collection {
  struct scored *samples;
  int64_t count;
};
static tn_status collect(void *self, const tn_fields *inputs, const tn_fields *outputs) {
  struct collection *all = self;
  return threshold_collect(tn_field(outputs, "logits"), tn_field(inputs, "label"), all->samples, &all->count);
}

static tn_status threshold_fit(void *self, const tn_component *data, const tn_references *transforms) {
  struct threshold *p = self;
  const int64_t rows = tn_dataset_rows(data);
  if (rows < 0) return TN_ERROR_MISSING;
  struct collection all = {tn_alloc((size_t)(rows + 1) * sizeof *all.samples), 0};
  tn_status status = all.samples ? backbone_each(p->model, data, transforms, collect, &all) : TN_ERROR_MEMORY;
  if (status >= 0 && all.count == 0) status = tn_fail(TN_ERROR_INVALID, "no row has a label");
  if (status >= 0) {
    p->cut = threshold_best(all.samples, all.count, p->metric, p->beta);
    p->fitted = true;
    tn_info("class 1 from a probability of %.4g on", 1 / (1 + exp(-p->cut)));
  }
  tn_free(all.samples);
  return status;
}

static tn_status threshold_predict(void *self, const tn_fields *inputs, tn_fields *outputs) {
  const struct threshold *p = self;
  if (!p->fitted) return tn_fail(TN_ERROR_INVALID, "not fitted");
  const bool recording = tn_record(false);
  const tn_fields *made = backbone_outputs(p->model, NULL, inputs, TN_NORM_DEFAULT);
  tn_record(recording);
  if (!made) return TN_ERROR_INVALID;
  tn_tensor *logits = tn_flatten(tn_field(made, "logits")); /* (n, 1 or 2) */
  if (tn_failed()) return tn_outcome();
  const bool two = tn_dim(logits, 1) == 2;
  tn_tensor *moved = threshold_shift(logits, p->cut);
  tn_tensor *zero = tn_zeros(logits->dtype, TN_SHAPE(tn_dim(logits, 0), 1));
  tn_tensor *z[] = {zero, logits}, *d[] = {zero, moved};
  tn_fields_merge(outputs, made);
  tn_fields_set(outputs, "logits", moved);
  tn_fields_set(outputs, "probability", tn_softmax(two ? logits : tn_concatenate(z, 2, 1), 1));
  tn_fields_set(outputs, "label", tn_argmax(two ? moved : tn_concatenate(d, 2, 1), 1)); /* ties: class 0 */
  return tn_outcome();
}

static tn_status threshold_state(void *self, const tn_visitor *visitor) {
  struct threshold *p = self;
  tn_visit_boolean(visitor, "fitted", &p->fitted);
  return tn_visit_real(visitor, "cut", &p->cut);
}

static const tn_class threshold_class = {
    .size = sizeof(tn_class),
    .kind = TN_PREDICTOR,
    .name = "threshold",
    .summary = "The trained network of two classes, its decision threshold tuned for a metric",
    .reference = "Han et al. 2024, AnyLoss: Transforming Classification Metrics into Loss Functions",
    TN_CLASS_PARAMS(threshold_params),
    .instance_size = sizeof(struct threshold),
    .vtable = &(const tn_predictor){.size = sizeof(tn_predictor),
                                    .fit = threshold_fit,
                                    .predict = threshold_predict,
                                    .declare = threshold_declare},
    .state = threshold_state};
TN_PLUGIN("predictor_threshold", "1.0.0", "MIT", &threshold_class)
