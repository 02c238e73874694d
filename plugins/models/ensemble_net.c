// SPDX-License-Identifier: MIT
/* The network of an ensemble architecture by itself (Chen et al. 2021, NEAS); its text: ensemble.h. */
#include "ensemble.h"
#include <tenon/supernet.h>

struct net {
  struct space space; /* first: see SPACE_PARAMS */
  const char *arch;
  const tn_component *of;
  char *given; /* by architecture.set; NULL: none */

  struct architecture architecture;
  struct trunk trunk;
  struct mobile blocks[1 + ENSEMBLE_PATHS][ENSEMBLE_LAYERS]; /* the trunk's, then those of the paths */
};
static const tn_param net_params[] = {
    TN_STRING(struct net, arch, "",
              "`SHARED, PATHS, | 0, | choices ... | choices ... 0 | ...`; empty, without `of`: two paths of "
              "block 0 behind one shared layer"),
    TN_REFERENCE(struct net, of, 0, "tenon.stage/1", NULL, "the stage whose architecture it takes"),
    TN_PARAM_(struct space, dropout, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0", 0, 1, NULL, NULL, NULL,
              "in front of the classifiers"),
    SPACE_PARAMS};

static tn_status net_create(void *self) {
  struct net *net = self;
  struct architecture a;
  if (*net->arch && net->of)
    return tn_fail(TN_ERROR_INVALID, "give arch or `of`, a stage that finds one, one of the two");
  tn_status status = space_create(&net->space);
  if (status >= 0 && *net->arch) status = architecture_parse(&net->space, net->arch, &a);
  return status;
}
static void net_destroy(void *self) { tn_free(((struct net *)self)->given); }

/* NULL: not known yet. */
static const char *architecture_of(const struct net *net) {
  if (net->given) return net->given;
  return net->of ? tn_published_text(net->of, "genotype") : net->arch;
}

static tn_status net_declare(void *self, const tn_spec *inputs, tn_declaration *d) {
  struct net *net = self;
  struct space *s = &net->space;
  struct architecture *a = &net->architecture;
  tn_status status = space_declare(s, inputs, d);
  if (status < 0) return status;
  const char *text = architecture_of(net);
  *a = (struct architecture){.split = 1, .paths = 2};
  if (text && *text) status = architecture_parse(s, text, a);
  if (status < 0) return status;
  tn_declare_output(d, "member_logits", TN_FLOAT, TN_SHAPE(text ? a->paths : -1, s->classes), 0);
  tn_declare_output(d, "features", TN_FLOAT, TN_SHAPE(text ? a->paths * space_features(s) : -1), 0);
  if (!text) return tn_declare_later();

  const struct mobile_style style = space_style(s);
  char name[48];
  trunk_declare(&net->trunk, s, d);
  for (int64_t path = -1; path < a->paths; path++)
    for (int64_t l = path < 0 ? 0 : a->split; l < (path < 0 ? a->split : s->layers); l++) {
      const int32_t gene = a->genes[path < 0 ? 0 : path][l];
      if (gene == ENSEMBLE_SKIP) continue;
      if (path < 0)
        snprintf(name, sizeof name, "layers.%d", (int)l);
      else
        snprintf(name, sizeof name, "paths.%d.layers.%d", (int)path, (int)l);
      net->blocks[path + 1][l] =
          mobile_declare(d, name, &style, s->in[l], s->in[l + 1], s->blocks[gene].kernel,
                         s->blocks[gene].expand, s->strides.items[l]);
    }
  for (int64_t path = 0; path < a->paths; path++) head_declare(&net->trunk, s, d, path);
  return TN_OK;
}

static const struct mobile *net_block(const void *model, int64_t path, int64_t layer, int32_t choice) {
  (void)choice;
  return &((const struct net *)model)->blocks[path + 1][layer];
}

static tn_status net_apply(void *self, tn_model_call *call) {
  const struct net *net = self;
  return ensemble_apply(&net->trunk, &net->space, &net->architecture, net, net_block, call);
}

static tn_status set_architecture(void *self, const char *text) {
  struct net *net = self;
  struct architecture a;
  const tn_status status = architecture_parse(&net->space, text, &a);
  if (status < 0) return status;
  const size_t bytes = strlen(text) + 1;
  tn_free(net->given);
  net->given = tn_alloc(bytes);
  if (!net->given) return TN_ERROR_MEMORY;
  memcpy(net->given, text, bytes);
  return TN_OK;
}

static const void *net_extension(void *self, const char *id) {
  static const tn_architecture table = {sizeof table, set_architecture};
  (void)self;
  return strcmp(id, TN_ARCHITECTURE) == 0 ? &table : NULL;
}

static const tn_class net_class = {
    .size = sizeof(tn_class),
    .kind = TN_MODEL,
    .name = "ensemble_net",
    .summary = "The network of an ensemble architecture: a shared trunk and different branches",
    .reference = "Chen et al. 2021, One-Shot Neural Ensemble Architecture Search by Diversity-Guided Search "
                 "Space Shrinking",
    TN_CLASS_PARAMS(net_params),
    .instance_size = sizeof(struct net),
    .vtable = &(const tn_model){sizeof(tn_model), net_declare, net_apply},
    .create = net_create,
    .destroy = net_destroy,
    .extension = net_extension};
TN_PLUGIN("model_ensemble_net", "1.0.0", "MIT", &net_class)
