// SPDX-License-Identifier: MIT
/* What a supernet loses when only the operations of its genotype are kept, with the same weights: its
 * accuracy less that of the discretised one. */
#include "prediction.h"
#include "probe.h"
#include <tenon/search.h>

struct gap {
  bool rescale;
  const char *label;
  int64_t rows, batch;
};
static const tn_param gap_params[] = {
    TN_BOOL(struct gap, rescale, "no", "what is kept gets the coefficient 1 instead of its own"),
    TN_STRING(struct gap, label, "label", "field of the truth (n)"),
    TN_INTEGER(struct gap, rows, "0", 0, 1e15, "rows", "the first rows of the data; 0: all"),
    TN_INTEGER(struct gap, batch, "500", 1, 1 << 20, "rows", "rows a batch"),
};

static tn_status count_hits(const struct gap *gap, const tn_fields *fields, int64_t *hits, int64_t *samples) {
  struct prediction prediction;
  const tn_status status = prediction_of(fields, "", &prediction);
  if (status < 0) return status;
  const int64_t *label = prediction_truth(fields, gap->label, prediction.samples);
  if (!label) return TN_ERROR_SHAPE;
  for (int64_t i = 0; i < prediction.samples; i++) {
    *hits += label[i] >= 0 && prediction_hits(&prediction, i, label[i], 1);
    *samples += label[i] >= 0;
  }
  return TN_OK;
}

/* The accuracy of the supernet as p->all has it. */
static tn_status accuracy_of(const struct gap *gap, const struct probe *p, double *accuracy) {
  int64_t hits = 0, samples = 0;
  tn_status status = TN_OK;
  const bool recording = tn_record(false);
  for (int64_t first = 0; status >= 0 && first < p->rows; first += p->batch) {
    const int64_t left = p->rows - first;
    tn_scope_open();
    tn_fields *batch, *fields = probe_pass(p, first, left < p->batch ? left : p->batch, &batch);
    status = fields ? count_hits(gap, fields, &hits, &samples) : TN_ERROR_INVALID;
    tn_scope_close();
  }
  tn_record(recording);
  *accuracy = samples > 0 ? (double)hits / (double)samples : NAN;
  return status;
}

/* The genotype of the search that is measured; without one, the supernet's own. */
static tn_status derive(const struct probe *p, const tn_supernet *supernet, char **genotype) {
  const tn_component *search = p->of->subject;
  if (search && strcmp(search->cls->kind, TN_SEARCH) == 0) return tn_search_derive(search, genotype);
  tn_rng rng = tn_rng_at(p->of->model->name, "derive", 0);
  return supernet->derive(p->of->model->self, p->all, "", &rng, genotype);
}

static tn_status gap_measure(void *self, const tn_metric_probe *of, tn_metric_sink *sink) {
  const struct gap *gap = self;
  struct probe p;
  double whole = NAN, discrete = NAN;
  char *genotype = NULL;
  tn_status status = probe_open(&p, of, gap->rows, gap->batch);
  const tn_supernet *supernet = status >= 0 ? tn_supernet_of(of->model) : NULL;
  if (status >= 0 && !supernet) status = TN_ERROR_INVALID;
  if (status >= 0) status = accuracy_of(gap, &p, &whole);
  if (status >= 0) status = derive(&p, supernet, &genotype);
  if (status >= 0) status = supernet->discretise(of->model->self, p.all, genotype, gap->rescale);
  if (status >= 0) status = accuracy_of(gap, &p, &discrete);
  tn_free(genotype);
  probe_close(&p);
  if (status < 0) return status;
  sink->value(sink, "discretisation_gap", whole - discrete);
  sink->value(sink, "discretised_accuracy", discrete);
  return TN_OK;
}

static const tn_class gap_class = {
    .size = sizeof(tn_class),
    .kind = TN_METRIC,
    .name = "discretisation_gap",
    .summary = "Accuracy of a supernet less that of the network its genotype keeps",
    .reference = "Liu, Simonyan and Yang 2018, DARTS; Zhu et al. 2023, Improving Differentiable Architecture "
                 "Search via Self-Distillation",
    TN_CLASS_PARAMS(gap_params),
    .instance_size = sizeof(struct gap),
    .vtable = &(const tn_metric){.size = sizeof(tn_metric), .measure = gap_measure}};
TN_PLUGIN("metric_discretisation_gap", "1.0.0", "MIT", &gap_class)
