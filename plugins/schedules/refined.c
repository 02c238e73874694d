// SPDX-License-Identifier: MIT
/* Refined schedules (Defazio et al. 2023): the factors that are best for the gradient norms of an earlier run
 * of the same procedure, from an observer or a file.
 *
 *   G_t      recorded norms through a median filter (t = 1 .. T)
 *   w_t      G_t^-power
 *   eta_t    w_t sum_{p > t} w_p, over its maximum;            method = closed_form
 *            or the minimiser of the last iterate's bound;     method = optimize
 *
 * stretched over the planned steps. Where the norms fall towards zero (the model interpolates its data), and
 * as long as there are none, `fallback` counts. The norms are looked at when a run begins, with step 0. */
#include "../observers/norms.h"
#include "numbers.h"
#include "refined.h"
#include "refinement.h"
#include "stretch.h"

enum { NORM_BY_POWER, NORM_IS_L2, NORM_IS_L1 };
enum { CLOSED_FORM, OPTIMIZE };

struct refined {
  const tn_component *norms, *fallback;
  const char *file, *output;
  int32_t norm, method;
  double power, smoothing, collapse;
  bool ragged;
  int64_t steps;

  double *read; /* of the file */
  int64_t read_count;
  const tn_component *followed; /* see refined.h */
  double rate;
  bool driven;
  /* state */
  double *factors; /* (count); count 0: the fallback */
  int64_t count;
  int64_t seen; /* digest of the norms that they came from; 0: none */
};
static const tn_param refined_params[] = {
    TN_REFERENCE(struct refined, norms, 0, TN_OBSERVER, NULL, "an observer.gradient_norms of an earlier run"),
    TN_PATH(struct refined, file, 0, "", "a text file of norms, or a table with columns l2 or l1, instead"),
    TN_REAL(struct refined, power, "2", 0, 16,
            "of the norms: 2 for gradient descent, 1 for Adam and the like"),
    TN_CHOICE(struct refined, norm, "auto", "auto|l2|l1", "which norm; auto: l1 for power 1, else l2"),
    TN_REAL(struct refined, smoothing, "0.1", 0, 1, "width of the median filter, a share of the steps"),
    TN_CHOICE(struct refined, method, "closed_form", "closed_form|optimize",
              "from weights, or by minimising the bound with L-BFGS-B"),
    TN_BOOL(struct refined, ragged, "no", "leave out the first and the last two norms"),
    TN_REAL(struct refined, collapse, "0.1", 0, 1,
            "falls back if the median of the last tenth is below so much of the median"),
    TN_REFERENCE(struct refined, fallback, 0, TN_SCHEDULE, "schedule.linear", "what counts then"),
    TN_INTEGER(struct refined, steps, "0", 0, 1e15, "steps", "horizon; 0: all planned steps"),
    TN_STRING(struct refined, output, "", "artifact with the factors, for schedule.table; empty: none"),
};

static int32_t norm_of(const struct refined *refined) {
  if (refined->norm == NORM_BY_POWER) return refined->power == 1 ? NORM_L1 : NORM_L2;
  return refined->norm == NORM_IS_L1 ? NORM_L1 : NORM_L2;
}

static tn_status refined_create(void *self) {
  struct refined *refined = self;
  if (refined->norms && *refined->file) return tn_fail(TN_ERROR_INVALID, "give norms or a file, not both");
  if (refined->norms && !tn_extension(refined->norms, TN_NORMS))
    return tn_fail(TN_ERROR_INVALID, "norms: '%s' records no norms; expected an observer.gradient_norms",
                   refined->norms->name);
  if (!*refined->file) return TN_OK;
  struct numbers numbers = {
      .path = refined->file, .column = norm_of(refined) == NORM_L1 ? "l1" : "l2", .what = "a norm"};
  const tn_status status = numbers_read(&numbers);
  refined->read = numbers.values;
  refined->read_count = numbers.count;
  return status;
}

/* FNV-1a; never 0. */
static int64_t digest(const double *values, int64_t count) {
  uint64_t hash = 0xcbf29ce484222325u;
  const unsigned char *bytes = (const unsigned char *)values;
  for (size_t i = 0; i < (size_t)count * sizeof *values; i++) hash = (hash ^ bytes[i]) * 0x100000001b3u;
  return (int64_t)(hash | 1);
}

/* ---- what people see of it ---- */

static void show(const struct refined *refined, const double *smooth, double unit) {
  static const char *const labels[] = {"refined", "linear decay", "smoothed norm / median"};
  tn_tensor *lines = tn_empty(TN_F64, TN_SHAPE(refined->count, 4));
  if (tn_poisoned(lines)) return;
  const double whole = refined->count > 1 ? (double)(refined->count - 1) : 1;
  for (int64_t t = 0; t < refined->count; t++) {
    double *row = tn_f64(lines) + 4 * t;
    row[0] = (double)t / whole;
    row[1] = refined->factors[t];
    row[2] = 1 - row[0];
    row[3] = smooth[t] / unit;
  }
  tn_event event = tn_event_of(TN_EVENT_SERIES, "refined schedule");
  event.tensor = lines;
  event.columns = TN_ARRAY_LENGTH(labels);
  event.column_labels = labels;
  event.x_label = "share of steps";
  event.y_label = "factor";
  tn_emit(&event);
}

static tn_status write_factors(const struct refined *refined) {
  if (!*refined->output || !tn_run_directory()) return TN_OK;
  const char *path = tn_artifact(refined->output);
  FILE *file = path ? fopen(path, "w") : NULL;
  if (!file) return tn_fail(TN_ERROR_IO, "%s: %s", refined->output, strerror(errno));
  for (int64_t t = 0; t < refined->count; t++) fprintf(file, "%.17g\n", refined->factors[t]);
  if (fclose(file) == 0) return TN_OK;
  return tn_fail(TN_ERROR_IO, "%s: %s", refined->output, strerror(errno));
}

/* ---- refinement ---- */

static tn_status refine_from(struct refined *refined, const double *norms, double *smooth, int64_t count) {
  const double unit = refinement_median(norms, count);
  double *factors = tn_resize(refined->factors, (size_t)count * sizeof *factors);
  if (!factors) return TN_ERROR_MEMORY;
  refined->factors = factors;
  tn_status status = refinement_smooth(norms, count, refined->smoothing, smooth);
  if (status < 0) return status;
  if (refined->method == OPTIMIZE)
    status = refinement_numeric(smooth, count, unit, factors);
  else
    refinement_closed_form(smooth, count, refined->power, unit, factors);
  if (status < 0) return status;
  refined->count = count;
  show(refined, smooth, unit);
  return write_factors(refined);
}

/* Looks at the norms, and refines if they are new. */
static tn_status look(struct refined *refined, bool *collapsed) {
  int64_t recorded = refined->read_count;
  const double *norms = refined->read;
  *collapsed = refined->count == 0;
  if (refined->norms) norms = norms_of(refined->norms, norm_of(refined), &recorded);
  if (refined->norms && !norms) return TN_ERROR_INVALID;
  if (recorded == 0) return TN_OK;
  const int64_t now = digest(norms, recorded);
  if (now == refined->seen) return TN_OK;
  double *room = tn_alloc((size_t)(2 * recorded) * sizeof *room);
  if (!room) return TN_ERROR_MEMORY;
  const int64_t usable = refinement_usable(norms, recorded, refined->ragged, room);
  const double tail = usable > 0 ? refinement_tail(room, usable) : 0;
  tn_status status = TN_OK;
  refined->seen = now;
  *collapsed = usable < 2 || tail < refined->collapse;
  if (*collapsed) {
    refined->count = 0;
    tn_warn("the gradient norms end at %.3g of their median, which would put the whole schedule there: '%s' "
            "takes its place",
            tail, refined->fallback->name);
  } else
    status = refine_from(refined, room, room + usable, usable);
  tn_free(room);
  return status;
}

static double refined_factor(void *self, const tn_progress *progress) {
  struct refined *refined = self;
  bool collapsed;
  if (refined->followed) return refined->rate * tn_schedule_factor(refined->followed, progress);
  const bool begins = progress->step == 0 || (refined->read && refined->seen == 0);
  if (begins && !refined->driven && look(refined, &collapsed) < 0) return 0;
  const double rate = refined->driven ? refined->rate : 1;
  if (refined->count == 0) return rate * tn_schedule_factor(refined->fallback, progress);
  return rate * stretched(refined->factors, refined->count, progress, refined->steps);
}

/* ---- for stages (refined.h) ---- */

static tn_status refined_follow(void *self, const tn_component *schedule, double rate) {
  struct refined *refined = self;
  refined->followed = schedule;
  refined->rate = rate;
  refined->driven = true;
  return TN_OK;
}
static tn_status refined_refine(void *self, bool *collapsed) { return look(self, collapsed); }
static const double *refined_factors(void *self, int64_t *count) {
  const struct refined *refined = self;
  *count = refined->count;
  return refined->count > 0 ? refined->factors : NULL;
}
static const void *refined_extension(void *self, const char *id) {
  static const tn_refined table = {sizeof table, refined_follow, refined_refine, refined_factors};
  (void)self;
  return strcmp(id, TN_REFINED) == 0 ? &table : NULL;
}

static void refined_destroy(void *self) {
  struct refined *refined = self;
  tn_free(refined->factors);
  tn_free(refined->read);
}

static tn_status refined_state(void *self, const tn_visitor *visitor) {
  struct refined *refined = self;
  size_t bytes = (size_t)refined->count * sizeof *refined->factors;
  void *factors = refined->factors;
  tn_visit_integer(visitor, "count", &refined->count);
  tn_visit_integer(visitor, "seen", &refined->seen);
  const tn_status status = tn_visit_block(visitor, "factors", &factors, &bytes);
  refined->factors = factors;
  if (status < 0) return status;
  if (refined->count < 0 || bytes != (size_t)refined->count * sizeof *refined->factors)
    return tn_fail(TN_ERROR_INVALID, "%zu bytes are not %lld factors", bytes, (long long)refined->count);
  return TN_OK;
}

static const tn_class refined_class = {
    .size = sizeof(tn_class),
    .kind = TN_SCHEDULE,
    .name = "refined",
    .summary = "The factors that are best for the gradient norms of an earlier run",
    .reference =
        "Defazio et al. 2023, When, Why and How Much? Adaptive Learning Rate Scheduling by Refinement",
    TN_CLASS_PARAMS(refined_params),
    .instance_size = sizeof(struct refined),
    .vtable = &(const tn_schedule){sizeof(tn_schedule), refined_factor, NULL},
    .create = refined_create,
    .destroy = refined_destroy,
    .state = refined_state,
    .extension = refined_extension};
TN_PLUGIN("schedule_refined", "1.0.0", "MIT", &refined_class)
