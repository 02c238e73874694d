// SPDX-License-Identifier: MIT
/* Derives an architecture from a supernet as it is, without a step of training: a path or a cell, by one of
 * the ways that the supernet knows. After a search it reads the weights that the search has found; in front
 * of any, `random` gives what a search is to be compared with. */
#include <tenon/search.h>
#include <tenon/supernet.h>

struct path_search {
  const char *method;
  int64_t draw;

  const tn_component *model;
  const tn_supernet *supernet;
};
static const tn_param path_params[] = {
    TN_STRING(struct path_search, method, "longest",
              "hypercuboid: longest, greedy_top, greedy_bottom, random; cells: strongest, random"),
    TN_INTEGER(struct path_search, draw, "0", 0, 1e15, NULL, "random: which of the architectures of a seed"),
};

static tn_status path_derive(void *self, char **genotype) {
  struct path_search *s = self;
  tn_rng rng = tn_rng_at(s->model->name, "derive", (uint64_t)s->draw);
  return s->supernet->derive(s->model->self, tn_parameters(s->model), s->method, &rng, genotype);
}

static tn_status path_begin(void *self, const tn_search_setting *setting) {
  struct path_search *s = self;
  char *genotype = NULL;
  s->model = setting->model;
  s->supernet = tn_supernet_of(setting->model);
  if (!s->supernet) return TN_ERROR_INVALID;
  const tn_status status = path_derive(s, &genotype); /* refuses a method that is none */
  tn_free(genotype);
  return status;
}

static tn_status path_step(void *self, const tn_progress *progress) {
  (void)self, (void)progress;
  return TN_DONE;
}

static const tn_class path_class = {
    .size = sizeof(tn_class),
    .kind = TN_SEARCH,
    .name = "path",
    .summary = "Derives an architecture from a supernet as it is: longest path, greedy ones, random ones",
    .reference = "Hundt, Jain and Hager 2019, sharpDARTS",
    TN_CLASS_PARAMS(path_params),
    .instance_size = sizeof(struct path_search),
    .vtable = &(const tn_search){sizeof(tn_search), path_begin, path_step, path_derive}};
TN_PLUGIN("search_path", "1.0.0", "MIT", &path_class)
