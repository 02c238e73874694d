// SPDX-License-Identifier: MIT
/* tenon compare DIR ...: the arms of a sweep, or several runs and sweeps, side by side: mean, spread, and the
 * differences from the first, paired by seed, with a bootstrap interval. */
#include "core/command/arguments.h"
#include "core/command/columns.h"
#include "core/config/memory.h"
#include "core/plugin/host.h"
#include "core/report/event_log.h"
#include "core/sweep/comparison.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: tenon compare DIR ... [options]\n\n"
    "Directories of runs or of sweeps. For every result: mean and standard deviation over the finished runs "
    "of\n"
    "each arm and setting, and the mean difference from the first, paired by seed, with a 95 % bootstrap\n"
    "interval.\n\n"
    "  --result NAME    only this result, as in test.accuracy\n"
    "  --csv            comma-separated values\n"
    "  --json           an array of objects\n";

typedef enum form { TABLE, CSV, JSON } form;

/* "" of NAN. */
static const char *number(char text[32], const char *sign, int digits, double value) {
  snprintf(text, 32, *sign ? "%+.*g" : "%.*g", digits, value);
  if (isnan(value)) *text = 0;
  return text;
}

static void add_to_table(tn_columns *table, const tn_comparison *r) {
  char mean[32], deviation[32], count[32], difference[32], low[32], high[32], interval[72] = "";
  snprintf(count, sizeof count, "%u", r->count);
  if (!isnan(r->low))
    snprintf(interval, sizeof interval, "%s to %s", number(low, "+", 4, r->low),
             number(high, "+", 4, r->high));
  tn_columns_add(table, (const char *[]){r->result, r->group, number(mean, "", 6, r->mean),
                                         number(deviation, "", 3, r->deviation), count,
                                         number(difference, "+", 4, r->difference), interval});
}

/* RFC 4180: what holds a comma or a quote is quoted, quotes are doubled. */
static void print_csv_text(const char *text) {
  const bool plain = !strpbrk(text, ",\"\n");
  if (!plain) putchar('"');
  for (; *text; text++) {
    if (*text == '"') putchar('"');
    putchar(*text);
  }
  if (!plain) putchar('"');
}

static void print_csv(const tn_comparison *r) {
  const double figures[] = {r->mean, r->deviation, r->count, r->difference, r->low, r->high};
  print_csv_text(r->result);
  putchar(',');
  print_csv_text(r->group);
  for (size_t i = 0; i < TN_ARRAY_LENGTH(figures); i++) {
    char text[32];
    printf(",%s", number(text, "", 10, figures[i]));
  }
  putchar('\n');
}

static void print_json(const tn_comparison *r, bool first) {
  const char *names[] = {"mean", "deviation", "n", "difference", "low", "high"};
  const double figures[] = {r->mean, r->deviation, r->count, r->difference, r->low, r->high};
  tn_text text = {0};
  tn_text_append(&text, first ? "\n {\"result\": " : ",\n {\"result\": ");
  tn_json_string(&text, r->result);
  tn_text_append(&text, ", \"arm\": ");
  tn_json_string(&text, r->group);
  for (size_t i = 0; i < TN_ARRAY_LENGTH(figures); i++) {
    tn_text_printf(&text, ", \"%s\": ", names[i]);
    tn_json_number(&text, figures[i], 10);
  }
  printf("%s}", text.data);
  tn_text_free(&text);
}

/* Every result of any run once, in the order in which they come. */
static const char **results_of(const tn_samples *s, const char *only, uint32_t *count) {
  const char **names = NULL;
  uint32_t room = 0;
  for (uint32_t i = 0; i < s->count; i++) {
    const tn_run_record *record = &s->items[i].outcome.record;
    for (uint32_t r = 0; r < record->result_count; r++) {
      const char *name = record->results[r].name;
      bool known = only && strcmp(only, name) != 0;
      for (uint32_t k = 0; k < *count && !known; k++) known = strcmp(names[k], name) == 0;
      if (known) continue;
      *(const char **)tn_grow(&names, *count, &room, sizeof *names) = name;
      ++*count;
    }
  }
  return names;
}

static tn_status print(const tn_samples *s, const char *only, form as, tn_error *error) {
  uint32_t count = 0;
  const char **results = results_of(s, only, &count);
  if (count == 0) return tn_error_set(error, TN_ERROR_MISSING, NULL, 0, "no run has the result '%s'", only);
  tn_columns table = {.columns = 7};
  tn_columns_add(&table, (const char *[]){"result", "arm", "mean", "deviation", "n", "difference", "95 %"});
  if (as == CSV) puts("result,arm,mean,deviation,n,difference,low,high");
  if (as == JSON) putchar('[');
  bool first = true;
  for (uint32_t k = 0; k < count; k++)
    for (uint32_t i = 0; i < s->count; i++) {
      if (!tn_samples_first_of_group(s, i)) continue;
      const tn_comparison r = tn_comparison_of(s, i, results[k]);
      if (as == TABLE) add_to_table(&table, &r);
      if (as == CSV) print_csv(&r);
      if (as == JSON) print_json(&r, first);
      first = false;
    }
  if (as == TABLE) tn_columns_print(stdout, &table, "", true);
  if (as == JSON) puts("\n]");
  tn_columns_free(&table);
  free(results);
  return TN_OK;
}

int tn_command_compare(int argc, char **argv) {
  const char *only = NULL;
  bool csv = false, json = false;
  const tn_option options[] = {{"--result", &only, NULL}, {"--csv", NULL, &csv}, {"--json", NULL, &json}};
  tn_arguments arguments = {
      .most_words = TN_MAX_WORDS, .options = options, .option_count = TN_ARRAY_LENGTH(options)};
  int code = tn_arguments_parse(argc, argv, help, &arguments);
  if (code >= 0) return code;
  if (arguments.word_count == 0) {
    fputs("error: tenon compare needs a directory; `tenon compare --help` says more\n", stderr);
    return TN_EXIT_USAGE;
  }
  tn_host_start(); /* for random numbers */
  tn_samples s = {0};
  tn_error error = {0};
  tn_status status = TN_OK;
  for (uint32_t i = 0; i < arguments.word_count && status >= 0; i++)
    status = tn_samples_gather(&s, arguments.words[i], arguments.word_count > 1, &error);
  if (status >= 0 && s.count == 0)
    status = tn_error_set(&error, TN_ERROR_MISSING, NULL, 0, "%s: no finished cell", arguments.words[0]);
  if (status >= 0) status = print(&s, only, csv ? CSV : json ? JSON : TABLE, &error);
  code = status < 0 ? tn_command_error(&error, false) : TN_EXIT_OK;
  tn_samples_free(&s);
  return code;
}
