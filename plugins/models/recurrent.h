// SPDX-License-Identifier: MIT
/* Recurrent layers.
 *
 *   GRU (Cho et al. 2014):                      LSTM (Hochreiter and Schmidhuber 1997; Gers et al. 2000):
 *   r = sigmoid(W_r x + b_r + U_r h + c_r)      i, f, o = sigmoid(W x + b + U h + c)
 *   z = sigmoid(W_z x + b_z + U_z h + c_z)      g = tanh(W_g x + b_g + U_g h + c_g)
 *   m = tanh(W_m x + b_m + r (U_m h + c_m))     s' = f s + i g
 *   h' = (1 - z) m + z h                        h' = o tanh(s')
 *
 * The reset gate acts on the product, as in cuDNN and PyTorch, so that all products with h are one. Gates lie
 * one after the other in weight_input, weight_hidden and the biases: r, z, m; i, f, g, o. With `init =
 * orthogonal` the columns of U are orthonormal (Saxe et al. 2014), W is Xavier's, biases are zero, and 1 is
 * added to what opens the forget gate (Jozefowicz et al. 2015). */
#ifndef TENON_PLUGINS_RECURRENT_H
#define TENON_PLUGINS_RECURRENT_H

#include "layers.h"

enum { LECUN, ORTHOGONAL };
enum { GRU_GATES = 3, LSTM_GATES = 4 };

/* What all layers of a network share. */
struct recurrent {
  int64_t gates, width;
  int32_t init;
};
struct recurrent_layer {
  uint32_t input, hidden;           /* (gates h, in), (gates h, h) */
  uint32_t input_bias, hidden_bias; /* (gates h) */
};

static inline struct recurrent_layer
recurrent_declare(const struct recurrent *shape, tn_declaration *declaration, uint32_t number, int64_t in) {
  const int64_t width = shape->width, rows = shape->gates * width;
  const bool lecun = shape->init == LECUN;
  const tn_init uniform = tn_init_of(TN_INIT_UNIFORM, 1 / sqrt((double)width));
  struct recurrent_layer layer;
  char name[32];
  snprintf(name, sizeof name, "layers.%u", number);
  layer.input = declare_named(declaration, name, "weight_input", TN_SHAPE(rows, in), TN_DECAY,
                              lecun ? uniform : tn_init_of(TN_INIT_XAVIER_UNIFORM, 1));
  layer.hidden = declare_named(declaration, name, "weight_hidden", TN_SHAPE(rows, width), TN_DECAY,
                               lecun ? uniform : tn_init_of(TN_INIT_ORTHOGONAL, 1));
  layer.input_bias = declare_named(declaration, name, "bias_input", TN_SHAPE(rows), TN_NO_DECAY,
                                   lecun ? uniform : tn_init_zeros());
  layer.hidden_bias = declare_named(declaration, name, "bias_hidden", TN_SHAPE(rows), TN_NO_DECAY,
                                    lecun ? uniform : tn_init_zeros());
  return layer;
}

/* Gate `number` of x (n, gates h) -> (n, h) */
static inline tn_tensor *recurrent_gate(const struct recurrent *shape, tn_tensor *x, int64_t number) {
  return tn_slice(x, 1, number * shape->width, (number + 1) * shape->width);
}

/* x: W x + b, y: U h + c, both (n, 3 h); h (n, h) -> h' */
static inline tn_tensor *gru_cell(const struct recurrent *shape, tn_tensor *x, tn_tensor *y, tn_tensor *h) {
  tn_tensor *r = tn_sigmoid(tn_add(recurrent_gate(shape, x, 0), recurrent_gate(shape, y, 0)));
  tn_tensor *z = tn_sigmoid(tn_add(recurrent_gate(shape, x, 1), recurrent_gate(shape, y, 1)));
  tn_tensor *m = tn_tanh(tn_add(recurrent_gate(shape, x, 2), tn_mul(r, recurrent_gate(shape, y, 2))));
  return tn_add(m, tn_mul(z, tn_sub(h, m)));
}

/* x: W x + b, y: U h + c, both (n, 4 h); *s (n, h) the cell's state -> h' */
static inline tn_tensor *lstm_cell(const struct recurrent *shape, tn_tensor *x, tn_tensor *y, tn_tensor **s) {
  tn_tensor *sum = tn_add(x, y); /* (n, 4 h) */
  tn_tensor *i = tn_sigmoid(recurrent_gate(shape, sum, 0)), *f = recurrent_gate(shape, sum, 1);
  f = tn_sigmoid(shape->init == ORTHOGONAL ? tn_shift(f, 1) : f);
  tn_tensor *g = tn_tanh(recurrent_gate(shape, sum, 2)), *o = tn_sigmoid(recurrent_gate(shape, sum, 3));
  *s = tn_add(tn_mul(f, *s), tn_mul(i, g));
  return tn_mul(o, tn_tanh(*s));
}

/* One step from the projected input x: W x + b (n, gates h): h' from h (n, h) and, of an LSTM, *s. */
static inline tn_tensor *recurrent_cell(const struct recurrent *shape, const struct recurrent_layer *layer,
                                        const tn_params *params, tn_tensor *x, tn_tensor *h, tn_tensor **s) {
  tn_tensor *y =
      tn_linear(h, tn_param_tensor(params, layer->hidden), tn_param_tensor(params, layer->hidden_bias));
  return shape->gates == GRU_GATES ? gru_cell(shape, x, y, h) : lstm_cell(shape, x, y, s);
}
static inline tn_tensor *recurrent_project(const struct recurrent_layer *layer, const tn_params *params,
                                           tn_tensor *x) {
  return tn_linear(x, tn_param_tensor(params, layer->input), tn_param_tensor(params, layer->input_bias));
}

/* One layer over x (t, n, in) -> (t, n, h); the product with the inputs is one for all times. */
static inline tn_tensor *recurrent_run(const struct recurrent *shape, const struct recurrent_layer *layer,
                                       const tn_params *params, tn_tensor *x) {
  tn_tensor *projected = recurrent_project(layer, params, x); /* (t, n, gates h) */
  if (tn_poisoned(projected)) return projected;
  const int64_t length = tn_dim(x, 0), n = tn_dim(x, 1), rows = shape->gates * shape->width;
  tn_tensor **states = tn_alloc((size_t)length * sizeof *states);
  if (!states) return tn_param_tensor(params, layer->input); /* the error is recorded */
  tn_tensor *h = tn_zeros(x->dtype, TN_SHAPE(n, shape->width)), *s = h;
  for (int64_t t = 0; t < length; t++) {
    tn_tensor *at = tn_reshape(tn_slice(projected, 0, t, t + 1), TN_SHAPE(n, rows));
    h = states[t] = recurrent_cell(shape, layer, params, at, h, &s);
  }
  x = tn_stack(states, (uint32_t)length, 0);
  tn_free(states);
  return x;
}

#endif
