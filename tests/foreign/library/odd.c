// SPDX-License-Identifier: MIT
/* Functions with every kind of argument and result, for tests/foreign. */
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* sum of whole numbers of all widths, signs included, in one call */
double mixed(int8_t a, uint8_t b, int16_t c, uint16_t d, int32_t e, uint32_t f, int64_t g, uint64_t h,
             float i, double j, bool k, char l, size_t m, unsigned long long o) {
  return (double)a + b + c + d + e + (double)f + (double)g + (double)h + (double)i + j + k + l + (double)m +
         (double)o;
}
signed char narrow_negative(void) { return -5; }
unsigned char narrow_positive(void) { return 250; }
short short_negative(void) { return -300; }
bool yes(void) { return true; }
float single(float t) { return t / 2; }
int64_t wide(void) { return -((int64_t)1 << 40); }
double not_finite(void) { return NAN; }
double negative(void) { return -1; }

/* NLopt's form: value and, if grad is not NULL, gradient; sum (x - i)^2 */
double nlopt_form(unsigned n, const double *x, double *grad, void *data) {
  double sum = data ? NAN : 0;
  for (unsigned i = 0; i < n; i++) {
    double d = x[i] - i;
    sum += d * d;
    if (grad) grad[i] = 2 * d;
  }
  return sum;
}
/* two objectives and a constraint, in single precision, and a point that it spoils */
void three(float *x, int n, float *y, int m) {
  y[0] = x[0];
  y[1] = x[n - 1];
  y[2] = (float)m;
  x[0] = -1;
}
int on_grid(const int32_t *x, long n) { return (int)(x[0] * n); }

/* Steepest descent with a callback of its own kind: value through a pointer, gradient, data, floats. */
int descend(void (*f)(const float *x, int n, float *y, float *g, void *data), int n, float *x,
            long iterations, void *data, const double *lower, const double *upper) {
  float g[16], y;
  for (long k = 0; k < iterations; k++) {
    f(x, n, &y, g, data);
    for (int i = 0; i < n; i++) x[i] = fminf(fmaxf(x[i] - 0.25f * g[i], (float)lower[i]), (float)upper[i]);
  }
  return 0;
}
/* Asks outside the bounds, then leaves a point it never asked about. */
double careless(double (*f)(int, const double *), int n, double *x) {
  x[0] = 1e6;
  double outside = f(n, x);
  for (int i = 0; i < n; i++) x[i] = i;
  return outside;
}
/* the mean absolute error, and how many calls there were */
int calls;
double mean_absolute_error(const double *output, const double *target, int64_t n, int classes) {
  double sum = 0;
  calls++;
  for (int64_t i = 0; i < n * classes; i++) sum += fabs(output[i] - target[i]);
  return sum / (double)(n * classes);
}
double labels_as_bytes(const uint8_t *labels, int n) { return labels[n - 1]; }
