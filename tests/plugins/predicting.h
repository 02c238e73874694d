// SPDX-License-Identifier: MIT
/* For tests of predictors: rows of the section `d`, predictors fitted to a data set, their outputs. */
#ifndef TENON_TESTS_PREDICTING_H
#define TENON_TESTS_PREDICTING_H

#include "harness.h"
#include <stdlib.h>
#include <tenon/dataset.h>
#include <tenon/predictor.h>

/* `d` has 1,440 rows or so in its main part; the features of `net` are the pixels. */
#define DIGITS                                                                                       \
  "[d]\nuse = dataset.csv\nfile = " TN_SOURCE_ROOT "/examples/data/digits.csv.gz\nimage = 1, 8, 8\n" \
  "scale = 16\n"                                                                                     \
  "[net]\nuse = model.cnn\nlayers = flatten\n"
enum { D = 64, CLASSES = 10, MOST = 18000, QUERIES = 40 };

static inline tn_fields *rows_of(const tn_component *data, const char *part, int64_t first, int64_t count) {
  int64_t *index = malloc((size_t)count * sizeof *index);
  for (int64_t i = 0; i < count; i++) index[i] = first + i;
  tn_fields *fields = tn_fields_new();
  const tn_status status = ((const tn_dataset *)data->vtable)->read(data->self, part, index, count, fields);
  free(index);
  cr_assert(status >= 0, "%s", harness_failure());
  return fields;
}
static inline tn_fields *test_rows(int64_t first, int64_t count) {
  return rows_of(harness_component("d"), "test", first, count);
}
static inline const tn_component *fitted(const char *section, const char *data) {
  const tn_component *predictor = harness_component(section), *source = harness_component(data);
  tn_spec *spec = tn_spec_new();
  cr_assert(tn_dataset_describe(source, spec) >= 0 && tn_declare_component(predictor, spec, NULL) >= 0, "%s",
            harness_failure());
  tn_spec_release(spec);
  cr_assert(tn_predictor_fit(predictor, source, NULL) >= 0, "%s", harness_failure());
  return predictor;
}
static inline tn_fields *predict(const tn_component *predictor, const tn_fields *inputs) {
  tn_fields *outputs = tn_fields_new();
  cr_assert(tn_predictor_predict(predictor, inputs, outputs) >= 0, "%s", harness_failure());
  return outputs;
}
static inline tn_fields *predict_and_adapt(const tn_component *predictor, const tn_fields *inputs) {
  tn_fields *outputs = predict(predictor, inputs);
  cr_assert(tn_predictor_adapt(predictor, inputs, outputs) >= 0, "%s", harness_failure());
  return outputs;
}
static inline void expect_same(const tn_fields *a, const tn_fields *b) {
  const tn_tensor *p = tn_field(a, "probability"), *q = tn_field(b, "probability");
  EXPECT_INT(tn_numel(p), tn_numel(q));
  for (int64_t i = 0; i < tn_numel(p); i++) EXPECT_REAL(harness_at(p, i), harness_at(q, i));
}
static inline int64_t label(const tn_fields *fields, int64_t row) {
  return tn_i64(tn_field(fields, "label"))[row];
}
static inline double probability(const tn_fields *fields, int64_t row, int64_t c) {
  const tn_tensor *p = tn_field(fields, "probability");
  return harness_at(p, row * tn_dim(p, 1) + c);
}
static inline int64_t memory_of(const tn_component *predictor) {
  harness_state *state = harness_save(predictor);
  const int64_t count = harness_integer(state, "count");
  harness_forget(state);
  return count;
}

/* Puts the state of one section's component into that of another. */
static inline void hand_over(const char *from, const char *to) {
  harness_state *state = harness_save(harness_component(from));
  harness_load(harness_component(to), state);
  harness_forget(state);
}
static inline void expect_same_state(const char *a, const char *b) {
  harness_state *left = harness_save(harness_component(a)), *right = harness_save(harness_component(b));
  cr_assert(harness_same(left, right), "[%s] and [%s] differ", a, b);
  harness_forget(left);
  harness_forget(right);
}

/* ---- the reference: all cosines of a query, sorted; equal ones in the order of the memory ---- */

typedef struct neighbour {
  double cosine;
  int64_t row, label;
} neighbour;
static inline int nearer(const void *a, const void *b) {
  const neighbour *x = a, *y = b;
  return x->cosine != y->cosine ? (x->cosine < y->cosine) - (x->cosine > y->cosine)
                                : (x->row > y->row) - (x->row < y->row);
}
/* Of vectors m (n, D) with labels. */
static inline neighbour *neighbours_among(const double *m, const int64_t *labels, int64_t n,
                                          const double *q) {
  static neighbour found[MOST];
  for (int64_t i = 0; i < n; i++) {
    double dot = 0, mm = 0, qq = 0;
    for (int k = 0; k < D; k++) {
      dot += m[i * D + k] * q[k];
      mm += m[i * D + k] * m[i * D + k];
      qq += q[k] * q[k];
    }
    found[i] = (neighbour){dot / sqrt(mm * qq), i, labels[i]};
  }
  qsort(found, (size_t)n, sizeof *found, nearer);
  return found;
}
static inline neighbour *neighbours(const tn_fields *memory, const tn_fields *queries, int64_t query) {
  const tn_tensor *labels = tn_field(memory, "label");
  return neighbours_among(tn_f64(tn_field(memory, "image")), tn_i64(labels), tn_numel(labels),
                          tn_f64(tn_field(queries, "image")) + query * D);
}
/* Compares the vote of the first `count` at a temperature with what came out. */
static inline void expect_vote(const neighbour *found, int64_t count, double temperature,
                               const tn_fields *outputs, int64_t row) {
  double p[CLASSES] = {0}, total = 0, sum = 0;
  for (int64_t j = 0; j < count; j++) {
    const double w = exp((found[j].cosine - found[0].cosine) / temperature);
    p[found[j].label] += w;
    total += w;
  }
  for (int c = 0; c < CLASSES; c++) {
    EXPECT_NEAR(probability(outputs, row, c), p[c] / total, 1e-9);
    sum += probability(outputs, row, c);
  }
  EXPECT_NEAR(sum, 1, 1e-12);
}

#endif
