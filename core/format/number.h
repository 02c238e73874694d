// SPDX-License-Identifier: MIT
/* Decimal numbers in text formats. */
#ifndef TENON_FORMAT_NUMBER_H
#define TENON_FORMAT_NUMBER_H

#include <stdbool.h>

/* Reads the decimal number (sign, digits, point, exponent; no blanks, no hexadecimal, no nan or inf) at the
 * start of `text`, correctly rounded; the process must run in the C locale. True if there is one and it is
 * finite. *end is the byte after the number, or `text` if there is none. Several times as fast as strtod for
 * up to 15 digits. */
bool tn_number_read(const char *text, const char **end, double *value);

#endif
