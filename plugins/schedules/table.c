// SPDX-License-Identifier: MIT
/* Factors from a list or a file, stretched over the horizon (Defazio et al. 2023: what a refined
 * schedule becomes when the number of steps changes). With factors f_0 .. f_(n-1) and T steps:
 *   x = (n - 1) min(t / (T - 1), 1),   i = floor(x)
 *   factor(t) = f_i + (x - i) (f_(i+1) - f_i)
 * so that the first step gets f_0, the last one f_(n-1), and n = T gives the table itself. Numbers in a file
 * are separated by blanks, commas or line ends; # begins a comment. */
#include "horizon.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct table {
  tn_reals factors;
  const char *file;
  int64_t steps;
  double *read; /* of the file */
  int64_t count;
};
static const tn_param table_params[] = {
    TN_REALS(struct table, factors, "", 0, INFINITY, "the factors, at equal distances"),
    TN_PATH(struct table, file, 0, "", "a text file of factors, instead of the list"),
    TN_INTEGER(struct table, steps, "0", 0, 1e15, "steps", "horizon; 0: all planned steps"),
};

/* Adds the numbers of one line. */
static tn_status table_line(struct table *table, char *line, int64_t number, size_t *room) {
  char *comment = strchr(line, '#');
  if (comment) *comment = 0;
  for (char *at = line; *(at += strspn(at, " ,\t\r\n"));) {
    char *end;
    const double factor = strtod(at, &end);
    if (end == at || !(*end == 0 || strchr(" ,\t\r\n", *end)) || !isfinite(factor) || factor < 0)
      return tn_fail(TN_ERROR_INVALID, "%s:%lld: a factor is a finite number, not negative, got '%.*s'",
                     table->file, (long long)number, (int)strcspn(at, " ,\t\r\n"), at);
    if ((size_t)table->count == *room) {
      *room = *room > 0 ? 2 * *room : 256;
      double *more = tn_resize(table->read, *room * sizeof *more);
      if (!more) return TN_ERROR_MEMORY;
      table->read = more;
    }
    table->read[table->count++] = factor;
    at = end;
  }
  return TN_OK;
}

static tn_status table_read(struct table *table) {
  FILE *file = fopen(table->file, "r");
  if (!file) return tn_fail(TN_ERROR_IO, "%s: %s", table->file, strerror(errno));
  char line[4096];
  size_t room = 0;
  tn_status status = TN_OK;
  for (int64_t number = 1; status >= 0 && fgets(line, sizeof line, file); number++) {
    if (!strchr(line, '\n') && !feof(file))
      status = tn_fail(TN_ERROR_INVALID, "%s:%lld: the line is longer than %zu bytes", table->file,
                       (long long)number, sizeof line - 2);
    else
      status = table_line(table, line, number, &room);
  }
  if (status >= 0 && ferror(file)) status = tn_fail(TN_ERROR_IO, "%s: %s", table->file, strerror(errno));
  fclose(file);
  if (status >= 0 && table->count == 0)
    return tn_fail(TN_ERROR_INVALID, "%s: there is no number in it", table->file);
  return status;
}

static tn_status table_create(void *self) {
  struct table *table = self;
  if (table->factors.count > 0 && *table->file)
    return tn_fail(TN_ERROR_INVALID, "give factors or a file, not both");
  table->count = table->factors.count;
  return *table->file ? table_read(table) : TN_OK;
}
static void table_destroy(void *self) { tn_free(((struct table *)self)->read); }

static double table_factor(void *self, const tn_progress *progress) {
  const struct table *table = self;
  const double *factors = table->read ? table->read : table->factors.items;
  if (table->count == 0) return 1;
  const int64_t last = (table->steps > 0 ? table->steps : progress->steps) - 1;
  const double done = horizon_done(progress, last);
  const double x = last > 0 ? done * (double)(table->count - 1) : 0;
  const int64_t i = (int64_t)x;
  if (i >= table->count - 1) return factors[table->count - 1];
  return factors[i] + (x - (double)i) * (factors[i + 1] - factors[i]);
}

static const tn_class table_class = {
    .size = sizeof(tn_class),
    .kind = TN_SCHEDULE,
    .name = "table",
    .summary = "Factors from a list or a file, stretched over the steps",
    .reference =
        "Defazio et al. 2023, When, Why and How Much? Adaptive Learning Rate Scheduling by Refinement",
    TN_CLASS_PARAMS(table_params),
    .instance_size = sizeof(struct table),
    .vtable = &(const tn_schedule){sizeof(tn_schedule), table_factor, NULL},
    .create = table_create,
    .destroy = table_destroy};
TN_PLUGIN("table", "1.0.0", "MIT", &table_class)
