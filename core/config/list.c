// SPDX-License-Identifier: MIT
/* Values that are lists: `1, 2, 3`, `a, b`, `0.1 * ce, hoc`. */
#include "core/config/value.h"
#include <string.h>

/* Cuts blanks off both ends, in place. */
static char *trim(char *text) {
  text += strspn(text, " \t");
  for (size_t n = strlen(text); n > 0 && strchr(" \t", text[n - 1]); n--) text[n - 1] = '\0';
  return text;
}

static tn_status term(const tn_value *value, char *item, uint32_t index, tn_term *result) {
  char *star = strchr(item, '*');
  result->weight = 1;
  if (star) {
    *star = '\0';
    tn_status status = tn_value_real(value, trim(item), index, &result->weight);
    if (status != TN_OK) return status;
    item = trim(star + 1);
  }
  if (!*item) return tn_value_refuse(value, ": item %u: nothing follows the '*'", index);
  return tn_value_reference(value, item, &result->component);
}

static tn_status write_item(const tn_value *value, char *item, uint32_t index, void *items) {
  switch (value->param->type) {
  case TN_PARAM_INTEGERS: return tn_value_integer(value, item, index + 1, (int64_t *)items + index);
  case TN_PARAM_REALS: return tn_value_real(value, item, index + 1, (double *)items + index);
  case TN_PARAM_STRINGS: ((const char **)items)[index] = item; return TN_OK;
  case TN_PARAM_REFERENCES: return tn_value_reference(value, item, (const tn_component **)items + index);
  case TN_PARAM_TERMS: return term(value, item, index + 1, (tn_term *)items + index);
  default: return tn_value_refuse(value, ": unknown type %d", value->param->type);
  }
}

static size_t item_size(tn_param_type type) {
  if (type == TN_PARAM_TERMS) return sizeof(tn_term);
  if (type == TN_PARAM_INTEGERS || type == TN_PARAM_REALS) return 8;
  return sizeof(void *);
}

tn_status tn_value_list(const tn_value *value, void *field) {
  const char *text = value->key->value;
  uint32_t count = 1;
  for (const char *c = text; *c; c++) count += *c == ',';
  tn_arena *arena = &value->bound->arena;
  char *copy = tn_arena_text(arena, text, strlen(text));
  void *items = tn_arena_alloc(arena, count * item_size(value->param->type));
  if (!copy || !items) return tn_value_memory(value);
  char *item = copy;
  for (uint32_t i = 0; i < count; i++) {
    char *comma = strchr(item, ',');
    if (comma) *comma = '\0';
    char *word = trim(item);
    if (!*word) return tn_value_refuse(value, ": item %u is empty", i + 1);
    tn_status status = write_item(value, word, i, items);
    if (status != TN_OK) return status;
    if (comma) item = comma + 1;
  }
  /* All list fields are {pointer, count}. */
  *(tn_strings *)field = (tn_strings){items, count};
  return TN_OK;
}
