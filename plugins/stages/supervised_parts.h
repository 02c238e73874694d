// SPDX-License-Identifier: MIT
/* stage.supervised: the objective on a batch in parts, one after another or spread over ranks. */
#ifndef TENON_PLUGINS_SUPERVISED_PARTS_H
#define TENON_PLUGINS_SUPERVISED_PARTS_H

#include "supervised.h"

/* 0: they cannot be spread. */
static int64_t parts_of_rank(const struct supervised *stage) {
  const int64_t each = stage->micro_batches / tn_ranks();
  const bool even = each * tn_ranks() == stage->micro_batches;
  return tn_ranks() == 1 || (even && (each & (each - 1)) == 0) ? each : 0;
}

static void parts_release(struct supervised *stage) {
  struct parts *parts = &stage->parts;
  for (int level = 0; level < LEVELS; level++) {
    tn_params_release(parts->gradient[level]);
    tn_free(parts->row[level]);
  }
  for (int64_t part = 0; parts->outputs && part < stage->micro_batches; part++)
    packed_free(&parts->outputs[part]);
  tn_free(parts->outputs);
  tn_free(parts->sum);
  tn_free(parts->offset);
  *parts = (struct parts){0};
}

static tn_status parts_prepare(struct supervised *stage) {
  struct parts *parts = &stage->parts;
  const tn_params *model = stage->blocks[0].live;
  const uint32_t entries = tn_params_count(model);
  parts->mine = parts_of_rank(stage);
  if (stage->micro_batches == 1) return TN_OK;
  parts->offset = tn_alloc((entries + 1) * sizeof *parts->offset);
  parts->outputs = tn_alloc((size_t)stage->micro_batches * sizeof *parts->outputs);
  if (!parts->offset || !parts->outputs) return TN_ERROR_MEMORY;
  memset(parts->outputs, 0, (size_t)stage->micro_batches * sizeof *parts->outputs);
  parts->width = 1;
  for (uint32_t i = 0; i < entries; i++) {
    tn_param_entry entry;
    tn_params_entry(model, i, &entry);
    parts->offset[i] = parts->width + 1;
    if (entry.group == TN_BUFFER) parts->width += 1 + tn_numel(entry.tensor);
  }
  parts->sum = tn_alloc((size_t)parts->width * sizeof *parts->sum);
  bool made = parts->sum != NULL;
  for (int level = 0; made && ((int64_t)1 << level) < parts->mine; level++) {
    parts->gradient[level] = tn_params_like(stage->all);
    parts->row[level] = tn_alloc((size_t)parts->width * sizeof *parts->sum);
    made = parts->gradient[level] && parts->row[level];
  }
  return made ? TN_OK : TN_ERROR_MEMORY;
}

/* The objective on one part, its rows read; `count` 0: it has none, and nothing is read. */
static tn_status part_of(const struct objective *batch, int64_t part, struct objective *o, int64_t *count) {
  const struct supervised *stage = batch->stage;
  const int64_t first = batch->count * part / stage->micro_batches;
  *count = batch->count * (part + 1) / stage->micro_batches - first;
  tn_fields *rows = tn_fields_new();
  *o = (struct objective){.stage = batch->stage,
                          .progress = batch->progress,
                          .rows = rows,
                          .index = batch->index + first,
                          .count = batch->count,
                          .part = part};
  return *count > 0 ? tn_dataset_read(stage->data, o->index, *count, rows) : TN_OK;
}

/* Shows every part with the model's outputs to the metrics, or to the loss's after_step. */
static tn_status show_parts(const struct objective *batch, bool to_loss) {
  struct supervised *stage = batch->stage;
  tn_status status = TN_OK;
  for (int64_t part = 0; status >= 0 && part < stage->micro_batches; part++) {
    struct packed *outputs = &stage->parts.outputs[part];
    struct objective o;
    struct evaluation e;
    int64_t count;
    double unused;
    tn_scope_open();
    status = part_of(batch, part, &o, &count);
    if (status >= 0 && count > 0) {
      status = prepare(&o, &e, stage->all);
      if (status >= 0) status = packed_share(outputs, (int32_t)(part / stage->parts.mine));
      if (status >= 0) {
        packed_read(outputs, e.outputs, &unused);
        call_loss(&o, &e, e.outputs);
        status = to_loss ? tn_loss_after_step(stage->loss, &e.call)
                         : pass_update_metrics(&stage->metrics, e.fields);
      }
    }
    if (part / stage->parts.mine != tn_rank()) packed_free(outputs);
    tn_scope_close();
  }
  return status;
}

/* Adds the part's new running statistics to a row. */
static tn_status add_statistics(const struct supervised *stage, uint32_t count, double weight, double *row) {
  for (uint32_t u = 0; u < count; u++) {
    tn_param_entry entry;
    tn_params_entry(stage->blocks[0].live, stage->updates[u].index, &entry);
    const tn_tensor *value = tn_cast(stage->updates[u].value, TN_F64);
    if (tn_poisoned(value)) return tn_outcome();
    if (entry.group != TN_BUFFER || tn_numel(value) != tn_numel(entry.tensor))
      return tn_fail(TN_ERROR_SHAPE, "'%s' reports a running statistic of another shape", stage->model->name);
    double *at = row + stage->parts.offset[stage->updates[u].index];
    at[-1] = weight;
    for (int64_t i = 0; i < tn_numel(value); i++) at[i] = weight * tn_f64(value)[i];
  }
  return TN_OK;
}

/* One part's share of the gradient (NULL: none is wanted) and of the row. `outputs`: gets the model's; NULL:
 * nobody wants them, nor running statistics. */
static tn_status evaluate_part(const struct objective *batch, int64_t part, const tn_params *params,
                               tn_params *gradient, double *row, int64_t width, struct packed *outputs) {
  struct supervised *stage = batch->stage;
  struct objective o;
  struct evaluation e;
  int64_t count;
  uint32_t updates = 0;
  memset(row, 0, (size_t)width * sizeof *row);
  tn_status status = part_of(batch, part, &o, &count);
  if (status >= 0 && count == 0) return gradient ? tn_params_fill(gradient, 0) : TN_OK;
  const double weight = (double)count / (double)batch->count;
  if (status >= 0) status = forward(&o, &e, params, outputs ? stage->updates : NULL, &updates);
  if (status < 0) return status;
  tn_tensor *value = loss_of(&o, &e, e.outputs);
  if (tn_failed()) return tn_outcome();
  row[0] = weight * tn_item(value);
  if (gradient) status = tn_grad_params(value, params, gradient);
  if (status >= 0 && gradient) status = tn_params_scale(gradient, weight);
  if (status < 0 || !outputs) return status;
  const bool recording = tn_record(false);
  status = add_statistics(stage, updates, weight, row);
  const tn_loss *loss = stage->loss->vtable;
  const bool shown = stage->metrics.count > 0 || TN_HAS(loss, tn_loss, after_step);
  if (status >= 0 && shown) status = packed_write(outputs, e.outputs, 0);
  tn_record(recording);
  return status;
}

/* Adds what waits on this level to the sum. */
static tn_status add_level(const struct parts *parts, int level, tn_params *gradient, double *row,
                           int64_t width) {
  for (int64_t i = 0; i < width; i++) row[i] += parts->row[level][i];
  return gradient ? tn_params_axpy(gradient, 1, parts->gradient[level]) : TN_OK;
}

/* The sum over all parts, on every rank. Bit l of the number of a part says whether a sum of 2^l parts before
 * it waits: with the last part they all come together, before it those that it completes. */
static tn_status evaluate_parts(const struct objective *batch, const tn_params *params, tn_params *gradient,
                                double *row, int64_t width, struct packed *outputs) {
  const struct supervised *stage = batch->stage;
  const struct parts *parts = &stage->parts;
  const int64_t first = tn_rank() * parts->mine;
  tn_status status = TN_OK;
  for (int64_t i = 0; status >= 0 && i < parts->mine; i++) {
    tn_scope_open();
    status =
        evaluate_part(batch, first + i, params, gradient, row, width, outputs ? &outputs[first + i] : NULL);
    tn_scope_close();
    const bool last = i + 1 == parts->mine;
    int level = 0;
    for (; status >= 0 && i >> level && (last || i >> level & 1); level++)
      if (i >> level & 1) status = add_level(parts, level, gradient, row, width);
    if (status < 0 || last) continue;
    memcpy(parts->row[level], row, (size_t)width * sizeof *row);
    if (gradient) status = tn_params_copy(parts->gradient[level], gradient);
  }
  if (status >= 0) status = tn_sdk.comm->sum(row, width);
  if (status >= 0 && gradient) status = tn_sdk.comm->sum_params(gradient);
  if (status < 0 || !outputs || stage->metrics.count == 0) return status;
  const bool recording = tn_record(false);
  status = show_parts(batch, false);
  tn_record(recording);
  return status;
}

static tn_status objective_evaluate_parts(tn_closure *closure, const tn_params *params, tn_params *gradient,
                                          double *loss) {
  const struct objective *o = (struct objective *)closure;
  closure->evaluations++;
  const bool recording = tn_record(gradient != NULL);
  const tn_status status = evaluate_parts(o, params, gradient, loss, 1, NULL);
  tn_record(recording);
  return status;
}

/* Writes the mean running statistics to the model. */
static void commit_statistics(const struct supervised *stage) {
  const tn_params *model = stage->blocks[0].live;
  for (uint32_t i = 0; i < tn_params_count(model); i++) {
    tn_param_entry entry;
    tn_params_entry(model, i, &entry);
    const double *at = stage->parts.sum + stage->parts.offset[i];
    if (entry.group != TN_BUFFER || !(at[-1] > 0)) continue;
    for (int64_t k = 0; k < tn_numel(entry.tensor); k++) {
      if (entry.tensor->dtype == TN_F64)
        tn_f64(entry.tensor)[k] = at[k];
      else
        tn_f32(entry.tensor)[k] = (float)at[k];
    }
  }
}

#endif
