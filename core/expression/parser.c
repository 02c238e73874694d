// SPDX-License-Identifier: MIT
#include "core/expression/parser.h"

#include "core/config/error.h"
#include "core/expression/scanner.h"
#include <string.h>
#include <tenon/log.h>

typedef struct tn_parser {
  const char *text;
  tn_formula_parsed *parsed;
  tn_formula_token token; /* the next one */
  uint32_t depth;
  bool failed;
} tn_parser;

/* How tightly an operator binds. */
enum { OR = 1, AND, NOT, COMPARISON, SUM, PRODUCT, SIGN, POWER };

typedef struct tn_operator {
  int binding;
  tn_formula_operation operation;
} tn_operator;
static const tn_operator operators[] = {
    [TN_TOKEN_OR] = {OR, TN_OP_OR},
    [TN_TOKEN_AND] = {AND, TN_OP_AND},
    [TN_TOKEN_LESS] = {COMPARISON, TN_OP_LESS},
    [TN_TOKEN_LESS_EQUAL] = {COMPARISON, TN_OP_LESS_EQUAL},
    [TN_TOKEN_GREATER] = {COMPARISON, TN_OP_GREATER},
    [TN_TOKEN_GREATER_EQUAL] = {COMPARISON, TN_OP_GREATER_EQUAL},
    [TN_TOKEN_EQUAL] = {COMPARISON, TN_OP_EQUAL},
    [TN_TOKEN_NOT_EQUAL] = {COMPARISON, TN_OP_NOT_EQUAL},
    [TN_TOKEN_PLUS] = {SUM, TN_OP_ADD},
    [TN_TOKEN_MINUS] = {SUM, TN_OP_SUBTRACT},
    [TN_TOKEN_TIMES] = {PRODUCT, TN_OP_MULTIPLY},
    [TN_TOKEN_DIVIDE] = {PRODUCT, TN_OP_DIVIDE},
    [TN_TOKEN_POWER] = {POWER, TN_OP_POWER},
    [TN_TOKEN_WRONG] = {0, 0},
};

/* Functions on numbers; arity 0: one argument or more. */
static const struct {
  const char *name;
  tn_formula_operation operation;
  uint32_t arity;
} functions[] = {
    {"abs", TN_OP_ABS, 1},     {"sqrt", TN_OP_SQRT, 1},   {"exp", TN_OP_EXP, 1},
    {"log", TN_OP_LOG, 1},     {"log1p", TN_OP_LOG1P, 1}, {"sin", TN_OP_SIN, 1},
    {"cos", TN_OP_COS, 1},     {"tanh", TN_OP_TANH, 1},   {"sigmoid", TN_OP_SIGMOID, 1},
    {"sign", TN_OP_SIGN, 1},   {"floor", TN_OP_FLOOR, 1}, {"ceil", TN_OP_CEIL, 1},
    {"pow", TN_OP_POWER, 2},   {"min", TN_OP_MINIMUM, 0}, {"max", TN_OP_MAXIMUM, 0},
    {"where", TN_OP_WHERE, 3},
};
/* Functions over runs, in claims. */
static const struct {
  const char *name;
  tn_formula_operation operation;
} claim_functions[] = {{"mean", TN_OP_MEAN},    {"std", TN_OP_STD},     {"median", TN_OP_MEDIAN},
                       {"min", TN_OP_SMALLEST}, {"max", TN_OP_LARGEST}, {"sum", TN_OP_SUM},
                       {"count", TN_OP_COUNT},  {"all", TN_OP_ALL},     {"any", TN_OP_ANY},
                       {"best", TN_OP_BEST},    {"least", TN_OP_LEAST}};

/* A name as a string of its own, cut if it is very long. */
typedef struct tn_name {
  char text[64];
} tn_name;
static tn_name name_of(const tn_parser *parser, tn_formula_token token) {
  tn_name name;
  tn_formula_print(parser->text + token.start, token.length, name.text, sizeof name.text);
  return name;
}

static bool is_name(const tn_parser *parser, tn_formula_token token, const char *name) {
  return strlen(name) == token.length && !memcmp(parser->text + token.start, name, token.length);
}

/* ---- errors; every one ends the parse ---- */

TN_PRINTF(3, 4)
static uint32_t fail(tn_parser *parser, uint32_t offset, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  if (!parser->failed) tn_formula_fail(parser->text, offset, format, arguments);
  va_end(arguments);
  parser->failed = true;
  parser->token.type = TN_TOKEN_END;
  return TN_FORMULA_NODES;
}

/* The token that stands where `wanted` should. */
static uint32_t fail_token(tn_parser *parser, const char *wanted) {
  tn_formula_token token = parser->token;
  if (token.type == TN_TOKEN_END) return fail(parser, token.start, "%s expected at the end", wanted);
  tn_name name = name_of(parser, token);
  if (token.type == TN_TOKEN_WRONG)
    return fail(parser, token.start, "unexpected '%s'%s%s", name.text, token.hint ? "; " : "",
                token.hint ? token.hint : "");
  return fail(parser, token.start, "%s expected before '%s'", wanted, name.text);
}

static uint32_t fail_function(tn_parser *parser, tn_formula_token token) {
  const char *candidates[TN_ARRAY_LENGTH(functions) + TN_ARRAY_LENGTH(claim_functions)];
  uint32_t count = 0;
  for (; count < TN_ARRAY_LENGTH(functions); count++) candidates[count] = functions[count].name;
  if (parser->parsed->vocabulary == TN_NAMES_CLAIM)
    for (uint32_t i = 0; i < TN_ARRAY_LENGTH(claim_functions); i++)
      candidates[count++] = claim_functions[i].name;
  tn_name name = name_of(parser, token);
  const char *nearest = tn_nearest(name.text, candidates, count);
  if (nearest)
    return fail(parser, token.start, "unknown function '%s'; did you mean '%s'?", name.text, nearest);
  return fail(parser, token.start, "unknown function '%s'", name.text);
}

/* FQ and FP: in formulas names are short, and among few. */
static bool is_close_pair(const char *a, const char *b) {
  return strlen(a) == 2 && strlen(b) == 2 && (a[0] == b[0] || a[1] == b[1]);
}

static uint32_t fail_variable(tn_parser *parser, tn_formula_token token) {
  const tn_formula_parsed *parsed = parser->parsed;
  const char *candidates[TN_EXPRESSION_VARIABLES];
  char known[160] = "";
  for (uint32_t i = 0; i < parsed->variable_count; i++) {
    candidates[i] = parsed->variables[i];
    if (strlen(known) + strlen(candidates[i]) + 3 > sizeof known) continue;
    if (i > 0) strcat(known, ", ");
    strcat(known, candidates[i]);
  }
  tn_name name = name_of(parser, token);
  const char *nearest = tn_nearest(name.text, candidates, parsed->variable_count);
  for (uint32_t i = 0; !nearest && i < parsed->variable_count; i++)
    if (is_close_pair(name.text, candidates[i])) nearest = candidates[i];
  if (nearest) return fail(parser, token.start, "unknown name '%s'; did you mean '%s'?", name.text, nearest);
  if (!*known) return fail(parser, token.start, "unknown name '%s'; numbers only", name.text);
  return fail(parser, token.start, "unknown name '%s'; known are %s", name.text, known);
}

/* ---- names ---- */

static void next(tn_parser *parser) {
  parser->token = tn_formula_scan(parser->text, parser->token.start + parser->token.length);
}

static bool take(tn_parser *parser, tn_formula_token_type type) {
  if (parser->token.type != type) return false;
  next(parser);
  return true;
}

static uint32_t node(tn_parser *parser, tn_formula_operation operation, uint32_t x, uint32_t y, uint32_t z) {
  if (parser->failed) return TN_FORMULA_NODES;
  uint32_t made =
      tn_formula_add(&parser->parsed->graph, (tn_formula_node){.operation = operation, .operand = {x, y, z}});
  if (made == TN_FORMULA_NODES)
    fail(parser, parser->token.start, "more than %u different operations", TN_FORMULA_NODES);
  return made;
}

static const char *store(tn_parser *parser, tn_formula_token token) {
  // the words are parts of the text with at least one byte between any two: they fit
  tn_formula_parsed *parsed = parser->parsed;
  char *word = parsed->words + parsed->words_used;
  memcpy(word, parser->text + token.start, token.length);
  word[token.length] = 0;
  parsed->words_used += token.length + 1;
  return word;
}

/* The variable for a name; a new one if names are free. */
static uint32_t variable(tn_parser *parser, tn_formula_token token) {
  tn_formula_parsed *parsed = parser->parsed;
  uint32_t i = 0;
  for (; i < parsed->variable_count; i++)
    if (is_name(parser, token, parsed->variables[i])) return node(parser, TN_OP_VARIABLE, i, 0, 0);
  if (parsed->vocabulary == TN_NAMES_GIVEN) return fail_variable(parser, token);
  if (i == TN_EXPRESSION_VARIABLES)
    return fail(parser, token.start, "more than %u names", TN_EXPRESSION_VARIABLES);
  parsed->variables[i] = store(parser, token);
  parsed->variable_count++;
  return node(parser, TN_OP_VARIABLE, i, 0, 0);
}

/* ---- grammar ---- */

static uint32_t parse(tn_parser *parser, int binding);

/* What a name in front of a parenthesis stands for. */
typedef struct tn_called {
  tn_formula_operation operation; /* on as many operands as arguments; arity 0: one or more */
  uint32_t arity;
  tn_formula_operation over_runs; /* of a single argument, in claims; CONSTANT: it is no such function */
} tn_called;

static bool find_function(const tn_parser *parser, tn_formula_token name, tn_called *called) {
  *called = (tn_called){.over_runs = TN_OP_CONSTANT};
  bool found = false;
  for (size_t i = 0; i < TN_ARRAY_LENGTH(claim_functions); i++) {
    if (parser->parsed->vocabulary != TN_NAMES_CLAIM || !is_name(parser, name, claim_functions[i].name))
      continue;
    *called = (tn_called){claim_functions[i].operation, 1, claim_functions[i].operation};
    found = true;
  }
  for (size_t i = 0; i < TN_ARRAY_LENGTH(functions); i++) {
    if (!is_name(parser, name, functions[i].name)) continue;
    called->operation = functions[i].operation;
    called->arity = functions[i].arity;
    found = true;
  }
  return found;
}

/* The next token is the opening parenthesis. */
static uint32_t parse_call(tn_parser *parser, tn_formula_token name) {
  tn_called f;
  if (!find_function(parser, name, &f)) return fail_function(parser, name);
  next(parser);
  uint32_t arguments[3] = {0}, count = 0;
  do {
    if (parser->token.type == TN_TOKEN_CLOSE && count == 0) break;
    uint32_t argument = parse(parser, OR);
    if (f.arity == 0 && count > 0) // min(a, b, c) is min(min(a, b), c)
      argument = node(parser, f.operation, arguments[0], argument, 0);
    arguments[f.arity && count < 3 ? count : 0] = argument;
    count++;
  } while (take(parser, TN_TOKEN_COMMA));
  if (parser->failed) return TN_FORMULA_NODES;
  if (parser->token.type != TN_TOKEN_CLOSE) return fail_token(parser, "',' or ')'");
  if (f.arity ? count != f.arity : count == 0)
    return fail(parser, name.start, "%s takes %u argument%s%s, not %u", name_of(parser, name).text,
                f.arity ? f.arity : 1, f.arity > 1 ? "s" : "", f.arity ? "" : " or more", count);
  next(parser);
  if (count == 1 && f.over_runs != TN_OP_CONSTANT) return node(parser, f.over_runs, arguments[0], 0, 0);
  if (f.arity == 0) return arguments[0];
  return node(parser, f.operation, arguments[0], arguments[1], arguments[2]);
}

/* The name of a result, in a claim: at the next token. False: there is none. */
static bool take_result(tn_parser *parser, uint32_t *value) {
  tn_formula_token result;
  if (parser->parsed->vocabulary != TN_NAMES_CLAIM ||
      !tn_formula_scan_result(parser->text, parser->token.start, &result))
    return false;
  *value = variable(parser, result);
  if (parser->failed) return true;
  parser->token = result;
  next(parser);
  return true;
}

static uint32_t parse_prefix(tn_parser *parser, int binding) {
  tn_formula_token token = parser->token;
  const bool call = token.type == TN_TOKEN_NAME &&
                    tn_formula_scan(parser->text, token.start + token.length).type == TN_TOKEN_OPEN;
  uint32_t result;
  if (!call && token.type != TN_TOKEN_NOT && take_result(parser, &result)) return result;
  switch (token.type) {
  case TN_TOKEN_NUMBER: {
    next(parser);
    uint32_t made = tn_formula_constant(&parser->parsed->graph, token.number);
    if (made == TN_FORMULA_NODES)
      fail(parser, token.start, "more than %u different operations", TN_FORMULA_NODES);
    return made;
  }
  case TN_TOKEN_NAME: next(parser); return call ? parse_call(parser, token) : variable(parser, token);
  case TN_TOKEN_MINUS: next(parser); return node(parser, TN_OP_NEGATE, parse(parser, SIGN), 0, 0);
  case TN_TOKEN_NOT:
    if (binding > NOT) return fail(parser, token.start, "'not' needs parentheses here: (not ...)");
    next(parser);
    return node(parser, TN_OP_NOT, parse(parser, NOT), 0, 0);
  case TN_TOKEN_OPEN: {
    next(parser);
    uint32_t value = parse(parser, OR);
    if (parser->failed || take(parser, TN_TOKEN_CLOSE)) return value;
    if (parser->token.type == TN_TOKEN_END)
      return fail(parser, token.start, "this parenthesis is not closed");
    return fail_token(parser, "an operator or ')'");
  }
  default: return fail_token(parser, "a number or a name");
  }
}

/* An expression of operators that bind at least as tightly as `binding`. */
static uint32_t parse(tn_parser *parser, int binding) {
  if (parser->depth == TN_EXPRESSION_DEPTH)
    return fail(parser, parser->token.start, "nested more than %u deep", TN_EXPRESSION_DEPTH);
  parser->depth++;
  uint32_t value = parse_prefix(parser, binding);
  for (;;) {
    const tn_operator *found = &operators[parser->token.type];
    if (parser->failed || found->binding == 0 || found->binding < binding) break;
    next(parser);
    uint32_t right = parse(parser, found->binding == POWER ? POWER : found->binding + 1);
    value = node(parser, found->operation, value, right, 0);
    if (found->binding == COMPARISON && operators[parser->token.type].binding == COMPARISON)
      fail(parser, parser->token.start, "comparisons do not chain; write a < b and b < c");
  }
  parser->depth--;
  return value;
}

tn_status tn_formula_parse(const char *text, tn_formula_parsed *parsed) {
  tn_parser parser = {.text = text, .parsed = parsed};
  size_t length = strlen(text);
  if (length > TN_EXPRESSION_BYTES) fail(&parser, 0, "longer than %u bytes", TN_EXPRESSION_BYTES);
  if (parser.failed) return TN_ERROR_INVALID;
  next(&parser);
  if (parser.token.type == TN_TOKEN_END) fail(&parser, parser.token.start, "the expression is empty");
  uint32_t root = parser.failed ? TN_FORMULA_NODES : parse(&parser, OR);
  if (!parser.failed && parser.token.type == TN_TOKEN_CLOSE)
    fail(&parser, parser.token.start, "this parenthesis was never opened");
  if (!parser.failed && parser.token.type != TN_TOKEN_END) fail_token(&parser, "an operator");
  if (parser.failed) return TN_ERROR_INVALID;
  tn_formula_trim(&parsed->graph, root);
  return TN_OK;
}
