// SPDX-License-Identifier: MIT
#include "core/command/experiment.h"
#include "core/command/columns.h"
#include "core/config/memory.h"
#include "core/format/file.h"
#include "core/pipeline/directory.h"
#include "core/pipeline/places.h"
#include "core/plugin/host.h"
#include "core/report/event_log.h"
#include "core/sweep/launch.h"
#include "core/sweep/statistics.h"
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* ---- the plan ---- */

static tn_config *load(const tn_command_options *o, tn_error *error) {
  tn_places places;
  tn_places_find(&places);
  tn_config_variable variables[3];
  tn_places_variables(&places, "", variables);
  return tn_config_load(o->pipeline.file, o->pipeline.overrides, o->pipeline.override_count, variables, 3,
                        error);
}

bool tn_experiment_wanted(const tn_command_options *o) {
  tn_error error = {0};
  tn_config *config = load(o, &error);
  const bool wanted = config && tn_plan_wanted(config);
  tn_config_free(config);
  return wanted;
}

tn_plan *tn_experiment_plan(const tn_command_options *o, tn_error *error) {
  tn_host_start();
  tn_config *config = load(o, error);
  if (!config) return NULL;
  tn_plan *plan =
      tn_plan_make(config, o->pipeline.overrides, o->pipeline.override_count, o->pipeline.smoke, error);
  if (plan && tn_claims_check(plan, error) == TN_OK) return plan;
  tn_plan_free(plan);
  return NULL;
}

tn_status tn_experiment_check_claims(const tn_command_options *o, tn_error *error) {
  tn_plan *plan = tn_experiment_plan(o, error);
  const tn_status status = plan ? TN_OK : error->status;
  tn_plan_free(plan);
  return status;
}

/* ---- expect.json ---- */

static tn_status write_verdicts(const tn_experiment *e, const char *directory, tn_error *error) {
  tn_text text = {0};
  tn_text_append(&text, "[");
  for (uint32_t i = 0; i < e->verdict_count; i++) {
    const tn_verdict *v = &e->verdicts[i];
    char said[768];
    tn_verdict_print(v, said, sizeof said);
    tn_text_append(&text, i ? ",\n {\"name\": " : "\n {\"name\": ");
    tn_json_string(&text, v->name);
    tn_text_append(&text, ", \"text\": ");
    tn_json_string(&text, v->text);
    tn_text_printf(&text, ", \"holds\": %s, \"left\": ", v->holds ? "true" : "false");
    tn_json_number(&text, v->left, 10);
    tn_text_append(&text, ", \"right\": ");
    tn_json_number(&text, v->right, 10);
    tn_text_append(&text, ", \"measured\": ");
    tn_json_string(&text, said);
    tn_text_append(&text, "}");
  }
  tn_text_append(&text, "\n]\n");
  char path[4120];
  snprintf(path, sizeof path, "%s/expect.json", directory);
  const size_t size = text.size;
  char *json = tn_text_take(&text);
  tn_format_error why;
  const bool written = json && tn_file_write(path, json, size, &why);
  free(json);
  return written ? TN_OK : tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s", json ? why.text : "out of memory");
}

/* ---- running ---- */

static void count(tn_experiment *e) {
  for (uint32_t i = 0; i < e->plan->cell_count; i++) {
    const double seconds = tn_outcome_value(&e->outcomes[i], "seconds");
    if (isfinite(seconds)) e->seconds += seconds;
    e->failed_cells += !tn_outcome_finished(&e->outcomes[i]);
  }
}

static tn_status judge(tn_experiment *e, const char *directory, tn_error *error) {
  e->verdict_count = tn_claims_judge(e->plan, e->outcomes, &e->verdicts);
  return e->verdict_count ? write_verdicts(e, directory, error) : TN_OK;
}

tn_status tn_experiment_run(const tn_command_options *o, const char *directory, tn_experiment *e,
                            tn_error *error) {
  *e = (tn_experiment){.plan = tn_experiment_plan(o, error)};
  if (!e->plan) return error->status;
  e->outcomes = tn_take((e->plan->cell_count + 1) * sizeof *e->outcomes);
  const tn_launch_options launch = {.file = o->pipeline.file,
                                    .directory = directory,
                                    .overrides = o->pipeline.overrides,
                                    .override_count = o->pipeline.override_count,
                                    .plugins = o->shared.files,
                                    .plugin_count = o->shared.file_count,
                                    .jobs = o->jobs,
                                    .launcher = o->launcher,
                                    .smoke = o->pipeline.smoke,
                                    .quiet = o->pipeline.quiet};
  tn_status status = tn_launch(e->plan, &launch, e->outcomes, error);
  count(e);
  return status < 0 || o->pipeline.smoke ? status : judge(e, directory, error);
}

/* The claims of one run that has left its results in `directory`. */
static tn_status judge_run(const tn_command_options *o, const char *directory, tn_experiment *e,
                           tn_error *error) {
  *e = (tn_experiment){.plan = tn_experiment_plan(o, error)};
  if (!e->plan) return error->status;
  e->outcomes = tn_take(sizeof *e->outcomes);
  if (!tn_outcome_read(directory, e->outcomes, error)) return error->status;
  count(e);
  return judge(e, directory, error);
}

int tn_experiment_end(const tn_command_options *o, const char *directory) {
  int code = TN_EXIT_OK;
  if (!o->pipeline.smoke) {
    tn_error error = {0};
    tn_experiment e;
    const tn_status status = judge_run(o, directory, &e, &error);
    code = status < 0 ? tn_command_error(&error, true) : tn_experiment_print_claims(&e);
    tn_experiment_free(&e);
  }
  const int reported = o->pipeline.quiet ? TN_EXIT_OK : tn_command_report_line(directory);
  return code != TN_EXIT_OK ? code : reported;
}

void tn_experiment_free(tn_experiment *e) {
  for (uint32_t i = 0; e->outcomes && i < e->plan->cell_count; i++) tn_outcome_free(&e->outcomes[i]);
  free(e->outcomes);
  free(e->verdicts);
  tn_plan_free(e->plan);
  *e = (tn_experiment){0};
}

/* ---- tables ---- */

/* The values of `result` over the cells of one arm and setting. */
static uint32_t gather(const tn_experiment *e, uint32_t arm, uint32_t setting, const char *result,
                       double *values) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < e->plan->cell_count; i++) {
    const tn_cell *cell = &e->plan->cells[i];
    if (cell->arm != arm || cell->setting != setting || !e->outcomes[i].outcome) continue;
    const double value = tn_outcome_value(&e->outcomes[i], result);
    if (!isnan(value)) values[count++] = value;
  }
  return count;
}

static void add_row(tn_columns *table, const tn_experiment *e, const tn_cell *cell,
                    const char *const *results, uint32_t count) {
  const char *cells[TN_MAX_COLUMNS] = {0};
  char texts[TN_MAX_COLUMNS][48];
  double *values = tn_take((e->plan->cell_count + 1) * sizeof *values);
  char name[256];
  snprintf(name, sizeof name, "%s%s%s", e->plan->arms[cell->arm].name, *cell->variant ? " " : "",
           cell->variant);
  cells[0] = name;
  for (uint32_t r = 0; r < count; r++) {
    const uint32_t n = gather(e, cell->arm, cell->setting, results[r], values);
    if (n > 1)
      snprintf(texts[r], sizeof texts[r], "%.4g ± %.2g", tn_mean_of(values, n), tn_deviation_of(values, n));
    else
      snprintf(texts[r], sizeof texts[r], n ? "%.4g" : "-", n ? values[0] : 0);
    cells[r + 1] = texts[r];
  }
  tn_columns_add(table, cells);
  free(values);
}

/* Results that a table shows: those of stages other than training losses come first by their order. */
static uint32_t choose(const tn_experiment *e, const char **results) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < e->plan->cell_count; i++) {
    const tn_run_record *record = &e->outcomes[i].record;
    for (uint32_t r = 0; r < record->result_count && count < TN_MAX_COLUMNS - 1; r++) {
      bool known = !strchr(record->results[r].name, '.'); /* seconds and the like */
      for (uint32_t k = 0; k < count; k++) known |= strcmp(results[k], record->results[r].name) == 0;
      if (!known) results[count++] = record->results[r].name;
    }
  }
  if (count < TN_MAX_COLUMNS - 1) results[count++] = "seconds";
  return count;
}

static void print_failures(const tn_experiment *e) {
  bool first = true;
  for (uint32_t i = 0; i < e->plan->cell_count; i++) {
    const char *outcome = e->outcomes[i].outcome;
    if (tn_outcome_finished(&e->outcomes[i])) continue;
    printf("%sfailed  %s: %s\n", first ? "\n" : "", e->plan->cells[i].directory + strlen(TN_CELLS_FOLDER),
           outcome ? outcome : "it did not run");
    first = false;
  }
}

void tn_experiment_print_results(const tn_experiment *e) {
  const char *results[TN_MAX_COLUMNS], *head[TN_MAX_COLUMNS] = {""};
  const uint32_t count = choose(e, results);
  tn_columns table = {.columns = count + 1};
  for (uint32_t r = 0; r < count; r++) head[r + 1] = results[r];
  tn_columns_add(&table, head);
  for (uint32_t i = 0; i < e->plan->cell_count; i++) {
    const tn_cell *cell = &e->plan->cells[i];
    bool shown = false;
    for (uint32_t k = 0; k < i; k++)
      shown |= e->plan->cells[k].arm == cell->arm && e->plan->cells[k].setting == cell->setting;
    if (!shown) add_row(&table, e, cell, results, count);
  }
  putchar('\n');
  tn_columns_print(stdout, &table, "", true);
  tn_columns_free(&table);
  print_failures(e);
}

int tn_experiment_print_claims(const tn_experiment *e) {
  bool holds = true;
  if (e->verdict_count) putchar('\n');
  tn_columns table = {.columns = 4};
  for (uint32_t i = 0; i < e->verdict_count; i++) {
    const tn_verdict *v = &e->verdicts[i];
    char said[768];
    tn_verdict_print(v, said, sizeof said);
    const char *cells[] = {v->holds ? "holds" : v->judged ? "FAILS" : "ERROR", v->name, said, v->text};
    tn_columns_add(&table, cells);
    holds &= v->holds;
  }
  tn_columns_print(stdout, &table, "", false);
  tn_columns_free(&table);
  return holds ? TN_EXIT_OK : TN_EXIT_EXPECTATION;
}

/* ---- the command ---- */

static void on_signal(int number) {
  (void)number;
  tn_launch_interrupt();
}

int tn_experiment_command(const tn_command_options *o) {
  char directory[4096];
  tn_error error = {0};
  if (o->pipeline.directory) snprintf(directory, sizeof directory, "%s", o->pipeline.directory);
  tn_registry *registry = tn_command_registry(&o->shared);
  if (!registry) return TN_EXIT_PLUGIN;
  const tn_status good = tn_experiment_check(registry, o, true, &error);
  tn_registry_close(registry);
  if (good < 0) return tn_command_error(&error, false);
  if (!o->pipeline.directory) {
    if (tn_directory_free(o->pipeline.file, directory, sizeof directory, &error) < 0)
      return tn_command_error(&error, false);
  }
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  tn_experiment e;
  tn_status status = tn_experiment_run(o, directory, &e, &error);
  int code = status < 0 ? tn_command_error(&error, e.plan != NULL) : TN_EXIT_OK;
  if (code == TN_EXIT_OK) {
    if (!o->pipeline.quiet) tn_experiment_print_results(&e);
    code = tn_experiment_print_claims(&e);
    if (e.failed_cells) code = TN_EXIT_FAILED;
    if (!o->pipeline.quiet) {
      putchar('\n');
      const int reported = tn_command_report_line(directory);
      if (code == TN_EXIT_OK) code = reported;
    }
  }
  tn_experiment_free(&e);
  return code;
}
