// SPDX-License-Identifier: MIT
/* Bytes as text (RFC 4648, section 4). */
#ifndef TENON_REPORT_BASE64_H
#define TENON_REPORT_BASE64_H

#include "core/report/text.h"

void tn_base64_append(tn_text *text, const void *bytes, size_t size);
/* Whether a text is what tn_base64_append writes: it may stand in a data URI. */
bool tn_base64_valid(const char *text);

#endif
