/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that is released while a registration of it is in use: what the user is told, once for each place. */
#include <gnu/libc-version.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "test/rcache/grdma_fixture.h"
#include "test/sanitized.h"

/* ---- Functions of the program, which stacks name -------------------------------------------------------- */

#define PLACE_OF_PROGRAM __attribute__((noinline, visibility("default")))

PLACE_OF_PROGRAM mca_rcache_base_registration_t *program_registers_here(long page);
PLACE_OF_PROGRAM mca_rcache_base_registration_t *program_registers_there(long page);
PLACE_OF_PROGRAM void program_releases_here(long page);
PLACE_OF_PROGRAM void program_releases_there(long page);
PLACE_OF_PROGRAM void program_releases_deeply(long page, int depth);
PLACE_OF_PROGRAM void program_unmaps_here(void *start);
PLACE_OF_PROGRAM void program_handles_signal(int number);

static volatile int not_a_tail_call;

mca_rcache_base_registration_t *program_registers_here(long page)
{
    mca_rcache_base_registration_t *reg = get(page, 1, 0, 0);
    not_a_tail_call++;
    return reg;
}

mca_rcache_base_registration_t *program_registers_there(long page)
{
    mca_rcache_base_registration_t *reg = get(page, 1, 0, 0);
    not_a_tail_call++;
    return reg;
}

void program_releases_here(long page)
{
    release(page, 1);
    not_a_tail_call++;
}

void program_releases_there(long page)
{
    release(page, 1);
    not_a_tail_call++;
}

void program_releases_deeply(long page, int depth)
{
    if (depth > 0) {
        program_releases_deeply(page, depth - 1);
    } else {
        release(page, 1);
    }
    not_a_tail_call++;
}

void program_unmaps_here(void *start)
{
    munmap(start, PAGE);
    not_a_tail_call++;
}

void program_handles_signal(int number)
{
    (void) number;
    release(0, 1);
    not_a_tail_call++;
}

/* ---- What is said ---------------------------------------------------------------------------------------- */

static char messages[64 * 1024];
static int message_count;

static void keep_message(mca_base_log_level_t level, const char *text, void *arg)
{
    (void) arg;
    ck_assert_int_eq(level, MCA_BASE_LOG_WARN);
    message_count++;
    strncat(messages, text, sizeof(messages) - strlen(messages) - 1);
    strncat(messages, "\n", sizeof(messages) - strlen(messages) - 1);
}

static void begin_with(mca_rcache_in_use_policy_t policy)
{
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    resources.in_use_policy = policy;
    make_cache();
    mca_base_set_log(keep_message, NULL);
}

static void begin(void)
{
    set_up();
    begin_with(MCA_RCACHE_IN_USE_WARN);
}

static void release_in_use(void (*release_it)(long page))
{
    mca_rcache_base_registration_t *reg = program_registers_here(0);
    release_it(0);
    put(reg);
    mca_rcache_base_progress();
}

/* What stands between the two headings, and what stands after the second. */
static bool release_names(const char *name)
{
    const char *from = strstr(messages, "released ("), *to = strstr(messages, "registered, by");
    ck_assert_ptr_nonnull(from);
    ck_assert_ptr_nonnull(to);
    const char *found = strstr(from, name);
    return found != NULL && found < to;
}

static bool registration_names(const char *name)
{
    const char *from = strstr(messages, "registered, by");
    return from != NULL && strstr(from, name) != NULL;
}

START_TEST(both_stacks_name_their_functions)
{
    release_in_use(program_releases_here);
    ck_assert_int_eq(message_count, 1);
    ck_assert(release_names("program_releases_here+"));
    ck_assert(!release_names("program_registers_here+"));
    ck_assert(registration_names("program_registers_here+"));
    ck_assert(!registration_names("program_releases_here+"));
    ck_assert_ptr_nonnull(strstr(messages, "released (munmap)"));
}
END_TEST

START_TEST(stack_of_registration_is_that_of_the_last_miss)
{
    put(program_registers_here(0));
    put(program_registers_there(0)); /* A hit. */
    program_releases_there(0);
    mca_rcache_base_registration_t *reg = program_registers_there(0);
    program_releases_here(0);
    put(reg);
    ck_assert_int_eq(message_count, 1);
    ck_assert(registration_names("program_registers_there+"));
    ck_assert(!registration_names("program_registers_here+"));
}
END_TEST

START_TEST(two_releases_from_one_place_are_told_of_once)
{
    for (int i = 0; i < 3; i++) {
        release_in_use(program_releases_here);
    }
    ck_assert_int_eq(message_count, 1);
    ck_assert_uint_eq(stats().invalidated_in_use, 3);
}
END_TEST

START_TEST(two_releases_from_two_places_are_told_of_twice)
{
    release_in_use(program_releases_here);
    release_in_use(program_releases_there);
    ck_assert_int_eq(message_count, 2);
    ck_assert(release_names("program_releases_here+"));
    ck_assert_ptr_nonnull(strstr(messages, "program_releases_there+"));
}
END_TEST

START_TEST(place_reached_in_two_ways_is_one)
{
    for (int depth = 0; depth < 3; depth++) {
        mca_rcache_base_registration_t *reg = program_registers_here(0);
        program_releases_deeply(0, depth);
        put(reg);
        mca_rcache_base_progress();
    }
    ck_assert_int_eq(message_count, 1);
}
END_TEST

START_TEST(place_is_told_of_once_for_all_caches)
{
    release_in_use(program_releases_here);
    begin_with(MCA_RCACHE_IN_USE_WARN);
    release_in_use(program_releases_here);
    ck_assert_int_eq(message_count, 1);
}
END_TEST

START_TEST(under_policy_ignore_nothing_is_said)
{
    begin_with(MCA_RCACHE_IN_USE_IGNORE);
    release_in_use(program_releases_here);
    release_in_use(program_releases_there);
    ck_assert_int_eq(message_count, 0);
    ck_assert_uint_eq(stats().invalidated_in_use, 2);
}
END_TEST

START_TEST(release_of_idle_memory_says_nothing)
{
    put(program_registers_here(0));
    program_releases_here(0);
    mca_rcache_base_progress();
    ck_assert_int_eq(message_count, 0);
}
END_TEST

static const mca_rcache_in_use_policy_t policies[] = { MCA_RCACHE_IN_USE_WARN, MCA_RCACHE_IN_USE_ABORT };

/* A fork, or a change of rights: whoever is told cannot know. The tests of releases are the twins. */
START_TEST(change_that_may_be_no_release_is_not_judged)
{
    begin_with(policies[_i]);
    mca_rcache_base_registration_t *reg = program_registers_here(0);
    opal_mem_hooks_change_hook(AT(0), PAGE, true);
    put(reg);
    mca_rcache_base_progress();
    ck_assert_int_eq(message_count, 0);
    ck_assert_uint_eq(stats().invalidated_in_use, 0);
    ck_assert_uint_eq(stats().invalidations[OPAL_MEM_HOOKS_CAUSE_KERNEL], 1);
    use(0, 1);
    ck_assert_int_eq(registrations(), 2); /* It is dropped all the same. */
}
END_TEST

START_TEST(more_places_than_are_kept_are_told_of_once)
{
    mca_rcache_base_registration_t *regs[20];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 20; i++) {
            regs[i] = program_registers_here(i);
        }
        for (int i = 0; i < 20; i++) {
            program_releases_deeply(i, 20 * round + i); /* Another stack each. */
        }
        for (int i = 0; i < 20; i++) {
            put(regs[i]);
        }
    }
    ck_assert_int_eq(message_count, 2);
    ck_assert_ptr_nonnull(strstr(messages, "more places than are kept"));
}
END_TEST

START_TEST(release_in_a_signal_handler_is_told_of)
{
    mca_rcache_base_registration_t *reg = program_registers_here(0);
    signal(SIGUSR1, program_handles_signal);
    raise(SIGUSR1);
    put(reg);
    ck_assert_int_eq(message_count, 1);
    ck_assert(release_names("program_handles_signal+"));
}
END_TEST

/* ---- Nothing is allocated in the hook ---------------------------------------------------------------------- */

static _Atomic int allocations;
static _Thread_local volatile bool is_watched __attribute__((tls_model("initial-exec")));

#if !TEST_SANITIZED
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
__attribute__((visibility("default"))) void *malloc(size_t size)
{
    allocations += is_watched;
    return __libc_malloc(size);
}
__attribute__((visibility("default"))) void *calloc(size_t count, size_t size)
{
    allocations += is_watched;
    return __libc_calloc(count, size);
}
#endif

START_TEST(release_in_use_allocates_nothing)
{
    void *volatile block = NULL;
    mca_rcache_base_registration_t *reg = program_registers_here(0);
    is_watched = true;
    program_releases_here(0);
    is_watched = false;
    ck_assert_int_eq(atomic_load(&allocations), 0);
    put(reg);
    ck_assert_int_eq(message_count, 1);
    is_watched = true;
    block = malloc(10); /* It would be seen. */
    is_watched = false;
    free(block);
    ck_assert_int_eq(atomic_load(&allocations), TEST_SANITIZED ? 0 : 1);
}
END_TEST

/* ---- Policy abort ------------------------------------------------------------------------------------------- */

START_TEST(policy_abort_writes_the_stack_of_the_release)
{
    int ends[2], status;
    char text[8192] = "";
    size_t length = 0;
    begin_with(MCA_RCACHE_IN_USE_ABORT);
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        program_registers_here(0);
        program_releases_here(0);
        _exit(0);
    }
    close(ends[1]);
    for (ssize_t got; (got = read(ends[0], text + length, sizeof(text) - 1 - length)) > 0;) {
        length += (size_t) got;
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    ck_assert_ptr_nonnull(strstr(text, "rcache_base_in_use_policy is abort"));
    ck_assert_ptr_nonnull(strstr(text, "test_grdma_in_use(+0x"));
    close(ends[0]);
}
END_TEST

/* ---- With the component that changes code ----------------------------------------------------------------- */

START_TEST(stack_leads_through_the_hook_of_munmap)
{
    set_up(); /* Only to have the figures of the fixture in place. */
    tear_down();
    setenv("OPALMEM_MCA_memory", "linux", 1);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    if ((opal_mem_hooks_support_level() & OPAL_MEMORY_MUNMAP_SUPPORT) != 0) {
        resources.in_use_policy = MCA_RCACHE_IN_USE_WARN;
        make_cache();
        mca_base_set_log(keep_message, NULL);
        void *start = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mca_rcache_base_registration_t *reg;
        ck_assert_int_eq(cache->rcache_register(cache, start, PAGE, 0, 0, &reg), OPAL_SUCCESS);
        program_unmaps_here(start);
        put(reg);
        ck_assert_int_eq(message_count, 1);
        ck_assert(release_names("program_unmaps_here+"));
        ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    } else {
        printf("LEFT OUT: the component linux does not run here\n");
    }
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

int main(void)
{
    int minor = 0;
    if (sscanf(gnu_get_libc_version(), "2.%d", &minor) != 1 || minor < 35) {
        return test_skip("glibc 2.35: older ones have a lock that keeps stacks from being taken in hooks");
    }
    Suite *suite = suite_create("grdma_in_use");
    TCase *tests = tcase_create("warn"), *alone = tcase_create("linux");
    tcase_add_checked_fixture(tests, begin, tear_down);
    tcase_add_test(tests, both_stacks_name_their_functions);
    tcase_add_test(tests, stack_of_registration_is_that_of_the_last_miss);
    tcase_add_test(tests, two_releases_from_one_place_are_told_of_once);
    tcase_add_test(tests, two_releases_from_two_places_are_told_of_twice);
    tcase_add_test(tests, place_reached_in_two_ways_is_one);
    tcase_add_test(tests, place_is_told_of_once_for_all_caches);
    tcase_add_test(tests, under_policy_ignore_nothing_is_said);
    tcase_add_test(tests, release_of_idle_memory_says_nothing);
    tcase_add_loop_test(tests, change_that_may_be_no_release_is_not_judged, 0, 2);
    tcase_add_test(tests, more_places_than_are_kept_are_told_of_once);
    tcase_add_test(tests, release_in_a_signal_handler_is_told_of);
    tcase_add_test(tests, release_in_use_allocates_nothing);
    tcase_add_test(tests, policy_abort_writes_the_stack_of_the_release);
    tcase_add_test(alone, stack_leads_through_the_hook_of_munmap);
    suite_add_tcase(suite, tests);
    suite_add_tcase(suite, alone);
    return test_run(suite);
}
