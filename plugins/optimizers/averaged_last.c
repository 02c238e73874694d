// SPDX-License-Identifier: MIT
/* The last iterate in the place of an average (Defazio et al. 2023, theorem 1): any optimizer moves z by
 * Delta_t, driven by the gradients at x,
 *
 *   z_{t+1} = z_t + Delta_t,   x_{t+1} = x_t + (w_{t+1:T} / w_{1:T}) Delta_t,   w_{a:b} = sum_{t=a}^b w_t
 *
 * and for convex f the last point, x_T, is as good as the optimizer's regret,
 * f(x_T) - f(u) <= (1 / w_{1:T}) sum_t w_t <g_t, z_t - u>. The optimizer gets w_t as a factor on its learning
 * rate: gradient descent then moves x by lr w_t w_{t+1:T} / w_{1:T}, with equal weights linear decay. The
 * last step is 0. */
#include <string.h>
#include <tenon/optimizer.h>
#include <tenon/schedule.h>

struct averaged_last {
  const tn_component *inner, *weights;
  int64_t steps;
  double *rest; /* (planned + 1): w_{t:T}, t from 1; derived */
  int64_t planned;
  tn_params *free;  /* z */
  tn_params *delta; /* scratch */
};
static const tn_param averaged_last_params[] = {
    TN_REFERENCE(struct averaged_last, inner, 0, TN_OPTIMIZER, "optimizer.sgd", "makes the steps Delta_t"),
    TN_REFERENCE(struct averaged_last, weights, 0, TN_SCHEDULE, "schedule.constant", "w_t, positive"),
    TN_INTEGER(struct averaged_last, steps, "0", 0, 1e15, "steps", "T; 0: what the procedure plans"),
};

static tn_status averaged_last_begin(void *self, const tn_params *params) {
  struct averaged_last *averaged = self;
  tn_params_release(averaged->free);
  tn_params_release(averaged->delta);
  averaged->planned = 0;
  averaged->free = tn_params_clone(params);
  averaged->delta = tn_params_clone(params);
  if (!averaged->free || !averaged->delta) return TN_ERROR_MEMORY;
  return tn_optimizer_begin(averaged->inner, params);
}

static double weight(const struct averaged_last *averaged, int64_t step) {
  const tn_progress progress = {.size = sizeof progress, .step = step - 1, .steps = averaged->planned};
  return tn_schedule_factor(averaged->weights, &progress);
}

/* The sums of weights from each step to the last one. */
static tn_status plan(struct averaged_last *averaged, int64_t steps) {
  if (steps > 0 && averaged->planned == steps) return TN_OK;
  if (steps < 1) return tn_fail(TN_ERROR_MISSING, "nobody knows how many steps there will be: give `steps`");
  double *rest = tn_resize(averaged->rest, (size_t)(steps + 2) * sizeof *rest);
  if (!rest) return TN_ERROR_MEMORY;
  averaged->rest = rest;
  averaged->planned = steps;
  rest[steps + 1] = 0;
  for (int64_t t = steps; t >= 1; t--) {
    const double w = weight(averaged, t);
    if (!(w >= 0) || !isfinite(w))
      return tn_fail(TN_ERROR_INVALID, "weight %lld of '%s' is %g, expected a positive number", (long long)t,
                     averaged->weights->name, w);
    rest[t] = rest[t + 1] + w;
  }
  if (rest[1] > 0) return TN_OK;
  return tn_fail(TN_ERROR_INVALID, "all weights of '%s' are 0", averaged->weights->name);
}

static tn_status averaged_last_step(void *self, const tn_optimizer_step *step) {
  struct averaged_last *averaged = self;
  tn_status status = plan(averaged, averaged->steps > 0 ? averaged->steps : tn_optimizer_steps(step));
  if (status < 0) return status;
  if (step->step > averaged->planned)
    return tn_fail(TN_ERROR_INVALID, "step %lld of %lld", (long long)step->step,
                   (long long)averaged->planned);
  tn_optimizer_step base = {0};
  memcpy(&base, step, step->size < sizeof base ? step->size : sizeof base);
  base.size = sizeof base;
  base.params = averaged->free;
  base.schedule = step->schedule * weight(averaged, step->step);
  base.steps = averaged->planned;
  status = tn_params_copy(averaged->delta, averaged->free);
  if (status >= 0) status = tn_optimizer_update(averaged->inner, &base);
  if (status < 0) return status;
  const double share = averaged->rest[step->step + 1] / averaged->rest[1];
  /* x += share (z_{t+1} - z_t) */
  status = tn_params_scale(averaged->delta, -1);
  if (status >= 0) status = tn_params_axpy(averaged->delta, 1, averaged->free);
  return status < 0 ? status : tn_params_axpy(step->params, share, averaged->delta);
}

static double averaged_last_rate(void *self, double schedule) {
  return tn_optimizer_learning_rate(((struct averaged_last *)self)->inner, schedule);
}

static void averaged_last_destroy(void *self) {
  struct averaged_last *averaged = self;
  tn_params_release(averaged->free);
  tn_params_release(averaged->delta);
  tn_free(averaged->rest);
}
static tn_status averaged_last_state(void *self, const tn_visitor *visitor) {
  return tn_visit_params(visitor, "free", &((struct averaged_last *)self)->free);
}

static const tn_class averaged_last_class = {
    .size = sizeof(tn_class),
    .kind = TN_OPTIMIZER,
    .name = "averaged_last",
    .summary = "Scales the steps of another optimizer so that its last iterate is as good as its regret",
    .reference =
        "Defazio et al. 2023, When, Why and How Much? Adaptive Learning Rate Scheduling by Refinement",
    TN_CLASS_PARAMS(averaged_last_params),
    .instance_size = sizeof(struct averaged_last),
    .vtable = &(const tn_optimizer){sizeof(tn_optimizer), averaged_last_begin, averaged_last_step,
                                    averaged_last_rate, NULL},
    .destroy = averaged_last_destroy,
    .state = averaged_last_state};
TN_PLUGIN("averaged_last", "1.0.0", "MIT", &averaged_last_class)
