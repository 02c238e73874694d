// SPDX-License-Identifier: MIT
/* One-shot search of an ensemble of branches with a shrinking space (Chen et al. 2021, NEAS, section 3), on
 * model.ensemble_supernet:
 *
 *   1. training. Each step draws an architecture from what is left: a split, and choices of the shared layers
 *      and of each path. Only the weights that it uses move: every operator has an instance of the optimizer
 *      of its own. The gradient into the trunk is divided by the number of paths (ensemble.h).
 *   2. shrinking, at some steps. For each layer and choice o that is left:
 *        potentiality a_o: mean validation accuracy of drawn ensembles that make the choice
 *        diversity d_o: mean distance |phi_o - phi_o'| from the others that are left, phi the operators'
 * outputs for the same inputs, averaged over the image, all samples one vector of length 1 The `drop` choices
 * of the lowest z(a) + beta z(d) go, z the standard score over the layer.
 *   3. evolution, after the last step: `evolve` looks for the architecture of highest validation accuracy
 * with the supernet's weights, whose multiply-adds stay within the budget.
 *
 * Validation accuracy is always measured with statistics of the normalisations that are made anew for the
 * architecture from training rows. With one path this is single-path one-shot search (Guo et al. 2020).
 *
 * Results: fitness (validation accuracy) and macs of what was found, pool_accuracy and pool_diversity (means
 * over what is left), choices (left a layer). Published beside the genotype: `samples`, drawn architectures
 * with their validation accuracy, one `ACCURACY : ARCHITECTURE` a line. */
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
static const tn_param one_shot_params[] = {
    TN_REALS(struct one_shot, shrink_at, "0.33, 0.67", 0, 1, "when to shrink, as shares of the steps"),
    TN_REAL(struct one_shot, shrink_every, "0", 0, INFINITY, "epochs between, instead of shrink_at; 0: off"),
    TN_INTEGER(struct one_shot, drop, "1", 1, POOL_UNITS, NULL, "units of a layer that each round drops"),
    TN_INTEGER(struct one_shot, keep, "2", 1, POOL_UNITS, NULL, "fewest that stay in a layer"),
    TN_CHOICE(struct one_shot, score, "diversity", "diversity|accuracy|random|none",
              "what stays: potentiality and diversity, potentiality alone, chance; none: no shrinking"),
    TN_REAL(struct one_shot, beta, "1", 0, INFINITY, "weight of diversity beside potentiality"),
    TN_CHOICE(struct one_shot, unit, "operator", "operator|combination",
              "what is scored in the layers of the paths: choices, or sets of one choice a path"),
    TN_INTEGER(struct one_shot, samples, "8", 1, 1 << 16, NULL, "ensembles that contain each unit, at least"),
    TN_INTEGER(struct one_shot, subset, "500", 1, 1e9, "rows", "validation rows for potentiality"),
    TN_INTEGER(struct one_shot, probe, "64", 1, 1 << 16, "rows", "training rows for diversity"),
    TN_INTEGER(struct one_shot, prefixes, "4", 1, 1 << 16, NULL, "drawn paths in front of each layer there"),
    TN_INTEGER(struct one_shot, calibrate, "256", 0, 1 << 20, "rows",
               "training rows for the statistics of normalisation; 0: the batch's own"),
    TN_REAL(struct one_shot, clip, "0", 0, INFINITY, "largest norm of the gradient; 0: any"),
    TN_REFERENCE(struct one_shot, evolve, 0, TN_SOLVER, "solver.evolution", "how the architecture is found"),
    TN_REAL(struct one_shot, budget, "0", 0, INFINITY, "most multiply-adds of a prediction; 0: any"),
    TN_INTEGER(struct one_shot, copies, "1", 1, ENSEMBLE_PATHS, NULL,
               "of a supernet of one path: so many equal branches make the network, behind the first split"),
    TN_INTEGER(struct one_shot, ranked, "0", 0, 1 << 16, NULL,
               "architectures to draw from what is left at the end, for the text `samples`"),
};

/* ---- memory ---- */

static void drop_held(struct held *held) {
  tn_release(held->input);
  tn_release(held->label);
  *held = (struct held){NULL, NULL};
}

static void drop_rows(struct one_shot *s) {
  for (int64_t i = 0; i < s->validation_count; i++) drop_held(&s->validation[i]);
  tn_free(s->validation);
  if (s->calibration.input) drop_held(&s->calibration);
  if (s->probes.input) drop_held(&s->probes);
  s->validation = NULL;
  s->validation_count = 0;
}

static void one_shot_release(struct one_shot *s) {
  for (int64_t p = 0; s->parts && p <= s->operators; p++) {
    tn_params_release(s->parts[p].gradient);
    tn_params_release(s->parts[p].params);
    tn_free(s->parts[p].index);
  }
  drop_rows(s);
  tn_free(s->parts);
  tn_free(s->order);
  tn_free(s->steps);
  pool_release(&s->pool);
  s->parts = NULL;
  s->order = s->steps = NULL;
  tn_free(s->curves);
  s->curves = NULL;
  s->step_bytes = s->curve_bytes = 0;
}
static void one_shot_destroy(void *self) { one_shot_release(self); }

/* ---- begin ---- */

/* Sorts the trained entries of the supernet's set into parts, each with an optimizer of its own. */
static tn_status divide(struct one_shot *s) {
  const tn_component *model = s->setting->model;
  const uint32_t count = tn_params_count(s->all);
  s->parts = tn_alloc((size_t)(s->operators + 1) * sizeof *s->parts);
  s->step_bytes = (size_t)(s->operators + 1) * sizeof *s->steps;
  s->steps = tn_alloc(s->step_bytes);
  if (!s->parts || !s->steps) return TN_ERROR_MEMORY;
  for (uint32_t i = 0; i < count; i++) {
    tn_param_entry entry;
    tn_params_entry(s->all, i, &entry);
    if (entry.group != TN_DECAY && entry.group != TN_NO_DECAY) continue;
    const int64_t owner = s->table->owner(model->self, i);
    struct part *part = &s->parts[owner < 0 ? s->operators : owner];
    uint32_t *index = tn_resize(part->index, (part->count + 1) * sizeof *index);
    if (!index) return TN_ERROR_MEMORY;
    part->index = index;
    part->index[part->count++] = i;
  }
  tn_status status = TN_OK;
  for (int64_t p = 0; status >= 0 && p <= s->operators; p++) {
    struct part *part = &s->parts[p];
    if (part->count == 0) continue;
    part->params = tn_params_select(s->all, part->index, part->count);
    part->gradient = part->params ? tn_params_like(part->params) : NULL;
    part->optimizer = p == s->operators ? s->setting->optimizer : tn_instantiate(s->setting->optimizer);
    if (!part->gradient || !part->optimizer) return TN_ERROR_MEMORY;
    status = tn_optimizer_begin(part->optimizer, part->params);
  }
  return status;
}

static const tn_class problem_class;

static tn_status check_keys(const struct one_shot *s) {
  const tn_search_setting *setting = s->setting;
  const struct space *space = s->space;
  if (setting->train_count < 1 || setting->validation_count < 1)
    return tn_fail(TN_ERROR_INVALID, "the search needs training and validation rows, got %lld and %lld",
                   (long long)setting->train_count, (long long)setting->validation_count);
  if (s->copies > 1 && space->paths > 1)
    return tn_fail(TN_ERROR_INVALID, "copies are of a supernet of one path; '%s' has %lld",
                   setting->model->name, (long long)space->paths);
  if (s->calibrate > 0 && space->norm_momentum <= 0)
    return tn_fail(TN_ERROR_INVALID, "calibrate needs a norm_momentum of '%s' above 0", setting->model->name);
  for (int64_t l = 0; l < space->layers; l++) {
    const int64_t left = pool_left(&s->pool, l);
    if (s->pool.distinct && s->pool.units[l * POOL_UNITS].size == 1 && left < space->paths)
      return tn_fail(
          TN_ERROR_INVALID,
          "layer %lld has %lld choices for %lld paths that share their weights: expected as many at "
          "least, or share = branch",
          (long long)l + 1, (long long)left, (long long)space->paths);
    if (left == 0)
      return tn_fail(TN_ERROR_INVALID, "layer %lld has no combination of choices", (long long)l + 1);
  }
  return TN_OK;
}

static tn_status one_shot_begin(void *self, const tn_search_setting *setting) {
  struct one_shot *s = self;
  one_shot_release(s);
  s->setting = setting;
  s->table = tn_extension(setting->model, TN_ENSEMBLE);
  if (!s->table)
    return tn_fail(TN_ERROR_INVALID, "'%s' has no branches: expected a model.ensemble_supernet",
                   setting->model->name);
  s->all = tn_parameters(setting->model);
  if (!s->all) return TN_ERROR_MISSING;
  s->space = s->table->space(setting->model->self, &s->sets);
  s->operators = s->sets * s->space->layers * space_columns(s->space);
  s->order = tn_alloc((size_t)setting->train_count * sizeof *s->order);
  s->rounds = s->surveys = 0;
  s->found = false;
  if (!s->order) return TN_ERROR_MEMORY;
  tn_status status = pool_begin(&s->pool, s->space, s->sets == 1, s->unit == UNIT_COMBINATION);
  if (status >= 0) status = check_keys(s);
  if (status >= 0) status = divide(s);
  s->problem = (tn_component){.size = sizeof s->problem,
                              .cls = &problem_class,
                              .vtable = problem_class.vtable,
                              .self = s,
                              .name = "architectures",
                              .part = "",
                              .file = ""};
  return status < 0 ? status : tn_solver_begin(s->evolve, &s->problem);
}

/* ---- architectures ---- */

/* The network that is built of it. */
static struct architecture built(const struct one_shot *s, const struct architecture *a) {
  struct architecture all = *a;
  if (s->copies == 1) return all;
  all.paths = s->copies;
  all.split = s->space->splits.count > 0 ? s->space->splits.items[0] : 1;
  for (int64_t k = 1; k < all.paths; k++) memcpy(all.genes[k], all.genes[0], sizeof all.genes[0]);
  return all;
}
static double macs_of(const struct one_shot *s, const struct architecture *a) {
  const struct architecture all = built(s, a);
  return space_macs(s->space, &all);
}

/* Which operators it uses: (operators). */
static void uses(const struct one_shot *s, const struct architecture *a, bool *used) {
  const int64_t columns = space_columns(s->space);
  memset(used, 0, (size_t)s->operators * sizeof *used);
  for (int64_t k = 0; k < a->paths; k++)
    for (int64_t l = 0; l < s->space->layers; l++) {
      const int64_t set = s->sets == 1 || l < a->split ? 0 : k + 1;
      const int64_t column = space_column(s->space, architecture_gene(a, k, l));
      used[(set * s->space->layers + l) * columns + column] = true;
    }
}

/* ---- training ---- */

/* The gradient of `loss` for the parts in use; its norm. */
static double part_gradients(const struct one_shot *s, const bool *used, tn_tensor *loss) {
  uint32_t count = 0;
  for (int64_t p = 0; p <= s->operators; p++)
    if (p == s->operators || used[p]) count += s->parts[p].count;
  tn_tensor **xs = tn_alloc(2 * count * sizeof(tn_tensor *)), **g = xs + count;
  double square = 0;
  if (!xs) return NAN;
  count = 0;
  for (int64_t p = 0; p <= s->operators; p++)
    for (uint32_t i = 0; (p == s->operators || used[p]) && i < s->parts[p].count; i++)
      xs[count++] = tn_param_tensor(s->parts[p].params, i);
  tn_grad(loss, xs, count, g, 0);
  count = 0;
  for (int64_t p = 0; p <= s->operators && !tn_failed(); p++) {
    if (p < s->operators && !used[p]) continue;
    for (uint32_t i = 0; i < s->parts[p].count; i++, count++) {
      tn_tensor *to = tn_param_tensor(s->parts[p].gradient, i);
      memcpy(tn_data(to), tn_data(g[count]), (size_t)tn_numel(to) * (to->dl.dtype.bits / 8));
    }
    if (s->parts[p].count == 0) continue;
    const double norm = tn_params_norm(s->parts[p].gradient);
    square += norm * norm;
  }
  tn_free(xs);
  return sqrt(square);
}

static tn_status move_parts(struct one_shot *s, const bool *used, double norm, double loss, double factor) {
  tn_status status = TN_OK;
  for (int64_t p = 0; status >= 0 && p <= s->operators; p++) {
    const struct part *part = &s->parts[p];
    if ((p < s->operators && !used[p]) || part->count == 0) continue;
    if (s->clip > 0 && norm > s->clip) tn_params_scale(part->gradient, s->clip / norm);
    const tn_optimizer_step step = {.size = sizeof step,
                                    .params = part->params,
                                    .gradient = part->gradient,
                                    .loss = loss,
                                    .schedule = factor,
                                    .step = ++s->steps[p]};
    status = tn_optimizer_update(part->optimizer, &step);
  }
  return status;
}

static tn_status train(struct one_shot *s, const tn_progress *progress, bool *used) {
  const tn_search_setting *setting = s->setting;
  tn_rng rng = tn_rng_at("search.ensemble_one_shot", "path", (uint64_t)progress->step);
  struct architecture a;
  pool_draw_architecture(&s->pool, NULL, &rng, &a);
  uses(s, &a, used);
  tn_status status = s->table->choose(setting->model->self, s->all, &a);
  if (status < 0) return status;
  const tn_fields *batch = search_batch(setting, "search.ensemble_one_shot", "train", setting->train_rows,
                                        setting->train_count, s->order, progress);
  tn_fields *outputs = tn_fields_new();
  if (!batch) return TN_ERROR_INVALID;
  status = pass_model(setting->model, s->all, batch, outputs, progress, NULL, NULL);
  if (status < 0) return status;
  rng = tn_rng_at(setting->loss->name, "train", (uint64_t)progress->step);
  const tn_loss_call call = {.size = sizeof call,
                             .fields = pass_merge(batch, outputs),
                             .progress = *progress,
                             .rng = &rng,
                             .model = setting->model,
                             .model_params = s->all,
                             .batch = batch};
  tn_tensor *value = tn_loss_value(setting->loss, &call);
  if (tn_failed()) return tn_outcome();
  const double loss = tn_item(value),
               factor = setting->schedule ? tn_schedule_factor(setting->schedule, progress) : 1;
  const double lr = tn_optimizer_learning_rate(setting->optimizer, factor);
  if (!isfinite(loss))
    return tn_fail(TN_ERROR_DIVERGED, "the loss became %g in step %lld (learning rate %g)", loss,
                   (long long)progress->step + 1, lr);
  const double norm = part_gradients(s, used, value);
  if (tn_failed()) return tn_outcome();
  status = move_parts(s, used, norm, loss, factor);
  const int64_t every = (progress->steps + 499) / 500;
  if (status >= 0 && (progress->step == 0 || (progress->step + 1) % (every > 0 ? every : 1) == 0)) {
    const tn_scalar_value scalars[] = {{"loss", loss}, {"lr", lr}, {"gradient_norm", norm}};
    tn_emit_step(progress, scalars, TN_ARRAY_LENGTH(scalars));
  }
  return status;
}

/* ---- accuracy of an architecture with the supernet's weights ---- */

static tn_status hold(const struct one_shot *s, const int64_t *rows, int64_t count, struct held *held) {
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
static tn_status hold_rows(struct one_shot *s) {
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

static tn_status forward(const struct one_shot *s, const tn_params *params, const struct held *rows,
                         tn_norm_mode norm, tn_fields *outputs, tn_buffer_update *updates, uint32_t *count) {
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
static tn_status accuracy_of(const struct one_shot *s, const struct architecture *a, int64_t most,
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

/* ---- potentiality and diversity ---- */

struct survey {
  double *potentiality;       /* (layers, POOL_UNITS): sums, then means */
  int64_t *used;              /* (layers, POOL_UNITS): ensembles that contain the unit */
  double *distances;          /* (layers, columns, columns) */
  double accuracy, diversity; /* means of the pool */
};
static void survey_release(struct survey *v) {
  tn_free(v->potentiality);
  tn_free(v->used);
  tn_free(v->distances);
}

static bool enough(const struct one_shot *s, const struct survey *v) {
  for (int64_t l = 0; l < s->space->layers; l++)
    for (int64_t u = 0; u < s->pool.count[l]; u++)
      if (*pool_alive(&s->pool, l, u) && v->used[l * POOL_UNITS + u] < s->samples) return false;
  return true;
}

/* Draws ensembles, each of the units that were used least, until every unit was in `samples` of them. */
static tn_status survey_potentiality(const struct one_shot *s, tn_rng *rng, struct survey *v) {
  enum { MOST = 100000 };
  int64_t drawn = 0;
  tn_status status = TN_OK;
  while (status >= 0 && drawn < (tn_smoke() ? 2 : MOST) && !enough(s, v)) {
    struct architecture a;
    double accuracy;
    pool_draw_architecture(&s->pool, v->used, rng, &a);
    status = accuracy_of(s, &a, s->subset, &accuracy);
    v->accuracy += accuracy;
    drawn++;
    for (int64_t l = 0; l < s->space->layers; l++)
      for (int64_t u = 0; u < s->pool.count[l]; u++) {
        const int64_t at = l * POOL_UNITS + u;
        if (!pool_contains(&s->pool, &a, l, pool_unit(&s->pool, l, u))) continue;
        v->used[at]++;
        v->potentiality[at] += accuracy;
      }
  }
  v->accuracy /= drawn > 0 ? (double)drawn : 1;
  for (int64_t i = 0; i < s->space->layers * POOL_UNITS; i++)
    if (v->used[i] > 0) v->potentiality[i] /= (double)v->used[i];
  return status;
}

/* phi of the operators of a layer for inputs x: adds their distances / `parts`. */
static tn_status survey_layer(const struct one_shot *s, tn_model_call *call, int64_t set, int64_t layer,
                              tn_tensor *x, double parts, double *distances) {
  const int64_t columns = space_columns(s->space), n = tn_dim(x, 0), d = n * s->space->in[layer + 1];
  double *phi = tn_alloc((size_t)(columns * d) * sizeof *phi);
  double *apart = tn_alloc((size_t)(columns * columns) * sizeof *apart);
  tn_status status = phi && apart ? TN_OK : TN_ERROR_MEMORY;
  for (int64_t c = 0; status >= 0 && c < columns; c++) {
    if (!pool_has(&s->pool, layer, c)) continue;
    tn_tensor *y = tn_global_mean_pool(s->table->apply(s->setting->model->self, call, set, layer, c, x));
    y = tn_cast(y, TN_F64); /* (n, channels) */
    status = tn_outcome();
    if (status >= 0) memcpy(phi + c * d, tn_f64(y), (size_t)d * sizeof *phi);
  }
  if (status >= 0) operator_distances(phi, columns, d, apart);
  for (int64_t i = 0; status >= 0 && i < columns * columns; i++) distances[i] += apart[i] / parts;
  tn_free(phi);
  tn_free(apart);
  return status;
}

/* Drawn paths through each set of weights; at every layer all choices see the same inputs. */
static tn_status survey_diversity(const struct one_shot *s, tn_rng *rng, struct survey *v) {
  const int64_t columns = space_columns(s->space), prefixes = tn_smoke() ? 1 : s->prefixes;
  const double parts = (double)(prefixes * s->sets);
  tn_status status = TN_OK;
  for (int64_t i = 0; status >= 0 && i < prefixes * s->sets; i++) {
    struct architecture a;
    pool_draw_architecture(&s->pool, NULL, rng, &a);
    tn_scope_open();
    tn_fields *inputs = tn_fields_new();
    tn_fields_set(inputs, s->space->input, s->probes.input);
    tn_model_call call = {.size = sizeof call,
                          .norm = TN_NORM_FROZEN,
                          .params = s->all,
                          .inputs = inputs,
                          .outputs = tn_fields_new(),
                          .progress = {.size = sizeof call.progress, .mode = TN_EVALUATE},
                          .rng = rng};
    void *model = s->setting->model->self;
    tn_tensor *x = s->table->stem(model, &call);
    status = tn_outcome();
    for (int64_t l = 0; status >= 0 && l < s->space->layers; l++) {
      status = survey_layer(s, &call, i % s->sets, l, x, parts, v->distances + l * columns * columns);
      x = s->table->apply(model, &call, i % s->sets, l, space_column(s->space, a.genes[0][l]), x);
      if (status >= 0) status = tn_outcome();
    }
    tn_scope_close();
  }
  double units = 0;
  for (int64_t l = 0; status >= 0 && l < s->space->layers; l++)
    for (int64_t u = 0; u < s->pool.count[l]; u++) {
      const struct unit *unit = pool_unit(&s->pool, l, u);
      if (!*pool_alive(&s->pool, l, u)) continue;
      v->diversity += unit_diversity(&s->pool, l, v->distances + l * columns * columns, unit);
      units++;
    }
  v->diversity /= units > 0 ? units : 1;
  return status;
}

/* To be released whatever it gives. */
static tn_status survey(struct one_shot *s, int64_t step, struct survey *v) {
  const size_t units = (size_t)(s->space->layers * POOL_UNITS);
  const int64_t columns = space_columns(s->space);
  *v =
      (struct survey){.potentiality = tn_alloc(units * sizeof(double)),
                      .used = tn_alloc(units * sizeof(int64_t)),
                      .distances = tn_alloc((size_t)(s->space->layers * columns * columns) * sizeof(double))};
  if (!v->potentiality || !v->used || !v->distances) return TN_ERROR_MEMORY;
  tn_rng rng = tn_rng_at("search.ensemble_one_shot", "survey", (uint64_t)step);
  const bool recording = tn_record(false);
  tn_status status = hold_rows(s);
  if (status >= 0) status = survey_potentiality(s, &rng, v);
  if (status >= 0) status = survey_diversity(s, &rng, v);
  tn_record(recording);
  double *curves = status >= 0 ? tn_resize(s->curves, s->curve_bytes + 3 * sizeof *curves) : NULL;
  if (status >= 0 && !curves) status = TN_ERROR_MEMORY;
  if (status >= 0) {
    double *point = curves + 3 * s->surveys++;
    s->curves = curves;
    s->curve_bytes += 3 * sizeof *curves;
    point[0] = (double)step;
    point[1] = v->accuracy;
    point[2] = v->diversity;
  }
  return status;
}

/* ---- shrinking ---- */

static void shrink_layer(struct one_shot *s, int64_t layer, const struct survey *v, tn_rng *rng) {
  const int64_t columns = space_columns(s->space);
  double a[POOL_UNITS], d[POOL_UNITS], za[POOL_UNITS], zd[POOL_UNITS];
  int64_t left[POOL_UNITS], n = 0;
  for (int64_t u = 0; u < s->pool.count[layer]; u++) {
    const struct unit *unit = pool_unit(&s->pool, layer, u);
    if (!*pool_alive(&s->pool, layer, u)) continue;
    a[n] = s->score == SCORE_RANDOM ? tn_random_uniform(rng) : v->potentiality[layer * POOL_UNITS + u];
    d[n] = unit_diversity(&s->pool, layer, v->distances + layer * columns * columns, unit);
    left[n++] = u;
  }
  standard_scores(a, n, za);
  standard_scores(d, n, zd);
  int64_t least = s->keep;
  if (s->pool.distinct && pool_unit(&s->pool, layer, 0)->size == 1 && least < s->space->paths)
    least = s->space->paths;
  for (int64_t alive = n, round = 0; round < s->drop && alive > least; round++, alive--) {
    int64_t worst = -1;
    double lowest = INFINITY;
    for (int64_t i = 0; i < n; i++) {
      const double score = za[i] + (s->score == SCORE_DIVERSITY ? s->beta * zd[i] : 0);
      if (*pool_alive(&s->pool, layer, left[i]) && score < lowest) lowest = score, worst = i;
    }
    if (worst >= 0) *pool_alive(&s->pool, layer, left[worst]) = false;
  }
}

/* Rounds of shrinking that belong to the first `done` steps. */
static int64_t rounds_due(const struct one_shot *s, int64_t done, const tn_progress *progress) {
  int64_t due = 0;
  if (s->score == SCORE_NONE) return 0;
  if (s->shrink_every > 0)
    return (int64_t)(progress->epochs * (double)done / (double)s->setting->steps / s->shrink_every + 1e-9);
  for (uint32_t i = 0; i < s->shrink_at.count; i++)
    due += (double)done >= s->shrink_at.items[i] * (double)s->setting->steps;
  return due;
}

static tn_status shrink(struct one_shot *s, int64_t done) {
  struct survey v;
  tn_status status = survey(s, done, &v);
  tn_rng rng = tn_rng_at("search.ensemble_one_shot", "shrink", (uint64_t)done);
  for (int64_t l = 0; status >= 0 && l < s->space->layers; l++) shrink_layer(s, l, &v, &rng);
  survey_release(&v);
  s->rounds++;
  return status;
}

/* ---- the problem that the solver gets: genomes are architectures with genes for all layers of all paths
 * ---- */

static tn_status new_genome(const struct architecture *a, tn_genome *child) {
  struct architecture *data = tn_alloc(sizeof *data);
  if (!data) return TN_ERROR_MEMORY;
  *data = *a;
  *child = (tn_genome){data, sizeof *data};
  return TN_OK;
}
static tn_status genome_random(void *self, tn_rng *rng, tn_genome *child) {
  const struct one_shot *s = self;
  struct architecture a;
  pool_draw_architecture(&s->pool, NULL, rng, &a);
  return new_genome(&a, child);
}

/* A layer's genes of one path anew, if they are choices by themselves; else those of all paths. */
static void resample_layer(const struct one_shot *s, int64_t layer, double rate, tn_rng *rng,
                           struct architecture *a) {
  const struct pool *p = &s->pool;
  if (pool_unit(p, layer, 0)->size > 1) {
    if (tn_random_uniform(rng) < rate) pool_draw_layer(p, layer, NULL, rng, a);
    return;
  }
  for (int64_t k = 0; k < a->paths; k++) {
    bool taken[POOL_UNITS] = {false};
    if (tn_random_uniform(rng) >= rate) continue;
    for (int64_t u = 0; p->distinct && u < p->count[layer]; u++)
      for (int64_t j = 0; j < a->paths; j++)
        taken[u] |=
            j != k && space_column(s->space, a->genes[j][layer]) == pool_unit(p, layer, u)->columns[0];
    const int64_t u = pool_draw(p, layer, NULL, taken, rng);
    if (u >= 0) a->genes[k][layer] = space_choice(s->space, pool_unit(p, layer, u)->columns[0]);
  }
}
static tn_status genome_resample(void *self, const tn_genome *parent, double rate, tn_rng *rng,
                                 tn_genome *child) {
  const struct one_shot *s = self;
  struct architecture a = *(const struct architecture *)parent->data;
  if (tn_random_uniform(rng) < rate) a.split = pool_draw_split(&s->pool, rng);
  for (int64_t l = 0; l < s->space->layers; l++) resample_layer(s, l, rate, rng, &a);
  return new_genome(&a, child);
}
static tn_status genome_mutate(void *self, const tn_genome *parent, tn_rng *rng, tn_genome *child) {
  return genome_resample(self, parent, 0.1, rng, child);
}

/* Layer by layer from one of the two, and the split. */
static tn_status genome_crossover(void *self, const tn_genome *a, const tn_genome *b, tn_rng *rng,
                                  tn_genome *child) {
  const struct one_shot *s = self;
  const struct architecture *from[2] = {a->data, b->data};
  struct architecture made = *from[tn_random_below(rng, 2)];
  for (int64_t l = 0; l < s->space->layers; l++) {
    const struct architecture *parent = from[tn_random_below(rng, 2)];
    for (int64_t k = 0; k < made.paths; k++) made.genes[k][l] = parent->genes[k][l];
  }
  return new_genome(&made, child);
}

/* The error rate; how far the budget is exceeded. Nothing is computed of what exceeds it. */
static tn_status genome_evaluate(void *self, const tn_genome *candidate, double *values) {
  const struct one_shot *s = self;
  const struct architecture *a = candidate->data;
  double accuracy = 0;
  values[0] = INFINITY;
  values[1] = s->budget > 0 ? macs_of(s, a) / s->budget - 1 : 0;
  if (values[1] > 0) return TN_OK;
  const tn_status status = accuracy_of(s, a, INT64_MAX, &accuracy);
  values[0] = 1 - accuracy;
  return status;
}

/* By the network that it is: genes that it does not use do not count. */
static uint64_t genome_hash(void *self, const tn_genome *candidate) {
  const struct one_shot *s = self;
  const struct architecture *a = candidate->data;
  uint64_t hash = 14695981039346656037u ^ (uint64_t)a->split;
  for (int64_t k = 0; k < a->paths; k++)
    for (int64_t l = k == 0 ? 0 : a->split; l < s->space->layers; l++)
      hash = (hash ^ (uint64_t)(architecture_gene(a, k, l) + 2)) * 1099511628211u;
  return hash ^ hash >> 29;
}
static tn_status genome_print(void *self, const tn_genome *candidate, char **text) {
  const struct one_shot *s = self;
  const struct architecture all = built(s, candidate->data);
  *text = architecture_text(s->space, &all);
  return *text ? TN_OK : TN_ERROR_MEMORY;
}

static tn_status problem_describe(void *self, tn_problem_info *info) {
  (void)self;
  info->objectives = 1;
  info->constraints = 1;
  info->optimum = 0;
  return TN_OK;
}
static const void *problem_extension(void *self, const char *id) {
  static const tn_problem_genome table = {.size = sizeof table,
                                          .random = genome_random,
                                          .mutate = genome_mutate,
                                          .crossover = genome_crossover,
                                          .evaluate = genome_evaluate,
                                          .hash = genome_hash,
                                          .print = genome_print,
                                          .resample = genome_resample};
  (void)self;
  return strcmp(id, TN_PROBLEM_GENOME) == 0 ? &table : NULL;
}
static const tn_problem problem_table = {.size = sizeof problem_table, .describe = problem_describe};
static const tn_class problem_class = {.size = sizeof problem_class,
                                       .kind = TN_PROBLEM,
                                       .name = "architectures",
                                       .summary = "the architectures of a supernet that are left",
                                       .vtable = &problem_table,
                                       .extension = problem_extension};

/* ---- the end ---- */

/* The supernet becomes what was found: its gates, and statistics of its normalisations. */
static tn_status settle(struct one_shot *s, const struct architecture *a) {
  const bool recording = tn_record(false);
  tn_scope_open();
  const tn_params *params = ready(s, a);
  tn_status status = params ? s->table->choose(s->setting->model->self, s->all, a) : TN_ERROR_INVALID;
  for (uint32_t i = 0; status >= 0 && s->calibrate > 0 && i < tn_params_count(s->all); i++) {
    tn_param_entry to;
    tn_params_entry(s->all, i, &to);
    if (to.group != TN_BUFFER) continue;
    const tn_tensor *from = tn_param_tensor(params, i);
    if (!tn_poisoned(from))
      memcpy(tn_data(to.tensor), tn_data(from), (size_t)tn_numel(from) * (from->dl.dtype.bits / 8));
  }
  tn_scope_close();
  tn_record(recording);
  return status;
}

/* Different architectures of what is left that keep the budget, with their accuracy, as a text. */
static tn_status publish_samples(struct one_shot *s) {
  enum { TRIES = 1000 };
  char *text = NULL;
  size_t used = 0;
  uint64_t *seen = tn_alloc((size_t)(s->ranked + 1) * sizeof *seen);
  int64_t found = 0, wanted = tn_smoke() && s->ranked > 2 ? 2 : s->ranked;
  tn_status status = seen ? TN_OK : TN_ERROR_MEMORY;
  tn_rng rng = tn_rng_at("search.ensemble_one_shot", "ranked", 0);
  for (int64_t t = 0; status >= 0 && found < wanted && t < TRIES * wanted; t++) {
    tn_genome genome;
    char *printed = NULL;
    double values[2];
    status = genome_random(s, &rng, &genome);
    if (status < 0) break;
    seen[found] = genome_hash(s, &genome);
    bool again = s->budget > 0 && macs_of(s, genome.data) > s->budget;
    for (int64_t i = 0; i < found; i++) again = again || seen[i] == seen[found];
    if (!again) {
      status = genome_evaluate(s, &genome, values);
      if (status >= 0) status = genome_print(s, &genome, &printed);
      char *grown = status >= 0 ? tn_resize(text, used + strlen(printed) + 32) : NULL;
      if (status >= 0 && !grown) status = TN_ERROR_MEMORY;
      if (grown) {
        text = grown;
        used += (size_t)sprintf(text + used, "%.6f : %s\n", 1 - values[0], printed);
        found++;
      }
      tn_free(printed);
    }
    tn_free(genome.data);
  }
  if (status >= 0 && found > 0) status = tn_publish_text("samples", text);
  tn_free(text);
  tn_free(seen);
  return status;
}

/* The found network as a graph: a chain, and the branches behind it. */
static void draw_network(const struct one_shot *s, const struct architecture *a) {
  enum { ROOM = 1 << 14 };
  char *text = tn_alloc(ROOM), from[32], to[32];
  size_t used = 0;
  if (!text) return;
  for (int64_t k = -1; k < a->paths; k++) {
    const int64_t first = k < 0 ? 0 : a->split, end = k < 0 ? a->split : s->space->layers;
    if (a->split > 0)
      snprintf(from, sizeof from, k < 0 ? "stem" : "layer %d", (int)a->split);
    else
      snprintf(from, sizeof from, "stem");
    for (int64_t l = first; l < end + (k >= 0) && used + 160 < ROOM; l++) {
      const int32_t gene = l < end ? a->genes[k < 0 ? 0 : k][l] : 0;
      if (k < 0)
        snprintf(to, sizeof to, "layer %d", (int)l + 1);
      else if (l < end)
        snprintf(to, sizeof to, "layer %d%c", (int)l + 1, 'a' + (int)k);
      else
        snprintf(to, sizeof to, "head %c", 'a' + (int)k);
      used += (size_t)snprintf(text + used, ROOM - used, "%s -> %s", from, to);
      if (l < end && gene == ENSEMBLE_SKIP) used += (size_t)snprintf(text + used, ROOM - used, " : skip");
      if (l < end && gene != ENSEMBLE_SKIP)
        used += (size_t)snprintf(text + used, ROOM - used, " : k%d e%d", (int)s->space->blocks[gene].kernel,
                                 (int)s->space->blocks[gene].expand);
      used += (size_t)snprintf(text + used, ROOM - used, "\n");
      memcpy(from, to, sizeof from);
    }
    if (k >= 0) used += (size_t)snprintf(text + used, ROOM - used, "%s -> mean\n", from);
  }
  tn_event event = tn_event_of(TN_EVENT_GRAPH, "network");
  event.title = "The ensemble that was found";
  event.text = text;
  tn_emit(&event);
  tn_free(text);
}

static void draw_curves(const struct one_shot *s) {
  static const char *const labels[] = {"mean accuracy", "mean diversity"};
  tn_tensor *curves = tn_from(TN_F64, TN_SHAPE(s->surveys, 3), s->curves);
  tn_event event = tn_event_of(TN_EVENT_SERIES, "pool");
  event.title = "What is left, before each round and at the end";
  event.tensor = curves;
  event.columns = 2;
  event.column_labels = labels;
  event.x_label = "steps";
  if (!tn_poisoned(curves)) tn_emit(&event);
}

static void draw_pool(const struct one_shot *s) {
  const int64_t columns = space_columns(s->space);
  tn_tensor *left = tn_zeros(TN_F64, TN_SHAPE(s->space->layers, columns));
  char names[ENSEMBLE_CHOICES + 1][24];
  const char *labels[ENSEMBLE_CHOICES + 1];
  if (tn_poisoned(left)) return;
  for (int64_t c = 0; c < columns; c++) {
    snprintf(names[c], sizeof names[c], "skip");
    if (c < s->space->count)
      snprintf(names[c], sizeof names[c], "k%d e%d", (int)s->space->blocks[c].kernel,
               (int)s->space->blocks[c].expand);
    labels[c] = names[c];
    for (int64_t l = 0; l < s->space->layers; l++) tn_f64(left)[l * columns + c] = pool_has(&s->pool, l, c);
  }
  tn_event event = tn_event_of(TN_EVENT_MATRIX, "choices");
  event.title = "Choices that are left, by layer";
  event.tensor = left;
  event.rows = (uint32_t)s->space->layers;
  event.columns = (uint32_t)columns;
  event.column_labels = labels;
  event.x_label = "choice";
  event.y_label = "layer";
  tn_emit(&event);
}

static tn_status best_of(const struct one_shot *s, struct architecture *a) {
  const tn_solver *solver = s->evolve->vtable;
  tn_genome genome = {NULL, 0};
  if (!TN_HAS(solver, tn_solver, best_genome))
    return tn_fail(TN_ERROR_MISSING, "'%s' does not give its best candidate", s->evolve->name);
  const tn_status status = solver->best_genome(s->evolve->self, &genome);
  if (status >= 0) *a = *(const struct architecture *)genome.data;
  tn_free(genome.data);
  return status;
}

static tn_status finish(struct one_shot *s, double error) {
  struct architecture a;
  tn_status status = best_of(s, &a);
  if (status >= 0 && s->ranked > 0) status = publish_samples(s);
  if (status >= 0) status = settle(s, &a);
  if (status < 0) return status;
  double choices = 0;
  for (int64_t l = 0; l < s->space->layers; l++)
    for (int64_t c = 0; c < space_columns(s->space); c++) choices += pool_has(&s->pool, l, c);
  const struct architecture all = built(s, &a);
  tn_emit_result("fitness", 1 - error);
  tn_emit_result("macs", space_macs(s->space, &all));
  tn_emit_result("split", (double)all.split);
  tn_emit_result("choices", choices / (double)s->space->layers);
  if (s->surveys > 0) {
    tn_emit_result("pool_accuracy", s->curves[3 * s->surveys - 2]);
    tn_emit_result("pool_diversity", s->curves[3 * s->surveys - 1]);
    draw_curves(s);
  }
  draw_pool(s);
  draw_network(s, &all);
  drop_rows(s);
  return TN_OK;
}

/* One generation of the solver. */
static tn_status evolve(struct one_shot *s, const tn_progress *progress) {
  const int64_t generation = progress->step - s->setting->steps;
  tn_status status = hold_rows(s);
  if (status >= 0 && generation == 0) {
    struct survey v;
    status = survey(s, s->setting->steps, &v);
    survey_release(&v);
  }
  tn_solver_status now = {.size = sizeof now, .value = INFINITY};
  if (status >= 0) status = tn_solver_step(s->evolve, &now);
  if (status < 0) return status;
  const bool last = status == TN_DONE || (tn_smoke() && generation >= 1);
  const tn_scalar_value scalars[] = {{"fitness", 1 - now.value}, {"evaluations", (double)now.evaluations}};
  tn_emit_step(progress, scalars, TN_ARRAY_LENGTH(scalars));
  s->found = last;
  if (last) status = finish(s, now.value);
  return status < 0 ? status : last ? TN_DONE : TN_OK;
}

static tn_status one_shot_step(void *self, const tn_progress *progress) {
  struct one_shot *s = self;
  const int64_t done = progress->step + 1;
  if (progress->step >= s->setting->steps) return evolve(s, progress);
  bool *used = tn_alloc((size_t)s->operators * sizeof *used);
  tn_status status = used ? train(s, progress, used) : TN_ERROR_MEMORY;
  tn_free(used);
  while (status >= 0 && s->rounds < rounds_due(s, done, progress)) status = shrink(s, done);
  return status < 0 ? status : TN_OK;
}

/* What the solver found; before it has begun, the architecture of the last step. */
static tn_status one_shot_derive(void *self, char **genotype) {
  struct one_shot *s = self;
  struct architecture a;
  if (!s->found) {
    tn_rng rng = tn_rng_at("search.ensemble_one_shot", "derive", 0);
    const tn_component *model = s->setting->model;
    const tn_supernet *supernet = tn_supernet_of(model);
    return supernet ? supernet->derive(model->self, s->all, "", &rng, genotype) : TN_ERROR_INVALID;
  }
  const tn_status status = best_of(s, &a);
  if (status < 0) return status;
  const struct architecture all = built(s, &a);
  *genotype = architecture_text(s->space, &all);
  return *genotype ? TN_OK : TN_ERROR_MEMORY;
}

static tn_status one_shot_state(void *self, const tn_visitor *visitor) {
  struct one_shot *s = self;
  void *steps = s->steps;
  tn_visit_integer(visitor, "rounds", &s->rounds);
  tn_visit_integer(visitor, "surveys", &s->surveys);
  tn_visit_boolean(visitor, "found", &s->found);
  tn_status status = tn_visit_block(visitor, "steps", &steps, &s->step_bytes);
  s->steps = steps;
  void *curves = s->curves;
  if (status >= 0) status = tn_visit_block(visitor, "curves", &curves, &s->curve_bytes);
  s->curves = curves;
  void *alive = s->pool.alive;
  if (status >= 0) status = tn_visit_block(visitor, "alive", &alive, &s->pool.alive_bytes);
  s->pool.alive = alive;
  return status;
}

static const tn_class one_shot_class = {
    .size = sizeof(tn_class),
    .kind = TN_SEARCH,
    .name = "ensemble_one_shot",
    .summary =
        "Search of an ensemble of branches in one supernet whose space shrinks by accuracy and diversity",
    .reference = "Chen et al. 2021, One-Shot Neural Ensemble Architecture Search by Diversity-Guided Search "
                 "Space Shrinking",
    TN_CLASS_PARAMS(one_shot_params),
    .instance_size = sizeof(struct one_shot),
    .vtable = &(const tn_search){sizeof(tn_search), one_shot_begin, one_shot_step, one_shot_derive},
    .destroy = one_shot_destroy,
    .state = one_shot_state};
TN_PLUGIN("search_ensemble_one_shot", "1.0.0", "MIT", &one_shot_class)
