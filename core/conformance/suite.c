// SPDX-License-Identifier: MIT
/* From a file or folder to classes, from classes to checks, each in a child of its own. */
#include "core/conformance/report.h"
#include "core/conformance/subject.h"
#include "core/config/memory.h"
#include "core/pipeline/pipeline.h"
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct suite {
  const tn_conformance_options *options;
  const char *folder; /* of sample files */
  tn_report report;
  tn_conformance_counts *counts;
  FILE *out;
} suite;

/* One check in its child. */
typedef struct job {
  tn_trial trial;
  const tn_check *check;
  const suite *s;
} job;

/* What --with says for a component: the file itself, or its own file in the folder, NULL if it has none. */
static const char *given_file(const char *with, const char *full) {
  static char path[4400];
  struct stat s;
  if (!with || stat(with, &s) != 0 || !S_ISDIR(s.st_mode)) return with;
  snprintf(path, sizeof path, "%s/%s.ini", with, full);
  return stat(path, &s) == 0 ? path : NULL;
}

static void run_job(void *context) {
  job *j = context;
  tn_trial *t = &j->trial;
  tn_error error = {0};
  static char directory[4200];
  snprintf(directory, sizeof directory, "%s/run", t->folder);
  t->run = directory;
  t->given = given_file(t->options->with, t->full);
  if (t->given) {
    t->with = tn_config_load(t->given, NULL, 0, NULL, 0, &error);
    if (!t->with) tn_trial_fail("%s", error.text);
  }
  if (*t->full) {
    t->cls = tn_registry_load(t->registry, t->full, NULL, 0, &error);
    if (!t->cls) tn_trial_fail("%s", error.text);
    t->driver = tn_driver_of(t->cls->kind);
  }
  j->check->run(t);
}

static void add(suite *s, const char *owner, const char *check, const tn_finding *outcome) {
  tn_report_add(&s->report, owner, check, outcome);
  switch (outcome->verdict) {
  case TN_PASSED: s->counts->passed++; break;
  case TN_FAILED: s->counts->failed++; break;
  case TN_SKIPPED: s->counts->skipped++; break;
  default: s->counts->absent++;
  }
}

static void run_check(suite *s, tn_registry *registry, const char *file, const char *full,
                      const tn_check *check) {
  if (s->options->check && strcmp(s->options->check, check->name) != 0) return;
  job j = {.check = check, .s = s};
  j.trial = (tn_trial){.options = s->options,
                       .registry = registry,
                       .file = file,
                       .full = full,
                       .folder = s->folder,
                       .seed = s->options->seed,
                       .world = -1};
  tn_finding outcome;
  const double limit = s->options->seconds > 0 ? s->options->seconds : 60;
  tn_isolate(run_job, &j, limit + s->options->fuzz, &outcome);
  add(s, *full ? full : file, check->name, &outcome);
}

static void test_class(suite *s, tn_registry *registry, const char *file, const tn_registry_item *item) {
  const uint32_t first = s->report.count;
  const tn_driver *driver = tn_driver_of(item->kind);
  if (s->options->fuzz > 0) {
    run_check(s, registry, file, item->full, &tn_fuzz_check);
  } else {
    for (uint32_t i = 0; i < tn_general_check_count; i++)
      run_check(s, registry, file, item->full, &tn_general_checks[i]);
    for (uint32_t i = 0; i < driver->check_count; i++)
      run_check(s, registry, file, item->full, &driver->checks[i]);
  }
  s->counts->classes++;
  tn_report_print(&s->report, first, s->options, file, s->out);
}

static void test_file(suite *s, const char *file) {
  const uint32_t first = s->report.count;
  tn_error error = {0};
  tn_registry *registry = tn_registry_open(&(tn_registry_options){.files = &file, .file_count = 1}, &error);
  if (!registry) {
    tn_finding outcome = {.verdict = TN_FAILED};
    const size_t length = strlen(file);
    const bool named = strncmp(error.text, file, length) == 0 && strncmp(error.text + length, ": ", 2) == 0;
    snprintf(outcome.text, sizeof outcome.text, "%.890s", error.text + (named ? length + 2 : 0));
    add(s, file, "load", &outcome);
    tn_report_print(&s->report, first, s->options, file, s->out);
    return;
  }
  for (uint32_t i = 0; i < tn_file_check_count && s->options->fuzz <= 0; i++)
    run_check(s, registry, file, "", &tn_file_checks[i]);
  tn_report_print(&s->report, first, s->options, file, s->out);
  for (uint32_t i = 0; i < tn_registry_count(registry); i++) {
    const tn_registry_item *item = tn_registry_item_at(registry, i);
    if (strcmp(item->file, file) != 0) continue;
    if (!s->options->full || strcmp(s->options->full, item->full) == 0) test_class(s, registry, file, item);
  }
  tn_registry_close(registry);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* The *.so of a folder and of the folders in it, in the order of their names. */
static void collect(const char *folder, char ***files, uint32_t *count, uint32_t *room, int depth) {
  DIR *d = opendir(folder);
  for (struct dirent *entry; d && (entry = readdir(d)) != NULL;) {
    const size_t length = strlen(entry->d_name);
    char path[4096];
    struct stat s;
    const int written = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    if (written < 0 || (size_t)written >= sizeof path) continue;
    if (entry->d_name[0] == '.' || stat(path, &s) != 0) continue;
    if (S_ISDIR(s.st_mode) && depth > 0) collect(path, files, count, room, depth - 1);
    if (!S_ISREG(s.st_mode) || length < 4 || strcmp(entry->d_name + length - 3, ".so") != 0) continue;
    char **place = tn_grow(files, *count, room, sizeof *place);
    *place = tn_copy_text(path);
    ++*count;
  }
  if (d) closedir(d);
}

static tn_status test_folder(suite *s, const char *folder, tn_error *error) {
  char **files = NULL;
  uint32_t count = 0, room = 0;
  collect(folder, &files, &count, &room, 1);
  if (count == 0) return tn_error_set(error, TN_ERROR_MISSING, folder, 0, "no plugins (*.so) in this folder");
  qsort(files, count, sizeof *files, by_name);
  for (uint32_t i = 0; i < count; i++) {
    test_file(s, files[i]);
    free(files[i]);
  }
  free(files);
  return TN_OK;
}

static int forget(const char *path, const struct stat *s, int type, struct FTW *at) {
  (void)s, (void)type, (void)at;
  return remove(path);
}

tn_status tn_conformance_run(const tn_conformance_options *options, FILE *out, tn_conformance_counts *counts,
                             tn_error *error) {
  char folder[4096];
  struct stat s;
  *counts = (tn_conformance_counts){0};
  if (stat(options->file, &s) != 0)
    return tn_error_set(error, TN_ERROR_IO, options->file, 0, "%s", strerror(errno));
  const char *base = getenv("TMPDIR");
  snprintf(folder, sizeof folder, "%s/tenon-test-XXXXXX", base && *base ? base : "/tmp");
  if (!mkdtemp(folder)) return tn_error_set(error, TN_ERROR_IO, folder, 0, "%s", strerror(errno));
  tn_pipeline_start();
  tn_samples_write(folder);
  suite all = {.options = options, .folder = folder, .counts = counts, .out = out};
  tn_status status = TN_OK;
  if (S_ISDIR(s.st_mode))
    status = test_folder(&all, options->file, error);
  else
    test_file(&all, options->file);
  if (status == TN_OK && options->junit) status = tn_report_junit(&all.report, options->junit, error);
  tn_report_free(&all.report);
  nftw(folder, forget, 16, FTW_DEPTH | FTW_PHYS);
  if (status == TN_OK && counts->passed + counts->failed + counts->skipped + counts->absent == 0)
    status = tn_error_set(error, TN_ERROR_MISSING, NULL, 0, "%s: there is no %s%s%s here", options->file,
                          options->full ? options->full : "component", options->check ? " with a check " : "",
                          options->check ? options->check : "");
  return status;
}

void tn_conformance_list(FILE *out) {
  uint32_t count;
  const tn_driver *const *drivers = tn_drivers(&count);
  fputs("every component:\n", out);
  for (uint32_t i = 0; i < tn_general_check_count; i++)
    fprintf(out, "  %-13s %s\n", tn_general_checks[i].name, tn_general_checks[i].property);
  for (uint32_t d = 0; d < count; d++) {
    fprintf(out, "%s:\n", drivers[d]->kind);
    for (uint32_t i = 0; i < drivers[d]->check_count; i++)
      fprintf(out, "  %-13s %s\n", drivers[d]->checks[i].name, drivers[d]->checks[i].property);
  }
}
