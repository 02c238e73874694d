// SPDX-License-Identifier: MIT
/* Values that are one thing: numbers, words, paths, references, formulas, counts. */
#include "core/config/number.h"
#include "core/config/value.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <tenon/expression.h>

tn_status tn_value_refuse(const tn_value *value, const char *reason, ...) {
  char text[768], room[TN_SHOWN];
  va_list arguments;
  va_start(arguments, reason);
  vsnprintf(text, sizeof text, reason, arguments);
  va_end(arguments);
  const tn_key *key = value->key;
  return tn_error_set(value->error, TN_ERROR_INVALID, key->file, key->line, "%s = %s%s", key->name,
                      tn_shown(room, key->value), text);
}

tn_status tn_value_wrong(const tn_value *value, const char *got, const char *hint) {
  char expected[512], room[TN_SHOWN];
  tn_param_expects(value->param, expected, sizeof expected);
  if (!value->key->value[0])
    return tn_error_set(value->error, TN_ERROR_INVALID, value->key->file, value->key->line,
                        "%s is empty: expected %s", value->key->name, expected);
  return tn_value_refuse(value, ": expected %s, got '%s'%s", expected, tn_shown(room, got), hint);
}

tn_status tn_value_memory(const tn_value *value) {
  return tn_error_set(value->error, TN_ERROR_MEMORY, value->key->file, value->key->line, "out of memory");
}

static bool inside(const tn_param *param, double number) {
  bool above = param->flags & TN_PARAM_MIN_EXCLUSIVE ? number > param->min : number >= param->min;
  bool below = param->flags & TN_PARAM_MAX_EXCLUSIVE ? number < param->max : number <= param->max;
  return above && below;
}

/* Why a number cannot be used; `item` and `index` name it in a list. */
static tn_status number_wrong(const tn_value *value, tn_number_status status, const char *item,
                              uint32_t index) {
  char room[TN_SHOWN], range[256], which[96] = "";
  bool whole = value->param->type == TN_PARAM_INTEGERS;
  tn_shown(room, item);
  if (status == TN_NUMBER_MALFORMED && index == 0) return tn_value_wrong(value, item, "");
  if (status == TN_NUMBER_MALFORMED)
    return tn_value_refuse(value, ": item %u: expected %s, got '%s'", index,
                           whole ? "a whole number" : "a number", room);
  if (index > 0) snprintf(which, sizeof which, ": item %u (%s)", index, room);
  if (status == TN_NUMBER_TOO_LARGE) return tn_value_refuse(value, "%s is too large", which);
  if (status == TN_NUMBER_TOO_SMALL)
    return tn_value_refuse(value, "%s is too small to be told from 0", which);
  tn_param_range(value->param, range, sizeof range);
  return tn_value_refuse(value, "%s is out of range: expected %s", which, range);
}

tn_status tn_value_integer(const tn_value *value, const char *item, uint32_t index, int64_t *result) {
  tn_number_status status = tn_number_integer(item, result);
  if (status != TN_NUMBER_OK || !inside(value->param, (double)*result))
    return number_wrong(value, status, item, index);
  return TN_OK;
}

/* Ranges that end at infinity are meant to be free; infinity itself is a value where it is the default. */
static bool infinity_allowed(const tn_param *param) {
  return param->fallback && strstr(param->fallback, "inf") && param->type != TN_PARAM_TERMS;
}

tn_status tn_value_real(const tn_value *value, const char *item, uint32_t index, double *result) {
  tn_number_status status = tn_number_real(item, infinity_allowed(value->param), result);
  if (status != TN_NUMBER_OK || !inside(value->param, *result))
    return number_wrong(value, status, item, index);
  return TN_OK;
}

static tn_status boolean(const tn_value *value, bool *result) {
  static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};
  for (uint32_t i = 0; i < TN_ARRAY_LENGTH(words); i++) {
    if (strcasecmp(value->key->value, words[i]) != 0) continue;
    *result = i % 2 != 0;
    return TN_OK;
  }
  return tn_value_wrong(value, value->key->value, "");
}

static tn_status choice(const tn_value *value, int32_t *result) {
  const char *text = value->key->value, *candidates[64];
  char words[1024], hint[TN_SUGGESTION];
  uint32_t count = 0;
  snprintf(words, sizeof words, "%s", value->param->choices);
  for (char *word = words, *bar; word && count < 64; word = bar) {
    bar = strchr(word, '|');
    if (bar) *bar++ = '\0';
    if (strcmp(word, text) == 0) {
      *result = (int32_t)count;
      return TN_OK;
    }
    candidates[count++] = word;
  }
  return tn_value_wrong(value, text, tn_suggest(hint, text, candidates, count));
}

static tn_status string(const tn_value *value, const char **result) {
  *result = tn_arena_text(&value->bound->arena, value->key->value, strlen(value->key->value));
  return *result ? TN_OK : tn_value_memory(value);
}

/* Relative to the folder of the file that says it. */
static tn_status path(const tn_value *value, const char **result) {
  const char *file = value->key->file ? value->key->file : "", *text = value->key->value;
  const char *slash = strrchr(file, '/');
  if (text[0] == '/' || text[0] == '\0' || !slash) return string(value, result);
  char *folder = tn_arena_text(&value->bound->arena, file, (size_t)(slash + 1 - file));
  *result = folder ? tn_arena_join(&value->bound->arena, folder, text) : NULL;
  return *result ? TN_OK : tn_value_memory(value);
}

tn_status tn_value_reference(const tn_value *value, const char *item, const tn_component **result) {
  *result = value->resolve
                ? value->resolve(value->context, item, value->param->kind, value->key, value->error)
                : NULL;
  if (*result) return TN_OK;
  return tn_value_refuse(value, ": there is nothing called '%s' here", item);
}

static void (*take_message)(char *text, size_t bytes);
void tn_bind_take_message(void (*take)(char *text, size_t bytes)) { take_message = take; }

static tn_status expression(const tn_value *value, const struct tn_expression **result) {
  tn_bound *bound = value->bound;
  if (!tn_sdk.expression) return tn_value_refuse(value, ": formulas are not available in this program");
  if (bound->expression_count == bound->expression_capacity) {
    uint32_t capacity = bound->expression_capacity ? 2 * bound->expression_capacity : 4;
    struct tn_expression **more = realloc(bound->expressions, capacity * sizeof(struct tn_expression *));
    if (!more) return tn_value_memory(value);
    bound->expressions = more;
    bound->expression_capacity = capacity;
  }
  tn_expression *compiled = tn_expression_compile(value->key->value, value->param->choices);
  if (compiled) {
    bound->expressions[bound->expression_count++] = compiled;
    *result = compiled;
    return TN_OK;
  }
  char reason[512] = "";
  if (take_message) take_message(reason, sizeof reason);
  if (!reason[0]) return tn_value_wrong(value, value->key->value, "");
  return tn_value_refuse(value, ": %s", reason);
}

static tn_status count(const tn_value *value, tn_count *result) {
  char text[64];
  const char *given = value->key->value;
  size_t length = strlen(given);
  if (strcmp(given, "full") == 0) {
    result->fraction = 1;
    return TN_OK;
  }
  if (given[length - 1] != '%') return tn_value_integer(value, given, 0, &result->number);
  if (length >= sizeof text) return tn_value_wrong(value, given, "");
  snprintf(text, sizeof text, "%.*s", (int)length - 1, given);
  while (length > 1 && strchr(" \t", text[length - 2])) text[--length - 1] = '\0';
  double percent;
  if (tn_number_real(text, false, &percent) != TN_NUMBER_OK) return tn_value_wrong(value, given, "");
  if (percent < 0 || percent > 100) return tn_value_refuse(value, " is out of range: expected 0%% to 100%%");
  result->fraction = percent / 100;
  return TN_OK;
}

tn_status tn_value_write(const tn_value *value, void *field) {
  const tn_param *param = value->param;
  const char *text = value->key->value;
  memset(field, 0, tn_param_field_size(param->type));
  switch (param->type) {
  case TN_PARAM_STRING: return string(value, field);
  case TN_PARAM_PATH: return path(value, field);
  case TN_PARAM_BOOL: return boolean(value, field);
  case TN_PARAM_INTEGER: return tn_value_integer(value, text, 0, field);
  case TN_PARAM_REAL: return tn_value_real(value, text, 0, field);
  case TN_PARAM_CHOICE: return choice(value, field);
  case TN_PARAM_COUNT: return *text ? count(value, field) : tn_value_wrong(value, text, "");
  case TN_PARAM_REFERENCE: return *text ? tn_value_reference(value, text, field) : TN_OK;
  case TN_PARAM_EXPRESSION: return *text ? expression(value, field) : TN_OK;
  default: return *text ? tn_value_list(value, field) : TN_OK;
  }
}
