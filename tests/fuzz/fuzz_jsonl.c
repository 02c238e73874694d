// SPDX-License-Identifier: MIT
/* Any bytes are either refused with one line, or make rows whose fields are found or refused with one line.
 */
#include "core/format/jsonl.h"
#include "tests/fuzz/fuzz.h"
#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const fields[] = {"a", "a.b", "code", "blackbox.passed", ".", ""};
  tn_jsonl rows;
  tn_format_error error;
  if (!tn_jsonl_parse("fuzz", data, size, 1 << 20, &rows, &error)) {
    require_refusal(&error);
    require(!rows.objects && rows.count == 0);
    return 0;
  }
  require(rows.count >= 1);
  for (size_t row = 0; row < rows.count; row++)
    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++) {
      const char *text;
      double number;
      bool boolean;
      const bool is_text = tn_jsonl_text(&rows, row, fields[f], &text, &error);
      if (is_text)
        touch(text, strlen(text) + 1);
      else
        require_refusal(&error);
      const bool is_number = tn_jsonl_number(&rows, row, fields[f], &number, &error);
      require(!is_number || isfinite(number));
      const bool is_boolean = tn_jsonl_boolean(&rows, row, fields[f], &boolean, &error);
      require(is_text + is_number + is_boolean <= 1);
      require(!(is_text || is_number || is_boolean) || tn_jsonl_has(&rows, row, fields[f]));
    }
  tn_jsonl_free(&rows);
  return 0;
}
