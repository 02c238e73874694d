// SPDX-License-Identifier: MIT
/* Ensemble architectures (Chen et al. 2021, NEAS, section 3.1): a stem and `split` shared layers, computed
 * once, then K paths with choices and weights of their own. Each ends in its own 1x1 convolution, pooling,
 * hidden layer and classifier; the prediction is the mean of the K softmax outputs. What supernet, derived
 * network and search have in common.
 *
 * As text: split, K, the stem's choice (always 0) and those of the shared layers, then for every path the
 * choices of its layers and one for its last convolution (ignored):
 *
 *   20, 2, | 0, | 0 -1 0 2 0 0 2 -1 0 -1 0 3 2 4 0 2 5 0 4 3 | 0 | 0
 *
 * A choice is the number of a block in the key `choices`, from 0, or -1: the layer is left out. */
#ifndef TENON_PLUGINS_ENSEMBLE_H
#define TENON_PLUGINS_ENSEMBLE_H

#include "mobile.h"
#include <stdlib.h>
#include <string.h>

enum { ENSEMBLE_LAYERS = 64, ENSEMBLE_PATHS = 8, ENSEMBLE_CHOICES = 32, ENSEMBLE_SKIP = -1 };

/* ---- architectures ---- */

struct architecture {
  int64_t split, paths;
  int32_t genes[ENSEMBLE_PATHS][ENSEMBLE_LAYERS]; /* of the shared layers those of path 0 count */
};

static inline int32_t architecture_gene(const struct architecture *a, int64_t path, int64_t layer) {
  return a->genes[layer < a->split ? 0 : path][layer];
}

/* ---- the space: what the networks of a search have in common ---- */

struct space {
  /* configuration; first in every instance that has it: see SPACE_PARAMS */
  tn_integers widths, strides, splits;
  tn_strings choices;
  int64_t paths, stem_stride, separable, last, hidden;
  double se, dropout;
  int32_t act;
  double norm_momentum, norm_epsilon;
  const char *input, *output_field;
  int64_t output;
  /* derived */
  int64_t layers, count; /* count: of blocks, without skip */
  bool skip;             /* among the choices */
  struct {
    int64_t kernel, expand;
  } blocks[ENSEMBLE_CHOICES];
  int64_t channels, classes;       /* of the image; of the output */
  int64_t in[ENSEMBLE_LAYERS + 1]; /* channels in front of each layer, and behind */
  int64_t height[ENSEMBLE_LAYERS + 1], width[ENSEMBLE_LAYERS + 1]; /* of the image there */
  int64_t stem_height, stem_width, image_height, image_width;
  const char *output_name;
};
#define ENSEMBLE_CHOICE_DOC \
  "blocks of a layer, mb_kKERNEL_eEXPANSION, in the order of their numbers, and skip"
#define SPACE_PARAMS                                                                                        \
  TN_INTEGERS(struct space, widths, "16, 16, 24, 24, 32", 1, 1 << 16,                                       \
              "channels of the stem and of every layer"),                                                   \
      TN_INTEGERS(struct space, strides, "1, 2, 1, 2", 1, 16, "of every layer"),                            \
      TN_STRINGS(struct space, choices, "mb_k3_e4, mb_k3_e6, mb_k5_e4, mb_k5_e6, mb_k7_e4, mb_k7_e6, skip", \
                 ENSEMBLE_CHOICE_DOC),                                                                      \
      TN_INTEGER(struct space, stem_stride, "1", 1, 16, NULL, "of the 3x3 convolution in front"),           \
      TN_INTEGER(struct space, separable, "0", 0, 1 << 16, NULL,                                            \
                 "channels of a depthwise-separable convolution behind it; 0: none"),                       \
      TN_INTEGER(struct space, last, "0", 0, 1 << 16, NULL,                                                 \
                 "channels of a path's 1x1 convolution in front of the pooling; 0: none"),                  \
      TN_INTEGER(struct space, hidden, "48", 0, 1 << 20, NULL,                                              \
                 "units of a path between pooling and classifier; 0: none"),                                \
      TN_REAL(struct space, se, "0.25", 0, 1, "share of a block's channels in its excitation; 0: none"),    \
      TN_CHOICE(struct space, act, "swish", MOBILE_ACTS, "activation"),                                     \
      TN_STRING(struct space, input, "image", "field to read (channels, height, width)"),                   \
      HEAD_PARAMS(space), NORM_PARAMS(space)

/* Number of the skipped layer's column in tables of all choices: behind the blocks. */
static inline int64_t space_columns(const struct space *s) { return s->count + (s->skip ? 1 : 0); }
static inline int32_t space_choice(const struct space *s, int64_t column) {
  return column < s->count ? (int32_t)column : ENSEMBLE_SKIP;
}
static inline int64_t space_column(const struct space *s, int32_t choice) {
  return choice == ENSEMBLE_SKIP ? s->count : choice;
}
static inline bool space_skippable(const struct space *s, int64_t layer) {
  return s->strides.items[layer] == 1 && s->in[layer] == s->in[layer + 1];
}
/* Whether the layer may take what a column stands for. */
static inline bool space_allows(const struct space *s, int64_t layer, int64_t column) {
  return column < s->count || (s->skip && space_skippable(s, layer));
}

static inline tn_status space_choose(struct space *s) {
  s->count = 0;
  s->skip = false;
  for (uint32_t i = 0; i < s->choices.count; i++) {
    int kernel = 0, expand = 0, end = 0;
    const char *name = s->choices.items[i];
    if (strcmp(name, "skip") == 0) {
      s->skip = true;
      continue;
    }
    sscanf(name, "mb_k%d_e%d%n", &kernel, &expand, &end);
    if (end == 0 || name[end] || kernel < 1 || kernel % 2 == 0 || kernel > 63 || expand < 1 || expand > 64)
      return tn_fail(TN_ERROR_INVALID,
                     "choices: '%s' is no block; expected mb_kKERNEL_eEXPANSION with an odd kernel, or skip",
                     name);
    if (s->count == ENSEMBLE_CHOICES)
      return tn_fail(TN_ERROR_INVALID, "choices: more than %d blocks", ENSEMBLE_CHOICES);
    s->blocks[s->count].kernel = kernel;
    s->blocks[s->count++].expand = expand;
  }
  return s->count > 0 ? TN_OK : tn_fail(TN_ERROR_INVALID, "choices: a layer needs a block other than skip");
}

/* Checks the keys and derives what depends on them alone. */
static inline tn_status space_create(struct space *s) {
  s->layers = s->strides.count;
  if (s->layers < 1 || s->layers > ENSEMBLE_LAYERS || s->widths.count != s->strides.count + 1)
    return tn_fail(TN_ERROR_INVALID,
                   "%u widths and %u strides; expected a stride a layer, at most %d, and one width more",
                   s->widths.count, s->strides.count, ENSEMBLE_LAYERS);
  for (uint32_t i = 0; i < s->splits.count; i++)
    if (s->splits.items[i] > s->layers || (i > 0 && s->splits.items[i] <= s->splits.items[i - 1]))
      return tn_fail(TN_ERROR_INVALID, "splits must ascend and be at most %lld, the layers",
                     (long long)s->layers);
  s->in[0] = s->separable > 0 ? s->separable : s->widths.items[0];
  for (int64_t l = 0; l < s->layers; l++) s->in[l + 1] = s->widths.items[l + 1];
  return space_choose(s);
}

/* Sizes of images and outputs, from the fields in front. */
static inline tn_status space_declare(struct space *s, const tn_spec *inputs, tn_declaration *d) {
  const tn_field_spec *image = image_input(inputs, s->input);
  if (!image) return TN_ERROR_SHAPE;
  s->output_name = s->output_field;
  s->classes = head_width(inputs, s->output, &s->output_name);
  if (s->classes < 1) return TN_ERROR_MISSING;
  s->channels = image->shape.dim[0];
  s->image_height = image->shape.dim[1];
  s->image_width = image->shape.dim[2];
  s->height[0] = (s->image_height - 1) / s->stem_stride + 1;
  s->width[0] = (s->image_width - 1) / s->stem_stride + 1;
  for (int64_t l = 0; l < s->layers; l++) {
    s->height[l + 1] = (s->height[l] - 1) / s->strides.items[l] + 1;
    s->width[l + 1] = (s->width[l] - 1) / s->strides.items[l] + 1;
  }
  tn_declare_output(d, s->output_name, TN_FLOAT, TN_SHAPE(s->classes), 0);
  return TN_OK;
}

/* Features of one path: what goes into its classifier. */
static inline int64_t space_features(const struct space *s) {
  return s->hidden > 0 ? s->hidden : s->last > 0 ? s->last : s->in[s->layers];
}

/* Multiply-adds of convolutions and linear layers for one image, layers that are shared counted once. */
static inline double space_macs(const struct space *s, const struct architecture *a) {
  const double pixels = (double)(s->height[0] * s->width[0]);
  const double final = (double)(s->height[s->layers] * s->width[s->layers]);
  double macs = pixels * 9 * (double)(s->channels * s->widths.items[0]), head = 0;
  if (s->separable > 0)
    macs += mobile_macs(s->se, s->widths.items[0], s->separable, 3, 1, 1, s->height[0], s->width[0]);
  for (int64_t path = 0; path < a->paths; path++)
    for (int64_t l = path == 0 ? 0 : a->split; l < s->layers; l++) {
      const int32_t gene = architecture_gene(a, path, l);
      if (gene == ENSEMBLE_SKIP) continue;
      macs += mobile_macs(s->se, s->in[l], s->in[l + 1], s->blocks[gene].kernel, s->blocks[gene].expand,
                          s->strides.items[l], s->height[l], s->width[l]);
    }
  int64_t width = s->in[s->layers];
  if (s->last > 0) head += final * (double)(width * s->last), width = s->last;
  if (s->hidden > 0) head += (double)(width * s->hidden), width = s->hidden;
  return macs + (double)a->paths * (head + (double)(width * s->classes));
}

/* ---- text ---- */

/* Freed with tn_free; NULL if out of memory. */
static inline char *architecture_text(const struct space *s, const struct architecture *a) {
  const size_t room = 64 + 8 * (size_t)((a->paths + 1) * (s->layers + 2));
  char *text = tn_alloc(room);
  if (!text) return NULL;
  size_t used =
      (size_t)snprintf(text, room, "%d, %d, | 0,%s", (int)a->split, (int)a->paths, a->split > 0 ? " |" : "");
  for (int64_t l = 0; l < a->split; l++)
    used += (size_t)snprintf(text + used, room - used, " %d", (int)a->genes[0][l]);
  for (int64_t path = 0; path < a->paths; path++) {
    used += (size_t)snprintf(text + used, room - used, " |");
    for (int64_t l = a->split; l < s->layers; l++)
      used += (size_t)snprintf(text + used, room - used, " %d", (int)a->genes[path][l]);
    used += (size_t)snprintf(text + used, room - used, " 0");
  }
  return text;
}

/* Fits the space; `a` is as it was if it does not. */
static inline tn_status architecture_parse(const struct space *s, const char *text, struct architecture *a) {
  enum { MOST = 3 + (ENSEMBLE_PATHS + 1) * (ENSEMBLE_LAYERS + 1) };
  int64_t numbers[MOST], count = 0;
  const char *at = text + strspn(text, " \t\n,|[]");
  while (*at && count < MOST) {
    char *end;
    numbers[count++] = strtoll(at, &end, 10);
    if (end == at) return tn_fail(TN_ERROR_INVALID, "architecture: '%.12s' is no whole number", at);
    at = end + strspn(end, " \t\n,|[]");
  }
  if (count < 2 || numbers[0] < 0 || numbers[0] > s->layers || numbers[1] < 1 || numbers[1] > ENSEMBLE_PATHS)
    return tn_fail(TN_ERROR_INVALID,
                   "architecture: expected the layers shared, 0 to %lld, and the number of paths, 1 to %d",
                   (long long)s->layers, ENSEMBLE_PATHS);
  struct architecture read = {.split = numbers[0], .paths = numbers[1]};
  const int64_t own = s->layers - read.split + 1, wanted = 2 + read.split + 1 + read.paths * own;
  if (count != wanted || *at)
    return tn_fail(TN_ERROR_INVALID,
                   "architecture: %lld numbers; %lld shared layers and %lld paths of %lld layers need %lld",
                   (long long)count, (long long)read.split, (long long)read.paths, (long long)(own - 1),
                   (long long)wanted);
  for (int64_t path = 0; path < read.paths; path++)
    for (int64_t l = 0; l < s->layers; l++) {
      const int64_t place = l < read.split ? 3 + l : 3 + read.split + path * own + l - read.split;
      const int64_t gene = numbers[place];
      if (gene < ENSEMBLE_SKIP || gene >= s->count)
        return tn_fail(TN_ERROR_INVALID, "architecture: choice %lld of layer %lld; expected -1 to %lld",
                       (long long)gene, (long long)l + 1, (long long)s->count - 1);
      if (gene == ENSEMBLE_SKIP && !space_skippable(s, l))
        return tn_fail(TN_ERROR_INVALID,
                       "architecture: layer %lld changes size or width and cannot be left out",
                       (long long)l + 1);
      read.genes[path][l] = (int32_t)gene;
    }
  *a = read;
  return TN_OK;
}

/* ---- what every network has: stem and heads ---- */

struct branch_head {
  struct conv last;
  struct norm last_norm;
  struct linear hidden, classifier;
};
struct trunk {
  struct conv stem;
  struct norm stem_norm;
  struct mobile separable;
  struct branch_head heads[ENSEMBLE_PATHS];
};

static inline struct mobile_style space_style(const struct space *s) {
  return (struct mobile_style){.se = s->se,
                               .act = s->act,
                               .momentum = s->norm_momentum,
                               .epsilon = s->norm_epsilon,
                               .by_outputs = true};
}
/* Linear layers begin within +- 1 / sqrt(outputs). */
static inline struct linear ensemble_linear(tn_declaration *d, const char *name, int64_t in, int64_t out) {
  struct linear layer =
      linear_declare(d, name, in, out, true, tn_init_of(TN_INIT_UNIFORM, 1 / sqrt((double)out)));
  return layer;
}

static inline void trunk_declare(struct trunk *t, const struct space *s, tn_declaration *d) {
  const struct mobile_style style = space_style(s);
  const int64_t stem = s->widths.items[0];
  const tn_conv geometry = {{s->stem_stride, s->stem_stride}, {1, 1}, {1, 1}, 1};
  t->stem = conv_declare(d, "stem", s->channels, stem, 3, geometry, false, mobile_init(&style, stem, 3, 1));
  t->stem_norm =
      norm_declare(d, "stem_norm", NORM_BATCH, stem, 1, style.momentum, style.epsilon, tn_init_ones());
  if (s->separable > 0) t->separable = mobile_declare(d, "separable", &style, stem, s->separable, 3, 1, 1);
}
static inline void head_declare(struct trunk *t, const struct space *s, tn_declaration *d, int64_t path) {
  const struct mobile_style style = space_style(s);
  struct branch_head *head = &t->heads[path];
  char name[32], part[64];
  int64_t width = s->in[s->layers];
  snprintf(name, sizeof name, "heads.%d", (int)path);
  if (s->last > 0) {
    mobile_conv_declare(d, name, "last", &style, width, s->last, 1, 1, 1, &head->last, &head->last_norm);
    width = s->last;
  }
  snprintf(part, sizeof part, "%s.hidden", name);
  if (s->hidden > 0) head->hidden = ensemble_linear(d, part, width, s->hidden), width = s->hidden;
  snprintf(part, sizeof part, "%s.classifier", name);
  head->classifier = ensemble_linear(d, part, width, s->classes);
}

/* (n, channels, height, width) -> what the first layer gets */
static inline tn_tensor *stem_apply(const struct trunk *t, const struct space *s, tn_model_call *call,
                                    tn_tensor *x) {
  x = conv_apply(&t->stem, call->params, x);
  x = norm_apply(&t->stem_norm, call, x, NULL, s->act == MOBILE_RELU);
  if (s->act == MOBILE_SWISH) x = tn_silu(x);
  return s->separable > 0 ? mobile_apply(&t->separable, call, x) : x;
}

/* -> logits (n, classes); *features (n, d): what goes into the classifier */
static inline tn_tensor *head_apply(const struct trunk *t, const struct space *s, tn_model_call *call,
                                    int64_t path, tn_tensor *x, tn_tensor **features) {
  const struct branch_head *head = &t->heads[path];
  if (s->last > 0) {
    x = conv_apply(&head->last, call->params, x);
    x = norm_apply(&head->last_norm, call, x, NULL, s->act == MOBILE_RELU);
    if (s->act == MOBILE_SWISH) x = tn_silu(x);
  }
  x = tn_global_mean_pool(x);
  if (s->hidden > 0) x = mobile_act(s->act, linear_apply(&head->hidden, call->params, x));
  *features = x;
  return linear_apply(&head->classifier, call->params, dropout_apply(s->dropout, call, x));
}

/* Number `choice` of a layer; of the trunk with path -1. */
typedef const struct mobile *(*ensemble_block)(const void *model, int64_t path, int64_t layer,
                                               int32_t choice);

/* Layers `from` to `to` of a path, or of the trunk. */
static inline tn_tensor *ensemble_layers(const struct architecture *a, const void *model,
                                         ensemble_block block, tn_model_call *call, int64_t path,
                                         int64_t from, int64_t to, tn_tensor *x) {
  char name[48];
  for (int64_t l = from; l < to && !tn_failed(); l++) {
    const int32_t gene = a->genes[path < 0 ? 0 : path][l];
    if (gene != ENSEMBLE_SKIP) x = mobile_apply(block(model, path, l, gene), call, x);
    if (path < 0)
      snprintf(name, sizeof name, "layers.%d", (int)l);
    else
      snprintf(name, sizeof name, "paths.%d.layers.%d", (int)path, (int)l);
    tap(call, x, name);
  }
  return x;
}

/* The whole network. Outputs: `logits` (n, classes), the logarithm of the members' mean probability;
 * `member_logits` (n, K, classes); `features` (n, K d). In training the gradient that enters the trunk is
 * divided by K, so that trunk and paths learn at one scale. */
static inline tn_status ensemble_apply(const struct trunk *t, const struct space *s,
                                       const struct architecture *a, const void *model, ensemble_block block,
                                       tn_model_call *call) {
  tn_tensor *logits[ENSEMBLE_PATHS], *features[ENSEMBLE_PATHS];
  tn_tensor *x = stem_apply(t, s, call, tn_field(call->inputs, s->input));
  x = ensemble_layers(a, model, block, call, -1, 0, a->split, x);
  if (a->paths > 1 && call->progress.mode == TN_TRAIN) x = tn_scale_gradient(x, 1 / (double)a->paths);
  for (int64_t k = 0; k < a->paths && !tn_failed(); k++) {
    tn_tensor *own = ensemble_layers(a, model, block, call, k, a->split, s->layers, x);
    logits[k] = head_apply(t, s, call, k, own, &features[k]);
  }
  if (tn_failed()) return tn_outcome();
  const uint32_t paths = (uint32_t)a->paths;
  tn_tensor *members = tn_stack(logits, paths, 1); /* (n, K, classes) */
  tn_tensor *mean = tn_logsumexp(tn_log_softmax(members, 2), 1);
  tn_fields_set(call->outputs, "member_logits", members);
  tn_fields_set(call->outputs, "features", tn_concatenate(features, paths, 1));
  tn_fields_set(call->outputs, s->output_name, tn_shift(mean, -log((double)a->paths)));
  return tn_outcome();
}

/* ---- what a search asks of a supernet of this space ---- */

/* Extension "tenon.ensemble/1". Operator (set, layer, column) has the number (set L + layer) columns +
 * column. Set 0 are the weights of the trunk, and of every path if they share theirs; else set k + 1 those of
 * path k. */
#define TN_ENSEMBLE "tenon.ensemble/1"
typedef struct tn_ensemble {
  uint32_t size;
  const struct space *(*space)(void *self, int64_t *sets);
  /* The operator that an entry of the set belongs to; -1: every architecture uses it. */
  int64_t (*owner)(void *self, uint32_t entry);
  /* Opens the gates of `params` for one architecture. */
  tn_status (*choose)(void *self, tn_params *params, const struct architecture *a);
  tn_tensor *(*stem)(void *self, tn_model_call *call);
  /* One operator by itself; the skipping one gives x. */
  tn_tensor *(*apply)(void *self, tn_model_call *call, int64_t set, int64_t layer, int64_t column,
                      tn_tensor *x);
} tn_ensemble;

#endif
