// SPDX-License-Identifier: MIT
/* Depthwise convolutions, one kernel a channel, of planes so small that a row of pixels does not fill a
 * register: channels fill it instead. Planes are transposed a register of channels at a time; the kernel's
 * rows that lie outside of the plane cost nothing. */
#include "internal.h"

typedef struct depthwise_job {
  const tn_nn_real *k;
  tn_depthwise d;
  size_t size;
  int64_t n, c, blocks; /* blocks: of k->vector channels */
  int64_t taps, in, out;
  size_t dense_bytes, padded_bytes,
      line_bytes; /* a plane of the larger size, a padded one, a transposed back */
  const char *x, *g, *bias;
  char *y, *weights; /* weights: (blocks, taps, vector) */
  char *acc;         /* (parts, blocks, taps, vector) */
  int64_t parts;     /* of images, for the weights' gradient */
  tn_slots slots;
} depthwise_job;

bool tn_depthwise_fits(tn_dtype dtype, int64_t groups, int64_t in_group, int64_t outputs, const int64_t *in,
                       const int64_t *dilation) {
  const int64_t vector = tn_nn_real_of(dtype)->vector;
  return groups > 1 && in_group == 1 && outputs == groups && 2 * groups >= vector &&
         in[0] * in[1] <= TN_DEPTHWISE_PIXELS && dilation[0] == 1 && dilation[1] == 1;
}

static depthwise_job job_of(tn_dtype dtype, int64_t n, int64_t c, const tn_depthwise *d) {
  depthwise_job j = {.k = tn_nn_real_of(dtype), .d = *d, .size = tn_dtype_size(dtype), .n = n, .c = c};
  const int64_t reach = (d->out[1] - 1) * d->stride[1] + d->kernel[1];
  j.d.columns = tn_max64(d->in[1] + d->padding[1], reach);
  j.blocks = tn_ceil_div(c, j.k->vector);
  j.taps = d->kernel[0] * d->kernel[1];
  j.in = d->in[0] * d->in[1];
  j.out = d->out[0] * d->out[1];
  const int64_t most = tn_max64(j.in, j.out), vector = j.k->vector;
  j.dense_bytes = tn_round64((size_t)(most * vector) * j.size);
  j.padded_bytes = tn_round64((size_t)(d->in[0] * j.d.columns * vector) * j.size);
  j.line_bytes = tn_round64((size_t)(tn_ceil_div(most, vector) * vector * vector) * j.size);
  return j;
}

static int64_t channels_of(const depthwise_job *j, int64_t block) {
  return tn_min64(j->k->vector, j->c - block * j->k->vector);
}
/* The planes of a block of channels of one image. */
static const char *planes_of(const depthwise_job *j, const char *base, int64_t image, int64_t block,
                             int64_t pixels) {
  return base + (size_t)((image * j->c + block * j->k->vector) * pixels) * j->size;
}

/* (pixels, vector) to the planes of `count` channels; line: scratch. */
static void store(const depthwise_job *j, const void *dense, int64_t pixels, int64_t count, void *line,
                  char *planes) {
  const int64_t ld = tn_ceil_div(pixels, j->k->vector) * j->k->vector;
  j->k->transpose(dense, pixels, j->k->vector, line, ld);
  for (int64_t c = 0; c < count; c++)
    memcpy(planes + (size_t)(c * pixels) * j->size, (const char *)line + (size_t)(c * ld) * j->size,
           (size_t)pixels * j->size);
}

static void pack_weights(const depthwise_job *j, const tn_node *w) {
  for (int64_t b = 0; b < j->blocks; b++)
    j->k->transpose((const char *)w->t.dl.data + (size_t)(b * j->k->vector * j->taps) * j->size,
                    channels_of(j, b), j->taps, j->weights + (size_t)(b * j->taps * j->k->vector) * j->size,
                    j->k->vector);
}
static const char *weights_of(const depthwise_job *j, int64_t block) {
  return j->weights + (size_t)(block * j->taps * j->k->vector) * j->size;
}

/* Forward */
static void forward_unit(void *context, int64_t unit) {
  const depthwise_job *j = context;
  const int64_t image = unit / j->blocks, block = unit % j->blocks, count = channels_of(j, block);
  unsigned char *padded = tn_slot(&j->slots), *dense = padded + j->padded_bytes,
                *line = dense + j->dense_bytes;
  j->k->transpose(planes_of(j, j->x, image, block, j->in), count, j->in, dense, j->k->vector);
  j->k->depthwise_spread(&j->d, dense, padded);
  const char *bias = j->bias ? j->bias + (size_t)(block * j->k->vector) * j->size : NULL;
  j->k->depthwise(&j->d, padded, weights_of(j, block), bias, dense);
  store(j, dense, j->out, count, line, (char *)planes_of(j, j->y, image, block, j->out));
}

static double work_of(const depthwise_job *j, int64_t passes) {
  return (double)(j->n * j->c) * ((double)(j->out * j->taps) / 16 + (double)(passes * (j->in + j->out)) / 4);
}

static bool run(depthwise_job *j, void (*unit)(void *context, int64_t unit)) {
  if (!tn_slots_take(&j->slots, j->padded_bytes + 2 * j->dense_bytes + j->line_bytes)) return false;
  memset(j->slots.base, 0, (size_t)j->slots.count * j->slots.bytes);
  tn_parallel(j->n * j->blocks, work_of(j, 1), unit, j);
  tn_slots_give(&j->slots);
  return true;
}

bool tn_depthwise_forward(tn_dtype dtype, int64_t n, int64_t c, const tn_depthwise *d, const tn_node *x,
                          const tn_node *w, const tn_node *bias, tn_node *y) {
  depthwise_job j = job_of(dtype, n, c, d);
  const size_t weight_bytes = tn_round64((size_t)(j.blocks * j.taps * j.k->vector) * j.size);
  const size_t bias_bytes = tn_round64((size_t)(j.blocks * j.k->vector) * j.size);
  j.weights = tn_workspace_take(weight_bytes + bias_bytes);
  if (!j.weights) return false;
  j.x = x->t.dl.data;
  j.y = y->t.dl.data;
  if (bias) { /* read a whole register at a time */
    char *whole = j.weights + weight_bytes;
    memset(whole, 0, bias_bytes);
    memcpy(whole, bias->t.dl.data, (size_t)c * j.size);
    j.bias = whole;
  }
  pack_weights(&j, w);
  const bool ok = run(&j, forward_unit);
  tn_workspace_give(j.weights);
  return ok;
}

/* Backward with respect to the input: at stride 1 a convolution with the kernel turned round. */
static void turn_weights(const depthwise_job *j) {
  const size_t bytes = (size_t)j->k->vector * j->size;
  char *spare = j->weights + (size_t)(j->blocks * j->taps) * bytes;
  for (int64_t b = 0; b < j->blocks; b++)
    for (int64_t t = 0; t < j->taps / 2; t++) {
      char *one = j->weights + (size_t)(b * j->taps + t) * bytes;
      char *other = j->weights + (size_t)(b * j->taps + j->taps - 1 - t) * bytes;
      memcpy(spare, one, bytes);
      memcpy(one, other, bytes);
      memcpy(other, spare, bytes);
    }
}

static void input_unit(void *context, int64_t unit) {
  const depthwise_job *j = context;
  const int64_t image = unit / j->blocks, block = unit % j->blocks, count = channels_of(j, block);
  unsigned char *padded = tn_slot(&j->slots), *dense = padded + j->padded_bytes,
                *line = dense + j->dense_bytes;
  memset(padded, 0, j->padded_bytes);
  j->k->transpose(planes_of(j, j->g, image, block, j->out), count, j->out, dense, j->k->vector);
  j->k->depthwise_adjoint(&j->d, dense, weights_of(j, block), padded);
  j->k->depthwise_gather(&j->d, padded, dense);
  store(j, dense, j->in, count, line, (char *)planes_of(j, j->y, image, block, j->in));
}

bool tn_depthwise_input(tn_dtype dtype, int64_t n, int64_t c, const tn_depthwise *d, const tn_node *gy,
                        const tn_node *w, tn_node *gx) {
  const bool turned =
      d->stride[0] == 1 && d->stride[1] == 1 && d->padding[0] < d->kernel[0] && d->padding[1] < d->kernel[1];
  tn_depthwise back = *d;
  for (int i = 0; turned && i < 2; i++) {
    back.in[i] = d->out[i];
    back.out[i] = d->in[i];
    back.padding[i] = d->kernel[i] - 1 - d->padding[i];
  }
  depthwise_job j = job_of(dtype, n, c, &back);
  j.weights = tn_workspace_take(tn_round64((size_t)((j.blocks * j.taps + 1) * j.k->vector) * j.size));
  if (!j.weights) return false;
  j.x = j.g = gy->t.dl.data;
  j.y = gx->t.dl.data;
  pack_weights(&j, w);
  if (turned) turn_weights(&j);
  const bool ok = run(&j, turned ? forward_unit : input_unit);
  tn_workspace_give(j.weights);
  return ok;
}

/* Backward with respect to the weights: parts of the images by themselves, put together in order. */
static void weights_part(void *context, int64_t part) {
  const depthwise_job *j = context;
  unsigned char *padded = tn_slot(&j->slots), *dense = padded + j->padded_bytes, *g = dense + j->dense_bytes;
  const size_t acc_block = (size_t)(j->taps * j->k->vector) * j->size;
  for (int64_t image = part * j->n / j->parts; image < (part + 1) * j->n / j->parts; image++)
    for (int64_t block = 0; block < j->blocks; block++) {
      const int64_t count = channels_of(j, block);
      j->k->transpose(planes_of(j, j->x, image, block, j->in), count, j->in, dense, j->k->vector);
      j->k->depthwise_spread(&j->d, dense, padded);
      j->k->transpose(planes_of(j, j->g, image, block, j->out), count, j->out, g, j->k->vector);
      j->k->depthwise_weights(&j->d, padded, g, j->acc + (size_t)(part * j->blocks + block) * acc_block);
    }
}

bool tn_depthwise_weights(tn_dtype dtype, int64_t n, int64_t c, const tn_depthwise *d, const tn_node *gy,
                          const tn_node *x, tn_node *gw) {
  enum { PARTS = 8 };
  depthwise_job j = job_of(dtype, n, c, d);
  const int64_t total = j.blocks * j.taps * j.k->vector;
  j.parts = tn_min64(n, PARTS);
  const size_t acc_bytes = tn_round64((size_t)(j.parts * total) * j.size);
  j.acc = tn_workspace_take(acc_bytes);
  if (!j.acc) return false;
  memset(j.acc, 0, acc_bytes);
  j.x = x->t.dl.data;
  j.g = gy->t.dl.data;
  const bool ok = tn_slots_take(&j.slots, j.padded_bytes + 2 * j.dense_bytes + j.line_bytes);
  if (ok) {
    memset(j.slots.base, 0, (size_t)j.slots.count * j.slots.bytes);
    tn_parallel(j.parts, work_of(&j, 2), weights_part, &j);
    tn_slots_give(&j.slots);
    for (int64_t p = 1; p < j.parts; p++)
      tn_here->k->real[dtype]->row_add(j.acc + (size_t)(p * total) * j.size, j.acc, total);
    for (int64_t i = 0; i < c * j.taps; i++) {
      const int64_t channel = i / j.taps, block = channel / j.k->vector;
      const int64_t from = (block * j.taps + i % j.taps) * j.k->vector + channel % j.k->vector;
      memcpy((char *)gw->t.dl.data + (size_t)i * j.size, j.acc + (size_t)from * j.size, j.size);
    }
  }
  tn_workspace_give(j.acc);
  return ok;
}
