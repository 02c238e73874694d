// SPDX-License-Identifier: MIT
/* Any bytes are either refused with one line, or make a problem that holds what tsplib.h promises, with a
 * length for the tour over its first nodes. */
#include "core/format/tsplib.h"
#include "tests/fuzz/fuzz.h"
#include <math.h>

static void check_demands(const tn_tsplib *problem) {
  require(problem->capacity >= 1 && problem->vehicles >= 0 && problem->depot < problem->count);
  for (size_t i = 0; i < problem->count; i++)
    require(problem->demands[i] >= 0 && problem->demands[i] <= problem->capacity);
  require(problem->demands[problem->depot] == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tn_tsplib problem;
  tn_format_error error;
  if (!tn_tsplib_parse("fuzz", data, size, 1 << 20, &problem, &error)) {
    require_refusal(&error);
    require(!problem.coordinates && !problem.weights && !problem.demands);
    return 0;
  }
  require(problem.count >= 1 && memchr(problem.name, 0, sizeof problem.name));
  require((problem.weight == TN_TSPLIB_EXPLICIT) == (problem.weights != NULL));
  require(problem.weights || problem.coordinates);
  for (size_t i = 0; problem.coordinates && i < 2 * problem.count; i++)
    require(fabs(problem.coordinates[i]) <= TN_TSPLIB_COORDINATE_MAX);
  if (problem.type == TN_TSPLIB_CVRP)
    check_demands(&problem);
  else
    require(!problem.demands);
  int32_t tour[32];
  const size_t count = problem.count < 32 ? problem.count : 32;
  int64_t sum = 0;
  for (size_t i = 0; i < count; i++) tour[i] = (int32_t)(problem.count - 1 - i);
  for (size_t i = 0; i < count; i++)
    sum += tn_tsplib_distance(&problem, (size_t)tour[i], (size_t)tour[(i + 1) % count]);
  require(tn_tsplib_length(&problem, tour, count) == sum);
  tn_tsplib_free(&problem);
  return 0;
}
