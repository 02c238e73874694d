// SPDX-License-Identifier: MIT
/* Parameter schemas: which keys of an INI section a component understands, and where their values go.
 *
 * A schema is a constant array of tn_param. Before `create` runs, the host parses every key of the section,
 * checks type, range, choices and references, converts, and writes the value to the field of the instance
 * struct; a key that is absent gets the default, written exactly as a user would write it in the file. The
 * same array feeds `tenon info`, the documentation and the error messages. Nothing needs to be parsed in a
 * plugin. */
#ifndef TENON_SCHEMA_H
#define TENON_SCHEMA_H

#include <math.h>
#include <tenon/abi.h>

/* Type of a parameter, and the type of the field it is written to. Pointers are owned by the host and live as
 * long as the instance. A list's field is {items, count}; an absent or empty list has count 0. */
typedef int32_t tn_param_type;
enum {
  TN_PARAM_BOOL = 1,        /* bool: yes / no, true / false, on / off, 1 / 0 */
  TN_PARAM_INTEGER = 2,     /* int64_t; `1e6` is accepted if whole */
  TN_PARAM_REAL = 3,        /* double */
  TN_PARAM_STRING = 4,      /* const char *; "" if empty */
  TN_PARAM_CHOICE = 5,      /* int32_t: index into `choices` */
  TN_PARAM_PATH = 6,        /* const char *; relative paths are resolved against the INI file's folder */
  TN_PARAM_INTEGERS = 7,    /* tn_integers; `1, 2, 3` */
  TN_PARAM_REALS = 8,       /* tn_reals */
  TN_PARAM_STRINGS = 9,     /* tn_strings; comma-separated, blanks trimmed */
  TN_PARAM_REFERENCE = 10,  /* const tn_component *; NULL if not given: a section, or a bare component name */
  TN_PARAM_REFERENCES = 11, /* tn_references */
  TN_PARAM_TERMS = 12,      /* tn_terms: `0.1 * ce, hoc` */
  TN_PARAM_EXPRESSION =
      13,             /* const tn_expression * (expression.h); NULL if empty. `choices` lists its variables */
  TN_PARAM_COUNT = 14 /* tn_count: a whole number, a percentage `5%`, or `full` */
};

typedef struct tn_integers {
  const int64_t *items;
  uint32_t count;
} tn_integers;
typedef struct tn_reals {
  const double *items;
  uint32_t count;
} tn_reals;
typedef struct tn_strings {
  const char *const *items;
  uint32_t count;
} tn_strings;
typedef struct tn_references {
  const tn_component *const *items;
  uint32_t count;
} tn_references;
typedef struct tn_term {
  double weight;
  const tn_component *component;
} tn_term;
typedef struct tn_terms {
  const tn_term *items;
  uint32_t count;
} tn_terms;
/* A number of things that may depend on how many there are. */
typedef struct tn_count {
  int64_t number;  /* > 0 if given as a number */
  double fraction; /* > 0 if given as a percentage; 1 for `full` */
} tn_count;
/* The count in force out of `total`: at least 1, at most `total` if that is positive. */
static inline int64_t tn_count_of(tn_count count, int64_t total) {
  int64_t n = count.number;
  if (count.fraction > 0) n = (int64_t)(count.fraction * (double)total + 0.5);
  if (n > total && total > 0) n = total;
  return n < 1 ? 1 : n;
}

enum {
  TN_PARAM_REQUIRED = 1u << 0,      /* no default: the section must give it */
  TN_PARAM_MIN_EXCLUSIVE = 1u << 1, /* the value must be greater than, not equal to, `min` */
  TN_PARAM_MAX_EXCLUSIVE = 1u << 2,
  TN_PARAM_ADVANCED = 1u << 3 /* shown by `tenon info`, left out of what `tenon new` and short tables show */
};

/* One key. Arrays of it may have a longer stride in a later SDK: walk them with tn_class.param_size. */
typedef struct tn_param {
  const char *key; /* [a-z0-9_]+ */
  tn_param_type type;
  uint32_t flags;       /* TN_PARAM_* bits */
  size_t offset;        /* of the field in the instance struct */
  const char *fallback; /* the default as a user would write it; NULL or "": none, empty, or 0 */
  double min,
      max; /* range of numbers, and of each item of a list of numbers; lists: -INFINITY, INFINITY if free */
  const char *choices; /* CHOICE: "a|b|c"; EXPRESSION: the variables "x|y" */
  const char *kind;    /* references: the id of the kind they must have, "tenon.loss/1" */
  const char *unit;    /* "steps", "1/s"; NULL if none */
  const char *doc;     /* one line; required */
} tn_param;

/* Positional initialisers, usable from C and C++: TN_REAL(lion, beta1, "0.9", 0, 1, "decay of ...") binds key
 * `beta1` to the field `beta1` of `struct lion`. */
#define TN_PARAM_(s, f, type, flags, fallback, min, max, choices, kind, unit, doc) \
  { #f, type, flags, offsetof(s, f), fallback, min, max, choices, kind, unit, doc }
#define TN_BOOL(s, f, fallback, doc) TN_PARAM_(s, f, TN_PARAM_BOOL, 0, fallback, 0, 1, NULL, NULL, NULL, doc)
#define TN_INTEGER(s, f, fallback, min, max, unit, doc) \
  TN_PARAM_(s, f, TN_PARAM_INTEGER, 0, fallback, (double)(min), (double)(max), NULL, NULL, unit, doc)
#define TN_REAL(s, f, fallback, min, max, doc) \
  TN_PARAM_(s, f, TN_PARAM_REAL, 0, fallback, min, max, NULL, NULL, NULL, doc)
#define TN_STRING(s, f, fallback, doc) \
  TN_PARAM_(s, f, TN_PARAM_STRING, 0, fallback, -INFINITY, INFINITY, NULL, NULL, NULL, doc)
#define TN_CHOICE(s, f, fallback, choices, doc) \
  TN_PARAM_(s, f, TN_PARAM_CHOICE, 0, fallback, -INFINITY, INFINITY, choices, NULL, NULL, doc)
#define TN_PATH(s, f, flags, fallback, doc) \
  TN_PARAM_(s, f, TN_PARAM_PATH, flags, fallback, -INFINITY, INFINITY, NULL, NULL, NULL, doc)
#define TN_INTEGERS(s, f, fallback, min, max, doc) \
  TN_PARAM_(s, f, TN_PARAM_INTEGERS, 0, fallback, (double)(min), (double)(max), NULL, NULL, NULL, doc)
#define TN_REALS(s, f, fallback, min, max, doc) \
  TN_PARAM_(s, f, TN_PARAM_REALS, 0, fallback, min, max, NULL, NULL, NULL, doc)
#define TN_STRINGS(s, f, fallback, doc) \
  TN_PARAM_(s, f, TN_PARAM_STRINGS, 0, fallback, -INFINITY, INFINITY, NULL, NULL, NULL, doc)
#define TN_REFERENCE(s, f, flags, kind, fallback, doc) \
  TN_PARAM_(s, f, TN_PARAM_REFERENCE, flags, fallback, -INFINITY, INFINITY, NULL, kind, NULL, doc)
#define TN_REFERENCES(s, f, flags, kind, fallback, doc) \
  TN_PARAM_(s, f, TN_PARAM_REFERENCES, flags, fallback, -INFINITY, INFINITY, NULL, kind, NULL, doc)
#define TN_TERMS(s, f, flags, kind, doc) \
  TN_PARAM_(s, f, TN_PARAM_TERMS, flags, NULL, -INFINITY, INFINITY, NULL, kind, NULL, doc)
#define TN_EXPRESSION(s, f, fallback, variables, doc) \
  TN_PARAM_(s, f, TN_PARAM_EXPRESSION, 0, fallback, -INFINITY, INFINITY, variables, NULL, NULL, doc)
#define TN_COUNT(s, f, fallback, doc) \
  TN_PARAM_(s, f, TN_PARAM_COUNT, 0, fallback, 0, INFINITY, NULL, NULL, NULL, doc)

#endif
