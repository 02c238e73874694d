// SPDX-License-Identifier: MIT
#include "core/conformance/data.h"
#include "core/config/memory.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
  const char *section, *reader, *file, *keys;
} sets[TN_DATA_SETS] = {
    [TN_DATA_NUMBERS] = {"data.numbers", "dataset.csv", "numbers.csv", ""},
    [TN_DATA_IMAGES] = {"data.images", "dataset.csv", "images.csv", "image = 1, 8, 8\n"},
    [TN_DATA_TARGETS] = {"data.targets", "dataset.csv", "targets.csv", "target = y0, y1, y2\n"},
    [TN_DATA_TEXT] = {"data.text", "dataset.text", "text.txt", "context = 8\n"},
    [TN_DATA_TURNED] = {"data.turned", "dataset.csv", "turned.csv", ""},
};

const char *tn_data_section(tn_trial *trial, tn_data_set which) {
  char text[4400], head[64];
  if (!tn_registry_find(trial->registry, sets[which].reader)) return NULL;
  snprintf(head, sizeof head, "[%s]\n", sets[which].section);
  const size_t old = trial->sections ? strlen(trial->sections) : 0;
  if (old && strstr(trial->sections, head)) return sets[which].section;
  snprintf(text, sizeof text, "%suse = %s\nfile = %s/%s\n%s%s", head, sets[which].reader, trial->folder,
           sets[which].file, sets[which].keys, which == TN_DATA_TEXT ? "" : "test = 0\n");
  char *joined = tn_take(old + strlen(text) + 1);
  if (old) memcpy(joined, trial->sections, old);
  strcpy(joined + old, text);
  free(trial->sections);
  trial->sections = joined;
  return sets[which].section;
}

/* ---- worlds ---- */

enum { CLASSES = 3, FEATURES = 6, TOKENS = 11, LENGTH = 8, DOMAINS = 2 };

/* A field of the specification; `after`: models make it. */
typedef struct field {
  const char *name;
  tn_dtype dtype;
  tn_shape shape;
  int64_t classes;
  bool after;
} field;
#define VECTOR(n) \
  {               \
    1, { n }      \
  }
#define IMAGE(c, h, w) \
  {                    \
    3, { c, h, w }     \
  }
#define SCALAR \
  {            \
    0, { 0 }   \
  }
#define LABELLED(classes) \
  { "label", TN_I64, SCALAR, classes, false }
#define OUTPUTS(classes)                                                                                 \
  {"logits", TN_FLOAT, VECTOR(classes), 0, true}, {"output", TN_FLOAT, VECTOR(classes), 0, true},        \
      {"member_logits", TN_FLOAT, {2, {5, classes}}, 0, true},                                           \
      {"probability", TN_FLOAT, VECTOR(classes), 0, true}, {"features", TN_FLOAT, VECTOR(5), 0, true}, { \
    "prediction", TN_I64, SCALAR, classes, true                                                          \
  }
#define SAMPLE                                                                           \
  {"domain", TN_I64, SCALAR, DOMAINS, false}, {"group", TN_I64, SCALAR, DOMAINS, false}, \
      {"index", TN_I64, SCALAR, 0, false}, {                                             \
    "weight", TN_FLOAT, SCALAR, 0, false                                                 \
  }

static const field classes[] = {{"image", TN_FLOAT, IMAGE(1, 8, 8), 0, false},
                                {"input", TN_FLOAT, VECTOR(FEATURES), 0, false},
                                {"tokens", TN_I64, VECTOR(LENGTH), TOKENS, false},
                                LABELLED(CLASSES),
                                SAMPLE,
                                OUTPUTS(CLASSES),
                                {"target", TN_FLOAT, VECTOR(CLASSES), 0, true}};
static const field vectors[] = {
    {"input", TN_FLOAT, VECTOR(FEATURES), 0, false}, LABELLED(CLASSES), SAMPLE, OUTPUTS(CLASSES)};
static const field pairs[] = {{"image", TN_FLOAT, IMAGE(1, 8, 8), 0, false},
                              {"input", TN_FLOAT, VECTOR(FEATURES), 0, false},
                              LABELLED(2),
                              SAMPLE,
                              OUTPUTS(2)};
static const field regression[] = {{"input", TN_FLOAT, VECTOR(FEATURES), 0, false},
                                   {"target", TN_FLOAT, VECTOR(CLASSES), 0, false},
                                   SAMPLE,
                                   {"output", TN_FLOAT, VECTOR(CLASSES), 0, true},
                                   {"logits", TN_FLOAT, VECTOR(CLASSES), 0, true},
                                   {"features", TN_FLOAT, VECTOR(5), 0, true}};
static const field colours[] = {
    {"image", TN_FLOAT, IMAGE(3, 16, 16), 0, false}, LABELLED(CLASSES), SAMPLE, OUTPUTS(CLASSES)};
static const field large[] = {
    {"image", TN_FLOAT, IMAGE(3, 32, 32), 0, false}, LABELLED(CLASSES), SAMPLE, OUTPUTS(CLASSES)};
static const field sequences[] = {{"tokens", TN_I64, VECTOR(LENGTH), TOKENS, false},
                                  {"label", TN_I64, VECTOR(LENGTH), TOKENS, false},
                                  {"logits", TN_FLOAT, {2, {LENGTH, TOKENS}}, 0, true}};
static const field diffusion[] = {{"image", TN_FLOAT, IMAGE(1, 8, 8), 0, false},
                                  {"noise", TN_FLOAT, VECTOR(5), 0, false},
                                  {"time", TN_FLOAT, SCALAR, 0, false},
                                  LABELLED(CLASSES)};
static const field graphs[] = {{"node", TN_FLOAT, {2, {-1, 4}}, 0, false},
                               {"edge", TN_I64, {2, {-1, 2}}, 0, false},
                               LABELLED(CLASSES),
                               OUTPUTS(CLASSES)};
static const field states[] = {{"state", TN_FLOAT, VECTOR(FEATURES), 0, false},
                               {"mask", TN_B8, VECTOR(4), 0, false},
                               {"condition", TN_FLOAT, VECTOR(3), 0, false}};
static const field strings[] = {{"tokens", TN_I64, VECTOR(LENGTH), CLASSES, false},
                                {"mask", TN_B8, {2, {LENGTH + 1, CLASSES + 1}}, 0, false},
                                {"condition", TN_FLOAT, VECTOR(3), 0, false}};
static const field objects[] = {{"objectives", TN_FLOAT, VECTOR(3), 0, false},
                                {"preference", TN_FLOAT, VECTOR(3), 0, false},
                                {"utility", TN_FLOAT, SCALAR, 0, false},
                                {"object", TN_FLOAT, VECTOR(4), 0, false},
                                {"group", TN_I64, SCALAR, 2, false}};
static const field heads[] = {{"input", TN_FLOAT, VECTOR(FEATURES), 0, false},
                              LABELLED(CLASSES),
                              SAMPLE,
                              {"head_logits", TN_FLOAT, {2, {1 + DOMAINS, CLASSES}}, 0, true}};
#define NUMBER(name) \
  { name, TN_FLOAT, SCALAR, 0, true }
#define INDEX(name) \
  { name, TN_I64, SCALAR, 0, true }
static const field trajectories[] = {NUMBER("log_pf"),
                                     NUMBER("log_pb"),
                                     NUMBER("log_flow"),
                                     NUMBER("entropy"),
                                     NUMBER("log_reward"),
                                     NUMBER("utility"),
                                     INDEX("trajectory"),
                                     INDEX("offset"),
                                     INDEX("action"),
                                     INDEX("parent.child"),
                                     INDEX("parent.row"),
                                     INDEX("parent.action"),
                                     {"condition", TN_FLOAT, VECTOR(3), 0, true},
                                     {"logits", TN_FLOAT, VECTOR(4), 0, true}};
#define WORLD(name, fields) \
  { name, fields, TN_ARRAY_LENGTH(fields) }
static const struct {
  const char *name;
  const field *fields;
  uint32_t count;
} worlds[TN_WORLDS] = {WORLD("images, vectors and tokens of three classes", classes),
                       WORLD("vectors of three classes", vectors),
                       WORLD("images and vectors of two classes", pairs),
                       WORLD("vectors with targets", regression),
                       WORLD("colour images", colours),
                       WORLD("colour images of 32 x 32", large),
                       WORLD("sequences of tokens", sequences),
                       WORLD("images with noise and time", diffusion),
                       WORLD("graphs", graphs),
                       WORLD("states of an environment", states),
                       WORLD("strings of an environment", strings),
                       WORLD("objects with objectives", objects),
                       WORLD("heads of a joint domain and two others", heads),
                       WORLD("trajectories", trajectories)};

const char *tn_world_name(uint32_t world) { return worlds[world].name; }

tn_spec *tn_world_spec(uint32_t world, bool after) {
  tn_spec *spec = tn_spec_new();
  for (uint32_t i = 0; spec && i < worlds[world].count; i++) {
    const field *f = &worlds[world].fields[i];
    if (f->after && !after) continue;
    const tn_field_spec one = {sizeof one, f->dtype, f->shape, f->classes, f->shape.dim[0] < 0};
    tn_sdk.data->spec_set(spec, f->name, &one);
  }
  if (!spec || tn_spec_count(spec) > 0) return spec;
  tn_spec_release(spec);
  return NULL;
}

static void fill_row(const tn_trial *trial, const char *name, const tn_field_spec *f, int64_t row,
                     int64_t numel, tn_tensor *x, int64_t at) {
  double sum = 0;
  for (int64_t i = 0; i < numel; i++) {
    const uint64_t key = (uint64_t)(row * numel + i);
    double value = tn_trial_normal(trial, name, key);
    if (strcmp(name, "image") == 0 || strcmp(name, "target") == 0 || strcmp(name, "time") == 0)
      value = tn_trial_uniform(trial, name, key);
    if (strcmp(name, "weight") == 0) value = 0.5 + tn_trial_uniform(trial, name, key);
    if (strcmp(name, "probability") == 0) value = exp(value);
    if (x->dtype == TN_I64) value = (double)row;
    if (x->dtype == TN_I64 && f->classes > 0)
      value = strcmp(name, "label") == 0 && numel == 1
                  ? (double)(row % f->classes) /* every class comes */
                  : (double)tn_trial_random(trial, name, key, (uint64_t)f->classes);
    sum += value;
    if (x->dtype == TN_F32) tn_f32(x)[at + i] = (float)value;
    if (x->dtype == TN_F64) tn_f64(x)[at + i] = value;
    if (x->dtype == TN_I64) tn_i64(x)[at + i] = (int64_t)value;
    if (x->dtype == TN_B8) ((uint8_t *)tn_data(x))[at + i] = value > 0 || i + 1 == numel;
  }
  if (strcmp(name, "probability") != 0) return;
  for (int64_t i = 0; i < numel; i++) {
    if (x->dtype == TN_F32) tn_f32(x)[at + i] /= (float)sum;
    if (x->dtype == TN_F64) tn_f64(x)[at + i] /= sum;
  }
}

/* Rings of three to five nodes, their edges both ways round. */
static int64_t ring_of(int64_t row) { return 3 + row % 3; }
static void add_rings(const tn_trial *trial, tn_fields *fields, const char *name, const tn_field_spec *f,
                      const int64_t *index, int64_t n) {
  const bool edges = f->dtype == TN_I64;
  const int64_t width = f->shape.dim[1], each = edges ? 2 : 1;
  char offset[64];
  tn_tensor *offsets = tn_empty(TN_I64, TN_SHAPE(n + 1));
  int64_t total = 0;
  for (int64_t i = 0; i <= n; i++) {
    tn_i64(offsets)[i] = total;
    if (i < n) total += each * ring_of(index[i]);
  }
  tn_tensor *x = tn_empty(f->dtype, TN_SHAPE(total, width));
  for (int64_t i = 0; i < n; i++)
    for (int64_t k = 0, nodes = ring_of(index[i]); k < nodes; k++) {
      const int64_t at = tn_i64(offsets)[i] + each * k, next = (k + 1) % nodes;
      if (edges) memcpy(tn_i64(x) + at * width, (int64_t[]){k, next, next, k}, 4 * sizeof(int64_t));
      if (!edges) fill_row(trial, name, f, 5 * index[i] + k, width, x, at * width);
    }
  snprintf(offset, sizeof offset, "%s.offset", name);
  tn_fields_set(fields, name, x);
  tn_fields_set(fields, offset, offsets);
}

tn_fields *tn_world_fields(const tn_trial *trial, const tn_spec *spec, const int64_t *index, int64_t n) {
  if (tn_spec_find(spec, "trajectory")) return tn_trajectory_fields(trial, index, n);
  tn_fields *fields = tn_fields_new();
  for (uint32_t i = 0; i < tn_spec_count(spec); i++) {
    const char *name;
    const tn_field_spec *f = tn_spec_at(spec, i, &name);
    if (f->ragged) {
      add_rings(trial, fields, name, f, index, n);
      continue;
    }
    tn_shape shape = {f->shape.ndim + 1, {n}};
    int64_t numel = 1;
    for (uint32_t d = 0; d < f->shape.ndim; d++) numel *= shape.dim[d + 1] = f->shape.dim[d];
    tn_tensor *x = tn_empty(f->dtype, shape);
    for (int64_t r = 0; r < n && !tn_poisoned(x); r++)
      fill_row(trial, name, f, index[r], numel, x, r * numel);
    tn_fields_set(fields, name, x);
  }
  return fields;
}
