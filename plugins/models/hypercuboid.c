// SPDX-License-Identifier: MIT
/* The HyperCuboid supernet of sharpDARTS (Hundt, Jain and Hager 2019, section 3.4): a grid layer x stride x
 * input width x output width x operation instead of cells. With widths C_0 .. C_{S-1}:
 *
 *   stem          h_i = BN(conv 3x3 of the image), for every width i
 *   sublayer k    h'_j = sum_{i,o} c_k(i, j, o) op_{k,i,j,o}(h_i), stride 1 and 2 by turns
 *   head          sum_j SharpSepConv(h_j), mean over the image, linear
 *
 * c from one softmax over all S S P entries of a sublayer (mixture.h). The architecture parameters are one
 * table, alpha.cube (sublayers, S S P), with entry (i S + j) P + o; gates as supernet.h says. Normalisation
 * is always by the batch, without scale and shift. What does not depend on the output width is done once for
 * all: ReLU, the windows of pools, and the stems of all widths in one convolution. */
#include "mixture.h"
#include "path.h"
#include <tenon/supernet.h>

struct cube {
  const char *input, *output_field;
  tn_integers widths;
  tn_strings primitives;
  int64_t layers, final, output;
  int32_t weighting;
  bool detach_max;
  double prune_below;

  int32_t kinds[OPERATION_COUNT];
  int64_t count, entries;       /* P, S S P */
  char (*names)[64];            /* (entries) */
  struct operation *operations; /* (layers, entries) */
  struct conv stem;
  struct unit_norm stem_norm;
  struct sharp_sep_conv last[GRID_WIDTHS];
  struct linear head;
  uint32_t alpha, gate;
  const char *output_name;
};
static const tn_param cube_params[] = {
    TN_INTEGERS(struct cube, widths, "32, 64, 128, 256, 512", 1, PATH_WIDTH, "channels to choose from"),
    TN_INTEGER(struct cube, layers, "6", 2, PATH_MOST, NULL,
               "sublayers, of stride 1 and 2 by turns; two are a layer"),
    TN_STRINGS(struct cube, primitives, "sharp_sep_conv, resizable_pool",
               "candidates between two widths; also operations of cells but none and skip_connect"),
    TN_INTEGER(struct cube, final, "768", 1, PATH_WIDTH, NULL, "channels in front of the head"),
    TN_CHOICE(struct cube, weighting, "scalar", "scalar|max_w", "coefficients of the operations"),
    TN_BOOL(struct cube, detach_max, "no", "max_w: no gradient through the maximum"),
    TN_REAL(struct cube, prune_below, "0", 0, 1,
            "operations whose softmax weight is below are left out; the paper's: 1 / (S S P)^2, 0: none"),
    TN_STRING(struct cube, input, "image", "field to read (channels, height, width)"),
    HEAD_PARAMS(cube),
};

static tn_status cube_create(void *self) {
  struct cube *net = self;
  const int64_t widths = net->widths.count;
  if (widths < 1 || widths > GRID_WIDTHS)
    return tn_fail(TN_ERROR_INVALID, "expected 1 to %d widths, got %d", GRID_WIDTHS, (int)widths);
  for (int64_t i = 1; i < widths; i++)
    if (net->widths.items[i] <= net->widths.items[i - 1])
      return tn_fail(TN_ERROR_INVALID, "expected growing widths, got %d after %d", (int)net->widths.items[i],
                     (int)net->widths.items[i - 1]);
  if (net->layers % 2 != 0)
    return tn_fail(TN_ERROR_INVALID, "layers: expected an even number of sublayers, got %d",
                   (int)net->layers);
  if (net->primitives.count < 1 || net->primitives.count > OPERATION_COUNT)
    return tn_fail(TN_ERROR_INVALID, "primitives: expected 1 to %d", OPERATION_COUNT);
  for (uint32_t o = 0; o < net->primitives.count; o++) {
    const int32_t kind = path_operation_named(net->primitives.items[o]);
    if (kind == OPERATION_COUNT) return TN_ERROR_INVALID;
    for (int64_t other = 0; other < net->count; other++)
      if (net->kinds[other] == kind)
        return tn_fail(TN_ERROR_INVALID, "operation '%s' is listed twice", net->primitives.items[o]);
    net->kinds[net->count++] = kind;
  }
  net->entries = widths * widths * net->count;
  net->names = tn_alloc((size_t)net->entries * sizeof *net->names);
  net->operations = tn_alloc((size_t)(net->layers * net->entries) * sizeof *net->operations);
  return net->names && net->operations ? TN_OK : TN_ERROR_MEMORY;
}
static void cube_destroy(void *self) {
  tn_free(((struct cube *)self)->names);
  tn_free(((struct cube *)self)->operations);
}

static int64_t stride_of(int64_t sublayer) { return 1 + sublayer % 2; }

/* Width `j` of entry `e`'s output, `i` of its input. */
static int64_t to_of(const struct cube *net, int64_t e) { return e / net->count % net->widths.count; }
static int64_t from_of(const struct cube *net, int64_t e) { return e / net->count / net->widths.count; }

static tn_status cube_declare(void *self, const tn_spec *inputs, tn_declaration *d) {
  struct cube *net = self;
  const struct style style = {.sharp = true, .epsilon = 1e-5};
  const int64_t *widths = net->widths.items;
  const tn_field_spec *image = image_input(inputs, net->input);
  if (!image) return TN_ERROR_SHAPE;
  net->output_name = net->output_field;
  const int64_t outputs = head_width(inputs, net->output, &net->output_name);
  if (outputs < 1) return TN_ERROR_MISSING;
  int64_t all = 0;
  char name[56];
  for (uint32_t i = 0; i < net->widths.count; i++) all += widths[i];
  net->stem = plain_conv(d, "stem", image->shape.dim[0], all, 3, conv_geometry(1, 1));
  net->stem_norm = unit_norm_declare(d, "stem_norm", &style, all);
  for (int64_t e = 0; e < net->entries; e++) {
    const int32_t kind = net->kinds[e % net->count];
    const int64_t from = widths[from_of(net, e)], to = widths[to_of(net, e)];
    snprintf(net->names[e], sizeof *net->names, "%s:%d:%d", path_operation_name(kind), (int)from, (int)to);
    for (int64_t k = 0; k < net->layers; k++) {
      snprintf(name, sizeof name, "layers.%d.%d.%d.%s", (int)k, (int)from, (int)to,
               path_operation_name(kind));
      net->operations[k * net->entries + e] =
          operation_declare(d, name, &style, kind, from, to, stride_of(k));
    }
  }
  for (uint32_t i = 0; i < net->widths.count; i++) {
    snprintf(name, sizeof name, "final.%d", (int)widths[i]);
    net->last[i] = sharp_declare(d, name, &style, widths[i], net->final, net->final, 3, 1, 1);
  }
  net->head = linear_declare(d, "head", net->final, outputs, true, tn_init_of(TN_INIT_LECUN_UNIFORM, 1));
  const tn_shape shape = TN_SHAPE(net->layers, net->entries);
  net->alpha = declare_named(d, "alpha", "cube", shape, TN_DECAY, tn_init_of(TN_INIT_NORMAL, 1e-3));
  net->gate = declare_named(d, "gate", "cube", shape, TN_FIXED, tn_init_ones());
  tn_declare_output(d, "features", TN_FLOAT, TN_SHAPE(net->final), 0);
  tn_declare_output(d, net->output_name, TN_FLOAT, TN_SHAPE(outputs), 0);
  return TN_OK;
}

/* ---- apply ---- */

/* The inputs of a sublayer in the forms that operations want, each made when it is first wanted. */
struct forms {
  tn_tensor *x[GRID_WIDTHS]; /* NULL: nothing leads here */
  tn_tensor *positive[GRID_WIDTHS], *windows[GRID_WIDTHS][2];
};

static tn_tensor *apply_entry(const struct operation *op, tn_model_call *call, struct forms *h, int64_t i,
                              tn_tensor *share, tn_tensor *total) {
  if (operation_pools(op->kind)) {
    tn_tensor **windows = &h->windows[i][op->pool.mean];
    if (!*windows) *windows = pool_windows(&op->pool, h->x[i]);
    return pool_apply(&op->pool, call, *windows, share, total);
  }
  if (!h->positive[i]) h->positive[i] = tn_relu(h->x[i]);
  return sharp_apply(&op->convolution, call, h->positive[i], share, total);
}

/* mix: the coefficients, gated; weights: softmax(alpha), to prune by; both (layers * entries). */
static void apply_sublayer(const struct cube *net, int64_t k, tn_model_call *call, tn_tensor *mix,
                           const tn_tensor *weights, tn_tensor **state) {
  const tn_tensor *gate = tn_param_tensor(call->params, net->gate);
  struct forms h = {0};
  for (uint32_t i = 0; i < net->widths.count; i++) h.x[i] = state[i], state[i] = NULL;
  for (int64_t e = 0; e < net->entries; e++) {
    const int64_t at = k * net->entries + e, i = from_of(net, e), j = to_of(net, e);
    if (!h.x[i] || element(gate, at) == 0 || element(weights, at) < net->prune_below) continue;
    tn_tensor *share = tn_slice(mix, 0, at, at + 1); /* (1) */
    state[j] = apply_entry(&net->operations[at], call, &h, i, share, state[j]);
  }
}

static tn_status cube_apply(void *self, tn_model_call *call) {
  const struct cube *net = self;
  tn_tensor *alpha = tn_param_tensor(call->params, net->alpha), *image = tn_field(call->inputs, net->input);
  tn_tensor *mix = tn_mul(mixture_coefficients(alpha, net->weighting, net->detach_max),
                          tn_param_tensor(call->params, net->gate));
  mix = tn_reshape(mix, TN_SHAPE(net->layers * net->entries));
  tn_tensor *stem =
      unit_norm_apply(&net->stem_norm, call, conv_apply(&net->stem, call->params, image), NULL, NULL, false);
  tn_tensor *state[GRID_WIDTHS], *weights = tn_stop_gradient(tn_softmax(alpha, 1));
  if (tn_failed()) return tn_outcome();
  for (int64_t i = 0, first = 0; i < net->widths.count; first += net->widths.items[i++])
    state[i] = tn_slice(stem, 1, first, first + net->widths.items[i]);
  for (int64_t k = 0; k < net->layers && !tn_failed(); k++) apply_sublayer(net, k, call, mix, weights, state);
  tn_tensor *h = NULL;
  for (uint32_t j = 0; j < net->widths.count; j++)
    if (state[j]) h = sharp_apply(&net->last[j], call, tn_relu(state[j]), NULL, h);
  h = h ? tn_global_mean_pool(h) : tn_zeros(image->dtype, TN_SHAPE(tn_dim(image, 0), net->final));
  tn_fields_set(call->outputs, "features", h);
  tn_fields_set(call->outputs, net->output_name, linear_apply(&net->head, call->params, h));
  return tn_outcome();
}

/* ---- supernet.h ---- */

static tn_status cube_table(void *self, uint32_t i, tn_supernet_table *table) {
  const struct cube *net = self;
  if (i > 0) return TN_ERROR_MISSING;
  *table = (tn_supernet_table){sizeof *table, net->alpha, net->gate, "cube", net->layers, net->entries};
  return TN_OK;
}

static const char *cube_operation(void *self, int64_t o, bool *parameter_free) {
  const struct cube *net = self;
  if (o < 0 || o >= net->entries) return NULL;
  const bool pools = operation_pools(net->kinds[o % net->count]);
  if (parameter_free) *parameter_free = pools && from_of(net, o) == to_of(net, o);
  return net->names[o];
}

static tn_status cube_derive(void *self, const tn_params *params, const char *method, tn_rng *rng,
                             char **genotype) {
  static const char *const methods[] = {"longest", "greedy_top", "greedy_bottom", "random"};
  const struct cube *net = self;
  const tn_tensor *w = tn_softmax(tn_param_tensor(params, net->alpha), 1);
  double *weights = tn_alloc((size_t)(net->layers * net->entries) * sizeof *weights);
  if (!weights) return TN_ERROR_MEMORY;
  for (int64_t i = 0; i < net->layers * net->entries && !tn_failed(); i++) weights[i] = element(w, i);
  const struct grid grid = {net->layers, net->widths.count, net->count, weights};
  struct route route = {0};
  size_t m = 0;
  while (*method && m < TN_ARRAY_LENGTH(methods) && strcmp(method, methods[m]) != 0) m++;
  if (m == 0) route_longest(&grid, &route);
  if (m == 1) route_greedy_top(&grid, &route);
  if (m == 2) route_greedy_bottom(&grid, &route);
  if (m == 3) route_random(&grid, rng, &route);
  tn_free(weights);
  if (m == TN_ARRAY_LENGTH(methods)) {
    const char *near = tn_nearest_name(method, methods, (uint32_t)m);
    return tn_fail(TN_ERROR_INVALID, "no way '%s' to derive a path%s%s%s", method,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
  }
  struct path path = {.layers = net->layers};
  for (int64_t k = 0; k <= net->layers; k++) path.width[k] = net->widths.items[route.at[k]];
  for (int64_t k = 0; k < net->layers; k++) path.kind[k] = net->kinds[route.operation[k]];
  *genotype = path_text(&path);
  return *genotype ? tn_outcome() : TN_ERROR_MEMORY;
}

/* The place of `width` in the grid; -1 if there is none. */
static int64_t width_place(const struct cube *net, int64_t width) {
  for (uint32_t i = 0; i < net->widths.count; i++)
    if (net->widths.items[i] == width) return i;
  tn_fail(TN_ERROR_INVALID, "the supernet has no width %d", (int)width);
  return -1;
}

static tn_status cube_discretise(void *self, tn_params *params, const char *genotype, bool rescale) {
  const struct cube *net = self;
  struct path path;
  if (path_parse(genotype, &path) < 0) return TN_ERROR_INVALID;
  if (path.layers != net->layers)
    return tn_fail(TN_ERROR_INVALID, "a path of %d operations for %d sublayers", (int)path.layers,
                   (int)net->layers);
  tn_tensor *gate = tn_param_tensor(params, net->gate);
  const tn_tensor *c =
      mixture_coefficients(tn_param_tensor(params, net->alpha), net->weighting, net->detach_max);
  if (tn_failed()) return tn_outcome();
  for (int64_t i = 0; i < tn_numel(gate); i++) set_element(gate, i, 0);
  for (int64_t k = 0; k < path.layers; k++) {
    const int64_t i = width_place(net, path.width[k]), j = width_place(net, path.width[k + 1]);
    int64_t o = 0;
    while (o < net->count && net->kinds[o] != path.kind[k]) o++;
    if (o == net->count)
      return tn_fail(TN_ERROR_INVALID, "the supernet has no operation '%s'",
                     path_operation_name(path.kind[k]));
    if (i < 0 || j < 0) return TN_ERROR_INVALID;
    const int64_t at = k * net->entries + (i * net->widths.count + j) * net->count + o;
    set_element(gate, at, rescale ? 1 / element(c, at) : 1);
  }
  return TN_OK;
}

static const void *cube_extension(void *self, const char *id) {
  static const tn_supernet table = {sizeof table, cube_table, cube_operation, cube_derive, cube_discretise};
  (void)self;
  return strcmp(id, TN_SUPERNET) == 0 ? &table : NULL;
}

static const tn_class cube_class = {
    .size = sizeof(tn_class),
    .kind = TN_MODEL,
    .name = "hypercuboid",
    .summary = "A grid of widths in every layer, mixed by operations between all of them, for path search",
    .reference = "Hundt, Jain and Hager 2019, sharpDARTS",
    TN_CLASS_PARAMS(cube_params),
    .instance_size = sizeof(struct cube),
    .vtable = &(const tn_model){sizeof(tn_model), cube_declare, cube_apply},
    .create = cube_create,
    .destroy = cube_destroy,
    .extension = cube_extension};
TN_PLUGIN("model_hypercuboid", "1.0.0", "MIT", &cube_class)
