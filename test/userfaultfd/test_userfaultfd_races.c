/* SPDX-License-Identifier: BSD-3-Clause */
/* A thread gives memory back, another one takes the address the moment the
 * kernel hands it out, and looks up what was registered there: it must never
 * find it. On one processor and on two; with a reader that is slow at each
 * step, or starved, or stopped with the whole process; beside linux, which
 * hands over. The twins leave out a part
 * of the protocol, and see stale registrations.
 *
 * OPALMEM_TEST_RACES: how many races each scene runs; each has two lookups after
 * a release. OPALMEM_TEST_RACE_SCENE: which one, by its number; without: all. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "components/userfaultfd/userfaultfd.h"
#include "components/userfaultfd/userfaultfd_sys.h"
#include "test/userfaultfd/userfaultfd_fixture.h"

#define MAP_FIXED_NOREPLACE_FLAG 0x100000

enum {
    SLOW_POLL = 1,
    SLOW_READ = 2,
    STARVED = 4,
    ONE_CPU = 8,
    NO_VALID = 16,
    DRAIN_ONLY = 32,
    BIG = 64,
    STOPPED = 128,
    BESIDE_LINUX = 256
};

static char *place; /* Where all of it happens. */
static size_t length;
static _Atomic long round_ready; /* The looker has watched; the releaser may release. */
static _Atomic long round_freed; /* The releaser's call has returned. */
static atomic_bool is_over;
static int manner;

/* ---- A reader that is slow ------------------------------------------------------------------------- */

static void dawdle(void)
{
    const struct timespec pause = { .tv_nsec = 50000 };

    nanosleep(&pause, NULL);
}

static long slow_sys(long nr, const long args[6])
{
    const bool is_reader = uffd_state != NULL && uffd_state->reader_tid == (int) syscall(SYS_gettid);
    const long rc = uffd_sys_real(nr, args);

    if (is_reader && ((nr == SYS_ppoll && (manner & SLOW_POLL)) || (nr == SYS_read && (manner & SLOW_READ)))) {
        dawdle();
    }
    return rc;
}

/* ---- The two --------------------------------------------------------------------------------------- */

static void stay_on(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof(set), &set);
}

static void *release_all(void *rounds)
{
    stay_on((manner & ONE_CPU) ? 0 : 1);
    for (long i = 1; i <= (long) (intptr_t) rounds; i++) {
        while (atomic_load(&round_ready) < i) {
            sched_yield();
        }
        if (munmap(place, length) != 0) {
            abort();
        }
        atomic_store(&round_freed, i);
    }
    return NULL;
}

/* What a component would do that only drains its queue before each lookup. */
static bool drained_hits(watched_t *one)
{
    uffd_fetch(uffd_state);
    return opal_memory_base_sync() == OPAL_SUCCESS && !atomic_load(&one->is_released);
}

static bool looks_up(watched_t *one)
{
    return (manner & DRAIN_ONLY) ? drained_hits(one) : hits(one);
}

/* @return Was it stale? */
static bool race(long i)
{
    atomic_store(&round_ready, i);
    while (
        mmap(place, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE_FLAG, -1, 0)
        == MAP_FAILED) {
        if (manner & ONE_CPU) {
            sched_yield();
        }
    }
    const bool is_stale = looks_up(&watched[0]);
    while (atomic_load(&round_freed) < i) {
        sched_yield();
    }
    const bool is_stale_afterwards = looks_up(&watched[0]);
    unwatch_it(&watched[0]);
    return is_stale || is_stale_afterwards;
}

static long count_stale(long races)
{
    pthread_t thread;
    long stale = 0;

    stay_on(0);
    place = map_pages(length / PAGE);
    atomic_store(&round_ready, 0);
    atomic_store(&round_freed, 0);
    pthread_create(&thread, NULL, release_all, (void *) (intptr_t) races);
    for (long i = 1; i <= races; i++) {
        memset(place, 1, length);
        while (watch_range(&watched[0], place, length) != OPAL_SUCCESS) {
        }
        stale += race(i);
    }
    pthread_join(thread, NULL);
    return stale;
}

static long races_to_run(void)
{
    const char *text = getenv("OPALMEM_TEST_RACES");

    return text != NULL ? atol(text) : 300;
}

static void *burn(void *unused)
{
    volatile long count = 0;

    (void) unused;
    while (!atomic_load(&is_over)) {
        count++;
    }
    return NULL;
}

/* The reader gets what others leave: on both processors somebody else runs all the time. */
static void starve(pthread_t burners[2])
{
    const struct sched_param none = { 0 };

    watch_it(&watched[1], map_pages(1), PAGE);
    while (uffd_state->reader_tid == 0) {
        sched_yield();
    }
    ck_assert_int_eq(sched_setscheduler(uffd_state->reader_tid, SCHED_IDLE, &none), 0);
    for (int i = 0; i < 2; i++) {
        pthread_create(&burners[i], NULL, burn, NULL);
    }
}

/* Shared with the one who stops us; he lets us go on before he ends. */
static atomic_bool *is_stopper_over;

/* Stops this process at any moment, for a moment, again and again. */
static pid_t start_stopper(void)
{
    is_stopper_over = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const pid_t victim = getpid(), child = fork();
    unsigned random = 1;

    if (child != 0) {
        return child;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (!atomic_load(is_stopper_over)) {
        random = random * 1103515245 + 12345;
        usleep(200 + random / 65536 % 2000);
        kill(victim, SIGSTOP);
        usleep(random / 65536 % 300);
        kill(victim, SIGCONT);
    }
    _exit(0);
}

static void end_stopper(pid_t stopper)
{
    atomic_store(is_stopper_over, true);
    waitpid(stopper, NULL, 0);
}

static long play(int how, long races)
{
    const pid_t stopper = (how & STOPPED) ? start_stopper() : 0;
    pthread_t burners[2];
    long stale;

    manner = how;
    length = (how & BIG) ? 64 * PAGE : PAGE;
    uffd_sys_call = slow_sys;
    ck_assert_int_eq(start_with((how & BESIDE_LINUX) ? "linux+userfaultfd" : "userfaultfd"), OPAL_SUCCESS);
    uffd_settings.lookup = (how & NO_VALID) ? UFFD_LOOKUP_NONE : UFFD_LOOKUP_AUTO;
    if (how & STARVED) {
        starve(burners);
    }
    stale = count_stale(races);
    if (how & STARVED) {
        atomic_store(&is_over, true);
        pthread_join(burners[0], NULL);
        pthread_join(burners[1], NULL);
    }
    if (stopper != 0) {
        end_stopper(stopper);
    }
    stop();
    return stale;
}

/* ---- Tests ----------------------------------------------------------------------------------------- */

static const int manners[] = {
    0,
    ONE_CPU,
    SLOW_POLL,
    SLOW_READ,
    SLOW_POLL | SLOW_READ,
    BIG,
    SLOW_READ | ONE_CPU,
    STARVED,
    STARVED | ONE_CPU,
    STOPPED,
    STOPPED | ONE_CPU,
    BESIDE_LINUX,
    BESIDE_LINUX | ONE_CPU,
};

START_TEST(lookup_after_release_is_never_stale)
{
    const char *scene = getenv("OPALMEM_TEST_RACE_SCENE");
    const long races = races_to_run() / ((manners[_i] & (STARVED | SLOW_POLL | SLOW_READ)) ? 3 : 1);

    if (scene == NULL || atoi(scene) == _i) {
        const long stale = play(manners[_i], races);
        printf("scene %d: %ld lookups after a release, %ld stale\n", _i, 2 * races, stale);
        ck_assert_int_eq(stale, 0);
    }
}
END_TEST

static bool sees_stale(int how)
{
    for (int i = 0; i < 20; i++) {
        if (play(how, 2000) != 0) {
            return true;
        }
    }
    return false;
}

START_TEST(twin_that_trusts_the_counter_alone_is_stale)
{
    ck_assert(sees_stale(NO_VALID | BIG));
}
END_TEST

START_TEST(twin_that_only_drains_is_stale)
{
    ck_assert(sees_stale(DRAIN_ONLY | BIG));
}
END_TEST

/* Those beside linux are the last ones. */
static int count_manners(void)
{
    int count = (int) (sizeof(manners) / sizeof(manners[0]));

    if (!can_run_beside_linux()) {
        printf("LEFT OUT: linux and userfaultfd together\n");
        while ((manners[count - 1] & BESIDE_LINUX) != 0) {
            count--;
        }
    }
    return count;
}

int main(void)
{
    if (!can_run()) {
        return test_skip(USERFAULTFD_SKIP);
    }
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
        return test_skip("a second processor");
    }
    Suite *suite = suite_create("userfaultfd_races");
    TCase *races = tcase_create("races"), *twins = tcase_create("twins");

    tcase_set_timeout(races, 36000);
    tcase_add_loop_test(races, lookup_after_release_is_never_stale, 0, count_manners());
    tcase_set_timeout(twins, 300);
    tcase_add_test(twins, twin_that_trusts_the_counter_alone_is_stale);
    tcase_add_test(twins, twin_that_only_drains_is_stale);
    suite_add_tcase(suite, races);
    suite_add_tcase(suite, twins);
    return test_run(suite);
}
