// SPDX-License-Identifier: MIT
#include "core/report/page.h"
#include "core/report/svg.h"
#include <stdlib.h>
#include <string.h>

static const char head[] = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>";
static const char style[] =
    "</title><style>:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5b6470;--line:#d9dee4;--paper:#fff}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6e9ed;--soft:#98a2ad;--line:#343b44;--paper:#14171b}}"
    "body{font:16px/1.5 Helvetica,Arial,sans-serif;color:var(--ink);background:var(--paper);max-width:920px;"
    "margin:2rem auto;padding:0 1rem}h1{font-size:1.6rem;margin:0}p{color:var(--soft);margin:.2rem 0 1.5rem}"
    "h2{font-size:1.1rem;margin:2rem 0 "
    ".6rem}table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{text-align:left;padding:.35rem 1.4rem .35rem 0;border-bottom:1px solid var(--line)}"
    "td:last-child,th:last-child{text-align:right;padding-right:0}svg{max-width:100%;height:auto;display:"
    "block;"
    "margin:1rem 0}</style></head><body>\n";

/* The curves called `name`, one series a stage, in one chart. */
static void chart(tn_text *text, const tn_run_record *record, const char *name) {
  tn_svg_series series[16];
  size_t count = 0;
  for (uint32_t i = 0; i < record->curve_count && count < TN_SVG_COLORS; i++) {
    const tn_curve *curve = &record->curves[i];
    if (strcmp(curve->name, name) == 0)
      series[count++] =
          (tn_svg_series){.name = curve->stage, .x = curve->x, .y = curve->y, .count = curve->count};
  }
  tn_svg_chart picture = {.title = name, .x_label = "step", .series = series, .series_count = count};
  tn_svg_line_chart(&picture, text);
}

char *tn_page_of_run(const char *name, const char *outcome, const tn_run_record *record) {
  tn_text text = {0};
  tn_text_append(&text, head);
  tn_text_append_xml(&text, name);
  tn_text_append(&text, style);
  tn_text_append(&text, "<h1>");
  tn_text_append_xml(&text, name);
  tn_text_append(&text, "</h1><p>");
  tn_text_append_xml(&text, outcome);
  tn_text_append(&text, "</p>\n");
  if (record->result_count) {
    tn_text_append(&text, "<h2>Results</h2><table><tr><th>figure</th><th>value</th></tr>\n");
    for (uint32_t i = 0; i < record->result_count; i++) {
      if (record->results[i].cost) continue;
      tn_text_append(&text, "<tr><td>");
      tn_text_append_xml(&text, record->results[i].name);
      tn_text_printf(&text, "</td><td>%.6g</td></tr>\n", record->results[i].value);
    }
    tn_text_append(&text, "</table>\n");
  }
  if (record->curve_count) tn_text_append(&text, "<h2>Curves</h2>\n");
  for (uint32_t i = 0; i < record->curve_count; i++) {
    bool first = true;
    for (uint32_t j = 0; j < i; j++) first &= strcmp(record->curves[j].name, record->curves[i].name) != 0;
    if (first) chart(&text, record, record->curves[i].name);
  }
  tn_text_append(&text, "</body></html>\n");
  return tn_text_take(&text);
}
