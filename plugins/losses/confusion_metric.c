// SPDX-License-Identifier: MIT
/* AnyLoss (Han, Moniz and Chawla, KDD 2024): 1 - any metric of the binary confusion matrix, made
 * differentiable by amplifying probabilities p = sigmoid(z) to nearly 0 or 1:
 *   A(p) = 1 / (1 + exp(-L (p - c)))        (equation 4; L = 73, c = 0.5)
 * A has the slope L / 4 at c and hardly any where p is far from it: training should start near p = c, with
 * small or zero weights in the last layer. `amplify = 0` takes p itself. */
#include "soft_confusion.h"

struct confusion_metric {
  struct soft_confusion soft;
  double amplify, center;
};
static const tn_param confusion_metric_params[] = {
    SOFT_CONFUSION_PARAMS,
    TN_REAL(struct confusion_metric, amplify, "73", 0, 1e6,
            "steepness L with which probabilities are pushed to 0 or 1; 0: not at all"),
    TN_REAL(struct confusion_metric, center, "0.5", 0, 1, "probability that stays where it is"),
};

static tn_tensor *confusion_metric_value(void *self, const tn_loss_call *call) {
  const struct confusion_metric *loss = self;
  tn_tensor *p = soft_probability(&loss->soft, call); /* (n) */
  if (loss->amplify == 0) return soft_confusion_loss(&loss->soft, call, p, tn_affine(p, -1, 1));
  tn_tensor *u = tn_affine(p, loss->amplify, -loss->amplify * loss->center); /* L (p - c) */
  return soft_confusion_loss(&loss->soft, call, tn_sigmoid(u), tn_sigmoid(tn_neg(u)));
}

static const tn_class confusion_metric_class = {
    .size = sizeof(tn_class),
    .kind = TN_LOSS,
    .name = "confusion_metric",
    .summary = "AnyLoss: one minus any metric of the binary confusion matrix",
    .reference =
        "Han, Moniz and Chawla 2024, AnyLoss: Transforming Classification Metrics into Loss Functions",
    TN_CLASS_PARAMS(confusion_metric_params),
    .instance_size = sizeof(struct confusion_metric),
    .vtable = &(const tn_loss){sizeof(tn_loss), confusion_metric_value, NULL, soft_confusion_declare, NULL}};
TN_PLUGIN("loss_confusion_metric", "1.0.0", "MIT", &confusion_metric_class)
