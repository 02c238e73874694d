// SPDX-License-Identifier: MIT
/* An expression's text as tokens. */
#ifndef TENON_CORE_EXPRESSION_SCANNER_H
#define TENON_CORE_EXPRESSION_SCANNER_H

#include <stdbool.h>
#include <stdint.h>
#include <tenon/abi.h>
#include <stdarg.h>

typedef enum tn_formula_token_type {
  TN_TOKEN_END,
  TN_TOKEN_NUMBER,
  TN_TOKEN_NAME,
  TN_TOKEN_OR,
  TN_TOKEN_AND,
  TN_TOKEN_NOT,
  TN_TOKEN_LESS,
  TN_TOKEN_LESS_EQUAL,
  TN_TOKEN_GREATER,
  TN_TOKEN_GREATER_EQUAL,
  TN_TOKEN_EQUAL,
  TN_TOKEN_NOT_EQUAL,
  TN_TOKEN_PLUS,
  TN_TOKEN_MINUS,
  TN_TOKEN_TIMES,
  TN_TOKEN_DIVIDE,
  TN_TOKEN_POWER,
  TN_TOKEN_OPEN,
  TN_TOKEN_CLOSE,
  TN_TOKEN_COMMA,
  TN_TOKEN_WRONG /* bytes that no expression contains; `hint` says what was meant, if that is known */
} tn_formula_token_type;

typedef struct tn_formula_token {
  tn_formula_token_type type;
  uint32_t start, length; /* bytes of the text */
  double number;
  const char *hint; /* WRONG: "write and for &&"; or NULL */
} tn_formula_token;

/* The token that begins at or after byte `offset`. */
tn_formula_token tn_formula_scan(const char *text, uint32_t offset);

/* Matches the name of a result, in a claim: words and * between dots, such as `lion.test.accuracy`; a - may
 * stand inside a word, and [...] behind the first one or in its place. */
bool tn_formula_scan_result(const char *text, uint32_t offset, tn_formula_token *token);

/* Records "expression 'TEXT': column N: MESSAGE" about byte `offset`. Long texts are shown in part, control
 * characters as blanks. */
TN_PRINTF(3, 0)
tn_status tn_formula_fail(const char *text, uint32_t offset, const char *format, va_list arguments);

/* Column, from 1 and in characters, of byte `offset`. */
uint32_t tn_formula_column(const char *text, uint32_t offset);

/* Text for a message: control characters as blanks, bytes that are not UTF-8 as ?. */
void tn_formula_print(const char *text, uint32_t length, char *line, size_t bytes);

#endif
