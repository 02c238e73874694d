// SPDX-License-Identifier: MIT
#include "signature.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <tenon/log.h>

typedef struct token {
  uint32_t start, length; /* length 0: the end */
  bool word;
} token;

typedef struct parser {
  const char *text;
  foreign_signature *signature;
  token token; /* the next one */
  bool failed;
} parser;

/* ---- errors; the first one ends the parse ---- */

/* What can be shown on one line of a terminal. */
static void print_plain(char *line, size_t bytes, const char *text, size_t length) {
  size_t n = 0;
  for (; n < length && n + 1 < bytes; n++) {
    unsigned char c = (unsigned char)text[n];
    line[n] = c >= ' ' && c < 127 ? text[n] : c < ' ' ? ' ' : '?';
  }
  line[n] = 0;
}

static tn_status record(const char *text, uint32_t column, const char *format, va_list arguments) {
  char shown[160], message[256];
  size_t length = strlen(text);
  print_plain(shown, sizeof shown, text, length);
  vsnprintf(message, sizeof message, format, arguments);
  return tn_fail(TN_ERROR_INVALID, "signature '%s%s': column %u: %s", shown,
                 length >= sizeof shown ? "..." : "", column, message);
}

tn_status foreign_signature_fail(const char *text, uint32_t column, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  tn_status status = record(text, column, format, arguments);
  va_end(arguments);
  return status;
}

TN_PRINTF(3, 4) static void fail(parser *p, uint32_t offset, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  if (!p->failed) record(p->text, offset + 1, format, arguments);
  va_end(arguments);
  p->failed = true;
  p->token = (token){0};
}

/* ---- tokens ---- */

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static token scan(const char *text, uint32_t at) {
  while (text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r') at++;
  token t = {.start = at, .word = is_letter(text[at]) || is_digit(text[at])};
  if (t.word)
    while (is_letter(text[at + t.length]) || is_digit(text[at + t.length])) t.length++;
  else if (text[at])
    t.length = strncmp(text + at, "...", 3) == 0 ? 3 : 1;
  return t;
}

static void next(parser *p) {
  if (!p->failed) p->token = scan(p->text, p->token.start + p->token.length);
}

static bool is(const parser *p, const char *what) {
  return strlen(what) == p->token.length && !memcmp(p->text + p->token.start, what, p->token.length);
}

static bool take(parser *p, const char *what) {
  if (p->failed || !is(p, what)) return false;
  next(p);
  return true;
}

static void expect(parser *p, const char *what, const char *wanted) {
  if (take(p, what)) return;
  char found[FOREIGN_NAME];
  print_plain(found, sizeof found, p->text + p->token.start, p->token.length);
  if (p->token.length == 0)
    fail(p, p->token.start, "%s expected at the end", wanted);
  else
    fail(p, p->token.start, "%s expected before '%s'", wanted, found);
}

/* ---- types ---- */

typedef struct named_type {
  const char *name;
  foreign_class class;
  uint32_t bytes;
} named_type;
static const named_type whole_types[] = {
    {"void", FOREIGN_VOID, 0},
    {"bool", FOREIGN_BOOL, sizeof(bool)},
    {"_Bool", FOREIGN_BOOL, sizeof(bool)},
    {"float", FOREIGN_REAL, sizeof(float)},
    {"int8_t", FOREIGN_SIGNED, 1},
    {"int16_t", FOREIGN_SIGNED, 2},
    {"int32_t", FOREIGN_SIGNED, 4},
    {"int64_t", FOREIGN_SIGNED, 8},
    {"uint8_t", FOREIGN_UNSIGNED, 1},
    {"uint16_t", FOREIGN_UNSIGNED, 2},
    {"uint32_t", FOREIGN_UNSIGNED, 4},
    {"uint64_t", FOREIGN_UNSIGNED, 8},
    {"size_t", FOREIGN_UNSIGNED, sizeof(size_t)},
    {"ssize_t", FOREIGN_SIGNED, sizeof(ssize_t)},
    {"ptrdiff_t", FOREIGN_SIGNED, sizeof(ptrdiff_t)},
    {"intptr_t", FOREIGN_SIGNED, sizeof(intptr_t)},
    {"uintptr_t", FOREIGN_UNSIGNED, sizeof(uintptr_t)},
};
/* Words that combine: unsigned long int. */
enum { SIGNED, UNSIGNED, SHORT, LONG, CHAR, INT, DOUBLE, PARTS };
static const char *const part_names[PARTS] = {"signed", "unsigned", "short", "long", "char", "int", "double"};

static void fail_type(parser *p) {
  char found[FOREIGN_NAME];
  print_plain(found, sizeof found, p->text + p->token.start, p->token.length);
  if (p->token.length == 0) {
    fail(p, p->token.start, "a type expected at the end");
    return;
  }
  if (is(p, "struct") || is(p, "union") || is(p, "enum")) {
    fail(p, p->token.start, "a %s cannot be passed; only numbers and pointers to numbers can", found);
    return;
  }
  if (is(p, "...")) {
    fail(p, p->token.start, "a variable number of arguments is not supported");
    return;
  }
  const char *candidates[TN_ARRAY_LENGTH(whole_types) + PARTS];
  uint32_t count = 0;
  for (; count < TN_ARRAY_LENGTH(whole_types); count++) candidates[count] = whole_types[count].name;
  for (uint32_t i = 0; i < PARTS; i++) candidates[count++] = part_names[i];
  const char *nearest = p->token.word ? tn_nearest_name(found, candidates, count) : NULL;
  if (nearest)
    fail(p, p->token.start, "unknown type '%s'; did you mean '%s'?", found, nearest);
  else if (p->token.word)
    fail(p, p->token.start, "unknown type '%s'", found);
  else
    fail(p, p->token.start, "a type expected before '%s'", found);
}

/* What the combining words amount to; false if they do not combine. */
static bool combine(const uint32_t *n, foreign_type *type) {
  uint32_t sign = n[SIGNED] + n[UNSIGNED], length = n[SHORT] + n[LONG];
  if (sign > 1 || n[CHAR] + n[INT] + n[DOUBLE] > 1 || n[SHORT] > 1 || n[LONG] > 2 || (n[SHORT] && n[LONG]))
    return false;
  if (n[DOUBLE]) {
    *type = (foreign_type){.class = FOREIGN_REAL, .bytes = sizeof(double)};
    return sign + length == 0;
  }
  bool is_signed = n[UNSIGNED] == 0;
  uint32_t bytes = sizeof(int);
  if (n[CHAR]) {
    if (length) return false;
    bytes = 1;
    if (sign == 0) is_signed = (char)-1 < 0;
  } else if (n[SHORT])
    bytes = sizeof(short);
  else if (n[LONG] == 1)
    bytes = sizeof(long);
  else if (n[LONG] == 2)
    bytes = sizeof(long long);
  *type = (foreign_type){.class = is_signed ? FOREIGN_SIGNED : FOREIGN_UNSIGNED, .bytes = bytes};
  return true;
}

/* The words of a type, without stars. */
static foreign_type parse_base(parser *p) {
  foreign_type type = {0};
  uint32_t start = p->token.start, parts[PARTS] = {0}, part_count = 0, whole_count = 0;
  bool constant = false;
  for (bool more = true; more && !p->failed;) {
    more = true;
    if (take(p, "const")) {
      constant = true;
      continue;
    }
    if (take(p, "volatile")) continue;
    uint32_t i = 0;
    while (i < PARTS && !is(p, part_names[i])) i++;
    if (i < PARTS) {
      parts[i]++;
      part_count++;
      next(p);
      continue;
    }
    i = 0;
    while (i < TN_ARRAY_LENGTH(whole_types) && !is(p, whole_types[i].name)) i++;
    more = i < TN_ARRAY_LENGTH(whole_types);
    if (!more) break;
    type = (foreign_type){.class = whole_types[i].class, .bytes = whole_types[i].bytes};
    whole_count++;
    next(p);
  }
  if (part_count + whole_count == 0)
    fail_type(p);
  else if (parts[DOUBLE] == 1 && parts[LONG] == 1 && part_count == 2 && whole_count == 0)
    fail(p, start, "long double is not supported");
  else if (whole_count > 1 || (whole_count && part_count) || (part_count && !combine(parts, &type)))
    fail(p, start, "these words do not make a type");
  type.constant = constant;
  return type;
}

static void parse_stars(parser *p, foreign_type *type) {
  while (!p->failed && is(p, "*")) {
    if (type->pointer) {
      fail(p, p->token.start, "a pointer to a pointer is not supported");
      return;
    }
    next(p);
    type->pointer = true;
    while (take(p, "const") || take(p, "restrict") || take(p, "__restrict") || take(p, "volatile")) continue;
  }
}

/* ---- functions ---- */

static void parse_name(parser *p, foreign_argument *argument) {
  if (p->failed || !p->token.word) return;
  if (is_digit(p->text[p->token.start]) || p->token.length >= FOREIGN_NAME) {
    fail(p, p->token.start, "a name of at most %u letters, digits and _ expected", FOREIGN_NAME - 1);
    return;
  }
  memcpy(argument->name, p->text + p->token.start, p->token.length);
  argument->name[p->token.length] = 0;
  argument->column = p->token.start + 1;
  next(p);
}

static void parse_arguments(parser *p, foreign_function *function, bool in_callback);

/* (*f)(int n, const double *x), after its result type */
static void parse_callback(parser *p, foreign_argument *argument, bool in_callback) {
  uint32_t start = p->token.start;
  foreign_signature *signature = p->signature;
  foreign_type result = argument->type;
  expect(p, "(", "'('");
  expect(p, "*", "'*' of a function pointer");
  parse_name(p, argument);
  expect(p, ")", "')'");
  if (in_callback)
    fail(p, start, "a function that takes a function that takes a function is not supported");
  else if (result.pointer)
    fail(p, start, "a function that returns a pointer is not supported");
  else if (signature->callback_count == FOREIGN_CALLBACKS)
    fail(p, start, "more than %u function pointers", FOREIGN_CALLBACKS);
  if (p->failed) return;
  argument->callback = signature->callback_count++;
  argument->type = (foreign_type){.pointer = true, .function = true};
  signature->callbacks[argument->callback].result = result;
  parse_arguments(p, &signature->callbacks[argument->callback], true);
}

static void parse_argument(parser *p, foreign_argument *argument, bool in_callback) {
  argument->column = p->token.start + 1;
  argument->type = parse_base(p);
  parse_stars(p, &argument->type);
  if (p->failed) return;
  if (is(p, "(")) {
    parse_callback(p, argument, in_callback);
    return;
  }
  parse_name(p, argument);
  if (is(p, "[")) {
    uint32_t start = p->token.start;
    next(p);
    if (p->token.word) next(p);
    expect(p, "]", "']'");
    if (argument->type.pointer || is(p, "[")) fail(p, start, "a pointer to a pointer is not supported");
    argument->type.pointer = true;
  }
  if (argument->type.class == FOREIGN_VOID && !argument->type.pointer)
    fail(p, argument->column - 1, "an argument cannot be void");
}

static void parse_arguments(parser *p, foreign_function *function, bool in_callback) {
  expect(p, "(", "'('");
  if (take(p, ")")) return;
  if (is(p, "void")) {
    token after = scan(p->text, p->token.start + p->token.length);
    if (after.length == 1 && p->text[after.start] == ')') {
      next(p);
      next(p);
      return;
    }
  }
  do {
    if (function->count == FOREIGN_ARGUMENTS) {
      fail(p, p->token.start, "more than %u arguments", FOREIGN_ARGUMENTS);
      return;
    }
    parse_argument(p, &function->arguments[function->count++], in_callback);
  } while (take(p, ","));
  expect(p, ")", "',' or ')'");
}

static void check_names(parser *p, const foreign_function *function) {
  for (uint32_t i = 0; i < function->count; i++)
    for (uint32_t j = 0; j < i && function->arguments[i].name[0]; j++)
      if (!strcmp(function->arguments[i].name, function->arguments[j].name))
        fail(p, function->arguments[i].column - 1, "two arguments are called '%s'",
             function->arguments[i].name);
}

tn_status foreign_signature_parse(const char *text, foreign_signature *signature) {
  *signature = (foreign_signature){0};
  parser p = {.text = text, .signature = signature};
  if (strlen(text) > FOREIGN_BYTES) fail(&p, 0, "longer than %u bytes", FOREIGN_BYTES);
  next(&p);
  foreign_function *function = &signature->function;
  uint32_t start = p.token.start;
  if (!p.failed) function->result = parse_base(&p);
  parse_stars(&p, &function->result);
  if (function->result.pointer) fail(&p, start, "a function that returns a pointer is not supported");
  foreign_argument ignored;
  parse_name(&p, &ignored);
  if (!p.failed) parse_arguments(&p, function, false);
  take(&p, ";");
  if (!p.failed && p.token.length) expect(&p, "", "the end");
  check_names(&p, function);
  for (uint32_t i = 0; i < signature->callback_count; i++) check_names(&p, &signature->callbacks[i]);
  return p.failed ? TN_ERROR_INVALID : TN_OK;
}
