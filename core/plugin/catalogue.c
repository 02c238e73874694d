// SPDX-License-Identifier: MIT
#include "core/plugin/catalogue.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <tenon/abi.h>
#include <unistd.h>

/* Texts from plugins may hold anything; a field may not hold what separates fields and lines. */
static void write_field(FILE *out, const char *text) {
  fputc('\t', out);
  for (; text && *text; text++) fputc((unsigned char)*text < 0x20 || *text == 0x7f ? ' ' : *text, out);
}

/* F path device inode size seconds nanoseconds, then P plugin version licence or R lasting refusal, then C
 * kind name summary for each component, then E. Fields are separated by tabs. */
void tn_catalogue_write(FILE *out, const tn_catalogue_entry *entry) {
  const tn_file_id *id = &entry->id;
  fputc('F', out);
  write_field(out, entry->path);
  fprintf(out, "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRId64 "\t%" PRId64 "\n", id->device, id->inode,
          id->size, id->seconds, id->nanoseconds);
  if (entry->refusal) {
    fprintf(out, "R\t%d", entry->lasting);
    write_field(out, entry->refusal);
  } else {
    fputc('P', out);
    write_field(out, entry->plugin);
    write_field(out, entry->version);
    write_field(out, entry->licence);
  }
  for (uint32_t i = 0; i < entry->class_count; i++) {
    fputs("\nC", out);
    write_field(out, entry->classes[i].kind);
    write_field(out, entry->classes[i].name);
    write_field(out, entry->classes[i].summary);
  }
  fputs("\nE\n", out);
}

/* Reading. */

typedef struct reader {
  char *at, *end;
} reader;

/* The next line, cut into fields; its letter, or 0 at the end or if it has not exactly the fields. */
static char next_line(reader *r, char *fields[], uint32_t count_if_f, uint32_t count_if_p) {
  char *newline = r->at < r->end ? memchr(r->at, '\n', (size_t)(r->end - r->at)) : NULL;
  if (!newline) return 0;
  *newline = '\0';
  char *line = r->at, letter = line[0];
  r->at = newline + 1;
  uint32_t wanted = letter == 'F' ? count_if_f : letter == 'R' ? 2 : letter == 'E' ? 0 : count_if_p, n = 0;
  for (char *tab = strchr(line, '\t'); tab && n < wanted; tab = strchr(tab + 1, '\t')) fields[n++] = tab + 1;
  for (uint32_t i = 0; i < n; i++) fields[i][-1] = '\0';
  return n == wanted && line[1] == '\0' ? letter : 0;
}

enum { FILE_FIELDS = 6, OTHER_FIELDS = 3 };

static tn_file_id parse_id(char *fields[]) {
  return (tn_file_id){strtoull(fields[1], NULL, 10), strtoull(fields[2], NULL, 10),
                      strtoull(fields[3], NULL, 10), strtoll(fields[4], NULL, 10),
                      strtoll(fields[5], NULL, 10)};
}

static uint32_t count_classes(const reader *r) {
  uint32_t count = 0;
  const char *line = r->at;
  while (line < r->end && *line == 'C') {
    count++;
    const char *newline = memchr(line, '\n', (size_t)(r->end - line));
    if (!newline) break;
    line = newline + 1;
  }
  return count;
}

static bool parse_entry(tn_catalogue *catalogue, reader *r, tn_catalogue_entry *entry) {
  char *fields[FILE_FIELDS];
  *entry = (tn_catalogue_entry){0};
  if (next_line(r, fields, FILE_FIELDS, OTHER_FIELDS) != 'F') return false;
  entry->path = fields[0];
  entry->id = parse_id(fields);
  char letter = next_line(r, fields, FILE_FIELDS, OTHER_FIELDS);
  if (letter == 'R')
    entry->lasting = fields[0][0] == '1', entry->refusal = fields[1];
  else if (letter == 'P')
    entry->plugin = fields[0], entry->version = fields[1], entry->licence = fields[2];
  else
    return false;
  uint32_t count = count_classes(r);
  tn_catalogue_class *classes = count ? tn_arena_alloc(&catalogue->arena, count * sizeof *classes) : NULL;
  if (count && !classes) return false;
  for (entry->classes = classes; (letter = next_line(r, fields, FILE_FIELDS, OTHER_FIELDS)) == 'C';) {
    if (entry->class_count == count) return false;
    classes[entry->class_count++] = (tn_catalogue_class){fields[0], fields[1], fields[2]};
  }
  return letter == 'E';
}

static bool keep_entry(tn_catalogue *catalogue, const tn_catalogue_entry *entry) {
  uint32_t old = tn_table_find(&catalogue->paths, 0, entry->path);
  if (old != TN_TABLE_NONE) {
    const char *path = catalogue->entries[old].path; /* the table points to it */
    catalogue->entries[old] = *entry;
    catalogue->entries[old].path = path;
    return true;
  }
  if (catalogue->count == catalogue->capacity) {
    uint32_t capacity = catalogue->capacity ? 2 * catalogue->capacity : 64;
    tn_catalogue_entry *more = realloc(catalogue->entries, capacity * sizeof *more);
    if (!more) return false;
    catalogue->entries = more;
    catalogue->capacity = capacity;
  }
  if (!tn_table_add(&catalogue->paths, 0, entry->path, catalogue->count)) return false;
  catalogue->entries[catalogue->count++] = *entry;
  return true;
}

uint32_t tn_catalogue_parse(tn_catalogue *catalogue, char *text, size_t bytes) {
  reader r = {text, text + bytes};
  tn_catalogue_entry entry;
  uint32_t count = 0;
  while (parse_entry(catalogue, &r, &entry) && keep_entry(catalogue, &entry)) count++;
  return count;
}

tn_file_id tn_file_id_of(const struct stat *s) {
  return (tn_file_id){(uint64_t)s->st_dev, (uint64_t)s->st_ino, (uint64_t)s->st_size, s->st_ctim.tv_sec,
                      s->st_ctim.tv_nsec};
}

static bool same_file(const tn_file_id *a, const tn_file_id *b) {
  return a->device == b->device && a->inode == b->inode && a->size == b->size && a->seconds == b->seconds &&
         a->nanoseconds == b->nanoseconds;
}

const tn_catalogue_entry *tn_catalogue_find(const tn_catalogue *catalogue, const char *path,
                                            const tn_file_id *id) {
  uint32_t i = tn_table_find(&catalogue->paths, 0, path);
  return i != TN_TABLE_NONE && same_file(&catalogue->entries[i].id, id) ? &catalogue->entries[i] : NULL;
}

void tn_catalogue_free(tn_catalogue *catalogue) {
  free(catalogue->entries);
  tn_table_free(&catalogue->paths);
  tn_arena_free(&catalogue->arena);
  *catalogue = (tn_catalogue){0};
}

/* The file: a line that names the format and the host, the entries, and a line with the sum of all before. */

enum { MAX_FILE = 64 * 1024 * 1024 };

static uint64_t sum_of(const char *text, size_t bytes) {
  uint64_t h = 14695981039346656037u; /* FNV-1a */
  for (size_t i = 0; i < bytes; i++) h = (h ^ (unsigned char)text[i]) * 1099511628211u;
  return h;
}

static void head_line(char *text, size_t bytes) {
  snprintf(text, bytes, "tenon plugins 1, host %s, ABI %d.%d\n", TN_VERSION, TN_ABI_MAJOR, TN_ABI_MINOR);
}

/* ${XDG_CACHE_HOME:-~/.cache}/tenon, made if asked for; false: there is no such place. */
static bool cache_file(char *path, size_t bytes, bool make) {
  const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  int length;
  if (cache && cache[0] == '/')
    length = snprintf(path, bytes, "%s", cache);
  else if (home && home[0] == '/')
    length = snprintf(path, bytes, "%s/.cache", home);
  else
    return false;
  const char name[] = "/tenon/plugins.idx";
  if (length < 0 || (size_t)length + sizeof name > bytes) return false;
  if (make) mkdir(path, 0700);
  memcpy(path + length, name, sizeof name);
  if (!make) return true;
  path[length + 6] = '\0'; /* .../tenon */
  int made = mkdir(path, 0700);
  bool there = made == 0 || errno == EEXIST;
  path[length + 6] = '/';
  return there;
}

/* The whole file in the arena; NULL if there is none, or if others may have written it. */
static char *read_whole(tn_catalogue *catalogue, const char *path, size_t *bytes) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return NULL;
  struct stat s;
  char *text = NULL;
  if (fstat(file, &s) == 0 && S_ISREG(s.st_mode) && s.st_uid == geteuid() &&
      !(s.st_mode & (S_IWGRP | S_IWOTH)) && s.st_size > 0 && s.st_size <= MAX_FILE)
    text = tn_arena_alloc(&catalogue->arena, (size_t)s.st_size + 1);
  *bytes = 0;
  while (text && *bytes < (size_t)s.st_size) {
    ssize_t got = read(file, text + *bytes, (size_t)s.st_size - *bytes);
    if (got <= 0)
      text = NULL;
    else
      *bytes += (size_t)got;
  }
  close(file);
  return text;
}

void tn_catalogue_open(tn_catalogue *catalogue) {
  char path[4096], head[128], tail[32];
  size_t bytes;
  if (!cache_file(path, sizeof path, false)) return;
  char *text = read_whole(catalogue, path, &bytes);
  if (!text) return;
  head_line(head, sizeof head);
  size_t head_bytes = strlen(head), tail_bytes = 2 + 16 + 1; /* "S " 16 digits newline */
  if (bytes < head_bytes + tail_bytes || memcmp(text, head, head_bytes) != 0) return;
  size_t body = bytes - tail_bytes;
  snprintf(tail, sizeof tail, "S %016" PRIx64 "\n", sum_of(text, body));
  if (memcmp(text + body, tail, tail_bytes) != 0) return;
  tn_catalogue_parse(catalogue, text + head_bytes, body - head_bytes);
}

static bool still_there(const tn_catalogue_entry *entry) {
  struct stat s;
  if (stat(entry->path, &s) != 0) return false;
  tn_file_id id = tn_file_id_of(&s);
  return same_file(&id, &entry->id);
}

static char *printed(const tn_catalogue *catalogue, const bool *seen, size_t *bytes) {
  char *text = NULL, head[128];
  FILE *out = open_memstream(&text, bytes);
  if (!out) return NULL;
  head_line(head, sizeof head);
  fputs(head, out);
  for (uint32_t i = 0; i < catalogue->count; i++) {
    const tn_catalogue_entry *entry = &catalogue->entries[i];
    if (entry->refusal && !entry->lasting) continue;
    if ((seen && seen[i]) || still_there(entry)) tn_catalogue_write(out, entry);
  }
  if (fflush(out) != 0) {
    fclose(out);
    free(text);
    return NULL;
  }
  uint64_t sum = sum_of(text, *bytes);
  fprintf(out, "S %016" PRIx64 "\n", sum);
  if (fclose(out) == 0) return text;
  free(text);
  return NULL;
}

static bool write_all(int file, const char *text, size_t bytes) {
  while (bytes > 0) {
    ssize_t put = write(file, text, bytes);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    text += put;
    bytes -= (size_t)put;
  }
  return true;
}

void tn_catalogue_save(const tn_catalogue *catalogue, const bool *seen) {
  char path[4096], other[4096 + 8];
  if (!catalogue->changed || !cache_file(path, sizeof path, true)) return;
  snprintf(other, sizeof other, "%s.XXXXXX", path);
  size_t bytes = 0;
  char *text = printed(catalogue, seen, &bytes);
  int file = text ? mkstemp(other) : -1;
  if (file >= 0) {
    bool written = write_all(file, text, bytes);
    if (close(file) != 0 || !written || rename(other, path) != 0) unlink(other);
  }
  free(text);
}
