// SPDX-License-Identifier: MIT
/* K a norm: K* is 0 on the unit ball of the dual norm and infinite outside.
 *
 *             K(m)                              grad K(m)                               the ball
 *   lp        ||m||_p                           sign m |m|^(p-1) / ||m||_p^(p-1)        ||y||_q <= 1, 1/p +
 * 1/q = 1 l2        ||m||                             m / ||m||                               ||y|| <= 1
 *   group_l2  sum over groups ||m_g||           m_g / ||m_g||                           ||y_g|| <= 1
 *   topk      sum of the k largest |m_i|        sign m on these, else 0                 ||y||_1 <= k, max
 * |y_i| <= 1 grad K(0) = 0; among equal magnitudes topk takes the first. */
#include "numbers.h"

static tn_tensor *zeros_like(void *self, tn_tensor *y) {
  (void)self;
  return tn_zeros(y->dtype, tn_shape_of(y));
}

/* ---- lp ---- */

struct lp {
  double p;
};
static const tn_param lp_params[] = {
    TN_REAL(struct lp, p, "1.5", 1, 1e3, "1: sign steps, 2: normalised momentum"),
};

/* ||x||_p, in units of the largest magnitude, so that powers neither overflow nor vanish. */
static double power_norm(const tn_tensor *x, double p) {
  const double largest = numbers_largest(x);
  double sum = 0;
  if (!isfinite(p) || largest == 0 || !isfinite(largest)) return largest;
  for (int64_t i = 0; i < x->numel; i++) sum += pow(fabs(number_at(x, i)) / largest, p);
  return largest * pow(sum, 1 / p);
}
static double dual_of(double p) { return p > 1 ? p / (p - 1) : INFINITY; }

static double lp_value(void *self, tn_tensor *m) { return power_norm(m, ((struct lp *)self)->p); }
static double lp_norm(void *self, tn_tensor *y) { return power_norm(y, dual_of(((struct lp *)self)->p)); }
static double lp_conjugate(void *self, tn_tensor *y) { return inside(y, lp_norm(self, y)); }
static tn_tensor *lp_gradient(void *self, tn_tensor *m) {
  const double p = ((struct lp *)self)->p, norm = power_norm(m, p);
  tn_tensor *slope = numbers_like(m);
  for (int64_t i = 0; !tn_poisoned(slope) && i < m->numel; i++) {
    const double x = number_at(m, i);
    number_set(slope, i, norm > 0 ? sign_of(x) * pow(fabs(x) / norm, p - 1) : 0);
  }
  return slope;
}

/* z >= 0 with z + multiplier z^(q-1) = y, for y >= 0: Newton from a point between 0 and the solution or above
 * it, kept in the bracket [0, y]. */
static double nearest_power(double y, double multiplier, double q) {
  double low = 0, high = y, z = y / (1 + multiplier);
  for (int i = 0; i < 100 && high - low > 1e-16 * y; i++) {
    const double error = z + multiplier * pow(z, q - 1) - y;
    if (error > 0)
      high = z;
    else
      low = z;
    const double newton = z - error / (1 + multiplier * (q - 1) * pow(z, q - 2));
    if (fabs(newton - z) <= 1e-16 * y) break;
    z = newton > low && newton < high ? newton : (low + high) / 2;
  }
  return z;
}
/* The nearest point of the ball: z_i + c z_i^(q-1) = |y_i| (the Lagrangian's gradient), ||z||_q = 1; c is
 * found by halving. */
static tn_tensor *lp_project(void *self, tn_tensor *y) {
  const double q = dual_of(((struct lp *)self)->p), norm = power_norm(y, q);
  tn_tensor *z = numbers_like(y);
  if (norm <= 1 || tn_poisoned(z)) return y;
  double low = 0, high = norm;
  for (int turn = 0; isfinite(q) && turn < 60; turn++) {
    const double multiplier = turn == 0 ? high : (low + high) / 2;
    double sum = 0;
    for (int64_t i = 0; i < y->numel; i++) sum += pow(nearest_power(fabs(number_at(y, i)), multiplier, q), q);
    if (sum > 1)
      low = multiplier;
    else
      high = multiplier;
    if (turn == 0 && sum > 1) high *= 2, turn--;
  }
  for (int64_t i = 0; i < y->numel; i++) {
    const double x = number_at(y, i);
    number_set(z, i, sign_of(x) * (isfinite(q) ? nearest_power(fabs(x), high, q) : fmin(fabs(x), 1)));
  }
  return z;
}
static const tn_kappa lp_table = {sizeof(tn_kappa), lp_value, lp_gradient, lp_conjugate,
                                  zeros_like,       lp_norm,  lp_project,  NULL};
KAPPA_CLASS(lp_class, "lp", "p-norm: steps between the sign and the normalised momentum", LION_K, struct lp,
            lp_params, &lp_table);

/* ---- l2 and group_l2 ---- */

struct groups {
  int64_t group;
};
static const tn_param groups_params[] = {
    TN_INTEGER(
        struct groups, group, "0", 0, INFINITY, "elements",
        "consecutive elements that make a group; 0: all that belong to one place of the first axis, and a "
        "vector is one group"),
};
static int64_t whole(const struct groups *self, const tn_tensor *x) {
  (void)self;
  return x->numel;
}
static int64_t group_of(const struct groups *self, const tn_tensor *x) {
  if (self->group > 0) return self->group;
  return tn_ndim(x) > 1 && tn_dim(x, 0) > 0 ? x->numel / tn_dim(x, 0) : x->numel;
}

static int64_t groups_in(const tn_tensor *x, int64_t size) {
  return size > 0 ? (x->numel + size - 1) / size : 0;
}
static double group_norm(const tn_tensor *x, int64_t group, int64_t size) {
  const int64_t first = group * size, end = first + size < x->numel ? first + size : x->numel;
  double largest = 0, sum = 0;
  for (int64_t i = first; i < end; i++) largest = fmax(largest, fabs(number_at(x, i)));
  if (largest == 0) return 0;
  for (int64_t i = first; i < end; i++) sum += number_at(x, i) / largest * (number_at(x, i) / largest);
  return largest * sqrt(sum);
}
/* Each group times factor(its norm). */
static tn_tensor *scale_groups(tn_tensor *x, int64_t size, double (*factor)(double norm)) {
  tn_tensor *scaled = numbers_like(x);
  for (int64_t g = 0; !tn_poisoned(scaled) && g < groups_in(x, size); g++) {
    const double by = factor(group_norm(x, g, size));
    for (int64_t i = g * size; i < (g + 1) * size && i < x->numel; i++)
      number_set(scaled, i, by * number_at(x, i));
  }
  return scaled;
}
static double to_unit(double norm) { return norm > 0 ? 1 / norm : 0; }
static double into_ball(double norm) { return norm > 1 ? 1 / norm : 1; }

static double sum_of_norms(const tn_tensor *m, int64_t size) {
  double sum = 0;
  for (int64_t g = 0; g < groups_in(m, size); g++) sum += group_norm(m, g, size);
  return sum;
}
static tn_tensor *norms_of(const tn_tensor *y, int64_t size) {
  tn_tensor *norms = tn_empty(TN_F64, TN_SHAPE(groups_in(y, size)));
  for (int64_t g = 0; !tn_poisoned(norms) && g < norms->numel; g++) tn_f64(norms)[g] = group_norm(y, g, size);
  return norms;
}
static double largest_norm(const tn_tensor *y, int64_t size) {
  double largest = 0;
  for (int64_t g = 0; g < groups_in(y, size); g++) largest = fmax(largest, group_norm(y, g, size));
  return largest;
}
#define GROUPED(name, size)                                                                                \
  static double name##_value(void *self, tn_tensor *m) { return sum_of_norms(m, size(self, m)); }          \
  static tn_tensor *name##_gradient(void *self, tn_tensor *m) {                                            \
    return scale_groups(m, size(self, m), to_unit);                                                        \
  }                                                                                                        \
  static double name##_norm(void *self, tn_tensor *y) { return largest_norm(y, size(self, y)); }           \
  static double name##_conjugate(void *self, tn_tensor *y) { return inside(y, name##_norm(self, y)); }     \
  static tn_tensor *name##_project(void *self, tn_tensor *y) {                                             \
    return scale_groups(y, size(self, y), into_ball);                                                      \
  }                                                                                                        \
  static tn_tensor *name##_constraints(void *self, tn_tensor *y) { return norms_of(y, size(self, y)); }    \
  static const tn_kappa name##_table = {sizeof(tn_kappa), name##_value, name##_gradient, name##_conjugate, \
                                        zeros_like,       name##_norm,  name##_project,  name##_constraints}
GROUPED(l2, whole);
GROUPED(group_l2, group_of);
static const tn_class l2_class = {.size = sizeof(tn_class),
                                  .kind = TN_KAPPA,
                                  .name = "l2",
                                  .summary = "2-norm of a tensor: normalised momentum, weights in a ball",
                                  .reference = LION_K,
                                  .instance_size = sizeof(struct groups),
                                  .vtable = &l2_table};
KAPPA_CLASS(group_l2_class, "group_l2", "2-norms of rows or other groups, each in a ball of its own", LION_K,
            struct groups, groups_params, &group_l2_table);

/* ---- topk ---- */

struct topk {
  tn_count k;
};
static const tn_param topk_params[] = {
    TN_COUNT(struct topk, k, "10%", "coordinates of a tensor that a step moves, or their share"),
};
static int64_t count_of(const struct topk *self, const tn_tensor *x) {
  return tn_count_of(self->k, x->numel);
}

/* The k-th largest magnitude, and how many of those equal to it belong to the k. */
static double threshold(const struct topk *self, tn_tensor *m, int64_t *equal) {
  const int64_t k = count_of(self, m);
  tn_tensor *values, *magnitudes = tn_reshape(tn_cast(tn_abs(m), TN_F64), TN_SHAPE(m->numel));
  tn_top_k(magnitudes, k, 0, true, &values, NULL);
  *equal = 0;
  if (tn_poisoned(values)) return NAN;
  const double least = tn_f64(values)[k - 1];
  for (int64_t i = 0; i < k; i++) *equal += tn_f64(values)[i] == least;
  return least;
}
static tn_tensor *topk_gradient(void *self, tn_tensor *m) {
  tn_tensor *slope = numbers_like(m);
  int64_t equal;
  if (m->numel == 0) return m;
  const double least = threshold(self, m, &equal);
  for (int64_t i = 0; !tn_poisoned(slope) && i < m->numel; i++) {
    const double x = number_at(m, i);
    const bool taken = fabs(x) > least || (fabs(x) == least && equal-- > 0);
    number_set(slope, i, taken ? sign_of(x) : 0);
  }
  return slope;
}
static double topk_value(void *self, tn_tensor *m) {
  int64_t equal;
  if (m->numel == 0) return 0;
  const double least = threshold(self, m, &equal);
  double sum = (double)equal * least;
  for (int64_t i = 0; i < m->numel; i++)
    if (fabs(number_at(m, i)) > least) sum += fabs(number_at(m, i));
  return sum;
}
/* (2): the largest magnitude, and the sum of magnitudes over k */
static tn_tensor *topk_constraints(void *self, tn_tensor *y) {
  tn_tensor *gauges = tn_zeros(TN_F64, TN_SHAPE(2));
  if (tn_poisoned(gauges)) return gauges;
  tn_f64(gauges)[0] = numbers_largest(y);
  for (int64_t i = 0; i < y->numel; i++)
    tn_f64(gauges)[1] += fabs(number_at(y, i)) / (double)count_of(self, y);
  return gauges;
}
static double topk_norm(void *self, tn_tensor *y) {
  double sum = 0;
  for (int64_t i = 0; i < y->numel; i++) sum += fabs(number_at(y, i));
  return fmax(numbers_largest(y), sum / (double)count_of(self, y));
}
static double topk_conjugate(void *self, tn_tensor *y) { return inside(y, topk_norm(self, y)); }
/* min(max(|y_i| - c, 0), 1) with the least c >= 0 for which these sum to at most k; c by halving. */
static tn_tensor *topk_project(void *self, tn_tensor *y) {
  const double k = (double)count_of(self, y);
  double low = 0, high = numbers_largest(y), least = 0;
  tn_tensor *z = numbers_like(y);
  if (tn_poisoned(z)) return z;
  for (int turn = 0; turn < 100; turn++) {
    double sum = 0;
    for (int64_t i = 0; i < y->numel; i++) sum += fmin(fmax(fabs(number_at(y, i)) - least, 0), 1);
    if (turn == 0 && sum <= k) break;
    if (sum > k)
      low = least;
    else
      high = least;
    least = (low + high) / 2;
    if (turn == 99) least = high;
  }
  for (int64_t i = 0; i < y->numel; i++)
    number_set(z, i, sign_of(number_at(y, i)) * fmin(fmax(fabs(number_at(y, i)) - least, 0), 1));
  return z;
}
static const tn_kappa topk_table = {sizeof(tn_kappa), topk_value, topk_gradient, topk_conjugate,
                                    zeros_like,       topk_norm,  topk_project,  topk_constraints};
KAPPA_CLASS(topk_class, "topk", "Sum of the k largest magnitudes: sign steps of k coordinates", LION_K,
            struct topk, topk_params, &topk_table);

TN_PLUGIN("kappas_norms", "1.0.0", "MIT", &lp_class, &l2_class, &group_l2_class, &topk_class)
