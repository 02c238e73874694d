// SPDX-License-Identifier: MIT
#include "core/format/tu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/format/scan.h"

enum { EDGES, GRAPH_INDICATOR, GRAPH_LABELS, NODE_LABELS, EDGE_LABELS, NODE_ATTRIBUTES, PARTS, REQUIRED = 3 };
enum { NAME_BYTES_MAX = 1024 };

static const char *const part_names[PARTS] = {"A",           "graph_indicator", "graph_labels",
                                              "node_labels", "edge_labels",     "node_attributes"};

/* The unpacked texts; those that are not there have a NULL name. */
typedef struct reader {
  const char *names[PARTS];
  tn_bytes texts[PARTS];
  tn_format_error *error;
  tn_tu *set;
} reader;

void tn_tu_free(tn_tu *set) {
  free(set->graph_offsets);
  free(set->row_offsets);
  free(set->columns);
  free(set->graph_labels);
  free(set->node_labels);
  free(set->edge_labels);
  free(set->node_attributes);
  *set = (tn_tu){0};
}

static bool out_of_memory(const reader *r, int part) {
  return tn_format_fail(r->error, r->names[part], "out of memory");
}

static tn_scan open_part(const reader *r, int part) {
  return tn_scan_open(r->names[part], &r->texts[part], r->error);
}

/* Lines of `width` integers from low to high, for free; *count becomes the number of lines. */
static int32_t *read_integers(reader *r, int part, const char *what, size_t width, int32_t low, int32_t high,
                              size_t *count) {
  tn_scan scan = open_part(r, part);
  int32_t *values = NULL;
  size_t capacity = 0, used = 0;
  bool ok = true;
  while (ok && !tn_scan_done(&scan)) {
    for (size_t i = 0; ok && i < width; i++) {
      int64_t value = 0;
      tn_scan_blanks(&scan);
      if (i > 0 && *scan.at == ',')
        scan.at++;
      else if (i > 0)
        ok = tn_scan_expected(&scan, "a comma");
      tn_scan_blanks(&scan);
      ok = ok && tn_scan_integer(&scan, what, low, high, &value);
      int32_t *grown = ok ? tn_grown(values, &capacity, used, sizeof *values) : NULL;
      if (ok && !grown) ok = out_of_memory(r, part);
      if (!ok) break;
      values = grown;
      values[used++] = (int32_t)value;
    }
    ok = ok && tn_scan_line_end(&scan);
    if (ok && used / width > INT32_MAX) ok = tn_scan_fail(&scan, "more than %ld lines", (long)INT32_MAX);
  }
  *count = used / width;
  if (ok && *count == 0) ok = tn_format_fail(r->error, r->names[part], "empty file");
  if (ok) return values;
  free(values);
  return NULL;
}

/* Refuses a file whose lines are not those of another. */
static bool same_lines(const reader *r, int part, size_t lines, int other, size_t wanted) {
  return lines == wanted || tn_format_fail(r->error, r->names[part], "%zu lines, but %s has %zu", lines,
                                           part_names[other], wanted);
}

/* Labels of graphs, nodes or edges: as many as `other` has lines. *labels stays NULL if there is no such
 * file. */
static bool read_labels(reader *r, int part, int other, size_t wanted, int32_t **labels) {
  if (!r->names[part]) return true;
  size_t lines = 0;
  *labels = read_integers(r, part, "a label", 1, INT32_MIN, INT32_MAX, &lines);
  return *labels && same_lines(r, part, lines, other, wanted);
}

/* Graphs of nodes from the indicator, whose numbers must not descend. */
static bool read_graphs(reader *r) {
  tn_tu *set = r->set;
  set->graph_labels = read_integers(r, GRAPH_LABELS, "a label", 1, INT32_MIN, INT32_MAX, &set->graph_count);
  if (!set->graph_labels) return false;
  int32_t *graphs =
      read_integers(r, GRAPH_INDICATOR, "a graph", 1, 1, (int32_t)set->graph_count, &set->node_count);
  if (!graphs) return false;
  set->graph_offsets = malloc((set->graph_count + 1) * sizeof *set->graph_offsets);
  bool ok = set->graph_offsets || out_of_memory(r, GRAPH_INDICATOR);
  size_t open = 0; // graphs whose first node is known
  for (size_t i = 0; ok && i < set->node_count; i++) {
    if (i > 0 && graphs[i] < graphs[i - 1])
      ok = tn_format_fail_line(r->error, r->names[GRAPH_INDICATOR], i + 1, "graph %ld after %ld",
                               (long)graphs[i], (long)graphs[i - 1]);
    for (; ok && open < (size_t)graphs[i]; open++) set->graph_offsets[open] = i;
  }
  for (; ok && open <= set->graph_count; open++) set->graph_offsets[open] = set->node_count;
  free(graphs);
  return ok;
}

/* The graph that each node belongs to, for free. */
static uint32_t *graph_of_nodes(const tn_tu *set) {
  uint32_t *graph = malloc(set->node_count * sizeof *graph);
  for (size_t g = 0; graph && g < set->graph_count; g++)
    for (size_t i = set->graph_offsets[g]; i < set->graph_offsets[g + 1]; i++) graph[i] = (uint32_t)g;
  return graph;
}

static bool check_edges(const reader *r, const int32_t *edges) {
  uint32_t *graph = graph_of_nodes(r->set);
  if (!graph) return out_of_memory(r, EDGES);
  bool ok = true;
  for (size_t e = 0; ok && e < r->set->edge_count; e++) {
    long from = edges[2 * e], to = edges[2 * e + 1];
    if (graph[from - 1] != graph[to - 1])
      ok = tn_format_fail_line(r->error, r->names[EDGES], e + 1,
                               "an edge between node %ld of graph %lu and node %ld of graph %lu", from,
                               graph[from - 1] + 1ul, to, graph[to - 1] + 1ul);
  }
  free(graph);
  return ok;
}

/* One stable pass of a counting sort: `order` (edges) by the node in `end` (0: row, 1: column) into `sorted`.
 * offsets (node_count + 1) becomes where each node's edges begin. */
static void sort_edges(const tn_tu *set, const int32_t *edges, int end, const uint32_t *order,
                       uint32_t *sorted, size_t *offsets) {
  memset(offsets, 0, (set->node_count + 1) * sizeof *offsets);
  for (size_t e = 0; e < set->edge_count; e++) offsets[edges[2 * e + (size_t)end]]++; // nodes from 1
  for (size_t i = 0; i < set->node_count; i++) offsets[i + 1] += offsets[i];
  // offsets[i] moves through the edges of node i, so it ends where node i + 1 begins
  for (size_t k = 0; k < set->edge_count; k++) {
    uint32_t e = order ? order[k] : (uint32_t)k;
    sorted[offsets[edges[2 * (size_t)e + (size_t)end] - 1]++] = e;
  }
  memmove(offsets + 1, offsets, set->node_count * sizeof *offsets);
  offsets[0] = 0;
}

/* Rows of ascending columns, by a sort after the column and a stable one after the row. */
static bool settle_edges(reader *r, const int32_t *edges, const int32_t *labels) {
  tn_tu *set = r->set;
  size_t count = set->edge_count;
  uint32_t *order = malloc(2 * count * sizeof *order);
  set->row_offsets = malloc((set->node_count + 1) * sizeof *set->row_offsets);
  set->columns = malloc(count * sizeof *set->columns);
  set->edge_labels = labels ? malloc(count * sizeof *set->edge_labels) : NULL;
  bool ok = order && set->row_offsets && set->columns && (!labels || set->edge_labels);
  if (ok) {
    uint32_t *by_row = order + count;
    sort_edges(set, edges, 1, NULL, order, set->row_offsets);
    sort_edges(set, edges, 0, order, by_row, set->row_offsets);
    for (size_t k = 0; k < count; k++) set->columns[k] = edges[2 * (size_t)by_row[k] + 1] - 1;
    for (size_t k = 0; labels && k < count; k++) set->edge_labels[k] = labels[by_row[k]];
  }
  free(order);
  return ok || out_of_memory(r, EDGES);
}

static bool read_edges(reader *r) {
  tn_tu *set = r->set;
  int32_t *edges = read_integers(r, EDGES, "a node", 2, 1, (int32_t)set->node_count, &set->edge_count),
          *labels = NULL;
  bool ok = edges && check_edges(r, edges) && read_labels(r, EDGE_LABELS, EDGES, set->edge_count, &labels) &&
            settle_edges(r, edges, labels);
  free(edges);
  free(labels);
  return ok;
}

/* Numbers with commas, as many a line as in the first. */
static bool read_attributes(reader *r) {
  if (!r->names[NODE_ATTRIBUTES]) return true;
  tn_tu *set = r->set;
  tn_scan scan = open_part(r, NODE_ATTRIBUTES);
  size_t capacity = 0, used = 0, lines = 0;
  while (!tn_scan_done(&scan)) {
    size_t width = 0;
    do {
      if (width > 0) scan.at++; // the comma
      tn_scan_blanks(&scan);
      double value = 0;
      if (width == TN_TU_ATTRIBUTES_MAX)
        return tn_scan_fail(&scan, "more than %d attributes", TN_TU_ATTRIBUTES_MAX);
      if (!tn_scan_number(&scan, "an attribute", &value)) return false;
      double *grown = tn_grown(set->node_attributes, &capacity, used, sizeof *grown);
      if (!grown) return out_of_memory(r, NODE_ATTRIBUTES);
      set->node_attributes = grown;
      set->node_attributes[used++] = value;
      width++;
      tn_scan_blanks(&scan);
    } while (*scan.at == ',');
    if (lines == 0) set->attribute_count = width;
    if (width != set->attribute_count)
      return tn_scan_fail(&scan, "%zu attributes, but line 1 has %zu", width, set->attribute_count);
    if (!tn_scan_line_end(&scan)) return false;
    lines++;
  }
  return same_lines(r, NODE_ATTRIBUTES, lines, GRAPH_INDICATOR, set->node_count);
}

static bool build(reader *r) {
  tn_tu *set = r->set;
  return read_graphs(r) && read_edges(r) &&
         read_labels(r, NODE_LABELS, GRAPH_INDICATOR, set->node_count, &set->node_labels) &&
         read_attributes(r);
}

static bool build_and_release(reader *r, bool ok) {
  ok = ok && build(r);
  for (int part = 0; part < PARTS; part++) tn_bytes_free(&r->texts[part]);
  if (!ok) tn_tu_free(r->set);
  return ok;
}

bool tn_tu_parse(const tn_tu_files *files, size_t limit, tn_tu *set, tn_format_error *error) {
  *set = (tn_tu){0};
  const tn_tu_file *parts[PARTS] = {&files->edges,       &files->graph_indicator, &files->graph_labels,
                                    &files->node_labels, &files->edge_labels,     &files->node_attributes};
  reader r = {.error = error, .set = set};
  bool ok = true;
  for (int part = 0; ok && part < PARTS; part++) {
    r.names[part] = parts[part]->name;
    if (r.names[part])
      ok = tn_stream_unpack(r.names[part], parts[part]->bytes, parts[part]->size, limit, &r.texts[part],
                            error);
    else if (part < REQUIRED)
      ok = tn_format_fail(error, part_names[part], "this file of the set is missing");
  }
  return build_and_release(&r, ok);
}

/* Reads FOLDER/NAME_PART.txt or its .gz into the part; `path` (of `capacity` bytes) is where its name stays.
 */
static bool read_part(reader *r, int part, const char *folder, const char *name, int name_length,
                      size_t limit, char *path, size_t capacity) {
  int stem = snprintf(path, capacity, "%s/%.*s_%s.txt", folder, name_length, name, part_names[part]);
  if (access(path, F_OK) != 0) {
    snprintf(path + stem, capacity - (size_t)stem, ".gz");
    if (access(path, F_OK) != 0) {
      path[stem] = 0; // the plain file is what an error names
      if (part >= REQUIRED) return true;
    }
  }
  r->names[part] = path;
  return tn_stream_read(path, limit, &r->texts[part], r->error);
}

bool tn_tu_read(const char *folder, const char *name, size_t limit, tn_tu *set, tn_format_error *error) {
  *set = (tn_tu){0};
  size_t name_length = name ? strlen(name) : strlen(folder);
  if (!name) { // the last part of the path, without slashes behind it
    while (name_length > 0 && folder[name_length - 1] == '/') name_length--;
    size_t start = name_length;
    while (start > 0 && folder[start - 1] != '/') start--;
    name = folder + start;
    name_length -= start;
  }
  size_t capacity = strlen(folder) + name_length + 40;
  if (name_length > NAME_BYTES_MAX) return tn_format_fail(error, folder, "the name of the set is too long");
  char *paths = malloc(PARTS * capacity);
  if (!paths) return tn_format_fail(error, folder, "out of memory");
  reader r = {.error = error, .set = set};
  bool ok = true;
  for (int part = 0; ok && part < PARTS; part++)
    ok =
        read_part(&r, part, folder, name, (int)name_length, limit, paths + (size_t)part * capacity, capacity);
  ok = build_and_release(&r, ok);
  free(paths);
  return ok;
}
