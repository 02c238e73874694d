// SPDX-License-Identifier: MIT
#include "core/conformance/subject.h"
#include "core/conformance/data.h"
#include "core/config/bind.h"
#include "core/config/memory.h"
#include <stdlib.h>
#include <string.h>
#include <tenon/dataset.h>

enum { DEEPEST = 6 }; /* references of references */

/* Plain components, tried before any other of their kind. */
static const char *const plain[] = {"optimizer.sgd",      "loss.cross_entropy", "model.mlp",
                                    "schedule.constant",  "metric.accuracy",    "sampler.shuffle",
                                    "sampler.sequential", "stage.supervised",   "observer.jsonl",
                                    "communicator.local", "gradient.clip_norm", "problem.optimizer_search"};

typedef struct text {
  char *bytes;
  size_t size;
  FILE *out;
} text;
/* The stream writes to where `t` is: it must not be copied while it is open. */
static void text_open(text *t) {
  t->out = open_memstream(&t->bytes, &t->size);
  if (!t->out) tn_trial_fail("out of memory");
}
static void append(tn_trial *trial, text *more) {
  fclose(more->out);
  const size_t old = trial->sections ? strlen(trial->sections) : 0;
  char *joined = tn_take(old + more->size + 1);
  if (old) memcpy(joined, trial->sections, old);
  memcpy(joined + old, more->bytes, more->size + 1);
  free(trial->sections);
  free(more->bytes);
  trial->sections = joined;
}

static bool has_section(const tn_trial *trial, const char *name) {
  char head[224];
  snprintf(head, sizeof head, "[%s]\n", name);
  return trial->sections && strstr(trial->sections, head);
}

static bool refers(tn_param_type type) {
  return type == TN_PARAM_REFERENCE || type == TN_PARAM_REFERENCES || type == TN_PARAM_TERMS;
}

static const tn_class *class_of(tn_trial *trial, const char *full) {
  tn_error error = {0};
  const tn_class *cls = tn_registry_load(trial->registry, full, NULL, 0, &error);
  if (!cls && strcmp(full, trial->full) == 0) tn_trial_fail("%s", error.text);
  return cls;
}

/* A path, or a list of texts, which are files where they are required. */
static bool names_file(const tn_param *p) { return p->type == TN_PARAM_PATH || p->type == TN_PARAM_STRINGS; }

static uint32_t required_count(const tn_class *cls, bool paths) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < cls->param_count; i++) {
    const tn_param p = tn_class_param(cls, i);
    count += (p.flags & TN_PARAM_REQUIRED) && (!paths || names_file(&p));
  }
  return count;
}

static const char *provide(tn_trial *trial, const char *kind, uint32_t depth);

/* The value of a required key; `path` counts the required paths so far. */
static bool required(tn_trial *trial, const tn_param *p, uint32_t *path, uint32_t depth, FILE *out) {
  char value[256];
  if (refers(p->type)) {
    const char *name = provide(trial, p->kind, depth + 1);
    if (name) fprintf(out, "%s = %s\n", p->key, name);
    return name != NULL;
  }
  if (names_file(p)) {
    uint32_t choice = trial->samples;
    for (uint32_t i = 0; i < *path; i++) choice /= tn_sample_count;
    ++*path;
    fprintf(out, "%s = %s/%s\n", p->key, trial->folder, tn_sample_names[choice % tn_sample_count]);
    return true;
  }
  if (!tn_param_plain(p, value, sizeof value)) return false;
  fprintf(out, "%s = %s\n", p->key, value);
  return true;
}

/* The user's section for this class, NULL if there is none. */
static const tn_section *given(const tn_trial *trial, const char *full) {
  for (uint32_t i = 0; trial->with && i < tn_config_count(trial->with); i++) {
    const tn_section *section = tn_config_at(trial->with, i);
    const tn_key *use = tn_section_find(section, "use");
    if (use && strcmp(use->value, full) == 0) return section;
  }
  return NULL;
}

/* The keys of a section of class `cls`: those given, and the required ones that are not. */
static bool write_keys(tn_trial *trial, const tn_class *cls, const char *full, uint32_t depth, FILE *out) {
  const tn_section *own = strcmp(full, trial->full) == 0 ? given(trial, full) : NULL;
  uint32_t path = 0;
  fprintf(out, "use = %s\n", full);
  for (uint32_t i = 0; own && i < own->key_count; i++)
    if (strcmp(own->keys[i].name, "use") != 0)
      fprintf(out, "%s = %s\n", own->keys[i].name, own->keys[i].value);
  for (uint32_t i = 0; i < cls->param_count; i++) {
    const tn_param p = tn_class_param(cls, i);
    if (!(p.flags & TN_PARAM_REQUIRED) || (own && tn_section_find(own, p.key))) continue;
    if (!required(trial, &p, &path, depth, out)) {
      snprintf(trial->lacking, sizeof trial->lacking, "no value can be made for its required key '%s'%s%s",
               p.key, refers(p.type) ? ": nothing usable is installed of kind " : "",
               refers(p.type) ? p.kind : "");
      return false;
    }
  }
  return true;
}

static const char *use(tn_trial *trial, const char *full, uint32_t depth) {
  static char names[64][160];
  static uint32_t turn;
  const tn_class *cls = class_of(trial, full);
  if (!cls) return NULL;
  char *name = names[turn++ % 64];
  snprintf(name, sizeof names[0], "plain.%s", full);
  if (has_section(trial, name)) return name;
  text t;
  text_open(&t);
  fprintf(t.out, "[%s]\n", name);
  if (!write_keys(trial, cls, full, depth, t.out)) {
    fclose(t.out);
    free(t.bytes);
    return NULL;
  }
  append(trial, &t);
  return name;
}

static bool is_of(const char *full, const char *short_kind) {
  const size_t length = strlen(short_kind);
  return strncmp(full, short_kind, length) == 0 && full[length] == '.';
}

static const char *provide(tn_trial *trial, const char *kind, uint32_t depth) {
  char short_kind[64];
  if (depth > DEEPEST || !kind) return NULL;
  for (uint32_t i = 0; trial->with && i < tn_config_count(trial->with); i++) {
    const tn_section *section = tn_config_at(trial->with, i);
    const tn_key *full = tn_section_find(section, "use");
    const tn_registry_item *item = full ? tn_registry_find(trial->registry, full->value) : NULL;
    if (item && strcmp(item->kind, kind) == 0 && strcmp(item->full, trial->full) != 0) return section->name;
  }
  if (strcmp(kind, TN_DATASET) == 0) return tn_data_section(trial, (tn_data_set)trial->base);
  tn_kind_short_name(kind, short_kind, sizeof short_kind);
  for (uint32_t i = 0; i < TN_ARRAY_LENGTH(plain); i++)
    if (is_of(plain[i], short_kind) && tn_registry_find(trial->registry, plain[i])) {
      const char *name = use(trial, plain[i], depth);
      if (name) return name;
    }
  /* Any other of the kind: those that need nothing first, the subject itself last. */
  for (int pass = 0; pass < 3; pass++)
    for (uint32_t i = 0; i < tn_registry_count(trial->registry); i++) {
      const tn_registry_item *item = tn_registry_item_at(trial->registry, i);
      if (strcmp(item->kind, kind) != 0 || (pass < 2) == (strcmp(item->full, trial->full) == 0)) continue;
      const tn_class *cls = class_of(trial, item->full);
      if (!cls || (pass == 0 && required_count(cls, false) > 0)) continue;
      const char *name = use(trial, item->full, depth);
      if (name) return name;
    }
  return NULL;
}

const char *tn_subject_provide(tn_trial *trial, const char *kind) { return provide(trial, kind, 0); }

uint32_t tn_subject_choices(const tn_trial *trial) {
  uint32_t choices = 1;
  for (uint32_t i = required_count(trial->cls, true); i > 0 && choices < 5000; i--)
    choices *= tn_sample_count;
  return given(trial, trial->full) ? 1 : choices;
}

/* The user's other sections, so that what they refer to is there. */
static void copy_given(tn_trial *trial) {
  text t;
  text_open(&t);
  for (uint32_t i = 0; trial->with && i < tn_config_count(trial->with); i++) {
    const tn_section *section = tn_config_at(trial->with, i);
    if (strcmp(section->name, "pipeline") == 0 || section == given(trial, trial->full)) continue;
    fprintf(t.out, "[%s]\n", section->name);
    for (uint32_t k = 0; k < section->key_count; k++)
      fprintf(t.out, "%s = %s\n", section->keys[k].name, section->keys[k].value);
  }
  append(trial, &t);
}

void tn_subject_compose(tn_trial *trial) {
  if (trial->composed) return;
  trial->composed = true;
  copy_given(trial);
  for (uint32_t i = 0; i < TN_ARRAY_LENGTH(trial->driver->needs) && trial->driver->needs[i]; i++)
    (void)provide(trial, trial->driver->needs[i], 0);
  const char *const names[] = {"subject", "other"};
  for (uint32_t i = 0; i < 2; i++) {
    text t;
    text_open(&t);
    fprintf(t.out, "[%s]\n", names[i]);
    if (!write_keys(trial, trial->cls, trial->full, 0, t.out))
      tn_trial_skip("%s; give a pipeline file that uses it with --with FILE.ini", trial->lacking);
    append(trial, &t);
  }
}
