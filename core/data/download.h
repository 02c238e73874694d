// SPDX-License-Identifier: MIT
/* Fetching a file over HTTP, by libcurl. The library is loaded when the first file is fetched, so that no
 * other command pays for it. */
#ifndef TENON_CORE_DOWNLOAD_H
#define TENON_CORE_DOWNLOAD_H

#include "core/config/error.h"

/* Called now and then with the bytes that are there and the bytes there will be (0: unknown). */
typedef void (*tn_download_progress)(void *context, int64_t done, int64_t total);

/* Appends what is missing of `url` to `path`, which may hold its beginning from an earlier try; starts over
 * where the server cannot continue. A connection that breaks is taken up again, two times at most. What has
 * arrived stays after a failure. */
tn_status tn_download(const char *url, const char *path, tn_download_progress progress, void *context,
                      tn_error *error);

#endif
