// SPDX-License-Identifier: MIT
/* The binary interface between the tenon host and a plugin.
 *
 * A plugin is a shared object that exports one constant, `tenon_plugin`. It holds component classes; a class
 * is a method (an optimizer, a loss, a stage ...) of one kind. Everything the plugin needs from the host
 * arrives as tables of functions at load time, so a plugin links against nothing of tenon's.
 *
 * Rules that keep old binaries running on new hosts:
 *  1. Every struct that crosses the boundary begins with its size, set by whoever fills it, and only ever
 * grows at its end. The reader looks at no byte past the smaller of the two sizes. A function pointer that is
 *     absent (past the end, or NULL) means the default behaviour that its comment documents.
 *  2. Kinds and services are named by ids that end in a revision ("tenon.optimizer/1"). An incompatible
 * change is a new id; the host goes on serving the old one.
 *  3. TN_ABI_MAJOR changes only if rule 1 or this header's plugin entry changes incompatibly. TN_ABI_MINOR
 * grows when something is appended. A host loads a plugin if the majors are equal and the plugin's minor is
 * not greater than its own: a plugin never finds a function missing that its SDK declares. Breaking, hence
 * forbidden within a major: removing or reordering members, changing a member's type, meaning, unit or
 * ownership, giving an enumerator another value, refusing what was accepted.
 *
 * Threads: each function says where it may be called. [main] the thread that drives the run, one at a time;
 * [any] any thread, several at once; [worker] a host worker thread inside a parallel loop: it may touch only
 * the memory it was handed.
 *
 * Strings are UTF-8, NUL-terminated, and owned by whoever made them unless a comment says otherwise. */
#ifndef TENON_ABI_H
#define TENON_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TN_ABI_MAJOR 1
#define TN_ABI_MINOR 0

#ifdef __cplusplus
#define TN_EXTERN_C extern "C"
#else
#define TN_EXTERN_C extern
#endif
#define TN_EXPORT              __attribute__((visibility("default")))
#define TN_HIDDEN              __attribute__((visibility("hidden")))
#define TN_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
#define TN_ARRAY_LENGTH(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))

/* True if `member` of the size-first struct behind `table` exists and is not NULL. */
#define TN_HAS(table, type, member) \
  ((table)->size >= offsetof(type, member) + sizeof((table)->member) && (table)->member != NULL)

/* What a function that can fail returns. The message is recorded with tn_fail() (log.h); the host adds the
 * component and the line of the pipeline file. */
typedef int32_t tn_status;
enum {
  TN_OK = 0,
  TN_DONE = 1,              /* finished, nothing more to come; not an error */
  TN_ERROR_INVALID = -1,    /* a value, a file or a combination that cannot be used */
  TN_ERROR_SHAPE = -2,      /* tensors that do not fit each other */
  TN_ERROR_MEMORY = -3,     /* out of memory */
  TN_ERROR_IO = -4,         /* reading or writing failed */
  TN_ERROR_MISSING = -5,    /* a name, function or service that is not there */
  TN_ERROR_DIVERGED = -6,   /* numbers became non-finite where they must not */
  TN_ERROR_INTERNAL = -7,   /* a broken promise: a bug in the host or in a plugin */
  TN_ERROR_INTERRUPTED = -8 /* the run was asked to stop */
};

typedef struct tn_class tn_class;
typedef struct tn_component tn_component;
typedef struct tn_host tn_host;

/* The exported symbol's type: `TN_EXPORT const tn_plugin tenon_plugin`. Use TN_PLUGIN (plugin.h). */
typedef struct tn_plugin {
  uint32_t size;                  /* sizeof(tn_plugin) */
  uint16_t abi_major, abi_minor;  /* of the SDK it was compiled with */
  const char *name;               /* [a-z0-9_]+, unique among the installed plugins */
  const char *version;            /* semantic version */
  const char *licence;            /* SPDX expression */
  const tn_class *const *classes; /* what it offers */
  uint32_t class_count;
  uint32_t reserved;                      /* 0 */
  tn_status (*load)(const tn_host *host); /* [main] once after dlopen; the host outlives the plugin */
  void (*unload)(void);                   /* [main] once before dlclose; may be NULL */
} tn_plugin;
#define TN_ENTRY_SYMBOL "tenon_plugin"

/* The call stack that the host reads when something goes wrong: which component, which function. The inline
 * wrappers of the kinds keep it; nobody else writes it. */
typedef struct tn_call {
  const tn_component *component;
  const char *function;
} tn_call;
#define TN_CALL_DEPTH 64
typedef struct tn_call_stack {
  uint32_t size;
  uint32_t depth; /* calls deeper than TN_CALL_DEPTH overwrite the last entry's slot, cyclically */
  tn_call calls[TN_CALL_DEPTH];
  /* profiler's hook, NULL unless a profile is taken: entering (true) or leaving (false) calls[depth - 1] */
  void (*hook)(struct tn_call_stack *stack, bool entering);
} tn_call_stack;

/* What a plugin gets at load time. */
struct tn_host {
  uint32_t size;
  uint16_t abi_major, abi_minor;
  const char *version; /* of the host */
  /* [any] The table of functions called `id` ("tenon.tensor/1"), or NULL. The table lives as long as the
   * host. */
  const void *(*get_service)(const char *id);
  /* [any] The calling thread's call stack. Never NULL. */
  tn_call_stack *(*call_stack)(void);
};

#endif
