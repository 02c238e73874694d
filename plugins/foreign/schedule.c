// SPDX-License-Identifier: MIT
/* schedule.foreign: the learning-rate factor is what a C function returns. */
#include "binding.h"
#include "foreign.h"

#include <tenon/schedule.h>

typedef struct schedule {
  foreign_keys keys;
  const tn_expression *result;
  foreign_binding binding;
} schedule;

enum { STEP, STEPS, EPOCH, EPOCHS, T, DATA };
static const foreign_role roles[] = {
    [STEP] = {"step", FOREIGN_NUMBER},   [STEPS] = {"steps", FOREIGN_NUMBER},
    [EPOCH] = {"epoch", FOREIGN_NUMBER}, [EPOCHS] = {"epochs", FOREIGN_NUMBER},
    [T] = {"t", FOREIGN_NUMBER},         [DATA] = {"data", FOREIGN_POINTER},
};

static tn_status create(void *self) {
  schedule *s = self;
  tn_status status = foreign_signature_parse(s->keys.signature, &s->binding.signature);
  if (status != TN_OK) return status;
  if (s->binding.signature.function.result.class == FOREIGN_VOID)
    return foreign_signature_fail(s->keys.signature, 1, "a schedule must return a number");
  return foreign_bind(&s->binding, &s->keys, roles, TN_ARRAY_LENGTH(roles), true);
}

static void destroy(void *self) { foreign_unbind(&((schedule *)self)->binding); }

/* How much of the run is done, 0 to 1; 0 if its length is unknown. */
static double share_done(const tn_progress *progress) {
  if (progress->steps > 0) return (double)progress->step / (double)progress->steps;
  return progress->epochs > 0 ? progress->epoch / progress->epochs : 0;
}

static double factor(void *self, const tn_progress *progress) {
  schedule *s = self;
  const foreign_value values[] = {
      [STEP] = {.number = (double)progress->step}, [STEPS] = {.number = (double)progress->steps},
      [EPOCH] = {.number = progress->epoch},       [EPOCHS] = {.number = progress->epochs},
      [T] = {.number = share_done(progress)},      [DATA] = {.pointer = NULL},
  };
  double value = 0;
  if (foreign_call(&s->binding, values, &value) != TN_OK) return 0;
  if (s->result) value = tn_expression_evaluate(s->result, &value);
  if (isfinite(value) && value >= 0) return value;
  tn_fail(TN_ERROR_DIVERGED, "the factor at step %lld is %g; it must be finite and not negative",
          (long long)progress->step, value);
  return 0;
}

static const tn_schedule vtable = {.size = sizeof vtable, .factor = factor};
static const tn_param params[] = {
    FOREIGN_KEYS(schedule),
    TN_EXPRESSION(schedule, result, "", "value",
                  "factor as a formula of the returned `value`; empty: the value"),
};
const tn_class foreign_schedule_class = {
    .size = sizeof(tn_class),
    .kind = TN_SCHEDULE,
    .name = "foreign",
    .summary = "Learning-rate factor from a C function of any shared library",
    .reference = "libffi, https://sourceware.org/libffi",
    TN_CLASS_PARAMS(params),
    .instance_size = sizeof(schedule),
    .vtable = &vtable,
    .create = create,
    .destroy = destroy,
};
