// SPDX-License-Identifier: MIT
#include "core/plugin/check.h"
#include "core/config/bind.h"
#include "core/plugin/elf.h"
#include "core/plugin/kinds.h"
#include <string.h>

enum { MAX_CLASSES = 10000, MAX_SUMMARY = 200 };
static const size_t max_instance = (size_t)1 << 30;

tn_dylib *tn_plugin_open(const char *file, char *reason, size_t bytes) {
  return tn_elf_check(file, reason, bytes) ? tn_dylib_open(file, reason, bytes) : NULL;
}

/* Copies a size-first struct of a plugin to the host's own, up to the smaller size. */
static bool copy_sized(void *own, size_t own_size, const void *theirs, size_t smallest, uint32_t *size) {
  memcpy(size, theirs, sizeof *size);
  memset(own, 0, own_size);
  if (*size < smallest || *size > own_size) return false;
  memcpy(own, theirs, *size);
  return true;
}

static bool one_line(const char *text) { return text && text[0] && !strpbrk(text, "\r\n\t"); }

/* Within a major version an older plugin's structs are never larger than the host's. */
static tn_status read_entry(const tn_plugin *theirs, tn_plugin *plugin, tn_error *error) {
  uint32_t size;
  if (theirs->abi_major != TN_ABI_MAJOR)
    return tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "needs ABI %u, this host offers %d",
                        theirs->abi_major, TN_ABI_MAJOR);
  if (theirs->abi_minor > TN_ABI_MINOR)
    return tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "needs ABI %u.%u, this host offers %d.%d",
                        theirs->abi_major, theirs->abi_minor, TN_ABI_MAJOR, TN_ABI_MINOR);
  if (!copy_sized(plugin, sizeof *plugin, theirs, offsetof(tn_plugin, load), &size))
    return tn_error_set(error, TN_ERROR_INVALID, NULL, 0,
                        "its tn_plugin claims %u bytes, expected %zu to %zu", size, offsetof(tn_plugin, load),
                        sizeof *plugin);
  return TN_OK;
}

tn_status tn_plugin_read(tn_dylib *library, tn_plugin *plugin, tn_error *error) {
  char room[TN_SHOWN];
  const tn_plugin *theirs = tn_dylib_symbol(library, TN_ENTRY_SYMBOL);
  if (!theirs)
    return tn_error_set(error, TN_ERROR_INVALID, NULL, 0,
                        "not a tenon plugin (no symbol '" TN_ENTRY_SYMBOL "')");
  tn_status status = read_entry(theirs, plugin, error);
  if (status != TN_OK) return status;
  if (!tn_name_well_formed(plugin->name))
    return tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "plugin name '%s': expected [a-z0-9_]+",
                        plugin->name ? tn_shown(room, plugin->name) : "");
  if (!one_line(plugin->version) || strlen(plugin->version) > 64)
    return tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "no usable version: expected one such as 1.0.0");
  if (!one_line(plugin->licence) || strlen(plugin->licence) > 200)
    return tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "no usable licence: expected an SPDX expression");
  if (plugin->class_count == 0 || !plugin->classes)
    return tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "offers no components");
  if (plugin->class_count > MAX_CLASSES)
    return tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "claims %u components, expected at most %d",
                        plugin->class_count, (int)MAX_CLASSES);
  return TN_OK;
}

static tn_status check_vtable(const tn_class *cls, tn_error *error) {
  char full[TN_FULL_NAME];
  uint32_t size = 0;
  if (cls->vtable) memcpy(&size, cls->vtable, sizeof size);
  if (size < sizeof size + sizeof(void *) || size > 1 << 20)
    return tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "%s: its table of functions %s%u bytes",
                        tn_class_full_name(cls, full), cls->vtable ? "claims " : "is missing, ", size);
  return tn_kind_check(cls, error);
}

tn_status tn_class_read(const tn_plugin *plugin, uint32_t index, tn_class *cls, tn_error *error) {
  char full[TN_FULL_NAME], room[TN_SHOWN];
  uint32_t size;
  const tn_class *theirs = plugin->classes[index];
  if (!theirs) return tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "component %u is missing", index + 1);
  if (!copy_sized(cls, sizeof *cls, theirs, offsetof(tn_class, create), &size))
    return tn_error_set(error, TN_ERROR_INVALID, NULL, 0,
                        "component %u: its tn_class claims %u bytes, expected %zu to %zu", index + 1, size,
                        offsetof(tn_class, create), sizeof *cls);
  cls->size = sizeof *cls; /* what is absent is NULL now */
  if (!tn_kind_well_formed(cls->kind))
    return tn_error_set(error, TN_ERROR_INVALID, NULL, 0,
                        "component %u: kind '%s': expected VENDOR.KIND/REVISION, such as tenon.loss/1",
                        index + 1, cls->kind ? tn_shown(room, cls->kind) : "");
  if (!tn_name_well_formed(cls->name))
    return tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "component %u: name '%s': expected [a-z0-9_]+",
                        index + 1, cls->name ? tn_shown(room, cls->name) : "");
  tn_class_full_name(cls, full);
  if (!one_line(cls->summary) || strlen(cls->summary) > MAX_SUMMARY)
    return tn_error_set(error, TN_ERROR_INVALID, NULL, 0,
                        "%s: its summary: expected one line of at most %d bytes", full, (int)MAX_SUMMARY);
  if (cls->instance_size == 0 || cls->instance_size > max_instance)
    return tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "%s: instances of %zu bytes, expected 1 to %zu",
                        full, cls->instance_size, max_instance);
  tn_status status = check_vtable(cls, error);
  return status == TN_OK ? tn_schema_check(cls, error) : status;
}
