// SPDX-License-Identifier: MIT
/* Loss of an ensemble of K classifiers, from their logits (n, K, classes) (Chen et al. 2021, NEAS):
 *
 *   sum:  sum_k CE(z_k, y), each member for itself
 *   mean: CE of the mean probability (1/K) sum_k softmax(z_k)
 *
 * with label smoothing. By Jensen's inequality K times the mean mode is never above the sum. Rows without a
 * label (-1) count as 0. */
#include <tenon/loss.h>

enum { MODE_SUM, MODE_MEAN };
struct ensemble {
  const char *logits, *label;
  double smoothing;
  int32_t mode;
};
static const tn_param ensemble_params[] = {
    TN_CHOICE(struct ensemble, mode, "sum", "sum|mean",
              "sum of the members' cross-entropies, or that of their mean probability"),
    TN_PARAM_(struct ensemble, smoothing, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0.1", 0, 1, NULL, NULL,
              NULL, "label smoothing: probability shared evenly by all classes"),
    TN_STRING(struct ensemble, logits, "member_logits", "field with the logits (n, members, classes)"),
    TN_STRING(struct ensemble, label, "label", "field with the class numbers (n)"),
};

static tn_status ensemble_declare(void *self, const tn_spec *fields, tn_declaration *declaration) {
  const struct ensemble *loss = self;
  (void)declaration;
  const tn_field_spec *logits = tn_spec_get(fields, loss->logits);
  const tn_field_spec *label = logits ? tn_spec_get(fields, loss->label) : NULL;
  if (!label) return TN_ERROR_MISSING;
  if (label->shape.ndim != 0 || label->classes < 1)
    return tn_fail(TN_ERROR_SHAPE, "'%s' must be one class number a sample", loss->label);
  if (logits->shape.ndim != 2 || logits->shape.dim[1] < label->classes)
    return tn_fail(TN_ERROR_SHAPE, "'%s' must be (members, %lld), a value for each of the classes of '%s'",
                   loss->logits, (long long)label->classes, loss->label);
  return TN_OK;
}

static tn_tensor *ensemble_per_sample(void *self, const tn_loss_call *call) {
  const struct ensemble *loss = self;
  tn_tensor *z = tn_field(call->fields, loss->logits); /* (n, K, c) */
  tn_tensor *y = tn_field(call->fields, loss->label);  /* (n) */
  if (tn_poisoned(z) || tn_poisoned(y)) return z;
  if (tn_ndim(z) != 3) {
    tn_fail(TN_ERROR_SHAPE, "'%s' must be (n, members, classes)", loss->logits);
    return tn_scalar(TN_F32, NAN);
  }
  const int64_t members = tn_dim(z, 1);
  if (loss->mode == MODE_MEAN) {
    tn_tensor *mean = tn_shift(tn_logsumexp(tn_log_softmax(z, 2), 1), -log((double)members));
    return tn_cross_entropy(mean, y, loss->smoothing);
  }
  tn_tensor *sum = NULL;
  for (int64_t k = 0; k < members; k++) {
    tn_tensor *own = tn_reshape(tn_slice(z, 1, k, k + 1), TN_SHAPE(tn_dim(z, 0), tn_dim(z, 2)));
    own = tn_cross_entropy(own, y, loss->smoothing);
    sum = sum ? tn_add(sum, own) : own;
  }
  return sum;
}

static const tn_class ensemble_class = {
    .size = sizeof(tn_class),
    .kind = TN_LOSS,
    .name = "ensemble",
    .summary = "Cross-entropy of every member of an ensemble, or of their mean",
    .reference = "Chen et al. 2021, One-Shot Neural Ensemble Architecture Search by Diversity-Guided Search "
                 "Space Shrinking",
    TN_CLASS_PARAMS(ensemble_params),
    .instance_size = sizeof(struct ensemble),
    .vtable = &(const tn_loss){sizeof(tn_loss), NULL, ensemble_per_sample, ensemble_declare, NULL}};
TN_PLUGIN("loss_ensemble", "1.0.0", "MIT", &ensemble_class)
