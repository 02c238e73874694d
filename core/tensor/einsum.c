// SPDX-License-Identifier: MIT
/* Einstein sums: operands are folded from the left, each step one batched matrix product. */
#include "internal.h"

/* A tensor whose axes have letters. */
typedef struct lettered {
  tn_node *x;
  char axes[TN_MAX_DIMS + 1];
} lettered;

static bool has(const char *axes, char letter) { return strchr(axes, letter) != NULL; }

static uint32_t bits_of(const lettered *t, bool (*test)(const char *, const char *, char), const char *a,
                        const char *b) {
  uint32_t mask = 0;
  for (int i = 0; t->axes[i]; i++)
    if (test(a, b, t->axes[i])) mask |= 1u << i;
  return mask;
}
static bool in_neither(const char *a, const char *b, char letter) {
  return !has(a, letter) && !has(b, letter);
}

/* Sums over the axes that nobody else and not the result has. */
static void sum_alone(lettered *t, const char *others, const char *result) {
  uint32_t mask = bits_of(t, in_neither, others, result);
  if (!mask) return;
  t->x = tn_op_reduce(TN_SUM, t->x, mask, false);
  int n = 0;
  for (int i = 0; t->axes[i]; i++)
    if (!(mask >> i & 1)) t->axes[n++] = t->axes[i];
  t->axes[n] = 0;
}

/* x with its axes in the order of the letters, all of which it has. */
static tn_node *arranged(const lettered *t, const char *letters) {
  int32_t order[TN_MAX_DIMS];
  bool moved = false;
  if (tn_is_poison(t->x)) return t->x;
  for (int i = 0; letters[i]; i++) {
    order[i] = (int32_t)(strchr(t->axes, letters[i]) - t->axes);
    moved |= order[i] != i;
  }
  return moved ? tn_op_permute(t->x, order) : t->x;
}

static int64_t extent(const lettered *t, const char *letters) {
  int64_t n = 1;
  for (int i = 0; letters[i] && !tn_is_poison(t->x); i++)
    n *= t->x->shape[strchr(t->axes, letters[i]) - t->axes];
  return n;
}

/* x and y to one tensor; `later` are letters that still matter. */
static bool fold(lettered *x, lettered *y, const char *later, lettered *out) {
  char batch[9] = "", summed[9] = "", free_x[9] = "", free_y[9] = "", order[20];
  sum_alone(x, y->axes, later);
  sum_alone(y, x->axes, later);
  for (int i = 0; x->axes[i]; i++) {
    char *list = !has(y->axes, x->axes[i]) ? free_x : (has(later, x->axes[i]) ? batch : summed);
    strncat(list, &x->axes[i], 1);
  }
  for (int i = 0; y->axes[i]; i++)
    if (!has(x->axes, y->axes[i])) strncat(free_y, &y->axes[i], 1);
  size_t rank = strlen(batch) + strlen(free_x) + strlen(free_y);
  if (rank > TN_MAX_DIMS) {
    tn_shape_error("einsum", "an intermediate result of rank %zu", rank);
    return false;
  }
  int64_t nb = extent(x, batch), nx = extent(x, free_x), ns = extent(x, summed), ny = extent(y, free_y);
  strcat(strcat(strcpy(order, batch), free_x), summed);
  tn_node *px = tn_op_reshape(arranged(x, order), 3, (int64_t[]){nb, nx, ns});
  strcat(strcat(strcpy(order, batch), summed), free_y);
  tn_node *py = tn_op_reshape(arranged(y, order), 3, (int64_t[]){nb, ns, ny});
  tn_node *product = tn_op_matmul(px, py, false, false);
  int64_t shape[TN_MAX_DIMS];
  int n = 0;
  for (int i = 0; batch[i]; i++) shape[n++] = extent(x, (char[]){batch[i], 0});
  for (int i = 0; free_x[i]; i++) shape[n++] = extent(x, (char[]){free_x[i], 0});
  for (int i = 0; free_y[i]; i++) shape[n++] = extent(y, (char[]){free_y[i], 0});
  out->x = tn_op_reshape(product, n, shape);
  strcat(strcat(strcpy(out->axes, batch), free_x), free_y);
  return true;
}

enum { OPERANDS = 8 };

/* "ij,jk->ik" into the operands' letters and the result's. */
static bool parse(const char *equation, lettered *operands, uint32_t count, char *result) {
  uint32_t operand = 0;
  int n = 0;
  const char *c = equation;
  char *axes = count ? operands[0].axes : result;
  bool arrow = false;
  for (;; c++) {
    if (*c == ' ') continue;
    if (*c >= 'a' && *c <= 'z' && n < TN_MAX_DIMS && !memchr(axes, *c, (size_t)n)) {
      axes[n++] = *c;
      continue;
    }
    axes[n] = 0;
    n = 0;
    if (*c == ',' && !arrow && operand + 1 < count)
      axes = operands[++operand].axes;
    else if (*c == '-' && c[1] == '>' && !arrow) {
      arrow = true;
      axes = result;
      c++;
    } else {
      break;
    }
  }
  if (*c == 0 && arrow && operand + 1 == count) return true;
  tn_shape_error("einsum", "'%s' is not of the form 'ij,jk->ik' with %u operands, each letter once in each",
                 equation, count);
  return false;
}

/* Every letter has one length; the result's letters occur. */
static bool check(const char *equation, const lettered *operands, uint32_t count, const char *result) {
  int64_t length[26];
  bool known[26] = {false};
  for (uint32_t k = 0; k < count; k++) {
    const tn_node *x = operands[k].x;
    if ((size_t)x->t.dl.ndim != strlen(operands[k].axes)) {
      tn_shape_error("einsum", "operand %u of '%s' has shape %s", k, equation, tn_shape_text(x));
      return false;
    }
    for (int i = 0; operands[k].axes[i]; i++) {
      int letter = operands[k].axes[i] - 'a';
      if (known[letter] && length[letter] != x->shape[i]) {
        tn_shape_error("einsum", "'%c' of '%s' is %lld and %lld", operands[k].axes[i], equation,
                       (long long)length[letter], (long long)x->shape[i]);
        return false;
      }
      known[letter] = true;
      length[letter] = x->shape[i];
    }
  }
  for (int i = 0; result[i]; i++)
    if (!known[result[i] - 'a']) {
      tn_shape_error("einsum", "'%c' of '%s' is in no operand", result[i], equation);
      return false;
    }
  return true;
}

tn_tensor *tn_api_einsum(const char *equation, tn_tensor *const *xs, uint32_t count) {
  lettered operands[OPERANDS];
  char result[TN_MAX_DIMS + 1];
  if (count == 0 || count > OPERANDS)
    return &tn_shape_error("einsum", "%u operands, not 1 to %d", count, OPERANDS)->t;
  for (uint32_t i = 0; i < count; i++) {
    operands[i].x = tn_node_of(xs[i]);
    if (tn_is_poison(operands[i].x)) return xs[i];
  }
  if (!parse(equation, operands, count, result) || !check(equation, operands, count, result))
    return &tn_poison()->t;
  lettered total = operands[0];
  for (uint32_t i = 1; i < count; i++) {
    char later[OPERANDS * TN_MAX_DIMS + 1];
    strcpy(later, result);
    for (uint32_t k = i + 1; k < count; k++) strcat(later, operands[k].axes);
    lettered out;
    if (!fold(&total, &operands[i], later, &out)) return &tn_poison()->t;
    total = out;
  }
  sum_alone(&total, "", result);
  return &arranged(&total, result)->t;
}
