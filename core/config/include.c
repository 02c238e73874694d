// SPDX-License-Identifier: MIT
/* Files that include files: what is included comes first, so the including file has the last word. */
#include "core/config/store.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_DEPTH = 32, MAX_FILES = 256 };

/* The files that are open above the one being read, innermost first. */
typedef struct chain {
  const struct chain *above;
  const char *file;
  dev_t device;
  ino_t inode;
  bool known; /* device and inode are (a text from memory may have no file) */
  uint32_t depth;
} chain;

typedef struct loader {
  tn_store *store;
  const tn_config_variable *variables;
  uint32_t variable_count;
  uint32_t files;
  tn_error *error;
} loader;

static chain link_of(const char *file, const chain *above) {
  chain link = {.above = above, .file = file, .depth = above ? above->depth + 1 : 1};
  struct stat s;
  if (stat(file, &s) == 0) link.known = true, link.device = s.st_dev, link.inode = s.st_ino;
  return link;
}

/* A whole file; *file_error is set to errno if it cannot be read, EFBIG if it is too long. */
static char *read_file(const char *file, size_t *bytes, int *file_error) {
  FILE *stream = fopen(file, "rb");
  size_t room = 1 << 16, used = 0;
  *file_error = stream ? ENOMEM : errno;
  char *text = stream ? malloc(room) : NULL;
  while (text) {
    used += fread(text + used, 1, room - used, stream);
    if (used < room) break;
    char *more = used > TN_STORE_MAX_FILE ? NULL : realloc(text, room *= 2);
    if (!more) {
      *file_error = used > TN_STORE_MAX_FILE ? EFBIG : ENOMEM;
      free(text);
    }
    text = more;
  }
  if (text && ferror(stream)) {
    *file_error = errno;
    free(text);
    text = NULL;
  }
  if (stream) fclose(stream);
  *bytes = used;
  return text;
}

char *tn_read_ini(const char *file, size_t *bytes, tn_error *error) {
  int file_error = 0;
  char *text = read_file(file, bytes, &file_error);
  if (!text) tn_error_set(error, TN_ERROR_MISSING, file, 0, "cannot be read: %s", strerror(file_error));
  return text;
}

/* `name` as seen from the folder of `from`. */
static char *beside(tn_arena *arena, const char *from, const char *name) {
  const char *slash = strrchr(from, '/');
  if (name[0] == '/' || !slash) return tn_arena_text(arena, name, strlen(name));
  char *folder = tn_arena_text(arena, from, (size_t)(slash + 1 - from));
  return folder ? tn_arena_join(arena, folder, name) : NULL;
}

static tn_status merge(loader *l, const tn_store *from, const char *file) {
  tn_store *into = l->store;
  for (uint32_t i = 0; i < from->count; i++) {
    const tn_section *section = &from->sections[i].view;
    uint32_t index;
    char *name = tn_arena_text(&into->arena, section->file, strlen(section->file));
    tn_status status =
        name ? tn_store_section_add(into, section->name, name, section->line, &index) : TN_ERROR_MEMORY;
    if (status != TN_OK) return tn_store_failed(status, file, section->line, l->error);
    into->sections[index].view.file = name;
    into->sections[index].view.line = section->line;
    for (uint32_t k = 0; k < section->key_count; k++) {
      const tn_key *key = &section->keys[k];
      status = tn_store_set(into, index, key->name, key->value, name, key->line);
      if (status != TN_OK) return tn_store_failed(status, file, key->line, l->error);
    }
  }
  return TN_OK;
}

static tn_status load(loader *l, const char *text, size_t bytes, const chain *link);

static tn_status cycle(const chain *link, const tn_key *include, const char *file, tn_error *error) {
  char path[512] = "";
  const chain *stack[MAX_DEPTH + 1];
  uint32_t depth = 0;
  for (; link && depth < MAX_DEPTH; link = link->above) stack[depth++] = link;
  for (size_t used = 0; depth > 0 && used < sizeof path;)
    used += (size_t)snprintf(path + used, sizeof path - used, "%s -> ", stack[--depth]->file);
  return tn_error_set(error, TN_ERROR_INVALID, include->file, include->line, "include makes a cycle: %s%s",
                      path, file);
}

static tn_status include_one(loader *l, const tn_key *include, const char *name, const chain *link) {
  char room[TN_SHOWN];
  char *file = beside(&l->store->arena, include->file, name);
  if (!file) return tn_store_failed(TN_ERROR_MEMORY, include->file, include->line, l->error);
  chain next = link_of(file, link);
  for (const chain *c = link; c && next.known; c = c->above)
    if (c->known && c->device == next.device && c->inode == next.inode)
      return cycle(link, include, file, l->error);
  if (next.depth > MAX_DEPTH || ++l->files > MAX_FILES)
    return tn_error_set(l->error, TN_ERROR_INVALID, include->file, include->line,
                        "more than %d included files, or %d inside one another", (int)MAX_FILES,
                        (int)MAX_DEPTH);
  size_t bytes;
  int file_error;
  char *text = read_file(file, &bytes, &file_error);
  if (!text)
    return tn_error_set(l->error, TN_ERROR_MISSING, include->file, include->line,
                        "include = %s: cannot be read: %s", tn_shown(room, file), strerror(file_error));
  tn_status status = load(l, text, bytes, &next);
  free(text);
  return status;
}

/* `include = a.ini, b.ini` */
static tn_status include_all(loader *l, const tn_key *include, const chain *link) {
  char *list = tn_expand_text(&l->store->arena, include->value, l->variables, l->variable_count,
                              include->file, include->line, l->error);
  if (!list) return l->error->status;
  for (char *name = list, *next; name; name = next) {
    next = strchr(name, ',');
    if (next) *next++ = '\0';
    name += strspn(name, " \t");
    for (size_t n = strlen(name); n > 0 && strchr(" \t", name[n - 1]); n--) name[n - 1] = '\0';
    if (!*name)
      return tn_error_set(l->error, TN_ERROR_INVALID, include->file, include->line,
                          "include: expected the name of a file, got nothing");
    tn_status status = include_one(l, include, name, link);
    if (status != TN_OK) return status;
  }
  return TN_OK;
}

static tn_status load(loader *l, const char *text, size_t bytes, const chain *link) {
  tn_store own = {0};
  tn_status status = tn_store_parse(&own, text, bytes, link->file, l->error);
  for (uint32_t i = 0; i < 2 && status == TN_OK; i++)
    if (own.includes[i].value) status = include_all(l, &own.includes[i], link);
  if (status == TN_OK) status = merge(l, &own, link->file);
  tn_store_free(&own);
  return status;
}

tn_status tn_store_include(tn_store *store, const char *text, size_t bytes, const char *file,
                           const tn_config_variable *variables, uint32_t variable_count, tn_error *error) {
  loader l = {store, variables, variable_count, 0, error};
  chain link = link_of(file, NULL);
  return load(&l, text, bytes, &link);
}
