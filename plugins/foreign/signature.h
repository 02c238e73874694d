// SPDX-License-Identifier: MIT
/* C-like signatures, "double (int n, const double *x, void *data)", as data.
 *
 * Known are the scalar types of C (char to long long, signed and unsigned, float, double, bool), intN_t,
 * uintN_t, size_t, ssize_t, ptrdiff_t, intptr_t and uintptr_t, pointers to them, void, and parameters that
 * are functions, "double (*f)(int n, const double *x)". A name between result and parameters, names of
 * parameters, and a final semicolon may be left out or not, as in a prototype. */
#ifndef TENON_FOREIGN_SIGNATURE_H
#define TENON_FOREIGN_SIGNATURE_H

#include <stdbool.h>
#include <stdint.h>
#include <tenon/abi.h>

#define FOREIGN_ARGUMENTS 16u
#define FOREIGN_CALLBACKS 4u
#define FOREIGN_NAME      32u   /* bytes, with the NUL */
#define FOREIGN_BYTES     1024u /* of a signature */

typedef enum foreign_class {
  FOREIGN_VOID,
  FOREIGN_BOOL,
  FOREIGN_SIGNED,
  FOREIGN_UNSIGNED,
  FOREIGN_REAL
} foreign_class;

typedef struct foreign_type {
  foreign_class class; /* of the value, or of what the pointer points to */
  uint32_t bytes;      /* its size; 0 for void */
  bool pointer;
  bool constant; /* of a pointer: what it points to is const */
  bool function; /* a function pointer; class and bytes mean nothing then */
} foreign_type;

typedef struct foreign_argument {
  char name[FOREIGN_NAME]; /* "" if it has none */
  uint32_t column;         /* of its name, or of its type, from 1 */
  foreign_type type;
  uint32_t callback; /* of a function pointer: which one */
} foreign_argument;

typedef struct foreign_function {
  foreign_type result; /* never a pointer */
  uint32_t count;
  foreign_argument arguments[FOREIGN_ARGUMENTS];
} foreign_function;

typedef struct foreign_signature {
  foreign_function function;
  uint32_t callback_count;
  foreign_function callbacks[FOREIGN_CALLBACKS]; /* they have no callbacks of their own */
} foreign_signature;

/* TN_OK, or a recorded error: signature '...': column N: what is wrong. */
TN_HIDDEN tn_status foreign_signature_parse(const char *text, foreign_signature *signature);

/* Records "signature '...': column N: ...". */
TN_PRINTF(3, 4)
TN_HIDDEN tn_status foreign_signature_fail(const char *text, uint32_t column, const char *format, ...);

#endif
