// SPDX-License-Identifier: MIT
/* The plugin's language of optimizer programs, linked into the tests. */
#include "plugins/programs/abstract.c"
#include "plugins/programs/functions.c"
#include "plugins/programs/interpreter.c"
#include "plugins/programs/mutation.c"
#include "plugins/programs/text.c"
