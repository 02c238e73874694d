// SPDX-License-Identifier: MIT
/* Convolution and its two backwards: three operations, bilinear, each the derivative of the others.
 *
 * Forward and backward-input are correlations over a packed copy of the image: padded with zeros and split
 * into the phases of the stride, so that every tap is an offset and pixels are read in whole registers.
 * Backward-weight multiplies packed pixels with gradients whose channels are innermost; images are summed in
 * fixed blocks, so the number of threads does not matter. */
#include "internal.h"

typedef struct geometry {
  tn_dtype dtype;
  size_t size;            /* of an element */
  int64_t n, c, o;        /* images, channels of the input and of the output */
  int64_t groups, cg, og; /* channels of a group */
  int64_t in[2], out[2], kernel[2];
  int64_t stride[2], padding[2], dilation[2];
} geometry;

/* The attributes of a node: stride, padding, dilation, groups. */
static void write_attributes(tn_node *node, const geometry *g) {
  for (int i = 0; i < 2; i++) {
    node->a.s[i] = (int32_t)g->stride[i];
    node->a.s[2 + i] = (int32_t)g->padding[i];
    node->a.s[4 + i] = (int32_t)g->dilation[i];
  }
  node->a.s[6] = (int32_t)g->groups;
}

/* Of the convolution with input x, weight w and output y, given by their shapes. */
static geometry geometry_of(const tn_node *attributes, const int64_t *x, const int64_t *w, const int64_t *y) {
  const int32_t *s = attributes->a.s;
  geometry g = {.dtype = attributes->t.dtype,
                .size = tn_dtype_size(attributes->t.dtype),
                .n = x[0],
                .c = x[1],
                .o = w[0],
                .groups = s[6],
                .cg = w[1],
                .og = w[0] / s[6]};
  for (int i = 0; i < 2; i++) {
    g.in[i] = x[2 + i];
    g.out[i] = y[2 + i];
    g.kernel[i] = w[2 + i];
    g.stride[i] = s[i];
    g.padding[i] = s[2 + i];
    g.dilation[i] = s[4 + i];
  }
  return g;
}

/* What depthwise.c does. */
static bool is_depthwise(const geometry *g) {
  return tn_depthwise_fits(g->dtype, g->groups, g->cg, g->o, g->in, g->dilation);
}
static tn_depthwise depthwise_of(const geometry *g) {
  tn_depthwise d = {.columns = 0};
  for (int i = 0; i < 2; i++) {
    d.in[i] = g->in[i];
    d.out[i] = g->out[i];
    d.kernel[i] = g->kernel[i];
    d.stride[i] = g->stride[i];
    d.padding[i] = g->padding[i];
  }
  return d;
}

static int64_t reach(const geometry *g, int axis) { return g->dilation[axis] * (g->kernel[axis] - 1); }

/* A packed image and one or more correlations over it. */
typedef struct plan {
  const tn_nn_real *k;
  geometry g;
  tn_conv_pack pack;
  int64_t channels; /* of a packed group */
  size_t packed_bytes, flat_bytes;
  uint32_t job_count;
  tn_conv_job *jobs;
  const unsigned char **weights; /* of each job, for group 0 */
  size_t weight_group;           /* bytes of packed weights of a group, the same in all jobs' order */
  int64_t parts;                 /* into which an image is cut */
  bool direct;                   /* the source needs no packing */
  bool clear;                    /* some of the target is reached by no tap */
  const char *x, *bias;
  char *y;
  int64_t y_channels; /* of a group of the target */
  int64_t outside;    /* images from here on must be packed although direct */
  tn_slots slots;
} plan;

void tn_lay_out_columns(tn_conv_pack *p, int64_t extent, int64_t outputs) {
  int64_t after = extent - p->before[1] - p->size[1];
  p->columns = extent;
  if (p->step[1] == 1 && p->before[1] >= 0 && after >= 0) { // the zeros after a row are those before the next
    p->columns = p->size[1] + tn_max64(p->before[1], after);
    if (p->columns < outputs) p->columns = outputs;
  }
}

/* Of the flat strip of a job: its rows with the columns between them. */
static int64_t strip_length(const tn_conv_job *j) { return (j->size[0] - 1) * j->columns + j->size[1]; }

static size_t flat_bytes(const plan *p, const tn_conv_job *j) {
  return (size_t)(8 * (tn_ceil_div(strip_length(j), p->k->vector) * p->k->vector)) * p->g.size;
}

static void finish_plan(plan *p) {
  tn_conv_pack *pack = &p->pack;
  int64_t slack = pack->columns + 2 * p->k->vector;
  p->packed_bytes = tn_round64((size_t)(p->channels * pack->plane + slack) * p->g.size);
  for (uint32_t i = 0; i < p->job_count; i++) {
    size_t bytes = flat_bytes(p, &p->jobs[i]);
    if (bytes > p->flat_bytes) p->flat_bytes = bytes;
  }
  int64_t units = p->g.groups > 1 ? p->g.groups : tn_ceil_div(p->y_channels, 8);
  p->parts = p->g.n >= 8 ? 1 : tn_min64(4, units);
}

static void run_job(const plan *p, uint32_t index, int64_t group, int64_t first, int64_t count,
                    const void *packed, void *flat, char *y) {
  tn_conv_job job = p->jobs[index];
  if (job.size[0] <= 0 || job.size[1] <= 0) return;
  const unsigned char *weights = p->weights[index] + (size_t)group * p->weight_group;
  int64_t channel = group * p->y_channels + first;
  job.outputs = count;
  p->k->correlate(&job, packed, weights + (size_t)(first * job.taps) * p->g.size,
                  p->bias ? p->bias + (size_t)channel * p->g.size : NULL, flat,
                  y + (size_t)(channel * job.plane) * p->g.size);
}

static void plan_body(void *context, int64_t index) {
  const plan *p = context;
  const geometry *g = &p->g;
  unsigned char *packed = tn_slot(&p->slots), *flat = packed + p->packed_bytes;
  int64_t image = index / p->parts, part = index % p->parts;
  int64_t plane = p->pack.size[0] * p->pack.size[1], target = p->jobs[0].plane;
  const char *x = p->x + (size_t)(image * g->groups * p->channels * plane) * g->size;
  char *y = p->y + (size_t)(image * g->groups * p->y_channels * target) * g->size;
  int64_t group = 0, group_end = g->groups, first = 0, count = p->y_channels;
  if (g->groups > 1) {
    group = part * g->groups / p->parts;
    group_end = (part + 1) * g->groups / p->parts;
  } else if (p->parts > 1) {
    int64_t units = tn_ceil_div(p->y_channels, 8), end = (part + 1) * units / p->parts * 8;
    first = part * units / p->parts * 8;
    count = tn_min64(end, p->y_channels) - first;
  }
  if (p->clear && count > 0)
    memset(y + (size_t)((group * p->y_channels + first) * target) * g->size, 0,
           (size_t)(((group_end - group - 1) * p->y_channels + count) * target) * g->size);
  for (; group < group_end && count > 0; group++) {
    const void *source = x + (size_t)(group * p->channels * plane) * g->size;
    if (!p->direct || image >= p->outside) {
      p->k->pack(&p->pack, source, p->channels, packed);
      source = packed;
    }
    for (uint32_t i = 0; i < p->job_count; i++) run_job(p, i, group, first, count, source, flat, y);
  }
}

static bool run_plan(plan *p) {
  if (!tn_slots_take(&p->slots, p->packed_bytes + p->flat_bytes)) return false;
  for (int i = 0; i < p->slots.count; i++)
    memset(p->slots.base + (size_t)i * p->slots.bytes, 0, p->packed_bytes);
  const geometry *g = &p->g;
  double work =
      (double)(g->n * g->o * g->cg * g->kernel[0] * g->kernel[1]) * (double)(g->out[0] * g->out[1]) / 30;
  tn_parallel(g->n * p->parts, work + (double)(g->n * g->c * g->in[0] * g->in[1]) / 4, plan_body, p);
  tn_slots_give(&p->slots);
  return true;
}

/* Forward */
static bool forward(const geometry *g, const tn_node *x, const tn_node *w, const tn_node *bias, tn_node *y) {
  if (is_depthwise(g)) {
    const tn_depthwise d = depthwise_of(g);
    return tn_depthwise_forward(g->dtype, g->n, g->c, &d, x, w, bias, y);
  }
  plan p = {.k = tn_nn_real_of(g->dtype),
            .g = *g,
            .channels = g->cg,
            .job_count = 1,
            .y_channels = g->og,
            .x = x->t.dl.data,
            .bias = bias ? bias->t.dl.data : NULL,
            .y = y->t.dl.data};
  int64_t taps = g->cg * g->kernel[0] * g->kernel[1];
  tn_conv_job job = {.outputs = g->og,
                     .taps = taps,
                     .size = {g->out[0], g->out[1]},
                     .row_step = g->out[1],
                     .column_step = 1,
                     .plane = g->out[0] * g->out[1]};
  tn_conv_pack *pack = &p.pack;
  for (int i = 0; i < 2; i++) {
    pack->size[i] = g->in[i];
    pack->before[i] = g->padding[i];
    pack->step[i] = g->stride[i];
  }
  pack->rows = g->out[0] + reach(g, 0) / g->stride[0];
  tn_lay_out_columns(pack, g->out[1] + reach(g, 1) / g->stride[1], g->out[1]);
  int64_t phase = pack->rows * pack->columns, phases = g->stride[0] * g->stride[1];
  pack->plane = phases * phase;
  size_t weight_bytes = tn_round64((size_t)(g->o * taps) * g->size);
  unsigned char *memory = tn_workspace_take(weight_bytes + 2 * (size_t)taps * sizeof(int64_t));
  if (!memory) return false;
  int64_t *offsets = (int64_t *)(void *)(memory + weight_bytes), *where = offsets + taps, t = 0;
  for (int64_t c = 0; c < g->cg; c++)
    for (int64_t i = 0; i < g->kernel[0]; i++)
      for (int64_t j = 0; j < g->kernel[1]; j++, t++) {
        int64_t a = i * g->dilation[0], b = j * g->dilation[1];
        int64_t at = a % g->stride[0] * g->stride[1] + b % g->stride[1];
        offsets[t] = c * pack->plane + at * phase + a / g->stride[0] * pack->columns + b / g->stride[1];
        where[t] = t;
        if (at < 64) pack->used |= (uint64_t)1 << at;
      }
  for (int64_t group = 0; group < g->groups; group++)
    p.k->pack_weights(g->og, taps, (const char *)w->t.dl.data + (size_t)(group * g->og * taps) * g->size,
                      taps, where, memory + (size_t)(group * g->og * taps) * g->size);
  job.offsets = offsets;
  job.columns = pack->columns;
  const unsigned char *weights = memory;
  p.weights = &weights;
  p.weight_group = (size_t)(g->og * taps) * g->size;
  p.jobs = &job;
  p.direct = phases == 1 && pack->plane == g->in[0] * g->in[1] && pack->columns == g->in[1] &&
             g->padding[0] == 0 && g->padding[1] == 0;
  int64_t image = g->c * pack->plane, over = strip_length(&job) % p.k->vector ? p.k->vector : 0;
  p.outside = image > 0 ? (g->n * image - over) / image : 0; // reading past the last image is not allowed
  finish_plan(&p);
  bool ok = run_plan(&p);
  tn_workspace_give(memory);
  return ok;
}

/* Backward with respect to the input: of each phase of the stride a correlation of its own over the packed
 * gradient. Padded input position p = i stride + r gets w[k] g[i - (k dilation - r) / stride] from the taps
 * with k dilation = r modulo stride. */
typedef struct phase_range {
  int64_t first, count; /* i */
  int64_t low, high;    /* shifts of its taps; high < low: none */
  int64_t taps;
} phase_range;

static phase_range range_of(const geometry *g, int axis, int64_t r) {
  int64_t s = g->stride[axis], p = g->padding[axis];
  phase_range range = {.low = INT64_MAX, .high = -1};
  range.first = p > r ? tn_ceil_div(p - r, s) : 0;
  int64_t last = p + g->in[axis] - 1 - r;
  range.count = last < 0 ? 0 : last / s - range.first + 1;
  for (int64_t k = 0; k < g->kernel[axis]; k++) {
    int64_t at = k * g->dilation[axis];
    if (at % s != r) continue;
    int64_t shift = (at - r) / s;
    if (shift < range.low) range.low = shift;
    if (shift > range.high) range.high = shift;
    range.taps++;
  }
  return range;
}

/* Zeros before the gradient and the extent that all phases together read. */
static void input_extent(const geometry *g, int axis, int64_t *before, int64_t *extent, int64_t *longest) {
  int64_t start = INT64_MAX, end = INT64_MIN;
  *longest = 0;
  for (int64_t r = 0; r < g->stride[axis]; r++) {
    phase_range range = range_of(g, axis, r);
    if (range.taps == 0 || range.count <= 0) continue;
    start = tn_min64(start, range.first - range.high);
    end = tn_max64(end, range.first + range.count - range.low);
    *longest = tn_max64(*longest, range.count);
  }
  if (start > end) start = end = 0;
  *before = -start;
  *extent = end - start;
}

static void input_job(plan *p, int64_t r, int64_t q, tn_conv_job *job, int64_t *offsets, int64_t *where) {
  const geometry *g = &p->g;
  const tn_conv_pack *pack = &p->pack;
  phase_range rows = range_of(g, 0, r), columns = range_of(g, 1, q);
  *job = (tn_conv_job){.outputs = g->cg,
                       .offsets = offsets,
                       .columns = pack->columns,
                       .size = {tn_max64(rows.count, 0), tn_max64(columns.count, 0)},
                       .row_step = g->stride[0] * g->in[1],
                       .column_step = g->stride[1],
                       .plane = g->in[0] * g->in[1]};
  if (rows.taps == 0 || columns.taps == 0) job->size[0] = 0; // cleared instead
  job->first = (rows.first * g->stride[0] + r - g->padding[0]) * g->in[1] + columns.first * g->stride[1] + q -
               g->padding[1];
  int64_t area = g->kernel[0] * g->kernel[1], t = 0;
  for (int64_t o = 0; o < g->og; o++)
    for (int64_t i = 0; i < g->kernel[0]; i++)
      for (int64_t j = 0; j < g->kernel[1]; j++) {
        int64_t a = i * g->dilation[0], b = j * g->dilation[1];
        if (a % g->stride[0] != r || b % g->stride[1] != q) continue;
        int64_t row = pack->before[0] + rows.first - (a - r) / g->stride[0];
        int64_t column = pack->before[1] + columns.first - (b - q) / g->stride[1];
        offsets[t] = o * pack->plane + row * pack->columns + column;
        where[t++] = o * g->cg * area + i * g->kernel[1] + j;
      }
  job->taps = t;
}

static bool backward_input(const geometry *g, const tn_node *gy, const tn_node *w, tn_node *gx) {
  if (is_depthwise(g)) {
    const tn_depthwise d = depthwise_of(g);
    return tn_depthwise_input(g->dtype, g->n, g->c, &d, gy, w, gx);
  }
  plan p = {.k = tn_nn_real_of(g->dtype),
            .g = *g,
            .channels = g->og,
            .y_channels = g->cg,
            .x = gy->t.dl.data,
            .y = gx->t.dl.data};
  tn_conv_pack *pack = &p.pack;
  int64_t extent[2], longest[2], area = g->kernel[0] * g->kernel[1], taps = g->og * area;
  for (int i = 0; i < 2; i++) {
    input_extent(g, i, &pack->before[i], &extent[i], &longest[i]);
    pack->size[i] = g->out[i];
    pack->step[i] = 1;
  }
  pack->used = 1;
  pack->rows = extent[0];
  tn_lay_out_columns(pack, extent[1], longest[1]);
  pack->plane = pack->rows * pack->columns;
  int64_t phases = g->stride[0] * g->stride[1];
  size_t weight_bytes = tn_round64((size_t)(g->groups * g->cg * taps) * g->size);
  size_t job_bytes = (size_t)phases * (sizeof(tn_conv_job) + sizeof(unsigned char *));
  unsigned char *memory = tn_workspace_take(weight_bytes + 2 * (size_t)taps * sizeof(int64_t) + job_bytes);
  if (!memory) return false;
  int64_t *offsets = (int64_t *)(void *)(memory + weight_bytes), *where = offsets + taps;
  p.jobs = (tn_conv_job *)(void *)(where + taps);
  p.weights = (const unsigned char **)(void *)(p.jobs + phases);
  p.weight_group = (size_t)(g->cg * taps) * g->size;
  unsigned char *weights = memory;
  for (int64_t r = 0; r < g->stride[0]; r++)
    for (int64_t q = 0; q < g->stride[1]; q++) {
      tn_conv_job *job = &p.jobs[p.job_count];
      input_job(&p, r, q, job, offsets, where);
      if (job->size[0] == 0 && job->taps == 0) p.clear = true;
      for (int64_t group = 0; group < g->groups; group++)
        p.k->pack_weights(g->cg, job->taps,
                          (const char *)w->t.dl.data + (size_t)(group * g->og * g->cg * area) * g->size, area,
                          where, weights + (size_t)group * p.weight_group);
      p.weights[p.job_count++] = weights;
      weights += (size_t)(g->cg * job->taps) * g->size;
      offsets += job->taps;
      where += job->taps;
    }
  if (taps == 0) p.clear = true;
  p.direct = phases == 1 && area == 1 && g->padding[0] == 0 && g->padding[1] == 0;
  int64_t image = g->o * pack->plane, over = strip_length(&p.jobs[0]) % p.k->vector ? p.k->vector : 0;
  p.outside = image > 0 ? (g->n * image - over) / image : 0;
  finish_plan(&p);
  bool ok = run_plan(&p);
  tn_workspace_give(memory);
  return ok;
}

/* A window's sum is a convolution of one channel with ones. */
static geometry sums_geometry(const tn_window_sums *s) {
  geometry g = {.dtype = s->dtype,
                .size = tn_dtype_size(s->dtype),
                .n = s->planes,
                .c = 1,
                .o = 1,
                .groups = 1,
                .cg = 1,
                .og = 1,
                .dilation = {1, 1}};
  for (int i = 0; i < 2; i++) {
    g.in[i] = s->in[i];
    g.out[i] = s->out[i];
    g.kernel[i] = s->size[i];
    g.stride[i] = s->stride[i];
    g.padding[i] = s->padding[i];
  }
  return g;
}

static bool with_ones(const tn_window_sums *s, const void *source, void *target, bool adjoint) {
  geometry g = sums_geometry(s);
  tn_node x, y, ones;
  x.t.dl.data = (void *)(uintptr_t)source;
  y.t.dl.data = target;
  ones.t.dl.data = tn_workspace_take((size_t)(s->size[0] * s->size[1]) * g.size);
  if (!ones.t.dl.data) return false;
  tn_here->k->real[g.dtype]->fill(ones.t.dl.data, 1, s->size[0] * s->size[1]);
  bool ok = adjoint ? backward_input(&g, &x, &ones, &y) : forward(&g, &x, &ones, NULL, &y);
  tn_workspace_give(ones.t.dl.data);
  return ok;
}
bool tn_sum_windows(const tn_window_sums *s, const void *x, void *y) { return with_ones(s, x, y, false); }
bool tn_spread_windows(const tn_window_sums *s, const void *g, void *gx) { return with_ones(s, g, gx, true); }

/* Backward with respect to the weight */
typedef struct weight_plan {
  const tn_nn_real *k;
  const geometry *g;
  tn_conv_pack pack;
  tn_conv_outer outer;
  const int64_t *offsets;
  int64_t taps, ld; /* elements of an accumulator's row */
  int64_t blocks;   /* of images */
  bool dots;        /* pixels instead of channels fill the registers */
  bool direct;      /* with neither operand packed */
  size_t packed_bytes;
  int64_t length; /* of the flat gradient */
  const char *x, *gy;
  char *acc;
  tn_slots slots;
} weight_plan;

/* Gradient rows as far apart as the packed image's, with zeros between them. */
static void spread_rows(const weight_plan *p, const char *source, char *target) {
  size_t size = p->g->size, row = (size_t)p->g->out[1] * size, step = (size_t)p->pack.columns * size;
  for (int64_t i = 0; i < p->g->out[0]; i++) memcpy(target + (size_t)i * step, source + (size_t)i * row, row);
}

static void weight_body(void *context, int64_t block) {
  const weight_plan *p = context;
  const geometry *g = p->g;
  unsigned char *packed = tn_slot(&p->slots), *other = packed + p->packed_bytes;
  int64_t in = g->in[0] * g->in[1], out = g->out[0] * g->out[1];
  size_t acc_group = (size_t)(p->taps * p->ld) * g->size;
  char *acc = p->acc + (size_t)block * (size_t)g->groups * acc_group;
  memset(acc, 0, (size_t)g->groups * acc_group);
  for (int64_t image = block * g->n / p->blocks; image < (block + 1) * g->n / p->blocks; image++)
    for (int64_t group = 0; group < g->groups; group++) {
      const char *x = p->x + (size_t)((image * g->c + group * g->cg) * in) * g->size;
      const char *gy = p->gy + (size_t)((image * g->o + group * g->og) * out) * g->size;
      char *sum = acc + (size_t)group * acc_group;
      if (p->direct) {
        p->k->dots(g->og, p->taps, p->offsets, x, gy, out, out, sum);
        continue;
      }
      p->k->pack(&p->pack, x, g->cg, packed);
      if (p->dots) {
        size_t line = (size_t)p->length * g->size;
        for (int64_t o = 0; o < g->og; o++)
          spread_rows(p, gy + (size_t)(o * out) * g->size, (char *)other + (size_t)o * line);
        p->k->dots(g->og, p->taps, p->offsets, packed, other, p->length, p->length, sum);
      } else {
        p->k->transpose(gy, g->og, out, other, p->ld);
        p->k->outer(&p->outer, packed, other, sum);
      }
    }
}

/* Blocks are added in order; what is left of the lanes is folded or transposed into the weight's layout. */
static void gather_weights(const weight_plan *p, tn_node *gw) {
  const geometry *g = p->g;
  int64_t total = g->groups * p->taps * p->ld;
  for (int64_t b = 1; b < p->blocks; b++)
    tn_here->k->real[g->dtype]->row_add(p->acc + (size_t)(b * total) * g->size, p->acc, total);
  for (int64_t group = 0; group < g->groups; group++) {
    const char *acc = p->acc + (size_t)(group * p->taps * p->ld) * g->size;
    char *target = (char *)gw->t.dl.data + (size_t)(group * g->og * p->taps) * g->size;
    if (p->dots) {
      for (int64_t i = 0; i < g->og * p->taps; i++) {
        double sum = p->k->fold(acc + (size_t)(i * p->k->vector) * g->size);
        if (g->dtype == TN_F32)
          ((float *)(void *)target)[i] = (float)sum;
        else
          ((double *)(void *)target)[i] = sum;
      }
    } else if (g->dtype == TN_F32) {
      for (int64_t o = 0; o < g->og; o++)
        for (int64_t t = 0; t < p->taps; t++)
          ((float *)(void *)target)[o * p->taps + t] = ((const float *)(const void *)acc)[t * p->ld + o];
    } else {
      for (int64_t o = 0; o < g->og; o++)
        for (int64_t t = 0; t < p->taps; t++)
          ((double *)(void *)target)[o * p->taps + t] = ((const double *)(const void *)acc)[t * p->ld + o];
    }
  }
}

/* Phases and columns as forward has them if the pixels fill the registers; plainly padded otherwise. */
static void lay_out_weights(weight_plan *p, int64_t *offsets) {
  const geometry *g = p->g;
  tn_conv_pack *pack = &p->pack;
  for (int i = 0; i < 2; i++) {
    pack->size[i] = g->in[i];
    pack->before[i] = g->padding[i];
    pack->step[i] = p->dots ? g->stride[i] : 1;
  }
  int64_t sr = pack->step[0], sc = pack->step[1];
  if (p->dots) {
    pack->rows = g->out[0] + reach(g, 0) / sr;
    tn_lay_out_columns(pack, g->out[1] + reach(g, 1) / sc, g->out[1]);
  } else {
    pack->rows = (g->out[0] - 1) * g->stride[0] + reach(g, 0) + 1;
    pack->columns = (g->out[1] - 1) * g->stride[1] + reach(g, 1) + 1;
  }
  int64_t phase = pack->rows * pack->columns, t = 0;
  pack->plane = sr * sc * phase;
  for (int64_t c = 0; c < g->cg; c++)
    for (int64_t i = 0; i < g->kernel[0]; i++)
      for (int64_t j = 0; j < g->kernel[1]; j++, t++) {
        int64_t a = i * g->dilation[0], b = j * g->dilation[1], at = a % sr * sc + b % sc;
        offsets[t] = c * pack->plane + at * phase + a / sr * pack->columns + b / sc;
        if (at < 64) pack->used |= (uint64_t)1 << at;
      }
}

static bool backward_weight(const geometry *g, const tn_node *gy, const tn_node *x, tn_node *gw) {
  enum { BLOCKS = 8, LARGE = 4 << 20 };
  if (is_depthwise(g)) {
    const tn_depthwise d = depthwise_of(g);
    return tn_depthwise_weights(g->dtype, g->n, g->c, &d, gy, x, gw);
  }
  weight_plan p = {.k = tn_nn_real_of(g->dtype), .g = g, .x = x->t.dl.data, .gy = gy->t.dl.data};
  int64_t vector = p.k->vector;
  p.taps = g->cg * g->kernel[0] * g->kernel[1];
  bool point = g->kernel[0] * g->kernel[1] == 1 && g->stride[0] * g->stride[1] == 1 && g->padding[0] == 0 &&
               g->padding[1] == 0;
  int64_t out = g->out[0] * g->out[1];
  p.direct = point && out % vector == 0 && out >= 8 * vector;
  p.dots = p.direct || g->og * 2 < vector || g->og == 1;
  p.ld = p.dots ? g->og * vector : tn_ceil_div(g->og, vector) * vector;
  int64_t total = g->groups * p.taps * p.ld;
  p.blocks = tn_min64(g->n, BLOCKS);
  while (p.blocks > 2 && p.blocks * total > LARGE) p.blocks = tn_ceil_div(p.blocks, 2);
  size_t acc_bytes = tn_round64((size_t)(p.blocks * total) * g->size);
  unsigned char *memory = tn_workspace_take(acc_bytes + (size_t)p.taps * sizeof(int64_t));
  if (!memory) return false;
  int64_t *offsets = (int64_t *)(void *)(memory + acc_bytes);
  lay_out_weights(&p, offsets);
  p.acc = (char *)memory;
  p.offsets = offsets;
  p.outer = (tn_conv_outer){.taps = p.taps,
                            .offsets = offsets,
                            .size = {g->out[0], g->out[1]},
                            .row_step = g->stride[0] * p.pack.columns,
                            .column_step = g->stride[1],
                            .vectors = p.ld / vector};
  p.length = tn_ceil_div((g->out[0] - 1) * p.pack.columns + g->out[1], vector) * vector;
  p.packed_bytes = tn_round64((size_t)(g->cg * p.pack.plane + p.pack.columns + 2 * vector) * g->size);
  size_t other = tn_round64((size_t)(p.dots ? g->og * p.length : out * p.ld) * g->size);
  bool ok = tn_slots_take(&p.slots, p.packed_bytes + other);
  if (ok) {
    memset(p.slots.base, 0, (size_t)p.slots.count * p.slots.bytes);
    double work = (double)(g->n * g->o * p.taps) * (double)out / 30;
    tn_parallel(p.blocks, work + (double)(g->n * g->c * g->in[0] * g->in[1]) / 4, weight_body, &p);
    tn_slots_give(&p.slots);
    gather_weights(&p, gw);
  }
  tn_workspace_give(memory);
  return ok;
}

/* The operations. Each takes the attributes from a node that has them. */
static tn_node *convolve(tn_node *x, tn_node *w, tn_node *bias, const tn_node *attributes,
                         const int64_t *shape);
static tn_node *convolve_input(tn_node *gy, tn_node *w, const tn_node *attributes, const int64_t *shape);
static tn_node *convolve_weight(tn_node *gy, tn_node *x, const tn_node *attributes, const int64_t *shape);

static void convolution_backward(tn_backward *b) {
  tn_node *node = b->node, *x = node->in[0], *w = node->in[1];
  if (tn_wants(b, 0)) tn_deliver(b, 0, convolve_input(b->g, w, node, x->shape));
  if (tn_wants(b, 1)) tn_deliver(b, 1, convolve_weight(b->g, x, node, w->shape));
  if (node->inputs > 2 && tn_wants(b, 2))
    tn_deliver(b, 2, tn_op_reduce(TN_SUM, b->g, TN_AXIS(0) | TN_AXIS(2) | TN_AXIS(3), false));
}
TN_RULE(convolution_rule, "convolution", convolution_backward);

static void input_backward(tn_backward *b) {
  tn_node *node = b->node, *gy = node->in[0], *w = node->in[1];
  if (tn_wants(b, 0)) tn_deliver(b, 0, convolve(b->g, w, NULL, node, gy->shape));
  if (tn_wants(b, 1)) tn_deliver(b, 1, convolve_weight(gy, b->g, node, w->shape));
}
TN_RULE(input_rule, "convolution_input", input_backward);

static void weight_backward(tn_backward *b) {
  tn_node *node = b->node, *gy = node->in[0], *x = node->in[1];
  if (tn_wants(b, 0)) tn_deliver(b, 0, convolve(x, b->g, NULL, node, gy->shape));
  if (tn_wants(b, 1)) tn_deliver(b, 1, convolve_input(gy, b->g, node, x->shape));
}
TN_RULE(weight_rule, "convolution_weight", weight_backward);

static tn_node *finish(tn_node *y, bool ok, const tn_rule *rule, tn_node *a, tn_node *b, const geometry *g,
                       double start) {
  if (!ok) return tn_poison();
  if (tn_recording2(a, b)) {
    tn_record2(y, rule, a, b);
    write_attributes(y, g);
  }
  return tn_trace_end(rule->name, start, y);
}

static tn_node *convolve(tn_node *x, tn_node *w, tn_node *bias, const tn_node *attributes,
                         const int64_t *shape) {
  if (tn_is_poison(x) || tn_is_poison(w)) return tn_poison();
  double start = tn_trace_begin(x, w, bias);
  geometry g = geometry_of(attributes, x->shape, w->shape, shape);
  tn_node *y = tn_node_new(g.dtype, 4, shape);
  if (tn_is_poison(y)) return y;
  bool ok = y->t.numel == 0 || forward(&g, x, w, bias, y);
  bool bias_needs = bias && tn_recording1(bias);
  y = finish(y, ok, &convolution_rule, x, w, &g, start);
  if (!tn_is_poison(y) && (bias_needs || (bias && tn_needs(y)))) {
    tn_record2(y, &convolution_rule, x, w);
    y->in[2] = bias;
    y->inputs = 3;
    write_attributes(y, &g);
  }
  return y;
}

static tn_node *convolve_input(tn_node *gy, tn_node *w, const tn_node *attributes, const int64_t *shape) {
  if (tn_is_poison(gy) || tn_is_poison(w)) return tn_poison();
  double start = tn_trace_begin(gy, w);
  geometry g = geometry_of(attributes, shape, w->shape, gy->shape);
  tn_node *gx = tn_node_new(g.dtype, 4, shape);
  if (tn_is_poison(gx)) return gx;
  bool ok = gx->t.numel == 0 || backward_input(&g, gy, w, gx);
  return finish(gx, ok, &input_rule, gy, w, &g, start);
}

static tn_node *convolve_weight(tn_node *gy, tn_node *x, const tn_node *attributes, const int64_t *shape) {
  if (tn_is_poison(gy) || tn_is_poison(x)) return tn_poison();
  double start = tn_trace_begin(gy, x);
  geometry g = geometry_of(attributes, x->shape, shape, gy->shape);
  if (gy->t.numel == 0 || x->t.numel == 0) {
    tn_node *zero = tn_op_full(g.dtype, 4, shape, 0);
    return tn_is_poison(zero) ? zero : finish(zero, true, &weight_rule, gy, x, &g, start);
  }
  tn_node *gw = tn_node_new(g.dtype, 4, shape);
  if (tn_is_poison(gw)) return gw;
  bool ok = gw->t.numel == 0 || backward_weight(&g, gy, x, gw);
  return finish(gw, ok, &weight_rule, gy, x, &g, start);
}

/* Defaults filled in; false and an error for what is out of range. */
static bool read_conv(const char *op, const tn_conv *conv, tn_node *attributes) {
  static const tn_conv none = {{0, 0}, {0, 0}, {0, 0}, 0};
  const int64_t large = 1 << 24;
  if (!conv) conv = &none;
  bool fine = conv->groups >= 0 && conv->groups <= large;
  for (int i = 0; i < 2; i++) {
    fine = fine && conv->stride[i] >= 0 && conv->stride[i] <= large && conv->padding[i] >= 0 &&
           conv->padding[i] <= large && conv->dilation[i] >= 0 && conv->dilation[i] <= large;
    if (!fine) break;
    attributes->a.s[i] = conv->stride[i] ? (int32_t)conv->stride[i] : 1;
    attributes->a.s[2 + i] = (int32_t)conv->padding[i];
    attributes->a.s[4 + i] = conv->dilation[i] ? (int32_t)conv->dilation[i] : 1;
  }
  attributes->a.s[6] = conv->groups ? (int32_t)conv->groups : 1;
  if (!fine)
    tn_shape_error(op, "stride (%lld, %lld), padding (%lld, %lld), dilation (%lld, %lld), groups %lld",
                   (long long)conv->stride[0], (long long)conv->stride[1], (long long)conv->padding[0],
                   (long long)conv->padding[1], (long long)conv->dilation[0], (long long)conv->dilation[1],
                   (long long)conv->groups);
  return fine;
}

static bool check_operands(const char *op, const tn_node *x, const tn_node *w, const tn_node *bias,
                           int64_t outputs) {
  if (!tn_check_floats(op, x, w)) return false;
  if (bias && (!tn_check_floats(op, x, bias) || bias->t.numel != outputs || bias->t.dl.ndim != 1)) {
    if (bias->t.dtype == x->t.dtype)
      tn_shape_error(op, "bias %s for %lld channels", tn_shape_text(bias), (long long)outputs);
    return false;
  }
  return true;
}

tn_node *tn_op_convolution(tn_node *x, tn_node *w, tn_node *bias, const tn_conv *conv) {
  static const char op[] = "convolution";
  if (tn_is_poison(x)) return x;
  if (tn_is_poison(w)) return w;
  if (bias && tn_is_poison(bias)) return bias;
  tn_node attributes;
  attributes.t.dtype = x->t.dtype;
  if (!read_conv(op, conv, &attributes)) return tn_poison();
  int64_t groups = attributes.a.s[6];
  if (x->t.dl.ndim != 4 || w->t.dl.ndim != 4 || x->shape[1] != w->shape[1] * groups || w->shape[0] % groups)
    return tn_shape_error(op, "input %s and weight %s with %lld groups do not fit", tn_shape_text(x),
                          tn_shape_text(w), (long long)groups);
  if (!check_operands(op, x, w, bias, w->shape[0])) return tn_poison();
  int64_t shape[4] = {x->shape[0], w->shape[0]};
  for (int i = 0; i < 2; i++) {
    int64_t room =
        x->shape[2 + i] + 2 * attributes.a.s[2 + i] - attributes.a.s[4 + i] * (w->shape[2 + i] - 1) - 1;
    if (room < 0 || w->shape[2 + i] < 1)
      return tn_shape_error(op, "a kernel %s is larger than the padded input %s", tn_shape_text(w),
                            tn_shape_text(x));
    shape[2 + i] = room / attributes.a.s[i] + 1;
  }
  tn_node *y = convolve(x, w, bias, &attributes, shape);
  if (!tn_is_poison(y)) tn_here->multiply_adds += y->t.numel * (w->t.numel / tn_max64(w->shape[0], 1));
  return y;
}

tn_node *tn_op_convolution_transposed(tn_node *x, tn_node *w, tn_node *bias, const tn_conv *conv,
                                      const int64_t *extra) {
  static const char op[] = "convolution_transposed";
  if (tn_is_poison(x)) return x;
  if (tn_is_poison(w)) return w;
  if (bias && tn_is_poison(bias)) return bias;
  tn_node attributes;
  attributes.t.dtype = x->t.dtype;
  if (!read_conv(op, conv, &attributes)) return tn_poison();
  int64_t groups = attributes.a.s[6];
  if (x->t.dl.ndim != 4 || w->t.dl.ndim != 4 || x->shape[1] != w->shape[0] || w->shape[0] % groups)
    return tn_shape_error(op, "input %s and weight %s with %lld groups do not fit", tn_shape_text(x),
                          tn_shape_text(w), (long long)groups);
  int64_t shape[4] = {x->shape[0], w->shape[1] * groups};
  if (!check_operands(op, x, w, bias, shape[1])) return tn_poison();
  for (int i = 0; i < 2; i++) {
    int64_t stride = attributes.a.s[i], dilation = attributes.a.s[4 + i], more = extra ? extra[i] : 0;
    shape[2 + i] = (x->shape[2 + i] - 1) * stride - 2 * (int64_t)attributes.a.s[2 + i] +
                   dilation * (w->shape[2 + i] - 1) + more + 1;
    if (w->shape[2 + i] < 1 || x->shape[2 + i] < 1 || shape[2 + i] < 1 || more < 0 ||
        more >= tn_max64(stride, dilation))
      return tn_shape_error(op, "input %s, kernel %s and %lld extra give no output", tn_shape_text(x),
                            tn_shape_text(w), (long long)more);
  }
  tn_node *y = convolve_input(x, w, &attributes, shape);
  if (!tn_is_poison(y)) tn_here->multiply_adds += x->t.numel * (w->t.numel / tn_max64(w->shape[0], 1));
  if (!bias || tn_is_poison(y)) return y;
  return ADD(y, tn_op_reshape(bias, 3, (const int64_t[]){shape[1], 1, 1}));
}
