// SPDX-License-Identifier: MIT
/* Test-time adaptation by gradient steps on the stream, on a copy of the model's parameters:
 *   head          no adaptation: the trained network as it is (empirical risk minimisation)
 *   tent          Wang et al. 2021: scale and shift of normalisation, batch statistics, loss mean H(p)
 *   pseudo_label  Lee 2013: all parameters, cross-entropy with the prediction where max p >= beta
 *   shot_im       Liang et al. 2020 (information maximisation): all but the head, mean H(p) - H(mean p)
 * A batch is predicted before the step that it causes. */
#include "backbone.h"
#include "descent.h"

enum { HEAD, TENT, PSEUDO_LABEL, SHOT_IM };

struct online {
  const tn_component *model, *optimizer;
  int64_t steps;
  double beta;
  const char *head;

  int32_t method;
  int64_t classes, step;
  tn_params *params;   /* a copy that adapts */
  tn_params *selected; /* lends what is trained of it */
  tn_params *gradient; /* of selected */
};
#define ONLINE_COMMON                                                                               \
  BACKBONE_PARAM(struct online),                                                                    \
      TN_REFERENCE(struct online, optimizer, 0, TN_OPTIMIZER, "optimizer.adam", "makes the steps"), \
      TN_INTEGER(struct online, steps, "1", 1, 1000, NULL, "gradient steps a batch")
static const tn_param head_params[] = {BACKBONE_PARAM(struct online)};
static const tn_param tent_params[] = {ONLINE_COMMON};
static const tn_param pseudo_label_params[] = {
    ONLINE_COMMON,
    TN_REAL(struct online, beta, "0.9", 0, 2, "confidence from which a prediction is a label")};
static const tn_param shot_im_params[] = {
    ONLINE_COMMON,
    TN_STRING(struct online, head, "head.", "names of the parameters that stay begin with this")};

static tn_status head_create(void *self) { return ((struct online *)self)->method = HEAD, TN_OK; }
static tn_status tent_create(void *self) { return ((struct online *)self)->method = TENT, TN_OK; }
static tn_status pseudo_label_create(void *self) {
  return ((struct online *)self)->method = PSEUDO_LABEL, TN_OK;
}
static tn_status shot_im_create(void *self) { return ((struct online *)self)->method = SHOT_IM, TN_OK; }

static tn_status online_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct online *p = self;
  return backbone_declare(p->model, inputs, declaration, &p->classes);
}

static void online_release(struct online *p) {
  tn_params_release(p->gradient);
  tn_params_release(p->selected);
  tn_params_release(p->params);
  p->gradient = p->selected = p->params = NULL;
}

/* A normalisation's: it has running statistics beside it. */
static bool is_norm(const tn_params *params, const char *name) {
  const char *dot = strrchr(name, '.');
  tn_param_entry entry;
  for (uint32_t i = 0; dot && i < tn_params_count(params); i++)
    if (tn_params_entry(params, i, &entry) == TN_OK && entry.group == TN_BUFFER &&
        ends_with(entry.name, ".mean") && strncmp(entry.name, name, (size_t)(dot - name) + 1) == 0 &&
        strlen(entry.name) == (size_t)(dot - name) + 5)
      return true;
  return false;
}

static bool is_trained(const struct online *p, const tn_param_entry *entry) {
  if (entry->group == TN_BUFFER || entry->group == TN_FIXED) return false;
  if (p->method == TENT) return is_norm(p->params, entry->name);
  return p->method == PSEUDO_LABEL || strncmp(entry->name, p->head, strlen(p->head)) != 0;
}

static tn_status select_trained(struct online *p) {
  uint32_t *indices = tn_alloc((tn_params_count(p->params) + 1) * sizeof *indices), count = 0;
  tn_param_entry entry;
  for (uint32_t i = 0; indices && i < tn_params_count(p->params); i++)
    if (tn_params_entry(p->params, i, &entry) == TN_OK && is_trained(p, &entry)) indices[count++] = i;
  if (indices && count) p->selected = tn_params_select(p->params, indices, count);
  tn_free(indices);
  if (count == 0)
    return tn_fail(TN_ERROR_INVALID, "'%s' has no parameters that this method trains", p->model->name);
  if (!p->selected || !(p->gradient = tn_params_like(p->selected))) return TN_ERROR_MEMORY;
  return tn_optimizer_begin(p->optimizer, p->selected);
}

static tn_status online_reset(void *self) {
  struct online *p = self;
  const tn_params *live = tn_parameters(p->model);
  if (!live) return TN_ERROR_MISSING;
  p->step = 0;
  if (p->method == HEAD) return TN_OK;
  if (p->params) {
    tn_status status = tn_params_copy(p->params, live);
    return status < 0 ? status : tn_optimizer_begin(p->optimizer, p->selected);
  }
  if (!(p->params = tn_params_clone(live))) return TN_ERROR_MEMORY;
  return select_trained(p);
}

static tn_status online_fit(void *self, const tn_component *data, const tn_references *transforms) {
  (void)data, (void)transforms; /* the model has learnt */
  return online_reset(self);
}

static tn_fields *forward(const struct online *p, const tn_fields *inputs) {
  return backbone_outputs(p->model, p->params, inputs, p->method == TENT ? TN_NORM_FROZEN : TN_NORM_RUNNING);
}

static tn_status online_predict(void *self, const tn_fields *inputs, tn_fields *outputs) {
  struct online *p = self;
  if (p->method != HEAD && !p->params) return tn_fail(TN_ERROR_INVALID, "not fitted");
  const bool recording = tn_record(false);
  const tn_fields *made = forward(p, inputs);
  tn_record(recording);
  if (!made) return TN_ERROR_INVALID;
  tn_fields_merge(outputs, made);
  tn_tensor *logits = tn_field(made, "logits");
  tn_fields_set(outputs, "probability", tn_softmax(logits, 1));
  tn_fields_set(outputs, "label", tn_argmax(logits, 1));
  return tn_outcome();
}

/* What a step lowers; logits (n, classes), recorded. NULL: nothing to learn from this batch. */
static tn_tensor *objective(const struct online *p, tn_tensor *logits) {
  tn_tensor *log_p = tn_log_softmax(logits, 1);
  if (p->method == TENT) return mean_entropy(log_p);
  if (p->method == SHOT_IM) {
    tn_tensor *mean = tn_mean_axis(tn_exp(log_p), 0); /* (classes) */
    return tn_add(mean_entropy(log_p), tn_sum(tn_mul(mean, tn_log(tn_shift(mean, 1e-6)))));
  }
  tn_tensor *certain = tn_stop_gradient(tn_cast(tn_reduce(TN_REDUCE_MAX, tn_exp(log_p), 1, false), TN_F64));
  tn_tensor *weight = tn_zeros(TN_F64, TN_SHAPE(tn_dim(logits, 0)));
  double count = 0;
  for (int64_t i = 0; !tn_failed() && i < tn_dim(logits, 0); i++)
    count += tn_f64(weight)[i] = tn_f64(certain)[i] >= p->beta;
  if (count == 0) return NULL;
  tn_tensor *each = tn_cross_entropy(logits, tn_argmax(tn_stop_gradient(logits), 1), 0);
  return tn_scale(tn_sum(tn_mul(each, tn_cast(weight, logits->dtype))), 1 / count);
}

static tn_status online_objective(void *self, const void *inputs, tn_tensor **loss) {
  const struct online *p = self;
  const tn_fields *made = forward(p, inputs);
  if (!made) return TN_ERROR_INVALID;
  *loss = objective(p, tn_field(made, "logits"));
  return TN_OK;
}

static tn_status online_adapt(void *self, const tn_fields *inputs, const tn_fields *outputs) {
  struct online *p = self;
  (void)outputs;
  const struct descent descent = {p->optimizer, p->selected, p->gradient, &p->step};
  return p->method == HEAD ? TN_OK : descend(&descent, p->steps, online_objective, p, inputs);
}

static void online_destroy(void *self) { online_release(self); }

static tn_status online_state(void *self, const tn_visitor *visitor) {
  struct online *p = self;
  bool adapting = p->params != NULL;
  tn_visit_integer(visitor, "step", &p->step);
  const tn_status status = tn_visit_boolean(visitor, "adapting", &adapting);
  if (status < 0 || !adapting) return status;
  if (!p->params)
    return tn_fail(TN_ERROR_INVALID, "the state is that of an adapted network, but this one is not fitted");
  return tn_visit_params(visitor, "params", &p->params);
}

static const tn_predictor online_table = {.size = sizeof(tn_predictor),
                                          .fit = online_fit,
                                          .predict = online_predict,
                                          .declare = online_declare,
                                          .adapt = online_adapt,
                                          .reset = online_reset};
#define ONLINE_CLASS(id, text, source)                                        \
  static const tn_class id##_class = {.size = sizeof(tn_class),               \
                                      .kind = TN_PREDICTOR,                   \
                                      .name = #id,                            \
                                      .summary = text,                        \
                                      .reference = source,                    \
                                      TN_CLASS_PARAMS(id##_params),           \
                                      .instance_size = sizeof(struct online), \
                                      .vtable = &online_table,                \
                                      .create = id##_create,                  \
                                      .destroy = online_destroy,              \
                                      .state = online_state}
ONLINE_CLASS(head, "The trained network as it is", NULL);
ONLINE_CLASS(tent, "Entropy descent on the scales and shifts of normalisation, over the test stream",
             "Wang et al. 2021, Tent: Fully Test-Time Adaptation by Entropy Minimization");
ONLINE_CLASS(pseudo_label, "Training on confident predictions of the test stream",
             "Lee 2013, Pseudo-label: the simple and efficient semi-supervised learning method");
ONLINE_CLASS(shot_im, "Information maximisation of the features over the test stream",
             "Liang et al. 2020, Do We Really Need to Access the Source Data?");
TN_PLUGIN("predictor_online", "1.0.0", "MIT", &head_class, &tent_class, &pseudo_label_class, &shot_im_class)
