// SPDX-License-Identifier: MIT
/* The largest eigenvalue of the loss's Hessian in chosen parameters, by power iteration on exact
 * Hessian-vector products. In the architecture parameters it grows where the search goes into sharp minima,
 * whose discretised networks are bad (Zela et al. 2020, section 4). */
#include "power.h"

struct eigenvalue {
  int32_t wrt;
  int64_t iterations, rows, batch;
};
static const tn_param eigenvalue_params[] = {
    TN_CHOICE(struct eigenvalue, wrt, "alpha", WRT_CHOICES,
              "a supernet's architecture, its weights, or both"),
    TN_INTEGER(struct eigenvalue, iterations, "20", 1, 1e6, NULL, "products with the Hessian"),
    TN_INTEGER(struct eigenvalue, rows, "0", 0, 1e15, "rows", "the first rows of the data; 0: all"),
    TN_INTEGER(struct eigenvalue, batch, "500", 1, 1 << 20, "rows", "rows a batch"),
};

static tn_status eigenvalue_measure(void *self, const tn_metric_probe *of, tn_metric_sink *sink) {
  const struct eigenvalue *e = self;
  struct probe p;
  double value = 0;
  tn_status status = probe_open_loss(&p, of, e->rows, e->batch, e->wrt);
  if (status >= 0) status = power_largest(probe_times, &p, p.chosen, e->iterations, &value);
  probe_close(&p);
  if (status >= 0) sink->value(sink, "hessian_eigenvalue", value);
  return status;
}

static const tn_class eigenvalue_class = {
    .size = sizeof(tn_class),
    .kind = TN_METRIC,
    .name = "hessian_eigenvalue",
    .summary = "Largest curvature of the loss in the architecture or the weights",
    .reference = "Zela, Elsken, Saikia, Marrakchi, Brox and Hutter 2020, Understanding and Robustifying "
                 "Differentiable Architecture Search",
    TN_CLASS_PARAMS(eigenvalue_params),
    .instance_size = sizeof(struct eigenvalue),
    .vtable = &(const tn_metric){.size = sizeof(tn_metric), .measure = eigenvalue_measure}};
TN_PLUGIN("metric_hessian_eigenvalue", "1.0.0", "MIT", &eigenvalue_class)
