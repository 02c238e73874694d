// SPDX-License-Identifier: MIT
#include "core/config/number.h"
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static size_t digits(const char *text) { return strspn(text, "0123456789"); }

/* [+-] digits [. digits] [e [+-] digits]; digits on at least one side of the point. */
static bool decimal(const char *text) {
  if (*text == '+' || *text == '-') text++;
  size_t whole = digits(text), fraction = 0;
  text += whole;
  if (*text == '.') fraction = digits(++text), text += fraction;
  if (whole + fraction == 0) return false;
  if (*text == 'e' || *text == 'E') {
    text++;
    if (*text == '+' || *text == '-') text++;
    size_t exponent = digits(text);
    if (exponent == 0) return false;
    text += exponent;
  }
  return *text == '\0';
}

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;
static void make_c_locale(void) { c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

/* strtod takes the decimal point of the locale. */
static double c_strtod(const char *text) {
  pthread_once(&c_locale_once, make_c_locale);
  locale_t former = c_locale ? uselocale(c_locale) : (locale_t)0;
  errno = 0;
  double value = strtod(text, NULL);
  int status = errno;
  if (former) uselocale(former);
  errno = status;
  return value;
}

tn_number_status tn_number_real(const char *text, bool infinite, double *value) {
  const char *word = text + (*text == '+' || *text == '-');
  if (infinite && (strcasecmp(word, "inf") == 0 || strcasecmp(word, "infinity") == 0)) {
    *value = *text == '-' ? -(double)INFINITY : (double)INFINITY;
    return TN_NUMBER_OK;
  }
  if (!decimal(text)) return TN_NUMBER_MALFORMED;
  *value = c_strtod(text);
  if (isinf(*value)) return TN_NUMBER_TOO_LARGE;
  if (*value == 0 && errno == ERANGE) return TN_NUMBER_TOO_SMALL;
  return TN_NUMBER_OK;
}

tn_number_status tn_number_integer(const char *text, int64_t *value) {
  const char *start = text + (*text == '+' || *text == '-');
  if (digits(start) > 0 && start[digits(start)] == '\0') {
    errno = 0;
    *value = strtoll(text, NULL, 10);
    return errno == ERANGE ? TN_NUMBER_TOO_LARGE : TN_NUMBER_OK;
  }
  double real;
  tn_number_status status = tn_number_real(text, false, &real);
  if (status == TN_NUMBER_TOO_SMALL || (status == TN_NUMBER_OK && floor(real) != real))
    return TN_NUMBER_MALFORMED;
  if (status != TN_NUMBER_OK) return status;
  if (fabs(real) >= 9223372036854775808.0) return TN_NUMBER_TOO_LARGE; /* 2^63 */
  *value = (int64_t)real;
  return TN_NUMBER_OK;
}
