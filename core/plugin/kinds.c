// SPDX-License-Identifier: MIT
#include "core/plugin/kinds.h"
#include "core/config/kind.h"
#include <string.h>
#include <tenon/communicator.h>
#include <tenon/dataset.h>
#include <tenon/environment.h>
#include <tenon/gradient.h>
#include <tenon/loss.h>
#include <tenon/metric.h>
#include <tenon/model.h>
#include <tenon/observer.h>
#include <tenon/optimizer.h>
#include <tenon/predictor.h>
#include <tenon/problem.h>
#include <tenon/sampler.h>
#include <tenon/schedule.h>
#include <tenon/search.h>
#include <tenon/solver.h>
#include <tenon/stage.h>
#include <tenon/transform.h>
#include <tenon/weighting.h>

enum { OPTIONAL, REQUIRED, EITHER };
#define F(kind, function, needed) \
  { #function, offsetof(tn_##kind, function), needed }

static const tn_kind_function dataset[] = {F(dataset, rows, REQUIRED), F(dataset, describe, REQUIRED),
                                           F(dataset, read, REQUIRED), F(dataset, part, OPTIONAL),
                                           F(dataset, class_name, OPTIONAL)};
static const tn_kind_function sampler[] = {F(sampler, begin, REQUIRED), F(sampler, next, REQUIRED),
                                           F(sampler, batches, OPTIONAL), F(sampler, feedback, OPTIONAL)};
static const tn_kind_function transform[] = {F(transform, declare, REQUIRED), F(transform, apply, REQUIRED),
                                             F(transform, fit, OPTIONAL)};
static const tn_kind_function model[] = {F(model, declare, REQUIRED), F(model, apply, REQUIRED)};
static const tn_kind_function loss[] = {F(loss, value, EITHER), F(loss, per_sample, EITHER),
                                        F(loss, declare, OPTIONAL), F(loss, after_step, OPTIONAL)};
static const tn_kind_function optimizer[] = {F(optimizer, begin, REQUIRED), F(optimizer, step, REQUIRED),
                                             F(optimizer, learning_rate, OPTIONAL),
                                             F(optimizer, final_params, OPTIONAL)};
static const tn_kind_function gradient[] = {F(gradient, apply, REQUIRED), F(gradient, begin, OPTIONAL)};
static const tn_kind_function weighting[] = {F(weighting, combine, REQUIRED), F(weighting, begin, OPTIONAL)};
static const tn_kind_function schedule[] = {F(schedule, factor, REQUIRED), F(schedule, observe, OPTIONAL)};
static const tn_kind_function metric[] = {F(metric, reset, OPTIONAL),  F(metric, update, EITHER),
                                          F(metric, values, OPTIONAL), F(metric, declare, OPTIONAL),
                                          F(metric, merge, OPTIONAL),  F(metric, measure, EITHER),
                                          F(metric, report, OPTIONAL)};
static const tn_kind_function predictor[] = {F(predictor, fit, REQUIRED), F(predictor, predict, REQUIRED),
                                             F(predictor, declare, OPTIONAL), F(predictor, adapt, OPTIONAL),
                                             F(predictor, reset, OPTIONAL)};
static const tn_kind_function environment[] = {
    F(environment, describe, REQUIRED), F(environment, reset, REQUIRED),    F(environment, mask, REQUIRED),
    F(environment, step, REQUIRED),     F(environment, features, REQUIRED), F(environment, reward, REQUIRED),
    F(environment, parents, OPTIONAL),  F(environment, index, OPTIONAL),    F(environment, states, OPTIONAL),
    F(environment, print, OPTIONAL)};
static const tn_kind_function problem[] = {F(problem, describe, REQUIRED), F(problem, evaluate, OPTIONAL),
                                           F(problem, gradient, OPTIONAL), F(problem, start, OPTIONAL),
                                           F(problem, print, OPTIONAL)};
static const tn_kind_function solver[] = {F(solver, begin, REQUIRED), F(solver, step, REQUIRED),
                                          F(solver, best, OPTIONAL), F(solver, best_genome, OPTIONAL),
                                          F(solver, front, OPTIONAL)};
static const tn_kind_function search[] = {F(search, begin, REQUIRED), F(search, step, REQUIRED),
                                          F(search, derive, REQUIRED)};
static const tn_kind_function stage[] = {F(stage, check, REQUIRED), F(stage, begin, REQUIRED),
                                         F(stage, step, REQUIRED), F(stage, end, OPTIONAL),
                                         F(stage, progress, OPTIONAL)};
static const tn_kind_function observer[] = {F(observer, event, REQUIRED), F(observer, tick, OPTIONAL)};
static const tn_kind_function communicator[] = {
    F(communicator, rank, REQUIRED),       F(communicator, ranks, REQUIRED),
    F(communicator, all_gather, REQUIRED), F(communicator, broadcast, REQUIRED),
    F(communicator, barrier, REQUIRED),    F(communicator, sum_f32, OPTIONAL),
    F(communicator, sum_f64, OPTIONAL),    F(communicator, all_to_all, OPTIONAL),
    F(communicator, abort, OPTIONAL)};

#define KIND(kind, id, essence) \
  { id, #kind, "tenon/" #kind ".h", essence, kind, TN_ARRAY_LENGTH(kind) }
static const tn_kind_info kinds[] = {
    KIND(dataset, TN_DATASET, "named fields of samples, in parts such as train and test"),
    KIND(sampler, TN_SAMPLER, "which rows make the next batch"),
    KIND(transform, TN_TRANSFORM, "batch to batch: standardise, augment, corrupt, relabel"),
    KIND(model, TN_MODEL, "a pure function of a parameter set, fields to fields"),
    KIND(loss, TN_LOSS, "named fields to a differentiable scalar, or one value a sample"),
    KIND(optimizer, TN_OPTIMIZER, "updates a parameter set in place"),
    KIND(gradient, TN_GRADIENT, "changes the gradient in front of any optimizer"),
    KIND(weighting, TN_WEIGHTING, "weights of samples, groups or domains in the loss"),
    KIND(schedule, TN_SCHEDULE, "the factor on the learning rate over time"),
    KIND(metric, TN_METRIC, "figures of merit, accumulated over batches"),
    KIND(predictor, TN_PREDICTOR, "fit, predict, adapt: methods that are not a network and a loss"),
    KIND(environment, TN_ENVIRONMENT, "states, masked actions, transitions, rewards"),
    KIND(problem, TN_PROBLEM, "decision variables, objectives, and what is known of their structure"),
    KIND(solver, TN_SOLVER, "improves candidates of a problem under a budget"),
    KIND(search, TN_SEARCH, "architecture search: a supernet, steps, a derived genotype"),
    KIND(stage, TN_STAGE, "a procedure of a pipeline: training, evaluation, pruning"),
    KIND(observer, TN_OBSERVER, "sees the run's events: progress, logs, plots"),
    KIND(communicator, TN_COMMUNICATOR, "processes that work together"),
};

uint32_t tn_kind_count(void) { return TN_ARRAY_LENGTH(kinds); }
const tn_kind_info *tn_kind_at(uint32_t index) { return &kinds[index]; }

const tn_kind_info *tn_kind_find(const char *name_or_id) {
  for (uint32_t i = 0; i < TN_ARRAY_LENGTH(kinds); i++)
    if (strcmp(kinds[i].id, name_or_id) == 0 || strcmp(kinds[i].name, name_or_id) == 0) return &kinds[i];
  return NULL;
}

bool tn_kind_offers(const tn_class *cls, const tn_kind_function *function) {
  uint32_t size;
  void (*pointer)(void);
  memcpy(&size, cls->vtable, sizeof size);
  if (size < function->offset + sizeof pointer) return false;
  memcpy(&pointer, (const char *)cls->vtable + function->offset, sizeof pointer);
  return pointer != NULL;
}

tn_status tn_kind_check(const tn_class *cls, tn_error *error) {
  const tn_kind_info *kind = tn_kind_find(cls->kind);
  char full[TN_FULL_NAME], names[256] = "";
  bool either = false, offered = false;
  for (uint32_t i = 0; kind && i < kind->function_count; i++) {
    const tn_kind_function *f = &kind->functions[i];
    bool offers = tn_kind_offers(cls, f);
    if (f->needed == REQUIRED && !offers)
      return tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "%s lacks the required function '%s' (%s)",
                          tn_class_full_name(cls, full), f->name, kind->header);
    if (f->needed < EITHER) continue;
    if (either) strncat(names, " or ", sizeof names - strlen(names) - 1);
    strncat(names, f->name, sizeof names - strlen(names) - 1);
    either = true;
    offered = offered || offers;
  }
  if (!either || offered) return TN_OK;
  return tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "%s lacks a required function: %s (%s)",
                      tn_class_full_name(cls, full), names, kind->header);
}
