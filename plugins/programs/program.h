// SPDX-License-Identifier: MIT
/* The language of optimizer programs (Chen et al. 2023, Symbolic Discovery of Optimization Algorithms,
 * section 2): a list of assignments `name = function(argument, ...)` that makes, from
 *
 *   w, g     parameters and gradient, trees: one array a parameter tensor
 *   m, v     two states of the same shape, zero before the first step
 *   lr       the schedule's value in this step, a scalar
 *
 * the variables update, m and v; the caller does w <- w - update. An argument is a variable or a constant.
 * Every name may be assigned anew. There are no loops, conditions or functions of the user's.
 *
 * As text: one statement a line, or several with `;` between; + - * / stand between their arguments; `#`
 * begins a comment. */
#ifndef TENON_PLUGINS_PROGRAM_H
#define TENON_PLUGINS_PROGRAM_H

#include <tenon/plugin.h>

enum { PROGRAM_STATEMENTS = 64, PROGRAM_ARGUMENTS = 3, PROGRAM_NAME = 24 };
enum { VARIABLE_W, VARIABLE_G, VARIABLE_M, VARIABLE_V, VARIABLE_LR, VARIABLE_UPDATE, VARIABLE_LOCAL };
enum { PROGRAM_VARIABLES = VARIABLE_LOCAL + PROGRAM_STATEMENTS };

struct argument {
  double constant;
  int32_t variable; /* -1: the constant */
  int32_t reserved;
};
struct statement {
  int32_t function; /* index into the table of functions */
  int32_t target;   /* a variable */
  struct argument arguments[PROGRAM_ARGUMENTS];
};
/* Plain data without pointers, unused bytes zero: also the genome of a search. */
struct program {
  int32_t count;
  int32_t reserved;
  char names[PROGRAM_VARIABLES][PROGRAM_NAME]; /* "": the number is free */
  struct statement statements[PROGRAM_STATEMENTS];
};

/* ---- functions.c ---- */

/* Types, ordered such that a function of several arguments gives the largest of theirs; as bits in masks. */
typedef uint8_t program_type;
enum { TYPE_NONE = 0, TYPE_SCALAR = 1, TYPE_NUMBERS = 2 /* one a tensor */, TYPE_TREE = 4, TYPE_ANY = 7 };

enum program_function {
  F_PI,
  F_E,
  F_EPS,
  F_ABS,
  F_COS,
  F_SIN,
  F_TAN,
  F_ARCSIN,
  F_ARCCOS,
  F_ARCTAN,
  F_SINH,
  F_COSH,
  F_TANH,
  F_ARCSINH,
  F_ARCCOSH,
  F_ARCTANH,
  F_EXP,
  F_EXP2,
  F_EXP10,
  F_EXPM1,
  F_LOG,
  F_LOG10,
  F_LOG2,
  F_LOG1P,
  F_SQUARE,
  F_SQRT,
  F_CUBE,
  F_CBRT,
  F_SIGN,
  F_RECIPROCAL,
  F_NORM,
  F_INVERT,
  F_NEGATIVE,
  F_GLOBAL_NORM,
  F_DOT,
  F_COSINE_SIM,
  F_CLIP,
  F_INTERP,
  F_POWER,
  F_ADD,
  F_SUB,
  F_MUL,
  F_DIV,
  F_MAX,
  F_MIN,
  FUNCTION_COUNT
};
struct function {
  const char *name;
  int32_t arity;
  program_type takes[PROGRAM_ARGUMENTS]; /* masks; 0 for an argument that nothing fits */
  program_type gives;                    /* TYPE_NONE: the largest of the arguments' types */
};
extern const struct function program_functions[FUNCTION_COUNT];
/* The type of a call's result; TYPE_NONE if the arguments do not fit. */
program_type function_type(int32_t function, const program_type *arguments);

/* ---- text.c ---- */

void program_start(struct program *program); /* empty, with the six names */
/* The number of a name, made if `make` and there is room; -1 if it is not there. */
int32_t program_variable(struct program *program, const char *name, bool make);
/* Reads and checks a program. `place`: what messages begin with, a file's name. */
tn_status program_parse(const char *text, const char *place, struct program *program);
tn_status program_load(const char *path, struct program *program);
/* tn_alloc'd; parsing it gives the same program, constants bit for bit. NULL and an error if out of memory.
 */
char *program_print(const struct program *program);

/* ---- abstract.c: what can be said without running it, in microseconds ---- */

struct analysis {
  bool valid;
  int32_t wrong;                           /* the first statement with a wrong type; -1: a wrong result */
  program_type result[PROGRAM_STATEMENTS]; /* of each statement */
  program_type types[PROGRAM_VARIABLES];   /* at the end */
  uint64_t one_step;                       /* statements that update, m or v depend on, a bit each */
  uint64_t live;                           /* those that any later update depends on */
  bool keeps_m, keeps_v;                   /* the state reaches an update */
  uint64_t hash;                           /* equal for programs that compute the same in the same way */
  uint64_t structure;                      /* equal for programs that differ in constants only */
};
void program_analyse(const struct program *program, struct analysis *analysis);
/* Types of the variables in front of statement `position`. */
void program_types(const struct program *program, int32_t position, program_type *types);
/* Without dead statements; local variables renamed x1, x2 ... in the order in which they appear. */
void program_tidy(const struct program *program, struct program *tidy);

/* ---- mutation.c: children are valid, or TN_ERROR_INVALID is returned without a message ---- */

/* A program of random statements. */
tn_status program_random(tn_rng *rng, int32_t max_length, struct program *child);
/* Inserts, deletes or modifies, with equal probability. */
tn_status program_mutate(const struct program *parent, tn_rng *rng, int32_t max_length,
                         struct program *child);
/* Multiplies one constant by 2^a, a standard normal. */
tn_status program_tune(const struct program *parent, tn_rng *rng, struct program *child);
void program_remove(const struct program *parent, int32_t position, struct program *child);
/* update = update * factor at the end, merged with a multiplication that stands there already. */
tn_status program_scale(const struct program *parent, double factor, struct program *child);

/* ---- interpreter.c ---- */

/* How the trainable tensors of a parameter set lie in its flat vector. */
struct layout {
  int64_t count, leaves;
  tn_tensor *leaf_of; /* (count) int64 */
};
tn_status layout_make(struct layout *layout, const tn_params *params);
void layout_release(struct layout *layout);

/* The variables of one step as tensors: trees (count), states NULL while they are zero. */
struct program_step {
  tn_tensor *w, *g, *m, *v;
  double lr;
  tn_tensor *update; /* result; m and v are replaced where the program keeps them */
};
/* Executes the live statements; tensors belong to the scope. Turn recording off. [any] */
tn_status program_run(const struct program *program, const struct analysis *analysis,
                      const struct layout *layout, struct program_step *step);
/* One optimizer step: params <- params - update. The states (like params) may be NULL if not kept. */
tn_status program_step_params(const struct program *program, const struct analysis *analysis,
                              const struct layout *layout, tn_params *params, const tn_params *gradient,
                              tn_params *m, tn_params *v, double lr);

#endif
