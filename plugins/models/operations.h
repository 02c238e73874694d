// SPDX-License-Identifier: MIT
/* The operations of differentiable architecture search (Liu, Simonyan and Yang 2018, section 3.1; Hundt, Jain
 * and Hager 2019, section 3.1). In a supernet normalisation is by the batch and has no scale of its own,
 * which leaves its place to the operation's coefficient: coefficient, normalisation and sum are one pass. */
#ifndef TENON_PLUGINS_OPERATIONS_H
#define TENON_PLUGINS_OPERATIONS_H

#include "layers.h"
#include <string.h>

enum operation_kind {
  OPERATION_NONE,
  OPERATION_MAX_POOL,
  OPERATION_MEAN_POOL,
  OPERATION_SKIP,
  OPERATION_SEPARABLE_3,
  OPERATION_SEPARABLE_5,
  OPERATION_DILATED_3,
  OPERATION_DILATED_5,
  OPERATION_FLOOD_3,
  OPERATION_DILATED_FLOOD_3,
  OPERATION_CHOKE_3,
  OPERATION_DILATED_CHOKE_3,
  OPERATION_COUNT
};
static const struct operation_trait {
  const char *name;
  int64_t kernel, dilation;
  int64_t flood; /* factor on the width in the middle */
  int64_t choke; /* width in the middle, if not 0 */
} operation_traits[OPERATION_COUNT] = {{"none", 0, 0, 0, 0},
                                       {"max_pool_3x3", 3, 1, 0, 0},
                                       {"avg_pool_3x3", 3, 1, 0, 0},
                                       {"skip_connect", 0, 0, 0, 0},
                                       {"sep_conv_3x3", 3, 1, 1, 0},
                                       {"sep_conv_5x5", 5, 1, 1, 0},
                                       {"dil_conv_3x3", 3, 2, 1, 0},
                                       {"dil_conv_5x5", 5, 2, 1, 0},
                                       {"flood_conv_3x3", 3, 1, 4, 0},
                                       {"dil_flood_conv_3x3", 3, 2, 4, 0},
                                       {"choke_conv_3x3", 3, 1, 1, 32},
                                       {"dil_choke_conv_3x3", 3, 2, 1, 32}};

static inline bool operation_parameter_free(int32_t kind) { return kind <= OPERATION_SKIP; }

/* OPERATION_COUNT, with an error, if there is none of that name. */
static inline int32_t operation_named(const char *name) {
  const char *names[OPERATION_COUNT];
  for (int32_t k = 0; k < OPERATION_COUNT; k++) {
    names[k] = operation_traits[k].name;
    if (strcmp(name, names[k]) == 0) return k;
  }
  const char *near = tn_nearest_name(name, names, OPERATION_COUNT);
  tn_fail(TN_ERROR_INVALID, "no operation '%s'%s%s%s", name, near ? "; did you mean '" : "", near ? near : "",
          near ? "'?" : "");
  return OPERATION_COUNT;
}

/* How the parts of a network are declared: with a scale, a shift and running statistics, or without. */
struct style {
  bool affine;
  bool sharp; /* dilated convolutions too have two halves */
  double momentum, epsilon;
};

/* ---- normalisation ---- */

struct unit_norm {
  struct norm norm;
  bool affine;
};
static inline struct unit_norm unit_norm_declare(tn_declaration *d, const char *name,
                                                 const struct style *style, int64_t c) {
  struct unit_norm layer = {.affine = style->affine, .norm = {.epsilon = style->epsilon}};
  if (style->affine)
    layer.norm = norm_declare(d, name, NORM_BATCH, c, 1, style->momentum, style->epsilon, tn_init_ones());
  return layer;
}
/* total + share * normalised x; share (1) and total may be NULL. */
static inline tn_tensor *unit_norm_apply(const struct unit_norm *layer, tn_model_call *call, tn_tensor *x,
                                         tn_tensor *share, tn_tensor *total, bool relu) {
  if (layer->affine) return norm_apply(&layer->norm, call, x, total, relu);
  if (tn_poisoned(x)) return x;
  tn_tensor *scale = share ? tn_broadcast_to(share, TN_SHAPE(tn_dim(x, 1))) : NULL;
  return tn_sdk.nn->batch_norm(x, scale, NULL, total, layer->norm.epsilon, relu ? TN_NORM_RELU : 0, NULL,
                               NULL);
}

/* PyTorch's initialiser of convolutions. */
static inline struct conv plain_conv(tn_declaration *d, const char *name, int64_t in, int64_t out,
                                     int64_t kernel, tn_conv geometry) {
  return conv_declare(d, name, in, out, kernel, geometry, false, tn_init_of(TN_INIT_LECUN_UNIFORM, 1));
}

/* ---- depthwise, pointwise, normalised; the ReLU in front is the caller's ---- */

struct separable {
  struct conv depthwise, pointwise;
  struct unit_norm norm;
};
static inline struct separable separable_declare(tn_declaration *d, const char *name,
                                                 const struct style *style, int64_t in, int64_t out,
                                                 int64_t kernel, int64_t stride, int64_t dilation) {
  char part[80];
  struct separable s;
  const int64_t padding = dilation * (kernel - 1) / 2;
  const tn_conv depthwise = {{stride, stride}, {padding, padding}, {dilation, dilation}, in};
  snprintf(part, sizeof part, "%s.depthwise", name);
  s.depthwise = plain_conv(d, part, in, in, kernel, depthwise);
  snprintf(part, sizeof part, "%s.pointwise", name);
  s.pointwise = plain_conv(d, part, in, out, 1, conv_geometry(1, 0));
  snprintf(part, sizeof part, "%s.norm", name);
  s.norm = unit_norm_declare(d, part, style, out);
  return s;
}
static inline tn_tensor *separable_apply(const struct separable *s, tn_model_call *call, tn_tensor *x,
                                         tn_tensor *share, tn_tensor *total, bool relu) {
  tn_tensor *h = conv_apply(&s->depthwise, call->params, x);
  return unit_norm_apply(&s->norm, call, conv_apply(&s->pointwise, call->params, h), share, total, relu);
}

/* ---- half the size by two pointwise convolutions, one of them a pixel down and to the right ---- */

struct reduction {
  struct conv left, right;
  struct unit_norm norm;
};
static inline struct reduction reduction_declare(tn_declaration *d, const char *name,
                                                 const struct style *style, int64_t in, int64_t out) {
  char part[80];
  struct reduction r;
  snprintf(part, sizeof part, "%s.left", name);
  r.left = plain_conv(d, part, in, out / 2, 1, conv_geometry(1, 0));
  snprintf(part, sizeof part, "%s.right", name);
  r.right = plain_conv(d, part, in, out - out / 2, 1, conv_geometry(1, 0));
  snprintf(part, sizeof part, "%s.norm", name);
  r.norm = unit_norm_declare(d, part, style, out);
  return r;
}
/* Every second row and column from `start` on; past the edge of an odd size lie zeros. */
static inline tn_tensor *every_second(tn_tensor *x, int64_t start) {
  for (int32_t axis = 2; axis < 4; axis++) {
    if (tn_poisoned(x)) return x;
    const bool odd = tn_dim(x, axis) % 2 == 1;
    if (start == 1 && odd) x = tn_pad(TN_PAD_CONSTANT, x, axis, 0, 1, 0);
    if (tn_poisoned(x)) return x;
    x = tn_sdk.tensor->slice(x, axis, start, tn_dim(x, axis), 2);
  }
  return x;
}
static inline tn_tensor *reduction_apply(const struct reduction *r, tn_model_call *call, tn_tensor *x,
                                         tn_tensor *share, tn_tensor *total) {
  tn_tensor *halves[2] = {conv_apply(&r->left, call->params, every_second(x, 0)),
                          conv_apply(&r->right, call->params, every_second(x, 1))};
  return unit_norm_apply(&r->norm, call, tn_concatenate(halves, 2, 1), share, total, false);
}

/* ---- SharpSepConv: two of the above, with a width of its own between them ---- */

struct sharp_sep_conv {
  struct separable first, second;
};
/* in -> middle, by `stride` and `dilation`; middle -> out. */
static inline struct sharp_sep_conv sharp_declare(tn_declaration *d, const char *name,
                                                  const struct style *style, int64_t in, int64_t middle,
                                                  int64_t out, int64_t kernel, int64_t stride,
                                                  int64_t dilation) {
  char part[64];
  struct sharp_sep_conv s;
  snprintf(part, sizeof part, "%s.first", name);
  s.first = separable_declare(d, part, style, in, middle, kernel, stride, dilation);
  snprintf(part, sizeof part, "%s.second", name);
  s.second = separable_declare(d, part, style, middle, out, kernel, 1, 1);
  return s;
}
/* total + share * s(x), from relu(x). */
static inline tn_tensor *sharp_apply(const struct sharp_sep_conv *s, tn_model_call *call, tn_tensor *positive,
                                     tn_tensor *share, tn_tensor *total) {
  tn_tensor *h = separable_apply(&s->first, call, positive, NULL, NULL, true);
  return separable_apply(&s->second, call, h, share, total, false);
}

/* ---- a pool that may change the width: a pointwise convolution, normalised ---- */

/* In a supernet pools are normalised once more. Without scale and shift two normalisations in a row are one.
 */
struct resizable_pool {
  bool mean, resizes;
  int64_t stride;
  struct conv conv;
  struct unit_norm norm; /* where it resizes, or in a supernet */
};
static inline struct resizable_pool pool_declare(tn_declaration *d, const char *name,
                                                 const struct style *style, bool mean, int64_t in,
                                                 int64_t out, int64_t stride) {
  char part[64];
  struct resizable_pool p = {.mean = mean, .resizes = in != out, .stride = stride};
  struct style own = *style;
  if (p.resizes && style->affine) own.epsilon = 1e-3;
  snprintf(part, sizeof part, "%s.conv", name);
  if (p.resizes) p.conv = plain_conv(d, part, in, out, 1, conv_geometry(1, 0));
  snprintf(part, sizeof part, "%s.norm", name);
  if (p.resizes || !style->affine) p.norm = unit_norm_declare(d, part, &own, out);
  return p;
}
static inline tn_tensor *pool_windows(const struct resizable_pool *p, tn_tensor *x) {
  return p->mean ? tn_mean_pool(x, 3, p->stride, 1) : tn_max_pool(x, 3, p->stride, 1);
}
/* total + share * p(x), from the windows of x. */
static inline tn_tensor *pool_apply(const struct resizable_pool *p, tn_model_call *call, tn_tensor *windows,
                                    tn_tensor *share, tn_tensor *total) {
  tn_tensor *y = p->resizes ? conv_apply(&p->conv, call->params, windows) : windows;
  if (p->resizes || share) return unit_norm_apply(&p->norm, call, y, share, total, false);
  return total ? tn_add(total, y) : y;
}

/* ---- one operation ---- */

struct operation {
  int32_t kind;
  int64_t stride;
  bool twice;
  struct sharp_sep_conv convolution; /* or its first half */
  struct reduction skip;
  struct resizable_pool pool;
};
static inline bool operation_pools(int32_t kind) {
  return kind == OPERATION_MAX_POOL || kind == OPERATION_MEAN_POOL;
}
/* From `in` channels to `out`; a skip keeps them. */
static inline struct operation operation_declare(tn_declaration *d, const char *name,
                                                 const struct style *style, int32_t kind, int64_t in,
                                                 int64_t out, int64_t stride) {
  char part[64];
  const struct operation_trait *trait = &operation_traits[kind];
  struct operation o = {.kind = kind, .stride = stride};
  if (kind == OPERATION_SKIP && stride > 1) o.skip = reduction_declare(d, name, style, in, out);
  if (operation_pools(kind))
    o.pool = pool_declare(d, name, style, kind == OPERATION_MEAN_POOL, in, out, stride);
  if (operation_parameter_free(kind)) return o;
  /* SharpSepConv; with one width throughout it is DARTS's sep_conv, and its first half DARTS's dil_conv. */
  o.twice = style->sharp || (kind != OPERATION_DILATED_3 && kind != OPERATION_DILATED_5);
  const int64_t middle = trait->choke > 0 ? trait->choke : out * trait->flood;
  snprintf(part, sizeof part, "%s.first", name);
  if (o.twice)
    o.convolution = sharp_declare(d, name, style, in, middle, out, trait->kernel, stride, trait->dilation);
  else
    o.convolution.first = separable_declare(d, part, style, in, out, trait->kernel, stride, trait->dilation);
  return o;
}

/* total + share * o(x); `positive` is relu(x). share (1): of a supernet, or NULL; total: NULL for zero. NONE
 * gives `total` as it is. */
static inline tn_tensor *operation_apply(const struct operation *o, tn_model_call *call, tn_tensor *x,
                                         tn_tensor *positive, tn_tensor *share, tn_tensor *total) {
  tn_tensor *y;
  switch (o->kind) {
  case OPERATION_NONE: return total;
  case OPERATION_MAX_POOL:
  case OPERATION_MEAN_POOL: return pool_apply(&o->pool, call, pool_windows(&o->pool, x), share, total);
  case OPERATION_SKIP:
    if (o->stride > 1) return reduction_apply(&o->skip, call, positive, share, total);
    y = share ? tn_mul(x, share) : x;
    return total ? tn_add(total, y) : y;
  default:
    if (o->twice) return sharp_apply(&o->convolution, call, positive, share, total);
    return separable_apply(&o->convolution.first, call, positive, share, total, false);
  }
}

#endif
