// SPDX-License-Identifier: MIT
/* A loss, a model, a schedule, a data set and a metric, each with the ways in which it goes wrong:
 * -DFAULT=NAME. */
#include <string.h>
#include <tenon/dataset.h>
#include <tenon/loss.h>
#include <tenon/metric.h>
#include <tenon/model.h>
#include <tenon/schedule.h>

enum fault {
  NONE,
  WRONG_GRADIENT,
  BATCH_ORDER,
  OVERFLOWS,
  IMPURE,
  CHANGES_PARAMETERS,
  BATCH_DEPENDENT,
  UNDECLARED,
  NEGATIVE,
  NOT_FINITE,
  LABEL_RANGE,
  OTHER_SHAPE,
  OTHER_ROWS,
  MERGE,
  FORGETS_NOT
};
#ifndef FAULT
#define FAULT NONE
#endif
#define IS(fault) (FAULT == (fault))

struct empty {
  double counter, sum, count;
};

/* ---- loss: half the mean square of the logits ---- */
static tn_tensor *loss_value(void *self, const tn_loss_call *call) {
  (void)self;
  tn_tensor *x = tn_field(call->fields, "logits");
  if (IS(WRONG_GRADIENT)) x = tn_scale_gradient(x, 2);
  if (IS(BATCH_ORDER)) x = tn_slice(x, 0, 0, 1);
  if (IS(OVERFLOWS)) x = tn_exp(x);
  return tn_mean(tn_mul(x, x));
}
static const tn_loss loss_table = {.size = sizeof loss_table, .value = loss_value};

/* ---- model: one matrix ---- */
static tn_status model_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  (void)self;
  const tn_field_spec *input = tn_spec_get(inputs, "input");
  if (!input) return TN_ERROR_MISSING;
  tn_declare(declaration, "weight", TN_SHAPE(3, input->shape.dim[0]), TN_DECAY,
             tn_init_of(TN_INIT_NORMAL, 1));
  tn_declare_output(declaration, "logits", TN_FLOAT, TN_SHAPE(IS(UNDECLARED) ? 4 : 3), 0);
  return TN_OK;
}
static tn_status model_apply(void *self, tn_model_call *call) {
  struct empty *own = self;
  tn_tensor *weight = tn_param_tensor(call->params, 0);
  tn_tensor *x = tn_matmul_nt(tn_field(call->inputs, "input"), weight);
  if (IS(IMPURE)) x = tn_mul(x, tn_scalar(x->dtype, own->counter += 1));
  if (IS(CHANGES_PARAMETERS) && weight->dtype == TN_F32) tn_f32(weight)[0] += 1;
  if (IS(BATCH_DEPENDENT)) x = tn_sub(x, tn_mean(x));
  tn_fields_set(call->outputs, "logits", x);
  return tn_outcome();
}
static const tn_model model_table = {sizeof model_table, model_declare, model_apply};

/* ---- schedule ---- */
static double factor(void *self, const tn_progress *progress) {
  (void)self;
  if (IS(NEGATIVE)) return 1 - (double)progress->step / 50;
  if (IS(NOT_FINITE)) return 1 / (double)progress->step;
  return 1;
}
static const tn_schedule schedule_table = {.size = sizeof schedule_table, .factor = factor};

/* ---- data set: ten rows ---- */
static int64_t rows(void *self, const char *part) {
  (void)self, (void)part;
  return 10;
}
static tn_status describe(void *self, const char *part, tn_spec *spec) {
  (void)self, (void)part;
  tn_spec_set(spec, "input", TN_FLOAT, TN_SHAPE(IS(OTHER_SHAPE) ? 3 : 2), 0);
  return tn_spec_set(spec, "label", TN_I64, (tn_shape){0, {0}}, 3);
}
static tn_status read_rows(void *self, const char *part, const int64_t *index, int64_t count,
                           tn_fields *fields) {
  struct empty *own = self;
  (void)part;
  tn_tensor *input = tn_zeros(TN_FLOAT, TN_SHAPE(count, 2)), *label = tn_zeros(TN_I64, TN_SHAPE(count));
  for (int64_t i = 0; i < count; i++) {
    tn_f32(input)[2 * i] = (float)index[i] + (IS(OTHER_ROWS) ? (float)(own->counter += 1) : 0);
    tn_i64(label)[i] = index[i] % (IS(LABEL_RANGE) ? 4 : 3);
  }
  tn_fields_set(fields, "input", input);
  tn_fields_set(fields, "label", label);
  return tn_outcome();
}
static const tn_dataset dataset_table = {
    .size = sizeof dataset_table, .rows = rows, .describe = describe, .read = read_rows};

/* ---- metric: the mean logit ---- */
static void metric_reset(void *self) {
  struct empty *own = self;
  if (!IS(FORGETS_NOT)) own->sum = own->count = 0;
}
static tn_status metric_update(void *self, const tn_fields *fields) {
  struct empty *own = self;
  const tn_tensor *x = tn_field(fields, "logits");
  for (int64_t i = 0; i < tn_numel(x); i++) own->sum += (double)tn_f32(x)[i], own->count += 1;
  return tn_outcome();
}
static tn_status metric_values(void *self, tn_metric_sink *sink) {
  const struct empty *own = self;
  sink->value(sink, "mean", own->sum / own->count);
  return TN_OK;
}
static tn_status metric_merge(void *self, const void *other) {
  struct empty *own = self;
  const struct empty *more = other;
  own->sum += more->sum;
  own->count += IS(MERGE) ? 1 : more->count;
  return TN_OK;
}
static tn_status metric_state(void *self, const tn_visitor *visitor) {
  struct empty *own = self;
  tn_visit_real(visitor, "sum", &own->sum);
  return tn_visit_real(visitor, "count", &own->count);
}
static const tn_metric metric_table = {.size = sizeof metric_table,
                                       .reset = metric_reset,
                                       .update = metric_update,
                                       .values = metric_values,
                                       .merge = metric_merge};

#define CLASS(variable, of_kind, of_table, of_state)                       \
  static const tn_class variable = {.size = sizeof(tn_class),              \
                                    .kind = of_kind,                       \
                                    .name = "faulty",                      \
                                    .summary = "faulty",                   \
                                    .instance_size = sizeof(struct empty), \
                                    .vtable = &of_table,                   \
                                    .state = of_state}
CLASS(loss_class, TN_LOSS, loss_table, NULL);
CLASS(model_class, TN_MODEL, model_table, NULL);
CLASS(schedule_class, TN_SCHEDULE, schedule_table, NULL);
CLASS(dataset_class, TN_DATASET, dataset_table, NULL);
CLASS(metric_class, TN_METRIC, metric_table, metric_state);
TN_PLUGIN("faulty_functions", "1.0.0", "MIT", &loss_class, &model_class, &schedule_class, &dataset_class,
          &metric_class)
