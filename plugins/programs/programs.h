// SPDX-License-Identifier: MIT
/* The classes of this plugin. */
#ifndef TENON_PLUGINS_PROGRAMS_H
#define TENON_PLUGINS_PROGRAMS_H

#include "program.h"

extern const tn_class program_optimizer_class, optimizer_search_class;

#endif
