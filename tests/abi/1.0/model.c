// SPDX-License-Identifier: MIT
/* frozen_model: one hidden layer: logits = W2 relu(W1 x + b1) + b2. */
#include <tenon/model.h>

struct frozen_model {
  int64_t hidden;
  uint32_t w1, b1, w2, b2; /* indices of the parameters */
};
static const tn_param frozen_model_params[] = {
    TN_INTEGER(struct frozen_model, hidden, "64", 1, 1 << 20, "units", "width of the hidden layer"),
};

static tn_status frozen_model_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct frozen_model *model = self;
  const tn_field_spec *input = tn_spec_get(inputs, tn_spec_find(inputs, "image") ? "image" : "input");
  const tn_field_spec *label = tn_spec_get(inputs, "label");
  if (!input || !label) return TN_ERROR_MISSING;
  const int64_t in = tn_spec_numel(input), out = label->classes, hidden = model->hidden;
  const tn_init he = tn_init_of(TN_INIT_HE_NORMAL, sqrt(2));
  model->w1 = tn_declare(declaration, "0.weight", TN_SHAPE(hidden, in), TN_DECAY, he);
  model->b1 = tn_declare(declaration, "0.bias", TN_SHAPE(hidden), TN_NO_DECAY, tn_init_zeros());
  model->w2 = tn_declare(declaration, "1.weight", TN_SHAPE(out, hidden), TN_DECAY, he);
  model->b2 = tn_declare(declaration, "1.bias", TN_SHAPE(out), TN_NO_DECAY, tn_init_zeros());
  tn_declare_output(declaration, "logits", TN_FLOAT, TN_SHAPE(out), 0);
  return TN_OK;
}

/* A pure function of call->params. */
static tn_status frozen_model_apply(void *self, tn_model_call *call) {
  const struct frozen_model *model = self;
  const tn_params *p = call->params;
  tn_tensor *x = tn_fields_find(call->inputs, "image");
  x = tn_flatten(x ? x : tn_field(call->inputs, "input")); /* (n, in) */
  tn_tensor *h = tn_relu(tn_linear(x, tn_param_tensor(p, model->w1), tn_param_tensor(p, model->b1)));
  tn_tensor *logits = tn_linear(h, tn_param_tensor(p, model->w2), tn_param_tensor(p, model->b2));
  tn_fields_set(call->outputs, "logits", logits); /* (n, classes) */
  return tn_outcome();
}

static const tn_model frozen_model_model = {
    .size = sizeof(tn_model),
    .declare = frozen_model_declare,
    .apply = frozen_model_apply,
};
static const tn_class frozen_model_class = {
    .size = sizeof(tn_class),
    .kind = TN_MODEL,
    .name = "frozen_model",
    .summary = "what frozen_model does, in one line",
    .reference = "",
    TN_CLASS_PARAMS(frozen_model_params),
    .instance_size = sizeof(struct frozen_model),
    .vtable = &frozen_model_model,
};
TN_PLUGIN("model_frozen_model", "0.1.0", "MIT", &frozen_model_class)
