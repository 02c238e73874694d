// SPDX-License-Identifier: MIT
#include "core/format/libsvm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/format/scan.h"

typedef struct reader {
  tn_scan scan;
  const tn_libsvm_options *options;
  tn_libsvm *set;
  size_t label_capacity, indptr_capacity, index_capacity, value_capacity;
  size_t zero_line; // the first line with the index 0; 0: none
} reader;

static bool out_of_memory(const reader *r) {
  return tn_format_fail(r->scan.error, r->scan.file, "out of memory");
}

void tn_libsvm_free(tn_libsvm *set) {
  free(set->labels);
  free(set->indptr);
  free(set->indices);
  free(set->values);
  free(set->classes);
  free(set->codes);
  *set = (tn_libsvm){0};
}

static bool at_row_end(const tn_scan *scan) { return *scan->at == '#' || tn_scan_at_line_end(scan); }

static bool take_row_end(tn_scan *scan) {
  if (*scan->at == '#') {
    tn_scan_rest(scan);
    return true;
  }
  return tn_scan_line_end(scan);
}

static bool append_row(reader *r, double label) {
  tn_libsvm *set = r->set;
  void *labels = tn_grown(set->labels, &r->label_capacity, set->row_count, sizeof *set->labels);
  if (!labels) return out_of_memory(r);
  set->labels = labels;
  void *indptr = tn_grown(set->indptr, &r->indptr_capacity, set->row_count + 1, sizeof *set->indptr);
  if (!indptr) return out_of_memory(r);
  set->indptr = indptr;
  set->labels[set->row_count++] = label;
  set->indptr[set->row_count] = set->value_count;
  return true;
}

static bool append_value(reader *r, int32_t index, double value) {
  tn_libsvm *set = r->set;
  void *indices = tn_grown(set->indices, &r->index_capacity, set->value_count, sizeof *set->indices);
  if (!indices) return out_of_memory(r);
  set->indices = indices;
  void *values = tn_grown(set->values, &r->value_capacity, set->value_count, sizeof *set->values);
  if (!values) return out_of_memory(r);
  set->values = values;
  set->indices[set->value_count] = index;
  set->values[set->value_count++] = value;
  return true;
}

/* INDEX:VALUE. *last is the index before it in the row, as written; -1 at the start. */
static bool read_value(reader *r, int64_t *last) {
  tn_scan *scan = &r->scan;
  bool from_zero = r->options->base == TN_LIBSVM_BASE_ZERO;
  int64_t low = r->options->base == TN_LIBSVM_BASE_ONE ? 1 : 0;
  int64_t high = INT32_MAX - from_zero, index = 0;
  if (r->options->columns > 0 && r->options->columns < INT32_MAX)
    high = (int64_t)r->options->columns - from_zero;
  tn_scan before = *scan;
  if (!tn_scan_integer(scan, "an index", low, high, &index)) return false;
  if (index <= *last)
    return tn_scan_fail(scan, "index %ld after %ld, but indices must ascend", (long)index, (long)*last);
  *last = index;
  if (index == 0 && r->zero_line == 0) r->zero_line = scan->line;
  if (*scan->at != ':') return tn_scan_expected(&before, "INDEX:VALUE");
  scan->at++;
  double value = 0;
  return tn_scan_number(scan, "a value", &value) && append_value(r, (int32_t)index, value);
}

static bool read_row(reader *r) {
  tn_scan *scan = &r->scan;
  double label = 0;
  if (!tn_scan_number(scan, "a label", &label)) return false;
  if (*scan->at == ':') return tn_scan_fail(scan, "a row without a label");
  if (*scan->at == ',') return tn_scan_fail(scan, "several labels, expected one");
  int64_t last = -1;
  for (;;) {
    const char *word_end = scan->at;
    tn_scan_blanks(scan);
    if (at_row_end(scan)) break;
    if (scan->at == word_end) return tn_scan_expected(scan, "a blank");
    if (strncmp(scan->at, "qid:", 4) == 0) return tn_scan_fail(scan, "query ids (qid:) are not supported");
    if (!read_value(r, &last)) return false;
  }
  return append_row(r, label) && take_row_end(scan);
}

/* Columns from 0, whatever the file counts from. */
static bool settle_base(reader *r) {
  tn_libsvm *set = r->set;
  bool from_zero = r->options->base == TN_LIBSVM_BASE_ZERO || r->zero_line > 0;
  int32_t largest = from_zero ? -1 : 0;
  for (size_t i = 0; i < set->value_count; i++)
    if (set->indices[i] > largest) largest = set->indices[i];
  if (from_zero && largest == INT32_MAX)
    return tn_format_fail(r->scan.error, r->scan.file, "more than %ld columns", (long)INT32_MAX);
  set->column_count = (size_t)(from_zero ? largest + 1 : largest);
  if (r->options->columns > 0 && set->column_count > r->options->columns)
    return tn_format_fail_line(r->scan.error, r->scan.file, r->zero_line,
                               "the index 0 makes %zu columns, expected at most %zu", set->column_count,
                               r->options->columns);
  if (r->options->columns > 0) set->column_count = r->options->columns;
  for (size_t i = 0; !from_zero && i < set->value_count; i++) set->indices[i]--;
  return true;
}

static int compare_reals(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static bool settle_classes(reader *r) {
  tn_libsvm *set = r->set;
  for (size_t i = 0; i < set->row_count; i++)
    if (set->labels[i] != floor(set->labels[i])) return true;
  if (set->row_count > INT32_MAX) return true; // beyond what codes can number
  set->classes = malloc(set->row_count * sizeof *set->classes);
  set->codes = malloc(set->row_count * sizeof *set->codes);
  if (!set->classes || !set->codes) return out_of_memory(r);
  memcpy(set->classes, set->labels, set->row_count * sizeof *set->classes);
  qsort(set->classes, set->row_count, sizeof *set->classes, compare_reals);
  for (size_t i = 0; i < set->row_count; i++)
    if (i == 0 || set->classes[i] != set->classes[i - 1]) set->classes[set->class_count++] = set->classes[i];
  for (size_t i = 0; i < set->row_count; i++) {
    const double *class =
        bsearch(&set->labels[i], set->classes, set->class_count, sizeof *set->classes, compare_reals);
    set->codes[i] = (int32_t)(class - set->classes);
  }
  return true;
}

static bool read_all(reader *r) {
  tn_scan *scan = &r->scan;
  r->set->indptr = calloc(1, sizeof *r->set->indptr);
  if (!r->set->indptr) return out_of_memory(r);
  r->indptr_capacity = 1;
  while (scan->at < scan->end) {
    tn_scan_blanks(scan);
    if (!(at_row_end(scan) ? take_row_end(scan) : read_row(r))) return false;
  }
  if (r->set->row_count == 0) return tn_format_fail(scan->error, scan->file, "no rows");
  return settle_base(r) && settle_classes(r);
}

static bool parse_and_release(const char *file, tn_bytes *bytes, const tn_libsvm_options *options,
                              tn_libsvm *set, tn_format_error *error) {
  static const tn_libsvm_options defaults;
  reader r = {.scan = tn_scan_open(file, bytes, error), .options = options ? options : &defaults, .set = set};
  bool ok = read_all(&r);
  tn_bytes_free(bytes);
  if (!ok) tn_libsvm_free(set);
  return ok;
}

bool tn_libsvm_read(const char *path, const tn_libsvm_options *options, tn_libsvm *set,
                    tn_format_error *error) {
  *set = (tn_libsvm){0};
  tn_bytes bytes;
  return tn_stream_read(path, options ? options->limit : 0, &bytes, error) &&
         parse_and_release(path, &bytes, options, set, error);
}

bool tn_libsvm_parse(const char *file, const void *bytes, size_t size, const tn_libsvm_options *options,
                     tn_libsvm *set, tn_format_error *error) {
  *set = (tn_libsvm){0};
  tn_bytes copy;
  return tn_stream_unpack(file, bytes, size, options ? options->limit : 0, &copy, error) &&
         parse_and_release(file, &copy, options, set, error);
}
