/* SPDX-License-Identifier: BSD-3-Clause */
/* A discard (madvise) is announced before it happens: its thread is woken when
 * the event is read, and discards the pages some time later, unannounced. What
 * is pinned in between is pinned for nothing, and nobody would ever tell. So
 * the range is in quarantine until that thread must be through: registrations
 * are made but not kept.
 *
 * Nothing says which thread it is. But on its way from the event to the
 * discard it is running, or ready to, or waits for mmap_lock: in state R or D.
 * Whoever is seen otherwise, or has used a lot of processor time since, is not
 * it. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "components/userfaultfd/userfaultfd.h"
#include "components/userfaultfd/userfaultfd_sys.h"

#define CPU_NS_BASE UINT64_C(100000000)
#define LOOKS 4            /* At the list of threads, after the first one. */
#define CPU_NS_A_PAGE 1000 /* Zapping a page takes 0.1 to 0.3 us. */

/* ---- Ranges ---------------------------------------------------------------------------------------- */

void uffd_quarantine_add_locked(uffd_quarantine_t *quarantine, uintptr_t start, uintptr_t end)
{
    struct uffd_quarantined_t *last = &quarantine->ranges[quarantine->count == 0 ? 0 : quarantine->count - 1];

    quarantine->serial++;
    if (quarantine->count < UFFD_QUARANTINE_SIZE) {
        quarantine->ranges[quarantine->count++] = (struct uffd_quarantined_t){ start, end, quarantine->serial };
        return;
    }
    last->start = start < last->start ? start : last->start;
    last->end = end > last->end ? end : last->end;
    last->serial = quarantine->serial;
}

/* Looks, and notes how many pages there are. */
static bool overlaps(uffd_state_t *state, uintptr_t start, uintptr_t end)
{
    uffd_quarantine_t *quarantine = &state->quarantine;
    bool is_any = false;
    uint64_t mask;

    uffd_lock_blocked(&state->queue_lock, &mask);
    for (uint32_t i = 0; i < quarantine->count && !is_any; i++) {
        is_any = quarantine->ranges[i].start < end && quarantine->ranges[i].end > start;
    }
    uffd_unlock_blocked(&state->queue_lock, &mask);
    return is_any;
}

/* What is in quarantine now: `target` names the last of it. */
static void aim(uffd_state_t *state)
{
    uffd_quarantine_t *quarantine = &state->quarantine;
    uint64_t mask, bytes = 0;

    uffd_lock_blocked(&state->queue_lock, &mask);
    for (uint32_t i = 0; i < quarantine->count; i++) {
        bytes += quarantine->ranges[i].end - quarantine->ranges[i].start;
    }
    quarantine->target = quarantine->serial;
    uffd_unlock_blocked(&state->queue_lock, &mask);
    quarantine->pages = bytes >> 12;
}

static void lift(uffd_state_t *state)
{
    uffd_quarantine_t *quarantine = &state->quarantine;
    uint32_t kept = 0;
    uint64_t mask;

    uffd_lock_blocked(&state->queue_lock, &mask);
    for (uint32_t i = 0; i < quarantine->count; i++) {
        if (quarantine->ranges[i].serial > quarantine->target) {
            quarantine->ranges[kept++] = quarantine->ranges[i];
        }
    }
    quarantine->count = kept;
    uffd_unlock_blocked(&state->queue_lock, &mask);
    quarantine->target = 0;
}

/* ---- Threads --------------------------------------------------------------------------------------- */

/* The clock of another thread of this process. */
static bool cpu_time(int tid, uint64_t *ns)
{
    struct timespec time;
    const long clock = (long) ~(unsigned) tid << 3 | 6; /* CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED */

    if (UFFD_SYS(SYS_clock_gettime, (int) clock, (long) &time) != 0) {
        return false;
    }
    *ns = (uint64_t) time.tv_sec * 1000000000 + (uint64_t) time.tv_nsec;
    return true;
}

static void write_path(char path[64], int tid)
{
    char digits[16], *text = stpcpy(path, "/proc/self/task/");
    int count = 0;

    do {
        digits[count++] = (char) ('0' + tid % 10);
        tid /= 10;
    } while (tid != 0);
    while (count > 0) {
        *text++ = digits[--count];
    }
    stpcpy(text, "/stat");
}

/* The letter behind the name, which may hold anything. @return 0: there is no such thread. */
static char state_of(int tid)
{
    char path[64], text[128];

    write_path(path, tid);
    const long fd = uffd_sys_open(path);
    if (fd < 0) {
        return 0;
    }
    const long length = uffd_sys_read((int) fd, text, sizeof(text) - 1);
    uffd_sys_close((int) fd);
    if (length <= 0) {
        return 0;
    }
    text[length] = '\0';
    const char *end = strrchr(text, ')');
    return end != NULL && end + 2 < text + length ? end[2] : 'R';
}

static bool may_discard(int tid)
{
    const char letter = state_of(tid);

    return letter == 'R' || letter == 'D';
}

static bool is_known(const uffd_state_t *state, int tid)
{
    return tid == (int) UFFD_SYS(SYS_gettid) || tid == __atomic_load_n(&state->reader_tid, __ATOMIC_RELAXED);
}

/* @return false: there is no room for it. */
static bool suspect(uffd_quarantine_t *quarantine, int tid)
{
    struct uffd_suspect_t *next = &quarantine->suspects[quarantine->suspect_count];

    if (quarantine->suspect_count == UFFD_SUSPECTS) {
        return false;
    }
    if (cpu_time(tid, &next->cpu_ns)) {
        next->tid = tid;
        quarantine->suspect_count++;
    }
    return true;
}

typedef struct entry_t {
    uint64_t inode, offset;
    unsigned short length;
    unsigned char type;
    char name[];
} entry_t;

/* Which threads a look at the list has seen. */
typedef struct census_t {
    uint64_t count, sum, squares;
} census_t;

static void take_down(census_t *census, int tid)
{
    census->count++;
    census->sum += (uint64_t) tid;
    census->squares += (uint64_t) tid * (uint64_t) tid;
}

/* @return false: too many. */
static bool suspect_in(uffd_state_t *state, const char *entries, long length, census_t *census)
{
    for (long at = 0; at < length;) {
        const entry_t *entry = (const entry_t *) (const void *) (entries + at);
        const int tid = atoi(entry->name); /* Of "." and "..", 0. */

        take_down(census, tid);
        if (tid > 0 && !is_known(state, tid) && may_discard(tid) && !suspect(&state->quarantine, tid)) {
            return false;
        }
        at += entry->length;
    }
    return true;
}

/* All threads that may be the one, by one look at the list. */
static bool look_at_list(uffd_state_t *state, census_t *census)
{
    char entries[2048] __attribute__((aligned(8)));
    long length = 0;
    bool is_whole;
    const long fd = UFFD_SYS(SYS_openat, AT_FDCWD, (long) "/proc/self/task", O_RDONLY | O_CLOEXEC | O_DIRECTORY);

    if (fd < 0) {
        return false;
    }
    *census = (census_t){ 0 };
    state->quarantine.suspect_count = 0;
    do {
        length = UFFD_SYS(SYS_getdents64, fd, (long) entries, sizeof(entries));
        is_whole = length >= 0 && suspect_in(state, entries, length, census);
    } while (is_whole && length > 0);
    uffd_sys_close((int) fd);
    return is_whole;
}

/* While threads that it has listed already end, the kernel may leave out others, which it then counts among those. If two looks
 * have seen the same, none of these had ended by the second one: so the first one has left out nobody. */
static bool suspect_all(uffd_state_t *state)
{
    census_t last, census;
    bool is_whole = look_at_list(state, &last);

    for (int i = 0; i < LOOKS && is_whole; i++) {
        is_whole = look_at_list(state, &census);
        if (is_whole && memcmp(&census, &last, sizeof(last)) == 0) {
            return true;
        }
        last = census;
    }
    return false;
}

/* Forget those that cannot be it. */
static void clear_suspects(uffd_quarantine_t *quarantine)
{
    const uint64_t enough = CPU_NS_BASE + quarantine->pages * CPU_NS_A_PAGE;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < quarantine->suspect_count; i++) {
        const struct uffd_suspect_t *one = &quarantine->suspects[i];
        uint64_t now;

        if (may_discard(one->tid) && cpu_time(one->tid, &now) && now - one->cpu_ns < enough) {
            quarantine->suspects[kept++] = *one;
        }
    }
    quarantine->suspect_count = kept;
}

static void investigate(uffd_state_t *state)
{
    uffd_quarantine_t *quarantine = &state->quarantine;

    if (quarantine->target != 0) {
        clear_suspects(quarantine);
    } else {
        aim(state);
        if (!suspect_all(state)) {
            quarantine->target = 0;
            return;
        }
    }
    if (quarantine->suspect_count == 0) {
        lift(state);
    }
}

bool uffd_quarantined(uffd_state_t *state, uintptr_t start, uintptr_t end)
{
    if (!overlaps(state, start, end)) {
        return false;
    }
    investigate(state);
    return overlaps(state, start, end);
}
