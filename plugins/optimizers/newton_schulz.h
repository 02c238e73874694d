// SPDX-License-Identifier: MIT
/* Orthogonalising a matrix by products (Jordan et al. 2024, Muon). */
#ifndef TENON_PLUGINS_NEWTON_SCHULZ_H
#define TENON_PLUGINS_NEWTON_SCHULZ_H

#include <tenon/plugin.h>

/* x (rows, columns) with its singular values brought to about 0.7 .. 1.2. */
static inline tn_tensor *newton_schulz(tn_tensor *x, int64_t iterations) {
  const bool tall = tn_dim(x, 0) > tn_dim(x, 1);
  x = tn_scale(x, 1 / (tn_item(tn_norm(x)) + 1e-7));
  for (int64_t i = 0; i < iterations; i++) {
    tn_tensor *a = tall ? tn_matmul_tn(x, x) : tn_matmul_nt(x, x);
    tn_tensor *b = tn_add(tn_scale(a, -4.7750), tn_scale(tn_matmul(a, a), 2.0315));
    x = tn_add(tn_scale(x, 3.4445), tall ? tn_matmul(x, b) : tn_matmul(b, x));
  }
  return x;
}

#endif
