// SPDX-License-Identifier: MIT
/* Views of images (n, channels, height, width) by a level each: what shifts a domain away from another.
 *
 * rotation: degrees counter-clockwise, bilinear, black outside (tn_grid_sample). noise: the standard
 * deviation of Gaussian noise. contrast: a factor around 1/2. brightness: a number that is added. blur: the
 * standard deviation of a Gaussian in pixels, edges repeated, at most the longer side. pixelate: the side of
 * squares that get their mean. occlusion: the side of a black square at a random place. Values are not
 * clipped. */
#ifndef TENON_PLUGINS_VIEWS_H
#define TENON_PLUGINS_VIEWS_H

#include <math.h>
#include <string.h>
#include <tenon/plugin.h>

enum { VIEW_ROTATION, VIEW_NOISE, VIEW_CONTRAST, VIEW_BRIGHTNESS, VIEW_BLUR, VIEW_PIXELATE, VIEW_OCCLUSION };
#define VIEW_CHOICES "rotation|noise|contrast|brightness|blur|pixelate|occlusion"

/* Row i is turned by degrees[i]. */
static inline tn_tensor *view_rotate(tn_tensor *x, const double *degrees) {
  const int64_t n = tn_dim(x, 0), h = tn_dim(x, 2), w = tn_dim(x, 3);
  tn_tensor *theta = tn_empty(x->dtype, TN_SHAPE(n, 2, 3));
  if (tn_poisoned(theta)) return theta;
  for (int64_t i = 0; i < n; i++) {
    const double angle = degrees[i] * acos(-1) / 180, ratio = (double)h / (double)w;
    /* from a place of the turned image to that of the straight one; y points down */
    const double m[6] = {cos(angle), -sin(angle) * ratio, 0, sin(angle) / ratio, cos(angle), 0};
    for (int k = 0; k < 6; k++) {
      if (x->dtype == TN_F64)
        tn_f64(theta)[6 * i + k] = m[k];
      else
        tn_f32(theta)[6 * i + k] = (float)m[k];
    }
  }
  return tn_grid_sample(x, tn_affine_grid(theta, h, w, false), TN_BORDER_ZEROS, false);
}

/* A Gaussian of standard deviation `sigma` along one axis of a plane: `count` numbers `stride` apart. */
static inline void view_blur_line(double *line, int64_t count, int64_t stride, double sigma, double *copy) {
  const int64_t radius = (int64_t)ceil(3 * sigma);
  for (int64_t i = 0; i < count; i++) copy[i] = line[i * stride];
  for (int64_t i = 0; i < count; i++) {
    double sum = 0, weights = 0;
    for (int64_t k = -radius; k <= radius; k++) {
      const int64_t at = i + k < 0 ? 0 : i + k >= count ? count - 1 : i + k;
      const double weight = exp(-0.5 * (double)(k * k) / (sigma * sigma));
      sum += weight * copy[at];
      weights += weight;
    }
    line[i * stride] = sum / weights;
  }
}

static inline void view_pixelate_plane(double *plane, int64_t h, int64_t w, int64_t side) {
  for (int64_t top = 0; top < h; top += side)
    for (int64_t left = 0; left < w; left += side) {
      const int64_t bottom = top + side < h ? top + side : h, right = left + side < w ? left + side : w;
      double sum = 0;
      for (int64_t y = top; y < bottom; y++)
        for (int64_t x = left; x < right; x++) sum += plane[y * w + x];
      for (int64_t y = top; y < bottom; y++)
        for (int64_t x = left; x < right; x++)
          plane[y * w + x] = sum / (double)((bottom - top) * (right - left));
    }
}

/* Blackens the part of a square, its middle anywhere, that lies in the image. */
static inline void view_occlude(double *image, int64_t channels, int64_t h, int64_t w, int64_t side,
                                tn_rng *rng) {
  const int64_t top = (int64_t)tn_random_below(rng, (uint64_t)h) - side / 2;
  const int64_t left = (int64_t)tn_random_below(rng, (uint64_t)w) - side / 2;
  for (int64_t c = 0; c < channels; c++)
    for (int64_t y = top < 0 ? 0 : top; y < top + side && y < h; y++)
      for (int64_t x = left < 0 ? 0 : left; x < left + side && x < w; x++) image[(c * h + y) * w + x] = 0;
}

/* One image (channels, h, w) in place; `line` has room for the longer side. */
static inline void view_image(int32_t view, double level, double *image, int64_t channels, int64_t h,
                              int64_t w, double *line, tn_rng *rng) {
  const int64_t size = channels * h * w, longer = h > w ? h : w;
  const int64_t side = level < 0 ? 0 : level > (double)longer ? longer : (int64_t)level;
  switch (view) {
  case VIEW_NOISE:
    for (int64_t i = 0; i < size; i++) image[i] += level * tn_random_normal(rng);
    break;
  case VIEW_CONTRAST:
    for (int64_t i = 0; i < size; i++) image[i] = 0.5 + level * (image[i] - 0.5);
    break;
  case VIEW_BRIGHTNESS:
    for (int64_t i = 0; i < size; i++) image[i] += level;
    break;
  case VIEW_BLUR:
    for (int64_t r = 0; level > 0 && r < channels * h; r++) view_blur_line(image + r * w, w, 1, level, line);
    for (int64_t r = 0; level > 0 && r < channels * w; r++)
      view_blur_line(image + r / w * h * w + r % w, h, w, level, line);
    break;
  case VIEW_PIXELATE:
    for (int64_t c = 0; side > 1 && c < channels; c++) view_pixelate_plane(image + c * h * w, h, w, side);
    break;
  default: view_occlude(image, channels, h, w, side, rng);
  }
}

/* Row i by level[i], with random numbers of rng[i]. x (n, c, h, w) -> the same */
static inline tn_tensor *view_apply(int32_t view, tn_tensor *x, const double *level, tn_rng *rng) {
  if (tn_poisoned(x)) return x;
  if (view == VIEW_ROTATION) return view_rotate(x, level);
  const int64_t n = tn_dim(x, 0), c = tn_dim(x, 1), h = tn_dim(x, 2), w = tn_dim(x, 3);
  tn_tensor *y = tn_scale(tn_cast(x, TN_F64), 1); /* a copy, also of float64 images */
  tn_tensor *line = tn_empty(TN_F64, TN_SHAPE(h > w ? h : w));
  const double longer = (double)(h > w ? h : w);
  for (int64_t i = 0; view == VIEW_BLUR && i < n; i++) /* its time grows with the level */
    if (!(level[i] <= longer))
      tn_fail(TN_ERROR_INVALID, "a blur of %g pixels is wider than the image, %lld x %lld", level[i],
              (long long)h, (long long)w);
  for (int64_t i = 0; !tn_failed() && i < n; i++)
    view_image(view, level[i], tn_f64(y) + i * c * h * w, c, h, w, tn_f64(line), &rng[i]);
  return tn_cast(y, x->dtype);
}

#endif
