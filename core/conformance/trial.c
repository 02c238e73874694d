// SPDX-License-Identifier: MIT
#include "core/conformance/trial.h"
#include "core/plugin/host.h"
#include <math.h>
#include <stdarg.h>
#include <string.h>

#define SAY(room, format)                                 \
  do {                                                    \
    va_list arguments;                                    \
    va_start(arguments, format);                          \
    vsnprintf((room), sizeof(room), (format), arguments); \
    va_end(arguments);                                    \
  } while (0)

_Noreturn void tn_trial_fail(const char *format, ...) {
  SAY(tn_finding_here()->text, format);
  tn_finding_end(TN_FAILED);
}
_Noreturn void tn_trial_skip(const char *format, ...) {
  SAY(tn_finding_here()->text, format);
  tn_finding_end(TN_SKIPPED);
}
_Noreturn void tn_trial_absent(const char *format, ...) {
  SAY(tn_finding_here()->text, format);
  tn_finding_end(TN_ABSENT);
}
void tn_trial_note(const char *format, ...) { SAY(tn_finding_here()->text, format); }

const char *tn_trial_message(void) {
  static char message[sizeof(((tn_context *)NULL)->message)];
  tn_context *context = tn_context_current();
  snprintf(message, sizeof message, "%s", context->message);
  tn_context_clear(context);
  return message;
}

void tn_trial_expect(tn_status status, const char *what) {
  if (tn_context_current()->status != TN_OK) tn_trial_fail("%s: %s", what, tn_trial_message());
  if (status < 0) tn_trial_fail("%s failed with status %d, without a message", what, status);
}

static uint64_t mixed(uint64_t x) { /* the finaliser of SplitMix64 (Steele et al. 2014) */
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

static uint64_t bits(const tn_trial *trial, const char *about, uint64_t index) {
  uint64_t key = trial->seed;
  for (; *about; about++) key = mixed(key ^ (unsigned char)*about);
  return mixed(key ^ mixed(index));
}

uint64_t tn_trial_random(const tn_trial *trial, const char *about, uint64_t index, uint64_t bound) {
  return bits(trial, about, index) % bound;
}
double tn_trial_uniform(const tn_trial *trial, const char *about, uint64_t index) {
  return (double)(bits(trial, about, index) >> 11) * 0x1p-53;
}
double tn_trial_normal(const tn_trial *trial, const char *about, uint64_t index) {
  const double u = 1 - tn_trial_uniform(trial, about, 2 * index);
  return sqrt(-2 * log(u)) * cos(6.283185307179586 * tn_trial_uniform(trial, about, 2 * index + 1));
}

uint32_t tn_trial_times(const tn_trial *trial, uint32_t full, uint32_t fast) {
  return trial->options->fast ? fast : full;
}
