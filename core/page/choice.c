// SPDX-License-Identifier: MIT
/* Which settings of an arm are drawn, and which results come first. All figures stay in the table. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/memory.h"
#include "core/page/study.h"
#include "core/report/svg.h"
#include "core/sweep/statistics.h"
#include <tenon/abi.h>

enum { SHOWN_MOST = 12 };

/* ---- results ---- */

static bool has_word(const char *name, const char *const *words, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (strstr(name, words[i])) return true;
  return false;
}

int tn_result_direction(const char *name) {
  static const char *const less[] = {"loss",   "error", "nll", "perplexity", "regret",     "rmse",
                                     "mse",    "mae",   "fid", "distance",   "divergence", "seconds",
                                     "memory", "bytes", "gap", "calibration"};
  static const char *const more[] = {"accuracy", "f1",    "f_beta", "precision", "recall",  "auc",
                                     "reward",   "score", "g_mean", "hits",      "success", "modes"};
  const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;
  const size_t length = strlen(last);
  if (length > 4 && strcmp(last + length - 4, "_std") == 0) return 0; /* a spread is neither */
  if (has_word(last, less, TN_ARRAY_LENGTH(less))) return -1;
  return has_word(last, more, TN_ARRAY_LENGTH(more)) ? 1 : 0;
}

static bool claimed(const tn_study *s, const char *result) {
  for (uint32_t i = 0; i < s->claim_count; i++)
    if (strstr(s->claims[i].text, result)) return true;
  return false;
}

/* What everybody looks at first. */
static double plainness(const char *name) {
  const char *last = strrchr(name, '.') + 1;
  return strcmp(last, "accuracy") == 0 ? 0.3 : strcmp(last, "loss") == 0 ? 0.2 : 0;
}

/* Stages count from their first result; later ones tell more than training does. */
static void list_results(tn_study *s) {
  double stage = 0;
  for (uint32_t i = 0; i < s->run_count; i++) {
    const tn_run_record *record = &s->runs[i].outcome.record;
    for (uint32_t r = 0; r < record->result_count; r++) {
      const char *name = record->results[r].name, *dot = strchr(name, '.');
      bool known = !dot; /* seconds and the like */
      double rank = NAN;
      for (uint32_t k = 0; k < s->result_count && !known; k++) {
        const char *other = s->results[k].name;
        known = strcmp(other, name) == 0;
        if (strncmp(other, name, (size_t)(dot - name) + 1) == 0) rank = floor(s->results[k].rank);
      }
      if (known) continue;
      if (isnan(rank)) rank = ++stage;
      tn_study_result *result = tn_grow(&s->results, s->result_count, &s->result_room, sizeof *result);
      *result = (tn_study_result){tn_copy_text(name), tn_result_direction(name), rank};
      s->result_count++;
    }
  }
  for (uint32_t i = 0; i < s->result_count; i++) {
    tn_study_result *r = &s->results[i];
    r->rank += (claimed(s, r->name) ? 1e6 : 0) + (r->direction ? 0.3 : 0) + plainness(r->name);
  }
  for (uint32_t i = 1; i < s->result_count; i++) /* stable */
    for (uint32_t k = i; k > 0 && s->results[k - 1].rank < s->results[k].rank; k--) {
      const tn_study_result swap = s->results[k];
      s->results[k] = s->results[k - 1];
      s->results[k - 1] = swap;
    }
}

/* ---- settings ---- */

/* best=NAME or least=NAME of a claim: what the file itself chooses by. */
static bool find_claimed(tn_study *s) {
  static const char *const keys[] = {"best=", "least="};
  for (uint32_t i = 0; i < s->claim_count; i++)
    for (int k = 0; k < 2; k++) {
      const char *at = strstr(s->claims[i].text, keys[k]);
      if (!at || at == s->claims[i].text || !strchr("[, ", at[-1])) continue;
      at += strlen(keys[k]);
      const size_t length = strcspn(at, "], ");
      s->criterion = tn_take(length + 1);
      memcpy(s->criterion, at, length);
      s->criterion_direction = k == 0 ? 1 : -1;
      return s->criterion_claimed = true;
    }
  return false;
}

/* Figures on validation data if there are some, else the most telling ones. */
static void find_criterion(tn_study *s) {
  if (find_claimed(s)) return;
  const tn_study_result *found = NULL;
  for (uint32_t i = 0; i < s->result_count; i++) {
    const tn_study_result *r = &s->results[i];
    if (r->direction == 0) continue;
    if (!found || (strstr(r->name, "valid") && !strstr(found->name, "valid"))) found = r;
  }
  if (!found) return;
  s->criterion = tn_copy_text(found->name);
  s->criterion_direction = found->direction;
}

/* The mean of the criterion over a group's runs, the larger the better; -infinity if there is none. */
static double worth(const tn_study *s, uint32_t group) {
  uint32_t count;
  double *values = tn_study_values(s, group, s->criterion, &count);
  const double mean = tn_mean_of(values, count);
  free(values);
  return isnan(mean) ? -INFINITY : s->criterion_direction * mean;
}

/* The best setting of each arm; of one arm the best few. */
static void show_best(tn_study *s, uint32_t each) {
  for (uint32_t g = 0; g < s->group_count; g++) {
    uint32_t better = 0;
    for (uint32_t k = 0; k < s->group_count; k++) {
      if (k == g || strcmp(s->groups[k].arm, s->groups[g].arm) != 0) continue;
      const double mine = worth(s, g), other = worth(s, k);
      better += other > mine || (other == mine && k < g);
    }
    s->groups[g].shown = better < each;
  }
}

/* Claims that neither choose a setting nor name one are about arms in all their settings: data sets, say, or
 * targets, of which none is better. */
static bool claims_take_wholes(const tn_study *s) {
  for (uint32_t i = 0; i < s->claim_count; i++)
    if (strchr(s->claims[i].text, '[')) return false;
  return s->claim_count > 0 && !s->several;
}

/* Adds a group for each arm that has several settings, and shows it in their place. */
static void show_wholes(tn_study *s) {
  const uint32_t settings = s->group_count;
  s->wholes = true;
  for (uint32_t g = 0; g < settings; g++) {
    bool first = true;
    uint32_t members = 0;
    for (uint32_t k = 0; k < settings; k++) {
      const bool same = strcmp(s->groups[k].arm, s->groups[g].arm) == 0;
      first &= !same || k >= g;
      members += same;
    }
    if (!first || members < 2) continue;
    const uint32_t whole = s->group_count;
    tn_study_group *group = tn_grow(&s->groups, s->group_count, &s->group_room, sizeof *group);
    *group = (tn_study_group){.name = tn_copy_text(s->groups[g].arm),
                              .arm = tn_copy_text(s->groups[g].arm),
                              .variant = tn_copy_text(""),
                              .whole = true,
                              .shown = true};
    s->group_count++;
    for (uint32_t k = g; k < settings; k++) {
      if (strcmp(s->groups[k].arm, group->arm) != 0) continue;
      s->groups[k].shown = false;
      group->runs += s->groups[k].runs;
      group->finished += s->groups[k].finished;
      for (uint32_t i = 0; i < s->run_count; i++)
        if (s->runs[i].group == k) s->runs[i].arm = whole;
    }
  }
}

void tn_study_choose(tn_study *s) {
  uint32_t arms = 0;
  for (uint32_t g = 0; g < s->group_count; g++) {
    bool first = true;
    for (uint32_t k = 0; k < g; k++) first &= strcmp(s->groups[k].arm, s->groups[g].arm) != 0;
    arms += first;
    s->groups[g].shown = true;
  }
  list_results(s);
  const bool many = arms > 1 ? s->group_count > arms : s->group_count > 8;
  if (many && arms > 1 && claims_take_wholes(s))
    show_wholes(s);
  else if (many)
    find_criterion(s);
  if (many && s->criterion) show_best(s, arms > 1 ? 1 : 8);
  for (uint32_t g = 0; g < s->group_count; g++) {
    tn_study_group *group = &s->groups[g];
    group->shown &= s->shown_count < SHOWN_MOST;
    group->color = s->shown_count;
    s->shown_count += group->shown;
    group->shown_name = s->criterion && arms > 1 ? group->arm : group->name;
    if (!*group->shown_name) group->shown_name = s->name ? s->name : "run";
    if (arms == 1 && *group->variant && !s->several) group->shown_name = group->variant;
  }
}
