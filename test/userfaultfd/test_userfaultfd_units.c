/* SPDX-License-Identifier: BSD-3-Clause */
/* Parts by themselves, behind a kernel that refuses or lacks what it is asked:
 * reasons why the component does not run, mappings by /proc/self/maps, the
 * queue when it is full. */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "components/userfaultfd/userfaultfd.h"
#include "components/userfaultfd/userfaultfd_abi.h"
#include "components/userfaultfd/userfaultfd_sys.h"
#include "test/userfaultfd/userfaultfd_fixture.h"

/* ---- A kernel that refuses ---------------------------------------------------------------------------- */

static struct refusal {
    long nr;
    unsigned long request; /* Of ioctl; 0: any call of the number. */
    int error;
} refusal;

static long refusing_sys(long nr, const long args[6])
{
    if (nr == refusal.nr && (refusal.request == 0 || (unsigned long) args[1] == refusal.request)) {
        return -refusal.error;
    }
    return uffd_sys_real(nr, args);
}

static char message[1024];

static void keep_message(mca_base_log_level_t level, const char *text, void *arg)
{
    (void) level, (void) arg;
    strncat(message, text, sizeof(message) - strlen(message) - 1);
}

static const struct lack {
    struct refusal refusal;
    const char *reason;
} lacks[] = {
    { { SYS_userfaultfd, 0, ENOSYS }, "userfaultfd: Function not implemented" },
    { { SYS_userfaultfd, 0, EPERM }, "a seccomp filter or a security module forbids it" },
    { { SYS_ioctl, UFFDIO_API, EINVAL }, "Linux 6.7 or newer" },
    { { SYS_openat, 0, ENOENT }, "/proc/self/pagemap: No such file" },
    { { SYS_ioctl, UFFDIO_REGISTER, EINVAL }, "memory cannot be registered" },
    { { SYS_ioctl, UFFD_ABI_PAGEMAP_SCAN, ENOTTY }, "does not look so" },
    { { SYS_ioctl, UFFDIO_WRITEPROTECT, EAGAIN }, "a release seems to be under way" },
    { { SYS_madvise, 0, EINVAL }, "no event when memory is discarded" },
    { { SYS_mremap, 0, EINVAL }, "no event when memory is moved" },
    { { SYS_munmap, 0, EINVAL }, "no event when memory is unmapped" },
};

START_TEST(reason_is_told_when_asked_for)
{
    refusal = lacks[_i].refusal;
    uffd_sys_call = refusing_sys;
    mca_base_set_log(keep_message, NULL);
    setenv("OPALMEM_MCA_memory", "userfaultfd", 1);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_ERR_NOT_FOUND);
    ck_assert_msg(strstr(message, lacks[_i].reason) != NULL, "\"%s\"", message);
}
END_TEST

START_TEST(next_component_is_taken_in_silence)
{
    refusal = lacks[_i].refusal;
    uffd_sys_call = refusing_sys;
    mca_base_set_log(keep_message, NULL);
    setenv("OPALMEM_MCA_memory", "^linux", 1);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_str_eq(opal_memory->memoryc_version.mca_component_name, "noop");
    ck_assert_str_eq(message, "");
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

START_TEST(without_descriptors_nothing_is_watched)
{
    start();
    refusal = (struct refusal){ SYS_userfaultfd, 0, EMFILE };
    uffd_sys_call = refusing_sys;
    char *memory = map_pages(1);
    mca_base_set_log(keep_message, NULL);
    ck_assert_int_eq(watch_range(&watched[0], memory, PAGE), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_ptr_nonnull(strstr(message, "userfaultfd"));
    ck_assert_ptr_nonnull(strstr(message, strerror(EMFILE)));
    message[0] = '\0';
    ck_assert_int_eq(watch_range(&watched[0], memory, PAGE), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_str_eq(message, ""); /* Told once. */
    mca_base_set_log(NULL, NULL);
    uffd_sys_call = uffd_sys_real;
    watch_it(&watched[0], memory, PAGE);
    stop();
}
END_TEST

/* What a fork child finds where its parent's descriptors were. */
START_TEST(wiped_descriptor_is_not_the_programs_input)
{
    const uffd_file_t wiped = { 0 };
    uffd_file_t own = uffd_file_own(eventfd(0, EFD_CLOEXEC));
    const int input = dup(0);

    ck_assert_int_eq(dup2(own.fd, 0), 0); /* Something is there. */
    ck_assert(!uffd_file_is_ours(&wiped));
    ck_assert(uffd_file_is_ours(&own));
    dup2(input, 0);
    close(input);
    uffd_file_close(&own);
}
END_TEST

/* ---- Replaced in the middle of a watch ------------------------------------------------------------------ */

static char *replaced;

/* Between the look at the mapping and its registration. */
static long replacing_sys(long nr, const long args[6])
{
    if (nr == SYS_ioctl && (unsigned long) args[1] == UFFDIO_REGISTER && replaced != NULL) {
        char *memory = replaced;

        replaced = NULL;
        mmap(memory, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
    return uffd_sys_real(nr, args);
}

START_TEST(memory_replaced_while_it_is_registered_is_watched_as_what_it_is)
{
    opal_memory_watch_t watch = { .cookie = 1 };
    char *memory = map_pages(1);

    ck_assert_int_eq(uffd_state_map(), OPAL_SUCCESS);
    ck_assert_int_eq(uffd_watch(memory, PAGE, &watch), OPAL_SUCCESS);
    ck_assert(!uffd_shared_is_noted(&watch));
    uffd_unwatch(memory, PAGE, &watch);
    replaced = memory;
    uffd_sys_call = replacing_sys;
    ck_assert_int_eq(uffd_watch(memory, PAGE, &watch), OPAL_SUCCESS);
    ck_assert(uffd_shared_is_noted(&watch));
    uffd_sys_call = uffd_sys_real;
    uffd_unwatch(memory, PAGE, &watch);
    uffd_stop(uffd_state);
    uffd_state_unmap();
}
END_TEST

/* ---- Mappings ------------------------------------------------------------------------------------------- */

static const struct name {
    const char *name;
    bool is_file;
} names[] = {
    { "", false },
    { "[heap]", false },
    { "/SYSV00000000 (deleted)", false },
    { "/dev/zero (deleted)", false },
    { "/anon_hugepage (deleted)", false },
    { "/anon_hugepage", true },
    { "/memfd:x (deleted)", true },
    { "/lib/x y", true },
    { "[anon:x]", false },
};

START_TEST(files_are_known_by_their_names)
{
    ck_assert_int_eq(uffd_maps_is_file(names[_i].name), names[_i].is_file);
}
END_TEST

static bool find_with(bool by_query, uintptr_t addr, uffd_vma_t *vma)
{
    uffd_kernel_t kernel = UFFD_NO_KERNEL;
    kernel.maps = uffd_file_own(by_query ? open("/proc/self/maps", O_RDONLY | O_CLOEXEC) : -1);
    const bool result = by_query ? uffd_kernel_vma(&kernel, addr, vma) : uffd_maps_find(addr, vma);

    uffd_kernel_close(&kernel);
    return result;
}

static void both_find(void *addr)
{
    uffd_vma_t queried = { 0 }, read = { 0 };

    ck_assert(find_with(true, (uintptr_t) addr, &queried) && find_with(false, (uintptr_t) addr, &read));
    ck_assert(queried.start == read.start && queried.end == read.end);
    ck_assert(queried.is_shared == read.is_shared && queried.is_file == read.is_file);
}

START_TEST(mappings_are_the_same_by_query_and_by_text)
{
    static char data[1] = { 1 };
    const int fd = (int) syscall(SYS_memfd_create, "a name with blanks", 0);
    char on_stack, *hole = map_pages(4);
    uffd_vma_t vma;

    ck_assert_int_eq(ftruncate(fd, 8192), 0);
    munmap(hole + PAGE, PAGE);
    both_find(hole);
    both_find(hole + PAGE); /* The next one. */
    both_find(&on_stack);
    both_find(data);
    both_find((void *) (uintptr_t) both_find);
    both_find(mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    both_find(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 4096));
    both_find(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0));
    ck_assert(!find_with(false, UINTPTR_MAX - PAGE, &vma));
}
END_TEST

START_TEST(all_works_without_a_query_for_mappings)
{
    refusal = (struct refusal){ SYS_ioctl, UFFD_ABI_PROCMAP_QUERY, ENOTTY };
    uffd_sys_call = refusing_sys;
    start();
    char *memory = map_pages(4);
    watch_it(&watched[0], memory, 4 * PAGE);
    ck_assert(hits(&watched[0]));
    munmap(memory, PAGE);
    ck_assert(!hits(&watched[0]));
    stop();
}
END_TEST

/* ---- Threads that are left out -------------------------------------------------------------------------- */

static atomic_bool is_over;
static int lists;

static void *burn(void *unused)
{
    (void) unused;
    while (!atomic_load(&is_over)) {
    }
    return NULL;
}

/* As if an earlier thread had ended in the middle of the first list: the last thread is left out. */
static long leaving_out_sys(long nr, const long args[6])
{
    const long length = uffd_sys_real(nr, args);
    long last = 0;

    if (nr != SYS_getdents64 || length <= 0 || lists++ != 0) {
        return length;
    }
    for (long at = 0; at < length; at += *(const unsigned short *) (args[1] + at + 16)) {
        last = at;
    }
    return last;
}

START_TEST(thread_that_the_kernel_leaves_out_of_its_list_is_found)
{
    pthread_t other;
    uint64_t mask;

    start();
    char *memory = map_pages(1);
    watch_it(&watched[0], memory, PAGE);
    unwatch_it(&watched[0]);
    pthread_create(&other, NULL, burn, NULL);
    usleep(1000);
    uffd_lock_blocked(&uffd_state->queue_lock, &mask);
    uffd_quarantine_add_locked(&uffd_state->quarantine, (uintptr_t) memory, (uintptr_t) memory + PAGE);
    uffd_unlock_blocked(&uffd_state->queue_lock, &mask);
    uffd_sys_call = leaving_out_sys;
    ck_assert_int_eq(watch_range(&watched[0], memory, PAGE), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_int_gt(lists, 1);
    uffd_sys_call = uffd_sys_real;
    atomic_store(&is_over, true);
    pthread_join(other, NULL);
    stop();
}
END_TEST

/* ---- The queue ------------------------------------------------------------------------------------------ */

/* More events than fit, none of which touches another, before anybody looks. */
START_TEST(queue_that_overflows_releases_everything)
{
    enum { PAGES = 2 * UFFD_QUEUE_SIZE + 64 };

    start();
    char *memory = map_pages(PAGES), *other = map_pages(1);
    watch_it(&watched[0], memory, PAGES * PAGE);
    watch_it(&watched[1], other, PAGE);
    for (size_t page = 0; page < PAGES; page += 2) {
        munmap(memory + page * PAGE, PAGE);
    }
    ck_assert(opal_memory_changed());
    ck_assert(!opal_memory_base_valid(other, PAGE, &watched[1].watch)); /* It may be among them. */
    ck_assert(!hits(&watched[0]));
    ck_assert(atomic_load(&watched[1].is_released));
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    ck_assert(opal_memory_base_valid(other, PAGE, &watched[1].watch));
    ck_assert(!opal_memory_changed());
    stop();
}
END_TEST

START_TEST(events_are_delivered_once_and_exactly)
{
    start();
    char *memory = map_pages(8);
    watch_it(&watched[0], memory, 4 * PAGE);
    watch_it(&watched[1], memory + 4 * PAGE, 4 * PAGE);
    for (int i = 0; i < 3; i++) {
        munmap(memory + i * (long) PAGE, PAGE);
    }
    ck_assert(!opal_memory_base_valid(memory, 4 * PAGE, &watched[0].watch));
    ck_assert(opal_memory_base_valid(memory + 4 * PAGE, 4 * PAGE, &watched[1].watch));
    ck_assert(!hits(&watched[0]) && hits(&watched[1]));
    ck_assert_int_eq(uffd_state->queue.count, 0);
    stop();
}
END_TEST

/* ---- Locks ---------------------------------------------------------------------------------------------- */

static uffd_lock_t lock;
static long guarded;

static void *count(void *unused)
{
    (void) unused;
    for (int i = 0; i < 20000; i++) {
        uint64_t mask;
        uffd_lock_blocked(&lock, &mask);
        guarded++;
        if (i % 512 == 0) {
            sched_yield();
        }
        uffd_unlock_blocked(&lock, &mask);
    }
    return NULL;
}

START_TEST(lock_excludes)
{
    pthread_t threads[4];

    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, count, NULL);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_int_eq(guarded, 80000);
}
END_TEST

int main(void)
{
    if (!can_run()) {
        return test_skip(USERFAULTFD_SKIP);
    }
    Suite *suite = suite_create("userfaultfd_units");
    TCase *units = tcase_create("units");

    tcase_set_timeout(units, 240);
    const int lack_count = (int) (sizeof(lacks) / sizeof(lacks[0]));

    tcase_add_loop_test(units, reason_is_told_when_asked_for, 0, lack_count);
    tcase_add_loop_test(units, next_component_is_taken_in_silence, 0, lack_count);
    tcase_add_test(units, without_descriptors_nothing_is_watched);
    tcase_add_test(units, wiped_descriptor_is_not_the_programs_input);
    tcase_add_loop_test(units, files_are_known_by_their_names, 0, (int) (sizeof(names) / sizeof(names[0])));
    tcase_add_test(units, mappings_are_the_same_by_query_and_by_text);
    tcase_add_test(units, all_works_without_a_query_for_mappings);
    tcase_add_test(units, memory_replaced_while_it_is_registered_is_watched_as_what_it_is);
    tcase_add_test(units, thread_that_the_kernel_leaves_out_of_its_list_is_found);
    tcase_add_test(units, queue_that_overflows_releases_everything);
    tcase_add_test(units, events_are_delivered_once_and_exactly);
    tcase_add_test(units, lock_excludes);
    suite_add_tcase(suite, units);
    return test_run(suite);
}
