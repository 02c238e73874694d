// SPDX-License-Identifier: MIT
/* The columns of a table that comes in one file or in two (training and test rows), and their encodings. */
#ifndef TENON_PLUGINS_TABLE_H
#define TENON_PLUGINS_TABLE_H

#include "core/format/csv.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tenon/dataset.h>

struct table {
  tn_csv_table files[2];
  uint32_t file_count;
  int64_t rows; /* of both */
};

/* Distinct values in order (numbers ascending, texts by bytes) and each row's place among them. */
struct categories {
  char **names;
  int64_t count;
  int64_t *codes; /* (rows); -1: empty cell */
};

static inline void table_free(struct table *table) {
  for (uint32_t f = 0; f < table->file_count; f++) tn_csv_free(&table->files[f]);
}
static inline void categories_free(struct categories *c) {
  for (int64_t i = 0; c->names && i < c->count; i++) tn_free(c->names[i]);
  tn_free(c->names);
  tn_free(c->codes);
}

/* Reads `file` and, if it is not empty, `test_file`, whose columns must be the same. */
static inline tn_status table_read(struct table *table, const char *file, const char *test_file,
                                   const tn_csv_options *options) {
  const char *files[] = {file, test_file};
  tn_format_error error;
  for (uint32_t f = 0; f < 2 && *files[f]; f++) {
    if (!tn_csv_read(files[f], options, &table->files[f], &error))
      return tn_fail(TN_ERROR_IO, "%s", error.text);
    table->file_count = f + 1;
    table->rows += (int64_t)table->files[f].row_count;
  }
  const tn_csv_table *a = &table->files[0], *b = &table->files[1];
  if (table->file_count < 2) return TN_OK;
  if (a->column_count != b->column_count)
    return tn_fail(TN_ERROR_INVALID, "%s has %zu columns, %s has %zu", test_file, b->column_count, file,
                   a->column_count);
  for (size_t c = 0; c < a->column_count; c++) {
    if (strcmp(a->columns[c].name, b->columns[c].name) != 0)
      return tn_fail(TN_ERROR_INVALID, "column %zu is '%s' in %s and '%s' in %s", c + 1, a->columns[c].name,
                     file, b->columns[c].name, test_file);
    if (a->columns[c].type != b->columns[c].type)
      return tn_fail(TN_ERROR_INVALID, "column '%s' holds numbers in one file and texts in the other",
                     a->columns[c].name);
  }
  return TN_OK;
}

static inline size_t table_columns(const struct table *table) { return table->files[0].column_count; }
static inline const char *table_name(const struct table *table, size_t c) {
  return table->files[0].columns[c].name;
}
static inline bool table_is_number(const struct table *table, size_t c) {
  return table->files[0].columns[c].type == TN_CSV_NUMBER;
}
static inline bool table_has_missing(const struct table *table, size_t c) {
  return table->files[0].columns[c].missing > 0 ||
         (table->file_count > 1 && table->files[1].columns[c].missing > 0);
}
/* The number in a cell; NaN where empty. */
static inline double table_number(const struct table *table, size_t c, int64_t row) {
  const int64_t first = (int64_t)table->files[0].row_count;
  return row < first ? table->files[0].columns[c].values[row]
                     : table->files[1].columns[c].values[row - first];
}

/* The column that `text` means: `last`, a name, or a number from 1; negative with an error if none. */
static inline int64_t table_find(const struct table *table, const char *text, const char *key) {
  const int64_t count = (int64_t)table_columns(table);
  for (int64_t c = 0; c < count; c++)
    if (strcmp(table_name(table, (size_t)c), text) == 0) return c;
  if (strcmp(text, "last") == 0) return count - 1;
  char *end;
  const long long number = strtoll(text, &end, 10);
  if (end != text && *end == 0 && number >= 1 && number <= count) return number - 1;
  tn_fail(TN_ERROR_MISSING, "%s: no column '%s' among %lld: '%s' to '%s'", key, text, (long long)count,
          table_name(table, 0), table_name(table, (size_t)count - 1));
  return -1;
}

static inline int compare_texts(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}
static inline int compare_numbers(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}
/* Keeps the first of equals among sorted items; how many are left. */
static inline size_t keep_distinct(void *items, size_t count, size_t bytes,
                                   int (*compare)(const void *, const void *)) {
  char *base = items;
  size_t kept = count > 0;
  for (size_t i = 1; i < count; i++)
    if (compare(base + i * bytes, base + (kept - 1) * bytes) != 0)
      memmove(base + kept++ * bytes, base + i * bytes, bytes);
  return kept;
}

static inline tn_status categories_name(struct categories *c, size_t i, const char *text) {
  c->names[i] = tn_alloc(strlen(text) + 1);
  if (!c->names[i]) return TN_ERROR_MEMORY;
  strcpy(c->names[i], text);
  return TN_OK;
}

static inline tn_status encode_numbers(const struct table *table, size_t column, struct categories *c) {
  double *values = tn_alloc((size_t)table->rows * sizeof *values);
  if (!values) return TN_ERROR_MEMORY;
  size_t count = 0;
  for (int64_t i = 0; i < table->rows; i++)
    if (!isnan(table_number(table, column, i))) values[count++] = table_number(table, column, i);
  qsort(values, count, sizeof *values, compare_numbers);
  count = keep_distinct(values, count, sizeof *values, compare_numbers);
  c->names = tn_alloc((count + 1) * sizeof *c->names);
  tn_status status = c->names ? TN_OK : TN_ERROR_MEMORY;
  for (size_t i = 0; status == TN_OK && i < count; i++) {
    char text[32];
    snprintf(text, sizeof text, "%.15g", values[i]);
    status = categories_name(c, i, text);
    c->count = (int64_t)i + 1;
  }
  for (int64_t i = 0; status == TN_OK && i < table->rows; i++) {
    const double x = table_number(table, column, i);
    const double *found = isnan(x) ? NULL : bsearch(&x, values, count, sizeof x, compare_numbers);
    c->codes[i] = found ? found - values : -1;
  }
  tn_free(values);
  return status;
}

static inline tn_status encode_texts(const struct table *table, size_t column, struct categories *c) {
  size_t count = 0;
  for (uint32_t f = 0; f < table->file_count; f++) count += table->files[f].columns[column].word_count;
  const char **words = tn_alloc((count + 1) * sizeof *words);
  if (!words) return TN_ERROR_MEMORY;
  count = 0;
  for (uint32_t f = 0; f < table->file_count; f++)
    for (size_t w = 0; w < table->files[f].columns[column].word_count; w++)
      words[count++] = table->files[f].columns[column].words[w];
  qsort(words, count, sizeof *words, compare_texts);
  count = keep_distinct(words, count, sizeof *words, compare_texts);
  c->names = tn_alloc((count + 1) * sizeof *c->names);
  tn_status status = c->names ? TN_OK : TN_ERROR_MEMORY;
  for (size_t i = 0; status == TN_OK && i < count; i++) {
    status = categories_name(c, i, words[i]);
    c->count = (int64_t)i + 1;
  }
  for (uint32_t f = 0, row = 0; status == TN_OK && f < table->file_count; f++) {
    const tn_csv_column *from = &table->files[f].columns[column];
    for (size_t i = 0; i < table->files[f].row_count; i++, row++) {
      const char **found = from->codes[i] < 0 ? NULL
                                              : bsearch(&from->words[from->codes[i]], words, count,
                                                        sizeof *words, compare_texts);
      c->codes[row] = found ? found - words : -1;
    }
  }
  tn_free(words);
  return status;
}

/* The caller frees *c with categories_free, also after a failure. */
static inline tn_status categories_of(const struct table *table, size_t column, struct categories *c) {
  *c = (struct categories){NULL, 0, tn_alloc((size_t)table->rows * sizeof(int64_t))};
  if (!c->codes) return TN_ERROR_MEMORY;
  return table_is_number(table, column) ? encode_numbers(table, column, c) : encode_texts(table, column, c);
}

/* A condition of `positive`: a comparison with a number, or a value itself. */
struct condition {
  const char *text; /* what follows the comparison */
  bool compares, above, below, equal;
  double number;
};

static inline tn_status condition_parse(const char *text, struct condition *condition) {
  static const struct {
    const char *sign;
    bool above, below, equal;
  } signs[] = {{">=", true, false, true},
               {"<=", false, true, true},
               {">", true, false, false},
               {"<", false, true, false}};
  *condition = (struct condition){.text = text};
  for (size_t i = 0; i < TN_ARRAY_LENGTH(signs) && !condition->compares; i++) {
    const size_t length = strlen(signs[i].sign);
    if (strncmp(text, signs[i].sign, length) != 0) continue;
    char *end;
    *condition = (struct condition){
        .text = text + length, .above = signs[i].above, .below = signs[i].below, .equal = signs[i].equal};
    condition->compares = true;
    condition->number = strtod(condition->text, &end);
    if (end == condition->text || *end || !isfinite(condition->number))
      return tn_fail(TN_ERROR_INVALID, "positive: '%s': expected a number behind %s", text, signs[i].sign);
  }
  return TN_OK;
}

/* False too where a comparison meets a text. */
static inline bool condition_holds(const struct condition *condition, const char *name) {
  if (!condition->compares) return strcmp(name, condition->text) == 0;
  char *end;
  const double x = strtod(name, &end);
  if (end == name || *end) return false;
  return (condition->above && x > condition->number) || (condition->below && x < condition->number) ||
         (condition->equal && x == condition->number);
}

/* Makes two classes: 1 where a condition holds, else 0; rows without a value stay -1. Each condition must
 * hold somewhere. */
static inline tn_status categories_merge(struct categories *c, int64_t rows, const tn_strings *positive) {
  int64_t *merged = tn_alloc((size_t)c->count * sizeof *merged);
  tn_status status = merged ? TN_OK : TN_ERROR_MEMORY;
  for (uint32_t p = 0; status == TN_OK && p < positive->count; p++) {
    struct condition condition;
    bool found = false;
    status = condition_parse(positive->items[p], &condition);
    for (int64_t k = 0; status == TN_OK && k < c->count; k++)
      if (condition_holds(&condition, c->names[k])) merged[k] = 1, found = true;
    if (status == TN_OK && !found)
      status = tn_fail(TN_ERROR_MISSING, "positive: no row has the label '%s'", positive->items[p]);
  }
  for (int64_t i = 0; status == TN_OK && i < rows; i++)
    if (c->codes[i] >= 0) c->codes[i] = merged[c->codes[i]];
  tn_free(merged);
  if (status < 0) return status;
  for (int64_t k = 0; k < c->count; k++) tn_free(c->names[k]);
  c->count = 0;
  char **two = tn_resize(c->names, 2 * sizeof *two);
  if (!two) return TN_ERROR_MEMORY;
  c->names = two;
  static const char *const names[] = {"rest", "positive"};
  for (size_t k = 0; status == TN_OK && k < 2; k++) {
    status = categories_name(c, k, names[k]);
    c->count++;
  }
  return status;
}

#endif
