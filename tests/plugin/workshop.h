// SPDX-License-Identifier: MIT
/* A folder of its own for every test, with plugins compiled into it. */
#ifndef TENON_TESTS_WORKSHOP_H
#define TENON_TESTS_WORKSHOP_H

#include "core/plugin/host.h"
#include "core/plugin/registry.h"

extern char workshop[64]; /* the folder; the current one during the test */
void workshop_open(void); /* .init: also an empty cache, and no plugins but the test's */
void workshop_close(void);
/* Runs a command; fails the test if it fails. */
TN_PRINTF(1, 2) void workshop_run(const char *command, ...);
/* zoo/tiny.c as FILE with these options: workshop_build("plugins/a.so", "-DNAME=a -DMAJOR=2"). */
void workshop_build(const char *file, const char *options);
void workshop_write(const char *file, const void *data, size_t bytes);

/* The registry of folder `path`, and the refused lines in one text, one a line, with the folder's name cut
 * off. */
tn_registry *workshop_registry(const char *path);
const char *workshop_refused(const tn_registry *registry);
/* Opens, copies the refused lines, closes. */
const char *workshop_refusals(const char *path);
/* How many of the folder's shared objects this process has mapped. */
uint32_t workshop_mapped(const char *part_of_name);

#endif
