// SPDX-License-Identifier: MIT
/* The norms of the stochastic gradient at every step: of what the loss gave, in front of clipping, momentum,
 * weight decay and preconditioning. A run that begins with step 0 begins a new record. */
#include "file.h"
#include "norms.h"

enum { BOTH, L2, L1 };

struct gradient_norms {
  int32_t norm;
  const char *file;
  struct observer_file lines;
  double *values[2]; /* by NORM_L2, NORM_L1: (room), NULL if not wanted */
  int64_t count, room;
};
static const tn_param gradient_norms_params[] = {
    TN_CHOICE(
        struct gradient_norms, norm, "both", "both|l2|l1",
        "Euclidean norm (for gradient descent), sum of absolute values (for Adam and the like), or both"),
    TN_STRING(struct gradient_norms, file, "", "CSV file in the run directory, a line a step; empty: none"),
};

static bool wants(const struct gradient_norms *norms, int32_t norm) {
  return norms->norm == BOTH || (norms->norm == L1) == (norm == NORM_L1);
}

/* Room for `count` norms, at least one. */
static tn_status reserve(struct gradient_norms *norms, int64_t count) {
  if (count <= norms->room) return TN_OK;
  const int64_t room = count < 512 ? 1024 : 2 * count;
  for (int32_t n = NORM_L2; n <= NORM_L1; n++) {
    if (!wants(norms, n)) continue;
    double *more = tn_resize(norms->values[n], (size_t)room * sizeof *more);
    if (!more) return TN_ERROR_MEMORY;
    norms->values[n] = more;
  }
  norms->room = room;
  return TN_OK;
}

static tn_status write_line(struct gradient_norms *norms, int64_t step) {
  bool ready;
  tn_status status = *norms->file ? observer_file_open(&norms->lines, norms->file, &ready) : TN_OK;
  if (status < 0 || !*norms->file || !ready) return status;
  FILE *stream = norms->lines.stream;
  if (ftello(stream) == 0)
    fprintf(stream, "step%s%s\n", wants(norms, NORM_L2) ? ",l2" : "", wants(norms, NORM_L1) ? ",l1" : "");
  fprintf(stream, "%lld", (long long)step + 1);
  for (int32_t n = NORM_L2; n <= NORM_L1; n++)
    if (wants(norms, n)) fprintf(stream, ",%.9g", norms->values[n][step]);
  if (fputc('\n', stream) != EOF) return TN_OK;
  return tn_fail(TN_ERROR_IO, "%s: %s", norms->file, strerror(errno));
}

static tn_status gradient_norms_observe(void *self, const tn_observation *observation) {
  struct gradient_norms *norms = self;
  if (!observation->gradient)
    return norms->lines.stream ? observer_file_flush(&norms->lines, norms->file) : TN_OK;
  if (observation->progress.step < norms->count) norms->count = 0;
  tn_status status = reserve(norms, norms->count + 1);
  if (status < 0) return status;
  if (norms->values[NORM_L2]) norms->values[NORM_L2][norms->count] = tn_params_norm(observation->gradient);
  if (norms->values[NORM_L1]) {
    const bool recording = tn_record(false);
    const tn_tensor *sum = tn_sum(tn_abs(tn_params_flatten(observation->gradient)));
    norms->values[NORM_L1][norms->count] = tn_failed() ? NAN : tn_item(sum);
    tn_record(recording);
    if (tn_failed()) return tn_outcome();
  }
  return write_line(norms, norms->count++);
}

/* Events are for others. */
static tn_status gradient_norms_event(void *self, const tn_event *event) {
  (void)self;
  (void)event;
  return TN_OK;
}

static const double *gradient_norms_recorded(void *self, int32_t norm, int64_t *count) {
  struct gradient_norms *norms = self;
  if (!wants(norms, norm) || reserve(norms, 1) < 0) return NULL;
  *count = norms->count;
  return norms->values[norm];
}

static void gradient_norms_destroy(void *self) {
  struct gradient_norms *norms = self;
  tn_free(norms->values[NORM_L2]);
  tn_free(norms->values[NORM_L1]);
  observer_file_close(&norms->lines);
}

static tn_status gradient_norms_state(void *self, const tn_visitor *visitor) {
  struct gradient_norms *norms = self;
  static const char *const names[] = {"l2", "l1"};
  tn_visit_integer(visitor, "steps", &norms->count);
  for (int32_t n = NORM_L2; n <= NORM_L1; n++) {
    size_t bytes = (size_t)norms->count * sizeof(double);
    void *values = norms->values[n];
    if (!wants(norms, n)) continue;
    const tn_status status = tn_visit_block(visitor, names[n], &values, &bytes);
    norms->values[n] = values;
    if (status < 0) return status;
    if (bytes != (size_t)norms->count * sizeof(double))
      return tn_fail(TN_ERROR_INVALID, "%zu bytes are not the norms of %lld steps", bytes,
                     (long long)norms->count);
  }
  if (visitor->loading) norms->room = norms->count;
  return observer_file_state(&norms->lines, visitor);
}

static const void *gradient_norms_extension(void *self, const char *id) {
  static const tn_norms norms = {sizeof norms, gradient_norms_recorded};
  (void)self;
  return strcmp(id, TN_NORMS) == 0 ? &norms : NULL;
}

static const tn_class gradient_norms_class = {
    .size = sizeof(tn_class),
    .kind = TN_OBSERVER,
    .name = "gradient_norms",
    .summary = "Records the norms of the stochastic gradient of every step",
    .reference =
        "Defazio et al. 2023, When, Why and How Much? Adaptive Learning Rate Scheduling by Refinement",
    TN_CLASS_PARAMS(gradient_norms_params),
    .instance_size = sizeof(struct gradient_norms),
    .vtable = &(const tn_observer){sizeof(tn_observer), gradient_norms_event, NULL, gradient_norms_observe},
    .destroy = gradient_norms_destroy,
    .state = gradient_norms_state,
    .extension = gradient_norms_extension};
TN_PLUGIN("observer_gradient_norms", "1.0.0", "MIT", &gradient_norms_class)
