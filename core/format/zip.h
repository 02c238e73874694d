// SPDX-License-Identifier: MIT
/* Zip containers in memory, as far as NPZ needs them: stored and deflated entries (PKWARE, "APPNOTE.TXT").
 *
 * Strict on purpose, and on zlib alone: the general libraries bring encryption and a TLS library with them,
 * and mend what should be refused. Refused: encryption, other methods, several disks, ZIP64 sizes (4 GiB and
 * more), bytes between the directory and its end record, entries outside the file, equal names, wrong
 * checksums. */
#ifndef TENON_FORMAT_ZIP_H
#define TENON_FORMAT_ZIP_H

#include <stdint.h>

#include "core/format/stream.h"

typedef struct tn_zip_entry {
  char *name;    /* at least 1 byte, no NUL inside */
  size_t header; /* where its local header begins */
  size_t offset; /* where its packed bytes begin */
  size_t packed; /* how many they are; the file holds them */
  size_t size;   /* unpacked, as claimed; tn_zip_unpack checks it */
  uint32_t crc;  /* of the unpacked bytes */
  bool deflated;
} tn_zip_entry;

typedef struct tn_zip {
  size_t count;
  tn_zip_entry *entries; /* in the directory's order */
} tn_zip;

/* The directory of a file in memory, whose bytes are not kept. On success the caller frees *zip with
 * tn_zip_free; on failure it is empty. */
bool tn_zip_parse(const char *file, const tn_bytes *bytes, tn_zip *zip, tn_format_error *error);

/* One entry of it, for tn_bytes_free; on failure *content is empty. `limit` bounds its bytes and is checked
 * before memory is taken. */
bool tn_zip_unpack(const char *file, const tn_bytes *bytes, const tn_zip_entry *entry, size_t limit,
                   tn_bytes *content, tn_format_error *error);

void tn_zip_free(tn_zip *zip);

/* A file in the making. Zero it, add entries, finish. The same entries give the same bytes: their date is
 * 1980-01-01. */
typedef struct tn_zip_writer {
  tn_bytes content, directory;
  size_t content_capacity, directory_capacity, count;
} tn_zip_writer;

/* Adds an entry, deflated or stored. `file` names the file in errors. */
bool tn_zip_add(tn_zip_writer *writer, const char *file, const char *name, const void *data, size_t size,
                bool deflated, tn_format_error *error);

/* The whole file, for tn_bytes_free. The writer is empty afterwards, whatever comes back. */
bool tn_zip_finish(tn_zip_writer *writer, const char *file, tn_bytes *bytes, tn_format_error *error);

/* Gives up a file in the making. */
void tn_zip_writer_free(tn_zip_writer *writer);

#endif
