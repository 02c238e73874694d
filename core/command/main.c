// SPDX-License-Identifier: MIT
#include "core/command/command.h"
#include "core/plugin/host.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct {
  const char *name;
  int (*function)(int argc, char **argv);
  const char *summary;
} commands[] = {
    {"run", tn_command_run, "run a pipeline file"},
    {"resume", tn_command_resume, "go on with a run that was stopped"},
    {"check", tn_command_check, "check a pipeline file without running it"},
    {"graph", tn_command_graph, "draw a pipeline file as SVG"},
    {"list", tn_command_list, "list the installed components"},
    {"info", tn_command_info, "describe a component or a kind"},
    {"data", tn_command_data, "say what data sets are here, and fetch others"},
    {"sweep", tn_command_sweep, "go on with a sweep that was stopped"},
    {"compare", tn_command_compare, "compare the arms of a sweep, or runs"},
    {"report", tn_command_report, "write runs and sweeps as one HTML page"},
    {"reproduce", tn_command_reproduce, "run files that make claims, and judge them"},
    {"test", tn_command_test, "check that a plugin keeps what its kinds promise"},
    {"new", tn_command_new, "write the skeleton of a plugin"},
};

static void usage(FILE *out) {
  fputs("usage: tenon COMMAND [ARGUMENTS]\n\n", out);
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
    fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
  fputs("\n`tenon COMMAND --help` says more; `man tenon` says all.\n", out);
}

tn_registry *tn_command_registry(const tn_shared_options *shared) {
  tn_host_start();
  tn_error error = {0};
  tn_registry_options options = {.files = shared->files, .file_count = shared->file_count};
  tn_registry *registry = tn_registry_open(&options, &error);
  if (!registry) tn_command_error(&error, false);
  return registry;
}

int tn_command_error(const tn_error *error, bool running) {
  fprintf(stderr, "error: %s\n", error->text);
  switch (error->status) {
  case TN_ERROR_INTERRUPTED: return TN_EXIT_INTERRUPTED;
  case TN_ERROR_MEMORY:
  case TN_ERROR_INTERNAL: return TN_EXIT_FAILED;
  default: return running ? TN_EXIT_FAILED : TN_EXIT_USAGE;
  }
}

int tn_command_outcome(const tn_pipeline *pipeline, tn_status status, const tn_error *error) {
  if (!tn_pipeline_leads(pipeline)) return status == TN_ERROR_INTERRUPTED ? TN_EXIT_INTERRUPTED : TN_EXIT_OK;
  if (status == TN_ERROR_INTERRUPTED) {
    fprintf(stderr, "%s; go on with: tenon resume %s\n", error->text, tn_pipeline_directory(pipeline));
    return TN_EXIT_INTERRUPTED;
  }
  return status < 0 ? tn_command_error(error, true) : TN_EXIT_OK;
}

int main(int argc, char **argv) {
  signal(SIGXFSZ, SIG_IGN); /* a file that grows too large is an error of the write */
  if (argc < 2) {
    usage(stderr);
    return TN_EXIT_USAGE;
  }
  const char *name = argv[1];
  if (strcmp(name, "--version") == 0) {
    printf("tenon %s (ABI %d.%d)\n", TN_VERSION, TN_ABI_MAJOR, TN_ABI_MINOR);
    return TN_EXIT_OK;
  }
  const char *names[sizeof commands / sizeof *commands];
  uint32_t count = 0;
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
    if (argc < 3) {
      usage(stdout);
      return TN_EXIT_OK;
    }
    name = argv[2];
    argv[2] = (char *)"--help";
  }
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
    if (strcmp(name, commands[i].name) == 0) {
      argv[1] = (char *)(uintptr_t)commands[i].name;
      return commands[i].function(argc - 1, argv + 1);
    }
    names[count++] = commands[i].name;
  }
  const char *near = tn_nearest(name, names, count);
  fprintf(stderr, "error: no command '%s'%s%s%s\n", name, near ? "; did you mean '" : "", near ? near : "",
          near ? "'?" : "; `tenon --help` lists them");
  return TN_EXIT_USAGE;
}
