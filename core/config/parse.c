// SPDX-License-Identifier: MIT
/* One file, read by inih.
 *
 * inih keeps a line in a buffer of its own (200 bytes as Debian and upstream build it), so a longer value is
 * handed to it in pieces, each an indented continuation line between two bars that keep its blanks. The
 * reader knows which piece inih is at; that is also where the line numbers come from, which inih does not
 * tell. */
#include "core/config/scan.h"
#include "core/config/store.h"
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct parser {
  tn_store *store;
  tn_scan scan;
  tn_error *error;
  const char *file;
  uint32_t section; /* TN_TABLE_NONE before the first */
  /* the line that inih is at, and the piece of its value that inih was handed */
  tn_line line;
  size_t offset, length;
  bool barred;
  /* the key whose value is being put together */
  char key[TN_SCAN_MAX_NAME + 1]; /* "": none */
  uint32_t key_line;
  char *value;
  size_t bytes, room;
} parser;

/* What a piece needs of inih's buffer besides itself: two bars, newline, NUL. */
enum { PIECE_EXTRA = 4, SMALLEST_BUFFER = TN_SCAN_MAX_NAME + 64 };

static bool stored(parser *p, tn_status status, uint32_t line) {
  if (status != TN_OK) tn_store_failed(status, p->file, line, p->error);
  return status == TN_OK;
}

/* Duplicates are refused within one file; the store knows nothing but this file yet. */
static bool open_section(parser *p) {
  char name[TN_SCAN_MAX_SECTION + 1];
  snprintf(name, sizeof name, "%.*s", (int)p->line.name_bytes, p->line.name);
  uint32_t first = tn_store_find(p->store, name);
  if (first != TN_TABLE_NONE) {
    tn_error_set(p->error, TN_ERROR_INVALID, p->file, p->line.number,
                 "duplicate section [%s], first at line %u", name, p->store->sections[first].view.line);
    return false;
  }
  return stored(p, tn_store_section_add(p->store, name, p->file, p->line.number, &p->section),
                p->line.number);
}

/* Where the include that is being read goes; NULL if the key is not one. */
static tn_key *include_slot(const parser *p) {
  if (strcmp(p->key, "include") != 0) return NULL;
  if (p->section == TN_TABLE_NONE) return &p->store->includes[0];
  return strcmp(p->store->sections[p->section].view.name, "pipeline") == 0 ? &p->store->includes[1] : NULL;
}

static bool open_key(parser *p, const char *name) {
  snprintf(p->key, sizeof p->key, "%s", name);
  p->key_line = p->line.number;
  p->bytes = 0;
  const tn_key *include = include_slot(p);
  if (p->section == TN_TABLE_NONE && !include) {
    tn_error_set(p->error, TN_ERROR_INVALID, p->file, p->key_line,
                 "key '%s' stands before the first section (only 'include' may)", name);
    return false;
  }
  const tn_key *first = include ? include : tn_store_key(p->store, p->section, name);
  if (!first || !first->value) return true;
  tn_error_set(p->error, TN_ERROR_INVALID, p->file, p->key_line, "duplicate key '%s'%s%s%s, first at line %u",
               name, include ? "" : " in [", include ? "" : p->store->sections[p->section].view.name,
               include ? "" : "]", first->line);
  return false;
}

static bool append(parser *p, const char *text, size_t bytes) {
  if (p->bytes + bytes > TN_STORE_MAX_VALUE) {
    tn_error_set(p->error, TN_ERROR_INVALID, p->file, p->key_line,
                 "the value of '%s' is longer than %d bytes", p->key, (int)TN_STORE_MAX_VALUE);
    return false;
  }
  if (p->bytes + bytes + 1 > p->room) {
    size_t room = 2 * (p->bytes + bytes + 1);
    char *more = realloc(p->value, room);
    if (!more) return stored(p, TN_ERROR_MEMORY, p->key_line);
    p->value = more;
    p->room = room;
  }
  memcpy(p->value + p->bytes, text, bytes);
  p->bytes += bytes;
  p->value[p->bytes] = '\0';
  return true;
}

/* The key is complete when a line comes that does not continue it. */
static bool close_key(parser *p) {
  if (!p->key[0]) return true;
  tn_status status;
  tn_key *include = include_slot(p);
  if (include) {
    char *value = tn_arena_text(&p->store->arena, p->value, p->bytes);
    *include = (tn_key){"include", value, p->file, p->key_line};
    status = value ? TN_OK : TN_ERROR_MEMORY;
  } else {
    status = tn_store_set(p->store, p->section, p->key, p->value, p->file, p->key_line);
  }
  p->key[0] = '\0';
  return stored(p, status, p->key_line);
}

/* The next piece of the line's value, or all of it, as a line for inih. */
static char *hand_over(parser *p, char *buffer, int bytes) {
  bool named = p->line.kind == TN_LINE_KEY && p->offset == 0;
  int name = named ? (int)p->line.name_bytes : 0;
  size_t room = (size_t)bytes - (size_t)name - 1 - PIECE_EXTRA, rest = p->line.value_bytes - p->offset;
  p->barred = p->offset > 0 || rest > room;
  p->length = rest < room ? rest : room;
  const char *bar = p->barred ? "|" : "";
  snprintf(buffer, (size_t)bytes, "%.*s%c%s%.*s%s\n", name, p->line.name, named ? '=' : ' ', bar,
           (int)p->length, p->line.value + p->offset, bar);
  return buffer;
}

/* Called by inih for its next line. */
static char *read_line(char *buffer, int bytes, void *context) {
  parser *p = context;
  if (p->error->status != TN_OK) return NULL;
  if (bytes < SMALLEST_BUFFER) {
    tn_error_set(p->error, TN_ERROR_INTERNAL, NULL, 0, "inih was built for lines of %d bytes, too short",
                 bytes);
    return NULL;
  }
  p->offset += p->length;
  if (p->offset < p->line.value_bytes) return hand_over(p, buffer, bytes);
  tn_line_kind kind = tn_scan_next(&p->scan, &p->line, p->error);
  p->offset = p->length = 0;
  if (kind == TN_LINE_CONTINUATION) return hand_over(p, buffer, bytes);
  if (kind == TN_LINE_WRONG || !close_key(p) || kind == TN_LINE_END) return NULL;
  if (kind == TN_LINE_KEY) return hand_over(p, buffer, bytes);
  if (!open_section(p)) return NULL;
  snprintf(buffer, (size_t)bytes, "[%.*s]\n", (int)p->line.name_bytes, p->line.name);
  return buffer;
}

/* Called by inih for every key and every continuation. `section` is known from its own line. */
static int take(void *context, const char *section, const char *name, const char *value) {
  (void)section;
  parser *p = context;
  if (p->error->status != TN_OK) return 0;
  size_t bytes = strlen(value);
  if (p->barred && bytes >= 2) value++, bytes -= 2;
  if (bytes != p->length) {
    tn_error_set(p->error, TN_ERROR_INVALID, p->file, p->line.number, "cannot be read as INI");
    return 0;
  }
  if (p->offset == 0 && p->line.kind == TN_LINE_KEY && !open_key(p, name)) return 0;
  if (p->offset == 0 && p->line.kind == TN_LINE_CONTINUATION && p->bytes > 0 && !append(p, " ", 1)) return 0;
  return append(p, value, bytes);
}

tn_status tn_store_parse(tn_store *store, const char *text, size_t bytes, const char *file, tn_error *error) {
  if (bytes > TN_STORE_MAX_FILE)
    return tn_error_set(error, TN_ERROR_INVALID, file, 0, "is longer than %d MiB",
                        (int)TN_STORE_MAX_FILE / 1024 / 1024);
  parser p = {.store = store, .error = error, .section = TN_TABLE_NONE};
  p.file = tn_arena_text(&store->arena, file, strlen(file));
  if (!p.file) return tn_store_failed(TN_ERROR_MEMORY, file, 0, error);
  p.scan = tn_scan_begin(text, bytes, p.file);
  int wrong = ini_parse_stream(read_line, &p, take, &p);
  free(p.value);
  if (wrong && error->status == TN_OK)
    tn_error_set(error, TN_ERROR_INVALID, file, p.line.number, "cannot be read as INI");
  if (error->status == TN_OK && store->count == 0 && !store->includes[0].value)
    tn_error_set(error, TN_ERROR_INVALID, file, 0, "%s: expected at least one [section]",
                 bytes == 0 ? "is empty" : "has no sections");
  return error->status;
}
