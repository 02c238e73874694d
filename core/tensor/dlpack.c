// SPDX-License-Identifier: MIT
/* Tensors that NumPy, PyTorch and others share with us (dmlc/dlpack). */
#include "internal.h"

typedef struct export_head {
  tn_dl_managed managed;
  tn_storage *storage;
  int64_t shape[TN_MAX_DIMS];
} export_head;

static void delete_export(tn_dl_managed *managed) {
  export_head *head = managed->manager_ctx;
  tn_storage_drop(head->storage);
  tn_system_free(head);
}

tn_dl_managed *tn_api_dl_export(tn_tensor *t) {
  tn_node *x = tn_node_of(t);
  if (tn_is_poison(x)) return NULL;
  export_head *head = tn_system_alloc(sizeof *head);
  if (!head) {
    tn_fail(TN_ERROR_MEMORY, "out of memory for a DLPack tensor");
    return NULL;
  }
  head->storage = tn_storage_share(x->storage);
  memcpy(head->shape, x->shape, sizeof head->shape);
  head->managed = (tn_dl_managed){.dl_tensor = x->t.dl, .manager_ctx = head, .deleter = delete_export};
  head->managed.dl_tensor.shape = head->shape;
  return &head->managed;
}

static void release_import(void *context) {
  tn_dl_managed *managed = context;
  if (managed->deleter) managed->deleter(managed);
}

static bool dtype_of(tn_dl_type type, tn_dtype *dtype) {
  static const tn_dl_type types[] = {{2, 32, 1}, {2, 64, 1}, {0, 64, 1}, {0, 32, 1}, {1, 8, 1}, {6, 8, 1}};
  for (int i = 0; i < 6; i++) {
    if (types[i].code != type.code || types[i].bits != type.bits || type.lanes != 1) continue;
    *dtype = i;
    return true;
  }
  return false;
}

/* Walks a strided source element by element. */
static void copy_elements(const tn_dl_tensor *source, char *target, size_t size, int64_t numel) {
  for (int64_t i = 0; i < numel; i++) {
    int64_t rest = i, offset = 0;
    for (int32_t d = source->ndim; d-- > 0;) {
      offset += rest % source->shape[d] * source->strides[d];
      rest /= source->shape[d];
    }
    memcpy(target + (size_t)i * size,
           (const char *)source->data + source->byte_offset + offset * (int64_t)size, size);
  }
}

tn_tensor *tn_api_dl_import(tn_dl_managed *managed) {
  const tn_dl_tensor *dl = &managed->dl_tensor;
  tn_dtype dtype = TN_F32;
  tn_shape shape = {0, {0}};
  const char *problem = NULL;
  if (dl->device.device_type != 1)
    problem = "the tensor is not in the CPU's memory";
  else if (!dtype_of(dl->dtype, &dtype))
    problem = "its element type is none of ours";
  else if (dl->ndim < 0 || dl->ndim > TN_MAX_DIMS)
    problem = "its rank is higher than 8";
  if (problem) {
    release_import(managed);
    return &tn_shape_error("dl_import", "%s", problem)->t;
  }
  shape.ndim = (uint32_t)dl->ndim;
  bool compact = true;
  int64_t stride = 1;
  for (int32_t i = dl->ndim; i-- > 0;) {
    shape.dim[i] = dl->shape[i];
    if (dl->strides && dl->shape[i] != 1 && dl->strides[i] != stride) compact = false;
    stride *= dl->shape[i];
  }
  if (!tn_shape_check("dl_import", &shape, dtype)) {
    release_import(managed);
    return &tn_poison()->t;
  }
  size_t size = tn_dtype_size(dtype);
  char *data = (char *)dl->data + dl->byte_offset;
  if (compact && (uintptr_t)data % size == 0) {
    tn_storage *storage = tn_storage_wrap(data, (size_t)stride * size, release_import, managed);
    if (!storage) release_import(managed);
    return &tn_node_view(dtype, dl->ndim, shape.dim, storage, data)->t;
  }
  tn_node *copy = tn_node_new(dtype, dl->ndim, shape.dim);
  if (!tn_is_poison(copy)) {
    tn_dl_tensor source = *dl;
    int64_t strides[TN_MAX_DIMS], step = 1;
    for (int32_t i = dl->ndim; i-- > 0;) {
      strides[i] = step;
      step *= dl->shape[i];
    }
    if (!source.strides) source.strides = strides;
    copy_elements(&source, copy->t.dl.data, size, copy->t.numel);
  }
  release_import(managed);
  return &copy->t;
}
