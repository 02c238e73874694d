// SPDX-License-Identifier: MIT
/* Programs as text: names, parser, printer. */
#include "program.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void program_start(struct program *program) {
  static const char *const names[VARIABLE_LOCAL] = {"w", "g", "m", "v", "lr", "update"};
  memset(program, 0, sizeof *program);
  for (int i = 0; i < VARIABLE_LOCAL; i++) strcpy(program->names[i], names[i]);
}

int32_t program_variable(struct program *program, const char *name, bool make) {
  int32_t empty = -1;
  for (int32_t i = PROGRAM_VARIABLES; i-- > 0;) {
    if (strcmp(program->names[i], name) == 0) return i;
    if (!*program->names[i]) empty = i;
  }
  if (!make || empty < 0 || strlen(name) >= PROGRAM_NAME) return -1;
  strcpy(program->names[empty], name);
  return empty;
}

/* ---- parser ---- */

struct reader {
  const char *at, *place;
  int line;
  struct program *program;
};

TN_PRINTF(2, 3) static tn_status wrong(const struct reader *r, const char *format, ...) {
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return tn_fail(TN_ERROR_INVALID, "%s:%d: %s", r->place, r->line, text);
}

static void skip_blanks(struct reader *r) {
  while (*r->at == ' ' || *r->at == '\t' || *r->at == '\r') r->at++;
  if (*r->at == '#') r->at += strcspn(r->at, "\n");
}
static bool at_end(const struct reader *r) { return !*r->at || *r->at == '\n' || *r->at == ';'; }

static bool read_name(struct reader *r, char *name, size_t room) {
  size_t length = 0;
  skip_blanks(r);
  if (!isalpha((unsigned char)*r->at) && *r->at != '_') return false;
  for (; isalnum((unsigned char)*r->at) || *r->at == '_'; r->at++)
    if (length + 1 < room) name[length++] = *r->at;
  name[length] = 0;
  return true;
}

static bool expect(struct reader *r, char c) {
  skip_blanks(r);
  if (*r->at != c) return false;
  r->at++;
  return true;
}

static tn_status variable_of(struct reader *r, const char *name, int32_t *variable) {
  *variable = program_variable(r->program, name, true);
  if (*variable >= 0) return TN_OK;
  return strlen(name) + 1 >= PROGRAM_NAME ? wrong(r, "'%s' is longer than %d letters", name, PROGRAM_NAME - 2)
                                          : wrong(r, "more than %d variables", PROGRAM_VARIABLES);
}

static tn_status read_argument(struct reader *r, struct argument *argument) {
  char name[PROGRAM_NAME];
  if (read_name(r, name, sizeof name)) return variable_of(r, name, &argument->variable);
  char *end;
  argument->constant = strtod(r->at, &end);
  argument->variable = -1;
  if (end == r->at || !isfinite(argument->constant))
    return wrong(r, "expected a variable or a number, got '%.12s'", at_end(r) ? "nothing" : r->at);
  r->at = end;
  return TN_OK;
}

static tn_status function_of(const struct reader *r, const char *name, int32_t *function) {
  const char *names[FUNCTION_COUNT];
  for (*function = 0; *function < FUNCTION_COUNT; ++*function) {
    if (strcmp(program_functions[*function].name, name) == 0) return TN_OK;
    names[*function] = program_functions[*function].name;
  }
  const char *near = tn_nearest_name(name, names, FUNCTION_COUNT);
  return wrong(r, "no function '%s'%s%s%s", name, near ? "; did you mean '" : "", near ? near : "",
               near ? "'?" : "");
}

static tn_status read_call(struct reader *r, const char *name, struct statement *statement) {
  tn_status status = function_of(r, name, &statement->function);
  if (status < 0) return status;
  const int32_t arity = program_functions[statement->function].arity;
  int32_t count = 0;
  while (!expect(r, ')')) {
    if (count > 0 && !expect(r, ',')) return wrong(r, "expected ',' or ')' in the arguments of %s", name);
    if (count == arity) return wrong(r, "%s takes %d arguments, got more", name, arity);
    status = read_argument(r, &statement->arguments[count++]);
    if (status < 0) return status;
  }
  return count == arity ? TN_OK : wrong(r, "%s takes %d arguments, got %d", name, arity, count);
}

/* argument operator argument */
static tn_status read_infix(struct reader *r, struct statement *statement) {
  tn_status status = read_argument(r, &statement->arguments[0]);
  if (status < 0) return status;
  skip_blanks(r);
  const char operator[2] = {*r->at, 0};
  if (!*operator|| !strchr("+-*/", *operator))
    return wrong(r, "expected one of + - * / or a function's call");
  r->at++;
  status = function_of(r, operator, & statement->function);
  return status < 0 ? status : read_argument(r, &statement->arguments[1]);
}

static tn_status read_statement(struct reader *r) {
  char name[PROGRAM_NAME];
  if (r->program->count == PROGRAM_STATEMENTS) return wrong(r, "more than %d statements", PROGRAM_STATEMENTS);
  struct statement *statement = &r->program->statements[r->program->count];
  if (!read_name(r, name, sizeof name)) return wrong(r, "expected a variable, got '%.12s'", r->at);
  tn_status status = variable_of(r, name, &statement->target);
  if (status < 0) return status;
  if (!expect(r, '=')) return wrong(r, "expected '=' after '%s'", name);
  const char *start = (skip_blanks(r), r->at);
  const bool call = read_name(r, name, sizeof name) && expect(r, '(');
  if (!call) r->at = start;
  status = call ? read_call(r, name, statement) : read_infix(r, statement);
  if (status < 0) return status;
  skip_blanks(r);
  if (!at_end(r)) return wrong(r, "expected the end of the statement, got '%.12s'", r->at);
  r->program->count++;
  return TN_OK;
}

static tn_status check_types(const struct reader *r) {
  struct analysis analysis;
  program_analyse(r->program, &analysis);
  if (analysis.valid) return TN_OK;
  if (analysis.wrong < 0)
    return tn_fail(TN_ERROR_INVALID, "%s: update, m and v must end as trees, one array a parameter",
                   r->place);
  program_type types[PROGRAM_VARIABLES];
  const struct statement *statement = &r->program->statements[analysis.wrong];
  const struct function *function = &program_functions[statement->function];
  program_types(r->program, analysis.wrong, types);
  for (int32_t i = 0; i < function->arity; i++) {
    const int32_t variable = statement->arguments[i].variable;
    if (variable >= 0 && types[variable] == TYPE_NONE)
      return tn_fail(TN_ERROR_INVALID, "%s: statement %d reads '%s', which nothing has defined", r->place,
                     analysis.wrong + 1, r->program->names[variable]);
  }
  return tn_fail(TN_ERROR_INVALID, "%s: statement %d: %s cannot take arguments of these types", r->place,
                 analysis.wrong + 1, function->name);
}

tn_status program_parse(const char *text, const char *place, struct program *program) {
  struct reader reader = {.at = text, .place = place, .line = 1, .program = program};
  program_start(program);
  tn_status status = TN_OK;
  while (status >= 0) {
    skip_blanks(&reader);
    if (!*reader.at) break;
    if (at_end(&reader))
      reader.line += *reader.at++ == '\n';
    else
      status = read_statement(&reader);
  }
  return status < 0 ? status : check_types(&reader);
}

tn_status program_load(const char *path, struct program *program) {
  enum { MOST = 1 << 16 };
  FILE *file = fopen(path, "rb");
  if (!file) return tn_fail(TN_ERROR_IO, "%s: %s", path, strerror(errno));
  char *text = tn_alloc(MOST + 1);
  const size_t bytes = text ? fread(text, 1, MOST, file) : 0;
  const bool whole = text && !ferror(file) && bytes < MOST;
  fclose(file);
  tn_status status = whole   ? program_parse(text, path, program)
                     : !text ? TN_ERROR_MEMORY
                             : tn_fail(TN_ERROR_IO, "%s: cannot be read, or is longer than a program", path);
  tn_free(text);
  return status;
}

/* ---- printer ---- */

/* The shortest decimal number that reads as `x`; 30, not 3e+01. */
static int print_number(char *text, size_t room, double x) {
  const bool plain = fabs(x) >= 1e-4 && fabs(x) < 1e6;
  int length = 0;
  for (int digits = 1; digits <= 17; digits++) {
    length = snprintf(text, room, "%.*g", digits, x);
    if (strtod(text, NULL) == x && !(plain && strchr(text, 'e'))) break;
  }
  return length;
}

static int print_argument(const struct program *program, const struct argument *argument, char *text,
                          size_t room) {
  if (argument->variable < 0) return print_number(text, room, argument->constant);
  return snprintf(text, room, "%s", program->names[argument->variable]);
}

char *program_print(const struct program *program) {
  enum { LINE = 2 * PROGRAM_NAME + PROGRAM_ARGUMENTS * (PROGRAM_NAME + 8) };
  const size_t room = (size_t)program->count * LINE + 1;
  char *text = tn_alloc(room), *at = text;
  for (int32_t s = 0; text && s < program->count; s++) {
    const struct statement *statement = &program->statements[s];
    const struct function *function = &program_functions[statement->function];
    const bool infix = !isalpha((unsigned char)*function->name);
#define LEFT (room - (size_t)(at - text))
    at += snprintf(at, LEFT, "%s = ", program->names[statement->target]);
    if (!infix) at += snprintf(at, LEFT, "%s(", function->name);
    for (int32_t i = 0; i < function->arity; i++) {
      if (i > 0) at += infix ? snprintf(at, LEFT, " %s ", function->name) : snprintf(at, LEFT, ", ");
      at += print_argument(program, &statement->arguments[i], at, LEFT);
    }
    at += snprintf(at, LEFT, infix ? "\n" : ")\n");
#undef LEFT
  }
  return text;
}
