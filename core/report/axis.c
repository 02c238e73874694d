// SPDX-License-Identifier: MIT
#include "core/report/axis.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// Neither differences nor ratios of such values overflow.
static const double largest = 1e300, largest_log = 1e140, least_log = 1e-140;

bool tn_axis_takes(const tn_axis *axis, double value) {
  if (axis->logarithmic) return value >= least_log && value <= largest_log;
  return fabs(value) <= largest;
}

void tn_axis_span(tn_axis *axis, double low, double high, bool padded) {
  if (low > high) { // no data
    low = axis->logarithmic ? 0.1 : 0;
    high = 1;
  }
  if (axis->logarithmic) {
    double factor = padded ? pow(high / low, 0.05) : 1;
    if (!(high / low > 1.001)) factor = 1.5;
    axis->low = low / factor;
    axis->high = high * factor;
    return;
  }
  double size = fmax(fabs(low), fabs(high));
  if (!(high - low > 1e-9 * size) || high - low < 1e-290) { // one value, as far as a chart can show
    double half = size < 1e-280 ? 1 : size * 0.1;
    axis->low = low - half;
    axis->high = high + half;
    return;
  }
  double room = padded ? (high - low) * 0.05 : 0;
  bool from_zero = padded && low >= 0 && low < 0.35 * high;
  axis->low = from_zero ? 0 : low - room;
  axis->high = high + room;
}

double tn_axis_place(const tn_axis *axis, double value) {
  double share = axis->logarithmic ? log(value / axis->low) / log(axis->high / axis->low)
                                   : (value - axis->low) / (axis->high - axis->low);
  return axis->start + share * (axis->stop - axis->start);
}

/* ---- labels ---- */

/* "-3×10⁻⁵" from printf's "-3e-05", with a real minus sign; without the e, only the minus is changed. */
static void polish(const char *number, char *label, size_t capacity) {
  static const char *const raised[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  size_t used = 0;
  label[0] = 0;
  const char *c = number;
  if (*c == '-') used += (size_t)snprintf(label, capacity, "−"), c++;
  size_t mantissa = strcspn(c, "e");
  const char *exponent = c[mantissa] ? c + mantissa + 1 : NULL;
  bool bare = exponent && mantissa == 1 && *c == '1'; // 10⁴, not 1×10⁴
  if (!bare) used += (size_t)snprintf(label + used, capacity - used, "%.*s", (int)mantissa, c);
  if (!exponent) return;
  used += (size_t)snprintf(label + used, capacity - used, bare ? "10" : "×10");
  if (*exponent == '-') used += (size_t)snprintf(label + used, capacity - used, "⁻");
  exponent += strspn(exponent, "+-0");
  if (!*exponent) exponent = "0";
  for (; *exponent && used + 4 < capacity; exponent++)
    used += (size_t)snprintf(label + used, capacity - used, "%s", raised[*exponent - '0']);
}

/* Digits after the point that tell neighbours at this distance apart. */
static int decimals_of(double step) {
  double digits = -floor(log10(step) + 1e-9);
  return digits < 0 ? 0 : digits > 15 ? 15 : (int)digits;
}

static void label_linear(tn_axis *axis, double step) {
  double size = fmax(fabs(axis->low), fabs(axis->high));
  bool scientific = size >= 1e9 || size < 1e-3;
  double unit = scientific ? 1 : size >= 1e6 ? 1e6 : size >= 1e4 ? 1e3 : 1;
  const char *suffix = unit >= 1e6 ? "M" : unit >= 1e3 ? "k" : "";
  for (size_t i = 0; i < axis->tick_count; i++) {
    double value = axis->ticks[i];
    char number[64];
    if (value == 0)
      snprintf(number, sizeof number, "0");
    else if (scientific)
      snprintf(number, sizeof number, "%.*e", decimals_of(step / pow(10, floor(log10(fabs(value)) + 1e-9))),
               value);
    else
      snprintf(number, sizeof number, "%.*f", decimals_of(step / unit), value / unit);
    polish(number, axis->labels[i], sizeof axis->labels[i] - 2);
    if (value != 0) strcat(axis->labels[i], suffix);
  }
}

/* Plain numbers as long as all of them are short, else powers of ten throughout. */
static void label_logarithmic(tn_axis *axis) {
  bool plain = axis->ticks[0] > 0.9e-3 && axis->ticks[axis->tick_count - 1] < 0.9e5;
  for (size_t i = 0; i < axis->tick_count; i++) {
    double value = axis->ticks[i];
    char number[64];
    if (plain || fabs(value - 1) < 1e-9)
      snprintf(number, sizeof number, "%.6g", value);
    else
      snprintf(number, sizeof number, "%.0e", value);
    polish(number, axis->labels[i], sizeof axis->labels[i]);
  }
}

/* ---- ticks ---- */

static void add(tn_axis *axis, double value) {
  double slack = axis->logarithmic ? 0 : (axis->high - axis->low) * 1e-9;
  if (axis->tick_count < TN_AXIS_TICKS_MAX && value >= axis->low - slack && value <= axis->high + slack)
    axis->ticks[axis->tick_count++] = value;
}

static void mark_linear(tn_axis *axis, size_t count, bool whole) {
  double rough = (axis->high - axis->low) / (double)count;
  double power = pow(10, floor(log10(rough)));
  double norm = rough / power;
  double step = power * (norm <= 1 ? 1 : norm <= 2 ? 2 : norm <= 5 ? 5 : 10);
  if (whole && step < 1) step = 1;
  double first = ceil(axis->low / step - 1e-9);
  for (size_t i = 0; i < TN_AXIS_TICKS_MAX; i++) add(axis, (first + (double)i) * step);
  label_linear(axis, step);
}

/* Powers of ten, every n-th of them where there are many; below three of them also 2 and 5 times. False: too
 * few to tell the scale by. */
static bool mark_logarithmic(tn_axis *axis, size_t count) {
  int first = (int)floor(log10(axis->low)), last = (int)ceil(log10(axis->high));
  double decades = log10(axis->high / axis->low);
  bool dense = decades < 3 && 3 * decades <= 1.6 * (double)count;
  int stride = (int)ceil(decades / (1.6 * (double)count)); // few figures, so they may stand closer
  for (stride = stride < 1 ? 1 : stride; axis->tick_count < 2 && stride >= 1; stride--) {
    axis->tick_count = 0;
    for (int k = first; k <= last; k++) {
      if (k % stride == 0) add(axis, pow(10, k));
      if (dense) {
        add(axis, 2 * pow(10, k));
        add(axis, 5 * pow(10, k));
      }
    }
  }
  if (axis->tick_count < (dense ? 3 : 2)) return false;
  label_logarithmic(axis);
  return true;
}

void tn_axis_mark(tn_axis *axis, size_t count, bool whole) {
  if (count < 2) count = 2;
  axis->tick_count = 0;
  if (axis->logarithmic && mark_logarithmic(axis, count)) return;
  axis->tick_count = 0;
  mark_linear(axis, count, whole);
}
