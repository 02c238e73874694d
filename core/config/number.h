// SPDX-License-Identifier: MIT
/* Numbers as people write them in pipeline files, the same in every locale. */
#ifndef TENON_CORE_NUMBER_H
#define TENON_CORE_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

typedef enum tn_number_status {
  TN_NUMBER_OK,
  TN_NUMBER_MALFORMED, /* also hexadecimal, nan, and anything after the number */
  TN_NUMBER_TOO_LARGE,
  TN_NUMBER_TOO_SMALL /* not 0, but nearer to 0 than a double can be */
} tn_number_status;

/* Decimal numbers with fraction and exponent; `inf`, `+inf`, `-inf` and `infinity` if `infinite`. */
tn_number_status tn_number_real(const char *text, bool infinite, double *value);
/* Whole numbers; `1e6` and `2.0` are. */
tn_number_status tn_number_integer(const char *text, int64_t *value);

#endif
