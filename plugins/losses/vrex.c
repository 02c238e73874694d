// SPDX-License-Identifier: MIT
/* Variance of risks, V-REx (Krueger et al. 2021, Out-of-Distribution Generalization via Risk Extrapolation,
 * section 3.2): with R_e the mean loss over the rows of domain e,
 *
 *   loss = 1/K sum_e R_e + w sum_e (R_e - mean R)^2 / (K - 1)
 *
 * over the K domains that the batch holds (the paper has the sum of the risks); of one domain, its risk. */
#include "invariance.h"

struct vrex {
  struct invariance common;
};
static const tn_param vrex_params[] = {INVARIANCE_PARAMS("10", "yes")};

static tn_status vrex_declare(void *self, const tn_spec *fields, tn_declaration *declaration) {
  return invariance_declare(&((const struct vrex *)self)->common, true, fields, declaration);
}

static tn_tensor *vrex_value(void *self, const tn_loss_call *call) {
  const struct vrex *loss = self;
  const struct domains domains = domains_of(&loss->common, call);
  if (tn_failed()) return domains.of;
  const double k = (double)domains.count;
  tn_tensor *risks = invariance_risks(&loss->common, call, &domains); /* (K) */
  tn_tensor *variance = tn_scale(tn_reduce(TN_VAR, risks, 0, false), k > 1 ? k / (k - 1) : 0);
  return invariance_total(&loss->common, call, tn_mean(risks), variance);
}

static const tn_class vrex_class = {
    .size = sizeof(tn_class),
    .kind = TN_LOSS,
    .name = "vrex",
    .summary = "Risk and its variance over domains (V-REx)",
    .reference = "Krueger et al. 2021, Out-of-Distribution Generalization via Risk Extrapolation (REx)",
    TN_CLASS_PARAMS(vrex_params),
    .instance_size = sizeof(struct vrex),
    .vtable = &(const tn_loss){sizeof(tn_loss), vrex_value, NULL, vrex_declare, invariance_after_step}};
TN_PLUGIN("loss_vrex", "1.0.0", "MIT", &vrex_class)
