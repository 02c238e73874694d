// SPDX-License-Identifier: MIT
/* The zoo of shared objects that are refused, each with one line, while the good one beside them is used. */
#include "../expect.h"
#include "workshop.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

TestSuite(check, .init = workshop_open, .fini = workshop_close);

/* The line for tiny.c with one fault; the good plugin beside it stays usable. */
static const char *fault(const char *options) {
  char flags[512];
  static bool built;
  if (!built) workshop_build("plugins/good.so", "-DNAME=good");
  built = true;
  snprintf(flags, sizeof flags, "-DNAME=odd %s", options);
  workshop_build("plugins/odd.so", flags);
  tn_registry *registry = workshop_registry("plugins");
  static char text[2048];
  snprintf(text, sizeof text, "%s", workshop_refused(registry));
  tn_error error = {0};
  EXPECT_INT(tn_registry_count(registry), 1);
  cr_assert(tn_registry_load(registry, "optimizer.good", "pipe.ini", 1, &error), "%s", error.text);
  tn_registry_close(registry);
  return text;
}

Test(check, another_major) { EXPECT_TEXT(fault("-DMAJOR=2"), "odd.so: needs ABI 2, this host offers 1"); }

Test(check, a_future_minor) {
  EXPECT_TEXT(fault("-DMINOR=7"), "odd.so: needs ABI 1.7, this host offers 1.0");
}

Test(check, sizes_that_cannot_be) {
  EXPECT_CONTAINS(fault("-DPLUGIN_SIZE=8"), "odd.so: its tn_plugin claims 8 bytes, expected ");
  EXPECT_CONTAINS(fault("-DPLUGIN_SIZE=4000"), "odd.so: its tn_plugin claims 4000 bytes, expected ");
  EXPECT_CONTAINS(fault("-DCLASS_SIZE=0"), "odd.so: component 1: its tn_class claims 0 bytes, expected ");
  EXPECT_CONTAINS(fault("-DCLASS_SIZE=100000"), "odd.so: component 1: its tn_class claims 100000 bytes");
  EXPECT_CONTAINS(fault("-DPARAM_SIZE=8"), "odd.so: optimizer.odd: parameters of 8 bytes, expected ");
  EXPECT_CONTAINS(fault("-DVTABLE_SIZE=0"), "odd.so: optimizer.odd: its table of functions claims 0 bytes");
}

Test(check, functions_that_are_required) {
  EXPECT_TEXT(fault("-DNO_STEP"),
              "odd.so: optimizer.odd lacks the required function 'step' (tenon/optimizer.h)");
  EXPECT_CONTAINS(fault("-DVTABLE_SIZE=16"), "lacks the required function 'step'");
}

Test(check, names_and_kinds) {
  EXPECT_CONTAINS(fault("-DPLUGIN=Odd"), "odd.so: plugin name 'Odd': expected [a-z0-9_]+");
  EXPECT_CONTAINS(fault("-DKIND='\"optimizer\"'"),
                  "odd.so: component 1: kind 'optimizer': expected VENDOR.KIND/REVISION");
  EXPECT_CONTAINS(fault("-DKIND=NULL"), "odd.so: component 1: kind '': expected VENDOR.KIND/REVISION");
  EXPECT_CONTAINS(fault("-DTWICE"), "odd.so: offers 'odd' of kind tenon.optimizer/1 twice");
}

Test(check, schemas) {
  EXPECT_CONTAINS(
      fault("-DBAD_DEFAULT"),
      "odd.so: optimizer.odd, parameter 'lr': its default: lr = fast: expected a number, got 'fast'");
}

Test(check, shared_objects_that_are_no_plugins) {
  EXPECT_TEXT(fault("-DNO_SYMBOL"), "odd.so: not a tenon plugin (no symbol 'tenon_plugin')");
}

Test(check, plugins_that_end_their_process_when_loaded) {
  EXPECT_TEXT(fault("-DCRASH"), "odd.so: crashed when it was loaded (Segmentation fault)");
  EXPECT_TEXT(fault("-DEXIT"), "odd.so: ended the program when it was loaded (exit code 7)");
  EXPECT_TEXT(fault("-DLIE"), "odd.so: crashed when it was loaded (Segmentation fault)");
}

Test(check, a_missing_library_or_symbol) {
  workshop_run(
      "echo 'void absent(void); void here(void) { absent(); }' | cc -shared -fPIC -w -x c - -o plugins/a.so");
  EXPECT_TEXT(workshop_refusals("plugins"), "a.so: cannot be loaded (undefined symbol: absent)");
  workshop_run("echo 'int x;' | cc -shared -fPIC -x c - -o libgone.so");
  workshop_run("echo 'int y;' | cc -shared -fPIC -x c - -Wl,--no-as-needed -o plugins/a.so -L. -lgone");
  EXPECT_CONTAINS(workshop_refusals("plugins"),
                  "a.so: cannot be loaded (libgone.so: cannot open shared object file");
}

Test(check, files_that_are_no_shared_objects) {
  workshop_write("plugins/empty.so", "", 0);
  workshop_write("plugins/notes.so", "remember the milk\n", 18);
  EXPECT_TEXT(workshop_refusals("plugins"), "empty.so: not a shared object (no ELF header)\n"
                                            "notes.so: not a shared object (no ELF header)");
}

Test(check, a_truncated_file_of_every_length) {
  workshop_build("good.so", "-DNAME=good");
  struct stat s;
  cr_assert(stat("good.so", &s) == 0);
  for (long bytes = 4; bytes < s.st_size; bytes += 997) {
    workshop_run("head -c %ld good.so > plugins/cut.so", bytes);
    tn_registry *registry = workshop_registry("plugins");
    const char *refused = workshop_refused(registry);
    /* What is cut off behind the last segment is for debuggers only. */
    cr_assert(tn_registry_count(registry) == 1 || strncmp(refused, "cut.so: ", 8) == 0, "%ld bytes: %s",
              bytes, refused);
    cr_assert(!strstr(refused, "crashed"), "%ld bytes: %s", bytes, refused);
    tn_registry_close(registry);
  }
}

Test(check, another_architecture) {
  workshop_build("plugins/other.so", "-DNAME=other");
  workshop_run(
      "printf '\\267' | dd of=plugins/other.so bs=1 seek=18 conv=notrunc 2>/dev/null"); /* EM_AARCH64 */
  EXPECT_TEXT(workshop_refusals("plugins"), "other.so: not a shared object (made for another architecture)");
}

/* A plugin of an older SDK fills in less: its class ends before `create`, say. */
Test(check, shorter_structs_of_older_plugins_are_read_as_far_as_they_go) {
  workshop_build("plugins/old.so", "-DNAME=old -DCLASS_SIZE='offsetof(tn_class,create)' "
                                   "-DPLUGIN_SIZE='offsetof(tn_plugin,unload)'");
  tn_registry *registry = workshop_registry("plugins");
  tn_error error = {0};
  const tn_class *cls = tn_registry_load(registry, "optimizer.old", "pipe.ini", 1, &error);
  cr_assert(cls, "%s", error.text);
  EXPECT_INT(cls->size, sizeof(tn_class));
  cr_assert(!cls->create && !cls->destroy && !cls->state && !cls->extension);
  tn_registry_close(registry);
}

Test(check, what_a_plugin_prints_while_it_is_looked_at_goes_nowhere) {
  workshop_build("plugins/loud.so", "-DNAME=loud -DNOISE");
  fflush(stdout);
  cr_assert(freopen("out", "w", stdout));
  tn_registry_close(workshop_registry("plugins"));
  fflush(stdout);
  struct stat s;
  cr_assert(stat("out", &s) == 0);
  EXPECT_INT(s.st_size, 0);
}
