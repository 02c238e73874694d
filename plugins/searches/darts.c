// SPDX-License-Identifier: MIT
/* Differentiable architecture search (Liu, Simonyan and Yang 2018, algorithm 1). Each step:
 *
 *   1. alpha <- alpha - Adam of d, the hypergradient on one training and one validation batch:
 *      order 1:  d = grad_alpha Lval(w, alpha)
 *      order 2:  w' = w - eta (mu v + grad_w Ltrain(w, alpha) + decay w), one step of SGD ahead, and
 *                d = grad_alpha Lval(w', alpha) - eta grad^2_{alpha,w} Ltrain(w, alpha) grad_w' Lval(w',
 * alpha) by differentiating through the step (exact), or with g = grad_w' Lval, e = radius / |g| [grad_alpha
 * Ltrain(w + e g) - grad_alpha Ltrain(w - e g)] / 2e for the product (difference)
 *   2. w <- w - SGD of grad_w Ltrain(w, alpha), clipped, on the same training batch with the new alpha
 *
 * With `distill`, Ltrain has that loss as a further term (Zhu et al. 2023, self-distillation); with
 * distill_level = both, Lval too. Perturbed weights are sets of their own: w itself moves in 2. only. */
#include "batches.h"
#include <tenon/optimizer.h>
#include <tenon/schedule.h>
#include <tenon/supernet.h>

enum { HVP_EXACT, HVP_DIFFERENCE };
struct darts {
  int64_t order;
  int32_t hvp, distill_level;
  double clip, radius;
  const tn_component *arch_optimizer, *distill;

  const tn_search_setting *setting;
  const tn_supernet *supernet;
  tn_params *all;                       /* the supernet's */
  tn_params *weights, *architecture;    /* parts of it */
  tn_params *gradient, *hypergradient;  /* like them */
  uint32_t *weight_index, *alpha_index; /* entries of `all` */
  uint32_t weight_count, alpha_count;
  int64_t *order_of_rows; /* scratch */
  double momentum, decay; /* of the weights' optimizer */
};
static const tn_param darts_params[] = {
    TN_INTEGER(struct darts, order, "1", 1, 2, NULL,
               "1: the weights are taken as they are; 2: as one step of training moves them"),
    TN_CHOICE(struct darts, hvp, "exact", "exact|difference", "order 2: product with the mixed derivative"),
    TN_PARAM_(struct darts, radius, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "0.01", 0, INFINITY, NULL, NULL,
              NULL, "difference: how far the weights are moved, as a norm"),
    TN_REFERENCE(struct darts, arch_optimizer, TN_PARAM_REQUIRED, TN_OPTIMIZER, NULL,
                 "of the architecture parameters; the paper's: adam, lr 3e-4, beta1 0.5, weight_decay 1e-3"),
    TN_REAL(struct darts, clip, "5", 0, INFINITY, "largest norm of the weights' gradient; 0: any"),
    TN_REFERENCE(struct darts, distill, 0, TN_LOSS, NULL, "a further term of the training loss"),
    TN_CHOICE(struct darts, distill_level, "weights", "weights|both",
              "both: a term of the validation loss too"),
};

static void darts_release(struct darts *s) {
  tn_params_release(s->gradient);
  tn_params_release(s->hypergradient);
  tn_params_release(s->weights);
  tn_params_release(s->architecture);
  tn_free(s->weight_index);
  tn_free(s->alpha_index);
  tn_free(s->order_of_rows);
  s->gradient = s->hypergradient = s->weights = s->architecture = NULL;
  s->weight_index = s->alpha_index = NULL;
  s->order_of_rows = NULL;
}
static void darts_destroy(void *self) { darts_release(self); }

/* The field of a component's key, by its schema; NULL if it has none of that name and type. */
static const void *field_of(const tn_component *c, const char *key, tn_param_type type) {
  for (uint32_t i = 0; i < c->cls->param_count; i++) {
    const tn_param *param =
        (const tn_param *)(const void *)((const char *)c->cls->params + (size_t)i * c->cls->param_size);
    if (param->type == type && strcmp(param->key, key) == 0) return (const char *)c->self + param->offset;
  }
  return NULL;
}
static double real_key(const tn_component *c, const char *key) {
  const double *field = field_of(c, key, TN_PARAM_REAL);
  return field ? *field : 0;
}

/* Order 2 computes the next step of the weights itself: that of SGD, w - lr v with v = momentum v + g. */
static bool foreseeable(const tn_component *optimizer) {
  const bool *nesterov = field_of(optimizer, "nesterov", TN_PARAM_BOOL);
  return strcmp(optimizer->cls->name, "sgd") == 0 && real_key(optimizer, "dampening") <= 0 &&
         !(nesterov && *nesterov);
}

/* Sorts the entries of the supernet's set into architecture and weights. */
static tn_status divide(struct darts *s) {
  const uint32_t count = tn_params_count(s->all);
  s->weight_index = tn_alloc(count * sizeof *s->weight_index);
  s->alpha_index = tn_alloc(count * sizeof *s->alpha_index);
  if (!s->weight_index || !s->alpha_index) return TN_ERROR_MEMORY;
  s->weight_count = s->alpha_count = 0;
  tn_supernet_table table;
  for (uint32_t i = 0; s->supernet->table(s->setting->model->self, i, &table) >= 0; i++)
    s->alpha_index[s->alpha_count++] = table.alpha;
  for (uint32_t i = 0; i < count; i++) {
    tn_param_entry entry;
    tn_params_entry(s->all, i, &entry);
    bool trained = entry.group == TN_DECAY || entry.group == TN_NO_DECAY;
    for (uint32_t a = 0; a < s->alpha_count; a++) trained = trained && s->alpha_index[a] != i;
    if (trained) s->weight_index[s->weight_count++] = i;
  }
  s->weights = tn_params_select(s->all, s->weight_index, s->weight_count);
  s->architecture = tn_params_select(s->all, s->alpha_index, s->alpha_count);
  if (!s->weights || !s->architecture) return TN_ERROR_MEMORY;
  s->gradient = tn_params_like(s->weights);
  s->hypergradient = tn_params_like(s->architecture);
  return s->gradient && s->hypergradient ? TN_OK : TN_ERROR_MEMORY;
}

static tn_status darts_begin(void *self, const tn_search_setting *setting) {
  struct darts *s = self;
  darts_release(s);
  s->setting = setting;
  s->supernet = tn_supernet_of(setting->model);
  if (!s->supernet) return TN_ERROR_INVALID;
  if (setting->train_count < 1 || setting->validation_count < 1)
    return tn_fail(TN_ERROR_INVALID, "the search needs training and validation rows, got %lld and %lld",
                   (long long)setting->train_count, (long long)setting->validation_count);
  if (s->order == 2 && !foreseeable(setting->optimizer))
    return tn_fail(
        TN_ERROR_INVALID,
        "order 2 looks one step of optimizer.sgd ahead, without dampening and Nesterov's momentum; "
        "'%s' makes other steps",
        setting->optimizer->name);
  s->momentum = real_key(setting->optimizer, "momentum");
  s->decay = real_key(setting->optimizer, "weight_decay");
  s->all = tn_parameters(setting->model);
  const int64_t most =
      setting->train_count > setting->validation_count ? setting->train_count : setting->validation_count;
  s->order_of_rows = tn_alloc((size_t)most * sizeof *s->order_of_rows);
  if (!s->all || !s->order_of_rows) return TN_ERROR_MEMORY;
  tn_status status = divide(s);
  if (status >= 0) status = tn_optimizer_begin(setting->optimizer, s->weights);
  return status < 0 ? status : tn_optimizer_begin(s->arch_optimizer, s->architecture);
}

/* ---- batches and losses ---- */

static tn_fields *batch_of(struct darts *s, const char *stream, const int64_t *rows, int64_t count,
                           const tn_progress *progress) {
  return search_batch(s->setting, "search.darts", stream, rows, count, s->order_of_rows, progress);
}

/* The loss at `params`, and what it was called with. The set of the loss's call must outlive `call`. */
static tn_tensor *loss_at(struct darts *s, const tn_params *params, const tn_fields *batch, bool distilled,
                          const tn_progress *progress, tn_loss_call *call, tn_rng *rng) {
  const tn_search_setting *setting = s->setting;
  tn_fields *outputs = tn_fields_new();
  if (pass_model(setting->model, params, batch, outputs, progress, NULL, NULL) < 0)
    return tn_scalar(TN_F32, NAN);
  *rng = tn_rng_at(setting->loss->name, "train", (uint64_t)progress->step);
  *call = (tn_loss_call){.size = sizeof *call,
                         .fields = pass_merge(batch, outputs),
                         .progress = *progress,
                         .rng = rng,
                         .model = setting->model,
                         .model_params = params,
                         .batch = batch};
  tn_tensor *loss = tn_loss_value(setting->loss, call);
  return distilled && s->distill ? tn_add(loss, tn_loss_value(s->distill, call)) : loss;
}

/* ---- the hypergradient ---- */

struct hyper {
  struct darts *search;
  const tn_fields *train, *validation;
  const tn_progress *progress;
  double lr; /* eta */
};

static tn_tensor *train_loss(const struct hyper *h, const tn_params *params) {
  tn_loss_call call;
  tn_rng rng;
  return loss_at(h->search, params, h->train, true, h->progress, &call, &rng);
}
static tn_tensor *validation_loss(const struct hyper *h, const tn_params *params) {
  tn_loss_call call;
  tn_rng rng;
  return loss_at(h->search, params, h->validation, h->search->distill_level == 1, h->progress, &call, &rng);
}

/* The supernet's set with other weights. */
static const tn_params *with_weights(const struct darts *s, tn_tensor *const *weights) {
  const uint32_t count = tn_params_count(s->all);
  tn_tensor **tensors = tn_alloc(count * sizeof(tn_tensor *));
  if (!tensors) return NULL;
  for (uint32_t i = 0; i < count; i++) tensors[i] = tn_param_tensor(s->all, i);
  for (uint32_t i = 0; i < s->weight_count; i++) tensors[s->weight_index[i]] = weights[i];
  const tn_params *params = tn_params_from_tensors(s->all, tensors);
  tn_free(tensors);
  return params;
}

/* Finds the velocity of optimizer.sgd among what it saves. */
struct capture {
  tn_visitor visitor; /* first: the visitor is the capture */
  tn_params *velocity;
};
static tn_status capture_params(const tn_visitor *visitor, const char *name, tn_params **value) {
  struct capture *capture = (struct capture *)(uintptr_t)visitor;
  if (strcmp(name, "velocity") == 0) capture->velocity = *value;
  return TN_OK;
}

/* w' = w - eta (mu v + g + decay w); recorded if the gradients are. */
static void unroll(const struct hyper *h, tn_tensor *const *gradients, tn_tensor **ahead) {
  const struct darts *s = h->search;
  const tn_component *sgd = s->setting->optimizer;
  struct capture capture = {.visitor = {.size = sizeof(tn_visitor), .params = capture_params}};
  if (s->momentum > 0) sgd->cls->state(sgd->self, &capture.visitor);
  for (uint32_t i = 0; i < s->weight_count; i++) {
    tn_param_entry entry;
    tn_params_entry(s->weights, i, &entry);
    tn_tensor *w = entry.tensor, *move = gradients[i];
    if (capture.velocity) move = tn_add(move, tn_scale(tn_param_tensor(capture.velocity, i), s->momentum));
    if (entry.group == TN_DECAY && s->decay > 0) move = tn_add(move, tn_scale(w, s->decay));
    ahead[i] = tn_sub(w, tn_scale(move, h->lr));
  }
}

static double norm_of(tn_tensor *const *xs, uint32_t count) {
  double sum = 0;
  for (uint32_t i = 0; i < count; i++) sum += tn_item(tn_sum(tn_square(xs[i])));
  return sqrt(sum);
}

/* grad_alpha Ltrain(w + e g) */
static void probe_train(const struct hyper *h, tn_tensor *const *g, double e, tn_tensor *const *alphas,
                        tn_tensor **gradients) {
  const struct darts *s = h->search;
  tn_tensor **moved = tn_alloc((s->weight_count + 1) * sizeof(tn_tensor *));
  if (!moved) return;
  for (uint32_t i = 0; i < s->weight_count; i++)
    moved[i] = tn_stop_gradient(tn_add(tn_param_tensor(s->weights, i), tn_scale(g[i], e)));
  tn_grad(train_loss(h, with_weights(s, moved)), alphas, s->alpha_count, gradients, 0);
  tn_free(moved);
}

static void order_two(const struct hyper *h, tn_tensor **weights, tn_tensor **gradients,
                      tn_tensor *const *alphas, tn_tensor **d) {
  const struct darts *s = h->search;
  const bool exact = s->hvp == HVP_EXACT;
  tn_grad(train_loss(h, s->all), weights, s->weight_count, gradients, exact ? TN_CREATE_GRAPH : 0);
  unroll(h, gradients, weights); /* weights: w' from here on */
  if (exact) {
    tn_grad(validation_loss(h, with_weights(s, weights)), alphas, s->alpha_count, d, 0);
    return;
  }
  const uint32_t both = s->weight_count + s->alpha_count;
  tn_tensor **xs = tn_alloc(both * sizeof(tn_tensor *)), **g = tn_alloc(both * sizeof(tn_tensor *));
  tn_tensor **above = tn_alloc(2 * s->alpha_count * sizeof(tn_tensor *));
  if (xs && g && above) {
    tn_tensor **below = above + s->alpha_count;
    for (uint32_t i = 0; i < s->weight_count; i++) xs[i] = tn_leaf(weights[i]);
    for (uint32_t i = 0; i < s->alpha_count; i++) xs[s->weight_count + i] = alphas[i];
    tn_grad(validation_loss(h, with_weights(s, xs)), xs, both, g, 0);
    const double e = s->radius / norm_of(g, s->weight_count);
    probe_train(h, g, e, alphas, above);
    probe_train(h, g, -e, alphas, below);
    for (uint32_t i = 0; i < s->alpha_count && !tn_failed(); i++)
      d[i] = tn_sub(g[s->weight_count + i], tn_scale(tn_sub(above[i], below[i]), h->lr / (2 * e)));
  }
  tn_free(xs);
  tn_free(g);
  tn_free(above);
}

/* d, written to the search's hypergradient. */
static tn_status hypergradient(const struct hyper *h) {
  struct darts *s = h->search;
  tn_tensor **alphas = tn_alloc(2 * (s->alpha_count + s->weight_count) * sizeof(tn_tensor *));
  if (!alphas) return TN_ERROR_MEMORY;
  tn_tensor **d = alphas + s->alpha_count, **weights = d + s->alpha_count;
  for (uint32_t i = 0; i < s->alpha_count; i++) alphas[i] = tn_param_tensor(s->architecture, i);
  for (uint32_t i = 0; i < s->weight_count; i++) weights[i] = tn_param_tensor(s->weights, i);
  if (s->order == 1)
    tn_grad(validation_loss(h, s->all), alphas, s->alpha_count, d, 0);
  else
    order_two(h, weights, weights + s->weight_count, alphas, d);
  for (uint32_t i = 0; i < s->alpha_count && !tn_failed(); i++) {
    tn_tensor *to = tn_param_tensor(s->hypergradient, i);
    memcpy(tn_data(to), tn_data(d[i]), (size_t)tn_numel(to) * (to->dl.dtype.bits / 8));
  }
  tn_free(alphas);
  return tn_outcome();
}

/* ---- one step ---- */

static tn_status move(const tn_component *optimizer, tn_params *params, const tn_params *gradient,
                      double loss, double schedule, const tn_progress *progress) {
  const tn_optimizer_step step = {.size = sizeof step,
                                  .params = params,
                                  .gradient = gradient,
                                  .loss = loss,
                                  .schedule = schedule,
                                  .step = progress->step + 1};
  return tn_optimizer_update(optimizer, &step);
}

/* Mean entropy of the rows of softmax(alpha), nats. */
static double entropy(const struct darts *s) {
  double sum = 0;
  for (uint32_t i = 0; i < s->alpha_count; i++) {
    tn_tensor *log_w = tn_log_softmax(tn_param_tensor(s->architecture, i), 1);
    sum -= tn_item(tn_mean(tn_sum_axis(tn_mul(tn_exp(log_w), log_w), 1)));
  }
  return sum / s->alpha_count;
}

static tn_status darts_step(void *self, const tn_progress *progress) {
  struct darts *s = self;
  const tn_search_setting *setting = s->setting;
  const double factor = setting->schedule ? tn_schedule_factor(setting->schedule, progress) : 1;
  const double lr = tn_optimizer_learning_rate(setting->optimizer, factor);
  const tn_fields *train = batch_of(s, "train", setting->train_rows, setting->train_count, progress);
  const tn_fields *validation =
      train ? batch_of(s, "validation", setting->validation_rows, setting->validation_count, progress) : NULL;
  if (!validation) return TN_ERROR_INVALID;

  /* 1. alpha */
  const struct hyper hyper = {s, train, validation, progress, lr};
  tn_scope_open();
  tn_status status = hypergradient(&hyper);
  tn_scope_close();
  if (status >= 0) status = move(s->arch_optimizer, s->architecture, s->hypergradient, NAN, 1, progress);
  if (status < 0) return status;

  /* 2. w */
  tn_loss_call call;
  tn_rng rng;
  tn_tensor *value = loss_at(s, s->all, train, true, progress, &call, &rng);
  if (tn_failed()) return tn_outcome();
  const double loss = tn_item(value);
  if (!isfinite(loss))
    return tn_fail(TN_ERROR_DIVERGED, "the loss became %g in step %lld (learning rate %g)", loss,
                   (long long)progress->step + 1, lr);
  status = tn_grad_params(value, s->weights, s->gradient);
  if (status < 0) return status;
  const double norm = tn_params_norm(s->gradient);
  if (s->clip > 0 && norm > s->clip) tn_params_scale(s->gradient, s->clip / norm);
  status = move(setting->optimizer, s->weights, s->gradient, loss, factor, progress);
  const bool recording = tn_record(false);
  if (status >= 0 && s->distill) status = tn_loss_after_step(s->distill, &call);
  const int64_t every = (progress->steps + 499) / 500;
  if (status >= 0 && (progress->step == 0 || (progress->step + 1) % (every > 0 ? every : 1) == 0)) {
    const tn_scalar_value scalars[] = {
        {"loss", loss}, {"lr", lr}, {"gradient_norm", norm}, {"entropy", entropy(s)}};
    tn_emit_step(progress, scalars, TN_ARRAY_LENGTH(scalars));
  }
  tn_record(recording);
  if (status < 0) return status;
  return progress->step + 1 >= setting->steps ? TN_DONE : TN_OK;
}

static tn_status darts_derive(void *self, char **genotype) {
  struct darts *s = self;
  const tn_component *model = s->setting->model;
  tn_rng rng = tn_rng_at(model->name, "derive", 0);
  return s->supernet->derive(model->self, s->all, "", &rng, genotype);
}

static const tn_class darts_class = {
    .size = sizeof(tn_class),
    .kind = TN_SEARCH,
    .name = "darts",
    .summary = "Architecture search by gradient descent on relaxed operation weights",
    .reference = "Liu, Simonyan and Yang 2018, DARTS; Zhu et al. 2023, Improving Differentiable Architecture "
                 "Search via Self-Distillation",
    TN_CLASS_PARAMS(darts_params),
    .instance_size = sizeof(struct darts),
    .vtable = &(const tn_search){sizeof(tn_search), darts_begin, darts_step, darts_derive},
    .destroy = darts_destroy};
TN_PLUGIN("search_darts", "1.0.0", "MIT", &darts_class)
