// SPDX-License-Identifier: MIT
#include "core/sweep/comparison.h"
#include "core/config/memory.h"
#include "core/report/text.h"
#include "core/sweep/statistics.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tenon/abi.h>

/* ---- reading ---- */

tn_sample *tn_samples_add(tn_samples *s, char *group, int64_t seed) {
  tn_sample *item = tn_grow(&s->items, s->count, &s->room, sizeof *item);
  *item = (tn_sample){.group = group, .seed = seed};
  s->count++;
  return item;
}

/* `seed` -1: the run's own. */
static tn_status add(tn_samples *s, const char *directory, char *group, int64_t seed, tn_error *error) {
  tn_sample *item = tn_samples_add(s, group, seed);
  if (!tn_outcome_read(directory, &item->outcome, error)) return error->status;
  item->seed = seed < 0 ? item->outcome.seed : seed;
  return TN_OK;
}

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

/* "lion method.lr=1e-3", after the directory if there are several. */
static char *group_of(const json_t *cell, const char *directory, bool several) {
  const char *parts[] = {several ? directory : "", text_of(cell, "arm"), text_of(cell, "variant")};
  tn_text text = {0};
  for (size_t i = 0; i < TN_ARRAY_LENGTH(parts); i++)
    if (*parts[i]) tn_text_printf(&text, "%s%s", text.size ? " " : "", parts[i]);
  return text.data ? tn_taken(tn_text_take(&text)) : tn_copy_text("all");
}

tn_status tn_samples_gather(tn_samples *s, const char *directory, bool several, tn_error *error) {
  char path[4200];
  snprintf(path, sizeof path, "%s/sweep.json", directory);
  json_t *root = json_load_file(path, 0, NULL), *cell;
  const json_t *cells = json_object_get(root, "cells");
  size_t i;
  tn_status status = TN_OK;
  if (!cells) {
    json_decref(root);
    return add(s, directory, tn_copy_text(directory), -1, error);
  }
  json_array_foreach(cells, i, cell) {
    if (status < 0 || strcmp(text_of(cell, "outcome"), "finished") != 0) continue;
    snprintf(path, sizeof path, "%s/%s", directory, text_of(cell, "directory"));
    status = add(s, path, group_of(cell, directory, several),
                 json_integer_value(json_object_get(cell, "seed")), error);
  }
  json_decref(root);
  return status;
}

/* ---- figures ---- */

static bool same_group(const tn_samples *s, uint32_t a, uint32_t b) {
  return strcmp(s->items[a].group, s->items[b].group) == 0;
}

bool tn_samples_first_of_group(const tn_samples *s, uint32_t i) {
  for (uint32_t k = 0; k < i; k++)
    if (same_group(s, k, i)) return false;
  return true;
}

/* Differences of the group of `i` from the first group, seed by seed. */
static uint32_t differences(const tn_samples *s, uint32_t i, const char *result, double *into) {
  uint32_t count = 0;
  for (uint32_t k = 0; k < s->count; k++) {
    if (!same_group(s, k, i)) continue;
    for (uint32_t f = 0; f < s->count; f++) {
      if (!same_group(s, f, 0) || s->items[f].seed != s->items[k].seed) continue;
      const double d =
          tn_outcome_value(&s->items[k].outcome, result) - tn_outcome_value(&s->items[f].outcome, result);
      if (!isnan(d)) into[count++] = d;
      break;
    }
  }
  return count;
}

tn_comparison tn_comparison_of(const tn_samples *s, uint32_t i, const char *result) {
  double *values = tn_take((s->count + 1) * sizeof *values);
  tn_comparison r = {
      .result = result, .group = s->items[i].group, .difference = NAN, .low = NAN, .high = NAN};
  for (uint32_t k = 0; k < s->count; k++) {
    const double value = tn_outcome_value(&s->items[k].outcome, result);
    if (same_group(s, k, i) && !isnan(value)) values[r.count++] = value;
  }
  r.mean = tn_mean_of(values, r.count);
  r.deviation = tn_deviation_of(values, r.count);
  if (i > 0) r.pairs = differences(s, i, result, values);
  if (r.pairs > 0) r.difference = tn_mean_of(values, r.pairs);
  if (r.pairs > 1) tn_bootstrap(values, r.pairs, &r.low, &r.high);
  free(values);
  return r;
}

void tn_samples_free(tn_samples *s) {
  for (uint32_t i = 0; i < s->count; i++) {
    free(s->items[i].group);
    tn_outcome_free(&s->items[i].outcome);
  }
  free(s->items);
  *s = (tn_samples){0};
}
