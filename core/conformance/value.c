// SPDX-License-Identifier: MIT
/* Values for parameters: plain ones, those at the boundaries of the range, random ones, and wrong ones. */
#include "core/conformance/subject.h"
#include <float.h>
#include <math.h>
#include <string.h>

static bool whole(const tn_param *p) {
  return p->type == TN_PARAM_INTEGER || p->type == TN_PARAM_INTEGERS || p->type == TN_PARAM_COUNT;
}
static bool numeric(const tn_param *p) {
  return whole(p) || p->type == TN_PARAM_REAL || p->type == TN_PARAM_REALS;
}

/* The smallest and the largest value of a range; infinite ends are free, and stand for these. */
static double lowest(const tn_param *p) {
  if (!isfinite(p->min)) return whole(p) ? -1e6 : -1e12;
  if (!(p->flags & TN_PARAM_MIN_EXCLUSIVE)) return whole(p) ? ceil(p->min) : p->min;
  return whole(p) ? floor(p->min) + 1 : fmax(nextafter(p->min, INFINITY), p->min == 0 ? DBL_MIN : -INFINITY);
}
/* Larger whole numbers are sizes that would be made: rows, widths. */
enum { LARGEST = 4096 };
static double highest(const tn_param *p) {
  if (whole(p) && p->max > LARGEST && p->min < LARGEST) return LARGEST;
  if (!isfinite(p->max)) return whole(p) ? 1e6 : 1e12;
  if (!(p->flags & TN_PARAM_MAX_EXCLUSIVE)) return whole(p) ? floor(p->max) : p->max;
  return whole(p) ? ceil(p->max) - 1 : nextafter(p->max, -INFINITY);
}

static void number(const tn_param *p, double value, char *text, size_t bytes) {
  snprintf(text, bytes, whole(p) ? "%.0f" : "%.17g", value);
}

static bool word(const tn_param *p, uint32_t index, char *text, size_t bytes) {
  const char *at = p->choices ? p->choices : "";
  for (; index > 0 && at; index--) at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL;
  if (!at || !*at) return false;
  snprintf(text, bytes, "%.*s", (int)strcspn(at, "|"), at);
  return true;
}

bool tn_param_plain(const tn_param *p, char *text, size_t bytes) {
  const double low = lowest(p), high = highest(p), usual = whole(p) ? 2 : 0.5;
  if (numeric(p)) {
    number(p, usual < low ? low : usual > high ? high : usual, text, bytes);
    return true;
  }
  switch (p->type) {
  case TN_PARAM_BOOL: snprintf(text, bytes, "yes"); return true;
  case TN_PARAM_CHOICE: return word(p, 0, text, bytes);
  case TN_PARAM_EXPRESSION:
    if (!word(p, 0, text, bytes)) snprintf(text, bytes, "1");
    return true;
  default: return false;
  }
}

bool tn_param_boundary(const tn_param *p, uint32_t index, char *text, size_t bytes) {
  if (numeric(p) && index < 2) {
    number(p, index == 0 ? lowest(p) : highest(p), text, bytes);
    return true;
  }
  if (p->type == TN_PARAM_BOOL && index < 2) {
    snprintf(text, bytes, index == 0 ? "no" : "yes");
    return true;
  }
  return p->type == TN_PARAM_CHOICE && word(p, index, text, bytes);
}

bool tn_param_invalid(const tn_param *p, uint32_t index, char *text, size_t bytes) {
  if (p->type == TN_PARAM_STRING || p->type == TN_PARAM_STRINGS || p->type == TN_PARAM_PATH) return false;
  if (index == 0) {
    snprintf(text, bytes, "no/such value");
    return true;
  }
  if (!numeric(p) || p->type == TN_PARAM_COUNT) return false;
  if (index == 1 && isfinite(p->min))
    number(p, whole(p) ? floor(p->min) - 1 : p->min - 1 - fabs(p->min), text, bytes);
  else if (index <= 2 && isfinite(p->max))
    number(p, whole(p) ? ceil(p->max) + 1 : p->max + 1 + fabs(p->max), text, bytes);
  else
    return false;
  return true;
}

/* Over the whole range, half of the time near its lower end, where ranges over many powers of ten matter. */
static double random_number(const tn_trial *t, const tn_param *p, uint64_t index) {
  const bool bounded = whole(p) && t->largest > 0;
  const double low = bounded ? fmax(lowest(p), fmin(-(double)t->largest, highest(p))) : lowest(p),
               high = bounded ? fmin(highest(p), fmax(low, 0) + (double)t->largest) : highest(p),
               u = tn_trial_uniform(t, p->key, 2 * index + 1);
  double value = low + u * (high - low);
  if (tn_trial_random(t, p->key, 2 * index, 2) == 0) value = low + (high - low) * pow(u, 12);
  if (whole(p)) value = round(value);
  return value < low ? low : value > high ? high : value;
}

bool tn_param_random(const tn_trial *t, const tn_param *p, uint64_t index, char *text, size_t bytes) {
  if (p->type == TN_PARAM_INTEGERS || p->type == TN_PARAM_REALS) {
    const uint64_t count = 1 + tn_trial_random(t, p->key, 100 + index, 3);
    size_t used = 0;
    for (uint64_t i = 0; i < count && used < bytes; i++) {
      char item[64];
      number(p, random_number(t, p, 4 * index + i), item, sizeof item);
      used += (size_t)snprintf(text + used, bytes - used, "%s%s", i ? ", " : "", item);
    }
    return used < bytes;
  }
  if (numeric(p)) {
    number(p, random_number(t, p, index), text, bytes);
    return true;
  }
  if (p->type == TN_PARAM_BOOL) {
    snprintf(text, bytes, tn_trial_random(t, p->key, index, 2) ? "yes" : "no");
    return true;
  }
  return p->type == TN_PARAM_CHOICE && word(p, (uint32_t)tn_trial_random(t, p->key, index, 64), text, bytes);
}
