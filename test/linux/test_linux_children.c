/* SPDX-License-Identifier: BSD-3-Clause */
/* Children and threads that libc did not make: forks in the middle of a hook,
 * children that share the memory (vfork, posix_spawn, clone), exec, and a
 * thread that libc knows nothing of. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "test/children.h"
#include "test/linux/scenes.h"

extern char **environ;

static void give_back_a_page(void)
{
    ck_assert_int_eq(munmap(watched_page(), PAGE), 0);
}

/* ---- Fork in the middle of a hook ------------------------------------------------------------- */

static bool gives_back_seen_page(void)
{
    char *page = watched_page();

    return munmap(page, PAGE) == 0 && watched_count(page) == 1;
}

static void nothing_on_release(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
}

/* What a program wants of a child: everything. Ends it; by exec, if all was well. */
static void use_everything(void)
{
    const bool is_good =
        gives_back_seen_page() && opal_mem_hooks_register_release(nothing_on_release, NULL) == OPAL_SUCCESS
        && opal_mem_hooks_unregister_release(nothing_on_release) == OPAL_SUCCESS
        && opalmem_finalize() == OPAL_SUCCESS && opalmem_init(NULL, NULL) == OPAL_SUCCESS
        && opal_mem_hooks_register_release(watched_on_release, NULL) == OPAL_SUCCESS && gives_back_seen_page();

    if (is_good) {
        execlp("true", "true", NULL);
    }
    _exit(1);
}

static bool ended_well(pid_t child)
{
    int status = -1;

    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static pid_t (*how_to_fork)(void);
static volatile pid_t forked;

static void fork_once(void *page)
{
    (void) page;
    atomic_store(&watched_inside, NULL);
    forked = how_to_fork();
}

static bool fork_inside(pid_t (*how)(void))
{
    how_to_fork = how;
    forked = -1;
    atomic_store(&watched_inside, fork_once);
    give_back_a_page();
    if (forked == 0) {
        child_must_end_within(20);
        use_everything();
    }
    return ended_well(forked) && gives_back_seen_page() && watched_all();
}

static bool child_of_a_callback_can_do_everything(void)
{
    return fork_inside(fork);
}

static bool raw_child_of_a_callback_can_do_everything(void)
{
    return fork_inside(raw_fork);
}

static atomic_bool is_inside, may_leave;

static void stay_inside(void *page)
{
    (void) page;
    atomic_store(&is_inside, true);
    while (!atomic_load(&may_leave)) {
    }
}

static void *give_back_slowly(void *arg)
{
    give_back_a_page();
    atomic_store(&is_inside, true); /* With noop, too. */
    return arg;
}

/* @return the child, forked while another thread was in a callback. */
static pid_t fork_beside(pid_t (*how)(void))
{
    pthread_t thread;
    pid_t child;

    atomic_store(&is_inside, false);
    atomic_store(&may_leave, false);
    atomic_store(&watched_inside, stay_inside);
    ck_assert_int_eq(pthread_create(&thread, NULL, give_back_slowly, NULL), 0);
    while (!atomic_load(&is_inside)) {
    }
    atomic_store(&watched_inside, NULL);
    child = how();
    if (child == 0) {
        child_must_end_within(20);
        use_everything();
    }
    atomic_store(&may_leave, true);
    pthread_join(thread, NULL);
    return child;
}

static bool child_forked_beside_a_callback_can_do_everything(void)
{
    return ended_well(fork_beside(fork)) && gives_back_seen_page() && watched_all();
}

static bool raw_child_forked_beside_a_callback_can_do_everything(void)
{
    return ended_well(fork_beside(raw_fork)) && gives_back_seen_page() && watched_all();
}

static atomic_bool stop;

static void *give_back_until_stopped(void *arg)
{
    while (!atomic_load(&stop)) {
        void *memory = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        munmap(memory, PAGE);
    }
    return arg;
}

static bool children_forked_at_any_time_can_do_everything(void)
{
    pthread_t thread;
    bool is_good = true;

    ck_assert_int_eq(pthread_create(&thread, NULL, give_back_until_stopped, NULL), 0);
    for (int i = 0; i < 200 && is_good; i++) {
        const pid_t child = i % 2 == 0 ? fork() : raw_fork();

        if (child == 0) {
            child_must_end_within(20);
            _exit(gives_back_seen_page() ? 0 : 1);
        }
        is_good = ended_well(child);
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    return is_good && watched_all();
}

/* ---- Children that share the memory ----------------------------------------------------------- */

static bool vfork_child_is_heard(void)
{
    char *page = watched_page();
    const pid_t child = vfork();

    if (child == 0) {
        _exit(munmap(page, PAGE) == 0 ? 0 : 1);
    }
    return ended_well(child) && gives_back_seen_page() && watched_all();
}

static int give_back_argument(void *page)
{
    return munmap(page, PAGE) == 0 ? 0 : 1;
}

static bool clone_child_is_heard(int flags)
{
    char *stack = malloc(16 * PAGE), *page = watched_page();
    const pid_t child = clone(give_back_argument, stack + 16 * PAGE, CLONE_VM | flags | SIGCHLD, page);
    const bool is_good = ended_well(child);

    free(stack);
    return is_good && gives_back_seen_page() && watched_all();
}

static bool sharing_child_is_heard(void)
{
    return clone_child_is_heard(0);
}

static bool sharing_child_that_is_waited_for_is_heard(void)
{
    return clone_child_is_heard(CLONE_VFORK | CLONE_FILES | CLONE_FS);
}

/* posix_spawn runs its child in the parent's memory, on a stack that it maps and gives back. */
static bool spawn_tells_of_its_stack(const char *program, int expected_error)
{
    char name[] = "true";
    char *const arguments[] = { name, NULL };
    const int before = watched_others();
    pid_t child = -1;
    const int error = posix_spawnp(&child, program, NULL, NULL, arguments, environ);

    ck_assert_int_eq(error, expected_error);
    return (error != 0 || ended_well(child)) && watched_others() > before;
}

static bool spawned_programs_run(void)
{
    return spawn_tells_of_its_stack("true", 0) && spawn_tells_of_its_stack("/nowhere/at/all", ENOENT)
           && gives_back_seen_page();
}

static bool shells_run(void)
{
    const int before = watched_others();
    char word[8] = "";
    FILE *pipe;

    ck_assert_int_eq(WEXITSTATUS(system("exit 7")), 7);
    pipe = popen("echo good", "r");
    ck_assert_ptr_nonnull(pipe);
    ck_assert_ptr_nonnull(fgets(word, sizeof(word), pipe));
    ck_assert_int_eq(pclose(pipe), 0);
    ck_assert_str_eq(word, "good\n");
    return watched_others() >= before + 2 && gives_back_seen_page();
}

/* ---- A thread that libc knows nothing of ------------------------------------------------------- */

/* In a new thread control block: the address of itself, for %fs:0 and %fs:16. */
enum { SELF = 0, SELF_AGAIN = 2 };

static pid_t thread_word; /* Cleared by the kernel when the thread has ended. */

static void wait_for_thread(void)
{
    while (__atomic_load_n(&thread_word, __ATOMIC_ACQUIRE) != 0) {
        sched_yield();
    }
}

/* Its thread-local storage is as new, and its first call to libc is munmap. */
static bool bare_thread_is_heard(void)
{
    const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM
                      | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
    void *symbol = dlsym(RTLD_DEFAULT, "_dl_allocate_tls");
    void *(*allocate_tls)(void *);
    char *stack = malloc(16 * PAGE), *page = watched_page();
    void **block;

    memcpy(&allocate_tls, &symbol, sizeof(symbol));
    ck_assert_ptr_nonnull(symbol);
    block = allocate_tls(NULL);
    block[SELF] = block[SELF_AGAIN] = block;
    ck_assert_int_gt(clone(give_back_argument, stack + 16 * PAGE, flags, page, &thread_word, block, &thread_word),
                     0);
    wait_for_thread();
    free(stack);
    return gives_back_seen_page() && watched_all();
}

static const watched_scene_t scenes[] = {
    { "child_of_a_callback_can_do_everything", child_of_a_callback_can_do_everything },
    { "raw_child_of_a_callback_can_do_everything", raw_child_of_a_callback_can_do_everything },
    { "child_forked_beside_a_callback_can_do_everything", child_forked_beside_a_callback_can_do_everything },
    { "raw_child_forked_beside_a_callback_can_do_everything",
      raw_child_forked_beside_a_callback_can_do_everything },
    { "children_forked_at_any_time_can_do_everything", children_forked_at_any_time_can_do_everything },
    { "vfork_child_is_heard", vfork_child_is_heard },
    { "sharing_child_is_heard", sharing_child_is_heard },
    { "sharing_child_that_is_waited_for_is_heard", sharing_child_that_is_waited_for_is_heard },
    { "spawned_programs_run", spawned_programs_run },
    { "shells_run", shells_run },
    { "bare_thread_is_heard", bare_thread_is_heard },
    { NULL, NULL },
};

int main(void)
{
    const int skipped = scenes_can_run();
    Suite *suite;
    TCase *tcase;

    if (skipped != 0) {
        return skipped;
    }
    suite = suite_create("linux_children");
    tcase = tcase_create("children");
    add_scenes(tcase);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
