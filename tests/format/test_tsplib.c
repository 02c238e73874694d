// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format/tsplib.h"
#include "tests/expect.h"
#include "tests/format/data.h"

static tn_tsplib problem;
static tn_format_error error;

static void reset(void) { problem = (tn_tsplib){0}; }
static void release(void) { tn_tsplib_free(&problem); }

TestSuite(tsplib, .init = reset, .fini = release);

static bool parse(const char *text) {
  tn_tsplib_free(&problem);
  return tn_tsplib_parse("t.tsp", text, strlen(text), 0, &problem, &error);
}

static void expect_parsed(const char *text) {
  cr_assert(parse(text), "expected success, got: %s", error.text);
}

static void expect_refused(const char *text, const char *message) {
  cr_assert(!parse(text), "expected '%s', got success", message);
  EXPECT_TEXT(error.text, message);
  cr_assert(!problem.coordinates && !problem.weights && !problem.demands);
}

static int64_t distance(size_t a, size_t b) { return tn_tsplib_distance(&problem, a, b); }

/* Three nodes with one kind of weight. */
static void three(const char *weight, const char *coordinates) {
  char text[500];
  snprintf(text, sizeof text, "TYPE: TSP\nDIMENSION: 3\nEDGE_WEIGHT_TYPE: %s\nNODE_COORD_SECTION\n%sEOF\n",
           weight, coordinates);
  expect_parsed(text);
}

/* ---- distances ---- */

Test(tsplib, euclidean_distances_are_rounded_to_the_nearest) {
  // sqrt(2) = 1.414..., sqrt(1.5^2 + 2^2) = 2.5 is rounded up
  three("EUC_2D", "1 0 0\n2 1 1\n3 1.5 2\n");
  EXPECT_INT(distance(0, 1), 1);
  EXPECT_INT(distance(0, 2), 3);
  EXPECT_INT(distance(2, 0), 3);
  EXPECT_INT(distance(1, 1), 0);
  EXPECT_INT(tn_tsplib_length(&problem, (int32_t[]){0, 1, 2}, 3), 1 + 1 + 3); // sqrt(0.25 + 1) = 1.118
}

Test(tsplib, ceiling_distances_are_rounded_up) {
  three("CEIL_2D", "1 0 0\n2 1 1\n3 3 4\n");
  EXPECT_INT(distance(0, 1), 2);
  EXPECT_INT(distance(0, 2), 5);
}

Test(tsplib, att_distances_are_a_tenth_of_the_square_rounded_up) {
  // sqrt(10 / 10) = 1; sqrt(11.8 ... / 10): 3, 4 -> sqrt(2.5) = 1.58 -> 2; 1, 2 -> sqrt(0.5) = 0.707 -> 1;
  // 1, 4 -> sqrt(1.7) = 1.30, nearest 1 is below, so 2
  three("ATT", "1 0 0\n2 1 3\n3 1 4\n");
  EXPECT_INT(distance(0, 1), 1);
  EXPECT_INT(distance(0, 2), 2);
}

Test(tsplib, geographical_distances_use_degrees_and_minutes) {
  // 90 degrees of the equator: 6378.388 pi / 2 + 1 = 10020.15; 0.30 is half a degree: 55.66 + 1
  three("GEO", "1 0 0\n2 0 90\n3 0.30 0\n");
  EXPECT_INT(distance(0, 1), 10020);
  EXPECT_INT(distance(0, 2), 56);
  EXPECT_INT(distance(0, 0), 1); // the formula's own
}

static void matrix(const char *type, const char *format, const char *weights) {
  char text[500];
  snprintf(text, sizeof text,
           "TYPE: %s\nDIMENSION: 3\nEDGE_WEIGHT_TYPE: EXPLICIT\nEDGE_WEIGHT_FORMAT: "
           "%s\nEDGE_WEIGHT_SECTION\n%s\nEOF\n",
           type, format, weights);
  expect_parsed(text);
}

Test(tsplib, every_form_of_matrix_gives_the_same_distances) {
  static const char *const forms[][2] = {{"FULL_MATRIX", "0 12 13\n12 0 23\n13 23 0"},
                                         {"UPPER_ROW", "12 13\n23"},
                                         {"LOWER_ROW", "12\n13 23"},
                                         {"UPPER_DIAG_ROW", "0 12 13 0 23 0"},
                                         {"LOWER_DIAG_ROW", "0 12 0\n13\n23 0"}};
  for (size_t i = 0; i < 5; i++) {
    matrix("TSP", forms[i][0], forms[i][1]);
    cr_assert(problem.coordinates == NULL);
    EXPECT_INT(distance(0, 1), 12);
    EXPECT_INT(distance(1, 0), 12);
    EXPECT_INT(distance(2, 0), 13);
    EXPECT_INT(distance(1, 2), 23);
    EXPECT_INT(tn_tsplib_length(&problem, (int32_t[]){2, 0, 1}, 3), 48);
  }
}

Test(tsplib, asymmetric_matrices_need_their_type) {
  matrix("ATSP", "FULL_MATRIX", "0 1 2 3 0 4 5 6 0");
  EXPECT_INT(distance(0, 1), 1);
  EXPECT_INT(distance(1, 0), 3);
  expect_refused("TYPE: TSP\nDIMENSION: 2\nEDGE_WEIGHT_TYPE: EXPLICIT\nEDGE_WEIGHT_FORMAT: FULL_MATRIX\n"
                 "EDGE_WEIGHT_SECTION\n0 1\n2 0\n",
                 "t.tsp: line 7: weight 2 from 2 to 1, but 1 back");
}

/* ---- the file ---- */

static const char routing[] =
    "NAME : small one \r\nCOMMENT : (none)\r\nTYPE : CVRP\r\nDIMENSION : 3\r\n"
    "EDGE_WEIGHT_TYPE : EUC_2D \r\nCAPACITY : 10\r\nVEHICLES : 2\r\nNODE_COORD_SECTION \r\n"
    "\t3\t30\t0\r\n 1 0 0\r\n2 3e1 4.0e+1\r\nDEMAND_SECTION \r\n1 0 \r\n2 10\r\n3 7\r\n"
    "DEPOT_SECTION \r\n 1\r\n -1\r\n EOF\r\nwhatever follows";

Test(tsplib, routing_problems_have_demands_and_a_depot) {
  expect_parsed(routing);
  EXPECT_TEXT(problem.name, "small one");
  EXPECT_INT(problem.type, TN_TSPLIB_CVRP);
  EXPECT_INT(problem.capacity, 10);
  EXPECT_INT(problem.vehicles, 2);
  EXPECT_INT(problem.depot, 0);
  EXPECT_INT(problem.demands[1], 10);
  EXPECT_INT(problem.demands[2], 7);
  EXPECT_INT(distance(0, 1), 50);
  EXPECT_INT(distance(0, 2), 30);
}

/* `routing` with one part of it replaced. */
static void expect_changed_refused(const char *part, const char *by, const char *message) {
  char text[1000];
  const char *at = strstr(routing, part);
  cr_assert(at != NULL);
  snprintf(text, sizeof text, "%.*s%s%s", (int)(at - routing), routing, by, at + strlen(part));
  expect_refused(text, message);
}

Test(tsplib, broken_sections_are_refused) {
  expect_changed_refused("1 0 0", "4 0 0", "t.tsp: line 10: expected a node from 1 to 3, got 4");
  expect_changed_refused("1 0 0", "3 0 0", "t.tsp: line 10: node 3 occurs twice");
  expect_changed_refused("1 0 0", "1 0", "t.tsp: line 10: expected a coordinate, got the end of the line");
  expect_changed_refused("1 0 0", "1 0 2e9", "t.tsp: line 10: coordinate 2e+09, expected at most 1e+09");
  expect_changed_refused("1 0 0\r\n", "", "t.tsp: line 11: expected a node, got 'DEMAND_SECTION'");
  expect_changed_refused("DIMENSION : 3", "DIMENSION : 2",
                         "t.tsp: line 9: expected a node from 1 to 2, got 3");
  expect_changed_refused("2 10\r\n", "2 11\r\n", "t.tsp: node 2 demands 11, above the capacity of 10");
  expect_changed_refused("1 0 \r\n", "1 5\r\n", "t.tsp: the depot demands 5, expected 0");
  expect_changed_refused("3 7\r\n", "3 7\r\n3 7\r\n", "t.tsp: line 16: expected a keyword, got '3'");
  expect_changed_refused("-1", "2 -1", "t.tsp: line 18: more than one depot");
  expect_changed_refused("-1", "", "t.tsp: line 19: expected -1, got 'EOF'");
}

Test(tsplib, broken_fields_are_refused) {
  expect_changed_refused("CAPACITY : 10\r\n", "", "t.tsp: CAPACITY is missing");
  expect_changed_refused("TYPE : CVRP\r\n", "", "t.tsp: TYPE is missing");
  expect_changed_refused("CVRP", "TSP", "t.tsp: CAPACITY, but the type is not CVRP");
  expect_changed_refused("CVRP", "TOUR", "t.tsp: line 3: TYPE 'TOUR' is not supported");
  expect_changed_refused("EUC_2D", "XRAY1", "t.tsp: line 5: EDGE_WEIGHT_TYPE 'XRAY1' is not supported");
  expect_changed_refused("VEHICLES", "DISTANCE", "t.tsp: line 7: DISTANCE is not supported");
  expect_changed_refused("VEHICLES : 2", "CAPACITY : 10", "t.tsp: line 7: CAPACITY for a second time");
  expect_changed_refused("VEHICLES :", "VEHICLES", "t.tsp: line 7: expected a colon, got '2'");
  expect_changed_refused("DIMENSION : 3", "DIMENSION : 0",
                         "t.tsp: line 4: expected a number from 1 to 2147483647, got 0");
  expect_changed_refused("DIMENSION : 3\r\n", "", "t.tsp: line 8: a section before the DIMENSION");
  expect_refused("", "t.tsp: TYPE is missing");
}

Test(tsplib, huge_claims_are_refused_before_memory_is_taken) {
  expect_refused("DIMENSION: 2147483647\n", "t.tsp: line 1: 2147483647 nodes do not fit a file of 22 bytes");
  char text[1200] = "TYPE: TSP\nDIMENSION: 400\nEDGE_WEIGHT_TYPE: EXPLICIT\nEDGE_WEIGHT_FORMAT: UPPER_ROW\n"
                    "EDGE_WEIGHT_SECTION\n";
  size_t length = strlen(text);
  memset(text + length, ' ', 1000);
  expect_refused(text, "t.tsp: line 6: the weights of 400 nodes do not fit a file of 1102 bytes");
}

/* ---- real data ---- */

static void read_data(const char *name) {
  char path[80];
  snprintf(path, sizeof path, "tsplib/%s", name);
  tn_tsplib_free(&problem);
  cr_assert(tn_tsplib_read(data_path(path), 0, &problem, &error), "%s", error.text);
}

/* The optimal tour length by Held and Karp 1962: best[S][j] is the shortest path from node 0 through the set
 * S that ends in j. 16 nodes take 2 MB. */
static int64_t held_karp(void) {
  size_t n = problem.count - 1, sets = (size_t)1 << n;
  int32_t *best = malloc(sets * n * sizeof *best);
  for (size_t s = 1; s < sets; s++) {
    for (size_t j = 0; j < n; j++) {
      int64_t least = INT32_MAX;
      size_t rest = s & ~((size_t)1 << j);
      if (s >> j & 1 && rest == 0) least = distance(0, j + 1);
      for (size_t i = 0; s >> j & 1 && i < n; i++)
        if (rest >> i & 1 && best[rest * n + i] + distance(i + 1, j + 1) < least)
          least = best[rest * n + i] + distance(i + 1, j + 1);
      best[s * n + j] = (int32_t)least;
    }
  }
  int64_t length = INT32_MAX;
  for (size_t j = 0; j < n; j++)
    if (best[(sets - 1) * n + j] + distance(j + 1, 0) < length)
      length = best[(sets - 1) * n + j] + distance(j + 1, 0);
  free(best);
  return length;
}

Test(tsplib, exact_search_gives_the_published_optimum_of_burma14) {
  read_data("burma14.tsp");
  EXPECT_INT(problem.weight, TN_TSPLIB_GEO);
  EXPECT_INT(held_karp(), 3323);
}

static int64_t length_of(const int32_t *nodes) { // from 1, as published
  int32_t tour[64];
  for (size_t i = 0; i < problem.count; i++) tour[i] = nodes[i] - 1;
  return tn_tsplib_length(&problem, tour, problem.count);
}

Test(tsplib, published_optimal_tours_have_their_published_lengths) {
  // NAME.opt.tour of TSPLIB
  read_data("ulysses16.tsp");
  EXPECT_INT(length_of((int32_t[]){1, 14, 13, 12, 7, 6, 15, 5, 11, 9, 10, 16, 3, 2, 4, 8}), 6859);
  read_data("gr24.tsp");
  EXPECT_INT(length_of((int32_t[]){1,  16, 11, 3,  7, 6,  24, 8,  21, 5,  10, 17,
                                   22, 18, 19, 15, 2, 20, 14, 13, 9,  23, 4,  12}),
             1272);
  read_data("att48.tsp");
  EXPECT_INT(length_of((int32_t[]){1,  8,  38, 31, 44, 18, 7,  28, 6,  37, 19, 27, 17, 43, 30, 36,
                                   46, 33, 20, 47, 21, 32, 39, 48, 5,  42, 24, 10, 45, 35, 4,  26,
                                   2,  29, 34, 41, 16, 22, 3,  23, 14, 25, 13, 11, 12, 15, 40, 9}),
             10628);
}

Test(tsplib, published_optimal_routes_have_their_published_cost) {
  // A-n32-k5.sol of CVRPLIB; customers there count without the depot
  static const int32_t routes[5][11] = {{21, 31, 19, 17, 13, 7, 26},
                                        {12, 1, 16, 30},
                                        {27, 24},
                                        {29, 18, 8, 9, 22, 15, 10, 25, 5, 20},
                                        {14, 28, 11, 4, 23, 3, 2, 6}};
  read_data("cvrp/A-n32-k5.vrp");
  int64_t cost = 0;
  for (int k = 0; k < 5; k++) {
    int32_t tour[11] = {0}, load = 0;
    size_t stops = 0;
    for (; routes[k][stops] > 0; stops++) {
      tour[stops + 1] = routes[k][stops];
      load += problem.demands[routes[k][stops]];
    }
    cr_assert(load <= problem.capacity, "route %d loads %d", k, load);
    cost += tn_tsplib_length(&problem, tour, stops + 1);
  }
  EXPECT_INT(cost, 784);
}

static size_t read_all_listed(const char *folder, const char *ending) {
  char line[200], name[100], file[200];
  snprintf(file, sizeof file, "tsplib/%soptima.csv", folder);
  FILE *list = fopen(data_path(file), "r");
  cr_assert(list != NULL);
  size_t count = 0, dimension = 0;
  cr_assert(fgets(line, sizeof line, list) != NULL); // its header
  while (fgets(line, sizeof line, list)) {
    EXPECT_INT(sscanf(line, "%99[^,],%zu", name, &dimension), 2);
    snprintf(file, sizeof file, "%s%.99s%s", folder, name, ending);
    read_data(file);
    EXPECT_INT(problem.count, dimension);
    count++;
  }
  fclose(list);
  return count;
}

Test(tsplib, every_instance_is_read) {
  EXPECT_INT(read_all_listed("", ".tsp"), 27);
  EXPECT_INT(read_all_listed("cvrp/", ".vrp"), 18);
}
