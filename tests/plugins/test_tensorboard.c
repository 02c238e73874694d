// SPDX-License-Identifier: MIT
/* The event file of observer.tensorboard, read again by a reader of its own: records with their checksums,
 * then the fields of the messages by number. */
#include "harness.h"
#include "core/format/png.h"
#include "core/pipeline/internal.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <tenon/observer.h>
#include <unistd.h>

static char root[] = "/tmp/tenon-board-XXXXXX";
static tn_registry *registry;
static tn_pipeline *pipeline;
static tn_bytes bytes;

static const char text[] =
    "[pipeline]\nstages = test\nobservers =\n"
    "[test]\nuse = stage.evaluate\ndata = digits\nmodel = model.mlp\nmetrics = metric.accuracy\n"
    "[digits]\nuse = dataset.csv\nfile = " TN_SOURCE_ROOT "/examples/data/digits.csv.gz\n"
    "[board]\nuse = observer.tensorboard\n";

/* A pipeline whose observer is called by the test. */
static void begin(void) {
  tn_error error = {0};
  const tn_registry_options places = {.builtin = TN_BUILD_ROOT "/plugins", .path = ""};
  strcpy(root + strlen(root) - 6, "XXXXXX");
  cr_assert(mkdtemp(root) != NULL);
  registry = tn_registry_open(&places, &error);
  cr_assert(registry != NULL, "%s", error.text);
  const tn_pipeline_options options = {.file = "board.ini", .text = text, .directory = root, .quiet = true};
  pipeline = tn_pipeline_open(registry, &options, &error);
  cr_assert(pipeline != NULL, "%s", error.text);
  pipeline->running = true; /* the directory is there while it runs */
  tn_scope_open();
}

static void end(void) {
  char command[64];
  tn_bytes_free(&bytes);
  tn_scope_close();
  pipeline->running = false;
  tn_pipeline_close(pipeline);
  tn_registry_close(registry);
  snprintf(command, sizeof command, "rm -rf %s", root);
  cr_assert(system(command) == 0);
}

TestSuite(tensorboard, .init = begin, .fini = end);

static const tn_component *board(void) { return tn_pipeline_find(pipeline, "board"); }

static void emit(tn_event event) {
  event.stage = "train";
  const tn_status status = ((const tn_observer *)board()->vtable)->event(board()->self, &event);
  cr_assert(status >= 0, "%s", harness_failure());
}

static void emit_step(int64_t step, const char *name, double value) {
  const tn_scalar_value scalar = {name, value};
  tn_event event = tn_event_of(TN_EVENT_STEP, NULL);
  event.progress.step = step;
  event.scalars = &scalar;
  event.scalar_count = 1;
  emit(event);
}

/* ---- the reader ---- */

/* Bit by bit, after the definition. */
static uint32_t crc32c(const unsigned char *data, size_t size) {
  uint32_t crc = 0xffffffffu;
  for (size_t i = 0; i < size; i++) {
    crc ^= data[i];
    for (int k = 0; k < 8; k++) crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0);
  }
  return ~crc;
}

static void expect_checksum(const unsigned char *data, size_t size, const unsigned char *stored) {
  uint32_t wanted = crc32c(data, size), got;
  wanted = ((wanted >> 15) | (wanted << 17)) + 0xa282ead8u;
  memcpy(&got, stored, sizeof got);
  cr_assert(got == wanted, "checksum %08x, expected %08x", got, wanted);
}

typedef struct part {
  const unsigned char *data;
  size_t size;
} part;

static void read_file(void) {
  char path[100];
  tn_format_error why;
  snprintf(path, sizeof path, "%s/events.out.tfevents.1.tenon", root);
  tn_bytes_free(&bytes);
  cr_assert(tn_stream_read(path, 0, &bytes, &why), "%s", why.text);
}

/* The n-th record; counts them if n is negative. */
static size_t record(int64_t n, part *into) {
  size_t count = 0;
  for (size_t at = 0; at < bytes.size;) {
    uint64_t size;
    cr_assert(at + 12 <= bytes.size);
    memcpy(&size, bytes.data + at, sizeof size);
    expect_checksum(bytes.data + at, 8, bytes.data + at + 8);
    cr_assert(at + 16 + size <= bytes.size, "a record of %zu bytes at %zu of %zu", (size_t)size, at,
              bytes.size);
    expect_checksum(bytes.data + at + 12, size, bytes.data + at + 12 + size);
    if ((int64_t)count == n) *into = (part){bytes.data + at + 12, size};
    at += 16 + size;
    count++;
  }
  return count;
}

static uint64_t varint(const part *m, size_t *at) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    cr_assert(*at < m->size);
    const unsigned char byte = m->data[(*at)++];
    value |= (uint64_t)(byte & 0x7f) << shift;
    if (!(byte & 0x80)) return value;
  }
  cr_assert(false, "a varint without end");
  return 0;
}

/* The n-th field of a number: its bytes, or its number in *integer. False: there is none. */
static bool field(part m, uint32_t number, size_t n, part *into, uint64_t *integer) {
  for (size_t at = 0; at < m.size;) {
    const uint64_t tag = varint(&m, &at);
    part found = {m.data + at, 0};
    uint64_t value = 0;
    switch (tag & 7) {
    case 0: value = varint(&m, &at); break;
    case 1: found.size = 8, at += 8; break;
    case 2:
      found.size = varint(&m, &at);
      found.data = m.data + at;
      at += found.size;
      break;
    case 5: found.size = 4, at += 4; break;
    default: cr_assert(false, "wire type %d", (int)(tag & 7));
    }
    cr_assert(at <= m.size);
    if (tag >> 3 != number || n-- > 0) continue;
    if (into) *into = found;
    if (integer) *integer = value;
    return true;
  }
  return false;
}

static part inside(part m, uint32_t number) {
  part found;
  cr_assert(field(m, number, 0, &found, NULL), "no field %u", number);
  return found;
}

static uint64_t integer_of(part m, uint32_t number) {
  uint64_t value;
  cr_assert(field(m, number, 0, NULL, &value), "no field %u", number);
  return value;
}

static double double_of(part m, uint32_t number) {
  double value;
  cr_assert(inside(m, number).size == sizeof value);
  memcpy(&value, inside(m, number).data, sizeof value);
  return value;
}

static void expect_text(part got, const char *wanted) {
  cr_assert(got.size == strlen(wanted) && memcmp(got.data, wanted, got.size) == 0,
            "expected \"%s\", got \"%.*s\"", wanted, (int)got.size, (const char *)got.data);
}

/* Summary.Value of record n, whose tag and step are as expected. */
static part value_of(int64_t n, uint64_t step, const char *tag) {
  part event = {0};
  const size_t count = record(n, &event);
  cr_assert(n < (int64_t)count, "%zu records", count);
  EXPECT_INT(integer_of(event, 2), step);
  const part value = inside(inside(event, 5), 1);
  expect_text(inside(value, 1), tag);
  return value;
}

/* ---- what it finds ---- */

Test(tensorboard, the_readers_checksum_is_crc_32c) {
  EXPECT_INT(crc32c((const unsigned char *)"123456789", 9),
             0xe3069283u); /* RFC 3720, and every CRC catalogue */
}

Test(tensorboard, begins_with_its_version_and_keeps_scalars) {
  emit_step(7, "loss", 0.25);
  const tn_scalar_value scalar = {"accuracy", 0.5};
  tn_event result = tn_event_of(TN_EVENT_RESULT, NULL);
  result.scalars = &scalar;
  result.scalar_count = 1;
  emit(result);
  read_file();
  part event = {0};
  EXPECT_INT(record(0, &event), 3);
  expect_text(inside(event, 3), "brain.Event:2");
  cr_assert(double_of(event, 1) > 1.7e9, "seconds since 1970");
  float loss;
  memcpy(&loss, inside(value_of(1, 7, "train/loss"), 2).data, sizeof loss);
  EXPECT_REAL((double)loss, 0.25);
  value_of(2, 7, "results/train.accuracy"); /* at the step of the last event that had one */
}

Test(tensorboard, histograms_keep_all_values_between_their_ends) {
  tn_event event = tn_event_of(TN_EVENT_HISTOGRAM, "weights");
  tn_tensor *values = tn_empty(TN_F64, TN_SHAPE(101));
  for (int i = 0; i < 101; i++) tn_f64(values)[i] = i == 100 ? NAN : 0.5 * i;
  event.tensor = values;
  emit(event);
  read_file();
  const part histogram = inside(value_of(1, 0, "train/weights"), 5);
  EXPECT_REAL(double_of(histogram, 1), 0);
  EXPECT_REAL(double_of(histogram, 2), 49.5);
  EXPECT_REAL(double_of(histogram, 3), 100);
  EXPECT_REAL(double_of(histogram, 4), 2475);    /* 0.5 (0 + ... + 99) */
  EXPECT_REAL(double_of(histogram, 5), 82087.5); /* 0.25 * 99 * 100 * 199 / 6 */
  const part limits = inside(histogram, 6), counts = inside(histogram, 7);
  EXPECT_INT(limits.size, counts.size);
  double sum = 0, last = -1;
  for (size_t i = 0; i < counts.size / sizeof(double); i++) {
    double count, limit;
    memcpy(&count, counts.data + i * sizeof count, sizeof count);
    memcpy(&limit, limits.data + i * sizeof limit, sizeof limit);
    cr_assert(limit > last);
    last = limit;
    sum += count;
  }
  EXPECT_REAL(sum, 100);
  EXPECT_REAL(last, 49.5);
}

Test(tensorboard, distributions_have_a_tag_each) {
  static const char *const names[] = {"kept", "lost"};
  tn_event event = tn_event_of(TN_EVENT_HISTOGRAM, "scores");
  event.tensor = tn_zeros(TN_F64, TN_SHAPE(5, 2)); /* all equal: one bucket */
  event.columns = 2;
  event.column_labels = names;
  emit(event);
  read_file();
  part recorded, second;
  record(1, &recorded);
  cr_assert(field(inside(recorded, 5), 1, 1, &second, NULL));
  expect_text(inside(second, 1), "train/scores/lost");
  EXPECT_INT(inside(inside(second, 5), 7).size, sizeof(double));
}

/* The pixels of record n. */
static void expect_image(int64_t n, const char *tag, size_t height, size_t width, size_t channels,
                         tn_png *image) {
  tn_format_error why;
  const part picture = inside(value_of(n, 0, tag), 4);
  EXPECT_INT(integer_of(picture, 1), height);
  EXPECT_INT(integer_of(picture, 2), width);
  EXPECT_INT(integer_of(picture, 3), channels);
  const part png = inside(picture, 4);
  cr_assert(tn_png_parse("png", png.data, png.size, 0, image, &why), "%s", why.text);
  EXPECT_INT(image->height, height);
  EXPECT_INT(image->width, width);
  EXPECT_INT(image->channels, channels);
}

Test(tensorboard, images_are_a_grid_and_matrices_grey_squares) {
  tn_png image;
  tn_event event = tn_event_of(TN_EVENT_IMAGES, "samples");
  event.tensor = tn_zeros(TN_F64, TN_SHAPE(3, 3, 2, 4)); /* two and one of 2 x 4 pixels in colours */
  for (int i = 0; i < 24; i++) tn_f64(event.tensor)[24 + i] = i < 8 ? 1 : 0; /* the second is red */
  emit(event);
  tn_event matrix = tn_event_of(TN_EVENT_MATRIX, "confusion");
  matrix.tensor = tn_zeros(TN_F64, TN_SHAPE(2, 3));
  tn_f64(matrix.tensor)[5] = 4;
  emit(matrix);
  read_file();
  expect_image(1, "train/samples", 5, 9, 3, &image);
  const uint8_t *red = image.pixels + 3 * 5, *black = image.pixels + 3 * 3;
  cr_assert(red[0] == 255 && red[1] == 0 && red[2] == 0 && black[0] == 0);
  tn_png_free(&image);
  expect_image(2, "train/confusion", 128, 192, 1, &image);
  EXPECT_INT(image.pixels[0], 0);
  EXPECT_INT(image.pixels[128 * 192 - 1], 255);
  tn_png_free(&image);
}

Test(tensorboard, texts_and_tables_are_string_tensors_of_the_text_plugin) {
  static const char *const cells[] = {"1", "a|b"}, *const columns[] = {"n", "what"}, *const rows[] = {"r"};
  tn_event event = tn_event_of(TN_EVENT_TEXT, "note");
  event.text = "x = 1\ny";
  emit(event);
  tn_event table = tn_event_of(TN_EVENT_TABLE, "table");
  table.rows = 1, table.columns = 2;
  table.cells = cells;
  table.column_labels = columns;
  table.row_labels = rows;
  emit(table);
  read_file();
  const part value = value_of(1, 0, "train/note"), tensor = inside(value, 8);
  expect_text(inside(inside(inside(value, 9), 1), 1), "text");
  EXPECT_INT(integer_of(tensor, 1), 7);
  EXPECT_INT(integer_of(inside(inside(tensor, 2), 2), 1), 1);
  expect_text(inside(tensor, 8), "    x = 1\n    y");
  expect_text(inside(inside(value_of(2, 0, "train/table"), 8), 8),
              "| | n | what | \n|---|---|---|\n| r | 1 | a\\|b | ");
}

Test(tensorboard, a_run_that_goes_on_writes_its_lost_events_once) {
  emit_step(1, "loss", 1);
  harness_state *state = harness_save(board());
  emit_step(2, "loss", 2);
  harness_load(board(), state);
  emit_step(2, "loss", 3);
  emit_step(3, "loss", 4);
  harness_forget(state);
  read_file();
  part event;
  EXPECT_INT(record(-1, &event), 4);
  float value;
  memcpy(&value, inside(value_of(2, 2, "train/loss"), 2).data, sizeof value);
  EXPECT_REAL((double)value, 3);
}

Test(tensorboard, events_without_what_they_need_are_passed_over) {
  for (tn_event_type type = 1; type < 20; type++) emit(tn_event_of(type, NULL));
  read_file();
  part event;
  EXPECT_INT(record(-1, &event), 1);
}
