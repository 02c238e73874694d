// SPDX-License-Identifier: MIT
/* T3A (Iwasawa and Matsuo 2021, Test-Time Classifier Adjustment Module for Model-Agnostic Domain
 * Generalization): the linear head is replaced by prototypes, which move with the stream.
 *
 *   supports     at first the head's weight rows, then every test feature z; each with the class that the
 *                head gives it and the entropy of the head's prediction
 *   kept         of each class the `filter` supports of lowest entropy
 *   prototype_c  the sum of the normalised supports of class c, normalised
 *   score_c      z . prototype_c */
#include "backbone.h"
#include <stdio.h>

struct support {
  int64_t label;
  double entropy;
};
struct t3a {
  const tn_component *model;
  const char *weight;
  int64_t filter;

  int64_t classes, width, count, room;
  struct support *supports; /* (room); at first one a row of the head */
  double *vectors;          /* (room, width), normalised */
};
static const tn_param t3a_params[] = {
    BACKBONE_PARAM(struct t3a),
    TN_INTEGER(struct t3a, filter, "50", -1, 1e9, "supports",
               "kept a class, those of lowest entropy; -1: all"),
    TN_STRING(struct t3a, weight, "head.weight",
              "parameter of the model with the head's weights (classes, d)"),
};

static tn_status t3a_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct t3a *p = self;
  return backbone_declare(p->model, inputs, declaration, &p->classes);
}

static tn_status add(struct t3a *p, const double *z, int64_t label, double entropy) {
  if (p->count == p->room) {
    const int64_t room = p->room ? 2 * p->room : 256;
    struct support *supports = tn_resize(p->supports, (size_t)room * sizeof *supports);
    if (supports) p->supports = supports;
    double *vectors = tn_resize(p->vectors, (size_t)(room * p->width) * sizeof *vectors);
    if (vectors) p->vectors = vectors;
    if (!supports || !vectors) return TN_ERROR_MEMORY;
    p->room = room;
  }
  double length = 0;
  for (int64_t k = 0; k < p->width; k++) length += z[k] * z[k];
  length = fmax(sqrt(length), 1e-12);
  for (int64_t k = 0; k < p->width; k++) p->vectors[p->count * p->width + k] = z[k] / length;
  p->supports[p->count++] = (struct support){label, entropy};
  return TN_OK;
}

/* Drops the supports of class `label` beyond the `filter` of lowest entropy. The newcomer is the last one. */
static void drop_worst(struct t3a *p, int64_t label) {
  int64_t held = 0, worst = -1;
  for (int64_t i = 0; i < p->count; i++) {
    if (p->supports[i].label != label) continue;
    held++;
    if (worst < 0 || p->supports[i].entropy >= p->supports[worst].entropy) worst = i;
  }
  if (p->filter < 0 || held <= p->filter) return;
  p->count--;
  memmove(p->supports + worst, p->supports + worst + 1, (size_t)(p->count - worst) * sizeof *p->supports);
  memmove(p->vectors + worst * p->width, p->vectors + (worst + 1) * p->width,
          (size_t)((p->count - worst) * p->width) * sizeof *p->vectors);
}

/* The head's weights (classes, d), and its bias (classes) where it has one. */
static tn_status find_head(const struct t3a *p, tn_tensor **weight, tn_tensor **bias) {
  const tn_params *params = tn_parameters(p->model);
  const size_t stem = strlen(p->weight) - (ends_with(p->weight, "weight") ? strlen("weight") : 0);
  tn_param_entry entry;
  *weight = *bias = NULL;
  for (uint32_t i = 0; params && i < tn_params_count(params); i++) {
    if (tn_params_entry(params, i, &entry) < 0) continue;
    if (strcmp(entry.name, p->weight) == 0) *weight = tn_cast(entry.tensor, TN_F64);
    if (strncmp(entry.name, p->weight, stem) == 0 && strcmp(entry.name + stem, "bias") == 0)
      *bias = tn_cast(entry.tensor, TN_F64);
  }
  if (!*weight) return tn_fail(TN_ERROR_MISSING, "'%s' has no parameter '%s'", p->model->name, p->weight);
  if (tn_dim(*weight, 0) != p->classes)
    return tn_fail(TN_ERROR_SHAPE, "'%s' has %lld rows for %lld classes", p->weight,
                   (long long)tn_dim(*weight, 0), (long long)p->classes);
  return tn_outcome();
}

/* Adds rows z (n, d) with the class and the entropy that the head's logits (n, classes) give them. */
static tn_status add_rows(struct t3a *p, const tn_tensor *z, tn_tensor *logits) {
  tn_tensor *log_p = tn_cast(tn_log_softmax(logits, 1), TN_F64);
  tn_tensor *entropy = tn_neg(tn_sum_axis(tn_mul(tn_exp(log_p), log_p), 1)), *guess = tn_argmax(logits, 1);
  tn_status status = tn_outcome();
  if (status >= 0 && tn_dim(z, 1) != p->width)
    status = tn_fail(TN_ERROR_SHAPE, "features of width %lld, the head takes %lld", (long long)tn_dim(z, 1),
                     (long long)p->width);
  for (int64_t i = 0; status >= 0 && i < tn_dim(z, 0); i++)
    status = add(p, tn_f64(z) + i * p->width, tn_i64(guess)[i], tn_f64(entropy)[i]);
  return status;
}

static tn_status t3a_reset(void *self) {
  struct t3a *p = self;
  tn_tensor *weight, *bias;
  p->count = 0;
  tn_scope_open();
  const bool recording = tn_record(false);
  tn_status status = find_head(p, &weight, &bias);
  if (status >= 0) {
    p->width = tn_dim(weight, 1);
    status = add_rows(p, weight, tn_linear(weight, weight, bias));
  }
  tn_record(recording);
  tn_scope_close();
  return status;
}

static tn_status t3a_fit(void *self, const tn_component *data, const tn_references *transforms) {
  (void)data, (void)transforms; /* the head knows all */
  return t3a_reset(self);
}

/* Scores by the supports that there are, into (n, classes). */
static tn_tensor *scores(const struct t3a *p, const tn_tensor *z) {
  tn_tensor *prototypes = tn_zeros(TN_F64, TN_SHAPE(p->classes, p->width));
  for (int64_t i = 0; !tn_failed() && i < p->count; i++)
    for (int64_t k = 0; k < p->width; k++)
      tn_f64(prototypes)[p->supports[i].label * p->width + k] += p->vectors[i * p->width + k];
  return tn_matmul_nt(tn_cast((tn_tensor *)(uintptr_t)z, TN_F64), unit_rows(prototypes));
}

static tn_status t3a_predict(void *self, const tn_fields *inputs, tn_fields *outputs) {
  struct t3a *p = self;
  if (p->count == 0) return tn_fail(TN_ERROR_INVALID, "not fitted");
  const bool recording = tn_record(false);
  tn_fields *made = backbone_outputs(p->model, NULL, inputs, TN_NORM_DEFAULT);
  tn_tensor *z = made ? tn_field(made, "features") : NULL, *logits = made ? tn_field(made, "logits") : NULL;
  if (!z || !logits || tn_failed()) return tn_failed() ? tn_outcome() : TN_ERROR_INVALID;
  tn_tensor *wide = tn_cast(tn_flatten(z), TN_F64);
  /* the batch's supports join before it is scored, as published; without adapt they leave again */
  const int64_t before = p->count;
  tn_status status = add_rows(p, wide, logits);
  struct support *kept = NULL;
  double *vectors = NULL;
  if (status >= 0) {
    kept = tn_alloc((size_t)p->count * sizeof *kept);
    vectors = tn_alloc((size_t)(p->count * p->width) * sizeof *vectors);
    if (!kept || !vectors) status = TN_ERROR_MEMORY;
  }
  if (status >= 0) {
    memcpy(kept, p->supports, (size_t)p->count * sizeof *kept);
    memcpy(vectors, p->vectors, (size_t)(p->count * p->width) * sizeof *vectors);
    for (int64_t c = 0; c < p->classes; c++)
      for (int64_t last = -1; last != p->count;) last = p->count, drop_worst(p, c);
    tn_tensor *score = scores(p, wide);
    tn_fields_set(outputs, "logits", tn_cast(score, z->dtype));
    tn_fields_set(outputs, "probability", tn_cast(tn_softmax(score, 1), z->dtype));
    tn_fields_set(outputs, "label", tn_argmax(score, 1));
    tn_fields_set(outputs, "features", z);
    tn_fields_set(outputs, "head_logits", logits);
    memcpy(p->supports, kept, (size_t)before * sizeof *kept);
    memcpy(p->vectors, vectors, (size_t)(before * p->width) * sizeof *vectors);
  }
  p->count = before;
  tn_free(kept);
  tn_free(vectors);
  tn_record(recording);
  return status < 0 ? status : tn_outcome();
}

static tn_status t3a_adapt(void *self, const tn_fields *inputs, const tn_fields *outputs) {
  struct t3a *p = self;
  (void)inputs;
  tn_tensor *z = tn_cast(tn_flatten(tn_field(outputs, "features")), TN_F64);
  tn_status status = add_rows(p, z, tn_field(outputs, "head_logits"));
  for (int64_t c = 0; status >= 0 && c < p->classes; c++)
    for (int64_t last = -1; last != p->count;) last = p->count, drop_worst(p, c);
  return status;
}

static void t3a_destroy(void *self) {
  struct t3a *p = self;
  tn_free(p->supports);
  tn_free(p->vectors);
}

static tn_status t3a_state(void *self, const tn_visitor *visitor) {
  struct t3a *p = self;
  void *supports = p->supports, *vectors = p->vectors;
  tn_visit_integer(visitor, "count", &p->count);
  tn_visit_integer(visitor, "width", &p->width);
  const size_t support_bytes = (size_t)p->count * sizeof *p->supports;
  const size_t vector_bytes = (size_t)(p->count * p->width) * sizeof *p->vectors;
  size_t some = support_bytes, more = vector_bytes;
  tn_visit_block(visitor, "supports", &supports, &some);
  const tn_status status = tn_visit_block(visitor, "vectors", &vectors, &more);
  p->supports = supports;
  p->vectors = vectors;
  if (visitor->loading) p->room = p->count;
  if (status >= 0 && (some != support_bytes || more != vector_bytes))
    return tn_fail(TN_ERROR_INVALID, "the saved supports are damaged");
  return status;
}

static const tn_class t3a_class = {
    .size = sizeof(tn_class),
    .kind = TN_PREDICTOR,
    .name = "t3a",
    .summary = "Class prototypes that move with the confident features of the test stream",
    .reference = "Iwasawa and Matsuo 2021, Test-Time Classifier Adjustment Module for Model-Agnostic Domain "
                 "Generalization",
    TN_CLASS_PARAMS(t3a_params),
    .instance_size = sizeof(struct t3a),
    .vtable = &(const tn_predictor){.size = sizeof(tn_predictor),
                                    .fit = t3a_fit,
                                    .predict = t3a_predict,
                                    .declare = t3a_declare,
                                    .adapt = t3a_adapt,
                                    .reset = t3a_reset},
    .destroy = t3a_destroy,
    .state = t3a_state};
TN_PLUGIN("predictor_t3a", "1.0.0", "MIT", &t3a_class)
