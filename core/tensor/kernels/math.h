// SPDX-License-Identifier: MIT
/* Elementary functions in float32, free of branches and calls so that loops over them vectorise, and their
 * float64 counterparts from libm. Errors of one or two units in the last place, see tests/tensor/math.c. */
#ifndef TENON_TENSOR_MATH_H
#define TENON_TENSOR_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define M_INLINE static inline __attribute__((always_inline, unused))

M_INLINE float bits_float(uint32_t i) {
  float f;
  memcpy(&f, &i, sizeof f);
  return f;
}
M_INLINE uint32_t float_bits(float f) {
  uint32_t i;
  memcpy(&i, &f, sizeof i);
  return i;
}
M_INLINE float m_copysign_f32(float magnitude, float sign) {
  return bits_float((float_bits(magnitude) & 0x7fffffffu) | (float_bits(sign) & 0x80000000u));
}
M_INLINE float m_abs_f32(float x) { return bits_float(float_bits(x) & 0x7fffffffu); }
M_INLINE float m_power_of_2(int32_t e) { return bits_float((uint32_t)(e + 127) << 23); }

/* x = n ln 2 + r; adding 1.5 2^23 rounds to an integer in the low bits (Muller et al., Handbook, 11.2). */
#define M_REDUCE_LN2(x, e, r)                                    \
  float m_n = (x)*1.442695041f + 12582912.0f;                    \
  int32_t e = (int32_t)(float_bits(m_n) & 0x7fffffu) - 0x400000; \
  m_n -= 12582912.0f;                                            \
  float r = (x)-m_n * 0.693145752f;                              \
  r = r - m_n * 1.42860677e-6f

M_INLINE float m_exp_f32(float x) {
  float c = x > 89.0f ? 89.0f : x;
  c = c < -104.0f ? -104.0f : c;
  M_REDUCE_LN2(c, e, r);
  float p = 1.37805939e-3f;
  p = p * r + 8.37312452e-3f;
  p = p * r + 4.16695364e-2f;
  p = p * r + 1.66664720e-1f;
  p = p * r + 4.99999851e-1f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  int32_t half = e >> 1; // two steps reach the subnormals and infinity
  return p * m_power_of_2(half) * m_power_of_2(e - half);
}

M_INLINE float m_expm1_f32(float x) {
  float c = x > 89.0f ? 89.0f : x;
  c = c < -25.0f ? -25.0f : c;
  M_REDUCE_LN2(c, e, r);
  float p = 1.98423862e-4f; // e^r = 1 + r + r^2 p
  p = p * r + 1.39348162e-3f;
  p = p * r + 8.33316758e-3f;
  p = p * r + 4.16665845e-2f;
  p = p * r + 1.66666672e-1f;
  p = p * r + 0.5f;
  p = r * r * p + r;
  float s = m_power_of_2(e - 1);
  float y = 2.0f * (s * p + (s - 0.5f));
  return e == 0 ? p : y;
}

/* Cephes logf (S. Moshier). */
M_INLINE float m_log_f32(float x) {
  bool tiny = x < 1.17549435e-38f;
  float v = tiny ? x * 8388608.0f : x;
  uint32_t shifted = float_bits(v) - 0x3f3504f3u; // mantissa to [sqrt 1/2, sqrt 2)
  float e = (float)((int32_t)shifted >> 23) - (tiny ? 23.0f : 0.0f);
  float f = bits_float((shifted & 0x7fffffu) + 0x3f3504f3u) - 1.0f;
  float z = f * f, p = 7.0376836292e-2f;
  p = p * f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  float y = p * f * z;
  y = y - e * 2.12194440e-4f;
  y = y - 0.5f * z;
  y = f + y;
  y = y + e * 0.693359375f;
  y = x == INFINITY ? x : y;
  y = x == 0.0f ? -INFINITY : y;
  return x >= 0.0f ? y : NAN; // also for NaN
}

/* Kahan: log(u) x / (u - 1), u = 1 + x rounded. */
M_INLINE float m_log1p_f32(float x) {
  float u = 1.0f + x, d = u - 1.0f;
  float safe = d == 0.0f ? 1.0f : d;
  float y = m_log_f32(u) * (x / safe);
  y = d == 0.0f ? x : y;
  return x > 1e30f ? m_log_f32(x) : y;
}

/* log(1 + x) for x in [0, 1]: 1 + x is u = 1 or 2 times m near 1, and what rounding lost comes back as a
 * correction of first order. */
M_INLINE float m_log1p_unit_f32(float x) {
  float u = 1.0f + x, lost = x - (u - 1.0f);
  bool big = u > 1.41421356f;
  float f = (big ? 0.5f * u : u) - 1.0f, e = big ? 1.0f : 0.0f;
  f = f + lost * (big ? 0.5f : 1.0f);
  float z = f * f, p = 7.0376836292e-2f;
  p = p * f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  float y = p * f * z - e * 2.12194440e-4f - 0.5f * z;
  y = f + y;
  return y + e * 0.693359375f;
}

M_INLINE float m_tanh_f32(float x) {
  float a = m_abs_f32(x);
  a = a > 10.0f ? 10.0f : a;
  float t = m_expm1_f32(2.0f * a);
  float y = m_copysign_f32(t / (t + 2.0f), x);
  return x != x ? x : y;
}

M_INLINE float m_sigmoid_f32(float x) { return 1.0f / (1.0f + m_exp_f32(-x)); }

M_INLINE float m_softplus_f32(float x) {
  float a = m_abs_f32(x);
  float y = (x > 0.0f ? x : 0.0f) + m_log1p_unit_f32(m_exp_f32(-a));
  return x != x ? x : y;
}

/* After N. Juffa's erff: a polynomial near 0, 1 - e^-P(|x|) beyond. */
M_INLINE float m_erf_f32(float x) {
  float t = m_abs_f32(x), s = x * x;
  float r = -1.72853470e-5f * t + 3.83197126e-4f;
  float u = -3.88396438e-3f * t + 2.42546219e-2f;
  r = r * s + u;
  r = r * t - 1.06777877e-1f;
  r = r * t - 6.34846687e-1f;
  r = r * t - 1.28717512e-1f;
  r = r * t - t;
  r = m_copysign_f32(1.0f - m_exp_f32(r), x);
  r = t > 4.0f ? m_copysign_f32(1.0f, x) : r;
  float q = -5.96761703e-4f;
  q = q * s + 4.99119423e-3f;
  q = q * s - 2.67681349e-2f;
  q = q * s + 1.12819925e-1f;
  q = q * s - 3.76125336e-1f;
  q = q * s + 1.28379166e-1f;
  q = q * x + x;
  return t > 0.927734375f ? r : q;
}

/* Half to even; the switch to the bare value keeps what has no fraction anyway. */
M_INLINE float m_round_f32(float x) {
  float a = m_abs_f32(x), y = (a + 8388608.0f) - 8388608.0f;
  return a < 8388608.0f ? m_copysign_f32(y, x) : x;
}
M_INLINE float m_floor_f32(float x) {
  float y = m_round_f32(x);
  return y > x ? y - 1.0f : y;
}
M_INLINE float m_ceil_f32(float x) {
  float y = m_round_f32(x);
  return y < x ? y + 1.0f : y;
}
M_INLINE float m_sqrt_f32(float x) { return sqrtf(x); }
M_INLINE float m_sin_f32(float x) { return sinf(x); }
M_INLINE float m_cos_f32(float x) { return cosf(x); }
M_INLINE float m_tan_f32(float x) { return tanf(x); }
M_INLINE float m_asin_f32(float x) { return asinf(x); }
M_INLINE float m_acos_f32(float x) { return acosf(x); }
M_INLINE float m_atan_f32(float x) { return atanf(x); }
M_INLINE float m_sinh_f32(float x) { return sinhf(x); }
M_INLINE float m_cosh_f32(float x) { return coshf(x); }
M_INLINE float m_pow_f32(float x, float y) { return powf(x, y); }
M_INLINE float m_atan2_f32(float y, float x) { return atan2f(y, x); }

M_INLINE double m_abs_f64(double x) { return fabs(x); }
M_INLINE double m_exp_f64(double x) { return exp(x); }
M_INLINE double m_expm1_f64(double x) { return expm1(x); }
M_INLINE double m_log_f64(double x) { return log(x); }
M_INLINE double m_log1p_f64(double x) { return log1p(x); }
M_INLINE double m_tanh_f64(double x) { return tanh(x); }
M_INLINE double m_erf_f64(double x) { return erf(x); }
M_INLINE double m_sigmoid_f64(double x) { return 1.0 / (1.0 + exp(-x)); }
M_INLINE double m_softplus_f64(double x) { return (x > 0 ? x : 0) + log1p(exp(-fabs(x))); }
M_INLINE double m_round_f64(double x) { return rint(x); }
M_INLINE double m_floor_f64(double x) { return floor(x); }
M_INLINE double m_ceil_f64(double x) { return ceil(x); }
M_INLINE double m_sqrt_f64(double x) { return sqrt(x); }
M_INLINE double m_sin_f64(double x) { return sin(x); }
M_INLINE double m_cos_f64(double x) { return cos(x); }
M_INLINE double m_tan_f64(double x) { return tan(x); }
M_INLINE double m_asin_f64(double x) { return asin(x); }
M_INLINE double m_acos_f64(double x) { return acos(x); }
M_INLINE double m_atan_f64(double x) { return atan(x); }
M_INLINE double m_sinh_f64(double x) { return sinh(x); }
M_INLINE double m_cosh_f64(double x) { return cosh(x); }
M_INLINE double m_pow_f64(double x, double y) { return pow(x, y); }
M_INLINE double m_atan2_f64(double y, double x) { return atan2(y, x); }

#endif
