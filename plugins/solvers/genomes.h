// SPDX-License-Identifier: MIT
/* What solvers of genome problems have in common: candidates are evaluated side by side, those that behave
 * alike once (the cache; also those that break a constraint), and the best and an archive of the best of each
 * structure are kept. What comes out does not depend on the number of threads. */
#ifndef TENON_PLUGINS_GENOMES_H
#define TENON_PLUGINS_GENOMES_H

#include "plugins/solvers/members.h"
#include <tenon/solver.h>

/* ---- the cache: functional hash -> value, open addressing ---- */

struct cache_entry {
  uint64_t hash;
  double value;
  uint64_t used; /* 1 */
};
struct cache {
  struct cache_entry *entries;
  size_t bytes; /* of entries: a power of two of them */
  int64_t count;
};

static inline struct cache_entry *cache_find(const struct cache *cache, uint64_t hash) {
  const size_t size = cache->bytes / sizeof *cache->entries;
  if (size == 0) return NULL;
  size_t at = (size_t)hash & (size - 1);
  while (cache->entries[at].used && cache->entries[at].hash != hash) at = (at + 1) & (size - 1);
  return &cache->entries[at];
}
static inline tn_status cache_add(struct cache *cache, uint64_t hash, double value) {
  const size_t size = cache->bytes / sizeof *cache->entries;
  if ((size_t)cache->count * 2 >= size) {
    const size_t bigger = size > 0 ? 2 * size : 1024;
    struct cache grown = {tn_alloc(bigger * sizeof *grown.entries), bigger * sizeof *grown.entries,
                          cache->count};
    if (!grown.entries) return TN_ERROR_MEMORY;
    for (size_t i = 0; i < size; i++)
      if (cache->entries[i].used) *cache_find(&grown, cache->entries[i].hash) = cache->entries[i];
    tn_free(cache->entries);
    *cache = grown;
  }
  struct cache_entry *entry = cache_find(cache, hash);
  if (!entry->used) cache->count++;
  *entry = (struct cache_entry){hash, value, 1};
  return TN_OK;
}

/* ---- evaluating ---- */

enum { GENOMES_VALUES = 64 }; /* most objectives and constraints */

struct genomes {
  /* configuration */
  int64_t batch, archive;
  double archive_gap;
  bool cached;
  /* the problem */
  const tn_component *problem;
  const tn_problem_genome *genome;
  const tn_problem_parts *parts; /* NULL if not offered */
  int64_t constraints;           /* a candidate that breaks one has the value +inf */
  /* state */
  struct cache cache;
  struct members best;     /* one, or none */
  struct members archived; /* the best of each structure, best first */
  int64_t candidates, evaluations, hits;
};
/* Keys of every solver of genomes, whose instance begins with its struct genomes. */
#define GENOMES_PARAMS                                                                           \
  TN_INTEGER(struct genomes, batch, "16", 1, 1 << 16, NULL,                                      \
             "candidates made before any of them is evaluated: what threads share"),             \
      TN_BOOL(struct genomes, cached, "yes", "evaluate candidates that behave alike only once"), \
      TN_INTEGER(struct genomes, archive, "100", 1, 1e6, NULL,                                   \
                 "candidates to remember, the best of each structure"),                          \
      TN_REAL(struct genomes, archive_gap, "1e-3", 0, 1,                                         \
              "relative difference of values below which two candidates count as one there")

static inline void genomes_release(struct genomes *g) {
  tn_free(g->cache.entries);
  g->cache = (struct cache){NULL, 0, 0};
  members_release(&g->best);
  members_release(&g->archived);
}

static inline tn_status genomes_begin(struct genomes *g, const tn_component *problem) {
  tn_problem_info info;
  genomes_release(g);
  g->problem = problem;
  g->genome = tn_extension(problem, TN_PROBLEM_GENOME);
  g->parts = tn_extension(problem, TN_PROBLEM_PARTS);
  g->candidates = g->evaluations = g->hits = 0;
  if (!g->genome)
    return tn_fail(TN_ERROR_INVALID, "'%s' is a problem over vectors, not over genomes", problem->name);
  tn_status status = tn_problem_describe(problem, &info);
  if (status >= 0 && (info.objectives != 1 || info.constraints >= GENOMES_VALUES))
    return tn_fail(TN_ERROR_INVALID,
                   "'%s' has %u objectives and %lld constraints; expected one and fewer than %d",
                   problem->name, info.objectives, (long long)info.constraints, GENOMES_VALUES);
  g->constraints = info.constraints;
  return status;
}

/* Candidate `number` of the search has random numbers of its own. */
static inline tn_rng genomes_rng(const struct genomes *g, int64_t number) {
  return tn_rng_at(g->problem->name, "candidate", (uint64_t)number);
}

static inline double genomes_best(const struct genomes *g) {
  return g->best.count > 0 ? g->best.items[0].value : INFINITY;
}

/* One a structure, the one with the best constants; of equals the first. Values that differ by less than
 * `archive_gap` count as equal too: a search makes many variants of its best that do the same in other words.
 */
static inline bool archive_alike(const struct genomes *g, const struct member *a, const struct member *b) {
  return a->structure == b->structure ||
         fabs(a->value - b->value) <= g->archive_gap * fmin(fabs(a->value), fabs(b->value));
}
static inline tn_status archive_add(struct genomes *g, struct member *member) {
  struct members *a = &g->archived;
  if (!g->parts || !isfinite(member->value)) return TN_OK;
  if (a->count == (uint32_t)g->archive && member->value >= a->items[a->count - 1].value) return TN_OK;
  member->structure = g->parts->structure(g->problem->self, &member->genome);
  for (uint32_t i = 0; i < a->count; i++)
    if (a->items[i].value <= member->value && archive_alike(g, &a->items[i], member)) return TN_OK;
  for (uint32_t i = a->count; i-- > 0;)
    if (archive_alike(g, &a->items[i], member)) members_drop(a, i);
  uint32_t at = a->count;
  while (at > 0 && member->value < a->items[at - 1].value) at--;
  tn_status status = members_put(a, at, member);
  if (status >= 0 && a->count > (uint32_t)g->archive) members_drop(a, a->count - 1);
  return status;
}

/* Equal for candidates that behave alike: by the problem's word, or because they are the same bytes. */
static inline uint64_t genomes_hash(const struct genomes *g, const tn_genome *genome) {
  if (g->genome->hash) return g->genome->hash(g->problem->self, genome);
  uint64_t hash = 14695981039346656037u; /* FNV-1a */
  for (size_t i = 0; i < genome->bytes; i++)
    hash = (hash ^ ((const unsigned char *)genome->data)[i]) * 1099511628211u;
  return hash;
}

struct genomes_batch {
  const struct genomes *g;
  struct member *members;
  const uint32_t *wanted; /* which of them to evaluate */
};
static inline tn_status genomes_piece(void *argument, int64_t index) {
  const struct genomes_batch *batch = argument;
  struct member *member = &batch->members[batch->wanted[index]];
  tn_call_stack *stack = tn_enter(batch->g->problem, "evaluate");
  double values[GENOMES_VALUES];
  tn_status status = batch->g->genome->evaluate(batch->g->problem->self, &member->genome, values);
  tn_leave(stack);
  member->value = isnan(values[0]) ? INFINITY : values[0];
  for (int64_t c = 1; c <= batch->g->constraints; c++)
    if (!(values[c] <= 0)) member->value = INFINITY;
  return status;
}

/* Finds the values of `count` new candidates: in the cache, or by evaluation. */
static inline tn_status genomes_evaluate(struct genomes *g, struct member *members, uint32_t count) {
  uint64_t *hashes = tn_alloc(count * sizeof *hashes);
  uint32_t *wanted = tn_alloc(count * sizeof *wanted), misses = 0;
  const bool cached = g->cached;
  tn_status status = hashes && wanted ? TN_OK : TN_ERROR_MEMORY;
  for (uint32_t i = 0; status >= 0 && i < count; i++) {
    bool known = false;
    if (cached) {
      hashes[i] = genomes_hash(g, &members[i].genome);
      const struct cache_entry *entry = cache_find(&g->cache, hashes[i]);
      known = entry && entry->used;
      for (uint32_t k = 0; k < misses && !known; k++) known = hashes[wanted[k]] == hashes[i];
    }
    if (!known) wanted[misses++] = i;
  }
  struct genomes_batch batch = {g, members, wanted};
  if (status >= 0) status = tn_parallel_for(misses, genomes_piece, &batch);
  for (uint32_t k = 0; status >= 0 && cached && k < misses; k++)
    status = cache_add(&g->cache, hashes[wanted[k]], members[wanted[k]].value);
  for (uint32_t i = 0; status >= 0 && i < count; i++) {
    if (cached) members[i].value = cache_find(&g->cache, hashes[i])->value;
    if (members[i].value < genomes_best(g)) {
      members_clear(&g->best);
      status = members_put(&g->best, 0, &members[i]);
    }
    if (status >= 0) status = archive_add(g, &members[i]);
  }
  g->candidates += count;
  g->evaluations += misses;
  g->hits += count - misses;
  tn_free(hashes);
  tn_free(wanted);
  return status;
}

/* ---- what a solver's table offers of it ---- */

static inline tn_status genomes_take_best(const struct genomes *g, tn_genome *genome) {
  if (g->best.count == 0) return tn_fail(TN_ERROR_INVALID, "no candidate has a finite value yet");
  return genome_copy(&g->best.items[0].genome, genome);
}

static inline tn_status genomes_take_candidates(const struct genomes *g, uint32_t *count, tn_genome *genomes,
                                                double *values) {
  tn_status status = TN_OK;
  *count = g->archived.count;
  for (uint32_t i = 0; status >= 0 && i < *count; i++) {
    if (genomes) status = genome_copy(&g->archived.items[i].genome, &genomes[i]);
    if (values) values[i] = g->archived.items[i].value;
  }
  return status;
}

static inline void genomes_figures(const struct genomes *g, tn_metric_sink *sink) {
  sink->value(sink, "candidates", (double)g->candidates);
  sink->value(sink, "hit_rate", g->candidates > 0 ? (double)g->hits / (double)g->candidates : 0);
  /* a number that tells two best candidates apart: 32 bits are exact in a double */
  if (g->genome && g->best.count > 0)
    sink->value(sink, "fingerprint", (double)(uint32_t)genomes_hash(g, &g->best.items[0].genome));
}

static inline tn_status genomes_visit(struct genomes *g, const tn_visitor *visitor) {
  void *entries = g->cache.entries;
  tn_visit_integer(visitor, "candidates", &g->candidates);
  tn_visit_integer(visitor, "evaluations", &g->evaluations);
  tn_visit_integer(visitor, "hits", &g->hits);
  tn_visit_integer(visitor, "cached", &g->cache.count);
  tn_status status = tn_visit_block(visitor, "cache", &entries, &g->cache.bytes);
  g->cache.entries = entries;
  if (status >= 0) status = members_visit(visitor, "best", &g->best, 0);
  return status < 0 ? status : members_visit(visitor, "archive", &g->archived, 0);
}

#endif
