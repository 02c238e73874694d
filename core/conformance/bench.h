// SPDX-License-Identifier: MIT
/* A pipeline with two instances of the component under test, ready to work.
 *
 * Opening it resolves the questions that the schema leaves open: which sample file a required path takes, and
 * which world of inputs; the answers are kept in the trial. */
#ifndef TENON_CORE_BENCH_H
#define TENON_CORE_BENCH_H

#include "core/conformance/data.h"
#include "core/conformance/fingerprint.h"
#include "core/pipeline/pipeline.h"

typedef struct tn_setup {
  bool doubles;    /* float64 */
  int32_t threads; /* 0: 1 */
  uint64_t seed;   /* of the run; 0: 1 */
  const char *const *overrides;
  uint32_t override_count;
} tn_setup;

struct tn_bench {
  tn_trial *trial;
  tn_pipeline *pipeline;
  tn_error error; /* why it could not be opened */
  const tn_component *subject, *other;
  const tn_component *data; /* the world's data set; NULL: fields are made up */
  tn_spec *inputs;          /* of the world */
  tn_fingerprint digest;
  struct tn_kept {
    const tn_component *owner;
    void *memory;
    void (*release)(void *memory);
  } kept[4];
};

/* false: bench->error says why. Setup NULL: float32, nothing special. */
bool tn_bench_open(tn_bench *bench, tn_trial *trial, const tn_setup *setup);
/* The same; a refusal skips the check with its reason, and fails it without one. */
void tn_bench_expect(tn_bench *bench, tn_trial *trial, const tn_setup *setup);
/* The same; fails or skips the check if it cannot be had. Both instances are prepared. */
void tn_bench_ready(tn_bench *bench, tn_trial *trial, const tn_setup *setup);
/* For random settings: false if they are refused, as they may be, with a reason. */
bool tn_bench_try(tn_bench *bench, tn_trial *trial, const tn_setup *setup);
void tn_bench_close(tn_bench *bench);
/* One unit of work in a scope of its own. Fails the check if it fails. */
void tn_bench_work(tn_bench *bench, const tn_component *c, int64_t unit);
/* The same, where a refusal with a reason is good too. */
void tn_bench_attempt(tn_bench *bench, const tn_component *c, int64_t unit);

/* What a driver keeps for a component from prepare on: zeroed at first, released with the bench. */
void *tn_bench_keep(tn_bench *bench, const tn_component *c, size_t bytes, void (*release)(void *memory));
void *tn_bench_kept(const tn_bench *bench, const tn_component *c);
/* The component of a section that tn_subject_provide or tn_data_section named before the bench was opened. */
const tn_component *tn_bench_find(const tn_bench *bench, const char *section);
/* n rows of the world from `first` on. */
tn_fields *tn_bench_fields(const tn_bench *bench, int64_t first, int64_t n);
tn_progress tn_bench_progress(int64_t step, tn_mode mode);
/* A value of a parameter of the subject, as "subject.KEY=VALUE", valid until the next but seven. */
const char *tn_bench_override(const char *key, const char *value);
#endif
