// SPDX-License-Identifier: MIT
/* Weighted sum of losses: sum_i w_i loss_i, `terms = 0.3 * bce, 0.7 * f1`. Their parameters are trained with
 * the model's; names of parameters must differ between the terms. */
#include <tenon/loss.h>

struct weighted_sum {
  tn_terms terms;
};
static const tn_param weighted_sum_params[] = {
    TN_TERMS(struct weighted_sum, terms, TN_PARAM_REQUIRED, TN_LOSS, "losses with their weights"),
};

/* All terms declare into one set, in which each keeps its own indices. */
static tn_status weighted_sum_declare(void *self, const tn_spec *fields, tn_declaration *declaration) {
  const struct weighted_sum *loss = self;
  tn_status status = TN_OK;
  for (uint32_t i = 0; status >= 0 && i < loss->terms.count; i++) {
    const tn_component *term = loss->terms.items[i].component;
    const tn_loss *table = term->vtable;
    if (!TN_HAS(table, tn_loss, declare)) continue;
    tn_call_stack *stack = tn_enter(term, "declare");
    status = table->declare(term->self, fields, declaration);
    tn_leave(stack);
  }
  return status;
}

static tn_tensor *weighted_sum_value(void *self, const tn_loss_call *call) {
  const struct weighted_sum *loss = self;
  tn_tensor *sum = NULL;
  for (uint32_t i = 0; i < loss->terms.count; i++) {
    tn_tensor *value =
        tn_scale(tn_loss_value(loss->terms.items[i].component, call), loss->terms.items[i].weight);
    sum = sum ? tn_add(sum, value) : value;
  }
  return sum;
}

static tn_status weighted_sum_after_step(void *self, const tn_loss_call *call) {
  const struct weighted_sum *loss = self;
  tn_status status = TN_OK;
  for (uint32_t i = 0; status >= 0 && i < loss->terms.count; i++)
    status = tn_loss_after_step(loss->terms.items[i].component, call);
  return status;
}

static const tn_class weighted_sum_class = {.size = sizeof(tn_class),
                                            .kind = TN_LOSS,
                                            .name = "weighted_sum",
                                            .summary = "Weighted sum of losses",
                                            TN_CLASS_PARAMS(weighted_sum_params),
                                            .instance_size = sizeof(struct weighted_sum),
                                            .vtable = &(const tn_loss){sizeof(tn_loss), weighted_sum_value,
                                                                       NULL, weighted_sum_declare,
                                                                       weighted_sum_after_step}};
TN_PLUGIN("loss_weighted_sum", "1.0.0", "MIT", &weighted_sum_class)
