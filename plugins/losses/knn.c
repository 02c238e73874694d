// SPDX-License-Identifier: MIT
/* Cross-entropy of a soft vote of the k nearest features of a queue (Zhang et al. 2023, AdaNPC): trains
 * features without a linear head.
 *
 *   s = u Queue',  u = z / max(||z||, 1e-12)            cosine similarities; the queue is constant
 *   w = softmax(s_topk / tau),  p_c = sum_j w_j 1[y_j = c]
 *   loss = -log min(p_y + 1e-5, 1)
 *
 * After the optimizer's step the batch replaces the oldest entries. The queue starts with directions drawn
 * uniformly, all of class 0; tau falls linearly from `temperature` to a tenth of it over the planned steps.
 */
#include <string.h>
#include <tenon/loss.h>

struct knn {
  const char *features, *label;
  int64_t queue, k;
  double temperature;

  int64_t classes, next; /* next: the entry that is replaced next */
  tn_tensor *entries;    /* (queue, d), normalised */
  tn_tensor *labels;     /* (queue) */
};
static const tn_param knn_params[] = {
    TN_INTEGER(struct knn, queue, "1000", 1, 1 << 24, "entries", "features that vote"),
    TN_INTEGER(struct knn, k, "10", 1, 1 << 20, "entries", "nearest ones that vote"),
    TN_REAL(struct knn, temperature, "1", 1e-6, 1e6, "tau at the start; a tenth of it at the end"),
    TN_STRING(struct knn, features, "features", "field with the features (n, d)"),
    TN_STRING(struct knn, label, "label", "field with the classes (n)"),
};

static void knn_release(struct knn *loss) {
  if (loss->entries) tn_release(loss->entries);
  if (loss->labels) tn_release(loss->labels);
  loss->entries = loss->labels = NULL;
}

static tn_status knn_declare(void *self, const tn_spec *fields, tn_declaration *declaration) {
  struct knn *loss = self;
  (void)declaration;
  const tn_field_spec *features = tn_spec_get(fields, loss->features),
                      *label = tn_spec_get(fields, loss->label);
  if (!features || !label) return TN_ERROR_MISSING;
  if (features->shape.ndim != 1 || label->classes < 1)
    return tn_fail(TN_ERROR_SHAPE, "expected '%s' (n, d) and classes in '%s'", loss->features, loss->label);
  if (loss->k > loss->queue)
    return tn_fail(TN_ERROR_INVALID, "k = %lld is more than the queue holds", (long long)loss->k);
  loss->classes = label->classes;
  return TN_OK;
}

/* Rows (n, d) scaled to length 1. */
static tn_tensor *normalise(tn_tensor *z) {
  tn_tensor *square = tn_sum_axis(tn_mul(z, z), 1);                                /* (n) */
  tn_tensor *length = tn_clamp(tn_sqrt(tn_shift(square, 1e-24)), 1e-12, INFINITY); /* no slope at 0 */
  return tn_div(z, tn_reshape(length, TN_SHAPE(tn_dim(z, 0), 1)));
}

static tn_status fill_queue(struct knn *loss, const tn_tensor *z) {
  const bool recording = tn_record(false);
  tn_rng rng = tn_rng_at("loss.knn", "queue", 0);
  const double limit = sqrt(3 / (double)tn_dim(z, 1));
  loss->entries =
      tn_persist(normalise(tn_uniform(&rng, z->dtype, TN_SHAPE(loss->queue, tn_dim(z, 1)), -limit, limit)));
  loss->labels = tn_persist(tn_zeros(TN_I64, TN_SHAPE(loss->queue)));
  loss->next = 0;
  tn_record(recording);
  return loss->entries && loss->labels ? tn_outcome() : TN_ERROR_MEMORY;
}

static tn_tensor *knn_per_sample(void *self, const tn_loss_call *call) {
  struct knn *loss = self;
  tn_tensor *z = tn_field(call->fields, loss->features), *label = tn_field(call->fields, loss->label);
  if (tn_failed() || (!loss->entries && fill_queue(loss, z) < 0)) return z;
  const int64_t n = tn_dim(z, 0), k = loss->k;
  const double done =
      call->progress.steps > 0 ? (double)call->progress.step / (double)call->progress.steps : 0;
  const double tau = loss->temperature * (1 - 0.9 * (done < 1 ? done : 1));
  tn_tensor *similarity = tn_matmul_nt(normalise(z), loss->entries); /* (n, queue) */
  tn_tensor *nearest, *index;                                        /* (n, k) */
  tn_top_k(similarity, k, 1, true, &nearest, &index);
  tn_tensor *weight = tn_softmax(tn_scale(nearest, 1 / tau), 1);
  tn_tensor *votes = tn_index_select(loss->labels, 0, tn_reshape(index, TN_SHAPE(n * k)));
  tn_tensor *truth = tn_broadcast_to(tn_reshape(label, TN_SHAPE(n, 1)), TN_SHAPE(n, k));
  tn_tensor *right = tn_cast(tn_eq(tn_reshape(votes, TN_SHAPE(n, k)), truth), z->dtype);
  tn_tensor *p = tn_sum_axis(tn_mul(weight, right), 1); /* p_y (n) */
  return tn_neg(tn_log(tn_clamp(tn_shift(p, 1e-5), 0, 1)));
}

static tn_status knn_after_step(void *self, const tn_loss_call *call) {
  struct knn *loss = self;
  tn_tensor *u = normalise(tn_field(call->fields, loss->features)),
            *label = tn_field(call->fields, loss->label);
  if (tn_failed()) return tn_outcome();
  const int64_t n = tn_dim(u, 0), d = tn_dim(u, 1);
  const size_t row = (size_t)d * (u->dtype == TN_F64 ? sizeof(double) : sizeof(float));
  for (int64_t i = 0; i < n; i++) {
    memcpy((char *)tn_data(loss->entries) + (size_t)loss->next * row, (char *)tn_data(u) + (size_t)i * row,
           row);
    tn_i64(loss->labels)[loss->next] = tn_i64(label)[i];
    loss->next = (loss->next + 1) % loss->queue;
  }
  return TN_OK;
}

static void knn_destroy(void *self) { knn_release(self); }

static tn_status knn_state(void *self, const tn_visitor *visitor) {
  struct knn *loss = self;
  bool filled = loss->entries != NULL;
  tn_visit_boolean(visitor, "filled", &filled);
  if (!filled) return TN_OK;
  tn_visit_integer(visitor, "next", &loss->next);
  tn_visit_tensor(visitor, "labels", &loss->labels);
  return tn_visit_tensor(visitor, "entries", &loss->entries);
}

static const tn_class knn_class = {
    .size = sizeof(tn_class),
    .kind = TN_LOSS,
    .name = "knn",
    .summary = "Cross-entropy of a soft vote of the nearest features in a queue",
    .reference = "Zhang et al. 2023, AdaNPC: Exploring Non-Parametric Classifier for Test-Time Adaptation",
    TN_CLASS_PARAMS(knn_params),
    .instance_size = sizeof(struct knn),
    .vtable = &(const tn_loss){sizeof(tn_loss), NULL, knn_per_sample, knn_declare, knn_after_step},
    .destroy = knn_destroy,
    .state = knn_state};
TN_PLUGIN("loss_knn", "1.0.0", "MIT", &knn_class)
