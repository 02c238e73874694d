// SPDX-License-Identifier: MIT
/* The names by which kinds and components are known. */
#ifndef TENON_CORE_KIND_H
#define TENON_CORE_KIND_H

#include <tenon/component.h>

/* "optimizer" of "tenon.optimizer/1", written to `name`. */
void tn_kind_short_name(const char *kind, char *name, size_t bytes);
/* "vendor.kind/REVISION": vendor (which may have dots) and kind of [a-z0-9_]+, revision a number above 0. */
bool tn_kind_well_formed(const char *kind);
/* [a-z0-9_]+, at most 64 bytes: names of plugins, components and parameters. */
bool tn_name_well_formed(const char *name);
/* "optimizer.lion" of a class. */
#define TN_FULL_NAME 136
const char *tn_class_full_name(const tn_class *cls, char text[TN_FULL_NAME]);

#endif
