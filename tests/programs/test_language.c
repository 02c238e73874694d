// SPDX-License-Identifier: MIT
/* The language of optimizer programs without running anything: text, types, hash, liveness, mutation. */
#include "../plugins/harness.h"
#include "plugins/programs/program.h"

#define EXAMPLE(name) TN_SOURCE_ROOT "/examples/programs/" name ".opt"

static void start(void) { harness_open("float64", ""); }
static void stop(void) { harness_close(); }
TestSuite(language, .init = start, .fini = stop, .timeout = 60);

static struct program example(const char *path) {
  struct program program;
  cr_assert(program_load(path, &program) == TN_OK, "%s", harness_failure());
  return program;
}
static struct program parse(const char *text) {
  struct program program;
  cr_assert(program_parse(text, "text", &program) == TN_OK, "%s", harness_failure());
  return program;
}
static const char *refusal(const char *text) {
  struct program program;
  cr_assert(program_parse(text, "text", &program) < 0, "taken:\n%s", text);
  return harness_failure();
}
static struct analysis analysis_of(const struct program *program) {
  struct analysis analysis;
  program_analyse(program, &analysis);
  return analysis;
}
static uint64_t hash_of(const char *text) {
  const struct program program = parse(text);
  return analysis_of(&program).hash;
}
static bool is_live(const struct program *program, int32_t statement) {
  return analysis_of(program).live >> statement & 1;
}

/* ---- text ---- */

Test(language, has_45_functions_with_names_of_their_own) {
  EXPECT_INT(FUNCTION_COUNT, 45);
  for (int i = 0; i < FUNCTION_COUNT; i++)
    for (int k = 0; k < i; k++) cr_assert(strcmp(program_functions[i].name, program_functions[k].name) != 0);
}

Test(language, what_is_printed_reads_as_the_same_program) {
  const char *const paths[] = {EXAMPLE("adamw"), EXAMPLE("lion"), EXAMPLE("lion-raw")};
  for (size_t i = 0; i < 3; i++) {
    const struct program program = example(paths[i]);
    char *text = program_print(&program);
    const struct program again = parse(text);
    cr_assert(memcmp(&program, &again, sizeof program) == 0, "%s", text);
    tn_free(text);
  }
}

Test(language, constants_survive_printing_bit_for_bit) {
  struct program program = parse("update = w * 0.1");
  tn_rng rng = tn_rng_at("test", "constants", 0);
  for (int i = 0; i < 1000; i++) {
    const double constant = tn_random_normal(&rng) * exp2(40 * tn_random_normal(&rng));
    program.statements[0].arguments[1].constant = constant;
    char *text = program_print(&program);
    EXPECT_REAL(parse(text).statements[0].arguments[1].constant, constant);
    tn_free(text);
  }
}

Test(language, calls_and_operators_are_two_ways_to_write_the_same) {
  const struct program a = parse("update = w*-2 ; m = max(m, g) # comment\n\n v=v - 1e-3");
  char *text = program_print(&a);
  EXPECT_TEXT(text, "update = w * -2\nm = max(m, g)\nv = v - 0.001\n");
  tn_free(text);
}

Test(language, refuses_what_it_cannot_mean) {
  EXPECT_CONTAINS(refusal("update = sine(g)"), "text:1: no function 'sine'; did you mean 'sin'?");
  EXPECT_CONTAINS(refusal("update = g * w\nm = interp(g, m)"), "text:2: interp takes 3 arguments, got 2");
  EXPECT_CONTAINS(refusal("update = g"), "expected one of + - * / or a function's call");
  EXPECT_CONTAINS(refusal("update = g * w w"), "expected the end of the statement");
  EXPECT_CONTAINS(refusal("update = g * x"), "statement 1 reads 'x', which nothing has defined");
  EXPECT_CONTAINS(refusal("update = invert(g)"), "invert cannot take arguments of these types");
  EXPECT_CONTAINS(refusal("update = norm(lr)"), "norm cannot take arguments of these types");
  EXPECT_CONTAINS(refusal("update = g * 1\nm = global_norm(g)"), "must end as trees");
  EXPECT_CONTAINS(refusal("update = norm(g)"), "must end as trees");
  EXPECT_CONTAINS(refusal("m = g * 1"), "must end as trees");
}

/* ---- functional hash ---- */

#define MOMENTUM "m = interp(g, m, 0.9); a = m * lr; update = a * 0.1"

Test(language, hash_ignores_names_order_and_dead_code) {
  const uint64_t hash = hash_of(MOMENTUM);
  cr_assert(hash_of("m = interp(g, m, 0.9); b = m * lr; update = b * 0.1") == hash, "renamed");
  cr_assert(hash_of("m = interp(g, m, 0.9); a = m * lr; d = cos(g); update = a * 0.1") == hash, "dead line");
  cr_assert(hash_of("v = cosh(g); " MOMENTUM) == hash, "a state that nothing reads");
  cr_assert(hash_of("a = g * 2; b = w * 3; update = a + b") ==
                hash_of("b = w * 3; a = g * 2; update = a + b"),
            "independent lines");
}

Test(language, hash_sees_arguments_constants_and_functions) {
  const uint64_t hash = hash_of("update = g - w");
  cr_assert(hash_of("update = w - g") != hash);
  cr_assert(hash_of("update = g + w") != hash);
  cr_assert(hash_of("update = g * 0.1") != hash_of("update = g * 0.2"));
  cr_assert(hash_of(MOMENTUM) != hash_of("m = interp(g, m, 0.9); a = g * lr; update = a * 0.1"));
}

Test(language, structure_is_the_hash_without_the_constants) {
  const struct program a = parse(MOMENTUM), b = parse("m = interp(g, m, 0.8); a = m * lr; update = a * 3");
  const struct program c = parse("m = interp(m, g, 0.9); a = m * lr; update = a * 0.1");
  cr_assert(analysis_of(&a).structure == analysis_of(&b).structure);
  cr_assert(analysis_of(&a).structure != analysis_of(&c).structure);
}

/* ---- liveness ---- */

enum { COSH = 10 }; /* `m = cosh(update)` in the raw program, whose next step begins by assigning m */

Test(language, one_step_liveness_keeps_what_a_returned_state_needs) {
  const struct program raw = example(EXAMPLE("lion-raw"));
  cr_assert(raw.statements[COSH].function == F_COSH);
  cr_assert(analysis_of(&raw).one_step == 0xfff, "all twelve statements");
}

Test(language, cross_step_liveness_drops_a_state_that_no_update_reads) {
  const struct program raw = example(EXAMPLE("lion-raw"));
  const struct analysis analysis = analysis_of(&raw);
  cr_assert(!is_live(&raw, COSH));
  EXPECT_INT(__builtin_popcountll(analysis.live), 11);
  cr_assert(!analysis.keeps_m && analysis.keeps_v);
}

Test(language, a_state_counts_that_reaches_the_update_through_the_other_one) {
  /* m feeds v, v feeds the update of the next step */
  const struct program program = parse("update = v * 1; v = m + 0; m = m + g");
  const struct analysis analysis = analysis_of(&program);
  cr_assert(analysis.keeps_m && analysis.keeps_v && analysis.live == 7);
  /* m and v feed each other and nothing else */
  const struct program closed = parse("update = g * 1; a = v + g; v = m + 0; m = a * 1");
  cr_assert(!analysis_of(&closed).keeps_m && !analysis_of(&closed).keeps_v);
  EXPECT_INT(analysis_of(&closed).live, 1);
}

Test(language, tidying_leaves_the_live_statements_under_new_names) {
  struct program tidy;
  const struct program program =
      parse("foo = cos(g); bar = g * 2; foo = bar * lr; m = tan(m); update = foo + w");
  program_tidy(&program, &tidy);
  char *text = program_print(&tidy);
  EXPECT_TEXT(text, "x1 = g * 2\nx2 = x1 * lr\nupdate = x2 + w\n");
  cr_assert(analysis_of(&program).hash == analysis_of(&tidy).hash);
  tn_free(text);
}

/* ---- variation ---- */

Test(language, children_are_valid_and_the_three_mutations_equally_probable) {
  enum { CHILDREN = 10000 };
  const struct program parent = example(EXAMPLE("adamw"));
  int longer = 0, shorter = 0;
  for (int i = 0; i < CHILDREN; i++) {
    struct program child;
    tn_rng rng = tn_rng_at("test", "mutation", (uint64_t)i);
    EXPECT_INT(program_mutate(&parent, &rng, 60, &child), TN_OK);
    cr_assert(analysis_of(&child).valid);
    longer += child.count > parent.count;
    shorter += child.count < parent.count;
  }
  EXPECT_NEAR(longer / (double)CHILDREN, 1.0 / 3, 0.02);
  EXPECT_NEAR(shorter / (double)CHILDREN, 1.0 / 3, 0.02);
}

Test(language, a_long_line_of_descent_stays_valid_and_within_its_length) {
  struct program program = example(EXAMPLE("adamw")), child;
  bool full = false;
  for (int i = 0; i < 10000; i++) {
    tn_rng rng = tn_rng_at("test", "descent", (uint64_t)i);
    EXPECT_INT(program_mutate(&program, &rng, 20, &child), TN_OK);
    program = child;
    cr_assert(analysis_of(&program).valid && program.count <= 20);
    full |= program.count == 20;
  }
  cr_assert(full, "never 20 statements long");
  char *text = program_print(&program);
  const struct program again = parse(text);
  cr_assert(analysis_of(&again).hash == analysis_of(&program).hash, "%s", text);
  tn_free(text);
}

Test(language, random_programs_are_valid) {
  for (int i = 0; i < 1000; i++) {
    struct program program;
    tn_rng rng = tn_rng_at("test", "random", (uint64_t)i);
    EXPECT_INT(program_random(&rng, 60, &program), TN_OK);
    cr_assert(analysis_of(&program).valid);
  }
}

Test(language, tuning_changes_one_constant_and_nothing_else) {
  const struct program parent = example(EXAMPLE("adamw"));
  for (int i = 0; i < 100; i++) {
    struct program child;
    tn_rng rng = tn_rng_at("test", "tuning", (uint64_t)i);
    int changed = 0;
    EXPECT_INT(program_tune(&parent, &rng, &child), TN_OK);
    cr_assert(analysis_of(&parent).structure == analysis_of(&child).structure);
    for (int32_t s = 0; s < parent.count; s++)
      for (int a = 0; a < PROGRAM_ARGUMENTS; a++)
        changed += parent.statements[s].arguments[a].constant != child.statements[s].arguments[a].constant;
    EXPECT_INT(changed, 1);
  }
}

Test(language, scaling_multiplies_the_update_once) {
  struct program twice, again;
  const struct program program = parse("update = g * lr");
  EXPECT_INT(program_scale(&program, 3, &twice), TN_OK);
  EXPECT_INT(program_scale(&twice, 0.5, &again), TN_OK);
  char *text = program_print(&again);
  EXPECT_TEXT(text, "update = g * lr\nupdate = update * 1.5\n");
  tn_free(text);
}
