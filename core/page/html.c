// SPDX-License-Identifier: MIT
#include "core/page/html.h"

#include <string.h>

#include "core/pipeline/digest.h"
#include "core/report/base64.h"
#include "core/report/svg.h"

/* page.css and page.js, each an array of bytes with a 0 at its end. */
#include "page_css.h"
#include "page_js.h"

static void put_policy(tn_text *out) {
  unsigned char hash[32];
  tn_digest *digest = tn_digest_new();
  if (digest) tn_digest_add(digest, page_js, sizeof page_js - 1);
  if (!digest) out->failed = true;
  memset(hash, 0, sizeof hash);
  tn_digest_end(digest, hash);
  tn_text_append(out,
                 "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
                 "style-src 'unsafe-inline'; script-src 'sha256-");
  tn_base64_append(out, hash, sizeof hash);
  tn_text_append(out, "'\">\n");
}

void tn_html_begin(tn_text *out, const char *title) {
  tn_text_append(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
  put_policy(out);
  tn_text_append(out, "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n");
  tn_html_tag(out, "<title>", title, "</title>\n");
  tn_text_append(out, "<style>\n");
  tn_text_append_bytes(out, (const char *)page_css, sizeof page_css - 1);
  for (int i = 0; i < TN_SVG_COLORS; i++)
    tn_text_printf(
        out,
        ".tn-svg .tn-c%d{stroke:var(--c%d)}.tn-svg .tn-f%d{fill:var(--c%d)}.k%d{background:var(--c%d)}\n", i,
        i, i, i, i, i);
  tn_text_append(out, "</style></head><body>\n");
}

void tn_html_end(tn_text *out) {
  tn_text_append(out, "<script>");
  tn_text_append_bytes(out, (const char *)page_js, sizeof page_js - 1);
  tn_text_append(out, "</script></body></html>\n");
}

void tn_html_tag(tn_text *out, const char *before, const char *text, const char *after) {
  tn_text_append(out, before);
  tn_text_append_xml(out, text);
  tn_text_append(out, after);
}

void tn_html_section(tn_text *out, const char *id, const char *title, const char *note) {
  tn_text_printf(out, "<section id=\"%s\">", id);
  tn_html_tag(out, "<h2>", title, "</h2>\n");
  if (note && *note) tn_html_tag(out, "<p>", note, "</p>\n");
}
void tn_html_section_end(tn_text *out) { tn_text_append(out, "</section>\n"); }

void tn_html_grid(tn_text *out) { tn_text_append(out, "<div class=\"grid\">\n"); }
void tn_html_grid_end(tn_text *out) { tn_text_append(out, "</div>\n"); }

void tn_html_figure(tn_text *out, const char *title, const char *note) {
  tn_html_tag(out, "<figure><figcaption>", title, "");
  if (note && *note) tn_html_tag(out, "<small>", note, "</small>");
  tn_text_append(out, "</figcaption>\n");
}
void tn_html_figure_end(tn_text *out) { tn_text_append(out, "</figure>\n"); }

void tn_html_details(tn_text *out, const char *summary) {
  tn_html_tag(out, "<details><summary>", summary, "</summary>\n");
}
void tn_html_details_end(tn_text *out) { tn_text_append(out, "</details>\n"); }

void tn_html_table(tn_text *out, const char *const *head, size_t columns) {
  tn_text_append(out, "<div class=\"scroll\"><table>");
  if (head) {
    tn_text_append(out, "<tr>");
    for (size_t i = 0; i < columns; i++) tn_html_tag(out, "<th>", head[i], "</th>");
    tn_text_append(out, "</tr>\n");
  }
}
void tn_html_table_end(tn_text *out) { tn_text_append(out, "</table></div>\n"); }

void tn_html_key(tn_text *out, const char *const *names, const unsigned *colors, size_t count) {
  tn_text_append(out, "<div class=\"key\">");
  for (size_t i = 0; i < count; i++) {
    tn_text_printf(out, "<span><i class=\"k%u\"></i>", (colors ? colors[i] : (unsigned)i) % TN_SVG_COLORS);
    tn_html_tag(out, "", names[i], "</span>");
  }
  tn_text_append(out, "</div>\n");
}
