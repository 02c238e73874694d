// SPDX-License-Identifier: MIT
/* tenon list, info and new, as a person calls them. */
#include "../expect.h"
#include "workshop.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(command, .init = workshop_open, .fini = workshop_close);

static char out[65536], err[65536];

static void read_whole(const char *file, char *text, size_t bytes) {
  FILE *in = fopen(file, "r");
  cr_assert(in);
  size_t got = fread(text, 1, bytes - 1, in);
  text[got] = '\0';
  fclose(in);
}

/* Runs `tenon ARGUMENTS`; its exit code; what it printed is in out and err. */
static int tenon(const char *arguments) {
  char command[1024];
  snprintf(command, sizeof command, TN_BUILD_ROOT "/tenon %s >out 2>err", arguments);
  int status = system(command);
  read_whole("out", out, sizeof out);
  read_whole("err", err, sizeof err);
  return WEXITSTATUS(status);
}

static void prepare(void) {
  if (access(TN_BUILD_ROOT "/tenon", X_OK) != 0) cr_skip_test("the command is not built");
  setenv("TENON_PLUGIN_PATH", "plugins", 1);
}

Test(command, list_shows_components_and_then_what_was_refused) {
  prepare();
  workshop_build("plugins/a.so", "-DNAME=alpha");
  workshop_build("plugins/b.so", "-DNAME=beta -DMAJOR=2");
  EXPECT_INT(tenon("list"), 0);
  EXPECT_TEXT(out, "optimizer.alpha  tiny alpha\n");
  EXPECT_TEXT(err, "refused: plugins/b.so: needs ABI 2, this host offers 1\n");
  EXPECT_INT(tenon("list optimizer --files"), 0);
  EXPECT_TEXT(out, "optimizer.alpha  tiny alpha  alpha 1.2.3  plugins/a.so\n");
}

Test(command, list_knows_its_kinds) {
  prepare();
  workshop_build("plugins/a.so", "-DNAME=alpha -DKIND='\"acme.fusion/1\"'");
  EXPECT_INT(tenon("list fusion"), 0);
  EXPECT_TEXT(out, "fusion.alpha  tiny alpha\n");
  EXPECT_INT(tenon("list loss"), 0);
  EXPECT_TEXT(err, "no components of kind loss are installed\n");
  EXPECT_INT(tenon("list fusoin"), 2);
  EXPECT_TEXT(err, "error: no kind 'fusoin'; did you mean 'fusion'?\n");
  EXPECT_INT(tenon("list --fils"), 2);
  EXPECT_TEXT(err, "error: tenon list has no option '--fils'; did you mean '--files'?\n");
}

Test(command, info_describes_a_component) {
  prepare();
  workshop_build("plugins/a.so", "-DNAME=alpha");
  EXPECT_INT(tenon("info optimizer.alpha"), 0);
  EXPECT_TEXT(out, "optimizer.alpha  tiny alpha\n\n"
                   "kind    tenon.optimizer/1: begin, step (2 of 4 functions, 40 bytes)\n"
                   "plugin  alpha 1.2.3, licence MIT\n"
                   "file    plugins/a.so\n\n"
                   "key  type    default  range         description\n"
                   "lr   number  0.1      0 <= lr <= 1  learning rate\n");
  EXPECT_INT(tenon("info optimizer.alhpa"), 2);
  EXPECT_TEXT(err, "error: no component 'optimizer.alhpa'; did you mean 'optimizer.alpha'?\n");
}

Test(command, info_describes_a_kind) {
  prepare();
  workshop_build("plugins/a.so", "-DNAME=alpha");
  EXPECT_INT(tenon("info optimizer"), 0);
  EXPECT_CONTAINS(out, "tenon.optimizer/1  updates a parameter set in place\n");
  EXPECT_CONTAINS(out, "  step           required\n");
  EXPECT_CONTAINS(out, "1 component:\n  optimizer.alpha  tiny alpha\n");
  EXPECT_INT(tenon("info optimizr"), 2);
  EXPECT_TEXT(err, "error: no kind 'optimizr'; did you mean 'optimizer'?\n");
  EXPECT_INT(tenon("info"), 2);
}

Test(command, a_plugin_named_by_the_user_that_is_refused_is_exit_code_3) {
  prepare();
  workshop_build("b.so", "-DNAME=beta -DMAJOR=2");
  EXPECT_INT(tenon("list --plugin b.so"), 3);
  EXPECT_TEXT(err, "error: b.so: needs ABI 2, this host offers 1\n");
}

/* What `tenon new` writes compiles without a warning, is accepted, and is never written over. */
Test(command, new_writes_a_plugin_for_every_kind) {
  const char *kinds[] = {"dataset",   "sampler",     "transform",    "model",        "loss",
                         "optimizer", "gradient",    "weighting",    "schedule",     "metric",
                         "predictor", "environment", "problem",      "solver",       "search",
                         "stage",     "observer",    "communicator", "acme.fusion/1"};
  prepare();
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    char text[256];
    snprintf(text, sizeof text, "new %s mine --dir made", kinds[i]);
    workshop_run("rm -rf made");
    EXPECT_INT(tenon(text), 0);
    EXPECT_CONTAINS(out, "made/mine.c\nmade/Makefile\nmade/test.sh\n");
    workshop_run("cc -std=c17 -O0 -Wall -Wextra -Wshadow -Werror -fPIC -shared -I%s/sdk/include made/mine.c "
                 "-o made/mine.so",
                 TN_SOURCE_ROOT);
    EXPECT_INT(tenon("list --plugin made/mine.so"), 0);
    EXPECT_CONTAINS(out, ".mine  what mine does, in one line\n");
    EXPECT_INT(tenon(text), 1);
    EXPECT_TEXT(err, "error: made/mine.c: File exists\n");
  }
}

Test(command, new_refuses_names_that_cannot_be) {
  prepare();
  EXPECT_INT(tenon("new optimzer mine"), 2);
  EXPECT_TEXT(err, "error: no kind 'optimzer'; did you mean 'optimizer'?\n");
  EXPECT_INT(tenon("new fusion mine"), 2);
  EXPECT_CONTAINS(err, "a kind of your own is written VENDOR.KIND/REVISION, such as acme.fusion/1");
  EXPECT_INT(tenon("new optimizer Mine"), 2);
  EXPECT_INT(tenon("new optimizer 3d"), 2);
  EXPECT_INT(tenon("new optimizer while"), 2);
  EXPECT_INT(tenon("new optimizer ../x"), 2);
  EXPECT_INT(tenon("new optimizer"), 2);
  EXPECT_TEXT(err, "error: tenon new: expected KIND NAME\n");
}
