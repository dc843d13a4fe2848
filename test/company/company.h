/* SPDX-License-Identifier: BSD-3-Clause */
/* Hook libraries in company: what the files of the program `company` share.
 *
 * members.c starts and stops each library, paths.c releases memory in every way that they notice, run.c does both by
 * a plan and reports what each of them has seen, matrix.c runs all plans, each in a process of its own, and compares
 * them with runs of each library alone. */
#ifndef TEST_COMPANY_COMPANY_H
#define TEST_COMPANY_COMPANY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMPANY_PAGE ((size_t) 4096)
#define COMPANY_PAGES 16 /* Of each released range. */
#define COMPANY_SIZE (COMPANY_PAGES * COMPANY_PAGE)
#define COMPANY_STEPS 8 /* Of a plan, at most. */

/* FORK is no library: its start goes on in a child. */
typedef enum member_id_t { OURS, UCX, UCX_RELOC, MEMHOOKS, OPEN_MPI, FORK, MEMBERS } member_id_t;

typedef struct member_t {
    const char *name;
    /* Once. NULL, or what is missing. Touches no library that patches while it is loaded. */
    const char *(*missing)(void);
    /* 0, or the library's own code. */
    int (*start)(void);
    int (*stop)(void);
} member_t;

extern const member_t members[MEMBERS];

/* A member starts (on) or stops. */
typedef struct step_t {
    member_id_t member;
    bool on;
} step_t;

typedef struct plan_t {
    int count;
    step_t steps[COMPANY_STEPS];
} plan_t;

/* ---- Events ------------------------------------------------------------------------------------ */

/* What a member has reported of the watched range. */
typedef struct seen_t {
    unsigned events, late; /* Late: the pages were gone already. */
    uint32_t pages;        /* A bit for each page. */
} seen_t;

/* From now on events that touch [start, start + COMPANY_SIZE) count. */
void watch_begin(uintptr_t start);
void watch_end(seen_t seen[MEMBERS]);

/* A member's callback was called. Hook context. */
void watch_event(member_id_t member, uintptr_t start, size_t length);

/* ---- Ways to release --------------------------------------------------------------------------- */

typedef struct path_t {
    const char *name;
    /* Make COMPANY_SIZE bytes that hold data. NULL: no memory, or not here. */
    char *(*make)(void);
    /* Release them. NULL, or what is wrong with the result. */
    const char *(*release)(char *memory);
    /* Give back what is left. */
    void (*clean)(char *memory);
    bool early;   /* make comes before the step. */
    bool carried; /* Nothing of it is shared: there may be two at a time. */
} path_t;

#define PATHS 11
extern const path_t paths[PATHS];

/* Settings of malloc, and the DSO that is loaded and unloaded. */
void paths_prepare(const char *dso);

/* The settings again: a member may have put another malloc in place. */
void paths_set_malloc(void);

/* Calls that must fail with a certain errno. NULL, or the first that did not. */
const char *paths_wrong_errno(void);

/* ---- Our cache ---------------------------------------------------------------------------------- */

/* Register memory and give it back. Is it found then? */
bool cache_keeps(char *memory);
bool cache_holds(char *memory);

/* ---- Plans --------------------------------------------------------------------------------------- */

/* "ours+ ucx+ ours-". false: a word is not understood. */
bool plan_parse(char *const words[], int count, plan_t *plan);
/* Into text, which has room for 128 bytes. */
void plan_print(const plan_t *plan, int steps, char *text);

/* What was seen after a step, without a cache (0) and with one (1). */
typedef struct check_t {
    int code;     /* Of the step's start or stop. */
    bool ours_on; /* Ours has started. */
    int level;    /* Of ours: opal_mem_hooks_support_level(). */
    char bad[96]; /* What is wrong; "": nothing. */
    seen_t seen[2][PATHS][MEMBERS];
    bool kept[PATHS], stale[PATHS];
} check_t;

/* In a process of its own: do the plan, write a check_t for each step to fd. */
int run_plan(const plan_t *plan, int fd);

typedef enum matrix_mode_t { MATRIX_PLAIN, MATRIX_VERBOSE, MATRIX_BLIND } matrix_mode_t;

/* All plans of ours with others (one or two), or the twin. 0: all is well. 1: not. 77: one is not on this machine. */
int matrix(const char *program, const char *dso, const member_id_t *others, int count, matrix_mode_t mode);

#endif
