// SPDX-License-Identifier: MIT
/* One value of a pipeline file, being converted to one type. */
#ifndef TENON_CORE_VALUE_H
#define TENON_CORE_VALUE_H

#include "core/config/arena.h"
#include "core/config/bind.h"

struct tn_bound {
  tn_arena arena;
  struct tn_expression **expressions;
  uint32_t expression_count, expression_capacity;
};

typedef struct tn_value {
  const tn_param *param;
  const tn_key *key; /* name, text and place */
  tn_resolve resolve;
  void *context;
  tn_bound *bound;
  tn_error *error;
} tn_value;

/* Converts and writes to the field. An empty text is "nothing given": zero, NULL, an empty list. */
tn_status tn_value_write(const tn_value *value, void *field);
/* "KEY = VALUE: expected EXPECTED, got 'GOT'HINT". */
tn_status tn_value_wrong(const tn_value *value, const char *got, const char *hint);
/* The same with another reason. */
TN_PRINTF(2, 3) tn_status tn_value_refuse(const tn_value *value, const char *reason, ...);
tn_status tn_value_memory(const tn_value *value);

/* list.c: lists and terms. */
tn_status tn_value_list(const tn_value *value, void *field);
/* scalar.c: one number in its range. `item` is the number's text; `index` from 1 in lists, else 0. */
tn_status tn_value_integer(const tn_value *value, const char *item, uint32_t index, int64_t *result);
tn_status tn_value_real(const tn_value *value, const char *item, uint32_t index, double *result);
tn_status tn_value_reference(const tn_value *value, const char *item, const tn_component **result);

#endif
