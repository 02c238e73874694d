// SPDX-License-Identifier: MIT
#include "../expect.h"
#include "core/config/kind.h"
#include "core/plugin/host.h"
#include "core/plugin/kinds.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <tenon/optimizer.h>
#include <unistd.h>

static void start(void) { tn_host_start(); }
TestSuite(host, .init = start);

static const tn_component lion = {.size = sizeof(tn_component), .name = "lion"};

Test(host, offers_its_tables_by_id) {
  cr_assert(tn_host_table.get_service(TN_LOG_SERVICE) == tn_sdk.log);
  cr_assert(!tn_host_table.get_service("tenon.log/2"));
  cr_assert(!tn_host_table.get_service("acme.nothing/1"));
  EXPECT_INT(tn_host_table.abi_major, TN_ABI_MAJOR);
  EXPECT_INT(tn_host_table.size, sizeof(tn_host));
}

Test(host, the_first_failure_of_a_callback_is_kept_with_its_place) {
  tn_context context = {0}, *former = tn_context_enter(&context);
  tn_call_stack *stack = tn_enter(&lion, "step");
  EXPECT_INT(tn_fail(TN_ERROR_SHAPE, "(2, 3) does not fit (4)"), TN_ERROR_SHAPE);
  EXPECT_INT(tn_fail(TN_ERROR_IO, "later"), TN_ERROR_IO);
  tn_leave(stack);
  EXPECT_INT(context.status, TN_ERROR_SHAPE);
  EXPECT_TEXT(context.message, "(2, 3) does not fit (4)");
  cr_assert(context.failed_in.component == &lion);
  EXPECT_TEXT(context.failed_in.function, "step");
  cr_assert(tn_failed());
  EXPECT_INT(tn_outcome(), TN_ERROR_SHAPE);
  tn_context_clear(&context);
  cr_assert(!tn_failed());
  cr_assert(tn_context_enter(former) == &context);
}

Test(host, contexts_do_not_disturb_each_other) {
  tn_context a = {0}, b = {0};
  tn_context *former = tn_context_enter(&a);
  tn_fail(TN_ERROR_INVALID, "in a");
  cr_assert(tn_context_enter(&b) == &a);
  cr_assert(!tn_failed());
  tn_enter(&lion, "apply");
  EXPECT_INT(b.stack.depth, 1);
  EXPECT_INT(a.stack.depth, 0);
  tn_context_enter(former);
}

static void *fail_elsewhere(void *argument) {
  (void)argument;
  tn_fail(TN_ERROR_INVALID, "in a thread of its own");
  return tn_context_current();
}

Test(host, every_thread_has_a_context) {
  pthread_t thread;
  void *other;
  cr_assert(pthread_create(&thread, NULL, fail_elsewhere, NULL) == 0 && pthread_join(thread, &other) == 0);
  cr_assert(other != tn_context_current());
  cr_assert(!tn_failed());
}

Test(host, calls_deeper_than_the_stack_wrap) {
  tn_call_stack *stack = NULL;
  for (int i = 0; i < 3 * TN_CALL_DEPTH; i++) stack = tn_enter(&lion, "apply");
  EXPECT_INT(stack->depth, 3 * TN_CALL_DEPTH);
  for (int i = 0; i < 3 * TN_CALL_DEPTH; i++) tn_leave(stack);
  EXPECT_INT(stack->depth, 0);
}

Test(host, messages_are_one_line_and_name_the_component) {
  char text[256] = "";
  FILE *log = tmpfile();
  tn_context context = {.log = log, .quiet = true}, *former = tn_context_enter(&context);
  tn_info("plain");
  tn_call_stack *stack = tn_enter(&lion, "step");
  tn_warn("two\nlines, %d", 7);
  tn_leave(stack);
  tn_context_enter(former);
  rewind(log);
  size_t bytes = fread(text, 1, sizeof text - 1, log);
  text[bytes] = '\0';
  EXPECT_TEXT(text, "plain\nwarning: lion: two lines, 7\n");
  fclose(log);
}

Test(host, memory_is_zeroed_and_running_out_is_recorded) {
  unsigned char *memory = tn_alloc(1000);
  for (int i = 0; i < 1000; i++) EXPECT_INT(memory[i], 0);
  memory = tn_resize(memory, 2000);
  tn_free(memory);
  tn_free(NULL);
  cr_assert(!tn_failed());
}

Test(host, later_tables_reach_the_hosts_own_code) {
  static const struct { uint32_t size; } table = {4};
  cr_assert(!tn_host_table.get_service("acme.test/1"));
  tn_host_register("acme.test/1", &table);
  tn_host_register("acme.test/1", &table);
  if (tn_host_table.get_service("acme.test/1")) cr_assert(tn_host_table.get_service("acme.test/1") == &table);
}

/* The list of kinds that `tenon info` shows follows the headers. */
Test(kinds, every_kind_of_the_sdk_is_known) {
  EXPECT_INT(tn_kind_count(), 18);
  for (uint32_t i = 0; i < tn_kind_count(); i++) {
    const tn_kind_info *kind = tn_kind_at(i);
    char name[64], path[512];
    cr_assert(tn_kind_well_formed(kind->id));
    tn_kind_short_name(kind->id, name, sizeof name);
    EXPECT_TEXT(name, kind->name);
    cr_assert(tn_kind_find(kind->id) == kind && tn_kind_find(kind->name) == kind);
    snprintf(path, sizeof path, "%s/sdk/include/%s", TN_SOURCE_ROOT, kind->header);
    cr_assert(access(path, R_OK) == 0, "%s", path);
    snprintf(path, sizeof path, "%s/sdk/templates/%s.c.in", TN_SOURCE_ROOT, kind->name);
    cr_assert(access(path, R_OK) == 0, "%s", path);
    /* Functions follow the size without a gap. */
    for (uint32_t f = 0; f < kind->function_count; f++)
      EXPECT_INT(kind->functions[f].offset, sizeof(void *) * (f + 1));
  }
  cr_assert(!tn_kind_find("optimiser"));
}
