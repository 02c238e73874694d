// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>

#include "core/format/jsonl.h"
#include "tests/expect.h"
#include "tests/format/data.h"

static tn_jsonl rows;
static tn_format_error error;

static void reset(void) { rows = (tn_jsonl){0}; }
static void release(void) { tn_jsonl_free(&rows); }

TestSuite(jsonl, .init = reset, .fini = release);

static bool parse(const char *text) {
  tn_jsonl_free(&rows);
  return tn_jsonl_parse("t.jsonl", text, strlen(text), 0, &rows, &error);
}

static void expect_refused(const char *text, const char *message) {
  cr_assert(!parse(text), "expected '%s', got success", message);
  EXPECT_TEXT(error.text, message);
  cr_assert(!rows.objects && !rows.file);
}

Test(jsonl, fields_have_types) {
  cr_assert(parse("{\"name\": \"a\\nb\", \"size\": 3, \"share\": -0.5, \"ok\": true}\r\n{\"name\": "
                  "\"\xc3\xa9\"}\n\n"),
            "%s", error.text);
  EXPECT_INT(rows.count, 2);
  const char *text = NULL;
  double number = 0;
  bool boolean = false;
  cr_assert(tn_jsonl_text(&rows, 0, "name", &text, &error));
  EXPECT_TEXT(text, "a\nb");
  cr_assert(tn_jsonl_number(&rows, 0, "size", &number, &error));
  EXPECT_REAL(number, 3);
  cr_assert(tn_jsonl_number(&rows, 0, "share", &number, &error));
  EXPECT_REAL(number, -0.5);
  cr_assert(tn_jsonl_boolean(&rows, 0, "ok", &boolean, &error));
  cr_assert(boolean);
  cr_assert(tn_jsonl_text(&rows, 1, "name", &text, &error));
  EXPECT_TEXT(text, "\xc3\xa9");
}

Test(jsonl, points_lead_into_objects) {
  cr_assert(parse("{\"a\": {\"b\": {\"c\": 1}}, \"x.y\": 2, \"none\": null}"), "%s", error.text);
  double number = 0;
  cr_assert(tn_jsonl_number(&rows, 0, "a.b.c", &number, &error));
  EXPECT_REAL(number, 1);
  cr_assert(tn_jsonl_number(&rows, 0, "x.y", &number, &error));
  EXPECT_REAL(number, 2);
  cr_assert(tn_jsonl_has(&rows, 0, "a.b"));
  cr_assert(!tn_jsonl_has(&rows, 0, "a.c") && !tn_jsonl_has(&rows, 0, "none") &&
            !tn_jsonl_has(&rows, 0, "x.y.z"));
}

Test(jsonl, wrong_fields_are_refused_with_the_line) {
  cr_assert(parse("{}\n{\"a\": 1, \"b\": \"x\", \"c\": null}\n"), "%s", error.text);
  const char *text = NULL;
  double number = 0;
  bool boolean = false;
  cr_assert(!tn_jsonl_text(&rows, 1, "a", &text, &error));
  EXPECT_TEXT(error.text, "t.jsonl: line 2: field 'a' is a number, expected a text");
  cr_assert(!tn_jsonl_number(&rows, 1, "b", &number, &error));
  EXPECT_TEXT(error.text, "t.jsonl: line 2: field 'b' is a text, expected a number");
  cr_assert(!tn_jsonl_boolean(&rows, 1, "c", &boolean, &error));
  EXPECT_TEXT(error.text, "t.jsonl: line 2: field 'c' is null, expected a boolean");
  cr_assert(!tn_jsonl_text(&rows, 0, "a", &text, &error));
  EXPECT_TEXT(error.text, "t.jsonl: line 1: no field 'a'");
}

Test(jsonl, broken_lines_are_refused) {
  expect_refused("", "t.jsonl: no lines");
  expect_refused("{}\n\n{}\n", "t.jsonl: line 2: blank line");
  expect_refused("{}\n[1]\n", "t.jsonl: line 2: expected an object, got an array");
  expect_refused("{}\n{\"a\" 1}\n", "t.jsonl: line 2: column 6: ':' expected near '1'");
  expect_refused("{\"a\": 1, \"a\": 2}", "t.jsonl: line 1: column 12: duplicate object key near '\"a\"'");
  expect_refused("{} {}", "t.jsonl: line 1: column 4: end of file expected near '{'");
  expect_refused("{\"a\": 1e999}", "t.jsonl: line 1: column 11: real number overflow near '1e999'");
  expect_refused("{\"a\":\n1}\n", "t.jsonl: line 1: column 0: unexpected token near end of file");
}

Test(jsonl, deep_nesting_is_refused) {
  enum { DEPTH = 100000 };
  char *text = malloc(DEPTH + 6);
  memcpy(text, "{\"a\":", 5);
  memset(text + 5, '[', DEPTH);
  text[DEPTH + 5] = 0;
  cr_assert(!parse(text));
  EXPECT_CONTAINS(error.text, "maximum parsing depth reached");
  free(text);
}

Test(jsonl, programs_have_their_published_counts) {
  cr_assert(tn_jsonl_read(data_path("code/introclass.jsonl.gz"), 0, &rows, &error), "%s", error.text);
  EXPECT_INT(rows.count, 1149);
  size_t right = 0, blackbox = 0;
  for (size_t i = 0; i < rows.count; i++) {
    const char *author = NULL;
    double passed = 0, total = 0, white_passed = 0, white_total = 0;
    cr_assert(tn_jsonl_text(&rows, i, "author", &author, &error) &&
                  tn_jsonl_number(&rows, i, "blackbox.passed", &passed, &error) &&
                  tn_jsonl_number(&rows, i, "blackbox.total", &total, &error) &&
                  tn_jsonl_number(&rows, i, "whitebox.passed", &white_passed, &error) &&
                  tn_jsonl_number(&rows, i, "whitebox.total", &white_total, &error),
              "%s", error.text);
    if (strcmp(author, "reference") == 0) continue;
    blackbox += passed >= total;
    right += passed >= total && white_passed >= white_total;
  }
  EXPECT_INT(right, 145);
  EXPECT_INT(blackbox, 351);
}
