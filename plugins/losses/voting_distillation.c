// SPDX-License-Identifier: MIT
/* Distillation from the network's own past (Zhu, Li, Liu and Wang 2023). The last K parameter sets, one kept
 * every `interval` steps, are teachers; each sees the batch with its own statistics:
 *   p = mean_k softmax(z_k / T), or the share of teachers whose largest logit is the class (majority)
 *   loss = weight T^2 mean KL(p || softmax(z / T)), with p held constant; 0 while there is no teacher
 * `loss`, if given, is added: then it is a training loss of its own. */
#include <stdio.h>
#include <string.h>
#include <tenon/loss.h>
#include <tenon/model.h>

enum { MOST_TEACHERS = 64 };
enum { VOTE_MEAN, VOTE_MAJORITY };
struct voting {
  const tn_component *loss;
  const char *logits;
  int64_t teachers, interval, start;
  double weight, temperature;
  int32_t vote;

  tn_params *queue[MOST_TEACHERS]; /* the oldest first */
  int64_t count, steps, intervals;
};
static const tn_param voting_params[] = {
    TN_INTEGER(struct voting, teachers, "3", 0, MOST_TEACHERS, NULL, "K, past parameter sets"),
    TN_INTEGER(struct voting, interval, "0", 0, 1e15, "steps", "how often one is kept; 0: once an epoch"),
    TN_REAL(struct voting, weight, "1", 0, INFINITY, "factor on the divergence"),
    TN_PARAM_(struct voting, temperature, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "1", 0, INFINITY, NULL, NULL,
              NULL, "T, divides all logits"),
    TN_CHOICE(struct voting, vote, "mean", "mean|majority", "how the teachers are combined"),
    TN_INTEGER(struct voting, start, "1", 0, 1e15, "intervals", "before the divergence counts"),
    TN_REFERENCE(struct voting, loss, 0, TN_LOSS, NULL, "added to it"),
    TN_STRING(struct voting, logits, "logits", "field with the logits (n, classes)"),
};

/* (n, classes) logits of teacher k, constants. */
static tn_tensor *ask(struct voting *self, int64_t k, const tn_loss_call *call) {
  tn_rng rng = *call->rng;
  tn_model_call past = {.size = sizeof past,
                        .norm = call->progress.mode == TN_TRAIN ? TN_NORM_FROZEN : TN_NORM_DEFAULT,
                        .params = self->queue[k],
                        .inputs = call->batch,
                        .outputs = tn_fields_new(),
                        .progress = call->progress,
                        .rng = &rng};
  tn_model_apply(call->model, &past);
  return tn_field(past.outputs, self->logits);
}

/* p (n, classes) */
static tn_tensor *vote(struct voting *self, const tn_loss_call *call) {
  const bool recording = tn_record(false);
  tn_tensor *sum = NULL;
  for (int64_t k = 0; k < self->count && !tn_failed(); k++) {
    tn_tensor *z = ask(self, k, call), *p = z;
    if (tn_poisoned(z)) break;
    if (self->vote == VOTE_MAJORITY)
      p = tn_one_hot(tn_argmax(z, 1), tn_dim(z, 1), z->dtype);
    else
      p = tn_softmax(tn_scale(z, 1 / self->temperature), 1);
    sum = sum ? tn_add(sum, p) : p;
  }
  tn_tensor *mean = sum ? tn_scale(sum, 1 / (double)self->count) : NULL;
  tn_record(recording);
  return mean;
}

static tn_tensor *voting_value(void *opaque, const tn_loss_call *call) {
  struct voting *self = opaque;
  tn_tensor *z = tn_field(call->fields, self->logits);
  tn_tensor *base = self->loss ? tn_loss_value(self->loss, call) : tn_scalar(z->dtype, 0);
  if (self->count == 0 || self->weight == 0 || self->intervals < self->start || !call->model) return base;
  tn_tensor *p = vote(self, call);
  if (!p) return base;
  /* sum p log p, with 0 log 0 = 0 */
  tn_tensor *log_p = tn_log(tn_clamp(p, 1e-30, 1));
  tn_tensor *log_q = tn_log_softmax(tn_scale(z, 1 / self->temperature), 1);
  tn_tensor *kl = tn_mean(tn_sum_axis(tn_mul(p, tn_sub(log_p, log_q)), 1));
  return tn_add(base, tn_scale(kl, self->weight * self->temperature * self->temperature));
}

static tn_status voting_after_step(void *opaque, const tn_loss_call *call) {
  struct voting *self = opaque;
  tn_status status = self->loss ? tn_loss_after_step(self->loss, call) : TN_OK;
  self->steps++;
  const double a_step = call->progress.steps > 0 ? call->progress.epochs / (double)call->progress.steps : 0;
  const bool due = self->interval > 0
                       ? self->steps % self->interval == 0
                       : floor(call->progress.epoch + a_step + 1e-9) > floor(call->progress.epoch + 1e-9);
  if (status < 0 || !due || self->teachers == 0 || !call->model_params) return status;
  tn_params *now = tn_params_clone(call->model_params);
  if (!now) return TN_ERROR_MEMORY;
  self->intervals++;
  if (self->count == self->teachers) {
    tn_params_release(self->queue[0]);
    memmove(self->queue, self->queue + 1, (size_t)(self->count - 1) * sizeof(tn_params *));
    self->count--;
  }
  self->queue[self->count++] = now;
  return TN_OK;
}

static tn_status voting_declare(void *opaque, const tn_spec *fields, tn_declaration *declaration) {
  const struct voting *self = opaque;
  (void)declaration;
  if (!tn_spec_get(fields, self->logits)) return TN_ERROR_MISSING;
  return self->loss ? tn_declare_component(self->loss, fields, NULL) : TN_OK;
}

static void voting_destroy(void *opaque) {
  struct voting *self = opaque;
  for (int64_t k = 0; k < self->count; k++) tn_params_release(self->queue[k]);
}

static tn_status voting_state(void *opaque, const tn_visitor *visitor) {
  struct voting *self = opaque;
  const int64_t before = self->count;
  tn_visit_integer(visitor, "steps", &self->steps);
  tn_visit_integer(visitor, "intervals", &self->intervals);
  tn_status status = tn_visit_integer(visitor, "teachers", &self->count);
  for (int64_t k = self->count; k < before; k++) tn_params_release(self->queue[k]), self->queue[k] = NULL;
  for (int64_t k = 0; status >= 0 && k < self->count; k++) {
    char name[32];
    snprintf(name, sizeof name, "teacher.%d", (int)k);
    status = tn_visit_params(visitor, name, &self->queue[k]);
  }
  return status;
}

static const tn_class voting_class = {
    .size = sizeof(tn_class),
    .kind = TN_LOSS,
    .name = "voting_distillation",
    .summary = "Divergence from a vote of the network's own past parameters",
    .reference = "Zhu, Li, Liu and Wang 2023, Improving Differentiable Architecture Search via "
                 "Self-Distillation",
    TN_CLASS_PARAMS(voting_params),
    .instance_size = sizeof(struct voting),
    .vtable = &(const tn_loss){sizeof(tn_loss), voting_value, NULL, voting_declare, voting_after_step},
    .destroy = voting_destroy,
    .state = voting_state};
TN_PLUGIN("loss_voting_distillation", "1.0.0", "MIT", &voting_class)
