// SPDX-License-Identifier: MIT
/* What the one-shot search of ensembles asks of its pool: how accurate and how different the choices are. */
#ifndef TENON_PLUGINS_SURVEY_H
#define TENON_PLUGINS_SURVEY_H

#include "one_shot.h"

struct survey {
  double *potentiality;       /* (layers, POOL_UNITS): sums, then means */
  int64_t *used;              /* (layers, POOL_UNITS): ensembles that contain the unit */
  double *distances;          /* (layers, columns, columns) */
  double accuracy, diversity; /* means of the pool */
};
static inline void survey_release(struct survey *v) {
  tn_free(v->potentiality);
  tn_free(v->used);
  tn_free(v->distances);
}

static inline bool enough(const struct one_shot *s, const struct survey *v) {
  for (int64_t l = 0; l < s->space->layers; l++)
    for (int64_t u = 0; u < s->pool.count[l]; u++)
      if (*pool_alive(&s->pool, l, u) && v->used[l * POOL_UNITS + u] < s->samples) return false;
  return true;
}

/* Draws ensembles, each of the units that were used least, until every unit was in `samples` of them. */
static inline tn_status survey_potentiality(const struct one_shot *s, tn_rng *rng, struct survey *v) {
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
static inline tn_status survey_layer(const struct one_shot *s, tn_model_call *call, int64_t set,
                                     int64_t layer, tn_tensor *x, double parts, double *distances) {
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
static inline tn_status survey_diversity(const struct one_shot *s, tn_rng *rng, struct survey *v) {
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
static inline tn_status survey(struct one_shot *s, int64_t step, struct survey *v) {
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

#endif
