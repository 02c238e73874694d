// SPDX-License-Identifier: MIT
#include "../expect.h"
#include "workshop.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

TestSuite(registry, .init = workshop_open, .fini = workshop_close);
TestSuite(index, .init = workshop_open, .fini = workshop_close);
TestSuite(trust, .init = workshop_open, .fini = workshop_close);

static const tn_class *load(tn_registry *registry, const char *full, tn_error *error) {
  *error = (tn_error){0};
  return tn_registry_load(registry, full, "pipe.ini", 4, error);
}

static int number(const char *name) { return getenv(name) ? atoi(getenv(name)) : 0; }

Test(registry, lists_what_is_installed_without_loading_it) {
  workshop_build("plugins/b.so", "-DNAME=beta");
  workshop_build("plugins/a.so", "-DNAME=alpha -DPLUGIN=first");
  tn_registry *registry = workshop_registry("plugins");
  EXPECT_INT(tn_registry_count(registry), 2);
  const tn_registry_item *item = tn_registry_item_at(registry, 0);
  EXPECT_TEXT(item->full, "optimizer.alpha");
  EXPECT_TEXT(item->kind, "tenon.optimizer/1");
  EXPECT_TEXT(item->name, "alpha");
  EXPECT_TEXT(item->summary, "tiny alpha");
  EXPECT_TEXT(item->plugin, "first");
  EXPECT_TEXT(item->version, "1.2.3");
  EXPECT_TEXT(item->licence, "MIT");
  EXPECT_TEXT(item->file, "plugins/a.so");
  EXPECT_TEXT(tn_registry_item_at(registry, 1)->full, "optimizer.beta");
  EXPECT_INT(workshop_mapped(".so"), 0);
  EXPECT_INT(tn_registry_loaded(registry), 0);
  tn_registry_close(registry);
}

Test(registry, loads_only_what_is_used_and_unloads_it) {
  workshop_build("plugins/a.so", "-DNAME=alpha");
  workshop_build("plugins/b.so", "-DNAME=beta");
  tn_error error;
  tn_registry *registry = workshop_registry("plugins");
  const tn_class *cls = load(registry, "optimizer.beta", &error);
  cr_assert(cls, "%s", error.text);
  EXPECT_TEXT(cls->name, "beta");
  EXPECT_INT(workshop_mapped("/a.so"), 0);
  EXPECT_INT(workshop_mapped("/b.so"), 1);
  cr_assert(load(registry, "optimizer.beta", &error) == cls);
  EXPECT_INT(tn_registry_loaded(registry), 1);
  EXPECT_TEXT(tn_registry_loaded_at(registry, 0)->name, "beta");
  EXPECT_TEXT(tn_registry_loaded_at(registry, 0)->version, "1.2.3");
  EXPECT_TEXT(tn_registry_loaded_at(registry, 0)->file, "plugins/b.so");
  EXPECT_INT(number("TENON_TEST_LOADS"), 1);
  tn_registry_close(registry);
  EXPECT_INT(number("TENON_TEST_UNLOADS"), 1);
  EXPECT_INT(workshop_mapped(".so"), 0);
}

Test(registry, an_unknown_name_names_the_nearest) {
  workshop_build("plugins/a.so", "-DNAME=adam");
  tn_error error;
  tn_registry *registry = workshop_registry("plugins");
  cr_assert(!load(registry, "optimizer.adm", &error));
  EXPECT_TEXT(error.text, "pipe.ini:4: no component 'optimizer.adm'; did you mean 'optimizer.adam'?");
  cr_assert(!load(registry, "adam", &error));
  EXPECT_TEXT(error.text, "pipe.ini:4: no component 'adam'; did you mean 'optimizer.adam'?");
  cr_assert(!load(registry, "model.unet", &error));
  EXPECT_TEXT(error.text, "pipe.ini:4: no component 'model.unet'");
  cr_assert(!tn_registry_find(registry, "optimizer.adm"));
  tn_registry_close(registry);
}

Test(registry, an_unknown_name_hints_at_refused_plugins) {
  workshop_build("plugins/a.so", "-DNAME=adam -DMAJOR=3");
  tn_error error;
  tn_registry *registry = workshop_registry("plugins");
  cr_assert(!load(registry, "optimizer.adam", &error));
  EXPECT_TEXT(error.text,
              "pipe.ini:4: no component 'optimizer.adam' (1 plugin was refused: `tenon list` says why)");
  tn_registry_close(registry);
}

Test(registry, the_first_in_search_order_wins) {
  mkdir("mine", 0755);
  workshop_build("mine/x.so", "-DNAME=adam");
  workshop_build("plugins/a.so", "-DNAME=adam");                  /* the same plugin */
  workshop_build("plugins/b.so", "-DNAME=adam -DPLUGIN=another"); /* another with the same component */
  tn_registry *registry = workshop_registry("mine:plugins");
  EXPECT_TEXT(tn_registry_find(registry, "optimizer.adam")->file, "mine/x.so");
  EXPECT_TEXT(workshop_refused(registry), "a.so: plugin 'adam' is already in mine/x.so, which comes first\n"
                                          "b.so: optimizer.adam is already in mine/x.so, which comes first");
  tn_registry_close(registry);
}

Test(registry, one_file_found_twice_is_one_plugin) {
  workshop_build("plugins/a.so", "-DNAME=adam");
  workshop_run("ln -s plugins again; ln -s a.so plugins/b.so");
  EXPECT_TEXT(workshop_refusals("plugins:again"), "");
}

Test(registry, files_named_by_the_user_must_load) {
  workshop_build("a.so", "-DNAME=adam");
  workshop_build("b.so", "-DNAME=bad -DMAJOR=2");
  const char *good[] = {"a.so"}, *wrong[] = {"a.so", "b.so"}, *missing[] = {"./gone.so"};
  tn_error error = {0};
  tn_registry *registry = tn_registry_open(&(tn_registry_options){.files = good, .file_count = 1}, &error);
  cr_assert(registry, "%s", error.text);
  cr_assert(load(registry, "optimizer.adam", &error), "%s", error.text);
  tn_registry_close(registry);
  error = (tn_error){0};
  cr_assert(!tn_registry_open(&(tn_registry_options){.files = wrong, .file_count = 2}, &error));
  EXPECT_TEXT(error.text, "b.so: needs ABI 2, this host offers 1");
  error = (tn_error){0};
  cr_assert(!tn_registry_open(&(tn_registry_options){.files = missing, .file_count = 1}, &error));
  EXPECT_TEXT(error.text, "./gone.so: No such file or directory");
}

Test(registry, the_environment_names_folders) {
  workshop_build("plugins/a.so", "-DNAME=alpha");
  mkdir("builtin", 0755);
  workshop_build("builtin/b.so", "-DNAME=beta");
  setenv("TENON_PLUGIN_PATH", "plugins:/nonexistent:", 1);
  setenv("TENON_BUILTIN_PLUGINS", "builtin", 1);
  tn_error error = {0};
  tn_registry *registry = tn_registry_open(NULL, &error);
  cr_assert(registry, "%s", error.text);
  EXPECT_INT(tn_registry_count(registry), 2);
  tn_registry_close(registry);
}

Test(registry, a_load_function_that_fails_says_why) {
  workshop_build("plugins/a.so", "-DNAME=adam -DLOAD_FAILS");
  tn_error error;
  tn_registry *registry = workshop_registry("plugins");
  cr_assert(!load(registry, "optimizer.adam", &error));
  EXPECT_TEXT(error.text,
              "pipe.ini:4: optimizer.adam: plugins/a.so: its load function failed: no licence server");
  EXPECT_INT(tn_context_current()->status, TN_OK);
  EXPECT_INT(workshop_mapped(".so"), 0);
  tn_registry_close(registry);
}

Test(registry, two_hosts_in_one_process_share_a_plugin_until_the_last_leaves) {
  workshop_build("plugins/a.so", "-DNAME=adam");
  tn_error error;
  tn_registry *first = workshop_registry("plugins"), *second = workshop_registry("plugins");
  cr_assert(load(first, "optimizer.adam", &error) && load(second, "optimizer.adam", &error), "%s",
            error.text);
  EXPECT_INT(number("TENON_TEST_LOADS"), 1);
  tn_registry_close(first);
  EXPECT_INT(number("TENON_TEST_UNLOADS"), 0);
  EXPECT_INT(workshop_mapped("/a.so"), 1);
  cr_assert(load(second, "optimizer.adam", &error));
  tn_registry_close(second);
  EXPECT_INT(number("TENON_TEST_UNLOADS"), 1);
}

static void *use_a_host(void *argument) {
  (void)argument;
  tn_context context = {0};
  tn_context *former = tn_context_enter(&context);
  for (int i = 0; i < 20; i++) {
    tn_error error = {0};
    tn_registry *registry = tn_registry_open(&(tn_registry_options){.path = "plugins"}, &error);
    if (!registry || !load(registry, "optimizer.adam", &error)) return "failed";
    tn_registry_close(registry);
  }
  tn_context_enter(former);
  return NULL;
}

Test(registry, hosts_in_several_threads) {
  workshop_build("plugins/a.so", "-DNAME=adam");
  tn_registry_close(workshop_registry("plugins"));
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) cr_assert(pthread_create(&threads[i], NULL, use_a_host, NULL) == 0);
  for (int i = 0; i < 4; i++) {
    void *result = NULL;
    pthread_join(threads[i], &result);
    cr_assert(!result, "a thread's host failed");
  }
}

/* The index. */

static const char index_file[] = "cache/tenon/plugins.idx";
static ino_t index_inode(void) {
  struct stat s;
  return stat(index_file, &s) == 0 ? s.st_ino : 0;
}

Test(index, is_written_when_something_is_new_and_only_then) {
  workshop_build("plugins/a.so", "-DNAME=alpha");
  tn_registry_close(workshop_registry("plugins"));
  ino_t first = index_inode();
  cr_assert(first != 0);
  tn_registry_close(workshop_registry("plugins"));
  EXPECT_INT(index_inode(), first);
  workshop_build("plugins/b.so", "-DNAME=beta");
  EXPECT_TEXT(workshop_refusals("plugins"), "");
  cr_assert(index_inode() != first);
}

Test(index, a_changed_file_is_looked_at_again) {
  workshop_build("plugins/a.so", "-DNAME=alpha");
  tn_registry_close(workshop_registry("plugins"));
  workshop_build("plugins/a.so", "-DNAME=gamma");
  tn_registry *registry = workshop_registry("plugins");
  EXPECT_TEXT(tn_registry_item_at(registry, 0)->full, "optimizer.gamma");
  EXPECT_INT(tn_registry_count(registry), 1);
  tn_registry_close(registry);
}

Test(index, one_that_is_damaged_is_made_anew) {
  workshop_build("plugins/a.so", "-DNAME=alpha");
  tn_registry_close(workshop_registry("plugins"));
  struct stat s;
  cr_assert(stat(index_file, &s) == 0);
  workshop_run("cp %s whole", index_file);
  for (long at = 0; at < s.st_size; at += 5) {
    workshop_run("cp whole %s; printf '\\001' | dd of=%s bs=1 seek=%ld conv=notrunc 2>/dev/null", index_file,
                 index_file, at);
    tn_registry *registry = workshop_registry("plugins");
    EXPECT_INT(tn_registry_count(registry), 1);
    EXPECT_TEXT(tn_registry_item_at(registry, 0)->summary, "tiny alpha");
    tn_registry_close(registry);
  }
  workshop_run("head -c 40 whole > %s", index_file);
  EXPECT_TEXT(workshop_refusals("plugins"), "");
  workshop_run("cmp -s whole %s", index_file);
}

Test(index, that_others_can_write_is_not_believed) {
  workshop_build("plugins/a.so", "-DNAME=alpha");
  tn_registry_close(workshop_registry("plugins"));
  ino_t first = index_inode();
  workshop_run("chmod 666 %s", index_file);
  tn_registry_close(workshop_registry("plugins"));
  cr_assert(index_inode() != first);
}

Test(index, without_a_cache_folder_everything_works) {
  workshop_build("plugins/a.so", "-DNAME=alpha");
  setenv("XDG_CACHE_HOME", "/proc/no/such/place", 1);
  EXPECT_TEXT(workshop_refusals("plugins"), "");
  unsetenv("XDG_CACHE_HOME");
  unsetenv("HOME");
  EXPECT_TEXT(workshop_refusals("plugins"), "");
}

Test(index, several_folders_used_in_turn_keep_their_entries) {
  mkdir("other", 0755);
  workshop_build("plugins/a.so", "-DNAME=alpha");
  workshop_build("other/b.so", "-DNAME=beta");
  tn_registry_close(workshop_registry("plugins"));
  tn_registry_close(workshop_registry("other"));
  ino_t both = index_inode();
  tn_registry_close(workshop_registry("plugins"));
  tn_registry_close(workshop_registry("other"));
  EXPECT_INT(index_inode(), both);
}

/* What a crash cost once it does not cost again. */
Test(index, remembers_refusals_that_depend_on_the_file_alone) {
  workshop_build("plugins/a.so", "-DNAME=alpha -DCRASH");
  const char *line = "a.so: crashed when it was loaded (Segmentation fault)";
  EXPECT_TEXT(workshop_refusals("plugins"), line);
  ino_t first = index_inode();
  EXPECT_TEXT(workshop_refusals("plugins"), line);
  EXPECT_INT(index_inode(), first);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

Test(index, opens_two_hundred_plugins) {
  workshop_build("tiny.so", "-DNAME=name_000");
  for (int i = 0; i < 200; i++) workshop_run("sed 's/name_000/name_%03d/g' tiny.so > plugins/%03d.so", i, i);
  double start = now();
  tn_registry_close(workshop_registry("plugins"));
  double cold = now() - start, best = 1e9;
  for (int i = 0; i < 20; i++) {
    start = now();
    tn_registry *registry = workshop_registry("plugins");
    double taken = now() - start;
    if (taken < best) best = taken;
    EXPECT_INT(tn_registry_count(registry), 200);
    tn_registry_close(registry);
  }
  printf("200 plugins: %.1f ms when new, %.2f ms with the index (target: 2 ms)\n", cold, best);
}

/* Trust. */

Test(trust, what_everybody_can_write_is_refused) {
  workshop_build("plugins/a.so", "-DNAME=alpha");
  workshop_run("chmod 0777 plugins/a.so");
  EXPECT_TEXT(workshop_refusals("plugins"),
              "a.so: everybody can write to it, so it is not trusted (chmod o-w)");
  workshop_run("chmod 0755 plugins/a.so; chmod 0777 plugins");
  EXPECT_TEXT(workshop_refusals("plugins"),
              "plugins: everybody can write to it, so it is not trusted (chmod o-w)");
  workshop_run("chmod 1777 plugins");
  EXPECT_TEXT(workshop_refusals("plugins"),
              "plugins: everybody can write to it, so it is not trusted (chmod o-w)");
  workshop_run("chmod 0755 plugins");
  EXPECT_TEXT(workshop_refusals("plugins"), "");
}

Test(trust, a_named_file_must_not_be_exchangeable_by_others) {
  workshop_build("plugins/a.so", "-DNAME=alpha");
  const char *file[] = {"plugins/a.so"};
  const tn_registry_options options = {.files = file, .file_count = 1};
  tn_error error = {0};
  workshop_run("chmod 0777 plugins");
  cr_assert(!tn_registry_open(&options, &error));
  EXPECT_TEXT(error.text, "plugins/a.so: others can write to its folder, so it is not trusted");
  workshop_run("chmod 1777 plugins"); /* as /tmp: only owners replace their files */
  error = (tn_error){0};
  tn_registry *registry = tn_registry_open(&options, &error);
  cr_assert(registry, "%s", error.text);
  tn_registry_close(registry);
}
