// SPDX-License-Identifier: MIT
/* Travelling salesman and vehicle routing instances in the format of TSPLIB and CVRPLIB (G. Reinelt, "TSPLIB
 * 95", Heidelberg 1995).
 *
 * Taken: TYPE TSP, ATSP, CVRP; EDGE_WEIGHT_TYPE EUC_2D, CEIL_2D, GEO, ATT, EXPLICIT; EDGE_WEIGHT_FORMAT
 * FULL_MATRIX, UPPER_ROW, LOWER_ROW, UPPER_DIAG_ROW, LOWER_DIAG_ROW; NODE_COORD, EDGE_WEIGHT, DISPLAY_DATA,
 * DEMAND and DEPOT sections; LF or CRLF, gzip, with or without EOF at the end. Refused: anything else that
 * would change the problem (fixed edges, route lengths, other distances), nodes out of range, missing or
 * given twice, a full matrix that is not symmetric unless the type is ATSP, several depots, a demand above
 * the capacity. */
#ifndef TENON_FORMAT_TSPLIB_H
#define TENON_FORMAT_TSPLIB_H

#include <stdint.h>

#include "core/format/stream.h"

#define TN_TSPLIB_COORDINATE_MAX 1e9 /* largest absolute value, so that a distance fits an int64_t */

typedef enum tn_tsplib_type { TN_TSPLIB_TSP, TN_TSPLIB_ATSP, TN_TSPLIB_CVRP } tn_tsplib_type;

typedef enum tn_tsplib_weight {
  TN_TSPLIB_EUC_2D,
  TN_TSPLIB_CEIL_2D,
  TN_TSPLIB_GEO,
  TN_TSPLIB_ATT,
  TN_TSPLIB_EXPLICIT
} tn_tsplib_weight;

/* Nodes count from 0 here, from 1 in the file. */
typedef struct tn_tsplib {
  char name[64]; /* shortened to fit; "" without one */
  tn_tsplib_type type;
  tn_tsplib_weight weight;
  size_t count;        /* nodes, at least 1 */
  double *coordinates; /* (count, 2): x and y, for GEO latitude and longitude as DDD.MM; of EXPLICIT those for
                        * display, or NULL */
  int32_t *weights;    /* (count, count) for EXPLICIT, else NULL */
  /* CVRP, else 0 and NULL */
  int32_t capacity; /* of a vehicle, at least 1 */
  int32_t vehicles; /* 0: not said */
  int32_t *demands; /* (count), 0 to capacity; 0 at the depot */
  size_t depot;
} tn_tsplib;

/* Reads a file. `limit` bounds its unpacked bytes (0: TN_STREAM_LIMIT). On success the caller frees *problem
 * with tn_tsplib_free; on failure it is empty. */
bool tn_tsplib_read(const char *path, size_t limit, tn_tsplib *problem, tn_format_error *error);

/* The same for the bytes of a file in memory; `file` only names them in errors. */
bool tn_tsplib_parse(const char *file, const void *bytes, size_t size, size_t limit, tn_tsplib *problem,
                     tn_format_error *error);

void tn_tsplib_free(tn_tsplib *problem);

/* The distance from a to b (below count) exactly as TSPLIB rounds it. From a node to itself: what the formula
 * or the matrix says, which for GEO is 1 and in some matrices a large number. */
int64_t tn_tsplib_distance(const tn_tsplib *problem, size_t a, size_t b);

/* The length of the closed tour over the `count` nodes listed (each below problem->count). */
int64_t tn_tsplib_length(const tn_tsplib *problem, const int32_t *tour, size_t count);

#endif
