// SPDX-License-Identifier: MIT
/* AdaNPC and T3A on networks whose features are the pixels: neighbours, votes and prototypes against plain
 * loops in double precision. */
#include "predicting.h"
#include <tenon/model.h>
#include <tenon/stage.h>

TestSuite(adaptation, .fini = harness_close);

/* `wide` repeats the digits at twelve contrasts: more than one block of the index. */
#define SECTIONS                                                                                         \
  DIGITS                                                                                                 \
  "[wide]\nuse = dataset.domains\ndata = d\nview = contrast\nlevels = 1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, " \
  "0.3, -0.3, -0.4, -0.5, -0.6\n"

Test(adaptation, one_neighbour_is_the_nearest_row) {
  harness_open("float64", SECTIONS "[p]\nuse = predictor.adanpc\nmodel = net\nk = 1\nbeta = 2\n");
  const tn_component *p = fitted("p", "d"), *d = harness_component("d");
  const tn_fields *memory = rows_of(d, "train", 0, tn_dataset_rows(d)), *queries = test_rows(0, 200);
  const tn_fields *outputs = predict_and_adapt(p, queries);
  for (int64_t i = 0; i < 200; i++) {
    EXPECT_INT(label(outputs, i), neighbours(memory, queries, i)->label);
    EXPECT_REAL(probability(outputs, i, label(outputs, i)), 1);
  }
  EXPECT_INT(memory_of(p), tn_dataset_rows(d));
}

Test(adaptation, votes_over_several_blocks_are_those_of_all_cosines) {
  harness_open("float64", SECTIONS "[p]\nuse = predictor.adanpc\nmodel = net\nk = 25\ntemperature = 0.05\n");
  const tn_component *p = fitted("p", "wide"), *wide = harness_component("wide");
  cr_assert(tn_dataset_rows(wide) > 4 * 4096 && tn_dataset_rows(wide) < MOST);
  const tn_fields *memory = rows_of(wide, "", 0, tn_dataset_rows(wide)), *queries = test_rows(0, QUERIES);
  const tn_fields *outputs = predict(p, queries);
  for (int64_t i = 0; i < QUERIES; i++) expect_vote(neighbours(memory, queries, i), 25, 0.05, outputs, i);
}

/* temperature -> 0: the nearest alone; -> infinity: every one of the k has 1 / k */
Test(adaptation, temperature_goes_from_the_nearest_to_the_majority) {
  harness_open("float64", SECTIONS "[cold]\nuse = predictor.adanpc\nmodel = net\nk = 7\ntemperature = 1e-6\n"
                                   "[hot]\nuse = predictor.adanpc\nmodel = net\nk = 7\ntemperature = 1e6\n");
  const tn_component *d = harness_component("d");
  const tn_fields *memory = rows_of(d, "train", 0, tn_dataset_rows(d)), *queries = test_rows(0, QUERIES);
  const tn_fields *cold = predict(fitted("cold", "d"), queries), *hot = predict(fitted("hot", "d"), queries);
  for (int64_t i = 0; i < QUERIES; i++) {
    const neighbour *found = neighbours(memory, queries, i);
    EXPECT_INT(label(cold, i), found->label);
    double share[CLASSES] = {0};
    for (int j = 0; j < 7; j++) share[found[j].label] += 1. / 7;
    for (int c = 0; c < CLASSES; c++) EXPECT_NEAR(probability(hot, i, c), share[c], 1e-6);
  }
}

/* radius: all entries within vote, if every query of the batch has one; else the k nearest of each. */
Test(adaptation, a_radius_counts_for_a_batch_that_is_near_throughout) {
  harness_open("float64", SECTIONS "[p]\nuse = predictor.adanpc\nmodel = net\nk = 3\nradius = 0.9\n");
  const tn_component *p = fitted("p", "d"), *d = harness_component("d");
  const tn_fields *memory = rows_of(d, "train", 0, tn_dataset_rows(d));
  int near = 0, far = 0;
  for (int64_t first = 0; first < 300; first += 4) {
    const tn_fields *queries = test_rows(first, 4), *outputs = predict(p, queries);
    bool within = true;
    for (int64_t i = 0; i < 4; i++) within &= neighbours(memory, queries, i)->cosine >= 0.9;
    near += within;
    far += !within;
    for (int64_t i = 0; i < 4; i++) {
      const neighbour *found = neighbours(memory, queries, i);
      int64_t used = 3;
      if (within)
        for (used = 1; found[used].cosine >= 0.9;) used++;
      expect_vote(found, used, 0.1, outputs, i);
    }
  }
  cr_assert(near > 0 && far > 0, "both cases must occur: %d, %d", near, far);
}

Test(adaptation, a_stored_vector_has_its_own_label_for_certain) {
  harness_open("float64", SECTIONS "[p]\nuse = predictor.adanpc\nmodel = net\nk = 1\n");
  const tn_component *p = fitted("p", "d");
  const tn_fields *stored = rows_of(harness_component("d"), "train", 100, QUERIES), *out = predict(p, stored);
  for (int64_t i = 0; i < QUERIES; i++) EXPECT_REAL(probability(out, i, label(stored, i)), 1);
}

/* A batch does not vote for itself; once stored, each of its rows is its own nearest neighbour. */
Test(adaptation, the_memory_takes_a_batch_in_after_its_prediction) {
  harness_open("float64", SECTIONS "[p]\nuse = predictor.adanpc\nmodel = net\nk = 1\n"
                                   "[five]\nuse = predictor.adanpc\nmodel = net\nk = 5\nbeta = 0.9\n");
  const tn_component *p = fitted("p", "d"), *five = fitted("five", "d");
  const int64_t source = tn_dataset_rows(harness_component("d"));
  tn_fields *queries = test_rows(0, QUERIES), *first = predict_and_adapt(p, queries);
  EXPECT_INT(memory_of(p), source + QUERIES);
  expect_same(first, predict(p, queries));
  tn_fields *outputs = predict_and_adapt(five, queries);
  int64_t certain = 0;
  for (int64_t i = 0; i < QUERIES; i++) certain += probability(outputs, i, label(outputs, i)) >= 0.9;
  cr_assert(certain > 0 && certain < QUERIES);
  EXPECT_INT(memory_of(five), source + certain);
}

/* The newest `capacity` rows of the stream are held: as if only those had been seen. */
Test(adaptation, a_capacity_keeps_the_newest) {
  harness_open("float64", SECTIONS "[p]\nuse = predictor.adanpc\nmodel = net\ncapacity = 7\nk = 1\n"
                                   "[q]\nuse = predictor.adanpc\nmodel = net\nk = 1\n");
  const tn_component *p = fitted("p", "d"), *q = fitted("q", "d");
  const int64_t source = tn_dataset_rows(harness_component("d"));
  for (int64_t first = 0; first < 50; first += 5) {
    predict_and_adapt(p, test_rows(first, 5));
    EXPECT_INT(memory_of(p), source + (first < 5 ? 5 : 7));
  }
  /* the last seven, rows 43 to 49, stored by hand with wrong labels in both: only what is held shows */
  tn_fields *rows = test_rows(43, 7), *wrong = predict(q, rows);
  for (int i = 0; i < 7; i++) {
    tn_tensor *l = tn_field(wrong, "label");
    tn_i64(l)[i] = (tn_i64(l)[i] + 1) % CLASSES;
  }
  for (int round = 0; round < 2; round++) { /* a second time: all seven are replaced in place */
    cr_assert(tn_predictor_adapt(p, rows, wrong) >= 0);
    EXPECT_INT(memory_of(p), source + 7);
    tn_fields *now = predict(p, rows);
    for (int i = 0; i < 7; i++) EXPECT_INT(label(now, i), label(wrong, i));
  }
  /* seven others push them all out again */
  tn_fields *others = test_rows(60, 7);
  cr_assert(tn_predictor_adapt(p, others, predict(p, others)) >= 0);
  expect_same(predict(p, rows), predict(q, rows));
}

Test(adaptation, reset_forgets_the_stream_to_the_bit) {
  harness_open("float64",
               SECTIONS "[p]\nuse = predictor.adanpc\nmodel = net\nk = 40\n"
                        "[r]\nuse = predictor.adanpc\nmodel = net\ncapacity = 11\nk = 40\n"
                        "[h]\nuse = predictor.adanpc\nmodel = net\ncapacity = 300\n"
                        "replace = herding\n"
                        "[b]\nuse = predictor.adanpc\nmodel = net\nbn = yes\nbn_steps = 3\nbeta = 2\n"
                        "[t]\nuse = predictor.t3a\nmodel = net\n"
                        "[o]\nuse = predictor.pseudo_label\nmodel = net\nbeta = 0\n");
  const char *sections[] = {"p", "r", "h", "b", "t", "o"};
  for (int s = 0; s < 6; s++) {
    const tn_component *p = fitted(sections[s], "d");
    tn_fields *rows = test_rows(200, 50), *before = predict(p, rows);
    expect_same(before, predict(p, rows)); /* predicting changes nothing */
    for (int64_t first = 0; first < 200; first += 20) predict_and_adapt(p, test_rows(first, 20));
    const tn_fields *adapted = predict(p, rows);
    bool moved = false;
    for (int64_t i = 0; i < 50 * CLASSES; i++)
      moved |= probability(before, 0, i) != probability(adapted, 0, i);
    cr_assert(moved, "%s adapts to nothing", sections[s]);
    cr_assert(tn_predictor_reset(p) >= 0);
    expect_same(before, predict(p, rows));
  }
}

/* Two predictors with one section for their indexes, of which each has an instance of its own. */
Test(adaptation, predictors_go_on_from_their_state) {
  harness_open("float64", SECTIONS "[i]\nuse = index.flat\n"
                                   "[p0]\nuse = predictor.adanpc\nmodel = net\ncapacity = 30\nindex = i\n"
                                   "[p1]\nuse = predictor.adanpc\nmodel = net\ncapacity = 30\nindex = i\n"
                                   "[t0]\nuse = predictor.t3a\nmodel = net\nfilter = 3\n"
                                   "[t1]\nuse = predictor.t3a\nmodel = net\nfilter = 3\n");
  const char *pairs[][2] = {{"p0", "p1"}, {"t0", "t1"}};
  for (int s = 0; s < 2; s++) {
    const tn_component *a = fitted(pairs[s][0], "wide"), *b = fitted(pairs[s][1], "wide");
    for (int64_t first = 0; first < 45; first += 15) predict_and_adapt(a, test_rows(first, 15));
    hand_over(pairs[s][0], pairs[s][1]);
    if (s == 0) hand_over("i#1", "i#2");
    for (int64_t first = 60; first < 120; first += 20)
      expect_same(predict_and_adapt(a, test_rows(first, 20)), predict_and_adapt(b, test_rows(first, 20)));
    expect_same_state(pairs[s][0], pairs[s][1]);
    if (s == 0) expect_same_state("i#1", "i#2");
  }
}

Test(adaptation, more_neighbours_than_rows_are_refused) {
  harness_open("float64", SECTIONS "[p]\nuse = predictor.adanpc\nmodel = net\nk = 5000\n");
  const tn_component *p = harness_component("p"), *d = harness_component("d");
  tn_spec *spec = tn_spec_new();
  cr_assert(tn_dataset_describe(d, spec) >= 0 && tn_declare_component(p, spec, NULL) >= 0);
  tn_spec_release(spec);
  cr_assert(tn_predictor_fit(p, d, NULL) < 0);
  EXPECT_CONTAINS(harness_failure(), "k = 5000, but the memory holds");
}

/* ---- T3A ---- */

static tn_tensor *parameter(const char *model, const char *name) {
  const tn_params *params = tn_parameters(harness_component(model));
  for (uint32_t i = 0; i < tn_params_count(params); i++) {
    tn_param_entry e;
    tn_params_entry(params, i, &e);
    if (strcmp(e.name, name) == 0) return e.tensor;
  }
  cr_assert(false, "no parameter '%s'", name);
  return NULL;
}

typedef struct support {
  const double *z;
  int64_t label;
  double entropy;
} support;
/* What the linear head says of z. */
static support judged(const double *z) {
  const double *w = tn_f64(parameter("net", "head.weight")), *b = tn_f64(parameter("net", "head.bias"));
  double l[CLASSES], sum = 0;
  support s = {z, 0, 0};
  for (int c = 0; c < CLASSES; c++) {
    l[c] = b[c];
    for (int k = 0; k < D; k++) l[c] += w[c * D + k] * z[k];
    if (l[c] > l[s.label]) s.label = c;
    sum += exp(l[c]);
  }
  for (int c = 0; c < CLASSES; c++) s.entropy -= exp(l[c]) / sum * (l[c] - log(sum));
  return s;
}
static double length_of(const double *z) {
  double square = 0;
  for (int k = 0; k < D; k++) square += z[k] * z[k];
  return sqrt(square);
}

/* Supports: the weight rows and all that came, this batch included; of each class the `filter` of least
 * entropy; prototype = normalised sum of normalised supports; score = z . prototype. */
Test(adaptation, t3a_scores_by_the_prototypes_of_confident_supports) {
  enum { FILTER = 2, N = 30 };
  harness_open("float64", SECTIONS "[p]\nuse = predictor.t3a\nmodel = net\nfilter = 2\n");
  const tn_component *p = fitted("p", "d");
  support supports[CLASSES + 2 * N];
  int64_t count = 0;
  for (int c = 0; c < CLASSES; c++)
    supports[count++] = judged(tn_f64(parameter("net", "head.weight")) + c * D);
  for (int64_t batch = 0; batch < 2; batch++) {
    tn_fields *queries = test_rows(batch * N, N);
    const double *z = tn_f64(tn_field(queries, "image"));
    for (int64_t i = 0; i < N; i++) supports[count++] = judged(z + i * D);
    double prototypes[CLASSES][D] = {{0}};
    for (int64_t s = 0; s < count; s++) {
      int better = 0;
      for (int64_t t = 0; t < count; t++)
        better += supports[t].label == supports[s].label && supports[t].entropy < supports[s].entropy;
      for (int k = 0; better < FILTER && k < D; k++)
        prototypes[supports[s].label][k] += supports[s].z[k] / length_of(supports[s].z);
    }
    tn_fields *outputs = predict_and_adapt(p, queries);
    const tn_tensor *scores = tn_field(outputs, "logits");
    for (int64_t i = 0; i < N; i++)
      for (int c = 0; c < CLASSES; c++) {
        double score = 0;
        for (int k = 0; k < D; k++) score += z[i * D + k] * prototypes[c][k];
        const double length = length_of(prototypes[c]);
        EXPECT_NEAR(harness_at(scores, i * CLASSES + c), length > 0 ? score / length : 0, 1e-10);
      }
  }
}

/* ---- the stream ---- */

static tn_status call(tn_status (*function)(void *), const tn_component *stage) {
  tn_scope_open();
  const tn_status status = function(stage->self);
  tn_scope_close();
  cr_assert(status >= 0, "%s", harness_failure());
  return status;
}
static int64_t next_of(const tn_component *stage) {
  harness_state *state = harness_save(stage);
  const int64_t next = harness_integer(state, "next");
  harness_forget(state);
  return next;
}
#define STREAM(stage, predictor, keys)                                \
  "[" predictor "]\nuse = predictor.adanpc\nmodel = net\nindex = i\n" \
  "[" stage "]\nuse = stage.test_stream\nfit = d\ndata = shifted\npredictor = " predictor "\n" keys "\n"
#define SHIFTED                                                                                   \
  SECTIONS                                                                                        \
  "[shifted]\nuse = dataset.domains\ndata = d:test\nlevels = 20, 40\nsize = 50\ndistinct = yes\n" \
  "[i]\nuse = index.flat\n"

/* Two domains of 50 rows in batches of 32: 32, 18, 32, 18. Without a reset the memory grows by all of them;
 * with one it holds those of the present domain. */
Test(adaptation, a_stream_goes_domain_by_domain) {
  static const int64_t ends[] = {32, 50, 82, 100}, kept[] = {32, 50, 82, 100}, reset[] = {32, 50, 32, 50};
  harness_open("float64", SHIFTED STREAM("s", "p", "reset = never") STREAM("r", "q", "reset = per_domain"));
  const int64_t source = tn_dataset_rows(harness_component("d"));
  for (int which = 0; which < 2; which++) {
    const tn_component *stage = harness_component(which ? "r" : "s"),
                       *p = harness_component(which ? "q" : "p");
    const tn_stage *table = stage->vtable;
    call(table->check, stage);
    call(table->begin, stage);
    for (int b = 0; b < 4; b++) {
      EXPECT_INT(call(table->step, stage), b == 3 ? TN_DONE : TN_OK);
      EXPECT_INT(next_of(stage), ends[b]);
      EXPECT_INT(memory_of(p), source + (which ? reset : kept)[b]);
    }
  }
}

/* Two batches, all states into a fresh stage and predictor, and the rest there: the same memory, bit for bit.
 */
Test(adaptation, a_stream_goes_on_from_its_state) {
  harness_open("float64", SHIFTED STREAM("s", "p", "batch = 24") STREAM("r", "q", "batch = 24"));
  const tn_component *one = harness_component("s"), *two = harness_component("r");
  const tn_stage *table = one->vtable;
  call(table->check, one);
  call(table->check, two);
  call(table->begin, one);
  call(table->begin, two);
  for (int b = 0; b < 2; b++) call(table->step, one);
  hand_over("s", "r");
  hand_over("p", "q");
  hand_over("i#1", "i#2");
  while (call(table->step, one) != TN_DONE) call(table->step, two);
  call(table->step, two);
  EXPECT_INT(next_of(two), 100);
  expect_same_state("p", "q");
  expect_same_state("i#1", "i#2");
}
