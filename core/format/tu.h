// SPDX-License-Identifier: MIT
/* Sets of small graphs as TUDataset publishes them (Morris et al. 2020,
 * chrsmrrs.github.io/datasets/docs/format): a folder of text files NAME_WHAT.txt, plain or NAME_WHAT.txt.gz.
 *
 *   NAME_A.txt                an edge a line: "row, column", nodes numbered from 1 over the whole set
 *   NAME_graph_indicator.txt  a line a node: its graph, from 1, not descending
 *   NAME_graph_labels.txt     a line a graph: an integer
 *   NAME_node_labels.txt      a line a node: an integer; optional
 *   NAME_edge_labels.txt      a line an edge: an integer; optional
 *   NAME_node_attributes.txt  a line a node: numbers, as many in every line; optional
 *
 * Refused with the file and the line: nodes and graphs out of range, an edge between two graphs, files of
 * unequal length, anything but the numbers above. Undirected graphs list both directions of an edge; this is
 * not checked, nor are loops and repeated edges refused. */
#ifndef TENON_FORMAT_TU_H
#define TENON_FORMAT_TU_H

#include <stdint.h>

#include "core/format/stream.h"

#define TN_TU_ATTRIBUTES_MAX 65536

/* Compressed sparse rows of the whole set: node i has the edges row_offsets[i] to row_offsets[i + 1] - 1, and
 * graph g the nodes graph_offsets[g] to graph_offsets[g + 1] - 1. All numbers count from 0 and go over the
 * set. */
typedef struct tn_tu {
  size_t graph_count, node_count, edge_count; /* each at most INT32_MAX */
  size_t *graph_offsets;                      /* (graph_count + 1); a graph may be empty */
  size_t *row_offsets;                        /* (node_count + 1) */
  int32_t *columns;                           /* (edge_count), ascending in a row */
  int32_t *graph_labels;                      /* (graph_count), as written */
  int32_t *node_labels;                       /* (node_count), or NULL */
  int32_t *edge_labels;                       /* (edge_count), in the order of columns, or NULL */
  size_t attribute_count;
  double *node_attributes; /* (node_count, attribute_count), or NULL */
} tn_tu;

/* The files of a set in memory; those that are not there have a NULL name. */
typedef struct tn_tu_file {
  const char *name; /* in errors */
  const void *bytes;
  size_t size;
} tn_tu_file;

typedef struct tn_tu_files {
  tn_tu_file edges, graph_indicator, graph_labels; /* required */
  tn_tu_file node_labels, edge_labels, node_attributes;
} tn_tu_files;

/* Reads the set NAME from FOLDER; `name` may be NULL where the folder is called as the set. `limit` bounds
 * each file unpacked, in bytes (0: TN_STREAM_LIMIT). On success the caller frees *set with tn_tu_free; on
 * failure it is empty. */
bool tn_tu_read(const char *folder, const char *name, size_t limit, tn_tu *set, tn_format_error *error);

/* The same for files in memory, plain or gzip. */
bool tn_tu_parse(const tn_tu_files *files, size_t limit, tn_tu *set, tn_format_error *error);

void tn_tu_free(tn_tu *set);

#endif
