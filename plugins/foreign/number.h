// SPDX-License-Identifier: MIT
/* Numbers in C's types, from and to double. */
#ifndef TENON_FOREIGN_NUMBER_H
#define TENON_FOREIGN_NUMBER_H

#include "signature.h"
#include <stddef.h>

/* Writes `number` at `place` as the type's value (or element, for a pointer). False if the type cannot hold
 * it: a whole number is needed, and one in range. */
TN_HIDDEN bool foreign_write(foreign_type type, double number, void *place);
TN_HIDDEN double foreign_read(foreign_type type, const void *place);

/* The same for `count` numbers in a row. */
TN_HIDDEN bool foreign_write_all(foreign_type type, const double *numbers, size_t count, void *place);
TN_HIDDEN void foreign_read_all(foreign_type type, const void *place, size_t count, double *numbers);

/* True if elements of the type are doubles. */
TN_HIDDEN bool foreign_is_double(foreign_type type);

#endif
