// SPDX-License-Identifier: MIT
/* Mutation of known strings (MOGFN-AL; Jain et al. 2023): a trajectory begins at a string of the pool; an
 * action writes another letter at a place that has not been written yet, or stops; at most `edits` letters.
 * Parents take one edit back. A state is (parent's letters, letters now, stopped). Objectives are those of
 * the base.
 *
 * The source is told by its parent's letters, so flows depend on it: use a loss whose log Z is log F of the
 * source. Before a pool is given, the parents are random strings. */
#include <string.h>
#include <tenon/environment.h>

struct edits {
  const tn_component *strings;
  int64_t edits;

  const tn_environment *table;
  const tn_environment_tokens *tokens;
  tn_environment_info info; /* of the base */
  int64_t letters, length;
  int64_t *pool; /* (pooled, length) */
  int64_t pooled;
};
static const tn_param edits_params[] = {
    TN_REFERENCE(struct edits, strings, TN_PARAM_REQUIRED, TN_ENVIRONMENT, NULL,
                 "environment of the strings, all of one length"),
    TN_INTEGER(struct edits, edits, "3", 1, 1 << 16, "letters", "most letters that are changed"),
};

/* What is known of the base; it must append letters, always as many. */
static tn_status look(struct edits *e) {
  const tn_environment_tokens *tokens = tn_extension(e->strings, TN_ENVIRONMENT_TOKENS);
  if (!tokens) return tn_fail(TN_ERROR_INVALID, "the objects of '%s' are no strings", e->strings->name);
  e->table = e->strings->vtable;
  e->letters = tokens->letters(e->strings->self);
  e->length = tokens->length(e->strings->self);
  const tn_status status = tn_environment_describe(e->strings, &e->info);
  if (status < 0) return status;
  double *state = tn_alloc((size_t)e->info.state_width * sizeof *state);
  uint8_t *mask = tn_alloc((size_t)e->info.actions), done = 0;
  tn_rng rng = tn_rng_at(e->strings->name, "look", 0);
  tn_status good = state && mask ? e->table->reset(e->strings->self, state, 1, &rng) : TN_ERROR_MEMORY;
  for (int64_t t = 0; good >= 0 && t < e->length; t++) {
    const int64_t first = 0;
    good = e->table->mask(e->strings->self, state, 1, mask);
    if (good >= 0 && mask[e->letters])
      good = tn_fail(TN_ERROR_INVALID,
                     "strings of '%s' may end after %lld of %lld letters; edits need one length",
                     e->strings->name, (long long)t, (long long)e->length);
    if (good >= 0) good = e->table->step(e->strings->self, state, 1, &first, NULL, &done, &rng);
  }
  tn_free(state);
  tn_free(mask);
  if (good >= 0) e->tokens = tokens;
  return good;
}

static tn_status edits_create(void *self) { return look(self); }

static int64_t width(const struct edits *e) { return 2 * e->length + 1; }
static const double *now(const struct edits *e, const double *state) { return state + e->length; }
static int64_t edited(const struct edits *e, const double *state) {
  int64_t count = 0;
  for (int64_t i = 0; i < e->length; i++) count += state[i] != now(e, state)[i];
  return count;
}

static tn_status edits_describe(void *self, tn_environment_info *info) {
  const struct edits *e = self;
  *info = (tn_environment_info){.size = info->size,
                                .objectives = e->info.objectives,
                                .state_width = width(e),
                                .feature_width = e->length * (e->letters + 1),
                                .actions = e->length * e->letters + 1,
                                .max_steps = (e->edits < e->length ? e->edits : e->length) + 1,
                                .stop_action = e->length * e->letters};
  return TN_OK;
}

static tn_status edits_reset(void *self, double *states, int64_t n, tn_rng *rng) {
  const struct edits *e = self;
  for (int64_t i = 0; i < n; i++, states += width(e)) {
    const int64_t *parent =
        e->pooled > 0 ? e->pool + (int64_t)tn_random_below(rng, (uint64_t)e->pooled) * e->length : NULL;
    for (int64_t t = 0; t < e->length; t++)
      states[t] = states[e->length + t] =
          parent ? (double)parent[t] : (double)tn_random_below(rng, (uint64_t)e->letters);
    states[2 * e->length] = 0;
  }
  return TN_OK;
}

static tn_status edits_mask(void *self, const double *states, int64_t n, uint8_t *mask) {
  const struct edits *e = self;
  for (int64_t i = 0; i < n; i++, states += width(e)) {
    const bool going = states[2 * e->length] == 0, more = going && edited(e, states) < e->edits;
    for (int64_t t = 0; t < e->length; t++) {
      const bool open = more && states[t] == now(e, states)[t];
      for (int64_t a = 0; a < e->letters; a++) *mask++ = open && (double)a != states[t];
    }
    *mask++ = going;
  }
  return TN_OK;
}

static tn_status edits_step(void *self, double *states, int64_t n, const int64_t *actions,
                            const double *continuous, uint8_t *done, tn_rng *rng) {
  const struct edits *e = self;
  (void)continuous, (void)rng;
  for (int64_t i = 0; i < n; i++, states += width(e)) {
    done[i] = actions[i] == e->length * e->letters;
    if (done[i])
      states[2 * e->length] = 1;
    else
      states[e->length + actions[i] / e->letters] = (double)(actions[i] % e->letters);
  }
  return TN_OK;
}

/* One-hot letters now, and whether each place has been written. */
static tn_status edits_features(void *self, const double *states, int64_t n, float *features) {
  const struct edits *e = self;
  memset(features, 0, (size_t)(n * e->length * (e->letters + 1)) * sizeof *features);
  for (int64_t i = 0; i < n; i++, states += width(e))
    for (int64_t t = 0; t < e->length; t++, features += e->letters + 1) {
      features[(int64_t)now(e, states)[t]] = 1;
      features[e->letters] = states[t] != now(e, states)[t];
    }
  return TN_OK;
}

/* As objects of the base: its own path, letter by letter. */
static void edits_objects(void *self, const double *states, int64_t n, double *objects) {
  const struct edits *e = self;
  tn_rng rng = tn_rng_at(e->strings->name, "object", 0);
  uint8_t done;
  for (int64_t i = 0; i < n; i++, states += width(e), objects += e->info.state_width) {
    e->table->reset(e->strings->self, objects, 1, &rng);
    for (int64_t t = 0; t <= e->length; t++) {
      const int64_t action = t < e->length ? (int64_t)now(e, states)[t] : e->letters;
      e->table->step(e->strings->self, objects, 1, &action, NULL, &done, &rng);
    }
  }
}

static tn_status edits_reward(void *self, const double *states, int64_t n, double *rewards) {
  const struct edits *e = self;
  double *objects = tn_alloc((size_t)(n * e->info.state_width) * sizeof *objects);
  if (!objects) return TN_ERROR_MEMORY;
  edits_objects(self, states, n, objects);
  const tn_status status = e->table->reward(e->strings->self, objects, n, rewards);
  tn_free(objects);
  return status;
}

static int64_t edits_parents(void *self, const double *state, double *parents, int64_t *actions,
                             int64_t limit) {
  const struct edits *e = self;
  const bool stopped = state[2 * e->length] != 0;
  int64_t count = 0;
  for (int64_t t = 0; t < e->length; t++) {
    const double letter = now(e, state)[t];
    if (!stopped && state[t] == letter) continue;
    if (stopped && t > 0) break;
    if (count < limit) {
      double *parent = parents + count * width(e);
      memcpy(parent, state, (size_t)width(e) * sizeof *parent);
      parent[stopped ? 2 * e->length : e->length + t] = stopped ? 0 : state[t];
      actions[count] = stopped ? e->length * e->letters : t * e->letters + (int64_t)letter;
    }
    count++;
  }
  return count;
}

static tn_status edits_print(void *self, const double *state, char *text, size_t bytes) {
  const struct edits *e = self;
  double *object = tn_alloc((size_t)e->info.state_width * sizeof *object);
  if (!object) return TN_ERROR_MEMORY;
  edits_objects(self, state, 1, object);
  const tn_status status = TN_HAS(e->table, tn_environment, print)
                               ? e->table->print(e->strings->self, object, text, bytes)
                               : TN_OK;
  tn_free(object);
  return status;
}

static const tn_component *edits_base(void *self) { return ((struct edits *)self)->strings; }
static tn_status edits_set(void *self, const double *objects, int64_t n) {
  struct edits *e = self;
  tn_free(e->pool);
  e->pooled = 0;
  e->pool = tn_alloc((size_t)(n * e->length) * sizeof *e->pool);
  if (!e->pool) return TN_ERROR_MEMORY;
  e->tokens->tokens(e->strings->self, objects, n, e->pool);
  e->pooled = n;
  return TN_OK;
}

static void edits_destroy(void *self) { tn_free(((struct edits *)self)->pool); }

static tn_status edits_state(void *self, const tn_visitor *visitor) {
  struct edits *e = self;
  void *pool = e->pool;
  size_t bytes = (size_t)(e->pooled * e->length) * sizeof *e->pool;
  tn_visit_integer(visitor, "pooled", &e->pooled);
  const tn_status status = tn_visit_block(visitor, "pool", &pool, &bytes);
  e->pool = pool;
  return status;
}

static const void *edits_extension(void *self, const char *id) {
  static const tn_environment_pool pool = {sizeof pool, 0, edits_base, edits_set, edits_objects};
  (void)self;
  return strcmp(id, TN_ENVIRONMENT_POOL) == 0 ? &pool : NULL;
}

static const tn_environment edits_table = {.size = sizeof edits_table,
                                           .describe = edits_describe,
                                           .reset = edits_reset,
                                           .mask = edits_mask,
                                           .step = edits_step,
                                           .features = edits_features,
                                           .reward = edits_reward,
                                           .parents = edits_parents,
                                           .print = edits_print};
static const tn_class edits_class = {.size = sizeof(tn_class),
                                     .kind = TN_ENVIRONMENT,
                                     .name = "edits",
                                     .summary = "Strings of a pool with some letters changed",
                                     .reference = "Jain et al. 2023, Multi-Objective GFlowNets (MOGFN-AL)",
                                     TN_CLASS_PARAMS(edits_params),
                                     .instance_size = sizeof(struct edits),
                                     .vtable = &edits_table,
                                     .create = edits_create,
                                     .destroy = edits_destroy,
                                     .state = edits_state,
                                     .extension = edits_extension};
TN_PLUGIN("environment_edits", "1.0.0", "MIT", &edits_class)
