// SPDX-License-Identifier: MIT
/* What losses share that penalise differences between the domains of a batch: a base loss, its risk in each
 * domain, and the weight w of the penalty P over the steps,
 *
 *   loss = risk + w P,  divided by w where w > 1 and `rescale` is set
 *
 * with w = anneal_value in the first `anneal` steps and `weight` afterwards. */
#ifndef TENON_PLUGINS_INVARIANCE_H
#define TENON_PLUGINS_INVARIANCE_H

#include <tenon/loss.h>

/* The first member of each of their instances. */
struct invariance {
  const tn_component *loss;
  const char *domain;
  double weight, anneal_value;
  int64_t anneal;
  bool rescale;
};
#define INVARIANCE_PARAMS(weight_fallback, rescale_fallback)                                                \
  TN_REFERENCE(struct invariance, loss, 0, TN_LOSS, "loss.cross_entropy",                                   \
               "whose risk is minimised as well"),                                                          \
      TN_REAL(struct invariance, weight, weight_fallback, 0, INFINITY, "w, of the penalty"),                \
      TN_INTEGER(struct invariance, anneal, "0", 0, 1e15, "steps", "at first, in which w is anneal_value"), \
      TN_REAL(struct invariance, anneal_value, "1", 0, INFINITY, "w in the first steps"),                   \
      TN_BOOL(struct invariance, rescale, rescale_fallback, "divide the loss by w where w is above 1"),     \
      TN_STRING(struct invariance, domain, "domain", "field with the domains (n), whole numbers")

/* `by_sample`: the penalty is made of risks, for which the base loss must say what each sample adds. The base
 * declares into the same set, in which it keeps its own indices. */
static inline tn_status invariance_declare(const struct invariance *v, bool by_sample, const tn_spec *fields,
                                           tn_declaration *declaration) {
  const tn_field_spec *domain = tn_spec_get(fields, v->domain);
  if (!domain) return TN_ERROR_MISSING;
  if (domain->shape.ndim != 0 || domain->dtype != TN_I64)
    return tn_fail(TN_ERROR_SHAPE, "'%s' must be one whole number a sample", v->domain);
  if (by_sample && !tn_loss_has_per_sample(v->loss))
    return tn_fail(TN_ERROR_INVALID, "'%s' gives no loss a sample, which the risk of a domain needs",
                   v->loss->name);
  const tn_loss *table = v->loss->vtable;
  if (!TN_HAS(table, tn_loss, declare)) return TN_OK;
  tn_call_stack *stack = tn_enter(v->loss, "declare");
  const tn_status status = table->declare(v->loss->self, fields, declaration);
  tn_leave(stack);
  return status;
}

static inline tn_status invariance_after_step(void *self, const tn_loss_call *call) {
  return tn_loss_after_step(((const struct invariance *)self)->loss, call);
}

/* The domains that a batch holds, numbered from 0 in ascending order. */
struct domains {
  int64_t count;
  tn_tensor *of; /* (n): each row's */
};
static inline struct domains domains_of(const struct invariance *v, const tn_loss_call *call) {
  tn_tensor *domain = tn_field(call->fields, v->domain);
  struct domains made = {0, domain};
  if (tn_poisoned(domain)) return made;
  const int64_t n = tn_numel(domain), *number = tn_i64(domain);
  made.of = tn_zeros(TN_I64, TN_SHAPE(n));
  if (tn_poisoned(made.of)) return made;
  for (int64_t placed = 0, former = 0; placed < n; made.count++) {
    int64_t next = INT64_MAX;
    for (int64_t i = 0; i < n; i++)
      if ((made.count == 0 || number[i] > former) && number[i] < next) next = number[i];
    for (int64_t i = 0; i < n; i++)
      if (number[i] == next) tn_i64(made.of)[i] = made.count, placed++;
    former = next;
  }
  return made;
}

/* (domains): the base loss's mean over the rows of each. */
static inline tn_tensor *invariance_risks(const struct invariance *v, const tn_loss_call *call,
                                          const struct domains *domains) {
  return tn_segment(TN_MEAN, tn_loss_per_sample(v->loss, call), domains->of, domains->count);
}

static inline tn_tensor *invariance_total(const struct invariance *v, const tn_loss_call *call,
                                          tn_tensor *risk, tn_tensor *penalty) {
  const double weight = call->progress.step < v->anneal ? v->anneal_value : v->weight;
  tn_tensor *total = tn_add(risk, tn_scale(penalty, weight));
  return v->rescale && weight > 1 ? tn_scale(total, 1 / weight) : total;
}

#endif
