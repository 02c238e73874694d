// SPDX-License-Identifier: MIT
/* What every component must keep, whatever its kind. */
#include "core/conformance/bench.h"
#include "core/conformance/subject.h"
#include "core/config/memory.h"
#include "core/pipeline/state.h"
#include "core/tensor/guard.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

enum { UNITS = 4 }; /* of work in a comparison */

/* ---- parameters ---- */

static void schema(tn_trial *t) {
  tn_error error = {0};
  if (tn_schema_check(t->cls, &error) != TN_OK) tn_trial_fail("%s", error.text);
  for (uint32_t i = 0; i < t->cls->param_count; i++) {
    const tn_param p = tn_class_param(t->cls, i);
    if (strlen(p.doc) < 3) tn_trial_fail("parameter '%s' is not documented: '%s'", p.key, p.doc);
  }
  tn_trial_note("%u parameters", t->cls->param_count);
}

static void defaults(tn_trial *t) {
  tn_bench bench;
  tn_bench_expect(&bench, t, NULL);
  tn_bench_close(&bench);
}

/* Made or refused with a reason; anything else is a failure. */
static bool made(tn_trial *t, const char *const *overrides, uint32_t count) {
  tn_bench bench;
  const bool good = tn_bench_open(&bench, t, &(tn_setup){.overrides = overrides, .override_count = count});
  if (good)
    tn_bench_close(&bench);
  else if (strstr(bench.error.text, "failed without saying why"))
    tn_trial_fail("refused without a message: %s", count ? overrides[0] : "");
  tn_trial_message();
  return good;
}

static void boundaries(tn_trial *t) {
  char value[256];
  uint32_t tried = 0, refused = 0;
  defaults(t);
  for (uint32_t i = 0; i < t->cls->param_count; i++) {
    const tn_param p = tn_class_param(t->cls, i);
    for (uint32_t k = 0; tn_param_boundary(&p, k, value, sizeof value); k++, tried++) {
      const char *override = tn_bench_override(p.key, value);
      snprintf(tn_finding_here()->doing, sizeof tn_finding_here()->doing, "while creating with %s", override);
      refused += !made(t, &override, 1);
    }
  }
  tn_trial_note("%u values, %u refused with a reason", tried, refused);
}

static void random_values(tn_trial *t) {
  const uint32_t times = tn_trial_times(t, 100, 15);
  uint32_t refused = 0;
  defaults(t);
  for (uint32_t i = 0; i < times; i++) {
    static char texts[64][320];
    const char *overrides[64];
    uint32_t count = 0;
    for (uint32_t k = 0; k < t->cls->param_count && count < 64; k++) {
      char value[256];
      const tn_param p = tn_class_param(t->cls, k);
      if (tn_trial_random(t, p.key, 1000 + i, 2) || !tn_param_random(t, &p, i, value, sizeof value)) continue;
      snprintf(texts[count], sizeof texts[0], "subject.%s=%s", p.key, value);
      overrides[count] = texts[count];
      count++;
    }
    refused += !made(t, overrides, count);
  }
  tn_trial_note("%u sets of values, %u refused with a reason", times, refused);
}

static void must_refuse(tn_trial *t, const char *key, const char *value) {
  tn_bench bench;
  const char *override = tn_bench_override(key, value);
  if (tn_bench_open(&bench, t, &(tn_setup){.overrides = &override, .override_count = 1}))
    tn_trial_fail("%s = %s is taken", key, value);
  if (!strstr(bench.error.text, key))
    tn_trial_fail("the refusal of %s = %s does not name the key: %s", key, value, bench.error.text);
}

static void invalid_values(tn_trial *t) {
  char value[256];
  defaults(t);
  must_refuse(t, "no_such_key", "1");
  for (uint32_t i = 0; i < t->cls->param_count; i++) {
    const tn_param p = tn_class_param(t->cls, i);
    for (uint32_t k = 0; k < 3; k++)
      if (tn_param_invalid(&p, k, value, sizeof value)) must_refuse(t, p.key, value);
  }
}

/* ---- life ---- */

/* Bytes in use by malloc; 0: not known here (another C library, or a sanitizer's allocator). */
static size_t in_use(void) {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
#else
  return 0;
#endif
}

/* Fails if memory grows with every round. Caches settle in jumps, a leak shows in every stretch of rounds:
 * the stretch that grows least counts. */
static void expect_no_growth(tn_trial *t, void (*round)(tn_trial *), uint32_t rounds) {
  enum { STRETCHES = 24 };
  double least = INFINITY;
  if (in_use() == 0) tn_trial_skip("this program's allocator does not say what is in use");
  const clock_t start = clock();
  for (uint32_t i = 0; i < 4; i++) round(t);
  if (clock() - start > CLOCKS_PER_SEC / 5) rounds = 5; /* large ones lose much, if they do */
  for (int stretch = 0; stretch < STRETCHES && least >= 8; stretch++) {
    const size_t before = in_use();
    const uint32_t length = rounds * (uint32_t)(1 + stretch / 4); /* longer and longer: a jump weighs less */
    for (uint32_t i = 0; i < length; i++) round(t);
    const size_t after = in_use();
    const double grown = after > before ? (double)(after - before) / length : 0;
    if (grown < least) least = grown;
  }
  if (least >= 8) tn_trial_fail("%.0f bytes are lost with every instance", least);
}

static void live(tn_trial *t) {
  tn_bench bench;
  tn_bench_ready(&bench, t, NULL);
  for (int64_t unit = 0; unit < 2; unit++) tn_bench_work(&bench, bench.subject, unit);
  tn_bench_close(&bench);
}
static void leak(tn_trial *t) {
  live(t);
  expect_no_growth(t, live, tn_trial_times(t, 40, 25));
}

static void thousand(tn_trial *t) {
  const uint32_t times = tn_trial_times(t, 1000, 50);
  for (uint32_t i = 0; i < times; i++) defaults(t);
  expect_no_growth(t, defaults, tn_trial_times(t, 40, 25));
  tn_trial_note("%u times", times);
}

/* ---- bits ---- */

static tn_fingerprint digest_of(tn_trial *t, const tn_setup *setup) {
  tn_bench bench;
  tn_bench_ready(&bench, t, setup);
  if (!t->driver->work) tn_trial_absent("nothing comes out that could be compared");
  for (int64_t unit = 0; unit < UNITS; unit++) tn_bench_work(&bench, bench.subject, unit);
  const tn_fingerprint digest = bench.digest;
  tn_bench_close(&bench);
  if (digest.items == 0) tn_trial_absent("nothing comes out that could be compared");
  return digest;
}

static void same_bits(tn_trial *t) {
  const tn_fingerprint first = digest_of(t, NULL), second = digest_of(t, NULL);
  if (first.hash != second.hash) tn_trial_fail("two runs with the same seed differ");
}

static void threads(tn_trial *t) {
  const tn_fingerprint one = digest_of(t, &(tn_setup){.threads = 1});
  for (int32_t n = 2; n <= 4; n *= 2)
    if (digest_of(t, &(tn_setup){.threads = n}).hash != one.hash)
      tn_trial_fail("%d threads give other bits than one", n);
}

static void independence(tn_trial *t) {
  if (t->driver->shares) tn_trial_absent("its instances train the same %s here", t->driver->shares);
  const tn_fingerprint alone = digest_of(t, NULL);
  tn_bench bench;
  tn_bench_ready(&bench, t, NULL);
  for (int64_t unit = 0; unit < UNITS; unit++) {
    const tn_fingerprint kept = bench.digest;
    tn_bench_work(&bench, bench.other, unit + 7);
    bench.digest = kept;
    tn_bench_work(&bench, bench.subject, unit);
  }
  if (bench.digest.hash != alone.hash) tn_trial_fail("what it does depends on another instance of its class");
  tn_bench_close(&bench);
}

/* The states of all components of a pipeline, as a checkpoint holds them: the subject may keep some of its
 * own in what it refers to. */
static tn_state *save_all(const tn_bench *from) {
  tn_state *state = tn_state_new();
  unsigned char hash[TN_STATE_HASH];
  for (uint32_t i = 0; i < tn_pipeline_count(from->pipeline); i++)
    tn_trial_expect(tn_state_save(state, tn_pipeline_at(from->pipeline, i)), "saving the state");
  tn_trial_expect(tn_state_hash(state, hash), "saving the state"); /* refuses a name that is there twice */
  return state;
}

static void load_all(tn_state *saved, const tn_bench *from, const tn_bench *to) {
  const uint32_t count = tn_pipeline_count(from->pipeline);
  if (tn_pipeline_count(to->pipeline) != count) tn_trial_fail("a fresh pipeline has other components");
  for (uint32_t i = 0; i < count; i++) {
    const tn_component *a = tn_pipeline_at(from->pipeline, i), *b = tn_pipeline_at(to->pipeline, i);
    if (tn_pipeline_outputs(from->pipeline, a) && tn_pipeline_outputs(to->pipeline, b)) {
      const tn_params *x = tn_pipeline_parameters(from->pipeline, a);
      tn_params *y = tn_pipeline_parameters(to->pipeline, b);
      if (x && y) tn_params_copy(y, x);
    }
    tn_trial_expect(tn_state_load(saved, b), "loading the state");
  }
  const char *left = tn_state_untaken(saved);
  if (left) tn_trial_fail("'%s' was saved, but is not asked for when loading", left);
  tn_state *again = save_all(to);
  const char *differs = tn_state_difference(saved, again);
  if (differs) tn_trial_fail("'%s' is not what was saved after it was loaded into a fresh instance", differs);
  tn_state_free(again);
}

static void state(tn_trial *t) {
  tn_bench a, b;
  tn_bench_ready(&a, t, NULL);
  if (!t->driver->work) tn_trial_absent("nothing can be continued");
  for (int64_t unit = 0; unit < UNITS / 2; unit++) tn_bench_work(&a, a.subject, unit);
  tn_state *saved = save_all(&a);
  tn_bench_ready(&b, t, NULL);
  if (t->driver->carry) t->driver->carry(&a, &b);
  load_all(saved, &a, &b);
  b.digest = a.digest;
  for (int64_t unit = UNITS / 2; unit < UNITS; unit++) tn_bench_work(&b, b.subject, unit);
  const uint64_t continued = b.digest.hash;
  tn_bench_close(&b);
  for (int64_t unit = UNITS / 2; unit < UNITS; unit++) tn_bench_work(&a, a.subject, unit);
  if (a.digest.hash != continued)
    tn_trial_fail("a fresh instance with the saved state goes on differently%s",
                  TN_HAS(t->cls, tn_class, state) ? "" : ": the class has no state function");
  tn_trial_note("%zu bytes of state", tn_state_bytes(saved, a.subject->name));
  tn_state_free(saved);
  tn_bench_close(&a);
}

static void guard(tn_trial *t) {
  tn_bench bench;
  t->guard = true;
  tn_bench_ready(&bench, t, NULL);
  for (int64_t unit = 0; unit < 2; unit++) tn_bench_work(&bench, bench.subject, unit);
  tn_bench_close(&bench);
  if (tn_guard_damaged() > 0) tn_trial_fail("it writes past the end of a tensor or of its instance");
}

static void reload(tn_trial *t) {
  const bool works = t->driver->work != NULL;
  defaults(t);
  const uint64_t before = works ? digest_of(t, NULL).hash : 0;
  t->file = tn_copy_text(t->file); /* the registry's */
  t->full = tn_copy_text(t->full);
  tn_registry_close(t->registry);
  tn_error error = {0};
  t->registry = tn_registry_open(&(tn_registry_options){.files = &t->file, .file_count = 1}, &error);
  if (!t->registry) tn_trial_fail("after unloading: %s", error.text);
  t->cls = tn_registry_load(t->registry, t->full, NULL, 0, &error);
  if (!t->cls) tn_trial_fail("after unloading: %s", error.text);
  defaults(t);
  if (works && digest_of(t, NULL).hash != before)
    tn_trial_fail("after unloading and loading again it gives other bits");
}

const tn_check tn_general_checks[] = {
    {"schema", "its schema is well-formed and documented", schema},
    {"defaults", "it can be made with its defaults", defaults},
    {"boundaries", "it can be made with every boundary value, or refuses it with a reason", boundaries},
    {"random", "it can be made with random valid values, or refuses them with a reason", random_values},
    {"invalid", "invalid values and unknown keys are refused by name", invalid_values},
    {"thousand", "it can be made and destroyed a thousand times", thousand},
    {"leak", "destroy gives back what create and work took", leak},
    {"independence", "two instances do not disturb each other", independence},
    {"state", "state saved and loaded into a fresh instance goes on with the same bits", state},
    {"seed", "the same seed gives the same bits", same_bits},
    {"threads", "1, 2 and 4 threads give the same bits", threads},
    {"guard", "it writes nowhere but into its outputs", guard},
    {"reload", "it works after its plugin was unloaded and loaded again", reload},
};
const uint32_t tn_general_check_count = TN_ARRAY_LENGTH(tn_general_checks);
