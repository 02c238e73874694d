// SPDX-License-Identifier: MIT
/* Reports of directories as runs and sweeps leave them, whole, unfinished and damaged. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/page/page.h"
#include "core/pipeline/directory.h"
#include "core/format/stream.h"
#include "core/plugin/host.h"
#include "tests/expect.h"

static char root[] = "/tmp/tenon-page-XXXXXX";
static char *page;
static tn_study study;

static void begin(void) {
  tn_host_start();
  strcpy(root + strlen(root) - 6, "XXXXXX");
  cr_assert(mkdtemp(root) != NULL);
  cr_assert(chdir(root) == 0);
}

static void end(void) {
  char command[64];
  free(page);
  page = NULL;
  tn_study_free(&study);
  snprintf(command, sizeof command, "rm -rf %s", root);
  cr_assert(chdir("/") == 0 && system(command) == 0);
}

TestSuite(page, .init = begin, .fini = end);

static void put(const char *directory, const char *name, const char *text) {
  char path[300];
  tn_error error = {0};
  cr_assert(tn_directory_path(directory, &error) >= 0);
  snprintf(path, sizeof path, "%s/%s", directory, name);
  FILE *file = fopen(path, "w");
  cr_assert(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* A run of the digits with a result, a curve of `steps` steps and a confusion matrix. */
static void put_run(const char *directory, int seed, double accuracy, int steps) {
  static char text[20000];
  int used = snprintf(
      text, sizeof text,
      "{\"type\":\"run\",\"name\":\"digits\",\"seed\":%d,\"host\":\"0.1\",\"cpu\":\"avx2\",\"time\":1}\n"
      "{\"type\":\"graph\",\"name\":\"pipeline\",\"text\":\"train : stage.supervised\\nnet : model.mlp\\n"
      "observer.jsonl : observer.jsonl\\ntrain -> net : model\\n\"}\n"
      "{\"type\":\"stage_begin\",\"stage\":\"train\",\"seconds\":0}\n",
      seed);
  for (int i = 1; i <= steps; i++)
    used += snprintf(text + used, sizeof text - (size_t)used,
                     "{\"type\":\"step\",\"stage\":\"train\",\"seconds\":1,\"step\":%d,\"scalars\":{\"loss\":"
                     "%g,\"lr\":0.5}}\n",
                     i, seed + 1.0 / i);
  snprintf(text + used, sizeof text - (size_t)used,
           "{\"type\":\"stage_begin\",\"stage\":\"test\",\"seconds\":2}\n"
           "{\"type\":\"matrix\",\"stage\":\"test\",\"name\":\"confusion\",\"title\":\"Confusion "
           "matrix\",\"shape\":[2,2],"
           "\"values\":[%d,1,2,9],\"x_label\":\"prediction\",\"y_label\":\"truth\"}\n"
           "{\"type\":\"run_end\",\"seconds\":3,\"text\":\"finished\"}\n",
           seed * 10);
  put(directory, "events.jsonl", text);
  snprintf(text, sizeof text,
           "{\"name\":\"digits\",\"outcome\":\"finished\",\"seed\":%d,\"results\":{\"test.accuracy\":%g},"
           "\"parameters\":10,\"state_bytes\":20}",
           seed, accuracy);
  put(directory, "results.json", text);
  put(directory, "cost.json", "{\"seconds\":2.5,\"memory\":12000000}");
  put(directory, "pipeline.ini", "[pipeline]\nstages = train, test\n");
}

static const char *make(const char *const *directories, uint32_t count) {
  tn_error error = {0};
  free(page);
  tn_study_free(&study);
  cr_assert(tn_study_read(directories, count, &study, &error) >= 0, "%s", error.text);
  page = tn_page_make(&study);
  cr_assert(page != NULL);
  return page;
}
#define PAGE(...) \
  make((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static size_t count(const char *part) {
  size_t n = 0;
  for (const char *at = page; (at = strstr(at, part)); at++) n++;
  return n;
}

/* ---- a run ---- */

Test(page, a_run_has_all_its_sections_and_nothing_from_outside) {
  put_run("run", 3, 0.975, 20);
  PAGE("run");
  const char *const wanted[] = {"<h1>digits</h1>",
                                "seed <b>3</b>",
                                "took <b>2.5 s</b>",
                                "peak memory <b>12 MB</b>",
                                "finished</span>",
                                "<section id=\"results\">",
                                "<b>0.975</b><span>test.accuracy</span>",
                                "<section id=\"stage-1\"><h2>train</h2>",
                                "<figcaption>loss",
                                "lr = 0.5",
                                "<section id=\"stage-2\"><h2>test</h2>",
                                "<figcaption>Confusion matrix",
                                "<section id=\"pipeline\">",
                                "stages = train, test",
                                "Content-Security-Policy"};
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) EXPECT_CONTAINS(page, wanted[i]);
  cr_assert(!strstr(page, "observer.jsonl")); /* it takes no part in the pipeline's drawing */
  cr_assert(!strstr(page, "id=\"notes\""));
  for (const char *at = page; (at = strstr(at, "http"));
       at++) /* only the namespace of SVG, and names of http-equiv */
    cr_assert(strncmp(at, "http://www.w3.org/2000/svg", 26) == 0 || strncmp(at, "http-equiv", 10) == 0,
              "%.60s", at);
  cr_assert(!strstr(page, "<link") && !strstr(page, " src=\"http") && !strstr(page, "@import"));
}

Test(page, texts_of_a_run_are_texts_in_the_page) {
  put("run", "events.jsonl",
      "{\"type\":\"run\",\"name\":\"<script>alert(1)</script>\"}\n"
      "{\"type\":\"stage_begin\",\"stage\":\"\\\"><img src=x onerror=alert(1)>\",\"seconds\":0}\n"
      "{\"type\":\"text\",\"stage\":\"\\\"><img src=x "
      "onerror=alert(1)>\",\"name\":\"</pre><script>\",\"text\":\"</pre><script>\"}\n"
      "{\"type\":\"images\",\"stage\":\"s\",\"name\":\"i\",\"shape\":[1,1,1,1],\"png\":[\"AAAA\"],\"row_"
      "labels\":[\"\\\" onload=\\\"x\"]}\n"
      "{\"type\":\"step\",\"stage\":\"s\",\"step\":1,\"scalars\":{\"\\\"><script>\":1}}\n");
  put("run", "pipeline.ini", "name = </pre><script>alert(2)</script>\n");
  PAGE("run");
  EXPECT_INT(count("<script"), 1);
  EXPECT_INT(count("<img "), 1);
  cr_assert(!strstr(page, "\" onload"));
  EXPECT_CONTAINS(page, "&lt;script&gt;alert(2)");
}

Test(page, unfinished_failed_and_damaged_runs_say_so) {
  put("young", "events.jsonl",
      "{\"type\":\"run\",\"name\":\"young\",\"seed\":1}\n{\"type\":\"result\",\"stage\":\"s\",\"scalars\":{"
      "\"a\":0.5}}\n{\"type\":\"st");
  PAGE("young");
  EXPECT_CONTAINS(page, "badge bad\">not finished");
  EXPECT_CONTAINS(page, "line 3 is cut off");
  EXPECT_CONTAINS(page, "<b>0.5</b><span>s.a</span>");
  put("failed", "results.json", "{\"outcome\":\"the loss became nan\",\"seed\":1,\"results\":{}}");
  PAGE("failed");
  EXPECT_CONTAINS(page, "badge bad\">failed");
  EXPECT_CONTAINS(page, "the loss became nan");
  cr_assert(!strstr(page, "id=\"results\""));
  put("damaged", "results.json", "{\"outcome\":");
  put("damaged", "events.jsonl", "\x01\xff\xfe garbage");
  PAGE("damaged");
  EXPECT_CONTAINS(page, "<section id=\"notes\">");
  EXPECT_CONTAINS(page, "damaged/results.json");
}

Test(page, what_is_no_run_is_refused_in_one_line) {
  tn_error error = {0};
  put("empty", "other.txt", "");
  cr_assert(tn_study_read((const char *const[]){"empty"}, 1, &study, &error) < 0);
  EXPECT_TEXT(error.text, "empty: neither a run nor a sweep: no events.jsonl, results.json or sweep.json");
}

Test(page, every_kind_of_event_has_a_view_and_unknown_ones_a_note) {
  put("run", "events.jsonl",
      "{\"type\":\"table\",\"stage\":\"s\",\"name\":\"the table\",\"rows\":1,\"columns\":1,\"cells\":[\"cell "
      "text\"]}\n"
      "{\"type\":\"matrix\",\"stage\":\"s\",\"name\":\"the matrix\",\"shape\":[1,2],\"values\":[1,null]}\n"
      "{\"type\":\"images\",\"stage\":\"s\",\"name\":\"the images\",\"shape\":[1,1,1,1],\"png\":[\"AAAA\"]}\n"
      "{\"type\":\"graph\",\"stage\":\"s\",\"name\":\"the graph\",\"text\":\"a -> b : c\"}\n"
      "{\"type\":\"scatter\",\"stage\":\"s\",\"name\":\"the "
      "scatter\",\"shape\":[2,3],\"values\":[1,2,0,3,4,1]}\n"
      "{\"type\":\"histogram\",\"stage\":\"s\",\"name\":\"the "
      "histogram\",\"shape\":[1,2],\"range\":[0,1],\"values\":[1,2]}\n"
      "{\"type\":\"text\",\"stage\":\"s\",\"name\":\"the text\",\"text\":\"said\"}\n"
      "{\"type\":\"series\",\"stage\":\"s\",\"name\":\"the series\",\"shape\":[2,2],\"values\":[0,1,1,2]}\n"
      "{\"type\":\"bars\",\"stage\":\"s\",\"name\":\"the bars\",\"shape\":[1,1],\"values\":[3]}\n"
      "{\"type\":\"hologram\",\"stage\":\"s\",\"name\":\"the hologram\"}\n");
  PAGE("run");
  const char *const kinds[] = {"table",     "matrix", "images", "graph", "scatter",
                               "histogram", "text",   "series", "bars"};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    char caption[64];
    snprintf(caption, sizeof caption, "<figcaption>the %s", kinds[i]);
    EXPECT_CONTAINS(page, caption);
  }
  EXPECT_CONTAINS(
      page,
      "An event of kind \xe2\x80\x9chologram\xe2\x80\x9d, the hologram, for which this version has no view");
}

Test(page, the_newest_of_several_pictures_is_shown_and_earlier_ones_fold) {
  put("run", "events.jsonl",
      "{\"type\":\"text\",\"stage\":\"s\",\"name\":\"t\",\"step\":1,\"text\":\"first words\"}\n"
      "{\"type\":\"text\",\"stage\":\"s\",\"name\":\"t\",\"step\":2,\"text\":\"last words\"}\n"
      "{\"type\":\"histogram\",\"stage\":\"s\",\"name\":\"h\",\"step\":1,\"shape\":[1,2],\"range\":[0,1],"
      "\"values\":[1,2]}\n"
      "{\"type\":\"histogram\",\"stage\":\"s\",\"name\":\"h\",\"step\":2,\"shape\":[1,2],\"range\":[0,2],"
      "\"values\":[1,2]}\n");
  PAGE("run");
  EXPECT_CONTAINS(page, "step 2, the last of 2");
  cr_assert(strstr(page, "last words") < strstr(page, "first words"));
  EXPECT_INT(count("class=\"tn-ridge"), 2);
}

/* ---- several runs ---- */

/* Pairs of an arm and a setting, two seeds each; accuracies rise from pair to pair. */
static void put_cells(const char *const *cells, int pairs) {
  static char text[8000];
  int used = snprintf(text, sizeof text, "{\"name\":\"two arms\",\"file\":\"f.ini\",\"cells\":[");
  for (int c = 0; c < pairs; c++)
    for (int seed = 1; seed <= 2; seed++) {
      char directory[64], path[80];
      snprintf(directory, sizeof directory, "cells/%s/%d-%d", cells[2 * c], c, seed);
      snprintf(path, sizeof path, "sweep/%s", directory);
      put_run(path, seed, 0.5 + 0.1 * c + 0.01 * seed, 30);
      used += snprintf(
          text + used, sizeof text - (size_t)used,
          "%s{\"directory\":\"%s\",\"arm\":\"%s\",\"seed\":%d,\"label\":\"%s,seed=%d\",\"variant\":\"%s\","
          "\"outcome\":\"finished\"}",
          c || seed > 1 ? "," : "", directory, cells[2 * c], seed, cells[2 * c + 1], seed, cells[2 * c + 1]);
    }
  snprintf(text + used, sizeof text - (size_t)used, "]}");
  put("sweep", "sweep.json", text);
}

/* Arms a and b, b with two settings. */
static void put_sweep(void) { put_cells((const char *[]){"a", "", "b", "m.lr=0.1", "b", "m.lr=0.2"}, 3); }

Test(page, a_sweep_shows_arms_with_spread_and_paired_differences) {
  put_sweep();
  put("sweep", "expect.json",
      "[{\"name\":\"gain\",\"text\":\"mean(b[m.lr=0.2].test.accuracy) > 0.6\",\"holds\":true,\"measured\":"
      "\"0.715 > 0.6\"},"
      "{\"name\":\"never\",\"text\":\"mean(a.test.accuracy) > 1\",\"holds\":false,\"measured\":\"0.515 > 1, "
      "off by 0.485\"}]");
  PAGE("sweep");
  EXPECT_CONTAINS(page, "6 of 6 runs finished");
  EXPECT_CONTAINS(page, "1 of 2 claims hold");
  EXPECT_CONTAINS(page, "mean(b[m.lr=0.2].test.accuracy) &gt; 0.6");
  EXPECT_CONTAINS(page, "mean of 2 runs, band: \xc2\xb1 1 standard deviation");
  EXPECT_INT(study.shown_count, 2); /* b in its better setting */
  cr_assert(!study.groups[1].shown && study.groups[2].shown);
  EXPECT_CONTAINS(page, "<th>minus a</th>");
  EXPECT_CONTAINS(page, "<td>b</td><td><b>+0.200</b></td><td>+0.200 \xe2\x80\xa6 +0.200</td><td>2</td>");
  EXPECT_CONTAINS(page, "b m.lr=0.1");                    /* in the table of all settings */
  EXPECT_CONTAINS(page, "mean of 2 runs</small>");        /* confusion matrices */
  EXPECT_CONTAINS(page, "<title>0 \xe2\x86\x92 0: 15 ("); /* of 10 and 20 */
  EXPECT_CONTAINS(page, "<section id=\"settings\">");
}

Test(page, arms_are_shown_whole_where_the_claims_take_them_so) {
  put_cells((const char *[]){"a", "d.set=x", "a", "d.set=y", "b", "d.set=x", "b", "d.set=y"}, 4);
  put("sweep", "expect.json",
      "[{\"name\":\"gain\",\"text\":\"mean(b.test.accuracy) > 0.6\",\"holds\":true,\"measured\":\"0.765 > "
      "0.6\"}]");
  PAGE("sweep");
  EXPECT_INT(study.shown_count, 2);
  EXPECT_INT(study.group_count, 6);
  cr_assert(!study.groups[0].shown && !study.groups[3].shown && study.groups[4].shown &&
            study.groups[5].shown);
  EXPECT_CONTAINS(page, "<b>4</b> settings");
  EXPECT_CONTAINS(page, "Each arm in all its settings");
  EXPECT_CONTAINS(page, "mean of 4 runs, band: \xc2\xb1 1 standard deviation");
  EXPECT_CONTAINS(page, "0.765"); /* the figure of the claim */
  /* x with x and y with y, each seed: 0.7 - 0.5 and 0.8 - 0.6 */
  EXPECT_CONTAINS(page, "<td>b</td><td><b>+0.200</b></td><td>+0.200 \xe2\x80\xa6 +0.200</td><td>4</td>");
}

Test(page, settings_are_chosen_as_the_claims_choose) {
  put_sweep();
  put("sweep", "expect.json",
      "[{\"name\":\"x\",\"text\":\"mean(b[least=test.accuracy].test.accuracy) > "
      "0\",\"holds\":true,\"measured\":\"\"}]");
  PAGE("sweep");
  EXPECT_TEXT(study.criterion, "test.accuracy");
  cr_assert(study.groups[1].shown && !study.groups[2].shown);
  EXPECT_CONTAINS(page, "with the smallest mean of test.accuracy, as the claims choose");
}

Test(page, several_directories_stand_side_by_side) {
  put_run("one", 1, 0.5, 10);
  put_run("deep/two", 1, 0.75, 10);
  put_sweep();
  PAGE("one/", "deep/two", "sweep");
  EXPECT_CONTAINS(page, "<h1>Comparison</h1>");
  EXPECT_TEXT(study.groups[0].name, "one");
  EXPECT_TEXT(study.groups[1].name, "two");
  EXPECT_TEXT(study.groups[2].name, "sweep a");
  EXPECT_CONTAINS(page, "<th>minus one</th>");
  put_run("other/two", 1, 0.75, 10);
  PAGE("deep/two", "other/two");
  EXPECT_TEXT(study.groups[0].name, "deep/two");
}

Test(page, a_sweep_that_goes_on_says_how_far_it_is) {
  put_sweep();
  char text[8000] = {0};
  FILE *file = fopen("sweep/sweep.json", "r");
  cr_assert(fread(text, 1, sizeof text - 1, file) > 0 && fclose(file) == 0);
  memcpy(strstr(text, "\"finished\""), "\"pending\" ", 10);
  put("sweep", "sweep.json", text);
  PAGE("sweep");
  EXPECT_CONTAINS(page, "badge bad\">5 of 6 runs finished");
  EXPECT_CONTAINS(page, "pending</td>");
}

Test(page, directions_follow_names) {
  EXPECT_INT(tn_result_direction("test.accuracy"), 1);
  EXPECT_INT(tn_result_direction("test.validation_loss"), -1);
  EXPECT_INT(tn_result_direction("loss_stage.parts"), 0);
  EXPECT_INT(tn_result_direction("compare.accuracy_std"), 0);
}

Test(page, the_file_is_written_whole) {
  put_run("run", 1, 0.5, 5);
  tn_error error = {0};
  const char *const directories[] = {"run"};
  cr_assert(tn_page_write(directories, 1, "out.html", NULL, NULL, &error) >= 0, "%s", error.text);
  struct stat status;
  cr_assert(stat("out.html", &status) == 0 && status.st_size > 10000);
  cr_assert(tn_page_write(directories, 1, "no/such/out.html", NULL, NULL, &error) < 0);
  EXPECT_CONTAINS(error.text, "no/such/out.html");
}

/* Every picture of the page is a file that stands alone: style, ground, title, and the names that the page
 * keeps beside it. */
Test(page, pictures_are_written_as_files) {
  put_sweep();
  tn_error error = {0};
  const char *const directories[] = {"sweep"};
  uint32_t count = 0, files = 0, strips = 0;
  cr_assert(tn_page_write(directories, 1, "out.html", "figures", &count, &error) >= 0, "%s", error.text);
  DIR *directory = opendir("figures");
  for (struct dirent *entry; (entry = readdir(directory));) {
    if (*entry->d_name == '.') continue;
    char path[320];
    tn_bytes svg;
    snprintf(path, sizeof path, "figures/%s", entry->d_name);
    cr_assert(tn_stream_read(path, 0, &svg, NULL));
    const char *text = (const char *)svg.data;
    cr_assert(strncmp(text, "<svg xmlns=", 11) == 0, "%s", path);
    EXPECT_CONTAINS(text, "<title>");
    EXPECT_CONTAINS(text, "<style>");
    EXPECT_CONTAINS(text, "tn-ground");
    cr_assert(strcmp(text + svg.size - 7, "</svg>\n") == 0, "%s", path);
    cr_assert(!strstr(text, "var(--"), "%s leans on the page's style", path);
    strips += strncmp(entry->d_name, "results-", 8) == 0;
    files++;
    tn_bytes_free(&svg);
  }
  closedir(directory);
  EXPECT_INT(files, count);
  cr_assert(strips > 0);
  cr_assert(tn_page_write(directories, 1, "out.html", "no/such/figures", &count, &error) < 0);
  EXPECT_CONTAINS(error.text, "no/such/figures");
}
