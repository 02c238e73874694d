// SPDX-License-Identifier: MIT
#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "core/format/png.h"
#include "tests/expect.h"
#include "tests/format/data.h"

static tn_png image;
static tn_bytes packed;
static tn_format_error error;

static void reset(void) {
  image = (tn_png){0};
  packed = (tn_bytes){0};
}

static void release(void) {
  tn_png_free(&image);
  tn_bytes_free(&packed);
}

TestSuite(png, .init = reset, .fini = release);

static void append(png_structp png, png_bytep data, size_t size) {
  tn_bytes *bytes = png_get_io_ptr(png);
  bytes->data = realloc(bytes->data, bytes->size + size);
  memcpy(bytes->data + bytes->size, data, size);
  bytes->size += size;
}

static void flush(png_structp png) { (void)png; }

/* A file of any kind that libpng writes, into `packed`. `row`: the packed bytes of every row. */
static void make(uint32_t height, uint32_t width, int depth, int color, int interlace, unsigned char *row,
                 const png_color *palette, int colors, const unsigned char *opacity) {
  tn_bytes_free(&packed);
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(png, &packed, append, flush);
  png_set_IHDR(png, info, width, height, depth, color, interlace, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  if (palette) png_set_PLTE(png, info, palette, colors);
  if (opacity)
    png_set_tRNS(png, info, opacity, palette ? colors : 0, palette ? NULL : &(png_color_16){.gray = 1});
  png_write_info(png, info);
  int passes = png_set_interlace_handling(png);
  for (int pass = 0; pass < passes; pass++)
    for (uint32_t y = 0; y < height; y++) png_write_row(png, row);
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
}

static void expect_pixels(size_t height, size_t width, size_t channels, const uint8_t *row) {
  tn_png_free(&image);
  cr_assert(tn_png_parse("t.png", packed.data, packed.size, 0, &image, &error), "%s", error.text);
  EXPECT_INT(image.height, height);
  EXPECT_INT(image.width, width);
  EXPECT_INT(image.channels, channels);
  for (size_t y = 0; y < height; y++)
    for (size_t x = 0; x < width * channels; x++) EXPECT_INT(image.pixels[y * width * channels + x], row[x]);
}

static void expect_refused(const char *part) {
  tn_png_free(&image);
  cr_assert(!tn_png_parse("t.png", packed.data, packed.size, 0, &image, &error), "expected '%s', got success",
            part);
  EXPECT_CONTAINS(error.text, part);
  cr_assert(image.pixels == NULL);
}

/* ---- reading ---- */

Test(png, few_bits_are_spread_over_a_byte) {
  make(2, 4, 1, PNG_COLOR_TYPE_GRAY, 0, (unsigned char[]){0xa0}, NULL, 0, NULL); // 1 0 1 0
  expect_pixels(2, 4, 1, (uint8_t[]){255, 0, 255, 0});
  make(2, 4, 2, PNG_COLOR_TYPE_GRAY, 0, (unsigned char[]){0x1b}, NULL, 0, NULL); // 0 1 2 3
  expect_pixels(2, 4, 1, (uint8_t[]){0, 85, 170, 255});
}

Test(png, sixteen_bits_are_rounded) {
  // round(255 v / 65535): 0x0080 = 128 -> 0, 0x0081 = 129 -> 1, 0xff7e -> 254, 0xffff -> 255
  make(1, 4, 16, PNG_COLOR_TYPE_GRAY, 0, (unsigned char[]){0, 0x80, 0, 0x81, 0xff, 0x7e, 0xff, 0xff}, NULL, 0,
       NULL);
  expect_pixels(1, 4, 1, (uint8_t[]){0, 1, 254, 255});
}

Test(png, palettes_become_colours) {
  png_color palette[] = {{1, 2, 3}, {40, 50, 60}};
  make(3, 2, 8, PNG_COLOR_TYPE_PALETTE, 0, (unsigned char[]){1, 0}, palette, 2, NULL);
  expect_pixels(3, 2, 3, (uint8_t[]){40, 50, 60, 1, 2, 3});
  make(3, 2, 8, PNG_COLOR_TYPE_PALETTE, 0, (unsigned char[]){1, 0}, palette, 2, (unsigned char[]){7, 255});
  expect_pixels(3, 2, 4, (uint8_t[]){40, 50, 60, 255, 1, 2, 3, 7});
}

Test(png, transparent_grey_becomes_four_channels) {
  make(1, 2, 8, PNG_COLOR_TYPE_GRAY_ALPHA, 0, (unsigned char[]){9, 100, 8, 200}, NULL, 0, NULL);
  expect_pixels(1, 2, 4, (uint8_t[]){9, 9, 9, 100, 8, 8, 8, 200});
  make(1, 2, 8, PNG_COLOR_TYPE_GRAY, 0, (unsigned char[]){1, 2}, NULL, 0,
       (unsigned char[]){0}); // grey 1 is clear
  expect_pixels(1, 2, 4, (uint8_t[]){1, 1, 1, 0, 2, 2, 2, 255});
}

Test(png, interlaced_images_are_put_together) {
  unsigned char row[9 * 3];
  for (int i = 0; i < 27; i++) row[i] = (unsigned char)(i * 9);
  make(11, 9, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_ADAM7, row, NULL, 0, NULL);
  expect_pixels(11, 9, 3, row);
}

Test(png, every_truncation_of_the_pixels_is_refused) {
  make(4, 4, 8, PNG_COLOR_TYPE_RGB, 0, (unsigned char[]){1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, NULL, 0,
       NULL);
  size_t end = packed.size - 12 - 4; // without the IEND chunk and a checksum
  for (packed.size = 0; packed.size < end; packed.size++) expect_refused("t.png: offset ");
  expect_refused(": the file ends early");
}

Test(png, damage_is_refused) {
  make(4, 4, 8, PNG_COLOR_TYPE_GRAY, 0, (unsigned char[]){1, 2, 3, 4}, NULL, 0, NULL);
  packed.data[0] = 'x';
  expect_refused("t.png: offset 0: not a PNG file: its first 8 bytes differ");
  packed.data[0] = 0x89;
  packed.data[20] ^= 1; // the width
  expect_refused("CRC error");
}

/* The header alone, with a right checksum. */
static void make_header(uint32_t height, uint32_t width) {
  make(1, 1, 8, PNG_COLOR_TYPE_GRAY, 0, (unsigned char[]){0}, NULL, 0, NULL);
  png_save_uint_32(packed.data + 16, width);
  png_save_uint_32(packed.data + 20, height);
  uint32_t crc = UINT32_MAX; // CRC-32 of type and content, PNG specification, annex D
  for (int i = 12; i < 29; i++) {
    crc ^= packed.data[i];
    for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
  }
  png_save_uint_32(packed.data + 29, ~crc);
}

Test(png, huge_claims_are_refused_before_memory_is_taken) {
  make_header(30000, 30000);
  expect_refused("bytes cannot hold 30000 x 30000 pixels of 8 bits");
  make_header(1, 32769);
  expect_refused("exceeds user limit");
  make(100, 100, 8, PNG_COLOR_TYPE_GRAY, 0, (unsigned char[100]){0}, NULL, 0, NULL);
  cr_assert(!tn_png_parse("t.png", packed.data, packed.size, 9999, &image, &error));
  EXPECT_TEXT(error.text, "t.png: 100 x 100 x 1 pixels, larger than the limit of 9999 bytes");
}

/* ---- writing ---- */

Test(png, what_is_written_is_read_back) {
  uint8_t pixels[5 * 7 * 4];
  for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 37);
  size_t kinds[] = {1, 3, 4};
  for (int k = 0; k < 3; k++) {
    tn_png written = {.height = 5, .width = 7, .channels = kinds[k], .pixels = pixels};
    release();
    cr_assert(tn_png_pack("t.png", &written, &packed, &error), "%s", error.text);
    cr_assert(tn_png_parse("t.png", packed.data, packed.size, 0, &image, &error), "%s", error.text);
    EXPECT_INT(image.height, 5);
    EXPECT_INT(image.width, 7);
    EXPECT_INT(image.channels, kinds[k]);
    EXPECT_INT(memcmp(image.pixels, pixels, 35 * kinds[k]), 0);
  }
}

Test(png, files_are_written_whole) {
  uint8_t pixel = 77;
  tn_png written = {.height = 1, .width = 1, .channels = 1, .pixels = &pixel};
  cr_assert(tn_png_write(scratch_path("t.png"), &written, &error), "%s", error.text);
  cr_assert(tn_png_read(scratch_path("t.png"), 0, &image, &error), "%s", error.text);
  EXPECT_INT(image.pixels[0], 77);
}

Test(png, nonsense_is_not_written) {
  tn_png written = {.height = 1, .width = 1, .channels = 2};
  cr_assert(!tn_png_pack("t.png", &written, &packed, &error));
  EXPECT_TEXT(error.text, "t.png: cannot write 1 x 1 x 2 as PNG");
  cr_assert(packed.data == NULL);
}

/* ---- real data ---- */

Test(png, photographs_have_their_published_sizes) {
  cr_assert(tn_png_read(data_path("images/kodak_color/kodim03.png"), 0, &image, &error), "%s", error.text);
  EXPECT_INT(image.height, 512);
  EXPECT_INT(image.width, 768);
  EXPECT_INT(image.channels, 3);
  tn_png_free(&image);
  cr_assert(tn_png_read(data_path("images/kodak_gray256/kodim05.png"), 0, &image, &error), "%s", error.text);
  EXPECT_INT(image.height, 256);
  EXPECT_INT(image.channels, 1);
}
