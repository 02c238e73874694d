// SPDX-License-Identifier: MIT
/* Real data, where the machine has it. */
#ifndef TENON_TESTS_FORMAT_DATA_H
#define TENON_TESTS_FORMAT_DATA_H

/* The path of a file or folder in the folder that TENON_DATA names; the running test is skipped without it.
 * Valid until the next call. */
const char *data_path(const char *name);

/* A path for a file that does not exist yet; the folder is removed when the program ends. Valid until the
 * next call. */
const char *scratch_path(const char *name);

#endif
