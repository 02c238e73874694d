// SPDX-License-Identifier: MIT
/* Goals (Roy et al. 2023): a direction d on the positive part of the unit sphere; an object counts if its
 * objectives r lie in the cone around d,
 *
 *   log R = beta log(max(mean_i r_i, reward_min)) + gamma log cos(r, d)   if cos(r, d) >= cosine,
 *   gamma = log(limit) / log(cosine): at the edge of the cone the factor is `limit`;   else `floor`
 *
 * Directions are drawn as absolute values of a normal vector, scaled to length 1, or are the points of the
 * simplex grid, so scaled. Hindsight gives failed objects the direction that they went in. */
#include "grid.h"
#include <tenon/preference.h>

struct focus {
  double cosine, limit, floor, beta, reward_min;
  int64_t divisions;
};
static const tn_param focus_params[] = {
    TN_PARAM_(struct focus, cosine, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE | TN_PARAM_MAX_EXCLUSIVE, "0.98", 0,
              1, NULL, NULL, NULL, "of the angle between the cone's axis and its edge"),
    TN_PARAM_(struct focus, limit, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "0.1", 0, 1, NULL, NULL, NULL,
              "factor of the reward at the cone's edge; 1: the same everywhere inside"),
    TN_REAL(struct focus, floor, "-75", -1e6, 0, "logarithm of the reward outside the cone"),
    TN_REAL(struct focus, beta, "1", 0, 1e6, "exponent of the mean of the objectives"),
    TN_PARAM_(struct focus, reward_min, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "1e-2", 0, INFINITY, NULL,
              NULL, NULL, "means below count as this in the logarithm"),
    TN_INTEGER(struct focus, divisions, "0", 0, 1000, NULL,
               "walk the directions of the simplex grid with so many steps a side; 0: draw"),
};

static tn_status focus_describe(void *self, uint32_t objectives, tn_preference_info *info) {
  const struct focus *p = self;
  *info = (tn_preference_info){.size = info->size, .conditions = TN_CONDITION_WEIGHTS};
  if (objectives < 2) return tn_fail(TN_ERROR_INVALID, "directions need at least 2 objectives");
  if (p->divisions == 0) return TN_OK;
  info->count = simplex_points(p->divisions, objectives);
  return info->count > 0
             ? TN_OK
             : tn_fail(TN_ERROR_INVALID, "divisions = %lld gives too many points for %u objectives",
                       (long long)p->divisions, objectives);
}

static double length_of(uint32_t objectives, const double *x) {
  double sum = 0;
  for (uint32_t i = 0; i < objectives; i++) sum += x[i] * x[i];
  return sqrt(sum);
}
static void scale(uint32_t objectives, double *direction) {
  const double length = length_of(objectives, direction);
  for (uint32_t i = 0; i < objectives; i++)
    direction[i] = length > 0 ? direction[i] / length : 1 / sqrt((double)objectives);
}

static tn_status focus_draw(void *self, uint32_t objectives, int64_t first, int64_t n, double *preferences,
                            tn_rng *rng) {
  const struct focus *p = self;
  for (int64_t i = 0; i < n; i++, preferences += objectives + 1) {
    if (p->divisions > 0)
      simplex_point(p->divisions, objectives, (first + i) % simplex_points(p->divisions, objectives),
                    preferences);
    else
      for (uint32_t k = 0; k < objectives; k++) preferences[k] = fabs(tn_random_normal(rng));
    scale(objectives, preferences);
    preferences[objectives] = p->beta;
  }
  return TN_OK;
}

static double cosine_of(uint32_t objectives, const double *direction, const double *values) {
  const double length = length_of(objectives, values);
  double dot = 0;
  for (uint32_t i = 0; i < objectives; i++) dot += direction[i] * values[i];
  return length > 0 ? dot / length : 0;
}

static tn_status focus_reward(void *self, uint32_t objectives, const double *preferences,
                              const double *values, int64_t n, double *utility, double *log_reward) {
  const struct focus *p = self;
  const double gamma = log(p->limit) / log(p->cosine);
  for (int64_t i = 0; i < n; i++, preferences += objectives + 1, values += objectives) {
    const double cosine = cosine_of(objectives, preferences, values);
    double mean = 0;
    for (uint32_t k = 0; k < objectives; k++) mean += values[k] / objectives;
    const bool inside = cosine >= p->cosine;
    utility[i] = inside ? mean * pow(cosine, gamma) : 0;
    log_reward[i] =
        inside ? preferences[objectives] * log(fmax(mean, p->reward_min)) + gamma * log(cosine) : p->floor;
  }
  return TN_OK;
}

static tn_status focus_relabel(void *self, uint32_t objectives, double *preferences, const double *values,
                               int64_t n, double share, tn_rng *rng) {
  const struct focus *p = self;
  for (int64_t i = 0; i < n; i++, preferences += objectives + 1, values += objectives) {
    const bool chosen = tn_random_uniform(rng) < share;
    if (!chosen || length_of(objectives, values) == 0) continue;
    if (cosine_of(objectives, preferences, values) >= p->cosine) continue;
    for (uint32_t k = 0; k < objectives; k++) preferences[k] = values[k];
    scale(objectives, preferences);
  }
  return TN_OK;
}

static const tn_preference focus_table = {sizeof focus_table, focus_describe, focus_draw, focus_reward,
                                          focus_relabel};
static const tn_class focus_class = {.size = sizeof(tn_class),
                                     .kind = TN_PREFERENCE,
                                     .name = "focus",
                                     .summary = "Goals: cones around directions in the space of objectives",
                                     .reference =
                                         "Roy et al. 2023, Goal-conditioned GFlowNets for Controllable "
                                         "Multi-Objective Molecular Design",
                                     TN_CLASS_PARAMS(focus_params),
                                     .instance_size = sizeof(struct focus),
                                     .vtable = &focus_table};
TN_PLUGIN("preference_focus", "1.0.0", "MIT", &focus_class)
