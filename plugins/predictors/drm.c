// SPDX-License-Identifier: MIT
/* DRM (Zhang et al. 2023, Domain-Specific Risk Minimization for Out-of-Distribution Generalization): one head
 * a source domain and a joint one, head 0; for each test batch, heads are chosen or mixed by an estimate of
 * their gap. Head logits l_i, their probabilities p_i, their entropies e_i:
 *
 * - entropy, gamma < 0: the head of least e_i, averaged over the batch or, with unit = sample, of each row;
 *   gamma >= 0: sum_i weight_i p_i, weight_i ~ (e_i + 1e-8)^-gamma
 *
 * - prototype: the head of the domain whose mean feature has the largest cosine similarity to the batch's
 *   mean feature (to each row's); gamma >= 0: weight_i ~ (1 - cosine + 1e-8)^-gamma
 *
 * - discriminator: the head of the domain that a network d, trained with the model (loss.domain_specific),
 *   finds in the features z: argmax of softmax(d(z)), its mean over the batch or of each row;
 *   gamma >= 0: weight_i ~ softmax(d(z))_i^gamma, with gamma = 1 the softmax itself
 *
 * - uniform: the mean of all p_i; joint: head 0
 *
 * The joint head takes part in entropy and uniform; it has no prototype and no domain to be found.
 *
 * Retraining after the prediction, heads only: on rows of confidence >= beta, one step on
 * sum_i CE(l_i, label), the label being that of each head itself (own), of the joint head (joint), of the
 * uniform mean (uniform) or of the mixture above (drm). */
#include "../losses/discriminator.h"
#include "backbone.h"
#include "descent.h"

enum { GAP_ENTROPY, GAP_PROTOTYPE, GAP_UNIFORM, GAP_JOINT, GAP_DISCRIMINATOR };
enum { RETRAIN_NONE, RETRAIN_OWN, RETRAIN_JOINT, RETRAIN_UNIFORM, RETRAIN_DRM };

struct drm {
  const tn_component *model, *optimizer, *discriminator;
  const char *head;
  int32_t gap, unit, retrain;
  double gamma, beta;
  int64_t steps;

  int64_t classes, heads, width, step;
  tn_tensor *sums;     /* (heads - 1, width): of the domains' features, float64 */
  int64_t *counts;     /* (heads - 1) */
  tn_params *params;   /* a copy whose heads are retrained */
  tn_params *selected; /* lends the heads */
  tn_params *gradient;
};
static const tn_param drm_params[] = {
    BACKBONE_PARAM(struct drm),
    TN_CHOICE(struct drm, gap, "entropy", "entropy|prototype|uniform|joint|discriminator",
              "how the heads are judged"),
    TN_CHOICE(struct drm, unit, "batch", "batch|sample", "for what a head is chosen"),
    TN_REAL(struct drm, gamma, "-1", -1, 1e6, "sharpness of the mixture; negative: the best head alone"),
    TN_CHOICE(struct drm, retrain, "none", "none|own|joint|uniform|drm", "whose labels the heads learn from"),
    TN_REAL(struct drm, beta, "0.75", 0, 2, "confidence from which a label is learnt from; above 1: never"),
    TN_REFERENCE(struct drm, optimizer, 0, TN_OPTIMIZER, "optimizer.adam", "of the retraining"),
    TN_INTEGER(struct drm, steps, "1", 1, 1000, NULL, "of the optimizer a batch"),
    TN_STRING(struct drm, head, "head.", "names of the heads' parameters begin with this"),
    TN_REFERENCE(struct drm, discriminator, 0, TN_MODEL, NULL,
                 "for gap = discriminator: the network that loss.domain_specific trained"),
};

static tn_status drm_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct drm *p = self;
  const tn_spec *outputs;
  tn_status status = backbone_declare(p->model, inputs, declaration, &p->classes);
  if (status >= 0) status = tn_declare_component(p->model, inputs, &outputs);
  if (status < 0) return status;
  const tn_field_spec *logits = tn_spec_get(outputs, "head_logits");
  if (!logits) return TN_ERROR_MISSING;
  p->heads = logits->shape.dim[0];
  if (p->gap != GAP_DISCRIMINATOR) return TN_OK;
  if (!p->discriminator)
    return tn_fail(TN_ERROR_MISSING, "gap = discriminator: the key `discriminator` must name the network");
  const tn_field_spec *features = tn_spec_get(outputs, "features");
  return features ? discriminator_declare(p->discriminator, features, p->heads - 1) : TN_ERROR_MISSING;
}

/* Adds a batch of training features to the sums of their domains. */
static tn_status gather(void *self, const tn_fields *inputs, const tn_fields *outputs) {
  struct drm *p = self;
  tn_tensor *z = tn_cast(tn_flatten(tn_field(outputs, "features")), TN_F64),
            *domain = tn_field(inputs, "domain");
  if (tn_failed()) return tn_outcome();
  if (!p->sums) {
    p->width = tn_dim(z, 1);
    p->sums = tn_persist(tn_zeros(TN_F64, TN_SHAPE(p->heads - 1, p->width)));
    if (!p->sums) return TN_ERROR_MEMORY;
  }
  for (int64_t i = 0; i < tn_dim(z, 0); i++) {
    const int64_t d = tn_i64(domain)[i];
    if (d < 0 || d >= p->heads - 1) return tn_fail(TN_ERROR_INVALID, "domain %lld has no head", (long long)d);
    p->counts[d]++;
    for (int64_t k = 0; k < p->width; k++) tn_f64(p->sums)[d * p->width + k] += tn_f64(z)[i * p->width + k];
  }
  return TN_OK;
}

static tn_status drm_reset(void *self) {
  struct drm *p = self;
  const tn_params *live = tn_parameters(p->model);
  if (!live) return TN_ERROR_MISSING;
  p->step = 0;
  if (p->params) {
    const tn_status status = tn_params_copy(p->params, live);
    return status < 0 ? status : tn_optimizer_begin(p->optimizer, p->selected);
  }
  p->params = tn_params_clone(live);
  uint32_t *indices = tn_alloc((tn_params_count(live) + 1) * sizeof *indices), count = 0;
  tn_param_entry entry;
  for (uint32_t i = 0; p->params && indices && i < tn_params_count(live); i++)
    if (tn_params_entry(live, i, &entry) == TN_OK && strncmp(entry.name, p->head, strlen(p->head)) == 0)
      indices[count++] = i;
  if (p->params && indices && count) p->selected = tn_params_select(p->params, indices, count);
  tn_free(indices);
  if (count == 0) return tn_fail(TN_ERROR_MISSING, "'%s' has no parameters '%s...'", p->model->name, p->head);
  if (!p->selected || !(p->gradient = tn_params_like(p->selected))) return TN_ERROR_MEMORY;
  return tn_optimizer_begin(p->optimizer, p->selected);
}

static tn_status drm_fit(void *self, const tn_component *data, const tn_references *transforms) {
  struct drm *p = self;
  tn_status status = TN_OK;
  if (p->gap == GAP_PROTOTYPE) {
    tn_free(p->counts);
    tn_release(p->sums);
    p->sums = NULL;
    p->counts = tn_alloc((size_t)p->heads * sizeof *p->counts);
    status = p->counts ? backbone_each(p->model, data, transforms, gather, p) : TN_ERROR_MEMORY;
  }
  return status < 0 ? status : drm_reset(p);
}

/* ---- gaps (units, heads): small is good, a head of INFINITY is not used ---- */

static void average_rows(double *gap, int64_t n, int64_t heads) {
  for (int64_t h = 0; h < heads; h++) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += gap[i * heads + h];
    gap[h] = sum / (double)n;
  }
}

static void entropies(const struct drm *p, const double *log_p, int64_t n, double *gap) {
  for (int64_t i = 0; i < n * p->heads; i++) {
    gap[i] = 0;
    for (int64_t c = 0; c < p->classes; c++) {
      const double l = log_p[i * p->classes + c];
      gap[i] -= exp(l) * l;
    }
  }
  if (p->unit == 0) average_rows(gap, n, p->heads);
}

static double cosine(const double *a, const double *b, int64_t n) {
  double ab = 0, aa = 0, bb = 0;
  for (int64_t k = 0; k < n; k++) ab += a[k] * b[k], aa += a[k] * a[k], bb += b[k] * b[k];
  return ab / fmax(sqrt(aa * bb), 1e-24);
}

/* 1 - cosine; features (n, ...) */
static tn_status distances(const struct drm *p, tn_tensor *features, double *gap) {
  if (!p->sums) return tn_fail(TN_ERROR_INVALID, "not fitted");
  const tn_tensor *all = tn_cast(tn_flatten(features), TN_F64);
  if (tn_failed()) return tn_outcome();
  const int64_t n = tn_dim(all, 0);
  const double *z = tn_f64(all);
  double *mean = tn_alloc((size_t)p->width * sizeof *mean);
  if (!mean) return TN_ERROR_MEMORY;
  for (int64_t i = 0; i < n; i++)
    for (int64_t k = 0; k < p->width; k++) mean[k] += z[i * p->width + k] / (double)n;
  for (int64_t i = 0; i < (p->unit == 0 ? 1 : n); i++) {
    const double *row = p->unit == 0 ? mean : z + i * p->width;
    gap[i * p->heads] = INFINITY; /* the joint head has no domain */
    for (int64_t d = 0; d < p->heads - 1; d++)
      gap[i * p->heads + d + 1] =
          p->counts[d] ? 1 - cosine(row, tn_f64(p->sums) + d * p->width, p->width) : INFINITY;
  }
  tn_free(mean);
  return TN_OK;
}

/* 1 / softmax(d(z)); features (n, ...) */
static tn_status doubts(const struct drm *p, tn_tensor *features, double *gap) {
  const bool recording = tn_record(false);
  tn_tensor *logits = discriminator_logits(p->discriminator, features, TN_EVALUATE, 0);
  tn_tensor *found = tn_softmax(tn_cast(logits, TN_F64), 1); /* (n, heads - 1) */
  if (p->unit == 0) found = tn_reduce(TN_MEAN, found, 0, true);
  tn_record(recording);
  if (tn_failed()) return tn_outcome();
  const int64_t domains = p->heads - 1;
  for (int64_t i = 0; i < tn_dim(found, 0); i++) {
    gap[i * p->heads] = INFINITY; /* the joint head has no domain */
    for (int64_t d = 0; d < domains; d++) gap[i * p->heads + d + 1] = 1 / tn_f64(found)[i * domains + d];
  }
  return TN_OK;
}

/* ---- mixing ---- */

/* Weights of the heads for one unit, into `weight` (heads); they sum to 1. */
static void weigh(const struct drm *p, const double *gap, double *weight) {
  const double shift = p->gap == GAP_DISCRIMINATOR ? 0 : 1e-8; /* other gaps may be 0 */
  int64_t best = 0;
  double total = 0;
  for (int64_t h = 1; h < p->heads; h++)
    if (gap[h] < gap[best]) best = h;
  for (int64_t h = 0; h < p->heads; h++) {
    if (p->gap == GAP_UNIFORM)
      weight[h] = 1;
    else if (p->gap == GAP_JOINT)
      weight[h] = h == 0;
    else if (p->gamma < 0)
      weight[h] = h == best;
    else /* relative to the best, so that no power overflows */
      weight[h] = isinf(gap[h]) ? 0 : pow((gap[best] + shift) / (gap[h] + shift), p->gamma);
    total += weight[h];
  }
  for (int64_t h = 0; h < p->heads; h++) weight[h] /= total;
}

static tn_status mix(const struct drm *p, const tn_tensor *log_p, tn_tensor *features, double *out) {
  const int64_t n = tn_dim(log_p, 0), heads = p->heads, classes = p->classes;
  double *gap = tn_alloc((size_t)(n * heads + heads) * sizeof *gap), *weight = gap ? gap + n * heads : NULL;
  if (!gap) return TN_ERROR_MEMORY;
  tn_status status = TN_OK;
  if (p->gap == GAP_PROTOTYPE)
    status = distances(p, features, gap);
  else if (p->gap == GAP_DISCRIMINATOR)
    status = doubts(p, features, gap);
  else
    entropies(p, tn_f64(log_p), n, gap);
  for (int64_t i = 0; status >= 0 && i < n; i++) {
    weigh(p, gap + (p->unit == 0 ? 0 : i * heads), weight);
    for (int64_t c = 0; c < classes; c++) {
      out[i * classes + c] = 0;
      for (int64_t h = 0; h < heads; h++)
        if (weight[h] > 0)
          out[i * classes + c] += weight[h] * exp(tn_f64(log_p)[(i * heads + h) * classes + c]);
    }
  }
  tn_free(gap);
  return status;
}

static tn_status drm_predict(void *self, const tn_fields *inputs, tn_fields *outputs) {
  struct drm *p = self;
  if (!p->params) return tn_fail(TN_ERROR_INVALID, "not fitted");
  const bool recording = tn_record(false);
  const tn_fields *made = backbone_outputs(p->model, p->params, inputs, TN_NORM_RUNNING);
  tn_record(recording);
  if (!made) return TN_ERROR_INVALID;
  tn_tensor *logits = tn_field(made, "head_logits"), *features = tn_field(made, "features");
  tn_tensor *log_p = tn_cast(tn_log_softmax(logits, 2), TN_F64); /* (n, heads, classes) */
  tn_tensor *probability = tn_empty(TN_F64, TN_SHAPE(tn_dim(logits, 0), p->classes));
  if (tn_failed()) return tn_outcome();
  const tn_status status = mix(p, log_p, features, tn_f64(probability));
  tn_fields_set(outputs, "features", features);
  tn_fields_set(outputs, "head_logits", logits);
  tn_fields_set(outputs, "probability", tn_cast(probability, logits->dtype));
  tn_fields_set(outputs, "label", tn_argmax(probability, 1));
  return status;
}

/* ---- retraining ---- */

/* Labels (n heads) and their weights, 1 where learnt from, out of what predict gave. */
static void pseudo_labels(const struct drm *p, const tn_fields *outputs, tn_tensor *label,
                          tn_tensor *weight) {
  tn_tensor *each = tn_cast(tn_softmax(tn_field(outputs, "head_logits"), 2), TN_F64);
  tn_tensor *mixture = tn_cast(tn_field(outputs, "probability"), TN_F64), *mean = tn_mean_axis(each, 1);
  const int64_t n = tn_dim(each, 0), heads = p->heads, classes = p->classes;
  for (int64_t i = 0; !tn_failed() && i < n; i++)
    for (int64_t h = 0; h < heads; h++) {
      const double *from = p->retrain == RETRAIN_OWN       ? tn_f64(each) + (i * heads + h) * classes
                           : p->retrain == RETRAIN_JOINT   ? tn_f64(each) + i * heads * classes
                           : p->retrain == RETRAIN_UNIFORM ? tn_f64(mean) + i * classes
                                                           : tn_f64(mixture) + i * classes;
      int64_t best = 0;
      for (int64_t c = 1; c < classes; c++)
        if (from[c] > from[best]) best = c;
      tn_i64(label)[i * heads + h] = best;
      tn_f64(weight)[i * heads + h] = from[best] >= p->beta;
    }
}

/* Samples (n) are averaged, heads are summed. NULL: no sample is certain enough. */
static tn_tensor *head_loss(const struct drm *p, tn_tensor *logits, tn_tensor *label,
                            const tn_tensor *weight) {
  double count = 0;
  for (int64_t i = 0; i < tn_numel(weight); i++) count += tn_f64(weight)[i];
  if (count == 0) return NULL;
  const int64_t rows = tn_numel(weight);
  tn_tensor *each = tn_cross_entropy(tn_reshape(logits, TN_SHAPE(rows, p->classes)), label, 0);
  return tn_scale(tn_sum(tn_mul(each, tn_cast((tn_tensor *)(uintptr_t)weight, logits->dtype))),
                  (double)p->heads / count);
}

struct retraining {
  const tn_fields *inputs;
  tn_tensor *label, *weight; /* (n heads) */
};
static tn_status drm_objective(void *self, const void *batch, tn_tensor **loss) {
  const struct drm *p = self;
  const struct retraining *r = batch;
  const tn_fields *made = backbone_outputs(p->model, p->params, r->inputs, TN_NORM_RUNNING);
  if (!made) return TN_ERROR_INVALID;
  *loss = head_loss(p, tn_field(made, "head_logits"), r->label, r->weight);
  return TN_OK;
}

static tn_status drm_adapt(void *self, const tn_fields *inputs, const tn_fields *outputs) {
  struct drm *p = self;
  if (p->retrain == RETRAIN_NONE) return TN_OK;
  const int64_t rows = tn_dim(tn_field(outputs, "head_logits"), 0) * p->heads;
  const struct retraining batch = {inputs, tn_zeros(TN_I64, TN_SHAPE(rows)),
                                   tn_zeros(TN_F64, TN_SHAPE(rows))};
  pseudo_labels(p, outputs, batch.label, batch.weight);
  const struct descent descent = {p->optimizer, p->selected, p->gradient, &p->step};
  return descend(&descent, p->steps, drm_objective, p, &batch);
}

static void drm_destroy(void *self) {
  struct drm *p = self;
  tn_params_release(p->gradient);
  tn_params_release(p->selected);
  tn_params_release(p->params);
  tn_release(p->sums);
  tn_free(p->counts);
}

static tn_status drm_state(void *self, const tn_visitor *visitor) {
  struct drm *p = self;
  bool fitted = p->params != NULL, prototypes = p->sums != NULL;
  tn_visit_integer(visitor, "step", &p->step);
  tn_visit_integer(visitor, "width", &p->width);
  tn_visit_boolean(visitor, "prototypes", &prototypes);
  tn_status status = tn_visit_boolean(visitor, "fitted", &fitted);
  if (status >= 0 && prototypes) {
    void *counts = p->counts;
    size_t bytes = (size_t)p->heads * sizeof *p->counts;
    tn_visit_tensor(visitor, "sums", &p->sums);
    status = tn_visit_block(visitor, "counts", &counts, &bytes);
    p->counts = counts;
    if (status >= 0 && bytes != (size_t)p->heads * sizeof *p->counts)
      return tn_fail(TN_ERROR_INVALID, "the saved prototypes are not those of %lld heads",
                     (long long)p->heads);
  }
  if (status < 0 || !fitted) return status;
  if (!p->params)
    return tn_fail(TN_ERROR_INVALID, "the state is that of a fitted predictor, but this one is not fitted");
  return tn_visit_params(visitor, "params", &p->params);
}

static const tn_class drm_class = {
    .size = sizeof(tn_class),
    .kind = TN_PREDICTOR,
    .name = "drm",
    .summary = "One head a source domain, chosen or mixed for each test batch",
    .reference =
        "Zhang et al. 2023, Domain-Specific Risk Minimization for Out-of-Distribution Generalization",
    TN_CLASS_PARAMS(drm_params),
    .instance_size = sizeof(struct drm),
    .vtable = &(const tn_predictor){.size = sizeof(tn_predictor),
                                    .fit = drm_fit,
                                    .predict = drm_predict,
                                    .declare = drm_declare,
                                    .adapt = drm_adapt,
                                    .reset = drm_reset},
    .destroy = drm_destroy,
    .state = drm_state};
TN_PLUGIN("predictor_drm", "1.0.0", "MIT", &drm_class)
