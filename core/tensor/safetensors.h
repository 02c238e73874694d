// SPDX-License-Identifier: MIT
/* safetensors files (huggingface/safetensors, README "Format"): 8 bytes of header length, little-endian; a
 * JSON header; the values. Also what checkpoints are made of. */
#ifndef TENON_TENSOR_SAFETENSORS_H
#define TENON_TENSOR_SAFETENSORS_H

#include <tenon/tensor.h>

typedef struct tn_safetensor {
  const char *name;
  tn_dtype dtype;
  tn_shape shape;
  const void *data;
} tn_safetensor;

/* Written to a temporary name, synchronised, renamed: `path` holds the old file or the whole new one. */
tn_status tn_safetensors_save(const char *path, const tn_safetensor *items, uint32_t count);

/* A file in memory. Every offset has been checked; errors are recorded. */
typedef struct tn_safetensors tn_safetensors;
tn_status tn_safetensors_open(const char *path, tn_safetensors **file);
/* The same for bytes in memory, which must outlive it; `path` only names them in messages. */
tn_status tn_safetensors_parse(const char *path, const void *bytes, size_t size, tn_safetensors **file);
uint32_t tn_safetensors_count(const tn_safetensors *file);
const tn_safetensor *tn_safetensors_at(const tn_safetensors *file, uint32_t index);
const tn_safetensor *tn_safetensors_find(const tn_safetensors *file, const char *name); /* NULL if absent */
void tn_safetensors_close(tn_safetensors *file);

#endif
