// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>

#include "core/plugin/host.h"
#include "plugins/foreign/signature.h"
#include "tests/expect.h"

static foreign_signature signature;

static void start(void) {
  tn_host_start();
  tn_context_clear(tn_context_current());
}
TestSuite(signature, .init = start);

static const char *message(void) { return tn_context_current()->message; }

static const foreign_function *parse(const char *text) {
  tn_status status = foreign_signature_parse(text, &signature);
  cr_assert(status == TN_OK, "%s", message());
  return &signature.function;
}

static void expect_type(foreign_type type, foreign_class class, size_t bytes, bool pointer) {
  EXPECT_INT(type.class, class);
  EXPECT_INT(type.bytes, bytes);
  EXPECT_INT(type.pointer, pointer);
  EXPECT_INT(type.function, false);
}

Test(signature, an_objective_is_read_argument_by_argument) {
  const foreign_function *f = parse("double (int n, const double *x, void *data)");
  expect_type(f->result, FOREIGN_REAL, sizeof(double), false);
  EXPECT_INT(f->count, 3);
  EXPECT_TEXT(f->arguments[0].name, "n");
  EXPECT_INT(f->arguments[0].column, 13);
  expect_type(f->arguments[0].type, FOREIGN_SIGNED, sizeof(int), false);
  EXPECT_TEXT(f->arguments[1].name, "x");
  expect_type(f->arguments[1].type, FOREIGN_REAL, sizeof(double), true);
  EXPECT_INT(f->arguments[1].type.constant, true);
  EXPECT_TEXT(f->arguments[2].name, "data");
  expect_type(f->arguments[2].type, FOREIGN_VOID, 0, true);
}

Test(signature, every_scalar_type_of_c_has_its_class_and_size) {
  static const struct {
    const char *text;
    foreign_class class;
    size_t bytes;
  } types[] = {
      {"char", (char)-1 < 0 ? FOREIGN_SIGNED : FOREIGN_UNSIGNED, 1},
      {"signed char", FOREIGN_SIGNED, 1},
      {"unsigned char", FOREIGN_UNSIGNED, 1},
      {"short", FOREIGN_SIGNED, sizeof(short)},
      {"unsigned short int", FOREIGN_UNSIGNED, sizeof(short)},
      {"int", FOREIGN_SIGNED, sizeof(int)},
      {"signed", FOREIGN_SIGNED, sizeof(int)},
      {"unsigned", FOREIGN_UNSIGNED, sizeof(int)},
      {"long", FOREIGN_SIGNED, sizeof(long)},
      {"long int", FOREIGN_SIGNED, sizeof(long)},
      {"long unsigned int", FOREIGN_UNSIGNED, sizeof(long)},
      {"long long", FOREIGN_SIGNED, sizeof(long long)},
      {"unsigned long long", FOREIGN_UNSIGNED, sizeof(long long)},
      {"int8_t", FOREIGN_SIGNED, 1},
      {"uint16_t", FOREIGN_UNSIGNED, 2},
      {"int32_t", FOREIGN_SIGNED, 4},
      {"uint64_t", FOREIGN_UNSIGNED, 8},
      {"size_t", FOREIGN_UNSIGNED, sizeof(size_t)},
      {"ptrdiff_t", FOREIGN_SIGNED, sizeof(void *)},
      {"float", FOREIGN_REAL, sizeof(float)},
      {"double", FOREIGN_REAL, sizeof(double)},
      {"bool", FOREIGN_BOOL, sizeof(bool)},
      {"_Bool", FOREIGN_BOOL, sizeof(bool)},
  };
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    char text[128];
    snprintf(text, sizeof text, "void (%s a, const %s *b, %s const c[4])", types[i].text, types[i].text,
             types[i].text);
    const foreign_function *f = parse(text);
    expect_type(f->result, FOREIGN_VOID, 0, false);
    expect_type(f->arguments[0].type, types[i].class, types[i].bytes, false);
    expect_type(f->arguments[1].type, types[i].class, types[i].bytes, true);
    expect_type(f->arguments[2].type, types[i].class, types[i].bytes, true);
  }
}

Test(signature, prototypes_are_taken_as_they_stand_in_headers) {
  EXPECT_INT(parse("double cos(double x);")->count, 1);
  EXPECT_INT(parse("int rand(void)")->count, 0);
  EXPECT_INT(parse("int rand()")->count, 0);
  EXPECT_INT(parse("void(double*restrict y,double const*const restrict x)")->count, 2);
  EXPECT_INT(signature.function.arguments[0].type.constant, false);
  EXPECT_INT(signature.function.arguments[1].type.constant, true);
  EXPECT_TEXT(parse("double (double)")->arguments[0].name, "");
}

Test(signature, a_function_pointer_is_a_callback) {
  const foreign_function *f = parse("double minimise(double (*f)(int, const double *), int n, double *x, "
                                    "void (*g)(const float *x, float *g))");
  EXPECT_INT(f->count, 4);
  EXPECT_INT(signature.callback_count, 2);
  EXPECT_TEXT(f->arguments[0].name, "f");
  EXPECT_INT(f->arguments[0].type.function, true);
  EXPECT_INT(f->arguments[3].callback, 1);
  EXPECT_INT(signature.callbacks[0].count, 2);
  expect_type(signature.callbacks[0].result, FOREIGN_REAL, sizeof(double), false);
  expect_type(signature.callbacks[1].result, FOREIGN_VOID, 0, false);
  EXPECT_TEXT(signature.callbacks[1].arguments[1].name, "g");
  EXPECT_TEXT(parse("void (int (*)(double *))")->arguments[0].name, "");
}

Test(signature, what_cannot_be_called_is_refused_at_its_column) {
  static const char *const cases[][2] = {
      {"", "signature '': column 1: a type expected at the end"},
      {"double", "signature 'double': column 7: '(' expected at the end"},
      {"duble (int n)", "signature 'duble (int n)': column 1: unknown type 'duble'; did you mean 'double'?"},
      {"double (itn n)", "signature 'double (itn n)': column 9: unknown type 'itn'; did you mean 'int'?"},
      {"double (quux n)", "signature 'double (quux n)': column 9: unknown type 'quux'"},
      {"double (int n", "signature 'double (int n': column 14: ',' or ')' expected at the end"},
      {"double (int n,)", "signature 'double (int n,)': column 15: a type expected before ')'"},
      {"double (int n m)", "signature 'double (int n m)': column 15: ',' or ')' expected before 'm'"},
      {"double (int n) x", "signature 'double (int n) x': column 16: the end expected before 'x'"},
      {"double (struct point p)", "signature 'double (struct point p)': column 9: a struct cannot be passed; "
                                  "only numbers and pointers to "
                                  "numbers can"},
      {"union u (int n)", "signature 'union u (int n)': column 1: a union cannot be passed; only numbers and "
                          "pointers to numbers can"},
      {"int (const char *f, ...)",
       "signature 'int (const char *f, ...)': column 21: a variable number of arguments is not supported"},
      {"long double (int n)", "signature 'long double (int n)': column 1: long double is not supported"},
      {"unsigned float (int n)",
       "signature 'unsigned float (int n)': column 1: these words do not make a type"},
      {"short long f(int n)", "signature 'short long f(int n)': column 1: these words do not make a type"},
      {"double *(int n)",
       "signature 'double *(int n)': column 1: a function that returns a pointer is not supported"},
      {"double (double **x)",
       "signature 'double (double **x)': column 17: a pointer to a pointer is not supported"},
      {"double (double x[2][3])",
       "signature 'double (double x[2][3])': column 17: a pointer to a pointer is not supported"},
      {"double (void n)", "signature 'double (void n)': column 14: an argument cannot be void"},
      {"double (int n, int n)", "signature 'double (int n, int n)': column 20: two arguments are called 'n'"},
      {"double (int (*f)(int (*g)(int)))", "signature 'double (int (*f)(int (*g)(int)))': column 22: a "
                                           "function that takes a function that takes a "
                                           "function is not supported"},
      {"double (int (f)(int))", "signature 'double (int (f)(int))': column 14: '*' of a function pointer "
                                "expected before 'f'"},
      {"double (int 3)",
       "signature 'double (int 3)': column 13: a name of at most 31 letters, digits and _ expected"},
      {"double (int \xff)", "signature 'double (int ?)': column 13: ',' or ')' expected before '?'"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tn_context_clear(tn_context_current());
    cr_assert(foreign_signature_parse(cases[i][0], &signature) != TN_OK, "%s: expected a refusal",
              cases[i][0]);
    EXPECT_TEXT(message(), cases[i][1]);
    EXPECT_INT(tn_context_current()->status, TN_ERROR_INVALID);
  }
}

Test(signature, sizes_are_limited) {
  char text[4096] = "double (";
  for (int i = 0; i < 17; i++) strcat(text, i ? ", int" : "int");
  strcat(text, ")");
  cr_assert(foreign_signature_parse(text, &signature) != TN_OK);
  EXPECT_CONTAINS(message(), "more than 16 arguments");
  tn_context_clear(tn_context_current());
  memset(text, ' ', sizeof text - 1);
  text[sizeof text - 1] = 0;
  cr_assert(foreign_signature_parse(text, &signature) != TN_OK);
  EXPECT_CONTAINS(message(), "longer than 1024 bytes");
}
