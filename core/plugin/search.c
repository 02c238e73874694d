// SPDX-License-Identifier: MIT
#define _XOPEN_SOURCE 700 /* S_ISVTX */
#include "core/plugin/search.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static tn_status no_memory(tn_error *error) {
  return tn_error_set(error, TN_ERROR_MEMORY, NULL, 0, "out of memory");
}

tn_status tn_search_refuse(tn_plugin_search *search, const char *path, const char *reason, tn_error *error) {
  if (search->refused_count == search->refused_capacity) {
    uint32_t capacity = search->refused_capacity ? 2 * search->refused_capacity : 8;
    const char **more = realloc(search->refused, capacity * sizeof *more);
    if (!more) return no_memory(error);
    search->refused = more;
    search->refused_capacity = capacity;
  }
  char *line = tn_arena_join(search->arena, path, ": ");
  if (line) line = tn_arena_join(search->arena, line, reason);
  if (!line) return no_memory(error);
  for (char *c = line; *c; c++)
    if ((unsigned char)*c < 0x20) *c = ' ';
  search->refused[search->refused_count++] = line;
  return TN_OK;
}

/* Why a place cannot be trusted; NULL: it can. */
static const char *distrust(const struct stat *s) {
  if (s->st_mode & S_IWOTH) return "everybody can write to it, so it is not trusted (chmod o-w)";
  if ((s->st_mode & S_IWGRP) && s->st_gid != 0 && s->st_gid != getegid())
    return "another group can write to it, so it is not trusted (chmod g-w)";
  return NULL;
}

static bool known(const tn_plugin_search *search, const tn_file_id *id) {
  for (uint32_t i = 0; i < search->count; i++)
    if (search->files[i].id.device == id->device && search->files[i].id.inode == id->inode) return true;
  return false;
}

static tn_status add(tn_plugin_search *search, const char *path, const struct stat *s, bool named,
                     tn_error *error) {
  tn_file_id id = tn_file_id_of(s);
  if (known(search, &id)) return TN_OK;
  if (search->count == search->capacity) {
    uint32_t capacity = search->capacity ? 2 * search->capacity : 64;
    tn_found *more = realloc(search->files, capacity * sizeof *more);
    if (!more) return no_memory(error);
    search->files = more;
    search->capacity = capacity;
  }
  search->files[search->count++] = (tn_found){path, id, named};
  return TN_OK;
}

tn_status tn_search_file(tn_plugin_search *search, const char *path, tn_error *error) {
  struct stat s, folder_stat;
  char *copy = tn_arena_text(search->arena, path, strlen(path));
  char *folder = tn_arena_text(search->arena, path, strlen(path));
  if (!copy || !folder) return no_memory(error);
  if (stat(path, &s) != 0) return tn_error_set(error, TN_ERROR_IO, path, 0, "%s", strerror(errno));
  if (!S_ISREG(s.st_mode)) return tn_error_set(error, TN_ERROR_INVALID, path, 0, "not a file");
  const char *reason = distrust(&s);
  char *slash = strrchr(folder, '/');
  if (slash) slash[slash == folder] = '\0';
  if (!reason && stat(slash ? folder : ".", &folder_stat) == 0 && !(folder_stat.st_mode & S_ISVTX))
    if (distrust(&folder_stat)) reason = "others can write to its folder, so it is not trusted";
  if (reason) return tn_error_set(error, TN_ERROR_INVALID, path, 0, "%s", reason);
  return add(search, copy, &s, true, error);
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool shared_object(const char *name) {
  size_t length = strlen(name);
  return length > 3 && name[0] != '.' && strcmp(name + length - 3, ".so") == 0;
}

/* Sorted names of the folder's *.so files; UINT32_MAX if memory ran out. */
static uint32_t list(tn_plugin_search *search, DIR *folder, const char ***names) {
  uint32_t count = 0, capacity = 0;
  *names = NULL;
  for (const struct dirent *entry; (entry = readdir(folder));) {
    if (!shared_object(entry->d_name)) continue;
    if (count == capacity) {
      capacity = capacity ? 2 * capacity : 64;
      const char **more = realloc(*names, capacity * sizeof *more);
      if (!more) return UINT32_MAX;
      *names = more;
    }
    (*names)[count] = tn_arena_text(search->arena, entry->d_name, strlen(entry->d_name));
    if (!(*names)[count++]) return UINT32_MAX;
  }
  if (count > 1) qsort(*names, count, sizeof **names, by_name);
  return count;
}

static tn_status add_listed(tn_plugin_search *search, const char *folder, const char *name, tn_error *error) {
  struct stat s;
  char *path = tn_arena_join(search->arena, folder, "/");
  if (path) path = tn_arena_join(search->arena, path, name);
  if (!path) return no_memory(error);
  if (stat(path, &s) != 0) return tn_search_refuse(search, path, strerror(errno), error);
  if (!S_ISREG(s.st_mode)) return TN_OK;
  const char *reason = distrust(&s);
  for (const char *c = name; *c && !reason; c++)
    if ((unsigned char)*c < 0x20) reason = "control characters in its name";
  return reason ? tn_search_refuse(search, path, reason, error) : add(search, path, &s, false, error);
}

static tn_status add_folder(tn_plugin_search *search, const char *folder, tn_error *error) {
  struct stat s;
  DIR *open_folder = opendir(folder);
  if (!open_folder) return errno == ENOENT ? TN_OK : tn_search_refuse(search, folder, strerror(errno), error);
  const char *reason = fstat(dirfd(open_folder), &s) == 0 ? distrust(&s) : strerror(errno);
  tn_status status = reason ? tn_search_refuse(search, folder, reason, error) : TN_OK;
  if (!reason) {
    const char **names;
    uint32_t count = list(search, open_folder, &names);
    if (count == UINT32_MAX) status = no_memory(error);
    for (uint32_t i = 0; i < count && status == TN_OK; i++)
      status = add_listed(search, folder, names[i], error);
    free(names);
  }
  closedir(open_folder);
  return status;
}

tn_status tn_search_folders(tn_plugin_search *search, const char *folders, tn_error *error) {
  tn_status status = TN_OK;
  while (folders && *folders && status == TN_OK) {
    size_t length = strcspn(folders, ":");
    char *folder = tn_arena_text(search->arena, folders, length);
    if (!folder) return no_memory(error);
    if (length > 0) status = add_folder(search, folder, error);
    folders += length + (folders[length] == ':');
  }
  return status;
}

void tn_search_free(tn_plugin_search *search) {
  free(search->files);
  free(search->refused);
}
