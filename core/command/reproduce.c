// SPDX-License-Identifier: MIT
/* tenon reproduce FILE.ini ...: runs files that make claims, and writes one table of what was claimed, what
 * was measured, and whether it holds.
 *
 * A file may say in [paper] what it reproduces: `title`, and under the name of a claim what the paper
 * reports. */
#include "core/command/columns.h"
#include "core/command/experiment.h"
#include "core/config/memory.h"
#include "core/format/file.h"
#include "core/report/text.h"
#include "core/sweep/launch.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: tenon reproduce FILE.ini ... [options]\n\n"
    "Runs each file below runs/reproduce, where finished cells are kept, judges its claims ([expect]) and "
    "prints\n"
    "one table of what the paper reports ([paper], under the name of the claim), what was measured and "
    "whether "
    "the\n"
    "claim holds. Exit code 4: one does not.\n\n"
    "  -j N             N cells at a time\n"
    "  --output FILE    also write the table as Markdown; rows of other files are kept\n"
    "  --smoke          run a shortened form of every arm below runs/smoke; no claim is judged\n"
    "  --quiet          only the table\n"
    "  --plugin FILE    also load this plugin (may be repeated)\n";

static void on_signal(int number) {
  (void)number;
  tn_launch_interrupt();
}

/* ---- the Markdown table ---- */

typedef struct rows {
  char **lines; /* of the file, those of earlier calls too */
  uint32_t count, room;
  tn_columns table; /* of this call */
} rows;

static void add_line(rows *r, const char *line) {
  *(char **)tn_grow(&r->lines, r->count, &r->room, sizeof *r->lines) = tn_copy_text(line);
  r->count++;
}

/* Text in a cell: no bar may end it. */
static void append_escaped(tn_text *text, const char *cell) {
  for (; *cell; cell++) {
    if (*cell == '|') tn_text_append(text, "\\");
    if (*cell != '\n') tn_text_append_bytes(text, cell, 1);
  }
}
static void append_cell(tn_text *text, const char *cell) {
  append_escaped(text, cell);
  tn_text_append(text, " | ");
}

static const char *stem_of(const char *file) {
  const char *slash = strrchr(file, '/');
  return slash ? slash + 1 : file;
}

static const char *said_in_paper(const tn_experiment *e, const char *key) {
  const tn_section *paper = tn_config_find(e->plan->config, "paper");
  const tn_key *found = paper ? tn_section_find(paper, key) : NULL;
  return found ? found->value : "";
}

/* One line for Markdown, one for the terminal. */
static void add_row(rows *r, const tn_experiment *e, const char *file, const tn_verdict *v) {
  char said[768], runs[16], seconds[32];
  tn_verdict_print(v, said, sizeof said);
  snprintf(runs, sizeof runs, "%u", v->runs);
  snprintf(seconds, sizeof seconds, "%.*f", e->seconds < 10 ? 1 : 0, e->seconds);
  const char *paper = said_in_paper(e, v->name), *stem = stem_of(file);
  const char *verdict = v->holds ? "holds" : v->judged ? "not supported" : "not measured";
  tn_text text = {0};
  tn_text_printf(&text, "| `%s` | ", stem);
  append_cell(&text, v->name);
  tn_text_append(&text, "`");
  append_escaped(&text, v->text);
  tn_text_append(&text, "` | ");
  append_cell(&text, paper);
  append_cell(&text, said);
  append_cell(&text, runs);
  append_cell(&text, seconds);
  tn_text_printf(&text, v->holds ? "%s |" : "**%s** |", verdict);
  char *line = tn_text_take(&text);
  if (line) add_line(r, line);
  free(line);
  tn_columns_add(&r->table, (const char *[]){stem, v->name, paper, said, runs, seconds, verdict});
}

static bool is_of(const char *line, const char *file) {
  const size_t length = strlen(stem_of(file));
  return strncmp(line + 3, stem_of(file), length) == 0 && line[3 + length] == '`';
}

/* The rows of a file that has been judged take the place of those that it had. */
static void replace_rows(rows *r, const tn_experiment *e, const char *file) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < r->count; i++) {
    if (is_of(r->lines[i], file))
      free(r->lines[i]);
    else
      r->lines[kept++] = r->lines[i];
  }
  r->count = kept;
  for (uint32_t i = 0; i < e->verdict_count; i++) add_row(r, e, file, &e->verdicts[i]);
}

/* The rows that an earlier call has left in `path`. */
static void read_rows(rows *r, const char *path) {
  FILE *old = fopen(path, "r");
  char *line = NULL;
  size_t room = 0;
  while (old && getline(&line, &room, old) > 0) {
    line[strcspn(line, "\n")] = 0;
    if (strncmp(line, "| `", 3) == 0) add_line(r, line);
  }
  free(line);
  if (old) fclose(old);
}

static int by_file(const void *a, const void *b) {
  const char *x = *(char *const *)a, *y = *(char *const *)b;
  const size_t n = strcspn(x + 3, "`"), m = strcspn(y + 3, "`");
  const int order = strncmp(x + 3, y + 3, n < m ? n : m);
  return order ? order : (n > m) - (n < m);
}

/* A stable sort by file: claims stay in the order of their file. */
static void sort_rows(rows *r) {
  for (uint32_t i = 1; i < r->count; i++)
    for (uint32_t k = i; k > 0 && by_file(&r->lines[k - 1], &r->lines[k]) > 0; k--) {
      char *swap = r->lines[k];
      r->lines[k] = r->lines[k - 1];
      r->lines[k - 1] = swap;
    }
}

static tn_status write_table(rows *r, const char *path, tn_error *error) {
  static const char head[] = "# Reproductions\n\n"
                             "Written by `./dev reproduce`. Each line is one claim of a file in "
                             "[examples/papers](../examples/papers), "
                             "as its\n`[expect]` section states it; the file says how it is measured, its "
                             "page in [methods](methods) "
                             "what it means. Settings\nwere chosen on seeds 100 and above, claims are judged "
                             "on the seeds of the file. "
                             "\"Not supported\" is a result like any\nother: the figures are what came out. "
                             "Seconds are those of all "
                             "runs of the file on one machine with two cores.\n\n"
                             "| file | claim | relation | paper | measured | runs | seconds | verdict |\n"
                             "|---|---|---|---|---|--:|--:|---|\n";
  sort_rows(r);
  tn_text text = {0};
  tn_text_append(&text, head);
  for (uint32_t i = 0; i < r->count; i++) tn_text_printf(&text, "%s\n", r->lines[i]);
  const size_t size = text.size;
  char *all = tn_text_take(&text);
  tn_format_error why;
  const bool written = all && tn_file_write(path, all, size, &why);
  free(all);
  return written ? TN_OK : tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s", all ? why.text : "out of memory");
}

/* ---- running ---- */

typedef struct request {
  const char **files, *output;
  uint32_t count;
  tn_command_options options; /* but the file */
} request;

static bool takes_value(const char *option) {
  return !strcmp(option, "-j") || !strcmp(option, "--plugin") || !strcmp(option, "--output");
}

/* The arguments of one file, read as `tenon run` reads them. */
static int parse(int argc, char **argv, request *q) {
  const char **rest = tn_take(((size_t)argc + 2) * sizeof *rest);
  int kept = 1;
  for (int i = 1; i < argc && kept == 1; i++) /* the file comes before overrides */
    if (argv[i][0] != '-' && !strchr(argv[i], '=') && !takes_value(argv[i - 1])) rest[kept++] = argv[i];
  q->files = tn_take((size_t)argc * sizeof *q->files);
  for (int i = 1; i < argc; i++) {
    const bool option = argv[i][0] == '-';
    if (strcmp(argv[i], "--output") == 0 && i + 1 < argc) {
      q->output = argv[++i];
    } else if (!option && !strchr(argv[i], '=')) {
      q->files[q->count++] = argv[i];
    } else {
      rest[kept++] = argv[i];
      if (takes_value(argv[i]) && i + 1 < argc) rest[kept++] = argv[++i];
    }
  }
  const int code = tn_command_parse(kept, (char **)(uintptr_t)rest, "reproduce", help, &q->options);
  free(rest);
  return code;
}

static int reproduce(request *q, tn_registry *registry, const char *file, rows *r, tn_error *error) {
  char directory[4096];
  const char *stem = stem_of(file);
  q->options.pipeline.file = file;
  const char *dot = strrchr(stem, '.');
  snprintf(directory, sizeof directory, "runs/%s/%.*s", q->options.pipeline.smoke ? "smoke" : "reproduce",
           dot ? (int)(dot - stem) : (int)strlen(stem), stem);
  if (!q->options.pipeline.quiet) printf("%s\n", file), fflush(stdout);
  tn_experiment e = {0};
  tn_status status = tn_experiment_check(registry, &q->options, true, error);
  if (status >= 0) status = tn_experiment_run(&q->options, directory, &e, error);
  int code = TN_EXIT_OK;
  if (status < 0) {
    code = tn_command_error(error, e.plan != NULL);
  } else {
    for (uint32_t i = 0; i < e.verdict_count; i++)
      if (!e.verdicts[i].holds) code = TN_EXIT_EXPECTATION;
    if (!q->options.pipeline.quiet) tn_experiment_print_claims(&e);
    if (!q->options.pipeline.smoke) replace_rows(r, &e, file);
    if (e.failed_cells && code == TN_EXIT_OK) code = TN_EXIT_FAILED;
  }
  tn_experiment_free(&e);
  return code;
}

int tn_command_reproduce(int argc, char **argv) {
  request q = {0};
  int code = parse(argc, argv, &q);
  if (code >= 0) {
    free(q.files);
    return code;
  }
  tn_registry *registry = tn_command_registry(&q.options.shared);
  if (!registry) return TN_EXIT_PLUGIN;
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  rows r = {.table = {.columns = 7}};
  tn_columns_add(&r.table,
                 (const char *[]){"file", "claim", "paper", "measured", "runs", "seconds", "verdict"});
  if (q.output) read_rows(&r, q.output);
  code = TN_EXIT_OK;
  for (uint32_t i = 0; i < q.count && code != TN_EXIT_INTERRUPTED; i++) {
    tn_error error = {0};
    const int one = reproduce(&q, registry, q.files[i], &r, &error);
    if (one != TN_EXIT_OK) code = one;
  }
  if (!q.options.pipeline.quiet) putchar('\n');
  if (r.table.rows > 1) tn_columns_print(stdout, &r.table, "", true);
  tn_columns_free(&r.table);
  tn_registry_close(registry);
  tn_error error = {0};
  if (q.output && !q.options.pipeline.smoke && code != TN_EXIT_INTERRUPTED &&
      write_table(&r, q.output, &error) < 0)
    code = tn_command_error(&error, true);
  for (uint32_t i = 0; i < r.count; i++) free(r.lines[i]);
  free(r.lines);
  free(q.files);
  return code;
}
