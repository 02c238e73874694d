// SPDX-License-Identifier: MIT
/* Points of known laws: a mixture of Gaussians, two interleaved moons, spirals, concentric rings. Field
 * `input` (n, d), field `label`. The points follow from `data_seed` alone, so arms and seeds of a sweep see
 * the same. */
#include "memory.h"
#include <math.h>

struct synthetic {
  struct memory memory;
  int64_t size, clusters, dimensions, data_seed;
  double noise, spread, turns;
};
#define SYNTHETIC_SIZE TN_INTEGER(struct synthetic, size, "1000", 1, 1 << 28, "points", "in all")
#define SYNTHETIC_SEED TN_INTEGER(struct synthetic, data_seed, "0", 0, 1e15, NULL, "which points of that law")

/* Room for the points; a generator for their random numbers. */
static tn_status start(struct synthetic *data, int64_t dimensions, int64_t classes, const char *name,
                       tn_rng *rng) {
  struct memory *m = &data->memory;
  m->field = "input";
  m->rows = data->size;
  m->classes = classes;
  m->shape = TN_SHAPE(dimensions);
  *rng = (tn_rng){.key = 0x73796e7468000000u ^ (uint64_t)data->data_seed, .step = (uint64_t)name[0]};
  return memory_reserve(m, false, true);
}

/* ---- a mixture of Gaussians ---- */

static const tn_param gaussian_mixture_params[] = {
    SYNTHETIC_SIZE,
    TN_INTEGER(struct synthetic, dimensions, "2", 1, 1 << 20, NULL, "numbers a point"),
    TN_INTEGER(struct synthetic, clusters, "2", 1, 10000, NULL, "components, each a class, equally likely"),
    TN_REAL(struct synthetic, spread, "3", 0, 1e6, "means are drawn from N(0, spread^2 I)"),
    TN_REAL(struct synthetic, noise, "1", 0, 1e6, "standard deviation of a component"),
    SYNTHETIC_SEED,
    SPLIT_PARAMS(struct synthetic, memory.keys, "20%", "shuffled"),
};

static tn_status gaussian_mixture_create(void *self) {
  struct synthetic *data = self;
  const int64_t d = data->dimensions, k = data->clusters;
  tn_rng rng;
  double *means = tn_alloc((size_t)(k * d) * sizeof *means);
  tn_status status = means ? start(data, d, k, "gaussian_mixture", &rng) : TN_ERROR_MEMORY;
  for (int64_t i = 0; status == TN_OK && i < k * d; i++) means[i] = data->spread * tn_random_normal(&rng);
  for (int64_t i = 0; status == TN_OK && i < data->size; i++) {
    const int64_t c = (int64_t)tn_random_below(&rng, (uint64_t)k);
    data->memory.labels[i] = c;
    for (int64_t j = 0; j < d; j++)
      data->memory.values[i * d + j] = means[c * d + j] + data->noise * tn_random_normal(&rng);
  }
  tn_free(means);
  return status == TN_OK ? memory_finish(&data->memory) : status;
}

/* ---- curves in the plane ---- */

/* Point `t` in [0, 1) of curve `c` out of `count`. */
typedef void (*curve)(const struct synthetic *data, int64_t c, int64_t count, double t, double *point);

static void moon(const struct synthetic *data, int64_t c, int64_t count, double t, double *point) {
  (void)data, (void)count;
  const double angle = acos(-1) * t;
  point[0] = c ? 1 - cos(angle) : cos(angle);
  point[1] = c ? 0.5 - sin(angle) : sin(angle);
}
static void spiral(const struct synthetic *data, int64_t c, int64_t count, double t, double *point) {
  const double radius = 0.1 + 0.9 * t, full = 2 * acos(-1);
  const double angle = full * (data->turns * t + (double)c / (double)count);
  point[0] = radius * cos(angle);
  point[1] = radius * sin(angle);
}
static void ring(const struct synthetic *data, int64_t c, int64_t count, double t, double *point) {
  (void)data;
  const double radius = (double)(c + 1) / (double)count, angle = 2 * acos(-1) * t;
  point[0] = radius * cos(angle);
  point[1] = radius * sin(angle);
}

static tn_status draw_curves(struct synthetic *data, int64_t classes, curve shape, const char *name) {
  tn_rng rng;
  tn_status status = start(data, 2, classes, name, &rng);
  for (int64_t i = 0; status == TN_OK && i < data->size; i++) {
    double *point = data->memory.values + 2 * i;
    data->memory.labels[i] = i % classes;
    shape(data, i % classes, classes, tn_random_uniform(&rng), point);
    for (int j = 0; j < 2; j++) point[j] += data->noise * tn_random_normal(&rng);
  }
  return status == TN_OK ? memory_finish(&data->memory) : status;
}

static tn_status two_moons_create(void *self) { return draw_curves(self, 2, moon, "two_moons"); }
static tn_status spirals_create(void *self) {
  return draw_curves(self, ((struct synthetic *)self)->clusters, spiral, "spirals");
}
static tn_status rings_create(void *self) {
  return draw_curves(self, ((struct synthetic *)self)->clusters, ring, "rings");
}

static const tn_param two_moons_params[] = {
    SYNTHETIC_SIZE,
    TN_REAL(struct synthetic, noise, "0.1", 0, 1e6, "standard deviation around the curves"),
    SYNTHETIC_SEED,
    SPLIT_PARAMS(struct synthetic, memory.keys, "20%", "shuffled"),
};
static const tn_param spirals_params[] = {
    SYNTHETIC_SIZE,
    TN_INTEGER(struct synthetic, clusters, "2", 1, 100, NULL, "arms, each a class"),
    TN_REAL(struct synthetic, turns, "1.5", 0, 100, "of each arm"),
    TN_REAL(struct synthetic, noise, "0.02", 0, 1e6, "standard deviation around the curves"),
    SYNTHETIC_SEED,
    SPLIT_PARAMS(struct synthetic, memory.keys, "20%", "shuffled"),
};
static const tn_param rings_params[] = {
    SYNTHETIC_SIZE,
    TN_INTEGER(struct synthetic, clusters, "2", 1, 100, NULL,
               "rings, each a class; the outermost has radius 1"),
    TN_REAL(struct synthetic, noise, "0.05", 0, 1e6, "standard deviation around the curves"),
    SYNTHETIC_SEED,
    SPLIT_PARAMS(struct synthetic, memory.keys, "20%", "shuffled"),
};

MEMORY_TABLE(synthetic)
#define SYNTHETIC_CLASS(id, text, source)                                        \
  static const tn_class id##_class = {.size = sizeof(tn_class),                  \
                                      .kind = TN_DATASET,                        \
                                      .name = #id,                               \
                                      .summary = text,                           \
                                      .reference = source,                       \
                                      TN_CLASS_PARAMS(id##_params),              \
                                      .instance_size = sizeof(struct synthetic), \
                                      .vtable = &synthetic_table,                \
                                      .create = id##_create,                     \
                                      .destroy = synthetic_destroy}
SYNTHETIC_CLASS(gaussian_mixture, "Points of a mixture of Gaussians, a class a component", NULL);
SYNTHETIC_CLASS(two_moons, "Two interleaved half circles in the plane",
                "Pedregosa et al. 2011, scikit-learn: make_moons");
SYNTHETIC_CLASS(spirals, "Interleaved spirals in the plane",
                "Lang and Witbrock 1988, Learning to tell two spirals apart");
SYNTHETIC_CLASS(rings, "Concentric rings in the plane", NULL);
TN_PLUGIN("dataset_synthetic", "1.0.0", "MIT", &gaussian_mixture_class, &two_moons_class, &spirals_class,
          &rings_class)
