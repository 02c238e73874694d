// SPDX-License-Identifier: MIT
/* How a supernet divides its weights w = softmax(alpha) among kinds of operations; a kind is the name in
 * front of the first colon. Means over the rows of all tables, as supernet.h has them:
 *
 *   entropy         of a row, nats
 *   parameter_free  mass of the operations without parameters
 *   mass_KIND       mass of the operations of a kind
 *   rank_KIND       its rank among the kinds by its strongest operation; 1: the strongest, equals share
 *   kept_KIND       its share of the operations of the architecture that the supernet derives
 *
 * Parameter-free operations win early because they need no training (Hundt, Jain and Hager 2019, section 3.3;
 * Chu et al. 2020, Fair DARTS). */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <tenon/metric.h>
#include <tenon/supernet.h>

enum { KINDS = 16, NAME = 40 };

struct balance {
  uint32_t kinds;
  char names[KINDS][NAME];
  double mass[KINDS], rank[KINDS], entropy, parameter_free;
  int64_t rows, kept[KINDS], kept_all;
};

/* The kind of a name; a new one if there is room; KINDS if there is not, or `known` wants none. */
static uint32_t kind_of(struct balance *b, const char *name, size_t length, bool known) {
  for (uint32_t k = 0; k < b->kinds; k++)
    if (strlen(b->names[k]) == length && memcmp(b->names[k], name, length) == 0) return k;
  if (known || b->kinds == KINDS || length >= NAME) return KINDS;
  memcpy(b->names[b->kinds], name, length);
  return b->kinds++;
}

static void add_row(struct balance *b, const double *w, const uint32_t *kinds, const bool *is_free,
                    int64_t n) {
  double strongest[KINDS];
  for (uint32_t k = 0; k < KINDS; k++) strongest[k] = -1;
  for (int64_t o = 0; o < n; o++) {
    if (w[o] > 0) b->entropy -= w[o] * log(w[o]);
    if (is_free[o]) b->parameter_free += w[o];
    b->mass[kinds[o]] += w[o];
    if (w[o] > strongest[kinds[o]]) strongest[kinds[o]] = w[o];
  }
  for (uint32_t k = 0; k < b->kinds; k++) {
    double above = 0, equal = 0;
    for (uint32_t other = 0; other < b->kinds; other++) {
      above += strongest[other] > strongest[k];
      equal += strongest[other] == strongest[k];
    }
    b->rank[k] += above + (equal + 1) / 2;
  }
  b->rows++;
}

static tn_status add_table(struct balance *b, const tn_component *model, const tn_supernet *supernet,
                           const tn_params *params, const tn_supernet_table *table) {
  const int64_t n = table->operations;
  double *w = tn_alloc((size_t)n * sizeof *w);
  uint32_t *kinds = tn_alloc((size_t)n * sizeof *kinds);
  bool *is_free = tn_alloc((size_t)n * sizeof *is_free);
  tn_status status = w && kinds && is_free ? TN_OK : TN_ERROR_MEMORY;
  for (int64_t o = 0; status >= 0 && o < n; o++) {
    const char *name = supernet->operation(model->self, o, &is_free[o]);
    kinds[o] = kind_of(b, name, strcspn(name, ":"), false);
    if (kinds[o] == KINDS)
      status = tn_fail(TN_ERROR_INVALID, "more than %d kinds of operations, or a name of %d characters",
                       KINDS, NAME);
  }
  const tn_tensor *all = tn_softmax(tn_param_tensor(params, table->alpha), 1);
  for (int64_t r = 0; status >= 0 && !tn_failed() && r < table->rows; r++) {
    for (int64_t o = 0; o < n; o++)
      w[o] = all->dtype == TN_F64 ? tn_f64(all)[r * n + o] : (double)tn_f32(all)[r * n + o];
    add_row(b, w, kinds, is_free, n);
  }
  tn_free(w);
  tn_free(kinds);
  tn_free(is_free);
  return status;
}

/* Counts the words of a genotype that are kinds. */
static void count_kept(struct balance *b, const char *genotype) {
  for (const char *at = genotype; *at;) {
    size_t length = 0;
    while (isalnum((unsigned char)at[length]) || at[length] == '_') length++;
    const uint32_t k = length > 0 ? kind_of(b, at, length, true) : KINDS;
    if (k < KINDS) b->kept[k]++, b->kept_all++;
    at += length > 0 ? length : 1;
  }
}

static tn_status balance_measure(void *self, const tn_metric_probe *probe, tn_metric_sink *sink) {
  struct balance b = {0};
  (void)self;
  if (!probe->model) return tn_fail(TN_ERROR_INVALID, "it measures supernets");
  const tn_supernet *supernet = tn_supernet_of(probe->model);
  if (!supernet) return TN_ERROR_INVALID;
  tn_status status = TN_OK;
  tn_supernet_table table;
  for (uint32_t i = 0; status >= 0 && supernet->table(probe->model->self, i, &table) >= 0; i++)
    status = add_table(&b, probe->model, supernet, probe->params, &table);
  char *genotype = NULL;
  tn_rng rng = tn_rng_at(probe->model->name, "derive", 0);
  if (status >= 0) status = supernet->derive(probe->model->self, probe->params, "", &rng, &genotype);
  if (status >= 0) count_kept(&b, genotype);
  tn_free(genotype);
  if (status < 0) return status;
  const double rows = b.rows > 0 ? (double)b.rows : 1, kept = b.kept_all > 0 ? (double)b.kept_all : 1;
  sink->value(sink, "entropy", b.entropy / rows);
  sink->value(sink, "parameter_free", b.parameter_free / rows);
  for (uint32_t k = 0; k < b.kinds; k++) {
    char name[NAME + 8];
    snprintf(name, sizeof name, "mass_%s", b.names[k]);
    sink->value(sink, name, b.mass[k] / rows);
    snprintf(name, sizeof name, "rank_%s", b.names[k]);
    sink->value(sink, name, b.rank[k] / rows);
    snprintf(name, sizeof name, "kept_%s", b.names[k]);
    sink->value(sink, name, (double)b.kept[k] / kept);
  }
  return tn_outcome();
}

static const tn_class balance_class = {
    .size = sizeof(tn_class),
    .kind = TN_METRIC,
    .name = "alpha_balance",
    .summary = "How a supernet divides its weights: entropy, mass, rank and survival of kinds of operations",
    .reference = "Hundt, Jain and Hager 2019, sharpDARTS",
    .instance_size = 1,
    .vtable = &(const tn_metric){sizeof(tn_metric), .measure = balance_measure}};
TN_PLUGIN("metric_alpha_balance", "1.0.0", "MIT", &balance_class)
