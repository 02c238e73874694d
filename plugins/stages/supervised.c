// SPDX-License-Identifier: MIT
/* Supervised training: minimises a loss of a model over the batches of a data set. One step is one batch:
 *
 *   rows -> transforms -> model -> loss -> gradient -> gradient transforms -> optimizer
 *
 * The parameters of model, loss and transforms are trained together, as one joined set. New running
 * statistics are committed after the optimizer's step. An optimizer that evaluates at other points does so
 * through the closure, on the same batch and with the same random numbers.
 *
 * With `micro_batches` a batch goes through in parts of consecutive rows, one after another or spread over
 * ranks. The objective is then the mean of the parts' losses, weighted by their rows; normalisation over a
 * batch is over a part, and new running statistics are the parts' mean in the same sense; each part draws
 * random numbers of its own. Sums over parts add neighbours first, so a number of ranks that leaves each 2^k
 * parts gives the same bits as any other. Metrics see the parts in their order, on every rank.
 *
 * With `ema`, or an optimizer that
 * names its own final parameters, those are what is validated, and what the model keeps at the end.
 *
 * `observers` see the parameters and their gradient in front of every update. Metrics that probe models do so
 * whenever an event is emitted, and once in front of the first step.
 *
 * Step events carry `loss` (mean since the last event), `lr`, `gradient_norm` (before gradient transforms),
 * the metrics over the training batches since the last event, and, when it was validated, `validation_loss`
 * and the metrics as `validation_NAME`. The last event's figures are the stage's results. */
#include "pass.h"
#include "share.h"
#include <tenon/gradient.h>
#include <tenon/observer.h>
#include <tenon/optimizer.h>
#include <tenon/sampler.h>
#include <tenon/schedule.h>
#include <tenon/weighting.h>

/* A component whose parameters are trained, and where they are in the joined set. */
struct block {
  const tn_component *component;
  tn_params *live;
  uint32_t first, count;
};

enum { LEVELS = 32 };
/* A batch in parts. What parts add up to beside the gradient is a row of numbers: the loss, and for each
 * entry of the model's set its weight (0: not reported) and its new running statistic. */
struct parts {
  int64_t mine;                /* how many of them this rank computes */
  tn_params *gradient[LEVELS]; /* sums of 2^level parts that wait for their neighbour */
  double *row[LEVELS];
  double *sum;            /* (width) */
  int64_t width, *offset; /* offset: of an entry's statistic in a row, behind its weight */
  struct packed *outputs; /* (micro_batches) of the model; those of other ranks' parts only in passing */
};

struct supervised {
  const tn_component *data, *validation, *model, *loss, *optimizer, *schedule, *weighting, *sampler;
  tn_references transforms, gradient, metrics, observers;
  bool restart;
  tn_count batch;
  double epochs, ema;
  int64_t steps, evaluate_every, log_every, evaluation_batch, micro_batches;

  int64_t rows, size, batches; /* of the training data; rows a batch; batches an epoch */
  int64_t planned;             /* steps */
  int64_t *index;              /* (size) */
  int64_t *evaluation_index;   /* (evaluation_batch) */
  struct block *blocks;        /* model, loss, transforms; those without parameters are left out */
  uint32_t block_count;
  tn_params *all, *joined; /* what is trained; joined: the same if it is ours to release, else NULL */
  tn_params *gradients;    /* like all */
  tn_params *average;      /* with ema */
  tn_tensor **tensors;     /* scratch: one an entry of all */
  const tn_params **transform_params; /* scratch: one a transform */
  tn_buffer_update *updates;          /* one an entry of the model's set */
  struct parts parts;                 /* with micro_batches */
  struct packed shared;               /* outputs of another rank's validation batch */

  int64_t step, epoch, batch_of_epoch; /* finished ones */
  double loss_sum, loss_steps;         /* since the last event */
};
static const tn_param supervised_params[] = {
    TN_REFERENCE(struct supervised, data, TN_PARAM_REQUIRED, TN_DATASET, NULL, "training data"),
    TN_REFERENCE(struct supervised, validation, 0, TN_DATASET, NULL,
                 "data to validate on, `digits:validation`"),
    TN_REFERENCES(struct supervised, transforms, 0, TN_TRANSFORM, "",
                  "in front of the model, in order; fitted on the training data"),
    TN_REFERENCE(struct supervised, model, TN_PARAM_REQUIRED, TN_MODEL, NULL, "the model to train"),
    TN_REFERENCE(struct supervised, loss, TN_PARAM_REQUIRED, TN_LOSS, NULL, "what is minimised"),
    TN_REFERENCE(struct supervised, optimizer, TN_PARAM_REQUIRED, TN_OPTIMIZER, NULL, "how it is minimised"),
    TN_REFERENCE(struct supervised, schedule, 0, TN_SCHEDULE, NULL,
                 "factor on the learning rate over time; empty: constant"),
    TN_REFERENCES(struct supervised, gradient, 0, TN_GRADIENT, "",
                  "transforms of the gradient in front of the optimizer, in order"),
    TN_REFERENCE(struct supervised, weighting, 0, TN_WEIGHTING, NULL,
                 "weights of samples in the loss; empty: all alike"),
    TN_REFERENCE(struct supervised, sampler, 0, TN_SAMPLER, "sampler.shuffle", "which rows make a batch"),
    TN_COUNT(struct supervised, batch, "32", "rows a batch, their share, or `full`"),
    TN_REAL(struct supervised, epochs, "0", 0, INFINITY,
            "passes over the training data; 10 if `steps` is not given either"),
    TN_INTEGER(struct supervised, steps, "0", 0, 1e15, "steps", "length in steps, instead of epochs"),
    TN_REFERENCES(struct supervised, metrics, 0, TN_METRIC, "",
                  "measured on the training batches and on the validation data"),
    TN_REFERENCES(struct supervised, observers, 0, TN_OBSERVER, "",
                  "see the parameters and their gradient at each step"),
    TN_INTEGER(struct supervised, evaluate_every, "1", 0, 1e15, "epochs",
               "how often to validate; 0: only at the end"),
    TN_PARAM_(struct supervised, ema, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0", 0, 1, NULL, NULL, NULL,
              "decay of a moving average of the parameters, a step; 0: none"),
    TN_INTEGER(struct supervised, log_every, "0", 0, 1e15, "steps",
               "how often to emit an event; 0: some 500 in all"),
    TN_INTEGER(struct supervised, micro_batches, "1", 1, 1 << 20, NULL,
               "parts of a batch, one after another or spread over ranks"),
    TN_INTEGER(struct supervised, evaluation_batch, "500", 1, 1 << 20, "rows", "rows a batch in validation"),
    TN_BOOL(struct supervised, restart, "no",
            "begin with the parameters as they were at first, whatever trained them since"),
};

/* 0: they cannot be spread. */
static int64_t parts_of_rank(const struct supervised *stage) {
  const int64_t each = stage->micro_batches / tn_ranks();
  const bool even = each * tn_ranks() == stage->micro_batches;
  return tn_ranks() == 1 || (even && (each & (each - 1)) == 0) ? each : 0;
}

static tn_status supervised_check(void *self) {
  const struct supervised *stage = self;
  if (stage->steps > 0 && stage->epochs > 0)
    return tn_fail(TN_ERROR_INVALID, "give steps or epochs, not both");
  if (stage->weighting && !tn_loss_has_per_sample(stage->loss))
    return tn_fail(TN_ERROR_INVALID, "'%s' gives no loss a sample, which weighting needs", stage->loss->name);
  const tn_sampler *sampler = stage->sampler->vtable;
  if (stage->micro_batches > 1 && stage->weighting)
    return tn_fail(TN_ERROR_INVALID, "micro_batches and weighting: '%s' needs the whole batch",
                   stage->weighting->name);
  if (stage->micro_batches > 1 && TN_HAS(sampler, tn_sampler, feedback))
    return tn_fail(TN_ERROR_INVALID, "micro_batches and '%s': it learns from losses of the whole batch",
                   stage->sampler->name);
  if (parts_of_rank(stage) == 0)
    return tn_fail(TN_ERROR_INVALID, "micro_batches = %lld on %d ranks: expected 1, 2, 4, 8 ... times %d",
                   (long long)stage->micro_batches, (int)tn_ranks(), (int)tn_ranks());
  for (uint32_t o = 0; o < stage->observers.count; o++)
    if (!tn_observer_watches(stage->observers.items[o]))
      return tn_fail(TN_ERROR_INVALID, "'%s' sees events only: it belongs into [pipeline] observers",
                     stage->observers.items[o]->name);
  const tn_component *const sets[] = {stage->data, stage->validation};
  tn_status status = TN_OK;
  for (size_t i = 0; status >= 0 && i < TN_ARRAY_LENGTH(sets); i++) {
    if (!sets[i]) continue;
    tn_spec *own;
    const tn_spec *fields;
    status = pass_declare_data(sets[i], &stage->transforms, &own, &fields);
    if (status >= 0) status = tn_declare_component(stage->model, fields, &fields);
    if (status >= 0) status = tn_declare_component(stage->loss, fields, NULL);
    if (status >= 0) status = pass_declare_metrics(&stage->metrics, fields);
    tn_spec_release(own);
  }
  return status;
}

/* ---- parameters ---- */

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

static void supervised_release(struct supervised *stage) {
  parts_release(stage);
  packed_free(&stage->shared);
  tn_params_release(stage->joined);
  tn_params_release(stage->gradients);
  tn_params_release(stage->average);
  tn_free(stage->index);
  tn_free(stage->evaluation_index);
  tn_free(stage->blocks);
  tn_free(stage->tensors);
  tn_free(stage->transform_params);
  tn_free(stage->updates);
  stage->joined = stage->gradients = stage->average = stage->all = NULL;
  stage->index = stage->evaluation_index = NULL;
  stage->blocks = NULL;
  stage->tensors = NULL;
  stage->transform_params = NULL;
  stage->updates = NULL;
  stage->block_count = 0;
}

static void add_block(struct supervised *stage, const tn_component *component, tn_params *live) {
  const struct block *last = stage->block_count > 0 ? &stage->blocks[stage->block_count - 1] : NULL;
  stage->blocks[stage->block_count++] =
      (struct block){component, live, last ? last->first + last->count : 0, tn_params_count(live)};
}

/* Everything that is trained as it was at first. */
static tn_status restart(const struct supervised *stage) {
  tn_status status = tn_initialise(stage->model);
  if (status >= 0 && pass_parameters(stage->loss)) status = tn_initialise(stage->loss);
  for (uint32_t t = 0; status >= 0 && t < stage->transforms.count; t++)
    if (pass_parameters(stage->transforms.items[t])) status = tn_initialise(stage->transforms.items[t]);
  return status;
}

/* Puts together what is trained. */
static tn_status collect_parameters(struct supervised *stage) {
  const uint32_t most = 2 + stage->transforms.count;
  stage->blocks = tn_alloc(most * sizeof *stage->blocks);
  tn_params **sets = tn_alloc(most * sizeof *sets);
  tn_params *model = tn_parameters(stage->model);
  tn_status status = stage->blocks && sets && model ? TN_OK : TN_ERROR_MEMORY;
  if (status == TN_OK) {
    add_block(stage, stage->model, model);
    tn_params *live = pass_parameters(stage->loss);
    if (live) add_block(stage, stage->loss, live);
    for (uint32_t t = 0; t < stage->transforms.count; t++) {
      live = pass_parameters(stage->transforms.items[t]);
      if (live) add_block(stage, stage->transforms.items[t], live);
    }
    for (uint32_t b = 0; b < stage->block_count; b++) sets[b] = stage->blocks[b].live;
    if (stage->block_count > 1) stage->joined = tn_params_join(sets, stage->block_count);
    stage->all = stage->block_count > 1 ? stage->joined : model;
    if (!stage->all) status = TN_ERROR_MEMORY;
  }
  tn_free(sets);
  if (status < 0) return status;
  if (tn_params_numel(stage->all) == 0)
    return tn_fail(TN_ERROR_INVALID, "'%s' has no parameters to train", stage->model->name);
  stage->gradients = tn_params_like(stage->all);
  stage->tensors = tn_alloc((tn_params_count(stage->all) + 1) * sizeof *stage->tensors);
  stage->transform_params = tn_alloc((stage->transforms.count + 1) * sizeof *stage->transform_params);
  stage->updates = tn_alloc((tn_params_count(model) + 1) * sizeof *stage->updates);
  if (stage->ema > 0) stage->average = tn_params_clone(stage->all);
  const bool made = stage->gradients && stage->tensors && stage->transform_params && stage->updates;
  return made && (stage->average || stage->ema == 0) ? TN_OK : TN_ERROR_MEMORY;
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

/* The part of `params` (laid out as `all`) that belongs to `component`; NULL if it has none. */
static const tn_params *parameters_of(const struct supervised *stage, const tn_params *params,
                                      const tn_component *component) {
  for (uint32_t b = 0; b < stage->block_count; b++) {
    const struct block *block = &stage->blocks[b];
    if (block->component != component) continue;
    if (stage->block_count == 1) return params;
    for (uint32_t i = 0; i < block->count; i++) stage->tensors[i] = tn_param_tensor(params, block->first + i);
    return tn_params_from_tensors(block->live, stage->tensors);
  }
  return NULL;
}

static void overwrite(tn_tensor *to, const tn_tensor *from) {
  memcpy(tn_data(to), tn_data(from), (size_t)tn_numel(to) * (to->dl.dtype.bits / 8));
}

static tn_status commit_buffers(const struct supervised *stage, uint32_t count) {
  for (uint32_t u = 0; u < count; u++) {
    const tn_tensor *value = stage->updates[u].value;
    tn_tensor *buffer = tn_param_tensor(stage->blocks[0].live, stage->updates[u].index);
    if (tn_poisoned(value)) return tn_outcome();
    if (value->dtype != buffer->dtype || tn_numel(value) != tn_numel(buffer))
      return tn_fail(TN_ERROR_SHAPE, "'%s' reports a running statistic of another shape", stage->model->name);
    overwrite(buffer, value);
  }
  return TN_OK;
}

/* average <- ema average + (1 - ema) w; running statistics are taken as they are. */
static tn_status update_average(const struct supervised *stage) {
  if (!stage->average) return TN_OK;
  for (uint32_t i = 0; i < tn_params_count(stage->all); i++) {
    tn_param_entry from, to;
    tn_params_entry(stage->all, i, &from);
    tn_params_entry(stage->average, i, &to);
    if (from.group == TN_BUFFER) overwrite(to.tensor, from.tensor);
  }
  return tn_params_lerp(stage->average, stage->all, 1 - stage->ema);
}

/* The parameters to validate and to keep; *own is to be released (NULL: nothing is). */
static const tn_params *final_parameters(const struct supervised *stage, tn_params **own) {
  *own = NULL;
  if (stage->average) return stage->average;
  if (!tn_optimizer_has_final(stage->optimizer)) return stage->all;
  *own = tn_params_clone(stage->all);
  if (!*own || tn_optimizer_final(stage->optimizer, stage->all, *own) < 0) return NULL;
  return *own;
}

/* ---- the objective on one batch ---- */

/* One evaluation of it at some parameters. */
struct evaluation {
  const tn_params *model_params, *loss_params;
  tn_fields *inputs, *outputs; /* of the model */
  tn_fields *fields;           /* both */
  tn_tensor *per_sample;       /* (n) losses; NULL if nobody asked */
  tn_rng rng;                  /* of the loss */
  tn_loss_call call;           /* what the loss was called with */
};

/* What the closure given to the optimizer knows. */
struct objective {
  tn_closure closure; /* first: the closure is the objective */
  struct supervised *stage;
  tn_progress progress;
  const tn_fields *rows; /* as the data set gave them */
  const int64_t *index;
  int64_t count;           /* rows of the batch */
  int64_t part;            /* of the batch; 0 if it is whole */
  struct evaluation probe; /* the last evaluation through closure.apply */
};

/* The model's inputs. */
static tn_status prepare(struct objective *o, struct evaluation *e, const tn_params *params) {
  struct supervised *stage = o->stage;
  *e = (struct evaluation){.inputs = tn_fields_new(), .outputs = tn_fields_new()};
  for (uint32_t t = 0; t < stage->transforms.count; t++)
    stage->transform_params[t] = parameters_of(stage, params, stage->transforms.items[t]);
  e->model_params = parameters_of(stage, params, stage->model);
  e->loss_params = parameters_of(stage, params, stage->loss);
  tn_fields_merge(e->inputs, o->rows);
  return pass_transform_part(&stage->transforms, stage->transform_params, e->inputs, o->index, &o->progress,
                             o->part);
}

static tn_status forward(struct objective *o, struct evaluation *e, const tn_params *params,
                         tn_buffer_update *updates, uint32_t *update_count) {
  const tn_status status = prepare(o, e, params);
  if (status < 0) return status;
  return pass_model_part(o->stage->model, e->model_params, e->inputs, e->outputs, &o->progress, o->part,
                         updates, update_count);
}

/* What the loss is called with. */
static void call_loss(struct objective *o, struct evaluation *e, const tn_fields *outputs) {
  const struct supervised *stage = o->stage;
  e->fields = pass_merge(e->inputs, outputs);
  e->rng = pass_rng(stage->loss, &o->progress, o->part);
  e->call = (tn_loss_call){.size = sizeof e->call,
                           .params = e->loss_params,
                           .fields = e->fields,
                           .progress = o->progress,
                           .rng = &e->rng,
                           .model = stage->model,
                           .model_params = e->model_params,
                           .batch = e->inputs};
}

/* The loss as a function of the model's outputs. */
static tn_tensor *loss_of(struct objective *o, struct evaluation *e, const tn_fields *outputs) {
  const struct supervised *stage = o->stage;
  call_loss(o, e, outputs);
  const tn_sampler *sampler = stage->sampler->vtable;
  const bool feedback = TN_HAS(sampler, tn_sampler, feedback) && tn_loss_has_per_sample(stage->loss);
  if (o->progress.mode == TN_EVALUATE || (!stage->weighting && !feedback))
    return tn_loss_value(stage->loss, &e->call);
  e->per_sample = tn_loss_per_sample(stage->loss, &e->call);
  if (!stage->weighting) return tn_mean(e->per_sample);
  const tn_weighting_call weighting = {.size = sizeof weighting,
                                       .fields = e->fields,
                                       .losses = e->per_sample,
                                       .index = o->index,
                                       .progress = o->progress};
  return tn_weighting_combine(stage->weighting, &weighting);
}

static tn_status objective_evaluate(tn_closure *closure, const tn_params *params, tn_params *gradient,
                                    double *loss) {
  struct objective *o = (struct objective *)closure;
  struct evaluation e;
  closure->evaluations++;
  tn_scope_open();
  const bool recording = tn_record(gradient != NULL);
  tn_status status = forward(o, &e, params, NULL, NULL);
  if (status >= 0) {
    tn_tensor *value = loss_of(o, &e, e.outputs);
    status = tn_outcome();
    if (status >= 0) *loss = tn_item(value);
    if (status >= 0 && gradient) status = tn_grad_params(value, params, gradient);
  }
  tn_record(recording);
  tn_scope_close();
  return status;
}

static tn_status objective_apply(tn_closure *closure, const tn_params *params, tn_fields *outputs) {
  struct objective *o = (struct objective *)closure;
  closure->evaluations++;
  const bool recording = tn_record(true);
  const tn_status status = forward(o, &o->probe, params, NULL, NULL);
  tn_record(recording);
  if (status >= 0) tn_fields_merge(outputs, o->probe.outputs);
  return status;
}

static tn_tensor *objective_loss(tn_closure *closure, const tn_fields *outputs) {
  struct objective *o = (struct objective *)closure;
  const bool recording = tn_record(true);
  tn_tensor *loss = loss_of(o, &o->probe, outputs);
  tn_record(recording);
  return loss;
}

/* ---- the objective on a batch in parts ---- */

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

/* ---- beginning ---- */

static tn_status supervised_begin(void *self) {
  struct supervised *stage = self;
  supervised_release(stage);
  stage->step = stage->epoch = stage->batch_of_epoch = 0;
  stage->loss_sum = stage->loss_steps = 0;
  stage->rows = tn_dataset_rows(stage->data);
  if (stage->rows < 0) return TN_ERROR_MISSING;
  if (stage->rows == 0) return tn_fail(TN_ERROR_INVALID, "'%s' has no rows", stage->data->name);
  stage->size = tn_count_of(stage->batch, stage->rows);
  stage->index = tn_alloc((size_t)stage->size * sizeof *stage->index);
  stage->evaluation_index = tn_alloc((size_t)stage->evaluation_batch * sizeof *stage->evaluation_index);
  if (!stage->index || !stage->evaluation_index) return TN_ERROR_MEMORY;

  tn_status status = stage->restart ? restart(stage) : TN_OK;
  if (status >= 0) status = pass_fit(stage->data, &stage->transforms);
  if (status >= 0) status = collect_parameters(stage);
  if (status >= 0) status = parts_prepare(stage);
  if (status >= 0) status = tn_optimizer_begin(stage->optimizer, stage->all);
  for (uint32_t g = 0; status >= 0 && g < stage->gradient.count; g++)
    status = tn_gradient_begin(stage->gradient.items[g], stage->all);
  if (status >= 0 && stage->weighting) status = tn_weighting_begin(stage->weighting, stage->data);
  if (status >= 0) status = tn_sampler_begin(stage->sampler, stage->data, stage->rows, stage->size);
  if (status < 0) return status;
  for (uint32_t m = 0; m < stage->metrics.count; m++) tn_metric_reset(stage->metrics.items[m]);

  stage->batches = tn_sampler_batches(stage->sampler, stage->rows, stage->size);
  if (stage->batches < 1) stage->batches = 1;
  const double epochs = stage->epochs > 0 ? stage->epochs : 10;
  stage->planned = stage->steps > 0 ? stage->steps : (int64_t)ceil(epochs * (double)stage->batches - 1e-9);
  if (stage->planned < 1) stage->planned = 1;
  if (tn_smoke() && stage->planned > 3) stage->planned = 3;
  return TN_OK;
}

static void supervised_progress(void *self, tn_progress *progress) {
  const struct supervised *stage = self;
  const double batches = stage->batches > 0 ? (double)stage->batches : 1;
  *progress = (tn_progress){.size = sizeof *progress,
                            .mode = TN_TRAIN,
                            .step = stage->step,
                            .steps = stage->planned,
                            .epoch = (double)stage->epoch + (double)stage->batch_of_epoch / batches,
                            .epochs = (double)stage->planned / batches};
}

/* ---- validation ---- */

/* The objective on `evaluation_batch` rows, or those that are left, from `first`; *count: how many. */
static tn_status validation_of(struct supervised *stage, int64_t first, int64_t rows,
                               const tn_progress *progress, struct objective *o) {
  const int64_t left = rows - first, count = left < stage->evaluation_batch ? left : stage->evaluation_batch;
  tn_fields *fields = tn_fields_new();
  for (int64_t i = 0; i < count; i++) stage->evaluation_index[i] = first + i;
  *o = (struct objective){.stage = stage,
                          .progress = *progress,
                          .rows = fields,
                          .index = stage->evaluation_index,
                          .count = count};
  return tn_dataset_read(stage->validation, stage->evaluation_index, count, fields);
}

/* One batch a rank, from `first`; every rank adds all metrics and losses, in order. */
static tn_status validate_batches(struct supervised *stage, const tn_params *params, int64_t first,
                                  int64_t rows, const tn_progress *progress, double *sum) {
  struct objective o;
  struct evaluation mine = {0}, e;
  const int64_t own = first + tn_rank() * stage->evaluation_batch;
  double loss = 0;
  tn_status status = TN_OK;
  if (own < rows) {
    status = validation_of(stage, own, rows, progress, &o);
    if (status >= 0) status = forward(&o, &mine, params, NULL, NULL);
    if (status < 0) return status;
    tn_tensor *value = loss_of(&o, &mine, mine.outputs);
    status = tn_outcome();
    if (status >= 0) loss = tn_item(value);
  }
  for (int32_t rank = 0; status >= 0 && rank < tn_ranks() && first < rows; rank++) {
    const bool is_mine = rank == tn_rank();
    status = validation_of(stage, first, rows, progress, &o);
    if (status >= 0 && is_mine && tn_ranks() > 1) status = packed_write(&stage->shared, mine.outputs, loss);
    if (status >= 0) status = packed_share(&stage->shared, rank);
    double value = loss;
    if (is_mine) e = mine;
    if (status >= 0 && !is_mine) {
      status = prepare(&o, &e, params);
      packed_read(&stage->shared, e.outputs, &value);
      e.fields = pass_merge(e.inputs, e.outputs);
    }
    if (status >= 0) status = pass_update_metrics(&stage->metrics, e.fields);
    *sum += value * (double)o.count;
    first += stage->evaluation_batch;
  }
  return status;
}

static tn_status validate(struct supervised *stage, struct figures *figures) {
  tn_params *own;
  const tn_params *params = final_parameters(stage, &own);
  int64_t rows = tn_dataset_rows(stage->validation);
  tn_status status = !params ? TN_ERROR_INVALID : rows < 0 ? TN_ERROR_MISSING : TN_OK;
  if (tn_smoke() && rows > 64) rows = 64;
  tn_progress progress;
  supervised_progress(stage, &progress);
  progress.mode = TN_EVALUATE;
  const bool recording = tn_record(false);
  double sum = 0;
  const int64_t stride = tn_ranks() * stage->evaluation_batch;
  for (int64_t first = 0; status >= 0 && first < rows; first += stride) {
    tn_scope_open();
    status = validate_batches(stage, params, first, rows, &progress, &sum);
    tn_scope_close();
  }
  tn_record(recording);
  tn_params_release(own);
  if (status < 0) return status;
  if (rows > 0) figures_add(figures, "validation_", "loss", sum / (double)rows);
  return figures_metrics(figures, "validation_", &stage->metrics, true);
}

/* ---- one step ---- */

/* What metrics find that probe the model. */
static tn_status probe(struct supervised *stage, struct figures *figures) {
  const tn_metric_probe probe = {.size = sizeof probe,
                                 .model = stage->model,
                                 .params = parameters_of(stage, stage->all, stage->model),
                                 .loss = stage->loss,
                                 .data = stage->data,
                                 .transforms = &stage->transforms};
  tn_status status = TN_OK;
  figures->prefix = "";
  for (uint32_t m = 0; status >= 0 && m < stage->metrics.count; m++)
    if (tn_metric_probes(stage->metrics.items[m]))
      status = tn_metric_measure(stage->metrics.items[m], &probe, &figures->sink);
  return status;
}

/* Lets them see the model in front of the first step too. */
static tn_status probe_start(struct supervised *stage) {
  struct figures unused;
  figures_start(&unused);
  return probe(stage, &unused);
}

/* Shows observers the parameters and their gradient (NULL: none any more). */
static tn_status observe(const struct supervised *stage, const tn_params *gradient,
                         const tn_progress *progress) {
  const tn_observation observation = {.size = sizeof observation,
                                      .params = stage->all,
                                      .gradient = gradient,
                                      .optimizer = stage->optimizer,
                                      .progress = *progress};
  tn_status status = TN_OK;
  for (uint32_t o = 0; status >= 0 && o < stage->observers.count; o++)
    status = tn_observer_observe(stage->observers.items[o], &observation);
  return status;
}

static tn_status report(struct supervised *stage, double lr, double gradient_norm, bool validates,
                        bool last) {
  tn_progress progress;
  supervised_progress(stage, &progress);
  struct figures figures;
  figures_start(&figures);
  figures_add(&figures, "", "loss", stage->loss_sum / stage->loss_steps);
  stage->loss_sum = stage->loss_steps = 0;
  tn_status status = figures_metrics(&figures, "", &stage->metrics, true);
  if (status >= 0) status = probe(stage, &figures);
  if (status >= 0 && validates) status = validate(stage, &figures);
  if (status < 0) return status;
  for (uint32_t i = 0; last && i < figures.count; i++)
    tn_emit_result(figures.values[i].name, figures.values[i].value);
  if (!isnan(lr)) figures_add(&figures, "", "lr", lr);
  figures_add(&figures, "", "gradient_norm", gradient_norm);
  tn_emit_step(&progress, figures.values, figures.count);
  return TN_OK;
}

static tn_status transform_gradient(struct supervised *stage, double loss, const tn_progress *progress) {
  const tn_gradient_call call = {.size = sizeof call,
                                 .count = 1,
                                 .params = stage->all,
                                 .gradients = &stage->gradients,
                                 .losses = &loss,
                                 .progress = *progress};
  tn_status status = TN_OK;
  for (uint32_t g = 0; status >= 0 && g < stage->gradient.count; g++)
    status = tn_gradient_apply(stage->gradient.items[g], &call);
  return status;
}

/* What follows the update, without recording. */
static tn_status after_update(struct supervised *stage, const struct evaluation *e, uint32_t updates,
                              int64_t count) {
  tn_status status = commit_buffers(stage, updates);
  if (status >= 0) status = tn_loss_after_step(stage->loss, &e->call);
  if (status >= 0) status = update_average(stage);
  if (status >= 0) status = pass_update_metrics(&stage->metrics, e->fields);
  if (status < 0 || !e->per_sample) return status;
  const tn_tensor *scores = tn_cast(e->per_sample, TN_F64); /* (n) */
  if (tn_poisoned(scores) || tn_numel(scores) != count) return tn_outcome();
  return tn_sampler_feedback(stage->sampler, stage->index, tn_f64(scores), count);
}

static tn_status after_update_of_parts(struct supervised *stage, const struct objective *o) {
  const tn_loss *loss = stage->loss->vtable;
  commit_statistics(stage);
  const tn_status status = TN_HAS(loss, tn_loss, after_step) ? show_parts(o, true) : TN_OK;
  return status < 0 ? status : update_average(stage);
}

/* The loss of the batch, recorded, at the live parameters. */
static tn_status evaluate_whole(struct objective *o, struct evaluation *e, tn_fields *rows, uint32_t *updates,
                                tn_tensor **value) {
  struct supervised *stage = o->stage;
  tn_status status = tn_dataset_read(stage->data, o->index, o->count, rows);
  if (status >= 0) status = forward(o, e, stage->all, stage->updates, updates);
  if (status < 0) return status;
  *value = loss_of(o, e, e->outputs);
  return tn_outcome();
}

static tn_status supervised_step(void *self) {
  struct supervised *stage = self;
  bool epoch_ends = false;
  const bool whole = stage->micro_batches == 1;
  tn_fields *rows = tn_fields_new();
  struct objective o = {.closure = {sizeof o.closure, 1, objective_evaluate, objective_apply, objective_loss},
                        .stage = stage,
                        .rows = rows,
                        .index = stage->index};
  if (!whole) o.closure = (tn_closure){sizeof o.closure, 1, objective_evaluate_parts, NULL, NULL};
  supervised_progress(stage, &o.progress);

  tn_status status = tn_sampler_next(stage->sampler, stage->index, &o.count, &epoch_ends);
  if (status < 0) return status;
  struct evaluation e;
  uint32_t updates = 0;
  tn_tensor *value = NULL;
  if (whole)
    status = evaluate_whole(&o, &e, rows, &updates, &value);
  else
    status = evaluate_parts(&o, stage->all, stage->gradients, stage->parts.sum, stage->parts.width,
                            stage->parts.outputs);
  if (status < 0) return status;
  const double loss = whole ? tn_item(value) : stage->parts.sum[0];
  const double factor = stage->schedule ? tn_schedule_factor(stage->schedule, &o.progress) : 1;
  const double lr = tn_optimizer_learning_rate(stage->optimizer, factor);
  if (!isfinite(loss))
    return tn_fail(
        TN_ERROR_DIVERGED,
        "the loss became %g in step %lld (learning rate %g): try a smaller one, or gradient.clip_norm", loss,
        (long long)stage->step + 1, lr);

  const bool last = stage->step + 1 >= stage->planned;
  const int64_t every = stage->log_every > 0 ? stage->log_every : (stage->planned + 499) / 500;
  const int64_t epoch = stage->epoch + epoch_ends;
  const bool due = epoch_ends && stage->evaluate_every > 0 && epoch % stage->evaluate_every == 0;
  const bool validates = stage->validation && (last || due);
  const bool logs = last || validates || stage->step == 0 || (stage->step + 1) % every == 0;
  const bool observed = stage->schedule && tn_schedule_observes(stage->schedule);

  if (whole) status = tn_grad_params(value, stage->all, stage->gradients);
  const double norm = status >= 0 && (logs || observed) ? tn_params_norm(stage->gradients) : 0;
  if (status >= 0 && stage->step == 0) status = probe_start(stage);
  if (status >= 0) status = observe(stage, stage->gradients, &o.progress);
  if (status >= 0) status = transform_gradient(stage, loss, &o.progress);
  if (status < 0) return status;
  const tn_optimizer_step step = {.size = sizeof step,
                                  .params = stage->all,
                                  .gradient = stage->gradients,
                                  .loss = loss,
                                  .schedule = factor,
                                  .step = stage->step + 1,
                                  .closure = &o.closure,
                                  .steps = stage->planned};
  status = tn_optimizer_update(stage->optimizer, &step);
  if (status < 0) return status;
  const bool recording = tn_record(false);
  status = whole ? after_update(stage, &e, updates, o.count) : after_update_of_parts(stage, &o);
  tn_record(recording);
  if (status < 0) return status;

  stage->step++;
  stage->epoch = epoch;
  stage->batch_of_epoch = epoch_ends ? 0 : stage->batch_of_epoch + 1;
  stage->loss_sum += loss;
  stage->loss_steps++;
  supervised_progress(stage, &o.progress);
  if (observed) tn_schedule_observe(stage->schedule, &o.progress, loss, norm);
  if (last) status = observe(stage, NULL, &o.progress);
  if (status < 0) return status;
  if (logs) status = report(stage, lr, norm, validates, last);
  return status < 0 ? status : last ? TN_DONE : TN_OK;
}

/* The model keeps its final parameters. */
static tn_status supervised_end(void *self) {
  struct supervised *stage = self;
  tn_params *own;
  const tn_params *params = final_parameters(stage, &own);
  tn_status status = params ? TN_OK : TN_ERROR_INVALID;
  if (params && params != stage->all) status = tn_params_copy(stage->all, params);
  tn_params_release(own);
  supervised_release(stage);
  return status;
}

static void supervised_destroy(void *self) { supervised_release(self); }

static tn_status supervised_state(void *self, const tn_visitor *visitor) {
  struct supervised *stage = self;
  tn_visit_integer(visitor, "step", &stage->step);
  tn_visit_integer(visitor, "epoch", &stage->epoch);
  tn_visit_integer(visitor, "batch", &stage->batch_of_epoch);
  tn_visit_real(visitor, "loss_sum", &stage->loss_sum);
  tn_status status = tn_visit_real(visitor, "loss_steps", &stage->loss_steps);
  bool averaged = stage->average != NULL;
  if (status >= 0) status = tn_visit_boolean(visitor, "averaged", &averaged);
  return status >= 0 && averaged ? tn_visit_params(visitor, "average", &stage->average) : status;
}

static const tn_stage supervised_table = {sizeof supervised_table, supervised_check, supervised_begin,
                                          supervised_step,         supervised_end,   supervised_progress};
static const tn_class supervised_class = {.size = sizeof(tn_class),
                                          .kind = TN_STAGE,
                                          .name = "supervised",
                                          .summary = "Trains a model on a data set",
                                          TN_CLASS_PARAMS(supervised_params),
                                          .instance_size = sizeof(struct supervised),
                                          .vtable = &supervised_table,
                                          .destroy = supervised_destroy,
                                          .state = supervised_state};
TN_PLUGIN("stage_supervised", "1.0.0", "MIT", &supervised_class)
