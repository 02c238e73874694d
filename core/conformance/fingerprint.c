// SPDX-License-Identifier: MIT
#include "core/conformance/digest.h"
#include <string.h>

void tn_digest_bytes(tn_digest *digest, const void *data, size_t bytes) {
  const unsigned char *at = data;
  uint64_t hash = digest->hash ^ 0xcbf29ce484222325u; /* FNV-1a */
  for (size_t i = 0; i < bytes; i++) hash = (hash ^ at[i]) * 0x100000001b3u;
  digest->hash = hash;
  digest->items++;
}
void tn_digest_text(tn_digest *digest, const char *text) { tn_digest_bytes(digest, text, strlen(text) + 1); }
void tn_digest_real(tn_digest *digest, double value) { tn_digest_bytes(digest, &value, sizeof value); }

static size_t bytes_of(tn_dtype dtype) {
  return dtype == TN_F64 || dtype == TN_I64 ? 8 : dtype == TN_U8 || dtype == TN_B8 ? 1 : 4;
}

void tn_digest_tensor(tn_digest *digest, const tn_tensor *tensor) {
  if (!tensor || tn_poisoned(tensor)) return;
  for (int32_t i = 0; i < tn_ndim(tensor); i++) tn_digest_bytes(digest, &tensor->dl.shape[i], 8);
  tn_digest_bytes(digest, tn_data(tensor), (size_t)tn_numel(tensor) * bytes_of(tensor->dtype));
}
void tn_digest_fields(tn_digest *digest, const tn_fields *fields) {
  for (uint32_t i = 0; i < tn_fields_count(fields); i++) {
    const char *name;
    const tn_tensor *value = tn_fields_at(fields, i, &name);
    tn_digest_text(digest, name);
    tn_digest_tensor(digest, value);
  }
}
void tn_digest_params(tn_digest *digest, const tn_params *params) {
  for (uint32_t i = 0; params && i < tn_params_count(params); i++) {
    tn_param_entry entry;
    if (tn_params_entry(params, i, &entry) < 0) continue;
    tn_digest_text(digest, entry.name);
    tn_digest_tensor(digest, entry.tensor);
  }
}
