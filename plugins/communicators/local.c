// SPDX-License-Identifier: MIT
/* One process: nothing to talk to. What every run uses unless it names another communicator. */
#include <string.h>
#include <tenon/communicator.h>

struct local {
  char nothing;
};

static int32_t local_rank(void *self) { return (void)self, 0; }
static int32_t local_ranks(void *self) { return (void)self, 1; }
static tn_status local_all_gather(void *self, const void *mine, void *all, size_t bytes) {
  (void)self;
  if (bytes > 0 && all != mine) memmove(all, mine, bytes);
  return TN_OK;
}
static tn_status local_broadcast(void *self, void *data, size_t bytes, int32_t root) {
  (void)self, (void)data, (void)bytes;
  return root == 0 ? TN_OK : tn_fail(TN_ERROR_INVALID, "there is no rank %d: one process", (int)root);
}
static tn_status local_barrier(void *self) { return (void)self, TN_OK; }
/* The sum over one rank is what is there. */
static tn_status local_sum_f32(void *self, float *values, int64_t count) {
  return (void)self, (void)values, (void)count, TN_OK;
}
static tn_status local_sum_f64(void *self, double *values, int64_t count) {
  return (void)self, (void)values, (void)count, TN_OK;
}

static const tn_communicator local_table = {.size = sizeof local_table,
                                            .rank = local_rank,
                                            .ranks = local_ranks,
                                            .all_gather = local_all_gather,
                                            .broadcast = local_broadcast,
                                            .barrier = local_barrier,
                                            .sum_f32 = local_sum_f32,
                                            .sum_f64 = local_sum_f64,
                                            .all_to_all = local_all_gather};
static const tn_class local_class = {.size = sizeof(tn_class),
                                     .kind = TN_COMMUNICATOR,
                                     .name = "local",
                                     .summary = "A single process",
                                     .instance_size = sizeof(struct local),
                                     .vtable = &local_table};
TN_PLUGIN("communicator_local", "1.0.0", "MIT", &local_class)
