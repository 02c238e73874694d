// SPDX-License-Identifier: MIT
#include "core/format/number.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

bool tn_number_read(const char *text, const char **end, double *value) {
  // Powers of ten that a double holds exactly: with a mantissa below 2^53 one multiplication or division is
  // correctly rounded (Clinger 1990, "How to read floating point numbers accurately").
  static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  const char *c = text;
  bool negative = *c == '-';
  if (*c == '-' || *c == '+') c++;
  uint64_t mantissa = 0;
  int exponent = 0;
  const char *digits = c;
  for (; *c >= '0' && *c <= '9'; c++) mantissa = mantissa * 10 + (uint64_t)(*c - '0');
  size_t digit_count = (size_t)(c - digits);
  if (*c == '.') {
    const char *fraction = ++c;
    for (; *c >= '0' && *c <= '9'; c++) mantissa = mantissa * 10 + (uint64_t)(*c - '0');
    size_t fraction_count = (size_t)(c - fraction);
    digit_count += fraction_count;
    exponent = fraction_count < 1000 ? -(int)fraction_count : -1000;
  }
  *end = text;
  if (digit_count == 0) return false;
  if (*c == 'e' || *c == 'E') {
    const char *e = c + 1;
    bool down = *e == '-';
    if (*e == '-' || *e == '+') e++;
    if (*e >= '0' && *e <= '9') {
      int shift = 0;
      for (; *e >= '0' && *e <= '9'; e++)
        if (shift < 100000) shift = shift * 10 + (*e - '0');
      exponent += down ? -shift : shift;
      c = e;
    }
  }
  *end = c;
  // 19 digits fit 64 bits, so the mantissa did not overflow
  if (digit_count <= 19 && mantissa <= (uint64_t)1 << 53 && exponent >= -22 && exponent <= 22) {
    double m = (double)mantissa;
    m = exponent < 0 ? m / power[-exponent] : m * power[exponent];
    *value = negative ? -m : m;
    return true;
  }
  *value = strtod(text, NULL);
  return isfinite(*value);
}
