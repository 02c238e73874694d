// SPDX-License-Identifier: MIT
/* The objects of an environment as candidates of a search: what GFlowNets sample, for solvers to compare them
 * with. A candidate is the list of actions from the source to the stop. Mutation draws one action anew,
 * crossing takes the beginning of one list and the end of another; what follows is taken over as far as it is
 * legal, and filled with random actions where the path must go on. Costs are the negative objectives. */
#include <stdio.h>
#include <string.h>
#include <tenon/environment.h>
#include <tenon/problem.h>

struct environment_problem {
  const tn_component *environment;
};
static const tn_param environment_params[] = {
    TN_REFERENCE(struct environment_problem, environment, TN_PARAM_REQUIRED, TN_ENVIRONMENT, NULL,
                 "whose objects are searched"),
};

static const tn_environment *table_of(const struct environment_problem *p) { return p->environment->vtable; }

static tn_status info_of(const struct environment_problem *p, tn_environment_info *info) {
  const tn_status status = tn_environment_describe(p->environment, info);
  if (status < 0 || (info->actions > 0 && info->stop_action >= 0)) return status;
  return tn_fail(TN_ERROR_INVALID, "'%s' has no discrete actions with a stop", p->environment->name);
}

static tn_status environment_describe(void *self, tn_problem_info *info) {
  tn_environment_info e;
  const tn_status status = info_of(self, &e);
  *info = (tn_problem_info){.size = info->size, .objectives = e.objectives, .optimum = NAN};
  return status;
}

/* Walks those of `count` actions that are legal; when none is left it stops, or where it may not, or where
 * there were none, it goes on at random (without rng: by the first legal action). The path goes to `path`
 * (max_steps), its length through *length, the object to `state`. */
static tn_status walk(const struct environment_problem *p, const tn_environment_info *info,
                      const int64_t *actions, int64_t count, tn_rng *rng, int64_t *path, int64_t *length,
                      double *state) {
  const tn_environment *e = table_of(p);
  void *self = p->environment->self;
  uint8_t *mask = tn_alloc((size_t)info->actions), done = 0;
  tn_rng none = tn_rng_at(p->environment->name, "walk", 0);
  tn_status status = mask ? e->reset(self, state, 1, &none) : TN_ERROR_MEMORY;
  *length = 0;
  for (int64_t next = 0; status >= 0 && !done && *length < info->max_steps; ++*length) {
    int64_t chosen = -1, legal = 0;
    status = e->mask(self, state, 1, mask);
    while (chosen < 0 && next < count) {
      const int64_t a = actions[next++];
      if (a >= 0 && a < info->actions && mask[a]) chosen = a;
    }
    for (int64_t a = 0; a < info->actions; a++) legal += mask[a];
    if (chosen < 0 && mask[info->stop_action] && (count > 0 || !rng)) chosen = info->stop_action;
    if (chosen < 0) {
      int64_t pick = rng ? (int64_t)tn_random_below(rng, (uint64_t)legal) : 0;
      for (int64_t a = 0; a < info->actions && chosen < 0; a++)
        if (mask[a] && pick-- == 0) chosen = a;
    }
    if (status < 0 || chosen < 0) break;
    path[*length] = chosen;
    status = e->step(self, state, 1, &chosen, NULL, &done, &none);
  }
  tn_free(mask);
  return status;
}

/* A candidate from a list of actions, repaired. */
static tn_status make(const struct environment_problem *p, const int64_t *actions, int64_t count, tn_rng *rng,
                      tn_genome *child) {
  tn_environment_info info;
  tn_status status = info_of(p, &info);
  if (status < 0) return status;
  int64_t *path = tn_alloc((size_t)info.max_steps * sizeof *path), length = 0;
  double *state = tn_alloc((size_t)info.state_width * sizeof *state);
  status = path && state ? walk(p, &info, actions, count, rng, path, &length, state) : TN_ERROR_MEMORY;
  tn_free(state);
  if (status < 0) {
    tn_free(path);
    return status;
  }
  *child = (tn_genome){path, (size_t)length * sizeof *path};
  return TN_OK;
}
static int64_t length_of(const tn_genome *genome) { return (int64_t)(genome->bytes / sizeof(int64_t)); }

static tn_status environment_random(void *self, tn_rng *rng, tn_genome *child) {
  return make(self, NULL, 0, rng, child);
}

static tn_status environment_mutate(void *self, const tn_genome *parent, tn_rng *rng, tn_genome *child) {
  const struct environment_problem *p = self;
  tn_environment_info info;
  tn_status status = info_of(p, &info);
  const int64_t length = length_of(parent);
  if (status < 0) return status;
  int64_t *actions = tn_alloc((size_t)(length + 1) * sizeof *actions);
  if (!actions) return TN_ERROR_MEMORY;
  const int64_t at = (int64_t)tn_random_below(rng, (uint64_t)(length > 0 ? length : 1));
  const uint64_t how = tn_random_below(rng, 3); /* replace, insert, leave out */
  memcpy(actions, parent->data, (size_t)at * sizeof *actions);
  const int64_t *rest = (const int64_t *)parent->data + at + (how != 1 && at < length);
  const int64_t left = length - at - (how != 1 && at < length), added = how != 2;
  if (added) actions[at] = (int64_t)tn_random_below(rng, (uint64_t)info.actions);
  memcpy(actions + at + added, rest, (size_t)left * sizeof *actions);
  status = make(p, actions, at + added + left, rng, child);
  tn_free(actions);
  return status;
}

static tn_status environment_crossover(void *self, const tn_genome *a, const tn_genome *b, tn_rng *rng,
                                       tn_genome *child) {
  const int64_t m = length_of(a), n = length_of(b);
  int64_t *actions = tn_alloc((size_t)(m + n + 1) * sizeof *actions);
  if (!actions) return TN_ERROR_MEMORY;
  const int64_t first = (int64_t)tn_random_below(rng, (uint64_t)(m > 0 ? m : 1));
  const int64_t from = first < n ? first : n;
  memcpy(actions, a->data, (size_t)first * sizeof *actions);
  memcpy(actions + first, (const int64_t *)b->data + from, (size_t)(n - from) * sizeof *actions);
  const tn_status status = make(self, actions, first + n - from, rng, child);
  tn_free(actions);
  return status;
}

/* The object that a candidate builds. */
static tn_status object_of(const struct environment_problem *p, const tn_genome *candidate, double **state) {
  tn_environment_info info;
  tn_status status = info_of(p, &info);
  int64_t length = 0, *path = status >= 0 ? tn_alloc((size_t)info.max_steps * sizeof *path) : NULL;
  *state = path ? tn_alloc((size_t)info.state_width * sizeof **state) : NULL;
  if (status >= 0)
    status = *state ? walk(p, &info, candidate->data, length_of(candidate), NULL, path, &length, *state)
                    : TN_ERROR_MEMORY;
  tn_free(path);
  return status;
}

static tn_status environment_evaluate(void *self, const tn_genome *candidate, double *values) {
  const struct environment_problem *p = self;
  tn_environment_info info;
  double *state = NULL;
  tn_status status = info_of(p, &info);
  if (status >= 0) status = object_of(p, candidate, &state);
  if (status >= 0) status = table_of(p)->reward(p->environment->self, state, 1, values);
  for (uint32_t k = 0; status >= 0 && k < info.objectives; k++) values[k] = -values[k];
  tn_free(state);
  return status;
}

static uint64_t environment_hash(void *self, const tn_genome *candidate) {
  const struct environment_problem *p = self;
  tn_environment_info info;
  double *state = NULL;
  uint64_t hash = 1469598103934665603u;
  if (info_of(p, &info) < 0 || object_of(p, candidate, &state) < 0) info.state_width = 0;
  for (size_t i = 0; i < (size_t)info.state_width * sizeof *state; i++)
    hash = (hash ^ ((const unsigned char *)state)[i]) * 1099511628211u;
  tn_free(state);
  return hash;
}

static tn_status environment_print(void *self, const tn_genome *candidate, char **text) {
  enum { ROOM = 4096 };
  const struct environment_problem *p = self;
  double *state = NULL;
  tn_status status = object_of(p, candidate, &state);
  *text = status >= 0 ? tn_alloc(ROOM) : NULL;
  if (*text && TN_HAS(table_of(p), tn_environment, print))
    status = table_of(p)->print(p->environment->self, state, *text, ROOM - 1);
  else if (*text)
    snprintf(*text, ROOM, "%lld actions", (long long)length_of(candidate));
  tn_free(state);
  return *text ? status : TN_ERROR_MEMORY;
}

static const void *environment_extension(void *self, const char *id) {
  static const tn_problem_genome genome = {.size = sizeof genome,
                                           .random = environment_random,
                                           .mutate = environment_mutate,
                                           .crossover = environment_crossover,
                                           .evaluate = environment_evaluate,
                                           .hash = environment_hash,
                                           .print = environment_print};
  (void)self;
  return strcmp(id, TN_PROBLEM_GENOME) == 0 ? &genome : NULL;
}

static const tn_class environment_class = {
    .size = sizeof(tn_class),
    .kind = TN_PROBLEM,
    .name = "environment",
    .summary = "Search for objects of an environment; costs are its negative objectives",
    TN_CLASS_PARAMS(environment_params),
    .instance_size = sizeof(struct environment_problem),
    .vtable = &(const tn_problem){.size = sizeof(tn_problem), .describe = environment_describe},
    .extension = environment_extension};
TN_PLUGIN("problem_environment", "1.0.0", "MIT", &environment_class)
