// SPDX-License-Identifier: MIT
/* Recurrent networks: gated recurrent units and long short-term memory, in layers (recurrent.h). Reads
 * `tokens` (n, t), through an embedding, or `input` (n, t, d). sequence.h says which positions get `features`
 * and `logits`. */
#include "recurrent.h"
#include "sequence.h"

struct rnn {
  int64_t layers, width, embedding, vocabulary, output;
  double dropout;
  int32_t init, positions;
  const char *input, *output_field;

  bool tokens; /* else numbers */
  struct recurrent shape;
  uint32_t words; /* (vocabulary, embedding) */
  struct recurrent_layer *cells;
  struct linear head;
  int32_t chosen; /* positions in force */
  const char *input_name, *output_name;
};
static const tn_param rnn_params[] = {
    TN_INTEGER(struct rnn, layers, "1", 1, 100, NULL, "recurrent layers"),
    TN_INTEGER(struct rnn, width, "128", 1, 1 << 16, NULL, "of the hidden state"),
    TN_INTEGER(struct rnn, embedding, "0", 0, 1 << 16, NULL, "width of a token's embedding; 0: as width"),
    TN_INTEGER(struct rnn, vocabulary, "0", 0, 1 << 24, NULL,
               "kinds of tokens; 0: the classes of the input field"),
    DROPOUT_PARAM(rnn,
                  "probability with which a value between layers, and in front of the output, is left out"),
    TN_CHOICE(struct rnn, init, "lecun_uniform", "lecun_uniform|orthogonal",
              "lecun_uniform: all in +- 1 / sqrt(width), PyTorch's default; or orthogonal and Xavier"),
    POSITIONS_PARAM(rnn),
    HEAD_PARAMS(rnn),
    TN_STRING(struct rnn, input, "", "field to read; empty: `tokens`, else `input`"),
};

static void rnn_destroy(void *self) { tn_free(((struct rnn *)self)->cells); }

/* What is read: *length positions of *width numbers, or tokens that an embedding makes so. */
static tn_status declare_input(struct rnn *model, const tn_spec *inputs, tn_declaration *declaration,
                               int64_t *length, int64_t *width) {
  model->input_name = *model->input ? model->input : tn_spec_find(inputs, "tokens") ? "tokens" : "input";
  const tn_field_spec *field = tn_spec_get(inputs, model->input_name);
  if (!field) return TN_ERROR_MISSING;
  model->tokens = field->dtype == TN_I64;
  if (field->ragged || field->shape.ndim != (model->tokens ? 1 : 2) || field->shape.dim[0] < 1)
    return tn_fail(TN_ERROR_SHAPE, "'%s' must be int64 tokens (t) or numbers (t, d) of one length",
                   model->input_name);
  *length = field->shape.dim[0];
  *width = model->tokens ? (model->embedding > 0 ? model->embedding : model->width) : field->shape.dim[1];
  if (!model->tokens) return TN_OK;
  const int64_t vocabulary = model->vocabulary > 0 ? model->vocabulary : field->classes;
  if (vocabulary < 1)
    return tn_fail(TN_ERROR_MISSING, "'%s' has no number of classes: give `vocabulary`", model->input_name);
  if (vocabulary < field->classes)
    return tn_fail(TN_ERROR_INVALID, "vocabulary %lld is below the %lld classes of '%s'",
                   (long long)vocabulary, (long long)field->classes, model->input_name);
  model->words = declare_named(declaration, "tokens", "weight", TN_SHAPE(vocabulary, *width), TN_DECAY,
                               tn_init_of(TN_INIT_NORMAL, 1));
  return TN_OK;
}

static tn_status rnn_declare(struct rnn *model, const tn_spec *inputs, tn_declaration *declaration) {
  int64_t length = 0, in = 0;
  model->output_name = model->output_field;
  const int64_t outputs = head_width(inputs, model->output, &model->output_name);
  if (outputs < 1) return TN_ERROR_MISSING;
  const tn_status status = declare_input(model, inputs, declaration, &length, &in);
  if (status < 0) return status;
  tn_free(model->cells);
  model->cells = tn_alloc((size_t)model->layers * sizeof *model->cells);
  if (!model->cells) return TN_ERROR_MEMORY;
  for (uint32_t l = 0; l < model->layers; l++, in = model->width)
    model->cells[l] = recurrent_declare(&model->shape, declaration, l, in);
  model->head = linear_declare(declaration, "head", in, outputs, true, tn_init_of(TN_INIT_LECUN_UNIFORM, 1));
  model->chosen = positions_of(inputs, model->positions);
  sequence_declare_output(declaration, model->chosen, "features", length, in);
  sequence_declare_output(declaration, model->chosen, model->output_name, length, outputs);
  return sequence_declare_label(inputs, declaration, model->chosen, length);
}

static tn_status rnn_apply(void *self, tn_model_call *call) {
  const struct rnn *model = self;
  tn_tensor *x = tn_field(call->inputs, model->input_name); /* (n, t) or (n, t, d) */
  if (tn_poisoned(x)) return tn_outcome();
  if (model->tokens)
    x = tn_embedding(tn_param_tensor(call->params, model->words), tn_permute(x, (const int32_t[]){1, 0}));
  else
    x = tn_permute(x, (const int32_t[]){1, 0, 2}); /* (t, n, d) */
  for (uint32_t l = 0; l < model->layers; l++) {
    char name[32];
    x = recurrent_run(&model->shape, &model->cells[l], call->params, x);
    snprintf(name, sizeof name, "layers.%u", l);
    tap(call, x, name);
    x = dropout_apply(model->dropout, call, x);
  }
  x = sequence_select(model->chosen, tn_permute(x, (const int32_t[]){1, 0, 2})); /* (n t, h), or another */
  tn_fields_set(call->outputs, "features", x);
  tn_fields_set(call->outputs, model->output_name, linear_apply(&model->head, call->params, x));
  sequence_label(call, model->chosen);
  return tn_outcome();
}

static tn_status gru_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct rnn *model = self;
  model->shape = (struct recurrent){.gates = GRU_GATES, .width = model->width, .init = model->init};
  return rnn_declare(model, inputs, declaration);
}
static tn_status lstm_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct rnn *model = self;
  model->shape = (struct recurrent){.gates = LSTM_GATES, .width = model->width, .init = model->init};
  return rnn_declare(model, inputs, declaration);
}

static const tn_class gru_class = {
    .size = sizeof(tn_class),
    .kind = TN_MODEL,
    .name = "gru",
    .summary = "Gated recurrent units: sequences to classes, or language model",
    .reference = "Cho et al. 2014, Learning Phrase Representations using RNN Encoder-Decoder",
    TN_CLASS_PARAMS(rnn_params),
    .instance_size = sizeof(struct rnn),
    .vtable = &(const tn_model){sizeof(tn_model), gru_declare, rnn_apply},
    .destroy = rnn_destroy};
static const tn_class lstm_class = {.size = sizeof(tn_class),
                                    .kind = TN_MODEL,
                                    .name = "lstm",
                                    .summary =
                                        "Long short-term memory: sequences to classes, or language model",
                                    .reference = "Hochreiter and Schmidhuber 1997, Long Short-Term Memory",
                                    TN_CLASS_PARAMS(rnn_params),
                                    .instance_size = sizeof(struct rnn),
                                    .vtable = &(const tn_model){sizeof(tn_model), lstm_declare, rnn_apply},
                                    .destroy = rnn_destroy};
TN_PLUGIN("model_rnn", "1.0.0", "MIT", &gru_class, &lstm_class)
