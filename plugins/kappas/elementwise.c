// SPDX-License-Identifier: MIT
/* K(m) = sum_i k(m_i), so K*(y) = sum_i k*(y_i) and every subgradient is taken coordinate by coordinate.
 *
 *               k(m)                      k'(m)                k*(y), for |y| <= 1        k*'(y)
 *   l1          |m|                       sign m               0                          0
 *   deadzone    max(|m| - e, 0)           sign m if |m| > e    e |y|                      e sign y
 *   huber       m^2 / 2e; |m| - e/2       clip(m, -e, e) / e   e y^2 / 2                  e y
 *   relativistic  sqrt(m^2 + e^2) - e     m / sqrt(m^2 + e^2)  e (1 - sqrt(1 - y^2))      e y / sqrt(1 - y^2)
 *   tanh        log(cosh(a m)) / a        tanh(a m)            ((1+y) log(1+y)
 *                                                              + (1-y) log(1-y)) / 2a     atanh(y) / a
 *   quadratic   m^2 / 2                   m                    y^2 / 2 for every y        y */
#include "numbers.h"

/* Each column of the table above; `e` is the kappa's parameter. */
typedef double number_function(double e, double x);
struct elementwise {
  double e;
};

static double l1_value(double e, double m) { return (void)e, fabs(m); }
static double l1_gradient(double e, double m) { return (void)e, sign_of(m); }
static double l1_conjugate(double e, double y) { return (void)e, (void)y, 0; }
static double l1_inverse(double e, double y) { return (void)e, (void)y, 0; }

static double deadzone_value(double e, double m) { return fmax(fabs(m) - e, 0); }
static double deadzone_gradient(double e, double m) { return fabs(m) > e ? sign_of(m) : 0; }
static double deadzone_conjugate(double e, double y) { return e * fabs(y); }
static double deadzone_inverse(double e, double y) { return e * sign_of(y); }

static double huber_value(double e, double m) { return fabs(m) <= e ? m * m / (2 * e) : fabs(m) - e / 2; }
static double huber_gradient(double e, double m) { return fmin(fmax(m, -e), e) / e; }
static double huber_conjugate(double e, double y) { return e / 2 * y * y; }
static double huber_inverse(double e, double y) { return e * y; }

static double relativistic_value(double e, double m) {
  const double root = hypot(m, e);
  return m * m / (root + e); /* root - e without cancellation */
}
static double relativistic_gradient(double e, double m) { return m / hypot(m, e); }
static double relativistic_conjugate(double e, double y) { return e * y * y / (1 + sqrt((1 - y) * (1 + y))); }
static double relativistic_inverse(double e, double y) { return e * y / sqrt((1 - y) * (1 + y)); }

static double tanh_value(double a, double m) {
  const double z = fabs(a * m);
  return (z + log1p(exp(-2 * z)) - log(2)) / a;
}
static double tanh_gradient(double a, double m) { return tanh(a * m); }
static double entropy_term(double x) { return x > -1 ? (1 + x) * log1p(x) : 0; }
static double tanh_conjugate(double a, double y) { return (entropy_term(y) + entropy_term(-y)) / (2 * a); }
static double tanh_inverse(double a, double y) { return atanh(y) / a; }

static double quadratic_value(double e, double m) { return (void)e, m * m / 2; }
static double quadratic_gradient(double e, double m) { return (void)e, m; }

/* ---- over tensors ---- */

static double sum_of(const struct elementwise *k, number_function *f, const tn_tensor *x) {
  double sum = 0;
  for (int64_t i = 0; i < x->numel; i++) sum += f(k->e, number_at(x, i));
  return sum;
}
static tn_tensor *map(const struct elementwise *k, number_function *f, const tn_tensor *x) {
  tn_tensor *y = numbers_like(x);
  if (tn_poisoned(y)) return y;
  for (int64_t i = 0; i < x->numel; i++) number_set(y, i, f(k->e, number_at(x, i)));
  return y;
}
static double clip(double e, double y) { return (void)e, fmin(fmax(y, -1), 1); }

static double box_norm(void *self, tn_tensor *y) { return (void)self, numbers_largest(y); }
static tn_tensor *box_project(void *self, tn_tensor *y) { return map(self, clip, y); }
static tn_tensor *box_constraints(void *self, tn_tensor *y) {
  (void)self;
  return tn_reshape(tn_cast(tn_abs(y), TN_F64), TN_SHAPE(y->numel));
}
static double whole_norm(void *self, tn_tensor *y) { return (void)self, (void)y, 0; }
static tn_tensor *whole_project(void *self, tn_tensor *y) { return (void)self, y; }

/* K* within the box; rounding may have led past its faces. */
static double box_conjugate(const struct elementwise *k, number_function *f, tn_tensor *y) {
  double sum = 0;
  if (inside(y, numbers_largest(y)) > 0) return INFINITY;
  for (int64_t i = 0; i < y->numel; i++) sum += f(k->e, clip(0, number_at(y, i)));
  return sum;
}

#define OVER_TENSORS(name, conjugate_, inverse_)                                                     \
  static double name##_of(void *self, tn_tensor *m) { return sum_of(self, name##_value, m); }        \
  static tn_tensor *name##_slope(void *self, tn_tensor *m) { return map(self, name##_gradient, m); } \
  static double name##_conjugate_of(void *self, tn_tensor *y) { return conjugate_; }                 \
  static tn_tensor *name##_conjugate_slope(void *self, tn_tensor *y) { return map(self, inverse_, y); }
#define BOX(name)                                                              \
  OVER_TENSORS(name, box_conjugate(self, name##_conjugate, y), name##_inverse) \
  static const tn_kappa name##_table = {                                       \
      sizeof(tn_kappa),       name##_of, name##_slope, name##_conjugate_of,    \
      name##_conjugate_slope, box_norm,  box_project,  box_constraints}
BOX(l1);
BOX(deadzone);
BOX(huber);
BOX(relativistic);
BOX(tanh);
OVER_TENSORS(quadratic, sum_of(self, quadratic_value, y), quadratic_gradient)
static const tn_kappa quadratic_table = {
    sizeof(tn_kappa),          quadratic_of, quadratic_slope, quadratic_conjugate_of,
    quadratic_conjugate_slope, whole_norm,   whole_project,   NULL};

#define KNEE(text)                                                                                        \
  TN_PARAM_(struct elementwise, e, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "0.1", 0, INFINITY, NULL, NULL, \
            NULL, text)
static const tn_param deadzone_params[] = {KNEE("momenta up to this size cause no step")};
static const tn_param huber_params[] = {KNEE("momenta up to this size cause steps in proportion")};
static const tn_param relativistic_params[] = {
    KNEE("momentum at which the step has 0.7 of its largest size")};
static const tn_param tanh_params[] = {{"a", TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE,
                                        offsetof(struct elementwise, e), "10", 0, INFINITY, NULL, NULL, NULL,
                                        "slope of the step at momentum 0"}};

#define ELEMENTWISE(name_, keys, count, text)                                         \
  static const tn_class name_##_class = {.size = sizeof(tn_class),                    \
                                         .kind = TN_KAPPA,                            \
                                         .name = #name_,                              \
                                         .summary = text,                             \
                                         .reference = LION_K,                         \
                                         .params = keys,                              \
                                         .param_count = count,                        \
                                         .param_size = sizeof(tn_param),              \
                                         .instance_size = sizeof(struct elementwise), \
                                         .vtable = &name_##_table}
ELEMENTWISE(l1, NULL, 0, "Sum of magnitudes: sign steps, weights in a box (Lion)");
ELEMENTWISE(deadzone, deadzone_params, 1,
            "Magnitudes beyond a threshold: sparse sign steps, L1 penalty in the box");
ELEMENTWISE(huber, huber_params, 1, "Huber function: clipped steps, L2 penalty in the box");
ELEMENTWISE(relativistic, relativistic_params, 1, "sqrt(m^2 + e^2): smooth sign steps, weights in a box");
ELEMENTWISE(tanh, tanh_params, 1, "log cosh: tanh steps, entropic penalty in the box");
ELEMENTWISE(quadratic, NULL, 0, "Half the squared norm: momentum itself, L2 penalty");
TN_PLUGIN("kappas_elementwise", "1.0.0", "MIT", &l1_class, &deadzone_class, &huber_class, &relativistic_class,
          &tanh_class, &quadratic_class)
