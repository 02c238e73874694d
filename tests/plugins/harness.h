// SPDX-License-Identifier: MIT
/* Components of the built plugins, made from INI text by the host itself, for the tests of this folder. */
#ifndef TENON_TESTS_HARNESS_H
#define TENON_TESTS_HARNESS_H

#include "../expect.h"
#include "core/pipeline/pipeline.h"
#include <math.h>

/* Makes the sections of `sections` in a pipeline of precision "float32" or "float64" that is never run, and
 * opens a scope. `${digits}` is the examples' data set. Ends the test if it cannot. Any former one is closed.
 */
void harness_open(const char *precision, const char *sections);
void harness_close(void);
/* Compiles a plugin of the tests, `plugins/fixtures/probe.c`, whose components pipelines may then use. To be
 * called before any of them is opened. */
void harness_fixture(const char *source);
/* The message with which the host refuses `sections`; ends the test if it takes them. */
const char *harness_refusal(const char *precision, const char *sections);
/* The component of a section; ends the test if there is none. */
const tn_component *harness_component(const char *section);
/* The message recorded by the last calls, which is forgotten; "" if they did not fail. */
const char *harness_failure(void);

/* A parameter set of vectors "p0", "p1" ... with the given groups and lengths, all zero. */
tn_params *harness_params(uint32_t count, const tn_group *groups, const int64_t *sizes);
/* The only tensor of a batch, from numbers. */
tn_tensor *harness_tensor(tn_shape shape, const double *values); /* in the pipeline's precision */
tn_tensor *harness_labels(int64_t count, const int64_t *values);
double harness_at(const tn_tensor *x, int64_t i);

/* A component's state in memory. */
typedef struct harness_state harness_state;
harness_state *harness_save(const tn_component *component);
void harness_load(const tn_component *component, const harness_state *state);
void harness_forget(harness_state *state);
/* The whole number that was saved under a name; ends the test if there is none. */
int64_t harness_integer(const harness_state *state, const char *name);
/* The parameter set that was saved under a name, the state's own; ends the test if there is none. */
tn_params *harness_set(const harness_state *state, const char *name);
/* True if two components of the same class were saved with the same bits. */
bool harness_same(const harness_state *a, const harness_state *b);

/* Whole pipeline files, with overrides. start opens one, NULL if it cannot, in a run directory unless that is
 * NULL; run also runs it and ends the test if that fails; try opens and runs it, which may fail. The caller
 * closes it. */
tn_pipeline *harness_start(const char *text, const char *directory, const char *const *overrides,
                           uint32_t count, tn_error *error);
tn_pipeline *harness_run(const char *text, const char *const *overrides, uint32_t count);
tn_pipeline *harness_try(const char *text, const char *const *overrides, uint32_t count, tn_error *error);
/* A result of a run; ends the test if there is none of that name. */
double harness_result(const tn_pipeline *p, const char *name);

/* The figure `name` of a metric, also of one that probes without a model; NaN if there is none. */
double harness_figure(const tn_component *metric, const char *name);

#define EXPECT_NEAR(got, wanted, tolerance)                                                               \
  do {                                                                                                    \
    const double got_ = (got), wanted_ = (wanted);                                                        \
    cr_assert(fabs(got_ - wanted_) <= (tolerance), "%s: expected %.17g, got %.17g", #got, wanted_, got_); \
  } while (0)

#endif
