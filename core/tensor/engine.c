// SPDX-License-Identifier: MIT
#include "internal.h"

#include <math.h>
#include <stdio.h>

#include <cblas.h>

static int cpu_level(void) {
  int level = TN_CPU_BASE;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) level = TN_CPU_AVX2;
  if (level == TN_CPU_AVX2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
    level = TN_CPU_AVX512;
#endif
  const char *pinned = getenv("TENON_CPU");
  int wanted = level;
  if (pinned && !strcmp(pinned, "base")) wanted = TN_CPU_BASE;
  if (pinned && !strcmp(pinned, "avx2")) wanted = TN_CPU_AVX2;
  return wanted < level ? wanted : level;
}

static const tn_kernels *kernels_of(int level) {
#if defined(__x86_64__)
  if (level == TN_CPU_AVX512) return &tn_kernels_avx512;
  if (level == TN_CPU_AVX2) return &tn_kernels_avx2;
#else
  (void)level;
#endif
  return &tn_kernels_base;
}

tn_engine *tn_engine_create(uint64_t seed, tn_dtype precision) {
  tn_engine *engine = calloc(1, sizeof *engine);
  if (!engine) return NULL;
  if (pthread_mutex_init(&engine->lock, NULL) != 0) {
    free(engine);
    return NULL;
  }
  engine->seed = seed;
  engine->precision = precision == TN_F64 ? TN_F64 : TN_F32;
  engine->level = cpu_level();
  engine->k = kernels_of(engine->level);
  tn_node *poison = &engine->poison;
  poison->t.dl.data = engine->nothing;
  poison->t.dl.device.device_type = 1;
  poison->t.dl.dtype = (tn_dl_type){2, 32, 1};
  poison->t.dl.shape = poison->shape;
  poison->t.flags = TN_FLAG_POISON | TN_FLAG_PERSISTENT;
  openblas_set_num_threads(1); // threads are ours: tiles of one matrix, each computed by one thread
  return engine;
}

void tn_engine_destroy(tn_engine *engine) {
  if (!engine) return;
  void *slabs = NULL;
  while (engine->threads) {
    tn_thread *thread = engine->threads;
    engine->threads = thread->next;
    void *first = thread->slabs, *last = first, *next;
    while (last && (memcpy(&next, last, sizeof next), next)) last = next;
    tn_thread_free(thread);
    if (last) {
      memcpy(last, &slabs, sizeof slabs);
      slabs = first;
    }
  }
  while (slabs) { // handles may have moved between threads: their slabs go last
    void *next;
    memcpy(&next, slabs, sizeof next);
    tn_system_free(slabs);
    slabs = next;
  }
  pthread_mutex_destroy(&engine->lock);
  free(engine);
}

tn_engine *tn_engine_enter(tn_engine *engine) {
  tn_engine *former = tn_here ? tn_here->engine : NULL;
  if (engine == former) return former;
  if (!engine) {
    tn_here = NULL;
    return former;
  }
  pthread_mutex_lock(&engine->lock);
  tn_thread *thread = engine->threads;
  while (thread && !pthread_equal(thread->owner, pthread_self())) thread = thread->next;
  if (!thread) {
    thread = tn_thread_new(engine);
    if (thread) {
      thread->next = engine->threads;
      engine->threads = thread;
    }
  }
  pthread_mutex_unlock(&engine->lock);
  if (!thread) { // nothing can be done without it, not even an error that a caller would see
    fputs("error: out of memory for a thread of the compute engine\n", stderr);
    abort();
  }
  tn_here = thread;
  return former;
}

uint64_t tn_engine_seed(const tn_engine *engine) { return engine->seed; }
void tn_engine_use_seed(tn_engine *engine, uint64_t seed) { engine->seed = seed; }
tn_dtype tn_engine_precision(const tn_engine *engine) { return engine->precision; }
void tn_engine_guard(tn_engine *engine) { engine->guarded = true; }
const char *tn_engine_cpu(const tn_engine *engine) {
  static const char *const names[] = {"base", "avx2", "avx512"};
  return names[engine->level];
}

tn_engine_statistics tn_engine_measure(tn_engine *engine) {
  int64_t bytes = 0, high = 0, cached = 0, live = 0;
  tn_engine_statistics statistics = {0};
  pthread_mutex_lock(&engine->lock);
  for (tn_thread *thread = engine->threads; thread; thread = thread->next) {
    bytes += thread->bytes;
    high += thread->high;
    cached += thread->cached;
    live += thread->live_tensors;
    statistics.mallocs += thread->mallocs;
    statistics.open_scopes += thread->depth;
  }
  pthread_mutex_unlock(&engine->lock);
  statistics.bytes_in_use = (size_t)bytes;
  statistics.bytes_high = (size_t)high;
  statistics.bytes_cached = (size_t)cached;
  statistics.live_tensors = (uint64_t)live;
  return statistics;
}

void tn_engine_reset_high(tn_engine *engine) {
  pthread_mutex_lock(&engine->lock);
  for (tn_thread *thread = engine->threads; thread; thread = thread->next) thread->high = thread->bytes;
  pthread_mutex_unlock(&engine->lock);
}
