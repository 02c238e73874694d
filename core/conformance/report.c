// SPDX-License-Identifier: MIT
#include "core/conformance/report.h"
#include "core/config/memory.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

tn_case *tn_report_add(tn_report *report, const char *owner, const char *check, const tn_finding *outcome) {
  tn_case *at = tn_grow(&report->cases, report->count++, &report->room, sizeof *at);
  *at = (tn_case){tn_copy_text(owner), check, *outcome};
  return at;
}

void tn_report_free(tn_report *report) {
  for (uint32_t i = 0; i < report->count; i++) free(report->cases[i].owner);
  free(report->cases);
}

static void print_command(const tn_case *c, const tn_conformance_options *o, const char *file, FILE *out) {
  fprintf(out, "; reproduce: tenon test %s", file);
  if (strcmp(c->owner, file) != 0) fprintf(out, " %s", c->owner);
  fprintf(out, " --check %s --seed %llu", c->check, (unsigned long long)o->seed);
  if (o->fast) fputs(" --fast", out);
  if (o->with) fprintf(out, " --with %s", o->with);
  if (o->fuzz > 0) fprintf(out, " --fuzz %g", o->fuzz);
  fputc('\n', out);
}

/* One line for all checks that are skipped for the same reason, where the first of them stands. */
static void print_skip(const tn_report *report, uint32_t first, uint32_t index, FILE *out) {
  const char *reason = report->cases[index].outcome.text;
  for (uint32_t i = first; i < report->count; i++) {
    const tn_case *c = &report->cases[i];
    if (c->outcome.verdict != TN_SKIPPED || strcmp(c->outcome.text, reason) != 0) continue;
    if (i < index) return;
    if (i == index)
      fprintf(out, "  skipped %s %s", c->owner, c->check);
    else
      fprintf(out, ", %s", c->check);
  }
  fprintf(out, ": %s\n", reason);
}

void tn_report_print(const tn_report *report, uint32_t first, const tn_conformance_options *options,
                     const char *file, FILE *out) {
  uint32_t counts[4] = {0};
  if (first == report->count) return;
  for (uint32_t i = first; i < report->count; i++) counts[report->cases[i].outcome.verdict]++;
  const char *owner = report->cases[first].owner;
  fprintf(out, "%-7s %s  %u passed", counts[TN_FAILED] ? "FAILED" : "ok", owner, counts[TN_PASSED]);
  if (counts[TN_FAILED]) fprintf(out, ", %u failed", counts[TN_FAILED]);
  if (counts[TN_SKIPPED]) fprintf(out, ", %u skipped", counts[TN_SKIPPED]);
  if (counts[TN_ABSENT]) fprintf(out, ", %u do not apply", counts[TN_ABSENT]);
  fputc('\n', out);
  for (uint32_t i = first; i < report->count; i++) {
    const tn_case *c = &report->cases[i];
    if (c->outcome.verdict == TN_SKIPPED) print_skip(report, first, i, out);
    if (c->outcome.verdict != TN_FAILED) continue;
    fprintf(out, "  FAILED %s %s: %s (seed %llu)", owner, c->check, c->outcome.text,
            (unsigned long long)options->seed);
    print_command(c, options, file, out);
  }
  fflush(out);
}

static void escaped(FILE *out, const char *text) {
  for (; *text; text++) switch (*text) {
    case '<': fputs("&lt;", out); break;
    case '>': fputs("&gt;", out); break;
    case '&': fputs("&amp;", out); break;
    case '"': fputs("&quot;", out); break;
    default: fputc((unsigned char)*text < 0x20 ? ' ' : *text, out);
    }
}

static void junit_case(const tn_case *c, FILE *out) {
  fputs("  <testcase classname=\"", out);
  escaped(out, c->owner);
  fprintf(out, "\" name=\"%s\" time=\"%.3f\"", c->check, c->outcome.seconds);
  const char *element = c->outcome.verdict == TN_FAILED ? "failure" : "skipped";
  if (c->outcome.verdict == TN_PASSED) {
    fputs("/>\n", out);
    return;
  }
  fprintf(out, "><%s message=\"", element);
  escaped(out, c->outcome.text);
  fputs("\"/></testcase>\n", out);
}

tn_status tn_report_junit(const tn_report *report, const char *path, tn_error *error) {
  FILE *out = fopen(path, "w");
  if (!out) return tn_error_set(error, TN_ERROR_IO, path, 0, "%s", strerror(errno));
  uint32_t counts[4] = {0};
  for (uint32_t i = 0; i < report->count; i++) counts[report->cases[i].outcome.verdict]++;
  fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", out);
  fprintf(out, "<testsuite name=\"tenon test\" tests=\"%u\" failures=\"%u\" skipped=\"%u\">\n", report->count,
          counts[TN_FAILED], counts[TN_SKIPPED] + counts[TN_ABSENT]);
  for (uint32_t i = 0; i < report->count; i++) junit_case(&report->cases[i], out);
  fputs("</testsuite>\n", out);
  const bool wrong = ferror(out) != 0;
  if (fclose(out) != 0 || wrong) return tn_error_set(error, TN_ERROR_IO, path, 0, "%s", strerror(errno));
  return TN_OK;
}
