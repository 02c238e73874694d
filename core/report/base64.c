// SPDX-License-Identifier: MIT
#include "core/report/base64.h"

#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void tn_base64_append(tn_text *text, const void *bytes, size_t size) {
  const unsigned char *from = bytes;
  for (size_t i = 0; i < size; i += 3) {
    size_t left = size - i;
    unsigned group = (unsigned)from[i] << 16;
    if (left > 1) group |= (unsigned)from[i + 1] << 8;
    if (left > 2) group |= from[i + 2];
    char four[4] = {digits[group >> 18], digits[group >> 12 & 63], '=', '='};
    if (left > 1) four[2] = digits[group >> 6 & 63];
    if (left > 2) four[3] = digits[group & 63];
    tn_text_append_bytes(text, four, sizeof four);
  }
}

bool tn_base64_valid(const char *text) {
  size_t length = strspn(text, digits), padding = strspn(text + length, "=");
  return (length + padding) % 4 == 0 && padding <= 2 && text[length + padding] == 0;
}
