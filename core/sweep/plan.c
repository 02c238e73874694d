// SPDX-License-Identifier: MIT
#include "core/sweep/plan.h"
#include "core/config/memory.h"
#include "core/report/text.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char arm_prefix[] = "arm.";
static const char seed_key[] = "pipeline.seed";

static bool is_arm(const tn_section *section) {
  return strncmp(section->name, arm_prefix, sizeof arm_prefix - 1) == 0;
}

bool tn_plan_wanted(const tn_config *config) {
  if (tn_config_find(config, "sweep")) return true;
  for (uint32_t i = 0; i < tn_config_count(config); i++)
    if (is_arm(tn_config_at(config, i))) return true;
  return false;
}

/* ---- axes ---- */

static void free_axis(tn_axis *axis) {
  for (uint32_t i = 0; i < axis->count; i++) free(axis->values[i]);
  free(axis->values);
  free(axis->key);
}

static void add_value(tn_axis *axis, const char *text, size_t length) {
  while (length && (*text == ' ' || *text == '\t')) text++, length--;
  while (length && (text[length - 1] == ' ' || text[length - 1] == '\t')) length--;
  axis->values = tn_take_again(axis->values, (axis->count + 1) * sizeof *axis->values);
  char *value = tn_take(length + 1);
  memcpy(value, text, length);
  axis->values[axis->count++] = value;
}

static void split(tn_axis *axis, const char *text, char separator) {
  for (;;) {
    const char *end = strchr(text, separator);
    add_value(axis, text, end ? (size_t)(end - text) : strlen(text));
    if (!end) return;
    text = end + 1;
  }
}

/* "1..5", "1, 2, 7" or both. */
static tn_status read_seeds(tn_axis *axis, const tn_key *key, tn_error *error) {
  tn_axis parts = {0};
  split(&parts, key->value, ',');
  tn_status status = TN_OK;
  for (uint32_t i = 0; i < parts.count && status == TN_OK; i++) {
    char *end;
    errno = 0;
    const long long first = strtoll(parts.values[i], &end, 10);
    long long last = first;
    bool good = end != parts.values[i] && first >= 0 && errno == 0;
    if (good && strncmp(end, "..", 2) == 0) {
      const char *from = end + 2;
      last = strtoll(from, &end, 10);
      good = end != from && last >= first && errno == 0 && last - first < TN_MAX_CELLS;
    }
    if (!good || *end) {
      char shown[TN_SHOWN];
      status = tn_error_set(error, TN_ERROR_INVALID, key->file, key->line,
                            "seeds: '%s' is neither a whole number nor a range; expected 1..5 or 1, 2, 3",
                            tn_shown(shown, parts.values[i]));
    }
    for (long long seed = first; status == TN_OK && seed <= last; seed++) {
      char text[32];
      add_value(axis, text, (size_t)snprintf(text, sizeof text, "%lld", seed));
    }
  }
  free_axis(&parts);
  return status;
}

/* A key of [sweep] or of an arm with several values. */
static tn_status read_axis(tn_arm *arm, const tn_key *key, bool sweep, tn_error *error) {
  if (arm->axis_count == TN_MAX_AXES)
    return tn_error_set(error, TN_ERROR_INVALID, key->file, key->line, "more than %u axes", TN_MAX_AXES);
  tn_axis *axis = &arm->axes[arm->axis_count++];
  const bool seeds = sweep && strcmp(key->name, "seeds") == 0;
  axis->key = tn_copy_text(seeds ? seed_key : key->name);
  axis->file = key->file;
  axis->line = key->line;
  if (seeds) return read_seeds(axis, key, error);
  split(axis, key->value, sweep && !strchr(key->value, '|') ? ',' : '|');
  for (uint32_t i = 0; i < axis->count; i++)
    if (!*axis->values[i])
      return tn_error_set(error, TN_ERROR_INVALID, key->file, key->line, "%s: value %u is empty", key->name,
                          i + 1);
  return TN_OK;
}

static tn_status read_sweep(tn_plan *plan, tn_arm *arm, const tn_section *section, tn_error *error) {
  for (uint32_t k = 0; section && k < section->key_count; k++) {
    const tn_key *key = &section->keys[k];
    tn_status status = TN_OK;
    if (strcmp(key->name, "jobs") == 0) {
      char *end;
      plan->jobs = strtoll(key->value, &end, 10);
      if (end == key->value || *end || plan->jobs < 1 || plan->jobs > 4096)
        return tn_error_set(error, TN_ERROR_INVALID, key->file, key->line,
                            "jobs = %.40s: expected a whole number from 1 to 4096", key->value);
    } else if (strcmp(key->name, "seeds") == 0 || strchr(key->name, '.')) {
      status = read_axis(arm, key, true, error);
    } else {
      const char *names[] = {"seeds", "jobs"};
      char hint[TN_SUGGESTION];
      status = tn_error_set(error, TN_ERROR_INVALID, key->file, key->line,
                            "[sweep] has no key '%s': expected seeds, jobs or section.key%s", key->name,
                            tn_suggest(hint, key->name, names, 2));
    }
    if (status != TN_OK) return status;
  }
  return TN_OK;
}

static tn_status read_arm(tn_arm *arm, tn_error *error) {
  const tn_section *section = arm->from;
  for (uint32_t k = 0; section && k < section->key_count; k++) {
    const tn_key *key = &section->keys[k];
    if (!strchr(key->name, '.'))
      return tn_error_set(error, TN_ERROR_INVALID, key->file, key->line,
                          "[%s] has the key '%s': expected section.key, which overrides a key of the file",
                          section->name, key->name);
    if (strchr(key->value, '|')) {
      tn_status status = read_axis(arm, key, false, error);
      if (status != TN_OK) return status;
    }
  }
  return TN_OK;
}

/* Every axis names something that the file has, or a section that the arm makes. */
static tn_status check_keys(const tn_plan *plan, const tn_arm *arm, tn_error *error) {
  for (uint32_t a = 0; a < arm->axis_count; a++) {
    const tn_axis *axis = &arm->axes[a];
    const char *dot = strrchr(axis->key, '.');
    char name[256];
    snprintf(name, sizeof name, "%.*s", (int)(dot - axis->key), axis->key);
    if (tn_config_find(plan->config, name)) continue;
    const uint32_t count = tn_config_count(plan->config);
    const char **names = tn_take((count + 1) * sizeof *names);
    for (uint32_t i = 0; i < count; i++) names[i] = tn_config_at(plan->config, i)->name;
    char hint[TN_SUGGESTION];
    tn_error_set(error, TN_ERROR_INVALID, axis->file, axis->line, "%s: no section [%s]%s", axis->key, name,
                 tn_suggest(hint, name, names, count));
    free(names);
    return error->status;
  }
  return TN_OK;
}

/* ---- cells ---- */

static void add_override(tn_cell *cell, const char *key, const char *value) {
  tn_text text = {0};
  tn_text_printf(&text, "%s=%s", key, value);
  cell->overrides = tn_take_again(cell->overrides, (cell->override_count + 1) * sizeof *cell->overrides);
  cell->overrides[cell->override_count++] = tn_taken(tn_text_take(&text));
}

/* Names of folders: what shells and file systems dislike becomes `_`. A name that this may make equal to
 * another's gets the cell's number. */
static char *folder_of(const char *arm, const char *label, uint32_t number) {
  tn_text text = {0};
  bool lost = strlen(label) > 150;
  tn_text_printf(&text, TN_CELLS_FOLDER "%s%s%.150s", arm, *arm ? "/" : "", *label ? label : "run");
  char *folder = tn_taken(tn_text_take(&text));
  for (char *at = folder + strlen(TN_CELLS_FOLDER) + strlen(arm) + (*arm != 0); *at; at++)
    if (!strchr("=,.-+_%", *at) && !(*at >= '0' && *at <= '9') && !(*at >= 'a' && *at <= 'z') &&
        !(*at >= 'A' && *at <= 'Z')) {
      lost |= *at != ' ';
      *at = '_';
    }
  if (lost) {
    tn_text_printf(&text, "%s-%u", folder, number);
    free(folder);
    folder = tn_taken(tn_text_take(&text));
  }
  return folder;
}

/* Combination `number` of the arm's axes. */
static void make_cell(tn_plan *plan, uint32_t number, uint32_t arm_index, const char *const *base,
                      uint32_t base_count) {
  const tn_arm *arm = &plan->arms[arm_index];
  tn_cell *cell = &plan->cells[plan->cell_count++];
  *cell = (tn_cell){.arm = arm_index, .seed = -1};
  for (uint32_t k = 0; arm->from && k < arm->from->key_count; k++)
    if (!strchr(arm->from->keys[k].value, '|'))
      add_override(cell, arm->from->keys[k].name, arm->from->keys[k].value);
  tn_text label = {0}, variant = {0};
  uint32_t place[TN_MAX_AXES], rest = number;
  for (uint32_t a = arm->axis_count; a-- > 0; rest /= arm->axes[a].count)
    place[a] = rest % arm->axes[a].count;
  for (uint32_t a = 0; a < arm->axis_count; a++) {
    const tn_axis *axis = &arm->axes[a];
    const char *value = axis->values[place[a]];
    const bool seed = strcmp(axis->key, seed_key) == 0;
    add_override(cell, axis->key, value);
    if (seed)
      cell->seed = strtoll(value, NULL, 10);
    else
      cell->setting = cell->setting * axis->count + place[a];
    tn_text_printf(&label, "%s%s=%s", label.size ? "," : "", seed ? "seed" : axis->key, value);
    if (!seed) tn_text_printf(&variant, "%s%s=%s", variant.size ? " " : "", axis->key, value);
  }
  for (uint32_t b = 0; b < base_count; b++) { /* the command line has the last word */
    cell->overrides = tn_take_again(cell->overrides, (cell->override_count + 1) * sizeof *cell->overrides);
    cell->overrides[cell->override_count++] = tn_copy_text(base[b]);
  }
  cell->label = tn_taken(tn_text_take(&label));
  cell->variant = tn_taken(tn_text_take(&variant));
  cell->directory = folder_of(arm->name, cell->label, number);
}

static tn_status make_cells(tn_plan *plan, const char *const *base, uint32_t base_count, tn_error *error) {
  uint64_t total = 0;
  for (uint32_t i = 0; i < plan->arm_count; i++) {
    uint64_t count = 1;
    for (uint32_t a = 0; a < plan->arms[i].axis_count && count <= TN_MAX_CELLS; a++)
      count *= plan->arms[i].axes[a].count;
    total += count;
    if (total > TN_MAX_CELLS)
      return tn_error_set(error, TN_ERROR_INVALID, tn_config_file(plan->config), 0,
                          "the sweep has more than %u cells", TN_MAX_CELLS);
  }
  plan->cells = tn_take((size_t)(total + 1) * sizeof *plan->cells);
  for (uint32_t i = 0; i < plan->arm_count; i++) {
    uint32_t count = 1;
    for (uint32_t a = 0; a < plan->arms[i].axis_count; a++) count *= plan->arms[i].axes[a].count;
    for (uint32_t n = 0; n < count; n++) make_cell(plan, n, i, base, base_count);
  }
  return TN_OK;
}

static void shorten(tn_arm *arm) {
  for (uint32_t a = 0; a < arm->axis_count; a++)
    while (strcmp(arm->axes[a].key, seed_key) == 0 && arm->axes[a].count > 1)
      free(arm->axes[a].values[--arm->axes[a].count]);
}

static tn_status fill(tn_plan *plan, const char *const *base, uint32_t base_count, bool first_only,
                      tn_error *error) {
  const tn_section *sweep = tn_config_find(plan->config, "sweep");
  plan->arms = tn_take((tn_config_count(plan->config) + 1) * sizeof *plan->arms);
  for (uint32_t i = 0; i < tn_config_count(plan->config); i++) {
    const tn_section *section = tn_config_at(plan->config, i);
    if (is_arm(section))
      plan->arms[plan->arm_count++] =
          (tn_arm){.name = section->name + sizeof arm_prefix - 1, .from = section};
  }
  if (plan->arm_count == 0) plan->arms[plan->arm_count++] = (tn_arm){.name = ""};
  for (uint32_t i = 0; i < plan->arm_count; i++) {
    tn_arm *arm = &plan->arms[i];
    tn_status status = read_sweep(plan, arm, sweep, error);
    if (status == TN_OK) status = read_arm(arm, error);
    if (status == TN_OK) status = check_keys(plan, arm, error);
    if (status != TN_OK) return status;
    if (first_only) shorten(arm);
  }
  return make_cells(plan, base, base_count, error);
}

tn_plan *tn_plan_make(tn_config *config, const char *const *base, uint32_t base_count, bool first_only,
                      tn_error *error) {
  tn_plan *plan = tn_take(sizeof *plan);
  plan->config = config;
  if (fill(plan, base, base_count, first_only, error) == TN_OK) return plan;
  tn_plan_free(plan);
  return NULL;
}

void tn_plan_free(tn_plan *plan) {
  if (!plan) return;
  for (uint32_t i = 0; i < plan->cell_count; i++) {
    tn_cell *cell = &plan->cells[i];
    for (uint32_t k = 0; k < cell->override_count; k++) free(cell->overrides[k]);
    free(cell->overrides);
    free(cell->label);
    free(cell->variant);
    free(cell->directory);
  }
  for (uint32_t i = 0; i < plan->arm_count; i++)
    for (uint32_t a = 0; a < plan->arms[i].axis_count; a++) free_axis(&plan->arms[i].axes[a]);
  free(plan->cells);
  free(plan->arms);
  tn_config_free(plan->config);
  free(plan);
}
