// SPDX-License-Identifier: MIT
/* tenon compare DIR ...: the arms of a sweep, or several runs and sweeps, side by side: mean, spread, and the
 * differences from the first, paired by seed, with a bootstrap interval. */
#include "core/command/columns.h"
#include "core/command/command.h"
#include "core/config/memory.h"
#include "core/plugin/host.h"
#include "core/report/text.h"
#include "core/sweep/outcome.h"
#include "core/sweep/statistics.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: tenon compare DIR ... [options]\n\n"
    "Directories of runs or of sweeps. For every result: mean and standard deviation over seeds, and the "
    "mean\n"
    "difference from the first arm, paired by seed, with a 95 % bootstrap interval.\n\n"
    "  --result NAME    only this result, test.accuracy\n"
    "  --csv            comma-separated values\n";

typedef struct sample {
  char *group; /* arm and setting, or the directory */
  int64_t seed;
  tn_outcome_record outcome;
} sample;

typedef struct samples {
  sample *items;
  uint32_t count, room;
} samples;

static tn_status add(samples *s, const char *directory, char *group, int64_t seed, tn_error *error) {
  sample *item = tn_grow(&s->items, s->count, &s->room, sizeof *item);
  *item = (sample){.group = group, .seed = seed};
  s->count++;
  return tn_outcome_read(directory, &item->outcome, error) ? TN_OK : error->status;
}

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

/* "lion method.lr=1e-3" */
static char *group_of(const json_t *cell, const char *directory, bool several) {
  tn_text text = {0};
  if (several) tn_text_append(&text, directory);
  if (*text_of(cell, "arm")) tn_text_printf(&text, "%s%s", text.size ? " " : "", text_of(cell, "arm"));
  char *label = tn_copy_text(text_of(cell, "label"));
  for (char *part = strtok(label, ","); part; part = strtok(NULL, ","))
    if (strncmp(part, "seed=", 5) != 0) tn_text_printf(&text, "%s%s", text.size ? " " : "", part);
  free(label);
  return text.data ? tn_text_take(&text) : tn_copy_text("all");
}

static tn_status gather(samples *s, const char *directory, bool several, tn_error *error) {
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

static bool first_of_group(const samples *s, uint32_t i) {
  for (uint32_t k = 0; k < i; k++)
    if (strcmp(s->items[k].group, s->items[i].group) == 0) return false;
  return true;
}

/* Differences of the group of `i` from the first group, seed by seed. */
static uint32_t differences(const samples *s, uint32_t i, const char *result, double *into) {
  uint32_t count = 0;
  for (uint32_t k = 0; k < s->count; k++) {
    if (strcmp(s->items[k].group, s->items[i].group) != 0) continue;
    for (uint32_t f = 0; f < s->count; f++) {
      if (strcmp(s->items[f].group, s->items[0].group) != 0 || s->items[f].seed != s->items[k].seed) continue;
      const double d =
          tn_outcome_value(&s->items[k].outcome, result) - tn_outcome_value(&s->items[f].outcome, result);
      if (!isnan(d)) into[count++] = d;
    }
  }
  return count;
}

static void add_row(tn_columns *table, const samples *s, uint32_t i, const char *result) {
  double *values = tn_take((s->count + 1) * sizeof *values);
  uint32_t count = 0;
  for (uint32_t k = 0; k < s->count; k++) {
    const double value = tn_outcome_value(&s->items[k].outcome, result);
    if (strcmp(s->items[k].group, s->items[i].group) == 0 && !isnan(value)) values[count++] = value;
  }
  char texts[5][48] = {"", "", "", "", ""};
  if (count) {
    snprintf(texts[0], sizeof texts[0], "%.6g", tn_mean_of(values, count));
    snprintf(texts[1], sizeof texts[1], "%.3g", tn_deviation_of(values, count));
    snprintf(texts[2], sizeof texts[2], "%u", count);
  }
  const uint32_t pairs = i ? differences(s, i, result, values) : 0;
  if (pairs) {
    double low, high;
    tn_bootstrap(values, pairs, &low, &high);
    snprintf(texts[3], sizeof texts[3], "%+.4g", tn_mean_of(values, pairs));
    if (pairs > 1) snprintf(texts[4], sizeof texts[4], "%+.4g to %+.4g", low, high);
  }
  tn_columns_add(
      table, (const char *[]){result, s->items[i].group, texts[0], texts[1], texts[2], texts[3], texts[4]});
  free(values);
}

static void print(const samples *s, const char *only, bool csv) {
  tn_columns table = {.columns = 7};
  tn_columns_add(&table, (const char *[]){"result", "arm", "mean", "deviation", "n", "difference", "95 %"});
  const tn_run_record *record = &s->items[0].outcome.record;
  for (uint32_t r = 0; r < record->result_count; r++) {
    if (only && strcmp(only, record->results[r].name) != 0) continue;
    for (uint32_t i = 0; i < s->count; i++)
      if (first_of_group(s, i)) add_row(&table, s, i, record->results[r].name);
  }
  if (csv)
    for (uint32_t i = 0; i < table.rows; i++)
      for (uint32_t c = 0; c < table.columns; c++)
        printf("%s%c", table.cells[i * table.columns + c], c + 1 < table.columns ? ',' : '\n');
  else
    tn_columns_print(stdout, &table, "", true);
  tn_columns_free(&table);
}

int tn_command_compare(int argc, char **argv) {
  const char *directories[256], *only = NULL;
  uint32_t count = 0;
  bool csv = false;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
      fputs(help, stdout);
      return TN_EXIT_OK;
    }
    if (strcmp(argv[i], "--csv") == 0)
      csv = true;
    else if (strcmp(argv[i], "--result") == 0 && i + 1 < argc)
      only = argv[++i];
    else if (argv[i][0] == '-' || count == TN_ARRAY_LENGTH(directories)) {
      fprintf(stderr, "error: tenon compare has no option '%s'\n", argv[i]);
      return TN_EXIT_USAGE;
    } else
      directories[count++] = argv[i];
  }
  if (count == 0) {
    fputs("error: tenon compare needs a directory; `tenon compare --help` says more\n", stderr);
    return TN_EXIT_USAGE;
  }
  tn_host_start();
  samples s = {0};
  tn_error error = {0};
  tn_status status = TN_OK;
  for (uint32_t i = 0; i < count && status >= 0; i++) status = gather(&s, directories[i], count > 1, &error);
  if (status >= 0 && s.count == 0)
    status = tn_error_set(&error, TN_ERROR_MISSING, NULL, 0, "%s: no finished cell", directories[0]);
  if (status >= 0) print(&s, only, csv);
  const int code = status < 0 ? tn_command_error(&error, true) : TN_EXIT_OK;
  for (uint32_t i = 0; i < s.count; i++) {
    free(s.items[i].group);
    tn_outcome_free(&s.items[i].outcome);
  }
  free(s.items);
  return code;
}
