// SPDX-License-Identifier: MIT
/* What the files of linear algebra share. */
#ifndef TENON_TENSOR_LINALG_H
#define TENON_TENSOR_LINALG_H

#include "internal.h"

bool tn_check_square(const char *op, const tn_node *a);
tn_node *tn_op_transpose(tn_node *x); /* of the last two axes */
tn_node *tn_op_cholesky(tn_node *a);
tn_node *tn_op_solve(tn_node *a, tn_node *b);
tn_status tn_op_eigh(tn_node *a, tn_node **values, tn_node **vectors);

#endif
