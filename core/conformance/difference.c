// SPDX-License-Identifier: MIT
#include "core/conformance/difference.h"
#include <math.h>

static double at_offset(tn_function function, void *context, double *at, double x, double offset) {
  *at = x + offset;
  const double value = function(context);
  *at = x;
  return value;
}

bool tn_difference_check(tn_function function, void *context, double *at, double derivative, const char *name,
                         int64_t index) {
  const double x = *at, step = 1e-5 * fmax(1, fabs(x)), middle = function(context);
  const double above = at_offset(function, context, at, x, step),
               below = at_offset(function, context, at, x, -step);
  const double inner =
      (at_offset(function, context, at, x, step / 2) - at_offset(function, context, at, x, -step / 2)) / step;
  const double central = (above - below) / (2 * step), scale = 1 + fabs(central);
  const double rounding = 1e-14 * fabs(middle) / step; /* of differences of large values */
  if (!isfinite(derivative)) tn_trial_fail("d / d %s[%lld] is %g", name, (long long)index, derivative);
  const bool bent = fabs((above - middle) - (middle - below)) > 1e-3 * step * scale + 1e-9 * fabs(middle);
  if (bent || fabs(central - inner) > 2e-6 * scale + rounding) return false;
  if (fabs(central - derivative) > 1e-5 * scale + rounding)
    tn_trial_fail("d / d %s[%lld] is %.9g, finite differences give %.9g", name, (long long)index, derivative,
                  central);
  return true;
}
