// SPDX-License-Identifier: MIT
/* tenon graph FILE.ini: the pipeline as a drawing, sections as boxes, references as arrows. */
#include "core/command/command.h"
#include "core/command/experiment.h"
#include "core/report/graph.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: tenon graph FILE.ini [section.key=value ...] [options]\n\n"
    "Draws the components of a pipeline and their references as SVG; of a file with arms, the first arm.\n\n"
    "  --output FILE    write there instead of standard output\n"
    "  --plugin FILE    also load this plugin (may be repeated)\n";

/* One colour a kind, in the order of their first appearance. */
static unsigned color_of(const char *kind, const char **kinds, unsigned *count) {
  for (unsigned i = 0; i < *count; i++)
    if (strcmp(kinds[i], kind) == 0) return i;
  if (*count < 64) kinds[(*count)++] = kind;
  return *count - 1;
}

static tn_status draw(tn_pipeline *pipeline, tn_text *out, tn_error *error) {
  static tn_graph_node nodes[TN_GRAPH_NODES_MAX];
  static tn_graph_edge edges[TN_GRAPH_EDGES_MAX];
  static char ids[TN_GRAPH_NODES_MAX][192], titles[TN_GRAPH_NODES_MAX][128];
  const char *kinds[64];
  unsigned kind_count = 0;
  size_t count = 0, edge_count = 0;
  const tn_edge *references;
  uint32_t reference_count = tn_pipeline_edges(pipeline, &references);
  for (uint32_t i = 0; i < tn_pipeline_count(pipeline) && count < TN_GRAPH_NODES_MAX; i++, count++) {
    const tn_component *c = tn_pipeline_at(pipeline, i);
    char kind[64];
    tn_kind_short_name(c->cls->kind, kind, sizeof kind);
    snprintf(ids[count], sizeof ids[count], "%.120s%s%.60s", c->name, *c->part ? ":" : "", c->part);
    snprintf(titles[count], sizeof titles[count], "%.50s.%.70s", kind, c->cls->name);
    nodes[count] = (tn_graph_node){.id = ids[count],
                                   .subtitle = strcmp(ids[count], titles[count]) == 0 ? NULL : titles[count],
                                   .color = color_of(c->cls->kind, kinds, &kind_count)};
  }
  for (uint32_t i = 0; i < reference_count && edge_count < TN_GRAPH_EDGES_MAX; i++) {
    const char *from = NULL, *to = NULL;
    for (uint32_t j = 0; j < count; j++) {
      if (tn_pipeline_at(pipeline, j) == references[i].from) from = ids[j];
      if (tn_pipeline_at(pipeline, j) == references[i].to) to = ids[j];
    }
    if (from && to) edges[edge_count++] = (tn_graph_edge){from, to, references[i].key};
  }
  tn_graph graph = {.title = tn_pipeline_name(pipeline),
                    .nodes = nodes,
                    .node_count = count,
                    .edges = edges,
                    .edge_count = edge_count};
  char text[256];
  if (tn_graph_draw(&graph, out, text, sizeof text)) return TN_OK;
  return tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "%s", text);
}

static tn_status write_out(const char *path, const char *svg, tn_error *error) {
  FILE *file = path ? fopen(path, "w") : stdout;
  bool ok = file && fputs(svg, file) >= 0 && fflush(file) == 0;
  if (file && path && fclose(file) != 0) ok = false;
  return ok ? TN_OK
            : tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", path ? path : "output", strerror(errno));
}

int tn_command_graph(int argc, char **argv) {
  tn_command_options options = {0};
  int code = tn_command_parse(argc, argv, "graph", help, &options);
  if (code >= 0) return code;
  tn_registry *registry = tn_command_registry(&options.shared);
  if (!registry) return TN_EXIT_PLUGIN;
  options.pipeline.quiet = true;
  tn_error error = {0};
  tn_text svg = {0};
  tn_plan *plan = tn_experiment_wanted(&options) ? tn_experiment_plan(&options, &error) : NULL;
  if (plan) {
    options.pipeline.overrides = (const char *const *)plan->cells[0].overrides;
    options.pipeline.override_count = plan->cells[0].override_count;
  }
  tn_pipeline *pipeline = error.status ? NULL : tn_pipeline_open(registry, &options.pipeline, &error);
  tn_status status = pipeline ? draw(pipeline, &svg, &error) : error.status;
  if (status == TN_OK) status = write_out(options.output, svg.data, &error);
  code = status < 0 ? tn_command_error(&error, false) : TN_EXIT_OK;
  tn_text_free(&svg);
  tn_plan_free(plan);
  tn_pipeline_close(pipeline);
  tn_registry_close(registry);
  return code;
}
