// SPDX-License-Identifier: MIT
/* tenon run FILE.ini --ranks N: checks the file once, makes the run directory, and starts mpirun. */
#define _DEFAULT_SOURCE /* prctl's header */
#include "core/command/contained.h"
#include "core/command/command.h"
#include "core/command/pipeline_options.h"
#include "core/config/memory.h"
#include "core/pipeline/directory.h"
#include "core/pipeline/places.h"
#include "core/sweep/script.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* As one process, so that what is wrong is said once. */
static int check(void *context, tn_box *box) {
  const tn_command_options *o = context;
  tn_pipeline_options options = o->pipeline;
  const char *overrides[TN_MAX_OVERRIDES + 1];
  options.box = box;
  options.single = o->single;
  options.overrides = overrides;
  for (uint32_t i = 0; i < options.override_count; i++) overrides[i] = o->pipeline.overrides[i];
  overrides[options.override_count++] = "pipeline.communicator=communicator.local";
  tn_error error = {0};
  tn_registry *registry = tn_command_registry(&o->shared);
  if (!registry) return TN_EXIT_PLUGIN;
  tn_pipeline *pipeline = tn_pipeline_open(registry, &options, &error);
  const int code = pipeline ? TN_EXIT_OK : tn_command_error(&error, false);
  tn_pipeline_close(pipeline);
  tn_registry_close(registry);
  return code;
}

/* True if the file or the command line names a communicator. */
static bool names_communicator(const tn_pipeline_options *o) {
  tn_places places;
  tn_places_find(&places);
  tn_config_variable variables[3];
  tn_places_variables(&places, o->directory, variables);
  tn_error error = {0};
  tn_config *config =
      tn_config_load(o->file, o->overrides, o->override_count, variables, TN_ARRAY_LENGTH(variables), &error);
  const tn_section *section = config ? tn_config_find(config, "pipeline") : NULL;
  const tn_key *key = section ? tn_section_find(section, "communicator") : NULL;
  const bool named = key && *key->value;
  tn_config_free(config);
  return named;
}

/* Unless it is set, a rank's share of the processors. */
static void set_threads(int64_t ranks) {
  char threads[24];
  const long processors = sysconf(_SC_NPROCESSORS_ONLN);
  snprintf(threads, sizeof threads, "%lld", (long long)(processors > ranks ? processors / ranks : 1));
  setenv("OMP_NUM_THREADS", threads, 0);
}

enum { NOT_FOUND = 127 };

static volatile pid_t mpirun;

/* mpirun gives its ranks a second to end after SIGTERM; SIGUSR2 it passes on at once. */
static void pass_on(int number) {
  if (mpirun > 0) kill(mpirun, number == SIGINT || number == SIGTERM ? SIGUSR2 : number);
}

/* Its exit code. In a process group of its own it does not see what the terminal sends. */
static int run_mpirun(const char *const *words) {
  struct sigaction action = {.sa_handler = pass_on, .sa_flags = SA_RESTART};
  int status = 0;
  const pid_t parent = getpid(), child = fork();
  if (child == 0) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    const int in = open("/dev/null", O_RDONLY);
    if (in >= 0) dup2(in, STDIN_FILENO);
    if (getppid() == parent) execvp(words[0], (char *const *)(uintptr_t)words);
    fprintf(stderr, "error: --ranks needs mpirun: %s\n", strerror(errno));
    _exit(NOT_FOUND);
  }
  if (child < 0) {
    fprintf(stderr, "error: --ranks: %s\n", strerror(errno));
    return TN_EXIT_FAILED;
  }
  mpirun = child;
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGUSR2, &action, NULL);
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return WIFEXITED(status) ? WEXITSTATUS(status) : TN_EXIT_FAILED;
}

int tn_command_ranks(const tn_command_options *o, int argc, char **argv) {
  char directory[4096], program[4096], count[24];
  tn_error error = {0};
  const int code = tn_contain(true, check, (void *)(uintptr_t)o);
  if (code != TN_EXIT_OK) return code;
  const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  if (length < 0) {
    fprintf(stderr, "error: /proc/self/exe: %s\n", strerror(errno));
    return TN_EXIT_FAILED;
  }
  program[length] = 0;
  snprintf(count, sizeof count, "%lld", (long long)o->ranks);
  const char **words = tn_take(((size_t)argc + 16) * sizeof *words);
  uint32_t n = 0;
  words[n++] = "mpirun";
  words[n++] = "-n";
  words[n++] = count;
  words[n++] = program;
  words[n++] = "run";
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--ranks") == 0)
      i++;
    else
      words[n++] = argv[i];
  }
  if (!o->pipeline.directory) {
    if (tn_directory_free(o->pipeline.file, directory, sizeof directory, &error) < 0) {
      free(words);
      return tn_command_error(&error, false);
    }
    words[n++] = "--directory";
    words[n++] = directory;
  }
  if (!names_communicator(&o->pipeline)) words[n++] = "pipeline.communicator=mpi";
  set_threads(o->ranks);
  tn_mpirun_environment();
  fflush(NULL);
  const int ended = run_mpirun(words);
  if (ended == NOT_FOUND && !o->pipeline.directory) (void)remove(directory);
  free(words);
  return ended == NOT_FOUND ? TN_EXIT_USAGE : ended;
}
