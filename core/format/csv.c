// SPDX-License-Identifier: MIT
/* Four passes over one buffer. The text becomes its cells, in place (cells.h). Every cell is tried as a
 * number, and columns that hold anything else are given up. The first row is judged by what lies below it.
 * The columns given up get their words. */
#include "core/format/csv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format/cells.h"
#include "core/format/number.h"
#include "core/format/words.h"

static const char *const default_missing[] = {"", "?"};

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static const char *skip_blanks(const char *cell) {
  while (is_blank(*cell)) cell++;
  return cell;
}

static const char *next_cell(const char *cell) { return cell + strlen(cell) + 1; }

/* ---- numbers, and the header they reveal ---- */

/* What the number pass learns about a column. */
typedef struct evidence {
  bool first_is_number, first_is_missing; // the cell of the first row
  bool text_below, number_below;          // some cell of a later row
} evidence;

typedef struct reader {
  const char *file;
  tn_format_error *error;
  const tn_csv_options *options;
  const char *cells; // rows * columns strings, the first row included
  size_t rows;       // likewise
  tn_csv_table *table;
  evidence *evidence;         // one a column
  bool missing_possible[256]; // first bytes of the missing texts
} reader;

static bool out_of_memory(const reader *r) { return tn_format_fail(r->error, r->file, "out of memory"); }

static bool is_missing(const reader *r, const char *cell) {
  cell = skip_blanks(cell);
  if (!r->missing_possible[(unsigned char)*cell]) return false;
  for (size_t i = 0; i < r->options->missing_count; i++) {
    size_t length = strlen(r->options->missing[i]);
    if (strncmp(cell, r->options->missing[i], length) == 0 && *skip_blanks(cell + length) == 0) return true;
  }
  return false;
}

/* Values of all columns, at first with the first row as row 0. Those of a column with text below are garbage.
 */
static bool read_numbers(reader *r) {
  tn_csv_table *table = r->table;
  for (size_t c = 0; c < table->column_count; c++) {
    table->columns[c].values = calloc(r->rows, sizeof(double));
    if (!table->columns[c].values) return out_of_memory(r);
  }
  const char *cell = r->cells;
  for (size_t row = 0; row < r->rows; row++) {
    for (size_t c = 0; c < table->column_count; c++) {
      evidence *seen = &r->evidence[c];
      double value = NAN;
      const char *end = cell;
      bool missing = !seen->text_below && is_missing(r, cell);
      bool number = !seen->text_below && !missing && tn_number_read(skip_blanks(cell), &end, &value) &&
                    *(end = skip_blanks(end)) == 0;
      table->columns[c].values[row] = missing ? NAN : value;
      if (row == 0) {
        seen->first_is_number = number;
        seen->first_is_missing = missing;
      } else {
        seen->number_below |= number;
        seen->text_below |= !number && !missing;
      }
      cell = number ? end + 1 : next_cell(cell);
    }
  }
  return true;
}

static int compare_strings(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts the texts and returns one that occurs twice, NULL if all differ. */
static const char *find_twin(const char **texts, size_t count) {
  qsort(texts, count, sizeof *texts, compare_strings);
  for (size_t i = 1; i < count; i++)
    if (strcmp(texts[i], texts[i - 1]) == 0) return texts[i];
  return NULL;
}

/* The judgement on tables without numbers: see tn_csv_header. *header is the answer, false means no memory.
 */
static bool first_row_is_unique(const reader *r, bool *header) {
  size_t columns = r->table->column_count;
  const char **first = malloc(columns * sizeof *first);
  if (!first) return out_of_memory(r);
  const char *cell = r->cells;
  for (size_t c = 0; c < columns; c++, cell = next_cell(cell)) first[c] = cell;
  *header = true;
  for (size_t row = 1; row < r->rows && *header; row++)
    for (size_t c = 0; c < columns; c++, cell = next_cell(cell))
      if (strcmp(cell, first[c]) == 0) *header = false;
  *header = *header && !find_twin(first, columns);
  free(first);
  return true;
}

static bool judge_header(reader *r) {
  bool *header = &r->table->has_header;
  *header = r->options->header == TN_CSV_HEADER_YES;
  if (r->options->header == TN_CSV_HEADER_AUTO) {
    bool number_in_first = false, numeric_below = false;
    for (size_t c = 0; c < r->table->column_count; c++) {
      const evidence *seen = &r->evidence[c];
      number_in_first |= seen->first_is_number;
      numeric_below |= !seen->first_is_missing && seen->number_below && !seen->text_below;
    }
    *header = !number_in_first && numeric_below;
    if (!number_in_first && !numeric_below && !first_row_is_unique(r, header)) return false;
  }
  r->table->row_count = r->rows - *header;
  if (r->table->row_count == 0) return tn_format_fail_line(r->error, r->file, 1, "a header, but no rows");
  return true;
}

/* Columns of numbers lose the header's row and get their count of missing values, the others their values. */
static void settle_types(reader *r) {
  tn_csv_table *table = r->table;
  for (size_t c = 0; c < table->column_count; c++) {
    tn_csv_column *column = &table->columns[c];
    const evidence *seen = &r->evidence[c];
    if (seen->text_below || !(table->has_header || seen->first_is_number || seen->first_is_missing)) {
      column->type = TN_CSV_CATEGORY;
      free(column->values);
      column->values = NULL;
      continue;
    }
    column->type = TN_CSV_NUMBER;
    if (table->has_header)
      memmove(column->values, column->values + 1, table->row_count * sizeof *column->values);
    for (size_t row = 0; row < table->row_count; row++) column->missing += isnan(column->values[row]) != 0;
  }
}

/* ---- words ---- */

static bool code_cells(reader *r, tn_words *words) {
  tn_csv_table *table = r->table;
  const char *cell = r->cells;
  if (table->has_header)
    for (size_t c = 0; c < table->column_count; c++) cell = next_cell(cell);
  for (size_t row = 0; row < table->row_count; row++) {
    for (size_t c = 0; c < table->column_count; c++, cell = next_cell(cell)) {
      tn_csv_column *column = &table->columns[c];
      if (column->type != TN_CSV_CATEGORY) continue;
      bool missing = is_missing(r, cell);
      column->missing += missing;
      column->codes[row] = missing ? -1 : tn_words_code(&words[c], cell);
      if (!missing && column->codes[row] < 0) return false;
    }
  }
  return true;
}

/* Gives a column its sorted words and renumbers its codes to match. */
static bool settle_words(tn_words *words, tn_csv_column *column, size_t rows) {
  column->words = malloc((words->count + 1) * sizeof *column->words);
  if (!column->words) return false;
  const int32_t *sorted = tn_words_sort(words);
  for (size_t i = 0; i < words->count; i++) column->words[i] = words->words[i].text;
  column->word_count = words->count;
  for (size_t row = 0; row < rows; row++)
    if (column->codes[row] >= 0) column->codes[row] = sorted[column->codes[row]];
  return true;
}

static bool read_words(reader *r) {
  tn_csv_table *table = r->table;
  tn_words *words = calloc(table->column_count, sizeof *words); // one dictionary a column
  bool ok = words != NULL;
  for (size_t c = 0; ok && c < table->column_count; c++) {
    if (table->columns[c].type != TN_CSV_CATEGORY) continue;
    table->columns[c].codes = malloc(table->row_count * sizeof *table->columns[c].codes);
    ok = table->columns[c].codes != NULL;
  }
  ok = ok && code_cells(r, words);
  for (size_t c = 0; ok && c < table->column_count; c++)
    if (table->columns[c].type == TN_CSV_CATEGORY)
      ok = settle_words(&words[c], &table->columns[c], table->row_count);
  for (size_t c = 0; words && c < table->column_count; c++) tn_words_free(&words[c]);
  free(words);
  return ok || out_of_memory(r);
}

/* ---- names, and the strings that outlive the file's buffer ---- */

static const char *keep(char **end, const char *text) {
  size_t size = strlen(text) + 1;
  const char *kept = memcpy(*end, text, size);
  *end += size;
  return kept;
}

static bool refuse_equal_names(const reader *r) {
  const char **names = malloc(r->table->column_count * sizeof *names);
  if (!names) return out_of_memory(r);
  for (size_t c = 0; c < r->table->column_count; c++) names[c] = r->table->columns[c].name;
  const char *twin = find_twin(names, r->table->column_count);
  free(names);
  return !twin || tn_format_fail_line(r->error, r->file, 1, "column name '%.80s' occurs twice", twin);
}

static bool keep_strings(reader *r) {
  tn_csv_table *table = r->table;
  char generated[24];
  size_t size = 0;
  const char *cell = r->cells;
  for (size_t c = 0; c < table->column_count; c++, cell = next_cell(cell)) {
    const tn_csv_column *column = &table->columns[c];
    size += sizeof generated + (table->has_header ? strlen(cell) : 0);
    for (size_t i = 0; i < column->word_count; i++) size += strlen(column->words[i]) + 1;
  }
  char *end = table->strings = malloc(size);
  if (!end) return out_of_memory(r);
  cell = r->cells;
  for (size_t c = 0; c < table->column_count; c++, cell = next_cell(cell)) {
    tn_csv_column *column = &table->columns[c];
    snprintf(generated, sizeof generated, "c%zu", c + 1);
    column->name = keep(&end, table->has_header && *cell ? cell : generated);
    for (size_t i = 0; i < column->word_count; i++) column->words[i] = keep(&end, column->words[i]);
  }
  return !table->has_header || refuse_equal_names(r);
}

/* ---- the whole ---- */

void tn_csv_free(tn_csv_table *table) {
  for (size_t c = 0; table->columns && c < table->column_count; c++) {
    free(table->columns[c].values);
    free(table->columns[c].codes);
    free(table->columns[c].words);
  }
  free(table->columns);
  free(table->strings);
  *table = (tn_csv_table){0};
}

const tn_csv_column *tn_csv_find(const tn_csv_table *table, const char *name) {
  for (size_t c = 0; c < table->column_count; c++)
    if (strcmp(table->columns[c].name, name) == 0) return &table->columns[c];
  return NULL;
}

static bool build(reader *r) {
  for (size_t i = 0; i < r->options->missing_count; i++)
    r->missing_possible[(unsigned char)r->options->missing[i][0]] = true;
  r->table->columns = calloc(r->table->column_count, sizeof *r->table->columns);
  r->evidence = calloc(r->table->column_count, sizeof *r->evidence);
  if (!r->table->columns || !r->evidence) return out_of_memory(r);
  if (!read_numbers(r) || !judge_header(r)) return false;
  settle_types(r);
  return read_words(r) && keep_strings(r);
}

static bool parse_and_release(const char *file, tn_bytes *bytes, const tn_csv_options *given,
                              tn_csv_table *table, tn_format_error *error) {
  tn_csv_options options = given ? *given : (tn_csv_options){0};
  if (!options.delimiter) options.delimiter = ',';
  if (!options.missing) {
    options.missing = default_missing;
    options.missing_count = sizeof default_missing / sizeof *default_missing;
  }
  reader r = {.file = file, .error = error, .options = &options, .table = table};
  r.cells = (const char *)bytes->data;
  bool ok = tn_cells_split(file, bytes, options.delimiter, &r.rows, &table->column_count, error) && build(&r);
  free(r.evidence);
  tn_bytes_free(bytes);
  if (!ok) tn_csv_free(table);
  return ok;
}

bool tn_csv_read(const char *path, const tn_csv_options *options, tn_csv_table *table,
                 tn_format_error *error) {
  *table = (tn_csv_table){0};
  tn_bytes bytes;
  return tn_stream_read(path, options ? options->limit : 0, &bytes, error) &&
         parse_and_release(path, &bytes, options, table, error);
}

bool tn_csv_parse(const char *file, const void *bytes, size_t size, const tn_csv_options *options,
                  tn_csv_table *table, tn_format_error *error) {
  *table = (tn_csv_table){0};
  tn_bytes copy;
  return tn_stream_unpack(file, bytes, size, options ? options->limit : 0, &copy, error) &&
         parse_and_release(file, &copy, options, table, error);
}
