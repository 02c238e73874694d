// SPDX-License-Identifier: MIT
/* The binary files of CIFAR-10 and CIFAR-100: records of labels and one 32x32 colour image
 * (cs.toronto.edu/~kriz/cifar.html, "binary version"), and the lists of class names beside them. */
#ifndef TENON_FORMAT_CIFAR_H
#define TENON_FORMAT_CIFAR_H

#include <stdint.h>

#include "core/format/stream.h"

#define TN_CIFAR_CHANNELS 3
#define TN_CIFAR_SIDE     32
#define TN_CIFAR_PIXELS   ((size_t)TN_CIFAR_CHANNELS * TN_CIFAR_SIDE * TN_CIFAR_SIDE)

/* Record: CIFAR-10 label (0..9), pixels; CIFAR-100 coarse label (0..19), fine label (0..99), pixels. */
typedef enum tn_cifar_kind { TN_CIFAR_10, TN_CIFAR_100 } tn_cifar_kind;

typedef struct tn_cifar {
  size_t count;    /* of records, at least 1 */
  uint8_t *images; /* (count, 3, 32, 32): channels red, green, blue */
  uint8_t *labels; /* (count): of CIFAR-100 the fine ones */
  uint8_t *coarse; /* (count): only CIFAR-100, else NULL */
} tn_cifar;

/* Reads a file, plain or gzip, that must hold whole records. `limit` bounds the unpacked bytes (0:
 * TN_STREAM_LIMIT). On success the caller frees *set with tn_cifar_free; on failure it is empty. */
bool tn_cifar_read(const char *path, tn_cifar_kind kind, size_t limit, tn_cifar *set, tn_format_error *error);

/* The same for the bytes of a file in memory; `file` only names them in errors. */
bool tn_cifar_parse(const char *file, const void *bytes, size_t size, tn_cifar_kind kind, size_t limit,
                    tn_cifar *set, tn_format_error *error);

void tn_cifar_free(tn_cifar *set);

/* Class names in the order of their labels (batches.meta.txt, fine_label_names.txt): a name a line. */
typedef struct tn_cifar_names {
  size_t count; /* at least 1, at most 256 */
  char **names; /* distinct, without blanks around them */
  char *text;   /* what they point into */
} tn_cifar_names;

/* Blank lines may follow the last name and stand nowhere else. */
bool tn_cifar_names_read(const char *path, tn_cifar_names *names, tn_format_error *error);
bool tn_cifar_names_parse(const char *file, const void *bytes, size_t size, tn_cifar_names *names,
                          tn_format_error *error);

void tn_cifar_names_free(tn_cifar_names *names);

#endif
