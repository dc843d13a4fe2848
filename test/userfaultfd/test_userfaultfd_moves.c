/* SPDX-License-Identifier: BSD-3-Clause */
/* mremap() of several mappings of which one is watched: the kernel stops at the
 * watched one, with half of the memory moved. With a component that tells before, it
 * is given back in time, and the call ends as it would without us. */
#include <errno.h>
#include <pthread.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#include "test/userfaultfd/userfaultfd_fixture.h"

#define PAGES 8
#define HALF (PAGES / 2 * PAGE)
#define ROUNDS 2000

/* Two mappings side by side that never become one. */
static char *map_two(void)
{
    char *memory = map_pages(PAGES);

    ck_assert_int_eq(madvise(memory + HALF, HALF, MADV_DONTDUMP), 0);
    return memory;
}

static char *move_to(char *memory, char *place)
{
    return mremap(memory, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place);
}

static bool is_mapped(char *memory)
{
    unsigned char resident;

    return mincore(memory, PAGE, &resident) == 0;
}

/* Since Linux 6.17. Outside of tests nothing may be asserted. */
static bool can_move_two(void)
{
    char *memory = mmap(NULL, 2 * PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *place = memory + PAGES * PAGE;

    return memory != MAP_FAILED && madvise(memory + HALF, HALF, MADV_DONTDUMP) == 0
           && move_to(memory, place) == place;
}

START_TEST(mappings_with_a_watched_one_move_as_ever)
{
    ck_assert_int_eq(start_with("linux+userfaultfd"), OPAL_SUCCESS);
    char *memory = map_two(), *place = map_pages(PAGES);
    watch_it(&watched[0], memory + (_i == 0 ? HALF : 0), HALF);
    watch_it(&watched[1], place, PAGE);
    ck_assert_ptr_eq(move_to(memory, place), place);
    ck_assert(!is_mapped(memory) && !is_mapped(memory + HALF));
    ck_assert(!hits(&watched[0]) && !hits(&watched[1]));
    unwatch_it(&watched[0]);
    unwatch_it(&watched[1]);
    /* What was moved can be watched, and has events. */
    watch_it(&watched[0], place + HALF, HALF);
    ck_assert(hits(&watched[0]));
    syscall(SYS_munmap, place + HALF, PAGE);
    ck_assert(!hits(&watched[0]));
    stop();
}
END_TEST

START_TEST(twin_that_hears_it_afterwards_moves_half)
{
    start();
    char *memory = map_two(), *place = map_pages(PAGES);
    watch_it(&watched[0], memory + HALF, HALF);
    ck_assert_ptr_eq(move_to(memory, place), MAP_FAILED);
    ck_assert_int_eq(errno, EFAULT);
    ck_assert(!is_mapped(memory) && is_mapped(memory + HALF));
    stop();
}
END_TEST

/* ---- While another thread watches ------------------------------------------------------------------- */

static _Atomic(char *) looked_at;
static atomic_bool is_over;

/* What is being moved, too: then it is not kept, or ends with the move. */
static void *watch_all_the_time(void *unused)
{
    (void) unused;
    while (!atomic_load(&is_over)) {
        opal_memory_watch_t watch = { .cookie = opal_memory_base_new_cookie() };
        char *memory = atomic_load(&looked_at) + HALF;

        if (opal_memory_base_watch(memory, HALF, &watch) == OPAL_SUCCESS) {
            opal_memory_base_sync();
            opal_memory_base_unwatch(memory, HALF, &watch);
        }
    }
    return NULL;
}

START_TEST(mappings_that_another_thread_watches_meanwhile_move_as_ever)
{
    pthread_t watcher;
    char *memory = map_two();

    ck_assert_int_eq(start_with("linux+userfaultfd"), OPAL_SUCCESS);
    atomic_store(&looked_at, memory);
    pthread_create(&watcher, NULL, watch_all_the_time, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        char *place = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ck_assert_msg(move_to(memory, place) == place, "move %d: %s", i, strerror(errno));
        memory = place;
        atomic_store(&looked_at, memory);
    }
    atomic_store(&is_over, true);
    pthread_join(watcher, NULL);
    stop();
}
END_TEST

/* ---- A neighbour that grows ------------------------------------------------------------------------- */

/* A segment goes without an event. What grows into its place is registered, too, and so has the tag. */
START_TEST(segment_that_a_watched_neighbour_has_grown_over_is_noticed)
{
    start();
    char *memory = map_pages(2 * PAGES);
    const int id = shmget(IPC_PRIVATE, HALF, IPC_CREAT | 0600);

    ck_assert_int_eq(munmap(memory + HALF, HALF), 0);
    ck_assert_ptr_eq(shmat(id, memory + HALF, 0), memory + HALF);
    shmctl(id, IPC_RMID, NULL);
    watch_it(&watched[0], memory + HALF, HALF);
    watch_it(&watched[1], memory, HALF);
    ck_assert(hits(&watched[0]) && hits(&watched[1]));
    ck_assert_int_eq(shmdt(memory + HALF), 0);
    ck_assert_ptr_eq(mremap(memory, HALF, 2 * HALF, 0), memory);
    ck_assert(!hits(&watched[0]));
    ck_assert(hits(&watched[1]));
    stop();
}
END_TEST

int main(void)
{
    if (!can_run()) {
        return test_skip(USERFAULTFD_SKIP);
    }
    if (!can_move_two()) {
        return test_skip("mremap of several mappings at a time (Linux 6.17)");
    }
    if (!can_run_beside_linux()) {
        return test_skip("linux and userfaultfd together");
    }
    Suite *suite = suite_create("userfaultfd_moves");
    TCase *moves = tcase_create("moves");

    tcase_set_timeout(moves, 240);
    tcase_add_loop_test(moves, mappings_with_a_watched_one_move_as_ever, 0, 2);
    tcase_add_test(moves, twin_that_hears_it_afterwards_moves_half);
    tcase_add_test(moves, mappings_that_another_thread_watches_meanwhile_move_as_ever);
    tcase_add_test(moves, segment_that_a_watched_neighbour_has_grown_over_is_noticed);
    suite_add_tcase(suite, moves);
    return test_run(suite);
}
