// SPDX-License-Identifier: MIT
#include "core/expression/scanner.h"

#include "core/format/number.h"
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <tenon/log.h>

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool is_word(char c) { return is_letter(c) || is_digit(c); }
static bool is_continuation(char c) { return ((unsigned char)c & 0xc0) == 0x80; } // of a UTF-8 character

static uint32_t skip_blanks(const char *text, uint32_t offset) {
  while (is_blank(text[offset])) offset++;
  return offset;
}

/* TP, test.accuracy, arm.2.loss */
static uint32_t name_length(const char *c) {
  uint32_t n = 0;
  if (!is_letter(c[0])) return 0;
  while (is_word(c[n]) || (c[n] == '.' && is_word(c[n + 1]))) n++;
  return n;
}

static const struct {
  const char *word;
  tn_formula_token_type type;
} keywords[] = {{"or", TN_TOKEN_OR}, {"and", TN_TOKEN_AND}, {"not", TN_TOKEN_NOT}};

static tn_formula_token scan_name(const char *text, tn_formula_token token) {
  for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
    if (strlen(keywords[i].word) == token.length &&
        !memcmp(keywords[i].word, text + token.start, token.length))
      token.type = keywords[i].type;
  return token;
}

static bool is_keyword(const char *text, uint32_t length) {
  const tn_formula_token token = {.type = TN_TOKEN_NAME, .length = length};
  return scan_name(text, token).type != TN_TOKEN_NAME;
}

/* As tn_number_read, with a point whatever the process's locale says: libtenon's user may have set one. */
static bool read_number(const char *text, const char **end, double *number) {
  locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  locale_t former = uselocale(plain);
  bool finite = tn_number_read(text, end, number);
  uselocale(former);
  if (plain) freelocale(plain);
  return finite;
}

static tn_formula_token scan_number(const char *text, tn_formula_token token) {
  const char *end;
  bool finite = read_number(text + token.start, &end, &token.number);
  token.length = (uint32_t)(end - (text + token.start));
  if (token.length && finite) return token;
  token.type = TN_TOKEN_WRONG;
  if (token.length)
    token.hint = "the number is too large";
  else
    token.length = 1;
  return token;
}

static tn_formula_token scan_sign(const char *text, tn_formula_token token) {
  static const struct {
    const char *sign;
    tn_formula_token_type type;
    const char *hint;
  } signs[] = {
      // longer ones first
      {"<=", TN_TOKEN_LESS_EQUAL, NULL},
      {">=", TN_TOKEN_GREATER_EQUAL, NULL},
      {"==", TN_TOKEN_EQUAL, NULL},
      {"!=", TN_TOKEN_NOT_EQUAL, NULL},
      {"**", TN_TOKEN_WRONG, "did you mean '^'?"},
      {"&&", TN_TOKEN_WRONG, "did you mean 'and'?"},
      {"||", TN_TOKEN_WRONG, "did you mean 'or'?"},
      {"<", TN_TOKEN_LESS, NULL},
      {">", TN_TOKEN_GREATER, NULL},
      {"+", TN_TOKEN_PLUS, NULL},
      {"-", TN_TOKEN_MINUS, NULL},
      {"*", TN_TOKEN_TIMES, NULL},
      {"/", TN_TOKEN_DIVIDE, NULL},
      {"^", TN_TOKEN_POWER, NULL},
      {"(", TN_TOKEN_OPEN, NULL},
      {")", TN_TOKEN_CLOSE, NULL},
      {",", TN_TOKEN_COMMA, NULL},
      {"=", TN_TOKEN_WRONG, "did you mean '=='?"},
      {"&", TN_TOKEN_WRONG, "did you mean 'and'?"},
      {"|", TN_TOKEN_WRONG, "did you mean 'or'?"},
      {"!", TN_TOKEN_WRONG, "did you mean 'not'?"},
  };
  const char *c = text + token.start;
  for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
    if (strncmp(c, signs[i].sign, strlen(signs[i].sign)) != 0) continue;
    token.type = signs[i].type;
    token.length = (uint32_t)strlen(signs[i].sign);
    token.hint = signs[i].hint;
    return token;
  }
  token.type = TN_TOKEN_WRONG;
  token.length = 1;
  while (is_continuation(c[token.length])) token.length++;
  return token;
}

tn_formula_token tn_formula_scan(const char *text, uint32_t offset) {
  tn_formula_token token = {.type = TN_TOKEN_END, .start = skip_blanks(text, offset)};
  const char *c = text + token.start;
  if (!*c) return token;
  token.length = name_length(c);
  token.type = TN_TOKEN_NAME;
  if (token.length) return scan_name(text, token);
  token.type = TN_TOKEN_NUMBER;
  if (is_digit(*c) || (*c == '.' && is_digit(c[1]))) return scan_number(text, token);
  return scan_sign(text, token);
}

/* One part of a result's name: * or a word, in which a - may stand between two characters. */
static uint32_t part_length(const char *c, bool first) {
  if (*c == '*') return 1;
  uint32_t n = 0;
  if (first ? !is_letter(*c) : !is_word(*c)) return 0;
  while (is_word(c[n]) || (n > 0 && c[n] == '-' && is_word(c[n + 1]))) n++;
  return n;
}

bool tn_formula_scan_result(const char *text, uint32_t offset, tn_formula_token *token) {
  const uint32_t start = skip_blanks(text, offset);
  uint32_t end = start;
  for (bool first = true;; first = false, end++) {
    const uint32_t length = part_length(text + end, first);
    if (length == 0 && !(first && text[end] == '[')) return false;
    if (first && is_keyword(text + end, length)) return false;
    end += length;
    if (first && text[end] == '[') {
      const char *close = strchr(text + end, ']');
      if (!close || close[1] != '.') return false;
      end = (uint32_t)(close - text) + 1;
    }
    if (text[end] != '.') break;
  }
  if (end == start + 1 && text[start] == '*') return false; /* the sign */
  *token = (tn_formula_token){.type = TN_TOKEN_NAME, .start = start, .length = end - start};
  return true;
}

uint32_t tn_formula_column(const char *text, uint32_t offset) {
  uint32_t column = 1;
  for (uint32_t i = 0; i < offset; i++) column += !is_continuation(text[i]);
  return column;
}

/* Bytes of the UTF-8 character at `c`; 0 if it is none (overlong and surrogate forms pass). */
static uint32_t character_length(const char *c) {
  unsigned char lead = (unsigned char)*c;
  uint32_t length = lead < 0x80   ? 1
                    : lead < 0xc0 ? 0
                    : lead < 0xe0 ? 2
                    : lead < 0xf0 ? 3
                    : lead < 0xf8 ? 4
                                  : 0;
  for (uint32_t i = 1; i < length; i++)
    if (!is_continuation(c[i])) return 0;
  return length;
}

void tn_formula_print(const char *text, uint32_t length, char *line, size_t bytes) {
  size_t used = 0;
  for (uint32_t i = 0, n; i < length && used + 5 < bytes; i += n ? n : 1) {
    n = character_length(text + i);
    bool plain = n > 1 || (n == 1 && (unsigned char)text[i] >= ' ' && text[i] != 127);
    if (plain)
      memcpy(line + used, text + i, n);
    else
      line[used] = n ? ' ' : '?';
    used += plain ? n : 1;
  }
  line[used] = 0;
}

/* The part of the text around `offset`, on one line. */
static void excerpt(const char *text, uint32_t offset, char *part, size_t bytes) {
  const uint32_t room = 100;
  uint32_t length = (uint32_t)strlen(text), start = 0, end = length;
  if (length > room) {
    start = offset > room / 2 ? offset - room / 2 : 0;
    end = start + room < length ? start + room : length;
    while (start > 0 && is_continuation(text[start])) start--;
    while (end < length && is_continuation(text[end])) end++;
  }
  char line[128];
  tn_formula_print(text + start, end - start, line, sizeof line);
  snprintf(part, bytes, "%s%s%s", start ? "..." : "", line, end < length ? "..." : "");
}

tn_status tn_formula_fail(const char *text, uint32_t offset, const char *format, va_list arguments) {
  char part[256], message[384];
  excerpt(text, offset, part, sizeof part);
  vsnprintf(message, sizeof message, format, arguments);
  return tn_fail(TN_ERROR_INVALID, "expression '%s': column %u: %s", part, tn_formula_column(text, offset),
                 message);
}
