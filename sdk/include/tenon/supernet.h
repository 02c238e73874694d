// SPDX-License-Identifier: MIT
/* Extension "tenon.supernet/1" of a model that holds many architectures: every choice mixes candidate
 * operations, weighted by a row of architecture parameters.
 *
 * Choices of a kind share one table, an entry (rows, operations) of the model's parameter set: `alpha`.
 * Beside it lies `gate`, of the same shape and group TN_FIXED, all ones at the start: factors on the
 * operations' coefficients. A gate of 0 takes an operation out and costs nothing to apply, so a clone of the
 * set with other gates is another architecture with the same weights: discretised networks, sampled paths. */
#ifndef TENON_SUPERNET_H
#define TENON_SUPERNET_H

#include <tenon/plugin.h>

#define TN_SUPERNET "tenon.supernet/1"

typedef struct tn_supernet_table {
  uint32_t size;
  uint32_t alpha, gate; /* entries of the model's parameter set */
  const char *name;     /* "normal" */
  int64_t rows, operations;
} tn_supernet_table;

typedef struct tn_supernet {
  uint32_t size;
  /* REQUIRED; all [main], after the model was declared */
  /* Table `i`; TN_ERROR_MISSING, without a message, past the last. */
  tn_status (*table)(void *self, uint32_t i, tn_supernet_table *table);
  /* Name of operation `o` of a row, and whether it has no parameters; NULL past the last. */
  const char *(*operation)(void *self, int64_t o, bool *parameter_free);
  /* An architecture as text, freed with tn_free. method: "" for the model's own rule, "random" (drawn from
   * `rng`), or another that it knows. */
  tn_status (*derive)(void *self, const tn_params *params, const char *method, tn_rng *rng, char **genotype);
  /* Sets the gates of `params` to those of a genotype: 1 for what it keeps, 0 for the rest. rescale: what it
   * keeps gets the coefficient 1. */
  tn_status (*discretise)(void *self, tn_params *params, const char *genotype, bool rescale);
} tn_supernet;

/* Extension "tenon.architecture/1" of a model that is built from a genotype: an instance for one that only
 * comes to be in the run (tn_instantiate, set, then tn_declare_component). */
#define TN_ARCHITECTURE "tenon.architecture/1"
typedef struct tn_architecture {
  uint32_t size;
  /* [main] Before it is declared: the genotype, in the place of what its section says. Copied; refused if it
   * does not fit. */
  tn_status (*set)(void *self, const char *genotype);
} tn_architecture;

/* NULL, with an error, if the model is none. [main] */
static inline const tn_supernet *tn_supernet_of(const tn_component *model) {
  const tn_supernet *supernet = (const tn_supernet *)tn_extension(model, TN_SUPERNET);
  if (!supernet)
    tn_fail(TN_ERROR_INVALID, "'%s' is no supernet: expected a model such as model.darts_supernet",
            model->name);
  return supernet;
}

#endif
