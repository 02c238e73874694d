// SPDX-License-Identifier: MIT
#include "core/sweep/script.h"
#include "core/config/memory.h"
#include "core/report/text.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* 'It'\''s one word' */
static void put_word(tn_text *text, const char *word) {
  tn_text_append(text, "'");
  for (; *word; word++) {
    if (*word == '\'')
      tn_text_append(text, "'\\''");
    else
      tn_text_printf(text, "%c", *word);
  }
  tn_text_append(text, "'");
}

/* Where a batch system gives processors to the job, these; else what the sweep would use here. */
static char *script_text(const tn_cell_job *job, const char *program, const char *here,
                         const char *directory) {
  tn_text text = {0};
  tn_text_append(&text, "#!/bin/sh\ncd ");
  put_word(&text, here);
  tn_text_append(&text, " || exit\ncell=");
  put_word(&text, directory);
  tn_text_printf(&text,
                 "\nexport OMP_NUM_THREADS=\"${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-%u}}\"\n"
                 "trap 'kill -TERM \"$run\"' TERM\n",
                 job->threads);
  put_word(&text, program);
  for (const char *const *word = job->words + 1; *word; word++) {
    tn_text_append(&text, " ");
    put_word(&text, *word);
  }
  tn_text_append(&text, " >\"$cell/output.txt\" 2>&1 &\nrun=$!\nwait \"$run\"; code=$?\n"
                        "while kill -0 \"$run\" 2>/dev/null; do wait \"$run\"; code=$?; done\n"
                        "echo $code >\"$cell/exit.tmp\" && mv \"$cell/exit.tmp\" \"$cell/exit\"\n");
  return tn_text_take(&text);
}

static tn_status system_error(const char *what, tn_error *error) {
  return tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", what, strerror(errno));
}

tn_status tn_script_write(const tn_cell_job *job, char *path, size_t bytes, tn_error *error) {
  char program[PATH_MAX], here[PATH_MAX], directory[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  if (length < 0) return system_error("/proc/self/exe", error);
  program[length] = 0;
  if (!getcwd(here, sizeof here)) return system_error("the current folder", error);
  if (!realpath(job->directory, directory)) return system_error(job->directory, error);
  snprintf(path, bytes, "%s/exit", directory);
  if (unlink(path) != 0 && errno != ENOENT) return system_error(path, error);
  snprintf(path, bytes, "%s/cell.sh", directory);
  char *text = script_text(job, program, here, directory);
  FILE *file = text ? fopen(path, "w") : NULL;
  bool ok = file && fputs(text, file) >= 0;
  if (file && fclose(file) != 0) ok = false;
  free(text);
  return ok ? TN_OK : system_error(path, error);
}

bool tn_script_ended(const char *path, int *code) {
  char marker[PATH_MAX];
  snprintf(marker, sizeof marker, "%.*s/exit", (int)(strrchr(path, '/') - path), path);
  FILE *file = fopen(marker, "r");
  if (!file) return false;
  const bool read = fscanf(file, "%d", code) == 1;
  fclose(file);
  if (read && *code > 128 && *code != 130) *code = 128 - *code; /* as the shell says it */
  return read;
}

int tn_program_run(const char *const *words, char *output, size_t bytes) {
  int ends[2], status = 0;
  if (pipe(ends) != 0) return -1;
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    execvp(words[0], (char *const *)(uintptr_t)words);
    dprintf(STDERR_FILENO, "%s: %s", words[0], strerror(errno));
    _exit(127);
  }
  close(ends[1]);
  size_t used = 0;
  char piece[1024];
  for (ssize_t got;
       child > 0 && ((got = read(ends[0], piece, sizeof piece)) > 0 || (got < 0 && errno == EINTR));)
    for (ssize_t i = 0; i < got; i++)
      if (used + 1 < bytes) output[used++] = piece[i];
  close(ends[0]);
  while (used > 0 && output[used - 1] == '\n') used--;
  if (bytes > 0) output[used] = 0;
  if (child < 0) return -1;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void tn_mpirun_environment(void) {
  setenv("OMPI_MCA_orte_execute_quiet", "1", 0);
  setenv("OMPI_MCA_rmaps_base_oversubscribe", "1", 0);
  setenv("OMPI_MCA_hwloc_base_binding_policy", "none", 0); /* a rank has threads */
  if (geteuid() != 0) return;
  setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 0);
  setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 0);
}
