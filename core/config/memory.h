// SPDX-License-Identifier: MIT
/* Small allocations of the host: texts and growing arrays. A host that cannot get a few hundred bytes cannot
 * even report: these end the process with one line and exit code 1. Tensors and whatever depends on the data
 * are allocated elsewhere, and failures there are ordinary errors. */
#ifndef TENON_CORE_MEMORY_H
#define TENON_CORE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* What to do before the process ends for this reason; NULL: nothing. */
void tn_take_failed(void (*last)(void));
void *tn_take(size_t bytes);                     /* zeroed; free() releases */
void *tn_taken(void *memory);                    /* memory that somebody else took, NULL if that failed */
void *tn_take_again(void *former, size_t bytes); /* realloc */
char *tn_copy_text(const char *text);
/* Room for one more item in the array behind `array` (a pointer to its pointer) that holds `count` of `item`
 * bytes; returns the new item's place, not cleared. */
void *tn_grow(void *array, uint32_t count, uint32_t *room, size_t item);

#endif
