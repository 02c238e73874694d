// SPDX-License-Identifier: MIT
/* Extension "tenon.folds/1" of a data set: its parts `train` and `test` are those of one fold at a time. */
#ifndef TENON_PLUGINS_FOLDS_H
#define TENON_PLUGINS_FOLDS_H

#include <tenon/component.h>

#define TN_FOLDS "tenon.folds/1"

typedef struct tn_folds {
  uint32_t size;
  int64_t (*count)(void *self); /* [main] */
  /* [main] From now on the parts are those of fold 0 <= `fold` < count. */
  tn_status (*choose)(void *self, int64_t fold);
} tn_folds;

#endif
