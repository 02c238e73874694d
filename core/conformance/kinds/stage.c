// SPDX-License-Identifier: MIT
/* Stages: run whole, in their shortened form, with the plainest parts that they accept. */
#include "core/conformance/drivers.h"
#include "core/conformance/smoke.h"
#include "core/conformance/subject.h"
#include "core/config/bind.h"
#include <string.h>
#include <tenon/stage.h>

enum { MOST_PARTS = 32 };

static bool refers(const tn_param *p) {
  return p->type == TN_PARAM_REFERENCE || p->type == TN_PARAM_REFERENCES || p->type == TN_PARAM_TERMS;
}

/* Overrides that fill the optional references: none, one, or all of them. The required ones are in the text.
 */
typedef struct choice {
  char texts[MOST_PARTS][224];
  const char *overrides[MOST_PARTS];
  uint32_t count;
} choice;
static void add_part(choice *c, tn_trial *t, const tn_param *p) {
  const char *name = c->count < MOST_PARTS ? tn_subject_provide(t, p->kind) : NULL;
  if (!name) return;
  snprintf(c->texts[c->count], sizeof c->texts[0], "subject.%s=%s", p->key, name);
  c->overrides[c->count] = c->texts[c->count];
  c->count++;
}
/* Choice 0: nothing; 1 to params: that parameter; params + 1: all. false: there is nothing to add. */
static bool choose(choice *c, tn_trial *t, uint32_t number) {
  const uint32_t params = t->cls->param_count;
  *c = (choice){.count = 0};
  if (number == 0) return true;
  for (uint32_t i = 0; i < params; i++) {
    const tn_param p = tn_class_param(t->cls, i);
    if (!refers(&p) || (p.flags & TN_PARAM_REQUIRED) || (p.fallback && *p.fallback)) continue;
    if (number == params + 1 || number == i + 1) add_part(c, t, &p);
  }
  return c->count > 0;
}

/* The first choice of parts that the stage's check accepts. */
static void find(tn_trial *t, choice *c) {
  tn_error first = {0};
  tn_subject_compose(t);
  for (uint32_t number = 0; number <= t->cls->param_count + 1; number++) {
    if (!choose(c, t, number)) continue;
    tn_error error = {0};
    const tn_smoke_setting smoke = {"subject", "", NULL, c->overrides, c->count, 1, true};
    if (tn_smoke_run(t, &smoke, NULL, &error) >= 0) return;
    (void)tn_trial_message();
    if (!first.text[0]) first = error;
    if (strstr(error.text, "without saying why")) tn_trial_fail("check: %s", error.text);
  }
  tn_trial_skip("no choice of installed parts passes its check: %.500s; give a pipeline file with --with",
                first.text);
}

static tn_fingerprint run(tn_trial *t, const choice *c, int32_t threads) {
  tn_fingerprint digest = {0};
  tn_error error = {0};
  const tn_smoke_setting smoke = {"subject", "", t->run, c->overrides, c->count, threads, false};
  if (tn_smoke_run(t, &smoke, &digest, &error) < 0) tn_trial_fail("a shortened run: %s", error.text);
  return digest;
}

static void smoke(tn_trial *t) {
  choice c;
  find(t, &c);
  (void)run(t, &c, 1);
}

static void repeat(tn_trial *t) {
  choice c;
  find(t, &c);
  const tn_fingerprint one = run(t, &c, 1);
  if (one.items == 0) tn_trial_absent("it leaves no results and no parameters");
  if (run(t, &c, 1).hash != one.hash) tn_trial_fail("two runs with the same seed end differently");
  for (int32_t n = 2; n <= 4; n *= 2)
    if (run(t, &c, n).hash != one.hash) tn_trial_fail("a run with %d threads ends differently", n);
}

/* Every required part is left out in turn. */
static void missing(tn_trial *t) {
  uint32_t count = 0;
  tn_error error = {0};
  const tn_smoke_setting plain = {"subject", "", NULL, NULL, 0, 1, true};
  tn_subject_compose(t);
  if (tn_smoke_run(t, &plain, NULL, &error) < 0 && !strstr(error.text, "[subject]"))
    tn_trial_skip("its parts cannot be made: %.500s; give a pipeline file with --with", error.text);
  if (strstr(error.text, "without saying why")) tn_trial_fail("check refuses without a message");
  (void)tn_trial_message();
  for (uint32_t i = 0; i < t->cls->param_count; i++) {
    const tn_param p = tn_class_param(t->cls, i);
    if (!(p.flags & TN_PARAM_REQUIRED)) continue;
    const char *override = tn_bench_override(p.key, "");
    const tn_smoke_setting without = {"subject", "", NULL, &override, 1, 1, true};
    error = (tn_error){0};
    if (tn_smoke_run(t, &without, NULL, &error) >= 0)
      tn_trial_fail("without its required '%s' it passes its check", p.key);
    if (!strstr(error.text, p.key))
      tn_trial_fail("without '%s' the message does not name it: %s", p.key, error.text);
    count++;
  }
  tn_trial_note("%u required parts", count);
}

static const tn_check checks[] = {
    {"missing", "check refuses missing parts by name", missing},
    {"smoke", "a shortened run ends", smoke},
    {"repeat", "shortened runs end in the same bits, with 1, 2 and 4 threads", repeat},
};
const tn_driver tn_driver_stage = {
    .kind = TN_STAGE, .checks = checks, .check_count = TN_ARRAY_LENGTH(checks)};
