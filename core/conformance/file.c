// SPDX-License-Identifier: MIT
/* What the file of a plugin must keep. That it loads is checked before anything else. */
#include "core/conformance/trial.h"
#include "core/plugin/elf.h"

static void symbols(tn_trial *t) {
  char reason[512];
  if (!tn_elf_symbols(t->file, reason, sizeof reason)) tn_trial_fail("%s", reason);
}

const tn_check tn_file_checks[] = {
    {"symbols", "every undefined symbol is in a library that the plugin names", symbols},
};
const uint32_t tn_file_check_count = TN_ARRAY_LENGTH(tn_file_checks);
