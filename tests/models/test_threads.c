// SPDX-License-Identifier: MIT
/* Every family of models gives the same outputs, gradients and running statistics, bit for bit, on 1, 2 and 4
 * threads; at sizes where the work is shared among them. */
#include "support.h"

#include <omp.h>

TestSuite(threads, .fini = harness_close);

#ifdef __SANITIZE_ADDRESS__
enum { COUNT = 3 }; /* sanitizers are slow, and look at memory, not at bits */
#else
enum { COUNT = 16 };
#endif
enum { SIDE = 16, T = 32, V = 24, D = 48, CLASSES = 10, NODES = 20 };

static tn_tensor *numbers(tn_shape shape, int64_t below) {
  tn_tensor *x = tn_empty(TN_I64, shape);
  for (int64_t i = 0; i < tn_numel(x); i++) tn_i64(x)[i] = i * 7919 % 104729 % below;
  return x;
}

static void describe_images(tn_spec *spec) {
  tn_spec_set(spec, "image", TN_FLOAT, TN_SHAPE(3, SIDE, SIDE), 0);
  tn_spec_set(spec, "time", TN_FLOAT, (tn_shape){0, {0}}, 0);
  tn_spec_set(spec, "noise", TN_FLOAT, TN_SHAPE(D), 0);
  tn_spec_set(spec, "label", TN_I64, (tn_shape){0, {0}}, CLASSES);
}
static tn_fields *image_rows(int64_t first, int64_t count) {
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "image", waves(TN_SHAPE(count, 3, SIDE, SIDE), first));
  tn_fields_set(fields, "time", waves(TN_SHAPE(count), first));
  tn_fields_set(fields, "noise", waves(TN_SHAPE(count, D), first));
  tn_fields_set(fields, "label", numbers(TN_SHAPE(count), CLASSES));
  return fields;
}

static void describe_text(tn_spec *spec) {
  tn_spec_set(spec, "tokens", TN_I64, TN_SHAPE(T), V);
  tn_spec_set(spec, "label", TN_I64, TN_SHAPE(T), V);
}
static tn_fields *text_rows(int64_t first, int64_t count) {
  (void)first;
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "tokens", numbers(TN_SHAPE(count, T), V));
  tn_fields_set(fields, "label", numbers(TN_SHAPE(count, T), V));
  return fields;
}

static void describe_graphs(tn_spec *spec) {
  const tn_field_spec node = {sizeof node, TN_FLOAT, TN_SHAPE(-1, D), 0, true};
  const tn_field_spec edge = {sizeof edge, TN_I64, TN_SHAPE(-1, 2), 0, true};
  tn_sdk.data->spec_set(spec, "node", &node);
  tn_sdk.data->spec_set(spec, "edge", &edge);
  tn_spec_set(spec, "label", TN_I64, (tn_shape){0, {0}}, CLASSES);
}
/* Rings of NODES nodes with a chord from each. */
static tn_fields *graph_rows(int64_t first, int64_t count) {
  tn_tensor *offset = tn_empty(TN_I64, TN_SHAPE(count + 1)),
            *edges = tn_empty(TN_I64, TN_SHAPE(2 * NODES * count, 2));
  tn_tensor *edge_offset = tn_empty(TN_I64, TN_SHAPE(count + 1));
  for (int64_t i = 0; i <= count; i++) tn_i64(offset)[i] = NODES * i, tn_i64(edge_offset)[i] = 2 * NODES * i;
  for (int64_t i = 0; i < NODES * count; i++) {
    int64_t *edge = tn_i64(edges) + 4 * i, at = i % NODES;
    edge[0] = edge[2] = at;
    edge[1] = (at + 1) % NODES, edge[3] = (at + 7) % NODES;
  }
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "node", waves(TN_SHAPE(NODES * count, D), first));
  tn_fields_set(fields, "node.offset", offset);
  tn_fields_set(fields, "edge", edges);
  tn_fields_set(fields, "edge.offset", edge_offset);
  return fields;
}

static const data images = {describe_images, image_rows}, text = {describe_text, text_rows},
                  graphs = {describe_graphs, graph_rows};

typedef struct family {
  const char *keys;
  const data *inputs;
  const char *field;
} family;
static const family families[] = {
    {"use = model.mlp\ninput = noise\nhidden = 256, 256", &images, "logits"},
    {"use = model.cnn\nlayers = conv 32 3, bn, relu, maxpool 2, conv 32 3, bn, relu, flatten, linear 64, "
     "relu",
     &images, "logits"},
    {"use = model.resnet\ndepth = 8\nwidth = 16", &images, "logits"},
    {"use = model.vit\npatch = 4\nlayers = 2\nwidth = 64\nheads = 4", &images, "logits"},
    {"use = model.unet\nwidth = 16\ngroups = 4\nmultipliers = 1, 2\nzero_init = no", &images, "output"},
    {"use = model.dcgan_generator\nwidth = 16", &images, "image"},
    {"use = model.dcgan_discriminator\nwidth = 16", &images, "logits"},
    {"use = model.darts_supernet\nchannels = 4\ncells = 3\nnodes = 2", &images, "logits"},
    {"use = model.hypercuboid\nwidths = 4, 8\nlayers = 2\nfinal = 16", &images, "logits"},
    {"use = model.path_net\nfinal = 32\npath = 8 -> sharp_sep_conv 16, resizable_pool 32", &images, "logits"},
    {"use = model.gpt\nlayers = 2\nwidth = 64\nheads = 4\ndropout = 0.1", &text, "logits"},
    {"use = model.gru\nwidth = 64", &text, "logits"},
    {"use = model.lstm\nwidth = 64", &text, "logits"},
    {"use = model.gin\nwidth = 64", &graphs, "logits"},
    {"use = model.gcn\nwidth = 64", &graphs, "logits"},
    {"use = model.gat\nwidth = 64", &graphs, "logits"},
    {"use = model.graph_sage\nwidth = 64", &graphs, "logits"},
};

/* Adds a tensor's bytes to a hash (FNV-1a, 64 bits). */
static uint64_t mixed(uint64_t hash, const tn_tensor *t) {
  const unsigned char *bytes = tn_data(t);
  const size_t count = (size_t)tn_numel(t) * (t->dtype == TN_F64 ? 8 : 4);
  for (size_t i = 0; i < count; i++) hash = (hash ^ bytes[i]) * 1099511628211u;
  return hash;
}

/* Of a training step's output, gradients and new running statistics. */
static uint64_t step_bits(const tn_component *model, const family *f) {
  static tn_buffer_update updates[256];
  tn_scope_open();
  tn_model_call call = {.updates = updates};
  tn_fields *rows = f->inputs->rows(0, COUNT);
  tn_tensor *y = tn_field(apply(model, rows, TN_TRAIN, &call), f->field);
  cr_assert(y && !tn_poisoned(y), "%s: %s", f->keys, harness_failure());
  tn_params *params = tn_parameters(model), *gradient = tn_params_like(params);
  cr_assert(tn_grad_params(tn_mean(tn_square(y)), params, gradient) >= 0, "%s: %s", f->keys,
            harness_failure());
  uint64_t hash = mixed(14695981039346656037u, y);
  for (uint32_t p = 0; p < tn_params_count(params); p++) {
    const tn_tensor *g = tn_param_tensor(gradient, p);
    if (g) hash = mixed(hash, g);
  }
  for (uint32_t u = 0; u < call.update_count; u++) hash = mixed(hash, updates[u].value);
  tn_params_release(gradient);
  tn_scope_close();
  return hash;
}

Test(threads, do_not_change_a_bit_of_any_family) {
  for (size_t i = 0; i < TN_ARRAY_LENGTH(families); i++) {
    const tn_component *model = open_model("float32", families[i].keys, families[i].inputs);
    omp_set_num_threads(1);
    const uint64_t one = step_bits(model, &families[i]);
    for (int threads = 2; threads <= 4; threads *= 2) {
      omp_set_num_threads(threads);
      cr_assert(step_bits(model, &families[i]) == one, "%s: other bits with %d threads", families[i].keys,
                threads);
    }
    omp_set_num_threads(1);
  }
}
