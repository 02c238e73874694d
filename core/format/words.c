// SPDX-License-Identifier: MIT
#include "core/format/words.h"

#include <stdlib.h>
#include <string.h>

void tn_words_free(tn_words *words) {
  free(words->words);
  free(words->slots);
  *words = (tn_words){0};
}

static size_t hash(const char *text) { // FNV-1a
  uint64_t h = 14695981039346656037u;
  for (; *text; text++) h = (h ^ (unsigned char)*text) * 1099511628211u;
  return (size_t)(h ^ h >> 32);
}

/* The slot of a text, or the free one where it belongs (linear probing). */
static size_t find_slot(const tn_words *words, const char *text) {
  size_t slot = hash(text) & (words->slot_count - 1);
  while (words->slots[slot] >= 0 && strcmp(words->words[words->slots[slot]].text, text) != 0)
    slot = (slot + 1) & (words->slot_count - 1);
  return slot;
}

static bool grow(tn_words *words) {
  size_t capacity = words->capacity ? words->capacity * 2 : 16;
  tn_word *list = realloc(words->words, capacity * sizeof *list);
  if (!list) return false;
  words->words = list;
  int32_t *slots = malloc(2 * capacity * sizeof *slots);
  if (!slots) return false;
  free(words->slots);
  words->slots = slots;
  words->slot_count = 2 * capacity;
  words->capacity = capacity;
  for (size_t i = 0; i < words->slot_count; i++) slots[i] = -1;
  for (size_t i = 0; i < words->count; i++) slots[find_slot(words, list[i].text)] = (int32_t)i;
  return true;
}

int32_t tn_words_code(tn_words *words, const char *text) {
  if (words->count == words->capacity && !grow(words)) return -1;
  size_t slot = find_slot(words, text);
  if (words->slots[slot] < 0) {
    words->words[words->count] = (tn_word){text, (int32_t)words->count};
    words->slots[slot] = (int32_t)words->count++;
  }
  return words->slots[slot];
}

static int compare(const void *a, const void *b) {
  return strcmp(((const tn_word *)a)->text, ((const tn_word *)b)->text);
}

const int32_t *tn_words_sort(tn_words *words) {
  if (words->count == 0) return NULL;
  qsort(words->words, words->count, sizeof *words->words, compare);
  // the hash table has done its work, and its memory is large enough for the map
  for (size_t i = 0; i < words->count; i++) words->slots[words->words[i].code] = (int32_t)i;
  return words->slots;
}
