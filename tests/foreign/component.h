// SPDX-License-Identifier: MIT
/* Components of the plugin `foreign`, made as the host makes them, and libraries for them to call. */
#ifndef TENON_TESTS_FOREIGN_COMPONENT_H
#define TENON_TESTS_FOREIGN_COMPONENT_H

#include <tenon/component.h>

/* For a test's .init: the host, an engine, the plugin, and the compiled libraries. */
void foreign_start(void);

/* The folder of the compiled libraries: functions.so (examples/foreign) and odd.so (odd.c of this folder). */
const char *foreign_folder(void);

/* A component "kind.foreign" with the keys of `section`, INI text in which @ stands for the folder. NULL if
 * it is refused; foreign_message says why. */
const tn_component *foreign_make(const char *kind, const char *section);
void foreign_drop(const tn_component *component);

/* The host's record of the last failure. */
const char *foreign_message(void);

#endif
