// SPDX-License-Identifier: MIT
/* Correlation alignment (Sun and Saenko 2016, Deep CORAL: Correlation Alignment for Deep Domain Adaptation,
 * equations 1 to 3) between all source domains: with C_i the covariance of the features (n_i, d) of domain i,
 * divided by n_i - 1,
 *
 *   loss = base loss + w / pairs sum_(i < j) |C_i - C_j|_F^2 / (4 d^2)
 *
 * over the pairs of domains of which the batch holds two rows or more. With `means`, a pair also adds
 * |mean_i - mean_j|^2 / d (as Gulrajani and Lopez-Paz 2021, In Search of Lost Domain Generalization, do). */
#include "invariance.h"

struct coral {
  struct invariance common;
  const char *features;
  bool means;
};
static const tn_param coral_params[] = {
    INVARIANCE_PARAMS("1", "no"),
    TN_STRING(struct coral, features, "features", "field with the features (n, ...)"),
    TN_BOOL(struct coral, means, "no", "align the means of the features too"),
};

static tn_status coral_declare(void *self, const tn_spec *fields, tn_declaration *declaration) {
  const struct coral *loss = self;
  if (!tn_spec_get(fields, loss->features)) return TN_ERROR_MISSING;
  return invariance_declare(&loss->common, false, fields, declaration);
}

/* Mean (1, d) and covariance (d, d) of the rows of one domain. */
struct moments {
  tn_tensor *mean, *covariance;
};
static struct moments moments_of(tn_tensor *z, const struct domains *domains, int64_t e) {
  tn_tensor *rows = tn_select_rows(z, tn_eq(domains->of, tn_full(TN_I64, TN_SHAPE(1), (double)e)));
  const int64_t n = tn_poisoned(rows) ? 0 : tn_dim(rows, 0);
  if (n < 2) return (struct moments){NULL, NULL};
  tn_tensor *mean = tn_reduce(TN_MEAN, rows, 0, true), *centred = tn_sub(rows, mean);
  return (struct moments){mean, tn_scale(tn_matmul_tn(centred, centred), 1 / (double)(n - 1))};
}

static tn_tensor *distance(const struct coral *loss, const struct moments *a, const struct moments *b) {
  const double d = (double)tn_dim(a->mean, 1);
  tn_tensor *apart = tn_scale(tn_sum(tn_square(tn_sub(a->covariance, b->covariance))), 1 / (4 * d * d));
  return loss->means ? tn_add(apart, tn_mean(tn_square(tn_sub(a->mean, b->mean)))) : apart;
}

static tn_tensor *coral_value(void *self, const tn_loss_call *call) {
  const struct coral *loss = self;
  tn_tensor *risk = tn_loss_value(loss->common.loss, call);
  tn_tensor *z = tn_flatten(tn_field(call->fields, loss->features)); /* (n, d) */
  const struct domains domains = domains_of(&loss->common, call);
  if (tn_failed()) return risk;
  struct moments *of = tn_alloc((size_t)(domains.count + 1) * sizeof *of);
  if (!of) return risk;
  tn_tensor *sum = NULL;
  int64_t pairs = 0;
  for (int64_t i = 0; i < domains.count && !tn_failed(); i++) {
    of[i] = moments_of(z, &domains, i);
    for (int64_t j = 0; j < i && of[i].mean; j++) {
      if (!of[j].mean) continue;
      tn_tensor *apart = distance(loss, &of[i], &of[j]);
      sum = sum ? tn_add(sum, apart) : apart;
      pairs++;
    }
  }
  tn_free(of);
  tn_tensor *penalty = pairs > 0 ? tn_scale(sum, 1 / (double)pairs) : tn_scalar(z->dtype, 0);
  return invariance_total(&loss->common, call, risk, penalty);
}

static const tn_class coral_class = {
    .size = sizeof(tn_class),
    .kind = TN_LOSS,
    .name = "coral",
    .summary = "A loss and how the covariances of the features differ between domains",
    .reference = "Sun and Saenko 2016, Deep CORAL: Correlation Alignment for Deep Domain Adaptation",
    TN_CLASS_PARAMS(coral_params),
    .instance_size = sizeof(struct coral),
    .vtable = &(const tn_loss){sizeof(tn_loss), coral_value, NULL, coral_declare, invariance_after_step}};
TN_PLUGIN("loss_coral", "1.0.0", "MIT", &coral_class)
