// SPDX-License-Identifier: MIT
/* LARS: momentum with a learning rate for each tensor (You, Gitman and Ginsburg 2017, Algorithm 1).
 *
 *   l  = trust ||w|| / (||g|| + weight_decay ||w|| + epsilon)        for each tensor
 *   v <- momentum v + lr l (g + weight_decay w)
 *   w <- w - v
 *
 * l is 1 where ||w|| or ||g|| is 0, and, as in the usual implementations, for tensors without weight decay
 * (biases, normalisation) unless adapt = all. With clip (LARC, of NVIDIA's Apex), l is min(l / lr, 1): the
 * local rate lr l never exceeds lr. */
#include "entries.h"

enum { ADAPT_DECAYED, ADAPT_ALL };
struct lars {
  double lr, momentum, trust, epsilon, weight_decay;
  bool clip;
  int32_t adapt;
  tn_params *velocity;    /* v */
  struct entries entries; /* of w and g; factor: l */
};
static const tn_param lars_params[] = {
    TN_REAL(struct lars, lr, "0.1", 0, INFINITY, "learning rate; large batches want 1 and more"),
    TN_REAL(struct lars, momentum, "0.9", 0, 1, "decay of the velocity"),
    TN_REAL(struct lars, trust, "1e-3", 0, INFINITY, "trust coefficient: a tensor's relative change at lr 1"),
    TN_REAL(struct lars, epsilon, "0", 0, INFINITY, "added to the divisor of the local rate"),
    TN_REAL(struct lars, weight_decay, "1e-4", 0, INFINITY, "weight decay, part of the gradient"),
    TN_BOOL(struct lars, clip, "no", "only ever shorten steps: local rate at most lr (LARC)"),
    TN_CHOICE(struct lars, adapt, "decayed", "decayed|all", "which tensors get a local rate"),
};

static void lars_release(struct lars *lars) {
  tn_params_release(lars->velocity);
  lars->velocity = NULL;
  entries_release(&lars->entries);
}
static tn_status lars_begin(void *self, const tn_params *params) {
  struct lars *lars = self;
  lars_release(lars);
  return (lars->velocity = tn_params_like(params)) ? TN_OK : TN_ERROR_MEMORY;
}

TN_FUSED(lars_pass, {
  const struct lars *lars = self;
  const real momentum = (real)lars->momentum;
  const real decay = run->group == TN_DECAY ? (real)lars->weight_decay : 0;
  real *restrict w = run->data[0], *restrict v = run->data[2];
  const real *restrict g = run->data[1];
  struct span span = entries_start(&lars->entries, run, sizeof(real));
  while (entries_span(&lars->entries, run, sizeof(real), &span)) {
    const real lr = (real)(*(const double *)arguments * span.entry->factor);
    for (int64_t i = span.first; i < span.last; i++) {
      v[i] = momentum * v[i] + lr * (g[i] + decay * w[i]);
      w[i] -= v[i];
    }
  }
})

static void lars_rates(struct lars *lars, double lr) {
  for (uint32_t i = 0; i < lars->entries.count; i++) {
    struct entry *entry = &lars->entries.items[i];
    const double decay = entry->group == TN_DECAY ? lars->weight_decay : 0;
    entry->factor = 1;
    if (lars->adapt == ADAPT_DECAYED && entry->group != TN_DECAY) continue;
    tn_scope_open();
    const double length = tn_item(tn_norm(entry->of[0])), gradient = tn_item(tn_norm(entry->of[1]));
    tn_scope_close();
    if (!(length > 0 && gradient > 0)) continue;
    entry->factor = lars->trust * length / (gradient + decay * length + lars->epsilon);
    if (lars->clip) entry->factor = entry->factor < lr ? entry->factor / lr : 1;
  }
}

static tn_status lars_step(void *self, const tn_optimizer_step *step) {
  struct lars *lars = self;
  const double lr = lars->lr * step->schedule;
  tn_params *sets[] = {step->params, (tn_params *)step->gradient, lars->velocity};
  tn_status status = entries_collect(&lars->entries, sets, 2);
  if (status < 0) return status;
  const bool recording = tn_record(false);
  lars_rates(lars, lr);
  tn_record(recording);
  return tn_params_each(&lars_pass, lars, &lr, sets, 3);
}

static double lars_rate(void *self, double schedule) { return ((struct lars *)self)->lr * schedule; }
static void lars_destroy(void *self) { lars_release(self); }
static tn_status lars_state(void *self, const tn_visitor *visitor) {
  return tn_visit_params(visitor, "velocity", &((struct lars *)self)->velocity);
}
static const tn_class lars_class = {
    .size = sizeof(tn_class),
    .kind = TN_OPTIMIZER,
    .name = "lars",
    .summary = "Momentum with each tensor's rate in proportion to its norm, for large batches",
    .reference = "You, Gitman and Ginsburg 2017, Large Batch Training of Convolutional Networks",
    TN_CLASS_PARAMS(lars_params),
    .instance_size = sizeof(struct lars),
    .vtable = &(const tn_optimizer){sizeof(tn_optimizer), lars_begin, lars_step, lars_rate, NULL},
    .destroy = lars_destroy,
    .state = lars_state};
TN_PLUGIN("lars", "1.0.0", "MIT", &lars_class)
