// SPDX-License-Identifier: MIT
#include "core/config/value.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tenon/expression.h>

tn_bound *tn_bound_new(void) { return calloc(1, sizeof(tn_bound)); }

void tn_bound_free(tn_bound *bound) {
  if (!bound) return;
  for (uint32_t i = 0; i < bound->expression_count; i++) tn_expression_release(bound->expressions[i]);
  free(bound->expressions);
  tn_arena_free(&bound->arena);
  free(bound);
}

/* What one call of tn_bind works on. */
typedef struct binding {
  const tn_class *cls;
  void *self;
  const tn_section *section;
  const char *name, *file; /* for messages */
  uint32_t line;
  tn_resolve resolve;
  void *context;
  tn_bound *bound;
  tn_error *error;
} binding;

/* Keys that belong to the host, not to the component. */
static bool host_key(const char *name) { return strcmp(name, "use") == 0 || strcmp(name, "base") == 0; }

static tn_status unknown_key(const binding *b, const tn_key *key) {
  char full[TN_FULL_NAME], room[TN_SHOWN], hint[TN_SUGGESTION], keys[256] = "";
  uint32_t count = b->cls->param_count;
  const char **names = calloc(count + 1, sizeof *names);
  if (!names) return tn_error_set(b->error, TN_ERROR_MEMORY, key->file, key->line, "out of memory");
  size_t used = 0;
  for (uint32_t i = 0; i < count; i++) {
    names[i] = tn_class_param(b->cls, i).key;
    if (used < sizeof keys)
      used += (size_t)snprintf(keys + used, sizeof keys - used, "%s%s", i ? ", " : "; it has ", names[i]);
  }
  if (count == 0) snprintf(keys, sizeof keys, "; it has no keys");
  if (used >= sizeof keys) keys[0] = '\0'; /* too many to list: `tenon info` does */
  tn_suggest(hint, key->name, names, count);
  free(names);
  return tn_error_set(b->error, TN_ERROR_INVALID, key->file, key->line, "unknown key '%s' in [%s] (%s)%s",
                      tn_shown(room, key->name), b->name, tn_class_full_name(b->cls, full),
                      hint[0] ? hint : keys);
}

static bool has_param(const tn_class *cls, const char *key) {
  for (uint32_t i = 0; i < cls->param_count; i++)
    if (strcmp(tn_class_param(cls, i).key, key) == 0) return true;
  return false;
}

static tn_status missing_key(const binding *b, const tn_param *param) {
  char expected[512], full[TN_FULL_NAME];
  tn_param_expects(param, expected, sizeof expected);
  return tn_error_set(b->error, TN_ERROR_INVALID, b->file, b->line,
                      "[%s] (%s) lacks the key '%s' (%s): expected %s", b->name,
                      tn_class_full_name(b->cls, full), param->key, param->doc, expected);
}

static tn_status bind_param(const binding *b, const tn_param *param) {
  const tn_key *given = b->section ? tn_section_find(b->section, param->key) : NULL;
  void *field = (char *)b->self + param->offset;
  bool required = (param->flags & TN_PARAM_REQUIRED) != 0;
  if (required && (!given || !given->value[0])) {
    if (!given) return missing_key(b, param);
    char expected[512];
    tn_param_expects(param, expected, sizeof expected);
    return tn_error_set(b->error, TN_ERROR_INVALID, given->file, given->line, "%s is empty: expected %s",
                        param->key, expected);
  }
  const tn_key fallback = {param->key, param->fallback ? param->fallback : "", b->file, b->line};
  const tn_key *key = given ? given : &fallback;
  tn_value value = {param, key, b->resolve, b->context, b->bound, b->error};
  if (!given && !fallback.value[0] && param->type != TN_PARAM_STRING && param->type != TN_PARAM_PATH) {
    memset(field, 0, tn_param_field_size(param->type));
    return TN_OK;
  }
  return tn_value_write(&value, field);
}

tn_status tn_bind(const tn_class *cls, void *self, const tn_section *section, const char *name,
                  const char *file, uint32_t line, tn_resolve resolve, void *context, tn_bound *bound,
                  tn_error *error) {
  if (section) name = section->name, file = section->file, line = section->line;
  binding b = {cls, self, section, name, file, line, resolve, context, bound, error};
  for (uint32_t i = 0; section && i < section->key_count; i++) {
    const tn_key *key = &section->keys[i];
    if (!host_key(key->name) && !has_param(cls, key->name)) return unknown_key(&b, key);
  }
  for (uint32_t i = 0; i < cls->param_count; i++) {
    tn_param param = tn_class_param(cls, i);
    tn_status status = bind_param(&b, &param);
    if (status != TN_OK) return status;
  }
  return TN_OK;
}

tn_status tn_parse_value(const tn_param *param, const char *value, const char *file, uint32_t line,
                         void *field, tn_resolve resolve, void *context, tn_bound *bound, tn_error *error) {
  tn_value one = {param, &(tn_key){param->key, value, file, line}, resolve, context, bound, error};
  return tn_value_write(&one, field);
}
