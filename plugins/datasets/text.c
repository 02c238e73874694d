// SPDX-License-Identifier: MIT
/* Windows of a text, for language models: field `tokens` (n, t), and `label` (n, t), the same one later, or
 * (n), the token behind the window.
 *
 * A token is a character (a code point of UTF-8) or a byte; those that occur are numbered in their order.
 * Parts are stretches of the text: `train` from its beginning, then `validation`, then `test`, and `all`.
 * Windows of training begin every `stride` tokens, those of the other parts follow each other without
 * overlap, so that every token is predicted once. */
#include "core/format/stream.h"
#include <string.h>
#include <tenon/dataset.h>

enum { CHARACTER, BYTE };
enum { EACH, NEXT };
enum { TRAIN, VALIDATION, TEST, ALL, PARTS };
static const char *const part_names[PARTS] = {"train", "validation", "test", "all"};
enum { CODES = 0x110000 }; /* of Unicode */

struct text {
  const char *file;
  int32_t level, target;
  int64_t context, stride, limit;
  tn_count validation, test;

  int32_t *tokens; /* (count) */
  int64_t count;
  uint32_t *codes; /* (vocabulary), ascending */
  int64_t vocabulary;
  int64_t first[PARTS], length[PARTS]; /* in tokens */
  char name[8];                        /* of the class last asked for */
};
static const tn_param text_params[] = {
    TN_PATH(struct text, file, TN_PARAM_REQUIRED, NULL, "the text, plain or gzip"),
    TN_CHOICE(struct text, level, "character", "character|byte", "what a token is"),
    TN_INTEGER(struct text, context, "64", 1, 1 << 20, "tokens", "length of a window"),
    TN_INTEGER(struct text, stride, "0", 0, 1 << 20, "tokens",
               "between the beginnings of training windows; 0: context"),
    TN_INTEGER(struct text, limit, "0", 0, INFINITY, "tokens", "only the first tokens of the text; 0: all"),
    TN_COUNT(struct text, validation, "0",
             "tokens in front of part `test` that are part `validation`; 0: none"),
    TN_COUNT(struct text, test, "0", "last tokens of the text: part `test`; 0: none"),
    TN_CHOICE(struct text, target, "each", "each|next",
              "`label`: what follows each token, or what follows the window"),
};

/* ---- the text ---- */

/* Reads one code point of UTF-8; its bytes, or 0 if it is not one (RFC 3629: no overlong forms, no
 * surrogates). */
static size_t code_at(const unsigned char *s, size_t left, uint32_t *code) {
  static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
  const size_t bytes = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
  if (bytes == 0 || bytes > left) return 0;
  *code = bytes == 1 ? s[0] : s[0] & (0x7fu >> bytes);
  for (size_t i = 1; i < bytes; i++) {
    if (s[i] >> 6 != 2) return 0;
    *code = *code << 6 | (s[i] & 0x3f);
  }
  const bool valid = *code >= least[bytes] && *code < CODES && (*code < 0xd800 || *code > 0xdfff);
  return valid ? bytes : 0;
}

/* Codes into data->tokens, not numbered yet. */
static tn_status decode(struct text *data, const tn_bytes *bytes) {
  data->tokens = tn_alloc((bytes->size + 1) * sizeof *data->tokens);
  if (!data->tokens) return TN_ERROR_MEMORY;
  for (size_t at = 0; at < bytes->size && (data->limit == 0 || data->count < data->limit);) {
    uint32_t code = bytes->data[at];
    const size_t size = data->level == BYTE ? 1 : code_at(bytes->data + at, bytes->size - at, &code);
    if (size == 0)
      return tn_fail(TN_ERROR_INVALID, "%s: offset %zu: not UTF-8; level = byte takes anything", data->file,
                     at);
    data->tokens[data->count++] = (int32_t)code;
    at += size;
  }
  return TN_OK;
}

/* Numbers the codes that occur. */
static tn_status number(struct text *data) {
  int32_t *number_of = tn_alloc(CODES * sizeof *number_of); /* 1: occurs; then its number */
  if (!number_of) return TN_ERROR_MEMORY;
  for (int64_t i = 0; i < data->count; i++) number_of[data->tokens[i]] = 1;
  for (uint32_t c = 0; c < CODES; c++) data->vocabulary += number_of[c];
  data->codes = tn_alloc((size_t)(data->vocabulary + 1) * sizeof *data->codes);
  int32_t next = 0;
  for (uint32_t c = 0; data->codes && c < CODES; c++)
    if (number_of[c]) data->codes[next] = c, number_of[c] = next++;
  for (int64_t i = 0; i < data->count; i++) data->tokens[i] = number_of[data->tokens[i]];
  tn_free(number_of);
  return data->codes ? TN_OK : TN_ERROR_MEMORY;
}

static int64_t share(tn_count count, int64_t total) {
  return count.number > 0 || count.fraction > 0 ? tn_count_of(count, total) : 0;
}

/* Windows of a part: each has context + 1 tokens. */
static int64_t windows(const struct text *data, int part) {
  const int64_t step = part == TRAIN && data->stride > 0 ? data->stride : data->context;
  const int64_t room = data->length[part] - data->context - 1;
  return room < 0 ? 0 : room / step + 1;
}

static tn_status text_create(void *self) {
  struct text *data = self;
  tn_bytes bytes;
  tn_format_error error;
  if (!tn_stream_read(data->file, 0, &bytes, &error)) return tn_fail(TN_ERROR_IO, "%s", error.text);
  tn_status status = decode(data, &bytes);
  tn_bytes_free(&bytes);
  if (status >= 0) status = number(data);
  if (status < 0) return status;
  const int64_t test = share(data->test, data->count), validation = share(data->validation, data->count);
  data->length[ALL] = data->count;
  data->length[TRAIN] = data->count - test - validation;
  data->first[VALIDATION] = data->length[TRAIN];
  data->length[VALIDATION] = validation;
  data->first[TEST] = data->count - test;
  data->length[TEST] = test;
  for (int p = 0; p < PARTS; p++)
    if ((p == TRAIN || data->length[p] > 0) && windows(data, p) < 1)
      return tn_fail(
          TN_ERROR_INVALID, "part %s has %lld tokens, fewer than one window of %lld and the next token",
          part_names[p], (long long)(data->length[p] > 0 ? data->length[p] : 0), (long long)data->context);
  return TN_OK;
}

static void text_destroy(void *self) {
  struct text *data = self;
  tn_free(data->tokens);
  tn_free(data->codes);
}

/* ---- rows ---- */

static int part_of(const struct text *data, const char *name) {
  for (int p = 0; p < PARTS; p++)
    if (strcmp(*name ? name : "train", part_names[p]) == 0 && data->length[p] > 0) return p;
  tn_fail(TN_ERROR_MISSING, "no part '%s'; there are train, all%s%s", name,
          data->length[VALIDATION] > 0 ? ", validation" : "", data->length[TEST] > 0 ? ", test" : "");
  return -1;
}

static int64_t text_rows(void *self, const char *name) {
  const int part = part_of(self, name);
  return part < 0 ? TN_ERROR_MISSING : windows(self, part);
}

static tn_status text_describe(void *self, const char *name, tn_spec *spec) {
  const struct text *data = self;
  if (part_of(data, name) < 0) return TN_ERROR_MISSING;
  tn_spec_set(spec, "tokens", TN_I64, TN_SHAPE(data->context), data->vocabulary);
  if (data->target == EACH)
    tn_spec_set(spec, "label", TN_I64, TN_SHAPE(data->context), data->vocabulary);
  else
    tn_spec_set(spec, "label", TN_I64, (tn_shape){0}, data->vocabulary);
  return TN_OK;
}

static tn_status text_read(void *self, const char *name, const int64_t *index, int64_t count,
                           tn_fields *fields) {
  const struct text *data = self;
  const int part = part_of(data, name);
  if (part < 0) return TN_ERROR_MISSING;
  const int64_t step = part == TRAIN && data->stride > 0 ? data->stride : data->context;
  tn_tensor *tokens = tn_empty(TN_I64, TN_SHAPE(count, data->context));
  const int64_t targets = data->target == EACH ? data->context : 1, skipped = data->context - targets;
  tn_tensor *label =
      tn_empty(TN_I64, data->target == EACH ? TN_SHAPE(count, data->context) : TN_SHAPE(count));
  if (tn_poisoned(tokens) || tn_poisoned(label)) return TN_ERROR_MEMORY;
  for (int64_t i = 0; i < count; i++) {
    const int32_t *from = data->tokens + data->first[part] + index[i] * step;
    for (int64_t t = 0; t < data->context; t++) tn_i64(tokens)[i * data->context + t] = from[t];
    for (int64_t t = 0; t < targets; t++) tn_i64(label)[i * targets + t] = from[skipped + t + 1];
  }
  tn_fields_set(fields, "tokens", tokens);
  tn_fields_set(fields, "label", label);
  return tn_outcome();
}

static const char *text_part(void *self, uint32_t i) {
  const struct text *data = self;
  for (int p = 0; p < PARTS; p++)
    if (data->length[p] > 0 && i-- == 0) return part_names[p];
  return NULL;
}

/* The character itself. */
static const char *text_class_name(void *self, const char *field, int64_t label) {
  struct text *data = self;
  const bool known = strcmp(field, "tokens") == 0 || strcmp(field, "label") == 0;
  if (!known || label < 0 || label >= data->vocabulary) return NULL;
  const uint32_t code = data->codes[label];
  char *s = data->name;
  if (code < 0x80 || data->level == BYTE)
    *s++ = (char)code;
  else {
    const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3; /* bytes behind the first */
    *s++ = (char)((0xff00u >> (more + 1) & 0xffu) | code >> (6 * more));
    for (int i = more - 1; i >= 0; i--) *s++ = (char)(0x80 | (code >> (6 * i) & 0x3f));
  }
  *s = '\0';
  return data->name;
}

static const tn_dataset text_table = {.size = sizeof(tn_dataset),
                                      .rows = text_rows,
                                      .describe = text_describe,
                                      .read = text_read,
                                      .part = text_part,
                                      .class_name = text_class_name};
static const tn_class text_class = {
    .size = sizeof(tn_class),
    .kind = TN_DATASET,
    .name = "text",
    .summary = "Windows of a text for language models, by characters or bytes",
    .reference = "Karpathy 2015, The Unreasonable Effectiveness of Recurrent Neural Networks",
    TN_CLASS_PARAMS(text_params),
    .instance_size = sizeof(struct text),
    .vtable = &text_table,
    .create = text_create,
    .destroy = text_destroy};
TN_PLUGIN("dataset_text", "1.0.0", "MIT", &text_class)
