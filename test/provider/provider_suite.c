/* SPDX-License-Identifier: BSD-3-Clause */
/* Conformance suite for providers: running scenes, and what they have in common. */
#include "provider_suite_internal.h"

#include <dirent.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS_PER_SCENE 60
#define GUARD 64
#define RUBBISH 0xa5
#define MARK 0x5c

/* ---- Results ------------------------------------------------------------------------------------ */

void suite_fail(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    const char *name = strrchr(file, '/');
    char text[512];
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    dprintf(1, "# %s:%d: %s\n", name == NULL ? file : name + 1, line, text);
    _exit(1);
}

void suite_skip(const char *why)
{
    dprintf(1, "# left out: %s\n", why);
    _exit(SUITE_SKIP);
}

/* ---- Memory and registrations ------------------------------------------------------------------- */

char *suite_map(size_t size)
{
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    REQUIRE(memory != MAP_FAILED, "no memory for the scene: %zu bytes", size);
    return memory;
}

void suite_unmap(void *memory, size_t size)
{
    REQUIRE(munmap(memory, size) == 0, "munmap of the scene's own memory failed");
}

static size_t sizeof_reg(const scene_t *scene)
{
    return scene->resources.sizeof_reg;
}

mca_rcache_base_registration_t *suite_new(const scene_t *scene, void *base, size_t size, int32_t access)
{
    size_t whole = (sizeof_reg(scene) + GUARD + 63) / 64 * 64;
    mca_rcache_base_registration_t *reg = aligned_alloc(64, whole);
    REQUIRE(reg != NULL, "no memory for the scene");
    memset(reg, RUBBISH, sizeof_reg(scene));
    memset((char *) reg + sizeof_reg(scene), MARK, GUARD);
    memset(reg, 0, sizeof(*reg));
    reg->base = base;
    reg->bound = (unsigned char *) base + size - 1;
    reg->access_flags = access;
    return reg;
}

void suite_free(mca_rcache_base_registration_t *reg)
{
    free(reg);
}

static void check_guard(const scene_t *scene, const mca_rcache_base_registration_t *reg, const char *function)
{
    for (size_t i = 0; i < GUARD; i++) {
        REQUIRE(((const char *) reg)[sizeof_reg(scene) + i] == MARK, "%s wrote behind sizeof_reg, byte %zu",
                function, sizeof_reg(scene) + i);
    }
}

static int checked_call(scene_t *scene, mca_rcache_base_registration_t *reg, const char *function, bool enters)
{
    mca_rcache_base_registration_t before = *reg;
    void *data = scene->resources.reg_data;
    size_t size = (size_t) (reg->bound - reg->base) + 1;
    int rc = enters ? scene->resources.register_mem(data, reg->base, size, reg)
                    : scene->resources.deregister_mem(data, reg);
    REQUIRE(memcmp(&before, reg, sizeof(before)) == 0, "%s wrote into the cache's part of the registration",
            function);
    check_guard(scene, reg, function);
    REQUIRE(rc <= 0, "%s returned %d, which is no code", function, rc);
    return rc;
}

int suite_register(scene_t *scene, mca_rcache_base_registration_t *reg)
{
    return checked_call(scene, reg, "register_mem", true);
}

int suite_deregister(scene_t *scene, mca_rcache_base_registration_t *reg)
{
    return checked_call(scene, reg, "deregister_mem", false);
}

mca_rcache_base_registration_t *suite_enter(scene_t *scene, void *base, size_t size)
{
    mca_rcache_base_registration_t *reg = suite_new(scene, base, size, MCA_RCACHE_ACCESS_LOCAL_WRITE);
    int rc = suite_register(scene, reg);
    REQUIRE(rc == OPAL_SUCCESS, "register_mem of %zu bytes returned %d", size, rc);
    return reg;
}

void suite_end(scene_t *scene, mca_rcache_base_registration_t *reg)
{
    int rc = suite_deregister(scene, reg);
    REQUIRE(rc == OPAL_SUCCESS, "deregister_mem returned %d", rc);
    suite_free(reg);
}

/* ---- What is registered ------------------------------------------------------------------------- */

static size_t pinned_and_locked(void)
{
    char line[256];
    unsigned long value;
    size_t sum = 0;
    FILE *file = fopen("/proc/self/status", "re");
    REQUIRE(file != NULL, "/proc/self/status cannot be read");
    while (fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "VmPin: %lu", &value) == 1 || sscanf(line, "VmLck: %lu", &value) == 1) {
            sum += value * 1024;
        }
    }
    fclose(file);
    return sum;
}

static size_t registered(const scene_t *scene)
{
    return scene->suite->registered != NULL ? scene->suite->registered(scene->state) : pinned_and_locked();
}

void suite_must_have(scene_t *scene, size_t bytes)
{
    size_t expected = scene->suite->counts_nothing ? scene->before : scene->before + bytes;
    unsigned patience = scene->suite->settle_ms != 0 ? scene->suite->settle_ms : 3000;
    for (unsigned waited = 0; waited < patience && registered(scene) > expected; waited += 10) {
        usleep(10000);
    }
    size_t now = registered(scene);
    REQUIRE(now == expected, "%zu bytes are registered, not %zu", now - scene->before, expected - scene->before);
}

void suite_must_work(scene_t *scene, mca_rcache_base_registration_t *reg)
{
    if (scene->suite->works != NULL) {
        REQUIRE(scene->suite->works(scene->state, reg), "the registration does not work");
    }
}

/* ---- The provider and the process --------------------------------------------------------------- */

void suite_open(scene_t *scene)
{
    memset(&scene->resources, 0, sizeof(scene->resources));
    int rc = scene->suite->open(&scene->state, &scene->resources);
    REQUIRE(rc == OPAL_SUCCESS, "the provider cannot be opened: %d", rc);
    scene->before = registered(scene);
}

void suite_close(scene_t *scene)
{
    suite_must_have(scene, 0);
    scene->suite->close(scene->state);
}

static long entries(const char *folder)
{
    long count = 0;
    DIR *directory = opendir(folder);
    REQUIRE(directory != NULL, "%s cannot be read", folder);
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

static long lines_of(const char *path)
{
    long count = 0;
    int c;
    FILE *file = fopen(path, "re");
    REQUIRE(file != NULL, "%s cannot be read", path);
    while ((c = fgetc(file)) != EOF) {
        count += c == '\n';
    }
    fclose(file);
    return count;
}

suite_footprint_t suite_footprint(void)
{
    return (suite_footprint_t){ entries("/proc/self/fd"), lines_of("/proc/self/maps") };
}

void suite_in_child(scene_t *scene, void (*run)(scene_t *scene, void *arg), void *arg)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        alarm(SECONDS_PER_SCENE / 2);
        run(scene, arg);
        _exit(0);
    }
    REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid, "fork failed");
    REQUIRE(!WIFSIGNALED(status), "a fork child died from signal %d", WTERMSIG(status));
    REQUIRE(status == 0, "a fork child went wrong");
}

/* ---- Running ------------------------------------------------------------------------------------ */

static const scene_entry_t *const lists[] = { suite_direct_scenes, suite_thread_scenes, suite_hook_scenes,
                                              suite_cache_scenes };

static const scene_entry_t *entry(size_t number)
{
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        for (const scene_entry_t *scene = lists[i]; scene->name != NULL; scene++) {
            if (number-- == 0) {
                return scene;
            }
        }
    }
    return NULL;
}

size_t provider_suite_scenes(void)
{
    size_t count = 0;
    while (entry(count) != NULL) {
        count++;
    }
    return count;
}

const char *provider_suite_scene(size_t number)
{
    const scene_entry_t *scene = entry(number);
    return scene == NULL ? NULL : scene->name;
}

/* @return The status that waitpid() tells. */
static int run_scene(const provider_suite_t *suite, const scene_entry_t *entry)
{
    int status = -1;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        scene_t scene = { .suite = suite, .page = (size_t) sysconf(_SC_PAGESIZE) };
        signal(SIGALRM, SIG_DFL);
        alarm(SECONDS_PER_SCENE);
        entry->run(&scene);
        _exit(0);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}

static bool report(size_t number, const char *name, int status)
{
    bool skipped = WIFEXITED(status) && WEXITSTATUS(status) == SUITE_SKIP;
    if (WIFSIGNALED(status)) {
        printf("# %s (signal %d)\n", WTERMSIG(status) == SIGALRM ? "it hangs" : "it crashes", WTERMSIG(status));
    }
    printf("%s %zu - %s%s\n", status == 0 || skipped ? "ok" : "not ok", number, name, skipped ? " # SKIP" : "");
    fflush(stdout);
    return status == 0 || skipped;
}

int provider_suite_run(const provider_suite_t *suite, const char *only)
{
    size_t count = provider_suite_scenes();
    int failed = 0, ran = 0;
    printf("# provider %s\n1..%zu\n", suite->name, only == NULL ? count : (size_t) 1);
    for (size_t i = 0; i < count; i++) {
        const scene_entry_t *scene = entry(i);
        if (only == NULL || strcmp(only, scene->name) == 0) {
            ran++;
            failed += !report(i + 1, scene->name, run_scene(suite, scene));
        }
    }
    return ran == 0 ? -1 : failed;
}

int provider_suite_main(const provider_suite_t *suite, int argc, char **argv)
{
    void *state = NULL;
    mca_rcache_base_resources_t resources = { .cache_name = NULL };
    int rc = suite->open(&state, &resources);
    if (rc != OPAL_SUCCESS) {
        printf("1..0 # SKIP provider %s cannot be opened here: %s\n", suite->name, opal_strerror(rc));
        return 77;
    }
    suite->close(state);
    rc = provider_suite_run(suite, argc > 1 ? argv[1] : NULL);
    if (rc < 0) {
        printf("# there is no scene \"%s\"\n", argv[1]);
    }
    return rc == 0 ? 0 : 1;
}
