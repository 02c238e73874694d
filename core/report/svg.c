// SPDX-License-Identifier: MIT
#include "core/report/svg.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char style[] =
    "<style>"
    ".tn-svg{font-family:\"Helvetica Neue\",Helvetica,Arial,\"Liberation Sans\",sans-serif}"
    ".tn-svg text{fill:#1f2933;font-size:12px}"
    ".tn-svg .tn-title{font-size:18px;font-weight:600}"
    ".tn-svg .tn-key{font-size:13px}"
    ".tn-svg .tn-quiet{fill:#5f6b7a}"
    ".tn-svg .tn-ground{fill:#ffffff}"
    ".tn-svg .tn-grid{stroke:#e4e8ee;stroke-width:1;fill:none}"
    ".tn-svg .tn-faint{stroke:#f1f3f7;stroke-width:1;fill:none}"
    ".tn-svg .tn-axis{stroke:#9aa5b4;stroke-width:1.2;fill:none}"
    ".tn-svg .tn-line{fill:none;stroke-width:2.2;stroke-linejoin:round;stroke-linecap:round}"
    ".tn-svg .tn-fine{stroke-width:1.3}"
    ".tn-svg .tn-band{stroke:none;fill-opacity:.16}"
    ".tn-svg .tn-whisker{fill:none;stroke-width:5;stroke-opacity:.25}"
    ".tn-svg .tn-dot{stroke:#ffffff;stroke-width:1.2}"
    ".tn-svg .tn-d1{stroke-dasharray:8 5}.tn-svg .tn-d2{stroke-dasharray:2 5}"
    ".tn-svg .tn-raw{stroke-width:1;stroke-opacity:.32}"
    ".tn-svg .tn-lead{fill:none;stroke-width:1.2;stroke-opacity:.75}"
    ".tn-svg .tn-mark{stroke:#1f2933;stroke-width:2;fill:none;stroke-linecap:round}"
    ".tn-svg .tn-num{font-size:11.5px}.tn-svg .tn-strong{font-weight:700}.tn-svg .tn-on{fill:#ffffff}"
    ".tn-svg .tn-frame{fill:none;stroke:#e4e8ee;stroke-width:1}"
    ".tn-svg .tn-ridge{fill:#ffffff;fill-opacity:.86;stroke-width:1.4}"
    ".tn-svg .tn-box{fill:#f7f9fc;stroke:#c3ccd8;stroke-width:1.2}"
    ".tn-svg .tn-name{font-size:14px;font-weight:600}"
    ".tn-svg .tn-edge{fill:none;stroke:#8491a3;stroke-width:1.6;stroke-linecap:round}"
    ".tn-svg .tn-head{fill:#8491a3;stroke:none}"
    ".tn-svg .tn-note{font-size:11px;fill:#4a5665;stroke:#ffffff;stroke-width:5;stroke-linejoin:round;"
    "paint-order:stroke}"
    ".tn-svg .tn-c0{stroke:#0072b2}.tn-svg .tn-f0{fill:#0072b2}"
    ".tn-svg .tn-c1{stroke:#d55e00}.tn-svg .tn-f1{fill:#d55e00}"
    ".tn-svg .tn-c2{stroke:#009e73}.tn-svg .tn-f2{fill:#009e73}"
    ".tn-svg .tn-c3{stroke:#cc79a7}.tn-svg .tn-f3{fill:#cc79a7}"
    ".tn-svg .tn-c4{stroke:#e69f00}.tn-svg .tn-f4{fill:#e69f00}"
    ".tn-svg .tn-c5{stroke:#56b4e9}.tn-svg .tn-f5{fill:#56b4e9}"
    ".tn-svg .tn-c6{stroke:#3b3f46}.tn-svg .tn-f6{fill:#3b3f46}"
    ".tn-svg .tn-c7{stroke:#8f7d00}.tn-svg .tn-f7{fill:#8f7d00}"
    "@media (prefers-color-scheme:dark){"
    ".tn-svg text{fill:#e6eaf0}"
    ".tn-svg .tn-quiet{fill:#9aa6b6}"
    ".tn-svg .tn-ground{fill:#14181f}"
    ".tn-svg .tn-grid{stroke:#2a313c}"
    ".tn-svg .tn-faint{stroke:#1e242d}"
    ".tn-svg .tn-axis{stroke:#5b6676}"
    ".tn-svg .tn-band{fill-opacity:.24}"
    ".tn-svg .tn-whisker{stroke-opacity:.35}"
    ".tn-svg .tn-dot{stroke:#14181f}"
    ".tn-svg .tn-mark{stroke:#e6eaf0}.tn-svg .tn-on{fill:#0d1116}.tn-svg .tn-frame{stroke:#2a313c}"
    ".tn-svg .tn-ridge{fill:#14181f}"
    ".tn-svg .tn-box{fill:#1d232c;stroke:#3d4756}"
    ".tn-svg .tn-edge{stroke:#76839a}.tn-svg .tn-head{fill:#76839a}"
    ".tn-svg .tn-note{fill:#b4bfcd;stroke:#14181f}"
    ".tn-svg .tn-c0{stroke:#4098e0}.tn-svg .tn-f0{fill:#4098e0}"
    ".tn-svg .tn-c1{stroke:#f0803c}.tn-svg .tn-f1{fill:#f0803c}"
    ".tn-svg .tn-c2{stroke:#2cc295}.tn-svg .tn-f2{fill:#2cc295}"
    ".tn-svg .tn-c3{stroke:#e39cc4}.tn-svg .tn-f3{fill:#e39cc4}"
    ".tn-svg .tn-c4{stroke:#f5b93a}.tn-svg .tn-f4{fill:#f5b93a}"
    ".tn-svg .tn-c5{stroke:#8fd0f7}.tn-svg .tn-f5{fill:#8fd0f7}"
    ".tn-svg .tn-c6{stroke:#d5dae2}.tn-svg .tn-f6{fill:#d5dae2}"
    ".tn-svg .tn-c7{stroke:#f0e442}.tn-svg .tn-f7{fill:#f0e442}"
    "}</style>\n";

void tn_svg_open(tn_text *out, double width, double height, const char *title, bool plain) {
  tn_text_printf(out,
                 "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"tn-svg\" role=\"img\" width=\"%.0f\" "
                 "height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" style=\"max-width:100%%;height:auto",
                 width, height, width, height);
  if (plain) tn_text_printf(out, ";--wide:%.0fpx", width);
  tn_text_append(out, "\"");
  if (plain && title && *title) { // a <title> would show as a tooltip wherever the page shows values
    tn_text_append(out, " aria-label=\"");
    tn_text_append_xml(out, title);
    tn_text_append(out, "\"");
  }
  tn_text_append(out, ">\n");
  if (plain) return;
  if (title && *title) {
    tn_text_append(out, "<title>");
    tn_text_append_xml(out, title);
    tn_text_append(out, "</title>\n");
  }
  tn_text_append(out, style);
  tn_text_printf(out, "<rect class=\"tn-ground\" width=\"%.0f\" height=\"%.0f\"/>\n", width, height);
}

void tn_svg_close(tn_text *out) { tn_text_append(out, "</svg>\n"); }

/* em/1000, from the Helvetica font metrics (Adobe Core 14 AFM); others: 600, wide scripts and emoji: 1000 */
static double character_width(unsigned c) {
  static const uint16_t ascii[] = {
      278,  278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, // space to /
      556,  556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, // 0 to ?
      1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778, // @ to O
      667,  778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, // P to _
      333,  556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, // ` to o
      556,  556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584};     // p to ~
  if (c < 0x20 || c == 0x7f) return 600;
  if (c < 0x7f) return ascii[c - 0x20];
  return c >= 0x1100 ? (c >= 0x2000 && c < 0x2e80 ? 600 : 1000) : 600;
}

double tn_svg_text_width(const char *string, double size) {
  double width = 0;
  while (*string) width += character_width(tn_text_next_character(&string));
  return width * size / 1000;
}

void tn_svg_append_fitted(tn_text *out, const char *string, double size, double width) {
  if (tn_svg_text_width(string, size) <= width) {
    tn_text_append_xml(out, string);
    return;
  }
  double room = width * 1000 / size - 1000; // the ellipsis is one em wide
  for (const char *c = string; *c;) {
    const char *start = c;
    room -= character_width(tn_text_next_character(&c));
    if (room < 0) break;
    char one[5] = {0};
    memcpy(one, start, (size_t)(c - start));
    tn_text_append_xml(out, one);
  }
  tn_text_append(out, "\xe2\x80\xa6");
}

void tn_svg_append_middle(tn_text *out, const char *string, double size, double width) {
  if (tn_svg_text_width(string, size) <= width) {
    tn_text_append_xml(out, string);
    return;
  }
  const double room = width * 1000 / size - 1000; // the ellipsis is one em wide
  double used = 0;
  const char *end = string;
  while (*end) { // the first part takes two fifths
    const char *next = end;
    const double more = character_width(tn_text_next_character(&next));
    if (used + more > 0.4 * room) break;
    used += more;
    end = next;
  }
  const char *rest = end;
  while (*rest && used + tn_svg_text_width(rest, 1000) > room) tn_text_next_character(&rest);
  char *first = strndup(string, (size_t)(end - string));
  if (!first) out->failed = true;
  tn_text_append_xml(out, first);
  tn_text_append(out, "\xe2\x80\xa6");
  tn_text_append_xml(out, rest);
  free(first);
}
