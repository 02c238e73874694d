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
 *        outputs for the same inputs, averaged over the image, all samples one vector of length 1
 *      The `drop` choices of the lowest z(a) + beta z(d) go, z the standard score over the layer.
 *   3. evolution, after the last step: `evolve` looks for the architecture of highest validation accuracy
 *      with the supernet's weights, whose multiply-adds stay within the budget.
 *
 * Validation accuracy is always measured with statistics of the normalisations that are made anew for the
 * architecture from training rows. With one path this is single-path one-shot search (Guo et al. 2020).
 *
 * Results: fitness (validation accuracy) and macs of what was found, pool_accuracy and pool_diversity (means
 * over what is left), choices (left a layer). Published beside the genotype: `samples`, drawn architectures
 * with their validation accuracy, one `ACCURACY : ARCHITECTURE` a line. */
#include "architecture_problem.h"
#include "one_shot_pictures.h"
#include "survey.h"

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
                                    .step = ++s->steps[p],
                                    .steps = s->setting->steps};
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

/* ---- shrinking ---- */

/* Fewest units that stay in a layer. */
static int64_t least_of(struct one_shot *s, int64_t layer) {
  const bool operators = s->pool.distinct && pool_unit(&s->pool, layer, 0)->size == 1;
  return operators && s->keep < s->space->paths ? s->space->paths : s->keep;
}
static bool can_shrink(struct one_shot *s) {
  for (int64_t l = 0; l < s->space->layers; l++)
    if (pool_left(&s->pool, l) > least_of(s, l)) return true;
  return false;
}

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
  const int64_t least = least_of(s, layer);
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
  if (s->shrink_every > 0) {
    const double epochs = progress->epochs * (double)done / (double)s->setting->steps;
    return (int64_t)fmin(epochs / s->shrink_every + 1e-9, 1e15);
  }
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
  while (status >= 0 && s->rounds < rounds_due(s, done, progress) && can_shrink(s)) status = shrink(s, done);
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
