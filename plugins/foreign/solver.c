// SPDX-License-Identifier: MIT
/* solver.foreign: a library's minimiser, which gets the problem as a plain C callback made by libffi. */
#include "binding.h"
#include "foreign.h"
#include "number.h"

#include <string.h>
#include <tenon/solver.h>

typedef struct solver solver;

/* A callback: one of the function pointers that the minimiser asks for. What it computes follows from its
 * arguments: the value if it returns a number or has y, the gradient if it has g. */
typedef struct callback {
  solver *owner;
  const foreign_function *function;
  uint32_t role_of[FOREIGN_ARGUMENTS];
  ffi_closure *closure;
  void *code;
  ffi_cif cif;
  ffi_type *types[FOREIGN_ARGUMENTS];
} callback;

struct solver {
  foreign_keys keys;
  int64_t calls;
  foreign_binding binding;
  callback callbacks[FOREIGN_CALLBACKS];
  /* the problem */
  const tn_component *problem;
  int64_t variables;
  const double *lower, *upper; /* NULL: none */
  char *room;                  /* for x, lower, upper as the minimiser wants them: 3 * 8 * variables */
  double *point, *gradient;    /* what a callback was given, in doubles */
  tn_status failed;            /* of an evaluation inside a callback */
  pthread_mutex_t lock;        /* the minimiser may call back from threads of its own */
  bool has_lock;
  /* progress */
  int64_t done, evaluations;
  double value;
  double *best;
  size_t best_bytes;
  bool resumed; /* progress was loaded before the problem was known */
};

enum { N, X, Y, LOWER, UPPER, F, G, DATA };
static const foreign_role roles[] = {
    [N] = {"n", FOREIGN_NUMBER},        [X] = {"x", FOREIGN_OUTPUT},        [Y] = {"y", FOREIGN_OUTPUT},
    [LOWER] = {"lower", FOREIGN_INPUT}, [UPPER] = {"upper", FOREIGN_INPUT}, [F] = {"f", FOREIGN_FUNCTION},
    [G] = {"g", FOREIGN_FUNCTION},      [DATA] = {"data", FOREIGN_POINTER},
};

/* ---- the roles of a callback's arguments ---- */

enum { CALLBACK_N, CALLBACK_X, CALLBACK_Y, CALLBACK_G, CALLBACK_DATA, CALLBACK_ROLES };
static const char *const callback_roles[] = {"n", "x", "y", "g", "data"};

static bool has_role(const callback *c, uint32_t count, uint32_t role) {
  for (uint32_t i = 0; i < count; i++)
    if (c->role_of[i] == role) return true;
  return false;
}

/* C prototypes of callbacks often leave names out; the type tells: a whole number is n, the first pointer to
 * numbers x, a later one that is not const g, a void pointer data. */
static uint32_t guess_role(const callback *c, uint32_t i) {
  foreign_type type = c->function->arguments[i].type;
  if (type.pointer && type.class == FOREIGN_VOID) return CALLBACK_DATA;
  if (!type.pointer) return type.class == FOREIGN_REAL ? CALLBACK_ROLES : CALLBACK_N;
  if (!has_role(c, i, CALLBACK_X)) return CALLBACK_X;
  return type.constant ? CALLBACK_ROLES : CALLBACK_G;
}

static const char *callback_wanted(uint32_t role, foreign_type type) {
  bool numbers = type.pointer && type.class != FOREIGN_VOID;
  if (role == CALLBACK_N) return type.pointer ? "a number" : NULL;
  if (role == CALLBACK_X) return numbers ? NULL : "a pointer, such as const double *";
  if (role == CALLBACK_DATA) return type.pointer ? NULL : "a pointer, such as void *";
  return numbers && !type.constant ? NULL : "a pointer that can be written to, such as double *";
}

static tn_status bind_callback(solver *s, uint32_t index) {
  callback *c = &s->callbacks[index];
  const char *text = s->keys.signature;
  c->owner = s;
  c->function = &s->binding.signature.callbacks[index];
  for (uint32_t i = 0; i < c->function->count; i++) {
    const foreign_argument *argument = &c->function->arguments[i];
    uint32_t role = 0;
    while (role < CALLBACK_ROLES && strcmp(callback_roles[role], argument->name) != 0) role++;
    if (!argument->name[0]) role = guess_role(c, i);
    if (role == CALLBACK_ROLES)
      return foreign_signature_fail(
          text, argument->column, "argument %u of a callback has no role; name it n, x, y, g or data", i + 1);
    const char *wanted = callback_wanted(role, argument->type);
    if (wanted)
      return foreign_signature_fail(text, argument->column, "'%s' must be %s", callback_roles[role], wanted);
    c->role_of[i] = role;
  }
  if (!has_role(c, c->function->count, CALLBACK_X))
    return foreign_signature_fail(text, 1, "a callback has no argument for the point, const double *x");
  if (c->function->result.class == FOREIGN_VOID && !has_role(c, c->function->count, CALLBACK_Y) &&
      !has_role(c, c->function->count, CALLBACK_G))
    return foreign_signature_fail(text, 1, "a callback neither returns a number nor writes to y or g");
  return TN_OK;
}

/* ---- evaluation, from inside the minimiser ---- */

static bool within_bounds(const solver *s, const double *point) {
  for (int64_t i = 0; i < s->variables; i++) {
    if (!isfinite(point[i])) return false;
    if ((s->lower && point[i] < s->lower[i]) || (s->upper && point[i] > s->upper[i])) return false;
  }
  return true;
}

/* The value at s->point, and its gradient in s->gradient if it is wanted. Infinite outside the bounds, and
 * after an evaluation has failed: nothing can stop a minimiser but its own criteria. */
static double evaluate(solver *s, bool with_gradient) {
  const tn_problem *problem = s->problem->vtable;
  double value = INFINITY;
  for (int64_t i = 0; with_gradient && i < s->variables; i++) s->gradient[i] = 0;
  if (s->failed != TN_OK || !within_bounds(s, s->point)) return value;
  tn_call_stack *stack = tn_enter(s->problem, with_gradient ? "gradient" : "evaluate");
  s->failed = with_gradient ? problem->gradient(s->problem->self, s->point, s->gradient, &value)
                            : problem->evaluate(s->problem->self, s->point, 1, &value);
  tn_leave(stack);
  s->evaluations++;
  if (s->failed != TN_OK) return INFINITY;
  if (value < s->value) {
    s->value = value;
    memcpy(s->best, s->point, s->best_bytes);
  }
  return value;
}

static void return_number(foreign_type type, double value, void *place) {
  if (type.class == FOREIGN_VOID) return;
  if (type.class == FOREIGN_REAL) {
    foreign_write(type, value, place);
    return;
  }
  *(ffi_arg *)place = 0; // a code: success
}

/* libffi calls this for a callback: `arguments` point to the values of its arguments. */
static void serve(ffi_cif *cif, void *result, void **arguments, void *user) {
  callback *c = user;
  solver *s = c->owner;
  (void)cif;
  void *pointer[CALLBACK_ROLES] = {NULL};
  foreign_type type[CALLBACK_ROLES] = {{0}};
  for (uint32_t i = 0; i < c->function->count; i++) {
    if (!c->function->arguments[i].type.pointer) continue;
    pointer[c->role_of[i]] = *(void **)arguments[i];
    type[c->role_of[i]] = c->function->arguments[i].type;
  }
  pthread_mutex_lock(&s->lock);
  double value = INFINITY;
  if (pointer[CALLBACK_X]) {
    foreign_read_all(type[CALLBACK_X], pointer[CALLBACK_X], (size_t)s->variables, s->point);
    value = evaluate(s, pointer[CALLBACK_G] != NULL);
  }
  if (pointer[CALLBACK_G])
    foreign_write_all(type[CALLBACK_G], s->gradient, (size_t)s->variables, pointer[CALLBACK_G]);
  if (pointer[CALLBACK_Y]) foreign_write(type[CALLBACK_Y], value, pointer[CALLBACK_Y]);
  pthread_mutex_unlock(&s->lock);
  return_number(c->function->result, value, result);
}

static tn_status make_closure(callback *c) {
  c->closure = ffi_closure_alloc(sizeof *c->closure, &c->code);
  if (!c->closure) return tn_fail(TN_ERROR_MEMORY, "libffi has no memory for a callback");
  if (!foreign_prepare(c->function, &c->cif, c->types) ||
      ffi_prep_closure_loc(c->closure, &c->cif, serve, c, c->code) != FFI_OK)
    return tn_fail(TN_ERROR_INVALID, "libffi cannot make this callback");
  return TN_OK;
}

/* ---- life ---- */

static tn_status create(void *self) {
  solver *s = self;
  tn_status status = foreign_signature_parse(s->keys.signature, &s->binding.signature);
  if (status != TN_OK) return status;
  foreign_signature *signature = &s->binding.signature;
  if (signature->callback_count == 1) // without a name it can only be the objective
    for (uint32_t i = 0; i < signature->function.count; i++) {
      foreign_argument *argument = &signature->function.arguments[i];
      if (argument->type.function && !argument->name[0]) strcpy(argument->name, "f");
    }
  status = foreign_bind(&s->binding, &s->keys, roles, TN_ARRAY_LENGTH(roles), false);
  if (status != TN_OK) return status;
  if (!foreign_plays(&s->binding, F) || !foreign_plays(&s->binding, X))
    return foreign_signature_fail(s->keys.signature, 1,
                                  "a solver takes at least a function f and a point double *x");
  for (uint32_t i = 0; i < signature->callback_count && status == TN_OK; i++) {
    status = bind_callback(s, i);
    if (status == TN_OK) status = make_closure(&s->callbacks[i]);
  }
  if (status != TN_OK) return status;
  s->has_lock = pthread_mutex_init(&s->lock, NULL) == 0;
  s->value = INFINITY;
  return s->has_lock ? TN_OK : tn_fail(TN_ERROR_MEMORY, "no lock for '%s'", s->keys.symbol);
}

static void forget_problem(solver *s) {
  tn_free(s->room);
  tn_free(s->point);
  tn_free(s->gradient);
  s->room = NULL;
  s->point = s->gradient = NULL;
}

static void destroy(void *self) {
  solver *s = self;
  foreign_unbind(&s->binding);
  for (uint32_t i = 0; i < FOREIGN_CALLBACKS; i++)
    if (s->callbacks[i].closure) ffi_closure_free(s->callbacks[i].closure);
  if (s->has_lock) pthread_mutex_destroy(&s->lock);
  forget_problem(s);
  tn_free(s->best);
}

/* ---- solving ---- */

static tn_status check_problem(const solver *s, const tn_component *problem, const tn_problem_info *info) {
  const tn_problem *table = problem->vtable;
  if (info->variables < 1 || !TN_HAS(table, tn_problem, evaluate))
    return tn_fail(TN_ERROR_INVALID, "%s is not a problem over a vector of numbers", problem->name);
  if (info->objectives != 1 || info->constraints > 0)
    return tn_fail(TN_ERROR_INVALID, "%s has %u objectives and %lld constraints; one and none are needed",
                   problem->name, info->objectives, (long long)info->constraints);
  bool gradient = false;
  for (uint32_t i = 0; i < s->binding.signature.callback_count; i++)
    gradient |= has_role(&s->callbacks[i], s->callbacks[i].function->count, CALLBACK_G);
  if (gradient && !TN_HAS(table, tn_problem, gradient))
    return tn_fail(TN_ERROR_INVALID, "%s has no gradient, which '%s' asks for", problem->name,
                   s->keys.symbol);
  for (uint32_t role = LOWER; role <= UPPER; role++)
    if (foreign_plays(&s->binding, role) && !(role == LOWER ? info->lower : info->upper))
      return tn_fail(TN_ERROR_INVALID, "%s has no bound '%s', which '%s' asks for", problem->name,
                     roles[role].name, s->keys.symbol);
  return TN_OK;
}

/* Where to start: what the problem says, else the middle of its bounds, else zeros. */
static tn_status find_start(solver *s) {
  const tn_problem *table = s->problem->vtable;
  if (TN_HAS(table, tn_problem, start)) {
    tn_rng rng = tn_rng_at("solver.foreign", "start", 0);
    tn_call_stack *stack = tn_enter(s->problem, "start");
    tn_status status = table->start(s->problem->self, s->best, &rng);
    tn_leave(stack);
    return status;
  }
  for (int64_t i = 0; i < s->variables; i++) {
    bool bounded = s->lower && s->upper && isfinite(s->lower[i]) && isfinite(s->upper[i]);
    s->best[i] = bounded ? s->lower[i] + (s->upper[i] - s->lower[i]) / 2 : 0;
  }
  return TN_OK;
}

static tn_status begin(void *self, const tn_component *problem) {
  solver *s = self;
  tn_problem_info info = {.size = sizeof info, .optimum = NAN};
  tn_call_stack *stack = tn_enter(problem, "describe");
  tn_status status = ((const tn_problem *)problem->vtable)->describe(problem->self, &info);
  tn_leave(stack);
  if (status == TN_OK) status = check_problem(s, problem, &info);
  if (status != TN_OK) return status;
  forget_problem(s);
  size_t bytes = (size_t)info.variables * sizeof(double);
  s->problem = problem;
  s->variables = info.variables;
  s->lower = info.lower;
  s->upper = info.upper;
  s->room = tn_alloc(4 * bytes);
  s->point = tn_alloc(bytes);
  s->gradient = tn_alloc(bytes);
  s->failed = TN_OK;
  if (!s->room || !s->point || !s->gradient) return TN_ERROR_MEMORY;
  bool resumed = s->resumed && s->best_bytes == bytes;
  s->resumed = false;
  if (resumed) return TN_OK;
  tn_free(s->best);
  s->best = tn_alloc(bytes);
  s->best_bytes = s->best ? bytes : 0;
  s->done = s->evaluations = 0;
  s->value = INFINITY;
  return s->best ? find_start(s) : TN_ERROR_MEMORY;
}

/* The minimiser's arguments, with `numbers` (may be NULL) for a role that is a pointer to numbers. */
static tn_status pack(const solver *s, uint32_t role, const double *numbers, foreign_value *values) {
  const foreign_argument *argument = foreign_plays(&s->binding, role);
  char *place = s->room + (size_t)(role - X) * s->best_bytes;
  values[role].pointer = place;
  if (!argument || !numbers) return TN_OK;
  if (foreign_write_all(argument->type, numbers, (size_t)s->variables, place)) return TN_OK;
  return tn_fail(TN_ERROR_INVALID, "'%s' does not fit the type in '%s'", roles[role].name, s->keys.signature);
}

static void *code_of(const solver *s, uint32_t role) {
  const foreign_argument *argument = foreign_plays(&s->binding, role);
  return argument ? s->callbacks[argument->callback].code : NULL;
}

/* One call of the minimiser, from the best point so far. */
static tn_status step(void *self, tn_solver_status *status) {
  solver *s = self;
  if (!s->problem) return tn_fail(TN_ERROR_INTERNAL, "step before begin");
  foreign_value values[TN_ARRAY_LENGTH(roles)] = {[N] = {.number = (double)s->variables}};
  tn_status result = pack(s, X, s->best, values);
  if (result == TN_OK) result = pack(s, Y, NULL, values);
  if (result == TN_OK) result = pack(s, LOWER, s->lower, values);
  if (result == TN_OK) result = pack(s, UPPER, s->upper, values);
  if (result != TN_OK) return result;
  values[F].pointer = code_of(s, F);
  values[G].pointer = code_of(s, G);
  values[DATA].pointer = NULL;
  double ignored;
  result = foreign_call(&s->binding, values, &ignored);
  if (result != TN_OK) return result;
  // the point it leaves may be one that it never asked about
  foreign_read_all(foreign_plays(&s->binding, X)->type, values[X].pointer, (size_t)s->variables, s->point);
  evaluate(s, false);
  if (s->failed != TN_OK) return s->failed;
  s->done++;
  status->iterations = s->done;
  status->evaluations = s->evaluations;
  status->value = s->value;
  status->bound = -INFINITY;
  return s->done >= s->calls ? TN_DONE : TN_OK;
}

static tn_status best(void *self, double *point) {
  const solver *s = self;
  if (!s->best) return tn_fail(TN_ERROR_INVALID, "no problem has been begun");
  memcpy(point, s->best, s->best_bytes);
  return TN_OK;
}

static tn_status state(void *self, const tn_visitor *visitor) {
  solver *s = self;
  size_t expected = s->best_bytes;
  tn_visit_integer(visitor, "calls", &s->done);
  tn_visit_integer(visitor, "evaluations", &s->evaluations);
  tn_visit_real(visitor, "value", &s->value);
  void *block = s->best;
  tn_visit_block(visitor, "best", &block, &s->best_bytes);
  s->best = block;
  s->resumed = visitor->loading && !s->problem;
  if (visitor->loading && s->problem && s->best_bytes != expected)
    return tn_fail(TN_ERROR_INVALID, "the saved point has %zu bytes, the problem's %zu", s->best_bytes,
                   expected);
  return TN_OK;
}

static const tn_solver vtable = {.size = sizeof vtable, .begin = begin, .step = step, .best = best};
static const tn_param params[] = {
    FOREIGN_KEYS(solver),
    TN_INTEGER(solver, calls, "1", 1, 1e9, NULL,
               "how often to call it, each time from the best point so far"),
};
const tn_class foreign_solver_class = {
    .size = sizeof(tn_class),
    .kind = TN_SOLVER,
    .name = "foreign",
    .summary = "Minimiser of any shared library, fed with the problem as a C callback",
    .reference = "libffi, https://sourceware.org/libffi",
    TN_CLASS_PARAMS(params),
    .instance_size = sizeof(solver),
    .vtable = &vtable,
    .create = create,
    .destroy = destroy,
    .state = state,
};
