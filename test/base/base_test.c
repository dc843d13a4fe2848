/* SPDX-License-Identifier: BSD-3-Clause */
/* Implements base_test.h. */
#include "base_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/test_main.h"

/* ---- Log ---------------------------------------------------------------------------------------- */

enum { LEVELS = MCA_BASE_LOG_DEBUG + 1 };
static unsigned counts[LEVELS];
static char last[LEVELS][2048];

static void collect(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) arg;
    counts[level]++;
    snprintf(last[level], sizeof last[level], "%s", message);
}

void log_start(void)
{
    memset(counts, 0, sizeof counts);
    memset(last, 0, sizeof last);
    mca_base_set_log(collect, NULL);
}

unsigned log_count(mca_base_log_level_t level)
{
    return counts[level];
}

const char *log_last(mca_base_log_level_t level)
{
    return last[level];
}

void log_expect(mca_base_log_level_t level, const char *text)
{
    ck_assert_msg(strstr(last[level], text) != NULL, "\"%s\" is not in the message \"%s\"", text, last[level]);
}

/* ---- Settings ----------------------------------------------------------------------------------- */

int take_arguments(const char *first, ...)
{
    static char *list[32];
    char **argv = list;
    int argc = 1;
    list[0] = (char *) "test";
    va_list args;
    va_start(args, first);
    for (const char *argument = first; argument != NULL; argument = va_arg(args, const char *)) {
        ck_assert_int_lt(argc, 31);
        list[argc++] = (char *) (uintptr_t) argument;
    }
    va_end(args);
    list[argc] = NULL;
    return mca_base_cmd_line_take(&argc, &argv);
}

/* ---- The framework "fake" ------------------------------------------------------------------------ */

mca_base_framework_t fake_framework = {
    .name = "fake",
    .version = { 3, 1 },
    .component_size = sizeof(mca_base_component_t),
};

mca_base_component_item_t *fake_item(const char *name)
{
    mca_base_component_item_t *item = fake_framework.items;
    while (item != NULL && strcmp(item->name, name) != 0) {
        item = item->next;
    }
    ck_assert_msg(item != NULL, "there is no component %s", name);
    return item;
}

/* ---- Folders of DSOs ------------------------------------------------------------------------------ */

const char *make_folder(void)
{
    static char paths[4][32];
    static unsigned count;
    ck_assert_uint_lt(count, 4);
    char *path = strcpy(paths[count++], "/tmp/opalmem-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(path));
    return path;
}

static size_t read_whole(const char *path, char **bytes)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_msg(fd >= 0 && fstat(fd, &status) == 0, "cannot read %s", path);
    size_t size = (size_t) status.st_size;
    *bytes = malloc(size);
    ck_assert_int_eq(read(fd, *bytes, size), (ssize_t) size);
    close(fd);
    return size;
}

void install_module(const char *folder, const char *module, const char *as, size_t limit)
{
    char path[512];
    char *bytes;
    snprintf(path, sizeof path, "%s/mca_fake_%s.so", TEST_MODULE_DIR, module);
    size_t size = read_whole(path, &bytes);
    size = size < limit ? size : limit;
    snprintf(path, sizeof path, "%s/mca_fake_%s.so", folder, as);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, size), (ssize_t) size);
    close(fd);
    free(bytes);
}

void remove_folder(const char *folder)
{
    DIR *stream = opendir(folder);
    const struct dirent *entry;
    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        unlinkat(dirfd(stream), entry->d_name, 0);
    }
    if (stream != NULL) {
        closedir(stream);
    }
    rmdir(folder);
}

void use_folder(const char *folder)
{
    setenv("OPALMEM_MCA_mca_base_component_path", folder, 1);
}

/* ---- Counting what is left ------------------------------------------------------------------------ */

/* mallinfo() counts malloc's caches of freed blocks as used, which hides small leaks. So the blocks are
 * counted, of this program and of every library in it. */
static atomic_long live_blocks;
/* Allocations until one fails; below 0, none does. */
static atomic_long until_failure = -1;
#if !TEST_SANITIZED
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void __libc_free(void *block);

static bool fails(void)
{
    return until_failure >= 0 && until_failure-- == 0;
}

OPAL_DECLSPEC void *malloc(size_t size)
{
    void *block = fails() ? NULL : __libc_malloc(size);
    live_blocks += block != NULL;
    return block;
}

OPAL_DECLSPEC void *calloc(size_t count, size_t size)
{
    void *block = fails() ? NULL : __libc_calloc(count, size);
    live_blocks += block != NULL;
    return block;
}

OPAL_DECLSPEC void *realloc(void *block, size_t size)
{
    if (size != 0 && fails()) {
        return NULL;
    }
    void *moved = __libc_realloc(block, size);
    live_blocks += (moved != NULL && block == NULL) - (moved == NULL && block != NULL && size == 0);
    return moved;
}

OPAL_DECLSPEC void free(void *block)
{
    live_blocks -= block != NULL;
    __libc_free(block);
}
#endif

bool heap_is_counted(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
    return !TEST_SANITIZED && (preloaded == NULL || strstr(preloaded, "vgpreload") == NULL);
}

static long count_descriptors(void)
{
    long count = 0;
    DIR *stream = opendir("/proc/self/fd");
    while (stream != NULL && readdir(stream) != NULL) {
        count++;
    }
    if (stream != NULL) {
        closedir(stream);
    }
    return count;
}

static long count_mappings(void)
{
    long count = 0;
    char line[1024];
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        count += strchr(line, '/') != NULL;
    }
    if (maps != NULL) {
        fclose(maps);
    }
    return count;
}

growth_t measure_growth(void (*round)(void))
{
    enum { WARM_UP = 3, ROUNDS = 100 };
    for (int i = 0; i < WARM_UP; i++) {
        round();
    }
    growth_t before = { live_blocks, count_descriptors(), count_mappings() };
    for (int i = 0; i < ROUNDS; i++) {
        round();
    }
    growth_t after = { live_blocks, count_descriptors(), count_mappings() };
    return (growth_t){ after.blocks - before.blocks, after.descriptors - before.descriptors,
                       after.mappings - before.mappings };
}

void expect_no_growth(void (*round)(void))
{
    growth_t growth = measure_growth(round);
    ck_assert_int_eq(growth.blocks, 0);
    ck_assert_int_eq(growth.descriptors, 0);
    ck_assert_int_eq(growth.mappings, 0);
}

void fail_each_allocation(void (*round)(void), long most)
{
    round();
    bool failed = heap_is_counted();
    for (long nth = 0; failed; nth++) {
        ck_assert_int_lt(nth, most);
        long before = live_blocks;
        until_failure = nth;
        round();
        failed = until_failure < 0;
        until_failure = -1;
        long after = live_blocks;
        ck_assert_msg(after == before, "failing allocation %ld leaves %ld blocks", nth, after - before);
    }
}

/* What the person or the makefile that runs the tests has set would change what they see. */
static void clear_settings(void)
{
    for (char **entry = environ; *entry != NULL;) {
        char name[256];
        size_t length = strcspn(*entry, "=");
        bool ours = strncmp(*entry, "OPALMEM_MCA_", 12) == 0 || strncmp(*entry, "OMPI_MCA_", 9) == 0;
        if (ours && length < sizeof name) {
            memcpy(name, *entry, length);
            name[length] = '\0';
            unsetenv(name);
            entry = environ;
        } else {
            entry++;
        }
    }
    setenv("OPALMEM_MCA_mca_base_param_files", "none", 1);
}

int run_tests(const char *name, void (*add)(TCase *tests))
{
    clear_settings();
    Suite *suite = suite_create(name);
    TCase *tests = tcase_create(name);
    tcase_set_timeout(tests, 240);
    add(tests);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
