/* SPDX-License-Identifier: BSD-3-Clause */
/* See ummunotify_fixture.h. */
#include "test/ummunotify/ummunotify_fixture.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

MCA_BASE_COMPONENT_DECLSPEC extern const opal_memory_base_component_t mca_memory_ummunotify_component;

bool on_device(void)
{
    return getenv("OPALMEM_TEST_UMMUNOTIFY_DEVICE") != NULL;
}

/* ---- Suites ---------------------------------------------------------------------------------------- */

static unsigned left_out;

void add_scripted(TCase *tests, const TTest *test, const char *name, int first, int end)
{
    if (on_device()) {
        for (int i = first; i < end; i++) {
            printf("LEFT OUT on a device: %s, %d: it scripts the driver\n", name, i);
        }
        left_out += (unsigned) (end - first);
    } else {
        tcase_add_loop_test(tests, test, first, end);
    }
}

int fixture_run(Suite *suite)
{
    const int rc = test_run(suite);

    if (on_device()) {
        printf("on %s: %u tests left out, which script the driver\n", getenv("OPALMEM_TEST_UMMUNOTIFY_DEVICE"),
               left_out);
    }
    return rc;
}

/* ---- The library ----------------------------------------------------------------------------------- */

/* Not the library's noop: as a DSO, that would bring the shared library into tests that have the static one in them. */
static int query_deaf(mca_base_module_t **module, int *priority)
{
    *module = NULL;
    *priority = 0;
    return OPAL_SUCCESS;
}

static const opal_memory_base_component_t deaf = {
    .memoryc_version = {
        OPAL_MEMORY_BASE_VERSION_2_0_0,
        .mca_component_name = "deaf",
        .mca_query_component = query_deaf,
    },
    .memoryc_register = opal_memory_base_component_register_empty,
    .memoryc_deregister = opal_memory_base_component_deregister_empty,
};

static char messages[16384];
static pthread_mutex_t messages_lock = PTHREAD_MUTEX_INITIALIZER;
static size_t descriptors;

static void collect(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) level, (void) arg;
    pthread_mutex_lock(&messages_lock);
    const size_t used = strlen(messages);
    snprintf(messages + used, sizeof(messages) - used, "%s\n", message);
    pthread_mutex_unlock(&messages_lock);
}

const char *fixture_messages(void)
{
    static char copy[sizeof(messages)];

    pthread_mutex_lock(&messages_lock);
    memcpy(copy, messages, sizeof(copy));
    messages[0] = '\0';
    pthread_mutex_unlock(&messages_lock);
    return copy;
}

static size_t count_descriptors(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");

    ck_assert_ptr_nonnull(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count;
}

static void on_release(void *start, size_t length, void *arg, bool from_alloc);

static void prepare(void)
{
    static bool is_prepared;

    if (is_prepared) {
        return;
    }
    is_prepared = true;
    mca_base_set_log(collect, NULL);
    if (on_device()) {
        setenv("OPALMEM_MCA_memory_ummunotify_device", getenv("OPALMEM_TEST_UMMUNOTIFY_DEVICE"), 1);
    } else {
        fake_install();
    }
    ck_assert_int_eq(mca_base_component_add_static("memory", &deaf.memoryc_version), OPAL_SUCCESS);
#ifndef OPALMEM_STATIC_MEMORY_UMMUNOTIFY
    ck_assert_int_eq(mca_base_component_add_static("memory", &mca_memory_ummunotify_component.memoryc_version),
                     OPAL_SUCCESS);
#endif
    descriptors = count_descriptors();
}

int fixture_init(const char *component)
{
    prepare();
    setenv("OPALMEM_MCA_memory", component, 1);
    const int rc = opalmem_init(NULL, NULL);
    if (rc == OPAL_SUCCESS) {
        opal_mem_hooks_register_release(on_release, NULL); /* Refused where nothing is noticed. */
    }
    return rc;
}

void fixture_start(void)
{
    const int rc = fixture_init("ummunotify");

    ck_assert_msg(rc == OPAL_SUCCESS, "%d: %s", rc, fixture_messages());
    ck_assert_str_eq(opal_memory->memoryc_version.mca_component_name, "ummunotify");
}

void fixture_stop(void)
{
    opal_mem_hooks_unregister_release(on_release);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    if (!on_device()) {
        ck_assert_uint_eq(fake_devices(), 0);
        ck_assert_uint_eq(fake_strangers(), 0);
    }
    ck_assert_uint_eq(count_descriptors(), descriptors);
}

/* ---- Memory ---------------------------------------------------------------------------------------- */

/* Assertions of Check take a lock, which a fork child may find taken: threads and children use this. */
#define REQUIRE(what)                                             \
    do {                                                          \
        if (!(what)) {                                            \
            fprintf(stderr, "%s: not so: %s\n", __func__, #what); \
            abort();                                              \
        }                                                         \
    } while (0)

unsigned char *get_pages(size_t count)
{
    void *pages = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    REQUIRE(pages != MAP_FAILED);
    memset(pages, 1, count * PAGE);
    return pages;
}

void unmap_pages(unsigned char *start, size_t count)
{
    REQUIRE(munmap(start, count * PAGE) == 0);
}

/* What is moved goes to a place that nobody else has. */
void lose(ummunotify_kind_t kind, unsigned char *start, size_t pages)
{
    ummunotify_release_t release = { .kind = kind, .start = start, .length = pages * PAGE, .fd = -1 };

    if (kind == UMMUNOTIFY_MOVE) {
        release.target = get_pages(pages);
    }
    REQUIRE(ummunotify_sys->release(&release) == 0);
    if (kind == UMMUNOTIFY_MOVE) {
        unmap_pages(release.target, pages);
    }
}

opal_memory_watch_t watch_pages(unsigned char *start, size_t pages)
{
    opal_memory_watch_t watch = { .cookie = opal_memory_base_new_cookie() };

    REQUIRE(opal_memory_base_watch(start, pages * PAGE, &watch) == OPAL_SUCCESS);
    return watch;
}

void unwatch_pages(unsigned char *start, size_t pages, opal_memory_watch_t *watch)
{
    REQUIRE(opal_memory_base_unwatch(start, pages * PAGE, watch) == OPAL_SUCCESS);
}

/* Another thread may be at it for long. */
void sync_now(void)
{
    int rc;

    do {
        rc = opal_memory_base_sync();
    } while (rc == OPAL_ERR_WOULD_BLOCK);
    REQUIRE(rc == OPAL_SUCCESS);
}

/* ---- What was told ---------------------------------------------------------------------------------- */

#define MAX_TOLD 16384

static struct {
    uintptr_t start;
    size_t length;
} record[MAX_TOLD];
static size_t recorded;
static pthread_mutex_t record_lock = PTHREAD_MUTEX_INITIALIZER;

static void on_release(void *start, size_t length, void *arg, bool from_alloc)
{
    (void) arg, (void) from_alloc;
    pthread_mutex_lock(&record_lock);
    record[recorded].start = (uintptr_t) start;
    record[recorded].length = length;
    recorded = recorded + 1 < MAX_TOLD ? recorded + 1 : recorded;
    pthread_mutex_unlock(&record_lock);
}

/* The last byte, since everything has no end that can be said. */
static bool overlaps(size_t i, uintptr_t start, size_t length)
{
    return record[i].start <= start + (length - 1) && start <= record[i].start + (record[i].length - 1);
}

size_t told(const void *start, size_t length)
{
    size_t count = 0;

    pthread_mutex_lock(&record_lock);
    for (size_t i = 0; i < recorded; i++) {
        count += overlaps(i, (uintptr_t) start, length);
    }
    pthread_mutex_unlock(&record_lock);
    return count;
}

bool told_exactly(const void *start, size_t length)
{
    bool result = false;

    pthread_mutex_lock(&record_lock);
    for (size_t i = 0; i < recorded; i++) {
        result |= record[i].start == (uintptr_t) start && record[i].length == length;
    }
    pthread_mutex_unlock(&record_lock);
    return result;
}

bool told_everything(void)
{
    bool result = false;

    pthread_mutex_lock(&record_lock);
    for (size_t i = 0; i < recorded; i++) {
        result |= record[i].start == 0 && record[i].length > SIZE_MAX / 2;
    }
    pthread_mutex_unlock(&record_lock);
    return result;
}

void forget_told(void)
{
    pthread_mutex_lock(&record_lock);
    recorded = 0;
    pthread_mutex_unlock(&record_lock);
}
