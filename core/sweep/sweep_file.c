// SPDX-License-Identifier: MIT
#include "core/sweep/sweep_file.h"
#include "core/config/memory.h"
#include "core/format/file.h"
#include "core/report/event_log.h"
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_texts(tn_text *out, const char *key, const char *const *texts, uint32_t count) {
  tn_text_printf(out, "\"%s\": [", key);
  for (uint32_t i = 0; i < count; i++) {
    if (i) tn_text_append(out, ", ");
    tn_json_string(out, texts[i]);
  }
  tn_text_append(out, "]");
}

static void put_text(tn_text *out, const char *key, const char *text) {
  tn_text_printf(out, "\"%s\": ", key);
  tn_json_string(out, text);
}

static bool has(const char *const *texts, uint32_t count, const char *text) {
  for (uint32_t i = 0; i < count; i++)
    if (strcmp(texts[i], text) == 0) return true;
  return false;
}

/* Each key once, with the values that it takes in any arm. */
static void put_axes(tn_text *out, const tn_plan *plan) {
  uint32_t most = 1, keys = 0;
  for (uint32_t i = 0; i < plan->arm_count; i++)
    for (uint32_t a = 0; a < plan->arms[i].axis_count; a++) most += plan->arms[i].axes[a].count + 1;
  const char **seen = tn_take(most * sizeof *seen), **values = tn_take(most * sizeof *values);
  tn_text_append(out, "  \"axes\": [");
  for (uint32_t i = 0; i < plan->arm_count; i++) {
    for (uint32_t a = 0; a < plan->arms[i].axis_count; a++) {
      const char *key = plan->arms[i].axes[a].key;
      if (has(seen, keys, key)) continue;
      seen[keys++] = key;
      uint32_t count = 0;
      for (uint32_t k = i; k < plan->arm_count; k++)
        for (uint32_t b = 0; b < plan->arms[k].axis_count; b++) {
          const tn_axis *axis = &plan->arms[k].axes[b];
          for (uint32_t v = 0; strcmp(axis->key, key) == 0 && v < axis->count; v++)
            if (!has(values, count, axis->values[v])) values[count++] = axis->values[v];
        }
      tn_text_append(out, keys > 1 ? ", {" : "{");
      put_text(out, "key", key);
      tn_text_append(out, ", ");
      put_texts(out, "values", values, count);
      tn_text_append(out, "}");
    }
  }
  tn_text_append(out, "],\n");
  free(seen);
  free(values);
}

static void put_cell(tn_text *out, const tn_plan *plan, const tn_cell *cell, const tn_cell_state *state) {
  put_text(out, "directory", state->directory);
  tn_text_append(out, ", ");
  put_text(out, "arm", plan->arms[cell->arm].name);
  tn_text_printf(out, ", \"seed\": %lld, \"setting\": %u, ", (long long)cell->seed, cell->setting);
  put_text(out, "label", cell->label);
  tn_text_append(out, ", ");
  put_text(out, "variant", cell->variant);
  tn_text_append(out, ", ");
  put_texts(out, "overrides", (const char *const *)cell->overrides, cell->override_count);
  tn_text_append(out, ", ");
  put_text(out, "outcome", state->outcome);
  tn_text_append(out, ", \"seconds\": ");
  tn_json_number(out, state->seconds, 6);
}

static const char *name_of(const tn_plan *plan, const char *file) {
  const tn_section *pipeline = tn_config_find(plan->config, "pipeline");
  const tn_key *name = pipeline ? tn_section_find(pipeline, "name") : NULL;
  const char *slash = strrchr(file, '/');
  return name ? name->value : slash ? slash + 1 : file;
}

tn_status tn_sweep_file_write(const tn_plan *plan, const tn_launch_options *o, const tn_cell_state *states,
                              tn_error *error) {
  tn_text text = {0};
  tn_text_append(&text, "{\n  ");
  put_text(&text, "name", name_of(plan, o->file));
  tn_text_append(&text, ",\n  ");
  put_text(&text, "file", o->file);
  tn_text_append(&text, ",\n  ");
  put_texts(&text, "given", o->overrides, o->override_count);
  tn_text_append(&text, ",\n  ");
  put_texts(&text, "plugins", o->plugins, o->plugin_count);
  tn_text_printf(&text, ",\n  \"smoke\": %s,\n  \"arms\": [", o->smoke ? "true" : "false");
  for (uint32_t i = 0; i < plan->arm_count; i++) {
    if (i) tn_text_append(&text, ", ");
    tn_json_string(&text, plan->arms[i].name);
  }
  tn_text_append(&text, "],\n");
  put_axes(&text, plan);
  tn_text_append(&text, "  \"cells\": [");
  for (uint32_t i = 0; i < plan->cell_count; i++) {
    tn_text_append(&text, i ? ",\n    {" : "\n    {");
    put_cell(&text, plan, &plan->cells[i], &states[i]);
    tn_text_append(&text, "}");
  }
  tn_text_append(&text, "\n  ]\n}\n");
  char path[4120];
  snprintf(path, sizeof path, "%s/sweep.json", o->directory);
  const size_t size = text.size;
  char *json = tn_text_take(&text);
  tn_format_error why;
  const bool written = json && tn_file_write(path, json, size, &why);
  const char *reason = json ? why.text : "out of memory";
  tn_status status = written ? TN_OK : tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s", reason);
  free(json);
  return status;
}

/* ---- reading it again ---- */

static char **take_texts(const json_t *array, uint32_t *count) {
  const size_t size = json_array_size(array);
  char **texts = tn_take((size + 1) * sizeof *texts);
  for (size_t i = 0; i < size; i++) {
    const char *text = json_string_value(json_array_get(array, i));
    if (text) texts[(*count)++] = tn_copy_text(text);
  }
  return texts;
}

tn_status tn_sweep_file_read(const char *directory, tn_sweep_start *start, tn_error *error) {
  *start = (tn_sweep_start){0};
  char path[4120];
  snprintf(path, sizeof path, "%s/sweep.json", directory);
  json_error_t why;
  json_t *root = json_load_file(path, 0, &why);
  const char *file = json_string_value(json_object_get(root, "file"));
  if (!file && why.line == -1 && errno == ENOTDIR) {
    tn_error_set(error, TN_ERROR_IO, NULL, 0,
                 "%s is a file, not the directory of a sweep; `tenon run %s` begins one", directory,
                 directory);
  } else if (!file) {
    tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", path,
                 root             ? "expected an object with file"
                 : why.line == -1 ? strerror(errno)
                                  : why.text);
  } else {
    start->file = tn_copy_text(file);
    start->overrides = take_texts(json_object_get(root, "given"), &start->override_count);
    start->plugins = take_texts(json_object_get(root, "plugins"), &start->plugin_count);
    start->smoke = json_is_true(json_object_get(root, "smoke"));
  }
  json_decref(root);
  return file ? TN_OK : error->status;
}

static void free_texts(char **texts, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) free(texts[i]);
  free(texts);
}

void tn_sweep_start_free(tn_sweep_start *start) {
  free(start->file);
  free_texts(start->overrides, start->override_count);
  free_texts(start->plugins, start->plugin_count);
  *start = (tn_sweep_start){0};
}
