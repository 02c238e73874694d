// SPDX-License-Identifier: MIT
/* Any bytes are either refused with one line, or are a state whose values can be taken, or not, without harm.
 * Random bytes never have the right checksum, so values are also taken from what passes without one. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/pipeline/state.h"
#include "core/plugin/host.h"
#include "core/tensor/engine.h"
#include "core/tensor/safetensors.h"

static void require(bool condition) {
  if (!condition) abort();
}

static void refused(void) {
  tn_context *context = tn_context_current();
  require(context->status < 0 && *context->message && !strchr(context->message, '\n'));
  tn_context_clear(context);
}

/* Every kind of value under the name of each item. */
static void take(tn_state *state, const char *name) {
  tn_state_visitor v;
  bool boolean = false;
  int64_t integer = 0;
  double real = 0;
  char *text = NULL;
  tn_tensor *tensor = NULL;
  tn_params *params = NULL;
#define TRY(call)                      \
  v = tn_state_visit(state, "", true); \
  if ((call) < 0) tn_context_clear(tn_context_current());
  TRY(tn_visit_boolean(&v.visitor, name, &boolean))
  TRY(tn_visit_integer(&v.visitor, name, &integer))
  TRY(tn_visit_real(&v.visitor, name, &real))
  TRY(tn_visit_text(&v.visitor, name, &text))
  TRY(tn_visit_tensor(&v.visitor, name, &tensor))
  TRY(tn_visit_params(&v.visitor, name, &params))
  tn_free(text);
  tn_release(tensor);
  tn_params_release(params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static tn_engine *engine;
  if (!engine) {
    tn_host_start();
    engine = tn_engine_create(1, TN_F32);
    tn_engine_enter(engine);
  }
  tn_state *state;
  if (tn_state_parse("fuzz", data, size, &state) < 0)
    refused();
  else
    tn_state_free(state);

  tn_safetensors *file;
  if (tn_safetensors_parse("fuzz", data, size, &file) < 0) return refused(), 0;
  tn_scope_open();
  state = tn_state_of(file);
  for (uint32_t i = 0; i < tn_safetensors_count(file); i++) {
    const char *name = tn_safetensors_at(file, i)->name;
    take(state, name[0] == '/' ? name + 1 : name);
  }
  tn_state_free(state);
  tn_scope_close();
  return 0;
}
