/* SPDX-License-Identifier: BSD-3-Clause */
/* Fork children: whichever way the process was forked, and whatever its other
 * threads were at, the child does not touch what is its parent's, and neither
 * crashes nor waits for a thread that it has not got. */
#include <pthread.h>
#include <sched.h>

#include "framework/util/fork.h"
#include "framework/util/sanitizers.h"
#include "test/children.h"
#include "test/rcache/grdma_fixture.h"

#define CHILDREN (IS_SANITIZED ? 100 : 300) /* There, a fork takes 20 ms. */

static void ignore_message(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) level, (void) message, (void) arg;
}

/* ---- A child that the library has not heard of ---------------------------------------------------- */

/* One idle registration, which a hook would deregister at once. */
static void keep_one_idle(void)
{
    resources.flags = MCA_RCACHE_RESOURCES_HOOK_SAFE;
    make_again();
    use(0, 4);
}

static bool nothing_was_deregistered(void)
{
    return atomic_load(&fake.deregistered) == 0;
}

static void parent_still_has_it(void)
{
    use(0, 4);
    ck_assert_uint_eq(stats().hits, 1);
    ck_assert_int_eq(registrations(), 1);
}

START_TEST(first_hook_of_a_raw_fork_child_leaves_the_parents_registrations)
{
    keep_one_idle();
    pid_t pid = raw_fork();
    if (pid == 0) {
        child_must_end_within(5);
        release(0, 1);
        child_says(nothing_was_deregistered());
    }
    child_must_be_good(pid);
    parent_still_has_it();
}
END_TEST

START_TEST(cache_destroyed_in_a_raw_fork_child_leaves_the_parents_registrations)
{
    keep_one_idle();
    pid_t pid = raw_fork();
    if (pid == 0) {
        child_must_end_within(5);
        bool good = mca_rcache_base_module_destroy(cache) == OPAL_SUCCESS;
        child_says(good && nothing_was_deregistered());
    }
    child_must_be_good(pid);
    parent_still_has_it();
}
END_TEST

START_TEST(raw_fork_child_works_with_a_cache_of_its_own)
{
    keep_one_idle();
    pid_t pid = raw_fork();
    if (pid == 0) {
        child_must_end_within(5);
        mca_rcache_base_module_t *own = mca_rcache_base_module_create(NULL, NULL, &resources);
        mca_rcache_base_registration_t *reg = NULL;
        bool good = own != NULL && own->rcache_register(own, AT(0), PAGE, 0, 0, &reg) == OPAL_SUCCESS
                    && own->rcache_deregister(own, reg) == OPAL_SUCCESS && nothing_was_deregistered();
        release(0, 1);
        child_says(good && atomic_load(&fake.deregistered) == 1); /* Its own. */
    }
    child_must_be_good(pid);
    parent_still_has_it();
}
END_TEST

static bool raise_in_child;
static pid_t parent;

static void release_in_child(void)
{
    if (raise_in_child && getpid() != parent) {
        release(0, 1);
    }
}

/* Child handlers run in the order of registration: this one before the library's. */
START_TEST(hook_in_an_atfork_handler_registered_before_init_leaves_the_parents_registrations)
{
    ck_assert_int_eq(pthread_atfork(NULL, NULL, release_in_child), 0);
    set_up();
    keep_one_idle();
    parent = getpid();
    raise_in_child = true;
    pid_t pid = fork();
    if (pid == 0) {
        child_says(nothing_was_deregistered());
    }
    child_must_be_good(pid);
    parent_still_has_it();
    tear_down();
}
END_TEST

/* ---- A callback that runs on another thread at the fork ------------------------------------------- */

static atomic_int inside, leave;

static void stays_inside(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
    atomic_store(&inside, 1);
    while (!atomic_load(&leave)) {
        usleep(100);
    }
}

static void *release_once(void *arg)
{
    (void) arg;
    release(0, 1);
    return NULL;
}

static void unregister_in_child(pid_t (*make_child)(void))
{
    pthread_t thread;
    ck_assert_int_eq(opal_mem_hooks_register_release(stays_inside, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(pthread_create(&thread, NULL, release_once, NULL), 0);
    while (!atomic_load(&inside)) {
        usleep(100);
    }
    pid_t pid = make_child();
    if (pid == 0) {
        child_must_end_within(5);
        child_says(opal_mem_hooks_unregister_release(stays_inside) == OPAL_SUCCESS);
    }
    child_must_be_good(pid);
    atomic_store(&leave, 1);
    pthread_join(thread, NULL);
    ck_assert_int_eq(opal_mem_hooks_unregister_release(stays_inside), OPAL_SUCCESS);
}

START_TEST(unregister_in_a_fork_child_does_not_wait_for_a_thread_of_the_parent)
{
    unregister_in_child(fork);
}
END_TEST

START_TEST(unregister_in_a_raw_fork_child_does_not_wait_for_a_thread_of_the_parent)
{
    unregister_in_child(raw_fork);
}
END_TEST

/* ---- A fork while a thread is in init or finalize --------------------------------------------------- */

static atomic_bool cycling;

static void *init_and_finalize(void *arg)
{
    (void) arg;
    while (atomic_load(&cycling)) {
        opalmem_init(NULL, NULL);
        opalmem_finalize();
    }
    return NULL;
}

/* In the child: the library works, or says that it does not. */
static bool works_or_says_no(void)
{
    int rc = opalmem_init(NULL, NULL);
    if (rc != OPAL_SUCCESS) {
        return rc == OPAL_ERR_NOT_AVAILABLE && opalmem_finalize() == OPAL_ERR_NOT_AVAILABLE;
    }
    mca_rcache_base_registration_t *reg = NULL;
    resources = fake_resources(&fake);
    cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    bool good = cache != NULL && cache->rcache_register(cache, AT(0), PAGE, 0, 0, &reg) == OPAL_SUCCESS
                && cache->rcache_deregister(cache, reg) == OPAL_SUCCESS
                && mca_rcache_base_module_destroy(cache) == OPAL_SUCCESS;
    return opalmem_finalize() == OPAL_SUCCESS && good;
}

static void fork_while_another_thread_cycles(void)
{
    pthread_t thread;
    mca_base_set_log(ignore_message, NULL);
    atomic_store(&cycling, true);
    ck_assert_int_eq(pthread_create(&thread, NULL, init_and_finalize, NULL), 0);
    for (int i = 0; i < CHILDREN; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            child_must_end_within(5);
            child_says(works_or_says_no());
        }
        child_must_be_good(pid);
    }
    atomic_store(&cycling, false);
    pthread_join(thread, NULL);
}

START_TEST(children_forked_during_init_or_finalize_never_crash)
{
    fake_memory_select();
    fork_while_another_thread_cycles();
}
END_TEST

START_TEST(nor_with_the_default_memory_component)
{
    unsetenv("OPALMEM_MCA_memory");
    fork_while_another_thread_cycles();
}
END_TEST

static atomic_int in_init, leave_init;

/* The message of a failing init holds it where it is. */
static void holds_init(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) level, (void) message, (void) arg;
    if (getpid() == parent) {
        atomic_store(&in_init, 1);
        while (!atomic_load(&leave_init)) {
            usleep(100);
        }
    }
}

static void *init_once(void *arg)
{
    (void) arg;
    return (void *) (intptr_t) opalmem_init(NULL, NULL);
}

START_TEST(child_forked_during_init_of_another_thread_is_refused)
{
    pthread_t thread;
    void *rc;
    parent = getpid();
    mca_base_set_log(holds_init, NULL);
    setenv("OPALMEM_MCA_rcache_base_max_count", "12abc", 1);
    ck_assert_int_eq(pthread_create(&thread, NULL, init_once, NULL), 0);
    while (!atomic_load(&in_init)) {
        usleep(100);
    }
    pid_t pid = fork();
    if (pid == 0) {
        child_must_end_within(5);
        bool good = opalmem_init(NULL, NULL) == OPAL_ERR_NOT_AVAILABLE;
        child_says(opalmem_finalize() == OPAL_ERR_NOT_AVAILABLE && good);
    }
    child_must_be_good(pid);
    atomic_store(&leave_init, 1);
    pthread_join(thread, &rc);
    ck_assert_int_eq((int) (intptr_t) rc, OPAL_ERR_BAD_PARAM);
    unsetenv("OPALMEM_MCA_rcache_base_max_count");
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS); /* In the parent all is well. */
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

static pid_t forked_inside = -1;

static void forks_inside_init(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) level, (void) message, (void) arg;
    if (forked_inside < 0) {
        forked_inside = fork();
    }
}

START_TEST(fork_inside_ones_own_init_leaves_both_processes_with_a_library)
{
    mca_base_set_log(ignore_message, NULL);
    fake_memory_select();
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    mca_base_set_log(forks_inside_init, NULL);
    setenv("OPALMEM_MCA_rcache_base_max_count", "12abc", 1);
    bool good = opalmem_init(NULL, NULL) == OPAL_ERR_BAD_PARAM;
    unsetenv("OPALMEM_MCA_rcache_base_max_count");
    good = works_or_says_no() && opalmem_init(NULL, NULL) == OPAL_SUCCESS && good;
    good = opalmem_finalize() == OPAL_SUCCESS && good;
    if (forked_inside == 0) {
        child_says(good);
    }
    child_must_be_good(forked_inside);
    ck_assert(good);
}
END_TEST

/* ---- A thread of the parent adds a component -------------------------------------------------------- */

static opal_memory_base_component_t *first_added; /* In a page of its own, which cannot be read at first. */
static atomic_int in_add, leave_add;

static int add_own(opal_memory_base_component_t *component, const char *name)
{
    component->memoryc_version =
        (mca_base_component_t){ OPAL_MEMORY_BASE_VERSION_2_0_0, .mca_component_name = "" };
    strcpy(component->memoryc_version.mca_component_name, name);
    return mca_base_component_add_static("memory", &component->memoryc_version);
}

/* The list of components is being compared: hold the thread there. */
static void hold_reader(int number)
{
    (void) number;
    atomic_store(&in_add, 1);
    while (!atomic_load(&leave_add)) {
        usleep(100);
    }
    mprotect(first_added, PAGE, PROT_READ | PROT_WRITE);
}

static void *add_second(void *arg)
{
    static opal_memory_base_component_t second;
    (void) arg;
    return (void *) (intptr_t) add_own(&second, "second");
}

START_TEST(child_forked_while_another_thread_adds_a_component_can_add_its_own)
{
    static opal_memory_base_component_t third;
    pthread_t thread;
    void *rc;
    first_added = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_int_eq(add_own(first_added, "first"), OPAL_SUCCESS);
    signal(SIGSEGV, hold_reader);
    ck_assert_int_eq(mprotect(first_added, PAGE, PROT_NONE), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, add_second, NULL), 0);
    while (!atomic_load(&in_add)) {
        usleep(100);
    }
    pid_t pid = fork();
    if (pid == 0) {
        child_must_end_within(5);
        mprotect(first_added, PAGE, PROT_READ | PROT_WRITE);
        child_says(add_own(&third, "third") == OPAL_SUCCESS);
    }
    atomic_store(&leave_add, 1);
    child_must_be_good(pid);
    pthread_join(thread, &rc);
    ck_assert_int_eq((intptr_t) rc, OPAL_SUCCESS);
}
END_TEST

static void add_raw_forks(TCase *started)
{
    if (!raw_forks_are_noticed()) {
        printf("left out: forks that libc does not hear of (no MADV_WIPEONFORK)\n");
        return;
    }
    tcase_add_test(started, first_hook_of_a_raw_fork_child_leaves_the_parents_registrations);
    tcase_add_test(started, cache_destroyed_in_a_raw_fork_child_leaves_the_parents_registrations);
    tcase_add_test(started, raw_fork_child_works_with_a_cache_of_its_own);
    tcase_add_test(started, unregister_in_a_raw_fork_child_does_not_wait_for_a_thread_of_the_parent);
}

int main(void)
{
    Suite *suite = suite_create("fork");
    TCase *started = tcase_create("library runs");
    tcase_add_checked_fixture(started, set_up, tear_down);
    add_raw_forks(started);
    tcase_add_test(started, unregister_in_a_fork_child_does_not_wait_for_a_thread_of_the_parent);
    suite_add_tcase(suite, started);
    TCase *starting = tcase_create("library starts");
    tcase_set_timeout(starting, 240);
    if (raw_forks_are_noticed()) {
        tcase_add_test(starting,
                       hook_in_an_atfork_handler_registered_before_init_leaves_the_parents_registrations);
    }
    if (!under_valgrind()) {
        tcase_add_test(starting, children_forked_during_init_or_finalize_never_crash);
        tcase_add_test(starting, nor_with_the_default_memory_component);
        tcase_add_test(starting, child_forked_while_another_thread_adds_a_component_can_add_its_own);
    }
    tcase_add_test(starting, child_forked_during_init_of_another_thread_is_refused);
    tcase_add_test(starting, fork_inside_ones_own_init_leaves_both_processes_with_a_library);
    suite_add_tcase(suite, starting);
    return test_run(suite);
}
