// SPDX-License-Identifier: MIT
/* The distinct texts of a categorical column, numbered. */
#ifndef TENON_FORMAT_WORDS_H
#define TENON_FORMAT_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tn_word {
  const char *text; /* borrowed: the caller keeps it alive */
  int32_t code;     /* order of appearance */
} tn_word;

/* Empty when zeroed. At most INT32_MAX words. */
typedef struct tn_words {
  tn_word *words; /* by appearance, until tn_words_sort */
  size_t count, capacity;
  int32_t *slots; /* hash table: index into words, -1: free; at least half of them are free */
  size_t slot_count;
} tn_words;

/* The code of a text, which is added if it is new; -1 without memory. */
int32_t tn_words_code(tn_words *words, const char *text);

/* Sorts the words by their bytes (strcmp) and returns the new code of each old one, valid until
 * tn_words_free; NULL if there are no words. No text may be looked up or added afterwards. */
const int32_t *tn_words_sort(tn_words *words);

void tn_words_free(tn_words *words);

#endif
