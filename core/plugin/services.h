// SPDX-License-Identifier: MIT
/* The tables of functions that plugins can ask for. */
#ifndef TENON_CORE_SERVICES_H
#define TENON_CORE_SERVICES_H

#include <tenon/log.h>

extern const tn_log_service tn_log_table;
const void *tn_service_find(const char *id); /* NULL: none */
/* true if the table was not known yet. */
bool tn_service_add(const char *id, const void *table);

#endif
