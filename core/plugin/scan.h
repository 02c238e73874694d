// SPDX-License-Identifier: MIT
/* Looking into shared objects that are new, in child processes: one that crashes or hangs when it is loaded
 * takes only its child with it. */
#ifndef TENON_CORE_PLUGIN_SCAN_H
#define TENON_CORE_PLUGIN_SCAN_H

#include "core/plugin/search.h"

/* Adds an entry to the catalogue for every file, also for those that are refused. */
tn_status tn_scan_files(tn_catalogue *catalogue, const tn_found *const *files, uint32_t count,
                        tn_error *error);

#endif
