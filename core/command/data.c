// SPDX-License-Identifier: MIT
/* tenon data list|fetch: what data sets are here, and how to get the others. */
#include "core/command/arguments.h"
#include "core/command/columns.h"
#include "core/data/fetch.h"
#include "core/pipeline/places.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: tenon data list [NAME]\n"
    "       tenon data fetch NAME\n\n"
    "list   says what data sets are here, what is missing and how to get it; NAME: the files of one\n"
    "fetch  downloads what is missing of a data set and checks its SHA-256; a broken download goes on\n"
    "       where it stopped\n\n"
    "  --check  with list: also compare the content of the files with their SHA-256\n\n"
    "Data sets lie in the folder TENON_DATA, else ../shared/data or ~/.local/share/tenon. The list is\n"
    "share/data.ini, or the file that TENON_DATA_SETS names.\n";

static void state_of(const tn_set *set, const char *folder, char *text, size_t bytes) {
  const uint32_t present = tn_set_present(set, folder);
  if (present == set->file_count)
    snprintf(text, bytes, "here");
  else if (present > 0)
    snprintf(text, bytes, "%u of %u files", present, set->file_count);
  else
    snprintf(text, bytes, "missing");
}

static int list_all(const tn_sets *sets, const char *folder) {
  tn_columns table = {.columns = 4};
  uint32_t missing = 0;
  for (uint32_t i = 0; i < sets->count; i++) {
    const tn_set *set = &sets->sets[i];
    char state[64], how[256] = "";
    state_of(set, folder, state, sizeof state);
    if (strcmp(state, "here") != 0) {
      missing++;
      snprintf(how, sizeof how, "%s%s", set->source ? "tenon data fetch " : "",
               set->source ? set->name
               : set->get  ? set->get
                           : "");
    }
    tn_columns_add(&table, (const char *const[]){set->name, state, set->summary, how});
  }
  printf("data sets in %s\n", folder ? folder : "no folder: set TENON_DATA, or HOME");
  tn_columns_print(stdout, &table, "  ", false);
  tn_columns_free(&table);
  if (missing > 0) printf("%u of %u are not here or not whole\n", missing, sets->count);
  return TN_EXIT_OK;
}

static int list_one(const tn_set *set, const char *folder, bool check) {
  tn_columns table = {.columns = 3};
  int code = TN_EXIT_OK;
  for (uint32_t f = 0; f < set->file_count; f++) {
    char path[4096];
    tn_format_error reason;
    snprintf(path, sizeof path, "%s/%s/%s", folder ? folder : "", set->folder, set->files[f].name);
    const bool here = folder && access(path, R_OK) == 0;
    const bool good = here && check && tn_set_file_check(path, set->files[f].hash, &reason);
    if (here && check && !good) code = TN_EXIT_FAILED;
    const char *state = !here ? "missing" : !check ? "here" : good ? "good" : "not as expected";
    tn_columns_add(&table, (const char *const[]){set->files[f].name, state, set->files[f].hash});
  }
  printf("%s: %s\nlicence: %s\nfolder: %s/%s\n", set->name, set->summary,
         set->licence ? set->licence : "not stated", folder ? folder : "", set->folder);
  if (set->source) printf("source: %s\n", set->source);
  if (set->get) printf("get: %s\n", set->get);
  tn_columns_print(stdout, &table, "  ", false);
  tn_columns_free(&table);
  return code;
}

static int check_all(const tn_sets *sets, const char *folder) {
  int code = TN_EXIT_OK;
  for (uint32_t i = 0; i < sets->count; i++) {
    if (tn_set_present(&sets->sets[i], folder) == 0) continue;
    if (list_one(&sets->sets[i], folder, true) != TN_EXIT_OK) code = TN_EXIT_FAILED;
  }
  return code;
}

/* ---- fetching ---- */

struct live {
  const char *name;
  bool terminal;
};
static void show(void *context, int64_t done, int64_t total) {
  const struct live *live = context;
  if (!live->terminal) return;
  if (total > 0)
    fprintf(stderr, "\r%s %5.1f %% of %.1f MB\033[K", live->name, 100 * (double)done / (double)total,
            (double)total / 1e6);
  else
    fprintf(stderr, "\r%s %.1f MB\033[K", live->name, (double)done / 1e6);
}

static int fetch(const tn_set *set, const char *folder) {
  tn_error error = {0};
  if (!set->source) {
    tn_error_set(&error, TN_ERROR_INVALID, NULL, 0, "data set '%s' cannot be fetched: %s", set->name,
                 set->get ? set->get : "it has no source");
    return tn_command_error(&error, false);
  }
  if (set->licence) printf("licence of %s: %s\n", set->name, set->licence);
  for (uint32_t f = 0; f < set->file_count; f++) {
    struct live live = {set->files[f].name, isatty(STDERR_FILENO)};
    bool was_here = false;
    const tn_status status = tn_set_fetch(set, &set->files[f], folder, show, &live, &was_here, &error);
    if (live.terminal) fputs("\r\033[K", stderr);
    if (status < 0) return tn_command_error(&error, true);
    printf("%s/%s/%s %s\n", folder, set->folder, set->files[f].name, was_here ? "was here" : "fetched");
    fflush(stdout);
  }
  return TN_EXIT_OK;
}

/* Where fetched files go: TENON_DATA, else the person's own folder. */
static const char *target(const tn_places *places) {
  return places->data_given ? places->data : *places->data_own ? places->data_own : NULL;
}

int tn_command_data(int argc, char **argv) {
  bool check = false;
  const tn_option options[] = {{"--check", NULL, &check}};
  tn_arguments a = {.most_words = 2, .options = options, .option_count = 1};
  int code = tn_arguments_parse(argc, argv, help, &a);
  if (code >= 0) return code;
  const bool fetches = a.word_count == 2 && strcmp(a.words[0], "fetch") == 0;
  if (!fetches && (a.word_count == 0 || strcmp(a.words[0], "list") != 0)) {
    fputs("error: tenon data: expected `list`, `list NAME` or `fetch NAME`\n", stderr);
    return TN_EXIT_USAGE;
  }
  tn_error error = {0};
  tn_sets sets;
  tn_places places;
  tn_places_find(&places);
  const tn_set *set = NULL;
  if (tn_sets_open(&sets, &error) >= 0 && a.word_count == 2) set = tn_sets_find(&sets, a.words[1], &error);
  if (fetches && error.status == TN_OK && !target(&places))
    tn_error_set(&error, TN_ERROR_MISSING, NULL, 0, "no folder for data sets: set TENON_DATA, or HOME");
  if (error.status != TN_OK)
    code = tn_command_error(&error, false);
  else if (fetches)
    code = fetch(set, target(&places));
  else if (set)
    code = list_one(set, places.data, check);
  else
    code = check ? check_all(&sets, places.data) : list_all(&sets, places.data);
  tn_sets_free(&sets);
  return code;
}
