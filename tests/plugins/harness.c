// SPDX-License-Identifier: MIT
#include "harness.h"
#include <stdlib.h>
#include <string.h>
#include <tenon/metric.h>
#include <unistd.h>

static tn_registry *registry;
static tn_pipeline *pipeline;
static char fixture[64]; /* file of the compiled one; "" for none */

/* A pipeline must have a stage: an evaluation that nobody runs. */
static const char frame[] = "[pipeline]\n"
                            "name = harness\n"
                            "precision = %s\n"
                            "stages = harness_stage\n"
                            "observers =\n"
                            "[harness_stage]\n"
                            "use = stage.evaluate\n"
                            "data = harness_data\n"
                            "model = model.mlp\n"
                            "metrics = metric.accuracy\n"
                            "[harness_data]\n"
                            "use = dataset.csv\n"
                            "file = " TN_SOURCE_ROOT "/examples/data/digits.csv.gz\n"
                            "%s\n";

static tn_pipeline *make(const char *precision, const char *sections, tn_error *error) {
  if (!registry) {
    const char *files[] = {fixture};
    const tn_registry_options options = {
        .builtin = TN_BUILD_ROOT "/plugins", .path = "", .files = files, .file_count = *fixture ? 1 : 0};
    registry = tn_registry_open(&options, error);
    cr_assert(registry != NULL, "%s", error->text);
  }
  char path[] = "/tmp/tenon-harness-XXXXXX";
  const int descriptor = mkstemp(path);
  FILE *file = fdopen(descriptor, "w");
  cr_assert(file != NULL, "no temporary file");
  fprintf(file, frame, precision, sections);
  fclose(file);
  const tn_pipeline_options options = {.file = path, .quiet = true};
  tn_pipeline *made = tn_pipeline_open(registry, &options, error);
  unlink(path);
  return made;
}

static void remove_fixture(void) { unlink(fixture); }
void harness_fixture(const char *source) {
  char command[1024];
  snprintf(fixture, sizeof fixture, "/tmp/tenon-fixture-%d.so", (int)getpid());
  snprintf(command, sizeof command,
           "umask 022; cc -std=c17 -O1 -shared -fPIC -fvisibility=hidden -I%s/sdk/include -o %s %s/tests/%s",
           TN_SOURCE_ROOT, fixture, TN_SOURCE_ROOT, source);
  atexit(remove_fixture);
  cr_assert(system(command) == 0);
}

void harness_open(const char *precision, const char *sections) {
  tn_error error = {0};
  harness_close();
  pipeline = make(precision, sections, &error);
  cr_assert(pipeline != NULL, "%s", error.text);
  tn_scope_open();
}

void harness_close(void) {
  if (!pipeline) return;
  tn_scope_close();
  tn_pipeline_close(pipeline);
  pipeline = NULL;
}

const char *harness_refusal(const char *precision, const char *sections) {
  static tn_error error;
  error = (tn_error){0};
  harness_close();
  pipeline = make(precision, sections, &error);
  cr_assert(pipeline == NULL, "taken:\n%s", sections);
  return error.text;
}

const tn_component *harness_component(const char *section) {
  const tn_component *component = tn_pipeline_find(pipeline, section);
  cr_assert(component != NULL, "no section '%s'", section);
  return component;
}

const char *harness_failure(void) {
  static char message[sizeof(((tn_context *)NULL)->message)];
  tn_context *context = tn_context_current();
  snprintf(message, sizeof message, "%s", context->message);
  tn_context_clear(context);
  return message;
}

tn_params *harness_params(uint32_t count, const tn_group *groups, const int64_t *sizes) {
  tn_declaration *declaration = tn_declaration_new();
  for (uint32_t i = 0; i < count; i++) {
    char name[16];
    snprintf(name, sizeof name, "p%u", i);
    tn_declare(declaration, name, TN_SHAPE(sizes[i]), groups[i], tn_init_zeros());
  }
  tn_params *params = tn_params_create(declaration, "harness");
  tn_declaration_free(declaration);
  cr_assert(params != NULL, "%s", harness_failure());
  return params;
}

tn_tensor *harness_tensor(tn_shape shape, const double *values) {
  tn_tensor *x = tn_empty(tn_precision(), shape);
  cr_assert(!tn_poisoned(x), "%s", harness_failure());
  for (int64_t i = 0; i < tn_numel(x); i++) {
    if (x->dtype == TN_F64)
      tn_f64(x)[i] = values[i];
    else
      tn_f32(x)[i] = (float)values[i];
  }
  return x;
}

tn_tensor *harness_labels(int64_t count, const int64_t *values) {
  return tn_from(TN_I64, TN_SHAPE(count), values);
}

double harness_at(const tn_tensor *x, int64_t i) {
  cr_assert(!tn_poisoned(x), "%s", harness_failure());
  return x->dtype == TN_F64 ? tn_f64(x)[i] : x->dtype == TN_I64 ? (double)tn_i64(x)[i] : (double)tn_f32(x)[i];
}

typedef struct sink {
  tn_metric_sink head; /* first: the sink is its head */
  const char *name;
  double value;
} sink;
static void take_value(tn_metric_sink *head, const char *name, double value) {
  sink *s = (sink *)head;
  if (strcmp(name, s->name) == 0) s->value = value;
}
double harness_figure(const tn_component *metric, const char *name) {
  sink s = {{sizeof s.head, take_value}, name, NAN};
  const tn_metric_probe probe = {.size = sizeof probe};
  const tn_status status = tn_metric_probes(metric) ? tn_metric_measure(metric, &probe, &s.head)
                                                    : tn_metric_values(metric, &s.head);
  cr_assert(status >= 0, "%s", harness_failure());
  return s.value;
}

/* ---- state in memory: the items in the order of the visit ---- */

typedef struct item {
  char name[64];
  int64_t integer;
  double real;
  void *data;
  size_t bytes;
  tn_tensor *tensor;
  tn_params *params;
} item;
enum { MOST_ITEMS = 64 };
struct harness_state {
  tn_visitor visitor; /* first: the visitor is the state */
  item items[MOST_ITEMS];
  uint32_t count;
};

static item *visit(const tn_visitor *visitor, const char *name) {
  harness_state *state = (harness_state *)(uintptr_t)visitor;
  cr_assert(state->count < MOST_ITEMS);
  item *at = &state->items[state->count++];
  if (!visitor->loading) snprintf(at->name, sizeof at->name, "%s", name);
  cr_assert_str_eq(at->name, name, "the state is visited in another order");
  return at;
}
static tn_status visit_boolean(const tn_visitor *visitor, const char *name, bool *value) {
  item *at = visit(visitor, name);
  if (visitor->loading)
    *value = at->integer != 0;
  else
    at->integer = *value;
  return TN_OK;
}
static tn_status visit_integer(const tn_visitor *visitor, const char *name, int64_t *value) {
  item *at = visit(visitor, name);
  if (visitor->loading)
    *value = at->integer;
  else
    at->integer = *value;
  return TN_OK;
}
static tn_status visit_real(const tn_visitor *visitor, const char *name, double *value) {
  item *at = visit(visitor, name);
  if (visitor->loading)
    *value = at->real;
  else
    at->real = *value;
  return TN_OK;
}
static tn_status visit_block(const tn_visitor *visitor, const char *name, void **data, size_t *bytes) {
  item *at = visit(visitor, name);
  void **from = visitor->loading ? &at->data : data, **to = visitor->loading ? data : &at->data;
  const size_t size = visitor->loading ? at->bytes : *bytes;
  tn_free(*to);
  *to = tn_alloc(size);
  if (size > 0) memcpy(*to, *from, size);
  *bytes = at->bytes = size;
  return TN_OK;
}
static tn_status visit_text(const tn_visitor *visitor, const char *name, char **value) {
  size_t bytes = visitor->loading ? 0 : strlen(*value) + 1;
  return visit_block(visitor, name, (void **)value, &bytes);
}
static tn_status visit_tensor(const tn_visitor *visitor, const char *name, tn_tensor **value) {
  item *at = visit(visitor, name);
  tn_tensor **to = visitor->loading ? value : &at->tensor;
  tn_release(*to);
  *to = tn_persist(visitor->loading ? at->tensor : *value);
  return TN_OK;
}
static tn_status visit_params(const tn_visitor *visitor, const char *name, tn_params **value) {
  item *at = visit(visitor, name);
  tn_params **to = visitor->loading ? value : &at->params;
  if (visitor->loading && *to) return tn_params_copy(*to, at->params); /* in place, as the host does */
  tn_params_release(*to);
  *to = tn_params_clone(visitor->loading ? at->params : *value);
  return TN_OK;
}

harness_state *harness_save(const tn_component *component) {
  harness_state *state = tn_alloc(sizeof *state);
  state->visitor = (tn_visitor){.size = sizeof state->visitor,
                                .boolean = visit_boolean,
                                .integer = visit_integer,
                                .real = visit_real,
                                .text = visit_text,
                                .block = visit_block,
                                .tensor = visit_tensor,
                                .params = visit_params};
  cr_assert(component->cls->state(component->self, &state->visitor) >= 0, "%s", harness_failure());
  return state;
}

void harness_load(const tn_component *component, const harness_state *state) {
  harness_state *copy = (harness_state *)(uintptr_t)state;
  copy->count = 0;
  copy->visitor.loading = true;
  cr_assert(component->cls->state(component->self, &copy->visitor) >= 0, "%s", harness_failure());
}

void harness_forget(harness_state *state) {
  for (uint32_t i = 0; i < state->count; i++) {
    tn_free(state->items[i].data);
    tn_release(state->items[i].tensor);
    tn_params_release(state->items[i].params);
  }
  tn_free(state);
}

int64_t harness_integer(const harness_state *state, const char *name) {
  for (uint32_t i = 0; i < state->count; i++)
    if (strcmp(state->items[i].name, name) == 0) return state->items[i].integer;
  cr_assert(false, "no '%s' in the state", name);
  return 0;
}

tn_params *harness_set(const harness_state *state, const char *name) {
  for (uint32_t i = 0; i < state->count; i++)
    if (strcmp(state->items[i].name, name) == 0 && state->items[i].params) return state->items[i].params;
  cr_assert(false, "no parameters '%s' in the state", name);
  return NULL;
}

static bool same_tensor(const tn_tensor *a, const tn_tensor *b) {
  if (!a || !b) return a == b;
  const size_t width = a->dtype == TN_F64 || a->dtype == TN_I64 ? 8 : 4;
  return a->dtype == b->dtype && tn_numel(a) == tn_numel(b) &&
         memcmp(tn_data((tn_tensor *)(uintptr_t)a), tn_data((tn_tensor *)(uintptr_t)b),
                (size_t)tn_numel(a) * width) == 0;
}

static bool same_params(const tn_params *a, const tn_params *b) {
  if (!a || !b) return a == b;
  if (tn_params_count(a) != tn_params_count(b)) return false;
  for (uint32_t i = 0; i < tn_params_count(a); i++) {
    tn_param_entry left, right;
    tn_params_entry(a, i, &left);
    tn_params_entry(b, i, &right);
    if (!same_tensor(left.tensor, right.tensor)) return false;
  }
  return true;
}

bool harness_same(const harness_state *a, const harness_state *b) {
  if (a->count != b->count) return false;
  for (uint32_t i = 0; i < a->count; i++) {
    const item *x = &a->items[i], *y = &b->items[i];
    if (strcmp(x->name, y->name) != 0 || x->integer != y->integer ||
        memcmp(&x->real, &y->real, sizeof x->real) != 0 || x->bytes != y->bytes ||
        (x->bytes > 0 && memcmp(x->data, y->data, x->bytes) != 0) || !same_tensor(x->tensor, y->tensor) ||
        !same_params(x->params, y->params))
      return false;
  }
  return true;
}

tn_pipeline *harness_start(const char *text, const char *directory, const char *const *overrides,
                           uint32_t count, tn_error *error) {
  const tn_registry_options installed = {.builtin = TN_BUILD_ROOT "/plugins", .path = ""};
  char path[] = "/tmp/tenon-harness-XXXXXX";
  FILE *file = fdopen(mkstemp(path), "w");
  cr_assert(file != NULL, "no temporary file");
  fputs(text, file);
  fclose(file);
  if (!registry) registry = tn_registry_open(&installed, error);
  cr_assert(registry != NULL, "%s", error->text);
  const tn_pipeline_options options = {.file = path,
                                       .directory = directory,
                                       .overrides = overrides,
                                       .override_count = count,
                                       .quiet = directory == NULL};
  tn_pipeline *p = tn_pipeline_open(registry, &options, error);
  unlink(path);
  return p;
}

tn_pipeline *harness_try(const char *text, const char *const *overrides, uint32_t count, tn_error *error) {
  tn_pipeline *p = harness_start(text, NULL, overrides, count, error);
  if (p) tn_pipeline_run(p, error);
  return p;
}

tn_pipeline *harness_run(const char *text, const char *const *overrides, uint32_t count) {
  tn_error error = {0};
  tn_pipeline *p = harness_start(text, NULL, overrides, count, &error);
  cr_assert(p && tn_pipeline_run(p, &error) >= 0, "%s", error.text);
  return p;
}

double harness_result(const tn_pipeline *p, const char *name) {
  const tn_result *results;
  const uint32_t count = tn_pipeline_results(p, &results);
  for (uint32_t i = 0; i < count; i++)
    if (strcmp(results[i].name, name) == 0) return results[i].value;
  cr_assert_fail("no result '%s' among %u", name, count);
  return NAN;
}
