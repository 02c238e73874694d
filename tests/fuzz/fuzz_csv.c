// SPDX-License-Identifier: MIT
/* Any bytes are either refused with one line, or make a table that holds what csv.h promises. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/format/csv.h"

static void require(bool condition) {
  if (!condition) abort();
}

static void check_column(const tn_csv_column *column, size_t rows) {
  size_t missing = 0;
  for (size_t row = 0; row < rows; row++) {
    if (column->type == TN_CSV_NUMBER) {
      require(!isinf(column->values[row]));
      missing += isnan(column->values[row]) != 0;
    } else {
      require(column->codes[row] >= -1 && column->codes[row] < (int32_t)column->word_count);
      missing += column->codes[row] < 0;
    }
  }
  require(missing == column->missing);
  for (size_t i = 1; i < column->word_count; i++) require(strcmp(column->words[i - 1], column->words[i]) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const tn_csv_header headers[] = {TN_CSV_HEADER_AUTO, TN_CSV_HEADER_YES, TN_CSV_HEADER_NO};
  for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
    tn_csv_options options = {.header = headers[i], .limit = 1 << 20};
    tn_csv_table table;
    tn_format_error error;
    if (!tn_csv_parse("fuzz", data, size, &options, &table, &error)) {
      require(strncmp(error.text, "fuzz: ", 6) == 0 && !strchr(error.text, '\n'));
      require(!table.columns && !table.strings);
      continue;
    }
    require(table.row_count > 0 && table.column_count > 0);
    for (size_t c = 0; c < table.column_count; c++) check_column(&table.columns[c], table.row_count);
    tn_csv_free(&table);
  }
  return 0;
}
