// SPDX-License-Identifier: MIT
/* A graph (graph.h) that has been checked, from left to right. */
#ifndef TENON_REPORT_FLOW_H
#define TENON_REPORT_FLOW_H

#include "core/report/graph.h"

/* False if memory ran out. */
bool tn_flow_draw(const tn_graph *graph, tn_text *out);

#endif
