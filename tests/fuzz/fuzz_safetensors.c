// SPDX-License-Identifier: MIT
/* Any bytes are either refused with one line, or make tensors of distinct names that lie within the file. */
#include "core/tensor/safetensors.h"
#include "core/plugin/host.h"
#include "core/tensor/internal.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tn_safetensors *file = NULL;
  tn_host_start(); /* the reader reports through the log service; more than once is once */
  tn_context *context = tn_context_current();
  tn_context_clear(context);
  if (tn_safetensors_parse("fuzz", data, size, &file) < 0) {
    require(!file && context->message[0] && !strchr(context->message, '\n'));
    return 0;
  }
  for (uint32_t i = 0; i < tn_safetensors_count(file); i++) {
    const tn_safetensor *item = tn_safetensors_at(file, i);
    require(tn_safetensors_find(file, item->name) == item);
    size_t bytes = tn_dtype_size(item->dtype);
    for (uint32_t d = 0; d < item->shape.ndim; d++) bytes *= (size_t)item->shape.dim[d];
    const uint8_t *values = item->data;
    require(bytes == 0 || (values >= data && values + bytes <= data + size));
    touch(values, bytes);
  }
  tn_safetensors_close(file);
  return 0;
}
