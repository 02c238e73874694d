// SPDX-License-Identifier: MIT
/* Squared error of a sample with k outputs:
 *   loss = (1 / k) sum_j (output_j - target_j)^2          (reduce = sum: without 1 / k)
 * Against class numbers the target is their one-hot code, so that `logits` can be trained by it too (Brier
 * 1950). */
#include <tenon/loss.h>

enum { REDUCE_MEAN, REDUCE_SUM };

struct squared_error {
  const char *output, *target;
  int32_t reduce;
  bool half;
};
static const tn_param squared_error_params[] = {
    TN_STRING(struct squared_error, output, "", "field of the prediction; empty: `output`, else `logits`"),
    TN_STRING(struct squared_error, target, "", "field of the truth; empty: `target`, else `label` one-hot"),
    TN_CHOICE(struct squared_error, reduce, "mean", "mean|sum", "how a sample's outputs are put together"),
    TN_BOOL(struct squared_error, half, "no", "times 1/2, so that the derivative is the residual"),
};

/* The names in force, among the fields that there are. */
static const char *chosen(const char *name, const char *first, bool has_first, const char *second) {
  return *name ? name : has_first ? first : second;
}

static tn_status squared_error_declare(void *self, const tn_spec *fields, tn_declaration *declaration) {
  const struct squared_error *loss = self;
  (void)declaration;
  const char *output_name = chosen(loss->output, "output", tn_spec_find(fields, "output"), "logits");
  const char *target_name = chosen(loss->target, "target", tn_spec_find(fields, "target"), "label");
  const tn_field_spec *output = tn_spec_get(fields, output_name);
  const tn_field_spec *target = tn_spec_get(fields, target_name);
  if (!output || !target) return TN_ERROR_MISSING;
  const int64_t have = tn_spec_numel(output);
  const int64_t want = target->classes > 0 ? target->classes : tn_spec_numel(target);
  if (have != want)
    return tn_fail(TN_ERROR_SHAPE, "'%s' has %lld values a sample, '%s' %lld", output_name, (long long)have,
                   target_name, (long long)want);
  return TN_OK;
}

static tn_tensor *squared_error_per_sample(void *self, const tn_loss_call *call) {
  const struct squared_error *loss = self;
  const tn_fields *fields = call->fields;
  const char *output_name = chosen(loss->output, "output", tn_fields_find(fields, "output"), "logits");
  const char *target_name = chosen(loss->target, "target", tn_fields_find(fields, "target"), "label");
  tn_tensor *output = tn_flatten(tn_field(fields, output_name)); /* (n, k) */
  tn_tensor *target = tn_field(fields, target_name);
  if (tn_poisoned(output) || tn_poisoned(target)) return output;
  target = target->dtype == TN_I64 ? tn_one_hot(target, tn_dim(output, 1), output->dtype)
                                   : tn_flatten(target); /* (n, k) */
  tn_tensor *square = tn_square(tn_sub(output, target)); /* (n, k) */
  tn_tensor *value = loss->reduce == REDUCE_SUM ? tn_sum_axis(square, 1) : tn_mean_axis(square, 1);
  return loss->half ? tn_scale(value, 0.5) : value; /* (n) */
}

static const tn_class squared_error_class = {
    .size = sizeof(tn_class),
    .kind = TN_LOSS,
    .name = "squared_error",
    .summary = "Squared difference to a target or to one-hot labels",
    .reference = "Legendre 1805; on class codes: Brier 1950",
    TN_CLASS_PARAMS(squared_error_params),
    .instance_size = sizeof(struct squared_error),
    .vtable = &(const tn_loss){sizeof(tn_loss), NULL, squared_error_per_sample, squared_error_declare, NULL}};
TN_PLUGIN("loss_squared_error", "1.0.0", "MIT", &squared_error_class)
