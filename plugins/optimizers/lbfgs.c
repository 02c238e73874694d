// SPDX-License-Identifier: MIT
/* L-BFGS with a line search for the strong Wolfe conditions (Nocedal and Wright 2006, Numerical Optimization:
 * algorithms 7.4, 3.5 and 3.6; Liu and Nocedal 1989).
 *
 * With s_i = w_(i+1) - w_i and y_i = g_(i+1) - g_i of the last `memory` steps, rho_i = 1 / (y_i' s_i):
 *   q = g;        newest to oldest:  alpha_i = rho_i s_i' q;  q <- q - alpha_i y_i
 *   q <- (s' y / y' y) q             of the newest pair; in the first step 1 / ||g|| at most 1
 *                 oldest to newest:  q <- q + (alpha_i - rho_i y_i' q) s_i
 *   w <- w + a d, d = -q, with a, first tried at lr, such that
 *     f(w + a d) <= f(w) + c1 a g'd      and      |g(w + a d)'d| <= c2 |g'd|
 *
 * One step is one iteration, with as many evaluations through the closure as the search needs: the batch
 * should be all data, and there should be neither gradient transforms nor randomness in the loss. The decay
 * is coupled, weight_decay / 2 ||w||^2, and part of f. A pair with y's not clearly above 0 is left out. If
 * no point is lower, the pairs are forgotten and steepest descent is tried; if that fails too, the
 * parameters stay: they are optimal to the precision of f. */
#include <float.h>
#include <stdio.h>
#include <tenon/optimizer.h>

enum { MOST_PAIRS = 1000 };
struct lbfgs {
  double lr, c1, c2, weight_decay;
  int64_t memory, evaluations;
  int64_t count;      /* pairs */
  tn_params **s, **y; /* (memory) newest first */
  /* scratch of a step */
  tn_params *gradient;  /* g */
  tn_params *direction; /* d */
  tn_params *point;     /* w + a d, with everything that is not trained */
  tn_params *slope;     /* g there */
  tn_params *decayed;   /* what decays of a point, 0 elsewhere */
  double *alpha, *rho;  /* (memory) */
};
static const tn_param lbfgs_params[] = {
    TN_PARAM_(struct lbfgs, lr, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "1", 0, INFINITY, NULL, NULL, NULL,
              "first step length that is tried; 1 is Newton's"),
    TN_INTEGER(struct lbfgs, memory, "10", 1, MOST_PAIRS, "pairs", "how many past steps shape the next one"),
    TN_PARAM_(struct lbfgs, c1, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE | TN_PARAM_MAX_EXCLUSIVE, "1e-4", 0, 1,
              NULL, NULL, NULL, "least decrease, a share of what the slope promises"),
    TN_PARAM_(struct lbfgs, c2, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE | TN_PARAM_MAX_EXCLUSIVE, "0.9", 0, 1,
              NULL, NULL, NULL,
              "most slope left, a share of the first; 0.1 and below: a nearly exact search"),
    TN_INTEGER(struct lbfgs, evaluations, "25", 1, 1000, NULL, "most evaluations of the loss in one step"),
    TN_REAL(struct lbfgs, weight_decay, "0", 0, INFINITY, "coupled weight decay (L2 penalty on weights)"),
};

static tn_status lbfgs_create(void *self) {
  struct lbfgs *lbfgs = self;
  if (!(lbfgs->c1 < lbfgs->c2))
    return tn_fail(TN_ERROR_INVALID, "c1 must be below c2, got %g and %g", lbfgs->c1, lbfgs->c2);
  const size_t memory = (size_t)lbfgs->memory;
  lbfgs->s = tn_alloc(memory * sizeof *lbfgs->s);
  lbfgs->y = tn_alloc(memory * sizeof *lbfgs->y);
  lbfgs->alpha = tn_alloc(memory * sizeof *lbfgs->alpha);
  lbfgs->rho = tn_alloc(memory * sizeof *lbfgs->rho);
  return lbfgs->s && lbfgs->y && lbfgs->alpha && lbfgs->rho ? TN_OK : TN_ERROR_MEMORY;
}

static void lbfgs_release(struct lbfgs *lbfgs) {
  for (int64_t i = 0; lbfgs->s && lbfgs->y && i < lbfgs->memory; i++) {
    tn_params_release(lbfgs->s[i]);
    tn_params_release(lbfgs->y[i]);
    lbfgs->s[i] = lbfgs->y[i] = NULL;
  }
  tn_params **sets[] = {&lbfgs->gradient, &lbfgs->direction, &lbfgs->point, &lbfgs->slope, &lbfgs->decayed};
  for (size_t i = 0; i < TN_ARRAY_LENGTH(sets); i++) {
    tn_params_release(*sets[i]);
    *sets[i] = NULL;
  }
  lbfgs->count = 0;
}

static tn_status lbfgs_begin(void *self, const tn_params *params) {
  (void)params;
  lbfgs_release(self);
  return TN_OK;
}

static tn_status make_scratch(struct lbfgs *lbfgs, const tn_params *params) {
  if (lbfgs->decayed) return TN_OK;
  lbfgs->gradient = tn_params_like(params);
  lbfgs->direction = tn_params_like(params);
  lbfgs->slope = tn_params_like(params);
  lbfgs->point = tn_params_clone(params);
  lbfgs->decayed = tn_params_like(params);
  const bool made = lbfgs->gradient && lbfgs->direction && lbfgs->slope && lbfgs->point && lbfgs->decayed;
  return made ? TN_OK : TN_ERROR_MEMORY;
}

/* ---- the objective ---- */

TN_FUSED(lbfgs_decay, {
  const real decay = run->group == TN_DECAY ? (real)((const struct lbfgs *)self)->weight_decay : 0;
  const real keep = run->group == TN_DECAY ? 1 : 0;
  const real *restrict w = run->data[0];
  real *restrict g = run->data[1], *restrict decayed = run->data[2];
  for (int64_t i = 0; i < run->count; i++) {
    g[i] += decay * w[i];
    decayed[i] = keep * w[i];
  }
})

/* Adds the penalty at `params` to its loss and gradient. */
static tn_status add_decay(struct lbfgs *lbfgs, const tn_params *params, tn_params *gradient, double *loss) {
  if (lbfgs->weight_decay == 0) return TN_OK;
  tn_params *sets[] = {(tn_params *)params, gradient, lbfgs->decayed};
  const tn_status status = tn_params_each(&lbfgs_decay, lbfgs, NULL, sets, 3);
  *loss += lbfgs->weight_decay / 2 * tn_params_dot(lbfgs->decayed, lbfgs->decayed);
  return status;
}

/* ---- the line search along d ---- */

/* phi(a) = f(w + a d) and its derivative. */
struct point {
  double a, value, slope;
};
struct search {
  struct lbfgs *lbfgs;
  const tn_optimizer_step *step;
  struct point start;
  double rounding;   /* of one number */
  double noise;      /* differences of values below this are rounding */
  int64_t left;      /* evaluations */
  struct point last; /* the last one: `point` and `slope` belong to it */
  tn_status status;
};

static struct point evaluate(struct search *search, double a) {
  struct lbfgs *lbfgs = search->lbfgs;
  struct point point = {a, INFINITY, 0};
  tn_status status = tn_params_copy(lbfgs->point, search->step->params);
  if (status >= 0) status = tn_params_axpy(lbfgs->point, a, lbfgs->direction);
  tn_closure *closure = search->step->closure;
  if (status >= 0) status = closure->evaluate(closure, lbfgs->point, lbfgs->slope, &point.value);
  if (status >= 0) status = add_decay(lbfgs, lbfgs->point, lbfgs->slope, &point.value);
  if (status >= 0) point.slope = tn_params_dot(lbfgs->slope, lbfgs->direction);
  if (!isfinite(point.value) || !isfinite(point.slope)) point.value = INFINITY; /* too far */
  if (status < 0) search->status = status;
  search->left--;
  return search->last = point;
}

/* Whether a point is too high: the first Wolfe condition fails. */
static bool too_high(const struct search *search, const struct point *p) {
  return !(p->value <= search->start.value + search->lbfgs->c1 * p->a * search->start.slope + search->noise);
}
static bool flat_enough(const struct search *search, const struct point *p) {
  return fabs(p->slope) <= -search->lbfgs->c2 * search->start.slope;
}

/* The minimum of the cubic through values and slopes of two points (equation 3.59), kept inside. */
static double interpolate(const struct point *p, const struct point *q) {
  const double middle = (p->a + q->a) / 2, width = fabs(q->a - p->a);
  if (!isfinite(q->value)) return middle;
  const double d1 = p->slope + q->slope - 3 * (p->value - q->value) / (p->a - q->a);
  const double square = d1 * d1 - p->slope * q->slope;
  if (!(square >= 0)) return middle;
  const double d2 = copysign(sqrt(square), q->a - p->a);
  const double divisor = q->slope - p->slope + 2 * d2;
  const double a = divisor != 0 ? q->a - (q->a - p->a) * (q->slope + d2 - d1) / divisor : middle;
  const double low = fmin(p->a, q->a) + 1e-3 * width, high = fmax(p->a, q->a) - 1e-3 * width;
  return isfinite(a) ? fmin(fmax(a, low), high) : middle;
}

/* Algorithm 3.6. `low` is the lowest admissible point so far; its slope leads towards `high`. */
static struct point zoom(struct search *search, struct point low, struct point high) {
  double widths[] = {INFINITY, INFINITY}; /* of the last two intervals: one that shrinks slowly is halved */
  while (search->left > 0 && search->status >= 0) {
    const double width = fabs(high.a - low.a);
    if (width <= search->rounding * fmax(low.a, high.a)) break;
    const bool slow = width > 0.66 * widths[1];
    const struct point p = evaluate(search, slow ? (low.a + high.a) / 2 : interpolate(&low, &high));
    widths[1] = widths[0];
    widths[0] = width;
    if (too_high(search, &p) || p.value >= low.value + search->noise) {
      high = p;
    } else {
      if (flat_enough(search, &p)) return p;
      if (p.slope * (high.a - low.a) >= 0) high = low;
      low = p;
    }
  }
  return low;
}

/* Algorithm 3.5: a point with both conditions, or the lowest found; a = 0 if none is lower. */
static struct point line_search(struct search *search, double first) {
  struct point before = search->start;
  double a = first;
  while (search->left > 0 && search->status >= 0) {
    const struct point p = evaluate(search, a);
    if (too_high(search, &p) || (before.a > 0 && p.value >= before.value + search->noise))
      return zoom(search, before, p);
    if (flat_enough(search, &p)) return p;
    if (p.slope >= 0) return zoom(search, p, before);
    before = p;
    a *= 2;
  }
  return before;
}

/* ---- one step ---- */

/* d = -H g by the two loops of algorithm 7.4. */
static tn_status two_loops(struct lbfgs *lbfgs) {
  tn_params *q = lbfgs->direction;
  tn_status status = tn_params_copy(q, lbfgs->gradient);
  for (int64_t i = 0; status >= 0 && i < lbfgs->count; i++) {
    lbfgs->rho[i] = 1 / tn_params_dot(lbfgs->y[i], lbfgs->s[i]);
    lbfgs->alpha[i] = lbfgs->rho[i] * tn_params_dot(lbfgs->s[i], q);
    status = tn_params_axpy(q, -lbfgs->alpha[i], lbfgs->y[i]);
  }
  if (status >= 0 && lbfgs->count > 0)
    status = tn_params_scale(q, 1 / (lbfgs->rho[0] * tn_params_dot(lbfgs->y[0], lbfgs->y[0])));
  for (int64_t i = lbfgs->count - 1; status >= 0 && i >= 0; i--)
    status = tn_params_axpy(q, lbfgs->alpha[i] - lbfgs->rho[i] * tn_params_dot(lbfgs->y[i], q), lbfgs->s[i]);
  return status < 0 ? status : tn_params_scale(q, -1);
}

/* Puts (a d, g_new - g) in front; the set of the oldest pair is used again. `curvature`: y's. */
static tn_status remember(struct lbfgs *lbfgs, double a, double curvature) {
  tn_status status = tn_params_axpy(lbfgs->slope, -1, lbfgs->gradient);
  if (status < 0) return status;
  if (!(curvature > DBL_EPSILON * tn_params_dot(lbfgs->slope, lbfgs->slope))) return TN_OK;
  const int64_t last = lbfgs->count < lbfgs->memory ? lbfgs->count : lbfgs->memory - 1;
  if (!lbfgs->s[last]) lbfgs->s[last] = tn_params_like(lbfgs->direction);
  if (!lbfgs->y[last]) lbfgs->y[last] = tn_params_like(lbfgs->direction);
  tn_params *s = lbfgs->s[last], *y = lbfgs->y[last];
  if (!s || !y) return TN_ERROR_MEMORY;
  status = tn_params_copy(s, lbfgs->direction);
  if (status >= 0) status = tn_params_scale(s, a);
  if (status >= 0) status = tn_params_copy(y, lbfgs->slope);
  if (status < 0) return status;
  for (int64_t i = last; i > 0; i--) {
    lbfgs->s[i] = lbfgs->s[i - 1];
    lbfgs->y[i] = lbfgs->y[i - 1];
  }
  lbfgs->s[0] = s;
  lbfgs->y[0] = y;
  lbfgs->count = last + 1;
  return TN_OK;
}

static double rounding_of(const tn_params *params) {
  const tn_tensor *first = tn_param_tensor(params, 0);
  return first && first->dtype == TN_F64 ? DBL_EPSILON : FLT_EPSILON;
}

/* Searches along d; *moved: whether a lower point was found and taken. */
static tn_status descend(struct lbfgs *lbfgs, const tn_optimizer_step *step, double loss, bool *moved) {
  *moved = false;
  const double slope = tn_params_dot(lbfgs->gradient, lbfgs->direction);
  if (!(slope < 0)) return TN_OK;
  const double rounding = rounding_of(step->params);
  struct search search = {.lbfgs = lbfgs,
                          .step = step,
                          .start = {0, loss, slope},
                          .rounding = rounding,
                          .noise = rounding * fabs(loss),
                          .left = lbfgs->evaluations};
  double first = lbfgs->lr * step->schedule;
  if (!(first > 0)) return TN_OK;
  if (lbfgs->count == 0) first *= fmin(1, 1 / sqrt(-slope)); /* d = -g */
  const struct point found = line_search(&search, first);
  if (search.status < 0 || found.a == 0) return search.status;
  /* The search may have looked elsewhere after the point that it found. */
  if (search.last.a != found.a) evaluate(&search, found.a);
  if (search.status < 0) return search.status;
  *moved = true;
  const tn_status status = remember(lbfgs, found.a, found.a * (search.last.slope - slope));
  return status < 0 ? status : tn_params_axpy(step->params, found.a, lbfgs->direction);
}

static tn_status lbfgs_step(void *self, const tn_optimizer_step *step) {
  struct lbfgs *lbfgs = self;
  if (!step->closure)
    return tn_fail(TN_ERROR_INVALID, "L-BFGS needs a stage that can evaluate the loss at other points");
  double loss = step->loss;
  tn_status status = make_scratch(lbfgs, step->params);
  if (status >= 0) status = tn_params_copy(lbfgs->gradient, step->gradient);
  if (status >= 0) status = add_decay(lbfgs, step->params, lbfgs->gradient, &loss);
  bool moved = false;
  while (status >= 0 && !moved) {
    const bool steepest = lbfgs->count == 0;
    status = two_loops(lbfgs);
    if (status >= 0) status = descend(lbfgs, step, loss, &moved);
    if (steepest) break;
    if (!moved) lbfgs->count = 0;
  }
  return status;
}

static double lbfgs_rate(void *self, double schedule) { return ((struct lbfgs *)self)->lr * schedule; }
static void lbfgs_destroy(void *self) {
  struct lbfgs *lbfgs = self;
  lbfgs_release(lbfgs);
  tn_free(lbfgs->s);
  tn_free(lbfgs->y);
  tn_free(lbfgs->alpha);
  tn_free(lbfgs->rho);
}
static tn_status lbfgs_state(void *self, const tn_visitor *visitor) {
  struct lbfgs *lbfgs = self;
  tn_status status = tn_visit_integer(visitor, "pairs", &lbfgs->count);
  if (status >= 0 && (lbfgs->count < 0 || lbfgs->count > lbfgs->memory))
    return tn_fail(TN_ERROR_INVALID, "%lld pairs do not fit a memory of %lld", (long long)lbfgs->count,
                   (long long)lbfgs->memory);
  for (int64_t i = 0; status >= 0 && i < lbfgs->count; i++) {
    char name[32];
    snprintf(name, sizeof name, "step.%lld", (long long)i);
    status = tn_visit_params(visitor, name, &lbfgs->s[i]);
    snprintf(name, sizeof name, "change.%lld", (long long)i);
    if (status >= 0) status = tn_visit_params(visitor, name, &lbfgs->y[i]);
  }
  return status;
}
static const tn_class lbfgs_class = {
    .size = sizeof(tn_class),
    .kind = TN_OPTIMIZER,
    .name = "lbfgs",
    .summary = "Limited-memory quasi-Newton with a strong Wolfe line search, for full batches",
    .reference = "Nocedal and Wright 2006, Numerical Optimization, algorithms 7.4, 3.5 and 3.6; Liu and "
                 "Nocedal 1989",
    TN_CLASS_PARAMS(lbfgs_params),
    .instance_size = sizeof(struct lbfgs),
    .vtable = &(const tn_optimizer){sizeof(tn_optimizer), lbfgs_begin, lbfgs_step, lbfgs_rate, NULL},
    .create = lbfgs_create,
    .destroy = lbfgs_destroy,
    .state = lbfgs_state};
TN_PLUGIN("lbfgs", "1.0.0", "MIT", &lbfgs_class)
