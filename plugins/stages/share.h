// SPDX-License-Identifier: MIT
/* Fields as a block of bytes, to keep them beyond a scope and to hand them to other ranks. */
#ifndef TENON_PLUGINS_SHARE_H
#define TENON_PLUGINS_SHARE_H

#include <string.h>
#include <tenon/comm.h>
#include <tenon/plugin.h>

/* A copy of some fields and a number that belongs to them. */
struct packed {
  char *bytes; /* NULL: nothing */
  int64_t size, room;
};

/* Before the data of each field. */
struct packed_head {
  char name[64];
  int64_t bytes; /* of the data, which follow */
  tn_dtype dtype;
  tn_shape shape;
};

static inline void packed_free(struct packed *p) {
  tn_free(p->bytes);
  *p = (struct packed){0};
}

static inline tn_status packed_reserve(struct packed *p, int64_t bytes) {
  if (bytes > p->room) {
    packed_free(p);
    p->bytes = tn_alloc((size_t)bytes);
    if (!p->bytes) return TN_ERROR_MEMORY;
    p->room = bytes;
  }
  p->size = bytes;
  return TN_OK;
}

static inline int64_t packed_bytes_of(const tn_tensor *t) { return tn_numel(t) * (t->dl.dtype.bits / 8); }

static inline tn_status packed_write(struct packed *p, const tn_fields *fields, double number) {
  const char *name;
  int64_t bytes = (int64_t)sizeof number, at = bytes;
  for (uint32_t i = 0; i < tn_fields_count(fields); i++) {
    const tn_tensor *t = tn_fields_at(fields, i, &name);
    if (tn_poisoned(t)) return tn_outcome();
    if (strlen(name) >= sizeof((struct packed_head *)0)->name)
      return tn_fail(TN_ERROR_INVALID, "the field name '%s' is too long", name);
    bytes += (int64_t)sizeof(struct packed_head) + packed_bytes_of(t);
  }
  const tn_status status = packed_reserve(p, bytes);
  if (status < 0) return status;
  memcpy(p->bytes, &number, sizeof number);
  for (uint32_t i = 0; i < tn_fields_count(fields); i++) {
    const tn_tensor *t = tn_fields_at(fields, i, &name);
    struct packed_head head;
    memset(&head, 0, sizeof head);
    snprintf(head.name, sizeof head.name, "%s", name);
    head.bytes = packed_bytes_of(t);
    head.dtype = t->dtype;
    head.shape.ndim = (uint32_t)tn_ndim(t);
    for (int32_t d = 0; d < tn_ndim(t); d++) head.shape.dim[d] = tn_dim(t, d);
    memcpy(p->bytes + at, &head, sizeof head);
    at += (int64_t)sizeof head;
    if (head.bytes > 0) memcpy(p->bytes + at, tn_data((tn_tensor *)(uintptr_t)t), (size_t)head.bytes);
    at += head.bytes;
  }
  return TN_OK;
}

static inline void packed_read(const struct packed *p, tn_fields *fields, double *number) {
  int64_t at = (int64_t)sizeof *number;
  memcpy(number, p->bytes, sizeof *number);
  while (at < p->size) {
    struct packed_head head;
    memcpy(&head, p->bytes + at, sizeof head);
    at += (int64_t)sizeof head;
    tn_fields_set(fields, head.name, tn_from(head.dtype, head.shape, p->bytes + at));
    at += head.bytes;
  }
}

/* The block of rank `owner` becomes every rank's. Collective. */
static inline tn_status packed_share(struct packed *p, int32_t owner) {
  if (tn_ranks() == 1) return TN_OK;
  int64_t size = p->size;
  tn_status status = tn_sdk.comm->broadcast(&size, sizeof size, owner);
  if (status >= 0 && tn_rank() != owner) status = packed_reserve(p, size);
  return status < 0 ? status : tn_sdk.comm->broadcast(p->bytes, (size_t)size, owner);
}

#endif
