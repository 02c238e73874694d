// SPDX-License-Identifier: MIT
/* AdaNPC (Zhang et al. 2023, AdaNPC: Exploring Non-Parametric Classifier for Test-Time Adaptation): a vote of
 * the k nearest features of a memory M, which takes in the test stream with its own predictions.
 *
 *   u = z / ||z||,  s = u M'         M: the features of all training rows, then of the stream
 *   w = softmax(s / temperature)     over the k nearest; with `radius`, over all with s >= radius if every
 *                                    query of the batch has one
 *   p = sum_j w_j onehot(label_j)
 *   after the prediction, (u, argmax p) joins M where max p >= beta
 *
 * bn: z goes through a batch normalisation of its own first, whose scale and shift descend the mean entropy
 * of p, `bn_steps` steps a batch after the prediction and before the batch joins M. replace = herding: M
 * holds `capacity` entries, training rows included, an equal share a class; when a class has outgrown its
 * share, an eighth of it is left free and the entries are kept that herding chooses. */
#include "backbone.h"
#include "descent.h"
#include "feature_norm.h"
#include "herding.h"
#include "memory.h"

enum { RING, HERDING };
enum { AS_IS, NORMALISED };

struct adanpc {
  const tn_component *model, *optimizer, *index;
  const char *features;
  int64_t k, capacity, bn_steps;
  double temperature, beta, radius;
  int32_t replace, bn_memory;
  bool bn;

  int64_t classes, source; /* source: entries of the training rows */
  int64_t oldest;          /* of a ring: the stream's entry that is replaced next */
  struct memory memory;
  struct memory start; /* of herding: the memory after fit, for reset */
  struct feature_norm norm;
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
               "of the memory: of the stream's part (ring) or of all of it (herding); 0: no bound"),
    TN_CHOICE(struct adanpc, replace, "ring", "ring|herding",
              "what a full memory keeps: the newest of the stream, or what follows the means of the classes"),
    TN_BOOL(struct adanpc, bn, "no", "normalise features by the batch, trained on the stream's entropy"),
    TN_CHOICE(struct adanpc, bn_memory, "as_is", "as_is|normalised",
              "training features in the memory, with bn: as they are, or normalised by their own statistics"),
    TN_INTEGER(struct adanpc, bn_steps, "1", 0, 1000, NULL, "of the optimizer a batch, with bn"),
    TN_REFERENCE(struct adanpc, optimizer, 0, TN_OPTIMIZER, "optimizer.adam", "of the scale and shift of bn"),
    TN_STRING(struct adanpc, features, "features", "output field of the model to compare (n, d)"),
    TN_REFERENCE(struct adanpc, index, 0, TN_INDEX, "index.flat",
                 "finds the nearest entries of the memory; fresh instances are made of it"),
};

static bool is_herded(const struct adanpc *p) { return p->replace == HERDING && p->capacity > 0; }

/* Without bn these are the vectors that are compared. */
static tn_status remember(void *self, const tn_fields *inputs, const tn_fields *outputs) {
  struct adanpc *p = self;
  tn_tensor *z = tn_field(outputs, p->features), *label = tn_field(inputs, "label");
  if (tn_failed()) return tn_outcome();
  for (int64_t i = 0; i < tn_dim(z, 0); i++)
    if (tn_i64(label)[i] < 0 || tn_i64(label)[i] >= p->classes)
      return tn_fail(TN_ERROR_INVALID, "label %lld of the memory is no class", (long long)tn_i64(label)[i]);
  tn_tensor *flat = tn_flatten(z);
  return memory_add(&p->memory, p->bn ? flat : unit_rows(flat), tn_i64(label));
}

static tn_status adanpc_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct adanpc *p = self;
  if (!p->memory.index) p->memory.index = tn_instantiate(p->index);
  if (!p->start.index && is_herded(p)) p->start.index = tn_instantiate(p->index);
  if (!p->memory.index || (is_herded(p) && !p->start.index)) return TN_ERROR_MISSING;
  return backbone_declare(p->model, inputs, declaration, &p->classes);
}

/* ---- the bounded memory ---- */

static int64_t held(const struct adanpc *p, int64_t label) {
  int64_t count = 0;
  for (int64_t i = 0; i < p->memory.count; i++) count += p->memory.labels[i] == label;
  return count;
}

/* Of a class with `count` entries those stay in the memory that herding chooses. */
static tn_status herd(struct adanpc *p, int64_t label, int64_t count, int64_t keep) {
  const int64_t all = p->memory.count;
  int64_t *chosen = tn_alloc((size_t)keep * sizeof *chosen);
  bool *kept = tn_alloc((size_t)all);
  tn_scope_open();
  tn_tensor *which = tn_empty(TN_I64, TN_SHAPE(count)), *vectors;
  tn_status status = chosen && kept ? tn_outcome() : TN_ERROR_MEMORY;
  for (int64_t i = 0, n = 0; status >= 0 && i < all; i++) {
    kept[i] = p->memory.labels[i] != label;
    if (!kept[i]) tn_i64(which)[n++] = i;
  }
  if (status >= 0) status = tn_index_get(p->memory.index, which, &vectors);
  const tn_tensor *x = status >= 0 ? tn_cast(vectors, TN_F64) : NULL; /* (count, d) */
  if (status >= 0) status = tn_outcome();
  if (status >= 0) status = herding_choose(tn_f64(x), count, tn_dim(x, 1), keep, chosen);
  for (int64_t t = 0; status >= 0 && t < keep; t++) kept[tn_i64(which)[chosen[t]]] = true;
  tn_scope_close();
  if (status >= 0) status = memory_keep(&p->memory, kept);
  tn_free(chosen);
  tn_free(kept);
  return status;
}

static int64_t share(const struct adanpc *p) { return p->capacity / p->classes; }

/* Brings classes that have more than their share down to `keep`. */
static tn_status herd_classes(struct adanpc *p, int64_t keep) {
  tn_status status = TN_OK;
  for (int64_t c = 0; status >= 0 && c < p->classes; c++) {
    const int64_t count = held(p, c);
    if (count > share(p)) status = herd(p, c, count, keep);
  }
  return status;
}

static tn_status begin_herding(struct adanpc *p) {
  if (share(p) < 1)
    return tn_fail(TN_ERROR_INVALID, "capacity = %lld is less than one entry for each of %lld classes",
                   (long long)p->capacity, (long long)p->classes);
  const tn_status status = herd_classes(p, share(p));
  return status < 0 ? status : memory_copy(&p->start, &p->memory);
}

static tn_status adanpc_fit(void *self, const tn_component *data, const tn_references *transforms) {
  struct adanpc *p = self;
  memory_clear(&p->memory);
  memory_clear(&p->start);
  tn_status status = backbone_each(p->model, data, transforms, remember, p);
  if (status >= 0 && p->bn)
    status = feature_norm_begin(&p->norm, p->memory.index, p->bn_memory == NORMALISED, p->optimizer);
  if (status >= 0 && is_herded(p)) status = begin_herding(p);
  p->source = p->memory.count;
  p->oldest = p->source;
  if (status >= 0 && p->source < p->k)
    return tn_fail(TN_ERROR_INVALID, "k = %lld, but the memory holds %lld entries", (long long)p->k,
                   (long long)p->source);
  return status;
}

/* ---- the vote ---- */

struct neighbours {
  int64_t most;              /* columns */
  tn_tensor *cosine, *which; /* (n, most), the nearest first */
  int64_t *used;             /* (n): how many of them vote */
};

/* Entries to look at: k, or enough for every one within the radius. */
static tn_status reach(const struct adanpc *p, tn_tensor *u, int64_t *k) {
  tn_tensor *nearest, *which; /* (n, 1) */
  *k = p->k;
  if (p->radius > 1) return TN_OK;
  const tn_status status = tn_index_search(p->memory.index, u, 1, &nearest, &which);
  const tn_tensor *cosine = status >= 0 ? tn_cast(nearest, TN_F64) : NULL;
  if (status < 0 || tn_failed()) return tn_failed() ? tn_outcome() : status;
  for (int64_t i = 0; i < tn_dim(u, 0); i++)
    if (tn_f64(cosine)[i] < p->radius) return TN_OK; /* one has no neighbour within: k for all */
  *k = p->memory.count;
  return TN_OK;
}

static tn_status find(const struct adanpc *p, tn_tensor *u, struct neighbours *found) {
  const int64_t n = tn_dim(u, 0);
  if (tn_index_count(p->memory.index) != p->memory.count)
    return tn_fail(TN_ERROR_INVALID, "the index holds %lld entries, the memory %lld",
                   (long long)tn_index_count(p->memory.index), (long long)p->memory.count);
  int64_t k;
  tn_tensor *nearest;
  tn_status status = reach(p, u, &k);
  if (status >= 0) status = tn_index_search(p->memory.index, u, k, &nearest, &found->which);
  if (status < 0) return status;
  tn_tensor *used = tn_full(TN_I64, TN_SHAPE(n), (double)k);
  found->most = k;
  found->cosine = tn_cast(nearest, TN_F64);
  found->used = tn_i64(used);
  if (tn_failed()) return tn_outcome();
  const double *cosine = tn_f64(found->cosine);
  for (int64_t i = 0; k > p->k && i < n; i++) /* within the radius */
    for (found->used[i] = 1; found->used[i] < k && cosine[i * k + found->used[i]] >= p->radius;)
      found->used[i]++;
  return TN_OK;
}

/* The vote of `count` entries with cosines s, into p (classes). */
static void vote(const struct adanpc *p, const double *s, const int64_t *which, int64_t count, double *out) {
  double total = 0;
  for (int64_t c = 0; c < p->classes; c++) out[c] = 0;
  for (int64_t j = 0; j < count; j++) {
    const double w = exp((s[j] - s[0]) / p->temperature);
    out[p->memory.labels[which[j]]] += w;
    total += w;
  }
  for (int64_t c = 0; c < p->classes; c++) out[c] /= total;
}

/* Features (n, d) to what is compared. */
static tn_tensor *compared(const struct adanpc *p, tn_tensor *z) {
  return unit_rows(p->bn ? feature_norm_apply(&p->norm, z) : z);
}

static tn_status adanpc_predict(void *self, const tn_fields *inputs, tn_fields *outputs) {
  struct adanpc *p = self;
  if (p->memory.count < p->k) return tn_fail(TN_ERROR_INVALID, "not fitted");
  const bool recording = tn_record(false);
  tn_fields *made = backbone_outputs(p->model, NULL, inputs, TN_NORM_DEFAULT);
  tn_tensor *z = made ? tn_field(made, p->features) : NULL;
  tn_tensor *flat = z && !tn_failed() ? tn_flatten(z) : NULL, *u = flat ? compared(p, flat) : NULL;
  tn_record(recording);
  if (!u || tn_failed()) return tn_failed() ? tn_outcome() : TN_ERROR_INVALID;
  const int64_t n = tn_dim(u, 0);
  struct neighbours found;
  tn_tensor *probability = tn_empty(TN_F64, TN_SHAPE(n, p->classes));
  const tn_status status = find(p, u, &found);
  for (int64_t i = 0; status >= 0 && i < n; i++)
    vote(p, tn_f64(found.cosine) + i * found.most, tn_i64(found.which) + i * found.most, found.used[i],
         tn_f64(probability) + i * p->classes);
  tn_fields_set(outputs, "features", u); /* what adapt stores: the same bits that were compared */
  if (p->bn) tn_fields_set(outputs, "raw_features", flat);
  tn_fields_set(outputs, "probability", tn_cast(probability, z->dtype));
  tn_fields_set(outputs, "label", tn_argmax(probability, 1));
  return status;
}

/* ---- bn: the entropy of the vote, as a function of scale and shift ---- */

struct pairs {
  const tn_component *index;
  tn_tensor *which; /* (n, most) */
};

/* s_ij = u_i m_j: du_i = sum_j ds_ij m_j */
static void cosine_backward(void *saved, tn_tensor *const *inputs, uint32_t count, tn_tensor *value,
                            tn_tensor *gradient, tn_tensor **gradients) {
  const struct pairs *pairs = saved;
  const int64_t n = tn_dim(value, 0), most = tn_dim(value, 1), width = tn_dim(inputs[0], 1);
  tn_tensor *slope = tn_zeros(TN_F64, TN_SHAPE(n, width));
  const tn_tensor *wide = tn_cast(gradient, TN_F64);
  (void)count;
  for (int64_t i = 0; !tn_failed() && i < n; i++) {
    tn_tensor *keys;
    tn_scope_open();
    const tn_tensor *which = tn_reshape(tn_slice(pairs->which, 0, i, i + 1), TN_SHAPE(most));
    const bool got = tn_index_get(pairs->index, which, &keys) >= 0; /* (most, d) */
    if (got) keys = tn_cast(keys, TN_F64);
    for (int64_t j = 0; got && !tn_failed() && j < most; j++) {
      const double ds = tn_f64(wide)[i * most + j];
      if (ds == 0) continue;
      for (int64_t d = 0; d < width; d++) tn_f64(slope)[i * width + d] += ds * tn_f64(keys)[j * width + d];
    }
    tn_scope_close();
  }
  gradients[0] = tn_cast(slope, inputs[0]->dtype);
}

/* The labels of the neighbours, and 0 or -inf (n, most) where one does not vote. */
static void ballots(const struct adanpc *p, const struct neighbours *found, int64_t *label, double *barred) {
  for (int64_t i = 0; i < tn_dim(found->which, 0); i++)
    for (int64_t j = 0; j < found->most; j++) {
      label[i * found->most + j] = p->memory.labels[tn_i64(found->which)[i * found->most + j]];
      barred[i * found->most + j] = j < found->used[i] ? 0 : -INFINITY;
    }
}

static tn_status vote_entropy(void *self, const void *batch, tn_tensor **loss) {
  static const tn_custom_op cosine_op = {sizeof cosine_op, "cosines of neighbours", cosine_backward};
  const struct adanpc *p = self;
  const tn_fields *outputs = batch;
  tn_tensor *u = compared(p, tn_field(outputs, "raw_features")); /* (n, d) */
  if (tn_failed()) return tn_outcome();
  struct neighbours found;
  const tn_status status = find(p, tn_stop_gradient(u), &found);
  if (status < 0) return status;
  const tn_shape shape = tn_shape_of(found.which);
  tn_tensor *label = tn_empty(TN_I64, shape), *barred = tn_empty(TN_F64, shape);
  tn_tensor *saved =
      tn_empty(TN_U8, TN_SHAPE((int64_t)sizeof(struct pairs))); /* lives as long as the history */
  if (tn_failed()) return tn_outcome();
  ballots(p, &found, tn_i64(label), tn_f64(barred));
  *(struct pairs *)tn_data(saved) = (struct pairs){p->memory.index, found.which};
  tn_tensor *s = tn_custom(&cosine_op, tn_data(saved), tn_cast(found.cosine, u->dtype), &u, 1);
  tn_tensor *w = tn_softmax(tn_add(tn_scale(s, 1 / p->temperature), tn_cast(barred, u->dtype)), 1);
  tn_tensor *probability = tn_scatter_add(w, 1, label, p->classes); /* p (n, classes) */
  *loss = mean_entropy(tn_log(tn_clamp(probability, 1e-12, 1)));    /* p log p is 0 at p = 0 */
  return tn_outcome();
}

static tn_status adanpc_adapt(void *self, const tn_fields *inputs, const tn_fields *outputs) {
  struct adanpc *p = self;
  (void)inputs;
  const struct descent descent = {p->optimizer, p->norm.params, p->norm.gradient, &p->norm.step};
  tn_status status = p->bn ? descend(&descent, p->bn_steps, vote_entropy, p, outputs) : TN_OK;
  tn_tensor *u = tn_field(outputs, "features"), *label = tn_field(outputs, "label");
  tn_tensor *confidence =
      tn_cast(tn_reduce(TN_REDUCE_MAX, tn_field(outputs, "probability"), 1, false), TN_F64);
  if (status >= 0) status = tn_outcome();
  const bool ring = p->replace == RING && p->capacity > 0;
  for (int64_t i = 0; status >= 0 && i < tn_dim(u, 0); i++) {
    if (tn_f64(confidence)[i] < p->beta) continue;
    if (ring && p->memory.count - p->source == p->capacity) { /* behind the source */
      status = tn_index_set(p->memory.index, p->oldest, tn_slice(u, 0, i, i + 1));
      p->memory.labels[p->oldest] = tn_i64(label)[i];
      p->oldest = p->oldest + 1 < p->memory.count ? p->oldest + 1 : p->source;
      continue;
    }
    status = memory_add(&p->memory, tn_slice(u, 0, i, i + 1), tn_i64(label) + i);
  }
  return status >= 0 && is_herded(p) ? herd_classes(p, share(p) - share(p) / 8) : status;
}

static tn_status adanpc_reset(void *self) {
  struct adanpc *p = self;
  if (p->source == 0) return TN_OK; /* not fitted */
  const tn_status status =
      is_herded(p) ? memory_copy(&p->memory, &p->start) : memory_truncate(&p->memory, p->source);
  p->oldest = p->source;
  return status >= 0 && p->bn && p->norm.mean ? feature_norm_reset(&p->norm, p->optimizer) : status;
}

static void adanpc_destroy(void *self) {
  struct adanpc *p = self;
  memory_release(&p->memory);
  memory_release(&p->start);
  feature_norm_release(&p->norm);
}

static tn_status adanpc_state(void *self, const tn_visitor *visitor) {
  struct adanpc *p = self;
  tn_visit_integer(visitor, "source", &p->source);
  tn_visit_integer(visitor, "oldest", &p->oldest);
  tn_status status = memory_visit(visitor, "", &p->memory);
  if (status >= 0 && is_herded(p)) status = memory_visit(visitor, "start.", &p->start);
  return status >= 0 && p->bn ? feature_norm_visit(visitor, &p->norm) : status;
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
