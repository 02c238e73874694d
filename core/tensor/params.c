// SPDX-License-Identifier: MIT
/* Parameter sets. Entries keep the index under which they were declared; in memory they are sorted by group,
 * each aligned to 64 bytes, in one block. A set made by tn_params_like has the same indices, and NULL where
 * the original holds what is not trained. */
#include "declaration.h"
#include "internal.h"
#include "safetensors.h"

#include <math.h>

typedef struct param {
  const char *name;
  tn_node *tensor; /* NULL: not in this set */
  tn_group group;
  uint32_t unused;
} param;

struct tn_params {
  uint32_t count;
  bool borrowed; /* the handles are others' */
  param *items;
  uint32_t *order;    /* of memory: by group, then by index */
  tn_storage *block;  /* of the values; NULL if borrowed */
  tn_storage *memory; /* of this struct */
  size_t bytes;
};

static bool is_trained(tn_group group) { return group == TN_DECAY || group == TN_NO_DECAY; }

/* The struct, its items, order and names in one block. */
static tn_params *params_new(uint32_t count, size_t name_bytes, char **names) {
  size_t bytes = sizeof(tn_params) + count * (sizeof(param) + sizeof(uint32_t)) + name_bytes + 16;
  tn_storage *memory = tn_storage_new(bytes);
  if (!memory) {
    tn_fail(TN_ERROR_MEMORY, "out of memory for a parameter set of %u entries", count);
    return NULL;
  }
  tn_params *params = memory->data;
  *params = (tn_params){.count = count, .memory = memory};
  params->items = (param *)(void *)(params + 1);
  memset(params->items, 0, count * sizeof(param));
  params->order = (uint32_t *)(void *)(params->items + count);
  *names = (char *)(params->order + count);
  return params;
}

static void sort_by_group(tn_params *params) {
  uint32_t n = 0;
  for (tn_group group = 0; group < TN_GROUP_COUNT; group++)
    for (uint32_t i = 0; i < params->count; i++)
      if (params->items[i].group == group) params->order[n++] = i;
}

static void api_release(tn_params *params) {
  if (!params) return;
  for (uint32_t i = 0; i < params->count && !params->borrowed; i++)
    if (params->items[i].tensor) tn_node_drop(params->items[i].tensor);
  if (params->block) tn_storage_drop(params->block);
  tn_storage_drop(params->memory);
}

static size_t aligned(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

/* Gives the entries that are in this set their place in one block of zeros. */
static bool place(tn_params *params, const tn_param_layout *entries) {
  size_t total = 0, at = 0;
  for (uint32_t i = 0; i < params->count; i++) {
    const tn_shape *shape = &entries[i].shape;
    size_t bytes = entries[i].dtype < 0 ? 0 : tn_dtype_size(entries[i].dtype);
    for (uint32_t d = 0; d < shape->ndim; d++) bytes *= (size_t)shape->dim[d]; // checked when declared
    if (__builtin_add_overflow(total, aligned(bytes), &total)) total = SIZE_MAX / 2;
  }
  params->block = tn_storage_new(total ? total : 64);
  if (!params->block) {
    tn_fail(TN_ERROR_MEMORY, "out of memory for parameters of %zu bytes", total);
    return false;
  }
  params->bytes = total;
  memset(params->block->data, 0, total);
  for (uint32_t k = 0; k < params->count; k++) {
    param *item = &params->items[params->order[k]];
    const tn_shape *shape = &entries[params->order[k]].shape;
    tn_dtype dtype = entries[params->order[k]].dtype;
    if (dtype < 0) continue;
    tn_node *x = tn_node_view(dtype, (int32_t)shape->ndim, shape->dim, tn_storage_share(params->block),
                              (char *)params->block->data + at);
    if (tn_is_poison(x)) return false;
    item->tensor = tn_node_detach(x);
    at += aligned((size_t)x->t.numel * tn_dtype_size(dtype));
    if (is_trained(item->group) && tn_is_float(dtype)) x->t.flags |= TN_FLAG_GRADIENT;
  }
  return true;
}

tn_params *tn_params_build(const tn_param_layout *entries, uint32_t count) {
  size_t names = 0;
  char *text;
  for (uint32_t i = 0; i < count; i++) names += strlen(entries[i].name) + 1;
  tn_params *params = params_new(count, names, &text);
  if (!params) return NULL;
  for (uint32_t i = 0; i < count; i++) {
    size_t length = strlen(entries[i].name) + 1;
    memcpy(text, entries[i].name, length);
    params->items[i] = (param){.name = text, .group = entries[i].group};
    text += length;
  }
  sort_by_group(params);
  if (place(params, entries)) return params;
  api_release(params);
  return NULL;
}

static tn_params *same_layout(const tn_params *model, bool trained_only) {
  tn_param_layout *entries = tn_workspace_take((model->count + 1) * sizeof *entries);
  if (!entries) return NULL;
  for (uint32_t i = 0; i < model->count; i++) {
    const param *from = &model->items[i];
    bool present = from->tensor && (!trained_only || is_trained(from->group));
    entries[i] = (tn_param_layout){.name = from->name, .group = from->group, .dtype = -1};
    if (!present) continue;
    entries[i].dtype = from->tensor->t.dtype;
    entries[i].shape = tn_shape_of(&from->tensor->t);
  }
  tn_params *params = tn_params_build(entries, model->count);
  tn_workspace_give(entries);
  return params;
}

tn_params *tn_params_create(const tn_declaration *d, const char *component) {
  tn_param_layout *entries = tn_workspace_take((d->count + 1) * sizeof *entries);
  if (!entries) return NULL;
  for (uint32_t i = 0; i < d->count; i++) {
    const tn_declared *item = &d->items[i];
    entries[i] =
        (tn_param_layout){.name = item->name,
                          .group = item->group,
                          .dtype = item->dtype == TN_FLOAT ? tn_here->engine->precision : item->dtype,
                          .shape = item->shape};
  }
  tn_params *params = tn_params_build(entries, d->count);
  tn_workspace_give(entries);
  bool ok = params != NULL;
  for (uint32_t i = 0; ok && i < d->count; i++) {
    tn_node *x = params->items[i].tensor;
    uint64_t key = tn_random_key(tn_here->engine->seed, component, d->items[i].name);
    ok = tn_initialise(&d->items[i], key, x->t.dtype, x->t.dl.data);
    if (!ok) tn_fail(TN_ERROR_MEMORY, "out of memory for the initial values of '%s'", d->items[i].name);
  }
  if (ok) return params;
  api_release(params);
  return NULL;
}

static tn_tensor *api_tensor(const tn_params *params, uint32_t index) {
  if (index >= params->count)
    return &tn_shape_error("params", "entry %u of %u does not exist", index, params->count)->t;
  tn_node *x = params->items[index].tensor;
  return x ? &x->t : NULL;
}

static uint32_t api_count(const tn_params *params) { return params->count; }

static tn_status api_entry(const tn_params *params, uint32_t index, tn_param_entry *entry) {
  if (index >= params->count)
    return tn_fail(TN_ERROR_MISSING, "params: entry %u of %u does not exist", index, params->count);
  const param *item = &params->items[index];
  tn_param_entry full = {sizeof full, item->group, item->name, item->tensor ? &item->tensor->t : NULL};
  uint32_t size = entry->size && entry->size < sizeof full ? entry->size : (uint32_t)sizeof full;
  memcpy(entry, &full, size);
  entry->size = size;
  return TN_OK;
}

static int64_t api_numel(const tn_params *params, bool trainable_only) {
  int64_t n = 0;
  for (uint32_t i = 0; i < params->count; i++) {
    const param *item = &params->items[i];
    if (item->tensor && (!trainable_only || is_trained(item->group))) n += item->tensor->t.numel;
  }
  return n;
}

static size_t api_bytes(const tn_params *params) { return params->bytes; }
static tn_params *api_like(const tn_params *params) { return same_layout(params, true); }

static tn_status api_copy(tn_params *y, const tn_params *x) {
  if (y->count != x->count)
    return tn_fail(TN_ERROR_SHAPE, "params copy: %u and %u entries", y->count, x->count);
  for (uint32_t i = 0; i < y->count; i++) {
    const tn_node *to = y->items[i].tensor, *from = x->items[i].tensor;
    if (!to || !from) continue;
    if (to->t.dtype != from->t.dtype || to->t.numel != from->t.numel)
      return tn_fail(TN_ERROR_SHAPE, "params copy: '%s' is %s of %s and %s of %s", y->items[i].name,
                     tn_shape_text(to), tn_dtype_name(to->t.dtype), tn_shape_text(from),
                     tn_dtype_name(from->t.dtype));
    memmove(to->t.dl.data, from->t.dl.data, (size_t)to->t.numel * tn_dtype_size(to->t.dtype));
  }
  return TN_OK;
}

static tn_params *api_clone(const tn_params *params) {
  tn_params *copy = same_layout(params, false);
  if (copy && api_copy(copy, params) != TN_OK) {
    api_release(copy);
    return NULL;
  }
  return copy;
}

static tn_params *api_join(tn_params *const *sets, uint32_t count) {
  uint32_t total = 0, n = 0;
  size_t names = 0;
  for (uint32_t s = 0; s < count; s++) {
    total += sets[s]->count;
    for (uint32_t i = 0; i < sets[s]->count; i++) names += strlen(sets[s]->items[i].name) + 1;
  }
  char *text;
  tn_params *params = params_new(total, names, &text);
  if (!params) return NULL;
  params->borrowed = true;
  for (uint32_t s = 0; s < count; s++) {
    params->bytes += sets[s]->bytes;
    for (uint32_t i = 0; i < sets[s]->count; i++) {
      size_t length = strlen(sets[s]->items[i].name) + 1;
      memcpy(text, sets[s]->items[i].name, length);
      params->items[n] = sets[s]->items[i];
      params->items[n++].name = text;
      text += length;
    }
  }
  sort_by_group(params);
  return params;
}

static void release_scoped(void *context) { api_release(context); }

static tn_params *api_from_tensors(const tn_params *layout, tn_tensor *const *tensors) {
  size_t names = 0;
  char *text;
  for (uint32_t i = 0; i < layout->count; i++) names += strlen(layout->items[i].name) + 1;
  tn_params *params = params_new(layout->count, names, &text);
  if (!params) return NULL;
  params->borrowed = true;
  for (uint32_t i = 0; i < layout->count; i++) {
    const param *from = &layout->items[i];
    size_t length = strlen(from->name) + 1;
    tn_node *x = tensors[i] ? tn_node_of(tensors[i]) : from->tensor;
    memcpy(text, from->name, length);
    params->items[i] = (param){.name = text, .group = from->group, .tensor = x};
    text += length;
    if (x) params->bytes += (size_t)x->t.numel * tn_dtype_size(x->t.dtype);
  }
  sort_by_group(params);
  tn_storage *owner = tn_storage_wrap(NULL, 0, release_scoped, params);
  if (!owner) api_release(params);
  if (!owner || tn_is_poison(tn_node_view(TN_U8, 0, NULL, owner, NULL))) return NULL;
  return params;
}

/* Passes over the trained memory of several sets: pieces of at most 16 K elements, no longer than an entry.
 */
enum { PIECE = 16384 };
typedef struct pass {
  tn_run *runs;
  tn_dtype *dtypes;
  int64_t count;
} pass;

static bool plan_pass(const char *op, tn_params *const *sets, uint32_t count, pass *p) {
  const tn_params *first = sets[0];
  int64_t pieces = 0, offset = 0;
  *p = (pass){0};
  for (uint32_t i = 0; i < first->count; i++) {
    const tn_node *x = first->items[i].tensor;
    if (!is_trained(first->items[i].group)) continue;
    pieces += x ? tn_ceil_div(x->t.numel, PIECE) : 0;
    for (uint32_t s = 0; s < count; s++) {
      const tn_node *y = i < sets[s]->count ? sets[s]->items[i].tensor : NULL;
      if (sets[s]->count == first->count &&
          (!x || (y && y->t.numel == x->t.numel && y->t.dtype == x->t.dtype)))
        continue;
      tn_fail(TN_ERROR_SHAPE, "%s: the sets differ at '%s'", op, first->items[i].name);
      return false;
    }
  }
  p->runs = tn_workspace_take((size_t)pieces * (sizeof(tn_run) + sizeof(tn_dtype)) + 64);
  if (!p->runs) return false;
  p->dtypes = (tn_dtype *)(void *)(p->runs + pieces);
  for (uint32_t k = 0; k < first->count; k++) {
    uint32_t i = first->order[k];
    const tn_node *x = first->items[i].tensor;
    if (!x || !is_trained(first->items[i].group)) continue;
    for (int64_t start = 0; start < x->t.numel; start += PIECE) {
      tn_run *run = &p->runs[p->count];
      p->dtypes[p->count++] = x->t.dtype;
      run->size = sizeof *run;
      run->group = first->items[i].group;
      run->count = tn_min64(PIECE, x->t.numel - start);
      run->offset = offset + start;
      for (uint32_t s = 0; s < count; s++)
        run->data[s] =
            (char *)sets[s]->items[i].tensor->t.dl.data + (size_t)start * tn_dtype_size(x->t.dtype);
    }
    offset += x->t.numel;
  }
  return true;
}

typedef struct kernel_pass {
  pass p;
  tn_run_function f32, f64;
  const void *self, *arguments;
} kernel_pass;

static void kernel_piece(void *context, int64_t index) {
  const kernel_pass *k = context;
  (k->p.dtypes[index] == TN_F32 ? k->f32 : k->f64)(k->self, k->arguments, &k->p.runs[index]);
}

/* The name of the first trainable tensor in any of the sets that holds a non-finite number, or NULL. */
static const char *non_finite_entry(tn_params *const *sets, uint32_t count) {
  for (uint32_t s = 0; s < count; s++)
    for (uint32_t i = 0; i < sets[s]->count; i++) {
      const tn_node *x = sets[s]->items[i].tensor;
      if (x && is_trained(sets[s]->items[i].group) && !tn_all_finite(x->t.dtype, x->t.dl.data, x->t.numel))
        return sets[s]->items[i].name;
    }
  return NULL;
}

static tn_status api_each(const tn_kernel *kernel, const void *self, const void *arguments,
                          tn_params *const *sets, uint32_t count) {
  if (count == 0 || count > TN_MAX_RUN_SETS)
    return tn_fail(TN_ERROR_INVALID, "params each: %u sets, not 1 to %d", count, TN_MAX_RUN_SETS);
  kernel_pass k = {.self = self, .arguments = arguments};
  for (int level = tn_here->engine->level; level >= 0; level--) {
    if ((uint32_t)level >= kernel->levels) continue;
    if (!k.f32) k.f32 = kernel->f32[level];
    if (!k.f64) k.f64 = kernel->f64[level];
  }
  if (!plan_pass("params each", sets, count, &k.p)) return TN_ERROR_SHAPE;
  for (int64_t i = 0; i < k.p.count; i++)
    if (!(k.p.dtypes[i] == TN_F32 ? k.f32 : k.f64)) {
      tn_workspace_give(k.p.runs);
      return tn_fail(TN_ERROR_INVALID, "params each: the kernel has no function for %s",
                     tn_dtype_name(k.p.dtypes[i]));
    }
  double start = tn_trace_begin(NULL);
  const bool trapping = tn_trapping(start) && !non_finite_entry(sets, count);
  tn_parallel(k.p.count, 0.3 * (double)api_numel(sets[0], true), kernel_piece, &k);
  tn_workspace_give(k.p.runs);
  const char *wrong = trapping ? non_finite_entry(sets, count) : NULL;
  tn_trace_end("params_each", start, NULL);
  if (wrong)
    return tn_fail(TN_ERROR_DIVERGED, "params_each makes '%s' non-finite from finite parameters", wrong);
  return TN_OK;
}

typedef enum action { FILL, AXPY, SCALE, LERP, MULTIPLY, DOT } action;
typedef struct arithmetic {
  pass p;
  const tn_kernels *k;
  action action;
  double a;
  double *partial;
} arithmetic;

static void arithmetic_piece(void *context, int64_t index) {
  const arithmetic *c = context;
  const tn_run *run = &c->p.runs[index];
  const tn_real_kernels *k = c->k->real[c->p.dtypes[index]];
  switch (c->action) {
  case FILL: k->fill(run->data[0], c->a, run->count); break;
  case AXPY: k->axpy(c->a, run->data[1], run->data[0], run->count); break;
  case SCALE: k->scale(c->a, run->data[0], run->count); break;
  case LERP: k->lerp(run->data[1], c->a, run->data[0], run->count); break;
  case MULTIPLY:
    k->binary[TN_MUL](run->data[0], 0, 1, run->data[1], 0, 1, run->data[0], 1, run->count);
    break;
  case DOT: c->partial[index] = k->dot(run->data[0], run->data[1], run->count); break;
  }
}

static tn_status combine(const char *op, action what, tn_params *y, const tn_params *x, double a,
                         double *result) {
  arithmetic c = {.k = tn_here->k, .action = what, .a = a};
  // the set with fewer tensors leads: a full set and a gradient's set go together
  tn_params *sets[2] = {y, (tn_params *)(uintptr_t)x};
  if (!plan_pass(op, sets, x ? 2 : 1, &c.p)) return TN_ERROR_SHAPE;
  if (result) {
    c.partial = tn_workspace_take((size_t)c.p.count * sizeof(double) + 8);
    if (!c.partial) {
      tn_workspace_give(c.p.runs);
      return TN_ERROR_MEMORY;
    }
  }
  tn_parallel(c.p.count, 0.2 * (double)api_numel(y, true), arithmetic_piece, &c);
  if (result) {
    *result = 0;
    for (int64_t i = 0; i < c.p.count; i++) *result += c.partial[i];
    tn_workspace_give(c.partial);
  }
  tn_workspace_give(c.p.runs);
  return TN_OK;
}

static tn_status api_fill(tn_params *y, double value) {
  return combine("params fill", FILL, y, NULL, value, NULL);
}
static tn_status api_axpy(tn_params *y, double a, const tn_params *x) {
  return combine("params axpy", AXPY, y, x, a, NULL);
}
static tn_status api_scale(tn_params *y, double a) {
  return combine("params scale", SCALE, y, NULL, a, NULL);
}
static tn_status api_lerp(tn_params *y, const tn_params *x, double t) {
  return combine("params lerp", LERP, y, x, t, NULL);
}
static tn_status api_multiply(tn_params *y, const tn_params *x) {
  return combine("params multiply", MULTIPLY, y, x, 0, NULL);
}
static double api_dot(const tn_params *x, const tn_params *y) {
  double result = NAN;
  combine("params dot", DOT, (tn_params *)(uintptr_t)x, y, 0, &result);
  return result;
}
static double api_norm(const tn_params *x) { return sqrt(api_dot(x, x)); }

tn_status tn_api_grad_params(tn_tensor *y, const tn_params *params, tn_params *into) {
  uint32_t count = 0;
  tn_run *unused;
  pass p;
  tn_params *sets[2] = {(tn_params *)(uintptr_t)params, into};
  if (!plan_pass("grad_params", sets, 2, &p)) return TN_ERROR_SHAPE;
  unused = p.runs;
  tn_workspace_give(unused);
  tn_node **xs = tn_workspace_take(2 * params->count * sizeof *xs + 8), **targets = xs + params->count;
  if (!xs) return TN_ERROR_MEMORY;
  for (uint32_t i = 0; i < params->count; i++) {
    if (!is_trained(params->items[i].group) || !params->items[i].tensor) continue;
    xs[count] = params->items[i].tensor;
    targets[count++] = into->items[i].tensor;
  }
  bool ok = tn_gradient_into(tn_node_of(y), xs, count, targets);
  tn_workspace_give(xs);
  return ok ? TN_OK : TN_ERROR_SHAPE;
}

static tn_tensor *api_flatten(const tn_params *params) {
  tn_node **parts = tn_workspace_take((params->count + 1) * sizeof *parts);
  if (!parts) return &tn_poison()->t;
  uint32_t n = 0;
  for (uint32_t k = 0; k < params->count; k++) {
    const param *item = &params->items[params->order[k]];
    if (!item->tensor || !is_trained(item->group)) continue;
    parts[n++] = tn_op_reshape(item->tensor, 1, &(int64_t){item->tensor->t.numel});
  }
  tn_node *flat =
      n ? tn_op_concatenate(parts, n, 0) : tn_op_full(tn_here->engine->precision, 1, &(int64_t){0}, 0);
  tn_workspace_give(parts);
  return &flat->t;
}

static tn_status api_assign(tn_params *params, const tn_tensor *flat) {
  if (tn_is_poison(tn_node_of(flat))) return TN_ERROR_SHAPE;
  int64_t at = 0;
  bool fits = flat->dl.ndim == 1 && flat->numel == api_numel(params, true);
  for (uint32_t i = 0; i < params->count && fits; i++)
    fits = !params->items[i].tensor || !is_trained(params->items[i].group) ||
           params->items[i].tensor->t.dtype == flat->dtype;
  if (!fits)
    return tn_fail(TN_ERROR_SHAPE, "params assign: %s of %s for %lld values", tn_shape_text(tn_node_of(flat)),
                   tn_dtype_name(flat->dtype), (long long)api_numel(params, true));
  for (uint32_t k = 0; k < params->count; k++) {
    const param *item = &params->items[params->order[k]];
    if (!item->tensor || !is_trained(item->group)) continue;
    size_t size = tn_dtype_size(flat->dtype);
    memcpy(item->tensor->t.dl.data, (const char *)flat->dl.data + (size_t)at * size,
           (size_t)item->tensor->t.numel * size);
    at += item->tensor->t.numel;
  }
  return TN_OK;
}

static tn_params *api_select(const tn_params *params, const uint32_t *indices, uint32_t count) {
  size_t names = 0;
  char *text;
  for (uint32_t i = 0; i < count; i++) {
    if (indices[i] >= params->count) {
      tn_fail(TN_ERROR_MISSING, "params select: entry %u of %u does not exist", indices[i], params->count);
      return NULL;
    }
    names += strlen(params->items[indices[i]].name) + 1;
  }
  tn_params *part = params_new(count, names, &text);
  if (!part) return NULL;
  part->borrowed = true;
  for (uint32_t i = 0; i < count; i++) {
    const param *from = &params->items[indices[i]];
    size_t length = strlen(from->name) + 1;
    memcpy(text, from->name, length);
    part->items[i] = *from;
    part->items[i].name = text;
    text += length;
    if (from->tensor)
      part->bytes += aligned((size_t)from->tensor->t.numel * tn_dtype_size(from->tensor->t.dtype));
  }
  sort_by_group(part);
  return part;
}

static tn_params *api_make(const tn_param_entry *entries, uint32_t count) {
  tn_param_layout *layout = tn_workspace_take((count + 1) * sizeof *layout);
  if (!layout) return NULL;
  for (uint32_t i = 0; i < count; i++)
    layout[i] = (tn_param_layout){.name = entries[i].name,
                                  .group = entries[i].group,
                                  .dtype = entries[i].tensor->dtype,
                                  .shape = tn_shape_of(entries[i].tensor)};
  tn_params *params = tn_params_build(layout, count);
  tn_workspace_give(layout);
  for (uint32_t i = 0; params && i < count; i++) {
    const tn_tensor *from = entries[i].tensor;
    memcpy(params->items[i].tensor->t.dl.data, from->dl.data,
           (size_t)from->numel * tn_dtype_size(from->dtype));
  }
  return params;
}

static tn_status api_save(const tn_params *params, const char *path) {
  tn_safetensor *items = tn_system_alloc((params->count + 1) * sizeof *items);
  if (!items) return tn_fail(TN_ERROR_MEMORY, "out of memory for %s", path);
  uint32_t n = 0;
  for (uint32_t i = 0; i < params->count; i++) {
    const tn_node *x = params->items[i].tensor;
    if (x) items[n++] = (tn_safetensor){params->items[i].name, x->t.dtype, tn_shape_of(&x->t), x->t.dl.data};
  }
  tn_status status = tn_safetensors_save(path, items, n);
  tn_system_free(items);
  return status;
}

static tn_status api_load(tn_params *params, const char *path) {
  tn_safetensors *file;
  tn_status status = tn_safetensors_open(path, &file);
  if (status != TN_OK) return status;
  uint32_t wanted = 0;
  for (uint32_t i = 0; i < params->count && status == TN_OK; i++) {
    const tn_node *x = params->items[i].tensor;
    if (!x) continue;
    wanted++;
    const tn_safetensor *item = tn_safetensors_find(file, params->items[i].name);
    tn_shape shape = tn_shape_of(&x->t);
    if (!item)
      status = tn_fail(TN_ERROR_INVALID, "%s: there is no tensor '%s'", path, params->items[i].name);
    else if (item->dtype != x->t.dtype || item->shape.ndim != shape.ndim ||
             memcmp(item->shape.dim, shape.dim, shape.ndim * sizeof(int64_t)) != 0)
      status = tn_fail(TN_ERROR_INVALID, "%s: tensor '%s' is %s of %s, expected %s of %s", path,
                       params->items[i].name, tn_dims_text((int32_t)item->shape.ndim, item->shape.dim),
                       tn_dtype_name(item->dtype), tn_shape_text(x), tn_dtype_name(x->t.dtype));
  }
  for (uint32_t i = 0;
       i < tn_safetensors_count(file) && status == TN_OK && tn_safetensors_count(file) != wanted; i++) {
    bool known = false;
    for (uint32_t k = 0; k < params->count && !known; k++)
      known = params->items[k].tensor && !strcmp(params->items[k].name, tn_safetensors_at(file, i)->name);
    if (!known)
      status = tn_fail(TN_ERROR_INVALID, "%s: tensor '%s' has no place here", path,
                       tn_safetensors_at(file, i)->name);
  }
  for (uint32_t i = 0; i < params->count && status == TN_OK; i++) { // nothing changes unless everything fits
    const tn_node *x = params->items[i].tensor;
    if (x)
      memcpy(x->t.dl.data, tn_safetensors_find(file, params->items[i].name)->data,
             (size_t)x->t.numel * tn_dtype_size(x->t.dtype));
  }
  tn_safetensors_close(file);
  return status;
}

const tn_params_service tn_params_table = {
    .size = sizeof(tn_params_service),
    .declare = tn_api_declare,
    .tensor = api_tensor,
    .count = api_count,
    .entry = api_entry,
    .numel = api_numel,
    .bytes = api_bytes,
    .like = api_like,
    .clone = api_clone,
    .release = api_release,
    .join = api_join,
    .from_tensors = api_from_tensors,
    .copy = api_copy,
    .fill = api_fill,
    .axpy = api_axpy,
    .scale = api_scale,
    .lerp = api_lerp,
    .multiply = api_multiply,
    .dot = api_dot,
    .norm = api_norm,
    .each = api_each,
    .save = api_save,
    .load = api_load,
    .flatten = api_flatten,
    .assign = api_assign,
    .select = api_select,
    .make = api_make,
};
