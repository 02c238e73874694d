// SPDX-License-Identifier: MIT
/* What every model must do, as functions that end the test where it does not. */
#ifndef TENON_TESTS_MODELS_SUPPORT_H
#define TENON_TESTS_MODELS_SUPPORT_H

#include "../plugins/harness.h"
#include <tenon/model.h>

/* The inputs of a model: what its data set would declare, and rows `first` to `first + count - 1` of it,
 * which are the same in every call. */
typedef struct data {
  void (*describe)(tn_spec *spec);
  tn_fields *(*rows)(int64_t first, int64_t count);
} data;

/* Opens section [m] with `keys` in `precision` and declares it for `inputs`. */
const tn_component *open_model(const char *precision, const char *keys, const data *inputs);
/* The message with which creating or declaring it is refused. */
const char *refusal(const char *keys, const data *inputs);

/* One call; the outputs. `call` may have norm, updates and taps set. */
tn_fields *apply(const tn_component *model, tn_fields *inputs, tn_mode mode, tn_model_call *call);
/* The same, `field` of it. */
tn_tensor *output(const tn_component *model, tn_fields *inputs, tn_mode mode, const char *field);
/* Trained numbers. */
int64_t size_of(const tn_component *model);
/* The shape of `field`. */
void expect_shape(const tn_component *model, tn_fields *inputs, const char *field, tn_shape shape);

/* d mean(field^2) / d parameters against central differences, at some coordinates of every tensor. */
void expect_gradients(const tn_component *model, tn_fields *inputs, tn_mode mode, const char *field);
/* The same with steps of h: small where many ReLUs may turn between the two points. */
void expect_gradients_by(const tn_component *model, tn_fields *inputs, tn_mode mode, const char *field,
                         double h);
/* Twice the same bits, in training and in evaluation; parameters and buffers untouched. */
void expect_pure(const tn_component *model, const data *inputs, const char *field);
/* In evaluation a row's result is that of the row alone. */
void expect_rows_alone(const tn_component *model, const data *inputs, const char *field);
/* The norm modes of model.h; `buffers` of them are reported. */
void expect_norm_modes(const tn_component *model, const data *inputs, const char *field, uint32_t buffers);

/* A tensor of numbers that look random but are not, between -1 and 1; row `first` on. */
tn_tensor *waves(tn_shape shape, int64_t first);

#endif
