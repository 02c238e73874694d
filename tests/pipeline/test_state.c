// SPDX-License-Identifier: MIT
/* States: what is saved comes back, in memory and through a file; what is damaged or does not fit is refused.
 */
#include "../expect.h"
#include "core/pipeline/state.h"
#include "core/plugin/host.h"
#include "core/tensor/engine.h"
#include <stdlib.h>
#include <unistd.h>

static tn_engine *engine;
static char path[64];
static void start(void) {
  tn_host_start();
  engine = tn_engine_create(1, TN_F32);
  tn_engine_enter(engine);
  tn_scope_open();
  snprintf(path, sizeof path, "/tmp/tenon-state-%d", (int)getpid());
}
static void stop(void) {
  tn_scope_close();
  tn_engine_enter(NULL);
  tn_engine_destroy(engine);
  unlink(path);
}
TestSuite(state, .init = start, .fini = stop);

typedef struct values {
  bool boolean;
  int64_t integer;
  double real;
  char *text, *nothing;
  void *block;
  size_t bytes;
  tn_tensor *tensor, *no_tensor;
  tn_params *params, *gradient;
} values;

static tn_status visit(values *x, tn_state *state, bool loading) {
  tn_state_visitor own = tn_state_visit(state, "net", loading);
  const tn_visitor *v = &own.visitor;
  tn_visit_boolean(v, "boolean", &x->boolean);
  tn_visit_integer(v, "integer", &x->integer);
  tn_visit_real(v, "real", &x->real);
  tn_visit_text(v, "text", &x->text);
  tn_visit_text(v, "nothing", &x->nothing);
  tn_visit_block(v, "block", &x->block, &x->bytes);
  tn_visit_tensor(v, "tensor", &x->tensor);
  tn_visit_tensor(v, "no_tensor", &x->no_tensor);
  tn_visit_params(v, "params", &x->params);
  return tn_visit_params(v, "gradient", &x->gradient);
}

static tn_params *two_entries(void) {
  const tn_param_layout entries[] = {{"mean", TN_BUFFER, TN_F32, {1, {2}}},
                                     {"weight", TN_DECAY, TN_F32, {2, {2, 3}}}};
  tn_params *params = tn_params_build(entries, 2);
  for (int i = 0; i < 6; i++) tn_f32(tn_param_tensor(params, 1))[i] = (float)i;
  return params;
}

static values example(void) {
  values x = {.boolean = true, .integer = -7, .real = 0.1, .bytes = 3};
  x.text = tn_alloc(8);
  strcpy(x.text, "a\n\"b\"");
  x.block = tn_alloc(3);
  memcpy(x.block, "\0\1\2", 3);
  x.tensor = tn_persist(tn_from(TN_I64, TN_SHAPE(2), (const int64_t[]){3, 4}));
  x.params = two_entries();
  x.gradient = tn_params_like(x.params); /* has no buffers */
  tn_params_fill(x.gradient, 5);
  return x;
}
static void release(values *x) {
  tn_free(x->text), tn_free(x->nothing), tn_free(x->block);
  tn_release(x->tensor), tn_release(x->no_tensor);
  tn_params_release(x->params), tn_params_release(x->gradient);
}

static void expect_example(const values *x) {
  cr_assert(x->boolean && x->integer == -7 && x->real == 0.1);
  EXPECT_TEXT(x->text, "a\n\"b\"");
  cr_assert(!x->nothing && !x->no_tensor);
  cr_assert(x->bytes == 3 && memcmp(x->block, "\0\1\2", 3) == 0);
  cr_assert(x->tensor->dtype == TN_I64 && tn_i64(x->tensor)[1] == 4);
  for (int i = 0; i < 6; i++) cr_assert(tn_f32(tn_param_tensor(x->params, 1))[i] == (float)i);
  cr_assert(tn_param_tensor(x->params, 0) && !tn_param_tensor(x->gradient, 0));
  cr_assert(tn_f32(tn_param_tensor(x->gradient, 1))[5] == 5);
}

Test(state, every_type_comes_back_from_memory_and_from_a_file) {
  values x = example(), y = {0}, z = example();
  tn_state *state = tn_state_new(), *read;
  EXPECT_INT(visit(&x, state, false), TN_OK);
  /* Into nothing, and into what is there. */
  EXPECT_INT(visit(&y, state, true), TN_OK);
  cr_assert_null(tn_state_untaken(state));
  expect_example(&y);
  z.integer = 0;
  tn_params_fill(z.params, 9);
  EXPECT_INT(tn_state_write(state, path), TN_OK);
  EXPECT_INT(tn_state_read(path, &read), TN_OK);
  EXPECT_INT(visit(&z, read, true), TN_OK);
  expect_example(&z);
  unsigned char a[TN_STATE_HASH], b[TN_STATE_HASH];
  tn_state_hash(state, a), tn_state_hash(read, b);
  EXPECT_INT(memcmp(a, b, sizeof a), 0);
  tn_state_free(state), tn_state_free(read);
  release(&x), release(&y), release(&z);
}

Test(state, a_flipped_bit_anywhere_is_noticed) {
  values x = example();
  tn_state *state = tn_state_new();
  visit(&x, state, false);
  tn_state_write(state, path);
  tn_state_free(state);
  static char bytes[8192];
  FILE *file = fopen(path, "rb");
  const size_t size = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  cr_assert(size > 100 && size < sizeof bytes);
  for (size_t i = 0; i < size; i++) {
    bytes[i] ^= 4;
    cr_assert(tn_state_parse("damaged", bytes, size, &state) < 0, "byte %zu", i);
    tn_context_clear(tn_context_current());
    bytes[i] ^= 4;
    cr_assert(tn_state_parse("short", bytes, i, &state) < 0);
    tn_context_clear(tn_context_current());
  }
  EXPECT_INT(tn_state_parse("whole", bytes, size, &state), TN_OK);
  tn_state_free(state);
  release(&x);
}

Test(state, what_does_not_fit_is_refused_by_name) {
  values x = example();
  tn_state *state = tn_state_new();
  visit(&x, state, false);
  tn_state_visitor v = tn_state_visit(state, "net", true);
  int64_t integer = 0;
  cr_assert(tn_visit_integer(&v.visitor, "real", &integer) < 0);
  EXPECT_TEXT(tn_context_current()->message, "the saved state holds 'net/real' with another type or shape");
  tn_context_clear(tn_context_current());
  v = tn_state_visit(state, "net", true);
  cr_assert(tn_visit_integer(&v.visitor, "count", &integer) < 0);
  EXPECT_TEXT(tn_context_current()->message, "the saved state holds no 'net/count'");
  tn_context_clear(tn_context_current());
  tn_release(x.tensor);
  x.tensor = tn_persist(tn_from(TN_I64, TN_SHAPE(1), (const int64_t[]){3}));
  cr_assert(visit(&x, state, true) < 0);
  tn_context_clear(tn_context_current());
  tn_state_free(state);
  release(&x);
}

Test(state, a_name_given_twice_is_an_error) {
  tn_state *state = tn_state_new();
  tn_state_visitor v = tn_state_visit(state, "net", false);
  int64_t integer = 1;
  tn_visit_integer(&v.visitor, "n", &integer);
  tn_visit_integer(&v.visitor, "n", &integer);
  unsigned char hash[TN_STATE_HASH];
  EXPECT_INT(tn_state_hash(state, hash), TN_ERROR_INTERNAL);
  tn_context_clear(tn_context_current());
  tn_state_free(state);
}

Test(state, a_difference_is_named_from_either_side) {
  values x = example(), y = example();
  tn_state *a = tn_state_new(), *b = tn_state_new(), *c = tn_state_new(), *none = tn_state_new();
  visit(&x, a, false);
  visit(&y, b, false);
  cr_assert_null(tn_state_difference(a, b));
  /* true value, two numbers, text, block, tensor, list of entries (twice), 2 + 6 and 6 floats */
  EXPECT_INT(tn_state_bytes(a, "net"), 1 + 8 + 8 + 5 + 3 + 16 + 2 * 16 + 4 * 8 + 4 * 6);
  EXPECT_INT(tn_state_bytes(a, "ne"), 0);
  tn_f32(tn_param_tensor(y.params, 1))[5] = -5;
  visit(&y, c, false);
  EXPECT_TEXT(tn_state_difference(a, c), "net/params/1.weight");
  EXPECT_TEXT(tn_state_difference(a, none), "net/boolean");
  EXPECT_TEXT(tn_state_difference(none, a), "net/boolean");
  tn_state_free(a), tn_state_free(b), tn_state_free(c), tn_state_free(none);
  release(&x), release(&y);
}
