// SPDX-License-Identifier: MIT
/* Policy of fully connected layers: state and condition -> logits of the actions, log F, and, if asked,
 * logits of the backward policy (tenon/trajectory.h). */
#include "policy.h"

enum { RELU, LEAKY_RELU, GELU, SILU, TANH };

struct policy_mlp {
  tn_integers hidden;
  int32_t activation, backward;
  bool flow;

  struct policy policy;
  struct linear *layers; /* one a hidden layer */
  struct linear told;    /* of the condition into the first layer */
};
static const tn_param policy_mlp_params[] = {
    TN_INTEGERS(struct policy_mlp, hidden, "128, 128", 1, 1 << 20, "widths of the hidden layers"),
    TN_CHOICE(struct policy_mlp, activation, "leaky_relu", "relu|leaky_relu|gelu|silu|tanh",
              "between the layers"),
    POLICY_PARAMS(policy_mlp),
};

static tn_status policy_mlp_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct policy_mlp *model = self;
  const tn_init init = tn_init_of(TN_INIT_LECUN_UNIFORM, 1);
  tn_status status = policy_inputs(&model->policy, inputs, model->flow, model->backward);
  if (status < 0) return status;
  const tn_field_spec *state = tn_spec_get(inputs, "state");
  if (!state) return TN_ERROR_MISSING;
  if (state->shape.ndim != 1 || state->classes > 0)
    return tn_fail(TN_ERROR_SHAPE, "'state' must be a row of numbers");
  tn_free(model->layers);
  model->layers = tn_alloc((model->hidden.count + 1) * sizeof *model->layers);
  if (!model->layers) return TN_ERROR_MEMORY;
  int64_t in = state->shape.dim[0];
  for (uint32_t l = 0; l < model->hidden.count; l++, in = model->hidden.items[l - 1]) {
    char name[32];
    snprintf(name, sizeof name, "layers.%u", l);
    model->layers[l] = linear_declare(declaration, name, in, model->hidden.items[l], true, init);
    if (l == 0 && model->policy.condition > 0)
      model->told = linear_declare(declaration, "condition", model->policy.condition, model->hidden.items[0],
                                   false, init);
  }
  if (model->hidden.count == 0 && model->policy.condition > 0)
    return tn_fail(TN_ERROR_INVALID, "a conditional policy needs at least one hidden layer");
  policy_heads(&model->policy, declaration, in, 0, init);
  return TN_OK;
}

static tn_tensor *activate(int32_t activation, tn_tensor *x) {
  switch (activation) {
  case RELU: return tn_relu(x);
  case LEAKY_RELU: return tn_leaky_relu(x, 0.01);
  case GELU: return tn_gelu(x);
  case SILU: return tn_silu(x);
  default: return tn_tanh(x);
  }
}

static tn_status policy_mlp_apply(void *self, tn_model_call *call) {
  const struct policy_mlp *model = self;
  tn_tensor *h = tn_field(call->inputs, "state"); /* (n, features) */
  for (uint32_t l = 0; l < model->hidden.count; l++) {
    h = linear_apply(&model->layers[l], call->params, h); /* (n, width) */
    if (l == 0 && model->policy.condition > 0)
      h = tn_add(h, linear_apply(&model->told, call->params, tn_field(call->inputs, "condition")));
    h = activate(model->activation, h);
  }
  policy_apply(&model->policy, call, h);
  return tn_outcome();
}

static void policy_mlp_destroy(void *self) { tn_free(((struct policy_mlp *)self)->layers); }

static const tn_class policy_mlp_class = {
    .size = sizeof(tn_class),
    .kind = TN_MODEL,
    .name = "policy_mlp",
    .summary = "Policy of fully connected layers: states to actions",
    .reference = "Bengio et al. 2021, Flow Network based Generative Models",
    TN_CLASS_PARAMS(policy_mlp_params),
    .instance_size = sizeof(struct policy_mlp),
    .vtable = &(const tn_model){sizeof(tn_model), policy_mlp_declare, policy_mlp_apply},
    .destroy = policy_mlp_destroy};
TN_PLUGIN("model_policy_mlp", "1.0.0", "MIT", &policy_mlp_class)
