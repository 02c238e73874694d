// SPDX-License-Identifier: MIT
/* tenon test FILE.so|FOLDER: the conformance suite on a plugin or on a folder of them. */
#include "core/command/arguments.h"
#include "core/conformance/conformance.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: tenon test FILE.so|FOLDER [kind.name] [options]\n\n"
    "Checks that components keep what their kinds promise. Every check runs in a process of its own; a "
    "failure\n"
    "names the component, the property, the seed, and the command that runs it again.\n\n"
    "  --check NAME    only this check; `tenon test --list` names them\n"
    "  --seed N        of everything that is made up; default 1\n"
    "  --fast          fewer repetitions\n"
    "  --with FILE.ini a pipeline file whose sections give the component its keys and what it refers to;\n"
    "                  a folder: its file KIND.NAME.ini, for the components that have one there\n"
    "  --limit SECONDS for one check; default 60\n"
    "  --junit FILE    also write the results as JUnit XML\n"
    "  --fuzz SECONDS  instead: random parameters and sequences of calls, for so long a component\n"
    "  --list          list the checks\n";

static bool number(const char *option, const char *text, double *value) {
  char *end;
  if (!text) return true;
  *value = strtod(text, &end);
  if (*text && !*end && *value >= 0 && *value < 1e15) return true;
  fprintf(stderr, "error: %s %s: expected a number that is not negative\n", option, text);
  return false;
}

/* glibc keeps freed blocks in a cache of each thread and counts them as used, so that small leaks drown in
 * what that settles to. Only at its start does a program learn to do without: this one begins anew. */
static void begin_without_cache(int argc, char **argv) {
#if defined(__GLIBC__)
  char **all = calloc((size_t)argc + 2, sizeof *all);
  if (!all || getenv("GLIBC_TUNABLES") || setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1) != 0) {
    free(all);
    return;
  }
  all[0] = (char[]){"tenon"};
  memcpy(all + 1, argv, (size_t)argc * sizeof *all);
  execv("/proc/self/exe", all);
  free(all); /* then with it */
#else
  (void)argc, (void)argv;
#endif
}

int tn_command_test(int argc, char **argv) {
  tn_conformance_options o = {.seed = 1};
  const char *seed = NULL, *limit = NULL, *fuzz = NULL;
  bool list = false;
  const tn_option options[] = {{"--check", &o.check, NULL}, {"--seed", &seed, NULL},
                               {"--fast", NULL, &o.fast},   {"--with", &o.with, NULL},
                               {"--limit", &limit, NULL},   {"--junit", &o.junit, NULL},
                               {"--fuzz", &fuzz, NULL},     {"--list", NULL, &list}};
  tn_arguments a = {.most_words = 2, .options = options, .option_count = TN_ARRAY_LENGTH(options)};
  int code = tn_arguments_parse(argc, argv, help, &a);
  if (code >= 0) return code;
  if (list) {
    tn_conformance_list(stdout);
    return TN_EXIT_OK;
  }
  double number_of_seed = 1;
  if (!number("--seed", seed, &number_of_seed) || !number("--limit", limit, &o.seconds) ||
      !number("--fuzz", fuzz, &o.fuzz))
    return TN_EXIT_USAGE;
  o.seed = (uint64_t)number_of_seed;
  if (a.word_count < 1) {
    fputs("error: tenon test: expected a plugin or a folder of plugins\n", stderr);
    return TN_EXIT_USAGE;
  }
  begin_without_cache(argc, argv);
  o.file = a.words[0];
  o.full = a.word_count > 1 ? a.words[1] : NULL;
  tn_error error = {0};
  tn_conformance_counts counts;
  if (tn_conformance_run(&o, stdout, &counts, &error) < 0) return tn_command_error(&error, false);
  printf("%u components: %u checks passed, %u failed, %u skipped, %u do not apply\n", counts.classes,
         counts.passed, counts.failed, counts.skipped, counts.absent);
  return counts.failed ? TN_EXIT_FAILED : TN_EXIT_OK;
}
