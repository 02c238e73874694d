// SPDX-License-Identifier: MIT
/* Shortens a candidate (Chen et al. 2023, section 2.3): idle parts go first; then, as long as one can go, the
 * part whose removal leaves the best value, if that is at most `tolerance` above the original's. A step is
 * one round of trying every part. */
#include "grid.h"
#include <tenon/stage.h>

struct simplify {
  const tn_component *problem, *from;
  const char *candidate, *output;
  tn_reals scales;
  tn_strings words;
  double tolerance;
  /* state */
  struct members current; /* one */
  double original, scale; /* value of the first, best scale of the current one */
  int64_t rounds;
};
static const tn_param simplify_params[] = {
    TN_REFERENCE(struct simplify, problem, TN_PARAM_REQUIRED, TN_PROBLEM, NULL,
                 "what values are measured on"),
    TN_PATH(struct simplify, candidate, 0, "",
            "the candidate, a text file; empty: the problem's initial one"),
    TN_REFERENCE(struct simplify, from, 0, TN_STAGE, NULL, "the stage whose best candidate it is, instead"),
    TN_REALS(struct simplify, scales, "1", 0, INFINITY,
             "factors on what it puts out; the best one counts for each candidate"),
    TN_REAL(struct simplify, tolerance, "0", 0, INFINITY, "by how much the value may become worse"),
    TN_STRINGS(struct simplify, words, "", "reported is how many of these the shortened text still has"),
    TN_STRING(struct simplify, output, "simplified.txt",
              "artifact with the shortened candidate; empty: none"),
};

static tn_status simplify_check(void *self) {
  const struct simplify *stage = self;
  if (*stage->candidate && stage->from) return tn_fail(TN_ERROR_INVALID, "give candidate or from, not both");
  return grid_check(stage->problem, &stage->scales);
}

static tn_status simplify_begin(void *self) {
  struct simplify *stage = self;
  members_clear(&stage->current);
  stage->rounds = 0;
  return tn_problem_begin(stage->problem);
}

static const tn_problem_parts *parts_of(const struct simplify *stage) {
  return tn_extension(stage->problem, TN_PROBLEM_PARTS);
}

static void emit_round(const struct simplify *stage) {
  uint32_t idle;
  const struct member *now = &stage->current.items[0];
  const uint32_t parts = parts_of(stage)->count(stage->problem->self, &now->genome, &idle);
  const tn_scalar_value scalars[] = {{"value", now->value}, {"parts", parts}, {"scale", stage->scale}};
  const tn_progress progress = {.size = sizeof progress, .step = stage->rounds};
  tn_emit_step(&progress, scalars, TN_ARRAY_LENGTH(scalars));
}

/* What is to be simplified. */
static tn_status take_candidate(const struct simplify *stage, tn_genome *given) {
  const tn_problem_genome *genome = tn_extension(stage->problem, TN_PROBLEM_GENOME);
  if (stage->from) {
    const char *text = tn_published_text(stage->from, "best");
    if (!text) return tn_fail(TN_ERROR_MISSING, "'%s' has no best candidate", stage->from->name);
    return grid_parse(stage->problem, text, given);
  }
  if (!*stage->candidate) return genome->initial(stage->problem->self, given);
  char *text = text_read(stage->candidate);
  tn_status status = text ? grid_parse(stage->problem, text, given) : TN_ERROR_IO;
  tn_free(text);
  return status;
}

/* The candidate without its idle parts. */
static tn_status first_round(struct simplify *stage) {
  uint32_t idle;
  tn_genome given = {NULL, 0};
  struct member member = {.value = INFINITY};
  tn_status status = take_candidate(stage, &given);
  if (status >= 0) status = parts_of(stage)->tidy(stage->problem->self, &given, &member.genome);
  if (status >= 0)
    status = grid_evaluate(stage->problem, &member.genome, 1, &stage->scales, &member.value, &stage->scale);
  if (status >= 0) status = members_put(&stage->current, 0, &member);
  stage->original = member.value;
  if (status >= 0) {
    tn_emit_result("parts_before", parts_of(stage)->count(stage->problem->self, &given, &idle));
    tn_emit_result("value_before", member.value);
    emit_round(stage);
  }
  tn_free(given.data);
  tn_free(member.genome.data);
  return status;
}

/* Every part removed in turn; the best of what is left becomes the current candidate. */
static tn_status try_removals(struct simplify *stage, uint32_t count, bool *shorter) {
  tn_genome *children = tn_alloc(count * sizeof *children);
  double *values = tn_alloc(count * sizeof *values), *scales = tn_alloc(count * sizeof *scales);
  tn_status status = children && values && scales ? TN_OK : TN_ERROR_MEMORY;
  for (uint32_t i = 0; status >= 0 && i < count; i++)
    status = parts_of(stage)->remove(stage->problem->self, &stage->current.items[0].genome, i, &children[i]);
  if (status >= 0) status = grid_evaluate(stage->problem, children, count, &stage->scales, values, scales);
  uint32_t best = 0;
  for (uint32_t i = 1; status >= 0 && i < count; i++)
    if (values[i] < values[best]) best = i;
  *shorter = status >= 0 && isfinite(values[best]) && values[best] <= stage->original + stage->tolerance;
  if (*shorter) {
    struct member member = {.value = values[best]};
    status = parts_of(stage)->tidy(stage->problem->self, &children[best], &member.genome);
    members_clear(&stage->current);
    if (status >= 0) status = members_put(&stage->current, 0, &member);
    stage->scale = scales[best];
    tn_free(member.genome.data);
  }
  for (uint32_t i = 0; children && i < count; i++) tn_free(children[i].data);
  tn_free(children);
  tn_free(values);
  tn_free(scales);
  return status;
}

static tn_status simplify_step(void *self) {
  struct simplify *stage = self;
  if (stage->current.count == 0) return first_round(stage);
  uint32_t idle;
  bool shorter;
  const uint32_t count = parts_of(stage)->count(stage->problem->self, &stage->current.items[0].genome, &idle);
  tn_status status = try_removals(stage, count, &shorter);
  if (status < 0) return status;
  stage->rounds++;
  if (shorter) emit_round(stage);
  return shorter ? TN_OK : TN_DONE;
}

static double words_left(const struct simplify *stage, const char *text) {
  double left = 0;
  for (uint32_t i = 0; i < stage->words.count; i++) left += strstr(text, stage->words.items[i]) != NULL;
  return left;
}

static tn_status simplify_end(void *self) {
  struct simplify *stage = self;
  uint32_t idle;
  if (stage->current.count == 0) return tn_fail(TN_ERROR_INTERNAL, "nothing was simplified");
  const struct member *now = &stage->current.items[0];
  tn_emit_result("parts", parts_of(stage)->count(stage->problem->self, &now->genome, &idle));
  tn_emit_result("value", now->value);
  tn_emit_result("scale", stage->scale);
  char *text = NULL;
  tn_status status = grid_text(stage->problem, &now->genome, stage->scale, &text);
  if (status >= 0) status = text_publish("best", text, stage->output);
  if (status >= 0 && stage->words.count > 0) tn_emit_result("words", words_left(stage, text));
  tn_free(text);
  return status;
}

static void simplify_destroy(void *self) { members_release(&((struct simplify *)self)->current); }
static tn_status simplify_state(void *self, const tn_visitor *visitor) {
  struct simplify *stage = self;
  tn_visit_real(visitor, "original", &stage->original);
  tn_visit_real(visitor, "scale", &stage->scale);
  tn_visit_integer(visitor, "rounds", &stage->rounds);
  return members_visit(visitor, "current", &stage->current, 0);
}

static const tn_stage simplify_table = {.size = sizeof simplify_table,
                                        .check = simplify_check,
                                        .begin = simplify_begin,
                                        .step = simplify_step,
                                        .end = simplify_end};
static const tn_class simplify_class = {
    .size = sizeof(tn_class),
    .kind = TN_STAGE,
    .name = "simplify",
    .summary = "Removes the parts of a candidate that it does not need",
    .reference = "Chen et al. 2023, Symbolic Discovery of Optimization Algorithms, section 2.3",
    TN_CLASS_PARAMS(simplify_params),
    .instance_size = sizeof(struct simplify),
    .vtable = &simplify_table,
    .destroy = simplify_destroy,
    .state = simplify_state};
TN_PLUGIN("stage_simplify", "1.0.0", "MIT", &simplify_class)
