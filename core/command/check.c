// SPDX-License-Identifier: MIT
/* tenon check FILE.ini: everything that can be wrong before training, and what the pipeline is made of. */
#include "core/command/experiment.h"
#include "core/command/pipeline_options.h"
#include <stdio.h>
#include <string.h>
#include <tenon/dataset.h>
#include <tenon/loss.h>

static const char help[] =
    "usage: tenon check FILE.ini [section.key=value ...] [options]\n\n"
    "Resolves keys, references, kinds, field names and shapes from data set to loss, without training, and\n"
    "lists the components with what flows out of them.\n\n"
    "  --quiet          only say what is wrong\n"
    "  --plugin FILE    also load this plugin (may be repeated)\n";

static void print_fields(const tn_spec *spec) {
  const char *name;
  for (uint32_t i = 0; i < tn_spec_count(spec); i++) {
    const tn_field_spec *field = tn_spec_at(spec, i, &name);
    printf("%s%s", i ? ", " : "", name);
    if (field->shape.ndim) {
      putchar('[');
      for (uint32_t j = 0; j < field->shape.ndim; j++)
        printf("%s%lld", j ? "x" : "", (long long)field->shape.dim[j]);
      putchar(']');
    }
    if (field->classes) printf(" of %lld classes", (long long)field->classes);
  }
}

static void print_component(tn_pipeline *pipeline, const tn_component *c) {
  char kind[64], full[128];
  tn_kind_short_name(c->cls->kind, kind, sizeof kind);
  snprintf(full, sizeof full, "%s.%s", kind, c->cls->name);
  printf("  %s%s%-*s %-24s ", c->name, *c->part ? ":" : "", (int)(18 - strlen(c->name) - (*c->part ? 1 : 0)),
         c->part, strcmp(full, c->name) == 0 ? "" : full);
  if (strcmp(c->cls->kind, TN_DATASET) == 0) {
    printf("%lld rows: ", (long long)tn_dataset_rows(c));
    tn_spec *spec = tn_spec_new();
    if (tn_dataset_describe(c, spec) == TN_OK) print_fields(spec);
    tn_spec_release(spec);
  } else if (tn_pipeline_outputs(pipeline, c)) {
    tn_params *params = tn_pipeline_parameters(pipeline, c);
    if (params && tn_params_count(params)) printf("%lld parameters; ", (long long)tn_params_numel(params));
    if (strcmp(c->cls->kind, TN_LOSS) == 0) { /* its value is the end of the flow */
      printf("%s", c->cls->summary);
    } else {
      printf("-> ");
      print_fields(tn_pipeline_outputs(pipeline, c));
    }
  } else {
    fputs(c->cls->summary ? c->cls->summary : "", stdout);
  }
  putchar('\n');
}

static tn_status check(tn_registry *registry, const tn_pipeline_options *options, const char *arm, bool quiet,
                       tn_error *error) {
  tn_pipeline *pipeline = tn_pipeline_open(registry, options, error);
  tn_status status = pipeline ? tn_pipeline_check(pipeline, error) : error->status;
  if (status >= 0 && !quiet) {
    printf("%s%s%s: good\n", options->file, *arm ? ", arm " : "", arm);
    for (uint32_t i = 0; i < tn_pipeline_count(pipeline); i++)
      print_component(pipeline, tn_pipeline_at(pipeline, i));
  }
  tn_pipeline_close(pipeline);
  return status;
}

static bool speaks_of(const char *message, const char *key) {
  const char *name = strrchr(key, '.') + 1, *at = strstr(message, name);
  const size_t length = strlen(name);
  return at && (at[-1] == ' ' || at[-1] == '\'') && (at[length] == ' ' || at[length] == '\'');
}

/* Arms and axes reach a run as overrides, whose place is "command line": says the place of the key in the
 * file. */
static void place_error(const tn_plan *plan, const tn_cell *cell, tn_error *error) {
  static const char given[] = "command line: ";
  const tn_arm *arm = &plan->arms[cell->arm];
  if (strncmp(error->text, given, sizeof given - 1) != 0) return;
  const char *message = error->text + sizeof given - 1, *file = NULL;
  uint32_t line = 0;
  for (uint32_t k = 0; arm->from && k < arm->from->key_count; k++)
    if (speaks_of(message, arm->from->keys[k].name))
      file = arm->from->keys[k].file, line = arm->from->keys[k].line;
  for (uint32_t a = 0; a < arm->axis_count && !file; a++)
    if (speaks_of(message, arm->axes[a].key)) file = arm->axes[a].file, line = arm->axes[a].line;
  if (!file) return;
  const tn_error before = *error;
  *error = (tn_error){0};
  tn_error_set(error, before.status, file, line, "%s", before.text + sizeof given - 1);
}

/* True for the first run of an arm and for those that differ from it in one axis, but not the seed: together
 * they have every value. */
static bool is_representative(const tn_plan *plan, uint32_t i) {
  const tn_cell *cell = &plan->cells[i];
  const tn_arm *arm = &plan->arms[cell->arm];
  for (uint32_t k = 0; k < i; k++)
    if (plan->cells[k].arm == cell->arm && plan->cells[k].setting == cell->setting) return false;
  uint32_t others = 0, rest = cell->setting;
  for (uint32_t a = arm->axis_count; a-- > 0;) {
    if (strcmp(arm->axes[a].key, "pipeline.seed") == 0) continue;
    others += rest % arm->axes[a].count != 0;
    rest /= arm->axes[a].count;
  }
  return others <= 1;
}

tn_status tn_experiment_check(tn_registry *registry, const tn_command_options *o, bool quiet,
                              tn_error *error) {
  tn_plan *plan = tn_experiment_plan(o, error);
  tn_status status = plan ? TN_OK : error->status;
  for (uint32_t i = 0; status >= 0 && i < plan->cell_count; i++) {
    const tn_cell *cell = &plan->cells[i];
    if (!is_representative(plan, i)) continue;
    tn_pipeline_options options = o->pipeline;
    options.overrides = (const char *const *)cell->overrides;
    options.override_count = cell->override_count;
    const bool first = i == 0 || plan->cells[i - 1].arm != cell->arm;
    status = check(registry, &options, plan->arms[cell->arm].name, quiet || !first, error);
    if (status < 0) place_error(plan, cell, error);
  }
  if (status >= 0 && !quiet)
    printf("%u arm%s, %u cells\n", plan->arm_count, plan->arm_count == 1 ? "" : "s", plan->cell_count);
  tn_plan_free(plan);
  return status;
}

int tn_command_check(int argc, char **argv) {
  tn_command_options options = {0};
  int code = tn_command_parse(argc, argv, "check", help, &options);
  if (code >= 0) return code;
  tn_registry *registry = tn_command_registry(&options.shared);
  if (!registry) return TN_EXIT_PLUGIN;
  tn_error error = {0};
  const bool quiet = options.pipeline.quiet;
  tn_status status = tn_experiment_wanted(&options) ? tn_experiment_check(registry, &options, quiet, &error)
                                                    : check(registry, &options.pipeline, "", quiet, &error);
  if (status >= 0) status = tn_experiment_check_claims(&options, &error);
  code = status < 0 ? tn_command_error(&error, false) : TN_EXIT_OK;
  tn_registry_close(registry);
  return code;
}
