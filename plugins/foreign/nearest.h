// SPDX-License-Identifier: MIT
/* The name that was probably meant, for messages. */
#ifndef TENON_FOREIGN_NEAREST_H
#define TENON_FOREIGN_NEAREST_H

#include <stdint.h>

/* The candidate that differs least from `name`; NULL if none differs little. Candidates may be NULL. */
const char *foreign_nearest(const char *name, const char *const *candidates, uint32_t count);

#endif
