// SPDX-License-Identifier: MIT
/* How different the members of an ensemble are, and what their mean gains by it. From their logits (n, K,
 * classes), with p_k their probabilities and q the mean of these:
 *
 *   disagreement       share of samples for which two members name different classes, mean over pairs
 *   q_statistic        (N11 N00 - N01 N10) / (N11 N00 + N01 N10) of a pair, N by who is right (Yule 1900;
 *                      Kuncheva and Whitaker 2003), mean over pairs; a pair with a denominator of 0 is left
 * out member_accuracy    mean over members;    ensemble_gain: accuracy of q minus that member_cross_entropy,
 * ensemble_cross_entropy member_error, ensemble_error, ambiguity    with e(p) = |p - one hot y|^2, the Brier
 * score: e(q) = mean_k e(p_k) - mean_k |p_k - q|^2 (Krogh and Vedelsby 1995) feature_distance   |f_j / |f_j|
 * - f_k / |f_k|| of the members' features, mean over pairs and samples
 *
 * Figures of one member alone have no pairs: disagreement, feature_distance 0. Samples without a label (-1)
 * count for disagreement and distance only. */
#include <math.h>
#include <tenon/metric.h>

enum { MEMBERS = 64 };
struct diversity {
  const char *logits, *label, *features;
  int64_t members, samples, labelled;
  double apart, distance, member_hits, ensemble_hits, member_nats, ensemble_nats;
  double member_error, ensemble_error, ambiguity;
  double *both; /* (members, members): samples that both get right; on the diagonal, that one does */
  size_t both_bytes;
};
static const tn_param diversity_params[] = {
    TN_STRING(struct diversity, logits, "member_logits",
              "field with the members' logits (n, members, classes)"),
    TN_STRING(struct diversity, label, "label", "field with the class numbers (n)"),
    TN_STRING(struct diversity, features, "features",
              "field with the members' features side by side (n, members x d); empty: no distance"),
};

static void diversity_reset(void *self) {
  struct diversity *m = self;
  m->members = m->samples = m->labelled = 0;
  m->apart = m->distance = m->member_hits = m->ensemble_hits = m->member_nats = m->ensemble_nats = 0;
  m->member_error = m->ensemble_error = m->ambiguity = 0;
  tn_free(m->both);
  m->both = NULL;
  m->both_bytes = 0;
}
static void diversity_destroy(void *self) { tn_free(((struct diversity *)self)->both); }

static tn_status diversity_declare(void *self, const tn_spec *fields) {
  const struct diversity *m = self;
  const tn_field_spec *logits = tn_spec_get(fields, m->logits);
  const tn_field_spec *label = logits ? tn_spec_get(fields, m->label) : NULL;
  if (!label) return TN_ERROR_MISSING;
  if (logits->shape.ndim != 2)
    return tn_fail(TN_ERROR_SHAPE, "'%s' must be (members, classes) a sample", m->logits);
  if (label->shape.ndim != 0 || label->classes < 1)
    return tn_fail(TN_ERROR_SHAPE, "'%s' is not a class number", m->label);
  return TN_OK;
}

/* ---- one sample ---- */

/* z (classes) -> probabilities; the class of the highest */
static int64_t softmax(const double *z, int64_t classes, double *p) {
  int64_t best = 0;
  double sum = 0;
  for (int64_t c = 1; c < classes; c++)
    if (z[c] > z[best]) best = c;
  for (int64_t c = 0; c < classes; c++) sum += p[c] = exp(z[c] - z[best]);
  for (int64_t c = 0; c < classes; c++) p[c] /= sum;
  return best;
}

static double brier(const double *p, int64_t classes, int64_t label) {
  double sum = 0;
  for (int64_t c = 0; c < classes; c++) sum += (p[c] - (c == label)) * (p[c] - (c == label));
  return sum;
}

/* p: (members, classes) then room for the mean */
static void see(struct diversity *m, const double *z, int64_t classes, int64_t label, double *p) {
  int64_t named[MEMBERS], best = 0;
  const int64_t members = m->members;
  double *q = p + members * classes;
  for (int64_t c = 0; c < classes; c++) q[c] = 0;
  for (int64_t k = 0; k < members; k++) {
    named[k] = softmax(z + k * classes, classes, p + k * classes);
    for (int64_t c = 0; c < classes; c++) q[c] += p[k * classes + c] / (double)members;
  }
  for (int64_t c = 1; c < classes; c++)
    if (q[c] > q[best]) best = c;
  const double pairs = (double)(members * (members - 1) / 2);
  for (int64_t j = 0; j < members; j++)
    for (int64_t k = j + 1; k < members; k++) m->apart += (named[j] != named[k]) / pairs;
  m->samples++;
  if (label < 0 || label >= classes) return;
  m->labelled++;
  m->ensemble_hits += best == label;
  m->ensemble_nats -= log(fmax(q[label], 1e-300));
  m->ensemble_error += brier(q, classes, label);
  for (int64_t j = 0; j < members; j++) {
    const double *own = p + j * classes;
    double spread = 0;
    for (int64_t c = 0; c < classes; c++) spread += (own[c] - q[c]) * (own[c] - q[c]);
    m->member_hits += (named[j] == label) / (double)members;
    m->member_nats -= log(fmax(own[label], 1e-300)) / (double)members;
    m->member_error += brier(own, classes, label) / (double)members;
    m->ambiguity += spread / (double)members;
    for (int64_t k = 0; k < members; k++) m->both[j * members + k] += named[j] == label && named[k] == label;
  }
}

/* Mean distance over pairs of rows of f (members, d), scaled to length 1. */
static double distance(const double *f, int64_t members, int64_t d) {
  double length[MEMBERS], sum = 0;
  for (int64_t k = 0; k < members; k++) {
    length[k] = 0;
    for (int64_t i = 0; i < d; i++) length[k] += f[k * d + i] * f[k * d + i];
    length[k] = fmax(sqrt(length[k]), 1e-12);
  }
  for (int64_t j = 0; j < members; j++)
    for (int64_t k = j + 1; k < members; k++) {
      double square = 0;
      for (int64_t i = 0; i < d; i++) {
        const double apart = f[j * d + i] / length[j] - f[k * d + i] / length[k];
        square += apart * apart;
      }
      sum += sqrt(square);
    }
  return members > 1 ? sum / (double)(members * (members - 1) / 2) : 0;
}

static tn_status start(struct diversity *m, int64_t members) {
  if (members < 1 || members > MEMBERS)
    return tn_fail(TN_ERROR_SHAPE, "'%s' has %lld members; expected 1 to %d", m->logits, (long long)members,
                   MEMBERS);
  if (m->members > 0 && m->members != members)
    return tn_fail(TN_ERROR_SHAPE, "'%s' has %lld members, before it had %lld", m->logits, (long long)members,
                   (long long)m->members);
  m->members = members;
  if (m->both) return TN_OK;
  m->both_bytes = (size_t)(members * members) * sizeof *m->both;
  m->both = tn_alloc(m->both_bytes);
  return m->both ? TN_OK : TN_ERROR_MEMORY;
}

static tn_status diversity_update(void *self, const tn_fields *fields) {
  struct diversity *m = self;
  const tn_tensor *z = tn_cast(tn_field(fields, m->logits), TN_F64), *label = tn_field(fields, m->label);
  if (tn_failed()) return tn_outcome();
  if (tn_ndim(z) != 3 || label->dtype != TN_I64 || tn_numel(label) != tn_dim(z, 0))
    return tn_fail(TN_ERROR_SHAPE, "'%s' must be (n, members, classes) and '%s' class numbers (n)", m->logits,
                   m->label);
  const int64_t n = tn_dim(z, 0), members = tn_dim(z, 1), classes = tn_dim(z, 2);
  const tn_status status = start(m, members);
  if (status < 0) return status;
  double *p = tn_alloc((size_t)((members + 1) * classes) * sizeof *p);
  if (!p) return TN_ERROR_MEMORY;
  for (int64_t i = 0; i < n; i++) see(m, tn_f64(z) + i * members * classes, classes, tn_i64(label)[i], p);
  tn_free(p);
  const tn_tensor *f = *m->features ? tn_fields_find(fields, m->features) : NULL;
  if (!f || n == 0) return TN_OK;
  f = tn_cast((tn_tensor *)f, TN_F64);
  if (tn_poisoned(f)) return tn_outcome();
  const int64_t d = tn_numel(f) / n / members;
  if (d * members * n != tn_numel(f))
    return tn_fail(TN_ERROR_SHAPE, "'%s' does not hold as many numbers for each of %lld members", m->features,
                   (long long)members);
  for (int64_t i = 0; i < n; i++) m->distance += distance(tn_f64(f) + i * members * d, members, d);
  return TN_OK;
}

/* ---- figures ---- */

static double q_statistic(const struct diversity *m) {
  double sum = 0;
  int64_t pairs = 0;
  for (int64_t j = 0; j < m->members; j++)
    for (int64_t k = j + 1; k < m->members; k++) {
      const double right = m->both[j * m->members + k];
      const double first = m->both[j * m->members + j] - right, second = m->both[k * m->members + k] - right;
      const double wrong = (double)m->labelled - right - first - second;
      const double below = right * wrong + first * second;
      if (below == 0) continue;
      sum += (right * wrong - first * second) / below;
      pairs++;
    }
  return pairs > 0 ? sum / (double)pairs : NAN;
}

static tn_status diversity_values(void *self, tn_metric_sink *sink) {
  const struct diversity *m = self;
  if (m->samples == 0) return TN_OK;
  sink->value(sink, "disagreement", m->apart / (double)m->samples);
  if (*m->features) sink->value(sink, "feature_distance", m->distance / (double)m->samples);
  if (m->labelled == 0) return TN_OK;
  const double n = (double)m->labelled, q = q_statistic(m);
  if (!isnan(q)) sink->value(sink, "q_statistic", q);
  sink->value(sink, "member_accuracy", m->member_hits / n);
  sink->value(sink, "ensemble_gain", (m->ensemble_hits - m->member_hits) / n);
  sink->value(sink, "member_cross_entropy", m->member_nats / n);
  sink->value(sink, "ensemble_cross_entropy", m->ensemble_nats / n);
  sink->value(sink, "member_error", m->member_error / n);
  sink->value(sink, "ensemble_error", m->ensemble_error / n);
  sink->value(sink, "ambiguity", m->ambiguity / n);
  return TN_OK;
}

static tn_status diversity_merge(void *self, const void *other) {
  struct diversity *m = self;
  const struct diversity *more = other;
  if (more->samples == 0) return TN_OK;
  const tn_status status = start(m, more->members);
  if (status < 0) return status;
  for (int64_t i = 0; i < m->members * m->members; i++) m->both[i] += more->both[i];
  m->samples += more->samples;
  m->labelled += more->labelled;
  m->apart += more->apart;
  m->distance += more->distance;
  m->member_hits += more->member_hits;
  m->ensemble_hits += more->ensemble_hits;
  m->member_nats += more->member_nats;
  m->ensemble_nats += more->ensemble_nats;
  m->member_error += more->member_error;
  m->ensemble_error += more->ensemble_error;
  m->ambiguity += more->ambiguity;
  return TN_OK;
}

static tn_status diversity_state(void *self, const tn_visitor *visitor) {
  struct diversity *m = self;
  void *both = m->both;
  tn_visit_integer(visitor, "members", &m->members);
  tn_visit_integer(visitor, "samples", &m->samples);
  tn_visit_integer(visitor, "labelled", &m->labelled);
  tn_visit_real(visitor, "apart", &m->apart);
  tn_visit_real(visitor, "distance", &m->distance);
  tn_visit_real(visitor, "member_hits", &m->member_hits);
  tn_visit_real(visitor, "ensemble_hits", &m->ensemble_hits);
  tn_visit_real(visitor, "member_nats", &m->member_nats);
  tn_visit_real(visitor, "ensemble_nats", &m->ensemble_nats);
  tn_visit_real(visitor, "member_error", &m->member_error);
  tn_visit_real(visitor, "ensemble_error", &m->ensemble_error);
  tn_visit_real(visitor, "ambiguity", &m->ambiguity);
  const tn_status status = tn_visit_block(visitor, "both", &both, &m->both_bytes);
  m->both = both;
  return status;
}

static const tn_metric diversity_table = {.size = sizeof(tn_metric),
                                          .reset = diversity_reset,
                                          .update = diversity_update,
                                          .values = diversity_values,
                                          .declare = diversity_declare,
                                          .merge = diversity_merge};
static const tn_class diversity_class = {
    .size = sizeof(tn_class),
    .kind = TN_METRIC,
    .name = "diversity",
    .summary = "Disagreement of an ensemble's members, and what their mean gains by it",
    .reference = "Krogh and Vedelsby 1995, Neural Network Ensembles, Cross Validation, and Active Learning; "
                 "Kuncheva and Whitaker 2003, Measures of Diversity in Classifier Ensembles",
    TN_CLASS_PARAMS(diversity_params),
    .instance_size = sizeof(struct diversity),
    .vtable = &diversity_table,
    .destroy = diversity_destroy,
    .state = diversity_state};
TN_PLUGIN("metric_diversity", "1.0.0", "MIT", &diversity_class)
