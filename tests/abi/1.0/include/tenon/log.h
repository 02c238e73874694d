// SPDX-License-Identifier: MIT
/* tenon.log/1: errors, messages and memory. */
#ifndef TENON_LOG_H
#define TENON_LOG_H

#include <stdarg.h>
#include <tenon/sdk.h>

#define TN_LOG_SERVICE "tenon.log/1"

enum { TN_LOG_DEBUG = 0, TN_LOG_INFO = 1, TN_LOG_WARNING = 2 };

typedef struct tn_log_service {
  uint32_t size;
  /* [any] Records why the current callback fails: the first message of a callback is the one reported, with
   * the component and its line added by the host. Returns `status`. One line, no full stop, no "error:". */
  tn_status (*fail)(tn_status status, const char *format, va_list arguments);
  /* [any] One line for log.txt, and for the terminal if it is a warning. */
  void (*message)(int32_t level, const char *format, va_list arguments);
  /* [any] True if an error is recorded, by tn_fail or by a poisoned tensor: the callback's result is void. */
  bool (*failed)(void);
  /* [any] Zeroed memory that counts towards the component's bytes; NULL and a recorded error if there is
   * none. `release` takes NULL. Memory that the host hands over comes from here. */
  void *(*allocate)(size_t bytes);
  void *(*resize)(void *memory, size_t bytes); /* as realloc; new bytes are not zeroed */
  void (*release)(void *memory);
  /* [any] For messages: the candidate that `name` was probably meant to be, NULL if none is near. NULL
   * candidates are skipped. */
  const char *(*nearest)(const char *name, const char *const *candidates, uint32_t count);
} tn_log_service;

TN_PRINTF(2, 3) static inline tn_status tn_fail(tn_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  tn_status result = tn_sdk.log->fail(status, format, arguments);
  va_end(arguments);
  return result;
}
TN_PRINTF(1, 2) static inline void tn_info(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  tn_sdk.log->message(TN_LOG_INFO, format, arguments);
  va_end(arguments);
}
TN_PRINTF(1, 2) static inline void tn_warn(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  tn_sdk.log->message(TN_LOG_WARNING, format, arguments);
  va_end(arguments);
}
static inline bool tn_failed(void) { return tn_sdk.log->failed(); }
static inline void *tn_alloc(size_t bytes) { return tn_sdk.log->allocate(bytes); }
static inline void *tn_resize(void *memory, size_t bytes) { return tn_sdk.log->resize(memory, bytes); }
static inline void tn_free(void *memory) { tn_sdk.log->release(memory); }
static inline const char *tn_nearest_name(const char *name, const char *const *candidates, uint32_t count) {
  return tn_sdk.log->nearest(name, candidates, count);
}
/* The status of a callback that only computes: TN_OK, or TN_ERROR_SHAPE if anything was recorded. */
static inline tn_status tn_outcome(void) { return tn_failed() ? TN_ERROR_SHAPE : TN_OK; }

#endif
