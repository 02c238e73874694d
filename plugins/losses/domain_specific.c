// SPDX-License-Identifier: MIT
/* Domain-specific risk (Zhang et al. 2023, Domain-Specific Risk Minimization for Out-of-Distribution
 * Generalization): every domain i trains its own head h_(i+1) and the joint head h_0,
 *   L = 1/K sum_i [ (1 - joint) mean CE(h_(i+1)(f(x_i)), y_i) + joint mean CE(h_0(f(x_i)), y_i) ]
 * over the K domains that the batch holds. Heads that have nothing to say get exactly no gradient.
 *
 * With a `discriminator` d, each step is followed by one of an optimizer of d's own on
 *   1/K sum_i mean CE(d(f(x_i)), i)
 * with the features that the step saw, held constant: nothing of it reaches the model. With parts of a batch
 * (micro_batches) there is one such step a part. */
#include "../predictors/descent.h"
#include "discriminator.h"
#include <tenon/loss.h>

struct domain_specific {
  const tn_component *discriminator, *discriminator_optimizer;
  const char *logits, *label, *domain, *features;
  double joint;

  const tn_component *optimizer; /* an instance that nobody else has */
  tn_params *gradient;           /* the discriminator's */
  int64_t steps;                 /* of it */
};
static const tn_param domain_specific_params[] = {
    TN_REAL(struct domain_specific, joint, "0.5", 0, 1, "share of the joint head"),
    TN_STRING(struct domain_specific, logits, "head_logits",
              "logits (n, heads, classes), the joint head first"),
    TN_STRING(struct domain_specific, label, "label", "classes (n)"),
    TN_STRING(struct domain_specific, domain, "domain", "domains (n), from 0"),
    TN_REFERENCE(struct domain_specific, discriminator, 0, TN_MODEL, NULL,
                 "network that learns to tell the domains apart by the features; for predictor.drm"),
    TN_REFERENCE(struct domain_specific, discriminator_optimizer, 0, TN_OPTIMIZER, "optimizer.adam",
                 "its own, of which a fresh instance is made"),
    TN_STRING(struct domain_specific, features, "features", "field with the features (n, ...)"),
};

static tn_status domain_specific_declare(void *self, const tn_spec *fields, tn_declaration *declaration) {
  struct domain_specific *loss = self;
  (void)declaration;
  const tn_field_spec *logits = tn_spec_get(fields, loss->logits), *label = tn_spec_get(fields, loss->label);
  const tn_field_spec *domain = tn_spec_get(fields, loss->domain);
  if (!logits || !label || !domain) return TN_ERROR_MISSING;
  if (logits->shape.ndim != 2 || logits->shape.dim[1] != label->classes)
    return tn_fail(TN_ERROR_SHAPE, "'%s' must be (heads, %lld classes) a sample", loss->logits,
                   (long long)label->classes);
  if (logits->shape.dim[0] < 2) return tn_fail(TN_ERROR_SHAPE, "expected one head a domain and a joint one");
  if (!loss->discriminator) return TN_OK;
  const tn_field_spec *features = tn_spec_get(fields, loss->features);
  if (!features) return TN_ERROR_MISSING;
  if (!loss->optimizer) loss->optimizer = tn_instantiate(loss->discriminator_optimizer);
  if (!loss->optimizer) return TN_ERROR_MISSING;
  return discriminator_declare(loss->discriminator, features, logits->shape.dim[0] - 1);
}

/* (n, heads) weights of the cross-entropies: joint / (K n_i) for head 0, (1 - joint) / (K n_i) for the own.
 */
static tn_tensor *weights_of(const struct domain_specific *loss, const int64_t *domain, int64_t n,
                             int64_t heads) {
  tn_tensor *weights = tn_zeros(TN_F64, TN_SHAPE(n, heads)), *sizes = tn_zeros(TN_I64, TN_SHAPE(heads));
  int64_t present = 0;
  for (int64_t i = 0; !tn_failed() && i < n; i++) {
    if (domain[i] < 0 || domain[i] + 1 >= heads) {
      tn_fail(TN_ERROR_INVALID, "domain %lld has no head: there are %lld and a joint one",
              (long long)domain[i], (long long)heads - 1);
      break;
    }
    present += tn_i64(sizes)[domain[i]]++ == 0;
  }
  for (int64_t i = 0; !tn_failed() && i < n; i++) {
    const double share = 1 / ((double)present * (double)tn_i64(sizes)[domain[i]]);
    tn_f64(weights)[i * heads] = loss->joint * share;
    tn_f64(weights)[i * heads + domain[i] + 1] = (1 - loss->joint) * share;
  }
  return weights;
}

static tn_tensor *domain_specific_value(void *self, const tn_loss_call *call) {
  const struct domain_specific *loss = self;
  tn_tensor *logits = tn_field(call->fields, loss->logits); /* (n, heads, classes) */
  tn_tensor *label = tn_field(call->fields, loss->label), *domain = tn_field(call->fields, loss->domain);
  if (tn_failed()) return logits;
  const int64_t n = tn_dim(logits, 0), heads = tn_dim(logits, 1);
  tn_tensor *weights = weights_of(loss, tn_i64(domain), n, heads);
  tn_tensor *labels = tn_broadcast_to(tn_reshape(label, TN_SHAPE(n, 1)), TN_SHAPE(n, heads));
  tn_tensor *each = tn_cross_entropy(tn_reshape(logits, TN_SHAPE(n * heads, tn_dim(logits, 2))),
                                     tn_reshape(labels, TN_SHAPE(n * heads)), 0); /* (n heads) */
  return tn_sum(tn_mul(tn_reshape(each, TN_SHAPE(n, heads)), tn_cast(weights, logits->dtype)));
}

/* ---- the discriminator ---- */

static tn_status begin_discriminator(struct domain_specific *loss, const tn_params *params) {
  tn_param_entry entry;
  for (uint32_t i = 0; i < tn_params_count(params); i++)
    if (tn_params_entry(params, i, &entry) == TN_OK && entry.group == TN_BUFFER)
      return tn_fail(TN_ERROR_INVALID, "'%s' has running statistics ('%s'), which nobody would keep",
                     loss->discriminator->name, entry.name);
  return tn_optimizer_begin(loss->optimizer, params);
}

/* What a step saw. */
struct features {
  tn_tensor *z, *domain; /* (n, ...), (n) */
  int64_t heads;
};
/* The discriminator's risk over these rows, each domain with the same weight. */
static tn_status discriminator_risk(void *self, const void *batch, tn_tensor **risk) {
  const struct domain_specific *loss = self;
  const struct features *f = batch;
  tn_tensor *weights =
      tn_sum_axis(weights_of(loss, tn_i64(f->domain), tn_numel(f->domain), f->heads), 1); /* (n) */
  tn_tensor *logits =
      discriminator_logits(loss->discriminator, tn_stop_gradient(f->z), TN_TRAIN, loss->steps);
  *risk = tn_sum(tn_mul(tn_cross_entropy(logits, f->domain, 0), tn_cast(weights, f->z->dtype)));
  return TN_OK;
}

static tn_status domain_specific_after_step(void *self, const tn_loss_call *call) {
  struct domain_specific *loss = self;
  if (!loss->discriminator) return TN_OK;
  struct features seen = {tn_field(call->fields, loss->features), tn_field(call->fields, loss->domain), 0};
  const tn_tensor *logits = tn_field(call->fields, loss->logits);
  tn_params *params = tn_parameters(loss->discriminator);
  if (tn_failed() || !params) return tn_outcome();
  seen.heads = tn_dim(logits, 1);
  const tn_status status = loss->steps == 0 ? begin_discriminator(loss, params) : TN_OK;
  if (status >= 0 && !loss->gradient && !(loss->gradient = tn_params_like(params))) return TN_ERROR_MEMORY;
  const struct descent descent = {loss->optimizer, params, loss->gradient, &loss->steps};
  return status < 0 ? status : descend(&descent, 1, discriminator_risk, loss, &seen);
}

static void domain_specific_destroy(void *self) {
  tn_params_release(((struct domain_specific *)self)->gradient);
}

static tn_status domain_specific_state(void *self, const tn_visitor *visitor) {
  struct domain_specific *loss = self;
  return loss->discriminator ? tn_visit_integer(visitor, "steps", &loss->steps) : TN_OK;
}

static const tn_class domain_specific_class = {
    .size = sizeof(tn_class),
    .kind = TN_LOSS,
    .name = "domain_specific",
    .summary = "Every domain trains its own head and the joint one",
    .reference =
        "Zhang et al. 2023, Domain-Specific Risk Minimization for Out-of-Distribution Generalization",
    TN_CLASS_PARAMS(domain_specific_params),
    .instance_size = sizeof(struct domain_specific),
    .vtable = &(const tn_loss){sizeof(tn_loss), domain_specific_value, NULL, domain_specific_declare,
                               domain_specific_after_step},
    .destroy = domain_specific_destroy,
    .state = domain_specific_state};
TN_PLUGIN("loss_domain_specific", "1.0.0", "MIT", &domain_specific_class)
