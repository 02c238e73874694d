// SPDX-License-Identifier: MIT
/* `${section.key}`, `${env:NAME}`, `${variable}`; `$${` for a literal `${`. */
#include "core/config/scan.h"
#include "core/config/store.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64, MAX_NAME = 256, MAX_TOTAL = 64 * 1024 * 1024 };
enum { UNKNOWN, ON_THE_WAY, DONE };

typedef struct expander {
  tn_store *store; /* NULL: only variables and the environment */
  tn_arena *arena;
  const tn_config_variable *variables;
  uint32_t variable_count;
  uint8_t **state; /* of each section's keys */
  uint32_t depth;
  size_t total; /* bytes of expanded values */
  tn_error *error;
} expander;

/* The value being put together. */
typedef struct buffer {
  char *text;
  size_t bytes, room;
} buffer;

static tn_status append(expander *e, buffer *b, const char *text, size_t bytes, const tn_key *key) {
  if (b->bytes + bytes > TN_STORE_MAX_VALUE)
    return tn_error_set(e->error, TN_ERROR_INVALID, key->file, key->line,
                        "%s: the expanded value is longer than %d bytes", key->name, (int)TN_STORE_MAX_VALUE);
  if (b->bytes + bytes + 1 > b->room) {
    size_t room = 2 * (b->bytes + bytes + 1);
    char *more = realloc(b->text, room);
    if (!more) return tn_store_failed(TN_ERROR_MEMORY, key->file, key->line, e->error);
    b->text = more;
    b->room = room;
  }
  if (bytes) memcpy(b->text + b->bytes, text, bytes);
  b->bytes += bytes;
  b->text[b->bytes] = '\0';
  return TN_OK;
}

static tn_status expand_key(expander *e, uint32_t section, uint32_t index);

static tn_status no_variable(expander *e, const char *name, const tn_key *key) {
  char room[TN_SHOWN], hint[TN_SUGGESTION];
  const char *names[32];
  uint32_t n = e->variable_count < 32 ? e->variable_count : 32;
  for (uint32_t i = 0; i < n; i++) names[i] = e->variables[i].name;
  return tn_error_set(e->error, TN_ERROR_INVALID, key->file, key->line,
                      "%s: unknown variable '${%s}' (a key of this file is written ${section.key})%s",
                      key->name, tn_shown(room, name), tn_suggest(hint, name, names, n));
}

static tn_status variable(expander *e, const char *name, const tn_key *key, const char **value) {
  for (uint32_t i = 0; i < e->variable_count; i++) {
    const tn_config_variable *v = &e->variables[i];
    if (strcmp(v->name, name) != 0) continue;
    *value = v->value;
    if (v->value) return TN_OK;
    return tn_error_set(e->error, TN_ERROR_MISSING, key->file, key->line, "%s: ${%s}: %s", key->name, name,
                        v->missing ? v->missing : "has no value here");
  }
  return no_variable(e, name, key);
}

static tn_status environment(expander *e, const char *name, const tn_key *key, const char **value) {
  char room[TN_SHOWN];
  *value = getenv(name);
  if (*value) return TN_OK;
  return tn_error_set(e->error, TN_ERROR_MISSING, key->file, key->line,
                      "%s: the environment variable '%s' is not set", key->name, tn_shown(room, name));
}

static tn_status no_key(expander *e, char *name, uint32_t section, const tn_key *key) {
  char room[TN_SHOWN], hint[TN_SUGGESTION];
  const tn_store *store = e->store;
  bool known = section != TN_TABLE_NONE;
  uint32_t count = known ? store->sections[section].view.key_count : store->count;
  const char **names = calloc(count + 1, sizeof *names);
  for (uint32_t i = 0; names && i < count; i++)
    names[i] = known ? store->sections[section].keys[i].name : store->sections[i].view.name;
  const char *in = known ? store->sections[section].view.name : "";
  if (known) {
    const char *wanted = name + strlen(in) + 1;
    tn_error_set(e->error, TN_ERROR_INVALID, key->file, key->line, "%s: ${%s}: no key '%s' in [%s]%s",
                 key->name, tn_shown(room, name), wanted, in,
                 tn_suggest(hint, wanted, names, names ? count : 0));
  } else {
    char *dot = strrchr(name, '.');
    tn_shown(room, name);
    *dot = '\0';
    tn_error_set(e->error, TN_ERROR_INVALID, key->file, key->line, "%s: ${%s}: no section [%s]%s", key->name,
                 room, name, tn_suggest(hint, name, names, names ? count : 0));
  }
  free(names);
  return e->error->status;
}

/* The names of sections and keys may contain dots: the longest section that has the key wins. */
static tn_status other_key(expander *e, char *name, const tn_key *key, const char **value) {
  uint32_t nearest = TN_TABLE_NONE;
  for (char *dot = name + strlen(name); dot > name; dot--) {
    if (*dot != '.') continue;
    *dot = '\0';
    uint32_t section = tn_store_find(e->store, name);
    *dot = '.';
    if (section == TN_TABLE_NONE) continue;
    if (nearest == TN_TABLE_NONE) nearest = section;
    const tn_key *other = tn_store_key(e->store, section, dot + 1);
    if (!other) continue;
    uint32_t index = (uint32_t)(other - e->store->sections[section].keys);
    if (e->state[section][index] == ON_THE_WAY)
      return tn_error_set(e->error, TN_ERROR_INVALID, key->file, key->line, "%s: ${%s} makes a cycle",
                          key->name, name);
    tn_status status = expand_key(e, section, index);
    *value = other->value;
    return status;
  }
  return no_key(e, name, nearest, key);
}

/* The value of what stands between the braces. */
static tn_status look_up(expander *e, const char *text, size_t bytes, const tn_key *key, const char **value) {
  char name[MAX_NAME + 1];
  if (bytes > MAX_NAME || memchr(text, '$', bytes) || memchr(text, '{', bytes))
    return tn_error_set(e->error, TN_ERROR_INVALID, key->file, key->line,
                        "%s: expected ${section.key}, ${env:NAME} or ${variable}", key->name);
  memcpy(name, text, bytes);
  name[bytes] = '\0';
  if (strncmp(name, "env:", 4) == 0) return environment(e, name + 4, key, value);
  if (!e->store || !strchr(name, '.')) return variable(e, name, key, value);
  return other_key(e, name, key, value);
}

static tn_status expand(expander *e, const tn_key *key, buffer *b) {
  const char *text = key->value;
  tn_status status = TN_OK;
  while (*text && status == TN_OK) {
    const char *dollar = strchr(text, '$');
    size_t plain = dollar ? (size_t)(dollar - text) : strlen(text);
    status = append(e, b, text, plain, key);
    text += plain;
    if (status != TN_OK || !*text) break;
    if (strncmp(text, "$${", 3) == 0) {
      status = append(e, b, "${", 2, key);
      text += 3;
    } else if (text[1] != '{') {
      status = append(e, b, text++, 1, key);
    } else {
      const char *close = strchr(text, '}'), *value = NULL;
      if (!close)
        return tn_error_set(e->error, TN_ERROR_INVALID, key->file, key->line, "%s: '${' has no closing '}'",
                            key->name);
      status = look_up(e, text + 2, (size_t)(close - text - 2), key, &value);
      if (status == TN_OK) status = append(e, b, value, strlen(value), key);
      text = close + 1;
    }
  }
  return status;
}

/* The expanded value in the arena, trimmed; NULL with an error. */
static char *expanded(expander *e, const tn_key *key) {
  buffer b = {0};
  tn_status status = expand(e, key, &b);
  if (status == TN_OK) status = append(e, &b, "", 0, key);
  e->total += b.bytes;
  if (status == TN_OK && e->total > MAX_TOTAL)
    status = tn_error_set(e->error, TN_ERROR_INVALID, key->file, key->line,
                          "the expanded file is longer than %d MiB", (int)MAX_TOTAL / 1024 / 1024);
  char *copy = NULL;
  if (status == TN_OK) {
    size_t start = strspn(b.text, " \t");
    while (b.bytes > start && strchr(" \t", b.text[b.bytes - 1])) b.bytes--;
    copy = tn_arena_text(e->arena, b.text + start, b.bytes - start);
    if (!copy)
      tn_store_failed(TN_ERROR_MEMORY, key->file, key->line, e->error);
    else if (tn_value_check(copy, key->name, key->file, key->line, e->error) != TN_OK)
      copy = NULL;
  }
  free(b.text);
  return copy;
}

static tn_status expand_key(expander *e, uint32_t section, uint32_t index) {
  tn_key *key = &e->store->sections[section].keys[index];
  uint8_t *state = &e->state[section][index];
  if (*state == DONE) return TN_OK;
  if (e->depth >= MAX_DEPTH)
    return tn_error_set(e->error, TN_ERROR_INVALID, key->file, key->line,
                        "%s: more than %d references inside one another", key->name, (int)MAX_DEPTH);
  *state = ON_THE_WAY;
  if (strchr(key->value, '$')) {
    e->depth++;
    char *value = expanded(e, key);
    e->depth--;
    if (!value) return e->error->status;
    key->value = value;
  }
  *state = DONE;
  return TN_OK;
}

tn_status tn_store_expand(tn_store *store, const tn_config_variable *variables, uint32_t variable_count,
                          tn_error *error) {
  expander e = {.store = store,
                .arena = &store->arena,
                .variables = variables,
                .variable_count = variable_count,
                .error = error};
  /* One array of states, cut into sections. */
  uint8_t *states = calloc(store->keys + 1, sizeof *states), *next = states;
  e.state = calloc(store->count + 1, sizeof *e.state);
  tn_status status = states && e.state ? TN_OK : tn_store_failed(TN_ERROR_MEMORY, NULL, 0, error);
  for (uint32_t s = 0; s < store->count && status == TN_OK; s++) {
    e.state[s] = next;
    next += store->sections[s].view.key_count;
  }
  for (uint32_t s = 0; s < store->count; s++)
    for (uint32_t k = 0; k < store->sections[s].view.key_count && status == TN_OK; k++)
      status = expand_key(&e, s, k);
  free(states);
  free(e.state);
  return status;
}

char *tn_expand_text(tn_arena *arena, const char *text, const tn_config_variable *variables,
                     uint32_t variable_count, const char *file, uint32_t line, tn_error *error) {
  expander e = {.arena = arena, .variables = variables, .variable_count = variable_count, .error = error};
  return expanded(&e, &(tn_key){"include", text, file, line});
}

tn_status tn_value_check(const char *value, const char *what, const char *file, uint32_t line,
                         tn_error *error) {
  size_t bytes = strlen(value), bad = tn_scan_bad_byte(value, bytes);
  if (bytes > TN_STORE_MAX_VALUE)
    return tn_error_set(error, TN_ERROR_INVALID, file, line, "the value of '%s' is longer than %d bytes",
                        what, (int)TN_STORE_MAX_VALUE);
  if (bad < bytes)
    return tn_error_set(error, TN_ERROR_INVALID, file, line, "%s: byte 0x%02x is not allowed in a value",
                        what, (unsigned)(unsigned char)value[bad]);
  for (size_t i = 1; i < bytes; i++)
    if (value[i] == ';' && (value[i - 1] == ' ' || value[i - 1] == '\t'))
      return tn_error_set(error, TN_ERROR_INVALID, file, line,
                          "%s: a ';' after a blank begins a comment and cannot be part of a value", what);
  return TN_OK;
}
