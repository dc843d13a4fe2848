/* SPDX-License-Identifier: BSD-3-Clause */
/* company: hook libraries start and stop by a plan, and after each step memory is released in every way.
 *     company run DSO ours+ ucx+ ours-  does one plan: events without/with a cache, what is kept, what is stale
 *     company matrix DSO [-v] ucx [open-mpi|fork]  does all plans of ours with these, and says what is lost
 *     company matrix DSO -b ucx  is that seen, when ours does not watch a call? */
#include <opal/opalmem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "company.h"

/* ---- Plans --------------------------------------------------------------------------------------- */

static member_id_t member_by_name(const char *name, size_t length)
{
    for (member_id_t i = 0; i < MEMBERS; i++) {
        if (strlen(members[i].name) == length && strncmp(members[i].name, name, length) == 0) {
            return i;
        }
    }
    return MEMBERS;
}

bool plan_parse(char *const words[], int count, plan_t *plan)
{
    plan->count = count;
    for (int i = 0; i < count && count <= COMPANY_STEPS; i++) {
        const size_t length = strlen(words[i]);
        const char sign = length == 0 ? '\0' : words[i][length - 1];

        plan->steps[i].member = length == 0 ? MEMBERS : member_by_name(words[i], length - 1);
        plan->steps[i].on = sign == '+';
        if (plan->steps[i].member == MEMBERS || (sign != '+' && sign != '-')) {
            return false;
        }
    }
    return count > 0 && count <= COMPANY_STEPS;
}

void plan_print(const plan_t *plan, int steps, char *text)
{
    *text = '\0';
    for (int i = 0; i < steps; i++) {
        text += sprintf(text, "%s%s%c", i == 0 ? "" : " ", members[plan->steps[i].member].name,
                        plan->steps[i].on ? '+' : '-');
    }
}

/* ---- One check ----------------------------------------------------------------------------------- */

static void note_bad(check_t *check, const char *name, const char *bad)
{
    if (bad != NULL && check->bad[0] == '\0') {
        snprintf(check->bad, sizeof(check->bad), "%s: %s", name, bad);
    }
}

static char *memory[PATHS]; /* NULL: there is none. */

static void make_all(check_t *check, bool early)
{
    for (int i = PATHS - 1; i >= 0; i--) {
        if (paths[i].early == early) {
            memory[i] = paths[i].make();
            note_bad(check, paths[i].name, memory[i] == NULL ? "no memory" : NULL);
        }
    }
}

static void clean_all(void)
{
    for (int i = 0; i < PATHS; i++) {
        if (memory[i] != NULL) {
            paths[i].clean(memory[i]);
        }
    }
}

static void try_path(check_t *check, int path, bool cached)
{
    const char *bad;

    if (memory[path] == NULL) {
        return;
    }
    watch_begin((uintptr_t) memory[path]);
    bad = paths[path].release(memory[path]);
    watch_end(check->seen[cached][path]);
    note_bad(check, paths[path].name, bad);
}

static void try_cached_path(check_t *check, int path)
{
    if (memory[path] != NULL) {
        check->kept[path] = cache_keeps(memory[path]);
        try_path(check, path, true);
        check->stale[path] = cache_holds(memory[path]);
    }
}

/* First without a cache, since that makes ours look at its sites. */
static void try_all(check_t *check, bool ours_on)
{
    make_all(check, false);
    for (int i = 0; i < PATHS; i++) {
        try_path(check, i, false);
    }
    clean_all();
    note_bad(check, "errno", paths_wrong_errno());
    if (ours_on) {
        make_all(check, true);
        make_all(check, false);
        for (int i = 0; i < PATHS; i++) {
            try_cached_path(check, i);
        }
        clean_all();
    }
    check->level = ours_on ? opal_mem_hooks_support_level() : 0;
}

static char *carried[PATHS]; /* Registered before the step, released after it. */

static void carry(void)
{
    for (int i = 0; i < PATHS; i++) {
        carried[i] = paths[i].carried ? paths[i].make() : NULL;
        if (carried[i] != NULL) {
            cache_keeps(carried[i]);
        }
    }
}

static void try_carried(check_t *check, bool ours_on)
{
    for (int i = 0; i < PATHS; i++) {
        if (carried[i] != NULL) {
            note_bad(check, paths[i].name, paths[i].release(carried[i]));
            check->stale[i] = check->stale[i] || (ours_on && cache_holds(carried[i]));
            paths[i].clean(carried[i]);
            carried[i] = NULL;
        }
    }
}

static void do_step(const step_t *step, check_t *check)
{
    static bool ours_on;

    memset(check, 0, sizeof(*check));
    make_all(check, true);
    check->code = step->on ? members[step->member].start() : members[step->member].stop();
    ours_on = step->member == OURS ? step->on && check->code == 0 : ours_on;
    check->ours_on = ours_on;
    paths_set_malloc();
    try_all(check, ours_on);
    try_carried(check, ours_on);
    if (ours_on) {
        carry();
    }
}

int run_plan(const plan_t *plan, int fd)
{
    check_t check;

    alarm(60);
    for (int i = 0; i < plan->count; i++) {
        do_step(&plan->steps[i], &check);
        if (write(fd, &check, sizeof(check)) != (ssize_t) sizeof(check)) {
            return 2;
        }
    }
    return 0;
}

/* ---- For readers --------------------------------------------------------------------------------- */

static void print_path(const check_t *check, int path, const bool takes_part[MEMBERS])
{
    printf("    %-20s", paths[path].name);
    for (member_id_t i = 0; i < MEMBERS; i++) {
        if (takes_part[i]) {
            printf(" %s %u/%u%s", members[i].name, check->seen[0][path][i].events, check->seen[1][path][i].events,
                   check->seen[0][path][i].late > 0 ? " late" : "");
        }
    }
    printf("%s%s\n", check->kept[path] ? " kept" : "", check->stale[path] ? " STALE" : "");
}

static int run_for_reader(const plan_t *plan)
{
    bool takes_part[MEMBERS] = { false };
    char text[128];
    check_t check;

    for (int i = 0; i < plan->count; i++) {
        takes_part[plan->steps[i].member] = true;
        do_step(&plan->steps[i], &check);
        plan_print(plan, i + 1, text);
        printf("%s: code %d, level %#x%s%s\n", text, check.code, (unsigned) check.level,
               check.bad[0] == '\0' ? "" : ", WRONG: ", check.bad);
        for (int path = 0; path < PATHS; path++) {
            print_path(&check, path, takes_part);
        }
    }
    return 0;
}

/* ---- Arguments ----------------------------------------------------------------------------------- */

static int usage(void)
{
    fprintf(stderr,
            "usage: company run DSO MEMBER+|MEMBER-...\n       company matrix DSO [-v|-b] MEMBER [MEMBER]\n");
    return 2;
}

/* The results go where the output went; what libraries print goes to stderr. */
static int run_for_matrix(const plan_t *plan)
{
    const int fd = dup(STDOUT_FILENO);

    dup2(STDERR_FILENO, STDOUT_FILENO);
    return run_plan(plan, fd);
}

static int main_run(char **argv, int count, bool for_reader)
{
    plan_t plan;

    if (!plan_parse(argv + 3, count, &plan)) {
        return usage();
    }
    paths_prepare(argv[2]);
    return for_reader ? run_for_reader(&plan) : run_for_matrix(&plan);
}

static int main_matrix(char **argv, int count)
{
    member_id_t others[2];
    matrix_mode_t mode = strcmp(argv[3], "-v") == 0   ? MATRIX_VERBOSE
                         : strcmp(argv[3], "-b") == 0 ? MATRIX_BLIND
                                                      : MATRIX_PLAIN;
    char **names = argv + 3 + (mode != MATRIX_PLAIN);

    count -= mode != MATRIX_PLAIN;
    if (count < 1 || count > 2) {
        return usage();
    }
    for (int i = 0; i < count; i++) {
        others[i] = member_by_name(names[i], strlen(names[i]));
        if (others[i] == MEMBERS || others[i] == OURS) {
            return usage();
        }
    }
    return matrix(argv[0], argv[2], others, count, mode);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        return usage();
    }
    if (strcmp(argv[1], "matrix") == 0) {
        return main_matrix(argv, argc - 3);
    }
    return main_run(argv, argc - 3, strcmp(argv[1], "run") == 0);
}
