// SPDX-License-Identifier: MIT
/* tenon.comm/1 over the run's communicator; without one every collective is the identity. */
#include "core/config/memory.h"
#include "core/pipeline/internal.h"
#include <stdlib.h>
#include <string.h>
#include <tenon/communicator.h>
#include <time.h>
#include <unistd.h>

/* NULL: one process, nothing to do. */
static const tn_component *others(void) {
  const tn_pipeline *p = tn_pipeline_current();
  return p && p->ranks > 1 ? p->communicator : NULL;
}

static int32_t rank(void) {
  const tn_pipeline *p = tn_pipeline_current();
  return p ? p->rank : 0;
}
static int32_t ranks(void) {
  const tn_pipeline *p = tn_pipeline_current();
  return p && p->communicator ? p->ranks : 1;
}

/* ---- sums ---- */

#define TABLE(c) ((const tn_communicator *)(c)->vtable)

static tn_status all_to_all(const tn_component *c, const void *mine, void *all, size_t bytes) {
  const size_t n = (size_t)ranks();
  if (TN_HAS(TABLE(c), tn_communicator, all_to_all)) return TABLE(c)->all_to_all(c->self, mine, all, bytes);
  char *everything = malloc(n * n * bytes);
  if (!everything) return tn_fail(TN_ERROR_MEMORY, "out of memory for %zu bytes of all ranks", n * n * bytes);
  const tn_status status = TABLE(c)->all_gather(c->self, mine, everything, n * bytes);
  for (size_t r = 0; status >= 0 && r < n; r++)
    memcpy((char *)all + r * bytes, everything + (r * n + (size_t)rank()) * bytes, bytes);
  free(everything);
  return status;
}

/* parts (n, count) -> their sum in the first row, neighbours first. */
#define TREE(real)                                                 \
  static void tree_##real(real *parts, int64_t n, int64_t count) { \
    for (int64_t stride = 1; stride < n; stride *= 2)              \
      for (int64_t r = 0; r + stride < n; r += 2 * stride) {       \
        real *x = parts + r * count;                               \
        const real *y = parts + (r + stride) * count;              \
        for (int64_t i = 0; i < count; i++) x[i] += y[i];          \
      }                                                            \
  }
TREE(float)
TREE(double)

/* One slice: every rank sums a part of it and hands the sum to all. A rank sends and receives
 * 2 (ranks - 1) / ranks times the slice. */
static tn_status sum_slice(const tn_component *c, char *values, int64_t count, bool is_double,
                           char *scratch) {
  const size_t size = is_double ? sizeof(double) : sizeof(float), n = (size_t)ranks();
  const size_t part = ((size_t)count + n - 1) / n; /* elements; the last ones of the last parts are padding */
  char *received = scratch + n * part * size;
  memcpy(scratch, values, (size_t)count * size);
  memset(scratch + (size_t)count * size, 0, (n * part - (size_t)count) * size);
  tn_status status = all_to_all(c, scratch, received, part * size);
  if (status < 0) return status;
  if (is_double)
    tree_double((double *)(void *)received, (int64_t)n, (int64_t)part);
  else
    tree_float((float *)(void *)received, (int64_t)n, (int64_t)part);
  status = TABLE(c)->all_gather(c->self, received, scratch, part * size);
  if (status >= 0) memcpy(values, scratch, (size_t)count * size);
  return status;
}

enum { SLICE = 1 << 22 }; /* elements: what bounds the scratch memory */

static tn_status sum_values(const tn_component *c, void *values, int64_t count, bool is_double) {
  if (is_double && TN_HAS(TABLE(c), tn_communicator, sum_f64))
    return TABLE(c)->sum_f64(c->self, values, count);
  if (!is_double && TN_HAS(TABLE(c), tn_communicator, sum_f32))
    return TABLE(c)->sum_f32(c->self, values, count);
  const size_t size = is_double ? sizeof(double) : sizeof(float);
  const int64_t slice = count < SLICE ? count : SLICE;
  const size_t room = 2 * ((size_t)slice + (size_t)ranks()) * size;
  char *scratch = aligned_alloc(64, (room + 63) & ~(size_t)63);
  if (!scratch) return tn_fail(TN_ERROR_MEMORY, "out of memory for a sum over %d ranks", ranks());
  tn_status status = TN_OK;
  for (int64_t first = 0; status >= 0 && first < count; first += slice)
    status = sum_slice(c, (char *)values + (size_t)first * size,
                       count - first < slice ? count - first : slice, is_double, scratch);
  free(scratch);
  return status;
}

static tn_status sum(double *values, int64_t count) {
  const tn_component *c = others();
  return c ? sum_values(c, values, count, true) : TN_OK;
}

static tn_status sum_params(tn_params *params) {
  const tn_component *c = others();
  if (!c) return TN_OK;
  tn_scope_open();
  const bool recording = tn_record(false);
  tn_tensor *flat = tn_params_flatten(params);
  tn_status status = tn_outcome();
  if (status >= 0) status = sum_values(c, tn_data(flat), tn_numel(flat), flat->dtype == TN_F64);
  if (status >= 0) status = tn_params_assign(params, flat);
  tn_record(recording);
  tn_scope_close();
  return status;
}

static tn_status broadcast(void *data, size_t bytes, int32_t root) {
  const tn_component *c = others();
  if (root < 0 || root >= ranks())
    return tn_fail(TN_ERROR_INVALID, "broadcast from rank %d of %d", root, ranks());
  return c ? TABLE(c)->broadcast(c->self, data, bytes, root) : TN_OK;
}

static tn_status barrier(void) {
  const tn_component *c = others();
  return c ? TABLE(c)->barrier(c->self) : TN_OK;
}

const tn_comm_service tn_comm_table = {.size = sizeof(tn_comm_service),
                                       .rank = rank,
                                       .ranks = ranks,
                                       .sum = sum,
                                       .sum_params = sum_params,
                                       .broadcast = broadcast,
                                       .barrier = barrier};

/* ---- the run as a whole ---- */

/* `text` must be the same on every rank. */
static tn_status agree(tn_pipeline *p, const char *what, const char *text, const char *advice,
                       tn_error *error) {
  char first[4096] = "";
  snprintf(first, sizeof first, "%s", text);
  if (TABLE(p->communicator)->broadcast(p->communicator->self, first, sizeof first, 0) < 0)
    return tn_pipeline_failure(p, p->communicator, "broadcast", TN_ERROR_IO, error);
  char same = strcmp(first, text) == 0, *all = tn_take((size_t)p->ranks);
  const tn_status status = TABLE(p->communicator)->all_gather(p->communicator->self, &same, all, 1);
  for (int32_t r = 0; r < p->ranks; r++) same = same && all[r];
  free(all);
  if (status < 0) return tn_pipeline_failure(p, p->communicator, "all_gather", status, error);
  if (same) return TN_OK;
  return tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "the %d ranks have different %s%s", p->ranks, what,
                      advice);
}

tn_status tn_comm_join(tn_pipeline *p, const tn_component *communicator, tn_error *error) {
  p->communicator = communicator;
  p->ranks = 1;
  if (!communicator) return TN_OK;
  p->rank = TABLE(communicator)->rank(communicator->self);
  p->ranks = TABLE(communicator)->ranks(communicator->self);
  if (p->ranks == 1) return TN_OK;
  p->context.quiet = p->context.quiet || p->rank > 0;
  tn_status status = agree(p, "run directories", p->directory ? p->directory : "",
                           ": give one with --directory, or start them with --ranks", error);
  if (status >= 0)
    status = agree(p, "instruction sets", tn_engine_cpu(p->engine), ": set TENON_CPU for all", error);
  return status;
}

bool tn_comm_any(tn_pipeline *p, bool mine) {
  if (p->ranks < 2) return mine;
  double flag = mine;
  return sum(&flag, 1) >= 0 && flag > 0;
}

void tn_comm_give_up(tn_pipeline *p, const tn_error *error, bool running) {
  if (p->ranks < 2) return;
  /* The exit codes of command.h: the run failed, or its file cannot be used. */
  const int code = running || error->status == TN_ERROR_MEMORY || error->status == TN_ERROR_INTERNAL ? 1 : 2;
  /* What all ranks meet, the first says for all: it ends the others, by a signal, while they wait. */
  const struct timespec patience = {.tv_sec = 2};
  const bool told = p->rank > 0 && nanosleep(&patience, NULL) != 0;
  if (!told && p->rank == 0) fprintf(stderr, "error: %s\n", error->text);
  if (!told && p->rank > 0) fprintf(stderr, "error: rank %d: %s\n", p->rank, error->text);
  if (p->context.log) fprintf(p->context.log, "error: %s\n", error->text);
  fflush(NULL);
  if (p->directory) rmdir(p->directory); /* if nothing is in it */
  tn_box_finish(p->box);
  if (!told && TN_HAS(TABLE(p->communicator), tn_communicator, abort))
    TABLE(p->communicator)->abort(p->communicator->self, code);
  _Exit(code);
}
