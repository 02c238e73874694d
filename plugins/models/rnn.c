// SPDX-License-Identifier: MIT
/* Recurrent networks: gated recurrent units and long short-term memory, in layers.
 *
 *   GRU (Cho et al. 2014):                      LSTM (Hochreiter and Schmidhuber 1997; Gers et al. 2000):
 *   r = sigmoid(W_r x + b_r + U_r h + c_r)      i, f, o = sigmoid(W x + b + U h + c)
 *   z = sigmoid(W_z x + b_z + U_z h + c_z)      g = tanh(W_g x + b_g + U_g h + c_g)
 *   m = tanh(W_m x + b_m + r (U_m h + c_m))     s' = f s + i g
 *   h' = (1 - z) m + z h                        h' = o tanh(s')
 *
 * The reset gate acts on the product, as in cuDNN and PyTorch, so that all products with h are one. Gates lie
 * one after the other in weight_input, weight_hidden and the biases: r, z, m; i, f, g, o. Reads `tokens` (n,
 * t), through an embedding, or `input` (n, t, d). sequence.h says which positions get `features` and
 * `logits`. With `init = orthogonal` the columns of U are orthonormal (Saxe et al. 2014), W is Xavier's,
 * biases are zero, and 1 is added to what opens the forget gate (Jozefowicz et al. 2015). */
#include "sequence.h"

enum { LECUN, ORTHOGONAL };

struct cell_layer {
  uint32_t input, hidden;           /* (gates h, in), (gates h, h) */
  uint32_t input_bias, hidden_bias; /* (gates h) */
};

struct rnn {
  int64_t layers, width, embedding, vocabulary, output;
  double dropout;
  int32_t init, positions;
  const char *input, *output_field;

  bool tokens; /* else numbers */
  int64_t gates;
  uint32_t words; /* (vocabulary, embedding) */
  struct cell_layer *cells;
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

static struct cell_layer declare_cell(const struct rnn *model, tn_declaration *declaration, uint32_t number,
                                      int64_t in) {
  const int64_t width = model->width, rows = model->gates * width;
  const bool lecun = model->init == LECUN;
  const tn_init uniform = tn_init_of(TN_INIT_UNIFORM, 1 / sqrt((double)width));
  struct cell_layer cell;
  char name[32];
  snprintf(name, sizeof name, "layers.%u", number);
  cell.input = declare_named(declaration, name, "weight_input", TN_SHAPE(rows, in), TN_DECAY,
                             lecun ? uniform : tn_init_of(TN_INIT_XAVIER_UNIFORM, 1));
  cell.hidden = declare_named(declaration, name, "weight_hidden", TN_SHAPE(rows, width), TN_DECAY,
                              lecun ? uniform : tn_init_of(TN_INIT_ORTHOGONAL, 1));
  cell.input_bias = declare_named(declaration, name, "bias_input", TN_SHAPE(rows), TN_NO_DECAY,
                                  lecun ? uniform : tn_init_zeros());
  cell.hidden_bias = declare_named(declaration, name, "bias_hidden", TN_SHAPE(rows), TN_NO_DECAY,
                                   lecun ? uniform : tn_init_zeros());
  return cell;
}

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
    model->cells[l] = declare_cell(model, declaration, l, in);
  model->head = linear_declare(declaration, "head", in, outputs, true, tn_init_of(TN_INIT_LECUN_UNIFORM, 1));
  model->chosen = positions_of(inputs, model->positions);
  sequence_declare_output(declaration, model->chosen, "features", length, in);
  sequence_declare_output(declaration, model->chosen, model->output_name, length, outputs);
  return sequence_declare_label(inputs, declaration, model->chosen, length);
}

/* Gate `number` of x (n, gates h) -> (n, h) */
static tn_tensor *gate(const struct rnn *model, tn_tensor *x, int64_t number) {
  return tn_slice(x, 1, number * model->width, (number + 1) * model->width);
}

/* x: W x + b, y: U h + c, both (n, 3 h); h (n, h) -> h' */
static tn_tensor *gru_cell(const struct rnn *model, tn_tensor *x, tn_tensor *y, tn_tensor *h) {
  tn_tensor *r = tn_sigmoid(tn_add(gate(model, x, 0), gate(model, y, 0)));
  tn_tensor *z = tn_sigmoid(tn_add(gate(model, x, 1), gate(model, y, 1)));
  tn_tensor *m = tn_tanh(tn_add(gate(model, x, 2), tn_mul(r, gate(model, y, 2))));
  return tn_add(m, tn_mul(z, tn_sub(h, m)));
}

/* x: W x + b, y: U h + c, both (n, 4 h); *s (n, h) the cell's state -> h' */
static tn_tensor *lstm_cell(const struct rnn *model, tn_tensor *x, tn_tensor *y, tn_tensor **s) {
  tn_tensor *sum = tn_add(x, y); /* (n, 4 h) */
  tn_tensor *i = tn_sigmoid(gate(model, sum, 0)), *f = gate(model, sum, 1);
  f = tn_sigmoid(model->init == ORTHOGONAL ? tn_shift(f, 1) : f);
  tn_tensor *g = tn_tanh(gate(model, sum, 2)), *o = tn_sigmoid(gate(model, sum, 3));
  *s = tn_add(tn_mul(f, *s), tn_mul(i, g));
  return tn_mul(o, tn_tanh(*s));
}

/* One layer over x (t, n, in) -> (t, n, h); the product with the inputs is one for all times. */
static tn_tensor *run_layer(const struct rnn *model, const struct cell_layer *cell, const tn_params *params,
                            tn_tensor *x) {
  tn_tensor *projected = tn_linear(x, tn_param_tensor(params, cell->input),
                                   tn_param_tensor(params, cell->input_bias)); /* (t, n, gates h) */
  if (tn_poisoned(projected)) return projected;
  const int64_t length = tn_dim(x, 0), n = tn_dim(x, 1), rows = model->gates * model->width;
  tn_tensor **states = tn_alloc((size_t)length * sizeof *states);
  if (!states) return tn_param_tensor(params, cell->input); /* the error is recorded */
  tn_tensor *h = tn_zeros(x->dtype, TN_SHAPE(n, model->width)), *s = h;
  for (int64_t t = 0; t < length; t++) {
    tn_tensor *at = tn_reshape(tn_slice(projected, 0, t, t + 1), TN_SHAPE(n, rows));
    tn_tensor *y =
        tn_linear(h, tn_param_tensor(params, cell->hidden), tn_param_tensor(params, cell->hidden_bias));
    h = states[t] = model->gates == 3 ? gru_cell(model, at, y, h) : lstm_cell(model, at, y, &s);
  }
  x = tn_stack(states, (uint32_t)length, 0);
  tn_free(states);
  return x;
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
    x = run_layer(model, &model->cells[l], call->params, x);
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
  ((struct rnn *)self)->gates = 3;
  return rnn_declare(self, inputs, declaration);
}
static tn_status lstm_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  ((struct rnn *)self)->gates = 4;
  return rnn_declare(self, inputs, declaration);
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
