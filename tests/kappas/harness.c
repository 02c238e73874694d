// SPDX-License-Identifier: MIT
/* The plugins' harness, for the programs of this folder. */
#include "../plugins/harness.c"
