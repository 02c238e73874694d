// SPDX-License-Identifier: MIT
/* A function of a shared library, found by name and called by roles.
 *
 * An argument gets its value from its name: a role that the component plays ("x", the point; "step" ...), or
 * an entry `name = formula` of the key `arguments`, where formulas are made of numbers and of those roles
 * that are numbers. */
#ifndef TENON_FOREIGN_BINDING_H
#define TENON_FOREIGN_BINDING_H

#include "signature.h"
#include <ffi.h>
#include <pthread.h>
#include <tenon/plugin.h>

/* The keys that every foreign component has, as a member `keys` of its instance. */
typedef struct foreign_keys {
  const char *library, *symbol, *signature, *arguments;
} foreign_keys;
#define FOREIGN_KEY_(s, f, type, flags, doc) \
  { #f, type, flags, offsetof(s, keys.f), NULL, -INFINITY, INFINITY, NULL, NULL, NULL, doc }
#define FOREIGN_KEYS(s)                                                                                   \
  FOREIGN_KEY_(s, library, TN_PARAM_PATH, TN_PARAM_REQUIRED,                                              \
               "shared library: a file, or a name that the system's linker knows (libm.so.6)"),           \
      FOREIGN_KEY_(s, symbol, TN_PARAM_STRING, TN_PARAM_REQUIRED, "name of the function in the library"), \
      FOREIGN_KEY_(s, signature, TN_PARAM_STRING, TN_PARAM_REQUIRED,                                      \
                   "its C prototype, whose argument names say what is passed"),                           \
      FOREIGN_KEY_(s, arguments, TN_PARAM_STRING, 0,                                                      \
                   "values of further arguments: name = formula, name = formula ...")

typedef enum foreign_shape {
  FOREIGN_NUMBER,  /* by value */
  FOREIGN_INPUT,   /* pointer to numbers that are read */
  FOREIGN_OUTPUT,  /* pointer to numbers that are written */
  FOREIGN_POINTER, /* any pointer */
  FOREIGN_FUNCTION /* function pointer */
} foreign_shape;

typedef struct foreign_role {
  const char *name;
  foreign_shape shape;
} foreign_role;
#define FOREIGN_ROLES (FOREIGN_ARGUMENTS + 8u)

/* What a role stands for in one call. */
typedef union foreign_value {
  double number;
  void *pointer;
} foreign_value;

typedef struct foreign_binding {
  foreign_signature signature;
  const foreign_role *roles;
  uint32_t role_count;
  uint32_t role_of[FOREIGN_ARGUMENTS];       /* of each argument */
  tn_expression *formula[FOREIGN_ARGUMENTS]; /* or its formula, over all number roles */
  void *library;
  const char *library_name; /* as it was found: a file, or a name for the linker */
  void (*address)(void);
  ffi_cif cif;
  ffi_type *types[FOREIGN_ARGUMENTS];
  bool locked; /* one call at a time */
  bool has_lock;
  pthread_mutex_t lock;
} foreign_binding;

/* Loads, finds, checks and prepares for `keys`, whose signature has been parsed into binding->signature. The
 * roles and keys must live as long as the binding; a zeroed binding may be closed. [main] */
TN_HIDDEN tn_status foreign_bind(foreign_binding *binding, const foreign_keys *keys,
                                 const foreign_role *roles, uint32_t role_count, bool locked);
TN_HIDDEN void foreign_unbind(foreign_binding *binding);

/* The argument that plays a role, or NULL. */
TN_HIDDEN const foreign_argument *foreign_plays(const foreign_binding *binding, uint32_t role);

/* Calls with the roles' values; the returned number, if it returns one, goes to *result. [any] */
TN_HIDDEN tn_status foreign_call(foreign_binding *binding, const foreign_value *values, double *result);

/* libffi's name of a type; the cif of a whole function. */
TN_HIDDEN ffi_type *foreign_ffi_type(foreign_type type);
TN_HIDDEN bool foreign_prepare(const foreign_function *function, ffi_cif *cif, ffi_type **types);

#endif
