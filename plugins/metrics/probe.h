// SPDX-License-Identifier: MIT
/* The loss of a model as a function of some of its parameters, over the rows a probe means: value, gradient,
 * product with the Hessian. Each is the mean over the rows of what the batches give; normalisation by the
 * batch makes it depend on `batch`. */
#ifndef TENON_PLUGINS_PROBE_H
#define TENON_PLUGINS_PROBE_H

#include "../stages/pass.h"
#include <tenon/supernet.h>

/* Which parameters: of a supernet's trained ones the architecture parameters, the others, or both. */
enum { WRT_ALPHA, WRT_WEIGHTS, WRT_ALL };
#define WRT_CHOICES "alpha|weights|all"

struct probe {
  const tn_metric_probe *of;
  tn_params *all, *chosen; /* a copy of the model's set, and the part that is moved */
  uint32_t *index;         /* of what is chosen */
  int64_t *order;          /* the rows */
  uint32_t count;
  int64_t rows, batch;
};

static inline void probe_close(struct probe *p) {
  tn_params_release(p->chosen);
  tn_params_release(p->all);
  tn_free(p->index);
  tn_free(p->order);
}

static inline bool probe_is_alpha(const tn_component *model, const tn_supernet *supernet, uint32_t entry) {
  tn_supernet_table table;
  for (uint32_t i = 0; supernet && supernet->table(model->self, i, &table) >= 0; i++)
    if (table.alpha == entry) return true;
  return false;
}

static inline tn_status probe_choose(struct probe *p, int32_t wrt) {
  const tn_component *model = p->of->model;
  const tn_supernet *supernet =
      wrt == WRT_ALPHA ? tn_supernet_of(model) : (const tn_supernet *)tn_extension(model, TN_SUPERNET);
  if (wrt == WRT_ALPHA && !supernet) return TN_ERROR_INVALID;
  const uint32_t entries = tn_params_count(p->all);
  p->index = tn_alloc((entries + 1) * sizeof *p->index);
  if (!p->index) return TN_ERROR_MEMORY;
  for (uint32_t i = 0; i < entries; i++) {
    tn_param_entry entry;
    tn_params_entry(p->all, i, &entry);
    if (entry.group != TN_DECAY && entry.group != TN_NO_DECAY) continue;
    if (wrt != WRT_ALL && probe_is_alpha(model, supernet, i) != (wrt == WRT_ALPHA)) continue;
    p->index[p->count++] = i;
  }
  if (p->count == 0) return tn_fail(TN_ERROR_INVALID, "'%s' has no such parameters", model->name);
  p->chosen = tn_params_select(p->all, p->index, p->count);
  return p->chosen ? TN_OK : TN_ERROR_MEMORY;
}

/* The rows of the probe, the first `most` of them (0: all). */
static inline tn_status probe_rows(struct probe *p, int64_t most) {
  const int64_t *given = TN_HAS(p->of, tn_metric_probe, rows) ? p->of->rows : NULL;
  p->rows = given ? p->of->row_count : tn_dataset_rows(p->of->data);
  if (most > 0 && p->rows > most) p->rows = most;
  if (tn_smoke() && p->rows > 64) p->rows = 64;
  if (p->rows < 1) return tn_fail(TN_ERROR_INVALID, "there are no rows to measure on");
  p->order = tn_alloc((size_t)p->rows * sizeof *p->order);
  if (!p->order) return TN_ERROR_MEMORY;
  for (int64_t i = 0; i < p->rows; i++) p->order[i] = given ? given[i] : i;
  return TN_OK;
}

/* To be closed, also after a failure. */
static inline tn_status probe_open(struct probe *p, const tn_metric_probe *of, int64_t most, int64_t batch) {
  *p = (struct probe){.of = of, .batch = batch};
  if (!of->model || !of->params || !of->data)
    return tn_fail(TN_ERROR_INVALID, "it looks into a model, and here is none");
  p->all = tn_params_clone(of->params);
  return p->all ? probe_rows(p, most) : TN_ERROR_MEMORY;
}
static inline tn_status probe_open_loss(struct probe *p, const tn_metric_probe *of, int64_t most,
                                        int64_t batch, int32_t wrt) {
  const tn_status status = probe_open(p, of, most, batch);
  if (status < 0) return status;
  if (!of->loss) return tn_fail(TN_ERROR_INVALID, "it needs a loss: give the stage the key `loss`");
  return probe_choose(p, wrt);
}

/* Fields of rows first to first + count - 1, in evaluation; NULL after an error. */
static inline tn_fields *probe_pass(const struct probe *p, int64_t first, int64_t count, tn_fields **batch) {
  const tn_progress progress = {.size = sizeof progress, .mode = TN_EVALUATE};
  const int64_t *index = p->order + first;
  tn_fields *inputs = tn_fields_new(), *outputs = tn_fields_new();
  if (tn_dataset_read(p->of->data, index, count, inputs) < 0) return NULL;
  if (p->of->transforms && pass_transform(p->of->transforms, NULL, inputs, index, &progress) < 0) return NULL;
  if (pass_model(p->of->model, p->all, inputs, outputs, &progress, NULL, NULL) < 0) return NULL;
  *batch = inputs;
  return pass_merge(inputs, outputs);
}

/* The loss of a batch times its share of the rows. */
static inline tn_tensor *probe_share(const struct probe *p, int64_t first, int64_t count) {
  const tn_component *loss = p->of->loss;
  tn_fields *batch = NULL, *fields = probe_pass(p, first, count, &batch);
  if (!fields) return tn_scalar(TN_F32, NAN);
  tn_rng rng = tn_rng_at(loss->name, "metric", (uint64_t)first);
  const tn_loss_call call = {.size = sizeof call,
                             .params = pass_parameters(loss),
                             .fields = fields,
                             .progress = {.size = sizeof call.progress, .mode = TN_EVALUATE},
                             .rng = &rng,
                             .model = p->of->model,
                             .model_params = p->all,
                             .batch = batch};
  return tn_scale(tn_loss_value(loss, &call), (double)count / (double)p->rows);
}

static inline void probe_add(const struct probe *p, tn_tensor *const *gradients, tn_params *sum) {
  for (uint32_t i = 0; i < p->count && !tn_failed(); i++) {
    tn_tensor *to = tn_param_tensor(sum, i);
    for (int64_t k = 0; k < tn_numel(to); k++) {
      if (to->dtype == TN_F64)
        tn_f64(to)[k] += tn_f64(gradients[i])[k];
      else
        tn_f32(to)[k] += tn_f32(gradients[i])[k];
    }
  }
}

/* The loss where p->chosen is. gradient: like p->chosen, or NULL. direction v: the gradient is H v instead.
 */
static inline tn_status probe_evaluate(const struct probe *p, const tn_params *v, double *loss,
                                       tn_params *gradient) {
  const bool recording = tn_record(gradient != NULL);
  tn_tensor **xs = tn_alloc(2 * (size_t)p->count * sizeof(tn_tensor *)), **gs = xs + p->count;
  tn_status status = xs ? TN_OK : TN_ERROR_MEMORY;
  if (gradient && status >= 0) status = tn_params_fill(gradient, 0);
  double sum = 0;
  for (int64_t first = 0; status >= 0 && first < p->rows; first += p->batch) {
    const int64_t left = p->rows - first;
    tn_scope_open();
    tn_tensor *value = probe_share(p, first, left < p->batch ? left : p->batch);
    for (uint32_t i = 0; i < p->count; i++) xs[i] = tn_param_tensor(p->chosen, i);
    if (gradient) tn_grad(value, xs, p->count, gs, v ? TN_CREATE_GRAPH : 0);
    if (gradient && v) {
      tn_tensor *along = tn_scalar(tn_precision(), 0); /* g . v */
      for (uint32_t i = 0; i < p->count && !tn_failed(); i++)
        along = tn_add(along, tn_sum(tn_mul(gs[i], tn_param_tensor(v, i))));
      tn_grad(along, xs, p->count, gs, 0);
    }
    if (gradient) probe_add(p, gs, gradient);
    status = tn_outcome();
    if (status >= 0) sum += tn_item(value);
    tn_scope_close();
  }
  tn_free(xs);
  tn_record(recording);
  if (loss) *loss = sum;
  return status;
}

#endif
