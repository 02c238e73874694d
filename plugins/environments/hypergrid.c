// SPDX-License-Identifier: MIT
/* The hypergrid (Bengio et al. 2021; objectives: Jain et al. 2023): from the corner (0, ..., 0) of a grid of
 * side H in D dimensions, an action raises one coordinate by 1, or stops. A state is (x_1 .. x_D, stopped).
 *
 * Objectives at x / (H - 1), larger better:
 *   corners  r0 + r1 prod [u_i > 0.5] + r2 prod [0.6 < u_i < 0.8],  u = |2 x - 1|
 *   branin   1 - ((b - 5.1 a^2 / (4 pi^2) + 5 a / pi - 6)^2 + 10 (1 - 1 / (8 pi)) cos a + 10) / 308.13,
 *            a = 15 x_1 - 5, b = 15 x_2
 *   currin   (1 - exp(-1 / (2 x_2))) (2300 x_1^3 + 1900 x_1^2 + 2092 x_1 + 60)
 *            / (100 x_1^3 + 500 x_1^2 + 4 x_1 + 20) / 13.77
 *   shubert  - prod_k sum_i=1..5 i cos((i + 1) y_k + i), y = 4 x - 2, scaled to 0 .. 1 over the grid
 * all but corners not below 0. */
#include <stdio.h>
#include <string.h>
#include <tenon/environment.h>

enum { CORNERS, BRANIN, CURRIN, SHUBERT, OBJECTIVES, MOST_DIMS = 16 };
static const char *const objective_names[OBJECTIVES] = {"corners", "branin", "currin", "shubert"};

struct hypergrid {
  int64_t dim, side;
  tn_strings objectives;
  double r0, r1, r2;

  int32_t kinds[OBJECTIVES];
  double *waves;     /* (side) sum_i i cos((i + 1) y + i) */
  double low, range; /* of shubert over the grid */
};
static const tn_param hypergrid_params[] = {
    TN_INTEGER(struct hypergrid, dim, "2", 1, MOST_DIMS, NULL, "dimensions"),
    TN_INTEGER(struct hypergrid, side, "16", 2, 1 << 16, NULL, "positions a dimension"),
    TN_STRINGS(struct hypergrid, objectives, "corners", "corners, branin, currin, shubert: any list of them"),
    TN_REAL(struct hypergrid, r0, "0.1", 0, INFINITY, "corners: reward everywhere; small is hard"),
    TN_REAL(struct hypergrid, r1, "0.5", 0, INFINITY, "corners: added in the outer region"),
    TN_REAL(struct hypergrid, r2, "2", 0, INFINITY, "corners: added at the modes"),
};

static const double pi = 3.14159265358979323846;

static double position(const struct hypergrid *grid, double x) { return x / (double)(grid->side - 1); }

/* Extremes of products of one wave a dimension: they come from extremes of the factors. */
static void shubert_range(struct hypergrid *grid) {
  double least = INFINITY, most = -INFINITY, low = 1, high = 1;
  for (int64_t x = 0; x < grid->side; x++) {
    const double y = 4 * position(grid, (double)x) - 2;
    grid->waves[x] = 0;
    for (int i = 1; i <= 5; i++) grid->waves[x] += i * cos((i + 1) * y + i);
    least = fmin(least, grid->waves[x]);
    most = fmax(most, grid->waves[x]);
  }
  for (int64_t d = 0; d < grid->dim; d++) {
    const double a = low * least, b = low * most, c = high * least, e = high * most;
    low = fmin(fmin(a, b), fmin(c, e));
    high = fmax(fmax(a, b), fmax(c, e));
  }
  grid->low = -high;
  grid->range = high - low;
}

static tn_status hypergrid_create(void *self) {
  struct hypergrid *grid = self;
  if (grid->objectives.count < 1 || grid->objectives.count > OBJECTIVES)
    return tn_fail(TN_ERROR_INVALID, "objectives: %u of them, expected 1 to %d", grid->objectives.count,
                   OBJECTIVES);
  for (uint32_t k = 0; k < grid->objectives.count; k++) {
    const char *name = grid->objectives.items[k];
    grid->kinds[k] = OBJECTIVES;
    for (int32_t o = 0; o < OBJECTIVES; o++)
      if (strcmp(name, objective_names[o]) == 0) grid->kinds[k] = o;
    if (grid->kinds[k] == OBJECTIVES) {
      const char *near = tn_nearest_name(name, objective_names, OBJECTIVES);
      return tn_fail(TN_ERROR_INVALID,
                     "objectives: no objective '%s', expected of corners, branin, currin, shubert%s%s%s",
                     name, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    if ((grid->kinds[k] == BRANIN || grid->kinds[k] == CURRIN) && grid->dim < 2)
      return tn_fail(TN_ERROR_INVALID, "objective %s needs dim = 2 or more", name);
  }
  grid->waves = tn_alloc((size_t)grid->side * sizeof *grid->waves);
  if (!grid->waves) return TN_ERROR_MEMORY;
  shubert_range(grid);
  return TN_OK;
}
static void hypergrid_destroy(void *self) { tn_free(((struct hypergrid *)self)->waves); }

static tn_status hypergrid_describe(void *self, tn_environment_info *info) {
  const struct hypergrid *grid = self;
  *info = (tn_environment_info){.size = info->size,
                                .objectives = grid->objectives.count,
                                .state_width = grid->dim + 1,
                                .feature_width = grid->dim * grid->side,
                                .actions = grid->dim + 1,
                                .max_steps = grid->dim * (grid->side - 1) + 1,
                                .stop_action = grid->dim};
  return TN_OK;
}

static tn_status hypergrid_reset(void *self, double *states, int64_t n, tn_rng *rng) {
  const struct hypergrid *grid = self;
  (void)rng;
  memset(states, 0, (size_t)(n * (grid->dim + 1)) * sizeof *states);
  return TN_OK;
}

static tn_status hypergrid_mask(void *self, const double *states, int64_t n, uint8_t *mask) {
  const struct hypergrid *grid = self;
  const int64_t width = grid->dim + 1;
  for (int64_t i = 0; i < n; i++, states += width, mask += width) {
    const bool going = states[grid->dim] == 0;
    for (int64_t d = 0; d < grid->dim; d++) mask[d] = going && states[d] < (double)(grid->side - 1);
    mask[grid->dim] = going;
  }
  return TN_OK;
}

static tn_status hypergrid_step(void *self, double *states, int64_t n, const int64_t *actions,
                                const double *continuous, uint8_t *done, tn_rng *rng) {
  const struct hypergrid *grid = self;
  (void)continuous, (void)rng;
  for (int64_t i = 0; i < n; i++, states += grid->dim + 1) {
    states[actions[i]] += 1; /* the stop action's place is the flag */
    done[i] = actions[i] == grid->dim;
  }
  return TN_OK;
}

/* One-hot coordinates. */
static tn_status hypergrid_features(void *self, const double *states, int64_t n, float *features) {
  const struct hypergrid *grid = self;
  memset(features, 0, (size_t)(n * grid->dim * grid->side) * sizeof *features);
  for (int64_t i = 0; i < n; i++, states += grid->dim + 1)
    for (int64_t d = 0; d < grid->dim; d++, features += grid->side) features[(int64_t)states[d]] = 1;
  return TN_OK;
}

static double corners(const struct hypergrid *grid, const double *state) {
  bool outer = true, mode = true;
  for (int64_t d = 0; d < grid->dim; d++) {
    const double u = fabs(2 * position(grid, state[d]) - 1);
    outer = outer && u > 0.5;
    mode = mode && u > 0.6 && u < 0.8;
  }
  return grid->r0 + (outer ? grid->r1 : 0) + (mode ? grid->r2 : 0);
}
static double branin(const struct hypergrid *grid, const double *state) {
  const double a = 15 * position(grid, state[0]) - 5, b = 15 * position(grid, state[1]);
  const double t = b - 5.1 * a * a / (4 * pi * pi) + 5 * a / pi - 6;
  return 1 - (t * t + 10 * (1 - 1 / (8 * pi)) * cos(a) + 10) / 308.13;
}
static double currin(const struct hypergrid *grid, const double *state) {
  const double x = position(grid, state[0]), y = position(grid, state[1]);
  const double above = 2300 * x * x * x + 1900 * x * x + 2092 * x + 60;
  const double below = 100 * x * x * x + 500 * x * x + 4 * x + 20;
  return (1 - exp(-1 / (2 * y + 1e-10))) * above / below / 13.77;
}
static double shubert(const struct hypergrid *grid, const double *state) {
  double product = 1;
  for (int64_t d = 0; d < grid->dim; d++) product *= grid->waves[(int64_t)state[d]];
  return grid->range > 0 ? (-product - grid->low) / grid->range : 0;
}

static tn_status hypergrid_reward(void *self, const double *states, int64_t n, double *rewards) {
  const struct hypergrid *grid = self;
  for (int64_t i = 0; i < n; i++, states += grid->dim + 1)
    for (uint32_t k = 0; k < grid->objectives.count; k++) {
      const int32_t kind = grid->kinds[k];
      const double r = kind == CORNERS  ? corners(grid, states)
                       : kind == BRANIN ? branin(grid, states)
                       : kind == CURRIN ? currin(grid, states)
                                        : shubert(grid, states);
      *rewards++ = fmax(r, 0);
    }
  return TN_OK;
}

static int64_t hypergrid_parents(void *self, const double *state, double *parents, int64_t *actions,
                                 int64_t limit) {
  const struct hypergrid *grid = self;
  const bool stopped = state[grid->dim] != 0;
  int64_t count = 0;
  for (int64_t a = stopped ? grid->dim : 0; a < grid->dim + stopped; a++) {
    if (state[a] == 0) continue;
    if (count < limit) {
      double *parent = parents + count * (grid->dim + 1);
      memcpy(parent, state, (size_t)(grid->dim + 1) * sizeof *parent);
      parent[a] -= 1;
      actions[count] = a;
    }
    count++;
  }
  return count;
}

/* side^dim; 0: too many. */
static int64_t cells(const struct hypergrid *grid) {
  int64_t count = 1;
  for (int64_t d = 0; d < grid->dim && count > 0; d++)
    count = count > ((int64_t)1 << 52) / grid->side ? 0 : count * grid->side;
  return count;
}
static int64_t hypergrid_states(void *self) { return 2 * cells(self); }
static int64_t hypergrid_index(void *self, const double *state) {
  const struct hypergrid *grid = self;
  int64_t id = 0;
  for (int64_t d = 0; d < grid->dim; d++) id = id * grid->side + (int64_t)state[d];
  return state[grid->dim] != 0 ? id + cells(grid) : id;
}

static tn_status hypergrid_print(void *self, const double *state, char *text, size_t bytes) {
  const struct hypergrid *grid = self;
  size_t used = 0;
  for (int64_t d = 0; d < grid->dim && used < bytes; d++)
    used += (size_t)snprintf(text + used, bytes - used, d ? " %lld" : "%lld", (long long)state[d]);
  return TN_OK;
}

static const tn_environment hypergrid_table = {sizeof hypergrid_table, hypergrid_describe, hypergrid_reset,
                                               hypergrid_mask,         hypergrid_step,     hypergrid_features,
                                               hypergrid_reward,       hypergrid_parents,  hypergrid_index,
                                               hypergrid_states,       hypergrid_print};
static const tn_class hypergrid_class = {
    .size = sizeof(tn_class),
    .kind = TN_ENVIRONMENT,
    .name = "hypergrid",
    .summary = "Steps along the axes of a grid, with one to four rewards",
    .reference = "Bengio et al. 2021, Flow Network based Generative Models for Non-Iterative Diverse "
                 "Candidate Generation",
    TN_CLASS_PARAMS(hypergrid_params),
    .instance_size = sizeof(struct hypergrid),
    .vtable = &hypergrid_table,
    .create = hypergrid_create,
    .destroy = hypergrid_destroy};
TN_PLUGIN("environment_hypergrid", "1.0.0", "MIT", &hypergrid_class)
