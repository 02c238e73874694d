// SPDX-License-Identifier: MIT
/* Two components of the kind acme.stopper/1. */
#include <acme/stopper.h>

/* Stops when the loss has not improved by `margin` for `patience` steps. */
typedef struct patience {
  int64_t patience;
  double margin;
  double best;
  int64_t best_step;
} patience;

static const tn_param patience_params[] = {
    TN_INTEGER(patience, patience, "10", 1, 1e9, "steps", "how long to wait for an improvement"),
    TN_REAL(patience, margin, "1e-4", 0, 1e9, "what counts as an improvement"),
};
static tn_status patience_create(void *self) {
  ((patience *)self)->best = INFINITY;
  return TN_OK;
}
static bool patience_stop(void *self, int64_t step, double loss) {
  patience *p = self;
  if (loss < p->best - p->margin) {
    p->best = loss;
    p->best_step = step;
  }
  return step - p->best_step >= p->patience;
}
static tn_status patience_state(void *self, const tn_visitor *v) {
  patience *p = self;
  tn_visit_real(v, "best", &p->best);
  return tn_visit_integer(v, "best_step", &p->best_step);
}
static const acme_stopper patience_stopper = {.size = sizeof(acme_stopper), .stop = patience_stop};
static const tn_class patience_class = {
    .size = sizeof(tn_class),
    .kind = ACME_STOPPER,
    .name = "patience",
    .summary = "stops when the loss no longer improves",
    TN_CLASS_PARAMS(patience_params),
    .instance_size = sizeof(patience),
    .vtable = &patience_stopper,
    .create = patience_create,
    .state = patience_state,
};

/* Stops when the loss is below `loss`. */
typedef struct target {
  double loss;
} target;

static const tn_param target_params[] = {TN_REAL(target, loss, "0.1", 0, 1e9, "the loss that is good enough")};
static bool target_stop(void *self, int64_t step, double loss) {
  (void)step;
  return loss < ((target *)self)->loss;
}
static const acme_stopper target_stopper = {.size = sizeof(acme_stopper), .stop = target_stop};
static const tn_class target_class = {
    .size = sizeof(tn_class),
    .kind = ACME_STOPPER,
    .name = "target",
    .summary = "stops at a given loss",
    TN_CLASS_PARAMS(target_params),
    .instance_size = sizeof(target),
    .vtable = &target_stopper,
};

TN_PLUGIN("acme_rules", "1.0.0", "MIT", &patience_class, &target_class)
