// SPDX-License-Identifier: MIT
/* What is refused when a plugin is looked at, before anybody uses it. */
#include "../expect.h"
#include "samples.h"
#include <math.h>
#include <tenon/loss.h>

typedef struct thing {
  int64_t a, b;
  bool c;
} thing;

static const tn_param good = {"a", TN_PARAM_INTEGER, 0, 0, "1", 0, 9, NULL, NULL, NULL, "a number"};

static const char *check(const tn_param *params, uint32_t count) {
  static tn_error error;
  error = (tn_error){0};
  const tn_class cls = {.size = sizeof cls,
                        .kind = "acme.thing/1",
                        .name = "odd",
                        .params = params,
                        .param_count = count,
                        .param_size = sizeof(tn_param),
                        .instance_size = sizeof(thing)};
  tn_schema_check(&cls, &error);
  return error.text;
}
static const char *check_one(tn_param param) { return check(&param, 1); }
/* The good one, changed. */
static tn_param probe;
#define WITH(...) (probe = good, __VA_ARGS__, check_one(probe))

Test(schema, good_ones_pass) {
  tn_error error = {0};
  const tn_class *const classes[] = {&lion_class, &all_class, &needy_class};
  for (size_t i = 0; i < 3; i++) cr_assert(tn_schema_check(classes[i], &error) == TN_OK, "%s", error.text);
  EXPECT_TEXT(check_one(good), "");
  EXPECT_TEXT(check(NULL, 0), "");
}

Test(schema, keys) {
  EXPECT_TEXT(WITH(probe.key = "Lr"), "thing.odd, parameter 1: key 'Lr': expected [a-z0-9_]+");
  EXPECT_TEXT(WITH(probe.key = ""), "thing.odd, parameter 1: key '': expected [a-z0-9_]+");
  EXPECT_TEXT(WITH(probe.key = NULL), "thing.odd, parameter 1: key '': expected [a-z0-9_]+");
  EXPECT_TEXT(WITH(probe.key = "use"), "thing.odd, parameter 'use': this key belongs to the host");
  tn_param twice[] = {good, good};
  twice[1].offset = 8;
  EXPECT_TEXT(check(twice, 2), "thing.odd, parameter 'a': given twice");
}

Test(schema, places) {
  EXPECT_CONTAINS(WITH(probe.offset = 24), "its field lies outside the instance (offset 24, 8 bytes of 24)");
  EXPECT_CONTAINS(WITH(probe.offset = SIZE_MAX - 7), "its field lies outside the instance");
  EXPECT_CONTAINS(WITH(probe.offset = 4), "its field is not aligned (offset 4)");
  tn_param overlap[] = {good, good};
  overlap[1].key = "b";
  EXPECT_TEXT(check(overlap, 2), "thing.odd, parameter 'b': its field overlaps that of 'a'");
}

Test(schema, types_words_and_ranges) {
  EXPECT_CONTAINS(WITH(probe.type = 0), "unknown type 0");
  EXPECT_CONTAINS(WITH(probe.type = 99), "unknown type 99");
  EXPECT_CONTAINS(WITH(probe.doc = ""), "no documentation");
  EXPECT_CONTAINS(WITH(probe.doc = NULL), "no documentation");
  EXPECT_CONTAINS(WITH(probe.doc = "a\nb"), "documentation of more than one line");
  EXPECT_CONTAINS(WITH(probe.flags = 1u << 20), "unknown flags 0x100000");
  EXPECT_CONTAINS(WITH(probe.min = 5, probe.max = 1), "an impossible range, 5 to 1");
  EXPECT_CONTAINS(WITH(probe.min = NAN), "an impossible range");
}

Test(schema, choices_and_kinds) {
  EXPECT_CONTAINS(WITH(probe.type = TN_PARAM_CHOICE, probe.choices = NULL), "a choice without choices");
  EXPECT_CONTAINS(WITH(probe.type = TN_PARAM_CHOICE, probe.choices = "a||b"),
                  "an empty word among the choices 'a||b'");
  EXPECT_CONTAINS(WITH(probe.type = TN_PARAM_CHOICE, probe.choices = "a|b|"),
                  "an empty word among the choices");
  EXPECT_CONTAINS(WITH(probe.type = TN_PARAM_CHOICE, probe.choices = "a|b|a"),
                  "the choice 'a' is given twice");
  EXPECT_CONTAINS(WITH(probe.type = TN_PARAM_CHOICE, probe.choices = "a|b"),
                  "its default: a = 1: expected one of a, b, got '1'");
  EXPECT_CONTAINS(WITH(probe.type = TN_PARAM_REFERENCE, probe.kind = "loss"),
                  "kind 'loss': expected VENDOR.KIND/REVISION");
  EXPECT_CONTAINS(WITH(probe.type = TN_PARAM_REFERENCE, probe.kind = NULL),
                  "kind '': expected VENDOR.KIND/REVISION");
  EXPECT_TEXT(WITH(probe.type = TN_PARAM_REFERENCE, probe.kind = TN_LOSS, probe.fallback = "loss.ce"), "");
}

Test(schema, defaults_are_values_that_a_user_could_write) {
  EXPECT_CONTAINS(WITH(probe.fallback = "many"),
                  "its default: a = many: expected a whole number, got 'many'");
  EXPECT_CONTAINS(WITH(probe.fallback = "10"), "its default: a = 10 is out of range: expected 0 <= a <= 9");
  EXPECT_CONTAINS(WITH(probe.flags = TN_PARAM_REQUIRED), "required, but with a default");
  EXPECT_TEXT(WITH(probe.fallback = NULL), "");
}

Test(schema, strides) {
  tn_error error = {0};
  const tn_class cls = {.size = sizeof cls,
                        .kind = "acme.thing/1",
                        .name = "odd",
                        .params = &good,
                        .param_count = 1,
                        .param_size = 16,
                        .instance_size = sizeof(thing)};
  tn_schema_check(&cls, &error);
  EXPECT_CONTAINS(error.text, "thing.odd: parameters of 16 bytes, expected ");
  error = (tn_error){0};
  const tn_class missing = {.size = sizeof cls,
                            .kind = "acme.thing/1",
                            .name = "odd",
                            .param_count = 3,
                            .param_size = sizeof(tn_param),
                            .instance_size = sizeof(thing)};
  tn_schema_check(&missing, &error);
  EXPECT_TEXT(error.text, "thing.odd: 3 parameters, but no usable list of them");
}

Test(kind, ids) {
  const char *good_ids[] = {"tenon.loss/1", "acme.deep.fusion/12", "a.b/1"};
  const char *wrong[] = {"",
                         "loss",
                         "tenon.loss",
                         "tenon.loss/",
                         "tenon.loss/0",
                         "tenon.loss/01",
                         "tenon.loss/1x",
                         "loss/1",
                         "tenon..loss/1",
                         ".loss/1",
                         "tenon.Loss/1",
                         "tenon.loss/1/2",
                         "tenon.loss/-1",
                         "tenon. loss/1",
                         "tenon.loss/1000000"};
  char name[32];
  for (size_t i = 0; i < 3; i++) cr_assert(tn_kind_well_formed(good_ids[i]), "%s", good_ids[i]);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    cr_assert(!tn_kind_well_formed(wrong[i]), "%s", wrong[i]);
  cr_assert(!tn_kind_well_formed(NULL));
  tn_kind_short_name("acme.deep.fusion/12", name, sizeof name);
  EXPECT_TEXT(name, "fusion");
}
