// SPDX-License-Identifier: MIT
/* Any text is either refused with one line that names a column, or is a signature within its limits. */
#include <stdlib.h>

#include "core/plugin/host.h"
#include "plugins/foreign/signature.c"

static void require(bool condition) {
  if (!condition) abort();
}

static void check_function(const foreign_function *function, uint32_t callbacks) {
  require(!function->result.pointer && function->count <= FOREIGN_ARGUMENTS);
  for (uint32_t i = 0; i < function->count; i++) {
    const foreign_argument *argument = &function->arguments[i];
    require(strlen(argument->name) < FOREIGN_NAME && argument->column >= 1);
    require(argument->type.pointer || argument->type.class != FOREIGN_VOID);
    require(argument->type.bytes <= 8 && (!argument->type.function || argument->callback < callbacks));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tn_host_start();
  char *text = malloc(size + 1);
  require(text != NULL);
  if (size > 0) memcpy(text, data, size);
  text[size] = 0;
  foreign_signature signature;
  tn_context *context = tn_context_current();
  if (foreign_signature_parse(text, &signature) == TN_OK) {
    require(context->status == TN_OK && signature.callback_count <= FOREIGN_CALLBACKS);
    check_function(&signature.function, signature.callback_count);
    for (uint32_t i = 0; i < signature.callback_count; i++) check_function(&signature.callbacks[i], 0);
  } else {
    require(context->status == TN_ERROR_INVALID && strncmp(context->message, "signature '", 11) == 0);
    require(strstr(context->message, "': column ") != NULL);
    for (const char *c = context->message; *c; c++) require(*c >= ' ' && *c < 127);
  }
  tn_context_clear(context);
  free(text);
  return 0;
}
