// SPDX-License-Identifier: MIT
#include "core/pipeline/state.h"
#include "core/config/memory.h"
#include "core/pipeline/digest.h"
#include "core/tensor/engine.h"
#include "core/tensor/safetensors.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tenon/plugin.h>

#define HASH_NAME "/sha256"
enum { NAME = 512 };

struct tn_state {
  tn_safetensor *items; /* names and values are the state's, or the file's */
  uint32_t count, room;
  tn_safetensors *file; /* NULL: made by saving */
  bool *taken;
  uint32_t next; /* where the next name is likely to be */
};

tn_state *tn_state_new(void) { return tn_take(sizeof(tn_state)); }

void tn_state_free(tn_state *state) {
  if (!state) return;
  for (uint32_t i = 0; i < state->count && !state->file; i++) {
    free((void *)(uintptr_t)state->items[i].name);
    free((void *)(uintptr_t)state->items[i].data);
  }
  tn_safetensors_close(state->file);
  free(state->items);
  free(state->taken);
  free(state);
}

static size_t bytes_of(tn_dtype dtype, const tn_shape *shape) {
  static const size_t sizes[] = {4, 8, 8, 4, 1, 1};
  size_t bytes = sizes[dtype];
  for (uint32_t i = 0; i < shape->ndim; i++) bytes *= (size_t)shape->dim[i];
  return bytes;
}

static bool same_shape(const tn_safetensor *item, tn_dtype dtype, const tn_shape *shape) {
  return item->dtype == dtype && item->shape.ndim == shape->ndim &&
         (shape->ndim == 0 || memcmp(item->shape.dim, shape->dim, shape->ndim * sizeof *shape->dim) == 0);
}

/* Saving. */

static tn_status add(tn_state *state, const char *name, tn_dtype dtype, tn_shape shape, const void *data) {
  const size_t bytes = bytes_of(dtype, &shape);
  void *copy = malloc(bytes + 1);
  if (!copy) return tn_fail(TN_ERROR_MEMORY, "out of memory for a copy of '%s', %zu bytes", name, bytes);
  if (bytes) memcpy(copy, data, bytes);
  tn_safetensor *item = tn_grow(&state->items, state->count, &state->room, sizeof *item);
  *item = (tn_safetensor){tn_copy_text(name), dtype, shape, copy};
  state->count++;
  return TN_OK;
}

/* Loading. Values are asked for in the order in which they were saved, so the next one is usually there. */

static uint32_t find(const tn_state *state, const char *name) {
  for (uint32_t i = 0; i < state->count; i++) {
    const uint32_t at = (state->next + i) % state->count;
    if (strcmp(state->items[at].name, name) == 0) return at;
  }
  return UINT32_MAX;
}

static const tn_safetensor *take(tn_state *state, const char *name) {
  const uint32_t at = find(state, name);
  if (at == UINT32_MAX) return NULL;
  if (!state->taken) state->taken = tn_take(state->count);
  state->taken[at] = true;
  state->next = at + 1;
  return &state->items[at];
}

void tn_state_rewind(tn_state *state) {
  free(state->taken);
  state->taken = NULL;
  state->next = 0;
}

const char *tn_state_untaken(const tn_state *state) {
  for (uint32_t i = 0; i < state->count; i++)
    if (state->items[i].name[0] != '/' && !(state->taken && state->taken[i])) return state->items[i].name;
  return NULL;
}

bool tn_state_has(const tn_state *state, const char *prefix, const char *name) {
  char full[NAME];
  snprintf(full, sizeof full, "%s/%s", prefix, name);
  return find(state, full) != UINT32_MAX;
}

/* The visitor. */

static tn_state_visitor *self_of(const tn_visitor *visitor) { return (tn_state_visitor *)(uintptr_t)visitor; }
static tn_status keep(tn_state_visitor *v, tn_status status) {
  if (v->status >= 0 && status < 0) v->status = status;
  return v->status;
}
static const char *full_name(tn_state_visitor *v, const char *name, const char *ending, char full[NAME]) {
  if (snprintf(full, NAME, "%s/%s%s", v->prefix, name, ending) >= NAME)
    keep(v,
         tn_fail(TN_ERROR_INVALID, "the name of a state is longer than %d bytes: %.60s...", NAME - 1, full));
  return full;
}
static tn_status missing(const char *full) {
  return tn_fail(TN_ERROR_MISSING, "the saved state holds no '%s'", full);
}

/* A value of fixed size; the shape of what is loaded must be equal. */
static tn_status fixed(const tn_visitor *visitor, const char *name, tn_dtype dtype, tn_shape shape,
                       void *value) {
  tn_state_visitor *v = self_of(visitor);
  char full[NAME];
  full_name(v, name, "", full);
  if (v->status < 0) return v->status;
  if (!visitor->loading) return keep(v, add(v->state, full, dtype, shape, value));
  const tn_safetensor *item = take(v->state, full);
  if (!item) return keep(v, missing(full));
  if (!same_shape(item, dtype, &shape))
    return keep(v, tn_fail(TN_ERROR_SHAPE, "the saved state holds '%s' with another type or shape", full));
  memcpy(value, item->data, bytes_of(dtype, &shape));
  return TN_OK;
}

static tn_status visit_boolean(const tn_visitor *v, const char *name, bool *value) {
  uint8_t byte = !v->loading && *value; /* a damaged file may hold what is no bool */
  const tn_status status = fixed(v, name, TN_B8, (tn_shape){0}, &byte);
  if (v->loading && status >= 0) *value = byte != 0;
  return status;
}
static tn_status visit_integer(const tn_visitor *v, const char *name, int64_t *value) {
  return fixed(v, name, TN_I64, (tn_shape){0}, value);
}
static tn_status visit_real(const tn_visitor *v, const char *name, double *value) {
  return fixed(v, name, TN_F64, (tn_shape){0}, value);
}

/* Saves that `name` is NULL, or, loading, says whether it was: true, and the caller has something to do. */
static bool visit_none(tn_state_visitor *v, const char *name, bool none) {
  char full[NAME];
  full_name(v, name, " (none)", full);
  if (v->visitor.loading) return take(v->state, full) != NULL;
  if (none) keep(v, add(v->state, full, TN_U8, (tn_shape){1, {0}}, NULL));
  return none;
}

static tn_status visit_bytes(const tn_visitor *visitor, const char *name, void **data, size_t *bytes) {
  tn_state_visitor *v = self_of(visitor);
  char full[NAME];
  if (v->status < 0) return v->status;
  if (visit_none(v, name, *data == NULL)) {
    if (!visitor->loading) return v->status;
    tn_free(*data);
    *data = NULL;
    *bytes = 0;
    return TN_OK;
  }
  full_name(v, name, "", full);
  if (!visitor->loading) return keep(v, add(v->state, full, TN_U8, (tn_shape){1, {(int64_t)*bytes}}, *data));
  const tn_safetensor *item = take(v->state, full);
  if (!item) return keep(v, missing(full));
  if (item->dtype != TN_U8 || item->shape.ndim != 1)
    return keep(v, tn_fail(TN_ERROR_SHAPE, "the saved state holds '%s' with another type or shape", full));
  const size_t size = (size_t)item->shape.dim[0];
  char *copy = tn_alloc(size + 1); /* a text ends in the zero behind it */
  if (!copy) return keep(v, TN_ERROR_MEMORY);
  memcpy(copy, item->data, size);
  tn_free(*data);
  *data = copy;
  *bytes = size;
  return TN_OK;
}
static tn_status visit_text(const tn_visitor *v, const char *name, char **value) {
  size_t bytes = *value ? strlen(*value) : 0;
  return visit_bytes(v, name, (void **)value, &bytes);
}

static tn_status visit_tensor(const tn_visitor *visitor, const char *name, tn_tensor **value) {
  tn_state_visitor *v = self_of(visitor);
  char full[NAME];
  if (v->status < 0) return v->status;
  if (visit_none(v, name, *value == NULL)) {
    if (!visitor->loading) return v->status;
    tn_release(*value);
    *value = NULL;
    return TN_OK;
  }
  if (*value) return fixed(visitor, name, (*value)->dtype, tn_shape_of(*value), tn_data(*value));
  const tn_safetensor *item = take(v->state, full_name(v, name, "", full));
  if (!item) return keep(v, missing(full));
  *value = tn_persist(tn_from(item->dtype, item->shape, item->data));
  return *value ? TN_OK : keep(v, TN_ERROR_MEMORY);
}

/* "2 weight\n0 bias\n": groups and names of the entries. */
static char *layout_text(const tn_params *params) {
  char *text = NULL;
  size_t bytes = 0;
  FILE *out = open_memstream(&text, &bytes);
  if (!out) return NULL;
  for (uint32_t i = 0; i < tn_params_count(params); i++) {
    tn_param_entry entry;
    tn_params_entry(params, i, &entry);
    fprintf(out, "%d %s\n", entry.group, entry.name);
  }
  if (fclose(out) == 0) return text;
  free(text);
  return NULL;
}

static void entry_name(char *text, const char *set, uint32_t index, const char *entry) {
  if (snprintf(text, NAME, "%s/%u.%s", set, index, entry) >= NAME)
    tn_fail(TN_ERROR_INVALID, "the name of a state is longer than %d bytes: %.60s...", NAME - 1, text);
}

/* A set of zeros as `layout` lists it, with the shapes that were saved. */
static tn_params *make_set(tn_state_visitor *v, const char *name, char *layout) {
  uint32_t count = 0, made = 0;
  for (const char *c = layout; *c; c++) count += *c == '\n';
  tn_param_layout *entries = tn_take((count + 1) * sizeof *entries);
  for (char *line = layout, *end; (end = strchr(line, '\n')) != NULL; line = end + 1, made++) {
    char part[NAME], full[NAME];
    *end = 0;
    if (line[0] < '0' || line[0] >= '0' + TN_GROUP_COUNT || line[1] != ' ') break;
    entry_name(part, name, made, line + 2);
    const uint32_t at = find(v->state, full_name(v, part, "", full));
    entries[made] = (tn_param_layout){.name = line + 2, .group = line[0] - '0', .dtype = -1};
    if (at == UINT32_MAX) continue;
    entries[made].dtype = v->state->items[at].dtype;
    entries[made].shape = v->state->items[at].shape;
  }
  tn_params *params = made == count ? tn_params_build(entries, count) : NULL;
  if (made != count) tn_fail(TN_ERROR_INVALID, "the saved list of entries of '%s' is malformed", name);
  free(entries);
  return params;
}

static tn_status visit_entries(const tn_visitor *visitor, const char *name, const tn_params *params) {
  tn_status status = TN_OK;
  for (uint32_t i = 0; status >= 0 && i < tn_params_count(params); i++) {
    tn_param_entry entry;
    char part[NAME];
    tn_params_entry(params, i, &entry);
    entry_name(part, name, i, entry.name);
    if (entry.tensor)
      status = fixed(visitor, part, entry.tensor->dtype, tn_shape_of(entry.tensor), tn_data(entry.tensor));
  }
  return status;
}

static tn_status visit_params(const tn_visitor *visitor, const char *name, tn_params **value) {
  tn_state_visitor *v = self_of(visitor);
  if (v->status < 0) return v->status;
  if (visit_none(v, name, *value == NULL)) {
    if (!visitor->loading) return v->status;
    tn_params_release(*value);
    *value = NULL;
    return TN_OK;
  }
  char *layout = visitor->loading ? NULL : layout_text(*value);
  if (!visitor->loading && !layout) return keep(v, tn_fail(TN_ERROR_MEMORY, "out of memory"));
  tn_status status = visit_text(visitor, name, &layout);
  if (status >= 0 && visitor->loading && !*value) {
    *value = make_set(v, name, layout);
    status = keep(v, *value ? TN_OK : TN_ERROR_INVALID);
  } else if (status >= 0 && visitor->loading) {
    char *own = layout_text(*value);
    if (!own || strcmp(own, layout) != 0)
      status = keep(v, tn_fail(TN_ERROR_SHAPE, "the saved state holds '%s' with other entries", name));
    free(own);
  }
  free(layout);
  return status < 0 ? status : visit_entries(visitor, name, *value);
}

tn_state_visitor tn_state_visit(tn_state *state, const char *prefix, bool loading) {
  return (tn_state_visitor){.visitor = {.size = sizeof(tn_visitor),
                                        .loading = loading,
                                        .boolean = visit_boolean,
                                        .integer = visit_integer,
                                        .real = visit_real,
                                        .text = visit_text,
                                        .block = visit_bytes,
                                        .tensor = visit_tensor,
                                        .params = visit_params},
                            .state = state,
                            .prefix = prefix};
}

static tn_status visit_component(tn_state *state, const tn_component *component, bool loading) {
  if (!TN_HAS(component->cls, tn_class, state)) return TN_OK;
  tn_state_visitor v = tn_state_visit(state, component->name, loading);
  tn_scope_open();
  tn_call_stack *stack = tn_enter(component, "state");
  const tn_status status = component->cls->state(component->self, &v.visitor);
  tn_leave(stack);
  tn_scope_close();
  return v.status < 0 ? v.status : status;
}
tn_status tn_state_save(tn_state *state, const tn_component *component) {
  return visit_component(state, component, false);
}
tn_status tn_state_load(tn_state *state, const tn_component *component) {
  return visit_component(state, component, true);
}

/* Comparison. */

size_t tn_state_bytes(const tn_state *state, const char *prefix) {
  const size_t length = strlen(prefix);
  size_t bytes = 0;
  for (uint32_t i = 0; i < state->count; i++) {
    const tn_safetensor *item = &state->items[i];
    if (strncmp(item->name, prefix, length) == 0 && item->name[length] == '/')
      bytes += bytes_of(item->dtype, &item->shape);
  }
  return bytes;
}

/* A value of `a` that `b` has not, or not with the same bits. */
static const char *one_sided(const tn_state *a, const tn_state *b) {
  for (uint32_t i = 0; i < a->count; i++) {
    const tn_safetensor *x = &a->items[i];
    const uint32_t at = find(b, x->name);
    if (at == UINT32_MAX || !same_shape(&b->items[at], x->dtype, &x->shape) ||
        memcmp(x->data, b->items[at].data, bytes_of(x->dtype, &x->shape)) != 0)
      return x->name;
  }
  return NULL;
}

const char *tn_state_difference(const tn_state *a, const tn_state *b) {
  const char *name = one_sided(a, b);
  return name ? name : one_sided(b, a);
}

/* Hash and file. The order of the values does not matter, as that of empty ones in a file is free. */

static int by_name(const void *a, const void *b) {
  return strcmp((*(const tn_safetensor *const *)a)->name, (*(const tn_safetensor *const *)b)->name);
}

tn_status tn_state_hash(const tn_state *state, unsigned char hash[TN_STATE_HASH]) {
  const tn_safetensor **sorted = malloc((state->count + 1) * sizeof(tn_safetensor *));
  tn_digest *digest = tn_digest_new();
  tn_status status = TN_OK;
  uint32_t count = 0;
  if (!sorted || !digest) status = tn_fail(TN_ERROR_MEMORY, "out of memory");
  for (uint32_t i = 0; status == TN_OK && i < state->count; i++)
    if (strcmp(state->items[i].name, HASH_NAME) != 0) sorted[count++] = &state->items[i];
  if (count) qsort(sorted, count, sizeof *sorted, by_name);
  for (uint32_t i = 0; i < count; i++) {
    const tn_safetensor *item = sorted[i];
    if (i > 0 && strcmp(sorted[i - 1]->name, item->name) == 0)
      status = tn_fail(TN_ERROR_INTERNAL, "the state names '%s' twice", item->name);
    tn_digest_add(digest, item->name, strlen(item->name) + 1);
    tn_digest_add(digest, &item->dtype, sizeof item->dtype);
    tn_digest_add(digest, &item->shape.ndim, sizeof item->shape.ndim);
    tn_digest_add(digest, item->shape.dim, item->shape.ndim * sizeof *item->shape.dim);
    tn_digest_add(digest, item->data, bytes_of(item->dtype, &item->shape));
  }
  tn_digest_end(digest, hash);
  free(sorted);
  return status;
}

tn_status tn_state_write(tn_state *state, const char *path) {
  unsigned char hash[TN_STATE_HASH];
  tn_status status = tn_state_hash(state, hash);
  if (status >= 0) status = add(state, HASH_NAME, TN_U8, (tn_shape){1, {TN_STATE_HASH}}, hash);
  return status < 0 ? status : tn_safetensors_save(path, state->items, state->count);
}

tn_state *tn_state_of(tn_safetensors *file) {
  tn_state *state = tn_state_new();
  state->file = file;
  state->count = tn_safetensors_count(file);
  state->items = tn_take(state->count * sizeof *state->items);
  for (uint32_t i = 0; i < state->count; i++) state->items[i] = *tn_safetensors_at(file, i);
  return state;
}

static tn_status check(const char *path, tn_safetensors *file, tn_state **result) {
  tn_state *state = tn_state_of(file);
  unsigned char hash[TN_STATE_HASH];
  const tn_safetensor *own = tn_safetensors_find(file, HASH_NAME);
  tn_status status = tn_state_hash(state, hash);
  if (status >= 0 && (!own || own->dtype != TN_U8 || own->shape.ndim != 1 ||
                      own->shape.dim[0] != TN_STATE_HASH || memcmp(own->data, hash, sizeof hash) != 0))
    status = tn_fail(TN_ERROR_INVALID, "%s: damaged: its checksum does not fit", path);
  if (status >= 0)
    *result = state;
  else
    tn_state_free(state);
  return status;
}

tn_status tn_state_read(const char *path, tn_state **state) {
  tn_safetensors *file;
  *state = NULL;
  const tn_status status = tn_safetensors_open(path, &file);
  return status < 0 ? status : check(path, file, state);
}

tn_status tn_state_parse(const char *path, const void *bytes, size_t size, tn_state **state) {
  tn_safetensors *file;
  *state = NULL;
  const tn_status status = tn_safetensors_parse(path, bytes, size, &file);
  return status < 0 ? status : check(path, file, state);
}
