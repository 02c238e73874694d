// SPDX-License-Identifier: MIT
/* An optimizer that is a text: any program of the language, found by a search or written by hand. */
#include "programs.h"
#include <tenon/optimizer.h>

struct program_optimizer {
  const char *file;
  double lr;
  struct program program;
  struct analysis analysis;
  struct layout layout;
  tn_params *m, *v; /* NULL if the program does not keep it */
};
static const tn_param optimizer_params[] = {
    TN_PATH(struct program_optimizer, file, TN_PARAM_REQUIRED, NULL, "the program, a text file"),
    TN_REAL(struct program_optimizer, lr, "1", 0, INFINITY,
            "factor on the schedule's value that the program sees as lr"),
};

static tn_status optimizer_create(void *self) {
  struct program_optimizer *optimizer = self;
  tn_status status = program_load(optimizer->file, &optimizer->program);
  if (status >= 0) program_analyse(&optimizer->program, &optimizer->analysis);
  return status;
}

static void optimizer_destroy(void *self) {
  struct program_optimizer *optimizer = self;
  tn_params_release(optimizer->m);
  tn_params_release(optimizer->v);
  layout_release(&optimizer->layout);
  optimizer->m = optimizer->v = NULL;
}

static tn_status optimizer_begin(void *self, const tn_params *params) {
  struct program_optimizer *optimizer = self;
  optimizer_destroy(optimizer);
  if (optimizer->analysis.keeps_m) optimizer->m = tn_params_like(params);
  if (optimizer->analysis.keeps_v) optimizer->v = tn_params_like(params);
  if ((optimizer->analysis.keeps_m && !optimizer->m) || (optimizer->analysis.keeps_v && !optimizer->v))
    return TN_ERROR_MEMORY;
  return layout_make(&optimizer->layout, params);
}

static tn_status optimizer_step(void *self, const tn_optimizer_step *step) {
  struct program_optimizer *optimizer = self;
  return program_step_params(&optimizer->program, &optimizer->analysis, &optimizer->layout, step->params,
                             step->gradient, optimizer->m, optimizer->v, optimizer->lr * step->schedule);
}

static double optimizer_rate(void *self, double schedule) {
  return ((struct program_optimizer *)self)->lr * schedule;
}

static tn_status optimizer_state(void *self, const tn_visitor *visitor) {
  struct program_optimizer *optimizer = self;
  tn_status status = TN_OK;
  if (optimizer->analysis.keeps_m) status = tn_visit_params(visitor, "m", &optimizer->m);
  if (status >= 0 && optimizer->analysis.keeps_v) status = tn_visit_params(visitor, "v", &optimizer->v);
  return status;
}

const tn_class program_optimizer_class = {
    .size = sizeof(tn_class),
    .kind = TN_OPTIMIZER,
    .name = "program",
    .summary = "Any optimizer written in the language of optimizer programs",
    .reference = "Chen et al. 2023, Symbolic Discovery of Optimization Algorithms",
    TN_CLASS_PARAMS(optimizer_params),
    .instance_size = sizeof(struct program_optimizer),
    .vtable =
        &(const tn_optimizer){sizeof(tn_optimizer), optimizer_begin, optimizer_step, optimizer_rate, NULL},
    .create = optimizer_create,
    .destroy = optimizer_destroy,
    .state = optimizer_state};
