// SPDX-License-Identifier: MIT
/* Assertions that print what was expected and what came, free of the conversion warnings of Criterion's own.
 */
#ifndef TENON_TESTS_EXPECT_H
#define TENON_TESTS_EXPECT_H

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

/* Signed and unsigned integers, enums and booleans. */
#define EXPECT_INT(got, wanted)                                                   \
  do {                                                                            \
    intmax_t got_ = (intmax_t)(got), wanted_ = (intmax_t)(wanted);                \
    cr_assert(got_ == wanted_, "%s: expected %jd, got %jd", #got, wanted_, got_); \
  } while (0)

/* Doubles, exactly. */
#define EXPECT_REAL(got, wanted)                                                                         \
  do {                                                                                                   \
    double got_ = (got), wanted_ = (wanted);                                                             \
    cr_assert(memcmp(&got_, &wanted_, sizeof got_) == 0, "%s: expected %.17g, got %.17g", #got, wanted_, \
              got_);                                                                                     \
  } while (0)

#define EXPECT_TEXT(got, wanted)                                                                   \
  do {                                                                                             \
    const char *got_ = (got), *wanted_ = (wanted);                                                 \
    cr_assert(got_ &&strcmp(got_, wanted_) == 0, "%s: expected \"%s\", got \"%s\"", #got, wanted_, \
              got_ ? got_ : "(null)");                                                             \
  } while (0)

#define EXPECT_CONTAINS(text, part)                                                       \
  do {                                                                                    \
    const char *text_ = (text), *part_ = (part);                                          \
    cr_assert(strstr(text_, part_) != NULL, "%s lacks \"%s\":\n%s", #text, part_, text_); \
  } while (0)

#endif
