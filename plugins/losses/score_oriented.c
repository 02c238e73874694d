// SPDX-License-Identifier: MIT
/* Score-oriented loss (Marchetti et al. 2022): 1 - a metric of the confusion matrix expected over a random
 * threshold, in which a sample counts as positive with the threshold's distribution function F at p:
 *   uniform:  F(p) = p
 *   cosine:   F(p) = (1 + t + sin(pi t) / pi) / 2,  t = (p - mu) / delta in [-1, 1], 0 below and 1 above */
#include "soft_confusion.h"

enum { PRIOR_UNIFORM, PRIOR_COSINE };

struct score_oriented {
  struct soft_confusion soft;
  int32_t prior;
  double mu, delta;
};
static const tn_param score_oriented_params[] = {
    SOFT_CONFUSION_PARAMS,
    TN_CHOICE(struct score_oriented, prior, "uniform", "uniform|cosine", "distribution of the threshold"),
    TN_REAL(struct score_oriented, mu, "0.5", 0, 1, "mean of the cosine distribution"),
    TN_PARAM_(struct score_oriented, delta, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "0.1", 0, 1, NULL, NULL,
              NULL, "half width of the cosine distribution"),
};

static tn_tensor *score_oriented_value(void *self, const tn_loss_call *call) {
  static const double pi = 3.14159265358979323846;
  const struct score_oriented *loss = self;
  tn_tensor *p = soft_probability(&loss->soft, call); /* (n) */
  if (loss->prior == PRIOR_UNIFORM) return soft_confusion_loss(&loss->soft, call, p, tn_affine(p, -1, 1));
  tn_tensor *t = tn_clamp(tn_affine(p, 1 / loss->delta, -loss->mu / loss->delta), -1, 1);
  tn_tensor *half = tn_scale(tn_add(t, tn_scale(tn_sin(tn_scale(t, pi)), 1 / pi)), 0.5);
  return soft_confusion_loss(&loss->soft, call, tn_shift(half, 0.5), tn_affine(half, -1, 0.5));
}

static const tn_class score_oriented_class = {
    .size = sizeof(tn_class),
    .kind = TN_LOSS,
    .name = "score_oriented",
    .summary = "One minus a metric of the confusion matrix expected over a random threshold",
    .reference = "Marchetti, Guastavino, Piana and Campi 2022, Score-Oriented Loss (SOL) functions",
    TN_CLASS_PARAMS(score_oriented_params),
    .instance_size = sizeof(struct score_oriented),
    .vtable = &(const tn_loss){sizeof(tn_loss), score_oriented_value, NULL, soft_confusion_declare, NULL}};
TN_PLUGIN("loss_score_oriented", "1.0.0", "MIT", &score_oriented_class)
