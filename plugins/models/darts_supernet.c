// SPDX-License-Identifier: MIT
/* The relaxed network of differentiable architecture search (Liu, Simonyan and Yang 2018): a stack of cells
 * in which every edge mixes all candidate operations,
 *   node_i = sum_{j < i} sum_o c_o(alpha_ij) o(node_j)
 * weighting scalar: c_o = w_o, w = softmax(alpha_ij); max_w (Hundt et al. 2019): c_o = 1 - max w + w_o.
 * Normalisation is always by the batch, without scale and shift. The architecture parameters are the entries
 * alpha.normal and alpha.reduce, (edges, operations), shared by all cells of a kind; gates as supernet.h
 * says.
 */
#include "cell.h"
#include "mixture.h"
#include <tenon/supernet.h>

struct cell {
  struct frame frame;
  struct operation *operations; /* (edges, operations) */
};
struct supernet {
  const char *input, *output_field;
  int64_t channels, cells, nodes, stem_multiplier, output;
  tn_integers reductions;
  tn_strings ops;
  int32_t block, weighting;
  bool detach_max, keep_none;

  int32_t kinds[OPERATION_COUNT];
  int64_t count, edges; /* operations an edge; edges a cell */
  struct conv stem;
  struct unit_norm stem_norm;
  struct cell *list;
  struct linear head;
  uint32_t alpha[CELL_KINDS], gate[CELL_KINDS];
  const char *output_name;
};
static const tn_param supernet_params[] = {
    TN_INTEGER(struct supernet, channels, "16", 1, 1 << 16, NULL, "channels of a node in the first cells"),
    TN_INTEGER(struct supernet, cells, "8", 1, CELL_MOST, NULL, "cells"),
    TN_INTEGERS(struct supernet, reductions, "", 0, CELL_MOST,
                "cells that halve the size, from 0; empty: those a third and two thirds of the way"),
    TN_INTEGER(struct supernet, nodes, "4", 1, CELL_NODES, NULL, "nodes a cell"),
    TN_INTEGER(struct supernet, stem_multiplier, "3", 1, 64, NULL, "channels of the stem, times `channels`"),
    TN_STRINGS(struct supernet, ops, "darts", "candidates of an edge: darts, sharp, or their names"),
    TN_CHOICE(struct supernet, block, "sepconv", "sepconv|sharp",
              "dilated convolutions have one half, or two as in sharpDARTS"),
    TN_CHOICE(struct supernet, weighting, "scalar", "scalar|max_w", "coefficients of the operations"),
    TN_BOOL(struct supernet, detach_max, "no", "max_w: no gradient through the maximum"),
    TN_BOOL(struct supernet, keep_none, "no", "`none` may win an edge of the genotype"),
    TN_STRING(struct supernet, input, "image", "field to read (channels, height, width)"),
    HEAD_PARAMS(supernet),
};

static tn_status choose_operations(struct supernet *net) {
  net->count = 0;
  const bool darts = net->ops.count == 1 && strcmp(net->ops.items[0], "darts") == 0;
  const bool sharp = net->ops.count == 1 && strcmp(net->ops.items[0], "sharp") == 0;
  for (int32_t k = 0; (darts || sharp) && k < OPERATION_COUNT; k++) {
    const bool five = operation_traits[k].kernel == 5;
    if (darts ? k <= OPERATION_DILATED_5 : !five && k != OPERATION_MEAN_POOL) net->kinds[net->count++] = k;
  }
  if (sharp) net->block = 1;
  for (uint32_t i = 0; !darts && !sharp && i < net->ops.count; i++) {
    const int32_t kind = operation_named(net->ops.items[i]);
    if (kind == OPERATION_COUNT) return TN_ERROR_INVALID;
    for (int64_t j = 0; j < net->count; j++)
      if (net->kinds[j] == kind)
        return tn_fail(TN_ERROR_INVALID, "operation '%s' is listed twice", net->ops.items[i]);
    net->kinds[net->count++] = kind;
  }
  if (net->count == 0 || (net->count == 1 && net->kinds[0] == OPERATION_NONE))
    return tn_fail(TN_ERROR_INVALID, "ops: an edge needs an operation other than none");
  return TN_OK;
}

static tn_status supernet_create(void *self) {
  struct supernet *net = self;
  net->edges = cell_edges(net->nodes);
  return choose_operations(net);
}

static void supernet_release(struct supernet *net) {
  for (int64_t c = 0; net->list && c < net->cells; c++) tn_free(net->list[c].operations);
  tn_free(net->list);
  net->list = NULL;
}
static void supernet_destroy(void *self) { supernet_release(self); }

static tn_status declare_cell(struct supernet *net, struct cell *cell, tn_declaration *d, int64_t index,
                              int64_t before_last, int64_t last) {
  const struct style style = {.sharp = net->block == 1, .epsilon = 1e-5};
  const int64_t channels = cell->frame.channels;
  char name[56], frame[24];
  snprintf(frame, sizeof frame, "cells.%d", (int)index);
  frame_declare(&cell->frame, d, frame, &style, before_last, last, index == 0);
  cell->operations = tn_alloc((size_t)(net->edges * net->count) * sizeof *cell->operations);
  if (!cell->operations) return TN_ERROR_MEMORY;
  for (int64_t node = 0; node < net->nodes; node++)
    for (int64_t from = 0; from < 2 + node; from++)
      for (int64_t o = 0; o < net->count; o++) {
        const int64_t edge = cell_edge(node, from),
                      stride = cell->frame.kind == CELL_REDUCE && from < 2 ? 2 : 1;
        snprintf(name, sizeof name, "cells.%d.edges.%d.%s", (int)index, (int)edge,
                 operation_traits[net->kinds[o]].name);
        cell->operations[edge * net->count + o] =
            operation_declare(d, name, &style, net->kinds[o], channels, channels, stride);
      }
  return TN_OK;
}

static tn_status supernet_declare(void *self, const tn_spec *inputs, tn_declaration *d) {
  struct supernet *net = self;
  const tn_field_spec *image = image_input(inputs, net->input);
  if (!image) return TN_ERROR_SHAPE;
  net->output_name = net->output_field;
  const int64_t width = head_width(inputs, net->output, &net->output_name);
  if (width < 1) return TN_ERROR_MISSING;
  supernet_release(net);
  net->list = tn_alloc((size_t)net->cells * sizeof *net->list);
  if (!net->list) return TN_ERROR_MEMORY;

  const struct style style = {.epsilon = 1e-5};
  int64_t channels = net->channels, before_last = net->stem_multiplier * channels, last = before_last;
  net->stem = plain_conv(d, "stem", image->shape.dim[0], last, 3, conv_geometry(1, 1));
  net->stem_norm = unit_norm_declare(d, "stem_norm", &style, last);
  for (int64_t c = 0; c < net->cells; c++) {
    struct frame *frame = &net->list[c].frame;
    frame->kind = cell_reduces(net->reductions, net->cells, c) ? CELL_REDUCE : CELL_NORMAL;
    frame->after_reduction = c > 0 && net->list[c - 1].frame.kind == CELL_REDUCE;
    frame->channels = channels *= frame->kind == CELL_REDUCE ? 2 : 1;
    const tn_status status = declare_cell(net, &net->list[c], d, c, before_last, last);
    if (status < 0) return status;
    before_last = last;
    last = net->nodes * channels;
  }
  net->head = linear_declare(d, "head", last, width, true, tn_init_of(TN_INIT_LECUN_UNIFORM, 1));
  const tn_shape shape = TN_SHAPE(net->edges, net->count);
  for (int k = 0; k < CELL_KINDS; k++) {
    net->alpha[k] =
        declare_named(d, "alpha", cell_names[k], shape, TN_DECAY, tn_init_of(TN_INIT_NORMAL, 1e-3));
    net->gate[k] = declare_named(d, "gate", cell_names[k], shape, TN_FIXED, tn_init_ones());
  }
  tn_declare_output(d, "features", TN_FLOAT, TN_SHAPE(last), 0);
  tn_declare_output(d, net->output_name, TN_FLOAT, TN_SHAPE(width), 0);
  return TN_OK;
}

/* ---- apply ---- */

/* alpha (edges, operations) -> coefficients, gated. */
static tn_tensor *coefficients(const struct supernet *net, const tn_params *params, int kind) {
  tn_tensor *alpha = tn_param_tensor(params, net->alpha[kind]);
  return tn_mul(mixture_coefficients(alpha, net->weighting, net->detach_max),
                tn_param_tensor(params, net->gate[kind]));
}

static tn_tensor *apply_cell(const struct supernet *net, const struct cell *cell, tn_model_call *call,
                             tn_tensor *before_last, tn_tensor *last, tn_tensor *mix) {
  const tn_tensor *gate = tn_param_tensor(call->params, net->gate[cell->frame.kind]);
  tn_tensor *states[2 + CELL_NODES], *positive[2 + CELL_NODES];
  frame_apply(&cell->frame, call, before_last, last, states);
  for (int i = 0; i < 2; i++) positive[i] = tn_relu(states[i]);
  if (tn_failed()) return states[0];
  for (int64_t node = 0; node < net->nodes; node++) {
    tn_tensor *total = NULL;
    for (int64_t from = 0; from < 2 + node; from++) {
      const int64_t edge = cell_edge(node, from);
      for (int64_t o = 0; o < net->count; o++) {
        const int64_t at = edge * net->count + o;
        if (net->kinds[o] == OPERATION_NONE || element(gate, at) == 0) continue;
        tn_tensor *share = tn_slice(mix, 0, at, at + 1); /* (1) */
        total = operation_apply(&cell->operations[at], call, states[from], positive[from], share, total);
      }
    }
    states[2 + node] = total ? total : cell_zeros(states[0], cell->frame.kind == CELL_REDUCE);
    positive[2 + node] = tn_relu(states[2 + node]);
  }
  return tn_concatenate(states + 2, (uint32_t)net->nodes, 1);
}

static tn_status supernet_apply(void *self, tn_model_call *call) {
  const struct supernet *net = self;
  tn_tensor *mix[CELL_KINDS]; /* (edges * operations) */
  for (int k = 0; k < CELL_KINDS; k++)
    mix[k] = tn_reshape(coefficients(net, call->params, k), TN_SHAPE(net->edges * net->count));
  tn_tensor *h = conv_apply(&net->stem, call->params, tn_field(call->inputs, net->input));
  tn_tensor *last = unit_norm_apply(&net->stem_norm, call, h, NULL, NULL, false), *before_last = last;
  for (int64_t c = 0; c < net->cells && !tn_failed(); c++) {
    tn_tensor *next = apply_cell(net, &net->list[c], call, before_last, last, mix[net->list[c].frame.kind]);
    before_last = last;
    last = next;
  }
  last = tn_global_mean_pool(last);
  tn_fields_set(call->outputs, "features", last);
  tn_fields_set(call->outputs, net->output_name, linear_apply(&net->head, call->params, last));
  return tn_outcome();
}

/* ---- supernet.h ---- */

static tn_status supernet_table(void *self, uint32_t i, tn_supernet_table *table) {
  const struct supernet *net = self;
  if (i >= CELL_KINDS) return TN_ERROR_MISSING;
  *table =
      (tn_supernet_table){sizeof *table, net->alpha[i], net->gate[i], cell_names[i], net->edges, net->count};
  return TN_OK;
}

static const char *supernet_operation(void *self, int64_t o, bool *parameter_free) {
  const struct supernet *net = self;
  if (o < 0 || o >= net->count) return NULL;
  if (parameter_free) *parameter_free = operation_parameter_free(net->kinds[o]);
  return operation_traits[net->kinds[o]].name;
}

/* Of each node the two edges whose strongest operation is strongest (ties: the lower index), each with that
 * operation. */
static void strongest(const struct supernet *net, const tn_tensor *w, int64_t node, struct gene *genes) {
  double best[2] = {-1, -1};
  for (int64_t from = 0; from < 2 + node; from++) {
    struct gene gene = {0, from};
    double most = -1;
    for (int64_t o = 0; o < net->count; o++) {
      const double value = element(w, cell_edge(node, from) * net->count + o);
      if ((net->kinds[o] == OPERATION_NONE && !net->keep_none) || value <= most) continue;
      most = value;
      gene.operation = net->kinds[o];
    }
    const int place = most > best[0] ? 0 : most > best[1] ? 1 : 2;
    if (place == 0) genes[1] = genes[0], best[1] = best[0];
    if (place < 2) genes[place] = gene, best[place] = most;
  }
  if (genes[0].from > genes[1].from) {
    const struct gene swap = genes[0];
    genes[0] = genes[1];
    genes[1] = swap;
  }
}

static void draw(const struct supernet *net, tn_rng *rng, int64_t node, struct gene *genes) {
  genes[0].from = (int64_t)tn_random_below(rng, (uint64_t)(2 + node));
  genes[1].from = (int64_t)tn_random_below(rng, (uint64_t)(1 + node));
  if (genes[1].from >= genes[0].from) genes[1].from++;
  for (int i = 0; i < 2; i++) do {
      genes[i].operation = net->kinds[tn_random_below(rng, (uint64_t)net->count)];
    } while (genes[i].operation == OPERATION_NONE);
}

static tn_status supernet_derive(void *self, const tn_params *params, const char *method, tn_rng *rng,
                                 char **genotype) {
  const struct supernet *net = self;
  struct genotype g = {.nodes = net->nodes};
  const bool random = strcmp(method, "random") == 0;
  if (*method && !random && strcmp(method, "strongest") != 0)
    return tn_fail(TN_ERROR_INVALID, "no way '%s' to derive a cell; expected strongest or random", method);
  for (int k = 0; k < CELL_KINDS; k++) {
    const tn_tensor *w = tn_softmax(tn_param_tensor(params, net->alpha[k]), 1);
    for (int64_t node = 0; node < net->nodes && !tn_failed(); node++) {
      struct gene *genes = &g.genes[k][2 * node];
      if (random)
        draw(net, rng, node, genes);
      else
        strongest(net, w, node, genes);
    }
  }
  *genotype = genotype_text(&g);
  return *genotype ? tn_outcome() : TN_ERROR_MEMORY;
}

static tn_status supernet_discretise(void *self, tn_params *params, const char *genotype, bool rescale) {
  const struct supernet *net = self;
  struct genotype g = {0};
  tn_status status = genotype_parse(genotype, &g);
  if (status < 0) return status;
  if (g.nodes != net->nodes)
    return tn_fail(TN_ERROR_INVALID, "a genotype of %d nodes for cells of %d", (int)g.nodes, (int)net->nodes);
  for (int k = 0; k < CELL_KINDS; k++) {
    tn_tensor *gate = tn_param_tensor(params, net->gate[k]);
    for (int64_t i = 0; i < tn_numel(gate); i++) set_element(gate, i, 1);
    const tn_tensor *c = coefficients(net, params, k);
    if (tn_failed()) return tn_outcome();
    for (int64_t i = 0; i < tn_numel(gate); i++) set_element(gate, i, 0);
    for (int64_t i = 0; i < 2 * g.nodes; i++) {
      const struct gene *gene = &g.genes[k][i];
      int64_t o = 0;
      while (o < net->count && net->kinds[o] != gene->operation) o++;
      if (o == net->count)
        return tn_fail(TN_ERROR_INVALID, "the supernet has no operation '%s'",
                       operation_traits[gene->operation].name);
      const int64_t at = cell_edge(i / 2, gene->from) * net->count + o;
      set_element(gate, at, rescale ? 1 / element(c, at) : 1);
    }
  }
  return TN_OK;
}

static const void *supernet_extension(void *self, const char *id) {
  static const tn_supernet table = {sizeof table, supernet_table, supernet_operation, supernet_derive,
                                    supernet_discretise};
  (void)self;
  return strcmp(id, TN_SUPERNET) == 0 ? &table : NULL;
}

static const tn_class supernet_class = {
    .size = sizeof(tn_class),
    .kind = TN_MODEL,
    .name = "darts_supernet",
    .summary = "Cells whose edges mix all candidate operations, for architecture search",
    .reference = "Liu, Simonyan and Yang 2018, DARTS; Hundt, Jain and Hager 2019, sharpDARTS",
    TN_CLASS_PARAMS(supernet_params),
    .instance_size = sizeof(struct supernet),
    .vtable = &(const tn_model){sizeof(tn_model), supernet_declare, supernet_apply},
    .create = supernet_create,
    .destroy = supernet_destroy,
    .extension = supernet_extension};
TN_PLUGIN("model_darts_supernet", "1.0.0", "MIT", &supernet_class)
