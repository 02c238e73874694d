// SPDX-License-Identifier: MIT
/* The single-path supernet of ensemble architectures (Chen et al. 2021, NEAS, section 3.2): in every layer
 * all choices side by side, of which one at a time is in use, on a trunk that splits into `paths` branches at
 * a layer of choice.
 *
 * Which architecture it is, the gates say (supernet.h): table `trunk` and one table a path, (layers,
 * choices). A layer is shared while its row of `trunk`, and those above it, have an open gate; of the open
 * gates of a row the first counts. The tables `alpha` weigh nothing here: architectures are sampled, not
 * relaxed.
 *
 * share = layer: one set of weights a layer and choice, for trunk and paths (K paths in one supernet); share
 * = branch: sets of their own for the trunk and for every path. Heads are always a path's own. */
#include "ensemble.h"
#include <tenon/supernet.h>

enum { SHARE_LAYER, SHARE_BRANCH, TABLES = 1 + ENSEMBLE_PATHS };

struct supernet {
  struct space space; /* first: see SPACE_PARAMS */
  int32_t share;
  int64_t sets;
  struct trunk trunk;
  struct mobile *blocks; /* (sets, layers, columns) */
  int64_t *owners;       /* one an entry */
  uint32_t entries;
  uint32_t alpha[TABLES], gate[TABLES];
};
static const tn_param supernet_params[] = {
    TN_INTEGER(struct space, paths, "2", 1, ENSEMBLE_PATHS, NULL, "branches K; 1: no ensemble"),
    TN_INTEGERS(struct space, splits, "", 0, ENSEMBLE_LAYERS,
                "numbers of shared layers to choose from; empty: 1 to all"),
    TN_CHOICE(struct supernet, share, "layer", "layer|branch", "who has weights of their own"), SPACE_PARAMS};

static tn_status supernet_create(void *self) {
  struct supernet *net = self;
  net->sets = net->share == SHARE_LAYER ? 1 : 1 + net->space.paths;
  return space_create(&net->space);
}

static void supernet_release(struct supernet *net) {
  tn_free(net->blocks);
  tn_free(net->owners);
  net->blocks = NULL;
  net->owners = NULL;
}
static void supernet_destroy(void *self) { supernet_release(self); }

static const char *table_name(uint32_t i, char *room, size_t size) {
  if (i == 0) return "trunk";
  snprintf(room, size, "path%u", i);
  return room;
}

static const char *column_name(const struct supernet *net, int64_t column, char *room, size_t size) {
  const struct space *s = &net->space;
  if (column >= s->count) return "skip";
  snprintf(room, size, "mb_k%d_e%d", (int)s->blocks[column].kernel, (int)s->blocks[column].expand);
  return room;
}

/* Number of an operator: see ensemble.h. */
static int64_t place(const struct supernet *net, int64_t set, int64_t layer, int64_t column) {
  return (set * net->space.layers + layer) * space_columns(&net->space) + column;
}

static tn_status own(struct supernet *net, uint32_t end, int64_t owner) {
  int64_t *owners = tn_resize(net->owners, (end + 1) * sizeof *owners);
  if (!owners) return TN_ERROR_MEMORY;
  net->owners = owners;
  while (net->entries < end) owners[net->entries++] = owner;
  return TN_OK;
}

static tn_status declare_blocks(struct supernet *net, tn_declaration *d) {
  const struct space *s = &net->space;
  const struct mobile_style style = space_style(s);
  char name[80], set_name[24] = "", block[24];
  tn_status status = TN_OK;
  for (int64_t set = 0; set < net->sets; set++)
    for (int64_t l = 0; l < s->layers; l++)
      for (int64_t c = 0; status >= 0 && c < s->count; c++) {
        if (set > 0) snprintf(set_name, sizeof set_name, "paths.%d.", (int)set - 1);
        snprintf(name, sizeof name, "%slayers.%d.%d_%s", set_name, (int)l, (int)c,
                 column_name(net, c, block, sizeof block));
        struct mobile *b = &net->blocks[place(net, set, l, c)];
        *b = mobile_declare(d, name, &style, s->in[l], s->in[l + 1], s->blocks[c].kernel, s->blocks[c].expand,
                            s->strides.items[l]);
        /* The last entry of a block is the running variance of its projection. */
        status = own(net, b->project_norm.variance + 1, place(net, set, l, c));
      }
  return status;
}

static tn_status supernet_declare(void *self, const tn_spec *inputs, tn_declaration *d) {
  struct supernet *net = self;
  struct space *s = &net->space;
  char room[24];
  tn_status status = space_declare(s, inputs, d);
  if (status < 0) return status;
  supernet_release(net);
  net->entries = 0;
  net->blocks = tn_alloc((size_t)place(net, net->sets, 0, 0) * sizeof *net->blocks);
  if (!net->blocks) return TN_ERROR_MEMORY;
  tn_declare_output(d, "member_logits", TN_FLOAT, TN_SHAPE(s->paths, s->classes), 0);
  tn_declare_output(d, "features", TN_FLOAT, TN_SHAPE(s->paths * space_features(s)), 0);

  const tn_shape shape = TN_SHAPE(s->layers, space_columns(s));
  for (uint32_t i = 0; i <= (uint32_t)s->paths; i++) {
    const char *name = table_name(i, room, sizeof room);
    net->alpha[i] = declare_named(d, "alpha", name, shape, TN_FIXED, tn_init_zeros());
    net->gate[i] = declare_named(d, "gate", name, shape, TN_FIXED, tn_init_ones());
  }
  trunk_declare(&net->trunk, s, d);
  for (int64_t path = 0; path < s->paths; path++) head_declare(&net->trunk, s, d, path);
  status = own(net, net->trunk.heads[s->paths - 1].classifier.bias + 1, -1);
  return status < 0 ? status : declare_blocks(net, d);
}

/* ---- which architecture ---- */

static double element(const tn_tensor *x, int64_t i) {
  return x->dtype == TN_F64 ? tn_f64(x)[i] : (double)tn_f32(x)[i];
}
static void set_element(tn_tensor *x, int64_t i, double value) {
  if (x->dtype == TN_F64)
    tn_f64(x)[i] = value;
  else
    tn_f32(x)[i] = (float)value;
}

/* The first open column of a row; -1 if all are closed. */
static int64_t open_column(const struct supernet *net, const tn_params *params, uint32_t table,
                           int64_t layer) {
  const int64_t columns = space_columns(&net->space);
  const tn_tensor *gate = tn_param_tensor(params, net->gate[table]);
  for (int64_t c = 0; c < columns; c++)
    if (element(gate, layer * columns + c) != 0) return c;
  return -1;
}

static tn_status read_gates(const struct supernet *net, const tn_params *params, struct architecture *a) {
  const struct space *s = &net->space;
  a->paths = s->paths;
  a->split = 0;
  while (a->split < s->layers && open_column(net, params, 0, a->split) >= 0) a->split++;
  for (int64_t path = 0; path < s->paths; path++)
    for (int64_t l = 0; l < s->layers; l++) {
      const uint32_t table = l < a->split ? 0 : (uint32_t)path + 1;
      const int64_t column = open_column(net, params, table, l);
      if (column < 0 || !space_allows(s, l, column))
        return tn_fail(TN_ERROR_INVALID, "the gates of layer %lld leave no choice", (long long)l + 1);
      a->genes[path][l] = space_choice(s, column);
    }
  return TN_OK;
}

static tn_status supernet_choose(void *self, tn_params *params, const struct architecture *a) {
  const struct supernet *net = self;
  const struct space *s = &net->space;
  const int64_t columns = space_columns(s);
  if (a->paths != s->paths)
    return tn_fail(TN_ERROR_INVALID, "an architecture of %d paths for a supernet of %d", (int)a->paths,
                   (int)s->paths);
  for (uint32_t i = 0; i <= (uint32_t)s->paths; i++) {
    tn_tensor *gate = tn_param_tensor(params, net->gate[i]);
    for (int64_t l = 0; l < s->layers; l++)
      for (int64_t c = 0; c < columns; c++) {
        const bool here = (i == 0) == (l < a->split);
        const int32_t gene = a->genes[i == 0 ? 0 : i - 1][l];
        set_element(gate, l * columns + c, here && space_column(s, gene) == c);
      }
  }
  return TN_OK;
}

/* ---- apply ---- */

static const struct mobile *supernet_block(const void *model, int64_t path, int64_t layer, int32_t choice) {
  const struct supernet *net = model;
  return &net->blocks[place(net, net->share == SHARE_LAYER ? 0 : path + 1, layer, choice)];
}

static tn_status supernet_apply(void *self, tn_model_call *call) {
  const struct supernet *net = self;
  struct architecture a;
  const tn_status status = read_gates(net, call->params, &a);
  return status < 0 ? status : ensemble_apply(&net->trunk, &net->space, &a, net, supernet_block, call);
}

/* ---- supernet.h ---- */

static tn_status supernet_table(void *self, uint32_t i, tn_supernet_table *table) {
  static _Thread_local char room[24];
  const struct supernet *net = self;
  if (i > (uint32_t)net->space.paths) return TN_ERROR_MISSING;
  *table = (tn_supernet_table){sizeof *table,     net->alpha[i],
                               net->gate[i],      table_name(i, room, sizeof room),
                               net->space.layers, space_columns(&net->space)};
  return TN_OK;
}

static const char *supernet_operation(void *self, int64_t o, bool *parameter_free) {
  static _Thread_local char room[24];
  const struct supernet *net = self;
  if (o < 0 || o >= space_columns(&net->space)) return NULL;
  if (parameter_free) *parameter_free = o >= net->space.count;
  return column_name(net, o, room, sizeof room);
}

static void draw(const struct supernet *net, tn_rng *rng, struct architecture *a) {
  const struct space *s = &net->space;
  const int64_t columns = space_columns(s);
  a->paths = s->paths;
  a->split = s->paths == 1         ? s->layers
             : s->splits.count > 0 ? s->splits.items[tn_random_below(rng, s->splits.count)]
                                   : 1 + (int64_t)tn_random_below(rng, (uint64_t)s->layers);
  for (int64_t path = 0; path < s->paths; path++)
    for (int64_t l = 0; l < s->layers; l++) {
      int64_t column;
      do column = (int64_t)tn_random_below(rng, (uint64_t)columns);
      while (!space_allows(s, l, column));
      a->genes[path][l] = space_choice(s, column);
    }
}

/* "": what the gates say. */
static tn_status supernet_derive(void *self, const tn_params *params, const char *method, tn_rng *rng,
                                 char **genotype) {
  const struct supernet *net = self;
  struct architecture a;
  tn_status status = TN_OK;
  if (strcmp(method, "random") == 0)
    draw(net, rng, &a);
  else if (!*method)
    status = read_gates(net, params, &a);
  else
    status = tn_fail(TN_ERROR_INVALID, "no way '%s' to derive an architecture; expected random", method);
  if (status < 0) return status;
  *genotype = architecture_text(&net->space, &a);
  return *genotype ? TN_OK : TN_ERROR_MEMORY;
}

static tn_status supernet_discretise(void *self, tn_params *params, const char *genotype, bool rescale) {
  const struct supernet *net = self;
  struct architecture a;
  (void)rescale;
  const tn_status status = architecture_parse(&net->space, genotype, &a);
  return status < 0 ? status : supernet_choose(self, params, &a);
}

/* ---- ensemble.h ---- */

static const struct space *supernet_space(void *self, int64_t *sets) {
  const struct supernet *net = self;
  *sets = net->sets;
  return &net->space;
}
static int64_t supernet_owner(void *self, uint32_t entry) {
  const struct supernet *net = self;
  return entry < net->entries ? net->owners[entry] : -1;
}
static tn_tensor *supernet_stem(void *self, tn_model_call *call) {
  const struct supernet *net = self;
  return stem_apply(&net->trunk, &net->space, call, tn_field(call->inputs, net->space.input));
}
static tn_tensor *supernet_operator(void *self, tn_model_call *call, int64_t set, int64_t layer,
                                    int64_t column, tn_tensor *x) {
  const struct supernet *net = self;
  return column >= net->space.count ? x : mobile_apply(&net->blocks[place(net, set, layer, column)], call, x);
}

static const void *supernet_extension(void *self, const char *id) {
  static const tn_supernet table = {sizeof table, supernet_table, supernet_operation, supernet_derive,
                                    supernet_discretise};
  static const tn_ensemble ensemble = {sizeof ensemble, supernet_space, supernet_owner,
                                       supernet_choose, supernet_stem,  supernet_operator};
  (void)self;
  return strcmp(id, TN_SUPERNET) == 0   ? (const void *)&table
         : strcmp(id, TN_ENSEMBLE) == 0 ? &ensemble
                                        : NULL;
}

static const tn_class supernet_class = {
    .size = sizeof(tn_class),
    .kind = TN_MODEL,
    .name = "ensemble_supernet",
    .summary = "All choices of every layer on a trunk that splits into branches, for architecture search",
    .reference = "Chen et al. 2021, One-Shot Neural Ensemble Architecture Search by Diversity-Guided Search "
                 "Space Shrinking",
    TN_CLASS_PARAMS(supernet_params),
    .instance_size = sizeof(struct supernet),
    .vtable = &(const tn_model){sizeof(tn_model), supernet_declare, supernet_apply},
    .create = supernet_create,
    .destroy = supernet_destroy,
    .extension = supernet_extension};
TN_PLUGIN("model_ensemble_supernet", "1.0.0", "MIT", &supernet_class)
