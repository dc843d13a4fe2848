/* SPDX-License-Identifier: BSD-3-Clause */
/* What the suite of the component "kdreg" shares. */
#include "test/kdreg/kdreg_test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>

#include "components/kdreg/kdreg_sys.h"
#include "framework/memory/memory_base.h"
#include "test/sanitized.h"

/* ---- Which device -------------------------------------------------------------------------------- */

static const char *device(void)
{
    const char *path = getenv("OPALMEM_TEST_KDREG_DEVICE");

    return path != NULL && path[0] != '\0' ? path : NULL;
}

bool kdreg_test_on_device(void)
{
    return device() != NULL;
}

int kdreg_test_prepare(void)
{
    if (device() == NULL) {
        fake_install();
        return 0;
    }
    const int fd = open(device(), O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        printf("%s: %s\n", device(), strerror(errno));
        return test_skip("the device named by OPALMEM_TEST_KDREG_DEVICE");
    }
    close(fd);
    return 0;
}

bool kdreg_test_can_script(const char *what)
{
    if (kdreg_test_on_device()) {
        printf("LEFT OUT on %s, which has no script: %s\n", device(), what);
        return false;
    }
    return true;
}

/* ---- The library --------------------------------------------------------------------------------- */

#ifndef OPALMEM_STATIC_MEMORY_KDREG
extern const opal_memory_base_component_t mca_memory_kdreg_component;
#endif

static void add_component(void)
{
#ifndef OPALMEM_STATIC_MEMORY_KDREG
    ck_assert_int_eq(mca_base_component_add_static("memory", &mca_memory_kdreg_component.memoryc_version),
                     OPAL_SUCCESS);
#endif
}

static void set_number(const char *name, size_t value)
{
    char text[32];

    snprintf(text, sizeof(text), "%zu", value);
    if (value != 0) {
        setenv(name, text, 1);
    } else {
        unsetenv(name);
    }
}

void kdreg_test_select(size_t max_regions, size_t limit)
{
    static bool is_added;

    if (!is_added) {
        add_component();
        is_added = true;
    }
    setenv("OPALMEM_MCA_memory", "kdreg", 1);
    if (device() != NULL) {
        setenv("OPALMEM_MCA_memory_kdreg_device", device(), 1);
    }
    set_number("OPALMEM_MCA_memory_kdreg_max_regions", max_regions);
    set_number("OPALMEM_MCA_memory_kdreg_max_regions_limit", limit);
}

/* Not the library's noop: as a DSO it would bring the shared library into a test that has the static one. */
static int query_nothing(mca_base_module_t **module, int *priority)
{
    *module = NULL;
    *priority = 0;
    return OPAL_SUCCESS;
}

static const opal_memory_base_component_t nothing = {
    .memoryc_version = {
        OPAL_MEMORY_BASE_VERSION_2_0_0,
        .mca_component_name = "nothing",
        .mca_query_component = query_nothing,
    },
    .memoryc_register = opal_memory_base_component_register_empty,
    .memoryc_deregister = opal_memory_base_component_deregister_empty,
};

void kdreg_test_select_nothing(void)
{
    ck_assert_int_eq(mca_base_component_add_static("memory", &nothing.memoryc_version), OPAL_SUCCESS);
    setenv("OPALMEM_MCA_memory", "nothing", 1);
}

#define MAX_EVENTS 100000

static struct {
    _Atomic size_t count;
    _Atomic long everything;
    struct {
        uintptr_t start, last;
    } event[MAX_EVENTS];
} told;

/* Hook context. */
static void on_release(void *start, size_t length, void *cbdata, bool from_alloc)
{
    (void) cbdata, (void) from_alloc;
    if (start == NULL && length == SIZE_MAX) {
        atomic_fetch_add(&told.everything, 1);
        return;
    }
    const size_t slot = atomic_fetch_add(&told.count, 1) % MAX_EVENTS;
    told.event[slot].start = (uintptr_t) start;
    told.event[slot].last = (uintptr_t) start + length - 1;
}

/* It is there, alone or with others. */
static void note_releases(void)
{
    ck_assert_str_eq(opal_memory_base_active[0].component->memoryc_version.mca_component_name, "kdreg");
    ck_assert_int_eq(opal_mem_hooks_register_release(on_release, NULL), OPAL_SUCCESS);
    kdreg_test_forget();
    fake_reset_counts();
}

void kdreg_test_start(size_t max_regions, size_t limit)
{
    kdreg_test_select(max_regions, limit);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_str_eq(opal_memory->memoryc_version.mca_component_name, "kdreg");
    note_releases();
}

void kdreg_test_start_as(const char *selection, size_t max_regions, size_t limit)
{
    kdreg_test_select(max_regions, limit);
    if (selection != NULL) {
        setenv("OPALMEM_MCA_memory", selection, 1);
    } else {
        unsetenv("OPALMEM_MCA_memory");
    }
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    note_releases();
}

/* As a DSO it would bring another copy of the library. */
bool kdreg_test_can_have_linux(void)
{
#ifdef OPALMEM_STATIC_MEMORY_LINUX
    const bool is_linked_in = true;
#else
    const bool is_linked_in = false;
#endif
    if (!is_linked_in || TEST_IS_THREAD_SANITIZED) {
        printf("LEFT OUT: linux beside it, which is not linked in, or is not made for this sanitizer\n");
        return false;
    }
    kdreg_test_select(0, 0);
    setenv("OPALMEM_MCA_memory", "linux+kdreg", 1);
    if (opalmem_init(NULL, NULL) != OPAL_SUCCESS) {
        printf("LEFT OUT: linux beside it, which cannot run here\n");
        return false;
    }
    return opalmem_finalize() == OPAL_SUCCESS;
}

void kdreg_test_stop(void)
{
    int fds[8];

    ck_assert_int_eq(opal_mem_hooks_unregister_release(on_release), OPAL_SUCCESS);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    ck_assert_uint_eq(kdreg_test_descriptors(fds, 8), 0);
    if (!kdreg_test_on_device()) {
        ck_assert_int_eq(fake_open_files(), 0);
    }
}

/* ---- Memory -------------------------------------------------------------------------------------- */

/* Not by Check: other threads may have its lock at a fork, and the child would wait for them. */
static void must(bool condition, const char *what)
{
    if (!condition) {
        perror(what);
        abort();
    }
}

unsigned char *kdreg_test_pages(size_t count)
{
    unsigned char *pages = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    must(pages != MAP_FAILED, "mmap");
    memset(pages, 1, count * PAGE);
    return pages;
}

static void notify(void *start, size_t length)
{
    if (!kdreg_test_on_device()) {
        fake_notify(start, length);
    }
}

void kdreg_test_munmap(void *start, size_t length)
{
    must(munmap(start, length) == 0, "munmap");
    notify(start, length);
}

void kdreg_test_discard(void *start, size_t length)
{
    must(madvise(start, length, MADV_DONTNEED) == 0, "madvise");
    notify(start, length);
}

void kdreg_test_map_over(void *start, size_t length)
{
    void *now = mmap(start, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

    must(now == start, "mmap");
    notify(start, length);
}

void *kdreg_test_mremap(void *start, size_t length)
{
    void *place = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    must(place != MAP_FAILED, "mmap");
    must(mremap(start, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place, "mremap");
    notify(start, length);
    return place;
}

void kdreg_test_truncate(int fd, void *start, size_t length)
{
    must(ftruncate(fd, 0) == 0, "ftruncate");
    notify(start, length);
}

void kdreg_test_dont_fork(void *start, size_t length)
{
    must(madvise(start, length, MADV_DONTFORK) == 0, "madvise");
    if (!kdreg_test_on_device()) {
        fake_dont_fork(start, length);
    }
}

/* A raw fork takes no lock: the fake's is free, where no other thread is in it. */
pid_t kdreg_test_fork(bool is_raw)
{
    const pid_t pid = is_raw ? raw_fork() : fork();

    if (pid > 0 && !kdreg_test_on_device()) {
        fake_notify_fork();
    }
    return pid;
}

int kdreg_test_close(int fd)
{
    return kdreg_test_on_device() ? close(fd) : fake_close(fd);
}

int kdreg_test_dup2(int from, int to)
{
    kdreg_test_close(to);
    return dup2(from, to);
}

/* ---- Events -------------------------------------------------------------------------------------- */

int kdreg_test_watch(void *start, size_t length, opal_memory_watch_t *watch)
{
    *watch = (opal_memory_watch_t){ .cookie = opal_memory_base_new_cookie() };
    return opal_memory_base_watch(start, length, watch);
}

bool kdreg_test_is_good(const opal_memory_watch_t *watch)
{
    return !opal_memory_changed() && opal_memory_watch_holds(watch);
}

long kdreg_test_told(const void *start, size_t length)
{
    const uintptr_t first = (uintptr_t) start, last = first + length - 1;
    const size_t count = atomic_load(&told.count);
    long number = 0;

    for (size_t i = 0; i < count && i < MAX_EVENTS; i++) {
        number += told.event[i].start <= last && told.event[i].last >= first;
    }
    return number;
}

long kdreg_test_told_everything(void)
{
    return atomic_load(&told.everything);
}

void kdreg_test_forget(void)
{
    atomic_store(&told.count, 0);
    atomic_store(&told.everything, 0);
}

void kdreg_test_deliver(void)
{
    for (int i = 0; i < 1000 && kdreg_test_on_device() && !opal_memory_changed(); i++) {
        usleep(1000);
    }
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
}

/* By what the component itself looks at: the number of the device. */
static bool is_of_the_device(int fd)
{
    struct stat status, real, wanted = { .st_rdev = 0 };

    if (kdreg_sys->fstat(fd, &status) != 0 || !S_ISCHR(status.st_mode) || status.st_rdev == 0) {
        return false;
    }
    if (kdreg_test_on_device()) {
        return stat(device(), &wanted) == 0 && wanted.st_rdev == status.st_rdev;
    }
    return fstat(fd, &real) != 0 || !S_ISCHR(real.st_mode);
}

size_t kdreg_test_descriptors(int *fds, size_t room)
{
    size_t count = 0;
    DIR *all = opendir("/proc/self/fd");
    const struct dirent *entry;

    ck_assert_ptr_nonnull(all);
    while ((entry = readdir(all)) != NULL) {
        const int fd = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && fd != dirfd(all) && is_of_the_device(fd) && count < room) {
            fds[count++] = fd;
        }
    }
    closedir(all);
    return count;
}
