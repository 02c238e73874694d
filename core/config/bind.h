// SPDX-License-Identifier: MIT
/* From the keys of a section to the fields of an instance, by the class's parameter schema. */
#ifndef TENON_CORE_BIND_H
#define TENON_CORE_BIND_H

#include "core/config/config.h"
#include "core/config/kind.h"
#include <tenon/component.h>

/* Finds the component that `text` ("adam", "digits:test", "loss.cross_entropy") names; it must be of kind
 * `kind` (an id). Called for every reference. */
typedef const tn_component *(*tn_resolve)(void *context, const char *text, const char *kind,
                                          const tn_key *key, tn_error *error);

/* Memory that bound values live in; freed at once. */
typedef struct tn_bound tn_bound;
tn_bound *tn_bound_new(void);
void tn_bound_free(tn_bound *bound);

/* Writes defaults and the section's keys into `self`. `section` may be NULL: defaults only, and messages
 * speak of `name` at file:line. Keys `use` and `base` are the host's; every other key must be in the schema:
 * the message for an unknown one names the nearest. */
tn_status tn_bind(const tn_class *cls, void *self, const tn_section *section, const char *name,
                  const char *file, uint32_t line, tn_resolve resolve, void *context, tn_bound *bound,
                  tn_error *error);
/* Checks that a class's schema is well-formed: keys, types, documentation, defaults that parse and are in
 * range, offsets inside the instance. What the loader and `tenon test` ask. */
tn_status tn_schema_check(const tn_class *cls, tn_error *error);
/* `type` as people say it: "a number", "one of sum, mean", "a list of whole numbers" ... */
void tn_param_expects(const tn_param *param, char *text, size_t bytes);
/* The range as a formula: "0 < lr <= 10", "lr >= 0", "" if it is free. */
void tn_param_range(const tn_param *param, char *text, size_t bytes);
/* Parameter `index` of the class, whatever the size of the plugin's tn_param. */
tn_param tn_class_param(const tn_class *cls, uint32_t index);
/* Bytes of the field that a type is written to, and what its offset must be a multiple of; 0: no such type.
 */
size_t tn_param_field_size(tn_param_type type);
size_t tn_param_field_alignment(tn_param_type type);

/* Values of the host's own keys ([pipeline] seed and the like), by the same parser and with the same
 * messages. */
tn_status tn_parse_value(const tn_param *param, const char *value, const char *file, uint32_t line,
                         void *field, tn_resolve resolve, void *context, tn_bound *bound, tn_error *error);

/* How tn_bind learns what the expression service recorded: copies the calling thread's recorded message to
 * `text` and forgets it. Set by the host at start. */
void tn_bind_take_message(void (*take)(char *text, size_t bytes));

#endif
