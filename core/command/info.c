// SPDX-License-Identifier: MIT
/* tenon info KIND.NAME, tenon info KIND. */
#include "core/command/arguments.h"
#include "core/command/columns.h"
#include "core/config/bind.h"
#include "core/plugin/kinds.h"
#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: tenon info KIND.NAME | KIND [options]\n\n"
    "Describes a component (`tenon info optimizer.lion`): what it is, where it comes from, and its keys;\n"
    "or a kind of component (`tenon info optimizer`): what it is and what it has to offer.\n\n"
    "  --plugin FILE  also load this plugin (may be repeated)\n";

static const char *type_name(const tn_param *param, char text[96]) {
  static const char *const names[] = {
      [TN_PARAM_BOOL] = "yes/no",        [TN_PARAM_INTEGER] = "integer", [TN_PARAM_REAL] = "number",
      [TN_PARAM_STRING] = "text",        [TN_PARAM_CHOICE] = "choice",   [TN_PARAM_PATH] = "path",
      [TN_PARAM_INTEGERS] = "integers",  [TN_PARAM_REALS] = "numbers",   [TN_PARAM_STRINGS] = "texts",
      [TN_PARAM_EXPRESSION] = "formula", [TN_PARAM_COUNT] = "count"};
  char kind[72] = "component";
  if (param->kind) tn_kind_short_name(param->kind, kind, sizeof kind);
  if (param->type == TN_PARAM_REFERENCE)
    snprintf(text, 96, "%s", kind);
  else if (param->type == TN_PARAM_REFERENCES)
    snprintf(text, 96, "%s, ...", kind);
  else if (param->type == TN_PARAM_TERMS)
    snprintf(text, 96, "weight * %s, ...", kind);
  else
    snprintf(text, 96, "%s", names[param->type]);
  return text;
}

/* What may be written: the range, the choices, or the variables of a formula. */
static void range_of(const tn_param *param, char *text, size_t bytes) {
  bool words = param->type == TN_PARAM_CHOICE || param->type == TN_PARAM_EXPRESSION;
  size_t used = 0;
  tn_param_range(param, text, bytes);
  for (const char *c = words && param->choices ? param->choices : ""; *c && used + 4 < bytes; c++) {
    if (*c == '|')
      used += (size_t)snprintf(text + used, bytes - used, ", ");
    else
      text[used++] = *c, text[used] = '\0';
  }
}

enum { WIDEST_RANGE = 36 };

static void add_params(tn_columns *table, const tn_class *cls, bool advanced) {
  for (uint32_t i = 0; i < cls->param_count; i++) {
    tn_param param = tn_class_param(cls, i);
    if (((param.flags & TN_PARAM_ADVANCED) != 0) != advanced) continue;
    char type[96], range[512], doc[1200];
    const char *fallback = param.flags & TN_PARAM_REQUIRED ? "(required)" : param.fallback;
    range_of(&param, range, sizeof range);
    bool wide = strlen(range) > WIDEST_RANGE; /* long lists of choices stand at the end of the line */
    snprintf(doc, sizeof doc, "%s%s%s%s", param.doc, wide ? ": " : "", wide ? range : "",
             advanced ? " (advanced)" : "");
    if (wide) range[0] = '\0';
    tn_columns_add(
        table, (const char *const[]){param.key, type_name(&param, type), fallback, range, param.unit, doc});
  }
}

static void print_params(const tn_class *cls) {
  tn_columns table = {.columns = 6};
  if (cls->param_count == 0) {
    puts("\nno keys");
    return;
  }
  tn_columns_add(&table, (const char *const[]){"key", "type", "default", "range", "unit", "description"});
  add_params(&table, cls, false);
  add_params(&table, cls, true);
  putchar('\n');
  tn_columns_print(stdout, &table, "", true);
  tn_columns_free(&table);
}

/* "tenon.optimizer/1; begin, step, learning_rate (3 of 4 functions, 40 bytes)" */
static void describe_kind(const tn_class *cls, char *text, size_t bytes) {
  const tn_kind_info *kind = tn_kind_find(cls->kind);
  uint32_t size, offered = 0;
  memcpy(&size, cls->vtable, sizeof size);
  if (!kind) {
    snprintf(text, bytes, "%s (a table of %u bytes, at most %zu functions)", cls->kind, size,
             (size - sizeof(void *)) / sizeof(void (*)(void)));
    return;
  }
  size_t used = (size_t)snprintf(text, bytes, "%s: ", cls->kind);
  for (uint32_t i = 0; i < kind->function_count; i++) {
    if (!tn_kind_offers(cls, &kind->functions[i]) || used >= bytes) continue;
    used +=
        (size_t)snprintf(text + used, bytes - used, "%s%s", offered++ ? ", " : "", kind->functions[i].name);
  }
  if (used < bytes)
    snprintf(text + used, bytes - used, " (%u of %u functions, %u bytes)", offered, kind->function_count,
             size);
}

static void print_component(const tn_registry_item *item, const tn_class *cls) {
  tn_columns table = {.columns = 2};
  char plugin[256], kind[512];
  describe_kind(cls, kind, sizeof kind);
  snprintf(plugin, sizeof plugin, "%s %s, licence %s", item->plugin, item->version, item->licence);
  tn_print_bold(stdout, item->full);
  printf("  %s\n\n", cls->summary);
  if (cls->reference && cls->reference[0])
    tn_columns_add(&table, (const char *const[]){"reference", cls->reference});
  tn_columns_add(&table, (const char *const[]){"kind", kind});
  tn_columns_add(&table, (const char *const[]){"plugin", plugin});
  tn_columns_add(&table, (const char *const[]){"file", item->file});
  tn_columns_print(stdout, &table, "", false);
  tn_columns_free(&table);
  print_params(cls);
}

static uint32_t add_components(tn_columns *table, const tn_registry *registry, const char *wanted,
                               const char **id) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < tn_registry_count(registry); i++) {
    const tn_registry_item *item = tn_registry_item_at(registry, i);
    char kind[72];
    tn_kind_short_name(item->kind, kind, sizeof kind);
    if (strcmp(kind, wanted) != 0 && strcmp(item->kind, wanted) != 0) continue;
    tn_columns_add(table, (const char *const[]){item->full, item->summary});
    *id = item->kind;
    count++;
  }
  return count;
}

static void print_functions(const tn_kind_info *kind) {
  static const char *const needed[] = {"optional", "required", "one of these is required"};
  tn_columns table = {.columns = 2};
  for (uint32_t i = 0; i < kind->function_count; i++)
    tn_columns_add(&table, (const char *const[]){kind->functions[i].name, needed[kind->functions[i].needed]});
  printf("\nfunctions, in %s:\n", kind->header);
  tn_columns_print(stdout, &table, "  ", false);
  tn_columns_free(&table);
}

static bool print_kind(const tn_registry *registry, const char *wanted) {
  const tn_kind_info *kind = tn_kind_find(wanted);
  const char *id = kind ? kind->id : NULL;
  tn_columns table = {.columns = 2};
  uint32_t count = add_components(&table, registry, wanted, &id);
  if (id) {
    tn_print_bold(stdout, id);
    printf("  %s\n", kind ? kind->essence : "a kind that a plugin defines");
    if (kind) print_functions(kind);
    printf("\n%u component%s%s\n", count, count == 1 ? "" : "s", count ? ":" : "");
    tn_columns_print(stdout, &table, "  ", false);
  }
  tn_columns_free(&table);
  return id != NULL;
}

/* Neither a component nor a kind: the message of the registry, or the nearest kind. */
static int unknown(tn_registry *registry, const char *name) {
  const char *names[64];
  char hint[TN_SUGGESTION];
  uint32_t count = 0;
  tn_error error = {0};
  for (; count < tn_kind_count(); count++) names[count] = tn_kind_at(count)->name;
  tn_suggest(hint, name, names, count);
  if (!strchr(name, '.') && hint[0])
    tn_error_set(&error, TN_ERROR_MISSING, NULL, 0, "no kind '%s'%s", name, hint);
  else
    tn_registry_load(registry, name, NULL, 0, &error);
  return tn_command_error(&error, false);
}

int tn_command_info(int argc, char **argv) {
  tn_arguments a = {.most_words = 1};
  int code = tn_arguments_parse(argc, argv, help, &a);
  if (code >= 0) return code;
  if (a.word_count == 0) {
    fputs("error: tenon info: expected KIND.NAME or KIND\n", stderr);
    return TN_EXIT_USAGE;
  }
  tn_registry *registry = tn_command_registry(&a.shared);
  if (!registry) return TN_EXIT_PLUGIN;
  const char *name = a.words[0];
  const tn_registry_item *item = tn_registry_find(registry, name);
  code = TN_EXIT_OK;
  if (item) {
    tn_error error = {0};
    const tn_class *cls = tn_registry_load(registry, name, NULL, 0, &error);
    if (cls)
      print_component(item, cls);
    else
      tn_command_error(&error, false), code = TN_EXIT_PLUGIN;
  } else if (!print_kind(registry, name)) {
    code = unknown(registry, name);
  }
  tn_registry_close(registry);
  return code;
}
