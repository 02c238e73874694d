// SPDX-License-Identifier: MIT
#include "core/plugin/host.h"
#include "core/config/bind.h"
#include "core/config/memory.h"
#include "core/plugin/services.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

tn_sdk_tables tn_sdk;

/* Contexts. */

/* Read at every call of a component, so without the detour through the loader's tables. */
static _Thread_local tn_context *current __attribute__((tls_model("initial-exec")));

/* A thread's first look. Its context is no thread-local variable: a library that is loaded late, by Python
 * say, finds little room for those. */
static pthread_key_t own_key;
static void make_key(void) { pthread_key_create(&own_key, free); }
static __attribute__((cold, noinline)) tn_context *first_context(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, make_key);
  tn_context *own = tn_take(sizeof *own);
  pthread_setspecific(own_key, own);
  own->stack.size = sizeof own->stack;
  return current = own;
}

tn_context *tn_context_current(void) { return current ? current : first_context(); }

tn_context *tn_context_enter(tn_context *context) {
  tn_context *former = tn_context_current();
  context->stack.size = sizeof context->stack;
  current = context;
  return former;
}

void tn_context_clear(tn_context *context) {
  context->message[0] = '\0';
  context->failed_in = (tn_call){NULL, NULL};
  __atomic_store_n(&context->status, TN_OK, __ATOMIC_RELEASE);
}

static tn_call_stack *call_stack(void) { return &tn_context_current()->stack; }

static tn_call top_call(const tn_call_stack *stack) {
  if (stack->depth == 0) return (tn_call){NULL, NULL};
  return stack->calls[(stack->depth - 1) % TN_CALL_DEPTH];
}

/* tenon.log/1. Several threads may share a context, so the record is made under a lock; it is rare. */

static pthread_mutex_t record_lock = PTHREAD_MUTEX_INITIALIZER;

static void one_line(char *text) {
  for (; *text; text++)
    if ((unsigned char)*text < 0x20 || *text == 0x7f) *text = ' ';
}

TN_PRINTF(2, 0) static tn_status record(tn_status status, const char *format, va_list arguments) {
  tn_context *context = tn_context_current();
  pthread_mutex_lock(&record_lock);
  if (context->status == TN_OK && status != TN_OK) {
    vsnprintf(context->message, sizeof context->message, format, arguments);
    one_line(context->message);
    context->failed_in = top_call(&context->stack);
    __atomic_store_n(&context->status, status, __ATOMIC_RELEASE);
  }
  pthread_mutex_unlock(&record_lock);
  return status;
}

static bool recorded(void) {
  return __atomic_load_n(&tn_context_current()->status, __ATOMIC_ACQUIRE) != TN_OK;
}

TN_PRINTF(2, 0) static void message(int32_t level, const char *format, va_list arguments) {
  static const char *const words[] = {"debug: ", "", "warning: "};
  const tn_context *context = tn_context_current();
  tn_call call = top_call(&context->stack);
  const char *name = call.component && call.component->name ? call.component->name : "";
  const char *word = words[level < TN_LOG_DEBUG     ? TN_LOG_DEBUG
                           : level > TN_LOG_WARNING ? TN_LOG_WARNING
                                                    : level];
  char text[1024];
  vsnprintf(text, sizeof text, format, arguments);
  one_line(text);
  if (context->log) fprintf(context->log, "%s%s%s%s\n", word, name, *name ? ": " : "", text);
  if (level >= TN_LOG_WARNING && !context->quiet)
    fprintf(stderr, "%s%s%s%s\n", word, name, *name ? ": " : "", text);
}

TN_PRINTF(1, 2) static void fail_memory(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  record(TN_ERROR_MEMORY, format, arguments);
  va_end(arguments);
}

static void *allocate(size_t bytes) {
  void *memory = calloc(1, bytes ? bytes : 1);
  if (!memory) fail_memory("out of memory: %zu bytes", bytes);
  return memory;
}

static void *resize(void *memory, size_t bytes) {
  void *moved = realloc(memory, bytes ? bytes : 1);
  if (!moved) fail_memory("out of memory: %zu bytes", bytes);
  return moved;
}

const tn_log_service tn_log_table = {
    sizeof(tn_log_service), record, message, recorded, allocate, resize, free, tn_nearest};

/* The root table. */

const tn_host tn_host_table = {sizeof(tn_host), TN_ABI_MAJOR,    TN_ABI_MINOR,
                               TN_VERSION,      tn_service_find, call_stack};

/* What the expression service recorded while a default or a key was bound. */
static void take_message(char *text, size_t bytes) {
  tn_context *context = tn_context_current();
  snprintf(text, bytes, "%s", context->message);
  tn_context_clear(context);
}

static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;
static bool started;

static void connect(void) {
  tn_sdk_connect(&tn_sdk, &tn_host_table);
  tn_bind_take_message(take_message);
  started = true;
}

void tn_host_start(void) {
  pthread_mutex_lock(&start_lock);
  if (!started) connect();
  pthread_mutex_unlock(&start_lock);
}

void tn_host_register(const char *id, const void *table) {
  pthread_mutex_lock(&start_lock);
  if (tn_service_add(id, table) && started) connect();
  pthread_mutex_unlock(&start_lock);
}
