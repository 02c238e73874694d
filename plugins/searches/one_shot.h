// SPDX-License-Identifier: MIT
/* The one-shot search of ensembles: what its parts share, and the accuracy of an architecture with the
 * supernet's weights. */
#ifndef TENON_PLUGINS_ONE_SHOT_H
#define TENON_PLUGINS_ONE_SHOT_H

#include "batches.h"
#include "pool.h"
#include <tenon/optimizer.h>
#include <tenon/schedule.h>
#include <tenon/solver.h>
#include <tenon/supernet.h>

enum { SCORE_DIVERSITY, SCORE_ACCURACY, SCORE_RANDOM, SCORE_NONE };
enum { UNIT_OPERATOR, UNIT_COMBINATION };
enum { HELD_ROWS = 128 };

/* Rows read once: the model's input and the labels. */
struct held {
  tn_tensor *input, *label;
};
/* The weights that move together: those of one operator, or those that every architecture has. */
struct part {
  const tn_component *optimizer;
  tn_params *params, *gradient; /* NULL: an operator without weights */
  uint32_t *index;              /* its entries in the supernet's set */
  uint32_t count;
};

struct one_shot {
  /* configuration */
  tn_reals shrink_at;
  double shrink_every, beta, clip, budget;
  int64_t drop, keep, samples, subset, probe, prefixes, calibrate, ranked, copies;
  int32_t score, unit;
  const tn_component *evolve;

  const tn_search_setting *setting;
  const tn_ensemble *table;
  const struct space *space;
  int64_t sets, operators;
  tn_params *all;
  struct part *parts; /* (operators + 1), the last one what every architecture has */
  int64_t *order;     /* scratch */
  struct held *validation;
  int64_t validation_count;
  struct held calibration, probes;
  struct pool pool;
  tn_component problem; /* itself, as the solver sees it */
  /* state */
  int64_t rounds;  /* of shrinking */
  int64_t surveys; /* points of the curves */
  double *curves;  /* (surveys, 3): step, mean accuracy and mean diversity of the pool */
  size_t curve_bytes;
  int64_t *steps; /* (operators + 1): of each optimizer */
  size_t step_bytes;
  bool found; /* the solver is done */
};

/* ---- architectures ---- */

/* The network that is built of it. */
static inline struct architecture built(const struct one_shot *s, const struct architecture *a) {
  struct architecture all = *a;
  if (s->copies == 1) return all;
  all.paths = s->copies;
  all.split = s->space->splits.count > 0 ? s->space->splits.items[0] : 1;
  for (int64_t k = 1; k < all.paths; k++) memcpy(all.genes[k], all.genes[0], sizeof all.genes[0]);
  return all;
}
static inline double macs_of(const struct one_shot *s, const struct architecture *a) {
  const struct architecture all = built(s, a);
  return space_macs(s->space, &all);
}

/* Which operators it uses: (operators). */
static inline void uses(const struct one_shot *s, const struct architecture *a, bool *used) {
  const int64_t columns = space_columns(s->space);
  memset(used, 0, (size_t)s->operators * sizeof *used);
  for (int64_t k = 0; k < a->paths; k++)
    for (int64_t l = 0; l < s->space->layers; l++) {
      const int64_t set = s->sets == 1 || l < a->split ? 0 : k + 1;
      const int64_t column = space_column(s->space, architecture_gene(a, k, l));
      used[(set * s->space->layers + l) * columns + column] = true;
    }
}

/* ---- rows that are read once ---- */

static inline void drop_held(struct held *held) {
  tn_release(held->input);
  tn_release(held->label);
  *held = (struct held){NULL, NULL};
}

static inline void drop_rows(struct one_shot *s) {
  for (int64_t i = 0; i < s->validation_count; i++) drop_held(&s->validation[i]);
  tn_free(s->validation);
  if (s->calibration.input) drop_held(&s->calibration);
  if (s->probes.input) drop_held(&s->probes);
  s->validation = NULL;
  s->validation_count = 0;
}

/* ---- accuracy of an architecture with the supernet's weights ---- */

static inline tn_status hold(const struct one_shot *s, const int64_t *rows, int64_t count,
                             struct held *held) {
  const tn_progress progress = {.size = sizeof progress, .mode = TN_EVALUATE};
  tn_scope_open();
  tn_fields *fields = tn_fields_new();
  tn_status status = tn_dataset_read(s->setting->data, rows, count, fields);
  if (status >= 0) status = pass_transform(s->setting->transforms, NULL, fields, rows, &progress);
  const tn_tensor *input = status >= 0 ? tn_field(fields, s->space->input) : NULL;
  const tn_tensor *label = status >= 0 ? tn_field(fields, "label") : NULL;
  if (status >= 0) status = tn_outcome();
  if (status >= 0) {
    held->input = tn_persist(input);
    held->label = tn_persist(label);
    status = tn_outcome();
  }
  tn_scope_close();
  return status;
}

/* Reads the rows that every evaluation is about. */
static inline tn_status hold_rows(struct one_shot *s) {
  const tn_search_setting *setting = s->setting;
  if (s->validation) return TN_OK;
  const int64_t most = tn_smoke() ? 64 : INT64_MAX;
  const int64_t rows = setting->validation_count < most ? setting->validation_count : most;
  const int64_t calibrate = s->calibrate < setting->train_count ? s->calibrate : setting->train_count;
  const int64_t probe = s->probe < setting->train_count ? s->probe : setting->train_count;
  s->validation = tn_alloc((size_t)((rows + HELD_ROWS - 1) / HELD_ROWS) * sizeof *s->validation);
  tn_status status = s->validation ? TN_OK : TN_ERROR_MEMORY;
  const bool recording = tn_record(false);
  for (int64_t first = 0; status >= 0 && first < rows; first += HELD_ROWS) {
    const int64_t count = rows - first < HELD_ROWS ? rows - first : HELD_ROWS;
    status = hold(s, setting->validation_rows + first, count, &s->validation[s->validation_count]);
    if (status >= 0) s->validation_count++;
  }
  if (status >= 0 && calibrate > 0) status = hold(s, setting->train_rows, calibrate, &s->calibration);
  if (status >= 0) status = hold(s, setting->train_rows + setting->train_count - probe, probe, &s->probes);
  tn_record(recording);
  return status;
}

static inline tn_status forward(const struct one_shot *s, const tn_params *params, const struct held *rows,
                                tn_norm_mode norm, tn_fields *outputs, tn_buffer_update *updates,
                                uint32_t *count) {
  tn_fields *inputs = tn_fields_new();
  tn_fields_set(inputs, s->space->input, rows->input);
  tn_rng rng = tn_rng_at(s->setting->model->name, "evaluate", 0);
  tn_model_call call = {.size = sizeof call,
                        .norm = norm,
                        .params = params,
                        .inputs = inputs,
                        .outputs = outputs,
                        .progress = {.size = sizeof call.progress, .mode = TN_EVALUATE},
                        .rng = &rng,
                        .updates = updates};
  const tn_status status = tn_model_apply(s->setting->model, &call);
  if (count) *count = call.update_count;
  return status < 0 ? status : tn_outcome();
}

/* The supernet's set with the gates of `a` and, if they are to be calibrated, the statistics of its
 * normalisations: those of the calibration rows, in one batch. Belongs to the scope. */
static const tn_params *ready(const struct one_shot *s, const struct architecture *a) {
  const uint32_t count = tn_params_count(s->all);
  tn_tensor **tensors = tn_alloc(count * sizeof(tn_tensor *));
  tn_buffer_update *updates = tn_alloc(count * sizeof *updates);
  const tn_params *params = NULL;
  uint32_t reported = 0;
  for (uint32_t i = 0; tensors && updates && i < count; i++) {
    tn_param_entry entry;
    tn_params_entry(s->all, i, &entry);
    tensors[i] = entry.tensor;
    if (entry.group == TN_FIXED)
      tensors[i] = tn_from(entry.tensor->dtype, tn_shape_of(entry.tensor), tn_data(entry.tensor));
    /* From zero a running statistic becomes the momentum times the batch's. */
    if (entry.group == TN_BUFFER) tensors[i] = tn_zeros(entry.tensor->dtype, tn_shape_of(entry.tensor));
  }
  if (tensors && updates) {
    tn_params *mine = tn_params_from_tensors(s->all, tensors);
    tn_status status = mine ? s->table->choose(s->setting->model->self, mine, a) : TN_ERROR_MEMORY;
    params = status < 0 ? NULL : mine;
    if (params && s->calibrate > 0) {
      status = forward(s, params, &s->calibration, TN_NORM_BATCH, tn_fields_new(), updates, &reported);
      for (uint32_t u = 0; status >= 0 && u < reported; u++)
        tensors[updates[u].index] = tn_scale(updates[u].value, 1 / s->space->norm_momentum);
      params = status < 0 ? NULL : tn_params_from_tensors(s->all, tensors);
    }
  }
  tn_free(tensors);
  tn_free(updates);
  return params;
}

/* Share of right answers among the first `most` validation rows. [worker] */
static inline tn_status accuracy_of(const struct one_shot *s, const struct architecture *a, int64_t most,
                                    double *accuracy) {
  double hits = 0, labelled = 0;
  const bool recording = tn_record(false);
  tn_scope_open();
  const tn_params *params = ready(s, a);
  tn_status status = params ? TN_OK : TN_ERROR_INVALID;
  for (int64_t i = 0; status >= 0 && i < s->validation_count && i * HELD_ROWS < most; i++) {
    tn_scope_open();
    tn_fields *outputs = tn_fields_new();
    status = forward(s, params, &s->validation[i], s->calibrate > 0 ? TN_NORM_RUNNING : TN_NORM_FROZEN,
                     outputs, NULL, NULL);
    const tn_tensor *best = status >= 0 ? tn_argmax(tn_field(outputs, s->space->output_name), 1) : NULL;
    const tn_tensor *label = s->validation[i].label;
    if (status >= 0) status = tn_outcome();
    for (int64_t r = 0; status >= 0 && r < tn_numel(label) && i * HELD_ROWS + r < most; r++) {
      if (tn_i64(label)[r] < 0) continue;
      hits += tn_i64(best)[r] == tn_i64(label)[r];
      labelled++;
    }
    tn_scope_close();
  }
  tn_scope_close();
  tn_record(recording);
  *accuracy = labelled > 0 ? hits / labelled : 0;
  return status;
}

#endif
