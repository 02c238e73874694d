// SPDX-License-Identifier: MIT
/* Matrix products. They are cut into tiles by their shape alone, so the number of threads changes nothing in
 * the result. A tile runs our own kernel, or is one single-threaded call of OpenBLAS where that is faster. */
#include "internal.h"

#include <cblas.h>

/* A product of at most SMALL multiplications is one tile. */
enum { SMALL = 64 * 64 * 64, SPLIT_MAX = 16 };

typedef struct product {
  tn_dtype dtype;
  const tn_real_kernels *kernels;
  bool ta, tb;
  int64_t m, n, k, lda, ldb, ldc, start_row;
  const char *a, *b, *start;
  char *c;
  double beta;
  /* cutting */
  int64_t tile_m, tile_n, tile_k, tiles_m, tiles_n, tiles_k;
  char *partial, *panels; /* panels: of b, for our own kernel */
  /* batches */
  const int64_t *offsets_a, *offsets_b;
  int64_t per_task, batch;
} product;

/* One block of the result, c = a b + beta start; the rows of start are start_row apart (0: one for all). */
typedef struct block {
  int64_t m, n, k;
  const char *a, *b, *start;
  int64_t start_row;
  double beta;
  char *c;
  int64_t ldc;
} block;

static void set_row(const product *p, double beta, const char *from, char *to, int64_t n) {
  size_t bytes = (size_t)n * tn_dtype_size(p->dtype);
  if (beta == 0)
    memset(to, 0, bytes);
  else if (from != to)
    memcpy(to, from, bytes);
  if (beta != 0 && beta != 1) p->kernels->scale(beta, to, n);
}

static void call_blas(const product *p, const block *t) {
  CBLAS_TRANSPOSE ta = p->ta ? CblasTrans : CblasNoTrans, tb = p->tb ? CblasTrans : CblasNoTrans;
  blasint m = (blasint)t->m, n = (blasint)t->n, k = (blasint)t->k;
  blasint lda = (blasint)p->lda, ldb = (blasint)p->ldb, ldc = (blasint)t->ldc;
  size_t size = tn_dtype_size(p->dtype);
  bool onto = t->start != t->c && t->beta != 0;
  for (int64_t i = 0; i < t->m && onto; i++)
    set_row(p, t->beta, t->start + (size_t)(i * t->start_row) * size, t->c + (size_t)(i * t->ldc) * size,
            t->n);
  double beta = onto ? 1 : t->beta;
  if (p->dtype == TN_F32)
    cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, 1, (const void *)t->a, lda, (const void *)t->b, ldb,
                (float)beta, (void *)t->c, ldc);
  else
    cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, 1, (const void *)t->a, lda, (const void *)t->b, ldb, beta,
                (void *)t->c, ldc);
}

static void call_own(const product *p, const block *t) {
  _Alignas(64) char scratch[TN_GEMM_SCRATCH];
  p->kernels->gemm(t->m, t->n, t->k, t->a, p->ta ? 1 : p->lda, p->ta ? p->lda : 1, t->b, p->tb ? 1 : p->ldb,
                   p->tb ? p->ldb : 1, t->beta, t->start, t->start_row, t->c, t->ldc, scratch);
}

/* Of the whole product, not of a block: all blocks go the same way. */
static bool is_own(const product *p) {
  return (double)p->m * (double)p->n * (double)p->k <= (double)p->kernels->gemm_work;
}

static void multiply(const product *p, const block *t) { (is_own(p) ? call_own : call_blas)(p, t); }

static void pack(void *context, int64_t slice) {
  const product *p = context;
  p->kernels->gemm_pack(p->n, p->k, p->b, p->tb ? 1 : p->ldb, p->tb ? p->ldb : 1, slice, p->panels);
}

/* Columns j and on, terms l and on, of panels that all tiles share. */
static void call_packed(const product *p, const block *t, int64_t j, int64_t l) {
  size_t size = tn_dtype_size(p->dtype);
  const char *panels = p->panels + (size_t)p->kernels->gemm_packed_size(p->n, l) * size;
  p->kernels->gemm_packed(t->m, j, j + t->n, p->n, t->k, t->a, p->ta ? 1 : p->lda, p->ta ? p->lda : 1, panels,
                          t->beta, t->start, t->start_row, t->c, t->ldc);
}

static void tile(void *context, int64_t index) {
  const product *p = context;
  size_t size = tn_dtype_size(p->dtype);
  int64_t in = index % p->tiles_n, im = index / p->tiles_n % p->tiles_m, ik = index / p->tiles_n / p->tiles_m;
  int64_t i = im * p->tile_m, j = in * p->tile_n, l = ik * p->tile_k;
  block t = {.m = tn_min64(p->tile_m, p->m - i),
             .n = tn_min64(p->tile_n, p->n - j),
             .k = tn_min64(p->tile_k, p->k - l),
             .a = p->a + (size_t)(p->ta ? l * p->lda + i : i * p->lda + l) * size,
             .b = p->b + (size_t)(p->tb ? j * p->ldb + l : l * p->ldb + j) * size,
             .ldc = p->ldc};
  if (ik == 0) {
    t.beta = p->beta;
    t.start = p->start + (size_t)(i * p->start_row + j) * size;
    t.start_row = p->start_row;
    t.c = p->c + (size_t)(i * p->ldc + j) * size;
  } else {
    t.start = t.c = p->partial + (size_t)((ik - 1) * p->m * p->n + i * p->n + j) * size;
    t.start_row = t.ldc = p->n;
  }
  if (p->panels)
    call_packed(p, &t, j, l);
  else
    multiply(p, &t);
}

/* Chooses the tiles by the shape. */
static void cut(product *p, double work) {
  // of about 512 x 512, where packing costs OpenBLAS little; smaller ones to have four of them at least
  double area = (double)p->m * (double)p->n;
  int64_t wanted = (int64_t)(area / (512 * 512)), least = tn_min64(4, (int64_t)(work / (4 << 20)));
  wanted = tn_max64(wanted, least);
  p->tiles_m = p->tiles_n = p->tiles_k = 1;
  while (work > SMALL && p->tiles_m * p->tiles_n < wanted) {
    bool rows = p->m / p->tiles_m >= p->n / p->tiles_n;
    if ((rows ? p->m / p->tiles_m : p->n / p->tiles_n) < 192) break;
    *(rows ? &p->tiles_m : &p->tiles_n) *= 2;
  }
  p->tile_m = tn_ceil_div(tn_ceil_div(p->m, p->tiles_m), TN_GEMM_PANEL) * TN_GEMM_PANEL;
  p->tile_n = tn_ceil_div(tn_ceil_div(p->n, p->tiles_n), TN_GEMM_PANEL) * TN_GEMM_PANEL;
  p->tile_k = p->k;
  if (p->tiles_m * p->tiles_n < wanted && p->k >= 2048) { // long and thin: cut the sum, join in order
    int64_t parts = (int64_t)(work / (4 << 20)) / (p->tiles_m * p->tiles_n);
    p->tiles_k = tn_max64(1, tn_min64(SPLIT_MAX, tn_min64(p->k / 1024, parts)));
    p->tile_k = tn_ceil_div(tn_ceil_div(p->k, p->tiles_k), TN_GEMM_DEPTH) * TN_GEMM_DEPTH;
  }
  p->tiles_m = tn_ceil_div(p->m, p->tile_m);
  p->tiles_n = tn_ceil_div(p->n, p->tile_n);
  p->tiles_k = tn_ceil_div(p->k, p->tile_k);
}

static void run(product *p) {
  size_t size = tn_dtype_size(p->dtype);
  if (p->m == 0 || p->n == 0) return;
  if (p->k == 0) {
    for (int64_t i = 0; i < p->m; i++)
      set_row(p, p->beta, p->start + (size_t)(i * p->start_row) * size, p->c + (size_t)(i * p->ldc) * size,
              p->n);
    return;
  }
  double work = (double)p->m * (double)p->n * (double)p->k;
  cut(p, work);
  int64_t tiles = p->tiles_m * p->tiles_n * p->tiles_k;
  double time = work * (p->dtype == TN_F32 ? 0.02 : 0.04); // nanoseconds
  if (p->tiles_k > 1) {
    p->partial = tn_workspace_take((size_t)((p->tiles_k - 1) * p->m * p->n) * size);
    if (!p->partial) return;
  }
  if (is_own(p) && p->tiles_m > 1) { // tiles below each other have the same columns of b
    int64_t packed = p->kernels->gemm_packed_size(p->n, p->k);
    p->panels = tn_workspace_take((size_t)packed * size);
    if (!p->panels) {
      tn_workspace_give(p->partial);
      return;
    }
    tn_parallel(tn_ceil_div(p->k, TN_GEMM_DEPTH), (double)packed / 2, pack, p);
  }
  tn_parallel(tiles, time, tile, p);
  tn_workspace_give(p->panels);
  for (int64_t s = 0; s + 1 < p->tiles_k; s++)
    for (int64_t i = 0; i < p->m; i++)
      p->kernels->row_add(p->partial + (size_t)((s * p->m + i) * p->n) * size,
                          p->c + (size_t)(i * p->ldc) * size, p->n);
  tn_workspace_give(p->partial);
}

/* c = op(a) op(b) + beta c */
static product product_of(tn_dtype dtype, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const void *a,
                          int64_t lda, const void *b, int64_t ldb, double beta, void *c, int64_t ldc) {
  return (product){.dtype = dtype,
                   .kernels = tn_here->k->real[dtype],
                   .ta = ta,
                   .tb = tb,
                   .m = m,
                   .n = n,
                   .k = k,
                   .lda = tn_max64(1, lda),
                   .ldb = tn_max64(1, ldb),
                   .ldc = ldc,
                   .start_row = ldc,
                   .a = a,
                   .b = b,
                   .start = c,
                   .c = c,
                   .beta = beta};
}

void tn_gemm(tn_dtype dtype, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda,
             const void *b, int64_t ldb, double beta, void *c, int64_t ldc) {
  product p = product_of(dtype, ta, tb, m, n, k, a, lda, b, ldb, beta, c, ldc);
  run(&p);
}

static void batch_task(void *context, int64_t index) {
  const product *p = context;
  size_t size = tn_dtype_size(p->dtype);
  int64_t end = tn_min64((index + 1) * p->per_task, p->batch);
  for (int64_t i = index * p->per_task; i < end; i++) {
    block t = {.m = p->m, .n = p->n, .k = p->k, .beta = p->beta, .start_row = p->n, .ldc = p->n};
    t.a = p->a + (size_t)(p->offsets_a ? p->offsets_a[i] : i * p->m * p->k) * size;
    t.b = p->b + (size_t)(p->offsets_b ? p->offsets_b[i] : i * p->k * p->n) * size;
    t.start = t.c = p->c + (size_t)(i * p->m * p->n) * size;
    multiply(p, &t);
  }
}

void tn_gemm_batch(tn_dtype dtype, bool ta, bool tb, int64_t batch, int64_t m, int64_t n, int64_t k,
                   const void *a, const int64_t *offsets_a, const void *b, const int64_t *offsets_b,
                   double beta, void *c) {
  size_t size = tn_dtype_size(dtype);
  double work = (double)m * (double)n * (double)k;
  int64_t lda = ta ? m : k, ldb = tb ? k : n;
  if (batch < 4 || m == 0 || n == 0 || k == 0 || work > 4e8) {
    for (int64_t i = 0; i < batch; i++)
      tn_gemm(dtype, ta, tb, m, n, k, (const char *)a + (size_t)(offsets_a ? offsets_a[i] : i * m * k) * size,
              lda, (const char *)b + (size_t)(offsets_b ? offsets_b[i] : i * k * n) * size, ldb, beta,
              (char *)c + (size_t)(i * m * n) * size, n);
    return;
  }
  product p = product_of(dtype, ta, tb, m, n, k, a, lda, b, ldb, beta, c, n);
  p.offsets_a = offsets_a;
  p.offsets_b = offsets_b;
  p.batch = batch;
  p.per_task = tn_max64(1, (int64_t)(2e5 / work));
  tn_parallel(tn_ceil_div(batch, p.per_task), work * (double)batch * 0.03, batch_task, &p);
}

/* matmul */
typedef struct shapes {
  int64_t m, n, k, batch;
  int32_t ndim; /* of the result */
  int64_t shape[TN_MAX_DIMS];
  bool broadcast; /* a batch dimension is */
} shapes;

static bool fit(const tn_node *x, const tn_node *y, bool tx, bool ty, shapes *s) {
  int32_t nx = x->t.dl.ndim, ny = y->t.dl.ndim;
  if (nx < 2 || ny < 2) {
    tn_shape_error("matmul", "shapes %s and %s are not both matrices", tn_shape_text(x), tn_shape_text(y));
    return false;
  }
  s->m = x->shape[nx - (tx ? 1 : 2)];
  s->k = x->shape[nx - (tx ? 2 : 1)];
  s->n = y->shape[ny - (ty ? 2 : 1)];
  int64_t k = y->shape[ny - (ty ? 1 : 2)];
  if (s->k != k) {
    tn_shape_error("matmul", "shapes %s%s and %s%s do not fit: %lld is not %lld", tn_shape_text(x),
                   tx ? " transposed" : "", tn_shape_text(y), ty ? " transposed" : "", (long long)s->k,
                   (long long)k);
    return false;
  }
  s->ndim = nx > ny ? nx : ny;
  s->batch = 1;
  s->broadcast = false;
  for (int32_t i = 3; i <= s->ndim; i++) {
    int64_t dx = i <= nx ? x->shape[nx - i] : 1, dy = i <= ny ? y->shape[ny - i] : 1;
    if (dx != dy && dx != 1 && dy != 1) {
      tn_shape_error("matmul", "batches of shapes %s and %s do not broadcast", tn_shape_text(x),
                     tn_shape_text(y));
      return false;
    }
    s->broadcast |= dx != dy;
    s->shape[s->ndim - i] = dx == 1 ? dy : dx;
    s->batch *= s->shape[s->ndim - i];
  }
  s->shape[s->ndim - 2] = s->m;
  s->shape[s->ndim - 1] = s->n;
  return true;
}

/* Offsets of x's matrices for each of the result's. */
static void batch_offsets(const tn_node *x, const shapes *s, int64_t *offsets) {
  int32_t n = x->t.dl.ndim;
  int64_t matrix = x->shape[n - 2] * x->shape[n - 1];
  for (int64_t i = 0; i < s->batch; i++) {
    int64_t rest = i, stride = matrix, offset = 0;
    for (int32_t d = 3; d <= s->ndim; d++) {
      int64_t index = rest % s->shape[s->ndim - d];
      rest /= s->shape[s->ndim - d];
      int64_t dx = d <= n ? x->shape[n - d] : 1;
      if (dx != 1) offset += index * stride;
      stride *= dx;
    }
    offsets[i] = offset;
  }
}

/* out = op(x) op(y) + beta out */
static void multiply_matrices(const tn_node *x, const tn_node *y, bool tx, bool ty, const shapes *s,
                              double beta, tn_node *out) {
  tn_dtype dtype = x->t.dtype;
  if (s->batch == 1) {
    tn_gemm(dtype, tx, ty, s->m, s->n, s->k, x->t.dl.data, tx ? s->m : s->k, y->t.dl.data, ty ? s->k : s->n,
            beta, out->t.dl.data, s->n);
    return;
  }
  int64_t *offsets = NULL;
  if (s->broadcast && s->batch) {
    offsets = tn_workspace_take((size_t)(2 * s->batch) * sizeof *offsets);
    if (!offsets) return;
    batch_offsets(x, s, offsets);
    batch_offsets(y, s, offsets + s->batch);
  }
  tn_gemm_batch(dtype, tx, ty, s->batch, s->m, s->n, s->k, x->t.dl.data, offsets, y->t.dl.data,
                offsets ? offsets + s->batch : NULL, beta, out->t.dl.data);
  tn_workspace_give(offsets);
}

/* The gradient of one input is itself op(p) op(q); written straight to where it belongs. */
static void deliver_product(tn_backward *b, uint32_t input, tn_node *p, tn_node *q, bool tp, bool tq) {
  tn_node *to = tn_inputs(b->node)[input];
  shapes s;
  if (b->graph || !fit(p, q, tp, tq, &s) || s.batch * s.m * s.n != to->t.numel) {
    tn_deliver_reduced(b, input, tn_op_matmul(p, q, tp, tq));
    return;
  }
  double beta;
  tn_node *target = tn_gradient_target(b, input, &beta);
  if (tn_is_poison(target)) return;
  multiply_matrices(p, q, tp, tq, &s, beta, target);
  tn_deliver_written(b, input, target);
}

static void matmul_backward(tn_backward *b) {
  tn_node *x = b->node->in[0], *y = b->node->in[1], *g = b->g;
  bool tx = b->node->op & 1, ty = b->node->op & 2;
  if (tn_wants(b, 0)) {
    if (tx)
      deliver_product(b, 0, y, g, ty, true);
    else
      deliver_product(b, 0, g, y, false, !ty);
  }
  if (tn_wants(b, 1)) {
    if (ty)
      deliver_product(b, 1, g, x, true, tx);
    else
      deliver_product(b, 1, x, g, !tx, false);
  }
}
TN_RULE(matmul_rule, "matmul", matmul_backward);

static bool check_types(const char *op, const tn_node *x, const tn_node *y) {
  if (x->t.dtype == y->t.dtype && tn_is_float(x->t.dtype)) return true;
  tn_shape_error(op, "not for %s and %s", tn_dtype_name(x->t.dtype), tn_dtype_name(y->t.dtype));
  return false;
}

tn_node *tn_op_matmul(tn_node *x, tn_node *y, bool tx, bool ty) {
  if (tn_is_poison(x)) return x;
  if (tn_is_poison(y)) return y;
  shapes s;
  if (!check_types("matmul", x, y) || !fit(x, y, tx, ty, &s)) return tn_poison();
  if (x->t.dl.ndim > 2 && y->t.dl.ndim == 2 && !tx) { // the batch is just more rows
    tn_node *rows = tn_op_reshape(x, 2, (int64_t[]){s.batch * s.m, s.k});
    return tn_op_reshape(tn_op_matmul(rows, y, false, ty), s.ndim, s.shape);
  }
  double start = tn_trace_begin(x, y);
  tn_node *out = tn_node_new(x->t.dtype, s.ndim, s.shape);
  if (tn_is_poison(out)) return out;
  multiply_matrices(x, y, tx, ty, &s, 0, out);
  tn_here->multiply_adds += out->t.numel * s.k;
  if (tn_recording2(x, y)) {
    tn_record2(out, &matmul_rule, x, y);
    out->op = (tx ? 1 : 0) | (ty ? 2 : 0);
  }
  return tn_trace_end("matmul", start, out);
}

/* linear: x (..., in), weight (out, in), bias (out) -> (..., out) */
static void linear_backward(tn_backward *b) {
  tn_node *node = b->node, *x = node->in[0], *weight = node->in[1], *g = b->g;
  int64_t out = weight->shape[0], in = weight->shape[1];
  int64_t rows = 1;
  for (int32_t i = 0; i + 1 < x->t.dl.ndim; i++) rows *= x->shape[i];
  if (b->graph) {
    tn_node *g2 = tn_op_reshape(g, 2, (int64_t[]){rows, out});
    if (tn_wants(b, 0)) tn_deliver(b, 0, tn_op_like_shape(tn_op_matmul(g2, weight, false, false), x));
    if (tn_wants(b, 1))
      tn_deliver(b, 1, tn_op_matmul(g2, tn_op_reshape(x, 2, (int64_t[]){rows, in}), true, false));
    if (node->inputs > 2 && tn_wants(b, 2)) tn_deliver(b, 2, tn_op_reduce(TN_SUM, g2, 1, false));
    return;
  }
  double beta;
  if (tn_wants(b, 1)) {
    tn_node *target = tn_gradient_target(b, 1, &beta);
    if (!tn_is_poison(target)) {
      tn_gemm(x->t.dtype, true, false, out, in, rows, g->t.dl.data, out, x->t.dl.data, in, beta,
              target->t.dl.data, in);
      tn_deliver_written(b, 1, target);
    }
  }
  if (node->inputs > 2 && tn_wants(b, 2))
    tn_deliver(b, 2, tn_op_reduce(TN_SUM, tn_op_reshape(g, 2, (int64_t[]){rows, out}), 1, false));
  if (tn_wants(b, 0)) {
    tn_node *target = tn_gradient_target(b, 0, &beta);
    if (!tn_is_poison(target)) {
      tn_gemm(x->t.dtype, false, false, rows, in, out, g->t.dl.data, out, weight->t.dl.data, in, beta,
              target->t.dl.data, in);
      tn_deliver_written(b, 0, target);
    }
  }
}
TN_RULE(linear_rule, "linear", linear_backward);

tn_node *tn_op_linear(tn_node *x, tn_node *weight, tn_node *bias) {
  if (tn_is_poison(x)) return x;
  if (tn_is_poison(weight)) return weight;
  if (bias && tn_is_poison(bias)) return bias;
  int32_t n = x->t.dl.ndim;
  if (!check_types("linear", x, weight) || (bias && !check_types("linear", x, bias))) return tn_poison();
  if (n < 1 || weight->t.dl.ndim != 2 || x->shape[n - 1] != weight->shape[1])
    return tn_shape_error("linear", "an input %s and a weight %s do not fit: the last dimensions differ",
                          tn_shape_text(x), tn_shape_text(weight));
  int64_t in = weight->shape[1], out = weight->shape[0], shape[TN_MAX_DIMS] = {0}, rows = 1;
  if (bias && (bias->t.dl.ndim != 1 || bias->shape[0] != out))
    return tn_shape_error("linear", "a bias %s does not fit a weight %s", tn_shape_text(bias),
                          tn_shape_text(weight));
  double start = tn_trace_begin(x, weight, bias);
  memcpy(shape, x->shape, (size_t)n * sizeof *shape);
  shape[n - 1] = out;
  for (int32_t i = 0; i + 1 < n; i++) rows *= x->shape[i];
  tn_node *y = tn_node_new(x->t.dtype, n, shape);
  if (tn_is_poison(y)) return y;
  product p = product_of(x->t.dtype, false, true, rows, out, in, x->t.dl.data, in, weight->t.dl.data, in, 0,
                         y->t.dl.data, out);
  if (bias) {
    p.beta = 1;
    p.start = bias->t.dl.data;
    p.start_row = 0;
  }
  run(&p);
  tn_here->multiply_adds += rows * out * in;
  if (tn_here->record && (tn_needs(x) || tn_needs(weight) || (bias && tn_needs(bias)))) {
    tn_record2(y, &linear_rule, x, weight);
    if (bias) {
      y->inputs = 3;
      y->in[2] = bias;
    }
  }
  return tn_trace_end("linear", start, y);
}

tn_tensor *tn_api_matmul(tn_tensor *x, tn_tensor *y, bool transpose_x, bool transpose_y) {
  return &tn_op_matmul(tn_node_of(x), tn_node_of(y), transpose_x, transpose_y)->t;
}
tn_tensor *tn_api_linear(tn_tensor *x, tn_tensor *weight, tn_tensor *bias) {
  return &tn_op_linear(tn_node_of(x), tn_node_of(weight), bias ? tn_node_of(bias) : NULL)->t;
}

int64_t tn_api_multiply_adds(void) { return tn_here->multiply_adds; }
