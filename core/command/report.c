// SPDX-License-Identifier: MIT
/* tenon report DIR ...: one self-contained HTML page about runs and sweeps. */
#include "core/command/arguments.h"
#include "core/page/page.h"
#include "core/plugin/host.h"
#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: tenon report DIR ... [-o FILE.html] [--figures DIR]\n\n"
    "Writes what runs and sweeps have left in their directories as one HTML file that needs nothing else: "
    "claims,\n"
    "final figures with spread and paired differences, curves, pictures, pipeline, cost and configuration; "
    "several\n"
    "directories side by side. Runs that have not finished are shown as far as they are.\n\n"
    "  -o FILE          write there instead of report.html in the directory, or here if there are several\n"
    "  --output FILE    the same\n"
    "  --figures DIR    also write each drawn picture of the page there, as an SVG file of its own\n";

int tn_command_report_line(const char *directory) {
  char path[4200];
  tn_error error = {0};
  snprintf(path, sizeof path, "%s/report.html", directory);
  tn_host_start(); /* for random numbers */
  if (tn_page_write(&directory, 1, path, NULL, NULL, &error) < 0) return tn_command_error(&error, true);
  printf("report: %s, by tenon report %s\n", path, directory);
  return TN_EXIT_OK;
}

int tn_command_report(int argc, char **argv) {
  const char *output = NULL, *figures = NULL;
  const tn_option options[] = {
      {"-o", &output, NULL}, {"--output", &output, NULL}, {"--figures", &figures, NULL}};
  tn_arguments arguments = {
      .most_words = TN_MAX_WORDS, .options = options, .option_count = TN_ARRAY_LENGTH(options)};
  const int code = tn_arguments_parse(argc, argv, help, &arguments);
  if (code >= 0) return code;
  if (arguments.word_count == 0) {
    fputs("error: tenon report needs a directory; `tenon report --help` says more\n", stderr);
    return TN_EXIT_USAGE;
  }
  char path[4200];
  tn_error error = {0};
  if (arguments.word_count > 1 && !output) output = "report.html";
  snprintf(path, sizeof path, "%s/report.html", arguments.words[0]);
  tn_host_start();
  uint32_t count = 0;
  if (tn_page_write(arguments.words, arguments.word_count, output ? output : path, figures, &count, &error) <
      0)
    return tn_command_error(&error, false);
  printf("report: %s\n", output ? output : path);
  if (figures) printf("figures: %s, %u SVG files\n", figures, count);
  return TN_EXIT_OK;
}
