// SPDX-License-Identifier: MIT
#include "core/conformance/fingerprint.h"
#include <string.h>

void tn_fingerprint_bytes(tn_fingerprint *fingerprint, const void *data, size_t bytes) {
  const unsigned char *at = data;
  uint64_t hash = fingerprint->hash ^ 0xcbf29ce484222325u; /* FNV-1a */
  for (size_t i = 0; i < bytes; i++) hash = (hash ^ at[i]) * 0x100000001b3u;
  fingerprint->hash = hash;
  fingerprint->items++;
}
void tn_fingerprint_text(tn_fingerprint *fingerprint, const char *text) {
  tn_fingerprint_bytes(fingerprint, text, strlen(text) + 1);
}
void tn_fingerprint_real(tn_fingerprint *fingerprint, double value) {
  tn_fingerprint_bytes(fingerprint, &value, sizeof value);
}

static size_t bytes_of(tn_dtype dtype) {
  return dtype == TN_F64 || dtype == TN_I64 ? 8 : dtype == TN_U8 || dtype == TN_B8 ? 1 : 4;
}

void tn_fingerprint_tensor(tn_fingerprint *fingerprint, const tn_tensor *tensor) {
  if (!tensor || tn_poisoned(tensor)) return;
  for (int32_t i = 0; i < tn_ndim(tensor); i++) tn_fingerprint_bytes(fingerprint, &tensor->dl.shape[i], 8);
  tn_fingerprint_bytes(fingerprint, tn_data(tensor), (size_t)tn_numel(tensor) * bytes_of(tensor->dtype));
}
void tn_fingerprint_fields(tn_fingerprint *fingerprint, const tn_fields *fields) {
  for (uint32_t i = 0; i < tn_fields_count(fields); i++) {
    const char *name;
    const tn_tensor *value = tn_fields_at(fields, i, &name);
    tn_fingerprint_text(fingerprint, name);
    tn_fingerprint_tensor(fingerprint, value);
  }
}
void tn_fingerprint_params(tn_fingerprint *fingerprint, const tn_params *params) {
  for (uint32_t i = 0; params && i < tn_params_count(params); i++) {
    tn_param_entry entry;
    if (tn_params_entry(params, i, &entry) < 0) continue;
    tn_fingerprint_text(fingerprint, entry.name);
    tn_fingerprint_tensor(fingerprint, entry.tensor);
  }
}
