// SPDX-License-Identifier: MIT
#include "core/conformance/bench.h"
#include "core/conformance/subject.h"
#include "core/config/memory.h"
#include "core/tensor/guard.h"
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <tenon/dataset.h>

static char *pipeline_text(const tn_trial *trial, const tn_setup *setup) {
  static const char frame[] = "[pipeline]\nname = conformance\nseed = %llu\nprecision = %s\nobservers =\n%s";
  const size_t room = sizeof frame + 64 + strlen(trial->sections);
  char *text = tn_take(room);
  snprintf(text, room, frame, (unsigned long long)(setup->seed ? setup->seed : 1),
           setup->doubles ? "float64" : "float32", trial->sections);
  return text;
}

static bool open_pipeline(tn_bench *bench, tn_trial *trial, const tn_setup *setup) {
  *bench = (tn_bench){.trial = trial};
  tn_subject_compose(trial);
  omp_set_num_threads(setup->threads > 0 ? setup->threads : 1);
  char *text = pipeline_text(trial, setup);
  const tn_pipeline_options options = {.file = trial->given ? trial->given : "conformance",
                                       .text = text,
                                       .overrides = setup->overrides,
                                       .override_count = setup->override_count,
                                       .quiet = true,
                                       .components = true,
                                       .guard = trial->guard};
  bench->pipeline = tn_pipeline_open(trial->registry, &options, &bench->error);
  free(text);
  if (!bench->pipeline) return false;
  bench->subject = tn_pipeline_find(bench->pipeline, "subject");
  bench->other = tn_pipeline_find(bench->pipeline, "other");
  return true;
}

static uint32_t world_count(const tn_trial *trial) {
  switch (trial->driver->inputs) {
  case TN_INPUTS_NONE: return 1;
  case TN_INPUTS_BASE:
  case TN_INPUTS_DATA: return TN_DATA_TEXT + 1;
  default: return TN_WORLDS;
  }
}

/* false: this world is not to be had. */
static bool enter_world(tn_bench *bench, uint32_t world) {
  tn_trial *trial = bench->trial;
  if (trial->driver->inputs <= TN_INPUTS_BASE) return true;
  if (trial->driver->inputs != TN_INPUTS_DATA) {
    bench->inputs = tn_world_spec(world, trial->driver->inputs == TN_INPUTS_AFTER);
    return bench->inputs != NULL;
  }
  const char *section = tn_data_section(trial, (tn_data_set)world);
  bench->data = section ? tn_bench_find(bench, section) : NULL;
  bench->inputs = bench->data ? tn_spec_new() : NULL;
  return bench->inputs && tn_dataset_describe(bench->data, bench->inputs) >= 0;
}

static tn_status prepare(tn_bench *bench, const tn_component *c) {
  if (!bench->trial->driver->prepare) return TN_OK;
  tn_scope_open();
  tn_status status = bench->trial->driver->prepare(bench, c);
  tn_scope_close();
  return status < 0 ? status : tn_outcome();
}

static tn_status work(tn_bench *bench, const tn_component *c, int64_t unit) {
  if (!bench->trial->driver->work) return TN_OK;
  tn_scope_open();
  tn_status status = bench->trial->driver->work(bench, c, unit);
  tn_scope_close();
  return status < 0 ? status : tn_outcome();
}

/* Data sets must be in the pipeline's text before it is opened. */
static void add_data(tn_trial *trial) {
  tn_subject_compose(trial);
  for (uint32_t i = 0; trial->driver->inputs == TN_INPUTS_DATA && i < TN_DATA_SETS; i++)
    (void)tn_data_section(trial, (tn_data_set)i);
}

static void recompose(tn_trial *trial) {
  free(trial->sections);
  trial->sections = NULL;
  trial->composed = false;
}

/* Which sample files the required paths take: the first with which the component can be made. */
static void find_samples(tn_trial *trial) {
  const uint32_t choices = tn_subject_choices(trial);
  tn_bench bench;
  char first[256] = "";
  for (uint32_t i = 0; i < choices && choices > 1; i++) {
    trial->samples = i;
    recompose(trial);
    const bool good = open_pipeline(&bench, trial, &(tn_setup){0});
    tn_trial_message();
    if (good) {
      tn_bench_close(&bench);
      return;
    }
    if (!*first) snprintf(first, sizeof first, "%.250s", bench.error.text);
  }
  if (choices > 1)
    tn_trial_skip("no sample file suits its required paths (%s); give a pipeline file with --with", first);
}

/* A component may need more than its defaults, and says so; then the user's file has to give it. */
_Noreturn static void refused(const tn_bench *bench) {
  if (strstr(bench->error.text, "without saying why")) tn_trial_fail("create: %s", bench->error.text);
  tn_trial_skip("it refuses its defaults: %.500s; give a pipeline file with --with", bench->error.text);
}

/* A world that a component declares itself content with, but then cannot work in, is its fault; one that it
 * refuses is not. */
static void find_world(tn_trial *trial) {
  tn_bench bench;
  char first[512] = "", worked[512] = "";
  const uint32_t count = world_count(trial);
  for (uint32_t world = 0; world < count; world++) {
    if (trial->driver->inputs == TN_INPUTS_BASE) {
      trial->base = world;
      recompose(trial);
    }
    if (!open_pipeline(&bench, trial, &(tn_setup){0})) {
      if (trial->driver->inputs != TN_INPUTS_BASE) refused(&bench);
      if (!*first) snprintf(first, sizeof first, "%.500s", bench.error.text);
      (void)tn_trial_message();
      continue;
    }
    tn_status status = enter_world(&bench, world) ? prepare(&bench, bench.subject) : TN_ERROR_MISSING;
    const bool prepared = status >= 0;
    if (prepared) status = work(&bench, bench.subject, 0);
    const char *message = tn_trial_message();
    if (status >= 0 && !*message) {
      trial->world = (int32_t)world;
      tn_bench_close(&bench);
      return;
    }
    if (!*first) snprintf(first, sizeof first, "%.500s", message);
    if (prepared && !*worked) snprintf(worked, sizeof worked, "%.500s", *message ? message : "no message");
    tn_bench_close(&bench);
  }
  const bool declares = trial->driver->inputs == TN_INPUTS_BEFORE; /* others may find wrong fields at work */
  if (*worked && (declares || trial->driver->inputs == TN_INPUTS_NONE))
    tn_trial_fail("accepts its inputs, then does not work: %s", worked);
  tn_trial_skip("takes none of the inputs that can be made here: %s; give a pipeline file with --with",
                *first ? first : "without a message");
}

bool tn_bench_open(tn_bench *bench, tn_trial *trial, const tn_setup *setup) {
  const tn_setup none = {0};
  if (!setup) setup = &none;
  if (trial->world < 0) {
    trial->world = 0;
    find_samples(trial);
  }
  return open_pipeline(bench, trial, setup);
}

void tn_bench_expect(tn_bench *bench, tn_trial *trial, const tn_setup *setup) {
  if (!tn_bench_open(bench, trial, setup)) refused(bench);
}

void tn_bench_ready(tn_bench *bench, tn_trial *trial, const tn_setup *setup) {
  static bool found;
  if (trial->world < 0) {
    trial->world = 0;
    find_samples(trial);
  }
  if (!found) {
    add_data(trial);
    find_world(trial);
    found = true;
  }
  const tn_setup none = {0};
  if (!open_pipeline(bench, trial, setup ? setup : &none)) refused(bench);
  if (!enter_world(bench, (uint32_t)trial->world))
    tn_trial_fail("the inputs are gone: %s", tn_trial_message());
  tn_trial_expect(prepare(bench, bench->subject), "preparing");
  tn_trial_expect(prepare(bench, bench->other), "preparing a second instance");
}

/* A failure must say why. */
static void expect_reason(tn_status status) {
  const bool said = tn_failed();
  if (status < 0 && !said) tn_trial_fail("failed with status %d, without a message", status);
  (void)tn_trial_message();
}

bool tn_bench_try(tn_bench *bench, tn_trial *trial, const tn_setup *setup) {
  if (!open_pipeline(bench, trial, setup)) {
    if (strstr(bench->error.text, "without saying why")) tn_trial_fail("%s", bench->error.text);
    return false;
  }
  tn_status status = TN_ERROR_MISSING;
  if (enter_world(bench, (uint32_t)trial->world)) {
    status = prepare(bench, bench->subject);
    if (status >= 0) status = prepare(bench, bench->other);
  }
  expect_reason(status);
  if (status < 0) tn_bench_close(bench);
  return status >= 0;
}

void tn_bench_attempt(tn_bench *bench, const tn_component *c, int64_t unit) {
  expect_reason(work(bench, c, unit));
}

void tn_bench_close(tn_bench *bench) {
  for (uint32_t i = 0; i < TN_ARRAY_LENGTH(bench->kept); i++) {
    if (!bench->kept[i].memory) continue;
    if (bench->kept[i].release) bench->kept[i].release(bench->kept[i].memory);
    free(bench->kept[i].memory);
  }
  tn_spec_release(bench->inputs);
  tn_pipeline_close(bench->pipeline);
  bench->pipeline = NULL;
}

void tn_bench_work(tn_bench *bench, const tn_component *c, int64_t unit) {
  tn_trial_expect(work(bench, c, unit), "working");
}

void *tn_bench_keep(tn_bench *bench, const tn_component *c, size_t bytes, void (*release)(void *)) {
  for (uint32_t i = 0; i < TN_ARRAY_LENGTH(bench->kept); i++)
    if (!bench->kept[i].memory) {
      bench->kept[i] = (struct tn_kept){c, tn_take(bytes), release};
      return bench->kept[i].memory;
    }
  tn_trial_fail("too much is kept");
}
void *tn_bench_kept(const tn_bench *bench, const tn_component *c) {
  for (uint32_t i = 0; i < TN_ARRAY_LENGTH(bench->kept); i++)
    if (bench->kept[i].memory && bench->kept[i].owner == c) return bench->kept[i].memory;
  return NULL;
}

const tn_component *tn_bench_find(const tn_bench *bench, const char *section) {
  return tn_pipeline_find(bench->pipeline, section);
}

tn_fields *tn_bench_fields(const tn_bench *bench, int64_t first, int64_t n) {
  int64_t index[64];
  if (n > 64) n = 64;
  for (int64_t i = 0; i < n; i++) index[i] = first + i;
  if (!bench->data) return tn_world_fields(bench->trial, bench->inputs, index, n);
  tn_fields *fields = tn_fields_new();
  const int64_t rows = tn_dataset_rows(bench->data);
  for (int64_t i = 0; i < n && rows > 0; i++) index[i] %= rows;
  if (rows > 0) tn_dataset_read(bench->data, index, n, fields);
  return fields;
}

tn_progress tn_bench_progress(int64_t step, tn_mode mode) {
  return (tn_progress){sizeof(tn_progress), mode, step, 100, (double)step / 10, 10};
}

const char *tn_bench_override(const char *key, const char *value) {
  static char texts[8][512];
  static uint32_t turn;
  char *text = texts[turn++ % 8];
  snprintf(text, sizeof texts[0], "subject.%s=%s", key, value);
  return text;
}
