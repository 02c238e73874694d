// SPDX-License-Identifier: MIT
/* The 45 functions of the language and the types they take. */
#include "program.h"

#define UNARY(name) \
  { name, 1, {TYPE_ANY}, TYPE_NONE }
#define BINARY(name) \
  { name, 2, {TYPE_ANY, TYPE_ANY}, TYPE_NONE }

const struct function program_functions[FUNCTION_COUNT] = {
    [F_PI] = {"get_pi", 0, {0}, TYPE_SCALAR},
    [F_E] = {"get_e", 0, {0}, TYPE_SCALAR},
    [F_EPS] = {"get_eps", 0, {0}, TYPE_SCALAR}, /* 1e-8 */
    [F_ABS] = UNARY("abs"),
    [F_COS] = UNARY("cos"),
    [F_SIN] = UNARY("sin"),
    [F_TAN] = UNARY("tan"),
    [F_ARCSIN] = UNARY("arcsin"),
    [F_ARCCOS] = UNARY("arccos"),
    [F_ARCTAN] = UNARY("arctan"),
    [F_SINH] = UNARY("sinh"),
    [F_COSH] = UNARY("cosh"),
    [F_TANH] = UNARY("tanh"),
    [F_ARCSINH] = UNARY("arcsinh"),
    [F_ARCCOSH] = UNARY("arccosh"),
    [F_ARCTANH] = UNARY("arctanh"),
    [F_EXP] = UNARY("exp"),
    [F_EXP2] = UNARY("exp2"),
    [F_EXP10] = UNARY("exp10"),
    [F_EXPM1] = UNARY("expm1"),
    [F_LOG] = UNARY("log"), /* logarithms and sqrt act on |x|, log1p is log|1 + x| */
    [F_LOG10] = UNARY("log10"),
    [F_LOG2] = UNARY("log2"),
    [F_LOG1P] = UNARY("log1p"),
    [F_SQUARE] = UNARY("square"),
    [F_SQRT] = UNARY("sqrt"),
    [F_CUBE] = UNARY("cube"),
    [F_CBRT] = UNARY("cbrt"),
    [F_SIGN] = UNARY("sign"),
    [F_RECIPROCAL] = UNARY("reciprocal"),
    [F_NORM] = {"norm", 1, {TYPE_TREE}, TYPE_NUMBERS},  /* 2-norm of each tensor */
    [F_INVERT] = {"invert", 1, {TYPE_NONE}, TYPE_NONE}, /* of integers, which the language has not */
    [F_NEGATIVE] = UNARY("negative"),
    [F_GLOBAL_NORM] = {"global_norm", 1, {TYPE_TREE}, TYPE_SCALAR},
    [F_DOT] = {"dot", 2, {TYPE_TREE, TYPE_TREE}, TYPE_SCALAR},
    [F_COSINE_SIM] = {"cosine_sim", 2, {TYPE_TREE, TYPE_TREE}, TYPE_SCALAR},
    [F_CLIP] = {"clip", 2, {TYPE_TREE, TYPE_SCALAR}, TYPE_TREE}, /* x min(1, c / global_norm(x)) */
    [F_INTERP] = {"interp", 3, {TYPE_ANY, TYPE_ANY, TYPE_SCALAR}, TYPE_NONE}, /* (1 - a) x + a y */
    [F_POWER] = BINARY("power"),
    [F_ADD] = BINARY("+"),
    [F_SUB] = BINARY("-"),
    [F_MUL] = BINARY("*"),
    [F_DIV] = BINARY("/"), /* x / (y + 1e-8) */
    [F_MAX] = BINARY("max"),
    [F_MIN] = BINARY("min"),
};

program_type function_type(int32_t function, const program_type *arguments) {
  const struct function *f = &program_functions[function];
  program_type largest = TYPE_NONE;
  for (int32_t i = 0; i < f->arity; i++) {
    if (!(f->takes[i] & arguments[i])) return TYPE_NONE;
    if (arguments[i] > largest) largest = arguments[i];
  }
  return f->gives ? f->gives : largest;
}
