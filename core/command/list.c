// SPDX-License-Identifier: MIT
/* tenon list [KIND]: what is installed. */
#include "core/command/arguments.h"
#include "core/command/columns.h"
#include "core/plugin/kinds.h"
#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: tenon list [KIND] [options]\n\n"
    "Lists the installed components, or those of one kind (`tenon list optimizer`).\n\n"
    "  --files        also show the plugin, its version and its file\n"
    "  --plugin FILE  also load this plugin (may be repeated)\n";

static int no_such_kind(const tn_registry *registry, const char *kind) {
  const char *names[256];
  char third[64][72], hint[TN_SUGGESTION];
  uint32_t count = 0, own = 0;
  for (uint32_t i = 0; i < tn_kind_count(); i++) names[count++] = tn_kind_at(i)->name;
  for (uint32_t i = 0; i < tn_registry_count(registry) && own < 64; i++) {
    tn_kind_short_name(tn_registry_item_at(registry, i)->kind, third[own], sizeof third[own]);
    if (own == 0 || strcmp(third[own], third[own - 1]) != 0) names[count++] = third[own++];
  }
  fprintf(stderr, "error: no kind '%s'%s\n", kind, tn_suggest(hint, kind, names, count));
  return TN_EXIT_USAGE;
}

static void add_row(tn_columns *table, const tn_registry_item *item, bool files) {
  char version[160];
  snprintf(version, sizeof version, "%s %s", item->plugin, item->version);
  tn_columns_add(
      table, (const char *const[]){item->full, item->summary, files ? version : "", files ? item->file : ""});
}

/* Items are sorted by full name, so kinds come one after the other. One table, so that summaries line up. */
static uint32_t print(const tn_registry *registry, const char *wanted, bool files) {
  tn_columns table = {.columns = 4};
  uint32_t shown = 0;
  for (uint32_t i = 0; i < tn_registry_count(registry); i++) {
    const tn_registry_item *item = tn_registry_item_at(registry, i);
    char kind[72];
    tn_kind_short_name(item->kind, kind, sizeof kind);
    if (wanted && strcmp(kind, wanted) != 0 && strcmp(item->kind, wanted) != 0) continue;
    add_row(&table, item, files);
    shown++;
  }
  tn_columns_print(stdout, &table, "", false);
  tn_columns_free(&table);
  return shown;
}

int tn_command_list(int argc, char **argv) {
  bool files = false;
  const tn_option options[] = {{"--files", NULL, &files}};
  tn_arguments a = {.most_words = 1, .options = options, .option_count = 1};
  int code = tn_arguments_parse(argc, argv, help, &a);
  if (code >= 0) return code;
  tn_registry *registry = tn_command_registry(&a.shared);
  if (!registry) return TN_EXIT_PLUGIN;
  const char *kind = a.words[0];
  uint32_t shown = print(registry, kind, files);
  code = TN_EXIT_OK;
  if (shown == 0 && kind && !tn_kind_find(kind))
    code = no_such_kind(registry, kind);
  else if (shown == 0)
    fprintf(stderr, "no components%s%s are installed\n", kind ? " of kind " : "", kind ? kind : "");
  const char *const *lines;
  uint32_t refused = tn_registry_refused(registry, &lines);
  fflush(stdout);
  for (uint32_t i = 0; i < refused; i++) fprintf(stderr, "refused: %s\n", lines[i]);
  tn_registry_close(registry);
  return code;
}
