// SPDX-License-Identifier: MIT
#include "bench.h"

bool bench_training_begin(bench_training *training, tn_declaration *declaration, const char *optimizer,
                          const char *keys) {
  training->params = tn_declaration_failed(declaration) ? NULL : tn_params_create(declaration, "bench");
  tn_declaration_free(declaration);
  if (!training->params) return false;
  training->gradient = tn_params_like(training->params);
  training->optimizer = bench_optimizer(optimizer, keys);
  training->steps = 0;
  return training->gradient && training->optimizer &&
         tn_optimizer_begin(training->optimizer, training->params) >= 0;
}

void bench_training_update(bench_training *training, double loss) {
  const tn_optimizer_step step = {.size = sizeof step,
                                  .params = training->params,
                                  .gradient = training->gradient,
                                  .loss = loss,
                                  .schedule = 1,
                                  .step = ++training->steps};
  tn_optimizer_update(training->optimizer, &step);
}

double bench_training_step(bench_training *training, tn_tensor *loss) {
  double value = tn_item(loss);
  tn_grad_params(loss, training->params, training->gradient);
  bench_training_update(training, value);
  return value;
}
