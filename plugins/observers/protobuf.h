// SPDX-License-Identifier: MIT
/* Messages of Protocol Buffers (protobuf.dev/programming-guides/encoding), written field by field. Memory is
 * the only failure: asked about once, at the end. */
#ifndef TENON_PLUGINS_PROTOBUF_H
#define TENON_PLUGINS_PROTOBUF_H

#include <string.h>
#include <tenon/plugin.h>

/* Empty when zeroed; free `data` with tn_free. */
struct message {
  uint8_t *data;
  size_t size, room;
  bool failed;
};

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static inline void message_add(struct message *m, const void *bytes, size_t size) {
  if (m->failed || size == 0) return;
  if (m->room - m->size < size) {
    const size_t room = 2 * (m->size + size) + 64;
    uint8_t *data = tn_resize(m->data, room);
    m->failed = !data;
    if (!data) return;
    m->data = data;
    m->room = room;
  }
  memcpy(m->data + m->size, bytes, size);
  m->size += size;
}

/* Seven bits a byte, the lowest first. */
static inline void message_varint(struct message *m, uint64_t value) {
  do {
    const uint8_t byte = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
    message_add(m, &byte, 1);
    value >>= 7;
  } while (value > 0);
}

static inline void message_tag(struct message *m, uint32_t field, uint32_t wire) {
  message_varint(m, (uint64_t)field << 3 | wire);
}

static inline void message_integer(struct message *m, uint32_t field, int64_t value) {
  message_tag(m, field, WIRE_VARINT);
  message_varint(m, (uint64_t)value);
}

/* Numbers lie in memory as in the file: little-endian machines only, as everywhere here. */
static inline void message_double(struct message *m, uint32_t field, double value) {
  message_tag(m, field, WIRE_64);
  message_add(m, &value, sizeof value);
}

static inline void message_float(struct message *m, uint32_t field, float value) {
  message_tag(m, field, WIRE_32);
  message_add(m, &value, sizeof value);
}

static inline void message_bytes(struct message *m, uint32_t field, const void *bytes, size_t size) {
  message_tag(m, field, WIRE_BYTES);
  message_varint(m, size);
  message_add(m, bytes, size);
}

static inline void message_text(struct message *m, uint32_t field, const char *text) {
  message_bytes(m, field, text, strlen(text));
}

/* repeated double [packed = true] */
static inline void message_doubles(struct message *m, uint32_t field, const double *values, size_t count) {
  message_bytes(m, field, values, count * sizeof *values);
}

/* A message as a field of another; it is freed. */
static inline void message_nest(struct message *m, uint32_t field, struct message *inner) {
  m->failed |= inner->failed;
  message_bytes(m, field, inner->data, inner->size);
  tn_free(inner->data);
  *inner = (struct message){0};
}

#endif
