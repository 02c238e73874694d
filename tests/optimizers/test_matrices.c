// SPDX-License-Identifier: MIT
/* Shampoo and Muon: preconditioned and orthogonalised matrices. */
#include "fixture.h"

TestSuite(matrices, .fini = harness_close);

enum { N = 8 }; /* longest side in these tests */
typedef double square[N][N];

/* Singular values of a (rows, columns) matrix, rows <= columns: roots of the eigenvalues of A A' by Jacobi's
 * rotations. vectors: eigenvectors in columns. */
static void jacobi(int n, square a, square vectors) {
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) vectors[i][j] = i == j;
  for (int sweep = 0; sweep < 60; sweep++)
    for (int p = 0; p < n; p++)
      for (int q = p + 1; q < n; q++) {
        if (a[p][q] == 0) continue;
        const double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
        const double t = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1));
        const double c = 1 / sqrt(t * t + 1), s = t * c;
        for (int k = 0; k < n; k++) {
          const double x = a[k][p], y = a[k][q];
          a[k][p] = c * x - s * y, a[k][q] = s * x + c * y;
        }
        for (int k = 0; k < n; k++) {
          const double x = a[p][k], y = a[q][k];
          a[p][k] = c * x - s * y, a[q][k] = s * x + c * y;
        }
        for (int k = 0; k < n; k++) {
          const double x = vectors[k][p], y = vectors[k][q];
          vectors[k][p] = c * x - s * y, vectors[k][q] = s * x + c * y;
        }
      }
}
/* root = (a + epsilon largest I)^(-exponent) */
static void inverse_root(int n, square a, double epsilon, double exponent, square root) {
  square values, vectors;
  memcpy(values, a, sizeof values);
  jacobi(n, values, vectors);
  double largest = 0;
  for (int i = 0; i < n; i++) largest = fmax(largest, values[i][i]);
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      root[i][j] = 0;
      for (int k = 0; k < n; k++)
        root[i][j] +=
            vectors[i][k] * vectors[j][k] * pow(fmax(values[k][k], 0) + epsilon * largest, -exponent);
    }
}
/* c = a b; a (m, k), b (k, n) */
static void product(int m, int k, int n, square a, square b, square c) {
  for (int i = 0; i < m; i++)
    for (int j = 0; j < n; j++) {
      c[i][j] = 0;
      for (int l = 0; l < k; l++) c[i][j] += a[i][l] * b[l][j];
    }
}
static double frobenius(int m, int n, square a) {
  double sum = 0;
  for (int i = 0; i < m; i++)
    for (int j = 0; j < n; j++) sum += a[i][j] * a[i][j];
  return sqrt(sum);
}
static double entry_slope(int i, int j, int64_t t) {
  return sin(1.7 * i * i + 2.3 * j + 1.1 * i * j + 0.5 * (double)t);
}

static void set_matrix(const tn_params *g, int m, int n, int64_t t) {
  for (int i = 0; i < m; i++)
    for (int j = 0; j < n; j++) fixture_set(g, i * n + j, entry_slope(i, j, t));
}

/* Shampoo on one block (m, n) by the formulas, in float64. */
struct shampoo_reference {
  int m, n;
  double beta1, beta2, epsilon, exponent;
  int64_t every;
  char graft; /* a, s, n */
  square left, right, mean, squares, left_root, right_root;
};
static void shampoo_reference(struct shampoo_reference *s, int64_t t, square g, square update) {
  const double keep = s->beta2 == 1 ? 1 : 1 - s->beta2;
  const double bias1 = 1 - pow(s->beta1, (double)t), bias2 = s->beta2 == 1 ? 1 : 1 - pow(s->beta2, (double)t);
  square adam = {{0}}, half, transposed;
  for (int i = 0; i < s->m; i++)
    for (int j = 0; j < s->n; j++) {
      s->mean[i][j] = s->beta1 * s->mean[i][j] + (1 - s->beta1) * g[i][j];
      s->squares[i][j] = s->beta2 * s->squares[i][j] + keep * g[i][j] * g[i][j];
      adam[i][j] = s->mean[i][j] / bias1 / (sqrt(s->squares[i][j] / bias2) + 1e-8);
      transposed[j][i] = g[i][j];
    }
  product(s->m, s->n, s->m, g, transposed, half);
  for (int i = 0; i < s->m; i++)
    for (int j = 0; j < s->m; j++) s->left[i][j] = s->beta2 * s->left[i][j] + keep * half[i][j];
  product(s->n, s->m, s->n, transposed, g, half);
  for (int i = 0; i < s->n; i++)
    for (int j = 0; j < s->n; j++) s->right[i][j] = s->beta2 * s->right[i][j] + keep * half[i][j];
  if (t == 1 || t % s->every == 0) {
    square scaled = {{0}};
    for (int i = 0; i < s->m; i++)
      for (int j = 0; j < s->m; j++) scaled[i][j] = s->left[i][j] / bias2;
    inverse_root(s->m, scaled, s->epsilon, s->exponent, s->left_root);
    for (int i = 0; i < s->n; i++)
      for (int j = 0; j < s->n; j++) scaled[i][j] = s->right[i][j] / bias2;
    inverse_root(s->n, scaled, s->epsilon, s->exponent, s->right_root);
  }
  product(s->m, s->m, s->n, s->left_root, s->mean, half);
  product(s->m, s->n, s->n, half, s->right_root, update);
  const double own = frobenius(s->m, s->n, update), target = s->graft == 'a'
                                                                 ? frobenius(s->m, s->n, adam)
                                                                 : frobenius(s->m, s->n, s->mean) / bias1;
  for (int i = 0; i < s->m; i++)
    for (int j = 0; j < s->n; j++) update[i][j] *= s->graft == 'n' ? 1 / bias1 : target / own;
}

Test(matrices, shampoo_follows_its_formulas) {
  static const struct {
    const char *keys;
    struct shampoo_reference setting;
  } cases[] = {
      {"", {6, 4, 0.9, 0.99, 1e-6, 0.25, 10, 'a', .left = {{0}}}},
      {"graft = none\nevery = 2\nexponent = 0.5\nepsilon = 1e-3\n",
       {4, 6, 0.9, 0.99, 1e-3, 0.5, 2, 'n', .left = {{0}}}},
      {"graft = sgd\nbeta1 = 0\nbeta2 = 1\nevery = 1\n", {5, 5, 0, 1, 1e-6, 0.25, 1, 's', .left = {{0}}}},
      {"graft = adam\nbeta2 = 1\nevery = 3\n", {3, 7, 0.9, 1, 1e-6, 0.25, 3, 'a', .left = {{0}}}},
  };
  for (size_t k = 0; k < TN_ARRAY_LENGTH(cases); k++) {
    struct shampoo_reference s = cases[k].setting;
    char text[256];
    snprintf(text, sizeof text, "[o]\nuse = optimizer.shampoo\nlr = 0.1\nweight_decay = 0.2\n%s",
             cases[k].keys);
    harness_open("float64", text);
    const tn_component *o = harness_component("o");
    tn_params *w = fixture_matrix(s.m, s.n), *g = tn_params_like(w);
    square wanted = {{0}};
    fixture_begin(o, w);
    for (int64_t t = 1; t <= 7; t++) {
      square slopes = {{0}}, update = {{0}};
      for (int i = 0; i < s.m; i++)
        for (int j = 0; j < s.n; j++) slopes[i][j] = entry_slope(i, j, t);
      set_matrix(g, s.m, s.n, t);
      fixture_update(o, w, g, 1, t);
      shampoo_reference(&s, t, slopes, update);
      for (int i = 0; i < s.m; i++)
        for (int j = 0; j < s.n; j++) {
          wanted[i][j] -= 0.1 * (update[i][j] + 0.2 * wanted[i][j]);
          cr_assert(fabs(fixture_get(w, i * s.n + j) - wanted[i][j]) < 1e-8,
                    "case %zu, step %d, (%d, %d): expected %.17g, got %.17g", k, (int)t, i, j, wanted[i][j],
                    fixture_get(w, i * s.n + j));
        }
    }
    tn_params_release(w);
    tn_params_release(g);
  }
}

/* Blocks of at most 4 x 4: a (6, 7) matrix is four blocks, each as if it were alone. */
Test(matrices, shampoo_treats_blocks_by_themselves) {
  harness_open("float64", "[whole]\nuse = optimizer.shampoo\nlr = 0.1\ngraft = none\nmax_dim = 4\n"
                          "[part]\nuse = optimizer.shampoo\nlr = 0.1\ngraft = none\n");
  tn_params *w = fixture_matrix(6, 7), *g = tn_params_like(w);
  fixture_begin(harness_component("whole"), w);
  for (int64_t t = 1; t <= 3; t++) {
    set_matrix(g, 6, 7, t);
    fixture_update(harness_component("whole"), w, g, 1, t);
  }
  const int rows[] = {0, 3, 6}, columns[] = {0, 3, 7}; /* halves of 6 and of 7 */
  for (int a = 0; a < 2; a++)
    for (int b = 0; b < 2; b++) {
      const int m = rows[a + 1] - rows[a], n = columns[b + 1] - columns[b];
      tn_params *block = fixture_matrix(m, n), *slope = tn_params_like(block);
      fixture_begin(harness_component("part"), block);
      for (int64_t t = 1; t <= 3; t++) {
        for (int i = 0; i < m; i++)
          for (int j = 0; j < n; j++)
            fixture_set(slope, i * n + j, entry_slope(rows[a] + i, columns[b] + j, t));
        fixture_update(harness_component("part"), block, slope, 1, t);
      }
      for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++)
          EXPECT_NEAR(fixture_get(w, (rows[a] + i) * 7 + columns[b] + j), fixture_get(block, i * n + j),
                      1e-9);
      tn_params_release(block);
      tn_params_release(slope);
    }
  tn_params_release(w);
  tn_params_release(g);
}

/* The step of one update from w = 0 with rate 1, as u = -w. */
static void first_update(const char *keys, int m, int n, square u) {
  harness_open("float64", keys);
  const tn_component *o = harness_component("o");
  tn_params *w = fixture_matrix(m, n), *g = tn_params_like(w);
  fixture_begin(o, w);
  set_matrix(g, m, n, 1);
  fixture_update(o, w, g, 1, 1);
  for (int i = 0; i < m; i++)
    for (int j = 0; j < n; j++) u[i][j] = -fixture_get(w, i * n + j);
  tn_params_release(w);
  tn_params_release(g);
}
/* Singular values of u, min(m, n) of them, in no order. */
static void singular_values(int m, int n, square u, double *values) {
  const int k = m < n ? m : n;
  square gram = {{0}}, vectors;
  for (int i = 0; i < k; i++)
    for (int j = 0; j < k; j++)
      for (int l = 0; l < (m < n ? n : m); l++) gram[i][j] += m < n ? u[i][l] * u[j][l] : u[l][i] * u[l][j];
  jacobi(k, gram, vectors);
  for (int i = 0; i < k; i++) values[i] = sqrt(fmax(gram[i][i], 0));
}

/* L = G G', R = G' G: U = (G G')^(-1/4) G (G' G)^(-1/4) is the polar factor of G: singular values 1, the
 * same as Muon's direction. */
Test(matrices, the_first_steps_of_shampoo_and_muon_are_the_polar_factor) {
  square u, v;
  double values[N];
  first_update("[o]\nuse = optimizer.shampoo\nlr = 1\nbeta2 = 1\ngraft = none\nepsilon = 1e-12\n", 4, 6, u);
  singular_values(4, 6, u, values);
  for (int i = 0; i < 4; i++) EXPECT_NEAR(values[i], 1, 1e-6);
  first_update("[o]\nuse = optimizer.muon\nlr = 1\nmethod = svd\nscale = none\n", 4, 6, v);
  singular_values(4, 6, v, values);
  for (int i = 0; i < 4; i++) EXPECT_NEAR(values[i], 1, 1e-9);
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 6; j++) EXPECT_NEAR(u[i][j], v[i][j], 1e-6);
}

Test(matrices, shampoo_without_roots_is_momentum) {
  square u;
  first_update("[o]\nuse = optimizer.shampoo\nlr = 1\nexponent = 0\ngraft = none\n", 5, 3, u);
  for (int i = 0; i < 5; i++)
    for (int j = 0; j < 3; j++) EXPECT_NEAR(u[i][j], entry_slope(i, j, 1), 1e-12);
}

/* |U| is Adam's step: 1 in every coordinate at first, hence sqrt(m n). */
Test(matrices, grafting_takes_adams_length) {
  square u;
  first_update("[o]\nuse = optimizer.shampoo\nlr = 1\ngraft_epsilon = 0\n", 5, 3, u);
  EXPECT_NEAR(frobenius(5, 3, u), sqrt(15), 1e-12);
}

/* G -> Q G with a rotation Q turns the step too; Adam fails this. */
Test(matrices, shampoo_turns_with_the_gradient) {
  harness_open("float64", "[a]\nuse = optimizer.shampoo\nlr = 1\ngraft = none\n"
                          "[b]\nuse = optimizer.shampoo\nlr = 1\ngraft = none\n");
  tn_params *w = fixture_matrix(2, 4), *turned = fixture_matrix(2, 4), *g = tn_params_like(w);
  const double c = cos(0.7), s = sin(0.7);
  fixture_begin(harness_component("a"), w);
  fixture_begin(harness_component("b"), turned);
  for (int64_t t = 1; t <= 4; t++) {
    set_matrix(g, 2, 4, t);
    fixture_update(harness_component("a"), w, g, 1, t);
    for (int j = 0; j < 4; j++) {
      fixture_set(g, j, c * entry_slope(0, j, t) - s * entry_slope(1, j, t));
      fixture_set(g, 4 + j, s * entry_slope(0, j, t) + c * entry_slope(1, j, t));
    }
    fixture_update(harness_component("b"), turned, g, 1, t);
  }
  for (int j = 0; j < 4; j++) {
    const double top = fixture_get(w, j), below = fixture_get(w, 4 + j), size = fabs(top) + fabs(below);
    EXPECT_NEAR(fixture_get(turned, j), c * top - s * below, 1e-9 * size);
    EXPECT_NEAR(fixture_get(turned, 4 + j), s * top + c * below, 1e-9 * size);
  }
  tn_params_release(w);
  tn_params_release(turned);
  tn_params_release(g);
}

/* Five steps of Newton and Schulz: singular values near 1, not 1 (Jordan: between 0.7 and 1.2 or so). */
Test(matrices, muon_orthogonalises) {
  static const int shapes[][2] = {{4, 6}, {6, 4}, {5, 5}, {1, 7}, {8, 1}};
  for (size_t k = 0; k < TN_ARRAY_LENGTH(shapes); k++) {
    square u;
    double values[N];
    const int m = shapes[k][0], n = shapes[k][1];
    first_update("[o]\nuse = optimizer.muon\nlr = 1\nscale = none\n", m, n, u);
    singular_values(m, n, u, values);
    for (int i = 0; i < (m < n ? m : n); i++)
      cr_assert(values[i] > 0.6 && values[i] < 1.25, "(%d, %d): singular value %g", m, n, values[i]);
  }
}

/* One iteration on a diagonal matrix acts on each singular value s / ||.||: 3.4445 s - 4.775 s^3 + 2.0315
 * s^5. G = diag(3, 4): s = 0.6, 0.8. */
Test(matrices, newton_schulz_by_hand) {
  harness_open("float64", "[o]\nuse = optimizer.muon\nlr = 1\niterations = 1\n");
  const tn_component *o = harness_component("o");
  tn_params *w = fixture_matrix(2, 2), *g = tn_params_like(w);
  fixture_begin(o, w);
  fixture_set(g, 0, 3), fixture_set(g, 3, 4);
  fixture_update(o, w, g, 1, 1);
  EXPECT_NEAR(fixture_get(w, 0), -(3.4445 * 0.6 - 4.775 * 0.216 + 2.0315 * 0.07776), 1e-6);
  EXPECT_NEAR(fixture_get(w, 3), -(3.4445 * 0.8 - 4.775 * 0.512 + 2.0315 * 0.32768), 1e-6);
  EXPECT_NEAR(fixture_get(w, 1), 0, 0);
  tn_params_release(w);
  tn_params_release(g);
}

/* 8 x 2 with scale = shape: sqrt(8 / 2) = 2 times the step; rms: 0.2 sqrt(8). */
Test(matrices, muon_scales_by_shape) {
  square plain, shape, rms;
  first_update("[o]\nuse = optimizer.muon\nlr = 1\nscale = none\n", 8, 2, plain);
  first_update("[o]\nuse = optimizer.muon\nlr = 1\n", 8, 2, shape);
  first_update("[o]\nuse = optimizer.muon\nlr = 1\nscale = rms\n", 8, 2, rms);
  for (int i = 0; i < 8; i++) {
    EXPECT_NEAR(shape[i][1], 2 * plain[i][1], 1e-14);
    EXPECT_NEAR(rms[i][1], 0.2 * sqrt(8) * plain[i][1], 1e-14);
  }
}

/* Second step, exactly orthogonalised: N = G + momentum M with Nesterov, else M = momentum M + G. For a row
 * the polar factor is N / ||N||. */
Test(matrices, muon_carries_momentum) {
  for (int nesterov = 0; nesterov < 2; nesterov++) {
    char text[128];
    snprintf(text, sizeof text,
             "[o]\nuse = optimizer.muon\nlr = 0.5\nmomentum = 0.9\nmethod = svd\nnesterov = %s\n"
             "weight_decay = 0.1\n",
             nesterov ? "yes" : "no");
    harness_open("float64", text);
    const tn_component *o = harness_component("o");
    tn_params *w = fixture_matrix(1, 2), *g = tn_params_like(w);
    const double first[] = {3, 4}, second[] = {1, -1};
    fixture_begin(o, w);
    for (int i = 0; i < 2; i++) fixture_set(g, i, first[i]);
    fixture_update(o, w, g, 1, 1);
    EXPECT_NEAR(fixture_get(w, 0), -0.5 * 0.6, 1e-12);
    for (int i = 0; i < 2; i++) fixture_set(g, i, second[i]);
    fixture_update(o, w, g, 1, 2);
    double n[2];
    for (int i = 0; i < 2; i++) {
      const double m = 0.9 * first[i] + second[i];
      n[i] = nesterov ? second[i] + 0.9 * m : m;
    }
    const double length = sqrt(n[0] * n[0] + n[1] * n[1]);
    EXPECT_NEAR(fixture_get(w, 0), -0.3 - 0.5 * (n[0] / length + 0.1 * -0.3), 1e-12);
    EXPECT_NEAR(fixture_get(w, 1), -0.4 - 0.5 * (n[1] / length + 0.1 * -0.4), 1e-12);
    tn_params_release(w);
    tn_params_release(g);
  }
}

/* Vectors, and matrices that `adam` names, take AdamW's steps; the rest does not. */
Test(matrices, muon_leaves_the_rest_to_adamw) {
  harness_open("float64",
               "[o]\nuse = optimizer.muon\nadam_lr = 0.01\nadam_beta2 = 0.999\nadam_epsilon = 1e-8\n"
               "weight_decay = 0.1\nadam = conv, other\n"
               "[adamw]\nuse = optimizer.adamw\nlr = 0.01\nweight_decay = 0.1\n");
  tn_params *w = fixture_params(), *g = tn_params_like(w), *wanted = tn_params_clone(w);
  fixture_begin(harness_component("o"), w);
  fixture_begin(harness_component("adamw"), wanted);
  for (int64_t t = 1; t <= 4; t++) {
    for (int64_t i = 0; i < ALL; i++) fixture_set(g, i, sin((double)(i * t) + 1));
    fixture_update(harness_component("o"), w, g, 1, t);
    fixture_update(harness_component("adamw"), wanted, g, 1, t);
  }
  for (int64_t i = AT_BIAS; i < ALL; i++) EXPECT_NEAR(fixture_get(w, i), fixture_get(wanted, i), 1e-14);
  double other = 0;
  for (int64_t i = 0; i < AT_BIAS; i++) other = fmax(other, fabs(fixture_get(w, i) - fixture_get(wanted, i)));
  cr_assert(other > 1e-2, "the weight follows AdamW to %g", other);
  tn_params_release(w);
  tn_params_release(g);
  tn_params_release(wanted);
}

/* Vectors under Shampoo: Adam with Shampoo's beta2. */
Test(matrices, shampoo_leaves_vectors_to_adam) {
  harness_open("float64", "[o]\nuse = optimizer.shampoo\nlr = 0.01\n"
                          "[adam]\nuse = optimizer.adam\nlr = 0.01\nbeta2 = 0.99\n");
  tn_params *w = fixture_params(), *g = tn_params_like(w), *wanted = tn_params_clone(w);
  fixture_begin(harness_component("o"), w);
  fixture_begin(harness_component("adam"), wanted);
  for (int64_t t = 1; t <= 4; t++) {
    for (int64_t i = 0; i < ALL; i++) fixture_set(g, i, sin((double)(i * t) + 1));
    fixture_update(harness_component("o"), w, g, 1, t);
    fixture_update(harness_component("adam"), wanted, g, 1, t);
  }
  for (int64_t i = AT_BIAS; i < AT_KERNEL; i++) EXPECT_NEAR(fixture_get(w, i), fixture_get(wanted, i), 1e-14);
  for (int64_t i = AT_SCALE; i < ALL; i++) EXPECT_NEAR(fixture_get(w, i), fixture_get(wanted, i), 1e-14);
  tn_params_release(w);
  tn_params_release(g);
  tn_params_release(wanted);
}

/* A tensor (3, 2, 2, 2) is the matrix (3, 8). */
Test(matrices, kernels_are_matrices_of_their_filters) {
  static const char *const optimizers[] = {"shampoo", "muon"};
  for (int k = 0; k < 2; k++) {
    char text[128];
    snprintf(text, sizeof text, "[o]\nuse = optimizer.%s\n[flat]\nuse = optimizer.%s\n", optimizers[k],
             optimizers[k]);
    harness_open("float64", text);
    tn_params *w = fixture_params(), *g = tn_params_like(w), *flat = fixture_matrix(FILTERS, TAPS),
              *slope = tn_params_like(flat);
    for (int64_t i = 0; i < KERNEL_SIZE; i++) fixture_set(flat, i, fixture_get(w, AT_KERNEL + i));
    fixture_begin(harness_component("o"), w);
    fixture_begin(harness_component("flat"), flat);
    for (int64_t t = 1; t <= 3; t++) {
      fixture_gradient(w, g, t);
      for (int64_t i = 0; i < KERNEL_SIZE; i++) fixture_set(slope, i, fixture_get(g, AT_KERNEL + i));
      fixture_update(harness_component("o"), w, g, 1, t);
      fixture_update(harness_component("flat"), flat, slope, 1, t);
    }
    for (int64_t i = 0; i < KERNEL_SIZE; i++)
      EXPECT_REAL(fixture_get(w, AT_KERNEL + i), fixture_get(flat, i));
    tn_params *all[] = {w, g, flat, slope};
    for (size_t i = 0; i < TN_ARRAY_LENGTH(all); i++) tn_params_release(all[i]);
  }
}
