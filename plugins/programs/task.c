// SPDX-License-Identifier: MIT
#include "task.h"

tn_status task_check(const struct task *task) {
  const tn_component *const sets[] = {task->data, task->validation};
  tn_status status = TN_OK;
  for (size_t i = 0; status >= 0 && i < TN_ARRAY_LENGTH(sets); i++) {
    tn_spec *own;
    const tn_spec *fields;
    status = pass_declare_data(sets[i], &task->transforms, &own, &fields);
    if (status >= 0) status = tn_declare_component(task->model, fields, &fields);
    if (status >= 0) status = tn_declare_component(task->loss, fields, NULL);
    tn_spec_release(own);
  }
  return status;
}

/* ---- what is the same for every program ---- */

static void rows_release(struct task_rows *rows) {
  for (uint32_t i = 0; i < rows->fields; i++) tn_release(rows->values[i]);
  rows->fields = 0;
}

static tn_status rows_read(const struct task *task, const tn_component *data, int64_t most,
                           struct task_rows *rows) {
  rows->count = tn_dataset_rows(data);
  if (rows->count < 1) return tn_fail(TN_ERROR_INVALID, "'%s' has no rows", data->name);
  if (most > 0 && rows->count > most) rows->count = most;
  int64_t *index = tn_alloc((size_t)rows->count * sizeof *index);
  if (!index) return TN_ERROR_MEMORY;
  for (int64_t i = 0; i < rows->count; i++) index[i] = i;
  tn_scope_open();
  tn_fields *fields = tn_fields_new();
  const tn_progress progress = {.size = sizeof progress, .mode = TN_EVALUATE};
  tn_status status = tn_dataset_read(data, index, rows->count, fields);
  if (status >= 0) status = pass_transform(&task->transforms, NULL, fields, index, &progress);
  for (uint32_t i = 0; status >= 0 && i < tn_fields_count(fields); i++) {
    const char *name;
    const tn_tensor *value = tn_fields_at(fields, i, &name);
    if (tn_poisoned(value) || rows->fields == TASK_FIELDS || tn_dim(value, 0) != rows->count)
      status = tn_fail(TN_ERROR_SHAPE, "field '%s' of '%s' is not one row a sample", name, data->name);
    else if (!(rows->values[rows->fields] = tn_persist(value)))
      status = TN_ERROR_MEMORY;
    else
      snprintf(rows->names[rows->fields++], TASK_NAME, "%s", name);
  }
  tn_scope_close();
  tn_free(index);
  return status;
}

/* Full batches of shuffled epochs. */
static tn_status draw_batches(struct task *task) {
  const int64_t rows = task->training.count;
  task->size = task->batch < rows ? task->batch : rows;
  task->planned = tn_smoke() && task->steps > 3 ? 3 : task->steps;
  int64_t *epoch = tn_alloc((size_t)rows * sizeof *epoch);
  task->order = tn_alloc((size_t)(task->planned * task->size) * sizeof *task->order);
  const int64_t batches = rows / task->size;
  for (int64_t s = 0; epoch && task->order && s < task->planned; s++) {
    if (s % batches == 0) {
      tn_rng rng = tn_rng_at(task->data->name, "batches", (uint64_t)(s / batches));
      tn_random_permutation(&rng, epoch, rows);
    }
    memcpy(task->order + s * task->size, epoch + s % batches * task->size,
           (size_t)task->size * sizeof *epoch);
  }
  const tn_status status = epoch && task->order ? TN_OK : TN_ERROR_MEMORY;
  tn_free(epoch);
  return status;
}

static void bench_release(struct task_bench *bench) {
  tn_params_release(bench->weights);
  tn_params_release(bench->gradient);
  tn_params_release(bench->m);
  tn_params_release(bench->v);
  tn_free(bench->updates);
  tn_free(bench);
}

void task_release(struct task *task) {
  rows_release(&task->training);
  rows_release(&task->held_out);
  tn_free(task->order);
  task->order = NULL;
  layout_release(&task->layout);
  for (struct task_bench *next; task->free; task->free = next) {
    next = task->free->next;
    bench_release(task->free);
  }
}

tn_status task_begin(struct task *task) {
  task_release(task);
  if (pass_parameters(task->loss))
    return tn_fail(TN_ERROR_INVALID, "'%s' has parameters of its own, which programs do not train",
                   task->loss->name);
  task->initial = tn_parameters(task->model);
  if (!task->initial) return TN_ERROR_MEMORY;
  if (tn_params_numel(task->initial) == 0)
    return tn_fail(TN_ERROR_INVALID, "'%s' has no parameters to train", task->model->name);
  tn_status status = pass_fit(task->data, &task->transforms);
  if (status >= 0) status = rows_read(task, task->data, 0, &task->training);
  if (status >= 0) status = rows_read(task, task->validation, tn_smoke() ? 64 : 0, &task->held_out);
  if (status >= 0) status = draw_batches(task);
  return status < 0 ? status : layout_make(&task->layout, task->initial);
}

/* ---- one training run ---- */

static struct task_bench *take_bench(struct task *task) {
  pthread_mutex_lock(&task->lock);
  struct task_bench *bench = task->free;
  if (bench) task->free = bench->next;
  pthread_mutex_unlock(&task->lock);
  if (bench) return bench;
  bench = tn_alloc(sizeof *bench);
  if (!bench) return NULL;
  bench->weights = tn_params_clone(task->initial);
  bench->gradient = tn_params_like(task->initial);
  bench->m = tn_params_like(task->initial);
  bench->v = tn_params_like(task->initial);
  bench->updates = tn_alloc(tn_params_count(task->initial) * sizeof *bench->updates);
  if (bench->weights && bench->gradient && bench->m && bench->v && bench->updates) return bench;
  bench_release(bench);
  return NULL;
}

static void give_bench(struct task *task, struct task_bench *bench) {
  pthread_mutex_lock(&task->lock);
  bench->next = task->free;
  task->free = bench;
  pthread_mutex_unlock(&task->lock);
}

/* Fields and loss of some rows; the fields' poisoned values are found by whoever looks at the loss. */
static tn_tensor *loss_of(const struct task *task, const struct task_bench *bench, tn_fields *fields,
                          const tn_progress *progress, uint32_t *updates) {
  tn_fields *outputs = tn_fields_new();
  const bool training = progress->mode == TN_TRAIN;
  if (pass_model(task->model, bench->weights, fields, outputs, progress, training ? bench->updates : NULL,
                 updates) < 0)
    return NULL;
  tn_fields_merge(fields, outputs);
  tn_rng rng = tn_rng_at(task->loss->name, training ? "train" : "evaluate", (uint64_t)progress->step);
  const tn_loss_call call = {.size = sizeof call,
                             .fields = fields,
                             .progress = *progress,
                             .rng = &rng,
                             .model = task->model,
                             .model_params = bench->weights,
                             .batch = fields};
  tn_tensor *loss = tn_loss_value(task->loss, &call);
  return tn_failed() ? NULL : loss;
}

static void commit_statistics(const struct task_bench *bench, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    tn_tensor *buffer = tn_param_tensor(bench->weights, bench->updates[i].index);
    const tn_tensor *value = bench->updates[i].value;
    memcpy(tn_data(buffer), tn_data(value), (size_t)tn_numel(buffer) * (buffer->dl.dtype.bits / 8));
  }
}

/* TN_DONE if the loss is no longer finite. */
static tn_status train_step(const struct task *task, const struct task_bench *bench,
                            const struct program *program, const struct analysis *analysis, int64_t step) {
  const tn_progress progress = {.size = sizeof progress,
                                .mode = TN_TRAIN,
                                .step = step,
                                .steps = task->planned,
                                .epoch = (double)(step * task->size) / (double)task->training.count,
                                .epochs =
                                    (double)(task->planned * task->size) / (double)task->training.count};
  tn_fields *fields = tn_fields_new();
  tn_tensor *index = tn_wrap(TN_I64, TN_SHAPE(task->size), task->order + step * task->size);
  for (uint32_t i = 0; i < task->training.fields; i++)
    tn_fields_set(fields, task->training.names[i], tn_index_select(task->training.values[i], 0, index));
  uint32_t updates = 0;
  tn_tensor *loss = loss_of(task, bench, fields, &progress, &updates);
  if (!loss) return TN_ERROR_INVALID;
  if (!isfinite(tn_item(loss))) return TN_DONE;
  tn_status status = tn_grad_params(loss, bench->weights, bench->gradient);
  commit_statistics(bench, updates);
  const double lr = task->schedule ? tn_schedule_factor(task->schedule, &progress) : 1;
  return status < 0 ? status
                    : program_step_params(program, analysis, &task->layout, bench->weights, bench->gradient,
                                          bench->m, bench->v, lr);
}

static tn_status measure(const struct task *task, const struct task_bench *bench, double *value) {
  const tn_progress progress = {
      .size = sizeof progress, .mode = TN_EVALUATE, .step = task->planned, .steps = task->planned};
  tn_fields *fields = tn_fields_new();
  for (uint32_t i = 0; i < task->held_out.fields; i++)
    tn_fields_set(fields, task->held_out.names[i], task->held_out.values[i]);
  tn_tensor *loss = loss_of(task, bench, fields, &progress, NULL);
  if (!loss) return TN_ERROR_INVALID;
  *value = tn_item(loss);
  if (task->metric == TASK_LOSS || !isfinite(*value)) return TN_OK;
  tn_tensor *wrong = tn_ne(tn_argmax(tn_field(fields, "logits"), -1), tn_field(fields, "label"));
  *value = tn_item(tn_mean(tn_cast(wrong, TN_F64)));
  return tn_outcome();
}

tn_status task_run(struct task *task, const struct program *program, const struct analysis *analysis,
                   double *value) {
  *value = INFINITY;
  if (!task->initial || !task->order) return tn_fail(TN_ERROR_INTERNAL, "evaluate before begin");
  struct task_bench *bench = take_bench(task);
  if (!bench) return TN_ERROR_MEMORY;
  const bool recording = tn_record(true);
  tn_status status = tn_params_copy(bench->weights, task->initial);
  if (status >= 0) status = tn_params_fill(bench->m, 0);
  if (status >= 0) status = tn_params_fill(bench->v, 0);
  for (int64_t step = 0; status == TN_OK && step < task->planned; step++) {
    tn_scope_open();
    status = train_step(task, bench, program, analysis, step);
    tn_scope_close();
  }
  if (status == TN_OK) {
    tn_record(false);
    tn_scope_open();
    status = measure(task, bench, value);
    tn_scope_close();
  }
  tn_record(recording);
  give_bench(task, bench);
  if (!isfinite(*value)) *value = INFINITY;
  return status < 0 ? status : TN_OK;
}
