// SPDX-License-Identifier: MIT
/* Memory that shows who writes past it: it ends where a page begins that nobody may touch, so that the write
 * crashes at once; the bytes that alignment leaves over, in front and behind, carry a pattern. */
#ifndef TENON_TENSOR_GUARD_H
#define TENON_TENSOR_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed; NULL if there is none. `alignment` is a power of two, at most a page. */
void *tn_guard_take(size_t bytes, size_t alignment);
void tn_guard_give(void *memory);
/* How many blocks were given back with a damaged pattern, in this process. */
uint32_t tn_guard_damaged(void);

#endif
