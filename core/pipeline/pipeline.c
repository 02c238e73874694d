// SPDX-License-Identifier: MIT
/* Opening, checking and running a pipeline. */
#include "core/pipeline/internal.h"
#include "core/config/memory.h"
#include "core/pipeline/places.h"
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <tenon/communicator.h>
#include <tenon/observer.h>
#include <tenon/stage.h>

/* The keys of [pipeline] are bound like those of any component. */
typedef struct settings {
  const char *name;
  int64_t seed, threads;
  int32_t precision;
  tn_strings stages;
  int64_t checkpoint_every, checkpoint_keep;
  double checkpoint_seconds, step_timeout;
  int64_t memory_limit;
  const tn_component *communicator;
  tn_references observers;
} settings;
static const tn_param setting_params[] = {
    TN_STRING(settings, name, "", "name of the run; the file's name without its ending if not given"),
    TN_INTEGER(settings, seed, "1", 0, 9007199254740992.0, NULL, "every random number follows from it"),
    TN_INTEGER(settings, threads, "0", 0, 4096, NULL, "threads; 0: OMP_NUM_THREADS, or all processors"),
    TN_CHOICE(settings, precision, "float32", "float32|float64", "type of the floating-point numbers"),
    TN_STRINGS(settings, stages, "", "sections that are run, in this order"),
    TN_INTEGER(settings, checkpoint_every, "0", 0, 1e15, "steps",
               "steps between checkpoints; 0: by time only"),
    TN_REAL(settings, checkpoint_seconds, "60", 0, 1e9, "seconds between checkpoints; 0: by steps only"),
    TN_INTEGER(settings, checkpoint_keep, "2", 1, 1e6, NULL, "checkpoints that are kept"),
    TN_REAL(settings, step_timeout, "0", 0, 1e9, "seconds that a step may take; 0: any"),
    TN_INTEGER(settings, memory_limit, "0", 0, 1e9, "MB", "memory that the run may take; 0: any"),
    TN_REFERENCE(settings, communicator, 0, TN_COMMUNICATOR, NULL,
                 "joins processes to one run; empty: this one alone"),
    TN_REFERENCES(settings, observers, 0, TN_OBSERVER, "observer.progress, observer.jsonl",
                  "who sees the run's events"),
};
enum { SETTINGS = TN_ARRAY_LENGTH(setting_params), COMPONENT_SETTINGS = 2 }; /* the last ones */
static const tn_class settings_class = {.size = sizeof(tn_class),
                                        .kind = "tenon.host/1",
                                        .name = "pipeline",
                                        .summary = "the run itself",
                                        TN_CLASS_PARAMS(setting_params),
                                        .instance_size = sizeof(settings)};

tn_pipeline *tn_pipeline_current(void) { return tn_context_current()->pipeline; }

/* "examples/lion-digits.ini" -> "lion-digits" */
static char *stem(const char *file) {
  const char *slash = strrchr(file, '/');
  char *name = tn_copy_text(slash ? slash + 1 : file);
  char *dot = strrchr(name, '.');
  if (dot && dot != name) *dot = 0;
  return name;
}

/* Who else takes part, and who watches. Only the first rank is watched. */
static tn_status open_others(tn_pipeline *p, const tn_section *section, const tn_key *communicator,
                             const tn_key *observers, bool quiet, tn_error *error) {
  const tn_component *joined = NULL;
  if (communicator && *communicator->value && !p->components) {
    joined = tn_instance_resolve(p, communicator->value, TN_COMMUNICATOR, communicator, error);
    if (!joined) return error->status;
  }
  const tn_status status = tn_comm_join(p, joined, error);
  if (status < 0 || p->rank > 0) return status;
  const tn_param *param = &setting_params[SETTINGS - 1];
  const char *wanted = observers ? observers->value : quiet ? "observer.jsonl" : param->fallback;
  return tn_parse_value(param, wanted, observers ? observers->file : section->file,
                        observers ? observers->line : section->line, &p->observers, tn_instance_resolve, p,
                        p->bound, error);
}

static tn_status open_settings(tn_pipeline *p, const tn_pipeline_options *options, tn_error *error) {
  const tn_section *section = tn_config_find(p->config, "pipeline");
  const char *file = tn_config_file(p->config);
  if (!section)
    return tn_error_set(error, TN_ERROR_INVALID, file, 0,
                        "no section [pipeline]; expected one with 'stages = ...'");
  settings s = {0};
  /* Observers are components: they need the engine, which needs seed and precision. So these come first. */
  const tn_key *observers = tn_section_find(section, "observers");
  const tn_key *communicator = tn_section_find(section, "communicator");
  tn_class without = settings_class;
  without.param_count -= COMPONENT_SETTINGS;
  tn_section rest = *section;
  tn_key *keys = tn_take((section->key_count + 1) * sizeof *keys);
  rest.keys = keys;
  rest.key_count = 0;
  for (uint32_t i = 0; i < section->key_count; i++)
    if (&section->keys[i] != observers && &section->keys[i] != communicator)
      keys[rest.key_count++] = section->keys[i];
  tn_status status =
      tn_bind(&without, &s, &rest, "pipeline", section->file, section->line, NULL, NULL, p->bound, error);
  free(keys);
  if (status != TN_OK) return status;
  p->name = *s.name ? tn_copy_text(s.name) : stem(file);
  p->seed = s.seed;
  p->precision = s.precision == 0 ? TN_F32 : TN_F64;
  p->stage_names = s.stages;
  p->checkpoint_every = s.checkpoint_every;
  p->checkpoint_seconds = s.checkpoint_seconds;
  p->checkpoint_keep = s.checkpoint_keep;
  tn_box_limit_step(p->box, s.step_timeout);
  if (tn_box_limit_memory(p->box, s.memory_limit) < 0)
    return tn_error_set(error, TN_ERROR_INVALID, file, section->line, "memory_limit cannot be kept here");
  if (s.threads > 0) omp_set_num_threads((int)s.threads);
  p->engine = tn_engine_create((uint64_t)p->seed, p->precision);
  if (!p->engine) return tn_error_set(error, TN_ERROR_MEMORY, NULL, 0, "out of memory");
  if (p->guarded) tn_engine_guard(p->engine);
  p->former_engine = tn_engine_enter(p->engine);
  return open_others(p, section, communicator, observers, options->quiet, error);
}

/* Every section becomes a component, or is a mere holder of values (no `use`, nobody refers to it). */
static tn_status open_sections(tn_pipeline *p, tn_error *error) {
  for (uint32_t i = 0; i < tn_config_count(p->config); i++) {
    const tn_section *section = tn_config_at(p->config, i);
    if (strcmp(section->name, "pipeline") == 0) continue;
    if (!tn_section_find(section, "use")) continue;
    const tn_instance *instance = tn_instance_of_section(p, section, error);
    if (!instance) return error->status;
    const tn_component *c = &instance->component;
    if (strcmp(c->cls->kind, TN_COMMUNICATOR) == 0 && !p->communicator && !p->components)
      return tn_error_set(error, TN_ERROR_INVALID, section->file, section->line,
                          "[%s] joins no processes: [pipeline] has no 'communicator = %s'", c->name, c->name);
  }
  p->stages = tn_take((p->stage_names.count + 1) * sizeof(const tn_component *));
  const tn_section *section = tn_config_find(p->config, "pipeline");
  const tn_key *stages = tn_section_find(section, "stages");
  if (p->stage_names.count == 0 && p->components) return TN_OK;
  if (p->stage_names.count == 0)
    return tn_error_set(error, TN_ERROR_INVALID, section->file, stages ? stages->line : section->line,
                        "[pipeline] has no stages; expected 'stages = train, test' or the like");
  for (uint32_t i = 0; i < p->stage_names.count; i++) {
    const tn_component *c = tn_instance_resolve(p, p->stage_names.items[i], TN_STAGE, stages, error);
    if (!c) return error->status;
    for (uint32_t j = 0; j < i; j++)
      if (p->stages[j] == c)
        return tn_error_set(
            error, TN_ERROR_INVALID, stages->file, stages->line,
            "stages: '%s' is named twice; give the second run a section of its own with base = %s", c->name,
            c->name);
    p->stages[p->stage_count++] = c;
  }
  return TN_OK;
}

void tn_pipeline_start(void) {
  tn_host_start();
  tn_host_register(TN_PIPELINE_SERVICE, &tn_pipeline_table);
  tn_host_register(TN_REPORT_SERVICE, &tn_report_table);
  tn_host_register(TN_COMM_SERVICE, &tn_comm_table);
}

tn_pipeline *tn_pipeline_open(tn_registry *registry, const tn_pipeline_options *options, tn_error *error) {
  tn_pipeline_start();
  tn_pipeline *p = tn_box_place(options->box, sizeof *p, offsetof(tn_pipeline, context.stack));
  const bool boxed = p != NULL;
  if (!p) p = tn_take(sizeof *p);
  p->box = options->box;
  p->boxed = boxed;
  p->registry = registry;
  p->smoke = options->smoke;
  p->single = options->single;
  p->profiled = options->profile;
  p->trap_nan = options->trap_nan;
  p->resume = options->resume;
  p->overrides = options->overrides;
  p->override_count = options->override_count;
  p->plugins = options->plugins;
  p->plugin_count = options->plugin_count;
  p->components = options->components;
  p->guarded = options->guard;
  p->bound = tn_bound_new();
  p->began = tn_seconds();
  p->context.quiet = options->quiet;
  p->context.pipeline = p;
  p->former_context = tn_context_enter(&p->context);
  p->directory = options->directory ? tn_copy_text(options->directory) : NULL;
  if (p->directory) tn_box_directory(p->box, p->directory);

  tn_places places;
  tn_places_find(&places);
  tn_config_variable variables[3];
  tn_places_variables(&places, p->directory, variables);
  p->data = places.data ? tn_copy_text(places.data) : NULL;
  const uint32_t count = TN_ARRAY_LENGTH(variables);
  p->config = options->text
                  ? tn_config_parse(options->text, strlen(options->text), options->file, options->overrides,
                                    options->override_count, variables, count, error)
                  : tn_config_load(options->file, options->overrides, options->override_count, variables,
                                   count, error);
  tn_status status = !p->config ? error->status
                     : p->bound ? open_settings(p, options, error)
                                : tn_error_set(error, TN_ERROR_MEMORY, options->file, 0, "out of memory");
  if (status == TN_OK) {
    tn_scope_open();
    status = open_sections(p, error);
    tn_scope_close();
  }
  if (status == TN_OK) return p;
  tn_comm_give_up(p, error, false);
  tn_pipeline_close(p);
  return NULL;
}

void tn_pipeline_close(tn_pipeline *p) {
  if (!p) return;
  tn_checkpoint_finish(p);
  if (p->folder > 0) close(p->folder);
  for (tn_published *item = p->published, *next; item; item = next) {
    next = item->next;
    tn_params_release(item->params);
    free(item->text);
    free(item->name);
    free(item);
  }
  /* The other way round: whoever refers to another was finished after it. */
  for (uint32_t i = p->instance_count; i-- > 0;) tn_instance_free(p->instances[i]);
  free(p->instances);
  free(p->edges);
  free(p->stages);
  tn_record_free(&p->record);
  tn_profile_free(p->profile);
  if (p->engine) {
    tn_engine_enter(p->former_engine);
    tn_engine_destroy(p->engine);
  }
  tn_bound_free(p->bound);
  tn_config_free(p->config);
  if (p->context.log) fclose(p->context.log);
  tn_event_log_close(p->events);
  tn_context_enter(p->former_context);
  free(p->name);
  free(p->directory);
  free(p->own_directory);
  free(p->data);
  if (!p->boxed) free(p);
}

char *tn_pipeline_print(const tn_pipeline *p) {
  return p->single ? tn_config_print_single(p->config) : tn_config_print(p->config);
}
const char *tn_pipeline_name(const tn_pipeline *p) { return p->name; }
uint32_t tn_pipeline_count(const tn_pipeline *p) { return p->instance_count; }
const tn_component *tn_pipeline_at(const tn_pipeline *p, uint32_t index) {
  return &p->instances[index]->component;
}
const tn_component *tn_pipeline_find(const tn_pipeline *p, const char *section) {
  for (uint32_t i = 0; i < p->instance_count; i++)
    if (!p->instances[i]->owner && strcmp(p->instances[i]->name, section) == 0)
      return &p->instances[i]->component;
  return NULL;
}
static tn_instance *instance_of(const tn_component *component) {
  tn_instance *instance = (tn_instance *)(uintptr_t)component;
  return instance->owner ? instance->owner : instance;
}
const tn_spec *tn_pipeline_outputs(const tn_pipeline *p, const tn_component *component) {
  (void)p;
  return instance_of(component)->outputs;
}
tn_params *tn_pipeline_parameters(tn_pipeline *p, const tn_component *component) {
  (void)p;
  return instance_of(component)->declaration ? tn_parameters(component) : NULL;
}
uint32_t tn_pipeline_edges(const tn_pipeline *p, const tn_edge **edges) {
  *edges = p->edges;
  return p->edge_count;
}
uint32_t tn_pipeline_results(const tn_pipeline *p, const tn_result **results) {
  *results = p->record.results;
  return p->record.result_count;
}
void tn_pipeline_print_profile(const tn_pipeline *p, FILE *to) {
  if (p->profile) tn_profile_print(p->profile, to);
}
const char *tn_pipeline_directory(const tn_pipeline *p) { return p->directory; }
bool tn_pipeline_leads(const tn_pipeline *p) { return p->rank == 0; }
