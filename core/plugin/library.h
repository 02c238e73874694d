// SPDX-License-Identifier: MIT
/* Loaded plugins. Several hosts of one process share a library, so `load` and `unload` run once for all. */
#ifndef TENON_CORE_LIBRARY_H
#define TENON_CORE_LIBRARY_H

#include "core/config/error.h"
#include <tenon/component.h>

typedef struct tn_library tn_library;

/* Messages name the file. */
tn_library *tn_library_load(const char *file, tn_error *error);
void tn_library_unload(tn_library *library);
/* The class of this kind and name, in the host's own struct; NULL: it has none. */
const tn_class *tn_library_class(const tn_library *library, const char *kind, const char *name);

#endif
