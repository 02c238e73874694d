// SPDX-License-Identifier: MIT
/* PNG images as bytes, through libpng. */
#ifndef TENON_FORMAT_PNG_H
#define TENON_FORMAT_PNG_H

#include <stdint.h>

#include "core/format/stream.h"

#define TN_PNG_SIDE_MAX 32768

typedef struct tn_png {
  size_t height, width; /* 1 to TN_PNG_SIDE_MAX */
  size_t channels;      /* 1 grey, 3 RGB, 4 RGB and opacity (255: opaque) */
  uint8_t *pixels;      /* (height, width, channels) */
} tn_png;

/* Reads a file. Every kind of PNG becomes 8 bits a channel: 16 bits are rounded to the nearest, fewer are
 * spread to 0..255, palettes become colours, transparency of any kind (grey included) becomes 4 channels.
 * Values are as stored: no gamma and no colour profile is applied. `limit` bounds the file and the pixels, in
 * bytes (0: TN_STREAM_LIMIT); an image larger than its file can hold is refused before memory is taken. What
 * follows the image's last pixel is not looked at. On success the caller frees *image with tn_png_free; on
 * failure it is empty. */
bool tn_png_read(const char *path, size_t limit, tn_png *image, tn_format_error *error);

/* The same for the bytes of a file in memory; `file` only names them in errors. */
bool tn_png_parse(const char *file, const void *bytes, size_t size, size_t limit, tn_png *image,
                  tn_format_error *error);

void tn_png_free(tn_png *image);

/* Writes an image of 1, 3 or 4 channels. The same pixels give the same bytes on one version of zlib. The file
 * appears whole or not at all. */
bool tn_png_write(const char *path, const tn_png *image, tn_format_error *error);

/* The same into memory, for tn_bytes_free; `file` only names it in errors. On failure *bytes is empty. */
bool tn_png_pack(const char *file, const tn_png *image, tn_bytes *bytes, tn_format_error *error);

#endif
