// SPDX-License-Identifier: MIT
/* Parameters in words. */
#include "core/config/bind.h"
#include <stdio.h>
#include <string.h>

tn_param tn_class_param(const tn_class *cls, uint32_t index) {
  tn_param param = {0};
  size_t bytes = cls->param_size < sizeof param ? cls->param_size : sizeof param;
  memcpy(&param, (const char *)cls->params + (size_t)index * cls->param_size, bytes);
  return param;
}

#define FIELD(type) \
  { sizeof(type), _Alignof(type) }
static const struct {
  size_t size, alignment;
} fields[] = {[TN_PARAM_BOOL] = FIELD(bool),
              [TN_PARAM_INTEGER] = FIELD(int64_t),
              [TN_PARAM_REAL] = FIELD(double),
              [TN_PARAM_STRING] = FIELD(const char *),
              [TN_PARAM_CHOICE] = FIELD(int32_t),
              [TN_PARAM_PATH] = FIELD(const char *),
              [TN_PARAM_INTEGERS] = FIELD(tn_integers),
              [TN_PARAM_REALS] = FIELD(tn_reals),
              [TN_PARAM_STRINGS] = FIELD(tn_strings),
              [TN_PARAM_REFERENCE] = FIELD(const tn_component *),
              [TN_PARAM_REFERENCES] = FIELD(tn_references),
              [TN_PARAM_TERMS] = FIELD(tn_terms),
              [TN_PARAM_EXPRESSION] = FIELD(const struct tn_expression *),
              [TN_PARAM_COUNT] = FIELD(tn_count)};

static bool known(tn_param_type type) { return type > 0 && (size_t)type < sizeof fields / sizeof fields[0]; }
size_t tn_param_field_size(tn_param_type type) { return known(type) ? fields[type].size : 0; }
size_t tn_param_field_alignment(tn_param_type type) { return known(type) ? fields[type].alignment : 0; }

/* "a|b|c" with ", " between. */
static void choices(const tn_param *param, const char *before, char *text, size_t bytes) {
  int used = snprintf(text, bytes, "%s", before);
  for (const char *c = param->choices; c && *c && (size_t)used + 3 < bytes; c++) {
    if (*c == '|')
      used += snprintf(text + used, bytes - (size_t)used, ", ");
    else
      text[used++] = *c, text[used] = '\0';
  }
}

/* "a loss" of "tenon.loss/1". */
static void kind(const tn_param *param, bool several, char *text, size_t bytes) {
  char name[72] = "component";
  if (param->kind) tn_kind_short_name(param->kind, name, sizeof name);
  if (!several) {
    snprintf(text, bytes, "%s %s", name[0] && strchr("aeiou", name[0]) ? "an" : "a", name);
    return;
  }
  size_t length = strlen(name);
  const char *ending = length > 0 && strchr("sxz", name[length - 1]) ? "es" : "s";
  if (length > 1 && name[length - 1] == 'y' && !strchr("aeiou", name[length - 2]))
    name[length - 1] = '\0', ending = "ies";
  if (length > 1 && strcmp(name + length - 2, "ch") == 0) ending = "es";
  snprintf(text, bytes, "%s%s", name, ending);
}

void tn_param_expects(const tn_param *param, char *text, size_t bytes) {
  char name[96];
  switch (param->type) {
  case TN_PARAM_BOOL: snprintf(text, bytes, "yes or no"); break;
  case TN_PARAM_INTEGER: snprintf(text, bytes, "a whole number"); break;
  case TN_PARAM_REAL: snprintf(text, bytes, "a number"); break;
  case TN_PARAM_STRING: snprintf(text, bytes, "a text"); break;
  case TN_PARAM_CHOICE: choices(param, "one of ", text, bytes); break;
  case TN_PARAM_PATH: snprintf(text, bytes, "a path"); break;
  case TN_PARAM_INTEGERS: snprintf(text, bytes, "a list of whole numbers"); break;
  case TN_PARAM_REALS: snprintf(text, bytes, "a list of numbers"); break;
  case TN_PARAM_STRINGS: snprintf(text, bytes, "a list of texts"); break;
  case TN_PARAM_REFERENCE: kind(param, false, text, bytes); break;
  case TN_PARAM_REFERENCES:
    kind(param, true, name, sizeof name);
    snprintf(text, bytes, "a list of %s", name);
    break;
  case TN_PARAM_TERMS:
    kind(param, true, name, sizeof name);
    snprintf(text, bytes, "a list of %s with weights, such as '0.1 * a, b'", name);
    break;
  case TN_PARAM_EXPRESSION:
    if (param->choices && param->choices[0])
      choices(param, "a formula of ", text, bytes);
    else
      snprintf(text, bytes, "a formula");
    break;
  case TN_PARAM_COUNT: snprintf(text, bytes, "a whole number, a percentage such as 5%%, or full"); break;
  default: snprintf(text, bytes, "a value of type %d", param->type);
  }
}

static bool numeric(tn_param_type type) {
  return type == TN_PARAM_INTEGER || type == TN_PARAM_REAL || type == TN_PARAM_INTEGERS ||
         type == TN_PARAM_REALS || type == TN_PARAM_TERMS || type == TN_PARAM_COUNT;
}

void tn_param_range(const tn_param *param, char *text, size_t bytes) {
  const double whole = 9.2e18; /* beyond it an integer's bound is none */
  bool low = numeric(param->type) && param->min > -whole, high = numeric(param->type) && param->max < whole;
  const char *above = param->flags & TN_PARAM_MIN_EXCLUSIVE ? "<" : "<=";
  const char *below = param->flags & TN_PARAM_MAX_EXCLUSIVE ? "<" : "<=";
  text[0] = '\0';
  if (low && high)
    snprintf(text, bytes, "%.15g %s %s %s %.15g", param->min, above, param->key, below, param->max);
  else if (low)
    snprintf(text, bytes, "%s %s %.15g", param->key, above[1] ? ">=" : ">", param->min);
  else if (high)
    snprintf(text, bytes, "%s %s %.15g", param->key, below, param->max);
}
