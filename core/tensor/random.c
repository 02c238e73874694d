// SPDX-License-Identifier: MIT
/* Counter-based random numbers. Words are numbered by tn_rng.position; block position / 4 of Philox 4x32-10
 * with counter (block, step) holds four of them. */
#include "internal.h"

#include <math.h>

/* FNV-1a, finished as in SplitMix64 (Steele, Lea and Flood 2014). */
static uint64_t mix(uint64_t h) {
  h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u;
  h = (h ^ h >> 27) * 0x94d049bb133111ebu;
  return h ^ h >> 31;
}
static uint64_t hash(uint64_t h, const char *text) {
  for (; *text; text++) h = (h ^ (unsigned char)*text) * 0x100000001b3u;
  return mix(h);
}
uint64_t tn_random_key(uint64_t seed, const char *component, const char *stream) {
  uint64_t h = mix(seed + 0x9e3779b97f4a7c15u);
  h = hash(h ^ 0xcbf29ce484222325u, component ? component : "");
  return hash(h + 0x9e3779b97f4a7c15u, stream ? stream : "");
}

static uint64_t api_key(const char *component, const char *stream) {
  return tn_random_key(tn_here->engine->seed, component, stream);
}

static uint32_t api_bits(tn_rng *rng) {
  uint32_t c0 = (uint32_t)(rng->position / 4), c1 = (uint32_t)(rng->position / 4 >> 32);
  uint32_t c2 = (uint32_t)rng->step, c3 = (uint32_t)(rng->step >> 32);
  uint32_t k0 = (uint32_t)rng->key, k1 = (uint32_t)(rng->key >> 32);
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c1 = (uint32_t)p1;
    c3 = (uint32_t)p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  uint32_t words[4] = {c0, c1, c2, c3};
  return words[rng->position++ & 3];
}

static double api_uniform(tn_rng *rng) {
  uint64_t high = api_bits(rng), low = api_bits(rng);
  return (double)(high << 21 | low >> 11) * 0x1p-53;
}

static double api_normal(tn_rng *rng) {
  double u = api_uniform(rng) + 0x1p-54, turn = api_uniform(rng);
  return sqrt(-2 * log(u)) * cos(6.283185307179586477 * turn);
}

/* Lemire (2019), with 64-bit numbers. */
static uint64_t api_below(tn_rng *rng, uint64_t bound) {
  if (bound == 0) return 0;
  uint64_t floor = (0 - bound) % bound;
  for (;;) {
    uint64_t x = (uint64_t)api_bits(rng) << 32;
    x |= api_bits(rng);
    __extension__ unsigned __int128 product = (unsigned __int128)x * bound;
    if ((uint64_t)product >= floor) return (uint64_t)(product >> 64);
  }
}

static void api_permutation(tn_rng *rng, int64_t *items, int64_t count) {
  for (int64_t i = 0; i < count; i++) items[i] = i;
  for (int64_t i = count - 1; i > 0; i--) { // Fisher and Yates
    int64_t j = (int64_t)api_below(rng, (uint64_t)i + 1), item = items[i];
    items[i] = items[j];
    items[j] = item;
  }
}

/* Tensors: blocks of elements, each with the words that belong to it. */
typedef enum law { UNIFORM, NORMAL, BERNOULLI } law;
enum { WORDS = 4096 };
typedef struct draw {
  const tn_kernels *k;
  law law;
  tn_dtype dtype;
  uint64_t key, step, first;
  char *out;
  int64_t n, words_each; /* words an element */
  double a, b;
} draw;

static void draw_block(void *context, int64_t index) {
  const draw *d = context;
  _Alignas(64) uint32_t words[WORDS];
  int64_t block = WORDS / d->words_each, start = index * block, n = tn_min64(block, d->n - start);
  int64_t used = (n * d->words_each + 3) / 4 * 4;
  size_t size = tn_dtype_size(d->dtype);
  char *out = d->out + (size_t)start * size;
  d->k->philox(d->key, d->step, (d->first + (uint64_t)(start * d->words_each)) / 4, words, used);
  if (d->law == UNIFORM) {
    d->k->real[d->dtype]->uniform(words, out, n, d->a, d->b);
  } else if (d->law == NORMAL) {
    d->k->real[d->dtype]->normal(words, out, n / 2 * 2, d->a, d->b);
    if (n % 2) { // the last element is half a pair
      double pair[2];
      d->k->real[d->dtype]->normal(words + (n - 1) * d->words_each, pair, 2, d->a, d->b);
      memcpy(out + (size_t)(n - 1) * size, pair, size);
    }
  } else {
    uint64_t bound = (uint64_t)(d->a * 0x1p32);
    for (int64_t i = 0; i < n; i++) {
      bool one = words[i] < bound;
      switch (d->dtype) {
      case TN_F32: ((float *)(void *)out)[i] = one; break;
      case TN_F64: ((double *)(void *)out)[i] = one; break;
      case TN_I64: ((int64_t *)(void *)out)[i] = one; break;
      case TN_I32: ((int32_t *)(void *)out)[i] = one; break;
      default: ((uint8_t *)out)[i] = one;
      }
    }
  }
}

static void draw_all(draw *d, tn_rng *rng) {
  rng->position = (rng->position + 3) / 4 * 4; // a tensor begins with a block
  d->k = tn_here->k;
  d->key = rng->key;
  d->step = rng->step;
  d->first = rng->position;
  tn_parallel(tn_ceil_div(d->n * d->words_each, WORDS), 3.0 * (double)d->n, draw_block, d);
  rng->position += (uint64_t)((d->n * d->words_each + 3) / 4 * 4);
}

void tn_random_fill(tn_rng *rng, tn_dtype dtype, void *out, int64_t n, bool normal, double a, double b) {
  draw d = {.law = normal ? NORMAL : UNIFORM,
            .dtype = dtype,
            .out = out,
            .n = n,
            .words_each = dtype == TN_F64 ? 2 : 1,
            .a = a,
            .b = b};
  draw_all(&d, rng);
}

static tn_tensor *tensor_of(const char *op, law kind, tn_rng *rng, tn_dtype dtype, const tn_shape *shape,
                            double a, double b) {
  if (!tn_dtype_resolve(op, &dtype) || !tn_shape_check(op, shape, dtype)) return &tn_poison()->t;
  if (kind != BERNOULLI && !tn_is_float(dtype))
    return &tn_shape_error(op, "not for %s", tn_dtype_name(dtype))->t;
  tn_node *x = tn_node_new(dtype, (int32_t)shape->ndim, shape->dim);
  if (tn_is_poison(x)) return &x->t;
  double start = tn_trace_begin(NULL);
  draw d = {.law = kind, .dtype = dtype, .out = x->t.dl.data, .n = x->t.numel, .a = a, .b = b};
  d.words_each = dtype == TN_F64 && kind != BERNOULLI ? 2 : 1;
  draw_all(&d, rng);
  return &tn_trace_end(op, start, x)->t;
}

static tn_tensor *api_uniform_tensor(tn_rng *rng, tn_dtype dtype, const tn_shape *shape, double low,
                                     double high) {
  return tensor_of("uniform", UNIFORM, rng, dtype, shape, low, high);
}
static tn_tensor *api_normal_tensor(tn_rng *rng, tn_dtype dtype, const tn_shape *shape, double mean,
                                    double deviation) {
  return tensor_of("normal", NORMAL, rng, dtype, shape, mean, deviation);
}
static tn_tensor *api_bernoulli_tensor(tn_rng *rng, tn_dtype dtype, const tn_shape *shape, double p) {
  return tensor_of("bernoulli", BERNOULLI, rng, dtype, shape, p < 0 ? 0 : (p > 1 ? 1 : p), 0);
}

static double weight_at(const tn_node *x, int64_t i) {
  return x->t.dtype == TN_F32 ? (double)((const float *)x->t.dl.data)[i] : ((const double *)x->t.dl.data)[i];
}

static tn_tensor *api_categorical(tn_rng *rng, tn_tensor *t) {
  tn_node *x = tn_node_of(t);
  if (tn_is_poison(x)) return t;
  if (x->t.dl.ndim != 2 || !tn_is_float(x->t.dtype))
    return &tn_shape_error("categorical", "weights %s of %s are not (n, classes)", tn_shape_text(x),
                           tn_dtype_name(x->t.dtype))
                ->t;
  int64_t n = x->shape[0], c = x->shape[1];
  tn_node *out = tn_node_new(TN_I64, 1, &n);
  for (int64_t i = 0; i < n && !tn_is_poison(out); i++) {
    double total = 0, sum = 0;
    bool valid = true;
    for (int64_t k = 0; k < c; k++) {
      double w = weight_at(x, i * c + k);
      valid = valid && w >= 0;
      total += w;
    }
    if (!valid || !(total > 0) || !isfinite(total))
      return &tn_shape_error("categorical", "row %lld has negative weights, or no finite positive sum",
                             (long long)i)
                  ->t;
    double u = api_uniform(rng) * total;
    int64_t choice = -1;
    for (int64_t k = 0; k < c; k++) {
      double w = weight_at(x, i * c + k);
      sum += w;
      if (w > 0) choice = k; // rounding may leave u beyond the sum: the last possible class then
      if (w > 0 && u < sum) break;
    }
    ((int64_t *)out->t.dl.data)[i] = choice;
  }
  return &out->t;
}

const tn_random_service tn_random_table = {
    .size = sizeof(tn_random_service),
    .key = api_key,
    .bits = api_bits,
    .uniform = api_uniform,
    .normal = api_normal,
    .below = api_below,
    .permutation = api_permutation,
    .uniform_tensor = api_uniform_tensor,
    .normal_tensor = api_normal_tensor,
    .bernoulli_tensor = api_bernoulli_tensor,
    .categorical = api_categorical,
};
