// SPDX-License-Identifier: MIT
/* Preferences on the simplex, and the reward of a scalarised utility (Jain et al. 2023):
 *
 *   w ~ Dirichlet(alpha 1), or the points of the grid { w_i = k_i / divisions }
 *   utility  weighted_sum      sum_i w_i r_i
 *            weighted_log_sum  prod_i r_i^w_i
 *            tchebycheff       1 - max_i w_i |1 - r_i|
 *   log R = beta log(max(utility, reward_min))
 *
 * beta is constant, or drawn for every preference: uniform in beta_min .. beta_max, or Gamma with mean beta,
 * clipped to that range. A single objective has weight 1, and the policy is told nothing of it. */
#include "grid.h"
#include "random.h"
#include <tenon/preference.h>

enum { WEIGHTED_SUM, WEIGHTED_LOG_SUM, TCHEBYCHEFF };
enum { CONSTANT, UNIFORM, GAMMA };

struct simplex {
  double alpha, beta, beta_min, beta_max, beta_shape, reward_min;
  int32_t beta_draw, scalarisation;
  int64_t divisions;
};
static const tn_param simplex_params[] = {
    TN_PARAM_(struct simplex, alpha, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "1.5", 0, 1e6, NULL, NULL, NULL,
              "of the Dirichlet distribution of weights; 1 is uniform"),
    TN_INTEGER(struct simplex, divisions, "0", 0, 1000, NULL,
               "walk the simplex grid with so many steps a side instead of drawing; 0: draw"),
    TN_CHOICE(struct simplex, scalarisation, "weighted_sum", "weighted_sum|weighted_log_sum|tchebycheff",
              "from objectives to utility"),
    TN_REAL(struct simplex, beta, "1", 0, 1e6, "exponent of the utility; of gamma draws the mean"),
    TN_CHOICE(struct simplex, beta_draw, "constant", "constant|uniform|gamma",
              "how beta is drawn; a walk has the constant"),
    TN_REAL(struct simplex, beta_min, "1", 0, 1e6, "least beta that is drawn"),
    TN_REAL(struct simplex, beta_max, "32", 0, 1e6, "greatest beta that is drawn"),
    TN_PARAM_(struct simplex, beta_shape, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "2", 0, 1e6, NULL, NULL,
              NULL, "shape of the gamma distribution of beta"),
    TN_PARAM_(struct simplex, reward_min, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "1e-2", 0, INFINITY, NULL,
              NULL, NULL, "utilities below count as this in the logarithm"),
};

static tn_status simplex_create(void *self) {
  const struct simplex *p = self;
  if (p->beta_draw != CONSTANT && p->beta_min > p->beta_max)
    return tn_fail(TN_ERROR_INVALID, "beta_min %g is above beta_max %g", p->beta_min, p->beta_max);
  return TN_OK;
}

static tn_status simplex_describe(void *self, uint32_t objectives, tn_preference_info *info) {
  const struct simplex *p = self;
  *info = (tn_preference_info){.size = info->size};
  if (objectives > 1) info->conditions |= TN_CONDITION_WEIGHTS;
  if (p->beta_draw != CONSTANT) info->conditions |= TN_CONDITION_TEMPERATURE;
  if (p->divisions == 0) return TN_OK;
  info->count = simplex_points(p->divisions, objectives);
  if (info->count < 0)
    return tn_fail(TN_ERROR_INVALID, "divisions = %lld gives too many points for %u objectives",
                   (long long)p->divisions, objectives);
  return TN_OK;
}

static double draw_beta(const struct simplex *p, tn_rng *rng) {
  if (p->beta_draw == CONSTANT || p->divisions > 0) return p->beta;
  if (p->beta_draw == UNIFORM) return p->beta_min + (p->beta_max - p->beta_min) * tn_random_uniform(rng);
  return fmin(fmax(random_gamma(rng, p->beta_shape) * p->beta / p->beta_shape, p->beta_min), p->beta_max);
}

static tn_status simplex_draw(void *self, uint32_t objectives, int64_t first, int64_t n, double *preferences,
                              tn_rng *rng) {
  const struct simplex *p = self;
  const int64_t points = p->divisions > 0 ? simplex_points(p->divisions, objectives) : 0;
  for (int64_t i = 0; i < n; i++, preferences += objectives + 1) {
    if (points > 0)
      simplex_point(p->divisions, objectives, (first + i) % points, preferences);
    else
      random_dirichlet(rng, p->alpha, objectives, preferences);
    preferences[objectives] = draw_beta(p, rng);
  }
  return TN_OK;
}

static double utility_of(const struct simplex *p, uint32_t objectives, const double *w, const double *r) {
  double sum = 0, log_sum = 0, worst = 0;
  for (uint32_t k = 0; k < objectives; k++) {
    sum += w[k] * r[k];
    if (p->scalarisation == WEIGHTED_LOG_SUM) log_sum += w[k] * log(fmax(r[k], p->reward_min));
    worst = fmax(worst, w[k] * fabs(1 - r[k]));
  }
  return p->scalarisation == WEIGHTED_SUM       ? sum
         : p->scalarisation == WEIGHTED_LOG_SUM ? exp(log_sum)
                                                : 1 - worst;
}

static tn_status simplex_reward(void *self, uint32_t objectives, const double *preferences,
                                const double *values, int64_t n, double *utility, double *log_reward) {
  const struct simplex *p = self;
  for (int64_t i = 0; i < n; i++, preferences += objectives + 1, values += objectives) {
    utility[i] = utility_of(p, objectives, preferences, values);
    log_reward[i] = preferences[objectives] * log(fmax(utility[i], p->reward_min));
  }
  return TN_OK;
}

static const tn_preference simplex_table = {.size = sizeof simplex_table,
                                            .describe = simplex_describe,
                                            .draw = simplex_draw,
                                            .reward = simplex_reward};
static const tn_class simplex_class = {.size = sizeof(tn_class),
                                       .kind = TN_PREFERENCE,
                                       .name = "simplex",
                                       .summary =
                                           "Weights of objectives from a Dirichlet distribution or a grid",
                                       .reference = "Jain et al. 2023, Multi-Objective GFlowNets",
                                       TN_CLASS_PARAMS(simplex_params),
                                       .instance_size = sizeof(struct simplex),
                                       .vtable = &simplex_table,
                                       .create = simplex_create};
TN_PLUGIN("preference_simplex", "1.0.0", "MIT", &simplex_class)
