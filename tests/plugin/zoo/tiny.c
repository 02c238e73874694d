// SPDX-License-Identifier: MIT
/* A plugin with one optimizer, and every way of being wrong. Compiled by the tests with -DNAME=... and a
 * fault: MAJOR, MINOR, PLUGIN, PLUGIN_SIZE, CLASS_SIZE, PARAM_SIZE, VTABLE_SIZE, KIND, NO_STEP, TWICE,
 * BAD_DEFAULT, LIE, LOAD_FAILS, NO_SYMBOL, CRASH, EXIT, NOISE. */
#include <stdio.h>
#include <stdlib.h>
#include <tenon/optimizer.h>
#include <unistd.h>

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)
#ifndef PLUGIN
#define PLUGIN NAME
#endif
#ifndef MAJOR
#define MAJOR TN_ABI_MAJOR
#endif
#ifndef MINOR
#define MINOR TN_ABI_MINOR
#endif
#ifndef PLUGIN_SIZE
#define PLUGIN_SIZE sizeof(tn_plugin)
#endif
#ifndef CLASS_SIZE
#define CLASS_SIZE sizeof(tn_class)
#endif
#ifndef PARAM_SIZE
#define PARAM_SIZE sizeof(tn_param)
#endif
#ifndef VTABLE_SIZE
#define VTABLE_SIZE sizeof(tn_optimizer)
#endif
#ifndef KIND
#define KIND TN_OPTIMIZER
#endif
#ifdef BAD_DEFAULT
#define DEFAULT "fast"
#else
#define DEFAULT "0.1"
#endif

#ifdef CRASH
__attribute__((constructor)) static void crash(void) { *(volatile int *)16 = 1; }
#endif
#ifdef EXIT
__attribute__((constructor)) static void leave(void) { _exit(7); }
#endif
#ifdef NOISE
__attribute__((constructor)) static void shout(void) { puts("noise from a constructor"), fflush(stdout); }
#endif

TN_HIDDEN tn_sdk_tables tn_sdk;

typedef struct tiny {
  double lr;
} tiny;
static const tn_param params[] = {TN_REAL(tiny, lr, DEFAULT, 0, 1, "learning rate")};

static tn_status begin(void *self, const tn_params *set) {
  (void)self, (void)set;
  return TN_OK;
}
static tn_status step(void *self, const tn_optimizer_step *s) {
  (void)self, (void)s;
  return TN_OK;
}
static const tn_optimizer table = {.size = VTABLE_SIZE,
                                   .begin = begin,
#ifndef NO_STEP
                                   .step = step
#endif
};
#ifdef LIE
static const tn_class cls = {.size = sizeof(tn_class), .kind = (const char *)16, .name = TEXT(NAME)};
#else
static const tn_class cls = {.size = CLASS_SIZE,
                             .kind = KIND,
                             .name = TEXT(NAME),
                             .summary = "tiny " TEXT(NAME),
                             .params = params,
                             .param_count = 1,
                             .param_size = PARAM_SIZE,
                             .instance_size = sizeof(tiny),
                             .vtable = &table};
#endif
static const tn_class *const classes[] = {&cls,
#ifdef TWICE
                                          &cls
#endif
};

/* How often load and unload ran, for everybody to read: in the environment. */
static void count(const char *name) {
  const char *old = getenv(name);
  char text[16];
  snprintf(text, sizeof text, "%d", (old ? atoi(old) : 0) + 1);
  setenv(name, text, 1);
}
static tn_status load(const tn_host *host) {
  tn_sdk_connect(&tn_sdk, host);
#ifdef LOAD_FAILS
  return tn_fail(TN_ERROR_MISSING, "no licence server");
#endif
  count("TENON_TEST_LOADS");
  return TN_OK;
}
static void unload(void) { count("TENON_TEST_UNLOADS"); }

#ifndef NO_SYMBOL
TN_EXTERN_C TN_EXPORT const tn_plugin tenon_plugin;
const tn_plugin tenon_plugin = {PLUGIN_SIZE, MAJOR, MINOR,   TEXT(PLUGIN),
                                "1.2.3",     "MIT", classes, TN_ARRAY_LENGTH(classes),
                                0,           load,  unload};
#endif
