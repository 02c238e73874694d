// SPDX-License-Identifier: MIT
/* What came out of a component, as one number: equal bits give equal digests. */
#ifndef TENON_CORE_DIGEST_H
#define TENON_CORE_DIGEST_H

#include <tenon/plugin.h>

typedef struct tn_digest {
  uint64_t hash;
  uint64_t items; /* how much went in */
} tn_digest;

void tn_digest_bytes(tn_digest *digest, const void *data, size_t bytes);
void tn_digest_text(tn_digest *digest, const char *text);
void tn_digest_real(tn_digest *digest, double value);
void tn_digest_tensor(tn_digest *digest, const tn_tensor *tensor);
void tn_digest_fields(tn_digest *digest, const tn_fields *fields);
void tn_digest_params(tn_digest *digest, const tn_params *params);

#endif
