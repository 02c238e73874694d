// SPDX-License-Identifier: MIT
/* Funnel selection (Chen et al. 2023, section 2.3): the candidates of a search, one a structure, compete on
 * tasks of growing size; to the next one go those that beat the baseline. Small tasks reward what does not
 * carry over to large ones, and the numbers of survivors show how much.
 *
 * Baseline and candidates get the same grid of factors on what they put out, the best of which counts, since
 * tasks of other sizes want steps of other sizes. The winner is the best on the last task, or, if none gets
 * there, on the one before; it is published as text `best`. A step is one candidate on one task. */
#include "grid.h"
#include <tenon/solver.h>
#include <tenon/stage.h>

struct result {
  double value, scale; /* with the best factor; value NaN: did not take part */
};

struct funnel {
  tn_references tasks;
  const tn_component *solver;
  tn_strings baseline;
  tn_reals scales;
  int64_t entrants;
  const char *output;
  /* state */
  struct members field;   /* the baselines, then the entrants in the order of the search */
  struct result *results; /* (tasks, field) */
  size_t result_bytes;
  int64_t task, next; /* who is next on which task */
  double unscaled;    /* value on the last task of the search's best as it is */
};
static const tn_param funnel_params[] = {
    TN_REFERENCES(struct funnel, tasks, TN_PARAM_REQUIRED, TN_PROBLEM, "",
                  "problems over the same candidates, smallest first: the search's own and larger ones"),
    TN_REFERENCE(struct funnel, solver, TN_PARAM_REQUIRED, TN_SOLVER, NULL,
                 "whose candidates compete; an earlier stage has run it on the first task"),
    TN_STRINGS(struct funnel, baseline, "",
               "files of what is to be beaten; the best of them on a task counts"),
    TN_REALS(struct funnel, scales, "0.03, 0.1, 0.3, 1, 3", 0, INFINITY, "factors on what each puts out"),
    TN_INTEGER(struct funnel, entrants, "50", 1, 1e6, NULL,
               "how many of the search's candidates, the best first"),
    TN_STRING(struct funnel, output, "winner.txt", "artifact with the winner; empty: none"),
};

static uint32_t baselines(const struct funnel *stage) { return stage->baseline.count; }
static struct result *result_of(const struct funnel *stage, int64_t task, uint32_t who) {
  return &stage->results[task * stage->field.count + who];
}

static tn_status funnel_check(void *self) {
  const struct funnel *stage = self;
  const tn_solver *solver = stage->solver->vtable;
  if (!TN_HAS(solver, tn_solver, candidates))
    return tn_fail(TN_ERROR_INVALID, "'%s' keeps no candidates but its best", stage->solver->name);
  if (stage->tasks.count < 2) return tn_fail(TN_ERROR_INVALID, "give two tasks or more");
  if (stage->baseline.count == 0) return tn_fail(TN_ERROR_INVALID, "give a baseline: what is to be beaten");
  tn_status status = TN_OK;
  for (uint32_t t = 0; status >= 0 && t < stage->tasks.count; t++)
    status = grid_check(stage->tasks.items[t], &stage->scales);
  return status;
}

static void funnel_release(struct funnel *stage) {
  members_clear(&stage->field);
  tn_free(stage->results);
  stage->results = NULL;
  stage->result_bytes = 0;
}

static tn_status funnel_begin(void *self) {
  struct funnel *stage = self;
  funnel_release(stage);
  stage->task = stage->next = 0;
  stage->unscaled = NAN;
  tn_status status = TN_OK;
  for (uint32_t t = 0; status >= 0 && t < stage->tasks.count; t++)
    status = tn_problem_begin(stage->tasks.items[t]);
  return status;
}

/* ---- who takes part ---- */

static tn_status add_baselines(struct funnel *stage) {
  tn_status status = TN_OK;
  for (uint32_t b = 0; status >= 0 && b < stage->baseline.count; b++) {
    struct member member = {.value = NAN};
    char *text = text_read(stage->baseline.items[b]);
    status = text ? grid_parse(stage->tasks.items[0], text, &member.genome) : TN_ERROR_IO;
    if (status >= 0) status = members_put(&stage->field, b, &member);
    tn_free(text);
    tn_free(member.genome.data);
  }
  return status;
}

static tn_status add_entrants(struct funnel *stage) {
  const tn_solver *solver = stage->solver->vtable;
  uint32_t count = 0;
  tn_status status = solver->candidates(stage->solver->self, &count, NULL, NULL);
  tn_genome *genomes = tn_alloc(count * sizeof *genomes);
  double *values = tn_alloc(count * sizeof *values);
  if (status >= 0 && (!genomes || !values)) status = TN_ERROR_MEMORY;
  if (status >= 0) status = solver->candidates(stage->solver->self, &count, genomes, values);
  const uint32_t most = tn_smoke() ? 2 : (uint32_t)stage->entrants;
  for (uint32_t i = 0; status >= 0 && i < count && i < most; i++) {
    const struct member member = {genomes[i], values[i], 0};
    status = members_put(&stage->field, stage->field.count, &member);
  }
  for (uint32_t i = 0; genomes && i < count; i++) tn_free(genomes[i].data);
  tn_free(genomes);
  tn_free(values);
  if (status >= 0 && stage->field.count == baselines(stage))
    return tn_fail(TN_ERROR_INVALID, "'%s' has found no candidate", stage->solver->name);
  return status;
}

static tn_status gather_field(struct funnel *stage) {
  tn_status status = add_baselines(stage);
  if (status >= 0) status = add_entrants(stage);
  if (status < 0) return status;
  const size_t count = (size_t)stage->tasks.count * stage->field.count;
  stage->result_bytes = count * sizeof *stage->results;
  stage->results = tn_alloc(stage->result_bytes);
  for (size_t i = 0; stage->results && i < count; i++) stage->results[i] = (struct result){NAN, 1};
  return stage->results ? TN_OK : TN_ERROR_MEMORY;
}

/* ---- one task ---- */

/* The best of the baselines on a task that all of them have taken part in. */
static double to_beat(const struct funnel *stage, int64_t task) {
  double best = INFINITY;
  for (uint32_t b = 0; b < baselines(stage); b++) best = fmin(best, result_of(stage, task, b)->value);
  return best;
}
static bool takes_part(const struct funnel *stage, int64_t task, uint32_t who) {
  return task == 0 || who < baselines(stage) ||
         result_of(stage, task - 1, who)->value < to_beat(stage, task - 1);
}
static double survivors(const struct funnel *stage, int64_t task) {
  double count = 0;
  for (uint32_t i = baselines(stage); i < stage->field.count; i++)
    count += result_of(stage, task, i)->value < to_beat(stage, task);
  return count;
}

/* The entrant that is best on the last task that any of them has reached. */
static uint32_t winner(const struct funnel *stage) {
  uint32_t best = baselines(stage);
  for (int64_t t = stage->tasks.count - 1; t >= 0; t--) {
    double least = INFINITY;
    for (uint32_t i = baselines(stage); i < stage->field.count; i++)
      if (result_of(stage, t, i)->value < least) least = result_of(stage, t, best = i)->value;
    if (isfinite(least)) break;
  }
  return best;
}

static void emit_task(const struct funnel *stage) {
  char name[2][96];
  const char *task = stage->tasks.items[stage->task]->name;
  snprintf(name[0], sizeof name[0], "baseline_%s", task);
  snprintf(name[1], sizeof name[1], "survivors_%s", task);
  tn_emit_result(name[0], to_beat(stage, stage->task));
  tn_emit_result(name[1], survivors(stage, stage->task));
}

/* What the last task says of the search's best as it is, and of a winner that has not got there. */
static tn_status measure_on_last(struct funnel *stage) {
  const uint32_t last = stage->tasks.count - 1, best = winner(stage);
  const tn_component *task = stage->tasks.items[last];
  const tn_reals as_it_is = {(const double[]){1}, 1};
  struct result *result = result_of(stage, last, best);
  tn_status status =
      grid_evaluate(task, &stage->field.items[baselines(stage)].genome, 1, &as_it_is, &stage->unscaled, NULL);
  if (status >= 0 && isnan(result->value)) {
    tn_warn("no candidate reached '%s'", task->name);
    status = grid_evaluate(task, &stage->field.items[best].genome, 1, &stage->scales, &result->value,
                           &result->scale);
  }
  return status < 0 ? status : TN_DONE;
}

static tn_status funnel_step(void *self) {
  struct funnel *stage = self;
  if (!stage->results) {
    tn_status status = gather_field(stage);
    if (status < 0) return status;
  }
  while (stage->next < stage->field.count && !takes_part(stage, stage->task, (uint32_t)stage->next))
    stage->next++;
  if (stage->next < stage->field.count) {
    const uint32_t who = (uint32_t)stage->next++;
    struct result *result = result_of(stage, stage->task, who);
    return grid_evaluate(stage->tasks.items[stage->task], &stage->field.items[who].genome, 1, &stage->scales,
                         &result->value, &result->scale);
  }
  emit_task(stage);
  stage->next = 0;
  if (++stage->task < (int64_t)stage->tasks.count) return TN_OK;
  return measure_on_last(stage);
}

static void funnel_progress(void *self, tn_progress *progress) {
  const struct funnel *stage = self;
  *progress = (tn_progress){.size = sizeof *progress,
                            .step = stage->task * stage->field.count + stage->next,
                            .steps = (int64_t)stage->tasks.count * stage->field.count};
}

/* ---- the end ---- */

/* A row a participant: its value in the search and its best value on every task. */
static tn_status emit_table(const struct funnel *stage) {
  enum { CELL = 48 };
  const uint32_t rows = stage->field.count, columns = stage->tasks.count + 1;
  char(*texts)[CELL] = tn_alloc((size_t)rows * columns * CELL);
  const char **cells = tn_alloc((size_t)rows * columns * sizeof *cells);
  const char **heads = tn_alloc(columns * sizeof *heads);
  tn_status status = texts && cells && heads ? TN_OK : TN_ERROR_MEMORY;
  for (uint32_t r = 0; status >= 0 && r < rows; r++)
    for (uint32_t c = 0; c < columns; c++) {
      char *text = texts[r * columns + c];
      heads[c] = c == 0 ? "candidate" : stage->tasks.items[c - 1]->name;
      cells[r * columns + c] = text;
      if (c > 0) {
        const struct result *result = result_of(stage, c - 1, r);
        if (!isnan(result->value)) snprintf(text, CELL, "%.4g (x %g)", result->value, result->scale);
      } else if (r < baselines(stage))
        snprintf(text, CELL, "baseline %u", r + 1);
      else
        snprintf(text, CELL, "%u", r - baselines(stage) + 1);
    }
  tn_event event = tn_event_of(TN_EVENT_TABLE, "funnel");
  event.rows = rows;
  event.columns = columns;
  event.cells = cells;
  event.column_labels = heads;
  if (status >= 0) tn_emit(&event);
  tn_free(texts);
  tn_free(cells);
  tn_free(heads);
  return status;
}

static tn_status funnel_end(void *self) {
  struct funnel *stage = self;
  const uint32_t best = winner(stage), last = stage->tasks.count - 1;
  tn_status status = emit_table(stage);
  tn_emit_result("entrants", stage->field.count - baselines(stage));
  tn_emit_result("unscaled", stage->unscaled);
  if (status < 0) return status;
  const struct result *result = result_of(stage, last, best);
  char *text = NULL;
  tn_emit_result("value", result->value);
  tn_emit_result("scale", result->scale);
  tn_emit_result("rank", (double)(best - baselines(stage) + 1)); /* in the search */
  status = grid_text(stage->tasks.items[last], &stage->field.items[best].genome, result->scale, &text);
  if (status >= 0) status = text_publish("best", text, stage->output);
  tn_free(text);
  return status;
}

static void funnel_destroy(void *self) {
  struct funnel *stage = self;
  funnel_release(stage);
  members_release(&stage->field);
}

static tn_status funnel_state(void *self, const tn_visitor *visitor) {
  struct funnel *stage = self;
  void *results = stage->results;
  tn_visit_integer(visitor, "task", &stage->task);
  tn_visit_integer(visitor, "next", &stage->next);
  tn_visit_real(visitor, "unscaled", &stage->unscaled);
  tn_status status = tn_visit_block(visitor, "results", &results, &stage->result_bytes);
  stage->results = stage->result_bytes > 0 ? results : NULL;
  return status < 0 ? status : members_visit(visitor, "field", &stage->field, 0);
}

static const tn_stage funnel_table = {sizeof funnel_table, funnel_check, funnel_begin,
                                      funnel_step,         funnel_end,   funnel_progress};
static const tn_class funnel_class = {
    .size = sizeof(tn_class),
    .kind = TN_STAGE,
    .name = "funnel",
    .summary = "Sends a search's candidates through tasks of growing size",
    .reference = "Chen et al. 2023, Symbolic Discovery of Optimization Algorithms, section 2.3",
    TN_CLASS_PARAMS(funnel_params),
    .instance_size = sizeof(struct funnel),
    .vtable = &funnel_table,
    .destroy = funnel_destroy,
    .state = funnel_state};
TN_PLUGIN("stage_funnel", "1.0.0", "MIT", &funnel_class)
