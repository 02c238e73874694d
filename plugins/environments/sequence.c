// SPDX-License-Identifier: MIT
/* Strings of letters, grown at their end: an action appends a letter, or stops. Objectives: how often given
 * n-grams occur (overlapping ones count), over `scale` (Stanton et al. 2022; Jain et al. 2023). A state is
 * (letter_1 .. letter_max, stopped), -1 behind the end.
 *
 * The spectrum N(counts), the number of strings for every vector of counts, comes from a dynamic program over
 * (length, last letters, counts), where as many last letters matter as the longest n-gram has but one. */
#include <string.h>
#include <tenon/environment.h>

enum { MOST_GRAMS = 8, MOST_ORDER = 8, MOST_CELLS = 1 << 23 };

struct sequence {
  const char *alphabet;
  int64_t min_len, max_len;
  tn_strings ngrams;
  double scale;

  int64_t letters;
  int64_t order[MOST_GRAMS]; /* letters of each n-gram */
  int64_t gram[MOST_GRAMS][MOST_ORDER];
};
static const tn_param sequence_params[] = {
    TN_STRING(struct sequence, alphabet, "ACDEFGHIKLMNPQRSTVWY", "the letters, one character each"),
    TN_INTEGER(struct sequence, min_len, "1", 0, 1 << 16, "letters", "shortest string"),
    TN_INTEGER(struct sequence, max_len, "36", 1, 1 << 16, "letters", "longest string"),
    TN_STRINGS(struct sequence, ngrams, "AC, CV, VA", "one objective each: how often it occurs"),
    TN_PARAM_(struct sequence, scale, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "8", 0, INFINITY, NULL, NULL,
              NULL, "an objective is the count over this"),
};

static tn_status sequence_create(void *self) {
  struct sequence *s = self;
  s->letters = (int64_t)strlen(s->alphabet);
  if (s->letters < 1 || s->letters > 120)
    return tn_fail(TN_ERROR_INVALID, "alphabet: %lld letters, expected 1 to 120", (long long)s->letters);
  for (int64_t a = 0; a < s->letters; a++)
    if (strchr(s->alphabet + a + 1, s->alphabet[a]))
      return tn_fail(TN_ERROR_INVALID, "alphabet: letter '%c' is there twice", s->alphabet[a]);
  if (s->min_len > s->max_len)
    return tn_fail(TN_ERROR_INVALID, "min_len %lld is above max_len %lld", (long long)s->min_len,
                   (long long)s->max_len);
  if (s->ngrams.count < 1 || s->ngrams.count > MOST_GRAMS)
    return tn_fail(TN_ERROR_INVALID, "ngrams: %u of them, expected 1 to %d", s->ngrams.count, MOST_GRAMS);
  for (uint32_t k = 0; k < s->ngrams.count; k++) {
    const char *text = s->ngrams.items[k];
    s->order[k] = (int64_t)strlen(text);
    if (s->order[k] < 1 || s->order[k] > MOST_ORDER)
      return tn_fail(TN_ERROR_INVALID, "ngrams: '%s' has %lld letters, expected 1 to %d", text,
                     (long long)s->order[k], MOST_ORDER);
    for (int64_t i = 0; i < s->order[k]; i++) {
      const char *at = strchr(s->alphabet, text[i]);
      if (!at)
        return tn_fail(TN_ERROR_INVALID, "ngrams: letter '%c' of '%s' is not in the alphabet %s", text[i],
                       text, s->alphabet);
      s->gram[k][i] = at - s->alphabet;
    }
  }
  return TN_OK;
}

static tn_status sequence_describe(void *self, tn_environment_info *info) {
  const struct sequence *s = self;
  *info = (tn_environment_info){.size = info->size,
                                .objectives = s->ngrams.count,
                                .state_width = s->max_len + 1,
                                .feature_width = s->max_len * s->letters,
                                .actions = s->letters + 1,
                                .max_steps = s->max_len + 1,
                                .stop_action = s->letters};
  return TN_OK;
}

static int64_t length_of(const struct sequence *s, const double *state) {
  int64_t length = 0;
  while (length < s->max_len && state[length] >= 0) length++;
  return length;
}

static tn_status sequence_reset(void *self, double *states, int64_t n, tn_rng *rng) {
  const struct sequence *s = self;
  (void)rng;
  for (int64_t i = 0; i < n; i++) {
    for (int64_t t = 0; t < s->max_len; t++) *states++ = -1;
    *states++ = 0;
  }
  return TN_OK;
}

static tn_status sequence_mask(void *self, const double *states, int64_t n, uint8_t *mask) {
  const struct sequence *s = self;
  for (int64_t i = 0; i < n; i++, states += s->max_len + 1, mask += s->letters + 1) {
    const int64_t length = length_of(s, states);
    const bool going = states[s->max_len] == 0;
    memset(mask, going && length < s->max_len, (size_t)s->letters);
    mask[s->letters] = going && length >= s->min_len;
  }
  return TN_OK;
}

static tn_status sequence_step(void *self, double *states, int64_t n, const int64_t *actions,
                               const double *continuous, uint8_t *done, tn_rng *rng) {
  const struct sequence *s = self;
  (void)continuous, (void)rng;
  for (int64_t i = 0; i < n; i++, states += s->max_len + 1) {
    done[i] = actions[i] == s->letters;
    states[done[i] ? s->max_len : length_of(s, states)] = done[i] ? 1 : (double)actions[i];
  }
  return TN_OK;
}

/* One-hot letters, zeros behind the end. */
static tn_status sequence_features(void *self, const double *states, int64_t n, float *features) {
  const struct sequence *s = self;
  memset(features, 0, (size_t)(n * s->max_len * s->letters) * sizeof *features);
  for (int64_t i = 0; i < n; i++, states += s->max_len + 1)
    for (int64_t t = 0; t < s->max_len; t++, features += s->letters)
      if (states[t] >= 0) features[(int64_t)states[t]] = 1;
  return TN_OK;
}

/* Whether n-gram k ends at letter `end` (counted from 0) of the string. */
static bool ends(const struct sequence *s, uint32_t k, const double *state, int64_t end) {
  const int64_t first = end + 1 - s->order[k];
  if (first < 0) return false;
  for (int64_t i = 0; i < s->order[k]; i++)
    if ((int64_t)state[first + i] != s->gram[k][i]) return false;
  return true;
}

static tn_status sequence_reward(void *self, const double *states, int64_t n, double *rewards) {
  const struct sequence *s = self;
  for (int64_t i = 0; i < n; i++, states += s->max_len + 1) {
    const int64_t length = length_of(s, states);
    for (uint32_t k = 0; k < s->ngrams.count; k++) {
      int64_t count = 0;
      for (int64_t end = 0; end < length; end++) count += ends(s, k, states, end);
      *rewards++ = (double)count / s->scale;
    }
  }
  return TN_OK;
}

static int64_t sequence_parents(void *self, const double *state, double *parents, int64_t *actions,
                                int64_t limit) {
  const struct sequence *s = self;
  const int64_t length = length_of(s, state);
  const bool stopped = state[s->max_len] != 0;
  if (!stopped && length == 0) return 0;
  if (limit > 0) {
    memcpy(parents, state, (size_t)(s->max_len + 1) * sizeof *parents);
    actions[0] = stopped ? s->letters : (int64_t)state[length - 1];
    if (stopped)
      parents[s->max_len] = 0;
    else
      parents[length - 1] = -1;
  }
  return 1;
}

/* Strings of at most max_len letters; 0: too many. */
static int64_t strings(const struct sequence *s) {
  int64_t count = 1;
  for (int64_t t = 0; t < s->max_len && count > 0; t++)
    count = count > ((int64_t)1 << 51) / s->letters ? 0 : count * s->letters + 1;
  return count;
}
static int64_t sequence_states(void *self) { return 2 * strings(self); }
/* As a number to base letters + 1 without digit 0: shorter strings come first. */
static int64_t sequence_index(void *self, const double *state) {
  const struct sequence *s = self;
  int64_t id = 0;
  for (int64_t t = 0; t < s->max_len && state[t] >= 0; t++) id = id * s->letters + (int64_t)state[t] + 1;
  return state[s->max_len] != 0 ? id + strings(s) : id;
}

static tn_status sequence_print(void *self, const double *state, char *text, size_t bytes) {
  const struct sequence *s = self;
  size_t used = 0;
  for (int64_t t = 0; t < s->max_len && state[t] >= 0 && used + 1 < bytes; t++)
    text[used++] = s->alphabet[(int64_t)state[t]];
  if (bytes > 0) text[used] = 0;
  return TN_OK;
}

/* ---- as strings ---- */

static int64_t sequence_letters(void *self) { return ((const struct sequence *)self)->letters; }
static int64_t sequence_length(void *self) { return ((const struct sequence *)self)->max_len; }
static void sequence_tokens(void *self, const double *states, int64_t n, int64_t *tokens) {
  const struct sequence *s = self;
  for (int64_t i = 0; i < n; i++, states += s->max_len + 1)
    for (int64_t t = 0; t < s->max_len; t++) *tokens++ = states[t] >= 0 ? (int64_t)states[t] : 0;
}

/* ---- the spectrum ---- */

/* Cells of the program: (context, counts). A context is the last order - 1 letters, to base letters + 1, 0
 * where there is none yet. */
struct spectrum {
  const struct sequence *s;
  int64_t order, contexts, radix, vectors; /* radix: of the counts, max_len + 1 */
  double *now, *next, *total;              /* (contexts, vectors) twice, (vectors): numbers of strings */
};

/* The count vector's number after letter `a` in `context`: one more for each n-gram that ends with it. */
static int64_t advance(const struct spectrum *p, int64_t context, int64_t a, int64_t vector) {
  int64_t place = 1;
  for (uint32_t k = 0; k < p->s->ngrams.count; k++, place *= p->radix) {
    const int64_t order = p->s->order[k];
    bool match = p->s->gram[k][order - 1] == a;
    int64_t rest = context;
    for (int64_t i = order - 2; i >= 0 && match; i--, rest /= p->s->letters + 1)
      match = rest % (p->s->letters + 1) == p->s->gram[k][i] + 1;
    if (match) vector += place;
  }
  return vector;
}

static bool spectrum_open(struct spectrum *p, const struct sequence *s) {
  *p = (struct spectrum){.s = s, .order = 1, .contexts = 1, .vectors = 1, .radix = s->max_len + 1};
  for (uint32_t k = 0; k < s->ngrams.count; k++)
    if (s->order[k] > p->order) p->order = s->order[k];
  for (int64_t i = 1; i < p->order && p->contexts <= MOST_CELLS; i++) p->contexts *= s->letters + 1;
  for (uint32_t k = 0; k < s->ngrams.count && p->vectors <= MOST_CELLS; k++) p->vectors *= p->radix;
  if (p->contexts > MOST_CELLS || p->vectors > MOST_CELLS || p->contexts * p->vectors > MOST_CELLS)
    return false;
  const size_t cells = (size_t)(p->contexts * p->vectors);
  p->now = tn_alloc(cells * sizeof(double));
  p->next = tn_alloc(cells * sizeof(double));
  p->total = tn_alloc((size_t)p->vectors * sizeof(double));
  return p->now && p->next && p->total;
}
static void spectrum_close(struct spectrum *p) {
  tn_free(p->now);
  tn_free(p->next);
  tn_free(p->total);
}

static void spectrum_letter(struct spectrum *p) {
  const int64_t base = p->s->letters + 1;
  memset(p->next, 0, (size_t)(p->contexts * p->vectors) * sizeof *p->next);
  for (int64_t c = 0; c < p->contexts; c++)
    for (int64_t v = 0; v < p->vectors; v++) {
      const double count = p->now[c * p->vectors + v];
      if (count == 0) continue;
      for (int64_t a = 0; a < p->s->letters; a++) {
        const int64_t after = p->order > 1 ? (c * base + a + 1) % p->contexts : 0;
        p->next[after * p->vectors + advance(p, c, a, v)] += count;
      }
    }
  double *former = p->now;
  p->now = p->next;
  p->next = former;
}

static int64_t sequence_spectrum(void *self, double *objectives, double *log_counts, int64_t limit) {
  const struct sequence *s = self;
  struct spectrum p;
  int64_t found = 0;
  if (spectrum_open(&p, s)) {
    p.now[0] = 1;
    for (int64_t length = 0; length <= s->max_len; length++) {
      for (int64_t i = 0; length >= s->min_len && i < p.contexts * p.vectors; i++)
        p.total[i % p.vectors] += p.now[i];
      if (length < s->max_len) spectrum_letter(&p);
    }
    for (int64_t v = 0; v < p.vectors; v++) {
      if (p.total[v] == 0) continue;
      if (found < limit) {
        int64_t rest = v;
        for (uint32_t k = 0; k < s->ngrams.count; k++, rest /= p.radix)
          objectives[found * s->ngrams.count + k] = (double)(rest % p.radix) / s->scale;
        log_counts[found] = log(p.total[v]);
      }
      found++;
    }
  }
  spectrum_close(&p);
  return found;
}

static const void *sequence_extension(void *self, const char *id) {
  static const tn_environment_tokens tokens = {sizeof tokens, sequence_letters, sequence_length,
                                               sequence_tokens};
  static const tn_environment_spectrum spectrum = {sizeof spectrum, sequence_spectrum};
  (void)self;
  if (strcmp(id, TN_ENVIRONMENT_TOKENS) == 0) return &tokens;
  return strcmp(id, TN_ENVIRONMENT_SPECTRUM) == 0 ? &spectrum : NULL;
}

static const tn_environment sequence_table = {sizeof sequence_table, sequence_describe, sequence_reset,
                                              sequence_mask,         sequence_step,     sequence_features,
                                              sequence_reward,       sequence_parents,  sequence_index,
                                              sequence_states,       sequence_print};
static const tn_class sequence_class = {
    .size = sizeof(tn_class),
    .kind = TN_ENVIRONMENT,
    .name = "sequence",
    .summary = "Strings that grow by a letter; objectives are counts of n-grams",
    .reference = "Stanton et al. 2022, Accelerating Bayesian Optimization for Biological Sequence Design",
    TN_CLASS_PARAMS(sequence_params),
    .instance_size = sizeof(struct sequence),
    .vtable = &sequence_table,
    .create = sequence_create,
    .extension = sequence_extension};
TN_PLUGIN("environment_sequence", "1.0.0", "MIT", &sequence_class)
