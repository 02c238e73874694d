// SPDX-License-Identifier: MIT
/* Language model of causal transformer blocks (Radford et al. 2019, GPT-2), over characters or any other
 * tokens.
 *
 *   x_0 = E[tokens] + P,   blocks (transformer.h),   logits = W norm(x_L),  W = E if `tie`
 *
 * Initialised as GPT-2: normal with deviation 0.02, divided by sqrt(2 layers) where a block writes to the
 * residual stream; biases zero. `tokens` (n, t) int64 gives `logits` at every position, and `features`, what
 * goes into the last product; sequence.h says in which shape. Dropout acts on the embeddings and on what
 * blocks add. */
#include "sequence.h"
#include "transformer.h"

struct gpt {
  int64_t layers, width, heads, context, vocabulary;
  double ratio, dropout;
  int32_t activation, positions;
  bool tie, bias;
  const char *input;

  struct transformer shape;
  struct transformer_block *blocks;
  uint32_t tokens, places; /* embeddings (vocabulary, d), (context, d) */
  struct norm norm;
  struct linear head;
  int32_t chosen; /* positions in force */
};
static const tn_param gpt_params[] = {
    TN_INTEGER(struct gpt, layers, "4", 1, 1000, NULL, "transformer blocks"),
    TN_INTEGER(struct gpt, width, "128", 1, 1 << 16, NULL, "of the residual stream"),
    TN_INTEGER(struct gpt, heads, "4", 1, 1 << 10, NULL, "attention heads; must divide width"),
    TN_PARAM_(struct gpt, ratio, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "4", 0, 64, NULL, NULL, NULL,
              "width of the blocks' perceptrons over width"),
    ACTIVATION_PARAM(gpt),
    TN_INTEGER(struct gpt, context, "0", 0, 1 << 20, "tokens",
               "longest sequence there are positions for; 0: the data's length"),
    TN_INTEGER(struct gpt, vocabulary, "0", 0, 1 << 24, NULL,
               "kinds of tokens; 0: the classes of the input field"),
    DROPOUT_PARAM(gpt, "probability with which a value that is added to the residual stream is left out"),
    TN_BOOL(struct gpt, tie, "yes", "the last product uses the token embedding (Press and Wolf 2017)"),
    TN_BOOL(struct gpt, bias, "yes", "add biases inside the blocks"),
    POSITIONS_PARAM(gpt),
    TN_STRING(struct gpt, input, "tokens", "field to read"),
};

static tn_status gpt_create(void *self) {
  const struct gpt *model = self;
  return transformer_check(model->width, model->heads);
}
static void gpt_destroy(void *self) { tn_free(((struct gpt *)self)->blocks); }

static tn_status gpt_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct gpt *model = self;
  const tn_field_spec *tokens = tn_spec_get(inputs, model->input);
  if (!tokens) return TN_ERROR_MISSING;
  if (tokens->dtype != TN_I64 || tokens->ragged || tokens->shape.ndim != 1 || tokens->shape.dim[0] < 1)
    return tn_fail(TN_ERROR_SHAPE, "'%s' must be int64 numbers of one length (t)", model->input);
  const int64_t length = tokens->shape.dim[0];
  const int64_t vocabulary = model->vocabulary > 0 ? model->vocabulary : tokens->classes;
  const int64_t context = model->context > 0 ? model->context : length;
  if (vocabulary < 1)
    return tn_fail(TN_ERROR_MISSING, "'%s' has no number of classes: give `vocabulary`", model->input);
  if (vocabulary < tokens->classes)
    return tn_fail(TN_ERROR_INVALID, "vocabulary %lld is below the %lld classes of '%s'",
                   (long long)vocabulary, (long long)tokens->classes, model->input);
  if (length > context)
    return tn_fail(TN_ERROR_SHAPE, "'%s' has %lld tokens, more than context %lld", model->input,
                   (long long)length, (long long)context);

  const tn_init normal = tn_init_of(TN_INIT_NORMAL, 0.02);
  model->shape = (struct transformer){.width = model->width,
                                      .heads = model->heads,
                                      .inner = (int64_t)(model->ratio * (double)model->width + 0.5),
                                      .activation = model->activation,
                                      .causal = true,
                                      .bias = model->bias,
                                      .dropout = model->dropout,
                                      .init = normal,
                                      .residual_init =
                                          tn_init_of(TN_INIT_NORMAL, 0.02 / sqrt(2 * (double)model->layers))};
  tn_free(model->blocks);
  model->blocks = tn_alloc((size_t)model->layers * sizeof *model->blocks);
  if (!model->blocks) return TN_ERROR_MEMORY;
  model->tokens =
      declare_named(declaration, "tokens", "weight", TN_SHAPE(vocabulary, model->width), TN_DECAY, normal);
  model->places =
      declare_named(declaration, "positions", "weight", TN_SHAPE(context, model->width), TN_DECAY, normal);
  for (uint32_t b = 0; b < model->layers; b++)
    model->blocks[b] = transformer_declare(&model->shape, declaration, b);
  model->norm = norm_declare(declaration, "norm", NORM_LAYER, model->width, 1, 0, 1e-5, tn_init_ones());
  if (!model->tie) model->head = linear_declare(declaration, "head", model->width, vocabulary, false, normal);

  model->chosen = positions_of(inputs, model->positions);
  sequence_declare_output(declaration, model->chosen, "features", length, model->width);
  sequence_declare_output(declaration, model->chosen, "logits", length, vocabulary);
  return sequence_declare_label(inputs, declaration, model->chosen, length);
}

static tn_status gpt_apply(void *self, tn_model_call *call) {
  const struct gpt *model = self;
  tn_tensor *tokens = tn_field(call->inputs, model->input); /* (n, t) */
  tn_tensor *words = tn_param_tensor(call->params, model->tokens),
            *places = tn_param_tensor(call->params, model->places);
  if (tn_poisoned(tokens)) return tn_outcome();
  tn_tensor *x =
      tn_add(tn_embedding(words, tokens), tn_slice(places, 0, 0, tn_dim(tokens, 1))); /* (n, t, d) */
  x = dropout_apply(model->dropout, call, x);
  for (uint32_t b = 0; b < model->layers; b++) {
    char name[32];
    x = transformer_apply(&model->shape, &model->blocks[b], call, x);
    snprintf(name, sizeof name, "blocks.%u", b);
    tap(call, x, name);
  }
  x = sequence_select(model->chosen,
                      layer_norm_apply(&model->norm, call->params, x)); /* (n t, d), or another */
  tn_fields_set(call->outputs, "features", x);
  tn_fields_set(call->outputs, "logits",
                model->tie ? tn_linear(x, words, NULL) : linear_apply(&model->head, call->params, x));
  sequence_label(call, model->chosen);
  return tn_outcome();
}

static const tn_class gpt_class = {
    .size = sizeof(tn_class),
    .kind = TN_MODEL,
    .name = "gpt",
    .summary = "Causal transformer: language model over characters or tokens",
    .reference = "Radford et al. 2019, Language Models are Unsupervised Multitask Learners",
    TN_CLASS_PARAMS(gpt_params),
    .instance_size = sizeof(struct gpt),
    .vtable = &(const tn_model){sizeof(tn_model), gpt_declare, gpt_apply},
    .create = gpt_create,
    .destroy = gpt_destroy};
TN_PLUGIN("model_gpt", "1.0.0", "MIT", &gpt_class)
