// SPDX-License-Identifier: MIT
/* Lists of genomes with their values. */
#ifndef TENON_PLUGINS_MEMBERS_H
#define TENON_PLUGINS_MEMBERS_H

#include <string.h>
#include <tenon/problem.h>

struct member {
  tn_genome genome;
  double value;
  uint64_t structure; /* of an archive's member */
};
struct members {
  struct member *items;
  uint32_t count, room;
};

static inline void members_clear(struct members *members) {
  for (uint32_t i = 0; i < members->count; i++) tn_free(members->items[i].genome.data);
  members->count = 0;
}
static inline void members_release(struct members *members) {
  members_clear(members);
  tn_free(members->items);
  *members = (struct members){NULL, 0, 0};
}
static inline tn_status members_reserve(struct members *members, uint32_t room) {
  if (room <= members->room) return TN_OK;
  struct member *items = tn_resize(members->items, room * sizeof *items);
  if (!items) return TN_ERROR_MEMORY;
  members->items = items;
  members->room = room;
  return TN_OK;
}
static inline tn_status genome_copy(const tn_genome *from, tn_genome *to) {
  void *data = tn_alloc(from->bytes);
  if (!data) return TN_ERROR_MEMORY;
  memcpy(data, from->data, from->bytes);
  *to = (tn_genome){data, from->bytes};
  return TN_OK;
}

/* A copy of `member` in front of number `at`. */
static inline tn_status members_put(struct members *members, uint32_t at, const struct member *member) {
  tn_genome copy;
  tn_status status = members_reserve(members, members->count + 1);
  if (status >= 0) status = genome_copy(&member->genome, &copy);
  if (status < 0) return status;
  memmove(&members->items[at + 1], &members->items[at], (members->count - at) * sizeof *members->items);
  members->items[at] = *member;
  members->items[at].genome = copy;
  members->count++;
  return TN_OK;
}
static inline void members_drop(struct members *members, uint32_t at) {
  tn_free(members->items[at].genome.data);
  members->count--;
  memmove(&members->items[at], &members->items[at + 1], (members->count - at) * sizeof *members->items);
}

/* As one block, from member `first` on, cyclically. */
static inline tn_status members_visit(const tn_visitor *visitor, const char *name, struct members *members,
                                      uint32_t first) {
  enum { HEAD = 3 * sizeof(uint64_t) };
  size_t bytes = 0;
  unsigned char *block = NULL;
  for (uint32_t i = 0; i < members->count; i++) bytes += HEAD + members->items[i].genome.bytes;
  if (!visitor->loading && !(block = tn_alloc(bytes))) return TN_ERROR_MEMORY;
  unsigned char *at = block;
  for (uint32_t i = 0; block && i < members->count; i++) {
    const struct member *m = &members->items[(first + i) % members->count];
    const uint64_t length = m->genome.bytes;
    memcpy(at, &length, sizeof length);
    memcpy(at + 8, &m->value, sizeof m->value);
    memcpy(at + 16, &m->structure, sizeof m->structure);
    memcpy(at + HEAD, m->genome.data, length);
    at += HEAD + length;
  }
  void *data = block;
  tn_status status = tn_visit_block(visitor, name, &data, &bytes);
  if (status >= 0 && visitor->loading) members_clear(members);
  for (at = data; status >= 0 && visitor->loading && at + HEAD <= (unsigned char *)data + bytes;) {
    uint64_t length;
    memcpy(&length, at, sizeof length);
    if (length > bytes - (size_t)(at - (unsigned char *)data) - HEAD)
      status = tn_fail(TN_ERROR_INVALID, "'%s' is cut short", name);
    if (status >= 0) status = members_reserve(members, members->count + 1);
    if (status < 0) break;
    struct member *m = &members->items[members->count];
    memcpy(&m->value, at + 8, sizeof m->value);
    memcpy(&m->structure, at + 16, sizeof m->structure);
    status = genome_copy(&(tn_genome){at + HEAD, length}, &m->genome);
    if (status >= 0) members->count++;
    at += HEAD + length;
  }
  tn_free(data);
  return status;
}

#endif
