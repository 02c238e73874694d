// SPDX-License-Identifier: MIT
/* Any bytes, cut into the files of a set at lines "%", are either refused with one line, or make the graphs
 * that tu.h promises. */
#include "core/format/tu.h"
#include "tests/fuzz/fuzz.h"
#include <math.h>

enum { FILES = 6 };

/* The files in the order of tn_tu_files; those behind the last cut are absent. */
static size_t cut(const uint8_t *data, size_t size, tn_tu_file *files) {
  size_t count = 0, begin = 0;
  for (size_t i = 0; i <= size && count < FILES; i++) {
    const bool line = i == begin || data[i - 1] == '\n';
    const bool mark = i + 1 < size && data[i] == '%' && data[i + 1] == '\n' && line;
    if (!mark && i < size) continue;
    files[count++] = (tn_tu_file){"fuzz", data + begin, i - begin};
    begin = i + 2;
    i++;
  }
  return count;
}

static void check(const tn_tu *set) {
  require(set->graph_count <= INT32_MAX && set->node_count <= INT32_MAX && set->edge_count <= INT32_MAX);
  require_offsets(set->graph_offsets, set->graph_count, set->node_count);
  require_offsets(set->row_offsets, set->node_count, set->edge_count);
  for (size_t g = 0; g < set->graph_count; g++)
    for (size_t v = set->graph_offsets[g]; v < set->graph_offsets[g + 1]; v++)
      for (size_t e = set->row_offsets[v]; e < set->row_offsets[v + 1]; e++) {
        require((size_t)set->columns[e] >= set->graph_offsets[g]);
        require((size_t)set->columns[e] < set->graph_offsets[g + 1]);
        require(e == set->row_offsets[v] || set->columns[e - 1] <= set->columns[e]);
      }
  touch(set->graph_labels, set->graph_count * sizeof *set->graph_labels);
  if (set->node_labels) touch(set->node_labels, set->node_count * sizeof *set->node_labels);
  if (set->edge_labels) touch(set->edge_labels, set->edge_count * sizeof *set->edge_labels);
  for (size_t i = 0; set->node_attributes && i < set->node_count * set->attribute_count; i++)
    require(isfinite(set->node_attributes[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tn_tu_file parts[FILES] = {{NULL, NULL, 0}};
  for (size_t i = 0; i < 3; i++) parts[i].name = "fuzz"; /* required, though perhaps empty */
  cut(data, size, parts);
  const tn_tu_files files = {parts[0], parts[1], parts[2], parts[3], parts[4], parts[5]};
  tn_tu set;
  tn_format_error error;
  if (!tn_tu_parse(&files, 1 << 20, &set, &error)) {
    require_refusal(&error);
    require(!set.graph_offsets && !set.row_offsets && !set.columns);
    return 0;
  }
  check(&set);
  tn_tu_free(&set);
  return 0;
}
