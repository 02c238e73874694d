// SPDX-License-Identifier: MIT
#include "../expect.h"
#include "core/config/config.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const tn_config_variable variables[] = {{"data", "/srv/data", NULL}, {"run", NULL, "not running"}};

static tn_config *parse_with(const char *text, const char *const *overrides, uint32_t count,
                             tn_error *error) {
  return tn_config_parse(text, strlen(text), "pipe.ini", overrides, count, variables, 2, error);
}

static tn_config *parse(const char *text) {
  tn_error error = {0};
  tn_config *config = parse_with(text, NULL, 0, &error);
  cr_assert(config, "%s", error.text);
  return config;
}

static const char *refusal(const char *text, const char *override) {
  static tn_error error;
  error = (tn_error){0};
  tn_config *config = parse_with(text, &override, override ? 1 : 0, &error);
  cr_assert(!config, "accepted:\n%s", text);
  return error.text;
}

static const tn_key *key(const tn_config *config, const char *section, const char *name) {
  const tn_section *s = tn_config_find(config, section);
  cr_assert(s, "no section [%s]", section);
  const tn_key *k = tn_section_find(s, name);
  cr_assert(k, "no key %s in [%s]", name, section);
  return k;
}
#define VALUE(config, section, name) key(config, section, name)->value

/* A folder of files for tests of includes. */
static char folder[64];
static void make_folder(void) {
  strcpy(folder, "/tmp/tenon-config-XXXXXX");
  cr_assert(mkdtemp(folder) && chdir(folder) == 0);
}
static void remove_folder(void) {
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  cr_assert(system(command) == 0);
}
static void write_file(const char *name, const char *text) {
  FILE *file = fopen(name, "w");
  cr_assert(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

Test(parse, keys_know_their_place) {
  tn_config *c = parse("; comment\n[a]\nx = 1\n\n[b]\n# another\ny=2 ; tail\nz : 3\n");
  EXPECT_INT(tn_config_count(c), 2);
  EXPECT_TEXT(tn_config_at(c, 0)->name, "a");
  EXPECT_INT(tn_config_find(c, "b")->line, 5);
  EXPECT_TEXT(VALUE(c, "b", "y"), "2");
  EXPECT_INT(key(c, "b", "y")->line, 7);
  EXPECT_TEXT(VALUE(c, "b", "z"), "3");
  EXPECT_TEXT(key(c, "b", "z")->file, "pipe.ini");
  tn_config_free(c);
}

Test(parse, indented_lines_continue_a_value) {
  tn_config *c = parse("[a]\nlist = 1,\n  2, ; two\n\n\t3\nnext = x\n");
  EXPECT_TEXT(VALUE(c, "a", "list"), "1, 2, 3");
  EXPECT_INT(key(c, "a", "list")->line, 2);
  EXPECT_TEXT(VALUE(c, "a", "next"), "x");
  tn_config_free(c);
}

Test(parse, a_semicolon_without_a_blank_before_it_is_part_of_the_value) {
  tn_config *c = parse("[a]\nx = a;b\ny = a#b # c\nz =;\n");
  EXPECT_TEXT(VALUE(c, "a", "x"), "a;b");
  EXPECT_TEXT(VALUE(c, "a", "y"), "a#b # c");
  EXPECT_TEXT(VALUE(c, "a", "z"), ";");
  tn_config_free(c);
}

Test(parse, carriage_returns_and_a_byte_order_mark_are_no_part_of_the_text) {
  tn_config *c = parse("\xef\xbb\xbf[a]\r\nx = caf\xc3\xa9\r\n");
  EXPECT_TEXT(VALUE(c, "a", "x"), "caf\xc3\xa9");
  tn_config_free(c);
}

/* inih's own limit is 200 bytes a line. */
Test(parse, long_values_arrive_byte_for_byte) {
  for (size_t length = 150; length < 1200; length += 7) {
    char value[1300], text[1400];
    for (size_t i = 0; i < length; i++) value[i] = "a,|; #=["[(i * i + i / 3) % 8];
    for (size_t i = 1; i < length; i++)
      if (value[i] == ';' && value[i - 1] == ' ') value[i] = 'b';
    value[0] = value[length - 1] = 'x';
    value[length] = '\0';
    snprintf(text, sizeof text, "[a]\nkey = %s\n", value);
    tn_config *c = parse(text);
    EXPECT_TEXT(VALUE(c, "a", "key"), value);
    tn_config_free(c);
  }
}

Test(parse, a_comment_far_out_in_a_long_line_is_a_comment) {
  char text[2000] = "[a]\nkey = ";
  for (int i = 0; i < 100; i++) strcat(text, "value, ");
  strcat(text, "end ; and [a comment] = with everything\nother = 1\n");
  tn_config *c = parse(text);
  EXPECT_INT(strlen(VALUE(c, "a", "key")), 703);
  EXPECT_INT(key(c, "a", "other")->line, 3);
  tn_config_free(c);
}

Test(parse, values_up_to_64_kib_are_accepted_and_longer_ones_refused) {
  char *text = calloc(1, 70000);
  strcpy(text, "[a]\nkey = ");
  memset(text + 10, 'x', 65536);
  tn_config *c = parse(text);
  EXPECT_INT(strlen(VALUE(c, "a", "key")), 65536);
  tn_config_free(c);
  text[10 + 65536] = 'x';
  EXPECT_TEXT(refusal(text, NULL), "pipe.ini:2: the value of 'key' is longer than 65536 bytes");
  free(text);
}

Test(parse, files_over_16_mib_are_refused) {
  size_t bytes = (16 << 20) + 1;
  char *text = malloc(bytes);
  memset(text, '\n', bytes);
  tn_error error = {0};
  cr_assert(!tn_config_parse(text, bytes, "big.ini", NULL, 0, NULL, 0, &error));
  EXPECT_TEXT(error.text, "big.ini: is longer than 16 MiB");
  free(text);
}

Test(parse, many_sections_take_time_in_proportion) {
  char *text = malloc(4 << 20), *at = text;
  for (int i = 0; i < 60000; i++) at += sprintf(at, "[section-%d]\nkey = %d\n", i, i);
  tn_error error = {0};
  tn_config *c = tn_config_parse(text, (size_t)(at - text), "many.ini", NULL, 0, NULL, 0, &error);
  cr_assert(c, "%s", error.text);
  EXPECT_TEXT(VALUE(c, "section-59999", "key"), "59999");
  tn_config_free(c);
  free(text);
}

Test(include, the_including_file_has_the_last_word, .init = make_folder, .fini = remove_folder) {
  write_file("base.ini", "[net]\nuse = model.mlp\nhidden = 32\n[lion]\nlr = 1\n");
  write_file("pipe.ini", "include = base.ini\n[net]\nhidden = 64\ndepth = 2\n");
  tn_error error = {0};
  tn_config *c = tn_config_load("pipe.ini", NULL, 0, NULL, 0, &error);
  cr_assert(c, "%s", error.text);
  EXPECT_TEXT(VALUE(c, "net", "use"), "model.mlp");
  EXPECT_TEXT(key(c, "net", "use")->file, "base.ini");
  EXPECT_TEXT(VALUE(c, "net", "hidden"), "64");
  EXPECT_TEXT(key(c, "net", "hidden")->file, "pipe.ini");
  EXPECT_INT(key(c, "net", "hidden")->line, 3);
  EXPECT_TEXT(VALUE(c, "lion", "lr"), "1");
  EXPECT_INT(tn_config_count(c), 2);
  tn_config_free(c);
}

Test(include, names_are_relative_to_the_including_file, .init = make_folder, .fini = remove_folder) {
  mkdir("sub", 0777);
  write_file("sub/a.ini", "include = b.ini\n[a]\nx = 1\n");
  write_file("sub/b.ini", "[b]\ny = 2\n");
  write_file("pipe.ini", "[pipeline]\ninclude = sub/a.ini\n");
  tn_error error = {0};
  tn_config *c = tn_config_load("pipe.ini", NULL, 0, NULL, 0, &error);
  cr_assert(c, "%s", error.text);
  EXPECT_TEXT(key(c, "b", "y")->file, "sub/b.ini");
  cr_assert(!tn_section_find(tn_config_find(c, "pipeline"), "include"));
  tn_config_free(c);
}

Test(include, of_several_files_the_later_wins, .init = make_folder, .fini = remove_folder) {
  write_file("a.ini", "[s]\nx = 1\ny = 1\n");
  write_file("b.ini", "[s]\nx = 2\n");
  write_file("pipe.ini", "include = a.ini, ${env:TENON_TEST_FILE}\n[t]\n");
  setenv("TENON_TEST_FILE", "b.ini", 1);
  tn_error error = {0};
  tn_config *c = tn_config_load("pipe.ini", NULL, 0, NULL, 0, &error);
  cr_assert(c, "%s", error.text);
  EXPECT_TEXT(VALUE(c, "s", "x"), "2");
  EXPECT_TEXT(VALUE(c, "s", "y"), "1");
  tn_config_free(c);
}

Test(include, of_one_file_twice_is_no_cycle, .init = make_folder, .fini = remove_folder) {
  write_file("common.ini", "[s]\nx = 1\n");
  write_file("a.ini", "include = common.ini\n[a]\n");
  write_file("pipe.ini", "include = a.ini, common.ini\n[t]\n");
  tn_error error = {0};
  tn_config *c = tn_config_load("pipe.ini", NULL, 0, NULL, 0, &error);
  cr_assert(c, "%s", error.text);
  tn_config_free(c);
}

Test(include, that_multiplies_is_refused, .init = make_folder, .fini = remove_folder) {
  char name[32], text[64];
  for (int i = 0; i < 20; i++) {
    snprintf(name, sizeof name, "f%d.ini", i);
    snprintf(text, sizeof text, "include = f%d.ini, f%d.ini\n[s]\n", i + 1, i + 1);
    write_file(name, i < 19 ? text : "[s]\n");
  }
  tn_error error = {0};
  cr_assert(!tn_config_load("f0.ini", NULL, 0, NULL, 0, &error));
  EXPECT_CONTAINS(error.text, "more than 256 included files");
}

Test(base, keys_are_inherited_through_chains_and_own_keys_win) {
  tn_config *c = parse("[c]\nbase = b\nz = 3\n[b]\nbase = a\ny = 2\nx = 20\n[a]\nuse = u\nx = 1\n");
  EXPECT_TEXT(VALUE(c, "c", "use"), "u");
  EXPECT_TEXT(VALUE(c, "c", "x"), "20");
  EXPECT_TEXT(VALUE(c, "c", "y"), "2");
  EXPECT_TEXT(VALUE(c, "c", "z"), "3");
  EXPECT_INT(key(c, "c", "x")->line, 7);
  EXPECT_INT(tn_config_find(c, "c")->key_count, 4);
  EXPECT_TEXT(tn_config_at(c, 0)->name, "c");
  cr_assert(!tn_section_find(tn_config_find(c, "c"), "base"));
  tn_config_free(c);
}

Test(base, chains_may_be_long) {
  char *text = malloc(1 << 20), *at = text;
  for (int i = 0; i < 20000; i++) at += sprintf(at, "[s%d]\nbase = s%d\n", i, i + 1);
  sprintf(at, "[s20000]\nx = 1\n");
  tn_config *c = parse(text);
  EXPECT_TEXT(VALUE(c, "s0", "x"), "1");
  tn_config_free(c);
  free(text);
}

Test(base, that_multiplies_keys_is_refused) {
  char *text = malloc(1 << 20), *at = text;
  at += sprintf(at, "[a]\n");
  for (int i = 0; i < 2000; i++) at += sprintf(at, "k%d = 1\n", i);
  for (int i = 0; i < 1000; i++) at += sprintf(at, "[s%d]\nbase = a\n", i);
  EXPECT_CONTAINS(refusal(text, NULL), "more than 1048576 keys");
  free(text);
}

Test(expand, keys_variables_and_environment) {
  setenv("TENON_TEST_NAME", "from env", 1);
  tn_config *c =
      parse("[a]\nx = ${b.y}!\np = ${data}/f\ne = <${env:TENON_TEST_NAME}>\n[b]\ny = ${b.z}${b.z}\nz = 7\n");
  EXPECT_TEXT(VALUE(c, "a", "x"), "77!");
  EXPECT_TEXT(VALUE(c, "a", "p"), "/srv/data/f");
  EXPECT_TEXT(VALUE(c, "a", "e"), "<from env>");
  tn_config_free(c);
}

Test(expand, a_doubled_dollar_is_literal_and_a_single_one_plain) {
  tn_config *c = parse("[a]\nx = $${data}\ny = cost $5 $$ ${data}\nz = $$${data}\n");
  EXPECT_TEXT(VALUE(c, "a", "x"), "${data}");
  EXPECT_TEXT(VALUE(c, "a", "y"), "cost $5 $$ /srv/data");
  EXPECT_TEXT(VALUE(c, "a", "z"), "$${data}");
  tn_config_free(c);
}

Test(expand, names_with_dots_take_the_longest_section) {
  tn_config *c = parse("[arm.lion]\nlion.lr = 3\n[arm]\nlion.lion.lr = 4\n[t]\nx = ${arm.lion.lion.lr}\n");
  EXPECT_TEXT(VALUE(c, "t", "x"), "3");
  tn_config_free(c);
}

Test(expand, happens_after_overrides_and_inheritance) {
  const char *const overrides[] = {"a.x=5"};
  tn_error error = {0};
  tn_config *c = parse_with("[a]\nx = 1\n[b]\nbase = a\ny = ${b.x}\n", overrides, 1, &error);
  cr_assert(c, "%s", error.text);
  EXPECT_TEXT(VALUE(c, "b", "y"), "5");
  tn_config_free(c);
}

Test(expand, a_value_that_multiplies_is_refused) {
  char text[4096] = "[a]\nk0 = xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n", line[64];
  for (int i = 1; i < 40; i++) {
    snprintf(line, sizeof line, "k%d = ${a.k%d}${a.k%d}\n", i, i - 1, i - 1);
    strcat(text, line);
  }
  EXPECT_CONTAINS(refusal(text, NULL), "the expanded value is longer than 65536 bytes");
}

Test(expand, deep_chains_are_refused_instead_of_overflowing_the_stack) {
  char *text = malloc(1 << 20), *at = text;
  at += sprintf(at, "[a]\n");
  for (int i = 0; i < 10000; i++) at += sprintf(at, "k%d = ${a.k%d}\n", i, i + 1);
  sprintf(at, "k10000 = 1\n");
  EXPECT_CONTAINS(refusal(text, NULL), "more than 64 references inside one another");
  free(text);
}

Test(expand, what_an_expansion_brings_in_cannot_begin_a_comment) {
  setenv("TENON_TEST_NAME", "a ; b", 1);
  EXPECT_TEXT(refusal("[a]\nx = ${env:TENON_TEST_NAME}\n", NULL),
              "pipe.ini:2: x: a ';' after a blank begins a comment and cannot be part of a value");
  setenv("TENON_TEST_NAME", "a\nb", 1);
  EXPECT_TEXT(refusal("[a]\nx = ${env:TENON_TEST_NAME}\n", NULL),
              "pipe.ini:2: x: byte 0x0a is not allowed in a value");
}

Test(override, changes_keys_and_adds_keys_and_sections) {
  const char *const overrides[] = {"lion.lr=1e-3",    "lion.beta1 = 0.8", "new.key=v",
                                   "arm.x.lion.lr=3", "arm.y.lion.lr=4",  "lion.note="};
  tn_error error = {0};
  tn_config *c = parse_with("[lion]\nlr = 1\nnote = n\n[arm.x]\n", overrides, 6, &error);
  cr_assert(c, "%s", error.text);
  EXPECT_TEXT(VALUE(c, "lion", "lr"), "1e-3");
  EXPECT_TEXT(key(c, "lion", "lr")->file, "command line");
  EXPECT_INT(key(c, "lion", "lr")->line, 0);
  EXPECT_TEXT(VALUE(c, "lion", "beta1"), "0.8");
  EXPECT_TEXT(VALUE(c, "new", "key"), "v");
  EXPECT_TEXT(VALUE(c, "arm.x", "lion.lr"), "3");
  EXPECT_TEXT(VALUE(c, "arm.y", "lion.lr"), "4");
  EXPECT_TEXT(VALUE(c, "lion", "note"), "");
  tn_config_free(c);
}

Test(override, that_is_none_is_refused) {
  const char *text = "[a]\nx = 1\n";
  EXPECT_TEXT(refusal(text, "a.x"), "command line: expected section.key=value, got 'a.x'");
  EXPECT_TEXT(refusal(text, "x=1"), "command line: expected section.key=value, got 'x=1'");
  EXPECT_TEXT(refusal(text, ".x=1"), "command line: expected section.key=value, got '.x=1'");
  EXPECT_TEXT(refusal(text, "a.=1"), "command line: expected section.key=value, got 'a.=1'");
  EXPECT_TEXT(refusal(text, "a b.c=1"), "command line: expected section.key=value, got 'a b.c=1'");
  EXPECT_TEXT(refusal(text, "a.x=1 ;2"),
              "command line: x: a ';' after a blank begins a comment and cannot be part of a value");
  EXPECT_TEXT(refusal(text, "pipeline.include=x.ini"), "command line: 'include' cannot be overridden");
}

Test(print, what_is_printed_parses_to_the_same) {
  tn_config *c =
      parse("[pipeline]\nname = t\n[a]\nx = $${lit} ${data}\nempty =\nlist = 1,\n  2\n[arm.b]\nbase = a\n"
            "a.x = q\n[bare]\n");
  char *text = tn_config_print(c);
  EXPECT_CONTAINS(text, "x = $${lit} /srv/data\n");
  EXPECT_CONTAINS(text, "empty =\n");
  EXPECT_CONTAINS(text, "[bare]\n");
  tn_config *again = parse(text);
  EXPECT_INT(tn_config_count(again), tn_config_count(c));
  for (uint32_t i = 0; i < tn_config_count(c); i++) {
    const tn_section *s = tn_config_at(c, i), *t = tn_config_at(again, i);
    EXPECT_TEXT(t->name, s->name);
    EXPECT_INT(t->key_count, s->key_count);
    for (uint32_t k = 0; k < s->key_count; k++)
      EXPECT_TEXT(VALUE(again, s->name, s->keys[k].name), s->keys[k].value);
  }
  char *twice = tn_config_print(again);
  EXPECT_TEXT(twice, text);
  free(text);
  free(twice);
  tn_config_free(c);
  tn_config_free(again);
}
