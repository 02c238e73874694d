// SPDX-License-Identifier: MIT
#include "core/pipeline/places.h"
#include "core/data/sets.h"
#include "paths.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_folder(const char *path) {
  struct stat status;
  return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

void tn_places_find(tn_places *places) {
  const char *given = getenv("TENON_DATA"), *home = getenv("HOME");
  places->data = given && *given ? given : NULL;
  places->data_given = places->data != NULL;
  places->data_own[0] = '\0';
  if (home && *home) snprintf(places->data_own, sizeof places->data_own, "%s/.local/share/tenon", home);
  if (!places->data && realpath("../shared/data", places->data_text)) places->data = places->data_text;
  if (!places->data && *places->data_own) places->data = places->data_own;
  given = getenv("TENON_EXAMPLES");
  places->examples = given && *given ? given : NULL;
  const char *candidates[] = {TN_BUILD_EXAMPLE_DIR, TN_INSTALL_EXAMPLE_DIR};
  for (int i = 0; i < 2 && !places->examples; i++)
    if (is_folder(candidates[i])) places->examples = candidates[i];
}

void tn_places_variables(const tn_places *places, const char *run, tn_config_variable variables[3]) {
  variables[0] =
      (tn_config_variable){"data", places->data, "there is no folder for data sets: set TENON_DATA, or HOME"};
  variables[1] = (tn_config_variable){"examples", places->examples,
                                      "the examples' folder was not found: set TENON_EXAMPLES to it"};
  variables[2] = (tn_config_variable){"run", run, "there is no run directory here"};
}

/* The set whose folder `path`, below the folder of data sets, lies in; the innermost one. */
static const tn_set *set_of(const tn_sets *sets, const char *path) {
  const tn_set *found = NULL;
  for (uint32_t i = 0; i < sets->count; i++) {
    const size_t length = strlen(sets->sets[i].folder);
    const bool inside =
        strncmp(path, sets->sets[i].folder, length) == 0 && (!path[length] || path[length] == '/');
    if (inside && (!found || length > strlen(found->folder))) found = &sets->sets[i];
  }
  return found;
}

static tn_status say_missing(const char *data, const char *path, const char *section, const tn_key *key,
                             tn_error *error) {
  tn_error ignored = {0};
  tn_sets sets;
  const tn_set *set = tn_sets_open(&sets, &ignored) >= 0 ? set_of(&sets, path + strlen(data) + 1) : NULL;
  if (set)
    tn_error_set(error, TN_ERROR_MISSING, key->file, key->line,
                 "[%s] %s: data set '%s' is not here: no %s; `tenon data %s %s` %s", section, key->name,
                 set->name, path, set->source ? "fetch" : "list", set->name,
                 set->source ? "gets it" : "says how to get it");
  else
    tn_error_set(error, TN_ERROR_MISSING, key->file, key->line,
                 "[%s] %s: no %s; `tenon data list` says what data sets there are", section, key->name, path);
  tn_sets_free(&sets);
  return error->status;
}

tn_status tn_places_check(const char *data, const char *section, const tn_key *key, tn_error *error) {
  const size_t length = data ? strlen(data) : 0;
  for (const char *at = key->value; data && *at;) {
    const size_t item = strcspn(at, ",");
    if (strncmp(at, data, length) == 0 && at[length] == '/') {
      char path[4096];
      snprintf(path, sizeof path, "%.*s", (int)item, at);
      for (size_t end = strlen(path); end > 0 && path[end - 1] == ' '; end--) path[end - 1] = '\0';
      if (access(path, F_OK) != 0) return say_missing(data, path, section, key, error);
    }
    at += item;
    at += strspn(at, ", ");
  }
  return TN_OK;
}
