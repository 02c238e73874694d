// SPDX-License-Identifier: MIT
/* Distillation from the network's own past: what the teachers are, what they say, and what they leave alone.
 */
#include "../models/support.h"
#include <string.h>
#include <tenon/loss.h>
#include <tenon/supernet.h>

TestSuite(voting, .fini = harness_close, .timeout = 60);

enum { N = 6, WIDTH = 3, CLASSES = 2 };

/* A linear model with logits W x, and the loss [past] with `keys`. */
typedef struct school {
  const tn_component *model, *past;
  tn_params *student;
  tn_fields *batch;
} school;

static tn_fields *batch_of(void) {
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "input", waves(TN_SHAPE(N, WIDTH), 0));
  tn_fields_set(fields, "label", harness_labels(N, (const int64_t[N]){0, 1, 0, 1, 1, 0}));
  return fields;
}
static void declare(school *s, tn_spec *spec) {
  const tn_spec *outputs;
  s->model = harness_component("m");
  s->past = harness_component("past");
  cr_assert(tn_declare_component(s->model, spec, &outputs) >= 0, "%s", harness_failure());
  cr_assert(tn_declare_component(s->past, outputs, NULL) >= 0, "%s", harness_failure());
  tn_spec_release(spec);
  s->student = tn_parameters(s->model);
}
static void open_school(school *s, const char *keys) {
  char sections[512];
  snprintf(sections, sizeof sections,
           "[m]\nuse = model.mlp\nhidden =\nbias = no\n[past]\nuse = loss.voting_distillation\n%s\n", keys);
  harness_open("float64", sections);
  tn_spec *spec = tn_spec_new();
  tn_spec_set(spec, "input", TN_FLOAT, TN_SHAPE(WIDTH), 0);
  tn_spec_set(spec, "label", TN_I64, tn_shape_of(tn_scalar(TN_I64, 0)), CLASSES);
  declare(s, spec);
  s->batch = batch_of();
}
static void set_weights(const school *s, double a, double b) {
  tn_tensor *w = tn_param_tensor(s->student, 0);
  EXPECT_INT(tn_params_numel(s->student), CLASSES * WIDTH);
  for (int64_t i = 0; i < CLASSES * WIDTH; i++) tn_f64(w)[i] = a * sin(b * (double)(i + 1));
}

static tn_tensor *logits_of(const school *s, const tn_params *params) {
  tn_rng rng = tn_rng_at("voting", "test", 0);
  tn_model_call call = {
      .size = sizeof call, .params = params, .inputs = s->batch, .outputs = tn_fields_new(), .rng = &rng};
  call.progress = (tn_progress){.size = sizeof call.progress, .mode = TN_TRAIN};
  cr_assert(tn_model_apply(s->model, &call) >= 0, "%s", harness_failure());
  return tn_field(call.outputs, "logits");
}
static tn_loss_call call_of(const school *s, const tn_fields *fields, tn_rng *rng, int64_t step) {
  tn_loss_call call = {.size = sizeof call,
                       .fields = fields,
                       .rng = rng,
                       .model = s->model,
                       .model_params = s->student,
                       .batch = s->batch};
  call.progress =
      (tn_progress){.size = sizeof call.progress, .mode = TN_TRAIN, .step = step, .steps = 100, .epochs = 10};
  call.progress.epoch = (double)step / 10;
  return call;
}
/* The divergence for the student as it is; its gradient, if asked for. */
static double value_of(const school *s, tn_params *gradient) {
  tn_fields *fields = tn_fields_new();
  tn_rng rng = tn_rng_at("voting", "loss", 0);
  tn_fields_merge(fields, s->batch);
  tn_fields_set(fields, "logits", logits_of(s, s->student));
  const tn_loss_call call = call_of(s, fields, &rng, 0);
  tn_tensor *value = tn_loss_value(s->past, &call);
  cr_assert(!tn_poisoned(value), "%s", harness_failure());
  if (gradient) cr_assert(tn_grad_params(value, s->student, gradient) >= 0, "%s", harness_failure());
  return tn_item(value);
}
/* The student as it is becomes a teacher, if it is time. */
static void after_step(const school *s, int64_t step) {
  tn_rng rng = tn_rng_at("voting", "loss", 0);
  const tn_loss_call call = call_of(s, s->batch, &rng, step);
  const bool recording = tn_record(false);
  cr_assert(tn_loss_after_step(s->past, &call) >= 0, "%s", harness_failure());
  tn_record(recording);
}
static int64_t teachers_of(const school *s) {
  harness_state *state = harness_save(s->past);
  const int64_t count = harness_integer(state, "teachers");
  harness_forget(state);
  return count;
}

Test(voting, no_teacher_no_divergence) {
  school s;
  open_school(&s, "interval = 1");
  set_weights(&s, 1, 1);
  EXPECT_NEAR(value_of(&s, NULL), 0, 0);
}

Test(voting, a_teacher_equal_to_the_student_teaches_nothing) {
  school s;
  open_school(&s, "interval = 1\ntemperature = 2\nweight = 3");
  set_weights(&s, 1.5, 2);
  after_step(&s, 0);
  tn_params *gradient = tn_params_like(s.student);
  EXPECT_NEAR(value_of(&s, gradient), 0, 1e-15);
  EXPECT_NEAR(tn_params_norm(gradient), 0, 1e-15);
  tn_params_release(gradient);
}

/* A sure teacher, by its votes (1, 0) or (0, 1), and a student that does not know: ln 2. */
Test(voting, divergence_of_certainty_from_doubt_is_ln_two) {
  school s;
  open_school(&s, "interval = 1\nvote = majority");
  set_weights(&s, 1, 1);
  after_step(&s, 0);
  set_weights(&s, 0, 1);
  EXPECT_NEAR(value_of(&s, NULL), log(2), 1e-15);
}

/* d/dW of weight T^2 mean KL(p || softmax(W x / T)) = weight T mean (q - p) x', whatever the teachers are. */
Test(voting, gradient_is_that_of_constant_targets) {
  school s;
  enum { TEACHERS = 3 };
  const double t = 2, weight = 1.5;
  open_school(&s, "interval = 1\ntemperature = 2\nweight = 1.5");
  double p[N][CLASSES] = {{0}};
  for (int k = 0; k < TEACHERS; k++) {
    set_weights(&s, 1 + k, 0.7 * (k + 1));
    tn_tensor *soft = tn_softmax(tn_scale(logits_of(&s, s.student), 1 / t), 1);
    for (int64_t i = 0; i < N * CLASSES; i++) p[i / CLASSES][i % CLASSES] += harness_at(soft, i) / TEACHERS;
    after_step(&s, k);
  }
  set_weights(&s, 0.8, 3);
  tn_params *gradient = tn_params_like(s.student);
  const double value = value_of(&s, gradient);
  tn_tensor *q = tn_softmax(tn_scale(logits_of(&s, s.student), 1 / t), 1), *x = tn_field(s.batch, "input");
  double kl = 0;
  for (int c = 0; c < CLASSES; c++)
    for (int j = 0; j < WIDTH; j++) {
      double sum = 0;
      for (int i = 0; i < N; i++)
        sum += (harness_at(q, i * CLASSES + c) - p[i][c]) * harness_at(x, i * WIDTH + j) / N;
      EXPECT_NEAR(harness_at(tn_param_tensor(gradient, 0), c * WIDTH + j), weight * t * sum, 1e-14);
    }
  for (int i = 0; i < N; i++)
    for (int c = 0; c < CLASSES; c++) kl += p[i][c] * log(p[i][c] / harness_at(q, i * CLASSES + c)) / N;
  EXPECT_NEAR(value, weight * t * t * kl, 1e-14);
  tn_params_release(gradient);
}

/* Teachers of other weights that vote alike give the same bits. */
Test(voting, teachers_matter_by_their_vote_only) {
  double bits[2][CLASSES * WIDTH];
  for (int k = 0; k < 2; k++) {
    school s;
    open_school(&s, "interval = 1\nvote = majority");
    set_weights(&s, k == 0 ? 1 : 7.3, 1);
    after_step(&s, 0);
    set_weights(&s, 0.8, 3);
    tn_params *gradient = tn_params_like(s.student);
    value_of(&s, gradient);
    for (int i = 0; i < CLASSES * WIDTH; i++) bits[k][i] = harness_at(tn_param_tensor(gradient, 0), i);
    tn_params_release(gradient);
  }
  for (int i = 0; i < CLASSES * WIDTH; i++) EXPECT_REAL(bits[0][i], bits[1][i]);
  cr_assert(fabs(bits[0][0]) > 1e-3);
}

/* Two of three: p = (2/3, 1/3). */
Test(voting, majority_counts_votes) {
  school s;
  open_school(&s, "interval = 1\nvote = majority");
  static const double signs[] = {1, 1, -1};
  for (int k = 0; k < 3; k++) {
    set_weights(&s, signs[k], 1);
    after_step(&s, k);
  }
  set_weights(&s, 0, 1);
  EXPECT_NEAR(value_of(&s, NULL), 2 / 3.0 * log(4 / 3.0) + 1 / 3.0 * log(2 / 3.0), 1e-14);
}

Test(voting, a_loss_without_a_model_has_no_past) {
  school s;
  open_school(&s, "interval = 1");
  s.model = NULL, s.student = NULL;
  after_step(&s, 0);
  EXPECT_INT(teachers_of(&s), 0);
}

/* The last two, one every third step. */
Test(voting, the_queue_keeps_the_last_ones) {
  school s, other;
  open_school(&s, "interval = 3\nteachers = 2");
  for (int k = 0; k < 12; k++) {
    set_weights(&s, 1 + k, 1);
    after_step(&s, k);
    EXPECT_INT(teachers_of(&s), k < 2 ? 0 : k < 5 ? 1 : 2);
  }
  set_weights(&s, 1, 2);
  const double value = value_of(&s, NULL);
  open_school(&other, "interval = 1\nteachers = 2");
  for (int k = 8; k < 12; k += 3) {
    set_weights(&other, 1 + k, 1);
    after_step(&other, k);
  }
  set_weights(&other, 1, 2);
  EXPECT_REAL(value_of(&other, NULL), value);
  /* once an epoch of ten steps; from the second on, if it starts with 2 */
  open_school(&s, "start = 2");
  for (int k = 0; k < 30; k++) {
    set_weights(&s, 1 + k, 1);
    after_step(&s, k);
    EXPECT_INT(teachers_of(&s), (k + 1) / 10);
    set_weights(&s, 1, 2);
    cr_assert((value_of(&s, NULL) > 0) == (k >= 19), "step %d", k);
  }
}

/* A supernet's teacher answers with the architecture that it had. */
Test(voting, teachers_keep_their_own_architecture) {
  school s;
  harness_open("float64", "[m]\nuse = model.darts_supernet\nchannels = 2\ncells = 1\nreductions = 0\n"
                          "nodes = 2\nops = none, skip_connect, sep_conv_3x3\n"
                          "[past]\nuse = loss.voting_distillation\ninterval = 1\n");
  tn_spec *spec = tn_spec_new();
  tn_spec_set(spec, "image", TN_FLOAT, TN_SHAPE(1, 4, 4), 0);
  tn_spec_set(spec, "label", TN_I64, tn_shape_of(tn_scalar(TN_I64, 0)), CLASSES);
  declare(&s, spec);
  s.batch = tn_fields_new();
  tn_fields_set(s.batch, "image", waves(TN_SHAPE(N, 1, 4, 4), 0));
  after_step(&s, 0);
  tn_tensor *p = tn_softmax(logits_of(&s, s.student), 1);
  tn_supernet_table table;
  cr_assert(tn_supernet_of(s.model)->table(s.model->self, 1, &table) >= 0); /* reduce */
  tn_tensor *alpha = tn_param_tensor(s.student, table.alpha);
  for (int64_t i = 0; i < tn_numel(alpha); i++) tn_f64(alpha)[i] = 3 * sin((double)i);
  tn_tensor *q = tn_softmax(logits_of(&s, s.student), 1);
  double kl = 0;
  for (int64_t i = 0; i < N * CLASSES; i++)
    kl += harness_at(p, i) * log(harness_at(p, i) / harness_at(q, i)) / N;
  EXPECT_NEAR(value_of(&s, NULL), kl, 1e-12);
  cr_assert(kl > 1e-6, "the architecture does not matter: %.3g", kl);
}
