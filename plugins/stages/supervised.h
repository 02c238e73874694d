// SPDX-License-Identifier: MIT
/* stage.supervised: its parameters, and the objective on one batch. */
#ifndef TENON_PLUGINS_SUPERVISED_H
#define TENON_PLUGINS_SUPERVISED_H

#include "pass.h"
#include "share.h"
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
/* ---- parameters ---- */

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

#endif
