/* SPDX-License-Identifier: BSD-3-Clause */
/* Measures of releases and misses; part of cases.h.
 *
 * A release is made through libc, where the hooks are, and by a system-call instruction of this program, by turns. The
 * "extra" is the difference.
 */

/* ---- Release of unrelated memory --------------------------------------------------------------- */

enum { RELEASES = 256 };

static double release_batch(char *place, bool is_bare)
{
    double start = cpu_ns();
    for (int i = 0; i < RELEASES; i++) {
        is_bare ? (int) bare_munmap(place, PAGE) : munmap(place, PAGE);
    }
    return (cpu_ns() - start) / RELEASES;
}

static void measure_unrelated(const char *name, char *place)
{
    double differences[REPEATS_MAX];
    size_t count = repeats(61);
    side_counts_t before = side_counts();
    for (size_t i = 0; i < count; i++) {
        bool bare_first = i % 2 == 0;
        double first = release_batch(place, bare_first), second = release_batch(place, !bare_first);
        differences[i] = bare_first ? second - first : first - second;
    }
    side_settle();
    visit_all();
    if (side_counts().registrations != before.registrations) {
        complain("%s: a release of unrelated memory has dropped a registration", scene->name);
        return;
    }
    emit(name, scene, median(differences, count));
}

/* ---- One release over all regions -------------------------------------------------------------- */

/* What a cache has left for later is done at its next miss, or has been begun by the other thread: that one may have
 * been interrupted meanwhile. */
static bool settle(side_counts_t before)
{
    const double deadline = now_ns() + 5e9;
    for (int i = 0; now_ns() < deadline && side_counts().deregistrations - before.deregistrations < scene->regions;
         i++) {
        side_settle();
        get_and_put(spare(), PAGE);
        if (i >= 100) {
            sched_yield();
        }
    }
    if (side_counts().deregistrations - before.deregistrations == scene->regions) {
        return true;
    }
    complain("%s: after a release of %zu regions, %lu were deregistered", scene->name, scene->regions,
             side_counts().deregistrations - before.deregistrations);
    return false;
}

/* In the call, and with what the next miss does. */
static bool release_all(double *in_call, double *in_all)
{
    size_t length = scene->regions * scene->size;
    side_counts_t before = side_counts();
    double start = cpu_ns();
    bare_discard(arena, length);
    double bare_end = cpu_ns();
    if (madvise(arena, length, MADV_DONTNEED) != 0) {
        fail("%s: madvise() has failed", scene->name);
    }
    double end = cpu_ns();
    bool is_settled = settle(before);
    double all_end = cpu_ns();
    *in_call = (end - bare_end - (bare_end - start)) / (double) scene->regions;
    *in_all = *in_call + (all_end - end) / (double) scene->regions;
    return is_settled;
}

static void measure_range(const char *name, const char *name_in_all)
{
    double in_call[REPEATS_MAX], in_all[REPEATS_MAX];
    size_t count = scene->regions > 100000 ? 1 : repeats(scene->regions > 10000 ? 3 : 9);
    for (size_t i = 0; i < count; i++) {
        visit_all();
        if (!release_all(&in_call[i], &in_all[i])) {
            return;
        }
    }
    emit(name, scene, median(in_call, count));
    emit(name_in_all, scene, median(in_all, count));
}

/* ---- Misses ------------------------------------------------------------------------------------ */

static double miss_batch(bool is_idle)
{
    double start = cpu_ns();
    for (size_t i = 0; i < SPARES; i++) {
        char *place = spare();
        side_reg_t *reg;
        if (side_get(place, scene->size, &reg) != 0) {
            fail("%s: a registration has failed", scene->name);
        }
        if (is_idle) {
            side_put(reg);
            side_drop_idle(place, scene->size);
        } else {
            side_drop(reg, place, scene->size);
        }
    }
    return (cpu_ns() - start) / (double) SPARES;
}

static void measure_miss(const char *name, bool is_idle)
{
    double results[REPEATS_MAX];
    size_t count = repeats(15);
    side_counts_t before = side_counts();
    for (size_t i = 0; i < count; i++) {
        results[i] = miss_batch(is_idle);
    }
    side_counts_t after = side_counts();
    unsigned long made = after.registrations - before.registrations;
    unsigned long dropped = after.deregistrations - before.deregistrations;
    /* The last idle one may wait for the next call. */
    if (made != count * SPARES || dropped + 1 < made || dropped > made + 1) {
        complain("%s: of %zu misses, %lu registered and %lu deregistered", scene->name, count * SPARES, made,
                 dropped);
        return;
    }
    emit(name, scene, median(results, count));
}

static void run_miss(void)
{
    miss_batch(false); /* The spare region that prepare() has left goes, too. */
    measure_miss("miss", false);
    if (side_drops_idle) {
        measure_miss("miss_idle", true);
    }
}
