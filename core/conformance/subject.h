// SPDX-License-Identifier: MIT
/* The INI text of a component under test and of everything it refers to, from its schema alone.
 *
 * Required keys get a small valid value; required paths a sample file; required references the plainest
 * component of their kind that is installed. Sections of the user's own file (--with) come first: the one
 * that uses the component gives its keys. */
#ifndef TENON_CORE_SUBJECT_H
#define TENON_CORE_SUBJECT_H

#include "core/conformance/trial.h"

/* Composes trial->sections: [subject] and [other], two instances of the class, and what they need. Skips the
 * check if something cannot be provided. */
void tn_subject_compose(tn_trial *trial);
/* How many ways there are to choose the sample files; trial->samples counts through them. */
uint32_t tn_subject_choices(const tn_trial *trial);
/* The name of a section with a component of kind `kind`, added to trial->sections if need be; NULL: none can
 * be had. */
const char *tn_subject_provide(tn_trial *trial, const char *kind);

/* Writes a sample file of every format the host reads to the folder. */
void tn_samples_write(const char *folder);
/* Their names, for paths. */
extern const char *const tn_sample_names[];
extern const uint32_t tn_sample_count;

/* Values for a parameter, as a user would write them; false: no more of them. */
bool tn_param_boundary(const tn_param *param, uint32_t index, char *text, size_t bytes);
bool tn_param_invalid(const tn_param *param, uint32_t index, char *text, size_t bytes);
bool tn_param_random(const tn_trial *trial, const tn_param *param, uint64_t index, char *text, size_t bytes);
/* A small valid value; false: this type needs more than a value. */
bool tn_param_plain(const tn_param *param, char *text, size_t bytes);

#endif
