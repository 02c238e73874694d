// SPDX-License-Identifier: MIT
/* Cells of differentiable architecture search, what searched and derived networks have in common: two inputs,
 * N nodes, the concatenation of the nodes as output; and genotypes, their text.
 *
 *   normal = sep_conv_3x3:0 sep_conv_3x3:1 ..., reduce = max_pool_3x3:0 ...
 *
 * Two entries a node, OPERATION:FROM, with inputs 0 and 1 and node i as 2 + i. */
#ifndef TENON_PLUGINS_CELL_H
#define TENON_PLUGINS_CELL_H

#include "operations.h"
#include <stdlib.h>

enum { CELL_NODES = 8, CELL_KINDS = 2, CELL_MOST = 64 };
enum { CELL_NORMAL, CELL_REDUCE };
static const char *const cell_names[CELL_KINDS] = {"normal", "reduce"};

/* Edge `from` -> node; edges are counted node by node: 2, 3, 4 ... of them. */
static inline int64_t cell_edge(int64_t node, int64_t from) { return node * (node + 3) / 2 + from; }
static inline int64_t cell_edges(int64_t nodes) { return cell_edge(nodes, 0); }

struct gene {
  int32_t operation;
  int64_t from;
};
struct genotype {
  int64_t nodes;
  struct gene genes[CELL_KINDS][2 * CELL_NODES];
};

static inline char *genotype_text(const struct genotype *g) {
  char *text = tn_alloc(CELL_KINDS * 2 * CELL_NODES * 32);
  size_t used = 0;
  for (int k = 0; text && k < CELL_KINDS; k++) {
    used += (size_t)sprintf(text + used, "%s%s =", k > 0 ? ", " : "", cell_names[k]);
    for (int64_t i = 0; i < 2 * g->nodes; i++)
      used += (size_t)sprintf(text + used, " %s:%d", operation_traits[g->genes[k][i].operation].name,
                              (int)g->genes[k][i].from);
  }
  return text;
}

/* Reads one gene from *at; moves it on. */
static inline tn_status genotype_gene(const char **at, int64_t node, struct gene *gene) {
  char name[32];
  int from, length = 0;
  if (sscanf(*at, " %31[a-z0-9_]:%d%n", name, &from, &length) < 2 || length == 0)
    return tn_fail(TN_ERROR_INVALID, "genotype: expected OPERATION:FROM at '%.24s'", *at);
  *at += length;
  gene->operation = operation_named(name);
  gene->from = from;
  if (gene->operation == OPERATION_COUNT) return TN_ERROR_INVALID;
  if (from < 0 || from >= 2 + node)
    return tn_fail(TN_ERROR_INVALID, "genotype: node %d has inputs 0 to %d, got %d", (int)node, (int)node + 1,
                   from);
  return TN_OK;
}

static inline tn_status genotype_parse(const char *text, struct genotype *g) {
  const char *at = text;
  int64_t counts[CELL_KINDS];
  for (int k = 0; k < CELL_KINDS; k++) {
    char name[16];
    int length = 0;
    if (sscanf(at, " , %15[a-z] = %n", name, &length) < 1 && sscanf(at, " %15[a-z] = %n", name, &length) < 1)
      length = 0;
    if (length == 0 || strcmp(name, cell_names[k]) != 0)
      return tn_fail(TN_ERROR_INVALID, "genotype: expected '%s =' at '%.24s'", cell_names[k], at);
    at += length;
    for (counts[k] = 0; *at && *at != ','; counts[k]++, at += strspn(at, " ")) {
      if (counts[k] == 2 * CELL_NODES)
        return tn_fail(TN_ERROR_INVALID, "genotype: more than %d nodes", CELL_NODES);
      const tn_status status = genotype_gene(&at, counts[k] / 2, &g->genes[k][counts[k]]);
      if (status < 0) return status;
    }
  }
  g->nodes = counts[0] / 2;
  if (counts[0] != counts[1] || counts[0] % 2 != 0 || counts[0] == 0)
    return tn_fail(TN_ERROR_INVALID,
                   "genotype: expected two entries a node and as many in both cells, got %d and %d",
                   (int)counts[0], (int)counts[1]);
  return TN_OK;
}

/* ---- the frame of a cell: its inputs made alike ---- */

struct frame {
  int kind;
  int64_t channels;
  bool after_reduction;
  bool identity; /* the first input is taken as it is */
  struct reduction first_reduction;
  struct conv first, second;
  struct unit_norm first_norm, second_norm;
};
/* foremost: of the first cell, whose first input is the stem's output; where its width is the cell's,
 * sharpDARTS leaves it as it is. */
static inline void frame_declare(struct frame *f, tn_declaration *d, const char *name,
                                 const struct style *style, int64_t before_last, int64_t last,
                                 bool foremost) {
  char part[64];
  f->identity = style->sharp && foremost && before_last == f->channels;
  snprintf(part, sizeof part, "%s.first", name);
  if (f->after_reduction)
    f->first_reduction = reduction_declare(d, part, style, before_last, f->channels);
  else if (!f->identity) {
    f->first = plain_conv(d, part, before_last, f->channels, 1, conv_geometry(1, 0));
    snprintf(part, sizeof part, "%s.first_norm", name);
    f->first_norm = unit_norm_declare(d, part, style, f->channels);
  }
  snprintf(part, sizeof part, "%s.second", name);
  f->second = plain_conv(d, part, last, f->channels, 1, conv_geometry(1, 0));
  snprintf(part, sizeof part, "%s.second_norm", name);
  f->second_norm = unit_norm_declare(d, part, style, f->channels);
}
/* states[0], states[1] (n, channels, h, w) from the outputs of the two cells in front. */
static inline void frame_apply(const struct frame *f, tn_model_call *call, tn_tensor *before_last,
                               tn_tensor *last, tn_tensor **states) {
  if (f->identity)
    states[0] = before_last;
  else if (f->after_reduction)
    states[0] = reduction_apply(&f->first_reduction, call, tn_relu(before_last), NULL, NULL);
  else
    states[0] = unit_norm_apply(&f->first_norm, call,
                                conv_apply(&f->first, call->params, tn_relu(before_last)), NULL, NULL, false);
  states[1] = unit_norm_apply(&f->second_norm, call, conv_apply(&f->second, call->params, tn_relu(last)),
                              NULL, NULL, false);
}

/* Which cells reduce: those listed, or those a third and two thirds of the way. */
static inline bool cell_reduces(tn_integers listed, int64_t cells, int64_t cell) {
  if (listed.count == 0) return cell == cells / 3 || cell == 2 * cells / 3;
  for (uint32_t i = 0; i < listed.count; i++)
    if (listed.items[i] == cell) return true;
  return false;
}

/* A node that nothing reaches. */
static inline tn_tensor *cell_zeros(const tn_tensor *x, bool reduces) {
  const int64_t by = reduces ? 2 : 1;
  return tn_zeros(x->dtype, TN_SHAPE(tn_dim(x, 0), tn_dim(x, 1), (tn_dim(x, 2) + by - 1) / by,
                                     (tn_dim(x, 3) + by - 1) / by));
}

#endif
