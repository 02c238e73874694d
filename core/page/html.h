// SPDX-License-Identifier: MIT
/* The shell of the report page: one HTML document with style and script inside, nothing from outside (its
 * content security policy forbids it), light or dark as the reader's system asks, or as `?theme=dark`, or
 * as the button says. */
#ifndef TENON_PAGE_HTML_H
#define TENON_PAGE_HTML_H

#include "core/report/text.h"

/* px: pictures are drawn for a column of this width, which three times fill a screen and once a phone. */
#define TN_PAGE_COLUMN 366

void tn_html_begin(tn_text *out, const char *title);
void tn_html_end(tn_text *out);

/* Text is escaped; `format` and the tags in it are not. */
void tn_html_tag(tn_text *out, const char *before, const char *text, const char *after);

/* A section with a heading and an id of the host's making ("results"), for links from the head. */
void tn_html_section(tn_text *out, const char *id, const char *title, const char *note);
void tn_html_section_end(tn_text *out);
/* Pictures in columns. */
void tn_html_grid(tn_text *out);
void tn_html_grid_end(tn_text *out);
/* A picture with its title; `note` NULL: none. */
void tn_html_figure(tn_text *out, const char *title, const char *note);
void tn_html_figure_end(tn_text *out);
/* What opens on a click. */
void tn_html_details(tn_text *out, const char *summary);
void tn_html_details_end(tn_text *out);
/* A table that scrolls by itself. The first of `head` is of the rows' names; numbers stand right. */
void tn_html_table(tn_text *out, const char *const *head, size_t columns);
void tn_html_table_end(tn_text *out);
/* What the colours mean: names in the order of the palette. */
void tn_html_key(tn_text *out, const char *const *names, const unsigned *colors, size_t count);

#endif
