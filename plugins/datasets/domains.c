// SPDX-License-Identifier: MIT
/* Domains made from one data set of images, as DomainBed makes them (Gulrajani and Lopez-Paz 2021).
 *
 * dataset.domains: each level of a view is a domain: rotation by degrees, and the others of views.h.
 * dataset.colored_digits (Arjovsky et al. 2019, Invariant Risk Minimization): binary labels, digit >= 5, of
 * which a quarter is flipped; the image is red or green, and the colour agrees with the label with the
 * domain's probability: the first channel has the digit for label 0, the second for label 1.
 *
 * Fields: those of `data`, and `domain`. Rows lie domain by domain, `size` rows each, drawn from `data`
 * by `split_seed`: the same rows for every domain, or with `distinct` each its own. Part `train` has the
 * levels that are not left out, numbered from 0 in `domain`, but for the last `validation` rows of each,
 * which are part `validation`; part `left_out` has the other levels, numbered on; `all` has all, `domain.K`
 * one. */
#include "plugins/transforms/views.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tenon/dataset.h>

struct domains {
  const tn_component *data;
  tn_reals levels, leave_out;
  int64_t size, split_seed;
  tn_count validation;
  bool distinct;
  int32_t view;
  double label_noise;

  bool colours;
  int64_t *rows; /* (domains, size): of `data` */
  double *level; /* (domains): the training ones first */
  int64_t domains, training, validations;
  char name[32]; /* of the part that `part` named last */
};

#define DOMAINS_COMMON                                                                               \
  TN_REALS(struct domains, leave_out, "", -1e9, 1e9, "levels that make part `left_out`"),            \
      TN_INTEGER(struct domains, size, "0", 0, 1e9, "rows", "of a domain; 0: as many as there are"), \
      TN_COUNT(struct domains, validation, "0",                                                      \
               "rows of each training domain, or their share, that are part `validation`; 0: none"), \
      TN_BOOL(struct domains, distinct, "no", "every domain has rows of its own"),                   \
      TN_INTEGER(struct domains, split_seed, "0", 0, 1e15, NULL, "which rows")
static const tn_param domains_params[] = {
    TN_REFERENCE(struct domains, data, TN_PARAM_REQUIRED, TN_DATASET, NULL,
                 "images (n, channels, height, width)"),
    TN_CHOICE(struct domains, view, "rotation", VIEW_CHOICES, "what a level means"),
    TN_REALS(struct domains, levels, "0, 15, 30, 45, 60, 75", -1e9, 1e9,
             "degrees, standard deviations, factors or pixels: one domain each"),
    DOMAINS_COMMON,
};
static const tn_param colored_digits_params[] = {
    TN_REFERENCE(struct domains, data, TN_PARAM_REQUIRED, TN_DATASET, NULL,
                 "digits (n, 1, height, width) with labels 0 to 9"),
    TN_REALS(struct domains, levels, "0.9, 0.8, 0.1", 0, 1,
             "probability that the colour agrees with the label: one domain each"),
    TN_REAL(struct domains, label_noise, "0.25", 0, 1, "share of labels that are flipped"),
    DOMAINS_COMMON,
};

static bool is_left_out(const struct domains *data, double level) {
  for (uint32_t i = 0; i < data->leave_out.count; i++)
    if (data->leave_out.items[i] == level) return true;
  return false;
}

/* Orders the levels: those to train on first. */
static tn_status order_levels(struct domains *data) {
  data->domains = data->levels.count;
  if (data->domains < 1) return tn_fail(TN_ERROR_INVALID, "levels: expected one at least");
  if (!(data->level = tn_alloc((size_t)data->domains * sizeof *data->level))) return TN_ERROR_MEMORY;
  int64_t at = 0;
  for (int pass = 0; pass < 2; pass++) {
    for (uint32_t i = 0; i < data->levels.count; i++)
      if (is_left_out(data, data->levels.items[i]) == (pass == 1)) data->level[at++] = data->levels.items[i];
    if (pass == 0) data->training = at;
  }
  for (uint32_t i = 0; i < data->leave_out.count; i++) {
    bool known = false;
    for (int64_t d = data->training; d < data->domains; d++)
      known |= data->level[d] == data->leave_out.items[i];
    if (!known)
      return tn_fail(TN_ERROR_INVALID, "leave_out: %g is not among the levels", data->leave_out.items[i]);
  }
  return TN_OK;
}

static tn_status choose_rows(struct domains *data) {
  const int64_t total = tn_dataset_rows(data->data), d = data->domains;
  if (total < 0) return TN_ERROR_MISSING;
  if (data->size == 0) data->size = data->distinct ? total / d : total;
  const int64_t needed = data->distinct ? d * data->size : data->size;
  if (data->validation.number > 0 || data->validation.fraction > 0)
    data->validations = tn_count_of(data->validation, data->size);
  if (data->size < 1 || needed > total)
    return tn_fail(TN_ERROR_INVALID, "%lld rows are needed, '%s' has %lld", (long long)needed,
                   data->data->name, (long long)total);
  if (data->validations >= data->size)
    return tn_fail(TN_ERROR_INVALID, "%lld validation rows leave none of %lld to train on",
                   (long long)data->validations, (long long)data->size);
  int64_t *order = tn_alloc((size_t)total * sizeof *order);
  data->rows = tn_alloc((size_t)(d * data->size) * sizeof *data->rows);
  if (order && data->rows) {
    tn_rng rng = {.key = 0x646f6d61696e0000u ^ (uint64_t)data->split_seed};
    tn_random_permutation(&rng, order, total);
    for (int64_t i = 0; i < d * data->size; i++) data->rows[i] = order[data->distinct ? i : i % data->size];
  }
  tn_free(order);
  return order && data->rows ? TN_OK : TN_ERROR_MEMORY;
}

static tn_status domains_create(void *self) {
  const tn_status status = order_levels(self);
  return status == TN_OK ? choose_rows(self) : status;
}
static tn_status colored_digits_create(void *self) {
  ((struct domains *)self)->colours = true;
  return domains_create(self);
}

static void domains_destroy(void *self) {
  struct domains *data = self;
  tn_free(data->rows);
  tn_free(data->level);
}

/* A part: rows [begin, begin + rows) of each of `count` domains from the first. */
struct stretch {
  int64_t first, count, begin, rows;
};
static tn_status find_part(const struct domains *data, const char *part, struct stretch *at) {
  const bool train = !*part || strcmp(part, "train") == 0, left_out = data->training < data->domains;
  *at = (struct stretch){0, data->training, 0, data->size - data->validations};
  if (train && data->training > 0) return TN_OK;
  if (strcmp(part, "validation") == 0 && data->validations > 0 && data->training > 0) {
    at->begin = at->rows;
    at->rows = data->validations;
    return TN_OK;
  }
  at->rows = data->size;
  at->count = data->domains;
  if (strcmp(part, "all") == 0) return TN_OK;
  if (left_out && (train || strcmp(part, "left_out") == 0)) {
    at->first = data->training;
    at->count -= data->training;
    return TN_OK;
  }
  char *end;
  at->first = strncmp(part, "domain.", 7) == 0 ? strtoll(part + 7, &end, 10) : -1;
  at->count = 1;
  if (at->first >= 0 && end > part + 7 && !*end && at->first < data->domains) return TN_OK;
  return tn_fail(TN_ERROR_MISSING, "no part '%s'; there are train, all%s%s, domain.0 to domain.%lld", part,
                 left_out ? ", left_out" : "", data->validations > 0 ? ", validation" : "",
                 (long long)data->domains - 1);
}

static int64_t domains_rows(void *self, const char *part) {
  struct stretch at;
  const tn_status status = find_part(self, part, &at);
  return status < 0 ? status : at.count * at.rows;
}

static tn_status domains_describe(void *self, const char *part, tn_spec *spec) {
  const struct domains *data = self;
  struct stretch at;
  tn_status status = find_part(data, part, &at);
  if (status >= 0) status = tn_dataset_describe(data->data, spec);
  if (status < 0) return status;
  const tn_field_spec *image = tn_spec_get(spec, "image");
  if (!image) return TN_ERROR_MISSING;
  if (data->colours) {
    const tn_shape shape = image->shape;
    const tn_field_spec *label = tn_spec_get(spec, "label");
    if (!label) return TN_ERROR_MISSING;
    if (shape.dim[0] != 1 || label->classes != 10)
      return tn_fail(TN_ERROR_SHAPE, "'%s' has no grey images of ten classes", data->data->name);
    tn_spec_set(spec, "image", TN_FLOAT, TN_SHAPE(2, shape.dim[1], shape.dim[2]), 0);
    tn_spec_set(spec, "label", TN_I64, (tn_shape){0, {0}}, 2);
  }
  return tn_spec_set(spec, "domain", TN_I64, (tn_shape){0, {0}}, data->domains);
}

/* The number that a row draws its own random numbers with: always the same for the same row and domain. */
static tn_rng row_rng(const struct domains *data, int64_t domain, int64_t row) {
  return (tn_rng){.key = 0x646f6d61696e0001u ^ (uint64_t)data->split_seed,
                  .step = (uint64_t)row * 4096u + (uint64_t)domain};
}

/* Row i of a batch is row rows[i] of `data`, seen at the level of domain[i]. x (n, c, h, w) -> the same */
static tn_tensor *view(const struct domains *data, tn_tensor *x, const int64_t *domain, const int64_t *rows,
                       int64_t count) {
  double *level = tn_alloc((size_t)(count + 1) * sizeof *level);
  tn_rng *rng = tn_alloc((size_t)(count + 1) * sizeof *rng);
  tn_tensor *y = NULL;
  for (int64_t i = 0; level && rng && i < count; i++) {
    level[i] = data->level[domain[i]];
    rng[i] = row_rng(data, domain[i], rows[i]);
  }
  if (level && rng) y = view_apply(data->view, x, level, rng);
  tn_free(level);
  tn_free(rng);
  return y;
}

/* Sets `image` (n, 2, h, w) and the noisy binary `label`. */
static void colour(const struct domains *data, tn_fields *fields, const int64_t *domain,
                   const int64_t *rows) {
  tn_tensor *x = tn_field(fields, "image"), *digit = tn_field(fields, "label");
  const int64_t n = tn_dim(x, 0);
  tn_tensor *label = tn_empty(TN_I64, TN_SHAPE(n)), *red = tn_empty(TN_F64, TN_SHAPE(n, 1, 1, 1));
  for (int64_t i = 0; !tn_failed() && i < n; i++) {
    tn_rng label_rng = row_rng(data, 4095, rows[i]); /* the label's noise is the same in every domain */
    tn_rng rng = row_rng(data, domain[i], rows[i]);
    const bool flipped = tn_random_uniform(&label_rng) < data->label_noise;
    tn_i64(label)[i] = (tn_i64(digit)[i] >= 5) != flipped;
    const bool agrees = tn_random_uniform(&rng) < data->level[domain[i]];
    tn_f64(red)[i] = (tn_i64(label)[i] == 0) == agrees;
  }
  tn_tensor *first = tn_mul(x, tn_cast(red, x->dtype)); /* (n, 1, h, w) */
  tn_fields_set(fields, "image", tn_concatenate((tn_tensor *[]){first, tn_sub(x, first)}, 2, 1));
  tn_fields_set(fields, "label", label);
}

static tn_status domains_read(void *self, const char *part, const int64_t *index, int64_t count,
                              tn_fields *fields) {
  const struct domains *data = self;
  struct stretch at;
  tn_status status = find_part(data, part, &at);
  if (status < 0) return status;
  int64_t *rows = tn_alloc(2 * (size_t)(count + 1) * sizeof *rows), *domain = rows ? rows + count : NULL;
  if (!rows) return TN_ERROR_MEMORY;
  for (int64_t i = 0; i < count; i++) {
    domain[i] = at.first + index[i] / at.rows;
    rows[i] = data->rows[domain[i] * data->size + at.begin + index[i] % at.rows];
  }
  status = tn_dataset_read(data->data, rows, count, fields);
  tn_tensor *image = status < 0 ? NULL : tn_field(fields, "image");
  tn_tensor *number = tn_empty(TN_I64, TN_SHAPE(count));
  if (image && !tn_failed()) {
    memcpy(tn_i64(number), domain, (size_t)count * sizeof *domain);
    if (data->colours)
      colour(data, fields, domain, rows);
    else
      tn_fields_set(fields, "image", view(data, image, domain, rows, count));
    tn_fields_set(fields, "domain", number);
  }
  tn_free(rows);
  return status < 0 ? status : tn_outcome();
}

static const char *domains_part(void *self, uint32_t i) {
  struct domains *data = self;
  const char *const parts[] = {data->training > 0 ? "train" : NULL, "all",
                               data->training < data->domains ? "left_out" : NULL,
                               data->training > 0 && data->validations > 0 ? "validation" : NULL};
  for (size_t p = 0; p < TN_ARRAY_LENGTH(parts); p++)
    if (parts[p] && i-- == 0) return parts[p];
  if (i >= data->domains) return NULL;
  snprintf(data->name, sizeof data->name, "domain.%u", i);
  return data->name;
}

static const char *domains_class_name(void *self, const char *field, int64_t label) {
  const struct domains *data = self;
  return data->colours ? NULL : tn_dataset_class_name(data->data, field, label);
}

static const tn_dataset domains_table = {.size = sizeof(tn_dataset),
                                         .rows = domains_rows,
                                         .describe = domains_describe,
                                         .read = domains_read,
                                         .part = domains_part,
                                         .class_name = domains_class_name};
static const tn_class domains_class = {
    .size = sizeof(tn_class),
    .kind = TN_DATASET,
    .name = "domains",
    .summary = "Rotated or corrupted views of a data set of images, each a domain",
    .reference = "Gulrajani and Lopez-Paz 2021, In search of lost domain generalization",
    TN_CLASS_PARAMS(domains_params),
    .instance_size = sizeof(struct domains),
    .vtable = &domains_table,
    .create = domains_create,
    .destroy = domains_destroy};
static const tn_class colored_digits_class = {
    .size = sizeof(tn_class),
    .kind = TN_DATASET,
    .name = "colored_digits",
    .summary = "Digits whose colour agrees with the label more or less often, by domain",
    .reference = "Arjovsky et al. 2019, Invariant risk minimization",
    TN_CLASS_PARAMS(colored_digits_params),
    .instance_size = sizeof(struct domains),
    .vtable = &domains_table,
    .create = colored_digits_create,
    .destroy = domains_destroy};
TN_PLUGIN("dataset_domains", "1.0.0", "MIT", &domains_class, &colored_digits_class)
