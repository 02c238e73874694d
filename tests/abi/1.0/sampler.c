// SPDX-License-Identifier: MIT
/* frozen_sampler: every row once an epoch, in an order of its own for each epoch. */
#include <tenon/sampler.h>

struct frozen_sampler {
  int64_t rows, batch, next, epoch;
  int64_t *order; /* (rows) */
  bool reverse;
};
static const tn_param frozen_sampler_params[] = {
    TN_BOOL(struct frozen_sampler, reverse, "no", "hand out the rows of an epoch backwards"),
};

/* The order of an epoch follows from its number: nothing but numbers needs to be saved. */
static void frozen_sampler_shuffle(struct frozen_sampler *s) {
  tn_rng rng = tn_rng_at("frozen_sampler", "order", (uint64_t)s->epoch);
  tn_random_permutation(&rng, s->order, s->rows);
}

static tn_status frozen_sampler_begin(void *self, const tn_component *data, int64_t rows, int64_t batch) {
  struct frozen_sampler *s = self;
  (void)data;
  tn_free(s->order);
  s->order = (int64_t *)tn_alloc((size_t)rows * sizeof *s->order);
  if (!s->order) return TN_ERROR_MEMORY;
  s->rows = rows, s->batch = batch, s->next = 0, s->epoch = 0;
  frozen_sampler_shuffle(s);
  return TN_OK;
}

static tn_status frozen_sampler_next(void *self, int64_t *index, int64_t *count, bool *epoch_ends) {
  struct frozen_sampler *s = self;
  *count = s->rows - s->next < s->batch ? s->rows - s->next : s->batch;
  for (int64_t i = 0; i < *count; i++, s->next++)
    index[i] = s->order[s->reverse ? s->rows - 1 - s->next : s->next];
  *epoch_ends = s->next == s->rows;
  if (*epoch_ends) {
    s->next = 0;
    s->epoch++;
    frozen_sampler_shuffle(s);
  }
  return TN_OK;
}

static tn_status frozen_sampler_state(void *self, const tn_visitor *visitor) {
  struct frozen_sampler *s = self;
  tn_visit_integer(visitor, "next", &s->next);
  tn_status status = tn_visit_integer(visitor, "epoch", &s->epoch);
  if (visitor->loading && s->order && status == TN_OK) frozen_sampler_shuffle(s);
  return status;
}

static void frozen_sampler_destroy(void *self) { tn_free(((struct frozen_sampler *)self)->order); }

static const tn_sampler frozen_sampler_sampler = {
    .size = sizeof(tn_sampler),
    .begin = frozen_sampler_begin,
    .next = frozen_sampler_next,
};
static const tn_class frozen_sampler_class = {
    .size = sizeof(tn_class),
    .kind = TN_SAMPLER,
    .name = "frozen_sampler",
    .summary = "what frozen_sampler does, in one line",
    .reference = "",
    TN_CLASS_PARAMS(frozen_sampler_params),
    .instance_size = sizeof(struct frozen_sampler),
    .vtable = &frozen_sampler_sampler,
    .destroy = frozen_sampler_destroy,
    .state = frozen_sampler_state,
};
TN_PLUGIN("sampler_frozen_sampler", "0.1.0", "MIT", &frozen_sampler_class)
