// SPDX-License-Identifier: MIT
/* Any bytes are either refused with one line, or make an image that is the same after it was written and
 * read. */
#include "core/format/png.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tn_png image, again;
  tn_bytes packed;
  tn_format_error error;
  if (!tn_png_parse("fuzz", data, size, 1 << 20, &image, &error)) {
    require_refusal(&error);
    require(!image.pixels);
    return 0;
  }
  require(image.height >= 1 && image.height <= TN_PNG_SIDE_MAX);
  require(image.width >= 1 && image.width <= TN_PNG_SIDE_MAX);
  require(image.channels == 1 || image.channels == 3 || image.channels == 4);
  const size_t bytes = image.height * image.width * image.channels;
  touch(image.pixels, bytes);
  require(tn_png_pack("fuzz", &image, &packed, &error));
  require(tn_png_parse("fuzz", packed.data, packed.size, 0, &again, &error));
  require(again.height == image.height && again.width == image.width && again.channels == image.channels);
  require(memcmp(again.pixels, image.pixels, bytes) == 0);
  tn_png_free(&again);
  tn_bytes_free(&packed);
  tn_png_free(&image);
  return 0;
}
