/* SPDX-License-Identifier: BSD-3-Clause */
/* All plans: every order in which ours and another library start, stop, start and stop again, and every order of one
 * start and stop of ours and two others, or one other and a fork. After each step, what a library sees is compared with its twin: the same
 * plan without ours (for the others) or without the others (for ours). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "company.h"

#define MAX_HISTORIES 1024
/* What makes ours blind for a call; and that call, which is a path too. */
#define BLIND_NAME "OPALMEM_MCA_memory_linux_disable_sites"
#define UNSAFE_NAME "OPALMEM_MCA_rcache_base_unsafe" /* Or caches would keep nothing then. */
#define BLIND_CALL "shmdt"

#define MAX_LINES 4096
#define MAX_SHOWN 10 /* Lines without -v. */

typedef struct outcome_t {
    char plan[128];
    int checks; /* Fewer than the plan's steps after a crash. */
    int status; /* Of waitpid. */
    char noise[96];
    check_t check[COMPANY_STEPS];
} outcome_t;

typedef enum fault_t { CRASH, LOST_OURS, LOST_THEIRS, WRONG, STALE, UNCACHED, NOISE, FAULTS } fault_t;

static const char *const fault_names[FAULTS] = { "crashed",       "ours lost events",    "theirs lost events",
                                                 "wrong results", "stale registrations", "not cached",
                                                 "messages" };

static struct {
    const char *program, *dso;
    bool verbose, blind;
    member_id_t members[3]; /* Ours first. */
    int member_count;
    unsigned lines;
    struct {
        int steps;
        char text[256];
    } line[MAX_LINES]; /* What is to be said of faults. */
    unsigned histories;
    char known[MAX_HISTORIES][128];
    unsigned faults[FAULTS]; /* Histories that have it. */
    unsigned long events;    /* Compared. */
    outcome_t twins[64];
    int twin_count;
} m;

/* ---- A process for a plan ------------------------------------------------------------------------- */

static void exec_plan(const plan_t *plan, int out, int err)
{
    char words[COMPANY_STEPS][32];
    char *argv[3 + COMPANY_STEPS + 1] = { (char *) m.program, "child", (char *) m.dso };

    for (int i = 0; i < plan->count; i++) {
        const step_t *step = &plan->steps[i];

        snprintf(words[i], sizeof(words[i]), "%s%c", members[step->member].name, step->on ? '+' : '-');
        argv[3 + i] = words[i];
    }
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    execv("/proc/self/exe", argv);
    _exit(127);
}

static void read_noise(int err, char *text, size_t size)
{
    const ssize_t length = pread(err, text, size - 1, 0);

    text[length > 0 ? length : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
}

static void run_child(const plan_t *plan, outcome_t *outcome)
{
    const int out = memfd_create("out", MFD_CLOEXEC), err = memfd_create("err", MFD_CLOEXEC);
    const pid_t child = fork();

    memset(outcome, 0, sizeof(*outcome));
    plan_print(plan, plan->count, outcome->plan);
    if (child == 0) {
        exec_plan(plan, out, err);
    }
    waitpid(child, &outcome->status, 0);
    outcome->checks = (int) (pread(out, outcome->check, sizeof(outcome->check), 0) / (ssize_t) sizeof(check_t));
    read_noise(err, outcome->noise, sizeof(outcome->noise));
    close(out);
    close(err);
}

/* ---- Twins ---------------------------------------------------------------------------------------- */

/* The steps of ours alone, or those of all others; a fork is in both. */
static plan_t project(const plan_t *plan, int steps, bool ours)
{
    plan_t result = { 0 };

    for (int i = 0; i < steps; i++) {
        if (plan->steps[i].member == FORK || (plan->steps[i].member == OURS) == ours) {
            result.steps[result.count++] = plan->steps[i];
        }
    }
    return result;
}

/* What was seen after these steps, without ours or without the others. */
static const check_t *twin(const plan_t *plan, int steps, bool ours)
{
    const plan_t alone = project(plan, steps, ours);
    outcome_t *outcome = &m.twins[m.twin_count];
    char text[128];

    plan_print(&alone, alone.count, text);
    for (int i = 0; i < m.twin_count; i++) {
        if (strcmp(m.twins[i].plan, text) == 0) {
            return &m.twins[i].check[alone.count - 1];
        }
    }
    if (m.twin_count == sizeof(m.twins) / sizeof(m.twins[0])) {
        fprintf(stderr, "company: too many twins\n");
        exit(2);
    }
    run_child(&alone, outcome);
    m.twin_count++;
    if (outcome->checks != alone.count || outcome->noise[0] != '\0') {
        printf("alone, %s: %d of %d checks, status %#x, %s\n", text, outcome->checks, alone.count,
               (unsigned) outcome->status, outcome->noise);
    }
    return &outcome->check[alone.count - 1];
}

static bool is_on(const plan_t *plan, int steps, member_id_t member)
{
    bool on = false;

    for (int i = 0; i < steps; i++) {
        on = plan->steps[i].member == member ? plan->steps[i].on : on;
    }
    return on;
}

/* ---- Faults of one history ------------------------------------------------------------------------- */

typedef struct history_t {
    char text[128];
    int steps;
    bool faults[FAULTS];
} history_t;

static void fault(history_t *history, fault_t kind, const char *who, const char *what)
{
    if (m.lines < MAX_LINES && (m.verbose || !history->faults[kind])) {
        m.line[m.lines].steps = history->steps;
        snprintf(m.line[m.lines++].text, sizeof(m.line[0].text), "  %s: %s%s%s: %s", history->text,
                 fault_names[kind], *who == '\0' ? "" : ", ", who, what);
    }
    history->faults[kind] = true;
}

/* pass 1: with a cache. */
static void compare_paths(history_t *history, const check_t *check, const check_t *alone, member_id_t member,
                          int pass)
{
    char what[128];

    for (int i = 0; i < PATHS; i++) {
        const seen_t *seen = &check->seen[pass][i][member], *expected = &alone->seen[pass][i][member];

        m.events += expected->events;
        if (seen->events != expected->events || seen->late != expected->late || seen->pages != expected->pages) {
            snprintf(what, sizeof(what), "%s%s: %u events, %u late, pages %#x; alone %u, %u, %#x", paths[i].name,
                     pass == 1 ? " (cached)" : "", seen->events, seen->late, seen->pages, expected->events,
                     expected->late, expected->pages);
            fault(history, member == OURS ? LOST_OURS : LOST_THEIRS, members[member].name, what);
        }
    }
}

/* Nothing is done with a cache when ours has not started; its twin has one, those of the others have none. */
static void compare_member(history_t *history, const check_t *check, const check_t *alone, member_id_t member)
{
    check_t again = *alone;

    compare_paths(history, check, alone, member, 0);
    if (check->ours_on) {
        memcpy(again.seen[1], alone->seen[member == OURS], sizeof(again.seen[1]));
        compare_paths(history, check, &again, member, 1);
    }
}

static void compare_caching(history_t *history, const check_t *check, const check_t *alone)
{
    for (int i = 0; i < PATHS; i++) {
        if (check->stale[i]) {
            fault(history, STALE, "", paths[i].name);
        }
        if (check->kept[i] != alone->kept[i]) {
            fault(history, UNCACHED, "", paths[i].name);
        }
    }
    if (check->level != alone->level) {
        char what[64];

        snprintf(what, sizeof(what), "support level %#x, alone %#x", (unsigned) check->level,
                 (unsigned) alone->level);
        fault(history, LOST_OURS, "ours", what);
    }
}

static void judge_code(history_t *history, const plan_t *plan, int steps, const check_t *check)
{
    const check_t *alone = twin(plan, steps, plan->steps[steps - 1].member == OURS);
    char what[64];

    if (check->code != alone->code) {
        snprintf(what, sizeof(what), "the last step returns %d, alone %d", check->code, alone->code);
        fault(history, WRONG, "", what);
    }
}

static void judge(history_t *history, const plan_t *plan, int steps, const check_t *check)
{
    judge_code(history, plan, steps, check);
    if (check->bad[0] != '\0') {
        fault(history, WRONG, "", check->bad);
    }
    for (int i = 0; i < m.member_count; i++) {
        const member_id_t member = m.members[i];

        if (is_on(plan, steps, member)) {
            compare_member(history, check, twin(plan, steps, member == OURS), member);
        }
    }
    if (is_on(plan, steps, OURS)) {
        compare_caching(history, check, twin(plan, steps, true));
    }
}

static bool is_known(const char *text)
{
    for (unsigned i = 0; i < m.histories; i++) {
        if (strcmp(m.known[i], text) == 0) {
            return true;
        }
    }
    return false;
}

/* The history of a plan after its first steps; each is judged once. */
static void judge_history(const plan_t *plan, int steps, const outcome_t *outcome)
{
    history_t history = { .steps = steps };

    plan_print(plan, steps, history.text);
    if (is_known(history.text) || m.histories == MAX_HISTORIES) {
        return;
    }
    memcpy(m.known[m.histories++], history.text, sizeof(history.text));
    if (steps > outcome->checks) {
        char what[64];

        snprintf(what, sizeof(what), "status %#x", (unsigned) outcome->status);
        fault(&history, CRASH, "", what);
    } else {
        judge(&history, plan, steps, &outcome->check[steps - 1]);
    }
    if (steps == plan->count && outcome->noise[0] != '\0') {
        fault(&history, NOISE, "", outcome->noise);
    }
    for (int i = 0; i < FAULTS; i++) {
        m.faults[i] += history.faults[i];
    }
}

static void do_plan(const plan_t *plan)
{
    static outcome_t outcome;

    if (m.blind) {
        setenv(BLIND_NAME, BLIND_CALL, 1);
        setenv(UNSAFE_NAME, "1", 1);
    }
    run_child(plan, &outcome);
    unsetenv(BLIND_NAME);
    unsetenv(UNSAFE_NAME);
    for (int i = 1; i <= plan->count; i++) {
        judge_history(plan, i, &outcome);
    }
}

/* ---- All plans -------------------------------------------------------------------------------------- */

/* Every way to go on from plan, until each member has done its steps: start, stop, start... */
static void all_orders(plan_t *plan, const int left[], int total)
{
    if (plan->count == total) {
        do_plan(plan);
        return;
    }
    for (int i = 0; i < m.member_count; i++) {
        int rest[3];

        if (left[i] > 0) {
            memcpy(rest, left, sizeof(rest));
            rest[i]--;
            plan->steps[plan->count++] = (step_t){ m.members[i], left[i] % 2 == 0 };
            all_orders(plan, rest, total);
            plan->count--;
        }
    }
}

/* The shortest histories first. */
static void print_lines(void)
{
    unsigned shown = 0;

    for (int steps = 1; steps <= COMPANY_STEPS; steps++) {
        for (unsigned i = 0; i < m.lines; i++) {
            if (m.line[i].steps == steps && (m.verbose || shown++ < MAX_SHOWN)) {
                puts(m.line[i].text);
            }
        }
    }
    if (!m.verbose && m.lines > MAX_SHOWN) {
        printf("  ... and %u more (all with -v)\n", m.lines - MAX_SHOWN);
    }
}

static int print_result(void)
{
    bool bad = false;

    print_lines();
    printf("| ours with %s%s%s | %u histories, %lu events |", members[m.members[1]].name,
           m.member_count == 3 ? " and " : "", m.member_count == 3 ? members[m.members[2]].name : "", m.histories,
           m.events);
    for (int i = 0; i < FAULTS; i++) {
        printf(" %s %u |", fault_names[i], m.faults[i]);
        bad = bad || m.faults[i] != 0;
    }
    printf("\n");
    return bad ? 1 : 0;
}

static const char *missing_member(void)
{
    static char text[128];

    for (int i = 0; i < m.member_count; i++) {
        const char *missing = members[m.members[i]].missing();

        if (missing != NULL) {
            snprintf(text, sizeof(text), "%s: missing: %s", members[m.members[i]].name, missing);
            return text;
        }
    }
    return NULL;
}

/* The twin of the matrix: a call that goes past ours is seen, as events that are lost and a registration that is stale. */
static int blind_matrix(void)
{
    plan_t plan = { .count = 2, .steps = { { OURS, true }, { m.members[1], true } } };

    m.blind = true;
    do_plan(&plan);
    if (m.faults[LOST_OURS] > 0 && m.faults[STALE] > 0) {
        return 0;
    }
    printf("%s is not watched, and the matrix does not see it\n", BLIND_CALL);
    return 1;
}

int matrix(const char *program, const char *dso, const member_id_t *others, int count, matrix_mode_t mode)
{
    const int each = count == 1 ? 4 : 2;
    const int left[3] = { each, each, count == 1 ? 0 : others[1] == FORK ? 1 : each };
    plan_t plan = { 0 };
    const char *missing;

    m.program = program;
    m.dso = dso;
    m.verbose = mode == MATRIX_VERBOSE;
    m.members[0] = OURS;
    memcpy(m.members + 1, others, (size_t) count * sizeof(*others));
    m.member_count = 1 + count;
    missing = missing_member();
    if (missing != NULL) {
        printf("SKIP: %s\n", missing);
        return 77;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (mode == MATRIX_BLIND) {
        return blind_matrix();
    }
    all_orders(&plan, left, left[0] + left[1] + left[2]);
    return print_result();
}
