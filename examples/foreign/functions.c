// SPDX-License-Identifier: MIT
/* Plain C that knows nothing of tenon; docs/foreign.md uses each function. Compile it with
 *     cc -O2 -shared -fPIC -o functions.so functions.c -lm */
#include <math.h>
#include <string.h>

/* Rosenbrock's valley, minimum 0 at (1, ..., 1), and its gradient. */
double rosenbrock(int n, const double *x) {
  double sum = 0;
  for (int i = 0; i + 1 < n; i++) {
    double a = 1 - x[i], b = x[i + 1] - x[i] * x[i];
    sum += a * a + 100 * b * b;
  }
  return sum;
}
void rosenbrock_gradient(int n, const double *x, double *g) {
  memset(g, 0, (size_t)n * sizeof *g);
  for (int i = 0; i + 1 < n; i++) {
    double b = x[i + 1] - x[i] * x[i];
    g[i] += -2 * (1 - x[i]) - 400 * x[i] * b;
    g[i + 1] += 200 * b;
  }
}

/* A minimiser that wants a callback: compass search (Hooke & Jeeves 1961). Tries a step along every axis,
 * halves it when none improves, ends when it is below `tolerance`. */
double compass_search(double (*f)(int, const double *), int n, double *x, double step, double tolerance) {
  double best = f(n, x);
  while (step > tolerance) {
    int improved = 0;
    for (int i = 0; i < 2 * n; i++) {
      double before = x[i / 2];
      x[i / 2] += i % 2 ? -step : step;
      double value = f(n, x);
      if (value < best)
        best = value, improved = 1;
      else
        x[i / 2] = before;
    }
    if (!improved) step /= 2;
  }
  return best;
}

/* Steps down by `drop` every `every` steps. */
double staircase(long step, long every, double drop) { return pow(drop, (double)(step / every)); }

/* The share of samples whose label is among the two largest logits. */
double top2(const float *logits, const long *labels, int n, int classes) {
  int hits = 0;
  for (int i = 0; i < n; i++) {
    int larger = 0;
    const float *row = logits + (long)i * classes;
    for (int k = 0; k < classes; k++) larger += row[k] > row[labels[i]];
    hits += larger < 2;
  }
  return n ? (double)hits / n : 0;
}
