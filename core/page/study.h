// SPDX-License-Identifier: MIT
/* What a report is about: the runs below one or several directories, in groups that are drawn as one, with
 * the claims that were made about them. */
#ifndef TENON_PAGE_STUDY_H
#define TENON_PAGE_STUDY_H

#include "core/report/event_file.h"
#include "core/sweep/comparison.h"

typedef struct tn_study_run {
  char *directory;
  char *label; /* "lion seed=2,method.lr=1e-3", or the directory */
  uint32_t group;
  uint32_t arm; /* the group of its whole arm, if arms are shown as wholes; else `group` */
  int64_t seed; /* -1: not known */
  char *state;  /* "finished", "running", "pending", "not finished" or why it failed */
  bool finished;
  bool read; /* outcome is there */
  tn_outcome_record outcome;
  bool opened; /* events are there */
  tn_event_file events;
} tn_study_run;

/* One arm in one setting, or in all of them, or one directory: lines and rows of their own; runs of several
 * seeds in it. */
typedef struct tn_study_group {
  char *name;             /* "lion lion.lr=1e-3" */
  char *arm;              /* "lion", with the directory in front if there are several; "" without arms */
  char *variant;          /* "lion.lr=1e-3"; "" */
  const char *shown_name; /* in pictures: the arm if it is shown in one setting only, else the name */
  bool whole;             /* the arm in all its settings */
  bool shown;             /* has curves and pictures; the others stand in the table only */
  unsigned color;         /* of the palette */
  uint32_t runs, finished;
} tn_study_group;

typedef struct tn_study_claim {
  char *place; /* directory; "" if there is one */
  char *name, *text, *measured;
  bool holds;
} tn_study_claim;

typedef struct tn_study_result {
  char *name;    /* "test.accuracy" */
  int direction; /* 1: more is better, -1: less is, 0: not known */
  double rank;   /* the larger the further in front */
} tn_study_result;

typedef struct tn_study {
  char *name;
  bool sweep, several;
  tn_study_run *runs;
  uint32_t run_count, run_room;
  tn_study_group *groups;
  uint32_t group_count, group_room;
  tn_study_claim *claims;
  uint32_t claim_count, claim_room;
  tn_study_result *results; /* of the stages, the most telling first */
  uint32_t result_count, result_room;
  char *criterion; /* of the settings shown; NULL: all are */
  int criterion_direction;
  bool criterion_claimed; /* it is that of the claims */
  bool wholes;            /* arms are shown in all their settings at once, as the claims take them */
  uint32_t shown_count;
  char **notes; /* lines about what could not be read */
  uint32_t note_count, note_room;
} tn_study;

/* Reads everything but events. An error if a directory holds neither a run nor a sweep. */
tn_status tn_study_read(const char *const *directories, uint32_t count, tn_study *study, tn_error *error);
void tn_study_free(tn_study *study);
/* Opens the events of the run unless they are; false: there are none. */
bool tn_study_open(tn_study *study, tn_study_run *run);
void tn_study_note(tn_study *study, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* choice.c: which groups are shown, and in which order results come. */
void tn_study_choose(tn_study *study);
/* 1, -1 or 0: whether more or less of a figure of this name is better. */
int tn_result_direction(const char *name);

/* Whether the run belongs to the group. */
static inline bool tn_study_in(const tn_study_run *run, uint32_t group) {
  return run->group == group || run->arm == group;
}
/* Whether a group that it belongs to is shown. */
static inline bool tn_study_shows(const tn_study *study, const tn_study_run *run) {
  return study->groups[run->group].shown || study->groups[run->arm].shown;
}
/* A result of all finished runs of a group; the caller frees the values. */
double *tn_study_values(const tn_study *study, uint32_t group, const char *result, uint32_t *count);

#endif
