// SPDX-License-Identifier: MIT
/* Any bytes are either refused with one line that names the file, or make a configuration that prints to text
 * from which the same configuration is read; and binding its sections to a schema of every type is refused or
 * succeeds, without writing outside the instance. */
#include <stdlib.h>
#include <string.h>

#include "core/config/bind.h"
#include <tenon/loss.h>

static void require(bool condition) {
  if (!condition) abort();
}

typedef struct all {
  bool boolean;
  int64_t integer;
  double real;
  const char *string, *path;
  int32_t choice;
  tn_integers integers;
  tn_reals reals;
  tn_strings strings;
  const tn_component *reference;
  tn_terms terms;
  tn_count count;
} all;
static const tn_param params[] = {
    TN_BOOL(all, boolean, "no", "a truth"),
    TN_INTEGER(all, integer, "0", -1e15, 1e15, NULL, "a whole number"),
    TN_REAL(all, real, "0", -1e300, INFINITY, "a number"),
    TN_STRING(all, string, "", "a text"),
    TN_PATH(all, path, 0, "", "a path"),
    TN_CHOICE(all, choice, "a", "a|b", "a choice"),
    TN_INTEGERS(all, integers, "", -1000, 1000, "whole numbers"),
    TN_REALS(all, reals, "", 0, INFINITY, "numbers"),
    TN_STRINGS(all, strings, "", "texts"),
    TN_REFERENCE(all, reference, 0, TN_LOSS, NULL, "a loss"),
    TN_TERMS(all, terms, 0, TN_LOSS, "weighted losses"),
    TN_COUNT(all, count, "full", "how many"),
};
static const tn_class cls = {.size = sizeof cls,
                             .kind = "acme.all/1",
                             .name = "all",
                             TN_CLASS_PARAMS(params),
                             .instance_size = sizeof(all)};

static const tn_component *resolve(void *context, const char *text, const char *kind, const tn_key *key,
                                   tn_error *error) {
  static const tn_component any = {.size = sizeof any};
  (void)context, (void)kind;
  if (text[0] != '!') return &any;
  tn_error_set(error, TN_ERROR_MISSING, key->file, key->line, "no '%s'", text);
  return NULL;
}

static void check_message(const tn_error *error) {
  require(error->status != TN_OK && error->text[0]);
  for (const char *c = error->text; *c; c++) require((unsigned char)*c >= ' ' && *c != 0x7f);
}

static void check_binding(const tn_section *section) {
  all self[2];
  memset(self, 0x5a, sizeof self);
  tn_error error = {0};
  tn_bound *bound = tn_bound_new();
  if (tn_bind(&cls, &self[0], section, NULL, NULL, 0, resolve, NULL, bound, &error) == TN_OK) {
    require(self[0].integer >= -1000000000000000 && self[0].integer <= 1000000000000000);
    require(self[0].choice == 0 || self[0].choice == 1);
    for (uint32_t i = 0; i < self[0].reals.count; i++) require(self[0].reals.items[i] >= 0);
    for (uint32_t i = 0; i < self[0].strings.count; i++) require(self[0].strings.items[i][0] != '\0');
    for (uint32_t i = 0; i < self[0].terms.count; i++) require(self[0].terms.items[i].component != NULL);
  } else {
    check_message(&error);
  }
  tn_bound_free(bound);
  for (size_t i = 0; i < sizeof self[1]; i++) require(((const unsigned char *)&self[1])[i] == 0x5a);
}

static void check_printed(const tn_config *config) {
  tn_error error = {0};
  char *text = tn_config_print(config);
  require(text != NULL);
  tn_config *again = tn_config_parse(text, strlen(text), "printed", NULL, 0, NULL, 0, &error);
  if (tn_config_count(config) > 0) {
    require(again && tn_config_count(again) == tn_config_count(config));
    for (uint32_t i = 0; i < tn_config_count(config); i++) {
      const tn_section *a = tn_config_at(config, i), *b = tn_config_at(again, i);
      require(strcmp(a->name, b->name) == 0 && a->key_count == b->key_count);
      for (uint32_t k = 0; k < a->key_count; k++)
        require(strcmp(a->keys[k].name, b->keys[k].name) == 0 &&
                strcmp(a->keys[k].value, b->keys[k].value) == 0);
    }
  }
  tn_config_free(again);
  free(text);
}

/* The bytes up to the first NUL are an override if they hold a '='; the rest is the file. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const tn_config_variable variables[] = {{"data", "/data", NULL}, {"run", NULL, "not running"}};
  const char *text = (const char *)data, *override = NULL;
  const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
  if (zero && memchr(data, '=', (size_t)(zero - data))) {
    override = text;
    text += zero + 1 - data;
    size -= (size_t)(zero + 1 - data);
  }
  tn_error error = {0};
  tn_config *config =
      tn_config_parse(text, size, "fuzz.ini", &override, override ? 1 : 0, variables, 2, &error);
  if (!config) {
    check_message(&error);
    return 0;
  }
  require(error.status == TN_OK);
  for (uint32_t i = 0; i < tn_config_count(config); i++) check_binding(tn_config_at(config, i));
  check_printed(config);
  tn_config_free(config);
  return 0;
}
