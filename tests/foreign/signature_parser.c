// SPDX-License-Identifier: MIT
/* The plugin's signature parser, linked into the tests. */
#include "plugins/foreign/signature.c"
