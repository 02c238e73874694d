// SPDX-License-Identifier: MIT
/* The average of another optimizer's iterates, which is what is evaluated and kept.
 *
 *   w_t from `inner`; with k counting the iterates that are averaged (every `every`-th one after `start`):
 *   uniform   a <- a + (w_t - a) / k                the mean of all of them (Polyak and Juditsky 1992)
 *   ema       a <- a + (1 - d) (w_t - a),           a begins as w_start
 *             d = min(decay, (1 + k) / (10 + k)) with `warmup`, else decay
 *
 * Only trained parameters are averaged; running statistics are those of the iterates. Where the procedure has
 * not reached `start`, the iterate itself is kept. */
#include <tenon/optimizer.h>

enum { AVERAGE_UNIFORM, AVERAGE_EMA };
struct averaged {
  const tn_component *inner;
  int32_t average;
  double decay;
  bool warmup;
  int64_t start, every;
  int64_t count;   /* k */
  tn_params *mean; /* a */
};
static const tn_param averaged_params[] = {
    TN_REFERENCE(struct averaged, inner, 0, TN_OPTIMIZER, "optimizer.sgd", "makes the iterates"),
    TN_CHOICE(struct averaged, average, "uniform", "uniform|ema", "mean of all iterates, or moving average"),
    TN_PARAM_(struct averaged, decay, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0.999", 0, 1, NULL, NULL, NULL,
              "of the moving average, an averaged iterate"),
    TN_BOOL(struct averaged, warmup, "yes", "forget faster in the beginning of the moving average"),
    TN_INTEGER(struct averaged, start, "0", 0, 1e15, "steps", "how many to leave out at the beginning"),
    TN_INTEGER(struct averaged, every, "1", 1, 1e15, "steps", "from one averaged iterate to the next"),
};

static tn_status averaged_begin(void *self, const tn_params *params) {
  struct averaged *averaged = self;
  tn_params_release(averaged->mean);
  averaged->count = 0;
  averaged->mean = tn_params_clone(params);
  return averaged->mean ? tn_optimizer_begin(averaged->inner, params) : TN_ERROR_MEMORY;
}

static tn_status averaged_step(void *self, const tn_optimizer_step *step) {
  struct averaged *averaged = self;
  tn_status status = tn_optimizer_update(averaged->inner, step);
  if (status < 0) return status;
  const int64_t behind = step->step - averaged->start;
  if (behind == 0) return tn_params_copy(averaged->mean, step->params);
  if (behind < 0 || behind % averaged->every != 0) return status;
  const double k = (double)++averaged->count;
  double share = 1 / k;
  if (averaged->average == AVERAGE_EMA) {
    const double early = (1 + k) / (10 + k);
    share = 1 - (averaged->warmup && early < averaged->decay ? early : averaged->decay);
  }
  const tn_status added = tn_params_lerp(averaged->mean, step->params, share);
  return added < 0 ? added : status;
}

static double averaged_rate(void *self, double schedule) {
  return tn_optimizer_learning_rate(((struct averaged *)self)->inner, schedule);
}

static tn_status averaged_final(void *self, const tn_params *params, tn_params *into) {
  const struct averaged *averaged = self;
  tn_status status = tn_params_copy(into, params);
  if (status < 0 || averaged->count == 0) return status;
  /* The trained ones alone: 0 + mean. */
  status = tn_params_fill(into, 0);
  return status < 0 ? status : tn_params_axpy(into, 1, averaged->mean);
}

static void averaged_destroy(void *self) { tn_params_release(((struct averaged *)self)->mean); }
static tn_status averaged_state(void *self, const tn_visitor *visitor) {
  struct averaged *averaged = self;
  tn_status status = tn_visit_integer(visitor, "count", &averaged->count);
  return status < 0 ? status : tn_visit_params(visitor, "mean", &averaged->mean);
}
static const tn_class averaged_class = {
    .size = sizeof(tn_class),
    .kind = TN_OPTIMIZER,
    .name = "averaged",
    .summary = "Keeps the running average of another optimizer's iterates",
    .reference = "Polyak and Juditsky 1992, Acceleration of Stochastic Approximation by Averaging; Izmailov "
                 "et al. 2018, Averaging Weights Leads to Wider Optima and Better Generalization",
    TN_CLASS_PARAMS(averaged_params),
    .instance_size = sizeof(struct averaged),
    .vtable = &(const tn_optimizer){sizeof(tn_optimizer), averaged_begin, averaged_step, averaged_rate,
                                    averaged_final},
    .destroy = averaged_destroy,
    .state = averaged_state};
TN_PLUGIN("averaged", "1.0.0", "MIT", &averaged_class)
