// SPDX-License-Identifier: MIT
/* Softmax cross-entropy with label smoothing (Szegedy et al. 2016, section 7). With p = softmax(logits) over
 * c classes and the label y:
 *   loss = -(1 - s) log p_y - (s / c) sum_k log p_k
 * Rows without a label (-1) count as 0. */
#include <tenon/loss.h>

struct cross_entropy {
  const char *logits, *label;
  double smoothing;
};
static const tn_param cross_entropy_params[] = {
    TN_PARAM_(struct cross_entropy, smoothing, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0", 0, 1, NULL, NULL,
              NULL, "label smoothing s: probability shared evenly by all classes"),
    TN_STRING(struct cross_entropy, logits, "logits", "field with the logits (n, classes)"),
    TN_STRING(struct cross_entropy, label, "label", "field with the class numbers (n)"),
};

static tn_status cross_entropy_declare(void *self, const tn_spec *fields, tn_declaration *declaration) {
  const struct cross_entropy *loss = self;
  (void)declaration;
  const tn_field_spec *logits = tn_spec_get(fields, loss->logits);
  const tn_field_spec *label = tn_spec_get(fields, loss->label);
  if (!logits || !label) return TN_ERROR_MISSING;
  if (label->shape.ndim != 0 || label->classes < 1)
    return tn_fail(TN_ERROR_SHAPE, "'%s' must be one class number a sample", loss->label);
  if (logits->shape.ndim != 1 || logits->shape.dim[0] < label->classes)
    return tn_fail(TN_ERROR_SHAPE, "'%s' must have one value for each of the %lld classes of '%s'",
                   loss->logits, (long long)label->classes, loss->label);
  return TN_OK;
}

static tn_tensor *cross_entropy_per_sample(void *self, const tn_loss_call *call) {
  const struct cross_entropy *loss = self;
  tn_tensor *logits = tn_field(call->fields, loss->logits); /* (n, c) */
  tn_tensor *label = tn_field(call->fields, loss->label);   /* (n) */
  return tn_cross_entropy(logits, label, loss->smoothing);  /* (n) */
}

static const tn_class cross_entropy_class = {
    .size = sizeof(tn_class),
    .kind = TN_LOSS,
    .name = "cross_entropy",
    .summary = "Softmax cross-entropy with label smoothing",
    .reference = "Szegedy et al. 2016, Rethinking the Inception Architecture for Computer Vision",
    TN_CLASS_PARAMS(cross_entropy_params),
    .instance_size = sizeof(struct cross_entropy),
    .vtable = &(const tn_loss){sizeof(tn_loss), NULL, cross_entropy_per_sample, cross_entropy_declare, NULL}};
TN_PLUGIN("loss_cross_entropy", "1.0.0", "MIT", &cross_entropy_class)
