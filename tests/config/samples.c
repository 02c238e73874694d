// SPDX-License-Identifier: MIT
#include "samples.h"
#include <stdlib.h>
#include <string.h>
#include <tenon/dataset.h>
#include <tenon/loss.h>
#include <tenon/model.h>
#include <tenon/optimizer.h>
#include <tenon/stage.h>

static const struct {
  uint32_t size, reserved;
  void (*none)(void);
} table = {sizeof table, 0, NULL};

#define CLASS(id, its_name, type)                                                   \
  {                                                                                 \
    .size = sizeof(tn_class), .kind = id, .name = its_name, .summary = "a sample",  \
    TN_CLASS_PARAMS(type##_params), .instance_size = sizeof(type), .vtable = &table \
  }

static const tn_param lion_params[] = {
    TN_REAL(lion, lr, "1e-4", 0, 10, "learning rate"),
    TN_PARAM_(lion, beta1, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0.9", 0, 1, NULL, NULL, NULL, "decay"),
    TN_BOOL(lion, nesterov, "no", "look ahead"),
    TN_INTEGER(lion, steps, "0", 0, 1e15, "steps", "length"),
};
const tn_class lion_class = CLASS(TN_OPTIMIZER, "lion", lion);

static const tn_param all_params[] = {
    TN_BOOL(all, boolean, "yes", "a truth"),
    TN_INTEGER(all, integer, "7", -10, 1e18, NULL, "a whole number"),
    TN_REAL(all, real, "0.5", -1e300, INFINITY, "a number"),
    TN_REAL(all, clip, "inf", 0, INFINITY, "a limit"),
    TN_STRING(all, string, "word", "a text"),
    TN_PATH(all, path, 0, "", "a path"),
    TN_CHOICE(all, choice, "mean", "sum|mean|none", "a choice"),
    TN_INTEGERS(all, integers, "1, 2", 1, 1000, "whole numbers"),
    TN_REALS(all, reals, "", 0, INFINITY, "numbers"),
    TN_STRINGS(all, strings, "", "texts"),
    TN_REFERENCE(all, reference, 0, TN_LOSS, NULL, "a loss"),
    TN_REFERENCES(all, references, 0, TN_LOSS, NULL, "losses"),
    TN_TERMS(all, terms, 0, TN_LOSS, "weighted losses"),
    TN_EXPRESSION(all, formula, "", "x|y", "a formula"),
    TN_COUNT(all, count, "full", "how many"),
};
const tn_class all_class = CLASS(TN_STAGE, "all", all);

static const tn_param needy_params[] = {
    TN_PARAM_(needy, width, TN_PARAM_INTEGER, TN_PARAM_REQUIRED, NULL, 1, 4096, NULL, NULL, NULL,
              "number of units"),
    TN_REFERENCE(needy, data, TN_PARAM_REQUIRED, TN_DATASET, NULL, "data to learn from"),
};
const tn_class needy_class = CLASS(TN_MODEL, "needy", needy);

const tn_class *sample_class(const char *full) {
  const tn_class *const classes[] = {&lion_class, &all_class, &needy_class};
  char name[TN_FULL_NAME];
  for (size_t i = 0; i < 3; i++)
    if (strcmp(tn_class_full_name(classes[i], name), full) == 0) return classes[i];
  return NULL;
}

static const tn_class loss_class = {.size = sizeof(tn_class), .kind = TN_LOSS, .name = "ce"};
static const tn_class dataset_class = {.size = sizeof(tn_class), .kind = TN_DATASET, .name = "csv"};
const tn_component sample_ce = {.size = sizeof(tn_component), .cls = &loss_class, .name = "ce"};
const tn_component sample_hoc = {.size = sizeof(tn_component), .cls = &loss_class, .name = "hoc"};
const tn_component sample_digits = {.size = sizeof(tn_component), .cls = &dataset_class, .name = "digits"};

const tn_component *sample_resolve(void *context, const char *text, const char *kind, const tn_key *key,
                                   tn_error *error) {
  (void)context;
  const tn_component *const all_components[] = {&sample_ce, &sample_hoc, &sample_digits};
  const char *names[3];
  char is[64], wanted[64], hint[TN_SUGGESTION];
  for (size_t i = 0; i < 3; i++) {
    const tn_component *c = all_components[i];
    names[i] = c->name;
    if (strcmp(c->name, text) != 0) continue;
    if (strcmp(c->cls->kind, kind) == 0) return c;
    tn_kind_short_name(c->cls->kind, is, sizeof is);
    tn_kind_short_name(kind, wanted, sizeof wanted);
    tn_error_set(error, TN_ERROR_INVALID, key->file, key->line, "'%s' is a %s, expected a %s", text, is,
                 wanted);
    return NULL;
  }
  tn_error_set(error, TN_ERROR_MISSING, key->file, key->line, "no section or component '%s'%s", text,
               tn_suggest(hint, text, names, 3));
  return NULL;
}

static tn_status bind_all(const tn_config *config, tn_error *error) {
  tn_status status = TN_OK;
  for (uint32_t i = 0; i < tn_config_count(config) && status == TN_OK; i++) {
    const tn_section *section = tn_config_at(config, i);
    const tn_key *use = tn_section_find(section, "use");
    const tn_class *cls = use ? sample_class(use->value) : NULL;
    if (!cls) continue;
    void *self = calloc(1, cls->instance_size);
    tn_bound *bound = tn_bound_new();
    status = tn_bind(cls, self, section, NULL, NULL, 0, sample_resolve, NULL, bound, error);
    tn_bound_free(bound);
    free(self);
  }
  return status;
}

static const tn_config_variable variables[] = {{"data", "/data", NULL},
                                               {"run", NULL, "there is no run directory while checking"}};

static const char *outcome(tn_config *config, tn_error *error) {
  static char text[sizeof error->text];
  if (config) bind_all(config, error);
  tn_config_free(config);
  memcpy(text, error->text, sizeof text);
  return text;
}

const char *sample_check(const char *file) {
  tn_error error = {0};
  return outcome(tn_config_load(file, NULL, 0, variables, 2, &error), &error);
}

const char *sample_check_text(const char *text) {
  tn_error error = {0};
  return outcome(tn_config_parse(text, strlen(text), "pipe.ini", NULL, 0, variables, 2, &error), &error);
}
