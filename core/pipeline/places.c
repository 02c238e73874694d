// SPDX-License-Identifier: MIT
#include "core/pipeline/places.h"
#include "paths.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static int is_folder(const char *path) {
  struct stat status;
  return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

void tn_places_find(tn_places *places) {
  const char *given = getenv("TENON_DATA"), *home = getenv("HOME");
  places->data = given && *given ? given : NULL;
  if (!places->data && realpath("../shared/data", places->data_text)) places->data = places->data_text;
  if (!places->data && home) {
    snprintf(places->data_text, sizeof places->data_text, "%s/.local/share/tenon", home);
    if (is_folder(places->data_text)) places->data = places->data_text;
  }
  given = getenv("TENON_EXAMPLES");
  places->examples = given && *given ? given : NULL;
  const char *candidates[] = {TN_BUILD_EXAMPLE_DIR, TN_INSTALL_EXAMPLE_DIR};
  for (int i = 0; i < 2 && !places->examples; i++)
    if (is_folder(candidates[i])) places->examples = candidates[i];
}

void tn_places_variables(const tn_places *places, const char *run, tn_config_variable variables[3]) {
  variables[0] = (tn_config_variable){"data", places->data,
                                      "the data sets were not found: set TENON_DATA to their folder"};
  variables[1] = (tn_config_variable){"examples", places->examples,
                                      "the examples' folder was not found: set TENON_EXAMPLES to it"};
  variables[2] = (tn_config_variable){"run", run, "there is no run directory here"};
}
