// SPDX-License-Identifier: MIT
/* stage.fit_until: full-batch training that a component of the kind acme.stopper/1 ends. */
#include <acme/stopper.h>
#include <tenon/dataset.h>
#include <tenon/loss.h>
#include <tenon/model.h>
#include <tenon/optimizer.h>
#include <tenon/stage.h>

typedef struct fit_until {
  const tn_component *data, *model, *loss, *optimizer, *until;
  int64_t steps;
  int64_t step, rows;
  double last;
  tn_params *gradient;
  int64_t *index;
} fit_until;

static const tn_param fit_until_params[] = {
    TN_REFERENCE(fit_until, data, TN_PARAM_REQUIRED, "tenon.dataset/1", NULL, "what to learn from"),
    TN_REFERENCE(fit_until, model, TN_PARAM_REQUIRED, "tenon.model/1", NULL, "what learns"),
    TN_REFERENCE(fit_until, loss, TN_PARAM_REQUIRED, "tenon.loss/1", NULL, "what to minimise"),
    TN_REFERENCE(fit_until, optimizer, TN_PARAM_REQUIRED, "tenon.optimizer/1", NULL, "how"),
    TN_REFERENCE(fit_until, until, TN_PARAM_REQUIRED, ACME_STOPPER, NULL, "when to stop"),
    TN_INTEGER(fit_until, steps, "1000", 1, 1e9, NULL, "the most there may be"),
};

static tn_status fit_until_check(void *self) {
  fit_until *s = self;
  tn_spec *spec = tn_spec_new();
  const tn_spec *outputs = NULL;
  tn_status status = tn_dataset_describe(s->data, spec);
  if (status == TN_OK) status = tn_declare_component(s->model, spec, &outputs);
  if (status == TN_OK) status = tn_declare_component(s->loss, outputs, NULL);
  tn_spec_release(spec);
  return status;
}

static tn_status fit_until_begin(void *self) {
  fit_until *s = self;
  tn_params *params = tn_parameters(s->model);
  s->rows = tn_dataset_rows(s->data);
  s->index = tn_alloc((size_t)s->rows * sizeof *s->index);
  s->gradient = tn_params_like(params);
  if (!s->index || !s->gradient) return TN_ERROR_MEMORY;
  for (int64_t i = 0; i < s->rows; i++) s->index[i] = i;
  return tn_optimizer_begin(s->optimizer, params);
}

static tn_status fit_until_step(void *self) {
  fit_until *s = self;
  tn_params *params = tn_parameters(s->model);
  tn_progress progress = {sizeof progress, TN_TRAIN, s->step, s->steps, (double)s->step, (double)s->steps};
  tn_rng rng = tn_rng_at(s->model->name, "apply", (uint64_t)s->step);
  tn_fields *batch = tn_fields_new(), *outputs = tn_fields_new();
  tn_status status = tn_dataset_read(s->data, s->index, s->rows, batch);
  if (status < 0) return status;
  tn_fields_merge(outputs, batch);
  tn_model_call call = {.size = sizeof call, .params = params, .inputs = batch, .outputs = outputs,
                        .progress = progress, .rng = &rng};
  status = tn_model_apply(s->model, &call);
  if (status < 0) return status;
  tn_loss_call loss_call = {.size = sizeof loss_call, .fields = outputs, .progress = progress, .rng = &rng};
  tn_tensor *loss = tn_loss_value(s->loss, &loss_call);
  status = tn_grad_params(loss, params, s->gradient);
  if (status < 0) return status;
  s->last = tn_item(loss);
  s->step++;
  tn_optimizer_step step = {.size = sizeof step, .params = params, .gradient = s->gradient,
                            .loss = s->last, .schedule = 1, .step = s->step};
  status = tn_optimizer_update(s->optimizer, &step);
  if (status < 0) return status;
  progress.step = s->step;
  tn_scalar_value scalar = {"loss", s->last};
  tn_emit_step(&progress, &scalar, 1);
  return acme_stop(s->until, s->step, s->last) || s->step == s->steps ? TN_DONE : tn_outcome();
}

static tn_status fit_until_end(void *self) {
  fit_until *s = self;
  tn_emit_result("loss", s->last);
  tn_emit_result("steps", (double)s->step);
  return TN_OK;
}

static void fit_until_progress(void *self, tn_progress *progress) {
  fit_until *s = self;
  progress->step = s->step;
  progress->steps = s->steps;
}
static tn_status fit_until_state(void *self, const tn_visitor *v) {
  fit_until *s = self;
  tn_visit_real(v, "last", &s->last);
  return tn_visit_integer(v, "step", &s->step);
}
static void fit_until_destroy(void *self) {
  fit_until *s = self;
  tn_params_release(s->gradient);
  tn_free(s->index);
}

static const tn_stage fit_until_stage = {.size = sizeof(tn_stage),
                                         .check = fit_until_check,
                                         .begin = fit_until_begin,
                                         .step = fit_until_step,
                                         .end = fit_until_end,
                                         .progress = fit_until_progress};
static const tn_class fit_until_class = {
    .size = sizeof(tn_class),
    .kind = TN_STAGE,
    .name = "fit_until",
    .summary = "full-batch training until a stopper says so",
    TN_CLASS_PARAMS(fit_until_params),
    .instance_size = sizeof(fit_until),
    .vtable = &fit_until_stage,
    .destroy = fit_until_destroy,
    .state = fit_until_state,
};
TN_PLUGIN("acme_fit_until", "1.0.0", "MIT", &fit_until_class)
