// SPDX-License-Identifier: MIT
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/format/csv.h"
#include "core/format/number.h"
#include "tests/expect.h"

static tn_csv_table table;
static tn_format_error error;

static void reset(void) {
  table = (tn_csv_table){0};
  error.text[0] = 0;
}

static void release(void) { tn_csv_free(&table); }

static bool parse_with(const char *text, size_t size, const tn_csv_options *options) {
  tn_csv_free(&table);
  return tn_csv_parse("t.csv", text, size, options, &table, &error);
}

static bool parse(const char *text, tn_csv_header header) {
  tn_csv_options options = {.header = header};
  return parse_with(text, strlen(text), &options);
}

static void expect_parsed(const char *text, tn_csv_header header) {
  bool ok = parse(text, header);
  cr_assert(ok, "expected success, got: %s", error.text);
}

static void expect_refused(const char *text, tn_csv_header header, const char *message) {
  cr_assert(!parse(text, header), "expected '%s', got success", message);
  EXPECT_TEXT(error.text, message);
  cr_assert(table.columns == NULL); // nothing is left behind
}

static const char *word(const tn_csv_column *column, size_t row) {
  return column->codes[row] < 0 ? NULL : column->words[column->codes[row]];
}

TestSuite(csv, .init = reset, .fini = release);

/* ---- what is taken ---- */

Test(csv, columns_are_typed_by_their_values) {
  expect_parsed("x,name\n1.5,b\n-2,a\n3e2,b\n", TN_CSV_HEADER_AUTO);
  cr_assert(table.has_header);
  EXPECT_INT(table.row_count, 3);
  EXPECT_INT(table.column_count, 2);
  const tn_csv_column *x = tn_csv_find(&table, "x"), *name = tn_csv_find(&table, "name");
  EXPECT_INT(x->type, TN_CSV_NUMBER);
  EXPECT_REAL(x->values[0], 1.5);
  EXPECT_REAL(x->values[1], -2.0);
  EXPECT_REAL(x->values[2], 300.0);
  EXPECT_INT(name->type, TN_CSV_CATEGORY);
  cr_assert(name->values == NULL);
  cr_assert(tn_csv_find(&table, "y") == NULL);
}

Test(csv, words_are_sorted_and_codes_follow) {
  expect_parsed("w\npear\nfig\napple\nfig\n", TN_CSV_HEADER_YES);
  const tn_csv_column *w = &table.columns[0];
  EXPECT_INT(w->word_count, 3);
  EXPECT_TEXT(w->words[0], "apple");
  EXPECT_TEXT(w->words[1], "fig");
  EXPECT_TEXT(w->words[2], "pear");
  int32_t codes[] = {2, 1, 0, 1};
  for (size_t row = 0; row < 4; row++) EXPECT_INT(w->codes[row], codes[row]);
}

Test(csv, many_words_stay_distinct) {
  // 1000 words, each twice: word i is "w0000".."w0999", so its code is i
  char text[2 * 1000 * 7 + 8] = "w\n";
  char *end = text + 2;
  for (int i = 0; i < 2000; i++) end += sprintf(end, "w%04d\n", i * 7 % 1000);
  expect_parsed(text, TN_CSV_HEADER_YES);
  EXPECT_INT(table.columns[0].word_count, 1000);
  for (int i = 0; i < 2000; i++) EXPECT_INT(table.columns[0].codes[i], i * 7 % 1000);
}

Test(csv, quotes_hide_commas_line_ends_and_quotes) {
  expect_parsed("a,b\n\"x, \"\"y\"\"\r\nz\",\"\"\n", TN_CSV_HEADER_YES);
  EXPECT_TEXT(word(&table.columns[0], 0), "x, \"y\"\r\nz");
  EXPECT_INT(table.columns[1].missing, 1);
}

Test(csv, line_ends_may_be_crlf_and_the_last_may_be_absent) {
  const char *variants[] = {"1,2\n3,4\n", "1,2\r\n3,4\r\n", "1,2\r\n3,4", "1,2\n3,4\r", "1,2\n3,4\n\n\r\n"};
  for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
    expect_parsed(variants[i], TN_CSV_HEADER_NO);
    EXPECT_INT(table.row_count, 2);
    EXPECT_REAL(table.columns[1].values[1], 4.0);
  }
}

Test(csv, byte_order_mark_is_skipped) {
  expect_parsed("\xef\xbb\xbfx\n1\n", TN_CSV_HEADER_YES);
  cr_assert(tn_csv_find(&table, "x") != NULL);
}

Test(csv, blanks_belong_to_text_but_not_to_numbers_or_missing_values) {
  expect_parsed("n,t\n 1 ,a\n\t? , a\n", TN_CSV_HEADER_YES);
  EXPECT_INT(table.columns[0].type, TN_CSV_NUMBER);
  EXPECT_REAL(table.columns[0].values[0], 1.0);
  EXPECT_INT(table.columns[0].missing, 1);
  EXPECT_TEXT(word(&table.columns[1], 1), " a");
}

Test(csv, missing_numbers_are_nan_and_missing_texts_have_code_minus_one) {
  expect_parsed("n,t\n1,a\n?,?\n,\n", TN_CSV_HEADER_YES);
  EXPECT_INT(table.columns[0].missing, 2);
  cr_assert(isnan(table.columns[0].values[1]) && isnan(table.columns[0].values[2]));
  EXPECT_INT(table.columns[1].missing, 2);
  EXPECT_INT(table.columns[1].codes[2], -1);
  EXPECT_INT(table.columns[1].word_count, 1);
}

Test(csv, missing_values_are_what_the_options_say) {
  const char *missing[] = {"NA", "-999"};
  tn_csv_options options = {.missing = missing, .missing_count = 2};
  const char text[] = "n,t\n-999,?\nNA,a\n-9,NA\n";
  cr_assert(parse_with(text, strlen(text), &options), "%s", error.text);
  EXPECT_INT(table.columns[0].type, TN_CSV_NUMBER);
  EXPECT_INT(table.columns[0].missing, 2);
  EXPECT_REAL(table.columns[0].values[2], -9.0);
  EXPECT_INT(table.columns[1].word_count, 2); // "?" is a word here
}

Test(csv, column_without_values_is_numeric) {
  expect_parsed("a,b\n,1\n?,2\n", TN_CSV_HEADER_YES);
  EXPECT_INT(table.columns[0].type, TN_CSV_NUMBER);
  EXPECT_INT(table.columns[0].missing, 2);
}

Test(csv, values_that_are_not_finite_decimals_make_a_column_categorical) {
  const char *texts[] = {"nan", "inf", "1e999", "0x10", "1.2.3", "1e", "-", ".", "12a", "1 2"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    char text[64];
    snprintf(text, sizeof text, "1\n%s\n", texts[i]);
    expect_parsed(text, TN_CSV_HEADER_NO);
    EXPECT_INT(table.columns[0].type, TN_CSV_CATEGORY);
  }
}

Test(csv, delimiter_can_be_chosen) {
  tn_csv_options options = {.delimiter = ';', .header = TN_CSV_HEADER_NO};
  cr_assert(parse_with("1;\"2\"\n", 6, &options), "%s", error.text);
  EXPECT_REAL(table.columns[1].values[0], 2.0);
}

Test(csv, gzip_is_unpacked) {
  const char text[] = "x\n1\n2\n";
  unsigned char packed[128];
  z_stream z = {0};
  deflateInit2(&z, 9, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
  z.next_in = (unsigned char *)text;
  z.avail_in = sizeof text - 1;
  z.next_out = packed;
  z.avail_out = sizeof packed;
  EXPECT_INT(deflate(&z, Z_FINISH), Z_STREAM_END);
  size_t size = sizeof packed - z.avail_out;
  deflateEnd(&z);
  cr_assert(tn_csv_parse("t.csv.gz", packed, size, NULL, &table, &error), "%s", error.text);
  EXPECT_INT(table.row_count, 2);

  tn_csv_free(&table);
  tn_csv_options bound = {.limit = 5}; // the content has 6 bytes
  cr_assert(!tn_csv_parse("t.csv.gz", packed, size, &bound, &table, &error));
  EXPECT_TEXT(error.text, "t.csv.gz: larger than the limit of 5 bytes");
  cr_assert(!tn_csv_parse("t.csv.gz", packed, size - 9, NULL, &table, &error));
  char early[64];
  snprintf(early, sizeof early, "t.csv.gz: offset %zu: the gzip data end early", size - 9);
  EXPECT_TEXT(error.text, early);
  packed[size - 8] ^= 1; // the checksum
  cr_assert(!tn_csv_parse("t.csv.gz", packed, size, NULL, &table, &error));
  char damaged[80];
  snprintf(damaged, sizeof damaged, "t.csv.gz: offset %zu: damaged gzip data (incorrect data check)",
           size - 4);
  EXPECT_TEXT(error.text, damaged);
}

/* ---- the header ---- */

Test(csv, header_is_found_by_a_numeric_column_below_a_text) {
  expect_parsed("id,x\na,1\nb,2\n", TN_CSV_HEADER_AUTO);
  cr_assert(table.has_header);
}

Test(csv, first_row_with_a_number_is_data) {
  expect_parsed("a,1\nb,2\n", TN_CSV_HEADER_AUTO);
  cr_assert(!table.has_header);
  EXPECT_INT(table.row_count, 2);
  EXPECT_TEXT(table.columns[1].name, "c2");
}

Test(csv, header_over_texts_is_a_row_whose_cells_do_not_come_back) {
  expect_parsed("color,size\nred,big\nred,small\n", TN_CSV_HEADER_AUTO);
  cr_assert(table.has_header);
  expect_parsed("red,big\nred,small\n", TN_CSV_HEADER_AUTO);
  cr_assert(!table.has_header);
  expect_parsed("x,x\na,b\n", TN_CSV_HEADER_AUTO); // names would be equal
  cr_assert(!table.has_header);
}

Test(csv, header_can_be_prescribed) {
  expect_parsed("1,2\n3,4\n", TN_CSV_HEADER_YES);
  EXPECT_INT(table.row_count, 1);
  EXPECT_TEXT(table.columns[0].name, "1");
  EXPECT_REAL(table.columns[0].values[0], 3.0);
  expect_parsed("x\n3\n", TN_CSV_HEADER_NO);
  EXPECT_INT(table.row_count, 2);
  EXPECT_INT(table.columns[0].type, TN_CSV_CATEGORY);
}

Test(csv, empty_names_are_numbered) {
  expect_parsed(",x\n7,1\n", TN_CSV_HEADER_YES);
  EXPECT_TEXT(table.columns[0].name, "c1");
}

/* ---- numbers ---- */

Test(csv, numbers_are_rounded_as_strtod_does) {
  const char *texts[] = {"0",
                         "-0",
                         "1",
                         "+1.",
                         ".5",
                         "123456789012345678",
                         "0.1",
                         "1e22",
                         "1e23",
                         "1e-22",
                         "1e-23",
                         "2.2250738585072014e-308",
                         "5e-324",
                         "1e-400",
                         "007",
                         "3.14159265",
                         "9007199254740993",
                         "0.30000000000000004",
                         "1.7976931348623157e308",
                         "123e-3",
                         "1E+2",
                         "0.000001e6"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    const char *end;
    double value = NAN, wanted = strtod(texts[i], NULL);
    cr_assert(tn_number_read(texts[i], &end, &value), "%s", texts[i]);
    EXPECT_INT(*end, 0);
    cr_assert(memcmp(&value, &wanted, sizeof value) == 0, "%s: %a, expected %a", texts[i], value, wanted);
  }
}

Test(csv, random_numbers_are_rounded_as_strtod_does) {
  unsigned long long state = 1; // xorshift64
  for (int i = 0; i < 20000; i++) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    char text[64];
    snprintf(text, sizeof text, "%.*e", (int)(state >> 60) + 2,
             ldexp((double)state, (int)(state % 120) - 90));
    const char *end;
    double value = NAN, wanted = strtod(text, NULL);
    cr_assert(tn_number_read(text, &end, &value), "%s", text);
    cr_assert(memcmp(&value, &wanted, sizeof value) == 0, "%s: %a, expected %a", text, value, wanted);
  }
}

Test(csv, number_ends_where_it_ends) {
  const char *end;
  double value;
  const char text[] = "12:0.5e";
  cr_assert(tn_number_read(text, &end, &value));
  EXPECT_INT((size_t)(end - text), 2);
  cr_assert(tn_number_read(text + 3, &end, &value));
  EXPECT_INT((size_t)(end - text), 6); // the e has no exponent
  EXPECT_REAL(value, 0.5);
}

/* ---- what is refused ---- */

Test(csv, broken_files_are_refused_with_their_line) {
  struct {
    const char *text, *message;
  } cases[] = {
      {"", "t.csv: empty file"},
      {"\xef\xbb\xbf", "t.csv: empty file"},
      {"\n\n", "t.csv: empty file"},
      {"a,b\n", "t.csv: line 1: a header, but no rows"},
      {"a,b\n1,2\n1\n", "t.csv: line 3: 1 cell, but line 1 has 2"},
      {"a,b\n1,2,3\n", "t.csv: line 2: 3 cells, but line 1 has 2"},
      {"a,b\n\"1\n2\n\",3\n4\n", "t.csv: line 5: 1 cell, but line 1 has 2"},
      {"a,b\n1,2\n\n1,2\n", "t.csv: line 3: blank line"},
      {"a,b\n1,\"2\n3,4\n", "t.csv: line 2: unterminated quote"},
      {"a,b\n1,\"2\"x\n", "t.csv: line 2: text after a closing quote"},
      {"a,b\n1,2\"\n", "t.csv: line 2: quote inside an unquoted cell"},
      {"a,b\n1,2\rx\n", "t.csv: line 2: carriage return without a line feed"},
      {"a,b,a\n1,2,3\n", "t.csv: line 1: column name 'a' occurs twice"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    expect_refused(cases[i].text, TN_CSV_HEADER_YES, cases[i].message);
}

Test(csv, nul_bytes_are_refused) {
  tn_csv_options options = {0};
  cr_assert(!parse_with("a\n1\0\n", 5, &options));
  EXPECT_TEXT(error.text, "t.csv: line 2: NUL byte");
  cr_assert(!parse_with("a\n\"1\0\"\n", 7, &options));
  EXPECT_TEXT(error.text, "t.csv: line 2: NUL byte");
}

Test(csv, cells_longer_than_the_limit_are_refused) {
  size_t size = TN_CSV_CELL_MAX + 3;
  char *text = malloc(size);
  memset(text, 'x', size);
  tn_csv_options options = {.header = TN_CSV_HEADER_NO};
  cr_assert(parse_with(text, TN_CSV_CELL_MAX, &options), "%s", error.text);
  cr_assert(!parse_with(text, size, &options));
  EXPECT_TEXT(error.text, "t.csv: line 1: cell longer than 1048576 bytes");
  text[0] = '"';
  cr_assert(!parse_with(text, size, &options));
  EXPECT_TEXT(error.text,
              "t.csv: line 1: quoted cell longer than 1048576 bytes, or its closing quote is missing");
  free(text);
}

Test(csv, absent_files_and_folders_are_refused) {
  cr_assert(!tn_csv_read("/nonexistent/t.csv", NULL, &table, &error));
  EXPECT_TEXT(error.text, "/nonexistent/t.csv: cannot open: No such file or directory");
  cr_assert(!tn_csv_read("/", NULL, &table, &error));
  EXPECT_TEXT(error.text, "/: cannot read: Is a directory");
}

Test(csv, errors_are_one_line_and_keep_their_reason) {
  char name[1000];
  memset(name, 'd', sizeof name - 1);
  strcpy(name + sizeof name - 8, "/\nt.csv");
  cr_assert(!tn_csv_parse(name, "", 0, NULL, &table, &error));
  cr_assert(strchr(error.text, '\n') == NULL);
  cr_assert(strstr(error.text, "/?t.csv: empty file") != NULL);
  EXPECT_INT(strlen(error.text), 256 + strlen(": empty file"));
}

/* ---- real data ---- */

static void read_data(const char *name) {
  const char *folder = getenv("TENON_DATA");
  if (!folder) cr_skip_test("TENON_DATA is not set");
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "rb");
  if (!file) cr_skip_test("no %s", path);
  fclose(file);
  cr_assert(tn_csv_read(path, NULL, &table, &error), "%s", error.text);
}

Test(csv, adult_has_its_published_counts) {
  read_data("tabular/adult_train.csv.gz");
  EXPECT_INT(table.row_count, 32561);
  EXPECT_INT(table.column_count, 15);
  EXPECT_INT(tn_csv_find(&table, "workclass")->missing, 1836);
  EXPECT_INT(tn_csv_find(&table, "workclass")->word_count, 8);
  EXPECT_INT(tn_csv_find(&table, "occupation")->missing, 1843);
  EXPECT_INT(tn_csv_find(&table, "native_country")->missing, 583);
  double positive = 0;
  for (size_t row = 0; row < table.row_count; row++) positive += tn_csv_find(&table, "target")->values[row];
  EXPECT_REAL(positive, 7841.0); // 24.1 %
}

Test(csv, digits_have_no_header) {
  read_data("digits/digits.csv.gz");
  cr_assert(!table.has_header);
  EXPECT_INT(table.row_count, 1797);
  EXPECT_INT(table.column_count, 65);
  size_t classes[10] = {0}, wanted[10] = {178, 182, 177, 183, 181, 182, 181, 179, 174, 180};
  for (size_t row = 0; row < table.row_count; row++) classes[(int)table.columns[64].values[row]]++;
  for (int k = 0; k < 10; k++) EXPECT_INT(classes[k], wanted[k]);
}

Test(csv, yeast_has_ten_sites) {
  read_data("tabular/yeast.csv.gz");
  const tn_csv_column *site = tn_csv_find(&table, "site");
  EXPECT_INT(site->word_count, 10);
  EXPECT_TEXT(site->words[0], "CYT");
  size_t cyt = 0;
  for (size_t row = 0; row < table.row_count; row++) cyt += site->codes[row] == 0;
  EXPECT_INT(cyt, 463);
}
