// SPDX-License-Identifier: MIT
#include "core/conformance/snapshot.h"
#include "core/config/memory.h"
#include "core/plugin/host.h"
#include <stdlib.h>
#include <string.h>

typedef enum item_type { BOOLEAN, INTEGER, REAL, TEXT, BLOCK, TENSOR, PARAMS } item_type;
typedef struct item {
  item_type type;
  char *name;
  void *data; /* BLOCK, TEXT; the numbers too */
  size_t bytes;
  tn_tensor *tensor;
  tn_params *params;
} item;
struct tn_snapshot {
  item *items;
  uint32_t count, room;
};
typedef struct visit {
  tn_visitor visitor; /* first: a visitor is its visit */
  tn_snapshot *state;
  uint32_t next; /* loading: the item that must come */
} visit;

static visit *visit_of(const tn_visitor *visitor) { return (visit *)(uintptr_t)visitor; }

/* Saving: a new item. Loading: the next one, NULL and a recorded error if it is another. */
static item *next_item(const tn_visitor *visitor, item_type type, const char *name) {
  visit *v = visit_of(visitor);
  if (!visitor->loading) {
    item *at = tn_grow(&v->state->items, v->state->count++, &v->state->room, sizeof *at);
    *at = (item){.type = type, .name = tn_copy_text(name ? name : "")};
    return at;
  }
  item *at = v->next < v->state->count ? &v->state->items[v->next++] : NULL;
  if (at && at->type == type && name && strcmp(at->name, name) == 0) return at;
  tn_fail(TN_ERROR_INVALID, "state visits '%s' while loading, but saved '%s' there", name ? name : "",
          at ? at->name : "nothing");
  return NULL;
}

static tn_status plain(const tn_visitor *visitor, item_type type, const char *name, void *value,
                       size_t bytes) {
  item *at = next_item(visitor, type, name);
  if (!at) return TN_ERROR_INVALID;
  if (visitor->loading) {
    memcpy(value, at->data, bytes);
    return TN_OK;
  }
  at->data = tn_take(bytes);
  at->bytes = bytes;
  memcpy(at->data, value, bytes);
  return TN_OK;
}
static tn_status visit_boolean(const tn_visitor *v, const char *name, bool *value) {
  return plain(v, BOOLEAN, name, value, sizeof *value);
}
static tn_status visit_integer(const tn_visitor *v, const char *name, int64_t *value) {
  return plain(v, INTEGER, name, value, sizeof *value);
}
static tn_status visit_real(const tn_visitor *v, const char *name, double *value) {
  return plain(v, REAL, name, value, sizeof *value);
}

static tn_status visit_bytes(const tn_visitor *v, item_type type, const char *name, void **data,
                             size_t *bytes) {
  item *at = next_item(v, type, name);
  if (!at) return TN_ERROR_INVALID;
  if (!v->loading) {
    at->bytes = *data ? *bytes : 0;
    at->data = tn_take(at->bytes);
    if (at->bytes) memcpy(at->data, *data, at->bytes);
    return TN_OK;
  }
  void *copy = tn_alloc(at->bytes);
  if (!copy) return TN_ERROR_MEMORY;
  if (at->bytes) memcpy(copy, at->data, at->bytes);
  tn_free(*data);
  *data = copy;
  *bytes = at->bytes;
  return TN_OK;
}
static tn_status visit_block(const tn_visitor *v, const char *name, void **data, size_t *bytes) {
  return visit_bytes(v, BLOCK, name, data, bytes);
}
static tn_status visit_text(const tn_visitor *v, const char *name, char **value) {
  size_t bytes = *value && !v->loading ? strlen(*value) + 1 : 0;
  void *data = *value;
  tn_status status = visit_bytes(v, TEXT, name, &data, &bytes);
  *value = data;
  return status;
}

static tn_status visit_tensor(const tn_visitor *v, const char *name, tn_tensor **value) {
  item *at = next_item(v, TENSOR, name);
  if (!at) return TN_ERROR_INVALID;
  if (!v->loading) {
    at->tensor = *value ? tn_persist(*value) : NULL;
    return TN_OK;
  }
  if (*value && at->tensor) {
    tn_digest shapes[2] = {{0}, {0}};
    for (int32_t i = 0; i < tn_ndim(*value); i++) tn_digest_bytes(&shapes[0], &(*value)->dl.shape[i], 8);
    for (int32_t i = 0; i < tn_ndim(at->tensor); i++)
      tn_digest_bytes(&shapes[1], &at->tensor->dl.shape[i], 8);
    if (shapes[0].hash != shapes[1].hash || (*value)->dtype != at->tensor->dtype)
      return tn_fail(TN_ERROR_SHAPE, "state '%s' has another shape in a fresh instance", name);
  }
  tn_release(*value);
  *value = at->tensor ? tn_persist(at->tensor) : NULL;
  return TN_OK;
}
static tn_status visit_params(const tn_visitor *v, const char *name, tn_params **value) {
  item *at = next_item(v, PARAMS, name);
  if (!at) return TN_ERROR_INVALID;
  if (!v->loading) {
    at->params = *value ? tn_params_clone(*value) : NULL;
    return TN_OK;
  }
  if (*value && at->params) return tn_params_copy(*value, at->params);
  tn_params_release(*value);
  *value = at->params ? tn_params_clone(at->params) : NULL;
  return TN_OK;
}

static tn_status walk(tn_snapshot *state, const tn_component *c, bool loading) {
  visit v = {{.size = sizeof v.visitor,
              .loading = loading,
              .boolean = visit_boolean,
              .integer = visit_integer,
              .real = visit_real,
              .text = visit_text,
              .block = visit_block,
              .tensor = visit_tensor,
              .params = visit_params},
             state,
             0};
  tn_call_stack *stack = tn_enter(c, "state");
  tn_status status = c->cls->state(c->self, &v.visitor);
  if (status >= 0 && tn_failed()) status = TN_ERROR_INVALID;
  if (status >= 0 && loading && v.next != state->count)
    status =
        tn_fail(TN_ERROR_INVALID, "state visits %u items while loading, but saved %u", v.next, state->count);
  tn_leave(stack);
  return status;
}

tn_snapshot *tn_snapshot_save(const tn_component *c) {
  if (!TN_HAS(c->cls, tn_class, state)) return NULL;
  tn_snapshot *state = tn_take(sizeof *state);
  walk(state, c, false);
  return state;
}

tn_status tn_snapshot_load(const tn_snapshot *state, const tn_component *c) {
  return walk((tn_snapshot *)(uintptr_t)state, c, true);
}

static void digest_item(const item *at, tn_digest *digest) {
  tn_digest_text(digest, at->name);
  if (at->data) tn_digest_bytes(digest, at->data, at->bytes);
  tn_digest_tensor(digest, at->tensor);
  tn_digest_params(digest, at->params);
}
void tn_snapshot_digest(const tn_snapshot *state, tn_digest *digest) {
  for (uint32_t i = 0; state && i < state->count; i++) digest_item(&state->items[i], digest);
}

size_t tn_snapshot_bytes(const tn_snapshot *state) {
  size_t bytes = 0;
  for (uint32_t i = 0; state && i < state->count; i++) {
    const item *at = &state->items[i];
    bytes += at->bytes;
    if (at->tensor) bytes += (size_t)tn_numel(at->tensor) * (at->tensor->dtype == TN_F32 ? 4 : 8);
    if (at->params) bytes += tn_params_bytes(at->params);
  }
  return bytes;
}

const char *tn_snapshot_difference(const tn_snapshot *a, const tn_snapshot *b) {
  for (uint32_t i = 0; i < a->count && i < b->count; i++) {
    tn_digest x = {0}, y = {0};
    digest_item(&a->items[i], &x);
    digest_item(&b->items[i], &y);
    if (x.hash != y.hash) return a->items[i].name;
  }
  return a->count == b->count ? NULL : "the number of items";
}

void tn_snapshot_free(tn_snapshot *state) {
  if (!state) return;
  for (uint32_t i = 0; i < state->count; i++) {
    free(state->items[i].name);
    free(state->items[i].data);
    if (state->items[i].tensor) tn_release(state->items[i].tensor);
    tn_params_release(state->items[i].params);
  }
  free(state->items);
  free(state);
}
