// SPDX-License-Identifier: MIT
/* Abstract execution: types, functional hash and liveness of a program in one pass over its statements. */
#include "program.h"
#include <stdio.h>
#include <string.h>

/* What is known of a variable's value. */
struct value {
  program_type type;
  uint64_t hash, structure;
  uint64_t statements; /* it depends on, a bit each */
  uint32_t inputs;     /* it depends on, a bit each of w, g, m, v, lr */
};

/* Finaliser of SplitMix64 (Steele et al. 2014): every bit of the result depends on every bit of x. */
static uint64_t scramble(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}
static uint64_t combine(uint64_t hash, uint64_t x) {
  return scramble(hash * 0x9e3779b97f4a7c15u + scramble(x + 0x632be59bd9b4e019u));
}

static void start_values(struct value *values) {
  memset(values, 0, PROGRAM_VARIABLES * sizeof *values);
  for (int32_t i = VARIABLE_W; i <= VARIABLE_LR; i++) {
    const uint64_t hash = scramble(0x696e7075740000u + (uint64_t)i);
    values[i] = (struct value){i == VARIABLE_LR ? TYPE_SCALAR : TYPE_TREE, hash, hash, 0, 1u << i};
  }
}

static struct value constant_value(double constant) {
  uint64_t bits;
  const double number = constant == 0 ? 0 : constant; /* -0 prints and acts like 0 */
  memcpy(&bits, &number, sizeof bits);
  return (struct value){TYPE_SCALAR, combine(0x636f6e7374u, bits), 0x636f6e7374u, 0, 0};
}

/* The value of statement `s`; of TYPE_NONE if its arguments do not fit. */
static struct value execute(const struct program *program, int32_t s, const struct value *values) {
  const struct statement *statement = &program->statements[s];
  const int32_t arity = program_functions[statement->function].arity;
  program_type types[PROGRAM_ARGUMENTS];
  struct value result = {.statements = (uint64_t)1 << s};
  result.hash = result.structure = scramble(0x66756e6374u + (uint64_t)statement->function);
  for (int32_t i = 0; i < arity; i++) {
    const struct argument *argument = &statement->arguments[i];
    const struct value value =
        argument->variable < 0 ? constant_value(argument->constant) : values[argument->variable];
    types[i] = value.type;
    result.hash = combine(result.hash, value.hash);
    result.structure = combine(result.structure, value.structure);
    result.statements |= value.statements;
    result.inputs |= value.inputs;
  }
  result.type = function_type(statement->function, types);
  return result;
}

/* A state counts only if what came in reaches the update or another state that counts. Those that do not are
 * hashed as zeros: whatever they hold, nobody reads it. */
static void find_live(const struct value *values, struct analysis *a) {
  const struct value *update = &values[VARIABLE_UPDATE], *m = &values[VARIABLE_M], *v = &values[VARIABLE_V];
  uint32_t reached = update->inputs;
  a->live = update->statements;
  for (int round = 0; round < 2; round++) { /* the second state may bring in the first */
    a->keeps_m = (reached & 1u << VARIABLE_M) != 0;
    if (a->keeps_m) reached |= m->inputs, a->live |= m->statements;
    a->keeps_v = (reached & 1u << VARIABLE_V) != 0;
    if (a->keeps_v) reached |= v->inputs, a->live |= v->statements;
  }
  a->one_step = update->statements | m->statements | v->statements;
  a->hash = combine(combine(update->hash, a->keeps_m ? m->hash : 0), a->keeps_v ? v->hash : 0);
  a->structure =
      combine(combine(update->structure, a->keeps_m ? m->structure : 0), a->keeps_v ? v->structure : 0);
}

void program_analyse(const struct program *program, struct analysis *analysis) {
  struct value values[PROGRAM_VARIABLES];
  memset(analysis, 0, sizeof *analysis);
  start_values(values);
  for (int32_t s = 0; s < program->count; s++) {
    const struct value result = execute(program, s, values);
    analysis->wrong = s;
    if (result.type == TYPE_NONE) return;
    analysis->result[s] = result.type;
    values[program->statements[s].target] = result;
  }
  for (int32_t i = 0; i < PROGRAM_VARIABLES; i++) analysis->types[i] = values[i].type;
  analysis->wrong = -1;
  analysis->valid = values[VARIABLE_UPDATE].type == TYPE_TREE && values[VARIABLE_M].type == TYPE_TREE &&
                    values[VARIABLE_V].type == TYPE_TREE;
  if (analysis->valid) find_live(values, analysis);
}

void program_types(const struct program *program, int32_t position, program_type *types) {
  memset(types, TYPE_NONE, PROGRAM_VARIABLES);
  for (int32_t i = VARIABLE_W; i <= VARIABLE_LR; i++) types[i] = i == VARIABLE_LR ? TYPE_SCALAR : TYPE_TREE;
  for (int32_t s = 0; s < position; s++) {
    const struct statement *statement = &program->statements[s];
    program_type arguments[PROGRAM_ARGUMENTS] = {TYPE_NONE};
    for (int32_t i = 0; i < program_functions[statement->function].arity; i++) {
      const int32_t variable = statement->arguments[i].variable;
      arguments[i] = variable < 0 ? TYPE_SCALAR : types[variable];
    }
    types[statement->target] = function_type(statement->function, arguments);
  }
}

static int32_t renamed(struct program *tidy, int32_t *number_of, int32_t variable) {
  if (variable < VARIABLE_LOCAL) return variable;
  if (number_of[variable] == 0) {
    int32_t local = VARIABLE_LOCAL;
    while (*tidy->names[local]) local++;
    snprintf(tidy->names[local], PROGRAM_NAME, "x%d", local - VARIABLE_LOCAL + 1);
    number_of[variable] = local;
  }
  return number_of[variable];
}

void program_tidy(const struct program *program, struct program *tidy) {
  struct analysis analysis;
  int32_t number_of[PROGRAM_VARIABLES] = {0};
  program_analyse(program, &analysis);
  program_start(tidy);
  for (int32_t s = 0; s < program->count; s++) {
    if (!(analysis.live >> s & 1)) continue;
    struct statement *statement = &tidy->statements[tidy->count++];
    *statement = program->statements[s];
    for (int32_t i = 0; i < program_functions[statement->function].arity; i++)
      if (statement->arguments[i].variable >= 0)
        statement->arguments[i].variable = renamed(tidy, number_of, statement->arguments[i].variable);
    statement->target = renamed(tidy, number_of, statement->target);
  }
}
