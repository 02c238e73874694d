// SPDX-License-Identifier: MIT
/* tenon new KIND NAME: a plugin that compiles, its test, and a Makefile that needs nothing but pkg-config. */
#include "core/command/arguments.h"
#include "paths.h"
#include "core/config/arena.h"
#include "core/config/kind.h"
#include "core/plugin/kinds.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] =
    "usage: tenon new KIND NAME [options]\n\n"
    "Writes the skeleton of a plugin: NAME.c, a test and a Makefile (`tenon new optimizer mine`). KIND is "
    "one of\n"
    "the host's kinds, or the id of a kind of your own (`tenon new acme.fusion/1 mine`).\n\n"
    "  --dir DIR  the folder to write to, made if needed; default: KIND-NAME\n";

/* What the words between @ in a template stand for. */
typedef struct words {
  const char *name, *kind, *kind_id;
} words;

static int wrong(const char *format, const char *text) {
  fputs("error: ", stderr);
  fprintf(stderr, format, text);
  fputc('\n', stderr);
  return TN_EXIT_USAGE;
}

/* The name becomes a C identifier. */
static bool usable_name(const char *name) {
  static const char *const taken[] = {
      "auto",   "break",    "case",     "char",     "const", "continue", "default", "do",     "double",
      "else",   "enum",     "extern",   "float",    "for",   "goto",     "if",      "inline", "int",
      "long",   "register", "restrict", "return",   "short", "signed",   "sizeof",  "static", "struct",
      "switch", "typedef",  "union",    "unsigned", "void",  "volatile", "while"};
  for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
    if (strcmp(name, taken[i]) == 0) return false;
  return tn_name_well_formed(name) && name[0] >= 'a' && name[0] <= 'z' && strlen(name) <= 40;
}

static bool is_folder(const char *path) {
  struct stat s;
  return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

/* In the source tree while tenon is not installed, else in the data folder: the configured one, or the same
 * below the prefix that the program was moved to. */
static const char *template_folder(tn_arena *arena) {
  static const char installed[] = TN_INSTALL_TEMPLATE_DIR;
  const char *override = getenv("TENON_TEMPLATES");
  if (override) return override;
  char self[4096];
  ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  self[length > 0 ? length : 0] = '\0';
  char *slash = strrchr(self, '/');
  if (slash) *slash = '\0';
  for (const char *end = installed; end && slash; end = strchr(end + 1, '/')) {
    char *up = tn_arena_join(arena, self, "/..");
    char *path = up ? tn_arena_join(arena, up, end) : NULL;
    if (path && is_folder(path)) return path;
  }
#ifdef TN_BUILD_TEMPLATE_DIR
  if (is_folder(TN_BUILD_TEMPLATE_DIR)) return TN_BUILD_TEMPLATE_DIR;
#endif
  return installed;
}

static void fill(FILE *in, FILE *out, const words *w) {
  const struct {
    const char *key, *value;
  } known[] = {{"NAME@", w->name}, {"KIND@", w->kind}, {"KIND_ID@", w->kind_id}};
  char line[1024];
  while (fgets(line, sizeof line, in)) {
    for (const char *c = line; *c; c++) {
      size_t k = 0;
      while (*c == '@' && k < 3 && strncmp(c + 1, known[k].key, strlen(known[k].key)) != 0) k++;
      if (*c != '@' || k == 3) {
        fputc(*c, out);
        continue;
      }
      fputs(known[k].value, out);
      c += strlen(known[k].key);
    }
  }
}

/* FOLDER/TEMPLATE.in to DIR/NAME; never over a file that exists. 1: there is no such template. */
static int write_one(const char *folder, const char *template, const char *dir, const char *name,
                     const words *w) {
  char from[4096], to[4096];
  snprintf(from, sizeof from, "%s/%s.in", folder, template);
  snprintf(to, sizeof to, "%s/%s", dir, name);
  FILE *in = fopen(from, "r");
  if (!in) return 1;
  int file = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, strcmp(name, "test.sh") == 0 ? 0777 : 0666);
  FILE *out = file >= 0 ? fdopen(file, "w") : NULL;
  int code = 0;
  if (out) fill(in, out, w);
  if (!out || ferror(out) || fclose(out) != 0) {
    fprintf(stderr, "error: %s: %s\n", to, strerror(errno));
    code = -1;
  } else {
    printf("%s\n", to);
  }
  fclose(in);
  return code;
}

static int write_all(const char *folder, const char *dir, const words *w, bool known) {
  char template[128], name[128];
  const char *stem = known ? w->kind : "generic";
  if (mkdir(dir, 0777) != 0 && errno != EEXIST) {
    fprintf(stderr, "error: %s: %s\n", dir, strerror(errno));
    return TN_EXIT_FAILED;
  }
  snprintf(template, sizeof template, "%s.c", stem);
  snprintf(name, sizeof name, "%s.c", w->name);
  int code = write_one(folder, template, dir, name, w);
  if (code == 1)
    return wrong("no template '%s.c.in' where they should be: set TENON_TEMPLATES to their folder", stem);
  if (code == 0) code = write_one(folder, "Makefile", dir, "Makefile", w);
  if (code == 0) code = write_one(folder, "test.sh", dir, "test.sh", w);
  snprintf(template, sizeof template, "%s.ini", stem);
  snprintf(name, sizeof name, "%s.ini", w->name);
  if (code == 0 && write_one(folder, template, dir, name, w) < 0) code = -1; /* not every kind has one */
  if (code != 0) return TN_EXIT_FAILED;
  printf("next: cd %s && make && make test\n", dir);
  return TN_EXIT_OK;
}

static int wrong_kind(const char *kind) {
  const char *names[64];
  char text[512], hint[TN_SUGGESTION];
  uint32_t count = 0;
  for (; count < tn_kind_count(); count++) names[count] = tn_kind_at(count)->name;
  tn_suggest(hint, kind, names, count);
  snprintf(text, sizeof text, "'%.60s'%s%s", kind, hint,
           hint[0] ? "" : "; a kind of your own is written VENDOR.KIND/REVISION, such as acme.fusion/1");
  return wrong("no kind %s", text);
}

int tn_command_new(int argc, char **argv) {
  const char *dir = NULL;
  const tn_option options[] = {{"--dir", &dir, NULL}};
  tn_arguments a = {.most_words = 2, .options = options, .option_count = 1};
  int code = tn_arguments_parse(argc, argv, help, &a);
  if (code >= 0) return code;
  if (a.word_count < 2) return wrong("tenon new: expected KIND NAME%s", "");
  const tn_kind_info *known = tn_kind_find(a.words[0]);
  if (!known && !tn_kind_well_formed(a.words[0])) return wrong_kind(a.words[0]);
  if (!usable_name(a.words[1]))
    return wrong("name '%.60s': expected a letter, then [a-z0-9_]*, at most 40 in all, no C keyword",
                 a.words[1]);
  char kind[72], own_dir[160];
  tn_kind_short_name(known ? known->id : a.words[0], kind, sizeof kind);
  words w = {a.words[1], kind, known ? known->id : a.words[0]};
  snprintf(own_dir, sizeof own_dir, "%s-%s", kind, w.name);
  if (!known && (kind[0] < 'a' || kind[0] > 'z')) return wrong("kind '%.60s': expected a letter first", kind);
  tn_arena arena = {0};
  code = write_all(template_folder(&arena), dir ? dir : own_dir, &w, known != NULL);
  tn_arena_free(&arena);
  return code;
}
