/* SPDX-License-Identifier: BSD-3-Clause */
/* Registration caches side by side: this library's, UCX's (libucs) and libfabric's.
 *
 *   bench_rcache [--quick] [--tsv] [--scene NAME]...
 *
 * Runs each scene of each side in a process of its own, by turns, and prints medians over the rounds, with ratios and
 * targets. A ratio is the median of the rounds' ratios: what else the machine does changes from round to round.
 * Sides that are not installed are left out. Exit: 0, also with targets missed; 1 if a measure has failed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/rcache/bench.h"

enum { OPALMEM, UCX, LIBFABRIC, SIDES };
enum { ROUNDS = 9, QUICK_ROUNDS = 3, HEAVY_EVERY = 3 };
enum { FIGURES_MAX = 256, PATH_SIZE = 4096 };

typedef struct figure_t {
    char name[48];
    double values[SIDES][ROUNDS]; /* By round. */
    bool is_there[SIDES][ROUNDS];
} figure_t;

static figure_t figures[FIGURES_MAX];
static size_t figure_count;

static const char *const side_names[SIDES] = { "opalmem", "UCX", "libfabric" };
static char programs[SIDES][PATH_SIZE];
static bool is_measured[SIDES];
static const char *only[16]; /* Scenes asked for; none: all. */
static size_t only_count;
static int round_count = ROUNDS;
static bool is_tsv;

/* ---- Processes --------------------------------------------------------------------------------- */

static figure_t *figure_find(const char *name, bool may_add)
{
    for (size_t i = 0; i < figure_count; i++) {
        if (strcmp(figures[i].name, name) == 0) {
            return &figures[i];
        }
    }
    if (!may_add || figure_count == FIGURES_MAX) {
        return NULL;
    }
    snprintf(figures[figure_count].name, sizeof(figures[0].name), "%s", name);
    return &figures[figure_count++];
}

static FILE *start_side(int side, const char *what)
{
    char command[PATH_SIZE + 128];
    snprintf(command, sizeof(command), "exec '%s' %s %s%s", programs[side], side_names[side], what,
             is_quick ? " quick" : "");
    return popen(command, "re");
}

static bool run_scene(int side, const scene_t *scene, int round)
{
    char what[64], name[48];
    double value;
    snprintf(what, sizeof(what), "run %s", scene->name);
    FILE *child = start_side(side, what);
    while (child != NULL && fscanf(child, "%47s %lf", name, &value) == 2) {
        figure_t *figure = figure_find(name, true);
        if (figure == NULL) {
            fprintf(stderr, "bench_rcache: more than %d figures\n", FIGURES_MAX);
            break;
        }
        figure->values[side][round] = value;
        figure->is_there[side][round] = true;
    }
    if (child != NULL && pclose(child) == 0) {
        return true;
    }
    fprintf(stderr, "bench_rcache: %s: the scene %s has failed\n", side_names[side], scene->name);
    return false;
}

/* Why not, on stdout of the side; a side whose program is not there ends with 127. */
static void probe(int side)
{
    char why[256] = "";
    FILE *child = start_side(side, "probe");
    if (child != NULL && fgets(why, sizeof(why), child) == NULL) {
        why[0] = '\0';
    }
    is_measured[side] = child != NULL && pclose(child) == 0;
    if (!is_measured[side]) {
        why[strcspn(why, "\n")] = '\0';
        fprintf(stderr, "bench_rcache: without %s: %s\n", side_names[side],
                why[0] != '\0' ? why : "its part was not built");
    }
}

static bool is_wanted(const scene_t *scene)
{
    for (size_t i = 0; i < only_count; i++) {
        if (strcmp(only[i], scene->name) == 0) {
            return true;
        }
    }
    return only_count == 0;
}

static bool run_all(void)
{
    bool is_good = true;
    for (int round = 0; round < round_count; round++) {
        for (size_t i = 0; i < scene_count; i++) {
            if (!is_wanted(&scenes[i]) || (scenes[i].is_heavy && round % HEAVY_EVERY != 0)) {
                continue;
            }
            for (int k = 0; k < SIDES; k++) {
                int side = (k + round) % SIDES;
                is_good &= !is_measured[side] || run_scene(side, &scenes[i], round);
            }
        }
    }
    return is_good;
}

/* ---- The table --------------------------------------------------------------------------------- */

typedef struct value_t {
    double value;
    bool is_there;
} value_t;

static value_t median_of(const figure_t *figure, int side)
{
    double values[ROUNDS];
    size_t count = 0;
    for (int round = 0; round < round_count && figure != NULL; round++) {
        if (figure->is_there[side][round]) {
            values[count++] = figure->values[side][round];
        }
    }
    return count > 0 ? (value_t){ median(values, count), true } : (value_t){ 0, false };
}

static value_t ratio_of(const figure_t *upper, const figure_t *lower, int lower_side)
{
    double values[ROUNDS];
    size_t count = 0;
    for (int round = 0; round < round_count && upper != NULL && lower != NULL; round++) {
        if (upper->is_there[OPALMEM][round] && lower->is_there[lower_side][round]) {
            values[count++] = upper->values[OPALMEM][round] / lower->values[lower_side][round];
        }
    }
    return count > 0 ? (value_t){ median(values, count), true } : (value_t){ 0, false };
}

/* What is compared with the target. */
static value_t judged(const row_t *row)
{
    const figure_t *figure = figure_find(row->figure, false);
    switch (row->judge) {
    case OVER_PEER: return ratio_of(figure, row->base != NULL ? figure_find(row->base, false) : figure, UCX);
    case OVER_OWN: return ratio_of(figure, figure_find(row->base, false), OPALMEM);
    default: return median_of(figure, OPALMEM);
    }
}

static const char *verdict(const row_t *row, value_t value)
{
    if (row->target == 0 || !value.is_there) {
        return "";
    }
    if (row->judge == AT_LEAST) {
        return value.value >= row->target ? "ok" : "below";
    }
    return value.value <= row->target ? "ok" : "above";
}

static void print_value(value_t value, int width, int digits)
{
    char text[32] = "-";
    if (value.is_there) {
        snprintf(text, sizeof(text), "%.*f", digits, value.value);
    }
    is_tsv ? printf("\t%s", text) : printf(" %*s", width, text);
}

static void print_row(const row_t *row)
{
    const figure_t *figure = figure_find(row->figure, false);
    value_t value = judged(row);
    bool is_ratio = row->judge == OVER_PEER || row->judge == OVER_OWN;
    if (figure == NULL) {
        return;
    }
    is_tsv ? printf("%s\t%s", row->figure, row->text) : printf("%-52s", row->text);
    for (int side = 0; side < SIDES; side++) {
        print_value(median_of(figure, side), 9, row->judge == AT_LEAST ? 2 : 1);
    }
    print_value(is_ratio ? value : (value_t){ 0, false }, 7, 3);
    print_value((value_t){ row->target, row->target != 0 }, 7, 2);
    printf(is_tsv ? "\t%s\n" : " %s\n", verdict(row, value));
}

/* Figures that no row shows: for plots. */
static void print_others(void)
{
    for (size_t i = 0; i < figure_count; i++) {
        bool is_shown = false;
        for (size_t k = 0; k < row_count && !is_shown; k++) {
            is_shown = strcmp(rows[k].figure, figures[i].name) == 0;
        }
        if (!is_shown) {
            printf("%s\t", figures[i].name);
            for (int side = 0; side < SIDES; side++) {
                print_value(median_of(&figures[i], side), 0, 1);
            }
            printf("\t-\t-\t\n");
        }
    }
}

static void print_table(void)
{
    if (is_tsv) {
        printf("figure\ttext\topalmem\tUCX\tlibfabric\tratio\ttarget\tverdict\n");
    } else {
        printf("medians of %d rounds; ns, but where something else is said\n", round_count);
        printf("%-52s %9s %9s %9s %7s %7s\n", "register + deregister", "opalmem", "UCX", "libfabric", "ratio",
               "target");
    }
    for (size_t i = 0; i < row_count; i++) {
        print_row(&rows[i]);
    }
    if (is_tsv) {
        print_others();
    }
}

/* ---- The command line -------------------------------------------------------------------------- */

static bool find_programs(void)
{
    char self[PATH_SIZE - 64];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (length <= 0) {
        perror("bench_rcache: /proc/self/exe");
        return false;
    }
    self[length] = '\0';
    for (int side = 0; side < SIDES; side++) {
        snprintf(programs[side], PATH_SIZE, "%s", self);
    }
    /* libtool keeps the real program in a folder of its own. */
    char *folder = strstr(self, "/.libs/");
    *(folder != NULL ? folder : strrchr(self, '/')) = '\0';
    snprintf(programs[LIBFABRIC], PATH_SIZE, "%s/bench_rcache_libfabric", self);
    return true;
}

static bool take_options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) {
            is_quick = true;
            round_count = QUICK_ROUNDS;
        } else if (strcmp(argv[i], "--tsv") == 0) {
            is_tsv = true;
        } else if (strcmp(argv[i], "--scene") == 0 && i + 1 < argc && scene_find(argv[i + 1]) != NULL
                   && only_count < sizeof(only) / sizeof(only[0])) {
            only[only_count++] = argv[++i];
        } else {
            fprintf(stderr, "usage: bench_rcache [--quick] [--tsv] [--scene NAME]...; names are in rows.c\n");
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    static const side_t *const here[] = { &side_opalmem, &side_ucx, NULL };
    int code = side_main(argc, argv, here);
    if (code != 3) {
        return code;
    }
    if (!take_options(argc, argv) || !find_programs()) {
        return 1;
    }
    for (int side = 0; side < SIDES; side++) {
        probe(side);
    }
    if (!is_measured[OPALMEM]) {
        return 1;
    }
    bool is_good = run_all();
    print_table();
    return is_good ? 0 : 1;
}
