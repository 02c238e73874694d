// SPDX-License-Identifier: MIT
#include "binding.h"

#include "number.h"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { FOREIGN_SYMBOL = 64 }; // longer names get no suggestion

/* ---- the library ---- */

/* dlerror's text on one line, without the path that it begins with. */
static const char *loader_error(const char *path) {
  const char *text = dlerror();
  if (!text) return "unknown error";
  size_t length = strlen(path);
  return strncmp(text, path, length) == 0 && text[length] == ':'
             ? text + length + 1 + (text[length + 1] == ' ')
             : text;
}

/* A file, if there is one; else what the linker finds under the last part of its name. Running the code of a
 * file that anybody can change is refused, as it is for plugins. */
static tn_status open_library(foreign_binding *binding, const char *path) {
  struct stat file;
  binding->library_name = path;
  if (stat(path, &file) == 0) {
    if (file.st_mode & S_IWOTH)
      return tn_fail(TN_ERROR_INVALID, "library '%s': everybody can write to it; refused", path);
    binding->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    return binding->library ? TN_OK : tn_fail(TN_ERROR_INVALID, "library '%s': %s", path, loader_error(path));
  }
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  binding->library = *name ? dlopen(name, RTLD_NOW | RTLD_LOCAL) : NULL;
  binding->library_name = name;
  if (binding->library) return TN_OK;
  return tn_fail(TN_ERROR_MISSING, "library '%s': no such file, and the system's linker does not know '%s'",
                 path, name);
}

/* A symbol of the library that differs from `name` by one slip: neighbours swapped, a character too many, a
 * wrong one or one too few. Asking the linker needs no knowledge of file formats. */
static bool find_similar(void *library, const char *name, char *similar) {
  static const char characters[] = "abcdefghijklmnopqrstuvwxyz_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  size_t n = strlen(name);
  if (n < 2 || n + 2 > FOREIGN_SYMBOL) return false;
  for (size_t i = 0; i + 1 < n; i++) {
    memcpy(similar, name, n + 1);
    similar[i] = name[i + 1];
    similar[i + 1] = name[i];
    if (dlsym(library, similar)) return true;
  }
  for (size_t i = 0; i < n; i++) {
    memcpy(similar, name, i);
    memcpy(similar + i, name + i + 1, n - i);
    if (dlsym(library, similar)) return true;
  }
  for (size_t i = 0; i <= n; i++)
    for (const char *c = characters; *c; c++) {
      memcpy(similar, name, n + 1);
      similar[i] = *c;
      if (i < n && dlsym(library, similar)) return true;
      memcpy(similar + i + 1, name + i, n - i + 1);
      if (dlsym(library, similar)) return true;
    }
  return false;
}

static tn_status find_symbol(foreign_binding *binding, const foreign_keys *keys) {
  void *symbol = dlsym(binding->library, keys->symbol);
  if (!symbol) {
    char similar[FOREIGN_SYMBOL];
    bool found = find_similar(binding->library, keys->symbol, similar);
    return tn_fail(TN_ERROR_MISSING, "library '%s' has no function '%s'%s%s%s", binding->library_name,
                   keys->symbol, found ? "; did you mean '" : "", found ? similar : "", found ? "'?" : "");
  }
  memcpy(&binding->address, &symbol, sizeof symbol); // POSIX: object and function pointers are alike
  return TN_OK;
}

/* ---- values of arguments by formula ---- */

static const char *skip_blanks(const char *c) {
  while (*c == ' ' || *c == '\t' || *c == '\n' || *c == '\r') c++;
  return c;
}

/* "step|steps|t": the roles a formula may use. */
static void number_roles(const foreign_binding *binding, char *names, size_t bytes) {
  names[0] = 0;
  for (uint32_t i = 0; i < binding->role_count; i++) {
    if (binding->roles[i].shape != FOREIGN_NUMBER) continue;
    size_t used = strlen(names);
    snprintf(names + used, bytes - used, "%s%s", used ? "|" : "", binding->roles[i].name);
  }
}

static tn_status fail_entry(const foreign_binding *binding, const char *name) {
  const char *candidates[FOREIGN_ARGUMENTS];
  for (uint32_t i = 0; i < binding->signature.function.count; i++)
    candidates[i] = binding->signature.function.arguments[i].name;
  const char *nearest = tn_nearest_name(name, candidates, binding->signature.function.count);
  return tn_fail(TN_ERROR_INVALID, "arguments: the signature has no argument '%s'%s%s%s", name,
                 nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

/* One entry, "name = formula". */
static tn_status bind_entry(foreign_binding *binding, const char *entry, size_t length) {
  char text[FOREIGN_BYTES], name[FOREIGN_NAME], roles[FOREIGN_ROLES * FOREIGN_NAME];
  snprintf(text, sizeof text, "%.*s", (int)length, entry);
  size_t n = strcspn(text, "= \t\r\n");
  const char *equals = skip_blanks(text + n);
  if (n == 0 || n >= sizeof name || *equals != '=' || !*skip_blanks(equals + 1))
    return tn_fail(TN_ERROR_INVALID, "arguments: 'name = value' expected instead of '%s'", text);
  memcpy(name, text, n);
  name[n] = 0;
  const foreign_function *function = &binding->signature.function;
  uint32_t i = 0;
  while (i < function->count && strcmp(function->arguments[i].name, name) != 0) i++;
  if (i == function->count) return fail_entry(binding, name);
  if (function->arguments[i].type.pointer)
    return tn_fail(TN_ERROR_INVALID, "arguments: '%s' is a pointer; only numbers can be given", name);
  if (binding->formula[i]) return tn_fail(TN_ERROR_INVALID, "arguments: '%s' is given twice", name);
  number_roles(binding, roles, sizeof roles);
  binding->formula[i] = tn_expression_compile(skip_blanks(equals + 1), roles);
  return binding->formula[i] ? TN_OK : TN_ERROR_INVALID;
}

/* Entries are separated by commas that are not inside parentheses. */
static tn_status bind_entries(foreign_binding *binding, const char *text) {
  if (!text) return TN_OK;
  if (strlen(text) >= FOREIGN_BYTES)
    return tn_fail(TN_ERROR_INVALID, "arguments: longer than %u bytes", FOREIGN_BYTES - 1);
  for (text = skip_blanks(text); *text;) {
    size_t length = 0;
    for (int depth = 0; text[length] && (text[length] != ',' || depth > 0); length++)
      depth += (text[length] == '(') - (text[length] == ')');
    tn_status status = bind_entry(binding, text, length);
    if (status != TN_OK) return status;
    text = text[length] ? skip_blanks(text + length + 1) : text + length;
  }
  return TN_OK;
}

/* ---- roles ---- */

static tn_status fail_role(const foreign_binding *binding, const char *signature,
                           const foreign_argument *argument) {
  const char *candidates[FOREIGN_ROLES], *name = argument->name;
  char known[256] = "";
  for (uint32_t i = 0; i < binding->role_count; i++) {
    size_t used = strlen(known);
    candidates[i] = binding->roles[i].name;
    snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", candidates[i]);
  }
  if (!*name)
    return foreign_signature_fail(signature, argument->column, "this argument needs a name; known are %s",
                                  known);
  const char *nearest = tn_nearest_name(name, candidates, binding->role_count);
  if (nearest)
    return foreign_signature_fail(signature, argument->column, "'%s' has no role; did you mean '%s'?", name,
                                  nearest);
  if (argument->type.pointer)
    return foreign_signature_fail(signature, argument->column, "'%s' has no role; known are %s", name, known);
  return foreign_signature_fail(
      signature, argument->column,
      "'%s' has no role (known are %s): name another, or give its value with arguments = %s = ...", name,
      known, name);
}

/* What an argument of this shape must look like; NULL if it does. */
static const char *shape_wanted(foreign_shape shape, foreign_type type) {
  bool numbers = type.pointer && !type.function && type.class != FOREIGN_VOID;
  switch (shape) {
  case FOREIGN_NUMBER: return type.pointer ? "a number, not a pointer" : NULL;
  case FOREIGN_INPUT: return numbers ? NULL : "a pointer to numbers, such as const double *";
  case FOREIGN_OUTPUT:
    if (numbers && type.constant) return "written to, so it cannot be const";
    return numbers ? NULL : "a pointer to numbers, such as double *";
  case FOREIGN_POINTER: return type.pointer && !type.function ? NULL : "a pointer, such as void *";
  case FOREIGN_FUNCTION:
    return type.function ? NULL : "a function, such as double (*f)(int n, const double *x)";
  }
  return NULL;
}

static tn_status bind_roles(foreign_binding *binding, const char *signature) {
  const foreign_function *function = &binding->signature.function;
  for (uint32_t i = 0; i < function->count; i++) {
    const foreign_argument *argument = &function->arguments[i];
    if (binding->formula[i]) {
      binding->role_of[i] = binding->role_count;
      continue;
    }
    uint32_t role = 0;
    while (role < binding->role_count && strcmp(binding->roles[role].name, argument->name) != 0) role++;
    if (role == binding->role_count) return fail_role(binding, signature, argument);
    const char *wanted = shape_wanted(binding->roles[role].shape, argument->type);
    if (wanted)
      return foreign_signature_fail(signature, argument->column, "'%s' must be %s", argument->name, wanted);
    binding->role_of[i] = role;
  }
  return TN_OK;
}

const foreign_argument *foreign_plays(const foreign_binding *binding, uint32_t role) {
  for (uint32_t i = 0; i < binding->signature.function.count; i++)
    if (binding->role_of[i] == role) return &binding->signature.function.arguments[i];
  return NULL;
}

/* ---- calls ---- */

ffi_type *foreign_ffi_type(foreign_type type) {
  static ffi_type *const wholes[2][9] = {
      {[1] = &ffi_type_uint8, [2] = &ffi_type_uint16, [4] = &ffi_type_uint32, [8] = &ffi_type_uint64},
      {[1] = &ffi_type_sint8, [2] = &ffi_type_sint16, [4] = &ffi_type_sint32, [8] = &ffi_type_sint64}};
  if (type.pointer) return &ffi_type_pointer;
  if (type.class == FOREIGN_VOID) return &ffi_type_void;
  if (type.class == FOREIGN_REAL) return type.bytes == sizeof(float) ? &ffi_type_float : &ffi_type_double;
  return wholes[type.class == FOREIGN_SIGNED][type.bytes];
}

bool foreign_prepare(const foreign_function *function, ffi_cif *cif, ffi_type **types) {
  for (uint32_t i = 0; i < function->count; i++) types[i] = foreign_ffi_type(function->arguments[i].type);
  return ffi_prep_cif(cif, FFI_DEFAULT_ABI, function->count, foreign_ffi_type(function->result), types) ==
         FFI_OK;
}

tn_status foreign_bind(foreign_binding *binding, const foreign_keys *keys, const foreign_role *roles,
                       uint32_t role_count, bool locked) {
  binding->roles = roles;
  binding->role_count = role_count;
  binding->locked = locked;
  tn_status status = bind_entries(binding, keys->arguments);
  if (status == TN_OK) status = bind_roles(binding, keys->signature);
  if (status == TN_OK) status = open_library(binding, keys->library);
  if (status == TN_OK) status = find_symbol(binding, keys);
  if (status != TN_OK) return status;
  if (!foreign_prepare(&binding->signature.function, &binding->cif, binding->types))
    return tn_fail(TN_ERROR_INVALID, "libffi cannot call '%s' as '%s'", keys->symbol, keys->signature);
  binding->has_lock = pthread_mutex_init(&binding->lock, NULL) == 0;
  return binding->has_lock ? TN_OK : tn_fail(TN_ERROR_MEMORY, "no lock for '%s'", keys->symbol);
}

void foreign_unbind(foreign_binding *binding) {
  for (uint32_t i = 0; i < FOREIGN_ARGUMENTS; i++)
    if (binding->formula[i]) tn_expression_release(binding->formula[i]);
  if (binding->library) dlclose(binding->library);
  if (binding->has_lock) pthread_mutex_destroy(&binding->lock);
  *binding = (foreign_binding){0};
}

/* An argument by value, in its C type. */
typedef union cell {
  int64_t whole;
  double real;
  void *pointer;
} cell;

static tn_status fill(const foreign_binding *binding, uint32_t i, const foreign_value *values,
                      const double *numbers, cell *place) {
  const foreign_argument *argument = &binding->signature.function.arguments[i];
  if (!binding->formula[i] && argument->type.pointer) {
    place->pointer = values[binding->role_of[i]].pointer;
    return TN_OK;
  }
  double number = binding->formula[i] ? tn_expression_evaluate(binding->formula[i], numbers)
                                      : values[binding->role_of[i]].number;
  if (foreign_write(argument->type, number, place)) return TN_OK;
  return tn_fail(TN_ERROR_INVALID, "argument '%s' cannot hold %.17g", argument->name, number);
}

/* libffi returns whole numbers narrower than a register as a register. */
static double returned(foreign_type type, const void *place) {
  if (type.class == FOREIGN_BOOL) return (*(const ffi_arg *)place & 0xff) != 0;
  if (type.class == FOREIGN_SIGNED && type.bytes < sizeof(ffi_arg)) return (double)*(const ffi_sarg *)place;
  if (type.class == FOREIGN_UNSIGNED && type.bytes < sizeof(ffi_arg)) return (double)*(const ffi_arg *)place;
  return foreign_read(type, place);
}

tn_status foreign_call(foreign_binding *binding, const foreign_value *values, double *result) {
  cell cells[FOREIGN_ARGUMENTS];
  void *places[FOREIGN_ARGUMENTS];
  double numbers[FOREIGN_ROLES];
  uint32_t number_count = 0;
  for (uint32_t i = 0; i < binding->role_count; i++)
    if (binding->roles[i].shape == FOREIGN_NUMBER) numbers[number_count++] = values[i].number;
  for (uint32_t i = 0; i < binding->signature.function.count; i++) {
    places[i] = &cells[i];
    tn_status status = fill(binding, i, values, numbers, &cells[i]);
    if (status != TN_OK) return status;
  }
  union {
    ffi_arg whole;
    float single;
    double real;
    int64_t wide;
  } returns = {0};
  if (binding->locked) pthread_mutex_lock(&binding->lock);
  ffi_call(&binding->cif, binding->address, &returns, places);
  if (binding->locked) pthread_mutex_unlock(&binding->lock);
  *result = returned(binding->signature.function.result, &returns);
  return TN_OK;
}
