// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/format/tu.h"
#include "tests/expect.h"
#include "tests/format/data.h"

static tn_tu set;
static tn_format_error error;

static void reset(void) { set = (tn_tu){0}; }
static void release(void) { tn_tu_free(&set); }

TestSuite(tu, .init = reset, .fini = release);

/* A triangle (nodes 1 to 3) and an edge (nodes 4 and 5). NULL: that file is missing. */
typedef struct texts {
  const char *edges, *indicator, *graph_labels, *node_labels, *edge_labels, *attributes;
} texts;

static const texts sound = {.edges = "3, 1\n1, 2\n2, 1\n2, 3\n3, 2\n1, 3\n5, 4\n4, 5\n",
                            .indicator = "1\n1\n1\n2\n2\n",
                            .graph_labels = "1\n-1\n"};

static tn_tu_file file(const char *name, const char *text) {
  return text ? (tn_tu_file){name, text, strlen(text)} : (tn_tu_file){0};
}

static bool parse(texts t) {
  tn_tu_files files = {.edges = file("A", t.edges),
                       .graph_indicator = file("I", t.indicator),
                       .graph_labels = file("G", t.graph_labels),
                       .node_labels = file("N", t.node_labels),
                       .edge_labels = file("E", t.edge_labels),
                       .node_attributes = file("X", t.attributes)};
  tn_tu_free(&set);
  return tn_tu_parse(&files, 0, &set, &error);
}

static void expect_refused(texts t, const char *message) {
  cr_assert(!parse(t), "expected '%s', got success", message);
  EXPECT_TEXT(error.text, message);
  cr_assert(!set.graph_offsets && !set.row_offsets && !set.columns && !set.graph_labels && !set.node_labels &&
            !set.edge_labels && !set.node_attributes);
}

/* ---- what is taken ---- */

Test(tu, edges_become_rows_of_ascending_columns) {
  cr_assert(parse(sound), "%s", error.text);
  EXPECT_INT(set.graph_count, 2);
  EXPECT_INT(set.node_count, 5);
  EXPECT_INT(set.edge_count, 8);
  size_t graphs[] = {0, 3, 5}, rows[] = {0, 2, 4, 6, 7, 8};
  int32_t columns[] = {1, 2, 0, 2, 0, 1, 4, 3};
  for (size_t i = 0; i < 3; i++) EXPECT_INT(set.graph_offsets[i], graphs[i]);
  for (size_t i = 0; i < 6; i++) EXPECT_INT(set.row_offsets[i], rows[i]);
  for (size_t i = 0; i < 8; i++) EXPECT_INT(set.columns[i], columns[i]);
  EXPECT_INT(set.graph_labels[1], -1);
  cr_assert(!set.node_labels && !set.edge_labels && !set.node_attributes);
}

Test(tu, edge_labels_follow_their_edges) {
  texts t = sound;
  t.edge_labels = "31\n12\n21\n23\n32\n13\n54\n45\n"; // label = 10 row + column
  cr_assert(parse(t), "%s", error.text);
  for (size_t i = 0; i < 5; i++)
    for (size_t e = set.row_offsets[i]; e < set.row_offsets[i + 1]; e++)
      EXPECT_INT(set.edge_labels[e], 10 * ((int)i + 1) + set.columns[e] + 1);
}

Test(tu, nodes_have_labels_and_attributes) {
  texts t = sound;
  t.node_labels = "0\r\n1\r\n2\r\n3\r\n4";
  t.attributes = "1.5, 2\n3,4\n5 , 6\n-7,8e1\n9, 10\n\n";
  cr_assert(parse(t), "%s", error.text);
  EXPECT_INT(set.node_labels[4], 4);
  EXPECT_INT(set.attribute_count, 2);
  EXPECT_REAL(set.node_attributes[0], 1.5);
  EXPECT_REAL(set.node_attributes[7], 80);
}

Test(tu, a_graph_may_be_empty) {
  texts t = sound;
  t.indicator = "2\n2\n2\n4\n4\n";
  t.graph_labels = "0\n0\n0\n0\n0\n";
  cr_assert(parse(t), "%s", error.text);
  size_t graphs[] = {0, 0, 3, 3, 5, 5};
  for (size_t i = 0; i < 6; i++) EXPECT_INT(set.graph_offsets[i], graphs[i]);
}

/* ---- what is refused ---- */

Test(tu, files_must_be_there) {
  texts t = sound;
  t.graph_labels = NULL;
  expect_refused(t, "graph_labels: this file of the set is missing");
  t = sound;
  t.edges = "";
  expect_refused(t, "A: empty file");
}

Test(tu, edges_stay_in_one_graph_and_in_range) {
  texts t = sound;
  t.edges = "1, 2\n3, 4\n";
  expect_refused(t, "A: line 2: an edge between node 3 of graph 1 and node 4 of graph 2");
  t.edges = "1, 2\n5, 6\n";
  expect_refused(t, "A: line 2: expected a node from 1 to 5, got 6");
  t.edges = "0, 1\n";
  expect_refused(t, "A: line 1: expected a node from 1 to 5, got 0");
  t.edges = "1 2\n";
  expect_refused(t, "A: line 1: expected a comma, got '2'");
  t.edges = "1, 2, 3\n";
  expect_refused(t, "A: line 1: expected the end of the line, got ',"
                    "'");
  t.edges = "1, 2\n\n2, 1\n";
  expect_refused(t, "A: line 2: expected a node, got the end of the line");
}

Test(tu, graphs_must_not_descend) {
  texts t = sound;
  t.indicator = "1\n2\n1\n2\n2\n";
  expect_refused(t, "I: line 3: graph 1 after 2");
  t.indicator = "1\n1\n1\n2\n3\n";
  expect_refused(t, "I: line 5: expected a graph from 1 to 2, got 3");
}

Test(tu, lengths_must_match) {
  texts t = sound;
  t.node_labels = "1\n2\n";
  expect_refused(t, "N: 2 lines, but graph_indicator has 5");
  t = sound;
  t.edge_labels = "1\n";
  expect_refused(t, "E: 1 lines, but A has 8");
  t = sound;
  t.attributes = "1\n2\n3\n4\n";
  expect_refused(t, "X: 4 lines, but graph_indicator has 5");
  t.attributes = "1,2\n1\n";
  expect_refused(t, "X: line 2: 1 attributes, but line 1 has 2");
  t.attributes = "1,nan\n";
  expect_refused(t, "X: line 1: expected an attribute, got 'nan'");
  t = sound;
  t.graph_labels = "1.5\n2\n";
  expect_refused(t, "G: line 1: expected the end of the line, got '.5'");
}

/* ---- files ---- */

static void put(const char *name, const char *text) {
  FILE *output = fopen(scratch_path(name), "w");
  cr_assert(output != NULL);
  fputs(text, output);
  fclose(output);
}

Test(tu, plain_files_of_a_folder_are_read) {
  mkdir(scratch_path("SET"), 0777);
  put("SET/SET_A.txt", sound.edges);
  put("SET/SET_graph_indicator.txt", sound.indicator);
  cr_assert(!tn_tu_read(scratch_path("SET"), NULL, 0, &set, &error));
  EXPECT_CONTAINS(error.text, "SET/SET_graph_labels.txt: cannot open: No such file or directory");
  put("SET/SET_graph_labels.txt", sound.graph_labels);
  cr_assert(tn_tu_read(scratch_path("SET/"), NULL, 0, &set, &error), "%s", error.text);
  EXPECT_INT(set.edge_count, 8);
}

/* ---- real data ---- */

Test(tu, sets_have_their_published_counts) {
  static const struct {
    const char *name;
    size_t graphs, nodes, edges;
    bool edge_labels;
  } sets[] = {{"MUTAG", 188, 3371, 7442, true},
              {"PTC_MR", 344, 4915, 10108, true},
              {"ENZYMES", 600, 19580, 74564, false},
              {"PROTEINS", 1113, 43471, 162088, false},
              {"NCI1", 4110, 122747, 265506, false}};
  for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
    tn_tu_free(&set);
    cr_assert(tn_tu_read(data_path("graphs"), "x", 0, &set, &error) == false);
    char folder[64];
    snprintf(folder, sizeof folder, "graphs/%s", sets[i].name);
    cr_assert(tn_tu_read(data_path(folder), NULL, 0, &set, &error), "%s", error.text);
    EXPECT_INT(set.graph_count, sets[i].graphs);
    EXPECT_INT(set.node_count, sets[i].nodes);
    EXPECT_INT(set.edge_count, sets[i].edges);
    EXPECT_INT(set.edge_labels != NULL, sets[i].edge_labels);
    cr_assert(set.node_labels != NULL);
  }
}
