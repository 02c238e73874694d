// SPDX-License-Identifier: MIT
/* Any bytes make a report: lines that are no events are noted in one line each, and no text gets into the
 * page as more than text. */
#include "core/config/memory.h"
#include "core/page/page.h"
#include "core/plugin/host.h"
#include "tests/fuzz/fuzz.h"

/* Every attribute `name` of the page begins with `start`; a text's own quotes are written as entities. */
static void require_attribute(const char *page, const char *name, const char *start) {
  for (const char *p = strstr(page, name); p; p = strstr(p, name)) {
    p += strlen(name);
    require(strncmp(p, start, strlen(start)) == 0);
  }
}

static void require_page(const char *page) {
  const char *script = strstr(page, "<script");
  require(script && !strstr(script + 1, "<script")); /* the page's own */
  require(!strstr(page, "<foreign"));
  require_attribute(page, "href=\"", "#");
  require_attribute(page, "src=\"", "data:image/png;base64,");
  touch(page, strlen(page) + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tn_host_start();
  tn_study s = {.name = tn_copy_text("fuzz")};
  s.runs = tn_take(sizeof *s.runs);
  s.groups = tn_take(sizeof *s.groups);
  s.runs[0] = (tn_study_run){.directory = tn_copy_text("/nowhere"),
                             .label = tn_copy_text("fuzz"),
                             .seed = -1,
                             .state = tn_copy_text("not finished"),
                             .opened = true};
  s.groups[0] = (tn_study_group){
      .name = tn_copy_text(""), .arm = tn_copy_text(""), .variant = tn_copy_text(""), .runs = 1};
  s.run_count = s.group_count = 1;
  tn_event_file *events = &s.runs[0].events;
  tn_event_file_parse((const char *)data, size, events);
  for (uint32_t i = 0; i < events->note_count; i++)
    require(strncmp(events->notes[i], "line ", 5) == 0 && !strchr(events->notes[i], '\n'));
  tn_study_choose(&s);
  char *page = tn_page_make(&s);
  require(page);
  require_page(page);
  free(page);
  tn_study_free(&s);
  return 0;
}
