// SPDX-License-Identifier: MIT
/* Data sets in other formats, and points of known laws. */
#include "harness.h"
#include <stdio.h>
#include <stdlib.h>
#include <tenon/dataset.h>
#include <unistd.h>

TestSuite(dataset_files, .fini = harness_close);

static tn_component part(const char *name) {
  tn_component c = *harness_component("d");
  c.part = name;
  return c;
}
static int64_t rows(const char *name) {
  const tn_component c = part(name);
  return tn_dataset_rows(&c);
}
static tn_fields *read_all(const char *name) {
  const tn_component c = part(name);
  const int64_t count = tn_dataset_rows(&c);
  int64_t *index = malloc((size_t)count * sizeof *index);
  for (int64_t i = 0; i < count; i++) index[i] = i;
  tn_fields *fields = tn_fields_new();
  cr_assert(tn_dataset_read(&c, index, count, fields) >= 0, "%s", harness_failure());
  free(index);
  return fields;
}
static double at(const tn_fields *fields, const char *name, int64_t i) {
  return harness_at(tn_field(fields, name), i);
}

static const char *path_of(const char *name) {
  static char path[256];
  snprintf(path, sizeof path, "/tmp/tenon-%d-%s", (int)getpid(), name);
  return path;
}
static void write_bytes(const char *name, const void *bytes, size_t size) {
  FILE *file = fopen(path_of(name), "wb");
  fwrite(bytes, 1, size, file);
  fclose(file);
}
static void open_with(const char *use, const char *key, const char *file, const char *more) {
  char text[600];
  snprintf(text, sizeof text, "[d]\nuse = dataset.%s\n%s = %s\n%s\n", use, key, path_of(file), more);
  harness_open("float64", text);
}

/* Labels 5 and -1 become classes 1 and 0; absent indices are 0. */
Test(dataset_files, libsvm_rows_are_dense) {
  static const char text[] = "5 1:0.5 3:2\n-1 2:1\n5 1:4\n-1 3:-1\n";
  write_bytes("a.libsvm", text, sizeof text - 1);
  open_with("libsvm", "file", "a.libsvm", "test = 0");
  EXPECT_INT(rows("train"), 4);
  const tn_fields *all = read_all("train");
  EXPECT_INT(tn_dim(tn_field(all, "input"), 1), 3);
  EXPECT_REAL(at(all, "input", 0), 0.5);
  EXPECT_REAL(at(all, "input", 1), 0);
  EXPECT_REAL(at(all, "input", 2), 2);
  EXPECT_REAL(at(all, "label", 0), 1);
  EXPECT_REAL(at(all, "label", 1), 0);
  const tn_component c = part("");
  EXPECT_TEXT(tn_dataset_class_name(&c, "label", 0), "-1");
}

/* Two records of CIFAR-10; bytes over 255. */
Test(dataset_files, cifar_records_are_images) {
  static unsigned char bytes[2 * 3073];
  bytes[0] = 7, bytes[1] = 255, bytes[1 + 1024] = 51, bytes[3073] = 2;
  write_bytes("c.bin", bytes, sizeof bytes);
  open_with("cifar", "files", "c.bin", "");
  const tn_fields *all = read_all("train");
  EXPECT_INT(rows("train"), 2);
  EXPECT_INT(tn_ndim(tn_field(all, "image")), 4);
  EXPECT_REAL(at(all, "image", 0), 1);
  EXPECT_REAL(at(all, "image", 1024), 0.2);
  EXPECT_REAL(at(all, "label", 0), 7);
  EXPECT_REAL(at(all, "label", 1), 2);
}

Test(dataset_files, bytes_and_labels_of_npy) {
  static const char dictionary[] = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 1, 1, 2), }\n";
  char file[128] = "\x93NUMPY\1\0";
  file[8] = sizeof dictionary - 1; // its length, little-endian
  memcpy(file + 10, dictionary, sizeof dictionary - 1);
  memcpy(file + 10 + sizeof dictionary - 1, "\0\xff\x33\x66", 4);
  write_bytes("x.npy", file, 10 + sizeof dictionary - 1 + 4);
  open_with("npy", "file", "x.npy", "test = 0");
  const tn_fields *all = read_all("train");
  EXPECT_REAL(at(all, "image", 1), 1);
  EXPECT_REAL(at(all, "image", 2), 0.2);
  cr_assert(tn_fields_find(all, "label") == NULL);
}

/* Every part has its size, no row is in two, and a class keeps its share. */
Test(dataset_files, parts_are_disjoint_and_stratified) {
  harness_open("float64", "[d]\nuse = dataset.gaussian_mixture\nsize = 1000\nclusters = 4\ntrain = 100\n"
                          "validation = 200\ntest = 300\n");
  EXPECT_INT(rows("train"), 100);
  EXPECT_INT(rows("validation"), 200);
  EXPECT_INT(rows("test"), 300);
  EXPECT_INT(rows("all"), 1000);
  const tn_fields *train = read_all("train"), *test = read_all("test");
  for (int64_t i = 0; i < 100; i++)
    for (int64_t k = 0; k < 300; k++) cr_assert(at(train, "input", 2 * i) != at(test, "input", 2 * k));
  int64_t train_count[4] = {0}, all_count[4] = {0};
  const tn_fields *all = read_all("all");
  for (int64_t i = 0; i < 100; i++) train_count[(int)at(train, "label", i)]++;
  for (int64_t i = 0; i < 1000; i++) all_count[(int)at(all, "label", i)]++;
  for (int c = 0; c < 4; c++)
    cr_assert(llabs(10 * train_count[c] - all_count[c]) <= 20, "class %d: %d of %d", c, (int)train_count[c],
              (int)all_count[c]);
}

/* Without noise: moons lie on their half circles, rings on their radii. */
Test(dataset_files, curves_are_where_they_should_be) {
  harness_open("float64", "[d]\nuse = dataset.two_moons\nsize = 100\nnoise = 0\ntest = 0\n");
  const tn_fields *all = read_all("train");
  for (int64_t i = 0; i < 100; i++) {
    const bool second = at(all, "label", i) == 1;
    const double x = at(all, "input", 2 * i) - (second ? 1 : 0);
    const double y = at(all, "input", 2 * i + 1) - (second ? 0.5 : 0);
    EXPECT_NEAR(x * x + y * y, 1, 1e-12);
    cr_assert(second ? y <= 0 : y >= 0);
  }
  harness_open("float64", "[d]\nuse = dataset.rings\nsize = 99\nclusters = 3\nnoise = 0\ntest = 0\n");
  all = read_all("train");
  for (int64_t i = 0; i < 99; i++)
    EXPECT_NEAR(hypot(at(all, "input", 2 * i), at(all, "input", 2 * i + 1)), (at(all, "label", i) + 1) / 3,
                1e-12);
}

/* Two graphs: a pair of nodes 1 - 2 and a lone node; labels 7 and 3 become 1 and 0. */
Test(dataset_files, graphs_are_ragged) {
  char folder[300], text[1200];
  snprintf(folder, sizeof folder, "%s", path_of("G"));
  snprintf(text, sizeof text,
           "mkdir -p %s; cd %s; printf '1, 2\\n2, 1\\n' >G_A.txt; printf '1\\n1\\n2\\n' "
           ">G_graph_indicator.txt; printf '7\\n3\\n' >G_graph_labels.txt; printf '4\\n9\\n4\\n' "
           ">G_node_labels.txt",
           folder, folder);
  EXPECT_INT(system(text), 0);
  snprintf(text, sizeof text, "[d]\nuse = dataset.tu\nfolder = %s\nname = G\ndegree = yes\ntest = 0\n",
           folder);
  harness_open("float64", text);
  const tn_fields *all = read_all("train");
  const double nodes[] = {1, 0, 1, 0, 1, 1, 1, 0, 0}; // one-hot of 4 and 9, then the degree
  for (int64_t i = 0; i < 9; i++) EXPECT_REAL(at(all, "node", i), nodes[i]);
  const double edges[] = {0, 1, 1, 0}, offsets[] = {0, 2, 3};
  for (int64_t i = 0; i < 4; i++) EXPECT_REAL(at(all, "edge", i), edges[i]);
  for (int64_t i = 0; i < 3; i++) EXPECT_REAL(at(all, "node.offset", i), offsets[i]);
  EXPECT_REAL(at(all, "edge.offset", 2), 2);
  EXPECT_REAL(at(all, "label", 0), 1);
}

/* Three nodes in a path, classes 4, 9, 4 (0, 1, 0), rows over their sums; node 2 is a test node, node 1 none.
 */
Test(dataset_files, one_graph_is_one_row) {
  char text[1100], folder[256];
  snprintf(folder, sizeof folder, "%s", path_of("one"));
  snprintf(text, sizeof text,
           "mkdir -p %s; cd %s; printf '4 1:1 2:3\\n9 2:5\\n4 3:2\\n' >x.libsvm; printf 'u,v\\n0,1\\n1,2\\n' "
           ">e.csv; "
           "printf 'node,split\\n0,train\\n1,none\\n2,test\\n' >s.csv",
           folder, folder);
  EXPECT_INT(system(text), 0);
  snprintf(text, sizeof text,
           "[d]\nuse = dataset.planetoid\nfeatures = %s/x.libsvm\nedges = %s/e.csv\nsplit = %s/s.csv\n",
           folder, folder, folder);
  harness_open("float64", text);
  const char *const parts[] = {"train", "test", "all"};
  const double labels[][3] = {{0, -1, -1}, {-1, -1, 0}, {0, 1, 0}};
  const double nodes[] = {0.25, 0.75, 0, 0, 1, 0, 0, 0, 1}, edges[] = {0, 1, 1, 0, 1, 2, 2, 1};
  for (int p = 0; p < 3; p++) {
    EXPECT_INT(rows(parts[p]), 1);
    const tn_fields *all = read_all(parts[p]);
    for (int64_t i = 0; i < 3; i++) EXPECT_REAL(at(all, "label", i), labels[p][i]);
    for (int64_t i = 0; i < 9; i++) EXPECT_REAL(at(all, "node", i), nodes[i]);
    for (int64_t i = 0; i < 8; i++) EXPECT_REAL(at(all, "edge", i), edges[i]);
    EXPECT_REAL(at(all, "node.offset", 1), 3);
    EXPECT_REAL(at(all, "edge.offset", 1), 4);
  }
  char damaged[700];
  snprintf(damaged, sizeof damaged, "printf 'u,v\\n0,7\\n' >%s/e.csv", folder);
  EXPECT_INT(system(damaged), 0);
  EXPECT_CONTAINS(harness_refusal("float64", text), "e.csv: row 1: 'v' is no node from 0 to 2");
}

Test(dataset_files, what_is_wrong_is_said) {
  write_bytes("bad.libsvm", "1 0x:3\n", 7);
  char text[400];
  snprintf(text, sizeof text, "[d]\nuse = dataset.libsvm\nfile = %s\n", path_of("bad.libsvm"));
  EXPECT_CONTAINS(harness_refusal("float32", text), "line 1");
  EXPECT_CONTAINS(harness_refusal("float32", "[d]\nuse = dataset.image_folder\nfolder = /nowhere\n"),
                  "/nowhere: no such folder");
}

/* The written values of each row, in the layout of compressed sparse rows: times a vector they give the dense
 * product: rows (0.5, 0, 2), (0, 1, 0), (4, 0, 0) times (1, 10, 100). */
Test(dataset_files, sparse_rows_multiply_like_dense_ones) {
  static const char text[] = "1 1:0.5 3:2\n-1 2:1\n1 1:4\n";
  write_bytes("s.libsvm", text, sizeof text - 1);
  open_with("libsvm", "file", "s.libsvm", "test = 0\nsparse = yes");
  const tn_fields *all = read_all("train");
  cr_assert(tn_fields_find(all, "input") == NULL);
  EXPECT_INT(at(all, "value.offset", 3), 4);
  EXPECT_REAL(at(all, "label", 1), 0);
  const double vector[] = {1, 10, 100}, wanted[] = {200.5, 10, 4};
  const tn_tensor *y = tn_sparse_matmul(tn_field(all, "value.offset"), tn_field(all, "column"),
                                        tn_field(all, "value"), harness_tensor(TN_SHAPE(3, 1), vector));
  for (int i = 0; i < 3; i++) EXPECT_REAL(harness_at(y, i), wanted[i]);
  const tn_component c = part("");
  const int64_t turned[] = {2, 0};
  tn_fields *some = tn_fields_new();
  tn_dataset_read(&c, turned, 2, some);
  EXPECT_REAL(at(some, "value", 0), 4);
  EXPECT_INT(at(some, "column", 2), 2);
  EXPECT_INT(at(some, "column.offset", 1), 1);
}

/* Four cities at the corners of a rectangle of 30 by 10: divided by 30; demands in shares of the capacity. */
Test(dataset_files, routing_instances_are_ragged_rows) {
  char folder[300], text[1600];
  snprintf(folder, sizeof folder, "%s", path_of("routes"));
  snprintf(
      text, sizeof text,
      "mkdir -p %s; cd %s; printf 'NAME: a\\nTYPE: CVRP\\nDIMENSION: 2\\nEDGE_WEIGHT_TYPE: EUC_2D\\n"
      "CAPACITY: 10\\nNODE_COORD_SECTION\\n1 5 5\\n2 5 9\\nDEMAND_SECTION\\n1 0\\n2 4\\nDEPOT_SECTION\\n1\\n"
      "-1\\nEOF\\n' >a.vrp; printf 'NAME: b\\nTYPE: CVRP\\nDIMENSION: 4\\nEDGE_WEIGHT_TYPE: EUC_2D\\n"
      "CAPACITY: 20\\nNODE_COORD_SECTION\\n1 100 50\\n2 130 50\\n3 130 60\\n4 100 60\\nDEMAND_SECTION\\n"
      "1 0\\n2 5\\n3 10\\n4 20\\nDEPOT_SECTION\\n1\\n-1\\nEOF\\n' >b.vrp; "
      "printf 'name,optimal_cost\\nb,80\\na,8\\n' >optima.csv",
      folder, folder);
  EXPECT_INT(system(text), 0);
  snprintf(text, sizeof text, "[d]\nuse = dataset.tsplib\nfolder = %s\noptima = %s/optima.csv\n", folder,
           folder);
  harness_open("float64", text);
  EXPECT_INT(rows("train"), 2);
  const tn_fields *all = read_all("train");
  const double nodes[] = {0, 0, 0, 1, 0, 0, 1, 0, 1, 1.0 / 3, 0, 1.0 / 3};
  for (int i = 0; i < 12; i++) EXPECT_NEAR(at(all, "node", i), nodes[i], 1e-15);
  const double offsets[] = {0, 2, 6}, demands[] = {0, 0.4, 0, 0.25, 0.5, 1};
  for (int i = 0; i < 3; i++) EXPECT_INT(at(all, "node.offset", i), offsets[i]);
  for (int i = 0; i < 6; i++) EXPECT_REAL(at(all, "demand", i), demands[i]);
  EXPECT_REAL(at(all, "scale", 1), 30);
  EXPECT_REAL(at(all, "capacity", 1), 20);
  EXPECT_REAL(at(all, "target", 0), 8);
  EXPECT_REAL(at(all, "target", 1), 80);
  snprintf(text, sizeof text, "[d]\nuse = dataset.tsplib\nfolder = %s\nleast = 3\nnormalise = no\n", folder);
  harness_open("float64", text);
  EXPECT_INT(rows("train"), 1);
  EXPECT_REAL(at(read_all("train"), "node", 2), 130);
}

/* Behind each other, in any order of reading; the field that only one of them has is left out. */
Test(dataset_files, data_sets_behind_each_other) {
  static const char first[] = "x,label\n1,0\n2,1\n", second[] = "x,y,label\n7,0.5,2\n8,0.25,0\n9,1,1\n";
  write_bytes("one.csv", first, sizeof first - 1);
  char one[256], text[900];
  snprintf(one, sizeof one, "%s", path_of("one.csv"));
  write_bytes("two.csv", second, sizeof second - 1);
  snprintf(text, sizeof text,
           "[a]\nuse = dataset.csv\nfile = %s\ntest = 0\n[b]\nuse = dataset.csv\nfile = %s\ntest = 0\n"
           "label = label\ntarget = y\n[d]\nuse = dataset.concat\ndata = a, b\n",
           one, path_of("two.csv"));
  harness_open("float64", text);
  EXPECT_INT(rows("train"), 5);
  const tn_component c = part("");
  tn_spec *spec = tn_spec_new();
  cr_assert(tn_dataset_describe(&c, spec) >= 0);
  EXPECT_INT(tn_spec_find(spec, "label")->classes, 3);
  EXPECT_INT(tn_spec_find(spec, "domain")->classes, 2);
  cr_assert(tn_spec_find(spec, "target") == NULL);
  tn_spec_release(spec);
  const int64_t order[] = {4, 0, 3, 1};
  tn_fields *some = tn_fields_new();
  cr_assert(tn_dataset_read(&c, order, 4, some) >= 0, "%s", harness_failure());
  const double inputs[] = {9, 1, 8, 2}, domains[] = {1, 0, 1, 0}, labels[] = {1, 0, 0, 1};
  for (int i = 0; i < 4; i++) {
    EXPECT_REAL(at(some, "input", i), inputs[i]);
    EXPECT_INT(at(some, "domain", i), domains[i]);
    EXPECT_INT(at(some, "label", i), labels[i]);
  }
  EXPECT_TEXT(tn_dataset_class_name(&c, "domain", 1), "b");
}
