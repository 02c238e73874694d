// SPDX-License-Identifier: MIT
/* The one form in which anything that is wrong reaches a person: one line, "FILE:LINE: what, expected, got".
 */
#ifndef TENON_CORE_ERROR_H
#define TENON_CORE_ERROR_H

#include <tenon/abi.h>

typedef struct tn_error {
  tn_status status; /* TN_OK: nothing recorded */
  char text[1024];  /* without the leading "error: " and without a newline */
} tn_error;

/* Records the message unless one is recorded already (the first error is the one that matters); returns
 * `status`. file NULL: no place is named; line 0: only the file is. */
TN_PRINTF(5, 6)
tn_status tn_error_set(tn_error *error, tn_status status, const char *file, uint32_t line, const char *text,
                       ...);

/* The candidate nearest to `name` by edit distance (Damerau-Levenshtein, transpositions count one), or NULL
 * if none is near enough to be what was meant. */
const char *tn_nearest(const char *name, const char *const *candidates, uint32_t count);

/* "; did you mean 'x'?" with the nearest candidate, or "" if there is none; written to `text`, which is
 * returned. */
#define TN_SUGGESTION 128
const char *tn_suggest(char text[TN_SUGGESTION], const char *name, const char *const *candidates,
                       uint32_t count);
/* A value as messages show it: at most 60 bytes, then "..."; written to `text`, which is returned. */
#define TN_SHOWN 64
const char *tn_shown(char text[TN_SHOWN], const char *value);

#endif
