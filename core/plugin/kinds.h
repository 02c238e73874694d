// SPDX-License-Identifier: MIT
/* What the host knows of its own kinds: what they are, and the functions of their tables. */
#ifndef TENON_CORE_KINDS_H
#define TENON_CORE_KINDS_H

#include "core/config/error.h"
#include <tenon/component.h>

typedef struct tn_kind_function {
  const char *name;
  size_t offset;   /* of its pointer in the table */
  uint32_t needed; /* 0: optional; 1: required; 2 and above: at least one function with this number is */
} tn_kind_function;

typedef struct tn_kind_info {
  const char *id;     /* "tenon.optimizer/1" */
  const char *name;   /* "optimizer" */
  const char *header; /* "tenon/optimizer.h" */
  const char *essence;
  const tn_kind_function *functions;
  uint32_t function_count;
} tn_kind_info;

uint32_t tn_kind_count(void);
const tn_kind_info *tn_kind_at(uint32_t index);
const tn_kind_info *tn_kind_find(const char *name_or_id); /* NULL: none of the host's */
/* Whether a class's table offers a function. */
bool tn_kind_offers(const tn_class *cls, const tn_kind_function *function);
/* Does the table of a class of a known kind have the required functions? Others pass. */
tn_status tn_kind_check(const tn_class *cls, tn_error *error);

#endif
