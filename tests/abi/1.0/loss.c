// SPDX-License-Identifier: MIT
/* frozen_loss: cross-entropy plus a penalty on the size of the logits: ce_i + penalty mean_j z_ij^2. */
#include <tenon/loss.h>

struct frozen_loss {
  double penalty;
};
static const tn_param frozen_loss_params[] = {
    TN_REAL(struct frozen_loss, penalty, "0.01", 0, 1000, "weight of the mean squared logit"),
};

/* One value a sample: weightings and the mean need no more. */
static tn_tensor *frozen_loss_per_sample(void *self, const tn_loss_call *call) {
  const struct frozen_loss *loss = self;
  tn_tensor *logits = tn_field(call->fields, "logits"); /* (n, classes) */
  tn_tensor *label = tn_field(call->fields, "label");   /* (n) */
  tn_tensor *size = tn_mean_axis(tn_square(logits), 1); /* (n) */
  return tn_add(tn_cross_entropy(logits, label, 0), tn_scale(size, loss->penalty));
}

/* Found by `tenon check` instead of in the first step. */
static tn_status frozen_loss_declare(void *self, const tn_spec *fields, tn_declaration *declaration) {
  (void)self, (void)declaration;
  return tn_spec_get(fields, "logits") && tn_spec_get(fields, "label") ? TN_OK : TN_ERROR_MISSING;
}

static const tn_loss frozen_loss_loss = {
    .size = sizeof(tn_loss),
    .per_sample = frozen_loss_per_sample,
    .declare = frozen_loss_declare,
};
static const tn_class frozen_loss_class = {
    .size = sizeof(tn_class),
    .kind = TN_LOSS,
    .name = "frozen_loss",
    .summary = "what frozen_loss does, in one line",
    .reference = "",
    TN_CLASS_PARAMS(frozen_loss_params),
    .instance_size = sizeof(struct frozen_loss),
    .vtable = &frozen_loss_loss,
};
TN_PLUGIN("loss_frozen_loss", "0.1.0", "MIT", &frozen_loss_class)
