// SPDX-License-Identifier: MIT
#include "core/format/tsplib.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format/scan.h"

enum { WORD_MAX = 64, FIELD_COUNT = 13 };

/* How EDGE_WEIGHT_SECTION lists the matrix. */
typedef enum matrix_format {
  FULL_MATRIX,
  UPPER_ROW,
  LOWER_ROW,
  UPPER_DIAG_ROW,
  LOWER_DIAG_ROW,
  FUNCTION
} matrix_format;

static const char *const type_names[] = {"TSP", "ATSP", "CVRP"};
static const char *const weight_names[] = {"EUC_2D", "CEIL_2D", "GEO", "ATT", "EXPLICIT"};
static const char *const format_names[] = {"FULL_MATRIX",    "UPPER_ROW",      "LOWER_ROW",
                                           "UPPER_DIAG_ROW", "LOWER_DIAG_ROW", "FUNCTION"};
#define COUNT(list) (sizeof(list) / sizeof *(list))

typedef struct reader {
  tn_scan scan;
  size_t size; // of the text in bytes
  tn_tsplib *problem;
  matrix_format format;
  bool seen[FIELD_COUNT]; // the fields and sections that came already
  bool ended;             // at EOF
} reader;

void tn_tsplib_free(tn_tsplib *problem) {
  free(problem->coordinates);
  free(problem->weights);
  free(problem->demands);
  *problem = (tn_tsplib){0};
}

static bool out_of_memory(const reader *r) {
  return tn_format_fail(r->scan.error, r->scan.file, "out of memory");
}

/* ---- fields: KEY : VALUE ---- */

static bool is_word(char c) { return c > ' ' && c != ':' && c != 0x7f; }

/* Takes the word at the cursor; false if it is empty or does not fit. */
static bool take_word(tn_scan *scan, char word[WORD_MAX]) {
  size_t length = 0;
  while (is_word(*scan->at)) {
    if (length + 1 == WORD_MAX) return false;
    word[length++] = *scan->at++;
  }
  word[length] = 0;
  return length > 0;
}

/* A line's value out of a list of names; *index is where it stands there. */
static bool read_choice(reader *r, const char *const *names, size_t count, const char *what, size_t *index) {
  tn_scan start = r->scan;
  char word[WORD_MAX];
  if (!take_word(&r->scan, word)) return tn_scan_expected(&start, what);
  for (size_t i = 0; i < count; i++) {
    if (strcmp(word, names[i]) != 0) continue;
    *index = i;
    return tn_scan_line_end(&r->scan);
  }
  return tn_scan_fail(&start, "%s '%s' is not supported", what, word);
}

static bool read_name(reader *r) {
  tn_scan *scan = &r->scan;
  const char *start = scan->at, *end = start;
  for (; !tn_scan_at_line_end(scan); scan->at++)
    if (*scan->at != ' ' && *scan->at != '\t') end = scan->at + 1;
  snprintf(r->problem->name, sizeof r->problem->name, "%.*s",
           (int)(end - start < (ptrdiff_t)sizeof r->problem->name ? end - start
                                                                  : (ptrdiff_t)sizeof r->problem->name),
           start);
  return tn_scan_line_end(scan);
}

static bool ignore_line(reader *r) {
  tn_scan_rest(&r->scan);
  return true;
}

static bool read_type(reader *r) {
  size_t type = 0;
  if (!read_choice(r, type_names, COUNT(type_names), "TYPE", &type)) return false;
  r->problem->type = (tn_tsplib_type)type;
  return true;
}

static bool read_weight_type(reader *r) {
  size_t weight = 0;
  if (!read_choice(r, weight_names, COUNT(weight_names), "EDGE_WEIGHT_TYPE", &weight)) return false;
  r->problem->weight = (tn_tsplib_weight)weight;
  return true;
}

static bool read_format(reader *r) {
  size_t format = 0;
  if (!read_choice(r, format_names, COUNT(format_names), "EDGE_WEIGHT_FORMAT", &format)) return false;
  r->format = (matrix_format)format;
  return true;
}

/* A positive number. */
static bool read_size(reader *r, int32_t *size) {
  int64_t value = 0;
  if (!tn_scan_integer(&r->scan, "a number", 1, INT32_MAX, &value)) return false;
  *size = (int32_t)value;
  return tn_scan_line_end(&r->scan);
}

static bool read_dimension(reader *r) {
  tn_scan start = r->scan;
  int32_t count = 0;
  if (!read_size(r, &count)) return false;
  r->problem->count = (size_t)count;
  // A node takes at least "1 0 0\n"; half a matrix without diagonal two bytes a weight, and all but a million
  // of them a line's end. So the file bounds the memory that the dimension asks for.
  if ((size_t)count > r->size / 2 + 2)
    return tn_scan_fail(&start, "%ld nodes do not fit a file of %zu bytes", (long)count, r->size);
  return true;
}

static bool read_capacity(reader *r) { return read_size(r, &r->problem->capacity); }

static bool read_vehicles(reader *r) { return read_size(r, &r->problem->vehicles); }

/* ---- sections ---- */

static bool need_dimension(const reader *r) {
  return r->problem->count > 0 || tn_scan_fail(&r->scan, "a section before the DIMENSION");
}

/* The node that begins a line of a section, from 0; each comes once. */
static bool read_node(reader *r, bool *seen, size_t *node) {
  int64_t number = 0;
  tn_scan_space(&r->scan);
  tn_scan start = r->scan;
  if (!tn_scan_integer(&r->scan, "a node", 1, (int64_t)r->problem->count, &number)) return false;
  *node = (size_t)number - 1;
  if (seen[*node]) return tn_scan_fail(&start, "node %ld occurs twice", (long)number);
  seen[*node] = true;
  tn_scan_blanks(&r->scan);
  return true;
}

static bool read_coordinate(reader *r, double *value) {
  tn_scan_blanks(&r->scan);
  if (!tn_scan_number(&r->scan, "a coordinate", value)) return false;
  return fabs(*value) <= TN_TSPLIB_COORDINATE_MAX ||
         tn_scan_fail(&r->scan, "coordinate %g, expected at most %g", *value, TN_TSPLIB_COORDINATE_MAX);
}

static bool read_coordinates(reader *r) {
  tn_tsplib *problem = r->problem;
  if (!need_dimension(r)) return false;
  if (problem->coordinates) return tn_scan_fail(&r->scan, "coordinates for a second time");
  problem->coordinates = malloc(problem->count * 2 * sizeof *problem->coordinates);
  bool *seen = calloc(problem->count, sizeof *seen);
  bool ok = (problem->coordinates && seen) || out_of_memory(r);
  for (size_t i = 0, node = 0; ok && i < problem->count; i++) {
    ok = read_node(r, seen, &node) && read_coordinate(r, &problem->coordinates[2 * node]) &&
         read_coordinate(r, &problem->coordinates[2 * node + 1]) && tn_scan_line_end(&r->scan);
  }
  free(seen);
  return ok;
}

static bool read_demands(reader *r) {
  tn_tsplib *problem = r->problem;
  if (!need_dimension(r)) return false;
  problem->demands = malloc(problem->count * sizeof *problem->demands);
  bool *seen = calloc(problem->count, sizeof *seen);
  bool ok = (problem->demands && seen) || out_of_memory(r);
  int64_t demand = 0;
  for (size_t i = 0, node = 0; ok && i < problem->count; i++) {
    ok = read_node(r, seen, &node) && tn_scan_integer(&r->scan, "a demand", 0, INT32_MAX, &demand) &&
         tn_scan_line_end(&r->scan);
    if (ok) problem->demands[node] = (int32_t)demand;
  }
  free(seen);
  return ok;
}

/* One depot, and the -1 that ends the list. */
static bool read_depot(reader *r) {
  int64_t number = 0;
  if (!need_dimension(r)) return false;
  tn_scan_space(&r->scan);
  if (!tn_scan_integer(&r->scan, "a node", 1, (int64_t)r->problem->count, &number)) return false;
  r->problem->depot = (size_t)number - 1;
  tn_scan_space(&r->scan);
  if (*r->scan.at >= '0' && *r->scan.at <= '9') return tn_scan_fail(&r->scan, "more than one depot");
  return tn_scan_integer(&r->scan, "-1", -1, -1, &number) && tn_scan_line_end(&r->scan);
}

/* The columns first to end - 1 that a row of the section lists. */
static void row_span(matrix_format format, size_t row, size_t count, size_t *first, size_t *end) {
  bool upper = format == UPPER_ROW || format == UPPER_DIAG_ROW, full = format == FULL_MATRIX;
  bool diagonal = format == UPPER_DIAG_ROW || format == LOWER_DIAG_ROW;
  *first = upper ? row + !diagonal : 0;
  *end = upper || full ? count : row + diagonal;
}

static bool read_weight(reader *r, size_t row, size_t column) {
  int64_t weight = 0;
  tn_scan_space(&r->scan); // the matrix may be broken into lines anywhere
  if (!tn_scan_integer(&r->scan, "a weight", INT32_MIN, INT32_MAX, &weight)) return false;
  const char *c = r->scan.at;
  if (*c != ' ' && *c != '\t' && !tn_scan_at_line_end(&r->scan)) return tn_scan_expected(&r->scan, "a blank");
  size_t count = r->problem->count;
  int32_t *weights = r->problem->weights;
  if (r->format == FULL_MATRIX && r->problem->type != TN_TSPLIB_ATSP && column < row &&
      weights[column * count + row] != weight)
    return tn_scan_fail(&r->scan, "weight %ld from %zu to %zu, but %ld back", (long)weight, row + 1,
                        column + 1, (long)weights[column * count + row]);
  weights[row * count + column] = (int32_t)weight;
  if (r->format != FULL_MATRIX) weights[column * count + row] = (int32_t)weight;
  return true;
}

static bool read_weights(reader *r) {
  tn_tsplib *problem = r->problem;
  size_t count = problem->count;
  if (!need_dimension(r)) return false;
  if (problem->weight != TN_TSPLIB_EXPLICIT || r->format == FUNCTION)
    return tn_scan_fail(&r->scan, "weights, but no EDGE_WEIGHT_TYPE EXPLICIT and EDGE_WEIGHT_FORMAT before");
  size_t least = count / 2 * (count - 1); // weights, of a digit and a blank or line end each
  if (least > r->size / 2)
    return tn_scan_fail(&r->scan, "the weights of %zu nodes do not fit a file of %zu bytes", count, r->size);
  problem->weights = calloc(count * count, sizeof *problem->weights);
  if (!problem->weights) return out_of_memory(r);
  for (size_t row = 0; row < count; row++) {
    size_t first, end;
    row_span(r->format, row, count, &first, &end);
    for (size_t column = first; column < end; column++)
      if (!read_weight(r, row, column)) return false;
  }
  return true;
}

static bool read_end(reader *r) {
  r->ended = true;
  return true;
}

/* ---- the whole ---- */

enum {
  NAME,
  TYPE,
  DIMENSION,
  CAPACITY,
  VEHICLES,
  WEIGHT_TYPE,
  FORMAT,
  COORD,
  WEIGHT,
  DISPLAY,
  DEMAND,
  DEPOT
};

static const struct {
  const char *key;
  bool section, repeats;
  bool (*read)(reader *r);
} fields[] = {[NAME] = {"NAME", false, false, read_name},
              [TYPE] = {"TYPE", false, false, read_type},
              [DIMENSION] = {"DIMENSION", false, false, read_dimension},
              [CAPACITY] = {"CAPACITY", false, false, read_capacity},
              [VEHICLES] = {"VEHICLES", false, false, read_vehicles},
              [WEIGHT_TYPE] = {"EDGE_WEIGHT_TYPE", false, false, read_weight_type},
              [FORMAT] = {"EDGE_WEIGHT_FORMAT", false, false, read_format},
              [COORD] = {"NODE_COORD_SECTION", true, false, read_coordinates},
              [WEIGHT] = {"EDGE_WEIGHT_SECTION", true, false, read_weights},
              [DISPLAY] = {"DISPLAY_DATA_SECTION", true, false, read_coordinates},
              [DEMAND] = {"DEMAND_SECTION", true, false, read_demands},
              [DEPOT] = {"DEPOT_SECTION", true, false, read_depot},
              {"EOF", true, false, read_end},
              // these change no distance
              {"COMMENT", false, true, ignore_line},
              {"DISPLAY_DATA_TYPE", false, true, ignore_line},
              {"NODE_COORD_TYPE", false, true, ignore_line}};

static bool read_field(reader *r) {
  tn_scan start = r->scan;
  char key[WORD_MAX];
  if (!take_word(&r->scan, key) || key[0] < 'A') return tn_scan_expected(&start, "a keyword");
  for (size_t i = 0; i < COUNT(fields); i++) {
    if (strcmp(key, fields[i].key) != 0) continue;
    if (!fields[i].repeats && r->seen[i]) return tn_scan_fail(&start, "%s for a second time", key);
    if (!fields[i].repeats) r->seen[i] = true;
    tn_scan_blanks(&r->scan);
    bool colon = *r->scan.at == ':';
    if (colon) r->scan.at++;
    if (!colon && !fields[i].section) return tn_scan_expected(&r->scan, "a colon");
    tn_scan_blanks(&r->scan);
    if (fields[i].section && !tn_scan_line_end(&r->scan)) return false;
    return fields[i].read(r);
  }
  return tn_scan_fail(&start, "%s is not supported", key);
}

static bool lacks(const reader *r, const char *key) {
  return tn_format_fail(r->scan.error, r->scan.file, "%s is missing", key);
}

static bool check_vehicles(const reader *r) {
  const tn_tsplib *problem = r->problem;
  if (!r->seen[CAPACITY]) return lacks(r, "CAPACITY");
  if (!r->seen[DEMAND]) return lacks(r, "DEMAND_SECTION");
  if (!r->seen[DEPOT]) return lacks(r, "DEPOT_SECTION");
  for (size_t i = 0; i < problem->count; i++)
    if (problem->demands[i] > problem->capacity)
      return tn_format_fail(r->scan.error, r->scan.file, "node %zu demands %ld, above the capacity of %ld",
                            i + 1, (long)problem->demands[i], (long)problem->capacity);
  return problem->demands[problem->depot] == 0 ||
         tn_format_fail(r->scan.error, r->scan.file, "the depot demands %ld, expected 0",
                        (long)problem->demands[problem->depot]);
}

static bool check(const reader *r) {
  const tn_tsplib *problem = r->problem;
  bool vehicles = problem->type == TN_TSPLIB_CVRP, matrix = problem->weight == TN_TSPLIB_EXPLICIT;
  if (!r->seen[TYPE]) return lacks(r, "TYPE");
  if (!r->seen[DIMENSION]) return lacks(r, "DIMENSION");
  if (!r->seen[WEIGHT_TYPE]) return lacks(r, "EDGE_WEIGHT_TYPE");
  if (matrix && !problem->weights) return lacks(r, "EDGE_WEIGHT_SECTION");
  if (!matrix && !r->seen[COORD]) return lacks(r, "NODE_COORD_SECTION");
  if (!matrix && problem->weights)
    return tn_format_fail(r->scan.error, r->scan.file, "weights and coordinates both");
  if (vehicles) return check_vehicles(r);
  for (int field = CAPACITY; field <= DEPOT; field++)
    if (r->seen[field] && (field == CAPACITY || field == VEHICLES || field >= DEMAND))
      return tn_format_fail(r->scan.error, r->scan.file, "%s, but the type is not CVRP", fields[field].key);
  return true;
}

static bool read_all(reader *r) {
  while (!r->ended) {
    tn_scan_space(&r->scan);
    if (r->scan.at == r->scan.end) break;
    if (!read_field(r)) return false;
  }
  return check(r);
}

static bool parse_and_release(const char *file, tn_bytes *bytes, tn_tsplib *problem, tn_format_error *error) {
  reader r = {.scan = tn_scan_open(file, bytes, error), .size = bytes->size, .problem = problem};
  r.format = FUNCTION;
  bool ok = read_all(&r);
  tn_bytes_free(bytes);
  if (!ok) tn_tsplib_free(problem);
  return ok;
}

bool tn_tsplib_read(const char *path, size_t limit, tn_tsplib *problem, tn_format_error *error) {
  *problem = (tn_tsplib){0};
  tn_bytes bytes;
  return tn_stream_read(path, limit, &bytes, error) && parse_and_release(path, &bytes, problem, error);
}

bool tn_tsplib_parse(const char *file, const void *bytes, size_t size, size_t limit, tn_tsplib *problem,
                     tn_format_error *error) {
  *problem = (tn_tsplib){0};
  tn_bytes copy;
  return tn_stream_unpack(file, bytes, size, limit, &copy, error) &&
         parse_and_release(file, &copy, problem, error);
}
