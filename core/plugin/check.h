// SPDX-License-Identifier: MIT
/* Is what a shared object exports a plugin that this host can use? Messages do not name the file. */
#ifndef TENON_CORE_CHECK_H
#define TENON_CORE_CHECK_H

#include "core/config/error.h"
#include "core/plugin/dylib.h"
#include <tenon/component.h>

/* Opens a shared object if it is one. NULL: `reason` says why not. */
tn_dylib *tn_plugin_open(const char *file, char *reason, size_t bytes);
/* The plugin's entry, checked and copied to the host's struct: absent members are NULL. */
tn_status tn_plugin_read(tn_dylib *library, tn_plugin *plugin, tn_error *error);
/* Class `index` of a plugin that was read, checked, in the same way. */
tn_status tn_class_read(const tn_plugin *plugin, uint32_t index, tn_class *cls, tn_error *error);

#endif
