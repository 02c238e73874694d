// SPDX-License-Identifier: MIT
/* A growing string. Memory is the only thing that can fail, and it is asked about once, at the end: after a
 * failure every append does nothing. */
#ifndef TENON_REPORT_TEXT_H
#define TENON_REPORT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Empty when zeroed. data is NULL or NUL-terminated. */
typedef struct tn_text {
  char *data;
  size_t size, capacity; /* bytes, without and with the final NUL */
  bool failed;
} tn_text;

void tn_text_append(tn_text *text, const char *string);
void tn_text_append_bytes(tn_text *text, const char *bytes, size_t size);
void tn_text_printf(tn_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends a string as XML character data, good between tags and in a quoted attribute. Bytes that are not
 * UTF-8 and characters that XML 1.0 does not know become U+FFFD, so that the document always parses. NULL is
 * empty. */
void tn_text_append_xml(tn_text *text, const char *string);

/* Decodes one UTF-8 character at *string, which is not at its end, and moves past it. What is not UTF-8 is
 * taken one byte at a time as U+FFFD. */
unsigned tn_text_next_character(const char **string);

/* Hands the string over to the caller, who frees it with free(); NULL if memory ran out. The text is empty
 * afterwards. */
char *tn_text_take(tn_text *text);

void tn_text_free(tn_text *text);

#endif
