// SPDX-License-Identifier: MIT
/* Fields (in a scope) and specifications (owned by whoever made them). */
#include "declaration.h"
#include "internal.h"

#include <stdio.h>

enum { NAME_MAX_BYTES = 64, FIELDS_FIRST = 16 };

typedef struct named_field {
  char name[NAME_MAX_BYTES];
  tn_tensor *value;
} named_field;

struct tn_fields {
  tn_storage *memory; /* of this struct */
  tn_storage *block;  /* of the items */
  named_field *items;
  uint32_t count, room;
};

static void release_fields(void *context) {
  tn_fields *fields = context;
  tn_storage_drop(fields->block);
  tn_storage_drop(fields->memory);
}

static tn_fields *fields_new(void) {
  tn_storage *memory = tn_storage_new(sizeof(tn_fields));
  tn_storage *block = memory ? tn_storage_new(FIELDS_FIRST * sizeof(named_field)) : NULL;
  tn_fields *fields = memory ? memory->data : NULL;
  if (block)
    *fields = (tn_fields){.memory = memory, .block = block, .items = block->data, .room = FIELDS_FIRST};
  tn_storage *owner = block ? tn_storage_wrap(NULL, 0, release_fields, fields) : NULL;
  if (owner && !tn_is_poison(tn_node_view(TN_U8, 0, NULL, owner, NULL))) return fields;
  tn_fail(TN_ERROR_MEMORY, "out of memory for fields");
  static tn_fields none; // accepts nothing, holds nothing
  return &none;
}

static void fields_set(tn_fields *fields, const char *name, tn_tensor *value) {
  if (!value) value = &tn_poison()->t;
  for (uint32_t i = 0; i < fields->count; i++) {
    if (strcmp(fields->items[i].name, name)) continue;
    fields->items[i].value = value;
    return;
  }
  if (strlen(name) >= NAME_MAX_BYTES) {
    tn_fail(TN_ERROR_INVALID, "field '%.32s...': the name is longer than %d bytes", name, NAME_MAX_BYTES - 1);
    return;
  }
  if (fields->count == fields->room) {
    tn_storage *block = fields->room ? tn_storage_new(2 * fields->room * sizeof(named_field)) : NULL;
    if (!block) {
      tn_fail(TN_ERROR_MEMORY, "out of memory for field '%s'", name);
      return;
    }
    memcpy(block->data, fields->items, fields->count * sizeof(named_field));
    tn_storage_drop(fields->block);
    fields->block = block;
    fields->items = block->data;
    fields->room *= 2;
  }
  named_field *item = &fields->items[fields->count++];
  strcpy(item->name, name);
  item->value = value;
}

static tn_tensor *fields_find(const tn_fields *fields, const char *name) {
  for (uint32_t i = 0; i < fields->count; i++)
    if (!strcmp(fields->items[i].name, name)) return fields->items[i].value;
  return NULL;
}

static void append(char *text, size_t room, const char *name) {
  size_t used = strlen(text);
  snprintf(text + used, room - used, "%s%s", used ? ", " : "", name);
}

static tn_tensor *fields_get(const tn_fields *fields, const char *name) {
  tn_tensor *value = fields_find(fields, name);
  if (value) return value;
  char list[300] = "";
  for (uint32_t i = 0; i < fields->count; i++) append(list, sizeof list, fields->items[i].name);
  tn_fail(TN_ERROR_MISSING, "there is no field '%s'; there is %s", name, *list ? list : "none at all");
  return &tn_poison()->t;
}

static uint32_t fields_count(const tn_fields *fields) { return fields->count; }
static tn_tensor *fields_at(const tn_fields *fields, uint32_t index, const char **name) {
  if (index >= fields->count) {
    *name = "";
    return &tn_shape_error("fields", "there is no field %u of %u", index, fields->count)->t;
  }
  *name = fields->items[index].name;
  return fields->items[index].value;
}

/* Specifications. */
typedef struct spec_item {
  char *name;
  tn_field_spec field;
} spec_item;

struct tn_spec {
  spec_item *items;
  uint32_t count, room;
};

static tn_spec *spec_new(void) {
  tn_spec *spec = calloc(1, sizeof *spec);
  if (!spec) tn_fail(TN_ERROR_MEMORY, "out of memory for a specification");
  return spec;
}

static void spec_release(tn_spec *spec) {
  if (!spec) return;
  for (uint32_t i = 0; i < spec->count; i++) free(spec->items[i].name);
  free(spec->items);
  free(spec);
}

static tn_status spec_set(tn_spec *spec, const char *name, const tn_field_spec *field) {
  tn_field_spec full = {.size = sizeof full};
  memcpy(&full, field, field->size < sizeof full ? field->size : sizeof full);
  full.size = sizeof full;
  if (full.shape.ndim > TN_MAX_DIMS)
    return tn_fail(TN_ERROR_SHAPE, "field '%s': rank %u is more than %d", name, full.shape.ndim, TN_MAX_DIMS);
  for (uint32_t i = 0; i < spec->count; i++) {
    if (strcmp(spec->items[i].name, name)) continue;
    spec->items[i].field = full;
    return TN_OK;
  }
  if (spec->count == spec->room) {
    uint32_t room = spec->room ? 2 * spec->room : 8;
    spec_item *items = realloc(spec->items, room * sizeof *items);
    if (!items) return tn_fail(TN_ERROR_MEMORY, "out of memory for field '%s'", name);
    spec->items = items;
    spec->room = room;
  }
  char *copy = strdup(name);
  if (!copy) return tn_fail(TN_ERROR_MEMORY, "out of memory for field '%s'", name);
  spec->items[spec->count++] = (spec_item){copy, full};
  return TN_OK;
}

static tn_spec *spec_clone(const tn_spec *spec) {
  tn_spec *copy = spec_new();
  for (uint32_t i = 0; copy && i < spec->count; i++) {
    if (spec_set(copy, spec->items[i].name, &spec->items[i].field) == TN_OK) continue;
    spec_release(copy);
    return NULL;
  }
  return copy;
}

static const tn_field_spec *spec_find(const tn_spec *spec, const char *name) {
  for (uint32_t i = 0; i < spec->count; i++)
    if (!strcmp(spec->items[i].name, name)) return &spec->items[i].field;
  return NULL;
}

/* Letters to add, drop or change (Levenshtein), names up to 63 letters. */
static uint32_t distance(const char *a, const char *b) {
  uint32_t row[64], n = (uint32_t)strlen(b);
  if (n > 63 || strlen(a) > 63) return 1000;
  for (uint32_t j = 0; j <= n; j++) row[j] = j;
  for (uint32_t i = 1; a[i - 1]; i++) {
    uint32_t diagonal = row[0];
    row[0] = i;
    for (uint32_t j = 1; j <= n; j++) {
      uint32_t above = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
      if (above + 1 < best) best = above + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      diagonal = above;
      row[j] = best;
    }
  }
  return row[n];
}

static const tn_field_spec *spec_get(const tn_spec *spec, const char *name) {
  const tn_field_spec *field = spec_find(spec, name);
  if (field) return field;
  char list[300] = "";
  const char *nearest = NULL;
  uint32_t least = (uint32_t)strlen(name) / 2 + 1;
  for (uint32_t i = 0; i < spec->count; i++) {
    append(list, sizeof list, spec->items[i].name);
    uint32_t d = distance(name, spec->items[i].name);
    if (d < least) {
      least = d;
      nearest = spec->items[i].name;
    }
  }
  if (nearest)
    tn_fail(TN_ERROR_MISSING, "there is no field '%s'; there is %s; did you mean '%s'?", name, list, nearest);
  else
    tn_fail(TN_ERROR_MISSING, "there is no field '%s'; there is %s", name, *list ? list : "none at all");
  return NULL;
}

static uint32_t spec_count(const tn_spec *spec) { return spec->count; }
static const tn_field_spec *spec_at(const tn_spec *spec, uint32_t index, const char **name) {
  if (index >= spec->count) {
    *name = "";
    return NULL;
  }
  *name = spec->items[index].name;
  return &spec->items[index].field;
}

static void declare_output(tn_declaration *declaration, const char *name, const tn_field_spec *field) {
  if (spec_set(declaration->outputs, name, field) != TN_OK) declaration->failed = true;
}

const tn_data_service tn_data_table = {
    .size = sizeof(tn_data_service),
    .fields_new = fields_new,
    .fields_set = fields_set,
    .fields_find = fields_find,
    .fields_get = fields_get,
    .fields_count = fields_count,
    .fields_at = fields_at,
    .spec_new = spec_new,
    .spec_clone = spec_clone,
    .spec_release = spec_release,
    .spec_set = spec_set,
    .spec_find = spec_find,
    .spec_get = spec_get,
    .spec_count = spec_count,
    .spec_at = spec_at,
    .declare_output = declare_output,
};
