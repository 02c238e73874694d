// SPDX-License-Identifier: MIT
/* What the one-shot search of ensembles shows at the end. */
#ifndef TENON_PLUGINS_ONE_SHOT_PICTURES_H
#define TENON_PLUGINS_ONE_SHOT_PICTURES_H

#include "one_shot.h"

/* The found network as a graph: a chain, and the branches behind it. */
static inline void draw_network(const struct one_shot *s, const struct architecture *a) {
  enum { ROOM = 1 << 14 };
  char *text = tn_alloc(ROOM), from[32], to[32];
  size_t used = 0;
  if (!text) return;
  for (int64_t k = -1; k < a->paths; k++) {
    const int64_t first = k < 0 ? 0 : a->split, end = k < 0 ? a->split : s->space->layers;
    if (a->split > 0)
      snprintf(from, sizeof from, k < 0 ? "stem" : "layer %d", (int)a->split);
    else
      snprintf(from, sizeof from, "stem");
    for (int64_t l = first; l < end + (k >= 0) && used + 160 < ROOM; l++) {
      const int32_t gene = l < end ? a->genes[k < 0 ? 0 : k][l] : 0;
      if (k < 0)
        snprintf(to, sizeof to, "layer %d", (int)l + 1);
      else if (l < end)
        snprintf(to, sizeof to, "layer %d%c", (int)l + 1, 'a' + (int)k);
      else
        snprintf(to, sizeof to, "head %c", 'a' + (int)k);
      used += (size_t)snprintf(text + used, ROOM - used, "%s -> %s", from, to);
      if (l < end && gene == ENSEMBLE_SKIP) used += (size_t)snprintf(text + used, ROOM - used, " : skip");
      if (l < end && gene != ENSEMBLE_SKIP)
        used += (size_t)snprintf(text + used, ROOM - used, " : k%d e%d", (int)s->space->blocks[gene].kernel,
                                 (int)s->space->blocks[gene].expand);
      used += (size_t)snprintf(text + used, ROOM - used, "\n");
      memcpy(from, to, sizeof from);
    }
    if (k >= 0) used += (size_t)snprintf(text + used, ROOM - used, "%s -> mean\n", from);
  }
  tn_event event = tn_event_of(TN_EVENT_GRAPH, "network");
  event.title = "The ensemble that was found";
  event.text = text;
  tn_emit(&event);
  tn_free(text);
}

static inline void draw_curves(const struct one_shot *s) {
  static const char *const labels[] = {"mean accuracy", "mean diversity"};
  tn_tensor *curves = tn_from(TN_F64, TN_SHAPE(s->surveys, 3), s->curves);
  tn_event event = tn_event_of(TN_EVENT_SERIES, "pool");
  event.title = "What is left, before each round and at the end";
  event.tensor = curves;
  event.columns = 2;
  event.column_labels = labels;
  event.x_label = "steps";
  if (!tn_poisoned(curves)) tn_emit(&event);
}

static inline void draw_pool(const struct one_shot *s) {
  const int64_t columns = space_columns(s->space);
  tn_tensor *left = tn_zeros(TN_F64, TN_SHAPE(s->space->layers, columns));
  char names[ENSEMBLE_CHOICES + 1][24];
  const char *labels[ENSEMBLE_CHOICES + 1];
  if (tn_poisoned(left)) return;
  for (int64_t c = 0; c < columns; c++) {
    snprintf(names[c], sizeof names[c], "skip");
    if (c < s->space->count)
      snprintf(names[c], sizeof names[c], "k%d e%d", (int)s->space->blocks[c].kernel,
               (int)s->space->blocks[c].expand);
    labels[c] = names[c];
    for (int64_t l = 0; l < s->space->layers; l++) tn_f64(left)[l * columns + c] = pool_has(&s->pool, l, c);
  }
  tn_event event = tn_event_of(TN_EVENT_MATRIX, "choices");
  event.title = "Choices that are left, by layer";
  event.tensor = left;
  event.rows = (uint32_t)s->space->layers;
  event.columns = (uint32_t)columns;
  event.column_labels = labels;
  event.x_label = "choice";
  event.y_label = "layer";
  tn_emit(&event);
}

#endif
