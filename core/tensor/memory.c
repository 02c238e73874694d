// SPDX-License-Identifier: MIT
/* Blocks of memory, recycled by size class, so that a training step in a steady state never calls malloc. */
#define _DEFAULT_SOURCE 1
#include "guard.h"
#include "internal.h"

#include <sys/mman.h>

enum {
  ALIGNMENT = 64,
  HUGE_BLOCK = 4 << 20,   /* from here on blocks ask for huge pages */
  LARGE_BLOCK = 64 << 10, /* from here on unused blocks are given back */
  TRIM_INTERVAL = 1024,   /* scopes closed between two trimmings */
  CACHE_FREE = 256 << 20, /* bytes that may always be cached */
  HUGE_PAGE = 2 << 20
};

_Thread_local tn_thread *tn_here __attribute__((tls_model("initial-exec")));

void *tn_system_alloc(size_t bytes) {
  void *memory = NULL;
  if (bytes > (size_t)1 << 46) return NULL;
  if (tn_here) tn_here->mallocs++;
  if (posix_memalign(&memory, bytes >= HUGE_BLOCK ? HUGE_PAGE : ALIGNMENT, bytes) != 0) return NULL;
#ifdef MADV_HUGEPAGE
  if (bytes >= HUGE_BLOCK) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  return memory;
}

void tn_system_free(void *memory) { free(memory); }

/* Four classes an octave: 64, 80, 96, 112, 128, 160 ... */
static int32_t class_of(size_t bytes) {
  if (bytes <= 64) return 0;
  size_t last = bytes - 1;
  int32_t octave = 63 - __builtin_clzll(last);
  int32_t step = (int32_t)(last >> (octave - 2)) & 3;
  return (octave - 6) * 4 + step + 1;
}

static size_t class_bytes(int32_t size_class) {
  int32_t octave = size_class / 4 + 6, step = size_class % 4;
  return ((size_t)4 + (size_t)step) << (octave - 2);
}

static void free_class(tn_thread *thread, int32_t c, uint32_t count) {
  while (count-- && thread->free_blocks[c]) {
    tn_storage *block = thread->free_blocks[c];
    thread->free_blocks[c] = block->next;
    thread->free_count[c]--;
    thread->cached -= (int64_t)block->bytes;
    tn_system_free(block);
  }
}

/* Gives back the large blocks that no step has used since the last time. */
static void trim_unused(tn_thread *thread) {
  for (int32_t c = class_of(LARGE_BLOCK); c < TN_CLASSES; c++) {
    if (thread->free_low[c]) free_class(thread, c, thread->free_low[c]);
    thread->free_low[c] = thread->free_count[c];
  }
}

static void trim_all(tn_thread *thread) {
  for (int32_t c = class_of(LARGE_BLOCK); c < TN_CLASSES; c++) {
    free_class(thread, c, UINT32_MAX);
    thread->free_low[c] = 0;
  }
}

static tn_storage *block_new(tn_thread *thread, int32_t c, size_t bytes) {
  if (bytes >= LARGE_BLOCK && thread->cached > CACHE_FREE && thread->cached > thread->bytes) trim_all(thread);
  tn_storage *block = tn_system_alloc(bytes + sizeof *block);
  if (!block) {
    trim_all(thread);
    block = tn_system_alloc(bytes + sizeof *block);
    if (!block) return NULL;
  }
  memset(block, 0, sizeof *block);
  block->data = block + 1;
  block->bytes = bytes;
  block->size_class = c;
  return block;
}

static tn_storage *guarded_new(size_t bytes) {
  void *data = tn_guard_take(bytes, ALIGNMENT);
  tn_storage *storage = data ? tn_storage_wrap(data, bytes, tn_guard_give, data) : NULL;
  if (!storage) tn_guard_give(data);
  return storage;
}

tn_storage *tn_storage_new(size_t bytes) {
  tn_thread *thread = tn_here;
  if (thread->engine->guarded) return guarded_new(bytes);
  int32_t c = class_of(bytes);
  if (c >= TN_CLASSES) return NULL;
  tn_storage *block = thread->free_blocks[c];
  if (block) {
    thread->free_blocks[c] = block->next;
    if (--thread->free_count[c] < thread->free_low[c]) thread->free_low[c] = thread->free_count[c];
    thread->cached -= (int64_t)block->bytes;
  } else {
    block = block_new(thread, c, class_bytes(c));
    if (!block) return NULL;
  }
  block->references = 1;
  thread->bytes += (int64_t)block->bytes;
  if (thread->bytes > thread->high) thread->high = thread->bytes;
  return block;
}

tn_storage *tn_storage_wrap(void *data, size_t bytes, void (*release)(void *), void *context) {
  tn_thread *thread = tn_here;
  tn_storage *view = thread->free_views;
  if (view) {
    thread->free_views = view->next;
  } else {
    view = tn_system_alloc(sizeof *view);
    if (!view) return NULL;
  }
  *view = (tn_storage){.data = data,
                       .bytes = bytes,
                       .references = 1,
                       .size_class = -1,
                       .release = release,
                       .context = context};
  return view;
}

void tn_storage_drop(tn_storage *storage) {
  if (__atomic_load_n(&storage->references, __ATOMIC_ACQUIRE) != 1 &&
      __atomic_sub_fetch(&storage->references, 1, __ATOMIC_ACQ_REL) != 0)
    return;
  tn_thread *thread = tn_here;
  if (storage->size_class < 0) {
    if (storage->release) storage->release(storage->context);
    if (!thread) {
      tn_system_free(storage);
      return;
    }
    storage->next = thread->free_views;
    thread->free_views = storage;
    return;
  }
  if (!thread) { // a DLPack deleter on a thread that has left the engine
    tn_system_free(storage);
    return;
  }
  thread->bytes -= (int64_t)storage->bytes;
  thread->cached += (int64_t)storage->bytes;
  storage->next = thread->free_blocks[storage->size_class];
  thread->free_blocks[storage->size_class] = storage;
  thread->free_count[storage->size_class]++;
}

/* The workspace: chunks used as a stack by walks over the graph, which may nest (checkpoints, custom
 * operations). Every piece remembers what was in use before it. */
typedef struct tn_workspace {
  struct tn_workspace *below;
  size_t used, room;
  uint64_t reserved[5];
} tn_workspace;

void *tn_workspace_take(size_t bytes) {
  tn_thread *thread = tn_here;
  tn_workspace *top = thread->workspaces;
  size_t need = ((bytes + 63) & ~(size_t)63) + 64;
  if (!top || top->room - top->used < need) {
    size_t room = top ? top->room * 2 : 64 << 10;
    if (room < need) room = need;
    tn_workspace *chunk = tn_system_alloc(sizeof *chunk + room);
    if (!chunk) {
      tn_fail(TN_ERROR_MEMORY, "out of memory for the derivative of a graph");
      return NULL;
    }
    *chunk = (tn_workspace){.below = top, .room = room};
    thread->workspaces = top = chunk;
  }
  unsigned char *piece = (unsigned char *)(top + 1) + top->used;
  memcpy(piece, &need, sizeof need);
  top->used += need;
  return piece + 64;
}

void tn_workspace_give(void *memory) {
  if (!memory) return;
  tn_thread *thread = tn_here;
  tn_workspace *top = thread->workspaces;
  size_t need;
  memcpy(&need, (unsigned char *)memory - 64, sizeof need);
  tn_workspace *above = NULL; // larger chunks that are empty again
  while (top->used == 0) {
    above = top;
    top = top->below;
  }
  top->used -= need;
  if (above && top->used == 0) { // the larger ones above do for the future
    above->below = top->below;
    tn_system_free(top);
  }
}

tn_thread *tn_thread_new(tn_engine *engine) {
  tn_thread *thread = calloc(1, sizeof *thread);
  if (!thread) return NULL;
  thread->room = 1024;
  thread->starts_room = 64;
  thread->live = malloc(thread->room * sizeof(tn_node *));
  thread->starts = calloc(thread->starts_room, sizeof(uint32_t));
  if (!thread->live || !thread->starts) {
    free(thread->live);
    free(thread->starts);
    free(thread);
    return NULL;
  }
  thread->engine = engine;
  thread->k = engine->k;
  thread->record = true;
  thread->owner = pthread_self();
  return thread;
}

void tn_thread_free(tn_thread *thread) {
  tn_thread *former = tn_here;
  tn_here = thread;
  while (thread->depth) tn_scope_leave();
  for (uint32_t i = thread->count; i-- > 0;)
    if (thread->live[i]) tn_node_drop(thread->live[i]);
  for (int32_t c = 0; c < TN_CLASSES; c++) free_class(thread, c, UINT32_MAX);
  while (thread->free_views) {
    tn_storage *view = thread->free_views;
    thread->free_views = view->next;
    tn_system_free(view);
  }
  while (thread->workspaces) {
    tn_workspace *chunk = thread->workspaces;
    thread->workspaces = chunk->below;
    tn_system_free(chunk);
  }
  tn_here = former == thread ? NULL : former;
  free(thread->live);
  free(thread->starts);
  free(thread);
}

void tn_scope_leave(void) {
  tn_thread *thread = tn_here;
  if (thread->depth == 0) {
    tn_fail(TN_ERROR_INTERNAL, "tn_scope_close without tn_scope_open");
    return;
  }
  uint32_t start = thread->starts[thread->depth];
  while (thread->count > start) {
    tn_node *node = thread->live[thread->count - 1];
    if (node) {
      tn_node_drop(node);
    } else {
      thread->count--;
    }
  }
  thread->depth--;
}

void tn_memory_trim(void) {
  tn_thread *thread = tn_here;
  if (++thread->closes < TRIM_INTERVAL) return;
  thread->closes = 0;
  trim_unused(thread);
}

void tn_scope_enter(void) {
  tn_thread *thread = tn_here;
  if (thread->depth + 1 >= thread->starts_room) {
    uint32_t *starts = realloc(thread->starts, 2 * thread->starts_room * sizeof *starts);
    if (!starts) {
      tn_fail(TN_ERROR_MEMORY, "out of memory for a scope");
      abort(); // scopes must pair up; there is no way to go on
    }
    thread->mallocs++;
    thread->starts = starts;
    thread->starts_room *= 2;
  }
  thread->starts[++thread->depth] = thread->count;
}
