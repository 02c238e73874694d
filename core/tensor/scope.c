// SPDX-License-Identifier: MIT
/* Handles: made, shared, moved between scopes and recycled. */
#include "internal.h"

enum { SLAB = 64 };

/* Slabs of handles belong to the engine's thread for good; their first word chains them. */
static bool slab_new(tn_thread *thread) {
  size_t head = 64;
  unsigned char *slab = tn_system_alloc(head + SLAB * sizeof(tn_node));
  if (!slab) return false;
  memset(slab, 0, head + SLAB * sizeof(tn_node));
  memcpy(slab, &thread->slabs, sizeof thread->slabs);
  thread->slabs = slab;
  tn_node *nodes = (tn_node *)(void *)(slab + head);
  for (int i = SLAB; i-- > 0;) {
    nodes[i].t.dl.shape = nodes[i].shape;
    nodes[i].t.dl.device.device_type = 1;
    nodes[i].in[0] = thread->free_nodes;
    thread->free_nodes = &nodes[i];
  }
  return true;
}

static bool live_grow(tn_thread *thread) {
  tn_node **live = realloc(thread->live, 2 * (size_t)thread->room * sizeof *live);
  if (!live) return false;
  thread->mallocs++;
  thread->live = live;
  thread->room *= 2;
  return true;
}

static const tn_dl_type dl_types[] = {{2, 32, 1}, {2, 64, 1}, {0, 64, 1}, {0, 32, 1}, {1, 8, 1}, {6, 8, 1}};

static void enlist(tn_thread *thread, tn_node *node) {
  node->scope = thread->depth;
  node->place = thread->count;
  thread->live[thread->count++] = node;
}

tn_node *tn_node_view(tn_dtype dtype, int32_t ndim, const int64_t *shape, tn_storage *storage, void *data) {
  tn_thread *thread = tn_here;
  if (!storage || (!thread->free_nodes && !slab_new(thread)) ||
      (thread->count == thread->room && !live_grow(thread))) {
    if (storage) tn_storage_drop(storage);
    tn_fail(TN_ERROR_MEMORY, "out of memory for a tensor %s of %s", tn_dims_text(ndim, shape),
            tn_dtype_name(dtype));
    return tn_poison();
  }
  tn_node *node = thread->free_nodes;
  thread->free_nodes = node->in[0];
  int64_t numel = 1;
  for (int32_t i = 0; i < ndim; i++) {
    node->shape[i] = shape[i];
    numel *= shape[i];
  }
  node->t.dl.data = data;
  node->t.dl.ndim = ndim;
  node->t.dl.dtype = dl_types[dtype];
  node->t.dtype = dtype;
  node->t.flags = 0;
  node->t.numel = numel;
  node->storage = storage;
  node->rule = NULL;
  node->more = NULL;
  node->inputs = 0;
  node->mark = 0;
  enlist(thread, node);
  thread->live_tensors++;
  return node;
}

tn_node *tn_node_new(tn_dtype dtype, int32_t ndim, const int64_t *shape) {
  size_t bytes = tn_dtype_size(dtype);
  for (int32_t i = 0; i < ndim; i++) {
    if (__builtin_mul_overflow(bytes, (size_t)shape[i], &bytes) || bytes > (size_t)1 << 46) {
      tn_fail(TN_ERROR_MEMORY, "a tensor %s of %s does not fit into memory", tn_dims_text(ndim, shape),
              tn_dtype_name(dtype));
      return tn_poison();
    }
  }
  tn_storage *storage = tn_storage_new(bytes);
  return tn_node_view(dtype, ndim, shape, storage, storage ? storage->data : NULL);
}

tn_node *tn_node_alias(const tn_node *x) {
  if (tn_is_poison(x)) return tn_poison();
  return tn_node_view(x->t.dtype, x->t.dl.ndim, x->shape, tn_storage_share(x->storage), x->t.dl.data);
}

/* Takes it out of the list of its scope. Only the innermost scope's list is kept dense. */
static void delist(tn_thread *thread, tn_node *node) {
  if (node->t.flags & TN_FLAG_PERSISTENT) return;
  if (node->scope == thread->depth) {
    tn_node *last = thread->live[--thread->count];
    if (last != node) {
      thread->live[node->place] = last;
      if (last) last->place = node->place;
    }
  } else {
    thread->live[node->place] = NULL;
  }
}

void tn_node_drop(tn_node *node) {
  if (tn_is_poison(node)) return;
  tn_thread *thread = tn_here;
  delist(thread, node);
  tn_storage_drop(node->storage);
  if (node->more) {
    tn_storage *storage = (tn_storage *)(void *)node->more - 1;
    node->more = NULL;
    tn_storage_drop(storage);
  }
  node->in[0] = thread->free_nodes;
  thread->free_nodes = node;
  thread->live_tensors--;
}

void tn_node_promote(tn_node *node) {
  tn_thread *thread = tn_here;
  if (tn_is_poison(node) || thread->depth == 0 || node->scope != thread->depth ||
      (node->t.flags & TN_FLAG_PERSISTENT))
    return;
  // swap it with the scope's first handle, and let the scope begin after it
  uint32_t start = thread->starts[thread->depth];
  tn_node *first = thread->live[start];
  thread->live[node->place] = first;
  if (first) first->place = node->place;
  thread->live[start] = node;
  node->place = start;
  node->scope = thread->depth - 1;
  thread->starts[thread->depth] = start + 1;
}

tn_node *tn_node_detach(tn_node *node) {
  if (tn_is_poison(node)) return node;
  delist(tn_here, node);
  node->t.flags |= TN_FLAG_PERSISTENT;
  return node;
}

bool tn_record_many(tn_node *out, const tn_rule *rule, tn_node *const *inputs, uint32_t count) {
  if (tn_is_poison(out)) return false;
  if (count > TN_INLINE_INPUTS) {
    tn_storage *storage = tn_storage_new(count * sizeof(tn_node *));
    if (!storage) {
      tn_fail(TN_ERROR_MEMORY, "out of memory for an operation of %u inputs", count);
      return false;
    }
    out->more = storage->data;
    memcpy(out->more, inputs, count * sizeof(tn_node *));
  } else {
    for (uint32_t i = 0; i < count; i++) out->in[i] = inputs[i];
  }
  out->rule = rule;
  out->inputs = count;
  out->t.flags |= TN_FLAG_GRADIENT;
  return true;
}
