// SPDX-License-Identifier: MIT
#include <stdio.h>

#include "bench.h"

/* Entry `part` of the next layer: names only have to differ. */
static uint32_t declare(tn_declaration *declaration, const char *part, tn_shape shape, tn_group group,
                        tn_init init) {
  char name[32];
  snprintf(name, sizeof name, "%s.%u", part, tn_declaration_count(declaration));
  return tn_declare(declaration, name, shape, group, init);
}

bench_linear bench_linear_declare(tn_declaration *declaration, int64_t in, int64_t out) {
  const tn_init uniform = tn_init_of(TN_INIT_LECUN_UNIFORM, 1);
  return (bench_linear){declare(declaration, "weight", TN_SHAPE(out, in), TN_DECAY, uniform),
                        declare(declaration, "bias", TN_SHAPE(out), TN_NO_DECAY, tn_init_zeros())};
}

tn_tensor *bench_linear_apply(bench_linear layer, const tn_params *params, tn_tensor *x) {
  return tn_linear(x, tn_param_tensor(params, layer.weight), tn_param_tensor(params, layer.bias));
}

bench_conv bench_conv_declare(tn_declaration *declaration, int64_t in, int64_t out, int64_t kernel,
                              int64_t stride, int64_t dilation, int64_t groups) {
  const int64_t padding = dilation * (kernel - 1) / 2;
  return (bench_conv){declare(declaration, "kernel", TN_SHAPE(out, in / groups, kernel, kernel), TN_DECAY,
                              tn_init_of(TN_INIT_LECUN_UNIFORM, 1)),
                      {{stride, stride}, {padding, padding}, {dilation, dilation}, groups}};
}

tn_tensor *bench_conv_apply(const bench_conv *layer, const tn_params *params, tn_tensor *x) {
  return tn_convolution(x, tn_param_tensor(params, layer->weight), NULL, &layer->geometry);
}

bench_norm bench_norm_declare(tn_declaration *declaration, int64_t channels, bool affine) {
  bench_norm layer = {.affine = affine};
  const tn_shape shape = TN_SHAPE(channels);
  if (affine) {
    layer.weight = declare(declaration, "scale", shape, TN_NO_DECAY, tn_init_ones());
    layer.bias = declare(declaration, "shift", shape, TN_NO_DECAY, tn_init_zeros());
  }
  layer.mean = declare(declaration, "mean", shape, TN_BUFFER, tn_init_zeros());
  layer.variance = declare(declaration, "variance", shape, TN_BUFFER, tn_init_ones());
  return layer;
}

/* running <- running + 0.1 (batch - running) */
static void follow(tn_tensor *running, const tn_tensor *batch) {
  if (tn_poisoned(batch)) return;
  float *r = tn_f32(running);
  const float *b = tn_f32(batch);
  for (int64_t i = 0; i < tn_numel(running); i++) r[i] += 0.1f * (b[i] - r[i]);
}

void bench_norm_follow(const bench_norm *layer, const tn_params *params, const tn_tensor *mean,
                       const tn_tensor *variance) {
  follow(tn_param_tensor(params, layer->mean), mean);
  follow(tn_param_tensor(params, layer->variance), variance);
}

tn_tensor *bench_norm_apply(const bench_norm *layer, const tn_params *params, tn_tensor *x,
                            tn_tensor *residual, uint32_t flags) {
  tn_tensor *mean, *variance;
  tn_tensor *weight = layer->affine ? tn_param_tensor(params, layer->weight) : NULL;
  tn_tensor *bias = layer->affine ? tn_param_tensor(params, layer->bias) : NULL;
  tn_tensor *y = tn_sdk.nn->batch_norm(x, weight, bias, residual, 1e-5, flags, &mean, &variance);
  bench_norm_follow(layer, params, mean, variance);
  return y;
}
