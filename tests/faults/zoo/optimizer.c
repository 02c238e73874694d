// SPDX-License-Identifier: MIT
/* Gradient descent with momentum, and the ways in which an optimizer goes wrong: -DFAULT=NAME. */
#include <stdlib.h>
#include <string.h>
#include <tenon/optimizer.h>

enum fault {
  NONE,
  CRASH_CREATE,
  CRASH_STEP,
  CRASH_DESTROY,
  ABORT,
  EXIT,
  LOOP,
  STACK,
  NOT_A_NUMBER,
  PAST_INSTANCE,
  PAST_TENSOR,
  LEAK,
  DOUBLE_FREE,
  NO_STATE,
  STATE_ORDER,
  ORDER,
  RANDOM,
  SHARED,
  ASCENDS,
  UNTRAINED,
  SILENT,
  SILENT_CREATE
};
#ifndef FAULT
#define FAULT NONE
#endif
#define IS(fault) (FAULT == (fault))

struct descent {
  double lr;
  tn_params *momentum;
  void *memory;
};
static const tn_param descent_params[] = {TN_REAL(struct descent, lr, "0.01", 0, 1, "learning rate")};
static double shared;

static int deep(volatile char *above) {
  volatile char room[4096];
  room[0] = above ? above[0] : 0;
  return deep(room) + room[0];
}

static tn_status create(void *self) {
  struct descent *d = self;
  if (IS(CRASH_CREATE)) *(volatile int *)16 = 1;
  if (IS(SILENT_CREATE) && d->lr == 1) return TN_ERROR_INVALID;
  if (IS(LEAK)) d->memory = malloc(100);
  if (IS(DOUBLE_FREE)) d->memory = malloc(2000);
  return TN_OK;
}
static void destroy(void *self) {
  struct descent *d = self;
  if (IS(CRASH_DESTROY)) *(volatile int *)16 = 1;
  if (IS(DOUBLE_FREE)) {
    void *volatile again = d->memory;
    free(d->memory);
    free(again);
  }
  tn_params_release(d->momentum);
}

static tn_status begin(void *self, const tn_params *params) {
  struct descent *d = self;
  tn_params_release(d->momentum);
  d->momentum = tn_params_like(params);
  return d->momentum ? TN_OK : TN_ERROR_MEMORY;
}

static tn_status step(void *self, const tn_optimizer_step *s) {
  struct descent *d = self;
  double rate = d->lr * s->schedule;
  tn_param_entry first, last;
  tn_params_entry(s->params, 0, &first);
  tn_params_entry(s->params, tn_params_count(s->params) - 1, &last);
  if (IS(CRASH_STEP)) *(volatile int *)16 = 1;
  if (IS(ABORT)) abort();
  if (IS(EXIT)) exit(3);
  for (volatile int on = IS(LOOP); on;) continue;
  if (IS(STACK)) return (tn_status)deep(NULL);
  if (IS(SILENT)) return TN_ERROR_INVALID;
  if (IS(NOT_A_NUMBER)) rate = NAN;
  if (IS(PAST_INSTANCE)) memset(d + 1, 1, 64);
  if (IS(PAST_TENSOR)) {
    tn_tensor *x = tn_zeros(TN_F32, TN_SHAPE(16));
    tn_f32(x)[16] = 1;
  }
  if (IS(ASCENDS)) rate = -rate;
  if (IS(ORDER)) rate *= 1 + (double)strlen(first.name);
  if (IS(RANDOM)) rate *= 1 + (double)((uintptr_t)d->momentum >> 4 & 0xffff) * 1e-9 + (shared += 1e-3);
  if (IS(SHARED)) rate *= 1 + (shared += 0.1);
  if (IS(UNTRAINED))
    for (uint32_t i = 0; i < tn_params_count(s->params); i++) {
      tn_params_entry(s->params, i, &first);
      if (first.group == TN_FIXED) tn_f32(first.tensor)[0] += 1;
    }
  tn_params_lerp(d->momentum, s->gradient, 0.5);
  return tn_params_axpy(s->params, -rate, d->momentum);
}

static tn_status state(void *self, const tn_visitor *visitor) {
  struct descent *d = self;
  if (IS(STATE_ORDER))
    return tn_visit_params(visitor, visitor->loading ? "momenta" : "momentum", &d->momentum);
  return IS(NO_STATE) ? TN_OK : tn_visit_params(visitor, "momentum", &d->momentum);
}

static const tn_optimizer table = {.size = sizeof table, .begin = begin, .step = step};
static const tn_class cls = {.size = sizeof(tn_class),
                             .kind = TN_OPTIMIZER,
                             .name = "faulty",
                             .summary = "a faulty optimizer",
                             TN_CLASS_PARAMS(descent_params),
                             .instance_size = sizeof(struct descent),
                             .vtable = &table,
                             .create = create,
                             .destroy = destroy,
                             .state = state};
TN_PLUGIN("faulty_optimizer", "1.0.0", "MIT", &cls)
