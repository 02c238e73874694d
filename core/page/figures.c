// SPDX-License-Identifier: MIT
/* The pictures of a page as files, for a paper or a page of documentation: read off the page, so that both
 * always show the same. */
#include "core/page/page.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/config/memory.h"
#include "core/format/file.h"
#include "core/report/svg.h"

#define NAME_MOST 56 /* letters of a heading in a file's name */
#define MARGIN    10 /* pixels around a picture */

/* A piece of the page. */
typedef struct span {
  const char *start;
  size_t size;
} span;

static bool begins(const char *p, const char *tag) { return strncmp(p, tag, strlen(tag)) == 0; }

/* From p up to `end`; empty where the page stops before it. */
static span until(const char *p, const char *end) {
  const char *stop = strstr(p, end);
  return (span){p, stop ? (size_t)(stop - p) : 0};
}

/* "Best so far, F1" -> "best-so-far-f1". Entities become their names. */
static void append_slug(tn_text *out, span text) {
  bool gap = false;
  size_t letters = 0;
  for (size_t i = 0; i < text.size && letters < NAME_MOST; i++) {
    const char c = text.start[i];
    const bool upper = c >= 'A' && c <= 'Z',
               plain = upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (plain && gap && letters > 0) tn_text_append(out, "-");
    if (plain) tn_text_printf(out, "%c", upper ? c - 'A' + 'a' : c), letters++;
    gap = !plain;
  }
  if (letters == 0) tn_text_append(out, "figure");
}

typedef struct figure {
  span section, part, title, key, picture; /* headings from the widest to the narrowest; part may be empty */
} figure;

/* An svg element with what is in it, other svg elements too; without its end tag. */
static span picture_at(const char *p) {
  const char *const start = p;
  int depth = 0;
  do {
    const char *open = strstr(p + 1, "<svg "), *close = strstr(p + 1, "</svg>");
    if (!close) return (span){start, 0};
    depth += open && open < close ? 1 : -1;
    p = open && open < close ? open : close;
  } while (depth >= 0);
  return (span){start, (size_t)(p - start)};
}

static double text_width(span text) {
  char *copy = strndup(text.start, text.size);
  const double width = copy ? tn_svg_text_width(copy, 12.5) : 0;
  free(copy);
  return width;
}

/* The names that stand beside the picture on the page, in rows below it. */
static void append_key(tn_text *out, span key, double width, double *height) {
  const char *const end = key.start + key.size;
  double x = 0, y = *height + 20;
  for (const char *p = key.start; (p = strstr(p, "<span><i class=\"k")) && p < end;) {
    const unsigned color = (unsigned)strtoul(p + strlen("<span><i class=\"k"), NULL, 10) % TN_SVG_COLORS;
    p = strstr(p, "</i>") + strlen("</i>");
    const span name = until(p, "</span>");
    const double wide = text_width(name) + 46;
    if (x > 0 && x + wide > width) x = 0, y += 18;
    tn_text_printf(out, "<rect class=\"tn-f%u\" x=\"%.0f\" y=\"%.0f\" width=\"16\" height=\"4\" rx=\"2\"/>",
                   color, x, y - 6);
    tn_text_printf(out, "<text class=\"tn-key\" x=\"%.0f\" y=\"%.0f\">%.*s</text>\n", x + 22, y,
                   (int)name.size, name.start);
    x += wide;
  }
  *height = y + 6;
}

/* Picture, title and names in one SVG. */
static char *make(const figure *f) {
  tn_text out = {0}, body = {0};
  const span head = until(f->picture.start, ">");
  const double width = strtod(strstr(f->picture.start, " width=\"") + strlen(" width=\""), NULL);
  double height = strtod(strstr(f->picture.start, " height=\"") + strlen(" height=\""), NULL);
  tn_text_append_bytes(&body, head.start + head.size + 1, f->picture.size - head.size - 1);
  if (f->key.size > 0) append_key(&body, f->key, width, &height);
  tn_svg_open(&out, width + 2 * MARGIN, height + 2 * MARGIN, NULL, false);
  tn_text_append(&out, "<title>");
  const span *title = f->title.size > 0 ? &f->title : &f->section;
  tn_text_append_bytes(&out, title->start, title->size);
  tn_text_append(&out, "</title>\n");
  tn_text_printf(&out, "<g transform=\"translate(%d,%d)\">\n", MARGIN, MARGIN);
  if (body.data) tn_text_append_bytes(&out, body.data, body.size);
  tn_text_append(&out, "</g>\n");
  tn_svg_close(&out);
  out.failed |= body.failed;
  tn_text_free(&body);
  return tn_text_take(&out);
}

/* DIRECTORY/section-part-title.svg, numbered where the page has several of one name. `paths` holds those
 * given before, a line each. NULL: no memory. */
static char *path_of(const figure *f, const char *directory, tn_text *paths) {
  tn_text stem = {0};
  tn_text_printf(&stem, "%s/", directory);
  append_slug(&stem, f->section);
  if (f->part.size > 0) tn_text_append(&stem, "-"), append_slug(&stem, f->part);
  if (f->title.size > 0) tn_text_append(&stem, "-"), append_slug(&stem, f->title);
  for (unsigned k = 1; !stem.failed; k++) {
    tn_text line = {0};
    tn_text_append(&line, stem.data);
    if (k > 1) tn_text_printf(&line, "-%u", k);
    tn_text_append(&line, ".svg\n");
    const bool taken = !line.failed && paths->data && strstr(paths->data, line.data);
    stem.failed |= line.failed;
    if (!taken && !line.failed) {
      tn_text_append(paths, line.data);
      line.data[line.size - 1] = '\0';
      tn_text_free(&stem);
      return line.data;
    }
    tn_text_free(&line);
  }
  tn_text_free(&stem);
  return NULL;
}

static tn_status write_figure(const figure *f, const char *directory, tn_text *paths, tn_error *error) {
  char *path = path_of(f, directory, paths), *file = make(f);
  tn_format_error why;
  tn_status status = TN_OK;
  if (!path || !file)
    status = tn_error_set(error, TN_ERROR_MEMORY, NULL, 0, "out of memory");
  else if (!tn_file_write(path, file, strlen(file), &why))
    status = tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s", why.text);
  free(path);
  free(file);
  return status;
}

tn_status tn_page_write_figures(const char *page, const char *directory, uint32_t *count, tn_error *error) {
  figure f = {0};
  span shared = {0}; /* the key of the next grid, then of this one */
  bool in_grid = false, in_figure = false;
  tn_text paths = {0};
  tn_status status = TN_OK;
  *count = 0;
  if (mkdir(directory, 0777) != 0 && errno != EEXIST)
    return tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", directory, strerror(errno));
  for (const char *p = page; status >= 0 && (p = strchr(p, '<')); p++) {
    if (begins(p, "<h2>")) {
      f = (figure){.section = until(p + 4, "</h2>")};
      shared = (span){0};
    } else if (begins(p, "<h3>")) {
      f.part = until(p + 4, "</h3>");
    } else if (begins(p, "<div class=\"grid\">")) {
      if (in_grid) shared = (span){0};
      in_grid = true;
    } else if (begins(p, "<div class=\"key\">")) {
      f.key = until(p, "</div>");
      if (!in_figure) shared = f.key, in_grid = false;
    } else if (begins(p, "<figure><figcaption>")) {
      in_figure = true;
      f.key = shared;
      f.title = until(p + strlen("<figure><figcaption>"), "<");
    } else if (begins(p, "</figure>")) {
      in_figure = false;
      f.title = f.key = (span){0};
    } else if (begins(p, "<svg ")) {
      f.picture = picture_at(p);
      p += f.picture.size;
      status = write_figure(&f, directory, &paths, error);
      if (status >= 0) ++*count;
    }
  }
  tn_text_free(&paths);
  return status;
}
