// SPDX-License-Identifier: MIT
/* Factors from a list or a file, stretched over the horizon (Defazio et al. 2023: what a refined
 * schedule becomes when the number of steps changes), by linear interpolation: see stretch.h. Numbers in a
 * file are separated by blanks, commas or line ends; # begins a comment. */
#include "numbers.h"
#include "stretch.h"

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

static tn_status table_create(void *self) {
  struct table *table = self;
  if (table->factors.count > 0 && *table->file)
    return tn_fail(TN_ERROR_INVALID, "give factors or a file, not both");
  table->count = table->factors.count;
  if (!*table->file) return TN_OK;
  struct numbers numbers = {.path = table->file, .what = "a factor"};
  const tn_status status = numbers_read(&numbers);
  table->read = numbers.values;
  table->count = numbers.count;
  return status;
}
static void table_destroy(void *self) { tn_free(((struct table *)self)->read); }

static double table_factor(void *self, const tn_progress *progress) {
  const struct table *table = self;
  const double *factors = table->read ? table->read : table->factors.items;
  return stretched(factors, table->count, progress, table->steps);
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
