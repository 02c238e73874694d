// SPDX-License-Identifier: MIT
/* SHA-256 (FIPS 180-4), by OpenSSL. */
#ifndef TENON_CORE_DIGEST_H
#define TENON_CORE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct tn_digest tn_digest;
tn_digest *tn_digest_new(void); /* NULL: out of memory */
void tn_digest_add(tn_digest *digest, const void *data, size_t bytes);
void tn_digest_end(tn_digest *digest, unsigned char hash[32]); /* and frees it; NULL is fine */
/* Of a file, as 64 hexadecimal digits. False and errno if it cannot be read. */
bool tn_digest_of_file(const char *path, char text[65]);

#endif
