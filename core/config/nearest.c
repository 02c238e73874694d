// SPDX-License-Identifier: MIT
/* The name that was probably meant. */
#include "core/config/error.h"
#include <string.h>

enum { LONGEST = 64 }; /* longer names are not compared */

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

/* Optimal string alignment distance: insertions, deletions, substitutions and transpositions of neighbours
 * cost 1, differences of case 0. Three rows of the table are enough. */
static uint32_t distance(const char *a, size_t m, const char *b, size_t n) {
  uint32_t rows[3][LONGEST + 1];
  uint32_t *before = rows[0], *above = rows[1], *row = rows[2];
  for (size_t j = 0; j <= n; j++) above[j] = (uint32_t)j;
  for (size_t i = 1; i <= m; i++) {
    row[0] = (uint32_t)i;
    for (size_t j = 1; j <= n; j++) {
      char x = lower(a[i - 1]), y = lower(b[j - 1]);
      uint32_t best = above[j - 1] + (x != y);
      if (above[j] + 1 < best) best = above[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      if (i > 1 && j > 1 && x == lower(b[j - 2]) && lower(a[i - 2]) == y && before[j - 2] + 1 < best)
        best = before[j - 2] + 1;
      row[j] = best;
    }
    uint32_t *free_row = before;
    before = above, above = row, row = free_row;
  }
  return above[n];
}

/* "learning_rate" and "lr": people know things by their initials. */
static bool initials(const char *words, const char *letters) {
  if (!strchr(words, '_')) return false;
  for (bool starts = true; *words; words++) {
    if (starts && lower(*words) != lower(*letters++)) return false;
    starts = *words == '_';
  }
  return *letters == '\0';
}

/* "eps" for "epsilon", "epoch" for "epochs": a beginning of three letters or more. */
static bool beginning(const char *whole, const char *part) {
  size_t length = strlen(part);
  return length >= 3 && strncmp(whole, part, length) == 0;
}

static const char *last_part(const char *name) {
  const char *dot = strrchr(name, '.');
  return dot ? dot + 1 : name;
}

/* "optimizer.sgd" is no slip of "optimizer.xyz": an equal beginning up to the last dot says nothing. */
static void drop_common_part(const char **a, const char **b) {
  size_t length = (size_t)(last_part(*a) - *a);
  if (length == 0 || strncmp(*a, *b, length) != 0 || last_part(*b) != *b + length) return;
  *a += length;
  *b += length;
}

/* How far apart, 0 being nearest; UINT32_MAX if too far to be a slip. */
static uint32_t apart(const char *name, const char *candidate) {
  drop_common_part(&name, &candidate);
  size_t m = strlen(name), n = strlen(candidate);
  if (m == 0 || n == 0 || m > LONGEST || n > LONGEST) return UINT32_MAX;
  size_t longer = m > n ? m : n;
  uint32_t edits = distance(name, m, candidate, n);
  if (3 * edits <= longer) return 2 * edits;
  if (initials(name, candidate) || initials(candidate, name)) return 3;
  if (strcmp(last_part(name), last_part(candidate)) == 0) return 4;
  if (beginning(candidate, name) || beginning(name, candidate)) return 5;
  return UINT32_MAX;
}

const char *tn_nearest(const char *name, const char *const *candidates, uint32_t count) {
  const char *nearest = NULL;
  uint32_t least = UINT32_MAX;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t d = candidates[i] ? apart(name, candidates[i]) : UINT32_MAX;
    if (d < least) least = d, nearest = candidates[i];
  }
  return nearest;
}
