// SPDX-License-Identifier: MIT
/* A folder with one folder a class, each with PNG images of one size: field `image` (n, channels, height,
 * width) in [0, 1], field `label`. Classes and files are taken in the order of their names; without folders
 * in it, the images of the folder itself are rows without labels. */
#include "core/format/png.h"
#include "memory.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct image_folder {
  struct memory memory;
  const char *folder;
  int64_t crop;
  int32_t channels;
};
static const tn_param image_folder_params[] = {
    TN_PATH(struct image_folder, folder, TN_PARAM_REQUIRED, NULL, "the folder"),
    TN_INTEGER(struct image_folder, crop, "0", 0, 1 << 14, "pixels",
               "side of the square in the middle that is used, for images of several sizes; 0: all"),
    TN_CHOICE(struct image_folder, channels, "auto", "auto|grey|colour", "auto: those of the first image"),
    SPLIT_PARAMS(struct image_folder, memory.keys, "20%", "shuffled"),
};

/* Names in a folder, sorted: folders, or files that end in .png. */
static int wanted_folders;
static int is_wanted(const struct dirent *entry) {
  const size_t length = strlen(entry->d_name);
  if (entry->d_name[0] == '.') return 0;
  return wanted_folders ? 1 : length > 4 && strcmp(entry->d_name + length - 4, ".png") == 0;
}

static bool is_folder(const char *path) {
  struct stat status;
  return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Writes one image as (channels, height, width) behind the rows there are. */
static tn_status take_image(struct image_folder *data, const char *path, const tn_png *image, int64_t label,
                            int64_t *room) {
  struct memory *m = &data->memory;
  const int64_t height = data->crop ? data->crop : (int64_t)image->height;
  const int64_t width = data->crop ? data->crop : (int64_t)image->width;
  const int64_t colours = image->channels == 1 ? 1 : 3;
  if (m->rows == 0) {
    m->shape = TN_SHAPE(data->channels == 0 ? colours : data->channels == 1 ? 1 : 3, height, width);
    m->features = m->shape.dim[0] * height * width;
  }
  if (height > (int64_t)image->height || width > (int64_t)image->width || height != m->shape.dim[1] ||
      width != m->shape.dim[2])
    return tn_fail(TN_ERROR_SHAPE, "%s has %zu x %zu pixels, expected %lld x %lld", path, image->height,
                   image->width, (long long)m->shape.dim[1], (long long)m->shape.dim[2]);
  if (m->rows == *room) {
    *room = *room ? 2 * *room : 64;
    uint8_t *bytes = tn_resize(m->bytes, (size_t)(*room * m->features));
    int64_t *labels = tn_resize(m->labels, (size_t)*room * sizeof *labels);
    if (bytes) m->bytes = bytes;
    if (labels) m->labels = labels;
    if (!bytes || !labels) return TN_ERROR_MEMORY;
  }
  const int64_t top = ((int64_t)image->height - height) / 2, left = ((int64_t)image->width - width) / 2;
  uint8_t *to = m->bytes + m->rows * m->features;
  for (int64_t c = 0; c < m->shape.dim[0]; c++)
    for (int64_t y = 0; y < height; y++)
      for (int64_t x = 0; x < width; x++) {
        const uint8_t *p =
            image->pixels + ((top + y) * (int64_t)image->width + left + x) * (int64_t)image->channels;
        /* grey: the luma of ITU-R BT.601 */
        const bool mix = m->shape.dim[0] == 1 && colours == 3;
        *to++ =
            mix ? (uint8_t)((299 * p[0] + 587 * p[1] + 114 * p[2] + 500) / 1000) : p[colours == 1 ? 0 : c];
      }
  m->labels[m->rows++] = label;
  return TN_OK;
}

static tn_status take_folder(struct image_folder *data, const char *folder, int64_t label, int64_t *room) {
  struct dirent **files = NULL;
  wanted_folders = 0;
  const int count = scandir(folder, &files, is_wanted, alphasort);
  tn_status status = count < 0 ? tn_fail(TN_ERROR_IO, "%s: cannot be read", folder) : TN_OK;
  for (int i = 0; i < count; i++) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, files[i]->d_name);
    tn_png image;
    tn_format_error error;
    if (status == TN_OK && !tn_png_read(path, 0, &image, &error))
      status = tn_fail(TN_ERROR_IO, "%s", error.text);
    else if (status == TN_OK) {
      status = take_image(data, path, &image, label, room);
      tn_png_free(&image);
    }
    free(files[i]);
  }
  free(files);
  return status;
}

static tn_status image_folder_create(void *self) {
  struct image_folder *data = self;
  struct memory *m = &data->memory;
  m->field = "image";
  struct dirent **folders = NULL;
  wanted_folders = 1;
  const int count = scandir(data->folder, &folders, is_wanted, alphasort);
  tn_status status = count < 0 ? tn_fail(TN_ERROR_IO, "%s: no such folder", data->folder) : TN_OK;
  int64_t room = 0;
  char **names = tn_alloc(((size_t)(count > 0 ? count : 0) + 1) * sizeof *names);
  for (int i = 0; i < count; i++) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", data->folder, folders[i]->d_name);
    if (status == TN_OK && names && is_folder(path)) {
      names[m->classes] = folders[i]->d_name;
      status = take_folder(data, path, m->classes++, &room);
    }
  }
  for (int64_t c = 0; status == TN_OK && c < m->classes; c++) status = memory_name(m, c, names[c]);
  const bool labelled = m->classes > 0;
  if (status == TN_OK && !labelled) status = take_folder(data, data->folder, -1, &room);
  for (int i = 0; i < count; i++) free(folders[i]);
  free(folders);
  tn_free(names);
  if (status < 0) return status;
  if (m->rows == 0) return tn_fail(TN_ERROR_INVALID, "%s holds no PNG image", data->folder);
  if (!labelled) {
    tn_free(m->labels);
    m->labels = NULL;
  }
  return memory_finish(m);
}

MEMORY_TABLE(image_folder)
static const tn_class image_folder_class = {.size = sizeof(tn_class),
                                            .kind = TN_DATASET,
                                            .name = "image_folder",
                                            .summary = "PNG images, one folder a class",
                                            TN_CLASS_PARAMS(image_folder_params),
                                            .instance_size = sizeof(struct image_folder),
                                            .vtable = &image_folder_table,
                                            .create = image_folder_create,
                                            .destroy = image_folder_destroy};
TN_PLUGIN("dataset_image_folder", "1.0.0", "MIT", &image_folder_class)
