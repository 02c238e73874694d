// SPDX-License-Identifier: MIT
/* Is a class's parameter schema well-formed? */
#include "core/config/value.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tenon/expression.h>

typedef struct checker {
  const tn_class *cls;
  tn_bound *bound;
  tn_error *error;
} checker;

TN_PRINTF(3, 4) static tn_status wrong(const checker *c, const tn_param *param, const char *reason, ...) {
  char text[640], full[TN_FULL_NAME];
  va_list arguments;
  va_start(arguments, reason);
  vsnprintf(text, sizeof text, reason, arguments);
  va_end(arguments);
  return tn_error_set(c->error, TN_ERROR_INVALID, NULL, 0, "%s, parameter '%s': %s",
                      tn_class_full_name(c->cls, full), param->key, text);
}

static bool refers(tn_param_type type) {
  return type == TN_PARAM_REFERENCE || type == TN_PARAM_REFERENCES || type == TN_PARAM_TERMS;
}

/* "a|b|c": no empty and no repeated word. */
static tn_status check_choices(const checker *c, const tn_param *param) {
  const char *words = param->choices;
  if (!words || !*words) return wrong(c, param, "a choice without choices");
  if (strlen(words) >= 1024) return wrong(c, param, "choices longer than 1023 bytes");
  uint32_t count = 0;
  for (const char *word = words, *next; word; word = next, count++) {
    size_t length = strcspn(word, "|");
    next = word[length] ? word + length + 1 : NULL;
    if (length == 0) return wrong(c, param, "an empty word among the choices '%s'", words);
    for (const char *other = words; other < word; other += strcspn(other, "|") + 1)
      if (strcspn(other, "|") == length && strncmp(other, word, length) == 0)
        return wrong(c, param, "the choice '%.*s' is given twice", (int)length, word);
  }
  return count <= 64 ? TN_OK : wrong(c, param, "more than 64 choices");
}

static tn_status check_place(const checker *c, const tn_param *param) {
  size_t size = tn_param_field_size(param->type), alignment = tn_param_field_alignment(param->type);
  if (size == 0) return wrong(c, param, "unknown type %d", param->type);
  if (param->offset > c->cls->instance_size || c->cls->instance_size - param->offset < size)
    return wrong(c, param, "its field lies outside the instance (offset %zu, %zu bytes of %zu)",
                 param->offset, size, c->cls->instance_size);
  if (param->offset % alignment != 0)
    return wrong(c, param, "its field is not aligned (offset %zu)", param->offset);
  return TN_OK;
}

static tn_status check_text(const checker *c, const tn_param *param) {
  if (!param->doc || !param->doc[0]) return wrong(c, param, "no documentation");
  if (strpbrk(param->doc, "\r\n")) return wrong(c, param, "documentation of more than one line");
  if (param->flags & ~15u) return wrong(c, param, "unknown flags 0x%x", param->flags & ~15u);
  if (isnan(param->min) || isnan(param->max) || param->min > param->max)
    return wrong(c, param, "an impossible range, %g to %g", param->min, param->max);
  if (refers(param->type) && !tn_kind_well_formed(param->kind))
    return wrong(c, param, "kind '%s': expected VENDOR.KIND/REVISION", param->kind ? param->kind : "");
  return param->type == TN_PARAM_CHOICE ? check_choices(c, param) : TN_OK;
}

/* The default is parsed as a user's value would be; references can only be found in a pipeline. */
static tn_status check_fallback(const checker *c, const tn_param *param) {
  union {
    int64_t number;
    double real;
    void *pointer;
    tn_strings list;
    tn_count count;
  } field;
  const char *text = param->fallback;
  if (!text || !*text || refers(param->type)) return TN_OK;
  if (param->flags & TN_PARAM_REQUIRED) return wrong(c, param, "required, but with a default");
  if (param->type == TN_PARAM_EXPRESSION && !tn_sdk.expression) return TN_OK;
  tn_error inner = {0};
  if (tn_parse_value(param, text, NULL, 0, &field, NULL, NULL, c->bound, &inner) == TN_OK) return TN_OK;
  const tn_status status = wrong(c, param, "its default: %s", inner.text);
  return inner.status == TN_ERROR_MEMORY ? c->error->status = TN_ERROR_MEMORY : status;
}

static tn_status check_unique(const checker *c, const tn_param *param, uint32_t index) {
  size_t begin = param->offset, end = begin + tn_param_field_size(param->type);
  for (uint32_t i = 0; i < index; i++) {
    tn_param other = tn_class_param(c->cls, i);
    if (strcmp(other.key, param->key) == 0) return wrong(c, param, "given twice");
    if (begin < other.offset + tn_param_field_size(other.type) && other.offset < end)
      return wrong(c, param, "its field overlaps that of '%s'", other.key);
  }
  return TN_OK;
}

static tn_status check_param(const checker *c, uint32_t index) {
  tn_param param = tn_class_param(c->cls, index);
  char full[TN_FULL_NAME], room[TN_SHOWN];
  if (!tn_name_well_formed(param.key))
    return tn_error_set(c->error, TN_ERROR_INVALID, NULL, 0,
                        "%s, parameter %u: key '%s': expected [a-z0-9_]+", tn_class_full_name(c->cls, full),
                        index + 1, param.key ? tn_shown(room, param.key) : "");
  if (strcmp(param.key, "use") == 0 || strcmp(param.key, "base") == 0)
    return wrong(c, &param, "this key belongs to the host");
  tn_status status = check_place(c, &param);
  if (status == TN_OK) status = check_text(c, &param);
  if (status == TN_OK) status = check_unique(c, &param, index);
  if (status == TN_OK) status = check_fallback(c, &param);
  return status;
}

tn_status tn_schema_check(const tn_class *cls, tn_error *error) {
  char full[TN_FULL_NAME];
  enum { MAX_PARAMS = 1000 };
  const size_t smallest = offsetof(tn_param, doc) + sizeof(const char *);
  tn_class_full_name(cls, full);
  if (cls->param_count == 0) return TN_OK;
  if (!cls->params || cls->param_count > MAX_PARAMS)
    return tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "%s: %u parameters, but no usable list of them",
                        full, cls->param_count);
  if (cls->param_size < smallest || cls->param_size % _Alignof(tn_param) != 0)
    return tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "%s: parameters of %u bytes, expected %zu or more",
                        full, cls->param_size, smallest);
  checker c = {cls, tn_bound_new(), error};
  if (!c.bound) return tn_error_set(error, TN_ERROR_MEMORY, NULL, 0, "%s: out of memory", full);
  tn_status status = TN_OK;
  for (uint32_t i = 0; i < cls->param_count && status == TN_OK; i++) status = check_param(&c, i);
  tn_bound_free(c.bound);
  return status;
}
