// SPDX-License-Identifier: MIT
#include "core/sweep/claim.h"
#include "core/config/memory.h"
#include "core/expression/expression.h"
#include "core/plugin/host.h"
#include "core/sweep/statistics.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TEXT = 4096, MAX_VALUES = 64, MAX_DEPTH = 16 };

static const char *const aggregates[] = {"mean",  "std", "median", "min",  "max",  "sum",
                                         "count", "all", "any",    "best", "least"};
enum { MEAN, STD, MEDIAN, MIN, MAX, SUM, COUNT, ALL, ANY, BEST, LEAST, AGGREGATES };

/* One number a cell of an arm, or one number. Pairs are made by seed and setting, so every value keeps its.
 */
typedef struct series {
  double *values;
  int64_t *seeds;
  uint32_t *settings;
  uint32_t count;
  bool scalar;
} series;

typedef struct judge {
  const tn_evidence *evidence; /* NULL: only the form is checked */
  const tn_plan *plan;
  char *why;
  size_t why_bytes;
  uint32_t cells;             /* most that a name stood for */
  series results[MAX_VALUES]; /* of aggregates, by their place holder's number */
  uint32_t result_count;
} judge;

static bool fail(judge *j, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool fail(judge *j, const char *format, ...) {
  if (*j->why) return false;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(j->why, j->why_bytes, format, arguments);
  va_end(arguments);
  return false;
}

static void release(series *s) {
  free(s->values);
  free(s->seeds);
  free(s->settings);
  *s = (series){0};
}

static series series_of(uint32_t count, bool scalar) {
  return (series){.values = tn_take((count + 1) * sizeof(double)),
                  .seeds = tn_take((count + 1) * sizeof(int64_t)),
                  .settings = tn_take((count + 1) * sizeof(uint32_t)),
                  .count = count,
                  .scalar = scalar};
}

static series number(double value) {
  series s = series_of(1, true);
  s.values[0] = value;
  return s;
}

/* ---- names ---- */

/* The arm that `name` begins with; *rest is what follows. */
static const tn_arm *arm_of(const judge *j, const char *name, const char **rest, uint32_t *index) {
  for (uint32_t i = 0; i < j->plan->arm_count; i++) {
    const tn_arm *arm = &j->plan->arms[i];
    const size_t length = strlen(arm->name);
    if (*arm->name && (strncmp(name, arm->name, length) != 0 || name[length] != '.')) continue;
    *rest = *arm->name ? name + length + 1 : name;
    *index = i;
    return arm;
  }
  return NULL;
}

static bool fail_arm(judge *j, const char *name) {
  char first[128], hint[TN_SUGGESTION];
  snprintf(first, sizeof first, "%.*s", (int)strcspn(name, "."), name);
  const char **names = tn_take((j->plan->arm_count + 1) * sizeof *names);
  for (uint32_t i = 0; i < j->plan->arm_count; i++) names[i] = j->plan->arms[i].name;
  tn_suggest(hint, first, names, j->plan->arm_count);
  free(names);
  return fail(j, "'%s': no arm '%s'%s", name, first, hint);
}

static bool fail_result(judge *j, const char *name, const char *rest, const tn_outcome_record *outcome) {
  const uint32_t count = outcome->record.result_count;
  const char **names = tn_take((count + 1) * sizeof *names);
  for (uint32_t i = 0; i < count; i++) names[i] = outcome->record.results[i].name;
  char hint[TN_SUGGESTION];
  tn_suggest(hint, rest, names, count);
  free(names);
  return fail(j, "'%s': the run has no result '%s'%s", name, rest, hint);
}

static bool has_result(const tn_outcome_record *outcome, const char *name) {
  for (uint32_t i = 0; i < outcome->record.result_count; i++)
    if (strcmp(outcome->record.results[i].name, name) == 0) return true;
  return false;
}

static bool look_up(judge *j, const char *name, series *into) {
  const char *rest;
  uint32_t arm, count = 0;
  if (!arm_of(j, name, &rest, &arm)) return fail_arm(j, name);
  if (!j->evidence) {
    *into = number(1);
    return true;
  }
  const tn_plan *plan = j->plan;
  *into = series_of(plan->cell_count, false);
  for (uint32_t i = 0; i < plan->cell_count; i++) {
    if (plan->cells[i].arm != arm) continue;
    const tn_outcome_record *outcome = &j->evidence->outcomes[i];
    if (!tn_outcome_finished(outcome))
      return fail(j, "'%s': the cell %s did not finish", name, plan->cells[i].directory);
    if (!has_result(outcome, rest)) return fail_result(j, name, rest, outcome);
    into->values[count] = tn_outcome_value(outcome, rest);
    into->seeds[count] = plan->cells[i].seed;
    into->settings[count++] = plan->cells[i].setting;
  }
  into->count = count;
  if (count > j->cells) j->cells = count;
  return true;
}

/* ---- formulas, cell by cell ---- */

/* The value of `s` that belongs to the cell `k` of `like`. */
static bool paired(const series *s, const series *like, uint32_t k, double *value) {
  if (s->scalar) {
    *value = s->values[0];
    return true;
  }
  for (uint32_t i = 0; i < s->count; i++) {
    const uint32_t at = (k + i) % s->count; /* usually at the same place */
    if (s->seeds[at] == like->seeds[k] && s->settings[at] == like->settings[k]) {
      *value = s->values[at];
      return true;
    }
  }
  return false;
}

static void take_error(judge *j) {
  char text[512];
  tn_context *context = tn_context_current();
  snprintf(text, sizeof text, "%.500s", context->message);
  tn_context_clear(context);
  fail(j, "%s", text);
}

static bool evaluate(judge *j, const char *text, uint32_t depth, series *into);

/* A place holder `_3` is the result of an aggregate; everything else is a name. */
static bool operand(judge *j, const char *name, series *into) {
  if (name[0] != '_' || !isdigit((unsigned char)name[1])) return look_up(j, name, into);
  const series *from = &j->results[strtoul(name + 1, NULL, 10) % MAX_VALUES];
  *into = number(from->values[0]);
  return true;
}

static bool evaluate_plain(judge *j, const char *text, series *into) {
  tn_expression *formula = tn_expression_compile(text, NULL);
  if (!formula) {
    take_error(j);
    return false;
  }
  const uint32_t count = tn_sdk.expression->variable_count(formula);
  series *names = tn_take((count + 1) * sizeof *names);
  const series *like = NULL;
  bool good = count <= MAX_VALUES || fail(j, "more than %d names", MAX_VALUES);
  for (uint32_t i = 0; i < count && good; i++) {
    good = operand(j, tn_sdk.expression->variable(formula, i), &names[i]);
    if (good && !names[i].scalar && (!like || names[i].count < like->count)) like = &names[i];
  }
  if (good) {
    *into = series_of(like ? like->count : 1, !like);
    uint32_t made = 0;
    for (uint32_t k = 0; k < into->count; k++) {
      double values[MAX_VALUES];
      bool whole = true;
      for (uint32_t i = 0; i < count; i++) whole &= paired(&names[i], like, k, &values[i]);
      if (!whole) continue;
      into->values[made] = tn_expression_evaluate(formula, values);
      if (like) into->seeds[made] = like->seeds[k], into->settings[made] = like->settings[k];
      made++;
    }
    if (made == 0 && j->evidence) good = fail(j, "the arms have no seed and setting in common");
    into->count = made;
  }
  for (uint32_t i = 0; i < count; i++) release(&names[i]);
  free(names);
  tn_expression_release(formula);
  return good;
}

/* ---- aggregates ---- */

/* The largest (sign 1) or smallest (-1), over settings, of the mean over seeds. */
static double over_settings(const series *s, double sign) {
  double found = NAN;
  double *group = tn_take((s->count + 1) * sizeof *group);
  for (uint32_t i = 0; i < s->count; i++) {
    uint32_t count = 0;
    for (uint32_t k = 0; k < s->count; k++)
      if (s->settings[k] == s->settings[i]) group[count++] = s->values[k];
    const double mean = tn_mean_of(group, count);
    if (isnan(found) || sign * mean > sign * found) found = mean;
  }
  free(group);
  return found;
}

static double aggregate(int function, const series *s) {
  double sum = 0, true_ones = 0;
  for (uint32_t i = 0; i < s->count; i++) sum += s->values[i], true_ones += s->values[i] != 0;
  switch (function) {
  case MEAN: return tn_mean_of(s->values, s->count);
  case STD: return tn_deviation_of(s->values, s->count);
  case MEDIAN: return tn_median_of(s->values, s->count);
  case MIN: return tn_least_of(s->values, s->count);
  case MAX: return tn_greatest_of(s->values, s->count);
  case SUM: return sum;
  case COUNT: return true_ones;
  case ALL: return s->count > 0 && true_ones == s->count;
  case ANY: return true_ones > 0;
  case BEST: return over_settings(s, 1);
  default: return over_settings(s, -1);
  }
}

/* The aggregate whose call begins at `at`: its number and the argument, up to the closing parenthesis. min
 * and max of several arguments are ordinary functions. */
static int aggregate_at(const char *text, const char *at, const char **argument, const char **end) {
  if (at > text && (isalnum((unsigned char)at[-1]) || at[-1] == '_' || at[-1] == '.')) return -1;
  for (int f = 0; f < AGGREGATES; f++) {
    const size_t length = strlen(aggregates[f]);
    if (strncmp(at, aggregates[f], length) != 0) continue;
    const char *open = at + length + strspn(at + length, " ");
    if (*open != '(') continue;
    uint32_t level = 0;
    bool several = false;
    const char *close = open;
    for (; *close; close++) {
      if (*close == '(') level++;
      if (*close == ',' && level == 1) several = true;
      if (*close == ')' && --level == 0) break;
    }
    if (several && (f == MIN || f == MAX)) return -1;
    *argument = open + 1;
    *end = close; /* the end of the text if nothing closes it */
    return f;
  }
  return -1;
}

/* Replaces the calls of aggregates by place holders, innermost first, then evaluates what is left. */
static bool evaluate(judge *j, const char *text, uint32_t depth, series *into) {
  if (depth > MAX_DEPTH) return fail(j, "more than %d levels of functions over cells", MAX_DEPTH);
  char plain[MAX_TEXT];
  size_t used = 0;
  for (const char *at = text; *at;) {
    const char *argument, *end;
    const int function = aggregate_at(text, at, &argument, &end);
    if (used + 16 >= sizeof plain) return fail(j, "the claim is longer than %d bytes", MAX_TEXT);
    if (function < 0) {
      plain[used++] = *at++;
      continue;
    }
    if (!*end) return fail(j, "the parenthesis behind '%s' is not closed", aggregates[function]);
    char inner[MAX_TEXT];
    snprintf(inner, sizeof inner, "%.*s", (int)(end - argument), argument);
    series values = {0};
    if (!evaluate(j, inner, depth + 1, &values)) {
      release(&values);
      return false;
    }
    if (j->result_count == MAX_VALUES) {
      release(&values);
      return fail(j, "more than %d functions over cells", MAX_VALUES);
    }
    j->results[j->result_count] = number(aggregate(function, &values));
    used += (size_t)snprintf(plain + used, sizeof plain - used, "_%u", j->result_count++);
    release(&values);
    at = end + 1;
  }
  plain[used] = 0;
  return evaluate_plain(j, plain, into);
}

/* ---- claims ---- */

/* The comparison at the top of a claim: outside parentheses, and the only one. NULL if there is none. */
static const char *top_comparison(const char *text, char sign[3]) {
  const char *found = NULL;
  int level = 0;
  for (const char *at = text; *at; at++) {
    level += (*at == '(') - (*at == ')');
    if (level == 0 && (strncmp(at, "and ", 4) == 0 || strncmp(at, "or ", 3) == 0) && at > text &&
        at[-1] == ' ')
      return NULL;
    if (level != 0 || !strchr("<>=!", *at)) continue;
    if (found) return NULL;
    found = at;
    snprintf(sign, 3, "%.*s", at[1] == '=' ? 2 : 1, at);
    at += at[1] == '=';
  }
  return found;
}

static void finish(judge *j) {
  for (uint32_t i = 0; i < j->result_count; i++) release(&j->results[i]);
  j->result_count = 0;
}

static bool side(judge *j, const char *text, double *mean) {
  series values = {0};
  const bool good = evaluate(j, text, 0, &values);
  if (good) *mean = tn_mean_of(values.values, values.count);
  release(&values);
  return good;
}

static void judge_claim(const tn_plan *plan, const tn_evidence *evidence, const tn_key *key, tn_verdict *v) {
  *v = (tn_verdict){
      .name = key->name, .text = key->value, .file = key->file, .line = key->line, .left = NAN, .right = NAN};
  judge j = {.evidence = evidence, .plan = plan, .why = v->why, .why_bytes = sizeof v->why};
  series values = {0};
  if (evaluate(&j, key->value, 0, &values)) {
    v->judged = v->holds = true;
    for (uint32_t i = 0; i < values.count; i++) v->holds &= values.values[i] == 1;
  }
  release(&values);
  const char *at = top_comparison(key->value, v->comparison);
  if (!at) v->comparison[0] = 0;
  if (v->judged && at) {
    char left[MAX_TEXT];
    snprintf(left, sizeof left, "%.*s", (int)(at - key->value), key->value);
    v->judged = side(&j, left, &v->left) && side(&j, at + strlen(v->comparison), &v->right);
  }
  v->holds &= v->judged;
  v->seeds = j.cells;
  finish(&j);
}

uint32_t tn_claims_judge(const tn_evidence *evidence, tn_verdict **verdicts) {
  const tn_section *expect = tn_config_find(evidence->plan->config, "expect");
  const uint32_t count = expect ? expect->key_count : 0;
  *verdicts = tn_take((count + 1) * sizeof **verdicts);
  for (uint32_t i = 0; i < count; i++)
    judge_claim(evidence->plan, evidence, &expect->keys[i], &(*verdicts)[i]);
  return count;
}

tn_status tn_claims_check(const tn_plan *plan, tn_error *error) {
  const tn_section *expect = tn_config_find(plan->config, "expect");
  for (uint32_t i = 0; expect && i < expect->key_count; i++) {
    tn_verdict verdict;
    judge_claim(plan, NULL, &expect->keys[i], &verdict);
    if (!verdict.judged)
      return tn_error_set(error, TN_ERROR_INVALID, verdict.file, verdict.line, "[expect] %s: %s",
                          verdict.name, verdict.why);
  }
  return TN_OK;
}

void tn_verdict_print(const tn_verdict *v, char *text, size_t bytes) {
  if (!v->judged) {
    snprintf(text, bytes, "%s", v->why);
  } else if (!*v->comparison) {
    snprintf(text, bytes, "%s", v->holds ? "true" : "false");
  } else {
    const int used = snprintf(text, bytes, "%.6g %s %.6g", v->left, v->comparison, v->right);
    if (!v->holds && used > 0 && (size_t)used < bytes && strchr("<>", v->comparison[0]))
      snprintf(text + used, bytes - (size_t)used, ", off by %.3g", fabs(v->left - v->right));
  }
}
