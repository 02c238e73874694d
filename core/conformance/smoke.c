// SPDX-License-Identifier: MIT
#include "core/conformance/smoke.h"
#include "core/conformance/subject.h"
#include "core/config/memory.h"
#include <omp.h>
#include <stdlib.h>
#include <string.h>

static void digest_run(tn_pipeline *p, tn_fingerprint *digest) {
  const tn_result *results;
  const uint32_t count = tn_pipeline_results(p, &results);
  for (uint32_t i = 0; i < count; i++) {
    if (results[i].cost) continue;
    tn_fingerprint_text(digest, results[i].name);
    tn_fingerprint_real(digest, results[i].value);
  }
  for (uint32_t i = 0; i < tn_pipeline_count(p); i++)
    if (tn_pipeline_outputs(p, tn_pipeline_at(p, i)))
      tn_fingerprint_params(digest, tn_pipeline_parameters(p, tn_pipeline_at(p, i)));
}

tn_status tn_smoke_run(tn_trial *trial, const tn_smoke_setting *smoke, tn_fingerprint *digest,
                       tn_error *error) {
  static const char frame[] = "[pipeline]\nname = conformance\nseed = 1\nstages = %s\nobservers = %s\n%s";
  tn_subject_compose(trial);
  const size_t room =
      sizeof frame + strlen(smoke->stages) + strlen(smoke->observers) + strlen(trial->sections);
  char *text = tn_take(room);
  snprintf(text, room, frame, smoke->stages, smoke->observers, trial->sections);
  omp_set_num_threads(smoke->threads > 0 ? smoke->threads : 1);
  const tn_pipeline_options options = {.file = trial->given ? trial->given : "conformance",
                                       .text = text,
                                       .overrides = smoke->overrides,
                                       .override_count = smoke->override_count,
                                       .directory = smoke->directory,
                                       .smoke = true,
                                       .quiet = true};
  tn_pipeline *p = tn_pipeline_open(trial->registry, &options, error);
  free(text);
  if (!p) return error->status;
  tn_status status = tn_pipeline_check(p, error);
  if (status >= 0 && !smoke->check_only) status = tn_pipeline_run(p, error);
  if (status >= 0 && digest) digest_run(p, digest);
  tn_pipeline_close(p);
  return status;
}
