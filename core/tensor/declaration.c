// SPDX-License-Identifier: MIT
/* Declaring parameters, and the initialisers. */
#include "declaration.h"
#include "internal.h"

#include <math.h>

tn_declaration *tn_declaration_new(void) {
  tn_declaration *declaration = calloc(1, sizeof *declaration);
  if (declaration && !(declaration->outputs = tn_data_table.spec_new())) {
    free(declaration);
    declaration = NULL;
  }
  return declaration;
}

void tn_declaration_free(tn_declaration *declaration) {
  if (!declaration) return;
  for (uint32_t i = 0; i < declaration->count; i++) free(declaration->items[i].name);
  free(declaration->items);
  tn_data_table.spec_release(declaration->outputs);
  free(declaration);
}

const tn_spec *tn_declaration_outputs(const tn_declaration *declaration) { return declaration->outputs; }
uint32_t tn_declaration_count(const tn_declaration *declaration) { return declaration->count; }
bool tn_declaration_failed(const tn_declaration *declaration) { return declaration->failed; }

uint32_t tn_api_declare(tn_declaration *d, const char *name, tn_dtype dtype, const tn_shape *shape,
                        tn_group group, tn_init init) {
  const char *problem = NULL;
  tn_dtype resolved = dtype == TN_FLOAT ? tn_here->engine->precision : dtype;
  if (!name || !*name)
    problem = "has no name";
  else if (resolved < TN_F32 || resolved > TN_B8)
    problem = "has no valid dtype";
  else if (group < 0 || group >= TN_GROUP_COUNT)
    problem = "is in no valid group";
  else if (init.kind < 0 || init.kind >= TN_INIT_KIND_COUNT)
    problem = "has no valid initialiser";
  else if (group <= TN_NO_DECAY && !tn_is_float(resolved))
    problem = "is trained but not of floating type";
  for (uint32_t i = 0; i < d->count && !problem; i++)
    if (!strcmp(d->items[i].name, name)) problem = "is declared twice";
  if (problem) tn_fail(TN_ERROR_INVALID, "declare: parameter '%s' %s", name ? name : "", problem);
  if (problem || !tn_shape_check("declare", shape, resolved)) {
    d->failed = true;
    return d->count;
  }
  if (d->count == d->room) {
    uint32_t room = d->room ? 2 * d->room : 16;
    tn_declared *items = realloc(d->items, room * sizeof *items);
    if (items) {
      d->items = items;
      d->room = room;
    }
  }
  char *copy = d->count < d->room ? strdup(name) : NULL;
  if (!copy) {
    tn_fail(TN_ERROR_MEMORY, "out of memory for parameter '%s'", name);
    d->failed = true;
    return d->count;
  }
  d->items[d->count] = (tn_declared){copy, dtype, group, *shape, init};
  return d->count++;
}

/* Orthonormal rows (or columns, whichever are fewer) by Gram and Schmidt, twice for accuracy. */
static bool orthogonal(tn_rng *rng, double gain, int64_t rows, int64_t columns, double *out) {
  int64_t count = rows < columns ? rows : columns, length = rows < columns ? columns : rows;
  double *basis = tn_system_alloc((size_t)(count * length + 1) * sizeof *basis);
  if (!basis) return false;
  tn_random_fill(rng, TN_F64, basis, count * length, true, 0, 1);
  for (int64_t i = 0; i < count; i++) {
    double *v = basis + i * length;
    for (int pass = 0; pass < 2; pass++) {
      for (int64_t j = 0; j < i; j++) {
        const double *w = basis + j * length;
        double c = 0;
        for (int64_t k = 0; k < length; k++) c += v[k] * w[k];
        for (int64_t k = 0; k < length; k++) v[k] -= c * w[k];
      }
      double norm = 0;
      for (int64_t k = 0; k < length; k++) norm += v[k] * v[k];
      norm = sqrt(norm);
      for (int64_t k = 0; k < length; k++) v[k] /= norm;
    }
  }
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < columns; c++)
      out[r * columns + c] = gain * (rows < columns ? basis[r * length + c] : basis[c * length + r]);
  tn_system_free(basis);
  return true;
}

static double truncated(tn_rng *rng, double deviation) {
  for (;;) {
    double z = tn_random_table.normal(rng);
    if (fabs(z) <= 2) return z * deviation;
  }
}

static void store(tn_dtype dtype, void *data, int64_t i, double value) {
  switch (dtype) {
  case TN_F32: ((float *)data)[i] = (float)value; break;
  case TN_F64: ((double *)data)[i] = value; break;
  case TN_I64: ((int64_t *)data)[i] = (int64_t)value; break;
  case TN_I32: ((int32_t *)data)[i] = (int32_t)value; break;
  case TN_B8: ((uint8_t *)data)[i] = value != 0; break;
  default: ((uint8_t *)data)[i] = (uint8_t)value;
  }
}

bool tn_initialise(const tn_declared *item, uint64_t key, tn_dtype dtype, void *data) {
  tn_rng rng = {.key = key};
  int64_t n = 1, kernel = 1, rows, columns;
  uint32_t ndim = item->shape.ndim;
  for (uint32_t i = 0; i < ndim; i++) n *= item->shape.dim[i];
  if (n == 0) return true;
  for (uint32_t i = 2; i < ndim; i++) kernel *= item->shape.dim[i];
  rows = ndim ? item->shape.dim[0] : 1;
  columns = n / rows;
  double a = item->init.a;
  double fan_in = (double)((ndim > 1 ? item->shape.dim[1] : rows) * kernel),
         fan_out = (double)(rows * kernel);
  double deviation = -1, range = -1;
  switch (item->init.kind) {
  case TN_INIT_NORMAL: deviation = a; break;
  case TN_INIT_UNIFORM: range = a; break;
  case TN_INIT_XAVIER_UNIFORM: range = a * sqrt(6 / (fan_in + fan_out)); break;
  case TN_INIT_XAVIER_NORMAL: deviation = a * sqrt(2 / (fan_in + fan_out)); break;
  case TN_INIT_HE_UNIFORM: range = a * sqrt(3 / fan_in); break;
  case TN_INIT_HE_NORMAL: deviation = a / sqrt(fan_in); break;
  case TN_INIT_HE_NORMAL_OUT: deviation = a / sqrt(fan_out); break;
  case TN_INIT_LECUN_UNIFORM: range = a / sqrt(fan_in); break;
  case TN_INIT_LECUN_NORMAL: deviation = a / sqrt(fan_in); break;
  case TN_INIT_TRUNCATED:
    for (int64_t i = 0; i < n; i++) store(dtype, data, i, truncated(&rng, a));
    return true;
  case TN_INIT_IDENTITY:
    for (int64_t i = 0; i < n; i++) store(dtype, data, i, i / columns == i % columns ? a : 0);
    return true;
  case TN_INIT_ORTHOGONAL: {
    double *values = tn_system_alloc((size_t)n * sizeof *values);
    bool ok = values && orthogonal(&rng, a, rows, columns, values);
    for (int64_t i = 0; ok && i < n; i++) store(dtype, data, i, values[i]);
    tn_system_free(values);
    return ok;
  }
  default:
    for (int64_t i = 0; i < n; i++) store(dtype, data, i, a);
    return true;
  }
  if (tn_is_float(dtype)) {
    if (deviation >= 0)
      tn_random_fill(&rng, dtype, data, n, true, 0, deviation);
    else
      tn_random_fill(&rng, dtype, data, n, false, -range, range);
  } else {
    for (int64_t i = 0; i < n; i++)
      store(dtype, data, i,
            deviation >= 0 ? deviation * tn_random_table.normal(&rng)
                           : range * (2 * tn_random_table.uniform(&rng) - 1));
  }
  return true;
}
