// SPDX-License-Identifier: MIT
/* tenon.data/1: fields (named tensors: a batch, a model's outputs) and specifications (what fields will look
 * like).
 *
 * Field names are the contract between components: dataset and transform produce `image`, `label`, `domain`;
 * a model adds `logits`, `features`; losses and metrics read them. Standard names and shapes, n the batch:
 *   image (n, channels, height, width) float   input (n, features) float     label (n) int64, -1 = unlabelled
 *   target (n, outputs) float                  logits (n, classes) float     output (n, ...) float
 *   features (n, d) float                      domain, group, index (n) int64
 *   tokens (n, length) int64                   weight (n) float
 *   noise (n, d) float                         time (n) float or int64
 * A specification describes one sample: shapes without the batch axis. It is what `tenon check` pushes from
 * the dataset through transforms and model to the loss, before anything is computed. Ragged data (graphs,
 * boxes, strings) are fields with a leading axis of their own and a field `NAME.offset` (n + 1) int64 that
 * says where each sample begins; their specification has `ragged` set. Graphs of n_i nodes and m_i edges:
 *   node (sum n_i, d) float, specified as (-1, d); node.offset (n + 1)
 *   edge (sum m_i, 2) int64, specified as (-1, 2); edge.offset (n + 1): pairs (source, target) that count
 *     within their graph, 0 .. n_i - 1; an undirected edge is there both ways round
 *   label (n), one a graph, or ragged, one a node: (sum n_i) with label.offset
 * Ownership: fields made here belong to the innermost scope; specifications to whoever made them.
 * Threads: [any]. */
#ifndef TENON_DATA_H
#define TENON_DATA_H

#include <tenon/tensor.h>
#include <tenon/params.h>

#define TN_DATA_SERVICE "tenon.data/1"

typedef struct tn_fields tn_fields;
typedef struct tn_spec tn_spec;

typedef struct tn_field_spec {
  uint32_t size;
  tn_dtype dtype;  /* TN_FLOAT: the run's precision */
  tn_shape shape;  /* of one sample; -1 where it varies */
  int64_t classes; /* values are class numbers 0 .. classes - 1; 0: not a class number */
  bool ragged;
} tn_field_spec;

typedef struct tn_data_service {
  uint32_t size;
  tn_fields *(*fields_new)(void);
  /* Adds or replaces. A NULL or poisoned tensor poisons the field. Copies the name. */
  void (*fields_set)(tn_fields *fields, const char *name, tn_tensor *value);
  tn_tensor *(*fields_find)(const tn_fields *fields, const char *name); /* NULL if there is none */
  /* As find, but records an error that lists what there is and returns the poisoned tensor. */
  tn_tensor *(*fields_get)(const tn_fields *fields, const char *name);
  uint32_t (*fields_count)(const tn_fields *fields);
  tn_tensor *(*fields_at)(const tn_fields *fields, uint32_t index, const char **name);

  tn_spec *(*spec_new)(void);
  tn_spec *(*spec_clone)(const tn_spec *spec);
  void (*spec_release)(tn_spec *spec);
  tn_status (*spec_set)(tn_spec *spec, const char *name, const tn_field_spec *field);
  const tn_field_spec *(*spec_find)(const tn_spec *spec, const char *name); /* NULL if there is none */
  /* As find, but records an error that lists what there is, and the nearest name; then NULL. */
  const tn_field_spec *(*spec_get)(const tn_spec *spec, const char *name);
  uint32_t (*spec_count)(const tn_spec *spec);
  const tn_field_spec *(*spec_at)(const tn_spec *spec, uint32_t index, const char **name);

  /* In a `declare` function: an output field of the component. */
  void (*declare_output)(tn_declaration *declaration, const char *name, const tn_field_spec *field);
} tn_data_service;

static inline tn_fields *tn_fields_new(void) { return tn_sdk.data->fields_new(); }
static inline void tn_fields_set(tn_fields *fields, const char *name, tn_tensor *value) {
  tn_sdk.data->fields_set(fields, name, value);
}
static inline tn_tensor *tn_fields_find(const tn_fields *fields, const char *name) {
  return tn_sdk.data->fields_find(fields, name);
}
static inline tn_tensor *tn_field(const tn_fields *fields, const char *name) {
  return tn_sdk.data->fields_get(fields, name);
}
static inline uint32_t tn_fields_count(const tn_fields *fields) { return tn_sdk.data->fields_count(fields); }
static inline tn_tensor *tn_fields_at(const tn_fields *fields, uint32_t index, const char **name) {
  return tn_sdk.data->fields_at(fields, index, name);
}
/* Adds all of `more`, replacing equal names. */
static inline void tn_fields_merge(tn_fields *fields, const tn_fields *more) {
  const char *name;
  for (uint32_t i = 0; i < tn_fields_count(more); i++) {
    tn_tensor *value = tn_fields_at(more, i, &name);
    tn_fields_set(fields, name, value);
  }
}
static inline tn_spec *tn_spec_new(void) { return tn_sdk.data->spec_new(); }
static inline tn_spec *tn_spec_clone(const tn_spec *spec) { return tn_sdk.data->spec_clone(spec); }
static inline void tn_spec_release(tn_spec *spec) { tn_sdk.data->spec_release(spec); }
static inline tn_status tn_spec_set(tn_spec *spec, const char *name, tn_dtype dtype, tn_shape shape,
                                    int64_t classes) {
  tn_field_spec field = {sizeof field, dtype, shape, classes, false};
  return tn_sdk.data->spec_set(spec, name, &field);
}
static inline const tn_field_spec *tn_spec_find(const tn_spec *spec, const char *name) {
  return tn_sdk.data->spec_find(spec, name);
}
static inline const tn_field_spec *tn_spec_get(const tn_spec *spec, const char *name) {
  return tn_sdk.data->spec_get(spec, name);
}
static inline uint32_t tn_spec_count(const tn_spec *spec) { return tn_sdk.data->spec_count(spec); }
static inline const tn_field_spec *tn_spec_at(const tn_spec *spec, uint32_t index, const char **name) {
  return tn_sdk.data->spec_at(spec, index, name);
}
/* Elements of one sample. */
static inline int64_t tn_spec_numel(const tn_field_spec *field) {
  int64_t n = 1;
  for (uint32_t i = 0; i < field->shape.ndim; i++) n *= field->shape.dim[i];
  return n;
}
static inline void tn_declare_output(tn_declaration *declaration, const char *name, tn_dtype dtype,
                                     tn_shape shape, int64_t classes) {
  tn_field_spec field = {sizeof field, dtype, shape, classes, false};
  tn_sdk.data->declare_output(declaration, name, &field);
}

/* What a pass is for. */
typedef int32_t tn_mode;
enum { TN_TRAIN = 0, TN_EVALUATE = 1 };

/* Where a procedure stands: handed to every component that may depend on it. */
typedef struct tn_progress {
  uint32_t size;
  tn_mode mode;
  int64_t step;  /* optimizer steps done so far, from 0 */
  int64_t steps; /* planned; 0 if unknown */
  double epoch;  /* passes over the data done so far, with fraction */
  double epochs; /* planned; 0 if unknown */
} tn_progress;

#endif
