// SPDX-License-Identifier: MIT
/* The inputs that components are given: data sets made of the sample files, and batches of made-up fields.
 *
 * A component says what it takes by what its `declare` accepts, so kinds with inputs are tried with one world
 * after the other until one is taken. What a row of a made-up batch holds depends on the trial's seed and on
 * the row's number only: the same rows can come in any order and in any batch. */
#ifndef TENON_CORE_CONFORMANCE_DATA_H
#define TENON_CORE_CONFORMANCE_DATA_H

#include "core/conformance/trial.h"
#include <tenon/plugin.h>

typedef enum tn_data_set {
  TN_DATA_NUMBERS, /* six features, three classes */
  TN_DATA_IMAGES,  /* (1, 8, 8), three classes */
  TN_DATA_TARGETS, /* six features, three targets */
  TN_DATA_TEXT,    /* tokens */
  TN_DATA_TURNED,  /* TN_DATA_NUMBERS with its rows in reverse order */
  TN_DATA_SETS
} tn_data_set;
/* The section of a data set, added to trial->sections if need be; NULL: its reader is not installed. */
const char *tn_data_section(tn_trial *trial, tn_data_set which);

/* Worlds of made-up fields: what data sets bring (`after`: and what models add). */
enum { TN_WORLDS = 14 };
const char *tn_world_name(uint32_t world);
tn_spec *tn_world_spec(uint32_t world, bool after); /* NULL: there is nothing yet that models could take */
/* At most 64 trajectories, numbered by rows. */
tn_fields *tn_trajectory_fields(const tn_trial *trial, const int64_t *index, int64_t n);
/* Rows index[0 .. n) of the world that `spec` describes. */
tn_fields *tn_world_fields(const tn_trial *trial, const tn_spec *spec, const int64_t *index, int64_t n);

#endif
