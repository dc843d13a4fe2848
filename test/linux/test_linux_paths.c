/* SPDX-License-Identifier: BSD-3-Clause */
/* The whole library: every way in which a process gives memory back through
 * libc or ld.so raises release callbacks for exactly what goes, before it
 * goes; what fails or keeps its pages raises none. The twin plays the same
 * scenes with the component off, and hears nothing. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "components/linux/linux_sys.h"
#include "test/linux/paths.h"
#include "test/linux/valgrind.h"
#include "test/sanitized.h"
#include "test/test_main.h"

#define MAX_EVENTS 64

typedef struct event_t {
    uintptr_t start;
    size_t length;
    opal_mem_hooks_cause_t cause;
    bool was_mapped; /* When the callback ran. */
    char content;    /* Then. */
} event_t;

libc_t libc;

/* What came; shared with fork children. */
static struct {
    event_t events[MAX_EVENTS];
    atomic_int count;
} * heard;

static event_t expected[MAX_EVENTS];
static int expected_count;
static uintptr_t cover_start;
static size_t cover_length;
static atomic_bool is_watching;
static bool is_filled, is_skipped;
static const char *scene_name;

/* ---- What scenes use ------------------------------------------------------------------------- */

void expect(const void *start, size_t length, opal_mem_hooks_cause_t cause)
{
    expected[expected_count++] = (event_t){ .start = (uintptr_t) start, .length = length, .cause = cause };
}

void expect_cover(const void *start, size_t length)
{
    cover_start = (uintptr_t) start;
    cover_length = length;
}

void watch(bool filled)
{
    is_filled = filled;
    atomic_store(&is_watching, true);
}

void unwatch(void)
{
    atomic_store(&is_watching, false);
}

void cannot_play(const char *why)
{
    unwatch();
    is_skipped = true;
    printf("SKIP: %s: %s\n", scene_name, why);
}

char *map_pages(size_t pages)
{
    char *memory = libc.mmap(NULL, (pages + 1) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(memory, MAP_FAILED);
    if ((uintptr_t) memory % (2UL << 20) == 0) {
        libc.munmap(memory, PAGE);
        return memory + PAGE;
    }
    libc.munmap(memory + pages * PAGE, PAGE);
    return memory;
}

char *map_filled(size_t pages)
{
    char *memory = map_pages(pages);

    memset(memory, FILL, pages * PAGE);
    return memory;
}

int make_file(size_t pages)
{
    const int fd = memfd_create("paths", 0);
    char page[4096];

    ck_assert_int_ge(fd, 0);
    memset(page, FILL, sizeof(page));
    for (size_t i = 0; i < pages; i++) {
        ck_assert_int_eq(write(fd, page, sizeof(page)), sizeof(page));
    }
    return fd;
}

/* ---- Events ---------------------------------------------------------------------------------- */

static bool is_mapped(void *page)
{
    unsigned char residency;

    return syscall(SYS_mincore, page, PAGE, &residency) == 0;
}

static void on_release(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    event_t *event;
    int index;

    (void) cbdata;
    (void) from_alloc;
    if (!atomic_load(&is_watching)) {
        return;
    }
    if (TEST_SANITIZED && opal_mem_hooks_current_cause() == OPAL_MEM_HOOKS_CAUSE_FREE) {
        return; /* The sanitizer's allocator tells of each block. */
    }
    index = atomic_fetch_add(&heard->count, 1);
    if (index >= MAX_EVENTS) {
        return;
    }
    event = &heard->events[index];
    *event = (event_t){ .start = (uintptr_t) buf, .length = length, .cause = opal_mem_hooks_current_cause() };
    event->was_mapped = is_mapped(buf);
    if (event->was_mapped && is_filled) {
        event->content = *(char *) buf;
    }
}

/* Releases cover all of the range, and all their pages were still there. */
static void check_cover(void)
{
    uintptr_t reached = cover_start;
    const int count = heard->count < MAX_EVENTS ? heard->count : MAX_EVENTS;

    for (int round = 0; round < count; round++) {
        for (int i = 0; i < count; i++) {
            const uintptr_t end = heard->events[i].start + heard->events[i].length;

            reached = heard->events[i].start <= reached && end > reached ? end : reached;
        }
    }
    ck_assert_msg(reached >= cover_start + cover_length, "%s: %d releases reach 0x%lx of 0x%lx to 0x%lx",
                  scene_name, count, (long) reached, (long) cover_start, (long) (cover_start + cover_length));
}

static void check_event(int i)
{
    ck_assert_msg(heard->events[i].start == expected[i].start && heard->events[i].length == expected[i].length,
                  "%s: release %d of 0x%lx + 0x%lx, expected 0x%lx + 0x%lx", scene_name, i,
                  (long) heard->events[i].start, (long) heard->events[i].length, (long) expected[i].start,
                  (long) expected[i].length);
    ck_assert_msg(heard->events[i].cause == expected[i].cause, "%s: release %d by %s", scene_name, i,
                  opal_mem_hooks_cause_name(heard->events[i].cause));
    ck_assert_msg(heard->events[i].was_mapped, "%s: release %d came too late", scene_name, i);
    ck_assert_msg(!is_filled || heard->events[i].content == FILL, "%s: content was gone", scene_name);
}

static void check_scene(void)
{
    if (cover_length != 0) {
        check_cover();
        return;
    }
    ck_assert_msg(heard->count == expected_count, "%s: %d releases, expected %d; the first is 0x%lx + 0x%lx",
                  scene_name, (int) heard->count, expected_count, (long) heard->events[0].start,
                  (long) heard->events[0].length);
    for (int i = 0; i < heard->count; i++) {
        check_event(i);
    }
}

/* ---- With the component and without ---------------------------------------------------------- */

static int start(const char *component)
{
    setenv("OPALMEM_MCA_memory", component, 1);
    return opalmem_init(NULL, NULL);
}

static void play(const scene_t *scene, const char *component)
{
    scene_name = scene->name;
    ck_assert_int_eq(start(component), OPAL_SUCCESS);
    if (strcmp(component, "linux") == 0) {
        ck_assert_int_eq(opal_mem_hooks_register_release(on_release, NULL), OPAL_SUCCESS);
    }
    scene->play();
    unwatch();
}

static void play_with(const scene_t *scene)
{
    play(scene, "linux");
    if (!is_skipped) {
        check_scene();
    }
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}

/* The scene has released something, and nobody said so: check_scene() would have failed. */
static void check_missed(void)
{
    ck_assert(is_skipped || expected_count + (int) cover_length != 0);
    ck_assert_int_eq(heard->count, 0);
}

/* Without the component the callback cannot even be registered. */
static void play_without(const scene_t *scene)
{
    play(scene, "noop");
    ck_assert_int_eq(opal_mem_hooks_support_level(), 0);
    ck_assert_int_eq(opal_mem_hooks_register_release(on_release, NULL), OPAL_ERR_NOT_SUPPORTED);
    check_missed();
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}

/* The component runs, but leaves this scene's call alone. */
static void play_blind(const scene_t *scene)
{
    if (scene->site == NULL) {
        return;
    }
    setenv("OPALMEM_MCA_memory_linux_disable_sites", scene->site, 1);
    play(scene, "linux");
    check_missed();
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}

/* The page of events is shared between tests, too. */
static void set_up(void)
{
    memset(heard, 0, sizeof(*heard));
}

START_TEST(release_by_system_call_is_seen_exactly_and_before)
{
    play_with(&scenes_system[_i]);
    ck_assert(is_skipped || expected_count + (int) cover_length != 0);
}
END_TEST

START_TEST(release_by_libc_is_seen_exactly_and_before)
{
    play_with(&scenes_malloc[_i]);
    ck_assert(is_skipped || expected_count + (int) cover_length != 0);
}
END_TEST

START_TEST(release_by_file_or_vector_is_seen_exactly_and_before)
{
    play_with(&scenes_files[_i]);
    ck_assert(is_skipped || expected_count + (int) cover_length != 0);
}
END_TEST

START_TEST(file_call_that_releases_nothing_is_quiet)
{
    play_with(&scenes_files_quiet[_i]);
    ck_assert_int_eq(expected_count, 0);
}
END_TEST

START_TEST(call_that_releases_nothing_is_quiet)
{
    play_with(&scenes_quiet[_i]);
    ck_assert_int_eq(expected_count, 0);
}
END_TEST

START_TEST(twin_with_noop_sees_nothing)
{
    play_without(&scenes_system[_i]);
}
END_TEST

START_TEST(twin_with_noop_sees_nothing_of_libc)
{
    play_without(&scenes_malloc[_i]);
}
END_TEST

START_TEST(twin_with_noop_sees_nothing_of_files)
{
    play_without(&scenes_files[_i]);
}
END_TEST

START_TEST(twin_with_its_file_site_left_alone_sees_nothing)
{
    play_blind(&scenes_files[_i]);
}
END_TEST

START_TEST(twin_with_its_site_left_alone_sees_nothing)
{
    play_blind(&scenes_system[_i]);
}
END_TEST

/* ---- Life of the component ------------------------------------------------------------------- */

static void release_a_page(void)
{
    char *memory = map_filled(1);

    expect(memory, PAGE, OPAL_MEM_HOOKS_CAUSE_MUNMAP);
    watch(true);
    libc.munmap(memory, PAGE);
    unwatch();
}

START_TEST(support_is_full_on_this_machine)
{
    ck_assert_int_eq(start("linux"), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_support_level(), OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_CHUNK_SUPPORT
                                                         | OPAL_MEMORY_MMAP_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT);
    ck_assert((opal_memory_base_sees() & OPAL_MEMORY_SEES_BEFORE) != 0);
    ck_assert_ptr_null(opal_memory->memoryc_process);
    ck_assert(!opal_memory_changed());
}
END_TEST

START_TEST(finalize_puts_libc_back)
{
    uint8_t before[16], during[16];
    const uint8_t *code;

    memcpy(&code, &libc.munmap, sizeof(code));
    memcpy(before, code, sizeof(before));
    ck_assert_int_eq(start("linux"), OPAL_SUCCESS);
    memcpy(during, code, sizeof(during));
    ck_assert(memcmp(before, during, sizeof(before)) != 0);
    ck_assert_int_eq(opal_mem_hooks_register_release(on_release, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    ck_assert(memcmp(before, code, sizeof(before)) == 0);
    release_a_page();
    ck_assert_int_eq(heard->count, 0);
}
END_TEST

START_TEST(hundred_starts_and_stops_leave_it_working)
{
    scene_name = "cycles";
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(start("linux"), OPAL_SUCCESS);
        ck_assert_int_eq(opal_mem_hooks_register_release(on_release, NULL), OPAL_SUCCESS);
        heard->count = expected_count = 0;
        release_a_page();
        check_scene();
        ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    }
}
END_TEST

/* errno and the result are the kernel's. */
START_TEST(failing_call_reports_its_error)
{
    ck_assert_int_eq(start("linux"), OPAL_SUCCESS);
    errno = 0;
    ck_assert_int_eq(libc.munmap((void *) 1, PAGE), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_ptr_eq(libc.mmap(NULL, 0, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), MAP_FAILED);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_ptr_eq(libc.mmap((void *) 0x10000000, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, 99999, 0),
                     MAP_FAILED);
    ck_assert_int_eq(errno, EBADF);
    errno = 77;
    release_a_page();
    ck_assert_int_eq(errno, 77);
}
END_TEST

static _Thread_local bool is_opener;
static atomic_bool is_inside, is_cancelled;

/* Stays until the cancellation has been sent. */
static void on_release_wait(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf;
    (void) length;
    (void) cbdata;
    (void) from_alloc;
    if (is_opener) {
        atomic_store(&is_inside, true);
        while (!atomic_load(&is_cancelled)) {
        }
    }
}

static void *open_truncating(void *path)
{
    is_opener = true;
    libc.open(path, O_WRONLY | O_TRUNC);
    pthread_testcancel();
    return NULL;
}

/* libc lets a thread be cancelled anywhere within open: also in a callback, if nothing prevents that. */
START_TEST(open_that_is_cancelled_leaves_no_window)
{
    const int fd = make_file(1);
    char path[64];
    pthread_t thread;
    void *result;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    ck_assert_ptr_ne(libc.mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0), MAP_FAILED);
    ck_assert_int_eq(start("linux"), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_register_release(on_release_wait, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(pthread_create(&thread, NULL, open_truncating, path), 0);
    while (!atomic_load(&is_inside)) {
        sched_yield();
    }
    ck_assert_int_eq(pthread_cancel(thread), 0);
    atomic_store(&is_cancelled, true);
    ck_assert_int_eq(pthread_join(thread, &result), 0);
    ck_assert_ptr_eq(result, PTHREAD_CANCELED);
    ck_assert(!opal_mem_hooks_window_overlaps(0, SIZE_MAX));
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

/* ---- Setting up ------------------------------------------------------------------------------ */

static void load(void *handle, const char *name, void *function)
{
    void *symbol = dlsym(handle, name);

    if (symbol == NULL) {
        fprintf(stderr, "libc has no %s\n", name);
        exit(EXIT_FAILURE);
    }
    memcpy(function, &symbol, sizeof(symbol));
}

static ssize_t process_madvise_by_number(int pidfd, const struct iovec *vector, size_t count, int advice,
                                         unsigned flags)
{
    return syscall(SYS_process_madvise, pidfd, vector, count, advice, flags);
}

static void load_libc(void)
{
    void *handle = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);

    load(handle, "mmap", &libc.mmap);
    load(handle, "munmap", &libc.munmap);
    load(handle, "mremap", &libc.mremap);
    load(handle, "madvise", &libc.madvise);
    load(handle, "posix_madvise", &libc.posix_madvise);
    load(handle, "brk", &libc.brk);
    load(handle, "sbrk", &libc.sbrk);
    load(handle, "shmat", &libc.shmat);
    load(handle, "shmdt", &libc.shmdt);
    load(handle, "remap_file_pages", &libc.remap_file_pages);
    load(handle, "ftruncate", &libc.ftruncate);
    load(handle, "truncate", &libc.truncate);
    load(handle, "fallocate", &libc.fallocate);
    load(handle, "open", &libc.open);
    load(handle, "openat", &libc.openat);
    load(handle, "creat", &libc.creat);
    load(handle, "ioctl", &libc.ioctl);
    if (dlsym(handle, "process_madvise") != NULL) { /* Since glibc 2.36; before it programs use syscall(2). */
        load(handle, "process_madvise", &libc.process_madvise);
    } else {
        libc.process_madvise = process_madvise_by_number;
    }
}

static int count_scenes(const scene_t *scenes)
{
    int count = 0;

    while (scenes[count].name != NULL) {
        count++;
    }
    return count;
}

/* In a child, as a test would: the parent stays untouched. */
static bool can_run(void)
{
    const pid_t child = fork();
    int status = 1;

    if (child == 0) {
        _exit(start("linux") == OPAL_SUCCESS ? 0 : 1);
    }
    waitpid(child, &status, 0);
    return status == 0;
}

int main(void)
{
    if (is_under_valgrind()) {
        return test_skip(VALGRIND_SKIP);
    }
    Suite *suite = suite_create("linux_paths");
    TCase *with = tcase_create("with"), *without = tcase_create("without");

    load_libc();
    heard = libc.mmap(NULL, sizeof(*heard), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!can_run()) {
        return test_skip("the component linux cannot run here; see the message above");
    }
    tcase_add_checked_fixture(with, set_up, NULL);
    tcase_add_checked_fixture(without, set_up, NULL);
    tcase_add_loop_test(with, release_by_system_call_is_seen_exactly_and_before, 0, count_scenes(scenes_system));
    tcase_add_loop_test(with, release_by_libc_is_seen_exactly_and_before, 0, count_scenes(scenes_malloc));
    tcase_add_loop_test(with, release_by_file_or_vector_is_seen_exactly_and_before, 0, count_scenes(scenes_files));
    tcase_add_loop_test(with, file_call_that_releases_nothing_is_quiet, 0, count_scenes(scenes_files_quiet));
    tcase_add_loop_test(with, call_that_releases_nothing_is_quiet, 0, count_scenes(scenes_quiet));
    tcase_add_test(with, support_is_full_on_this_machine);
    tcase_add_test(with, finalize_puts_libc_back);
    tcase_add_test(with, hundred_starts_and_stops_leave_it_working);
    tcase_add_test(with, failing_call_reports_its_error);
    if (!TEST_IS_THREAD_SANITIZED) { /* It does not survive asynchronous cancellation. */
        tcase_add_test(with, open_that_is_cancelled_leaves_no_window);
    }
    suite_add_tcase(suite, with);
    tcase_add_loop_test(without, twin_with_noop_sees_nothing, 0, count_scenes(scenes_system));
    tcase_add_loop_test(without, twin_with_noop_sees_nothing_of_libc, 0, count_scenes(scenes_malloc));
    tcase_add_loop_test(without, twin_with_its_site_left_alone_sees_nothing, 0, count_scenes(scenes_system));
    tcase_add_loop_test(without, twin_with_noop_sees_nothing_of_files, 0, count_scenes(scenes_files));
    tcase_add_loop_test(without, twin_with_its_file_site_left_alone_sees_nothing, 0, count_scenes(scenes_files));
    suite_add_tcase(suite, without);
    return test_run(suite);
}
