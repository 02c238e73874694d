// SPDX-License-Identifier: MIT
/* Runs programs on flat vectors: a tree is one tensor (count) of all trainable numbers, numbers are (leaves),
 * scalars have rank 0. */
#include "program.h"

/* ---- where the leaves of a tree are ---- */

void layout_release(struct layout *layout) {
  tn_release(layout->leaf_of);
  layout->leaf_of = NULL;
}

tn_status layout_make(struct layout *layout, const tn_params *params) {
  tn_params *numbers = tn_params_like(params);
  if (!numbers) return TN_ERROR_MEMORY;
  layout->leaves = 0;
  for (uint32_t i = 0; i < tn_params_count(numbers); i++) {
    tn_tensor *leaf = tn_param_tensor(numbers, i);
    for (int64_t k = 0; leaf && k < tn_numel(leaf); k++) {
      if (leaf->dtype == TN_F64)
        tn_f64(leaf)[k] = (double)layout->leaves;
      else
        tn_f32(leaf)[k] = (float)layout->leaves;
    }
    layout->leaves += leaf != NULL;
  }
  const bool recording = tn_record(false);
  layout_release(layout);
  layout->leaf_of = tn_persist(tn_cast(tn_params_flatten(numbers), TN_I64));
  tn_record(recording);
  tn_params_release(numbers);
  layout->count = layout->leaf_of ? tn_numel(layout->leaf_of) : 0;
  return layout->leaf_of ? TN_OK : TN_ERROR_MEMORY;
}

/* ---- functions ---- */

static tn_tensor *root_of(tn_tensor *x, double power) { return tn_power(tn_abs(x), power); }
static tn_tensor *log_abs(tn_tensor *x) { return tn_log(tn_abs(x)); }
/* |1 + x| = 1 + max(x, -2 - x), without the loss of small x */
static tn_tensor *log1p_abs(tn_tensor *x) {
  return tn_sdk.tensor->unary(TN_LOG1P, tn_maximum(x, tn_affine(x, -1, -2)), 0, 0);
}
/* sign(x) log(a + sqrt(a^2 + 1)) with a = |x|, as log1p(a + a^2 / (1 + sqrt(1 + a^2))) */
static tn_tensor *arcsinh(tn_tensor *x) {
  tn_tensor *square = tn_square(x);
  tn_tensor *ratio = tn_div(square, tn_shift(tn_sqrt(tn_shift(square, 1)), 1));
  return tn_mul(tn_sign(x), tn_log1p(tn_add(tn_abs(x), ratio)));
}
static tn_tensor *arccosh(tn_tensor *x) { return tn_log(tn_add(x, tn_sqrt(tn_shift(tn_square(x), -1)))); }
static tn_tensor *arctanh(tn_tensor *x) { return tn_scale(tn_sub(tn_log1p(x), tn_log1p(tn_neg(x))), 0.5); }
static tn_tensor *clip(tn_tensor *x, tn_tensor *c) {
  return tn_mul(x, tn_minimum(tn_div(c, tn_norm(x)), tn_scalar(x->dtype, 1)));
}
static tn_tensor *cosine_sim(tn_tensor *x, tn_tensor *y) {
  return tn_div(tn_sum(tn_mul(x, y)), tn_mul(tn_norm(x), tn_norm(y)));
}

static tn_tensor *unary(int32_t function, tn_tensor *x, const struct layout *layout) {
  switch (function) {
  case F_ABS: return tn_abs(x);
  case F_COS: return tn_cos(x);
  case F_SIN: return tn_sin(x);
  case F_TAN: return tn_tan(x);
  case F_ARCSIN: return tn_asin(x);
  case F_ARCCOS: return tn_acos(x);
  case F_ARCTAN: return tn_atan(x);
  case F_SINH: return tn_sinh(x);
  case F_COSH: return tn_cosh(x);
  case F_TANH: return tn_tanh(x);
  case F_ARCSINH: return arcsinh(x);
  case F_ARCCOSH: return arccosh(x);
  case F_ARCTANH: return arctanh(x);
  case F_EXP: return tn_exp(x);
  case F_EXP2: return tn_exp(tn_scale(x, log(2)));
  case F_EXP10: return tn_exp(tn_scale(x, log(10)));
  case F_EXPM1: return tn_expm1(x);
  case F_LOG: return log_abs(x);
  case F_LOG10: return tn_scale(log_abs(x), 1 / log(10));
  case F_LOG2: return tn_scale(log_abs(x), 1 / log(2));
  case F_LOG1P: return log1p_abs(x);
  case F_SQUARE: return tn_square(x);
  case F_SQRT: return tn_sqrt(tn_abs(x));
  case F_CUBE: return tn_mul(tn_square(x), x);
  case F_CBRT: return tn_mul(tn_sign(x), root_of(x, 1.0 / 3));
  case F_SIGN: return tn_sign(x);
  case F_RECIPROCAL: return tn_reciprocal(x);
  case F_NORM: return tn_sqrt(tn_segment(TN_SUM, tn_square(x), layout->leaf_of, layout->leaves));
  case F_NEGATIVE: return tn_neg(x);
  default: return tn_norm(x); /* F_GLOBAL_NORM */
  }
}

static tn_tensor *call(int32_t function, tn_tensor *const *x, const struct layout *layout) {
  switch (function) {
  case F_DOT: return tn_sum(tn_mul(x[0], x[1]));
  case F_COSINE_SIM: return cosine_sim(x[0], x[1]);
  case F_CLIP: return clip(x[0], x[1]);
  case F_INTERP: return tn_add(tn_mul(tn_affine(x[2], -1, 1), x[0]), tn_mul(x[2], x[1]));
  case F_POWER: return tn_pow(x[0], x[1]);
  case F_ADD: return tn_add(x[0], x[1]);
  case F_SUB: return tn_sub(x[0], x[1]);
  case F_MUL: return tn_mul(x[0], x[1]);
  case F_DIV: return tn_div(x[0], tn_shift(x[1], 1e-8));
  case F_MAX: return tn_maximum(x[0], x[1]);
  case F_MIN: return tn_minimum(x[0], x[1]);
  default: return unary(function, x[0], layout);
  }
}

/* ---- execution ---- */

struct machine {
  const struct program *program;
  const struct analysis *analysis;
  const struct layout *layout;
  tn_dtype dtype;
  tn_tensor *variables[PROGRAM_VARIABLES];
  program_type types[PROGRAM_VARIABLES]; /* at this point of the program */
};

static tn_tensor *execute_statement(const struct machine *machine, const struct statement *statement,
                                    program_type result) {
  static const double numbers[] = {[F_PI] = 3.14159265358979324, [F_E] = 2.71828182845904524, [F_EPS] = 1e-8};
  const int32_t arity = program_functions[statement->function].arity;
  if (arity == 0) return tn_scalar(machine->dtype, numbers[statement->function]);
  tn_tensor *x[PROGRAM_ARGUMENTS] = {NULL};
  for (int32_t i = 0; i < arity; i++) {
    const struct argument *argument = &statement->arguments[i];
    if (argument->variable < 0) {
      x[i] = tn_scalar(machine->dtype, argument->constant);
      continue;
    }
    x[i] = machine->variables[argument->variable];
    if (machine->types[argument->variable] == TYPE_NUMBERS &&
        result == TYPE_TREE) /* one a leaf, to each element */
      x[i] = tn_index_select(x[i], 0, machine->layout->leaf_of);
  }
  return call(statement->function, x, machine->layout);
}

tn_status program_run(const struct program *program, const struct analysis *analysis,
                      const struct layout *layout, struct program_step *step) {
  struct machine machine = {program, analysis, layout, step->w->dtype, {NULL}, {TYPE_NONE}};
  tn_tensor *zeros = step->m && step->v ? NULL : tn_zeros(machine.dtype, TN_SHAPE(layout->count));
  tn_tensor *inputs[] = {step->w, step->g, step->m ? step->m : zeros, step->v ? step->v : zeros,
                         tn_scalar(machine.dtype, step->lr)};
  for (int32_t i = VARIABLE_W; i <= VARIABLE_LR; i++) {
    machine.variables[i] = inputs[i];
    machine.types[i] = i == VARIABLE_LR ? TYPE_SCALAR : TYPE_TREE;
  }
  for (int32_t s = 0; s < program->count; s++) {
    if (!(analysis->live >> s & 1)) continue;
    const struct statement *statement = &program->statements[s];
    machine.variables[statement->target] = execute_statement(&machine, statement, analysis->result[s]);
    machine.types[statement->target] = analysis->result[s];
  }
  step->update = machine.variables[VARIABLE_UPDATE];
  if (analysis->keeps_m) step->m = machine.variables[VARIABLE_M];
  if (analysis->keeps_v) step->v = machine.variables[VARIABLE_V];
  return tn_outcome();
}

tn_status program_step_params(const struct program *program, const struct analysis *analysis,
                              const struct layout *layout, tn_params *params, const tn_params *gradient,
                              tn_params *m, tn_params *v, double lr) {
  const bool recording = tn_record(false);
  struct program_step step = {.w = tn_params_flatten(params), .g = tn_params_flatten(gradient), .lr = lr};
  if (analysis->keeps_m) step.m = tn_params_flatten(m);
  if (analysis->keeps_v) step.v = tn_params_flatten(v);
  tn_status status = tn_failed() ? TN_ERROR_SHAPE : program_run(program, analysis, layout, &step);
  if (status >= 0) status = tn_params_assign(params, tn_sub(step.w, step.update));
  if (status >= 0 && analysis->keeps_m) status = tn_params_assign(m, step.m);
  if (status >= 0 && analysis->keeps_v) status = tn_params_assign(v, step.v);
  tn_record(recording);
  return status;
}
