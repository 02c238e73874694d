// SPDX-License-Identifier: MIT
/* What a component's `declare` function has filled. */
#ifndef TENON_TENSOR_DECLARATION_H
#define TENON_TENSOR_DECLARATION_H

#include "engine.h"

typedef struct tn_declared {
  char *name;
  tn_dtype dtype;
  tn_group group;
  tn_shape shape;
  tn_init init;
} tn_declared;

struct tn_declaration {
  tn_declared *items;
  uint32_t count, room;
  bool failed;
  tn_spec *outputs;
};

uint32_t tn_api_declare(tn_declaration *declaration, const char *name, tn_dtype dtype, const tn_shape *shape,
                        tn_group group, tn_init init);
/* Fills `data` with numbers as `item` says, from the stream of `key`. */
bool tn_initialise(const tn_declared *item, uint64_t key, tn_dtype dtype, void *data);

#endif
