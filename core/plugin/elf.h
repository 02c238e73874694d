// SPDX-License-Identifier: MIT
/* Is a file a whole shared object for this machine? The dynamic linker maps a truncated one and crashes. */
#ifndef TENON_CORE_ELF_H
#define TENON_CORE_ELF_H

#include <stdbool.h>
#include <stddef.h>

/* false: `reason` says why not, without the file's name. */
bool tn_elf_check(const char *file, char *reason, size_t bytes);
/* Is every undefined symbol of a shared object that can be loaded in one of the libraries that it names itself,
 * and not only in what this program happens to have loaded? */
bool tn_elf_symbols(const char *file, char *reason, size_t bytes);

#endif
