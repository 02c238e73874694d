// SPDX-License-Identifier: MIT
/* AdaNPC (Zhang et al. 2023, AdaNPC: Exploring Non-Parametric Classifier for Test-Time Adaptation): a vote of
 * the k nearest features of a memory M, which takes in the test stream with its own predictions.
 *
 *   u = z / ||z||,  s = u M'         M: the features of all training rows, then of the stream
 *   w = softmax(s / temperature)     over the k nearest; with `radius`, over all with s >= radius if every
 *                                    query of the batch has one
 *   p = sum_j w_j onehot(label_j)
 *   after the prediction, (u, argmax p) joins M where max p >= beta */
#include "backbone.h"
#include "flat_index.h"
#include <stdio.h>

struct adanpc {
  const tn_component *model;
  const char *features;
  int64_t k, capacity;
  double temperature, beta, radius;

  int64_t classes, source; /* source: entries of the training rows, which stay */
  int64_t oldest;          /* with a capacity: the stream's entry that is replaced next */
  struct flat_index memory;
  int64_t *labels, room; /* (room), of the memory's entries */
};
static const tn_param adanpc_params[] = {
    BACKBONE_PARAM(struct adanpc),
    TN_INTEGER(struct adanpc, k, "10", 1, 1 << 20, "entries", "nearest ones that vote"),
    TN_REAL(struct adanpc, temperature, "0.1", 1e-6, 1e6, "of the vote's softmax over cosines"),
    TN_REAL(struct adanpc, beta, "0", 0, 2,
            "confidence from which a prediction is remembered; above 1: never"),
    TN_REAL(struct adanpc, radius, "2", -1, 2,
            "cosine from which an entry votes, whatever k; above 1: not used"),
    TN_INTEGER(struct adanpc, capacity, "0", 0, 1e9, "entries",
               "of the stream to remember, the newest ones; 0: all"),
    TN_STRING(struct adanpc, features, "features", "output field of the model to compare (n, d)"),
};

static tn_status add_labels(struct adanpc *p, int64_t first, const int64_t *labels, int64_t count) {
  if (first + count > p->room) {
    const int64_t room = 2 * (first + count);
    int64_t *more = tn_resize(p->labels, (size_t)room * sizeof *more);
    if (!more) return TN_ERROR_MEMORY;
    p->labels = more;
    p->room = room;
  }
  memcpy(p->labels + first, labels, (size_t)count * sizeof *labels);
  return TN_OK;
}

static tn_status remember(void *self, const tn_fields *inputs, const tn_fields *outputs) {
  struct adanpc *p = self;
  tn_tensor *z = tn_field(outputs, p->features), *label = tn_field(inputs, "label");
  if (tn_failed()) return tn_outcome();
  const int64_t first = p->memory.count;
  tn_status status = flat_index_add(&p->memory, unit_rows(tn_flatten(z)));
  if (status >= 0) status = add_labels(p, first, tn_i64(label), tn_dim(z, 0));
  for (int64_t i = 0; status >= 0 && i < tn_dim(z, 0); i++)
    if (tn_i64(label)[i] < 0 || tn_i64(label)[i] >= p->classes)
      status = tn_fail(TN_ERROR_INVALID, "label %lld of the memory is no class", (long long)tn_i64(label)[i]);
  return status;
}

static tn_status adanpc_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct adanpc *p = self;
  return backbone_declare(p->model, inputs, declaration, &p->classes);
}

static tn_status adanpc_fit(void *self, const tn_component *data, const tn_references *transforms) {
  struct adanpc *p = self;
  flat_index_clear(&p->memory);
  const tn_status status = backbone_each(p->model, data, transforms, remember, p);
  p->source = p->memory.count;
  p->oldest = p->source;
  if (status >= 0 && p->source < p->k)
    return tn_fail(TN_ERROR_INVALID, "k = %lld, but the memory holds %lld entries", (long long)p->k,
                   (long long)p->source);
  return status;
}

/* The vote of `count` entries with cosines s, into p (classes). */
static void vote(const struct adanpc *p, const double *s, const int64_t *which, int64_t count, double *out) {
  double total = 0;
  for (int64_t c = 0; c < p->classes; c++) out[c] = 0;
  for (int64_t j = 0; j < count; j++) {
    const double w = exp((s[j] - s[0]) / p->temperature);
    out[p->labels[which[j]]] += w;
    total += w;
  }
  for (int64_t c = 0; c < p->classes; c++) out[c] /= total;
}

/* Entries to look at: k, or enough for every one within the radius. */
static int64_t reach(const struct adanpc *p, tn_tensor *u, double *cosine, int64_t *which) {
  const int64_t n = tn_dim(u, 0);
  int64_t most = p->k;
  if (p->radius > 1 || flat_index_search(&p->memory, u, 1, cosine, which) < 0) return most;
  for (int64_t i = 0; i < n; i++)
    if (cosine[i] < p->radius) return most; /* one has no neighbour within: k for all */
  return p->memory.count;
}

static tn_status adanpc_predict(void *self, const tn_fields *inputs, tn_fields *outputs) {
  struct adanpc *p = self;
  const bool recording = tn_record(false);
  tn_fields *made = backbone_outputs(p->model, NULL, inputs, TN_NORM_DEFAULT);
  tn_record(recording);
  tn_tensor *z = made ? tn_field(made, p->features) : NULL;
  if (!z || tn_failed()) return tn_failed() ? tn_outcome() : TN_ERROR_INVALID;
  const int64_t n = tn_dim(z, 0);
  if (p->memory.count < p->k) return tn_fail(TN_ERROR_INVALID, "not fitted");
  tn_tensor *u = unit_rows(tn_flatten(z));
  tn_tensor *best = tn_empty(TN_F64, TN_SHAPE(n, 1)), *owner = tn_empty(TN_I64, TN_SHAPE(n, 1));
  const int64_t k = reach(p, u, tn_f64(best), tn_i64(owner));
  tn_tensor *cosine = tn_empty(TN_F64, TN_SHAPE(n, k)), *which = tn_empty(TN_I64, TN_SHAPE(n, k));
  tn_tensor *probability = tn_empty(TN_F64, TN_SHAPE(n, p->classes));
  if (tn_failed()) return tn_outcome();
  const tn_status status = flat_index_search(&p->memory, u, k, tn_f64(cosine), tn_i64(which));
  for (int64_t i = 0; status >= 0 && i < n; i++) {
    int64_t used = k;
    if (k > p->k) /* within the radius */
      for (used = 1; used < k && tn_f64(cosine)[i * k + used] >= p->radius;) used++;
    vote(p, tn_f64(cosine) + i * k, tn_i64(which) + i * k, used, tn_f64(probability) + i * p->classes);
  }
  tn_fields_set(outputs, "features", u); /* what adapt stores: the same bits that were compared */
  tn_fields_set(outputs, "probability", tn_cast(probability, z->dtype));
  tn_fields_set(outputs, "label", tn_argmax(probability, 1));
  return status;
}

static tn_status adanpc_adapt(void *self, const tn_fields *inputs, const tn_fields *outputs) {
  struct adanpc *p = self;
  (void)inputs;
  tn_tensor *u = tn_field(outputs, "features"), *label = tn_field(outputs, "label");
  tn_tensor *confidence =
      tn_cast(tn_reduce(TN_REDUCE_MAX, tn_field(outputs, "probability"), 1, false), TN_F64);
  tn_status status = tn_outcome();
  for (int64_t i = 0; status >= 0 && i < tn_dim(u, 0); i++) {
    if (tn_f64(confidence)[i] < p->beta) continue;
    if (p->capacity > 0 && p->memory.count - p->source == p->capacity) { /* a ring behind the source */
      flat_index_set(&p->memory, p->oldest, u, i);
      p->labels[p->oldest] = tn_i64(label)[i];
      p->oldest = p->oldest + 1 < p->memory.count ? p->oldest + 1 : p->source;
      continue;
    }
    status = add_labels(p, p->memory.count, tn_i64(label) + i, 1);
    if (status >= 0) status = flat_index_add(&p->memory, tn_slice(u, 0, i, i + 1));
  }
  return status;
}

static tn_status adanpc_reset(void *self) {
  struct adanpc *p = self;
  flat_index_truncate(&p->memory, p->source);
  p->oldest = p->source;
  return TN_OK;
}

static void adanpc_destroy(void *self) {
  struct adanpc *p = self;
  flat_index_clear(&p->memory);
  tn_free(p->labels);
}

static tn_status adanpc_state(void *self, const tn_visitor *visitor) {
  struct adanpc *p = self;
  void *labels = p->labels;
  tn_visit_integer(visitor, "source", &p->source);
  tn_visit_integer(visitor, "oldest", &p->oldest);
  tn_visit_integer(visitor, "count", &p->memory.count);
  tn_visit_integer(visitor, "width", &p->memory.width);
  int64_t blocks = p->memory.block_count;
  tn_status status = tn_visit_integer(visitor, "blocks", &blocks);
  size_t bytes = (size_t)p->memory.count * sizeof *p->labels;
  if (status >= 0) status = tn_visit_block(visitor, "labels", &labels, &bytes);
  if (status < 0) return status;
  p->labels = labels;
  if (visitor->loading) p->room = (int64_t)(bytes / sizeof *p->labels);
  if (p->memory.count > p->room || p->memory.count > blocks * FLAT_BLOCK)
    return tn_fail(TN_ERROR_INVALID, "the saved memory is damaged");
  if (visitor->loading && blocks != p->memory.block_count) {
    if (blocks < 0 || blocks > 1 << 20) return tn_fail(TN_ERROR_INVALID, "the saved memory is damaged");
    for (int64_t b = blocks; b < p->memory.block_count; b++) tn_release(p->memory.blocks[b]);
    tn_tensor **more = tn_resize(p->memory.blocks, (size_t)(blocks + 1) * sizeof *more);
    if (!more) return TN_ERROR_MEMORY;
    for (int64_t b = p->memory.block_count; b < blocks; b++) more[b] = NULL;
    p->memory.blocks = more;
    p->memory.block_count = blocks;
  }
  for (int64_t b = 0; status >= 0 && b < blocks; b++) {
    char name[32];
    snprintf(name, sizeof name, "block.%lld", (long long)b);
    status = tn_visit_tensor(visitor, name, &p->memory.blocks[b]);
  }
  return status;
}

static const tn_predictor adanpc_table = {.size = sizeof(tn_predictor),
                                          .fit = adanpc_fit,
                                          .predict = adanpc_predict,
                                          .declare = adanpc_declare,
                                          .adapt = adanpc_adapt,
                                          .reset = adanpc_reset};
static const tn_class adanpc_class = {
    .size = sizeof(tn_class),
    .kind = TN_PREDICTOR,
    .name = "adanpc",
    .summary = "Vote of the nearest features of a memory that takes in the test stream",
    .reference = "Zhang et al. 2023, AdaNPC: Exploring Non-Parametric Classifier for Test-Time Adaptation",
    TN_CLASS_PARAMS(adanpc_params),
    .instance_size = sizeof(struct adanpc),
    .vtable = &adanpc_table,
    .destroy = adanpc_destroy,
    .state = adanpc_state};
TN_PLUGIN("predictor_adanpc", "1.0.0", "MIT", &adanpc_class)
