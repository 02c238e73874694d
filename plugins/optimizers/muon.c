// SPDX-License-Identifier: MIT
/* Muon: momentum, orthogonalised (Jordan et al. 2024, Muon: An optimizer for hidden layers in neural
 * networks).
 *
 * For each weight matrix W (rows, columns), or a tensor of higher rank as (first axis, all others):
 *   M <- momentum M + G
 *   N  = G + momentum M                       nesterov; else N = M
 *   O  = orthogonalise(N)                     nearly U V' of N = U S V'
 *   W <- W - lr (scale O + weight_decay W)
 * Orthogonalising, method = newton_schulz:
 *   X <- N / (||N|| + 1e-7)                   Frobenius norm: all singular values in (0, 1]
 *   `iterations` times, with A = X X' (or, with more rows than columns, the mirror image with A = X' X):
 *     X <- 3.4445 X + (-4.7750 A + 2.0315 A A) X        singular values end in about 0.7 .. 1.2
 * method = svd: O = (N N')^(-1/2) N by eigenvectors, singular values 1 (0 where N has none).
 *
 * scale = shape: sqrt(max(1, rows / columns)) (Jordan's), so that a rate serves matrices of all shapes;
 * scale = rms: 0.2 sqrt(max(rows, columns)), a step with the root mean square of Adam's, so that Adam's rates
 * and decay carry over (Liu et al. 2025, Muon is Scalable for LLM Training); scale = none: 1.
 *
 * Everything else takes a step of AdamW (adamw.c) with adam_lr: vectors, tensors without weight decay, and
 * tensors whose name contains a text of `adam`; the authors say embeddings and the last layer belong there.
 */
#include "entries.h"
#include "newton_schulz.h"
#include <tgmath.h>

enum { METHOD_NEWTON_SCHULZ, METHOD_SVD };
enum { SCALE_SHAPE, SCALE_RMS, SCALE_NONE };
struct muon {
  double lr, momentum, weight_decay, adam_lr, adam_beta1, adam_beta2, adam_epsilon;
  bool nesterov;
  int32_t method, scale;
  int64_t iterations;
  tn_strings adam;
  tn_params *mean;        /* M, or Adam's m */
  tn_tensor *square;      /* Adam's v of all tensors that it trains, one behind the other */
  struct entries entries; /* of w, g, mean; place: in square, -1 for matrices */
};
static const tn_param muon_params[] = {
    TN_REAL(struct muon, lr, "0.02", 0, INFINITY, "learning rate of the matrices"),
    TN_PARAM_(struct muon, momentum, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0.95", 0, 1, NULL, NULL, NULL,
              "decay of the momentum"),
    TN_BOOL(struct muon, nesterov, "yes", "orthogonalise where the momentum leads (Nesterov)"),
    TN_CHOICE(struct muon, method, "newton_schulz", "newton_schulz|svd", "how to orthogonalise"),
    TN_INTEGER(struct muon, iterations, "5", 1, 100, NULL, "of Newton and Schulz"),
    TN_CHOICE(struct muon, scale, "shape", "shape|rms|none", "how the step depends on a matrix's sides"),
    TN_REAL(struct muon, weight_decay, "0", 0, INFINITY, "decoupled weight decay"),
    TN_STRINGS(struct muon, adam, "", "parts of names of matrices that AdamW trains, `embedding, head`"),
    TN_REAL(struct muon, adam_lr, "3e-4", 0, INFINITY, "learning rate of AdamW"),
    TN_PARAM_(struct muon, adam_beta1, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0.9", 0, 1, NULL, NULL, NULL,
              "AdamW's decay of the mean of the gradient"),
    TN_PARAM_(struct muon, adam_beta2, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0.95", 0, 1, NULL, NULL, NULL,
              "AdamW's decay of the mean of its square"),
    TN_REAL(struct muon, adam_epsilon, "1e-10", 0, INFINITY, "added to the root of AdamW's mean square"),
};

static bool is_muons(const struct muon *muon, const struct entry *entry) {
  if (!entry_is_matrix(entry) || entry->group != TN_DECAY) return false;
  for (uint32_t i = 0; i < muon->adam.count; i++)
    if (strstr(entry->name, muon->adam.items[i])) return false;
  return true;
}

/* Sets the places of Adam's squares; returns how many there are. */
static int64_t share_out(struct muon *muon) {
  int64_t place = 0;
  for (uint32_t i = 0; i < muon->entries.count; i++) {
    struct entry *entry = &muon->entries.items[i];
    entry->place = is_muons(muon, entry) ? -1 : place;
    if (entry->place >= 0) place += entry->of[0]->numel;
  }
  return place;
}

static void muon_release(struct muon *muon) {
  tn_params_release(muon->mean);
  if (muon->square) tn_release(muon->square);
  muon->mean = NULL;
  muon->square = NULL;
  entries_release(&muon->entries);
}

static tn_status muon_begin(void *self, const tn_params *params) {
  struct muon *muon = self;
  muon_release(muon);
  if (!(muon->mean = tn_params_like(params))) return TN_ERROR_MEMORY;
  tn_status status = entries_collect(&muon->entries, &muon->mean, 1);
  if (status < 0) return status;
  const int64_t squares = share_out(muon);
  const tn_dtype dtype = muon->entries.count > 0 ? muon->entries.items[0].of[0]->dtype : TN_F32;
  tn_scope_open();
  muon->square = tn_persist(tn_zeros(dtype, TN_SHAPE(squares > 0 ? squares : 1)));
  tn_scope_close();
  return muon->square ? TN_OK : TN_ERROR_MEMORY;
}

struct muon_rates {
  double lr, adam_lr, bias1, bias2; /* bias: 1 - beta^t */
};

/* The momentum of matrices, Adam's whole step for the rest. */
TN_FUSED(muon_pass, {
  const struct muon *muon = self;
  const struct muon_rates *rates = arguments;
  const real momentum = (real)muon->momentum, lr = (real)rates->adam_lr;
  const real beta1 = (real)muon->adam_beta1, beta2 = (real)muon->adam_beta2;
  const real bias1 = (real)(1 / rates->bias1), bias2 = (real)(1 / rates->bias2);
  const real epsilon = (real)muon->adam_epsilon;
  const real decay = run->group == TN_DECAY ? (real)muon->weight_decay : 0;
  real *restrict w = run->data[0], *restrict m = run->data[2];
  const real *restrict g = run->data[1];
  struct span span = entries_start(&muon->entries, run, sizeof(real));
  while (entries_span(&muon->entries, run, sizeof(real), &span)) {
    if (span.entry->place < 0) {
      for (int64_t i = span.first; i < span.last; i++) m[i] = momentum * m[i] + g[i];
      continue;
    }
    real *restrict v = (real *)muon->square->dl.data + span.entry->place + span.offset;
    for (int64_t i = span.first; i < span.last; i++, v++) {
      m[i] = beta1 * m[i] + (1 - beta1) * g[i];
      *v = beta2 * *v + (1 - beta2) * g[i] * g[i];
      real root = sqrt(bias2 * *v) + epsilon;
      w[i] -= lr * ((root > 0 ? bias1 * m[i] / root : 0) + decay * w[i]);
    }
  }
})

/* ---- orthogonalising; x (rows, columns) ---- */

/* By the eigenvectors of the smaller of X X' and X' X, in float64. */
static tn_tensor *polar_factor(tn_tensor *matrix) {
  tn_tensor *x = tn_cast(matrix, TN_F64);
  const bool tall = tn_dim(x, 0) > tn_dim(x, 1);
  const int64_t n = tn_dim(x, tall ? 1 : 0);
  tn_tensor *values, *vectors; /* (n), (n, n): in columns */
  tn_tensor *roots = tn_empty(TN_F64, TN_SHAPE(1, n));
  if (tn_eigh(tall ? tn_matmul_tn(x, x) : tn_matmul_nt(x, x), &values, &vectors) < 0 || tn_failed()) return x;
  const double least = (double)n * 2.220446049250313e-16 * tn_f64(values)[n - 1];
  for (int64_t i = 0; i < n; i++)
    tn_f64(roots)[i] = tn_f64(values)[i] > least ? 1 / sqrt(tn_f64(values)[i]) : 0;
  tn_tensor *inverse = tn_matmul_nt(tn_mul(vectors, roots), vectors);
  return tn_cast(tall ? tn_matmul(x, inverse) : tn_matmul(inverse, x), matrix->dtype);
}

static double scale_of(const struct muon *muon, int64_t rows, int64_t columns) {
  if (muon->scale == SCALE_SHAPE) return sqrt(fmax(1, (double)rows / (double)columns));
  return muon->scale == SCALE_RMS ? 0.2 * sqrt((double)(rows > columns ? rows : columns)) : 1;
}

/* w <- keep w - rate o */
#define MOVE(type)                       \
  for (int64_t i = 0; i < w->numel; i++) \
  ((type *)w->dl.data)[i] = (type)keep * ((type *)w->dl.data)[i] - (type)rate * ((const type *)o->dl.data)[i]

static tn_status move_matrix(const struct muon *muon, const struct entry *entry, double lr) {
  const int64_t rows = entry_rows(entry), columns = entry_columns(entry);
  const tn_shape shape = TN_SHAPE(rows, columns);
  tn_tensor *w = entry->of[0], *direction = entry->of[2];
  if (muon->nesterov) direction = tn_add(entry->of[1], tn_scale(direction, muon->momentum));
  direction = tn_reshape(direction, shape);
  const tn_tensor *o =
      muon->method == METHOD_SVD ? polar_factor(direction) : newton_schulz(direction, muon->iterations);
  if (tn_failed()) return tn_outcome();
  const double rate = lr * scale_of(muon, rows, columns), keep = 1 - lr * muon->weight_decay;
  if (w->dtype == TN_F64)
    MOVE(double);
  else
    MOVE(float);
  return TN_OK;
}

static tn_status muon_step(void *self, const tn_optimizer_step *step) {
  struct muon *muon = self;
  const double t = (double)step->step;
  const struct muon_rates rates = {muon->lr * step->schedule, muon->adam_lr * step->schedule,
                                   1 - pow(muon->adam_beta1, t), 1 - pow(muon->adam_beta2, t)};
  tn_params *sets[] = {step->params, (tn_params *)step->gradient, muon->mean};
  tn_status status = entries_collect(&muon->entries, sets, 3);
  if (status < 0) return status;
  share_out(muon);
  status = tn_params_each(&muon_pass, muon, &rates, sets, 3);
  const bool recording = tn_record(false);
  for (uint32_t i = 0; status >= 0 && i < muon->entries.count; i++) {
    if (muon->entries.items[i].place >= 0) continue;
    tn_scope_open();
    status = move_matrix(muon, &muon->entries.items[i], rates.lr);
    tn_scope_close();
  }
  tn_record(recording);
  return status;
}

static double muon_rate(void *self, double schedule) { return ((struct muon *)self)->lr * schedule; }
static void muon_destroy(void *self) { muon_release(self); }
static tn_status muon_state(void *self, const tn_visitor *visitor) {
  struct muon *muon = self;
  tn_status status = tn_visit_params(visitor, "mean", &muon->mean);
  return status < 0 ? status : tn_visit_tensor(visitor, "square", &muon->square);
}
static const tn_class muon_class = {
    .size = sizeof(tn_class),
    .kind = TN_OPTIMIZER,
    .name = "muon",
    .summary = "Orthogonalised momentum for weight matrices, AdamW for the rest",
    .reference = "Jordan et al. 2024, Muon: An optimizer for hidden layers in neural networks "
                 "(kellerjordan.github.io/posts/muon)",
    TN_CLASS_PARAMS(muon_params),
    .instance_size = sizeof(struct muon),
    .vtable = &(const tn_optimizer){sizeof(tn_optimizer), muon_begin, muon_step, muon_rate, NULL},
    .destroy = muon_destroy,
    .state = muon_state};
TN_PLUGIN("muon", "1.0.0", "MIT", &muon_class)
