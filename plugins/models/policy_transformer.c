// SPDX-License-Identifier: MIT
/* Policy of causal transformer blocks (transformer.h) over the letters so far: all prefixes of a string in
 * one pass for training; for sampling one letter at a time, with the keys and values of the former ones kept
 * (tenon/trajectory.h). The condition is projected and added at every position. */
#include "policy.h"
#include "transformer.h"

struct policy_transformer {
  int64_t layers, width, heads;
  double ratio, dropout;
  int32_t activation, backward;
  bool flow;

  int64_t letters, prefixes;
  struct policy policy;
  struct transformer shape;
  struct transformer_block *blocks;
  uint32_t words, places; /* (letters + 1, width), (prefixes, width) */
  struct linear told;
  struct norm norm;
};
static const tn_param policy_transformer_params[] = {
    TN_INTEGER(struct policy_transformer, layers, "3", 1, 1000, NULL, "transformer blocks"),
    TN_INTEGER(struct policy_transformer, width, "64", 1, 1 << 16, NULL, "of the residual stream"),
    TN_INTEGER(struct policy_transformer, heads, "8", 1, 1 << 10, NULL, "attention heads; must divide width"),
    TN_PARAM_(struct policy_transformer, ratio, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "4", 0, 64, NULL, NULL,
              NULL, "width of the blocks' perceptrons over width"),
    ACTIVATION_PARAM(policy_transformer),
    DROPOUT_PARAM(policy_transformer,
                  "probability with which a value that is added to the residual stream is left out"),
    POLICY_PARAMS(policy_transformer),
};

static tn_status policy_transformer_create(void *self) {
  const struct policy_transformer *model = self;
  return transformer_check(model->width, model->heads);
}
static void policy_transformer_destroy(void *self) { tn_free(((struct policy_transformer *)self)->blocks); }

static tn_status policy_transformer_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct policy_transformer *model = self;
  const tn_init normal = tn_init_of(TN_INIT_NORMAL, 0.02);
  tn_status status = policy_inputs(&model->policy, inputs, model->flow, model->backward);
  if (status >= 0) status = policy_strings(inputs, &model->letters, &model->prefixes);
  if (status < 0) return status;
  model->shape = (struct transformer){.width = model->width,
                                      .heads = model->heads,
                                      .inner = (int64_t)(model->ratio * (double)model->width + 0.5),
                                      .activation = model->activation,
                                      .causal = true,
                                      .bias = true,
                                      .dropout = model->dropout,
                                      .init = normal,
                                      .residual_init =
                                          tn_init_of(TN_INIT_NORMAL, 0.02 / sqrt(2 * (double)model->layers))};
  tn_free(model->blocks);
  model->blocks = tn_alloc((size_t)model->layers * sizeof *model->blocks);
  if (!model->blocks) return TN_ERROR_MEMORY;
  model->words = declare_named(declaration, "tokens", "weight", TN_SHAPE(model->letters + 1, model->width),
                               TN_DECAY, normal);
  model->places = declare_named(declaration, "positions", "weight", TN_SHAPE(model->prefixes, model->width),
                                TN_DECAY, normal);
  if (model->policy.condition > 0)
    model->told = linear_declare(declaration, "condition", model->policy.condition, model->width, false,
                                 tn_init_of(TN_INIT_LECUN_UNIFORM, 1));
  for (uint32_t b = 0; b < model->layers; b++)
    model->blocks[b] = transformer_declare(&model->shape, declaration, b);
  model->norm = norm_declare(declaration, "norm", NORM_LAYER, model->width, 1, 0, 1e-5, tn_init_ones());
  policy_heads(&model->policy, declaration, model->width, model->prefixes, normal);
  return TN_OK;
}

/* tokens (n, t) from place `first` on -> (n, t, width) */
static tn_tensor *embed(const struct policy_transformer *model, const tn_model_call *call, tn_tensor *tokens,
                        int64_t first) {
  if (tn_poisoned(tokens)) return tokens;
  const int64_t n = tn_dim(tokens, 0), length = tn_dim(tokens, 1);
  tn_tensor *x = tn_add(tn_embedding(tn_param_tensor(call->params, model->words), tokens),
                        tn_slice(tn_param_tensor(call->params, model->places), 0, first, first + length));
  if (model->policy.condition == 0) return x;
  tn_tensor *told = linear_apply(&model->told, call->params, tn_field(call->inputs, "condition"));
  return tn_add(x, tn_reshape(told, TN_SHAPE(n, 1, model->width)));
}

static tn_status policy_transformer_apply(void *self, tn_model_call *call) {
  const struct policy_transformer *model = self;
  tn_tensor *x = embed(model, call, policy_started(tn_field(call->inputs, "tokens")), 0);
  x = dropout_apply(model->dropout, call, x);
  for (uint32_t b = 0; b < model->layers; b++)
    x = transformer_apply(&model->shape, &model->blocks[b], call, x);
  policy_apply(&model->policy, call, layer_norm_apply(&model->norm, call->params, x));
  return tn_outcome();
}

/* memory.keys.B, memory.values.B (n, heads, t, depth) of block B */
static tn_status policy_transformer_step(void *self, tn_model_call *call) {
  const struct policy_transformer *model = self;
  const tn_tensor *seen = tn_fields_find(call->inputs, "memory.keys.0");
  tn_tensor *token = tn_field(call->inputs, "token"); /* (n) */
  if (tn_poisoned(token)) return tn_outcome();
  const int64_t n = tn_dim(token, 0);
  tn_tensor *x =
      embed(model, call, tn_reshape(tn_shift(token, 1), TN_SHAPE(n, 1)), seen ? tn_dim(seen, 2) : 0);
  for (uint32_t b = 0; b < model->layers; b++) {
    char keys[32], values[32];
    snprintf(keys, sizeof keys, "memory.keys.%u", b);
    snprintf(values, sizeof values, "memory.values.%u", b);
    struct transformer_past past = {tn_fields_find(call->inputs, keys), tn_fields_find(call->inputs, values)};
    x = transformer_continue(&model->shape, &model->blocks[b], call, x, &past);
    tn_fields_set(call->outputs, keys, past.keys);
    tn_fields_set(call->outputs, values, past.values);
  }
  x = tn_reshape(layer_norm_apply(&model->norm, call->params, x), TN_SHAPE(n, model->width));
  policy_apply(&model->policy, call, x);
  return tn_outcome();
}

static const void *policy_transformer_extension(void *self, const char *id) {
  static const tn_policy_steps steps = {sizeof steps, 0, policy_transformer_step};
  (void)self;
  return strcmp(id, TN_POLICY_STEPS) == 0 ? &steps : NULL;
}

static const tn_class policy_transformer_class = {
    .size = sizeof(tn_class),
    .kind = TN_MODEL,
    .name = "policy_transformer",
    .summary = "Policy of causal transformer blocks: strings to their next letter",
    .reference = "Vaswani et al. 2017, Attention Is All You Need",
    TN_CLASS_PARAMS(policy_transformer_params),
    .instance_size = sizeof(struct policy_transformer),
    .vtable = &(const tn_model){sizeof(tn_model), policy_transformer_declare, policy_transformer_apply},
    .create = policy_transformer_create,
    .destroy = policy_transformer_destroy,
    .extension = policy_transformer_extension};
TN_PLUGIN("model_policy_transformer", "1.0.0", "MIT", &policy_transformer_class)
