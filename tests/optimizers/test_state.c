// SPDX-License-Identifier: MIT
/* What every optimizer promises: going on from a saved state, the same bits with any number of threads,
 * beginning again, leaving alone what is not trained. */
#include "fixture.h"
#include <omp.h>
#include <stdlib.h>
#include <unistd.h>

TestSuite(promises, .fini = harness_close);

static const char *const optimizers[] = {
    "use = optimizer.adagrad\nweight_decay = 0.01\n",
    "use = optimizer.rmsprop\ncentred = yes\nmomentum = 0.9\nweight_decay = 0.01\n",
    "use = optimizer.nadam\nweight_decay = 0.01\n",
    "use = optimizer.lamb\n",
    "use = optimizer.lamb\nadapt = all\n",
    "use = optimizer.lars\n",
    "use = optimizer.shampoo\nevery = 2\nmax_dim = 3\nweight_decay = 0.01\n",
    "use = optimizer.shampoo\nevery = 3\nbeta2 = 1\ngraft = none\n",
    "use = optimizer.muon\nweight_decay = 0.01\n",
    "use = optimizer.muon\nmethod = svd\nscale = rms\nadam = kernel\n",
    "use = optimizer.averaged\ninner = optimizer.adam\n",
    "use = optimizer.averaged\ninner = optimizer.adam\naverage = ema\nstart = 2\n",
};
enum { OPTIMIZERS = TN_ARRAY_LENGTH(optimizers) };

/* Opens sections [o] and [other] with the same keys. */
static void open_twice(const char *precision, const char *keys) {
  char text[512];
  snprintf(text, sizeof text, "[o]\n%s[other]\n%s", keys, keys);
  harness_open(precision, text);
}

/* A wrapped optimizer's state is its own. */
static const tn_component *base_of(const tn_component *c) {
  return strcmp(c->cls->name, "averaged") == 0 ? *(const tn_component *const *)c->self : NULL;
}

static void expect_same(const tn_params *got, const tn_params *wanted, const char *keys) {
  for (int64_t i = 0; i < tn_params_numel(wanted); i++)
    cr_assert(fixture_get(got, i) == fixture_get(wanted, i), "%s coordinate %d: expected %.17g, got %.17g",
              keys, (int)i, fixture_get(wanted, i), fixture_get(got, i));
}

/* Three steps, saved, three more; another instance that has never begun is given the state and does the last
 * three. */
Test(promises, a_saved_state_goes_on_bit_for_bit) {
  for (size_t k = 0; k < OPTIMIZERS; k++) {
    open_twice("float32", optimizers[k]);
    const tn_component *o = harness_component("o"), *other = harness_component("other");
    tn_params *w = fixture_params(), *g = tn_params_like(w), *kept = NULL;
    harness_state *state = NULL, *base = NULL;
    fixture_begin(o, w);
    for (int64_t t = 1; t <= 6; t++) {
      fixture_gradient(w, g, t);
      fixture_update(o, w, g, 1, t);
      if (t != 3) continue;
      state = harness_save(o);
      if (base_of(o)) base = harness_save(base_of(o));
      kept = tn_params_clone(w);
    }
    harness_load(other, state);
    if (base) harness_load(base_of(other), base);
    for (int64_t t = 4; t <= 6; t++) {
      fixture_gradient(kept, g, t);
      fixture_update(other, kept, g, 1, t);
    }
    expect_same(kept, w, optimizers[k]);
    if (tn_optimizer_has_final(o)) {
      tn_params *mine = tn_params_clone(w), *others = tn_params_clone(w);
      tn_optimizer_final(o, w, mine);
      tn_optimizer_final(other, kept, others);
      expect_same(others, mine, optimizers[k]);
      tn_params_release(mine);
      tn_params_release(others);
    }
    harness_forget(state);
    if (base) harness_forget(base);
    tn_params_release(w);
    tn_params_release(g);
    tn_params_release(kept);
  }
}

Test(promises, begin_again_forgets) {
  for (size_t k = 0; k < OPTIMIZERS; k++) {
    open_twice("float64", optimizers[k]);
    const tn_component *o = harness_component("o");
    tn_params *rounds[2];
    for (int round = 0; round < 2; round++) {
      tn_params *w = rounds[round] = fixture_params(), *g = tn_params_like(w);
      fixture_begin(o, w);
      for (int64_t t = 1; t <= 3; t++) {
        fixture_gradient(w, g, t);
        fixture_update(o, w, g, 1, t);
      }
      tn_params_release(g);
    }
    expect_same(rounds[1], rounds[0], optimizers[k]);
    tn_params_release(rounds[0]);
    tn_params_release(rounds[1]);
  }
}

/* Large enough for several threads: every pass is cut into pieces. */
Test(promises, threads_do_not_change_bits) {
  for (size_t k = 0; k < OPTIMIZERS; k++) {
    /* blocks of 3 would make 8,600 eigenproblems */
    const bool blocks = strstr(optimizers[k], "max_dim") != NULL;
    const char *keys = blocks ? "use = optimizer.shampoo\nevery = 2\nmax_dim = 100\n" : optimizers[k];
    open_twice("float32", keys);
    const tn_component *o = harness_component("o");
    tn_params *results[2];
    for (int threads = 1; threads <= 2; threads++) {
      omp_set_num_threads(threads);
      tn_params *w = results[threads - 1] = fixture_matrix(301, 257), *g = tn_params_like(w);
      for (int64_t i = 0; i < tn_params_numel(w); i++) fixture_set(w, i, sin((double)i));
      fixture_begin(o, w);
      for (int64_t t = 1; t <= 3; t++) {
        fixture_gradient(w, g, t);
        fixture_update(o, w, g, 1, t);
      }
      tn_params_release(g);
    }
    expect_same(results[1], results[0], optimizers[k]);
    tn_params_release(results[0]);
    tn_params_release(results[1]);
  }
}

/* No gradient, no decay: no step, and nothing that is not finite later. */
Test(promises, zero_gradients_are_harmless) {
  for (size_t k = 0; k < OPTIMIZERS; k++) {
    if (strstr(optimizers[k], "weight_decay") || strstr(optimizers[k], "lamb") ||
        strstr(optimizers[k], "lars"))
      continue;
    open_twice("float32", optimizers[k]);
    const tn_component *o = harness_component("o");
    tn_params *w = fixture_params(), *start = tn_params_clone(w), *g = tn_params_like(w);
    fixture_begin(o, w);
    for (int64_t t = 1; t <= 3; t++) fixture_update(o, w, g, 1, t);
    expect_same(w, start, optimizers[k]);
    tn_params_release(w);
    tn_params_release(start);
    tn_params_release(g);
  }
}
Test(promises, zero_weights_and_zero_gradients_stay_finite) {
  for (size_t k = 0; k < OPTIMIZERS; k++) {
    open_twice("float32", optimizers[k]);
    const tn_component *o = harness_component("o");
    tn_params *w = fixture_params(), *g = tn_params_like(w);
    tn_params_fill(w, 0);
    fixture_begin(o, w);
    for (int64_t t = 1; t <= 4; t++) {
      if (t == 3) tn_params_fill(g, 1e-3);
      fixture_update(o, w, g, 1, t);
    }
    for (int64_t i = 0; i < ALL; i++)
      cr_assert(isfinite(fixture_get(w, i)) && fixture_get(w, i) < 0, "%s coordinate %d: %g", optimizers[k],
                (int)i, fixture_get(w, i));
    tn_params_release(w);
    tn_params_release(g);
  }
}

Test(promises, what_is_not_trained_stays) {
  for (size_t k = 0; k < OPTIMIZERS; k++) {
    open_twice("float32", optimizers[k]);
    const tn_component *o = harness_component("o");
    tn_params *w = fixture_params(), *g = tn_params_like(w), *final = tn_params_clone(w);
    fixture_begin(o, w);
    tn_params_fill(g, 1);
    fixture_update(o, w, g, 1, 1);
    fixture_update(o, w, g, 1, 2);
    if (tn_optimizer_has_final(o)) cr_assert(tn_optimizer_final(o, w, final) >= 0);
    for (int64_t i = 0; i < 4; i++) {
      EXPECT_REAL(harness_at(tn_param_tensor(w, RUNNING), i), 7);
      EXPECT_REAL(harness_at(tn_param_tensor(final, RUNNING), i), 7);
      EXPECT_REAL(harness_at(tn_param_tensor(w, COUNT), i % 2), 7);
    }
    tn_params_release(w);
    tn_params_release(g);
    tn_params_release(final);
  }
}

/* The rate 0 moves nothing that is trained. */
Test(promises, schedule_zero_stands_still) {
  for (size_t k = 0; k < OPTIMIZERS; k++) {
    open_twice("float64", optimizers[k]);
    const tn_component *o = harness_component("o");
    tn_params *w = fixture_params(), *start = tn_params_clone(w), *g = tn_params_like(w);
    fixture_begin(o, w);
    fixture_gradient(w, g, 1);
    fixture_update(o, w, g, 0, 1);
    expect_same(w, start, optimizers[k]);
    EXPECT_REAL(tn_optimizer_learning_rate(o, 0), 0);
    tn_params_release(w);
    tn_params_release(start);
    tn_params_release(g);
  }
}

/* Two sets joined in the other order are the same tensors at other places. */
Test(promises, joined_sets_and_orders_do_not_matter) {
  for (size_t k = 0; k < OPTIMIZERS; k++) {
    open_twice("float64", optimizers[k]);
    const tn_component *o = harness_component("o"), *other = harness_component("other");
    tn_params *a = fixture_matrix(4, 3), *b = fixture_matrix(2, 5), *c = tn_params_clone(a),
              *d = tn_params_clone(b);
    tn_params *parts[] = {a, b}, *mirrored[] = {d, c};
    tn_params *ab = tn_params_join(parts, 2), *dc = tn_params_join(mirrored, 2);
    tn_params *g = tn_params_like(ab), *h = tn_params_like(dc);
    fixture_begin(o, ab);
    fixture_begin(other, dc);
    for (int64_t t = 1; t <= 3; t++) {
      for (int64_t i = 0; i < 12; i++)
        tn_f64(tn_param_tensor(g, 0))[i] = tn_f64(tn_param_tensor(h, 1))[i] = cos((double)(i * t));
      for (int64_t i = 0; i < 10; i++)
        tn_f64(tn_param_tensor(g, 1))[i] = tn_f64(tn_param_tensor(h, 0))[i] = sin((double)(i * t) + 1);
      fixture_update(o, ab, g, 1, t);
      fixture_update(other, dc, h, 1, t);
    }
    expect_same(c, a, optimizers[k]);
    expect_same(d, b, optimizers[k]);
    tn_params *all[] = {a, b, c, d, ab, dc, g, h};
    for (size_t i = 0; i < TN_ARRAY_LENGTH(all); i++) tn_params_release(all[i]);
  }
}
