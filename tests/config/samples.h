// SPDX-License-Identifier: MIT
/* Component classes that tests bind to, and a resolver that knows a few names. */
#ifndef TENON_TESTS_SAMPLES_H
#define TENON_TESTS_SAMPLES_H

#include "core/config/bind.h"

/* optimizer.lion: lr in [0, 10], beta1 in [0, 1), nesterov, steps */
typedef struct lion {
  double lr, beta1;
  bool nesterov;
  int64_t steps;
} lion;
extern const tn_class lion_class;

/* stage.all: one key of every type, named after it. */
typedef struct all {
  bool boolean;
  int64_t integer;
  double real, clip;
  const char *string, *path;
  int32_t choice;
  tn_integers integers;
  tn_reals reals;
  tn_strings strings;
  const tn_component *reference;
  tn_references references;
  tn_terms terms;
  const struct tn_expression *formula;
  tn_count count;
} all;
extern const tn_class all_class;

/* model.needy: `width` is required, and so is `data`, a dataset. */
typedef struct needy {
  int64_t width;
  const tn_component *data;
} needy;
extern const tn_class needy_class;

const tn_class *sample_class(const char *full); /* NULL: none */
/* Knows the losses ce and hoc and the dataset digits; the context is not used. */
const tn_component *sample_resolve(void *context, const char *text, const char *kind, const tn_key *key,
                                   tn_error *error);
extern const tn_component sample_ce, sample_hoc, sample_digits;

/* Loads a file (or text called `name`) and binds every section that says `use`: what `tenon check` does
 * before it makes instances. The message, or "" if all is well; overwritten by the next call. */
const char *sample_check(const char *file);
const char *sample_check_text(const char *text);

#endif
