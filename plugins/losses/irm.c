// SPDX-License-Identifier: MIT
/* Invariant risk minimisation, IRMv1 (Arjovsky et al. 2019, Invariant Risk Minimization, section 3): one
 * classifier is to be optimal in all domains at once. With a dummy scale s on the logits z and the risk of
 * domain e R_e(s) = mean loss(s z, y) over its rows,
 *
 *   loss = 1/K sum_e [ R_e(1) + w (d R_e / d s at s = 1)^2 ]
 *
 * over the K domains that the batch holds (the paper has the sum). The derivative is recorded, so that the
 * gradient of its square is exact. */
#include "invariance.h"

struct irm {
  struct invariance common;
  const char *logits;
};
static const tn_param irm_params[] = {
    INVARIANCE_PARAMS("1", "yes"),
    TN_STRING(struct irm, logits, "logits", "field that the base loss reads and the dummy scale multiplies"),
};

static tn_status irm_declare(void *self, const tn_spec *fields, tn_declaration *declaration) {
  const struct irm *loss = self;
  if (!tn_spec_get(fields, loss->logits)) return TN_ERROR_MISSING;
  return invariance_declare(&loss->common, true, fields, declaration);
}

/* The call with logits (n, ...) multiplied by the scale (domains) of each row's domain. */
static tn_loss_call scaled(const struct irm *loss, const tn_loss_call *call, tn_tensor *scale,
                           const struct domains *domains) {
  tn_tensor *z = tn_field(call->fields, loss->logits);
  tn_shape column = tn_shape_of(z);
  for (uint32_t i = 1; i < column.ndim; i++) column.dim[i] = 1;
  tn_fields *fields = tn_fields_new();
  tn_fields_merge(fields, call->fields);
  tn_fields_set(fields, loss->logits, tn_mul(z, tn_reshape(tn_index_select(scale, 0, domains->of), column)));
  tn_loss_call with = *call;
  with.fields = fields;
  return with;
}

static tn_tensor *irm_value(void *self, const tn_loss_call *call) {
  const struct irm *loss = self;
  const tn_tensor *z = tn_field(call->fields, loss->logits);
  const struct domains domains = domains_of(&loss->common, call);
  if (tn_failed()) return domains.of;
  const bool recording = tn_record(true); /* the penalty is a derivative, wanted in validation too */
  /* one scale a domain: d sum_e R_e / d s_e is the derivative of R_e alone */
  tn_tensor *scale = tn_leaf(tn_full(z->dtype, TN_SHAPE(domains.count), 1)), *slope = NULL;
  const tn_loss_call with = scaled(loss, call, scale, &domains);
  tn_tensor *risks = invariance_risks(&loss->common, &with, &domains); /* (domains) */
  tn_grad(tn_sum(risks), &scale, 1, &slope, TN_CREATE_GRAPH);
  tn_tensor *total = invariance_total(&loss->common, call, tn_mean(risks), tn_mean(tn_square(slope)));
  tn_record(recording);
  return recording ? total : tn_stop_gradient(total);
}

static const tn_class irm_class = {
    .size = sizeof(tn_class),
    .kind = TN_LOSS,
    .name = "irm",
    .summary = "Risk and how far the classifier is from the optimum of each domain (IRMv1)",
    .reference = "Arjovsky et al. 2019, Invariant Risk Minimization",
    TN_CLASS_PARAMS(irm_params),
    .instance_size = sizeof(struct irm),
    .vtable = &(const tn_loss){sizeof(tn_loss), irm_value, NULL, irm_declare, invariance_after_step}};
TN_PLUGIN("loss_irm", "1.0.0", "MIT", &irm_class)
