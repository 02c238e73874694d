// SPDX-License-Identifier: MIT
#include "core/pipeline/lock.h"
#include "core/config/memory.h"
#include "core/pipeline/digest.h"
#include "core/pipeline/internal.h"
#include <cblas.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <tenon/observer.h>

/* What must be equal, apart from the plugins. */
static json_t *facts(const tn_pipeline *p) {
  char abi[32];
  snprintf(abi, sizeof abi, "%d.%d", TN_ABI_MAJOR, TN_ABI_MINOR);
  return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "tenon", TN_VERSION, "abi", abi, "instruction set",
                   tn_engine_cpu(p->engine), "BLAS kernels", openblas_get_corename(), "precision",
                   p->precision == TN_F64 ? "float64" : "float32", "seed", (json_int_t)p->seed);
}

/* {NAME: {version, sha256, file}} of the plugins that the pipeline has loaded */
static json_t *plugins(const tn_pipeline *p, tn_error *error) {
  json_t *all = json_object();
  for (uint32_t i = 0; i < tn_registry_loaded(p->registry); i++) {
    const tn_registry_item *item = tn_registry_loaded_at(p->registry, i);
    char hash[65];
    if (!tn_digest_of_file(item->file, hash)) {
      tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", item->file, strerror(errno));
      json_decref(all);
      return NULL;
    }
    json_object_set_new(
        all, item->plugin,
        json_pack("{s:s, s:s, s:s}", "version", item->version, "sha256", hash, "file", item->file));
  }
  return all;
}

static json_t *texts(const char *const *items, uint32_t count) {
  json_t *array = json_array();
  for (uint32_t i = 0; i < count; i++) json_array_append_new(array, json_string(items[i]));
  return array;
}

/* Absolute, so that the run can be resumed from any folder. */
static const char *absolute(const char *path, char *room) {
  const char *full = realpath(path, room);
  return full ? full : path;
}

tn_status tn_lock_write(const tn_pipeline *p, tn_error *error) {
  char file[4096], room[4096], temporary[4104];
  json_t *loaded = plugins(p, error);
  if (!loaded) return error->status;
  json_t *named = json_array();
  for (uint32_t i = 0; i < p->plugin_count; i++)
    json_array_append_new(named, json_string(absolute(p->plugins[i], room)));
  json_t *start = json_pack("{s:s, s:o, s:o, s:b, s:b}", "file", absolute(tn_config_file(p->config), room),
                            "overrides", texts(p->overrides, p->override_count), "plugins", named, "smoke",
                            p->smoke, "single", p->single);
  json_t *lock = json_pack("{s:o, s:o, s:o}", "facts", facts(p), "plugins", loaded, "start", start);
  snprintf(file, sizeof file, "%s/lock.json", p->directory);
  snprintf(temporary, sizeof temporary, "%s.tmp", file);
  const bool good =
      lock && json_dump_file(lock, temporary, JSON_INDENT(2)) == 0 && rename(temporary, file) == 0;
  json_decref(lock);
  return good ? TN_OK : tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", file, strerror(errno));
}

static json_t *read_lock(const char *file, tn_error *error) {
  json_error_t reason;
  json_t *lock = json_load_file(file, JSON_REJECT_DUPLICATES, &reason);
  if (lock && json_is_object(json_object_get(lock, "facts")) &&
      json_is_object(json_object_get(lock, "plugins")) && json_is_object(json_object_get(lock, "start")))
    return lock;
  if (lock || reason.line < 0)
    tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "%s: %s", file, lock ? "not a lock file" : reason.text);
  else
    tn_error_set(error, TN_ERROR_INVALID, file, (uint32_t)reason.line, "%s", reason.text);
  json_decref(lock);
  return NULL;
}

static const char *shown(const json_t *value, char room[32]) {
  if (json_is_string(value)) return json_string_value(value);
  snprintf(room, 32, "%lld", (long long)json_integer_value(value));
  return json_is_integer(value) ? room : "nothing";
}

/* The values of one object, as "lock.json: plugin 'lion': version is 1.1.0, locked 1.0.0". */
static uint32_t compare(const char *file, const char *what, json_t *is, json_t *locked, FILE *out) {
  uint32_t count = 0;
  const char *key;
  json_t *value;
  json_object_foreach(is, key, value) {
    char a[32], b[32];
    json_t *other = json_object_get(locked, key);
    if (strcmp(key, "file") == 0 || json_equal(value, other)) continue;
    fprintf(out, "error: %s: %s%s is %s, locked %s\n", file, what, key, shown(value, a), shown(other, b));
    count++;
  }
  return count;
}

/* Observers do not change the bits: they may come and go (--quiet leaves one out). */
static bool only_observes(const tn_registry *registry, const char *plugin) {
  bool known = false;
  for (uint32_t i = 0; i < tn_registry_count(registry); i++) {
    const tn_registry_item *item = tn_registry_item_at(registry, i);
    if (strcmp(item->plugin, plugin) != 0) continue;
    if (strcmp(item->kind, TN_OBSERVER) != 0) return false;
    known = true;
  }
  return known;
}

tn_status tn_lock_compare(const tn_pipeline *p, const char *file, FILE *out, uint32_t *differences,
                          tn_error *error) {
  json_t *lock = read_lock(file, error);
  json_t *loaded = lock ? plugins(p, error) : NULL, *own = facts(p), *value;
  const char *name;
  *differences = 0;
  if (loaded) {
    json_t *locked = json_object_get(lock, "plugins");
    *differences = compare(file, "", own, json_object_get(lock, "facts"), out);
    json_object_foreach(loaded, name, value) {
      char what[128];
      snprintf(what, sizeof what, "plugin '%s': ", name);
      json_t *other = json_object_get(locked, name);
      if (other)
        *differences += compare(file, what, value, other, out);
      else if (!only_observes(p->registry, name))
        fprintf(out, "error: %s: plugin '%s' is not in it\n", file, name), ++*differences;
    }
    json_object_foreach(locked, name, value) {
      if (!json_object_get(loaded, name) && !only_observes(p->registry, name))
        fprintf(out, "error: %s: plugin '%s' is not used any more\n", file, name), ++*differences;
    }
  }
  json_decref(own);
  json_decref(loaded);
  json_decref(lock);
  return error->status;
}

static uint32_t words(const json_t *array, const char **items) {
  uint32_t count = 0;
  for (size_t i = 0; i < json_array_size(array) && count < TN_LOCK_WORDS; i++) {
    const char *text = json_string_value(json_array_get(array, i));
    if (text) items[count++] = text;
  }
  return count;
}

tn_status tn_lock_read_start(const char *directory, tn_lock_start *start, tn_error *error) {
  char file[4096];
  snprintf(file, sizeof file, "%s/lock.json", directory);
  json_t *lock = read_lock(file, error);
  if (!lock) return error->status;
  const json_t *from = json_object_get(lock, "start");
  *start = (tn_lock_start){.file = json_string_value(json_object_get(from, "file")),
                           .smoke = json_is_true(json_object_get(from, "smoke")),
                           .single = json_is_true(json_object_get(from, "single")),
                           .memory = lock};
  start->override_count = words(json_object_get(from, "overrides"), start->overrides);
  start->plugin_count = words(json_object_get(from, "plugins"), start->plugins);
  if (start->file) return TN_OK;
  tn_lock_free_start(start);
  return tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "%s: not a lock file", file);
}

void tn_lock_free_start(tn_lock_start *start) {
  json_decref(start->memory);
  *start = (tn_lock_start){0};
}

void tn_run_outcome(const char *directory, char *text, size_t bytes) {
  char file[4096];
  snprintf(file, sizeof file, "%s/results.json", directory);
  json_t *results = json_load_file(file, 0, NULL);
  const char *outcome = json_string_value(json_object_get(results, "outcome"));
  snprintf(text, bytes, "%s", outcome ? outcome : "");
  json_decref(results);
}
