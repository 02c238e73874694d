// SPDX-License-Identifier: MIT
/* How weights are distributed as they are trained. For the `observers` of a training stage: every `every`
 * steps, at the start and at the end it counts scale x w over all tensors with weight decay. At the end it
 * emits a heat map (bins, times) of the logarithm of the share of weights in each bin, and lines of the
 * median, the 99th percentile and the largest of |scale x w|. By default scale is the optimizer's weight
 * decay lambda, where it is one of Lion's family (which confines lambda w), else 1. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tenon/kappa.h>
#include <tenon/observer.h>
#include <tenon/optimizer.h>

enum { TALL = 4 }; /* numbers in front of the counts of a time: step, median, 99th percentile, largest */
struct weight_histogram {
  int64_t every, bins;
  double range, scale;

  double *times; /* (count, TALL + bins) */
  size_t times_bytes;
};
static const tn_param weight_histogram_params[] = {
    TN_INTEGER(struct weight_histogram, every, "50", 1, 1e15, "steps", "between two counts"),
    TN_INTEGER(struct weight_histogram, bins, "61", 3, 1001, NULL, "of equal width"),
    TN_PARAM_(struct weight_histogram, range, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "1.5", 0, INFINITY, NULL,
              NULL, NULL, "the bins go from -range to range; what is beyond counts in the outermost ones"),
    TN_REAL(struct weight_histogram, scale, "0", 0, INFINITY,
            "factor on the weights; 0: the weight decay of an optimizer of Lion's family, else 1"),
};

static int64_t width_of(const struct weight_histogram *h) { return TALL + h->bins; }
static int64_t count_of(const struct weight_histogram *h) {
  return (int64_t)(h->times_bytes / sizeof(double)) / width_of(h);
}

static double scale_of(const struct weight_histogram *h, const tn_component *optimizer) {
  const tn_optimizer_kappa *shown = optimizer ? tn_extension(optimizer, TN_OPTIMIZER_KAPPA) : NULL;
  tn_kappa_state state = {.size = sizeof state};
  if (h->scale > 0 || !shown || shown->describe(optimizer->self, &state) < 0)
    return h->scale > 0 ? h->scale : 1;
  return state.decay > 0 ? state.decay : 1;
}

/* ---- counting ---- */

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Room for one more time, zeroed; NULL if out of memory. */
static double *add_time(struct weight_histogram *h) {
  const size_t bytes = (size_t)width_of(h) * sizeof(double);
  double *times = tn_resize(h->times, h->times_bytes + bytes);
  if (!times) return NULL;
  double *added = times + h->times_bytes / sizeof(double);
  memset(added, 0, bytes);
  h->times = times;
  h->times_bytes += bytes;
  return added;
}

/* Counts one tensor and appends its magnitudes. */
static void count(const struct weight_histogram *h, const tn_tensor *w, double scale, double *counts,
                  double *magnitudes) {
  for (int64_t i = 0; i < w->numel; i++) {
    const double x = scale * (w->dtype == TN_F64 ? tn_f64(w)[i] : (double)tn_f32(w)[i]);
    const double place = (x / h->range + 1) / 2 * (double)h->bins;
    const int64_t bin = !(place > 0) ? 0 : place >= (double)h->bins ? h->bins - 1 : (int64_t)place;
    counts[bin]++;
    magnitudes[i] = fabs(x);
  }
}

static tn_status note(struct weight_histogram *h, const tn_observation *o) {
  const double scale = scale_of(h, o->optimizer);
  tn_param_entry entry;
  int64_t total = 0, at = 0;
  for (uint32_t i = 0; i < tn_params_count(o->params); i++)
    if (tn_params_entry(o->params, i, &entry) >= 0 && entry.group == TN_DECAY) total += entry.tensor->numel;
  double *magnitudes = tn_alloc((size_t)(total + 1) * sizeof *magnitudes);
  double *time = magnitudes ? add_time(h) : NULL;
  if (!time) return tn_free(magnitudes), TN_ERROR_MEMORY;
  for (uint32_t i = 0; i < tn_params_count(o->params); i++) {
    if (tn_params_entry(o->params, i, &entry) < 0 || entry.group != TN_DECAY) continue;
    count(h, entry.tensor, scale, time + TALL, magnitudes + at);
    at += entry.tensor->numel;
  }
  qsort(magnitudes, (size_t)total, sizeof *magnitudes, ascending);
  time[0] = (double)o->progress.step;
  if (total > 0) {
    time[1] = magnitudes[total / 2];
    time[2] = magnitudes[(int64_t)(0.99 * (double)(total - 1))];
    time[3] = magnitudes[total - 1];
    for (int64_t b = 0; b < h->bins; b++) time[TALL + b] /= (double)total;
  }
  tn_free(magnitudes);
  return TN_OK;
}

/* ---- pictures ---- */

enum { LABEL = 24 };
static void emit_map(const struct weight_histogram *h) {
  const int64_t n = count_of(h);
  char *texts = tn_alloc((size_t)(n + h->bins) * LABEL);
  const char **labels = tn_alloc((size_t)(n + h->bins) * sizeof *labels);
  tn_tensor *map = tn_empty(TN_F64, TN_SHAPE(h->bins, n));
  if (texts && labels && !tn_poisoned(map)) {
    for (int64_t i = 0; i < n + h->bins; i++) labels[i] = texts + i * LABEL;
    for (int64_t b = 0; b < h->bins; b++) { /* the largest weights on top */
      const int64_t bin = h->bins - 1 - b;
      snprintf(texts + b * LABEL, LABEL, "%.2g", h->range * ((2 * (double)bin + 1) / (double)h->bins - 1));
      for (int64_t t = 0; t < n; t++) {
        const double share = h->times[t * width_of(h) + TALL + bin];
        tn_f64(map)[b * n + t] = log10(fmax(share, 1e-6));
      }
    }
    for (int64_t t = 0; t < n; t++)
      snprintf(texts + (h->bins + t) * LABEL, LABEL, "%.0f", h->times[t * width_of(h)]);
    tn_event event = tn_event_of(TN_EVENT_MATRIX, "weights");
    event.title = "Weights over time: logarithm of the share in each bin";
    event.tensor = map;
    event.rows = (uint32_t)h->bins;
    event.columns = (uint32_t)n;
    event.row_labels = labels;
    event.column_labels = labels + h->bins;
    event.x_label = "step";
    event.y_label = "scale x weight";
    tn_emit(&event);
  }
  tn_free(texts);
  tn_free(labels);
}

static void emit_lines(const struct weight_histogram *h) {
  static const char *const labels[] = {"median", "99th percentile", "largest"};
  const int64_t n = count_of(h);
  tn_tensor *lines = tn_empty(TN_F64, TN_SHAPE(n, TALL));
  if (tn_poisoned(lines)) return;
  for (int64_t t = 0; t < n; t++)
    memcpy(tn_f64(lines) + t * TALL, h->times + t * width_of(h), TALL * sizeof(double));
  tn_event event = tn_event_of(TN_EVENT_SERIES, "weight_magnitudes");
  event.title = "Magnitudes of the weights";
  event.tensor = lines;
  event.columns = TALL - 1;
  event.column_labels = labels;
  event.x_label = "step";
  event.y_label = "|scale x weight|";
  tn_emit(&event);
}

static tn_status weight_histogram_observe(void *self, const tn_observation *o) {
  struct weight_histogram *h = self;
  const bool last = o->gradient == NULL;
  if (o->progress.step == 0) h->times_bytes = 0; /* a stage begins */
  if (!last && o->progress.step % h->every != 0) return TN_OK;
  const tn_status status = note(h, o);
  if (status < 0 || !last) return status;
  emit_map(h);
  emit_lines(h);
  return tn_outcome();
}

/* It looks at weights, not at events. */
static tn_status weight_histogram_event(void *self, const tn_event *event) {
  (void)self, (void)event;
  return TN_OK;
}

static void weight_histogram_destroy(void *self) { tn_free(((struct weight_histogram *)self)->times); }
static tn_status weight_histogram_state(void *self, const tn_visitor *visitor) {
  struct weight_histogram *h = self;
  void *times = h->times;
  const tn_status status = tn_visit_block(visitor, "times", &times, &h->times_bytes);
  h->times = times;
  return status;
}

static const tn_class weight_histogram_class = {
    .size = sizeof(tn_class),
    .kind = TN_OBSERVER,
    .name = "weight_histogram",
    .summary = "Heat map of the weights' distribution over the steps of a training stage",
    .reference = "Chen et al. 2023, Lion Secretly Solves Constrained Optimization: As Lyapunov Predicts",
    TN_CLASS_PARAMS(weight_histogram_params),
    .instance_size = sizeof(struct weight_histogram),
    .vtable = &(const tn_observer){.size = sizeof(tn_observer),
                                   .event = weight_histogram_event,
                                   .observe = weight_histogram_observe},
    .destroy = weight_histogram_destroy,
    .state = weight_histogram_state};
TN_PLUGIN("observer_weight_histogram", "1.0.0", "MIT", &weight_histogram_class)
