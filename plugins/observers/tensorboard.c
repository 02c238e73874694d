// SPDX-License-Identifier: MIT
/* An event file that TensorBoard reads, in the run directory: `tensorboard --logdir runs`. Steps and results
 * become scalars, histograms histograms, images and matrices images, texts, tables and graphs texts; series,
 * bars and scatter plots have no counterpart there (the report has them).
 *
 * A record is its length (8 bytes), the masked CRC-32C of the length, a tensorflow.Event, and the masked
 * CRC-32C of that (TFRecord). The numbers of fields are those of event.proto, summary.proto, tensor.proto and
 * tensor_shape.proto. */
#include "core/format/png.h"
#include "file.h"
#include "protobuf.h"
#include <math.h>
#include <stdlib.h>
#include <time.h>

#define TENSORBOARD_FILE "events.out.tfevents.1.tenon"

enum { BUCKETS = 30, IMAGES_MOST = 400, SIDE_LEAST = 192, TAG = 256 };

struct tensorboard {
  struct observer_file file;
  int64_t step; /* of the last event that had one */
};

/* ---- records ---- */

/* CRC-32C (Castagnoli): the reflected polynomial 0x1edc6f41. */
static uint32_t crc32c(const uint8_t *bytes, size_t size) {
  static uint32_t table[256];
  if (!table[1])
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t c = i;
      for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
      table[i] = c;
    }
  uint32_t crc = 0xffffffffu;
  for (size_t i = 0; i < size; i++) crc = table[(crc ^ bytes[i]) & 0xff] ^ crc >> 8;
  return ~crc;
}

/* A CRC of bytes that hold CRCs is a bad CRC: so it is turned and shifted. */
static uint32_t masked(const void *bytes, size_t size) {
  const uint32_t crc = crc32c(bytes, size);
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* Writes the event and frees it. */
static tn_status write_record(struct tensorboard *tb, struct message *event) {
  FILE *stream = tb->file.stream;
  const uint64_t size = event->size;
  const uint32_t head = masked(&size, sizeof size), tail = masked(event->data, event->size);
  const bool failed = event->failed;
  if (!failed) {
    fwrite(&size, sizeof size, 1, stream);
    fwrite(&head, sizeof head, 1, stream);
    fwrite(event->data, 1, event->size, stream);
    fwrite(&tail, sizeof tail, 1, stream);
  }
  tn_free(event->data);
  return failed ? TN_ERROR_MEMORY : TN_OK;
}

/* message Event: wall_time, step. */
static struct message begin_event(int64_t step) {
  struct message event = {0};
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  message_double(&event, 1, (double)now.tv_sec + 1e-9 * (double)now.tv_nsec);
  message_integer(&event, 2, step);
  return event;
}

static tn_status open_file(struct tensorboard *tb, bool *ready) {
  const bool fresh = !tb->file.stream && tb->file.bytes == 0;
  tn_status status = observer_file_open(&tb->file, TENSORBOARD_FILE, ready);
  if (status < 0 || !*ready || !fresh) return status;
  struct message event = begin_event(0);
  message_text(&event, 3, "brain.Event:2"); /* file_version */
  return write_record(tb, &event);
}

/* ---- summaries ---- */

/* "train/loss"; with `part` a further one. */
static void put_tag(struct message *value, const tn_event *event, const char *name, const char *part) {
  char tag[TAG];
  snprintf(tag, sizeof tag, "%.80s%s%.120s%s%.40s", event->stage ? event->stage : "",
           event->stage && *event->stage ? "/" : "", name ? name : "picture", part ? "/" : "",
           part ? part : "");
  message_text(value, 1, tag);
}

/* Scalars of a step, or results under a name of their own. */
static void put_scalars(struct message *summary, const tn_event *event) {
  for (uint32_t i = 0; i < event->scalar_count; i++) {
    struct message value = {0};
    char tag[TAG];
    const tn_scalar_value *scalar = &event->scalars[i];
    if (event->type == TN_EVENT_STEP) {
      put_tag(&value, event, scalar->name, NULL);
    } else {
      snprintf(tag, sizeof tag, "results/%.80s.%.120s", event->stage ? event->stage : "", scalar->name);
      message_text(&value, 1, tag);
    }
    message_float(&value, 2, (float)scalar->value); /* simple_value */
    message_nest(summary, 1, &value);
  }
}

static double at(const tn_tensor *t, int64_t i) {
  return t->dtype == TN_F64 ? tn_f64(t)[i] : (double)tn_f32(t)[i];
}

static bool usable(const tn_tensor *t, int axes_least, int axes_most) {
  return t && !tn_poisoned(t) && (t->dtype == TN_F32 || t->dtype == TN_F64) && tn_ndim(t) >= axes_least &&
         tn_ndim(t) <= axes_most && tn_numel(t) > 0;
}

/* message HistogramProto of column j: values that are not finite are left out. */
static struct message histogram_of(const tn_tensor *t, int64_t columns, int64_t j) {
  double low = INFINITY, high = -INFINITY, count = 0, sum = 0, squares = 0;
  double limits[BUCKETS], counts[BUCKETS] = {0};
  for (int64_t i = j; i < tn_numel(t); i += columns) {
    const double x = at(t, i);
    if (!isfinite(x)) continue;
    low = fmin(low, x), high = fmax(high, x);
    count++, sum += x, squares += x * x;
  }
  if (count == 0) low = high = 0;
  const size_t buckets = high > low ? BUCKETS : 1;
  for (size_t b = 0; b < buckets; b++) limits[b] = low + (high - low) * (double)(b + 1) / (double)buckets;
  limits[buckets - 1] = high;
  for (int64_t i = j; i < tn_numel(t); i += columns) {
    const double x = at(t, i);
    if (!isfinite(x)) continue;
    const size_t b = high > low ? (size_t)((x - low) / (high - low) * (double)buckets) : 0;
    counts[b < buckets ? b : buckets - 1]++;
  }
  struct message histogram = {0};
  const double figures[] = {low, high, count, sum, squares}; /* min, max, num, sum, sum_squares */
  for (uint32_t f = 0; f < 5; f++) message_double(&histogram, f + 1, figures[f]);
  message_doubles(&histogram, 6, limits, buckets); /* bucket_limit */
  message_doubles(&histogram, 7, counts, buckets); /* bucket */
  return histogram;
}

static void put_histograms(struct message *summary, const tn_event *event) {
  if (!usable(event->tensor, 1, 2)) return;
  const int64_t columns = tn_ndim(event->tensor) > 1 ? tn_dim(event->tensor, 1) : 1;
  for (int64_t j = 0; j < columns; j++) {
    char number[24];
    snprintf(number, sizeof number, "%lld", (long long)j);
    const bool named = event->column_labels && j < (int64_t)event->columns;
    struct message value = {0}, histogram = histogram_of(event->tensor, columns, j);
    put_tag(&value, event, event->name, columns == 1 ? NULL : named ? event->column_labels[j] : number);
    message_nest(&value, 5, &histogram); /* histo */
    message_nest(summary, 1, &value);
  }
}

/* message Image, from pixels that it frees. */
static void put_image(struct message *summary, const tn_event *event, tn_png *image) {
  struct message value = {0}, picture = {0};
  tn_bytes bytes = {0};
  tn_format_error why;
  if (!image->pixels || !tn_png_pack("image", image, &bytes, &why)) {
    summary->failed = true;
  } else {
    message_integer(&picture, 1, (int64_t)image->height);
    message_integer(&picture, 2, (int64_t)image->width);
    message_integer(&picture, 3, (int64_t)image->channels); /* colorspace: 1 grey, 3 RGB */
    message_bytes(&picture, 4, bytes.data, bytes.size);
    put_tag(&value, event, event->name, NULL);
    message_nest(&value, 4, &picture);
    message_nest(summary, 1, &value);
  }
  tn_bytes_free(&bytes);
  tn_png_free(image);
}

static uint8_t grey(double value) {
  return (uint8_t)(value > 0 ? fmin(value, 1) * 255 + 0.5 : 0);
} /* NaN: black */

/* (n, channels, height, width) as one grid with a line of one pixel between the images. */
static void put_images(struct message *summary, const tn_event *event) {
  const tn_tensor *t = event->tensor;
  if (!usable(t, 4, 4) || (tn_dim(t, 1) != 1 && tn_dim(t, 1) != 3)) return;
  const int64_t count = tn_dim(t, 0) < IMAGES_MOST ? tn_dim(t, 0) : IMAGES_MOST, channels = tn_dim(t, 1);
  const int64_t height = tn_dim(t, 2), width = tn_dim(t, 3);
  int64_t columns = event->columns > 0 ? event->columns : (int64_t)ceil(sqrt((double)count));
  if (columns > count) columns = count;
  const int64_t rows = (count + columns - 1) / columns;
  const int64_t tall = rows * (height + 1) - 1, wide = columns * (width + 1) - 1;
  if (tall > TN_PNG_SIDE_MAX || wide > TN_PNG_SIDE_MAX) return;
  tn_png image = {(size_t)tall, (size_t)wide, (size_t)channels,
                  calloc((size_t)(tall * wide), (size_t)channels)};
  for (int64_t n = 0; n < count && image.pixels; n++)
    for (int64_t c = 0; c < channels; c++)
      for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++) {
          const int64_t row = n / columns * (height + 1) + y, column = n % columns * (width + 1) + x;
          image.pixels[(row * wide + column) * channels + c] =
              grey(at(t, ((n * channels + c) * height + y) * width + x));
        }
  put_image(summary, event, &image);
}

/* Grey from the least to the largest value, cells enlarged to squares that can be seen. */
static void put_matrix(struct message *summary, const tn_event *event) {
  const tn_tensor *t = event->tensor;
  if (!usable(t, 2, 2) || tn_dim(t, 0) > TN_PNG_SIDE_MAX / 2 || tn_dim(t, 1) > TN_PNG_SIDE_MAX / 2) return;
  double low = INFINITY, high = -INFINITY;
  for (int64_t i = 0; i < tn_numel(t); i++)
    if (isfinite(at(t, i))) low = fmin(low, at(t, i)), high = fmax(high, at(t, i));
  const int64_t longest = tn_dim(t, 0) > tn_dim(t, 1) ? tn_dim(t, 0) : tn_dim(t, 1);
  const int64_t cell = longest < SIDE_LEAST ? SIDE_LEAST / longest : 1, wide = cell * tn_dim(t, 1);
  tn_png image = {(size_t)(cell * tn_dim(t, 0)), (size_t)wide, 1, NULL};
  image.pixels = malloc(image.height * image.width);
  for (int64_t y = 0; y < (int64_t)image.height && image.pixels; y++)
    for (int64_t x = 0; x < wide; x++)
      image.pixels[y * wide + x] =
          grey((at(t, y / cell * tn_dim(t, 1) + x / cell) - low) / (high > low ? high - low : 1));
  put_image(summary, event, &image);
}

/* ---- texts, which TensorBoard takes for Markdown ---- */

static void add_text(struct message *m, const char *text) { message_add(m, text, strlen(text)); }

/* A bar would end the cell. */
static void add_cell(struct message *m, const char *text) {
  for (; text && *text; text++) {
    if (*text == '|') add_text(m, "\\");
    message_add(m, *text == '\n' ? " " : text, 1);
  }
  add_text(m, " | ");
}

static void add_table(struct message *m, const tn_event *event) {
  add_text(m, event->row_labels ? "| | " : "| ");
  for (uint32_t j = 0; j < event->columns; j++)
    add_cell(m, event->column_labels ? event->column_labels[j] : "");
  add_text(m, event->row_labels ? "\n|---|" : "\n|");
  for (uint32_t j = 0; j < event->columns; j++) add_text(m, "---|");
  for (uint32_t i = 0; i < event->rows; i++) {
    add_text(m, "\n| ");
    if (event->row_labels) add_cell(m, event->row_labels[i]);
    for (uint32_t j = 0; j < event->columns; j++) add_cell(m, event->cells[(size_t)i * event->columns + j]);
  }
}

/* As it is: four blanks begin a line of code. */
static void add_code(struct message *m, const char *text) {
  add_text(m, "    ");
  for (; *text; text++) {
    message_add(m, text, 1);
    if (*text == '\n') add_text(m, "    ");
  }
}

/* A string tensor that the plugin "text" shows. */
static void put_text(struct message *summary, const tn_event *event) {
  struct message text = {0}, value = {0}, plugin = {0}, metadata = {0}, shape = {0}, axis = {0}, tensor = {0};
  if (event->type == TN_EVENT_TABLE && event->cells)
    add_table(&text, event);
  else if (event->text)
    add_code(&text, event->text);
  else
    return;
  put_tag(&value, event, event->name, NULL);
  message_text(&plugin, 1, "text");    /* plugin_name */
  message_nest(&metadata, 1, &plugin); /* plugin_data */
  message_nest(&value, 9, &metadata);  /* metadata */
  message_integer(&axis, 1, 1);        /* size */
  message_nest(&shape, 2, &axis);      /* dim */
  message_integer(&tensor, 1, 7);      /* dtype: DT_STRING */
  message_nest(&tensor, 2, &shape);    /* tensor_shape */
  message_nest(&tensor, 8, &text);     /* string_val */
  message_nest(&value, 8, &tensor);    /* tensor */
  message_nest(summary, 1, &value);
}

/* ---- the observer ---- */

static void put_summary(struct message *summary, const tn_event *event) {
  switch (event->type) {
  case TN_EVENT_STEP:
  case TN_EVENT_RESULT:
  case TN_EVENT_COST: put_scalars(summary, event); break;
  case TN_EVENT_HISTOGRAM: put_histograms(summary, event); break;
  case TN_EVENT_IMAGES: put_images(summary, event); break;
  case TN_EVENT_MATRIX: put_matrix(summary, event); break;
  case TN_EVENT_TABLE:
  case TN_EVENT_GRAPH:
  case TN_EVENT_TEXT: put_text(summary, event); break;
  default: break;
  }
}

static tn_status tensorboard_event(void *self, const tn_event *event) {
  struct tensorboard *tb = self;
  bool ready;
  tn_status status = open_file(tb, &ready);
  if (status < 0 || !ready) return status;
  if (event->progress.step > 0) tb->step = event->progress.step;
  struct message summary = {0};
  put_summary(&summary, event);
  if (summary.failed) {
    tn_free(summary.data);
    return tn_failed() ? TN_ERROR_MEMORY : tn_fail(TN_ERROR_MEMORY, "out of memory for an image");
  }
  if (summary.size > 0) {
    struct message record = begin_event(event->type == TN_EVENT_STEP ? event->progress.step : tb->step);
    message_nest(&record, 5, &summary);
    status = write_record(tb, &record);
  }
  if (status < 0) return status;
  return observer_file_flush(&tb->file, TENSORBOARD_FILE);
}

static void tensorboard_destroy(void *self) { observer_file_close(&((struct tensorboard *)self)->file); }

static tn_status tensorboard_state(void *self, const tn_visitor *visitor) {
  struct tensorboard *tb = self;
  const tn_status status = observer_file_state(&tb->file, visitor);
  return status < 0 ? status : tn_visit_integer(visitor, "step", &tb->step);
}

static const tn_class tensorboard_class = {
    .size = sizeof(tn_class),
    .kind = TN_OBSERVER,
    .name = "tensorboard",
    .summary = "An event file for TensorBoard in the run directory: scalars, histograms, images, texts",
    .reference = "tensorflow.org/tensorboard",
    .instance_size = sizeof(struct tensorboard),
    .vtable = &(const tn_observer){.size = sizeof(tn_observer), .event = tensorboard_event},
    .destroy = tensorboard_destroy,
    .state = tensorboard_state};
TN_PLUGIN("observer_tensorboard", "1.0.0", "MIT", &tensorboard_class)
