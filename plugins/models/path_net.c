// SPDX-License-Identifier: MIT
/* The network of a path through the HyperCuboid (Hundt, Jain and Hager 2019, section 3.4), to be trained from
 * scratch: a 3x3 stem, one operation a sublayer, SharpSepConv to `final` channels, mean over the image,
 * linear; normalisation has scale, shift and running statistics. The auxiliary head sits after sublayer
 * floor(2 L / 3). */
#include "auxiliary.h"
#include "path.h"
#include <tenon/cost.h>

struct net {
  const char *input, *output_field, *path;
  const tn_component *of;
  int64_t final, output;
  double norm_momentum, norm_epsilon;
  bool auxiliary;

  struct path steps;
  struct conv stem;
  struct unit_norm stem_norm;
  struct operation operations[PATH_MOST];
  struct sharp_sep_conv last;
  struct linear head;
  struct auxiliary second; /* head */
  const char *output_name;
  double macs;
};
static const tn_param net_params[] = {
    TN_STRING(struct net, path, "", "`WIDTH -> OPERATION WIDTH, ...`, two operations a layer; or give `of`"),
    TN_REFERENCE(struct net, of, 0, "tenon.stage/1", NULL, "the stage whose path it takes"),
    TN_INTEGER(struct net, final, "768", 1, PATH_WIDTH, NULL, "channels in front of the head"),
    TN_BOOL(struct net, auxiliary, "no", "a second head for training, `auxiliary_logits`"),
    TN_STRING(struct net, input, "image", "field to read (channels, height, width)"),
    HEAD_PARAMS(net),
    NORM_PARAMS(net),
};

static tn_status net_create(void *self) {
  struct net *net = self;
  if (!*net->path == !net->of)
    return tn_fail(TN_ERROR_INVALID, "give a path or `of`, a stage that finds one, one of the two");
  return *net->path ? path_parse(net->path, &net->steps) : TN_OK;
}

/* Multiply-adds a pixel of the output; a strided convolution works at its output's size. */
static double sharp_macs(int64_t in, int64_t middle, int64_t out, int64_t kernel) {
  return (double)(kernel * kernel * (in + middle) + in * middle + middle * out);
}
static double operation_macs(const struct operation *o, int64_t in, int64_t out) {
  const struct operation_trait *trait = &operation_traits[o->kind];
  if (operation_pools(o->kind)) return in == out ? 0 : (double)(in * out);
  return sharp_macs(in, trait->choke > 0 ? trait->choke : out * trait->flood, out, trait->kernel);
}

static tn_status declare_steps(struct net *net, tn_declaration *d, const tn_field_spec *image,
                               int64_t outputs) {
  const struct style style = {true, true, net->norm_momentum, net->norm_epsilon};
  const struct path *path = &net->steps;
  int64_t height = image->shape.dim[1], width = image->shape.dim[2], in = image->shape.dim[0];
  char name[56];
  net->stem = plain_conv(d, "stem", in, path->width[0], 3, conv_geometry(1, 1));
  net->stem_norm = unit_norm_declare(d, "stem_norm", &style, path->width[0]);
  net->macs = (double)(9 * in * path->width[0] * height * width);
  for (int64_t k = 0; k < path->layers; k++) {
    const int64_t stride = 1 + k % 2, from = path->width[k], to = path->width[k + 1];
    snprintf(name, sizeof name, "layers.%d.%d.%d.%s", (int)k, (int)from, (int)to,
             path_operation_name(path->kind[k]));
    net->operations[k] = operation_declare(d, name, &style, path->kind[k], from, to, stride);
    height = (height + stride - 1) / stride;
    width = (width + stride - 1) / stride;
    net->macs += operation_macs(&net->operations[k], from, to) * (double)(height * width);
    if (!net->auxiliary || k != 2 * path->layers / 3) continue;
    const tn_status status = auxiliary_declare(&net->second, d, &style, to, height, width, outputs);
    if (status < 0) return status;
  }
  const int64_t last = path->width[path->layers];
  snprintf(name, sizeof name, "final.%d", (int)last);
  net->last = sharp_declare(d, name, &style, last, net->final, net->final, 3, 1, 1);
  net->head = linear_declare(d, "head", net->final, outputs, true, tn_init_of(TN_INIT_LECUN_UNIFORM, 1));
  net->macs +=
      sharp_macs(last, net->final, net->final, 3) * (double)(height * width) + (double)(net->final * outputs);
  return TN_OK;
}

static tn_status net_declare(void *self, const tn_spec *inputs, tn_declaration *d) {
  struct net *net = self;
  const tn_field_spec *image = image_input(inputs, net->input);
  if (!image) return TN_ERROR_SHAPE;
  net->output_name = net->output_field;
  const int64_t outputs = head_width(inputs, net->output, &net->output_name);
  if (outputs < 1) return TN_ERROR_MISSING;
  tn_declare_output(d, "features", TN_FLOAT, TN_SHAPE(net->final), 0);
  tn_declare_output(d, net->output_name, TN_FLOAT, TN_SHAPE(outputs), 0);
  const char *text = net->of ? tn_published_text(net->of, "genotype") : net->path;
  if (!text) {
    if (net->auxiliary) auxiliary_output(d, outputs);
    return tn_declare_later();
  }
  if (path_parse(text, &net->steps) < 0) return TN_ERROR_INVALID;
  return declare_steps(net, d, image, outputs);
}

static tn_status net_apply(void *self, tn_model_call *call) {
  const struct net *net = self;
  tn_tensor *h = conv_apply(&net->stem, call->params, tn_field(call->inputs, net->input));
  h = unit_norm_apply(&net->stem_norm, call, h, NULL, NULL, false);
  for (int64_t k = 0; k < net->steps.layers; k++) {
    const struct operation *o = &net->operations[k];
    tn_tensor *positive = operation_pools(o->kind) ? NULL : tn_relu(h);
    h = operation_apply(o, call, h, positive, NULL, NULL);
    if (net->auxiliary && k == 2 * net->steps.layers / 3)
      tn_fields_set(call->outputs, "auxiliary_logits", auxiliary_apply(&net->second, call, h));
  }
  h = tn_global_mean_pool(sharp_apply(&net->last, call, tn_relu(h), NULL, NULL));
  tn_fields_set(call->outputs, "features", h);
  tn_fields_set(call->outputs, net->output_name, linear_apply(&net->head, call->params, h));
  return tn_outcome();
}

static double net_macs(void *self) { return ((const struct net *)self)->macs; }
static const void *net_extension(void *self, const char *id) {
  static const tn_cost cost = {sizeof cost, net_macs};
  (void)self;
  return strcmp(id, TN_COST) == 0 ? &cost : NULL;
}

static const tn_class net_class = {.size = sizeof(tn_class),
                                   .kind = TN_MODEL,
                                   .name = "path_net",
                                   .summary = "The network of a path found in a HyperCuboid",
                                   .reference = "Hundt, Jain and Hager 2019, sharpDARTS",
                                   TN_CLASS_PARAMS(net_params),
                                   .instance_size = sizeof(struct net),
                                   .vtable = &(const tn_model){sizeof(tn_model), net_declare, net_apply},
                                   .create = net_create,
                                   .extension = net_extension};
TN_PLUGIN("model_path_net", "1.0.0", "MIT", &net_class)
