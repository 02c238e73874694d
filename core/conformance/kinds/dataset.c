// SPDX-License-Identifier: MIT
/* Data sets: what they describe is what they read. */
#include "core/conformance/drivers.h"
#include <math.h>
#include <string.h>
#include <tenon/dataset.h>

enum { MOST_ROWS = 64 };

static const char *first_part(const tn_component *c) {
  const char *part = tn_dataset_part(c, 0);
  return part ? part : "";
}
/* The same component as a reference to `part` gives it. */
static tn_component handle(const tn_component *c, const char *part) {
  tn_component derived = *c;
  derived.part = part;
  return derived;
}

static tn_status prepare(tn_bench *bench, const tn_component *c) {
  (void)bench;
  const tn_component part = handle(c, first_part(c));
  tn_spec *spec = tn_spec_new();
  const tn_status status = tn_dataset_describe(&part, spec);
  tn_spec_release(spec);
  return status;
}

static tn_status work(tn_bench *bench, const tn_component *c, int64_t unit) {
  const tn_component part = handle(c, first_part(c));
  const int64_t rows = tn_dataset_rows(&part);
  int64_t index[4];
  if (rows <= 0) return rows < 0 ? TN_ERROR_MISSING : TN_OK;
  for (int64_t i = 0; i < 4; i++) index[i] = (7 * unit + 3 * i) % rows;
  tn_fields *fields = tn_fields_new();
  const tn_status status = tn_dataset_read(&part, index, 4, fields);
  if (status >= 0) tn_fingerprint_fields(&bench->digest, fields);
  return status;
}

static tn_dtype dtype_of(const tn_field_spec *f) { return f->dtype == TN_FLOAT ? TN_F32 : f->dtype; }

static void expect_field(const tn_tensor *x, const char *name, const tn_field_spec *f, int64_t n) {
  if (!x) tn_trial_fail("'%s' is described, but not read", name);
  if (x->dtype != dtype_of(f)) tn_trial_fail("'%s' has another type than described", name);
  if (f->ragged) return;
  bool same = tn_ndim(x) == (int32_t)f->shape.ndim + 1 && tn_dim(x, 0) == n;
  for (uint32_t d = 0; same && d < f->shape.ndim; d++)
    same = f->shape.dim[d] < 0 || f->shape.dim[d] == tn_dim(x, (int32_t)d + 1);
  if (!same) tn_trial_fail("'%s' has another shape than described", name);
  for (int64_t i = 0; i < tn_numel(x); i++) {
    const double value = x->dtype == TN_F32   ? (double)tn_f32(x)[i]
                         : x->dtype == TN_F64 ? tn_f64(x)[i]
                         : x->dtype == TN_I64 ? (double)tn_i64(x)[i]
                                              : 0;
    if (!isfinite(value)) tn_trial_fail("'%s' holds %g", name, value);
    if (f->classes > 0 && x->dtype == TN_I64 && (value < -1 || value >= (double)f->classes))
      tn_trial_fail("'%s' holds %g, but has classes 0 to %lld", name, value, (long long)f->classes - 1);
  }
}

static tn_fields *read_rows(const tn_component *c, const int64_t *index, int64_t n) {
  tn_fields *fields = tn_fields_new();
  tn_trial_expect(tn_dataset_read(c, index, n, fields), "read");
  return fields;
}

static void check_part(const tn_component *c) {
  int64_t index[MOST_ROWS];
  const int64_t rows = tn_dataset_rows(c);
  if (rows < 0) tn_trial_fail("part '%s': rows: %s", c->part, tn_trial_message());
  tn_spec *spec = tn_spec_new();
  tn_trial_expect(tn_dataset_describe(c, spec), "describe");
  if (tn_spec_count(spec) == 0) tn_trial_fail("part '%s' describes no field", c->part);
  const int64_t n = rows < MOST_ROWS ? rows : MOST_ROWS;
  for (int64_t i = 0; i < n; i++) index[i] = rows <= MOST_ROWS ? i : i * (rows - 1) / (MOST_ROWS - 1);
  tn_scope_open();
  const tn_fields *fields = n > 0 ? read_rows(c, index, n) : NULL;
  for (uint32_t i = 0; fields && i < tn_spec_count(spec); i++) {
    const char *name;
    const tn_field_spec *f = tn_spec_at(spec, i, &name);
    expect_field(tn_fields_find(fields, name), name, f, n);
  }
  tn_scope_close();
  tn_spec_release(spec);
}

static void described(tn_trial *t) {
  tn_bench bench;
  tn_bench_ready(&bench, t, NULL);
  const char *part;
  uint32_t parts = 0;
  for (; (part = tn_dataset_part(bench.subject, parts)) != NULL; parts++) {
    const tn_component c = handle(bench.subject, part);
    check_part(&c);
  }
  if (parts == 0) tn_trial_fail("it has no part");
  const tn_component whole = handle(bench.subject, "");
  check_part(&whole);
  const tn_component none = handle(bench.subject, "no_such_part");
  if (TN_HAS((const tn_dataset *)bench.subject->vtable, tn_dataset, part) && tn_dataset_rows(&none) >= 0)
    tn_trial_fail("a part that it does not have has rows");
  tn_trial_message();
  tn_trial_note("%u parts", parts);
  tn_bench_close(&bench);
}

static void rows(tn_trial *t) {
  tn_bench bench;
  tn_bench_ready(&bench, t, NULL);
  const tn_component c = handle(bench.subject, first_part(bench.subject));
  const int64_t count = tn_dataset_rows(&c);
  if (count < 1) tn_trial_absent("it has no rows here");
  const int64_t many[4] = {count - 1, 0, count / 2, count - 1};
  tn_scope_open();
  const tn_fields *all = read_rows(&c, many, 4), *again = read_rows(&c, many, 4);
  tn_fingerprint x = {0}, y = {0};
  tn_fingerprint_fields(&x, all);
  tn_fingerprint_fields(&y, again);
  if (x.hash != y.hash) tn_trial_fail("the same rows read twice differ");
  for (int64_t r = 0; r < 4; r++) {
    const tn_fields *one = read_rows(&c, &many[r], 1);
    for (uint32_t i = 0; i < tn_fields_count(one); i++) {
      const char *name;
      const tn_tensor *a = tn_fields_at(one, i, &name), *b = tn_fields_find(all, name);
      const size_t size = a->dtype == TN_F64 || a->dtype == TN_I64 ? 8
                          : a->dtype == TN_U8 || a->dtype == TN_B8 ? 1
                                                                   : 4;
      const size_t bytes = (size_t)tn_numel(a) * size;
      if (!b) tn_trial_fail("a single row has a field '%s' that several have not", name);
      if (tn_numel(b) != 4 * tn_numel(a)) continue; /* ragged */
      if (memcmp(tn_data(a), (const char *)tn_data(b) + (size_t)r * bytes, bytes) != 0)
        tn_trial_fail("row %lld alone has another '%s' than among others", (long long)many[r], name);
    }
  }
  tn_scope_close();
  tn_bench_close(&bench);
}

static const tn_check checks[] = {
    {"described", "parts, types, shapes and classes are as described", described},
    {"rows", "the same row is always the same, alone or among others", rows}};
const tn_driver tn_driver_dataset = {.kind = TN_DATASET,
                                     .inputs = TN_INPUTS_BASE,
                                     .prepare = prepare,
                                     .work = work,
                                     .checks = checks,
                                     .check_count = TN_ARRAY_LENGTH(checks)};
