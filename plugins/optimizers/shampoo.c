// SPDX-License-Identifier: MIT
/* Shampoo: gradients whitened along rows and columns (Gupta, Koren and Singer 2018, Algorithm 1), with
 * running means, blocks, delayed roots and grafting (Anil et al. 2020, Scalable Second Order Optimization).
 *
 * For each matrix W (rows, columns), or a tensor of higher rank as (first axis, all others):
 *   L <- beta2 L + (1 - beta2) G G'            beta2 = 1: plain sums, as in the first paper
 *   R <- beta2 R + (1 - beta2) G' G
 *   M <- beta1 M + (1 - beta1) G
 *   P  = (L / (1 - beta2^t) + epsilon l I)^(-exponent), l its largest eigenvalue;  Q the same from R
 *        in the first step and then every `every` steps; eigenvalues below 0 count as 0
 *   U  = P M / (1 - beta1^t) Q
 *   W <- W - lr (s U + weight_decay W)
 * The graft gives the length: s ||U|| is the norm of the step that Adam (or AdaGrad, with beta2 = 1) or
 * momentum would take on this tensor; without graft s = 1. Sides longer than max_dim are cut into equal
 * blocks, each with its own L and R. Vectors and scalars take Adam's step. */
#include "entries.h"
#include <tgmath.h>

enum { GRAFT_ADAM, GRAFT_SGD, GRAFT_NONE };
struct shampoo {
  double lr, beta1, beta2, exponent, epsilon, graft_epsilon, weight_decay;
  int64_t every, max_dim;
  int32_t graft;
  tn_params *mean, *square; /* M; v of Adam's step */
  tn_tensor *statistics;    /* L and R of all blocks, one behind the other */
  tn_tensor *roots;         /* P and Q, at the same places */
  tn_params *update;        /* Adam's step, then U: scratch */
  struct entries entries;   /* of w, g, M, U; factor: s; place: in statistics and roots */
};
static const tn_param shampoo_params[] = {
    TN_REAL(struct shampoo, lr, "1e-3", 0, INFINITY, "learning rate; with graft = adam as for Adam"),
    TN_PARAM_(struct shampoo, beta1, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0.9", 0, 1, NULL, NULL, NULL,
              "decay of the mean of the gradient"),
    TN_REAL(struct shampoo, beta2, "0.99", 0, 1, "decay of the means of L, R and squares; 1: sums"),
    TN_REAL(struct shampoo, exponent, "0.25", 0, 1, "of the inverse roots: 1/4 for two sides; 0: none"),
    TN_PARAM_(struct shampoo, epsilon, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "1e-6", 0, INFINITY, NULL, NULL,
              NULL, "ridge on L and R, relative to their largest eigenvalue"),
    TN_INTEGER(struct shampoo, every, "10", 1, 1e9, "steps", "how often the roots are computed"),
    TN_CHOICE(struct shampoo, graft, "adam", "adam|sgd|none", "whose step length a matrix takes"),
    TN_REAL(struct shampoo, graft_epsilon, "1e-8", 0, INFINITY, "epsilon of Adam's step"),
    TN_INTEGER(struct shampoo, max_dim, "1024", 1, 16384, NULL, "longest side of a block"),
    TN_REAL(struct shampoo, weight_decay, "0", 0, INFINITY, "decoupled weight decay"),
};

static void shampoo_release(struct shampoo *shampoo) {
  tn_params **sets[] = {&shampoo->mean, &shampoo->square, &shampoo->update};
  for (int i = 0; i < 3; i++) {
    tn_params_release(*sets[i]);
    *sets[i] = NULL;
  }
  tn_tensor **tensors[] = {&shampoo->statistics, &shampoo->roots};
  for (int i = 0; i < 2; i++) {
    if (*tensors[i]) tn_release(*tensors[i]);
    *tensors[i] = NULL;
  }
  entries_release(&shampoo->entries);
}

/* ---- blocks ---- */

/* Part `index` of `parts` nearly equal parts of 0 .. length - 1. */
struct range {
  int64_t first, count;
};
static int64_t part_count(int64_t length, int64_t most) { return (length + most - 1) / most; }
static struct range part(int64_t length, int64_t parts, int64_t index) {
  const int64_t first = length * index / parts;
  return (struct range){first, length * (index + 1) / parts - first};
}

struct block {
  const struct entry *entry;
  struct range rows, columns;
  int64_t left, right; /* places of L and R (of P and Q): elements from the start */
  bool whole;          /* the only block of its tensor */
};
/* A place that begins at a cache line. */
static int64_t aligned(int64_t elements) { return (elements + 15) / 16 * 16; }

typedef tn_status (*block_function)(struct shampoo *shampoo, const struct block *block,
                                    const tn_optimizer_step *step);
/* Calls `f`, if there is one, for each block of a matrix whose statistics begin at *place; moves *place
 * behind them. */
static tn_status each_block(struct shampoo *shampoo, const struct entry *entry, int64_t *place,
                            block_function f, const tn_optimizer_step *step) {
  const int64_t rows = entry_rows(entry), columns = entry_columns(entry);
  const int64_t down = part_count(rows, shampoo->max_dim), across = part_count(columns, shampoo->max_dim);
  tn_status status = TN_OK;
  for (int64_t k = 0; status >= 0 && k < down * across; k++) {
    struct block block = {entry,
                          part(rows, down, k / across),
                          part(columns, across, k % across),
                          *place,
                          0,
                          down * across == 1};
    block.right = block.left + aligned(block.rows.count * block.rows.count);
    *place = block.right + aligned(block.columns.count * block.columns.count);
    if (!f) continue;
    tn_scope_open();
    status = f(shampoo, &block, step);
    tn_scope_close();
  }
  return status;
}

static char *at(const tn_tensor *t, int64_t element) {
  return (char *)tn_data(t) + element * (t->dtype == TN_F64 ? 8 : 4);
}
/* The (n, n) matrix at `place`. */
static tn_tensor *square_at(tn_tensor *store, int64_t place, int64_t n) {
  return tn_wrap(store->dtype, TN_SHAPE(n, n), at(store, place));
}
static void store_at(tn_tensor *store, int64_t place, const tn_tensor *value) {
  if (!tn_poisoned(value))
    memcpy(at(store, place), tn_data(value), (size_t)value->numel * (store->dtype == TN_F64 ? 8 : 4));
}
/* The block (rows, columns) of a tensor of its entry. */
static tn_tensor *block_of(const struct block *block, tn_tensor *t) {
  tn_tensor *matrix = tn_reshape(t, TN_SHAPE(entry_rows(block->entry), entry_columns(block->entry)));
  if (block->whole) return matrix;
  matrix = tn_slice(matrix, 0, block->rows.first, block->rows.first + block->rows.count);
  return tn_slice(matrix, 1, block->columns.first, block->columns.first + block->columns.count);
}

static tn_status shampoo_begin(void *self, const tn_params *params) {
  struct shampoo *shampoo = self;
  shampoo_release(shampoo);
  shampoo->mean = tn_params_like(params);
  shampoo->square = tn_params_like(params);
  tn_params *sets[] = {shampoo->mean};
  tn_status status = shampoo->mean && shampoo->square ? TN_OK : TN_ERROR_MEMORY;
  if (status >= 0) status = entries_collect(&shampoo->entries, sets, 1);
  if (status < 0) return status;
  int64_t place = 0;
  tn_dtype dtype = TN_F32;
  for (uint32_t i = 0; i < shampoo->entries.count; i++) {
    const struct entry *entry = &shampoo->entries.items[i];
    dtype = entry->of[0]->dtype;
    if (entry_is_matrix(entry)) each_block(shampoo, entry, &place, NULL, NULL);
  }
  tn_scope_open();
  shampoo->statistics = tn_persist(tn_zeros(dtype, TN_SHAPE(place > 0 ? place : 1)));
  shampoo->roots = tn_persist(tn_zeros(dtype, TN_SHAPE(place > 0 ? place : 1)));
  tn_scope_close();
  return shampoo->statistics && shampoo->roots ? TN_OK : TN_ERROR_MEMORY;
}

/* ---- one step ---- */

struct shampoo_rates {
  double lr, keep2, bias1, bias2; /* keep2: share of a new square; bias: 1 - beta^t */
};
static struct shampoo_rates rates_of(const struct shampoo *shampoo, const tn_optimizer_step *step) {
  const double t = (double)step->step;
  const bool sums = shampoo->beta2 >= 1;
  return (struct shampoo_rates){shampoo->lr * step->schedule, sums ? 1 : 1 - shampoo->beta2,
                                1 - pow(shampoo->beta1, t), sums ? 1 : 1 - pow(shampoo->beta2, t)};
}

TN_FUSED(shampoo_means, {
  const struct shampoo *shampoo = self;
  const struct shampoo_rates *rates = arguments;
  const real beta1 = (real)shampoo->beta1, beta2 = (real)shampoo->beta2, keep2 = (real)rates->keep2;
  const real bias1 = (real)(1 / rates->bias1), bias2 = (real)(1 / rates->bias2);
  const real epsilon = (real)shampoo->graft_epsilon;
  real *restrict m = run->data[1], *restrict v = run->data[2], *restrict u = run->data[3];
  const real *restrict g = run->data[0];
  for (int64_t i = 0; i < run->count; i++) {
    m[i] = beta1 * m[i] + (1 - beta1) * g[i];
    v[i] = beta2 * v[i] + keep2 * g[i] * g[i];
    real root = sqrt(bias2 * v[i]) + epsilon;
    u[i] = root > 0 ? bias1 * m[i] / root : 0;
  }
})

TN_FUSED(shampoo_move, {
  const struct shampoo *shampoo = self;
  const struct shampoo_rates *rates = arguments;
  const real lr = (real)rates->lr;
  const real decay = run->group == TN_DECAY ? (real)shampoo->weight_decay : 0;
  real *restrict w = run->data[0];
  const real *restrict u = run->data[1];
  struct span span = entries_start(&shampoo->entries, run, sizeof(real));
  while (entries_span(&shampoo->entries, run, sizeof(real), &span)) {
    const real s = (real)span.entry->factor;
    for (int64_t i = span.first; i < span.last; i++) w[i] -= lr * (s * u[i] + decay * w[i]);
  }
})

/* (A / bias + epsilon l I)^(-exponent) in float64; the identity for A = 0. */
static tn_status inverse_root(const struct shampoo *shampoo, tn_tensor *a, double bias, tn_tensor **root) {
  const tn_dtype dtype = a->dtype;
  const int64_t n = tn_dim(a, 0);
  tn_tensor *values, *vectors; /* (n), (n, n): in columns */
  tn_status status = tn_eigh(tn_scale(tn_cast(a, TN_F64), 1 / bias), &values, &vectors);
  if (status < 0 || tn_poisoned(values)) return status < 0 ? status : TN_ERROR_DIVERGED;
  const double largest = tn_f64(values)[n - 1];
  tn_tensor *powers = tn_empty(TN_F64, TN_SHAPE(1, n));
  if (tn_poisoned(powers)) return TN_ERROR_MEMORY;
  for (int64_t i = 0; i < n; i++)
    tn_f64(powers)[i] =
        largest > 0 ? pow(fmax(tn_f64(values)[i], 0) + shampoo->epsilon * largest, -shampoo->exponent) : 1;
  *root = tn_cast(tn_matmul_nt(tn_mul(vectors, powers), vectors), dtype);
  return tn_outcome();
}

/* L and R, the roots when they are due, and U. */
static tn_status precondition(struct shampoo *shampoo, const struct block *block,
                              const tn_optimizer_step *step) {
  const struct shampoo_rates rates = rates_of(shampoo, step);
  const bool due = step->step <= 1 || step->step % shampoo->every == 0;
  tn_tensor *gradient = block_of(block, block->entry->of[1]); /* (rows, columns) */
  tn_tensor *update = block_of(block, block->entry->of[2]);   /* M, then P M, then P M Q */
  for (int side = 0; side < 2; side++) {
    const int64_t n = side ? block->columns.count : block->rows.count;
    const int64_t place = side ? block->right : block->left;
    tn_tensor *product = side ? tn_matmul_tn(gradient, gradient) : tn_matmul_nt(gradient, gradient);
    tn_tensor *old = square_at(shampoo->statistics, place, n);
    tn_tensor *statistic = tn_add(tn_scale(old, shampoo->beta2), tn_scale(product, rates.keep2));
    store_at(shampoo->statistics, place, statistic);
    tn_tensor *root;
    if (due) {
      const tn_status status = inverse_root(shampoo, statistic, rates.bias2, &root);
      if (status < 0) return status;
      store_at(shampoo->roots, place, root);
    } else {
      root = square_at(shampoo->roots, place, n);
    }
    update = side ? tn_matmul(update, root) : tn_matmul(root, update);
  }
  update = tn_scale(update, 1 / rates.bias1);
  if (tn_failed()) return tn_outcome();
  const size_t number = update->dtype == TN_F64 ? 8 : 4;
  for (int64_t i = 0; i < block->rows.count; i++) {
    const int64_t into = (block->rows.first + i) * entry_columns(block->entry) + block->columns.first;
    memcpy(at(block->entry->of[3], into),
           (char *)tn_data(update) + (size_t)(i * block->columns.count) * number,
           (size_t)block->columns.count * number);
  }
  return TN_OK;
}

static double norm_of(tn_tensor *t) {
  tn_scope_open();
  const double norm = tn_item(tn_norm(t));
  tn_scope_close();
  return norm;
}

/* Replaces Adam's step by U in all matrices. */
static tn_status precondition_all(struct shampoo *shampoo, const tn_optimizer_step *step) {
  const struct shampoo_rates rates = rates_of(shampoo, step);
  int64_t place = 0;
  tn_status status = TN_OK;
  for (uint32_t i = 0; status >= 0 && i < shampoo->entries.count; i++) {
    struct entry *entry = &shampoo->entries.items[i];
    entry->factor = 1;
    if (!entry_is_matrix(entry)) continue;
    const double length = shampoo->graft == GRAFT_ADAM  ? norm_of(entry->of[3])
                          : shampoo->graft == GRAFT_SGD ? norm_of(entry->of[2]) / rates.bias1
                                                        : 0;
    status = each_block(shampoo, entry, &place, precondition, step);
    if (status < 0 || shampoo->graft == GRAFT_NONE) continue;
    const double own = norm_of(entry->of[3]);
    if (own > 0) entry->factor = length / own;
  }
  return status;
}

static tn_status shampoo_step(void *self, const tn_optimizer_step *step) {
  struct shampoo *shampoo = self;
  const struct shampoo_rates rates = rates_of(shampoo, step);
  if (!shampoo->update && !(shampoo->update = tn_params_like(step->params))) return TN_ERROR_MEMORY;
  tn_params *gradient = (tn_params *)step->gradient;
  tn_params *means[] = {gradient, shampoo->mean, shampoo->square, shampoo->update};
  tn_status status = tn_params_each(&shampoo_means, shampoo, &rates, means, 4);
  tn_params *all[] = {step->params, gradient, shampoo->mean, shampoo->update};
  if (status >= 0) status = entries_collect(&shampoo->entries, all, 4);
  if (status < 0) return status;
  const bool recording = tn_record(false);
  status = precondition_all(shampoo, step);
  tn_record(recording);
  tn_params *moved[] = {step->params, shampoo->update};
  return status < 0 ? status : tn_params_each(&shampoo_move, shampoo, &rates, moved, 2);
}

static double shampoo_rate(void *self, double schedule) { return ((struct shampoo *)self)->lr * schedule; }
static void shampoo_destroy(void *self) { shampoo_release(self); }
static tn_status shampoo_state(void *self, const tn_visitor *visitor) {
  struct shampoo *shampoo = self;
  tn_status status = tn_visit_params(visitor, "mean", &shampoo->mean);
  if (status >= 0) status = tn_visit_params(visitor, "square", &shampoo->square);
  if (status >= 0) status = tn_visit_tensor(visitor, "statistics", &shampoo->statistics);
  return status < 0 ? status : tn_visit_tensor(visitor, "roots", &shampoo->roots);
}
static const tn_class shampoo_class = {
    .size = sizeof(tn_class),
    .kind = TN_OPTIMIZER,
    .name = "shampoo",
    .summary = "Matrices preconditioned from both sides by roots of their gradients' second moments",
    .reference = "Gupta, Koren and Singer 2018, Shampoo: Preconditioned Stochastic Tensor Optimization; Anil "
                 "et al. 2020, Scalable Second Order Optimization for Deep Learning",
    TN_CLASS_PARAMS(shampoo_params),
    .instance_size = sizeof(struct shampoo),
    .vtable = &(const tn_optimizer){sizeof(tn_optimizer), shampoo_begin, shampoo_step, shampoo_rate, NULL},
    .destroy = shampoo_destroy,
    .state = shampoo_state};
TN_PLUGIN("shampoo", "1.0.0", "MIT", &shampoo_class)
