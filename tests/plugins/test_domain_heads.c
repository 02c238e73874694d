// SPDX-License-Identifier: MIT
/* Losses and predictors of networks whose last layer depends on the domain (DRM), and the vote of a queue
 * (AdaNPC's training): against closed forms and finite differences. */
#include "harness.h"
#include <tenon/dataset.h>
#include <tenon/loss.h>
#include <tenon/model.h>
#include <tenon/predictor.h>

TestSuite(domain_heads, .fini = harness_close);

/* ---- loss.knn ---- */

enum { N = 4, D = 3, QUEUE = 6, K = 3 };
static const double rows[N * D] = {1, 0.2, -0.3, 0.1, 0.8, 0.3, -0.5, 0.4, 0.9, 0.7, 0.6, 0.1};
static const double queued[QUEUE * D] = {2,    0.1, 0,  0.3, 1, 0.2, -0.2, 0.1,  1,
                                         -0.6, 0.5, 1., 0.9, 1, 0,   0.5,  -0.7, 0.2};
static const int64_t queued_labels[QUEUE] = {0, 1, 2, 0, 1, 2}, labels[N] = {0, 1, 0, 1};
#define KNN "[l]\nuse = loss.knn\nqueue = 6\nk = 3\ntemperature = 0.5\n"

static tn_loss_call call_of(tn_tensor *z, tn_tensor *label) {
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "features", z);
  tn_fields_set(fields, "label", label);
  return (tn_loss_call){.size = sizeof(tn_loss_call), .fields = fields, .progress = {.steps = 10, .step = 5}};
}
static tn_tensor *per_sample(const tn_loss_call *call) {
  tn_tensor *values = tn_loss_per_sample(harness_component("l"), call);
  cr_assert(!tn_failed(), "%s", harness_failure());
  return values;
}
/* Opens the loss and replaces what its queue held at first by `queued`. */
static void open_queue(void) {
  harness_open("float64", KNN);
  const tn_component *loss = harness_component("l");
  tn_spec *spec = tn_spec_new();
  tn_spec_set(spec, "features", TN_FLOAT, TN_SHAPE(D), 0);
  tn_spec_set(spec, "label", TN_I64, (tn_shape){0, {0}}, 3);
  cr_assert(tn_declare_component(loss, spec, NULL) >= 0, "%s", harness_failure());
  tn_spec_release(spec);
  const tn_loss_call call =
      call_of(harness_tensor(TN_SHAPE(QUEUE, D), queued), harness_labels(QUEUE, queued_labels));
  per_sample(&call);
  cr_assert(tn_loss_after_step(loss, &call) >= 0);
}

static double cosine(const double *a, const double *b) {
  double ab = 0, aa = 0, bb = 0;
  for (int k = 0; k < D; k++) ab += a[k] * b[k], aa += a[k] * a[k], bb += b[k] * b[k];
  return ab / sqrt(aa * bb);
}
/* -log(p_y + 1e-5) of one row; tau = 0.5 (1 - 0.9 / 2) half way */
static double by_hand(const double *z, int64_t label, const double *queue, const int64_t *queue_labels) {
  double s[QUEUE], total = 0, right = 0;
  for (int q = 0; q < QUEUE; q++) s[q] = cosine(z, queue + q * D);
  for (int q = 0; q < QUEUE; q++) {
    int nearer = 0;
    for (int r = 0; r < QUEUE; r++) nearer += s[r] > s[q];
    if (nearer >= K) continue;
    total += exp(s[q] / 0.275);
    if (queue_labels[q] == label) right += exp(s[q] / 0.275);
  }
  return -log(fmin(right / total + 1e-5, 1));
}

Test(domain_heads, knn_loss_is_its_formula_and_its_slope) {
  open_queue();
  tn_tensor *z = tn_leaf(harness_tensor(TN_SHAPE(N, D), rows)), *gradient = NULL;
  const tn_loss_call call = call_of(z, harness_labels(N, labels));
  harness_state *before = harness_save(harness_component("l"));
  tn_tensor *values = per_sample(&call);
  tn_grad(tn_sum(values), &z, 1, &gradient, 0);
  harness_state *after = harness_save(harness_component("l"));
  cr_assert(harness_same(before, after), "the backward pass touches the queue");
  harness_forget(before);
  harness_forget(after);
  const double h = 1e-6;
  for (int i = 0; i < N; i++) {
    EXPECT_NEAR(harness_at(values, i), by_hand(rows + i * D, labels[i], queued, queued_labels), 1e-12);
    for (int k = 0; k < D; k++) {
      double two[2];
      for (int side = 0; side < 2; side++) {
        double at[D] = {rows[i * D], rows[i * D + 1], rows[i * D + 2]};
        at[k] += side ? h : -h;
        two[side] = by_hand(at, labels[i], queued, queued_labels);
      }
      EXPECT_NEAR(harness_at(gradient, i * D + k), (two[1] - two[0]) / (2 * h), 1e-6);
    }
  }
}

/* A batch of four replaces the four oldest of six; the next one the other two and the first two of those. */
Test(domain_heads, knn_queue_is_a_ring) {
  open_queue();
  const tn_component *loss = harness_component("l");
  const tn_loss_call call =
      call_of(harness_tensor(TN_SHAPE(N, D), rows), harness_labels(N, (const int64_t[]){2, 2, 1, 0}));
  double queue[QUEUE * D];
  int64_t queue_labels[QUEUE];
  memcpy(queue, queued, sizeof queue);
  memcpy(queue_labels, queued_labels, sizeof queue_labels);
  for (int b = 0, next = 0; b < 3; b++) {
    cr_assert(tn_loss_after_step(loss, &call) >= 0);
    for (int i = 0; i < N; i++, next = (next + 1) % QUEUE) {
      memcpy(queue + next * D, rows + i * D, D * sizeof *rows);
      queue_labels[next] = (const int64_t[]){2, 2, 1, 0}[i];
    }
    double other[N * D]; /* queries that are none of the entries */
    for (int i = 0; i < N * D; i++) other[i] = rows[i] + 0.3 * sin(3. * i + 1);
    if (b != 1)
      continue; /* after the second: six entries that all differ or are the same vector with one label */
    const tn_loss_call probe = call_of(harness_tensor(TN_SHAPE(N, D), other), harness_labels(N, labels));
    const tn_tensor *values = per_sample(&probe);
    for (int i = 0; i < N; i++) {
      double s[QUEUE], total = 0, right = 0;
      bool used[QUEUE] = {false};
      for (int q = 0; q < QUEUE; q++) s[q] = cosine(other + i * D, queue + q * D);
      for (int j = 0; j < K; j++) {
        int best = -1;
        for (int q = 0; q < QUEUE; q++)
          if (!used[q] && (best < 0 || s[q] > s[best])) best = q;
        used[best] = true;
        total += exp(s[best] / 0.275);
        if (queue_labels[best] == labels[i]) right += exp(s[best] / 0.275);
      }
      EXPECT_NEAR(harness_at(values, i), -log(fmin(right / total + 1e-5, 1)), 1e-12);
    }
  }
}

Test(domain_heads, knn_goes_on_from_its_state) {
  open_queue();
  const tn_component *loss = harness_component("l");
  const tn_loss_call call = call_of(harness_tensor(TN_SHAPE(N, D), rows), harness_labels(N, labels));
  const double first = harness_at(per_sample(&call), 0);
  harness_state *state = harness_save(loss);
  cr_assert(tn_loss_after_step(loss, &call) >= 0);
  cr_assert(harness_at(per_sample(&call), 0) != first);
  harness_load(loss, state);
  harness_forget(state);
  EXPECT_REAL(harness_at(per_sample(&call), 0), first);
}

/* ---- loss.domain_specific ---- */

enum { ROWS = 5, HEADS = 3, CLASSES = 2 };
static const double head_logits[ROWS * HEADS * CLASSES] = {
    0.3, -0.2, 1,    0.5, -1, 0.4, 0.1,  0.9,  -0.3, 0.2, 0.7, 0.6, -0.8, 0.2, 0.5,
    1.2, -0.4, -0.6, 0,   2,  0.3, -0.1, -0.2, 0.8,  0.6, 0.4, 0.9, -0.7, 1.1, 0.25};
static const int64_t truth[ROWS] = {0, 1, 1, 0, 1}, domains[ROWS] = {0, 1, 0, 0, 1};

static tn_tensor *risk(tn_tensor *logits, int64_t n, const int64_t *label, const int64_t *domain) {
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "head_logits", logits);
  tn_fields_set(fields, "label", harness_labels(n, label));
  tn_fields_set(fields, "domain", harness_labels(n, domain));
  const tn_loss_call call = {.size = sizeof call, .fields = fields};
  tn_tensor *value = tn_loss_value(harness_component("l"), &call);
  cr_assert(!tn_failed(), "%s", harness_failure());
  return value;
}
static double cross_entropy(const double *l, int64_t y) { return log(exp(l[0]) + exp(l[1])) - l[y]; }

/* 1/K sum_i mean over domain i of (0.7 CE(own head) + 0.3 CE(head 0)); d CE / d l = p - onehot */
Test(domain_heads, each_domain_trains_its_own_head_and_the_joint_one) {
  harness_open("float64", "[l]\nuse = loss.domain_specific\njoint = 0.3\n");
  tn_tensor *logits = tn_leaf(harness_tensor(TN_SHAPE(ROWS, HEADS, CLASSES), head_logits)), *gradient = NULL;
  tn_tensor *value = risk(logits, ROWS, truth, domains);
  tn_grad(value, &logits, 1, &gradient, 0);
  const double size[2] = {3, 2};
  double wanted = 0;
  for (int i = 0; i < ROWS; i++)
    for (int h = 0; h < HEADS; h++) {
      const double *l = head_logits + (i * HEADS + h) * CLASSES;
      const double weight = (h == 0 ? 0.3 : h == domains[i] + 1 ? 0.7 : 0) / (2 * size[domains[i]]);
      wanted += weight * cross_entropy(l, truth[i]);
      for (int c = 0; c < CLASSES; c++) {
        const double slope = weight * (exp(l[c]) / (exp(l[0]) + exp(l[1])) - (c == truth[i]));
        const double got = harness_at(gradient, (i * HEADS + h) * CLASSES + c);
        if (weight > 0)
          EXPECT_NEAR(got, slope, 1e-15);
        else
          cr_assert(got == 0, "row %d of domain %d reaches head %d", i, (int)domains[i], h);
      }
    }
  EXPECT_NEAR(tn_item(value), wanted, 1e-14);
}

/* K = 1 and both heads equal: the plain cross-entropy. */
Test(domain_heads, one_domain_with_equal_heads_is_plain_cross_entropy) {
  harness_open("float64", "[l]\nuse = loss.domain_specific\n");
  double twice[ROWS * 2 * CLASSES], wanted = 0;
  for (int i = 0; i < ROWS; i++) {
    for (int h = 0; h < 2; h++) memcpy(twice + (i * 2 + h) * 2, head_logits + i * 6, 2 * sizeof *twice);
    wanted += cross_entropy(head_logits + i * 6, truth[i]) / ROWS;
  }
  const int64_t zero[ROWS] = {0};
  EXPECT_NEAR(tn_item(risk(harness_tensor(TN_SHAPE(ROWS, 2, CLASSES), twice), ROWS, truth, zero)), wanted,
              1e-14);
}

Test(domain_heads, a_domain_without_a_head_is_refused) {
  harness_open("float64", "[l]\nuse = loss.domain_specific\n");
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "head_logits", harness_tensor(TN_SHAPE(ROWS, HEADS, CLASSES), head_logits));
  tn_fields_set(fields, "label", harness_labels(ROWS, truth));
  tn_fields_set(fields, "domain", harness_labels(ROWS, (const int64_t[]){0, 1, 2, 0, 1}));
  const tn_loss_call call = {.size = sizeof call, .fields = fields};
  tn_loss_value(harness_component("l"), &call);
  EXPECT_CONTAINS(harness_failure(), "domain 2 has no head");
}
