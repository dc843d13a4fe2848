/* SPDX-License-Identifier: BSD-3-Clause */
/* The component on the real kernel: what it hears, and that nobody ever waits
 * for it in vain: callbacks and handlers that release, fork children, the end
 * of the library. A test that would hang ends by Check's timeout. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "test/sanitized.h"
#include "test/userfaultfd/userfaultfd_fixture.h"
#include "test/userfaultfd/userfaultfd_memory.h"

/* ---- What is heard --------------------------------------------------------------------------------- */

static void unmap(char *memory)
{
    ck_assert_int_eq(munmap(memory, 4 * PAGE), 0);
}

static void map_over(char *memory)
{
    ck_assert_ptr_eq(mmap(memory, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), memory);
}

static void discard(char *memory)
{
    ck_assert_int_eq(madvise(memory, 4 * PAGE, MADV_DONTNEED), 0);
}

static void shrink_and_grow(char *memory)
{
    ck_assert_ptr_eq(mremap(memory, 8 * PAGE, 2 * PAGE, 0), memory);
    ck_assert_ptr_eq(mremap(memory, 2 * PAGE, 8 * PAGE, 0), memory);
}

static void move(char *memory)
{
    ck_assert_ptr_ne(mremap(memory, 4 * PAGE, 64 * PAGE, MREMAP_MAYMOVE), MAP_FAILED);
}

static void keep_and_move(char *memory)
{
    ck_assert_ptr_ne(mremap(memory, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | 4 /* MREMAP_DONTUNMAP */, NULL),
                     MAP_FAILED);
}

static void raw_unmap(char *memory)
{
    syscall(SYS_munmap, memory, 4 * PAGE);
}

static const struct way {
    const char *name;
    void (*release)(char *memory);
    bool is_of_one; /* The neighbour keeps its pages. */
} ways[] = {
    { "munmap", unmap, true },
    { "mmap", map_over, true },
    { "madvise", discard, true },
    { "mremap", move, true },
    { "syscall", raw_unmap, true },
    { "shrink and grow", shrink_and_grow, false },
    { "DONTUNMAP", keep_and_move, true },
};
#define WAYS ((int) (sizeof(ways) / sizeof(ways[0])))

static void play_way(const struct way *way, const char *components, bool is_heard)
{
    ck_assert_int_eq(start_with(components), OPAL_SUCCESS);
    char *memory = map_pages(8);
    watch_it(&watched[0], memory, 4 * PAGE);
    watch_it(&watched[1], memory + 4 * PAGE, 4 * PAGE);
    ck_assert(hits(&watched[0]) && hits(&watched[1]));
    way->release(memory);
    ck_assert_int_eq(hits(&watched[0]), !is_heard);
    if (way->is_of_one) {
        ck_assert(hits(&watched[1]));
    }
    stop();
}

START_TEST(release_is_heard_and_the_neighbour_stays)
{
    play_way(&ways[_i], "userfaultfd", true);
}
END_TEST

/* With tag alone, shrinking and growing in place is what linux has to see. */
START_TEST(release_is_heard_by_tag_and_linux)
{
    setenv("OPALMEM_MCA_memory_userfaultfd_unmap", "tag", 1);
    play_way(&ways[_i], "linux+userfaultfd", true);
}
END_TEST

START_TEST(twin_with_noop_hears_nothing)
{
    setenv("OPALMEM_MCA_memory", "noop", 1);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    char *memory = map_pages(8);
    watch_it(&watched[0], memory, 4 * PAGE);
    ways[_i].release(memory);
    ck_assert(hits(&watched[0]));
    stop();
}
END_TEST

START_TEST(segment_that_is_detached_and_another_there_is_noticed)
{
    start();
    char *memory = make_segment();
    watch_it(&watched[0], memory, HUGE);
    ck_assert(hits(&watched[0]));
    ck_assert_int_eq(shmdt(memory), 0);
    ck_assert(!hits(&watched[0]));
    const int id = shmget(IPC_PRIVATE, 2 * HUGE, IPC_CREAT | 0600);
    ck_assert_ptr_eq(shmat(id, memory, 0), memory);
    shmctl(id, IPC_RMID, NULL);
    ck_assert(!hits(&watched[0]));
    stop();
}
END_TEST

/* No callback ever comes when one goes. */
START_TEST(segments_are_not_promised)
{
    setenv("OPALMEM_MCA_memory_userfaultfd_lookup", "both", 1);
    start();
    ck_assert_uint_eq(opal_memory_base_sees() & OPAL_MEMORY_SEES_SHM, 0);
    stop();
}
END_TEST

START_TEST(file_that_can_be_cut_is_not_watched)
{
    start();
    ck_assert_int_eq(watch_range(&watched[0], make_memfd(), PAGE), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_int_eq(watch_range(&watched[0], make_file_private(), PAGE), OPAL_ERR_OUT_OF_RESOURCE);
    watch_it(&watched[0], make_shared(), PAGE);
    watch_it(&watched[1], make_segment(), PAGE);
    stop();
}
END_TEST

START_TEST(hole_is_not_watched)
{
    start();
    char *memory = map_pages(4);
    munmap(memory + PAGE, PAGE);
    ck_assert_int_eq(watch_range(&watched[0], memory, 4 * PAGE), OPAL_ERR_OUT_OF_RESOURCE);
    stop();
}
END_TEST

/* ---- mremap, others' userfaultfd, limits ------------------------------------------------------------- */

START_TEST(watched_buffer_can_be_reallocated)
{
    start();
    char *buffer = malloc((size_t) 1 << 20);
    memset(buffer, 7, (size_t) 1 << 20);
    const uintptr_t middle = ((uintptr_t) buffer + 10 * PAGE) & ~(PAGE - 1);
    watch_it(&watched[0], (void *) middle, 4 * PAGE);
    char *larger = realloc(buffer, (size_t) 16 << 20);
    ck_assert_ptr_nonnull(larger);
    ck_assert(larger[0] == 7 && larger[((size_t) 1 << 20) - 1] == 7);
    /* The allocators of sanitizers keep freed memory for a while. */
    ck_assert(larger == buffer || TEST_SANITIZED || !hits(&watched[0]));
    /* What the program asks for itself must not fail where it would not. */
    char *memory = map_pages(16);
    watch_it(&watched[0], memory + 3 * PAGE, PAGE);
    ck_assert_ptr_ne(mremap(memory, 16 * PAGE, 32 * PAGE, MREMAP_MAYMOVE), MAP_FAILED);
    free(larger);
    stop();
}
END_TEST

static int messages;

static void count_message(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) level, (void) arg;
    messages += strstr(message, "another userfaultfd") != NULL;
}

static int foreign_userfaultfd(char *memory, size_t length)
{
    struct uffdio_api api = { .api = UFFD_API };
    struct uffdio_register registration = { .range = { (uintptr_t) memory, length },
                                            .mode = UFFDIO_REGISTER_MODE_MISSING };
    const int fd = (int) syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | 1);

    ck_assert(fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0 && ioctl(fd, UFFDIO_REGISTER, &registration) == 0);
    return fd;
}

START_TEST(range_of_another_userfaultfd_is_told_once_and_not_watched)
{
    mca_base_set_log(count_message, NULL);
    start();
    char *memory = map_pages(4);
    const int fd = foreign_userfaultfd(memory, 4 * PAGE);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(watch_range(&watched[0], memory + PAGE, PAGE), OPAL_ERR_OUT_OF_RESOURCE);
    }
    ck_assert_int_eq(messages, 1);
    close(fd);
    watch_it(&watched[0], memory + PAGE, PAGE);
    stop();
}
END_TEST

/* Pages between them: ranges that touch are one. */
START_TEST(ranges_are_limited_and_given_back)
{
    opal_memory_watch_t watches[3];
    char *memory = map_pages(8);

    setenv("OPALMEM_MCA_memory_userfaultfd_max_ranges", "2", 1);
    mprotect(memory + PAGE, PAGE, PROT_READ);
    mprotect(memory + 3 * PAGE, PAGE, PROT_READ);
    start();
    for (int i = 0; i < 3; i++) {
        watches[i] = (opal_memory_watch_t){ .cookie = opal_memory_base_new_cookie() };
        ck_assert_int_eq(opal_memory_base_watch(memory + 2 * i * (long) PAGE, PAGE, &watches[i]),
                         i < 2 ? OPAL_SUCCESS : OPAL_ERR_OUT_OF_RESOURCE);
    }
    ck_assert_int_eq(opal_memory_base_unwatch(memory, PAGE, &watches[0]), OPAL_SUCCESS);
    ck_assert_int_eq(opal_memory_base_unwatch(memory, PAGE, &watches[0]), OPAL_ERR_NOT_FOUND);
    ck_assert_int_eq(opal_memory_base_watch(memory + 4 * PAGE, PAGE, &watches[2]), OPAL_SUCCESS);
    const int fd = foreign_userfaultfd(memory, PAGE); /* Ours no longer. */
    close(fd);
    stop();
}
END_TEST

/* ---- Nobody waits in vain ---------------------------------------------------------------------------- */

/* Alone, and beside a component that tells before: then memory is handed over in the middle of whatever is interrupted. */
static void start_either(int index)
{
    ck_assert_int_eq(start_with(index == 0 ? "userfaultfd" : "linux+userfaultfd"), OPAL_SUCCESS);
}

/* Outside of tests. @return How many of the two there are. */
static int count_either(void)
{
    if (can_run_beside_linux()) {
        return 2;
    }
    printf("LEFT OUT: linux and userfaultfd together\n");
    return 1;
}

static char *to_release[2];

static void release_more(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    char *memory = to_release[0];

    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
    to_release[0] = NULL;
    if (memory != NULL) {
        munmap(memory, 4 * PAGE);
    }
}

START_TEST(callback_may_release_watched_memory)
{
    start_either(_i);
    ck_assert_int_eq(opal_mem_hooks_register_release(release_more, NULL), OPAL_SUCCESS);
    to_release[0] = map_pages(4);
    char *memory = map_pages(4);
    watch_it(&watched[0], memory, 4 * PAGE);
    watch_it(&watched[1], to_release[0], 4 * PAGE);
    munmap(memory, 4 * PAGE);
    ck_assert(!hits(&watched[0]));
    ck_assert(!hits(&watched[1]));
    stop();
}
END_TEST

static atomic_long handled;

static void release_in_handler(int signal)
{
    char *memory = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void) signal;
    if (watched[1].end != 0) {
        munmap((void *) watched[1].start, PAGE);
        mmap((void *) watched[1].start, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
    munmap(memory, PAGE);
    atomic_fetch_add(&handled, 1);
}

static pthread_t shot;
static atomic_bool is_over;

static void *shoot(void *unused)
{
    (void) unused;
    while (!atomic_load(&is_over)) {
        pthread_kill(shot, SIGUSR1);
        sched_yield();
    }
    return NULL;
}

/* At every point of a lookup, of a watch, and of a delivery. */
START_TEST(signal_handler_may_release_watched_memory)
{
    pthread_t shooter;

    start_either(_i);
    char *memory = map_pages(1);
    watch_it(&watched[1], map_pages(1), PAGE);
    signal(SIGUSR1, release_in_handler);
    shot = pthread_self();
    pthread_create(&shooter, NULL, shoot, NULL);
    while (atomic_load(&handled) < (_i == 0 ? 2000 : 500)) {
        if (watch_range(&watched[0], memory, PAGE) == OPAL_SUCCESS) {
            hits(&watched[0]);
            unwatch_it(&watched[0]);
        }
        opal_memory_watch_t again = { .cookie = opal_memory_base_new_cookie() };
        opal_memory_base_watch((void *) watched[1].start, PAGE, &again);
        hits(&watched[1]);
    }
    atomic_store(&is_over, true);
    pthread_join(shooter, NULL);
    stop();
}
END_TEST

/* Sandboxes forbid new descriptors like that; ppoll() then refuses two, or even one. */
START_TEST(reader_goes_on_where_it_may_not_wait)
{
    struct rlimit limit;

    start();
    char *memory = map_pages(8);
    watch_it(&watched[0], memory, 8 * PAGE);
    getrlimit(RLIMIT_NOFILE, &limit);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){ .rlim_cur = (rlim_t) _i, .rlim_max = limit.rlim_max });
    for (int i = 0; i < 4; i++) {
        munmap(memory + 2 * i * (long) PAGE, PAGE); /* Waits for the reader. */
    }
    ck_assert(!hits(&watched[0]));
    unwatch_it(&watched[0]);
    stop();
}
END_TEST

/* They lie in the reader's stack, too. */
static _Thread_local volatile char large_thread_local[(size_t) 1 << 20];

START_TEST(large_thread_local_variables_leave_room_for_the_reader)
{
    start();
    large_thread_local[PAGE] = 1;
    watch_it(&watched[0], map_pages(1), PAGE);
    ck_assert(hits(&watched[0]));
    stop();
}
END_TEST

static int live_child(char *memory)
{
    if (hits(&watched[0])) {
        return 1; /* The parent's, which nobody watches here. */
    }
    munmap(memory, 2 * PAGE);
    char *own = map_pages(4);
    if (watch_range(&watched[1], own, 4 * PAGE) != OPAL_SUCCESS || !hits(&watched[1])) {
        return 2;
    }
    munmap(own, 4 * PAGE);
    if (hits(&watched[1])) {
        return 3;
    }
    return opalmem_finalize() == OPAL_SUCCESS ? 0 : 4;
}

static int count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;

    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count;
}

START_TEST(fork_child_starts_anew)
{
    int status;

    const int descriptors = count_descriptors();
    start_either(_i);
    char *memory = map_pages(4);
    watch_it(&watched[0], memory, 4 * PAGE);
    const pid_t child = fork();
    if (child == 0) {
        const int rc = live_child(memory);
        _exit(rc != 0 ? rc : count_descriptors() == descriptors ? 0 : 5);
    }
    ck_assert(waitpid(child, &status, 0) == child);
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    ck_assert(hits(&watched[0]));
    munmap(memory, PAGE);
    ck_assert(!hits(&watched[0]));
    stop();
}
END_TEST

/* A child that lives on has inherited the descriptor, if it was made behind libc's back: the file stays open. */
START_TEST(finalize_lets_memory_go_although_a_child_holds_the_descriptor)
{
    start_either(_i);
    char *memory = map_pages(4);
    watch_it(&watched[0], memory, 4 * PAGE);
    const long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        for (;;) {
            pause();
        }
    }
    stop();
    munmap(memory, 4 * PAGE);
    kill((pid_t) child, SIGKILL);
    ck_assert(waitpid((pid_t) child, NULL, 0) == child);
}
END_TEST

START_TEST(rounds_leave_nothing_behind)
{
    for (int i = 0; i < 20; i++) {
        start_either(_i);
        char *memory = map_pages(4);
        watch_it(&watched[0], memory, 4 * PAGE);
        ck_assert(hits(&watched[0]));
        stop();
        munmap(memory, 4 * PAGE);
        static int descriptors;
        ck_assert(i == 0 || count_descriptors() == descriptors);
        descriptors = count_descriptors();
    }
}
END_TEST

static void release_at_exit(void)
{
    munmap(to_release[0], 4 * PAGE);
}

START_TEST(exit_does_not_hang_with_memory_watched)
{
    int status;
    const pid_t child = fork();

    if (child == 0) {
        start_either(_i);
        to_release[0] = map_pages(4);
        watch_it(&watched[0], to_release[0], 4 * PAGE);
        atexit(release_at_exit);
        exit(0);
    }
    ck_assert(waitpid(child, &status, 0) == child && status == 0);
}
END_TEST

int main(void)
{
    if (!can_run()) {
        return test_skip(USERFAULTFD_SKIP);
    }
    Suite *suite = suite_create("userfaultfd");
    TCase *heard = tcase_create("heard"), *ranges = tcase_create("ranges"), *waits = tcase_create("waits");

    const int either = count_either();
    TCase *all[] = { heard, ranges, waits };

    for (int i = 0; i < 3; i++) {
        tcase_set_timeout(all[i], 240); /* A hang, not a busy machine. */
    }
    tcase_add_loop_test(heard, release_is_heard_and_the_neighbour_stays, 0, WAYS);
    tcase_add_loop_test(heard, release_is_heard_by_tag_and_linux, 0, WAYS);
    tcase_add_loop_test(heard, twin_with_noop_hears_nothing, 0, WAYS);
    tcase_add_test(heard, segment_that_is_detached_and_another_there_is_noticed);
    tcase_add_test(heard, segments_are_not_promised);
    tcase_add_test(heard, file_that_can_be_cut_is_not_watched);
    tcase_add_test(heard, hole_is_not_watched);
    tcase_add_test(ranges, watched_buffer_can_be_reallocated);
    tcase_add_test(ranges, range_of_another_userfaultfd_is_told_once_and_not_watched);
    tcase_add_test(ranges, ranges_are_limited_and_given_back);
    tcase_add_loop_test(waits, callback_may_release_watched_memory, 0, either);
    tcase_add_loop_test(waits, signal_handler_may_release_watched_memory, 0, either);
    tcase_add_loop_test(waits, reader_goes_on_where_it_may_not_wait, 0, either);
    tcase_add_test(waits, large_thread_local_variables_leave_room_for_the_reader);
    tcase_add_loop_test(waits, fork_child_starts_anew, 0, either);
    tcase_add_loop_test(waits, finalize_lets_memory_go_although_a_child_holds_the_descriptor, 0, either);
    tcase_add_loop_test(waits, rounds_leave_nothing_behind, 0, either);
    tcase_add_loop_test(waits, exit_does_not_hang_with_memory_watched, 0, either);
    suite_add_tcase(suite, heard);
    suite_add_tcase(suite, ranges);
    suite_add_tcase(suite, waits);
    return test_run(suite);
}
