// SPDX-License-Identifier: MIT
#include "nearest.h"

#include <string.h>

enum { LONGEST = 32 }; // longer names are not compared

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* Insertions, deletions, substitutions and swaps of neighbours that lead from a to b (optimal string
 * alignment). */
static uint32_t distance(const char *a, size_t m, const char *b, size_t n) {
  uint32_t d[LONGEST + 1][LONGEST + 1];
  for (size_t j = 0; j <= n; j++) d[0][j] = (uint32_t)j;
  for (size_t i = 1; i <= m; i++) {
    d[i][0] = (uint32_t)i;
    for (size_t j = 1; j <= n; j++) {
      d[i][j] = least(least(d[i - 1][j], d[i][j - 1]) + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[m][n];
}

const char *foreign_nearest(const char *name, const char *const *candidates, uint32_t count) {
  const char *nearest = NULL;
  uint32_t best = UINT32_MAX;
  size_t m = strlen(name);
  for (uint32_t i = 0; i < count && m <= LONGEST; i++) {
    size_t n = candidates[i] ? strlen(candidates[i]) : 0;
    if (n == 0 || n > LONGEST) continue;
    uint32_t edits = distance(name, m, candidates[i], n);
    if (edits < best && 3 * (size_t)edits <= (m > n ? m : n)) best = edits, nearest = candidates[i];
  }
  return nearest;
}
