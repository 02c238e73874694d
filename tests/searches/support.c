// SPDX-License-Identifier: MIT
/* The models' support, for the programs of this folder. */
#include "../models/support.c"
