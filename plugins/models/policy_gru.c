// SPDX-License-Identifier: MIT
/* Policy of gated recurrent units over the letters so far: all prefixes of a string in one pass for training,
 * one letter at a time for sampling (tenon/trajectory.h). A letter's embedding and the condition go in at
 * every position; logits come from one hidden layer over the last state and the condition. */
#include "policy.h"
#include "recurrent.h"

struct policy_gru {
  int64_t layers, width, embedding;
  int32_t backward;
  bool flow;

  int64_t letters, prefixes, told; /* told: width of the condition */
  struct policy policy;
  struct recurrent shape;
  uint32_t words; /* (letters + 1, embedding); 0 the start */
  struct recurrent_layer *cells;
  struct linear hidden;
};
static const tn_param policy_gru_params[] = {
    TN_INTEGER(struct policy_gru, layers, "1", 1, 64, NULL, "recurrent layers"),
    TN_INTEGER(struct policy_gru, width, "96", 1, 1 << 16, NULL, "of the hidden state"),
    TN_INTEGER(struct policy_gru, embedding, "0", 0, 1 << 16, NULL,
               "width of a letter's embedding; 0: as width"),
    POLICY_PARAMS(policy_gru),
};

static tn_status policy_gru_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct policy_gru *model = self;
  const tn_init init = tn_init_of(TN_INIT_LECUN_UNIFORM, 1);
  tn_status status = policy_inputs(&model->policy, inputs, model->flow, model->backward);
  if (status >= 0) status = policy_strings(inputs, &model->letters, &model->prefixes);
  if (status < 0) return status;
  model->told = model->policy.condition;
  model->shape = (struct recurrent){.gates = GRU_GATES, .width = model->width, .init = LECUN};
  tn_free(model->cells);
  model->cells = tn_alloc((size_t)model->layers * sizeof *model->cells);
  if (!model->cells) return TN_ERROR_MEMORY;
  const int64_t words = model->embedding > 0 ? model->embedding : model->width;
  model->words = declare_named(declaration, "tokens", "weight", TN_SHAPE(model->letters + 1, words), TN_DECAY,
                               tn_init_of(TN_INIT_NORMAL, 1));
  for (uint32_t l = 0; l < model->layers; l++)
    model->cells[l] =
        recurrent_declare(&model->shape, declaration, l, l == 0 ? words + model->told : model->width);
  model->hidden = linear_declare(declaration, "hidden", model->width + model->told, model->width, true, init);
  policy_heads(&model->policy, declaration, model->width, model->prefixes, init);
  return TN_OK;
}

/* x (..., n, d) with condition (n, c) repeated: (..., n, d + c) */
static tn_tensor *with_condition(const struct policy_gru *model, const tn_model_call *call, tn_tensor *x) {
  if (model->told == 0 || tn_poisoned(x)) return x;
  tn_shape shape = tn_shape_of(x);
  shape.dim[shape.ndim - 1] = model->told;
  tn_tensor *both[2] = {x, tn_broadcast_to(tn_field(call->inputs, "condition"), shape)};
  return tn_concatenate(both, 2, -1);
}

static tn_tensor *head(const struct policy_gru *model, const tn_model_call *call, tn_tensor *h) {
  return tn_leaky_relu(linear_apply(&model->hidden, call->params, with_condition(model, call, h)), 0.01);
}

static tn_status policy_gru_apply(void *self, tn_model_call *call) {
  const struct policy_gru *model = self;
  tn_tensor *tokens = policy_started(tn_field(call->inputs, "tokens")); /* (n, t) */
  if (tn_poisoned(tokens)) return tn_outcome();
  tn_tensor *x = tn_embedding(tn_param_tensor(call->params, model->words),
                              tn_permute(tokens, (const int32_t[]){1, 0})); /* (t, n, d) */
  x = with_condition(model, call, x);
  for (uint32_t l = 0; l < model->layers; l++)
    x = recurrent_run(&model->shape, &model->cells[l], call->params, x);
  x = tn_permute(head(model, call, x), (const int32_t[]){1, 0, 2}); /* (n, t, width) */
  policy_apply(&model->policy, call, x);
  return tn_outcome();
}

/* memory.L (n, width): the state of layer L */
static tn_status policy_gru_step(void *self, tn_model_call *call) {
  const struct policy_gru *model = self;
  tn_tensor *token = tn_shift(tn_field(call->inputs, "token"), 1); /* (n) */
  if (tn_poisoned(token)) return tn_outcome();
  tn_tensor *x =
      with_condition(model, call, tn_embedding(tn_param_tensor(call->params, model->words), token));
  for (uint32_t l = 0; l < model->layers; l++) {
    char name[32];
    snprintf(name, sizeof name, "memory.%u", l);
    tn_tensor *h = tn_fields_find(call->inputs, name);
    if (!h) h = tn_zeros(x->dtype, TN_SHAPE(tn_dim(token, 0), model->width));
    x = recurrent_cell(&model->shape, &model->cells[l], call->params,
                       recurrent_project(&model->cells[l], call->params, x), h, NULL);
    tn_fields_set(call->outputs, name, x);
  }
  policy_apply(&model->policy, call, head(model, call, x));
  return tn_outcome();
}

static void policy_gru_destroy(void *self) { tn_free(((struct policy_gru *)self)->cells); }

static const void *policy_gru_extension(void *self, const char *id) {
  static const tn_policy_steps steps = {sizeof steps, 0, policy_gru_step};
  (void)self;
  return strcmp(id, TN_POLICY_STEPS) == 0 ? &steps : NULL;
}

static const tn_class policy_gru_class = {
    .size = sizeof(tn_class),
    .kind = TN_MODEL,
    .name = "policy_gru",
    .summary = "Policy of gated recurrent units: strings to their next letter",
    .reference = "Cho et al. 2014, Learning Phrase Representations using RNN Encoder-Decoder",
    TN_CLASS_PARAMS(policy_gru_params),
    .instance_size = sizeof(struct policy_gru),
    .vtable = &(const tn_model){sizeof(tn_model), policy_gru_declare, policy_gru_apply},
    .destroy = policy_gru_destroy,
    .extension = policy_gru_extension};
TN_PLUGIN("model_policy_gru", "1.0.0", "MIT", &policy_gru_class)
