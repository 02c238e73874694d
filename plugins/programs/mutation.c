// SPDX-License-Identifier: MIT
/* How programs vary. A change is tried at random places until what comes out has valid types. */
#include "program.h"
#include <stdio.h>
#include <string.h>

enum { TRIES = 200 };

static int32_t below(tn_rng *rng, int32_t bound) { return (int32_t)tn_random_below(rng, (uint64_t)bound); }

static bool is_valid(const struct program *program) {
  struct analysis analysis;
  program_analyse(program, &analysis);
  return analysis.valid;
}

/* ---- variables ---- */

/* Gives the numbers of local variables free that no statement mentions. */
static void forget_unused(struct program *program) {
  bool used[PROGRAM_VARIABLES] = {false};
  for (int32_t s = 0; s < program->count; s++) {
    const struct statement *statement = &program->statements[s];
    used[statement->target] = true;
    for (int32_t i = 0; i < program_functions[statement->function].arity; i++)
      if (statement->arguments[i].variable >= 0) used[statement->arguments[i].variable] = true;
  }
  for (int32_t i = VARIABLE_LOCAL; i < PROGRAM_VARIABLES; i++)
    if (!used[i]) memset(program->names[i], 0, PROGRAM_NAME);
}

/* A local variable with the first name x1, x2 ... that is free. There is always one: a program has no more
 * local variables than statements. */
static int32_t new_variable(struct program *program) {
  char name[PROGRAM_NAME];
  for (int32_t k = 1;; k++) {
    snprintf(name, sizeof name, "x%d", k);
    if (program_variable(program, name, false) < 0) return program_variable(program, name, true);
  }
}

/* One of the variables whose type is in `mask`, each as probable as the others and as `extra` further
 * choices; -1 if a further one is drawn or there is none. */
static int32_t draw_variable(const program_type *types, program_type mask, int32_t extra, tn_rng *rng) {
  int32_t fits[PROGRAM_VARIABLES], count = 0;
  for (int32_t i = 0; i < PROGRAM_VARIABLES; i++)
    if (types[i] & mask) fits[count++] = i;
  if (count + extra == 0) return -1;
  const int32_t drawn = below(rng, count + extra);
  return drawn < count ? fits[drawn] : -1;
}

/* ---- inserting ---- */

/* A random call whose arguments fit. Where a constant may stand there is one, standard normal, half of the
 * time; but not everywhere, since a function of constants is a constant. False if it came to nothing. */
static bool draw_call(const program_type *types, tn_rng *rng, struct statement *statement) {
  memset(statement, 0, sizeof *statement);
  statement->function = below(rng, FUNCTION_COUNT);
  const struct function *function = &program_functions[statement->function];
  bool variables = function->arity == 0;
  for (int32_t i = 0; i < function->arity; i++) {
    struct argument *argument = &statement->arguments[i];
    const bool constant = (function->takes[i] & TYPE_SCALAR) != 0;
    argument->variable = constant && below(rng, 2) ? -1 : draw_variable(types, function->takes[i], 0, rng);
    variables |= argument->variable >= 0;
    if (argument->variable >= 0) continue;
    if (!constant) return false;
    argument->constant = tn_random_normal(rng);
  }
  return variables;
}

static program_type type_of(const struct statement *statement, const program_type *types) {
  program_type arguments[PROGRAM_ARGUMENTS] = {TYPE_NONE};
  for (int32_t i = 0; i < program_functions[statement->function].arity; i++) {
    const int32_t variable = statement->arguments[i].variable;
    arguments[i] = variable < 0 ? TYPE_SCALAR : types[variable];
  }
  return function_type(statement->function, arguments);
}

static void put(struct program *program, int32_t position, const struct statement *statement) {
  struct statement *place = &program->statements[position];
  memmove(place + 1, place, (size_t)(program->count - position) * sizeof *place);
  *place = *statement;
  program->count++;
}

static bool insert(struct program *child, int32_t max_length, tn_rng *rng) {
  if (child->count >= max_length || child->count == PROGRAM_STATEMENTS) return false;
  struct statement statement;
  program_type types[PROGRAM_VARIABLES];
  const int32_t position = below(rng, child->count + 1);
  program_types(child, position, types);
  if (!draw_call(types, rng, &statement)) return false;
  const program_type type = type_of(&statement, types);
  if (type == TYPE_NONE) return false;
  statement.target = draw_variable(types, type, 1, rng); /* or a new one */
  if (statement.target < 0) statement.target = new_variable(child);
  put(child, position, &statement);
  return true;
}

/* ---- deleting, modifying ---- */

static void take_out(struct program *program, int32_t position) {
  struct statement *place = &program->statements[position];
  memmove(place, place + 1, (size_t)(program->count - position - 1) * sizeof *place);
  memset(&program->statements[--program->count], 0, sizeof *place);
}

static bool delete (struct program *child, tn_rng *rng) {
  if (child->count == 0) return false;
  take_out(child, below(rng, child->count));
  return true;
}

/* A variable becomes another of the same type, a constant c becomes c 2^a. */
static bool modify(struct program *child, tn_rng *rng) {
  if (child->count == 0) return false;
  const int32_t position = below(rng, child->count);
  struct statement *statement = &child->statements[position];
  const int32_t arity = program_functions[statement->function].arity;
  if (arity == 0) return false;
  struct argument *argument = &statement->arguments[below(rng, arity)];
  if (argument->variable < 0) {
    argument->constant *= exp2(tn_random_normal(rng));
    return true;
  }
  program_type types[PROGRAM_VARIABLES];
  program_types(child, position, types);
  const program_type type = types[argument->variable];
  types[argument->variable] = TYPE_NONE;
  const int32_t other = draw_variable(types, type, 0, rng);
  if (other < 0) return false;
  argument->variable = other;
  return true;
}

/* ---- children ---- */

tn_status program_mutate(const struct program *parent, tn_rng *rng, int32_t max_length,
                         struct program *child) {
  enum { INSERT, DELETE, MODIFY, KINDS };
  for (int32_t round = 0; round < KINDS * 4; round++) {
    /* the kind is drawn once and its details until they fit: else deletions, which often do not, were rarer
     */
    const int32_t kind = below(rng, KINDS);
    for (int32_t i = 0; i < TRIES; i++) {
      *child = *parent;
      const bool done = kind == INSERT   ? insert(child, max_length, rng)
                        : kind == DELETE ? delete (child, rng)
                                         : modify(child, rng);
      if (!done || !is_valid(child)) continue;
      forget_unused(child);
      return TN_OK;
    }
  }
  return TN_ERROR_INVALID;
}

tn_status program_random(tn_rng *rng, int32_t max_length, struct program *child) {
  for (int32_t i = 0; i < 100 * TRIES; i++) {
    const int32_t length = 2 + below(rng, (max_length < 20 ? max_length : 20) - 1);
    program_start(child);
    while (child->count < length) {
      struct statement statement;
      program_type types[PROGRAM_VARIABLES];
      program_types(child, child->count, types);
      if (!draw_call(types, rng, &statement)) continue;
      const program_type type = type_of(&statement, types);
      if (type == TYPE_NONE) continue;
      types[VARIABLE_UPDATE] = TYPE_TREE; /* may be assigned before it is defined */
      statement.target = below(rng, 2) ? draw_variable(types, type, 0, rng) : -1;
      if (statement.target < 0) statement.target = new_variable(child);
      put(child, child->count, &statement);
    }
    if (is_valid(child)) return TN_OK;
  }
  return TN_ERROR_INVALID;
}

tn_status program_tune(const struct program *parent, tn_rng *rng, struct program *child) {
  struct argument *constants[PROGRAM_STATEMENTS * PROGRAM_ARGUMENTS];
  int32_t count = 0;
  *child = *parent;
  for (int32_t s = 0; s < child->count; s++)
    for (int32_t i = 0; i < program_functions[child->statements[s].function].arity; i++)
      if (child->statements[s].arguments[i].variable < 0)
        constants[count++] = &child->statements[s].arguments[i];
  if (count == 0) return TN_ERROR_INVALID;
  constants[below(rng, count)]->constant *= exp2(tn_random_normal(rng));
  return TN_OK;
}

void program_remove(const struct program *parent, int32_t position, struct program *child) {
  *child = *parent;
  take_out(child, position);
  forget_unused(child);
}

tn_status program_scale(const struct program *parent, double factor, struct program *child) {
  *child = *parent;
  struct statement *last = child->count > 0 ? &child->statements[child->count - 1] : NULL;
  const bool merges = last && last->function == F_MUL && last->target == VARIABLE_UPDATE &&
                      last->arguments[0].variable == VARIABLE_UPDATE && last->arguments[1].variable < 0;
  if (merges) {
    last->arguments[1].constant *= factor;
    return TN_OK;
  }
  if (child->count == PROGRAM_STATEMENTS) return TN_ERROR_INVALID;
  const struct statement times = {
      F_MUL, VARIABLE_UPDATE, {{0, VARIABLE_UPDATE, 0}, {factor, -1, 0}, {0, 0, 0}}};
  put(child, child->count, &times);
  return TN_OK;
}
