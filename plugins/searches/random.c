// SPDX-License-Identifier: MIT
/* The architecture of chance: no step of search, a genotype drawn at random from what the supernet offers
 * (Li and Talwalkar 2019, whom searches have to beat). */
#include <tenon/search.h>
#include <tenon/supernet.h>

struct draw {
  int64_t draw;
  const tn_search_setting *setting;
};
static const tn_param random_params[] = {
    TN_INTEGER(struct draw, draw, "1", 1, 1e15, NULL, "which of the run's random genotypes"),
};

static tn_status random_begin(void *self, const tn_search_setting *setting) {
  ((struct draw *)self)->setting = setting;
  return tn_supernet_of(setting->model) ? TN_OK : TN_ERROR_INVALID;
}
static tn_status random_step(void *self, const tn_progress *progress) {
  (void)self, (void)progress;
  return TN_DONE;
}
static tn_status random_derive(void *self, char **genotype) {
  const struct draw *s = self;
  const tn_component *model = s->setting->model;
  tn_rng rng = tn_rng_at("search.random", "derive", (uint64_t)s->draw);
  return tn_supernet_of(model)->derive(model->self, tn_parameters(model), "random", &rng, genotype);
}

static const tn_class random_class = {
    .size = sizeof(tn_class),
    .kind = TN_SEARCH,
    .name = "random",
    .summary = "A genotype drawn at random, the baseline of architecture search",
    .reference = "Li and Talwalkar 2019, Random Search and Reproducibility for Neural Architecture Search",
    TN_CLASS_PARAMS(random_params),
    .instance_size = sizeof(struct draw),
    .vtable = &(const tn_search){sizeof(tn_search), random_begin, random_step, random_derive}};
TN_PLUGIN("search_random", "1.0.0", "MIT", &random_class)
