// SPDX-License-Identifier: MIT
#include "../expect.h"
#include "core/config/error.h"

static const char *nearest(const char *name, const char *words) {
  static char copy[256];
  const char *candidates[32];
  uint32_t count = 0;
  strcpy(copy, words);
  for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) candidates[count++] = word;
  const char *found = tn_nearest(name, candidates, count);
  return found ? found : "";
}

Test(nearest, one_slip_is_understood) {
  EXPECT_TEXT(nearest("adm", "sgd adam lion"), "adam");
  EXPECT_TEXT(nearest("lino", "sgd adam lion"), "lion");
  EXPECT_TEXT(nearest("momentun", "lr momentum nesterov"), "momentum");
  EXPECT_TEXT(nearest("ADAM", "sgd adam"), "adam");
}

Test(nearest, words_that_share_little_are_not_suggested) {
  EXPECT_TEXT(nearest("x", "y z"), "");
  EXPECT_TEXT(nearest("wibble", "lr beta1 beta2"), "");
  EXPECT_TEXT(nearest("", "lr"), "");
  EXPECT_TEXT(nearest("optimizer.xyz", "optimizer.sgd optimizer.adam"), "");
}

Test(nearest, initials_beginnings_and_kinds_left_out) {
  EXPECT_TEXT(nearest("learning_rate", "beta1 lr weight_decay"), "lr");
  EXPECT_TEXT(nearest("eps", "lr epsilon"), "epsilon");
  EXPECT_TEXT(nearest("adam", "loss.mse optimizer.adam"), "optimizer.adam");
  EXPECT_TEXT(nearest("optimizer.loin", "optimizer.lion optimizer.adam"), "optimizer.lion");
}

Test(nearest, of_equals_the_first) { EXPECT_TEXT(nearest("beta", "beta1 beta2"), "beta1"); }

Test(error, the_first_message_stays) {
  tn_error error = {0};
  EXPECT_INT(tn_error_set(&error, TN_ERROR_INVALID, "a.ini", 3, "%s", "first"), TN_ERROR_INVALID);
  EXPECT_INT(tn_error_set(&error, TN_ERROR_IO, NULL, 0, "second"), TN_ERROR_IO);
  EXPECT_TEXT(error.text, "a.ini:3: first");
  EXPECT_INT(error.status, TN_ERROR_INVALID);
}

Test(error, a_message_is_one_line_and_never_half_a_character) {
  char longer[4000];
  for (size_t i = 0; i + 2 < sizeof longer; i += 2) memcpy(longer + i, "\xc3\xa9", 2);
  longer[3998] = '\0';
  for (uint32_t line = 1; line < 1000; line *= 10) {
    tn_error error = {0};
    tn_error_set(&error, TN_ERROR_INVALID, "f", line, "a\nb\t%s", longer);
    cr_assert(!strchr(error.text, '\n') && strlen(error.text) < sizeof error.text);
    size_t length = strlen(error.text);
    EXPECT_INT((unsigned char)error.text[length - 2], 0xc3);
  }
}

Test(error, long_values_are_cut) {
  char text[TN_SHOWN], value[200];
  memset(value, 'x', 199);
  value[199] = '\0';
  tn_shown(text, value);
  EXPECT_INT(strlen(text), 63);
  EXPECT_TEXT(text + 60, "...");
  EXPECT_TEXT(tn_shown(text, "short"), "short");
}
