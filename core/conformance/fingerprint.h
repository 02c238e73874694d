// SPDX-License-Identifier: MIT
/* What came out of a component, as one number: equal bits give equal fingerprints. */
#ifndef TENON_CORE_FINGERPRINT_H
#define TENON_CORE_FINGERPRINT_H

#include <tenon/plugin.h>

typedef struct tn_fingerprint {
  uint64_t hash;
  uint64_t items; /* how much went in */
} tn_fingerprint;

void tn_fingerprint_bytes(tn_fingerprint *fingerprint, const void *data, size_t bytes);
void tn_fingerprint_text(tn_fingerprint *fingerprint, const char *text);
void tn_fingerprint_real(tn_fingerprint *fingerprint, double value);
void tn_fingerprint_tensor(tn_fingerprint *fingerprint, const tn_tensor *tensor);
void tn_fingerprint_fields(tn_fingerprint *fingerprint, const tn_fields *fields);
void tn_fingerprint_params(tn_fingerprint *fingerprint, const tn_params *params);

#endif
