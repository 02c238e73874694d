// SPDX-License-Identifier: MIT
/* The derivative of a normalisation, made of differentiable operations. */
#ifndef TENON_NN_DERIVATIVE_H
#define TENON_NN_DERIVATIVE_H

#include "internal.h"

typedef struct tn_normalised {
  tn_node *x, *g;  /* input, and gradient of the normalised, weighted and shifted value */
  tn_node *weight; /* broadcasts to x; NULL: ones */
  bool center;     /* the mean is subtracted */
  uint32_t axes;   /* of the statistics */
  double epsilon;
  tn_node *gx; /* results: gradient of x, and g h with the normalised h, whose sums are weight's gradient */
  tn_node *gh;
} tn_normalised;
void tn_normal_derivative(tn_normalised *n);

#endif
