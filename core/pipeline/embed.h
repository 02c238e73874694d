// SPDX-License-Identifier: MIT
#ifndef TENON_CORE_EMBED_H
#define TENON_CORE_EMBED_H

#include "core/pipeline/pipeline.h"
#include <tenon/embed.h>

struct tn_embed {
  tn_registry *registry;
  tn_pipeline *pipeline; /* of the last run: its results and tensors */
  tn_error error;
};

#endif
