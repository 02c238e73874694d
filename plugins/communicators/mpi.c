// SPDX-License-Identifier: MIT
/* Processes started by mpirun, srun or the like, through MPI. The run may be started as one process, too.
 *
 * MPI can be initialised once in a process. So the first instance does it and the process's end undoes it;
 * instances share the world, and this plugin is never unloaded. */
#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <tenon/communicator.h>

struct mpi {
  char nothing;
};

enum { PIECE = 1 << 30 }; /* bytes of one broadcast: counts are int */

static tn_status outcome(int code, const char *what) {
  char text[MPI_MAX_ERROR_STRING] = "";
  int length;
  if (code == MPI_SUCCESS) return TN_OK;
  MPI_Error_string(code, text, &length);
  return tn_fail(TN_ERROR_IO, "%s: %s", what, text);
}

static tn_status fits(size_t bytes) {
  if (bytes <= INT_MAX) return TN_OK;
  return tn_fail(TN_ERROR_INVALID, "%zu bytes a rank in one message, of at most %d", bytes, INT_MAX);
}

static void finalize(void) {
  int done = 0;
  MPI_Finalized(&done);
  if (!done) MPI_Finalize();
}

static tn_status mpi_create(void *self) {
  int ready = 0, level;
  (void)self;
  MPI_Initialized(&ready);
  if (ready) return TN_OK;
  tn_status status = outcome(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level), "MPI_Init");
  if (status < 0) return status;
  atexit(finalize);
  return outcome(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
}

static int32_t mpi_rank(void *self) {
  int rank = 0;
  (void)self;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

static int32_t mpi_ranks(void *self) {
  int ranks = 1;
  (void)self;
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  return ranks;
}

static tn_status mpi_all_gather(void *self, const void *mine, void *all, size_t bytes) {
  (void)self;
  if (fits(bytes) < 0) return TN_ERROR_INVALID;
  return outcome(MPI_Allgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, MPI_COMM_WORLD),
                 "MPI_Allgather");
}

static tn_status mpi_all_to_all(void *self, const void *mine, void *all, size_t bytes) {
  (void)self;
  if (fits(bytes) < 0) return TN_ERROR_INVALID;
  return outcome(MPI_Alltoall(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, MPI_COMM_WORLD),
                 "MPI_Alltoall");
}

static tn_status mpi_broadcast(void *self, void *data, size_t bytes, int32_t root) {
  tn_status status = TN_OK;
  (void)self;
  for (size_t first = 0; status >= 0 && first < bytes; first += PIECE) {
    const size_t left = bytes - first;
    status = outcome(
        MPI_Bcast((char *)data + first, (int)(left < PIECE ? left : PIECE), MPI_BYTE, root, MPI_COMM_WORLD),
        "MPI_Bcast");
  }
  return status;
}

static tn_status mpi_barrier(void *self) {
  (void)self;
  return outcome(MPI_Barrier(MPI_COMM_WORLD), "MPI_Barrier");
}

static void mpi_abort(void *self, int32_t code) {
  (void)self;
  MPI_Abort(MPI_COMM_WORLD, code);
}

static const tn_communicator mpi_table = {.size = sizeof mpi_table,
                                          .rank = mpi_rank,
                                          .ranks = mpi_ranks,
                                          .all_gather = mpi_all_gather,
                                          .broadcast = mpi_broadcast,
                                          .barrier = mpi_barrier,
                                          .all_to_all = mpi_all_to_all,
                                          .abort = mpi_abort};
static const tn_class mpi_class = {.size = sizeof(tn_class),
                                   .kind = TN_COMMUNICATOR,
                                   .name = "mpi",
                                   .summary = "The processes of an MPI launcher, as `tenon run --ranks N`",
                                   .reference = "Message Passing Interface Forum, MPI 3.1",
                                   .instance_size = sizeof(struct mpi),
                                   .vtable = &mpi_table,
                                   .create = mpi_create};
TN_PLUGIN("communicator_mpi", "1.0.0", "MIT", &mpi_class)
