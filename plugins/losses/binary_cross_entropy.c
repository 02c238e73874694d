// SPDX-License-Identifier: MIT
/* Binary cross-entropy on logits z, with p = sigmoid(z) and y in [0, 1]:
 *   loss = -w y log p - (1 - y) log(1 - p)
 * From one logit a sample, from two (z is their difference, as in a softmax over two classes), or, with a
 * target of the logits' shape, from one logit an attribute, averaged over attributes. Rows without a label
 * (-1) count as 0. `weight = balanced` weighs the classes of each batch alike: a positive sample by
 * n / (2 n_1), a negative one by n / (2 n_0), of n labelled samples (King and Zeng 2001). */
#include <tenon/loss.h>

enum { WEIGHT_NONE, WEIGHT_BALANCED };

struct binary_cross_entropy {
  const char *logits, *label;
  double positive_weight;
  int32_t weight;
};
static const tn_param binary_cross_entropy_params[] = {
    TN_REAL(struct binary_cross_entropy, positive_weight, "1", 0, INFINITY,
            "weight w of the positive part: above 1 for rare positives"),
    TN_CHOICE(struct binary_cross_entropy, weight, "none", "none|balanced",
              "balanced: both classes of a batch count alike; for labels"),
    TN_STRING(struct binary_cross_entropy, logits, "logits",
              "field with the logits (n), (n, 1), (n, 2) or (n, k)"),
    TN_STRING(struct binary_cross_entropy, label, "label",
              "field with the truth: labels 0 / 1 (n), or targets in [0, 1] (n, k)"),
};

static tn_status binary_cross_entropy_declare(void *self, const tn_spec *fields,
                                              tn_declaration *declaration) {
  const struct binary_cross_entropy *loss = self;
  (void)declaration;
  const tn_field_spec *logits = tn_spec_get(fields, loss->logits);
  const tn_field_spec *label = tn_spec_get(fields, loss->label);
  if (!logits || !label) return TN_ERROR_MISSING;
  const int64_t outputs = tn_spec_numel(logits);
  if (label->classes > 0) {
    if (label->shape.ndim != 0 || label->classes > 2)
      return tn_fail(TN_ERROR_SHAPE, "'%s' must be one label of two classes, got %lld classes", loss->label,
                     (long long)label->classes);
    if (outputs != 1 && outputs != 2)
      return tn_fail(TN_ERROR_SHAPE, "'%s' must have 1 or 2 values a sample for a label, got %lld",
                     loss->logits, (long long)outputs);
  } else if (outputs != tn_spec_numel(label)) {
    return tn_fail(TN_ERROR_SHAPE, "'%s' has %lld values a sample, '%s' %lld", loss->logits,
                   (long long)outputs, loss->label, (long long)tn_spec_numel(label));
  }
  return TN_OK;
}

/* max(z, 0) - z y + log(1 + e^-|z|), and (w - 1) y times the positive part -log p = softplus(-z). */
static tn_tensor *weighted_bce(tn_tensor *z, tn_tensor *y, double positive_weight) {
  tn_tensor *loss = tn_bce_with_logits(z, y);
  if (positive_weight == 1) return loss;
  return tn_add(loss, tn_scale(tn_mul(y, tn_softplus(tn_neg(z))), positive_weight - 1));
}

/* (n) weights of mean 1 over the labelled samples; a batch of one class has weights 1. */
static tn_tensor *balanced_weights(tn_tensor *y, tn_tensor *known) {
  const double n = tn_item(tn_sum(known)), positives = tn_item(tn_sum(tn_mul(y, known)));
  if (positives == 0 || positives == n) return known;
  const double positive = n / (2 * positives), negative = n / (2 * (n - positives));
  return tn_affine(y, positive - negative, negative);
}

static tn_tensor *binary_cross_entropy_per_sample(void *self, const tn_loss_call *call) {
  const struct binary_cross_entropy *loss = self;
  tn_tensor *z = tn_flatten(tn_field(call->fields, loss->logits)); /* (n, k) */
  tn_tensor *label = tn_field(call->fields, loss->label);
  if (tn_poisoned(z) || tn_poisoned(label)) return z;
  if (label->dtype == TN_F32 || label->dtype == TN_F64)
    return tn_mean_axis(weighted_bce(z, tn_flatten(label), loss->positive_weight), 1); /* (n) */
  if (tn_dim(z, 1) == 2) z = tn_sub(tn_slice(z, 1, 1, 2), tn_slice(z, 1, 0, 1));       /* (n, 1) */
  z = tn_reshape(z, TN_SHAPE(tn_dim(z, 0)));                                           /* (n) */
  tn_tensor *known = tn_cast(tn_ge(label, tn_zeros(label->dtype, (tn_shape){0, {0}})), z->dtype);
  tn_tensor *y = tn_cast(tn_clamp(label, 0, 1), z->dtype); /* (n) */
  tn_tensor *values = tn_mul(known, weighted_bce(z, y, loss->positive_weight));
  if (loss->weight == WEIGHT_NONE || tn_poisoned(values)) return values;
  return tn_mul(balanced_weights(y, known), values);
}

static const tn_class binary_cross_entropy_class = {
    .size = sizeof(tn_class),
    .kind = TN_LOSS,
    .name = "binary_cross_entropy",
    .summary = "Logistic loss of two classes or of several attributes",
    .reference = "Cox 1958, The regression analysis of binary sequences",
    TN_CLASS_PARAMS(binary_cross_entropy_params),
    .instance_size = sizeof(struct binary_cross_entropy),
    .vtable = &(const tn_loss){sizeof(tn_loss), NULL, binary_cross_entropy_per_sample,
                               binary_cross_entropy_declare, NULL}};
TN_PLUGIN("loss_binary_cross_entropy", "1.0.0", "MIT", &binary_cross_entropy_class)
