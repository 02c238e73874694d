// SPDX-License-Identifier: MIT
/* Any bytes, as CIFAR-10, as CIFAR-100 and as a list of class names, are either refused with one line, or
 * make what cifar.h promises. */
#include "core/format/cifar.h"
#include "tests/fuzz/fuzz.h"

static void check_records(const uint8_t *data, size_t size, tn_cifar_kind kind) {
  tn_cifar set;
  tn_format_error error;
  if (!tn_cifar_parse("fuzz", data, size, kind, 1 << 20, &set, &error)) {
    require_refusal(&error);
    require(!set.images && !set.labels && !set.coarse);
    return;
  }
  require(set.count >= 1 && !set.coarse == (kind == TN_CIFAR_10));
  touch(set.images, set.count * TN_CIFAR_PIXELS);
  for (size_t i = 0; i < set.count; i++) {
    require(set.labels[i] < (kind == TN_CIFAR_10 ? 10 : 100));
    require(!set.coarse || set.coarse[i] < 20);
  }
  tn_cifar_free(&set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  check_records(data, size, TN_CIFAR_10);
  check_records(data, size, TN_CIFAR_100);
  tn_cifar_names names;
  tn_format_error error;
  if (!tn_cifar_names_parse("fuzz", data, size, &names, &error)) {
    require_refusal(&error);
    require(!names.names && !names.text);
    return 0;
  }
  require(names.count >= 1 && names.count <= 256);
  for (size_t i = 0; i < names.count; i++) {
    require(names.names[i][0] != '\0');
    for (size_t k = 0; k < i; k++) require(strcmp(names.names[i], names.names[k]) != 0);
  }
  tn_cifar_names_free(&names);
  return 0;
}
