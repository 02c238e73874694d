// SPDX-License-Identifier: MIT
/* The network of a genotype (Liu, Simonyan and Yang 2018, section 3.3): cells with two operations a node,
 * each with normalisation of its own, drop path (Zoph et al. 2018: a sample's whole branch is left out with
 * probability p, which grows from 0 to `drop_path` over the training; never an identity), and an auxiliary
 * head after cell floor(2 L / 3), whose logits are the field `auxiliary_logits`. */
#include "auxiliary.h"
#include "cell.h"

struct cell {
  struct frame frame;
  struct operation operations[2 * CELL_NODES];
};
struct net {
  const char *input, *output_field, *genotype;
  const tn_component *of;
  int64_t channels, cells, stem_multiplier, output;
  tn_integers reductions;
  int32_t block;
  double drop_path, norm_momentum, norm_epsilon;
  bool auxiliary;

  struct genotype genes;
  struct conv stem;
  struct unit_norm stem_norm;
  struct cell *list;
  struct linear head;
  struct auxiliary second; /* head */
  const char *output_name;
};
static const tn_param net_params[] = {
    TN_STRING(struct net, genotype, "",
              "`normal = OPERATION:FROM ..., reduce = ...`, two entries a node; or give `of`"),
    TN_REFERENCE(struct net, of, 0, "tenon.stage/1", NULL, "the stage whose genotype it takes"),
    TN_INTEGER(struct net, channels, "36", 1, 1 << 16, NULL, "channels of a node in the first cells"),
    TN_INTEGER(struct net, cells, "20", 1, CELL_MOST, NULL, "cells"),
    TN_INTEGERS(struct net, reductions, "", 0, CELL_MOST,
                "cells that halve the size, from 0; empty: those a third and two thirds of the way"),
    TN_INTEGER(struct net, stem_multiplier, "3", 1, 64, NULL, "channels of the stem, times `channels`"),
    TN_CHOICE(struct net, block, "sepconv", "sepconv|sharp",
              "dilated convolutions have one half, or two as in sharpDARTS"),
    TN_PARAM_(struct net, drop_path, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0.2", 0, 1, NULL, NULL, NULL,
              "probability of leaving a branch out at the end of the training"),
    TN_BOOL(struct net, auxiliary, "no", "a second head for training, `auxiliary_logits`"),
    TN_STRING(struct net, input, "image", "field to read (channels, height, width)"),
    HEAD_PARAMS(net),
    NORM_PARAMS(net),
};

static tn_status net_create(void *self) {
  const struct net *net = self;
  if (!*net->genotype == !net->of)
    return tn_fail(TN_ERROR_INVALID, "give a genotype or `of`, a stage that finds one, one of the two");
  struct genotype g = {0};
  return *net->genotype ? genotype_parse(net->genotype, &g) : TN_OK;
}

static void declare_cell(struct net *net, struct cell *cell, tn_declaration *d, const struct style *style,
                         int64_t index, int64_t before_last, int64_t last) {
  const int64_t channels = cell->frame.channels;
  char name[56], frame[24];
  snprintf(frame, sizeof frame, "cells.%d", (int)index);
  frame_declare(&cell->frame, d, frame, style, before_last, last, index == 0);
  for (int64_t i = 0; i < 2 * net->genes.nodes; i++) {
    const struct gene *gene = &net->genes.genes[cell->frame.kind][i];
    const int64_t stride = cell->frame.kind == CELL_REDUCE && gene->from < 2 ? 2 : 1;
    snprintf(name, sizeof name, "cells.%d.edges.%d.%s", (int)index, (int)cell_edge(i / 2, gene->from),
             operation_traits[gene->operation].name);
    cell->operations[i] = operation_declare(d, name, style, gene->operation, channels, channels, stride);
  }
}

/* On what comes out of cell floor(2 L / 3). */
static tn_status declare_auxiliary(struct net *net, tn_declaration *d, const struct style *style,
                                   const tn_field_spec *image, int64_t in, int64_t width) {
  int64_t side[2] = {image->shape.dim[1], image->shape.dim[2]};
  for (int i = 0; i < 2; i++)
    for (int64_t c = 0; c <= 2 * net->cells / 3; c++)
      if (net->list[c].frame.kind == CELL_REDUCE) side[i] = (side[i] + 1) / 2;
  return auxiliary_declare(&net->second, d, style, in, side[0], side[1], width);
}

static tn_status net_declare(void *self, const tn_spec *inputs, tn_declaration *d) {
  struct net *net = self;
  const tn_field_spec *image = image_input(inputs, net->input);
  if (!image) return TN_ERROR_SHAPE;
  net->output_name = net->output_field;
  const int64_t width = head_width(inputs, net->output, &net->output_name);
  if (width < 1) return TN_ERROR_MISSING;
  tn_declare_output(d, net->output_name, TN_FLOAT, TN_SHAPE(width), 0);
  const char *text = net->of ? tn_published_text(net->of, "genotype") : net->genotype;
  if (!text) {
    if (net->auxiliary) auxiliary_output(d, width);
    return tn_declare_later();
  }
  if (genotype_parse(text, &net->genes) < 0) return TN_ERROR_INVALID;
  tn_free(net->list);
  net->list = tn_alloc((size_t)net->cells * sizeof *net->list);
  if (!net->list) return TN_ERROR_MEMORY;

  const struct style style = {true, net->block == 1, net->norm_momentum, net->norm_epsilon};
  int64_t channels = net->channels, before_last = net->stem_multiplier * channels, last = before_last;
  net->stem = plain_conv(d, "stem", image->shape.dim[0], last, 3, conv_geometry(1, 1));
  net->stem_norm = unit_norm_declare(d, "stem_norm", &style, last);
  for (int64_t c = 0; c < net->cells; c++) {
    struct frame *frame = &net->list[c].frame;
    frame->kind = cell_reduces(net->reductions, net->cells, c) ? CELL_REDUCE : CELL_NORMAL;
    frame->after_reduction = c > 0 && net->list[c - 1].frame.kind == CELL_REDUCE;
    frame->channels = channels *= frame->kind == CELL_REDUCE ? 2 : 1;
    declare_cell(net, &net->list[c], d, &style, c, before_last, last);
    before_last = last;
    last = net->genes.nodes * channels;
    if (!net->auxiliary || c != 2 * net->cells / 3) continue;
    const tn_status status = declare_auxiliary(net, d, &style, image, last, width);
    if (status < 0) return status;
  }
  net->head = linear_declare(d, "head", last, width, true, tn_init_of(TN_INIT_LECUN_UNIFORM, 1));
  return TN_OK;
}

/* total + o(x), where drop path may take o(x) of some samples out. */
static tn_tensor *branch(const struct net *net, const struct operation *o, tn_model_call *call, tn_tensor *x,
                         tn_tensor *positive, tn_tensor *total) {
  const tn_progress *at = &call->progress;
  const double p = at->epochs > 0 ? net->drop_path * at->epoch / at->epochs : net->drop_path;
  const bool identity = o->kind == OPERATION_NONE || (o->kind == OPERATION_SKIP && o->stride == 1);
  if (at->mode != TN_TRAIN || p <= 0 || identity) return operation_apply(o, call, x, positive, NULL, total);
  tn_tensor *y = operation_apply(o, call, x, positive, NULL, NULL);
  if (tn_poisoned(y)) return y;
  tn_tensor *kept = tn_bernoulli(call->rng, y->dtype, TN_SHAPE(tn_dim(y, 0), 1, 1, 1), 1 - p);
  y = tn_mul(y, tn_scale(kept, 1 / (1 - p)));
  return total ? tn_add(total, y) : y;
}

static tn_tensor *apply_cell(const struct net *net, const struct cell *cell, tn_model_call *call,
                             tn_tensor *before_last, tn_tensor *last) {
  tn_tensor *states[2 + CELL_NODES], *positive[2 + CELL_NODES];
  frame_apply(&cell->frame, call, before_last, last, states);
  for (int i = 0; i < 2; i++) positive[i] = tn_relu(states[i]);
  if (tn_failed()) return states[0];
  for (int64_t node = 0; node < net->genes.nodes; node++) {
    tn_tensor *total = NULL;
    for (int64_t i = 2 * node; i < 2 * node + 2; i++) {
      const int64_t from = net->genes.genes[cell->frame.kind][i].from;
      total = branch(net, &cell->operations[i], call, states[from], positive[from], total);
    }
    states[2 + node] = total ? total : cell_zeros(states[0], cell->frame.kind == CELL_REDUCE);
    positive[2 + node] = tn_relu(states[2 + node]);
  }
  return tn_concatenate(states + 2, (uint32_t)net->genes.nodes, 1);
}

static tn_status net_apply(void *self, tn_model_call *call) {
  const struct net *net = self;
  tn_tensor *h = conv_apply(&net->stem, call->params, tn_field(call->inputs, net->input));
  tn_tensor *last = unit_norm_apply(&net->stem_norm, call, h, NULL, NULL, false), *before_last = last;
  for (int64_t c = 0; c < net->cells && !tn_failed(); c++) {
    tn_tensor *next = apply_cell(net, &net->list[c], call, before_last, last);
    before_last = last;
    last = next;
    if (net->auxiliary && c == 2 * net->cells / 3)
      tn_fields_set(call->outputs, "auxiliary_logits", auxiliary_apply(&net->second, call, last));
  }
  last = tn_global_mean_pool(last);
  tn_fields_set(call->outputs, net->output_name, linear_apply(&net->head, call->params, last));
  return tn_outcome();
}

static void net_destroy(void *self) { tn_free(((struct net *)self)->list); }

static const tn_class net_class = {
    .size = sizeof(tn_class),
    .kind = TN_MODEL,
    .name = "genotype_net",
    .summary = "The network of a genotype found by architecture search",
    .reference = "Liu, Simonyan and Yang 2018, DARTS: Differentiable Architecture Search",
    TN_CLASS_PARAMS(net_params),
    .instance_size = sizeof(struct net),
    .vtable = &(const tn_model){sizeof(tn_model), net_declare, net_apply},
    .create = net_create,
    .destroy = net_destroy};
TN_PLUGIN("model_genotype_net", "1.0.0", "MIT", &net_class)
