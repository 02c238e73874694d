// SPDX-License-Identifier: MIT
/* The dynamic linker, wrapped once. */
#ifndef TENON_CORE_DYLIB_H
#define TENON_CORE_DYLIB_H

#include <stddef.h>

typedef struct tn_dylib tn_dylib;

/* Loads a shared object with all its symbols, visible to itself only. NULL: `reason` says why, without the
 * file's own name. */
tn_dylib *tn_dylib_open(const char *file, char *reason, size_t bytes);
/* The same for a library of the system, by its name: "libcurl.so.4". */
tn_dylib *tn_dylib_system(const char *name, char *reason, size_t bytes);
const void *tn_dylib_symbol(tn_dylib *library, const char *name); /* NULL: not exported */
void tn_dylib_close(tn_dylib *library);

#endif
