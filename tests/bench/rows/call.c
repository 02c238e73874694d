// SPDX-License-Identifier: MIT
/* What a call costs: one call of a plugin's function through its kind's table; one addition of two tensors of
 * four elements, recorded and differentiated. Millions of calls a second; the table shows nanoseconds. */
#include "../bench.h"

enum { CALLS = 1000 };

static const tn_component *optimizer;
static tn_tensor *x, *y, *ones; /* (4) */

static bool begin_call(void) {
  optimizer = bench_optimizer("optimizer.sgd", "lr = 0.5");
  return optimizer != NULL;
}

/* learning_rate returns a product: what remains is the way there. */
static double step_call(void) {
  double sum = 0;
  for (int i = 0; i < CALLS; i++) {
    tn_call_stack *stack = tn_enter(optimizer, "learning_rate");
    sum += tn_optimizer_learning_rate(optimizer, i);
    tn_leave(stack);
  }
  return sum;
}

static bool begin_add(void) {
  x = bench_normal(TN_SHAPE(4));
  y = bench_normal(TN_SHAPE(4));
  ones = tn_persist(tn_full(TN_F32, TN_SHAPE(4), 1));
  return x && y && ones;
}

static double step_add(void) {
  double sum = 0;
  for (int i = 0; i < CALLS; i++) {
    tn_tensor *gradient, *variable;
    tn_scope_open();
    variable = tn_leaf(x);
    tn_vjp(tn_add(variable, y), ones, &variable, 1, &gradient, 0);
    sum += tn_f32(gradient)[0];
    tn_scope_close();
  }
  return sum;
}

const bench_row bench_call = {"call", CALLS, begin_call, step_call};
const bench_row bench_call_add = {"call_add", CALLS, begin_add, step_add};
