// SPDX-License-Identifier: MIT
/* Derivatives of any order. The handles are the graph's nodes. One walk in postorder from y finds the nodes
 * that lead to the xs; going back through them, each rule hands gradients to its inputs. When no graph is
 * asked for, recording is off, rules use fused and in-place kernels, every rule runs in a scope of its own,
 * and a gradient dies as soon as it is consumed. */
#include "internal.h"

typedef struct entry {
  tn_node *node;
  const int32_t *slots; /* of the inputs */
  tn_node *gradient;
  tn_node *target; /* memory of a parameter's gradient */
  bool written;    /* the target holds a contribution */
  bool wanted;     /* the gradient is a result */
} entry;

typedef struct piece { /* of workspace, for slots */
  struct piece *former;
  size_t used, room;
  int32_t slots[];
} piece;

typedef struct tn_walk {
  entry *entries;
  int32_t count, room;
  piece *pieces;
  bool graph;
} tn_walk;

static int32_t *take_slots(tn_walk *walk, uint32_t count) {
  piece *top = walk->pieces;
  if (!top || top->room - top->used < count) {
    size_t room = count > 2000 ? count : 2000;
    piece *more = tn_workspace_take(sizeof *more + room * sizeof(int32_t));
    if (!more) return NULL;
    more->former = top;
    more->used = 0;
    more->room = room;
    walk->pieces = top = more;
  }
  int32_t *slots = top->slots + top->used;
  top->used += count;
  return slots;
}

enum { UNKNOWN = -2, IS_X = -3 };
typedef struct visit {
  tn_node *node;
  uint32_t next; /* input */
} visit;

/* Leaves a node: it counts if it is an x or one of its inputs counts. */
static bool finish_node(tn_walk *walk, tn_node *node, uint64_t seen) {
  bool wanted = node->slot == IS_X, needed = wanted;
  tn_node *const *in = tn_inputs(node);
  for (uint32_t i = 0; i < node->inputs && !needed; i++) needed = in[i]->mark == seen && in[i]->slot >= 0;
  if (!needed) {
    node->slot = -1;
    return true;
  }
  int32_t *slots = NULL;
  if (node->inputs) {
    slots = take_slots(walk, node->inputs);
    if (!slots) return false;
    for (uint32_t i = 0; i < node->inputs; i++) slots[i] = in[i]->mark == seen ? in[i]->slot : -1;
  }
  if (walk->count == walk->room) {
    tn_fail(TN_ERROR_INTERNAL, "grad: a history reaches outside its scopes");
    return false;
  }
  node->slot = walk->count;
  walk->entries[walk->count++] = (entry){.node = node, .slots = slots, .wanted = wanted};
  return true;
}

/* Fills entries in postorder. `results` gets the slot of each x, or -1. */
static bool find_paths(tn_walk *walk, tn_node *y, tn_node *const *xs, uint32_t count, visit *stack,
                       int32_t *results) {
  tn_engine *engine = tn_here->engine;
  pthread_mutex_lock(&engine->lock); // leaves are shared between threads
  uint64_t marked = engine->epoch + 1, seen = engine->epoch + 2;
  engine->epoch += 2;
  for (uint32_t i = 0; i < count; i++) {
    xs[i]->mark = marked;
    xs[i]->slot = -1;
  }
  bool ok = true;
  int32_t depth = 0;
  if (tn_needs(y) || y->mark == marked) stack[depth++] = (visit){y, 0};
  if (depth) {
    y->slot = y->mark == marked ? IS_X : UNKNOWN;
    y->mark = seen;
  }
  while (depth && ok) {
    visit *top = &stack[depth - 1];
    if (top->next < top->node->inputs) {
      tn_node *input = tn_inputs(top->node)[top->next++];
      if (input->mark == seen || (!tn_needs(input) && input->mark != marked)) continue;
      input->slot = input->mark == marked ? IS_X : UNKNOWN;
      input->mark = seen;
      if (input->inputs)
        stack[depth++] = (visit){input, 0};
      else
        ok = finish_node(walk, input, seen);
    } else {
      depth--;
      ok = finish_node(walk, top->node, seen);
    }
  }
  for (uint32_t i = 0; i < count; i++) results[i] = xs[i]->mark == seen ? xs[i]->slot : -1;
  pthread_mutex_unlock(&engine->lock);
  return ok;
}

/* Handing over gradients. */
static void deliver_to_target(entry *e, const tn_node *g) {
  tn_node *target = e->target;
  size_t bytes = (size_t)g->t.numel * tn_dtype_size(g->t.dtype);
  if (e->written)
    tn_add_into(g->t.dtype, g->t.dl.data, target->t.dl.data, g->t.numel);
  else if (bytes)
    memcpy(target->t.dl.data, g->t.dl.data, bytes);
  e->written = true;
}

static void accumulate(entry *e, tn_node *g) {
  tn_node *old = e->gradient;
  if (tn_is_poison(old)) return;
  if (tn_is_unique(old)) {
    tn_add_into(g->t.dtype, g->t.dl.data, old->t.dl.data, g->t.numel);
  } else if (tn_is_unique(g) && g->scope == tn_here->depth && !(g->t.flags & TN_FLAG_PERSISTENT)) {
    tn_add_into(g->t.dtype, old->t.dl.data, g->t.dl.data, g->t.numel);
    tn_node_promote(g);
    tn_node_drop(old);
    e->gradient = g;
  } else {
    tn_node *sum = ADD(old, g);
    tn_node_promote(sum);
    tn_node_drop(old);
    e->gradient = sum;
  }
}

void tn_deliver(tn_backward *b, uint32_t input, tn_node *g) {
  int32_t slot = b->slots[input];
  if (slot < 0) return;
  entry *e = &b->walk->entries[slot];
  if (!tn_is_poison(g) && (g->t.numel != e->node->t.numel || g->t.dtype != e->node->t.dtype)) {
    g = tn_shape_error(b->node->rule->name, "a gradient %s of %s for an input %s of %s", tn_shape_text(g),
                       tn_dtype_name(g->t.dtype), tn_shape_text(e->node), tn_dtype_name(e->node->t.dtype));
  }
  if (b->graph) {
    e->gradient = e->gradient ? ADD(e->gradient, g) : g;
    return;
  }
  if (tn_is_poison(g)) {
    if (e->gradient) tn_node_drop(e->gradient);
    e->gradient = g;
  } else if (e->target) {
    deliver_to_target(e, g);
  } else if (e->gradient) {
    accumulate(e, g);
  } else {
    // what lives outside the rule's scope is somebody else's, except the incoming gradient once taken
    bool ours = g->scope == tn_here->depth && !(g->t.flags & TN_FLAG_PERSISTENT);
    if (g == b->g && b->taken) {
      b->g = NULL; // a second delivery of it makes an alias
    } else {
      if (!ours) g = tn_node_alias(g);
      tn_node_promote(g);
    }
    e->gradient = g;
  }
}

void tn_deliver_reduced(tn_backward *b, uint32_t input, tn_node *gradient) {
  if (tn_wants(b, input)) tn_deliver(b, input, tn_op_reduce_to(gradient, tn_inputs(b->node)[input]));
}

tn_node *tn_gradient_target(tn_backward *b, uint32_t input, double *beta) {
  entry *e = &b->walk->entries[b->slots[input]];
  *beta = 0;
  if (e->target) {
    *beta = e->written;
    return e->target;
  }
  if (e->gradient && !tn_is_poison(e->gradient) && tn_is_unique(e->gradient)) {
    *beta = 1;
    return e->gradient;
  }
  return tn_node_like(e->node);
}

void tn_deliver_written(tn_backward *b, uint32_t input, tn_node *target) {
  entry *e = &b->walk->entries[b->slots[input]];
  if (target == e->target)
    e->written = true;
  else if (target != e->gradient)
    tn_deliver(b, input, target);
}

tn_node *tn_reuse_gradient(tn_backward *b) {
  if (!b->graph && !b->taken && tn_is_unique(b->g) && b->g->scope + 1 == tn_here->depth) {
    b->taken = true;
    return b->g;
  }
  return tn_node_like(b->g);
}

/* What a trace sees of a backward step: the gradient of the first input that wants one, so far. */
static const tn_node *first_gradient(const tn_walk *walk, const entry *e) {
  for (uint32_t i = 0; i < e->node->inputs; i++) {
    if (e->slots[i] < 0) continue;
    const entry *input = &walk->entries[e->slots[i]];
    return input->target ? input->target : input->gradient;
  }
  return NULL;
}

/* The same for the trap: the first one that is not finite, if there is one. */
static const tn_node *wrong_gradient(const tn_walk *walk, const entry *e) {
  for (uint32_t i = 0; i < e->node->inputs; i++) {
    if (e->slots[i] < 0) continue;
    const entry *input = &walk->entries[e->slots[i]];
    const tn_node *g = input->target ? input->target : input->gradient;
    if (g && !tn_is_poison(g) && !tn_all_finite(g->t.dtype, g->t.dl.data, g->t.numel)) return g;
  }
  return first_gradient(walk, e);
}

/* One rule under observation; false if something was trapped. */
static bool traced_backward(tn_walk *walk, const entry *e, tn_backward *b) {
  const tn_rule *rule = e->node->rule;
  tn_node *operands[1 + TN_INLINE_INPUTS] = {b->g};
  uint32_t count = 1;
  for (uint32_t i = 0; i < e->node->inputs && i < TN_INLINE_INPUTS; i++)
    operands[count++] = tn_inputs(e->node)[i];
  const double start = tn_trace_open(operands, count);
  rule->backward(b);
  return tn_trace_report(rule->backward_names ? rule->backward_names[e->node->op] : rule->backward_name,
                         start, tn_trapping(start) ? wrong_gradient(walk, e) : first_gradient(walk, e));
}

/* Goes back through the entries, the last of which is y; false if something was trapped on the way. */
static bool propagate(tn_walk *walk) {
  for (int32_t i = walk->count; i-- > 0;) {
    entry *e = &walk->entries[i];
    tn_node *node = e->node, *g = e->gradient;
    if (!g || node->inputs == 0) continue;
    tn_backward b = {.node = node, .g = g, .graph = walk->graph, .slots = e->slots, .walk = walk};
    if (walk->graph || tn_is_poison(g)) {
      if (tn_is_poison(g)) {
        for (uint32_t k = 0; k < node->inputs; k++) tn_deliver(&b, k, g);
      } else {
        node->rule->backward(&b);
      }
      continue;
    }
    tn_scope_enter();
    if (e->wanted)
      b.g = tn_node_alias(g); // not unique, hence not overwritten
    else
      e->gradient = NULL;
    bool fine = true;
    if (__builtin_expect(tn_here->engine->watched, 0))
      fine = traced_backward(walk, e, &b);
    else
      node->rule->backward(&b);
    tn_scope_leave();
    if (!e->wanted && !b.taken && !tn_is_poison(g)) tn_node_drop(g);
    if (!fine) return false;
  }
  return true;
}

/* The common part of grad, vjp and grad_params. `targets` may be NULL; `gradients` too if there are targets.
 */
static bool differentiate(tn_node *y, tn_node *seed, tn_node *const *xs, uint32_t count, tn_node **gradients,
                          tn_node *const *targets, bool graph) {
  tn_thread *thread = tn_here;
  tn_walk walk = {.graph = graph, .room = (int32_t)(thread->count + count + 1)};
  bool former = thread->record, ok = false;
  int32_t *results = tn_workspace_take((count + 1) * sizeof *results);
  visit *stack = results ? tn_workspace_take((size_t)walk.room * sizeof *stack) : NULL;
  walk.entries = stack ? tn_workspace_take((size_t)walk.room * sizeof *walk.entries) : NULL;
  if (walk.entries && find_paths(&walk, y, xs, count, stack, results)) {
    ok = true;
    for (uint32_t i = 0; targets && i < count; i++) {
      if (results[i] < 0) continue;
      walk.entries[results[i]].target = targets[i];
      walk.entries[results[i]].wanted = false;
    }
    thread->record = graph;
    if (walk.count && walk.entries[walk.count - 1].node == y) {
      entry *e = &walk.entries[walk.count - 1];
      if (e->target) {
        if (!tn_is_poison(seed)) deliver_to_target(e, seed);
      }
      if (!e->target || y->inputs) e->gradient = graph ? seed : tn_node_alias(seed);
      ok = propagate(&walk);
    }
    thread->record = former;
  }
  for (uint32_t i = 0; i < count; i++) {
    entry *e = ok && results[i] >= 0 ? &walk.entries[results[i]] : NULL;
    if (targets) {
      if (!e || !e->written)
        memset(targets[i]->t.dl.data, 0, (size_t)targets[i]->t.numel * tn_dtype_size(targets[i]->t.dtype));
      if (e && e->gradient && tn_is_poison(e->gradient)) ok = false;
      continue;
    }
    if (!ok) {
      gradients[i] = tn_poison();
    } else if (!e || !e->gradient) {
      gradients[i] = tn_op_full(xs[i]->t.dtype, xs[i]->t.dl.ndim, xs[i]->shape, 0);
    } else if (graph) {
      gradients[i] = e->gradient;
    } else {
      gradients[i] =
          e->written ? tn_node_alias(e->gradient) : e->gradient; // the same x may be asked for twice
      e->written = true;
    }
  }
  while (walk.pieces) {
    piece *top = walk.pieces;
    walk.pieces = top->former;
    tn_workspace_give(top);
  }
  tn_workspace_give(walk.entries);
  tn_workspace_give(stack);
  tn_workspace_give(results);
  return ok;
}

static bool check_xs(tn_node *y, tn_node *seed, tn_tensor *const *xs, uint32_t count, tn_tensor **gradients) {
  bool fine = !tn_is_poison(y) && !tn_is_poison(seed);
  for (uint32_t i = 0; i < count && fine; i++) {
    tn_node *x = tn_node_of(xs[i]);
    fine = !tn_is_poison(x);
    if (fine && !tn_is_float(x->t.dtype)) {
      tn_shape_error("grad", "no gradient with respect to %s", tn_dtype_name(x->t.dtype));
      fine = false;
    }
  }
  for (uint32_t i = 0; i < count && !fine; i++) gradients[i] = &tn_poison()->t;
  return fine;
}

void tn_api_vjp(tn_tensor *y, tn_tensor *seed, tn_tensor *const *xs, uint32_t count, tn_tensor **gradients,
                uint32_t flags) {
  tn_node *ny = tn_node_of(y), *ns = tn_node_of(seed);
  if (!check_xs(ny, ns, xs, count, gradients)) return;
  if (ns->t.dtype != ny->t.dtype || ns->t.dl.ndim != ny->t.dl.ndim ||
      memcmp(ns->shape, ny->shape, (size_t)ny->t.dl.ndim * sizeof(int64_t)) != 0) {
    tn_node *poison =
        tn_shape_error("vjp", "a seed %s of %s for a value %s of %s", tn_shape_text(ns),
                       tn_dtype_name(ns->t.dtype), tn_shape_text(ny), tn_dtype_name(ny->t.dtype));
    for (uint32_t i = 0; i < count; i++) gradients[i] = &poison->t;
    return;
  }
  // handles are nodes: the arrays may be seen as arrays of either
  differentiate(ny, ns, (tn_node *const *)(const void *)xs, count, (tn_node **)(void *)gradients, NULL,
                (flags & TN_CREATE_GRAPH) != 0);
}

void tn_api_grad(tn_tensor *y, tn_tensor *const *xs, uint32_t count, tn_tensor **gradients, uint32_t flags) {
  tn_node *ny = tn_node_of(y);
  tn_node *seed = tn_is_poison(ny) ? ny : NULL;
  if (!seed && (ny->t.numel != 1 || !tn_is_float(ny->t.dtype)))
    seed = tn_shape_error("grad", "%s of %s is not a scalar", tn_shape_text(ny), tn_dtype_name(ny->t.dtype));
  if (!seed) seed = tn_op_full(ny->t.dtype, ny->t.dl.ndim, ny->shape, 1);
  if (!check_xs(ny, seed, xs, count, gradients)) return;
  differentiate(ny, seed, (tn_node *const *)(const void *)xs, count, (tn_node **)(void *)gradients, NULL,
                (flags & TN_CREATE_GRAPH) != 0);
}

bool tn_gradient_into(tn_node *y, tn_node *const *xs, uint32_t count, tn_node *const *targets) {
  if (tn_is_poison(y)) return false;
  if (y->t.numel != 1 || !tn_is_float(y->t.dtype)) {
    tn_shape_error("grad_params", "%s of %s is not a scalar", tn_shape_text(y), tn_dtype_name(y->t.dtype));
    return false;
  }
  tn_scope_enter();
  tn_node *seed = tn_op_full(y->t.dtype, y->t.dl.ndim, y->shape, 1);
  bool ok = differentiate(y, seed, xs, count, NULL, targets, false);
  tn_scope_leave();
  return ok;
}

bool tn_api_record(bool on) {
  bool former = tn_here->record;
  tn_here->record = on;
  return former;
}

tn_tensor *tn_api_leaf(tn_tensor *x) {
  tn_node *leaf = tn_node_alias(tn_node_of(x));
  if (tn_is_poison(leaf)) return &leaf->t;
  if (!tn_is_float(leaf->t.dtype))
    return &tn_shape_error("leaf", "no gradient with respect to %s", tn_dtype_name(leaf->t.dtype))->t;
  leaf->t.flags |= TN_FLAG_GRADIENT;
  return &leaf->t;
}

tn_tensor *tn_api_stop_gradient(tn_tensor *x) { return &tn_node_alias(tn_node_of(x))->t; }
bool tn_api_requires_gradient(const tn_tensor *x) { return tn_needs(tn_node_of(x)); }

static void identity_backward(tn_backward *b) { tn_deliver(b, 0, b->g); }
TN_RULE(identity_rule, "identity", identity_backward);

static tn_node *identity(tn_node *x) {
  tn_node *y = tn_node_alias(x);
  if (!tn_is_poison(y) && tn_recording1(x)) tn_record1(y, &identity_rule, x);
  return y;
}

static void scale_gradient_backward(tn_backward *b) { tn_deliver(b, 0, AFFINE(b->g, b->node->a.d[0], 0)); }
TN_RULE(scale_gradient_rule, "scale_gradient", scale_gradient_backward);

tn_tensor *tn_api_scale_gradient(tn_tensor *x, double factor) {
  tn_node *y = tn_node_alias(tn_node_of(x));
  if (!tn_is_poison(y) && tn_recording1(tn_node_of(x))) {
    tn_record1(y, &scale_gradient_rule, tn_node_of(x));
    y->a.d[0] = factor;
  }
  return &y->t;
}

/* Operations of a plugin's own. */
static void custom_backward(tn_backward *b) {
  tn_node *node = b->node;
  const tn_custom_op *op = node->a.p[0];
  uint32_t count = node->inputs;
  tn_tensor **gradients = tn_workspace_take(count * sizeof *gradients);
  if (!gradients) return;
  memset(gradients, 0, count * sizeof *gradients);
  op->backward((void *)(uintptr_t)node->a.p[1], (tn_tensor *const *)(const void *)tn_inputs(node), count,
               &node->t, &b->g->t, gradients);
  for (uint32_t i = 0; i < count; i++)
    if (gradients[i]) tn_deliver(b, i, tn_node_of(gradients[i]));
  tn_workspace_give(gradients);
}
TN_RULE(custom_rule, "custom", custom_backward);

tn_tensor *tn_api_custom(const tn_custom_op *op, void *saved, tn_tensor *value, tn_tensor *const *inputs,
                         uint32_t count) {
  tn_node *out = tn_node_alias(tn_node_of(value));
  bool needs = false;
  for (uint32_t i = 0; i < count; i++) {
    if (tn_is_poison(tn_node_of(inputs[i]))) return inputs[i];
    needs |= tn_needs(tn_node_of(inputs[i]));
  }
  if (tn_is_poison(out) || !needs || !tn_here->record) return &out->t;
  if (!tn_record_many(out, &custom_rule, (tn_node *const *)(const void *)inputs, count))
    return &tn_poison()->t;
  out->a.p[0] = op;
  out->a.p[1] = saved;
  return &out->t;
}

/* Recomputation. */
typedef tn_tensor *(*checkpoint_function)(void *context, tn_tensor *const *inputs);
typedef struct checkpoint_call {
  checkpoint_function f;
  void *context;
} checkpoint_call;

static void checkpoint_backward(tn_backward *b) {
  tn_node *node = b->node;
  uint32_t count = node->inputs;
  checkpoint_call call;
  memcpy(&call, node->a.i, sizeof call);
  tn_node **leaves = tn_workspace_take(2 * count * sizeof *leaves);
  if (!leaves) return;
  tn_node **gradients = leaves + count;
  bool former = tn_here->record;
  tn_here->record = true;
  for (uint32_t i = 0; i < count; i++) {
    tn_node *input = tn_inputs(node)[i];
    leaves[i] = b->graph ? identity(input) : tn_node_alias(input);
    if (tn_needs(input)) leaves[i]->t.flags |= TN_FLAG_GRADIENT;
  }
  tn_tensor *y = call.f(call.context, (tn_tensor *const *)(void *)leaves);
  tn_api_vjp(y, &b->g->t, (tn_tensor *const *)(void *)leaves, count, (tn_tensor **)(void *)gradients,
             b->graph ? TN_CREATE_GRAPH : 0);
  tn_here->record = former;
  for (uint32_t i = 0; i < count; i++) tn_deliver(b, i, gradients[i]);
  tn_workspace_give(leaves);
}
TN_RULE(checkpoint_rule, "checkpoint", checkpoint_backward);

tn_tensor *tn_api_checkpoint(checkpoint_function f, void *context, tn_tensor *const *inputs, uint32_t count) {
  bool former = tn_here->record, needs = false;
  for (uint32_t i = 0; i < count; i++) needs |= tn_needs(tn_node_of(inputs[i]));
  tn_scope_enter();
  tn_here->record = false;
  tn_node *inner = tn_node_of(f(context, inputs));
  tn_here->record = former;
  tn_node *out = tn_node_alias(inner);
  tn_node_promote(out);
  tn_scope_leave();
  if (tn_is_poison(out) || !needs || !former) return &out->t;
  if (!tn_record_many(out, &checkpoint_rule, (tn_node *const *)(const void *)inputs, count))
    return &tn_poison()->t;
  checkpoint_call call = {f, context};
  memcpy(out->a.i, &call, sizeof call);
  return &out->t;
}
