// SPDX-License-Identifier: MIT
/* libpng reports an error by a jump out of its functions. Each setjmp here stands in a function without local
 * variables of its own; what it works on lives in a struct of the caller, who frees it on either way out. */
#include "core/format/png.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format/file.h"

enum {
  RATIO_MAX = 1032,          // unpacked to packed bytes (zlib.net/zlib_tech.html)
  CHUNKS_MAX = 1000,         // kept ancillary chunks
  CHUNK_BYTES_MAX = 8 << 20, // in an ancillary chunk, unpacked
  PLAIN_BITS = 8
};

void tn_png_free(tn_png *image) {
  free(image->pixels);
  *image = (tn_png){0};
}

/* ---- reading ---- */

typedef struct reader {
  const char *file;
  tn_format_error *error;
  const tn_bytes *bytes;
  size_t taken, limit;
  bool failed;       // the error is set already
  char warning[100]; // libpng's last: of a header out of bounds it says what was wrong here, not in the error
  png_structp png;
  png_infop info;
  png_bytepp rows;
  tn_png *image;
} reader;

static void take_bytes(png_structp png, png_bytep to, size_t size) {
  reader *r = png_get_io_ptr(png);
  if (r->bytes->size - r->taken < size) {
    r->taken = r->bytes->size;
    png_error(png, "the file ends early");
  }
  memcpy(to, r->bytes->data + r->taken, size);
  r->taken += size;
}

static void keep_warning(png_structp png, png_const_charp message) {
  reader *r = png_get_error_ptr(png);
  snprintf(r->warning, sizeof r->warning, " (%.90s)", message);
}

static void fail_reading(png_structp png, png_const_charp message) {
  reader *r = png_get_error_ptr(png);
  if (!r->failed) tn_format_fail_offset(r->error, r->file, r->taken, "%s%s", message, r->warning);
  r->failed = true;
  png_longjmp(png, 1);
}

/* Everything to 8 bits and to 1, 3 or 4 channels. */
static void ask_for_plain_bytes(reader *r) {
  png_byte color = png_get_color_type(r->png, r->info);
  bool transparent = (color & PNG_COLOR_MASK_ALPHA) || png_get_valid(r->png, r->info, PNG_INFO_tRNS);
  png_set_expand(r->png); // palettes, fewer than 8 bits, tRNS
  png_set_scale_16(r->png);
  if (transparent && !(color & PNG_COLOR_MASK_COLOR)) png_set_gray_to_rgb(r->png);
  png_set_interlace_handling(r->png);
}

/* The sizes, before any memory is taken for pixels. */
static bool check_sizes(reader *r) {
  size_t height = png_get_image_height(r->png, r->info), width = png_get_image_width(r->png, r->info);
  size_t bits = (size_t)png_get_bit_depth(r->png, r->info) * png_get_channels(r->png, r->info);
  if (height * width / 8 * bits / RATIO_MAX > r->bytes->size)
    return tn_format_fail(r->error, r->file, "%zu bytes cannot hold %zu x %zu pixels of %zu bits",
                          r->bytes->size, height, width, bits);
  ask_for_plain_bytes(r);
  png_read_update_info(r->png, r->info);
  size_t channels = png_get_channels(r->png, r->info);
  if (png_get_bit_depth(r->png, r->info) != PLAIN_BITS || channels == 2 ||
      png_get_rowbytes(r->png, r->info) != width * channels)
    return tn_format_fail(r->error, r->file, "an unknown kind of pixels");
  if (height * width > r->limit / channels)
    return tn_format_fail(r->error, r->file, "%zu x %zu x %zu pixels, larger than the limit of %zu bytes",
                          height, width, channels, r->limit);
  r->image->height = height;
  r->image->width = width;
  r->image->channels = channels;
  return true;
}

static bool reserve_rows(reader *r) {
  size_t row = r->image->width * r->image->channels;
  r->image->pixels = malloc(r->image->height * row);
  r->rows = malloc(r->image->height * sizeof *r->rows);
  if (!r->image->pixels || !r->rows) return tn_format_fail(r->error, r->file, "out of memory");
  for (size_t y = 0; y < r->image->height; y++) r->rows[y] = r->image->pixels + y * row;
  return true;
}

static bool run_reader(reader *r) {
  if (setjmp(png_jmpbuf(r->png))) return false;
  png_set_user_limits(r->png, TN_PNG_SIDE_MAX, TN_PNG_SIDE_MAX);
  png_set_chunk_cache_max(r->png, CHUNKS_MAX);
  png_set_chunk_malloc_max(r->png, CHUNK_BYTES_MAX);
  png_set_read_fn(r->png, r, take_bytes);
  png_read_info(r->png, r->info);
  if (!check_sizes(r) || !reserve_rows(r)) return false;
  png_read_image(r->png, r->rows);
  return true;
}

static bool parse_and_release(const char *file, tn_bytes *bytes, size_t limit, tn_png *image,
                              tn_format_error *error) {
  reader r = {.file = file, .error = error, .bytes = bytes, .image = image};
  r.limit = limit > 0 ? limit : TN_STREAM_LIMIT;
  bool ok = false;
  if (bytes->size < 8 || png_sig_cmp(bytes->data, 0, 8) != 0) {
    tn_format_fail_offset(error, file, 0, "not a PNG file: its first 8 bytes differ");
  } else {
    r.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r, fail_reading, keep_warning);
    r.info = r.png ? png_create_info_struct(r.png) : NULL;
    ok = r.info ? run_reader(&r) : tn_format_fail(error, file, "out of memory");
    png_destroy_read_struct(&r.png, &r.info, NULL);
    free(r.rows);
  }
  tn_bytes_free(bytes);
  if (!ok) tn_png_free(image);
  return ok;
}

bool tn_png_read(const char *path, size_t limit, tn_png *image, tn_format_error *error) {
  *image = (tn_png){0};
  tn_bytes bytes;
  return tn_stream_read(path, limit, &bytes, error) && parse_and_release(path, &bytes, limit, image, error);
}

bool tn_png_parse(const char *file, const void *bytes, size_t size, size_t limit, tn_png *image,
                  tn_format_error *error) {
  *image = (tn_png){0};
  tn_bytes copy;
  return tn_stream_unpack(file, bytes, size, limit, &copy, error) &&
         parse_and_release(file, &copy, limit, image, error);
}

/* ---- writing ---- */

typedef struct writer {
  const char *file;
  tn_format_error *error;
  const tn_png *image;
  tn_bytes *bytes;
  size_t capacity;
  png_structp png;
  png_infop info;
} writer;

static void put_bytes(png_structp png, png_bytep from, size_t size) {
  writer *w = png_get_io_ptr(png);
  if (w->capacity - w->bytes->size <= size) { // one byte more for the final 0
    size_t capacity = w->bytes->size + w->bytes->size / 2 + size + 1024;
    unsigned char *data = realloc(w->bytes->data, capacity);
    if (!data) png_error(png, "out of memory");
    w->bytes->data = data;
    w->capacity = capacity;
  }
  memcpy(w->bytes->data + w->bytes->size, from, size);
  w->bytes->size += size;
}

static void flush_nothing(png_structp png) { (void)png; }

static void ignore_warning(png_structp png, png_const_charp message) {
  (void)png;
  (void)message;
}

static void fail_writing(png_structp png, png_const_charp message) {
  writer *w = png_get_error_ptr(png);
  tn_format_fail(w->error, w->file, "%s", message);
  png_longjmp(png, 1);
}

static int color_type(size_t channels) {
  return channels == 1 ? PNG_COLOR_TYPE_GRAY : channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_RGB_ALPHA;
}

static void write_rows(writer *w) {
  const tn_png *image = w->image;
  for (size_t y = 0; y < image->height; y++)
    png_write_row(w->png, image->pixels + y * image->width * image->channels);
}

static bool run_writer(writer *w) {
  if (setjmp(png_jmpbuf(w->png))) return false;
  png_set_write_fn(w->png, w, put_bytes, flush_nothing);
  png_set_IHDR(w->png, w->info, (png_uint_32)w->image->width, (png_uint_32)w->image->height, PLAIN_BITS,
               color_type(w->image->channels), PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  png_write_info(w->png, w->info);
  write_rows(w);
  png_write_end(w->png, NULL);
  return true;
}

bool tn_png_pack(const char *file, const tn_png *image, tn_bytes *bytes, tn_format_error *error) {
  *bytes = (tn_bytes){0};
  if (image->height < 1 || image->height > TN_PNG_SIDE_MAX || image->width < 1 ||
      image->width > TN_PNG_SIDE_MAX ||
      (image->channels != 1 && image->channels != 3 && image->channels != 4))
    return tn_format_fail(error, file, "cannot write %zu x %zu x %zu as PNG", image->height, image->width,
                          image->channels);
  writer w = {.file = file, .error = error, .image = image, .bytes = bytes};
  w.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &w, fail_writing, ignore_warning);
  w.info = w.png ? png_create_info_struct(w.png) : NULL;
  bool ok = w.info ? run_writer(&w) : tn_format_fail(error, file, "out of memory");
  png_destroy_write_struct(&w.png, &w.info);
  if (ok)
    bytes->data[bytes->size] = 0;
  else
    tn_bytes_free(bytes);
  return ok;
}

bool tn_png_write(const char *path, const tn_png *image, tn_format_error *error) {
  tn_bytes bytes;
  if (!tn_png_pack(path, image, &bytes, error)) return false;
  bool ok = tn_file_write(path, bytes.data, bytes.size, error);
  tn_bytes_free(&bytes);
  return ok;
}
