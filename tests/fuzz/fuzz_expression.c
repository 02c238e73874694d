// SPDX-License-Identifier: MIT
/* Any text is either refused with one line that names a column, or compiles, as a formula or as a claim, and
 * then evaluates the same twice. */
#include <stdlib.h>
#include <string.h>

#include "core/expression/expression.h"
#include "core/plugin/host.h"

static void require(bool condition) {
  if (!condition) abort();
}

static void check_refused(void) {
  tn_context *context = tn_context_current();
  require(context->status == TN_ERROR_INVALID);
  require(strncmp(context->message, "expression '", 12) == 0 && strstr(context->message, "': column "));
  for (const char *c = context->message; *c; c++) require((unsigned char)*c >= ' ');
  tn_context_clear(context);
}

static void check(const char *text, tn_expression *expression) {
  if (!expression) {
    check_refused();
    return;
  }
  require(strcmp(tn_expression_table.text(expression), text) == 0);
  uint32_t count = tn_expression_table.variable_count(expression);
  double values[256];
  require(count <= 256);
  for (uint32_t i = 0; i < count; i++) {
    require(tn_expression_table.variable(expression, i) != NULL);
    values[i] = 0.25 * (double)i - 1;
  }
  double first = tn_expression_evaluate(expression, values),
         second = tn_expression_evaluate(expression, values);
  require(memcmp(&first, &second, sizeof first) == 0);
  tn_expression_release(expression);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tn_host_start();
  char *text = malloc(size + 1);
  require(text != NULL);
  if (size > 0) memcpy(text, data, size);
  text[size] = 0;
  check(text, tn_expression_compile(text, "TP|FP|FN|TN|P|N"));
  check(text, tn_expression_compile(text, NULL));
  check(text, tn_claim_compile(text));
  free(text);
  return 0;
}
