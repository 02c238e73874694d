// SPDX-License-Identifier: MIT
/* Test-time adaptation: a predictor learns from training data (`fit`), then sees a stream of test data batch
 * by batch: predict, score, adapt. The stream goes through the domains of `data` in order, each shuffled by
 * the run's seed; the predictor is never reset, or at each new domain.
 *
 * Results: `accuracy` of the whole stream, `accuracy_K` of domain K of the stream (from 0), `mean` over
 * domains, `last_three`, the mean over the last three domains, and `milliseconds` a batch. */
#include <tenon/predictor.h>
#include <time.h>
#include "pass.h"

struct test_stream {
  const tn_component *predictor, *fit, *data;
  tn_references transforms;
  int64_t batch;
  int32_t reset;

  int64_t rows, next, domains, present; /* present: the domain of the last batch; -1: none */
  int64_t *order;                       /* (rows): of the stream */
  int64_t *domain;                      /* (rows): of each row, counted from 0 */
  int64_t *right, *seen;                /* (domains) */
  double seconds;
};
static const tn_param test_stream_params[] = {
    TN_REFERENCE(struct test_stream, predictor, TN_PARAM_REQUIRED, TN_PREDICTOR, NULL, "what is adapted"),
    TN_REFERENCE(struct test_stream, fit, TN_PARAM_REQUIRED, TN_DATASET, NULL,
                 "training data it learns from"),
    TN_REFERENCE(struct test_stream, data, TN_PARAM_REQUIRED, TN_DATASET, NULL,
                 "the stream; its field `domain` says where a new domain begins"),
    TN_REFERENCES(struct test_stream, transforms, 0, TN_TRANSFORM, "", "in front of the predictor, in order"),
    TN_INTEGER(struct test_stream, batch, "32", 1, 1 << 24, "rows", "that arrive together"),
    TN_CHOICE(struct test_stream, reset, "never", "never|per_domain", "when what was adapted is forgotten"),
};

static tn_status test_stream_check(void *self) {
  const struct test_stream *stage = self;
  tn_spec *own;
  const tn_spec *fields;
  tn_status status = pass_declare_data(stage->fit, &stage->transforms, &own, &fields);
  if (status >= 0) status = tn_declare_component(stage->predictor, fields, NULL);
  tn_spec_release(own);
  return status;
}

static void release(struct test_stream *stage) {
  tn_free(stage->order);
  tn_free(stage->domain);
  tn_free(stage->right);
  tn_free(stage->seen);
  stage->order = stage->domain = stage->right = stage->seen = NULL;
}

/* The domain of every row as the data set numbers it; all 0 without such a field. */
static tn_status read_domains(struct test_stream *stage) {
  enum { CHUNK = 512 };
  int64_t index[CHUNK];
  for (int64_t first = 0; first < stage->rows; first += CHUNK) {
    const int64_t count = stage->rows - first < CHUNK ? stage->rows - first : CHUNK;
    for (int64_t i = 0; i < count; i++) index[i] = first + i;
    tn_scope_open();
    tn_fields *fields = tn_fields_new();
    const tn_status status = tn_dataset_read(stage->data, index, count, fields);
    const tn_tensor *domain = status < 0 ? NULL : tn_fields_find(fields, "domain");
    for (int64_t i = 0; domain && i < count; i++) stage->domain[first + i] = tn_i64(domain)[i];
    tn_scope_close();
    if (status < 0) return status;
  }
  return TN_OK;
}

/* Rows domain by domain in the order in which domains first appear, shuffled within each. */
static tn_status make_order(struct test_stream *stage) {
  int64_t at = 0, *shuffled = tn_alloc((size_t)stage->rows * sizeof *shuffled);
  bool *taken = tn_alloc((size_t)stage->rows);
  if (!shuffled || !taken) {
    tn_free(shuffled);
    tn_free(taken);
    return TN_ERROR_MEMORY;
  }
  tn_rng rng = tn_rng_at(stage->data->name, "stream", 0);
  tn_random_permutation(&rng, shuffled, stage->rows);
  stage->domains = 0;
  for (int64_t first = 0; first < stage->rows; first++) {
    if (taken[first]) continue;
    const int64_t number = stage->domain[first];
    for (int64_t i = 0; i < stage->rows; i++) {
      const int64_t row = shuffled[i];
      if (taken[row] || stage->domain[row] != number) continue;
      taken[row] = true;
      stage->order[at++] = row;
    }
    stage->domains++;
  }
  int64_t count = -1, former = -1;
  for (int64_t i = 0; i < stage->rows; i++) { /* shuffled becomes: domain of the stream's i-th row, from 0 */
    if (count < 0 || stage->domain[stage->order[i]] != former)
      former = stage->domain[stage->order[i]], count++;
    shuffled[i] = count;
  }
  memcpy(stage->domain, shuffled, (size_t)stage->rows * sizeof *shuffled);
  tn_free(shuffled);
  tn_free(taken);
  return TN_OK;
}

static tn_status test_stream_begin(void *self) {
  struct test_stream *stage = self;
  release(stage);
  stage->next = 0;
  stage->present = -1;
  stage->seconds = 0;
  stage->rows = tn_dataset_rows(stage->data);
  if (stage->rows < 1)
    return stage->rows < 0 ? TN_ERROR_MISSING : tn_fail(TN_ERROR_INVALID, "the stream is empty");
  stage->order = tn_alloc((size_t)stage->rows * sizeof(int64_t));
  stage->domain = tn_alloc((size_t)stage->rows * sizeof(int64_t));
  stage->right = tn_alloc((size_t)stage->rows * sizeof(int64_t));
  stage->seen = tn_alloc((size_t)stage->rows * sizeof(int64_t));
  if (!stage->order || !stage->domain || !stage->right || !stage->seen) return TN_ERROR_MEMORY;
  tn_status status = read_domains(stage);
  if (status >= 0) status = make_order(stage);
  if (status >= 0) status = pass_fit(stage->fit, &stage->transforms);
  if (status >= 0) status = tn_predictor_fit(stage->predictor, stage->fit, &stage->transforms);
  if (tn_smoke() && stage->rows > 4 * stage->batch) stage->rows = 4 * stage->batch;
  return status;
}

/* Rows of the next batch: it does not reach into another domain. */
static int64_t batch_size(const struct test_stream *stage) {
  int64_t count = 0;
  while (count < stage->batch && stage->next + count < stage->rows &&
         stage->domain[stage->next + count] == stage->domain[stage->next])
    count++;
  return count;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void test_stream_progress(void *self, tn_progress *progress) {
  const struct test_stream *stage = self;
  *progress = (tn_progress){.size = sizeof *progress,
                            .mode = TN_EVALUATE,
                            .step = (stage->next + stage->batch - 1) / stage->batch,
                            .steps = (stage->rows + stage->batch - 1) / stage->batch,
                            .epochs = 1};
}

static tn_status test_stream_step(void *self) {
  struct test_stream *stage = self;
  const int64_t count = batch_size(stage), domain = stage->domain[stage->next];
  const int64_t *index = stage->order + stage->next;
  tn_status status = TN_OK;
  if (stage->reset == 1 && stage->present >= 0 && domain != stage->present)
    status = tn_predictor_reset(stage->predictor);
  stage->present = domain;
  tn_progress progress;
  test_stream_progress(stage, &progress);
  tn_fields *inputs = tn_fields_new(), *outputs = tn_fields_new();
  if (status >= 0) status = tn_dataset_read(stage->data, index, count, inputs);
  if (status >= 0) status = pass_transform(&stage->transforms, NULL, inputs, index, &progress);
  const bool recording = tn_record(false);
  const double began = now();
  if (status >= 0) status = tn_predictor_predict(stage->predictor, inputs, outputs);
  const tn_tensor *guess = status < 0 ? NULL : tn_field(outputs, "label");
  const tn_tensor *truth = status < 0 ? NULL : tn_field(inputs, "label");
  if (status >= 0) status = tn_outcome();
  int64_t right = 0;
  for (int64_t i = 0; status >= 0 && i < count; i++) right += tn_i64(guess)[i] == tn_i64(truth)[i];
  if (status >= 0) status = tn_predictor_adapt(stage->predictor, inputs, outputs);
  stage->seconds += now() - began;
  tn_record(recording);
  if (status < 0) return status;
  stage->right[domain] += right;
  stage->seen[domain] += count;
  stage->next += count;
  test_stream_progress(stage, &progress);
  const tn_scalar_value scalars[] = {
      {"accuracy", (double)right / (double)count},
      {"domain_accuracy", (double)stage->right[domain] / (double)stage->seen[domain]}};
  tn_emit_step(&progress, scalars, 2);
  return stage->next < stage->rows ? TN_OK : TN_DONE;
}

static tn_status test_stream_end(void *self) {
  struct test_stream *stage = self;
  int64_t right = 0, seen = 0;
  double mean = 0, last = 0;
  const int64_t first_of_last = stage->domains > 3 ? stage->domains - 3 : 0;
  for (int64_t d = 0; d < stage->domains; d++) {
    right += stage->right[d];
    seen += stage->seen[d];
    if (stage->seen[d] == 0) continue; /* a shortened run */
    const double accuracy = (double)stage->right[d] / (double)stage->seen[d];
    char name[32];
    snprintf(name, sizeof name, "accuracy_%lld", (long long)d);
    tn_emit_result(name, accuracy);
    mean += accuracy / (double)stage->domains;
    if (d >= first_of_last) last += accuracy / (double)(stage->domains - first_of_last);
  }
  tn_emit_result("accuracy", (double)right / (double)seen);
  tn_emit_result("mean", mean);
  tn_emit_result("last_three", last);
  tn_emit_cost("milliseconds", 1000 * stage->seconds / ceil((double)seen / (double)stage->batch));
  release(stage);
  return TN_OK;
}

static void test_stream_destroy(void *self) { release(self); }

static tn_status test_stream_state(void *self, const tn_visitor *visitor) {
  struct test_stream *stage = self;
  void *right = stage->right, *seen = stage->seen;
  const size_t size = (size_t)(stage->right ? tn_dataset_rows(stage->data) : 0) * sizeof(int64_t);
  size_t right_bytes = size, seen_bytes = size;
  tn_visit_integer(visitor, "next", &stage->next);
  tn_visit_integer(visitor, "present", &stage->present);
  tn_visit_real(visitor, "seconds", &stage->seconds);
  tn_visit_block(visitor, "right", &right, &right_bytes);
  const tn_status status = tn_visit_block(visitor, "seen", &seen, &seen_bytes);
  stage->right = right;
  stage->seen = seen;
  if (status >= 0 && (right_bytes != size || seen_bytes != size))
    return tn_fail(TN_ERROR_INVALID, "the saved counts are not those of this stream");
  return status;
}

static const tn_stage test_stream_table = {sizeof test_stream_table, test_stream_check, test_stream_begin,
                                           test_stream_step,         test_stream_end,   test_stream_progress};
static const tn_class test_stream_class = {
    .size = sizeof(tn_class),
    .kind = TN_STAGE,
    .name = "test_stream",
    .summary = "Adapts a predictor to a stream of test data, and scores it on the way",
    .reference = "Zhang et al. 2023, AdaNPC: Exploring Non-Parametric Classifier for Test-Time Adaptation",
    TN_CLASS_PARAMS(test_stream_params),
    .instance_size = sizeof(struct test_stream),
    .vtable = &test_stream_table,
    .destroy = test_stream_destroy,
    .state = test_stream_state};
TN_PLUGIN("stage_test_stream", "1.0.0", "MIT", &test_stream_class)
