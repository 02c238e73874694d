// SPDX-License-Identifier: MIT
/* Architectures as a search finds them. It reads the texts named `genotype` that stage.search emits, on the
 * way (derive_every) and at the end, and the figure `entropy` of the search's steps: genotypes.txt in the run
 * directory: a line for each that differs from the one before, stage, step, entropy of the architecture
 * parameters (nats; - if there is none), genotype the terminal: the genotype at the end of its stage the
 * report: each cell of `NAME = OPERATION:FROM OPERATION:FROM ..., NAME = ...` as a graph (two entries a node;
 * inputs 0 and 1 are the two cells in front), and the entropy over the steps as a line */
#include "file.h"
#include <stdlib.h>

enum { LINE = 4096, MOST_NODES = 64 };
struct genotype {
  bool print;
  struct observer_file file;
  char *text;     /* the last one; "" before the first */
  double *curve;  /* (points, 2): step, entropy */
  size_t bytes;   /* of the curve */
  double entropy; /* the last one; NaN before the first */
};
static const tn_param genotype_params[] = {
    TN_BOOL(struct genotype, print, "yes", "on the terminal too, at the end of the stage"),
};

static char *copy_of(const char *text) {
  char *copy = tn_alloc(strlen(text) + 1);
  if (copy) memcpy(copy, text, strlen(text) + 1);
  return copy;
}

static tn_status genotype_create(void *self) {
  struct genotype *g = self;
  g->entropy = NAN;
  g->text = copy_of("");
  return g->text ? TN_OK : TN_ERROR_MEMORY;
}

static tn_status note_entropy(struct genotype *g, const tn_event *event) {
  for (uint32_t i = 0; i < event->scalar_count; i++) {
    if (strcmp(event->scalars[i].name, "entropy") != 0) continue;
    double *curve = tn_resize(g->curve, g->bytes + 2 * sizeof *curve);
    if (!curve) return TN_ERROR_MEMORY;
    const size_t at = g->bytes / sizeof *curve;
    g->curve = curve;
    g->bytes += 2 * sizeof *curve;
    curve[at] = (double)event->progress.step;
    curve[at + 1] = g->entropy = event->scalars[i].value;
  }
  return TN_OK;
}

static tn_status note_genotype(struct genotype *g, const tn_event *event) {
  if (strcmp(event->text, g->text) == 0) return TN_OK;
  char *text = copy_of(event->text);
  if (!text) return TN_ERROR_MEMORY;
  tn_free(g->text);
  g->text = text;
  bool ready;
  const tn_status status = observer_file_open(&g->file, "genotypes.txt", &ready);
  if (status < 0 || !ready) return status;
  char entropy[32] = "-";
  if (isfinite(g->entropy)) snprintf(entropy, sizeof entropy, "%.4f", g->entropy);
  fprintf(g->file.stream, "%s %lld %s %s\n", event->stage, (long long)event->progress.step, entropy, text);
  return observer_file_flush(&g->file, "genotypes.txt");
}

/* One cell, from *at on, which is moved to the next; false if the text is of another form. */
static bool draw_cell(const char **at) {
  char name[32], operation[48], lines[LINE], title[48];
  int from, length = 0, entries = 0;
  if (sscanf(*at, " %31[a-z0-9_] =%n", name, &length) < 1 || length == 0) return false;
  *at += length;
  size_t used = (size_t)snprintf(lines, sizeof lines,
                                 "input_0 : cell before last\ninput_1 : last cell\noutput : concatenation\n");
  for (; sscanf(*at, " %47[a-z0-9_]:%d%n", operation, &from, &length) == 2; entries++, *at += length) {
    if (from < 0 || from >= 2 + entries / 2 || entries == 2 * MOST_NODES) return false;
    used += (size_t)snprintf(lines + used, sizeof lines - used, "%s_%d -> node_%d : %s\n",
                             from < 2 ? "input" : "node", from < 2 ? from : from - 2, entries / 2, operation);
    if (entries % 2 == 1 && used < sizeof lines)
      used += (size_t)snprintf(lines + used, sizeof lines - used, "node_%d -> output\n", entries / 2);
    if (used >= sizeof lines) return false;
  }
  *at += strspn(*at, " ,");
  if (entries == 0 || entries % 2 != 0) return false;
  snprintf(title, sizeof title, "Cell %s", name);
  tn_event event = tn_event_of(TN_EVENT_GRAPH, name);
  event.title = title;
  event.text = lines;
  tn_emit(&event);
  return true;
}

static void draw_entropy(const struct genotype *g) {
  static const char *const names[] = {"entropy"};
  const int64_t points = (int64_t)(g->bytes / (2 * sizeof *g->curve));
  if (points < 2) return;
  tn_event event = tn_event_of(TN_EVENT_SERIES, "entropy");
  event.title = "Entropy of the architecture parameters";
  event.tensor = tn_from(TN_F64, TN_SHAPE(points, 2), g->curve);
  event.columns = 1;
  event.column_labels = names;
  event.x_label = "step";
  event.y_label = "nats";
  tn_emit(&event);
}

static void end_stage(struct genotype *g, const tn_event *event) {
  const char *quiet = getenv("TENON_QUIET"), *at = g->text;
  if (g->print && !(quiet && strcmp(quiet, "1") == 0)) {
    printf("%s  %s\n", event->stage, g->text);
    fflush(stdout);
  }
  while (*at && draw_cell(&at)) continue;
  draw_entropy(g);
}

static tn_status genotype_event(void *self, const tn_event *event) {
  struct genotype *g = self;
  const bool named = event->name && strcmp(event->name, "genotype") == 0;
  switch (event->type) {
  case TN_EVENT_STAGE_BEGIN:
    g->text[0] = 0;
    g->bytes = 0;
    g->entropy = NAN;
    return TN_OK;
  case TN_EVENT_STEP: return note_entropy(g, event);
  case TN_EVENT_TEXT: return named && event->text && event->stage ? note_genotype(g, event) : TN_OK;
  case TN_EVENT_STAGE_END:
    if (*g->text) end_stage(g, event);
    return tn_outcome();
  default: return TN_OK;
  }
}

static void genotype_destroy(void *self) {
  struct genotype *g = self;
  observer_file_close(&g->file);
  tn_free(g->text);
  tn_free(g->curve);
}

static tn_status genotype_state(void *self, const tn_visitor *visitor) {
  struct genotype *g = self;
  tn_visit_text(visitor, "text", &g->text);
  tn_visit_real(visitor, "entropy", &g->entropy);
  void *curve = g->curve;
  const tn_status status = tn_visit_block(visitor, "curve", &curve, &g->bytes);
  g->curve = curve;
  return status < 0 ? status : observer_file_state(&g->file, visitor);
}

static const tn_class genotype_class = {
    .size = sizeof(tn_class),
    .kind = TN_OBSERVER,
    .name = "genotype",
    .summary = "Architectures as a search finds them: printed, listed and drawn",
    .reference = "Liu, Simonyan and Yang 2018, DARTS: Differentiable Architecture Search",
    TN_CLASS_PARAMS(genotype_params),
    .instance_size = sizeof(struct genotype),
    .vtable = &(const tn_observer){.size = sizeof(tn_observer), .event = genotype_event},
    .create = genotype_create,
    .destroy = genotype_destroy,
    .state = genotype_state};
TN_PLUGIN("observer_genotype", "1.0.0", "MIT", &genotype_class)
