// SPDX-License-Identifier: MIT
#include "../expect.h"
#include "core/config/number.h"
#include "core/plugin/host.h"
#include "samples.h"
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* stage.all bound to "KEY = VALUE"; the caller releases `bound`. */
typedef struct binding {
  all self;
  tn_bound *bound;
  tn_error error;
} binding;

static binding bind(const char *key, const char *value) {
  binding b = {.bound = tn_bound_new()};
  tn_key keys[] = {{"use", "stage.all", "dir/pipe.ini", 1}, {key, value, "dir/pipe.ini", 9}};
  tn_section section = {"s", "dir/pipe.ini", 1, keys, key ? 2 : 1};
  tn_bind(&all_class, &b.self, &section, NULL, NULL, 0, sample_resolve, NULL, b.bound, &b.error);
  return b;
}
static binding accepted(const char *key, const char *value) {
  binding b = bind(key, value);
  cr_assert(b.error.status == TN_OK, "%s", b.error.text);
  return b;
}
static const char *refused(const char *key, const char *value) {
  static char text[1024];
  binding b = bind(key, value);
  tn_bound_free(b.bound);
  cr_assert(b.error.status != TN_OK, "accepted %s = %s", key, value);
  strcpy(text, b.error.text);
  return text;
}

Test(bind, without_keys_every_field_has_its_default) {
  binding b = accepted(NULL, NULL);
  EXPECT_INT(b.self.boolean, true);
  EXPECT_INT(b.self.integer, 7);
  EXPECT_REAL(b.self.real, 0.5);
  EXPECT_REAL(b.self.clip, (double)INFINITY);
  EXPECT_TEXT(b.self.string, "word");
  EXPECT_TEXT(b.self.path, "");
  EXPECT_INT(b.self.choice, 1);
  EXPECT_INT(b.self.integers.count, 2);
  EXPECT_INT(b.self.integers.items[1], 2);
  EXPECT_INT(b.self.reals.count + b.self.strings.count + b.self.references.count + b.self.terms.count, 0);
  cr_assert(!b.self.reference && !b.self.formula);
  EXPECT_REAL(b.self.count.fraction, 1.0);
  tn_bound_free(b.bound);
}

Test(bind, truths) {
  static const struct {
    const char *text;
    bool value;
  } cases[] = {{"yes", true},  {"no", false}, {"true", true}, {"false", false}, {"on", true},
               {"off", false}, {"1", true},   {"0", false},   {"Yes", true},    {"OFF", false}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    binding b = accepted("boolean", cases[i].text);
    EXPECT_INT(b.self.boolean, cases[i].value);
    tn_bound_free(b.bound);
  }
  EXPECT_TEXT(refused("boolean", "2"), "dir/pipe.ini:9: boolean = 2: expected yes or no, got '2'");
}

Test(bind, whole_numbers) {
  static const struct {
    const char *text;
    int64_t value;
  } cases[] = {{"0", 0},        {"-10", -10}, {"+3", 3},  {"1e6", 1000000},
               {"1.5e3", 1500}, {"2.0", 2},   {"007", 7}, {"1000000000000000000", 1000000000000000000}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    binding b = accepted("integer", cases[i].text);
    EXPECT_INT(b.self.integer, cases[i].value);
    tn_bound_free(b.bound);
  }
  EXPECT_CONTAINS(refused("integer", "-11"),
                  "integer = -11 is out of range: expected -10 <= integer <= 1e+18");
  EXPECT_CONTAINS(refused("integer", "1e-3"), "expected a whole number, got '1e-3'");
  EXPECT_CONTAINS(refused("integer", "0x10"), "expected a whole number");
  EXPECT_CONTAINS(refused("integer", "1_000"), "expected a whole number");
  EXPECT_CONTAINS(refused("integer", "9223372036854775808"), "is too large");
  EXPECT_CONTAINS(refused("integer", ""), "integer is empty: expected a whole number");
}

Test(bind, numbers) {
  static const struct {
    const char *text;
    double value;
  } cases[] = {{"0", 0},     {"-0.5", -0.5},     {".5", 0.5},
               {"5.", 5},    {"1e-3", 1e-3},     {"+2.5E+2", 250},
               {"0.1", 0.1}, {"5e-324", 5e-324}, {"1.7976931348623157e308", 1.7976931348623157e308}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    binding b = accepted("real", cases[i].text);
    EXPECT_REAL(b.self.real, cases[i].value);
    tn_bound_free(b.bound);
  }
  const char *wrong[] = {"fast", "1e",  "e5",  ".",   "-",  "1.2.3", "0x1p3",
                         "nan",  "inf", "1 2", "1,5", "1f", "--1"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    EXPECT_CONTAINS(refused("real", wrong[i]), "expected a number, got '");
}

Test(bind, infinity_is_a_value_where_it_is_the_default) {
  binding b = accepted("clip", "inf");
  EXPECT_REAL(b.self.clip, (double)INFINITY);
  tn_bound_free(b.bound);
  EXPECT_CONTAINS(refused("clip", "-inf"), "is out of range: expected clip >= 0");
  EXPECT_CONTAINS(refused("clip", "nan"), "expected a number, got 'nan'");
  EXPECT_CONTAINS(refused("real", "inf"), "expected a number, got 'inf'");
}

/* Numbers have a point, whatever the user's locale has. */
Test(bind, numbers_do_not_depend_on_the_locale) {
  const char *locales[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "C"};
  for (size_t i = 0; i < 4; i++)
    if (setlocale(LC_ALL, locales[i])) break;
  double value = 0;
  EXPECT_INT(tn_number_real("1.5", false, &value), TN_NUMBER_OK);
  EXPECT_REAL(value, 1.5);
  EXPECT_INT(tn_number_real("1,5", false, &value), TN_NUMBER_MALFORMED);
}

Test(bind, texts_and_paths) {
  binding b = accepted("string", "two words, one comma");
  EXPECT_TEXT(b.self.string, "two words, one comma");
  tn_bound_free(b.bound);
  b = accepted("path", "data/x.csv");
  EXPECT_TEXT(b.self.path, "dir/data/x.csv");
  tn_bound_free(b.bound);
  b = accepted("path", "/srv/x.csv");
  EXPECT_TEXT(b.self.path, "/srv/x.csv");
  tn_bound_free(b.bound);
}

Test(bind, choices) {
  binding b = accepted("choice", "none");
  EXPECT_INT(b.self.choice, 2);
  tn_bound_free(b.bound);
  EXPECT_CONTAINS(refused("choice", "Sum"),
                  "expected one of sum, mean, none, got 'Sum'; did you mean 'sum'?");
  EXPECT_CONTAINS(refused("choice", "su"), "got 'su'; did you mean 'sum'?");
}

Test(bind, lists) {
  binding b = accepted("integers", "128 ,64,  1e1");
  EXPECT_INT(b.self.integers.count, 3);
  EXPECT_INT(b.self.integers.items[0], 128);
  EXPECT_INT(b.self.integers.items[2], 10);
  tn_bound_free(b.bound);
  b = accepted("integers", "");
  EXPECT_INT(b.self.integers.count, 0);
  tn_bound_free(b.bound);
  b = accepted("reals", "0.5");
  EXPECT_INT(b.self.reals.count, 1);
  EXPECT_REAL(b.self.reals.items[0], 0.5);
  tn_bound_free(b.bound);
  b = accepted("strings", "red light, green");
  EXPECT_TEXT(b.self.strings.items[0], "red light");
  EXPECT_TEXT(b.self.strings.items[1], "green");
  tn_bound_free(b.bound);
  EXPECT_CONTAINS(refused("strings", ","), "item 1 is empty");
  EXPECT_CONTAINS(refused("reals", "1, -1"), "item 2 (-1) is out of range: expected reals >= 0");
}

Test(bind, references_and_terms) {
  binding b = accepted("reference", "ce");
  cr_assert(b.self.reference == &sample_ce);
  tn_bound_free(b.bound);
  b = accepted("references", "ce, hoc");
  EXPECT_INT(b.self.references.count, 2);
  cr_assert(b.self.references.items[1] == &sample_hoc);
  tn_bound_free(b.bound);
  b = accepted("terms", "0.1 * ce, hoc, -2*ce");
  EXPECT_INT(b.self.terms.count, 3);
  EXPECT_REAL(b.self.terms.items[0].weight, 0.1);
  EXPECT_REAL(b.self.terms.items[1].weight, 1.0);
  EXPECT_REAL(b.self.terms.items[2].weight, -2.0);
  cr_assert(b.self.terms.items[1].component == &sample_hoc);
  tn_bound_free(b.bound);
  EXPECT_CONTAINS(refused("reference", "digits"), "'digits' is a dataset, expected a loss");
  EXPECT_CONTAINS(refused("terms", "0.1 ce"), "no section or component '0.1 ce'");
  EXPECT_CONTAINS(refused("terms", "inf * ce"), "item 1: expected a number, got 'inf'");
}

Test(bind, formulas_are_compiled_and_their_mistakes_have_a_place) {
  tn_host_start();
  if (!tn_sdk.expression) cr_skip_test("this program has no expression service");
  binding b = accepted("formula", "x + 2 * y");
  cr_assert(b.self.formula);
  EXPECT_REAL(tn_expression_evaluate(b.self.formula, ((const double[]){1, 3})), 7.0);
  tn_bound_free(b.bound);
  EXPECT_CONTAINS(refused("formula", "x + z"), "dir/pipe.ini:9: formula = x + z: ");
  EXPECT_CONTAINS(refused("formula", "x + z"), "column 5");
  EXPECT_INT(tn_context_current()->status, TN_OK);
}

Test(bind, counts) {
  binding b = accepted("count", "5%");
  EXPECT_REAL(b.self.count.fraction, 0.05);
  EXPECT_INT(b.self.count.number, 0);
  EXPECT_INT(tn_count_of(b.self.count, 200), 10);
  tn_bound_free(b.bound);
  b = accepted("count", "1e3");
  EXPECT_INT(b.self.count.number, 1000);
  EXPECT_INT(tn_count_of(b.self.count, 200), 200);
  tn_bound_free(b.bound);
  b = accepted("count", "12.5 %");
  EXPECT_REAL(b.self.count.fraction, 0.125);
  tn_bound_free(b.bound);
  EXPECT_CONTAINS(refused("count", "%"), "expected a whole number, a percentage such as 5%, or full");
  EXPECT_CONTAINS(refused("count", "-3"), "is out of range");
}

Test(bind, an_unknown_key_names_section_component_and_the_nearest_key) {
  EXPECT_TEXT(refused("intgers", "1"),
              "dir/pipe.ini:9: unknown key 'intgers' in [s] (stage.all); did you mean "
              "'integers'?");
}

Test(bind, a_component_without_a_section_gets_defaults_and_is_named_in_messages) {
  needy self;
  tn_error error = {0};
  tn_bound *bound = tn_bound_new();
  EXPECT_INT(
      tn_bind(&needy_class, &self, NULL, "model.needy", "pipe.ini", 4, sample_resolve, NULL, bound, &error),
      TN_ERROR_INVALID);
  EXPECT_TEXT(error.text, "pipe.ini:4: [model.needy] (model.needy) lacks the key 'width' (number of units): "
                          "expected a whole number");
  tn_bound_free(bound);
}

Test(bind, the_hosts_own_keys_are_parsed_the_same_way) {
  const tn_param seed = {"seed", TN_PARAM_INTEGER, 0, 0, "1", 0, 1e15, NULL, NULL, NULL, "seed of the run"};
  int64_t value = 0;
  tn_error error = {0};
  tn_bound *bound = tn_bound_new();
  EXPECT_INT(tn_parse_value(&seed, "42", "pipe.ini", 3, &value, NULL, NULL, bound, &error), TN_OK);
  EXPECT_INT(value, 42);
  tn_parse_value(&seed, "-1", "pipe.ini", 3, &value, NULL, NULL, bound, &error);
  EXPECT_TEXT(error.text, "pipe.ini:3: seed = -1 is out of range: expected 0 <= seed <= 1e+15");
  tn_bound_free(bound);
}

/* A plugin of an older SDK has a shorter tn_param: the array is walked by its own stride. */
Test(bind, the_stride_of_the_schema_is_the_plugins) {
  struct wide {
    tn_param param;
    double later;
  };
  static const struct wide params[] = {
      {{"a", TN_PARAM_INTEGER, 0, 0, "3", 0, 9, NULL, NULL, NULL, "first"}, 1},
      {{"b", TN_PARAM_INTEGER, 0, 8, "4", 0, 9, NULL, NULL, NULL, "second"}, 2}};
  const tn_class cls = {.size = sizeof cls,
                        .kind = "acme.x/1",
                        .name = "wide",
                        .params = &params[0].param,
                        .param_count = 2,
                        .param_size = sizeof(struct wide),
                        .instance_size = 16};
  int64_t self[2] = {0};
  tn_error error = {0};
  tn_bound *bound = tn_bound_new();
  EXPECT_INT(tn_schema_check(&cls, &error), TN_OK);
  EXPECT_INT(tn_bind(&cls, self, NULL, "wide", "f", 1, NULL, NULL, bound, &error), TN_OK);
  EXPECT_INT(self[1], 4);
  tn_bound_free(bound);
}

Test(words, what_a_parameter_expects) {
  char text[256];
  const char *words[] = {"yes or no",
                         "a whole number",
                         "a number",
                         "a number",
                         "a text",
                         "a path",
                         "one of sum, mean, none",
                         "a list of whole numbers",
                         "a list of numbers",
                         "a list of texts",
                         "a loss",
                         "a list of losses",
                         "a list of losses with weights, such as '0.1 * a, b'",
                         "a formula of x, y",
                         "a whole number, a percentage such as 5%, or full"};
  for (uint32_t i = 0; i < all_class.param_count; i++) {
    tn_param param = tn_class_param(&all_class, i);
    tn_param_expects(&param, text, sizeof text);
    EXPECT_TEXT(text, words[i]);
  }
}
