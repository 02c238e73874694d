// SPDX-License-Identifier: MIT
/* The distribution of a policy's objects against its target R(x) / Z, exactly.
 *
 * Environments of at most `limit` states: P(s_0) = 1, P(s') += P(s) P_F(s' | s) along the graph, level by
 * level, p(x) = P(x) P_F(stop | x). Figures are means over the preferences of a walk, in float64: l1, tv, kl
 * sum |p - R / Z|, half of it, sum p log(p Z / R);  max_l1, max_tv: the worst preference uniform_l1    of the
 * uniform distribution over all objects, for comparison mass_error    |sum p - 1| utility_error |E_p u -
 * E_R/Z u|, u the utility without the exponent Environments with a spectrum: sums over objects from the
 * spectrum; E_p u is the mean over sampled objects. sample_utility is the mean over all sampled objects.
 * Both: log_z_error and max_log_z_error, |log Z learnt - exact|, if the probe brings the loss; and
 * true_hypervolume, of the true front above 0. */
#include <stdio.h>
#include "plugins/environments/graph.h"
#include "plugins/environments/rollout.h"
#include "points.h"
#include <tenon/metric.h>

struct exact_distribution {
  int64_t limit, chunk, pictures;
  /* sampled objects of each group */
  double *sums; /* (groups, 2): utilities, their number */
  size_t bytes;
};
static const tn_param exact_distribution_params[] = {
    TN_INTEGER(struct exact_distribution, limit, "1e6", 1, 1 << 28, "states",
               "most states of an environment whose graph is walked"),
    TN_INTEGER(struct exact_distribution, chunk, "4096", 1, 1 << 24, "states", "states a pass of the policy"),
    TN_INTEGER(struct exact_distribution, pictures, "3", 0, 100, "preferences",
               "of how many the distributions are drawn"),
};

static void exact_distribution_reset(void *self) {
  struct exact_distribution *metric = self;
  tn_free(metric->sums);
  metric->sums = NULL;
  metric->bytes = 0;
}

static tn_status exact_distribution_update(void *self, const tn_fields *fields) {
  struct exact_distribution *metric = self;
  const tn_tensor *utility = tn_field(fields, "utility"), *group = tn_field(fields, "group");
  if (tn_failed()) return tn_outcome();
  for (int64_t i = 0; i < tn_numel(utility); i++) {
    const size_t at = (size_t)tn_i64(group)[i], bytes = (at + 1) * 2 * sizeof(double);
    if (bytes > metric->bytes) {
      double *sums = tn_resize(metric->sums, bytes);
      if (!sums) return TN_ERROR_MEMORY;
      memset((char *)sums + metric->bytes, 0, bytes - metric->bytes);
      metric->sums = sums;
      metric->bytes = bytes;
    }
    metric->sums[2 * at] += points_number(utility, i);
    metric->sums[2 * at + 1]++;
  }
  return TN_OK;
}
/* Of the sampled objects alone; the rest comes from measure. */
static tn_status exact_distribution_values(void *self, tn_metric_sink *sink) {
  const struct exact_distribution *metric = self;
  double sum = 0, count = 0;
  for (size_t g = 0; g < metric->bytes / (2 * sizeof(double)); g++) {
    sum += metric->sums[2 * g];
    count += metric->sums[2 * g + 1];
  }
  if (count > 0) sink->value(sink, "sample_utility", sum / count);
  return TN_OK;
}

/* ---- one preference ---- */

struct comparison {
  const struct rollout *r;
  const struct graph *g;
  const tn_params *params;
  tn_progress progress;
  double *reached;                  /* (states) P(s) */
  double *p, *q;                    /* (objects): learnt, target */
  double *values, *utility, *log_r; /* (objects, K), (objects) */
  double *asked;                    /* (objects, K + 1) the preference repeated */
  double *probability;              /* (chunk, actions) */
  double log_z;
};

/* P_F at states first .. first + n of level `level` into probability (n, actions). */
static tn_status forward(struct comparison *c, int64_t level, int64_t first, int64_t n) {
  const int64_t actions = c->r->info.actions;
  tn_fields *fields = tn_fields_new();
  tn_tensor *condition = rollout_condition(c->r, c->asked, 1, &c->progress);
  if (condition) condition = tn_broadcast_to(condition, TN_SHAPE(n, tn_dim(condition, 1)));
  tn_status status = rollout_evaluate(c->r, c->params, c->g->rows + first * c->g->width, n, level, condition,
                                      &c->progress, fields);
  if (status < 0) return status;
  const tn_tensor *p = tn_exp(tn_log_softmax(tn_cast(tn_field(fields, "logits"), TN_F64), 1));
  if (tn_failed()) return tn_outcome();
  memcpy(c->probability, tn_f64(p), (size_t)(n * actions) * sizeof(double));
  return TN_OK;
}

/* p over all objects. */
static tn_status propagate(struct comparison *c, int64_t chunk) {
  const struct graph *g = c->g;
  const int64_t actions = c->r->info.actions;
  tn_status status = TN_OK;
  int64_t e = 0;
  memset(c->reached, 0, (size_t)g->states * sizeof *c->reached);
  memset(c->p, 0, (size_t)g->objects * sizeof *c->p);
  c->reached[0] = 1;
  for (int64_t level = 0; level < g->levels; level++)
    for (int64_t first = g->level[level]; first < g->level[level + 1] && status >= 0; first += chunk) {
      const int64_t left = g->level[level + 1] - first, n = left < chunk ? left : chunk;
      tn_scope_open();
      status = forward(c, level, first, n);
      tn_scope_close();
      for (; status >= 0 && e < g->edges && g->edge[e].from < first + n; e++) {
        const struct edge *edge = &g->edge[e];
        const double flow =
            c->reached[edge->from] * c->probability[(edge->from - first) * actions + edge->action];
        if (edge->to < 0)
          c->p[~edge->to] += flow;
        else
          c->reached[edge->to] += flow;
      }
    }
  return status;
}

static double log_sum(const double *x, const double *more, int64_t n) {
  double most = -INFINITY, sum = 0;
  for (int64_t i = 0; i < n; i++) most = fmax(most, x[i] + (more ? more[i] : 0));
  for (int64_t i = 0; i < n; i++) sum += exp(x[i] + (more ? more[i] : 0) - most);
  return most + log(sum);
}

/* ---- figures ---- */

enum { L1, TV, KL, MASS, UNIFORM, LOG_Z, UTILITY, TARGET, UTILITY_ERROR, FIGURES };
struct totals {
  double sum[FIGURES], most[FIGURES];
  int64_t count;
  bool has[FIGURES];
};
static void add(struct totals *t, int32_t figure, double value) {
  t->sum[figure] += value;
  t->most[figure] = fmax(t->most[figure], value);
  t->has[figure] = true;
}
static void tell(const struct totals *t, tn_metric_sink *sink) {
  static const char *const mean[FIGURES] = {"l1",           "tv",          "kl",      "mass_error",
                                            "uniform_l1",   "log_z_error", "utility", "target_utility",
                                            "utility_error"};
  static const char *const most[FIGURES] = {"max_l1",          "max_tv", NULL, NULL, NULL,
                                            "max_log_z_error", NULL,     NULL, NULL};
  for (int32_t f = 0; f < FIGURES; f++) {
    if (!t->has[f]) continue;
    sink->value(sink, mean[f], t->sum[f] / (double)t->count);
    if (most[f]) sink->value(sink, most[f], t->most[f]);
  }
}

/* |log Z learnt - exact| of the preference in `asked`. */
static tn_status compare_log_z(const struct rollout *r, const tn_metric_probe *probe, const double *asked,
                               double log_z, const tn_progress *progress, struct totals *totals) {
  if (!probe->loss) return TN_OK;
  tn_scope_open();
  tn_tensor *z =
      rollout_log_z(r, probe->params, probe->loss, rollout_condition(r, asked, 1, progress), 1, progress);
  if (z && !tn_poisoned(z)) add(totals, LOG_Z, fabs(tn_item(z) - log_z));
  tn_scope_close();
  return tn_outcome();
}

/* Learnt and target side by side over the first two coordinates, where a state has no others. */
static void draw_plane(const struct comparison *c, const char *name) {
  const struct graph *g = c->g;
  int64_t rows = 0, columns = 0;
  for (int64_t i = 0; i < g->objects; i++) {
    const double *x = g->ends + i * g->width;
    if (x[0] < 0 || x[1] < 0 || x[0] > 512 || x[1] > 512) return;
    rows = x[1] + 1 > (double)rows ? (int64_t)x[1] + 1 : rows;
    columns = x[0] + 1 > (double)columns ? (int64_t)x[0] + 1 : columns;
  }
  for (int side = 0; side < 2; side++) {
    char title[96];
    tn_tensor *plane = tn_zeros(TN_F64, TN_SHAPE(rows, columns));
    if (tn_poisoned(plane)) return;
    for (int64_t i = 0; i < g->objects; i++) {
      const double *x = g->ends + i * g->width;
      tn_f64(plane)[(rows - 1 - (int64_t)x[1]) * columns + (int64_t)x[0]] = side == 0 ? c->p[i] : c->q[i];
    }
    snprintf(title, sizeof title, "%s, %s", name, side == 0 ? "learnt" : "target");
    tn_event event = tn_event_of(TN_EVENT_MATRIX, title);
    event.tensor = plane;
    event.rows = (uint32_t)rows;
    event.columns = (uint32_t)columns;
    event.x_label = "x 1";
    event.y_label = "x 2, from above";
    tn_emit(&event);
  }
}

static void draw_pictures(const struct exact_distribution *metric, const struct comparison *c, int64_t number,
                          int64_t count) {
  const int64_t every = metric->pictures > 0 ? (count + metric->pictures - 1) / metric->pictures : count + 1;
  const uint32_t objectives = c->r->info.objectives;
  char name[64] = "distribution";
  size_t used = 0;
  if (number % every != 0 || c->g->width != 3) return;
  for (uint32_t k = 0; objectives > 1 && k < objectives && used < sizeof name; k++)
    used += (size_t)snprintf(name + used, sizeof name - used, "%s%.2g", k ? ", " : "weights ", c->asked[k]);
  draw_plane(c, name);
}

static void compare(const struct comparison *c, struct totals *totals) {
  const int64_t n = c->g->objects;
  double l1 = 0, kl = 0, mass = 0, uniform = 0, utility = 0, target = 0;
  for (int64_t i = 0; i < n; i++) {
    const double p = c->p[i], q = c->q[i];
    l1 += fabs(p - q);
    if (p > 0) kl += p * (log(p) - c->log_r[i] + c->log_z);
    mass += p;
    uniform += fabs(1 / (double)n - q);
    utility += p * c->utility[i];
    target += q * c->utility[i];
  }
  add(totals, L1, l1);
  add(totals, TV, l1 / 2);
  add(totals, KL, kl);
  add(totals, MASS, fabs(mass - 1));
  add(totals, UNIFORM, uniform);
  add(totals, UTILITY, utility);
  add(totals, TARGET, target);
  add(totals, UTILITY_ERROR, fabs(utility - target));
}

/* ---- by the graph ---- */

static tn_status prefer(const struct rollout *r, const tn_component *preference, int64_t number,
                        double *asked) {
  tn_rng rng = tn_rng_at(r->environment->name, "exact", (uint64_t)number);
  for (uint32_t k = 0; k <= r->info.objectives; k++) asked[k] = 1;
  return preference ? tn_preference_draw(preference, r->info.objectives, number, 1, asked, &rng) : TN_OK;
}
static tn_status rewards(const struct rollout *r, const tn_component *preference, const double *asked,
                         const double *values, int64_t n, double *utility, double *log_r) {
  if (preference)
    return tn_preference_reward(preference, r->info.objectives, asked, values, n, utility, log_r);
  for (int64_t i = 0; i < n; i++) {
    utility[i] = values[i];
    log_r[i] = log(fmax(values[i], 1e-30));
  }
  return TN_OK;
}

static void tell_front(const double *values, int64_t n, uint32_t objectives, tn_metric_sink *sink) {
  const double zero[FRONT_MOST] = {0};
  if (objectives < 2 || objectives > FRONT_MOST) return;
  sink->value(sink, "true_hypervolume", front_hypervolume(values, n, objectives, zero));
}

static tn_status by_graph(const struct exact_distribution *metric, struct rollout *r,
                          const tn_metric_probe *probe, int64_t count, tn_metric_sink *sink) {
  struct graph g;
  struct totals totals = {.count = count};
  const int64_t objectives = r->info.objectives, asked = objectives + 1;
  tn_status status = graph_open(r->environment, &g, metric->limit);
  if (status < 0) {
    graph_close(&g);
    return status;
  }
  const size_t n = (size_t)g.objects;
  struct comparison c = {.r = r,
                         .g = &g,
                         .params = probe->params,
                         .progress = {.size = sizeof c.progress, .mode = TN_EVALUATE},
                         .reached = tn_alloc((size_t)g.states * sizeof(double)),
                         .p = tn_alloc(n * sizeof(double)),
                         .q = tn_alloc(n * sizeof(double)),
                         .values = tn_alloc(n * (size_t)objectives * sizeof(double)),
                         .utility = tn_alloc(n * sizeof(double)),
                         .log_r = tn_alloc(n * sizeof(double)),
                         .asked = tn_alloc(n * (size_t)asked * sizeof(double)),
                         .probability = tn_alloc((size_t)(metric->chunk * r->info.actions) * sizeof(double))};
  if (tn_failed()) status = TN_ERROR_MEMORY;
  if (status >= 0) status = r->table->reward(r->environment->self, g.ends, g.objects, c.values);
  for (int64_t j = 0; status >= 0 && j < count; j++) {
    status = prefer(r, r->preference, j, c.asked);
    for (int64_t i = 1; i < g.objects; i++)
      memcpy(c.asked + i * asked, c.asked, (size_t)asked * sizeof(double));
    if (status >= 0) status = rewards(r, r->preference, c.asked, c.values, g.objects, c.utility, c.log_r);
    if (status >= 0) status = propagate(&c, metric->chunk);
    if (status < 0) break;
    c.log_z = log_sum(c.log_r, NULL, g.objects);
    for (int64_t i = 0; i < g.objects; i++) c.q[i] = exp(c.log_r[i] - c.log_z);
    compare(&c, &totals);
    status = compare_log_z(r, probe, c.asked, c.log_z, &c.progress, &totals);
    if (status >= 0) draw_pictures(metric, &c, j, count);
  }
  if (status >= 0) tell(&totals, sink);
  if (status >= 0) sink->value(sink, "objects", (double)g.objects);
  if (status >= 0) tell_front(c.values, g.objects, r->info.objectives, sink);
  void *all[] = {c.reached, c.p, c.q, c.values, c.utility, c.log_r, c.asked, c.probability};
  for (size_t i = 0; i < TN_ARRAY_LENGTH(all); i++) tn_free(all[i]);
  graph_close(&g);
  return status;
}

/* ---- by the spectrum ---- */

static tn_status by_spectrum(const struct exact_distribution *metric, struct rollout *r,
                             const tn_environment_spectrum *spectrum, const tn_metric_probe *probe,
                             int64_t count, tn_metric_sink *sink) {
  struct totals totals = {.count = count};
  const int64_t objectives = r->info.objectives, asked = objectives + 1;
  const int64_t n = spectrum->spectrum(r->environment->self, NULL, NULL, 0);
  if (n < 1)
    return tn_fail(TN_ERROR_INVALID, "the objects of '%s' are too many to be counted", r->environment->name);
  const tn_progress progress = {.size = sizeof progress, .mode = TN_EVALUATE};
  double *values = tn_alloc((size_t)(n * objectives) * sizeof *values);
  double *log_n = tn_alloc((size_t)n * sizeof *log_n), *utility = tn_alloc((size_t)n * sizeof *utility);
  double *log_r = tn_alloc((size_t)n * sizeof *log_r),
         *wanted = tn_alloc((size_t)(n * asked) * sizeof *wanted);
  tn_status status = tn_failed() ? TN_ERROR_MEMORY : TN_OK;
  if (status >= 0) spectrum->spectrum(r->environment->self, values, log_n, n);
  for (int64_t j = 0; status >= 0 && j < count; j++) {
    status = prefer(r, r->preference, j, wanted);
    for (int64_t i = 1; i < n; i++) memcpy(wanted + i * asked, wanted, (size_t)asked * sizeof(double));
    if (status >= 0) status = rewards(r, r->preference, wanted, values, n, utility, log_r);
    if (status < 0) break;
    const double log_z = log_sum(log_r, log_n, n);
    double target = 0;
    for (int64_t i = 0; i < n; i++) target += exp(log_r[i] + log_n[i] - log_z) * utility[i];
    add(&totals, TARGET, target);
    if ((size_t)(j + 1) * 2 * sizeof(double) <= metric->bytes && metric->sums[2 * j + 1] > 0) {
      const double sampled = metric->sums[2 * j] / metric->sums[2 * j + 1];
      add(&totals, UTILITY, sampled);
      add(&totals, UTILITY_ERROR, fabs(sampled - target));
    }
    status = compare_log_z(r, probe, wanted, log_z, &progress, &totals);
  }
  if (status >= 0) tell(&totals, sink);
  if (status >= 0) tell_front(values, n, r->info.objectives, sink);
  tn_free(values);
  tn_free(log_n);
  tn_free(utility);
  tn_free(log_r);
  tn_free(wanted);
  return status;
}

static tn_status exact_distribution_measure(void *self, const tn_metric_probe *probe, tn_metric_sink *sink) {
  enum { RANDOM = 16 };
  const struct exact_distribution *metric = self;
  if (!probe->subject || strcmp(probe->subject->cls->kind, TN_ENVIRONMENT) != 0 || !probe->model)
    return tn_fail(TN_ERROR_INVALID,
                   "it compares a policy with the rewards of an environment: use stage.sample");
  const bool knows = probe->size >= offsetof(tn_metric_probe, preference) + sizeof probe->preference;
  struct rollout r = {.environment = probe->subject,
                      .model = probe->model,
                      .preference = knows ? probe->preference : NULL,
                      .transforms = probe->transforms};
  tn_status status = rollout_check(&r, NULL);
  if (status < 0) return status;
  int64_t count = !r.preference ? 1 : r.asked.count > 0 ? r.asked.count : r.asked.conditions ? RANDOM : 1;
  if (tn_smoke() && count > 3) count = 3;
  if (graph_fits(r.environment, metric->limit)) return by_graph(metric, &r, probe, count, sink);
  const tn_environment_spectrum *spectrum = tn_extension(r.environment, TN_ENVIRONMENT_SPECTRUM);
  if (spectrum) return by_spectrum(metric, &r, spectrum, probe, count, sink);
  return tn_fail(TN_ERROR_INVALID, "'%s' has no numbered states, or more than limit = %lld, and no spectrum",
                 r.environment->name, (long long)metric->limit);
}

static tn_status exact_distribution_state(void *self, const tn_visitor *visitor) {
  struct exact_distribution *metric = self;
  void *sums = metric->sums;
  const tn_status status = tn_visit_block(visitor, "sums", &sums, &metric->bytes);
  metric->sums = sums;
  return status;
}

static const tn_class exact_distribution_class = {
    .size = sizeof(tn_class),
    .kind = TN_METRIC,
    .name = "exact_distribution",
    .summary = "Distance of a policy's distribution over objects from its target, exactly",
    .reference = "Bengio et al. 2021; Jain et al. 2023, Multi-Objective GFlowNets",
    TN_CLASS_PARAMS(exact_distribution_params),
    .instance_size = sizeof(struct exact_distribution),
    .vtable = &(const tn_metric){.size = sizeof(tn_metric),
                                 .reset = exact_distribution_reset,
                                 .update = exact_distribution_update,
                                 .values = exact_distribution_values,
                                 .measure = exact_distribution_measure},
    .destroy = exact_distribution_reset,
    .state = exact_distribution_state};
TN_PLUGIN("metric_exact_distribution", "1.0.0", "MIT", &exact_distribution_class)
