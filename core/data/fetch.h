// SPDX-License-Identifier: MIT
/* Bringing a data set's files into the folder of data sets. */
#ifndef TENON_CORE_FETCH_H
#define TENON_CORE_FETCH_H

#include "core/data/download.h"
#include "core/data/sets.h"

/* Makes `file` of `set` stand in `folder` with the right content. One that is right already stays. Otherwise
 * it is fetched to `NAME.part` beside it, checked, packed if its name ends in .gz and it is not, and renamed:
 * `NAME` is there whole or not at all. Content that is wrong is thrown away. *was_here: nothing had to be
 * fetched. */
tn_status tn_set_fetch(const tn_set *set, const tn_set_file *file, const char *folder,
                       tn_download_progress progress, void *context, bool *was_here, tn_error *error);

#endif
