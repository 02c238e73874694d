// SPDX-License-Identifier: MIT
/* Extension "tenon.cost/1" of a model: what one row costs to apply. */
#ifndef TENON_COST_H
#define TENON_COST_H

#include <tenon/plugin.h>

#define TN_COST "tenon.cost/1"

typedef struct tn_cost {
  uint32_t size;
  /* REQUIRED. Multiply-adds of convolutions and matrix products for one row when evaluating, as a whole
   * number. [main], after the model was declared, and its parameters asked for where it declares late. */
  double (*macs)(void *self);
} tn_cost;

#endif
