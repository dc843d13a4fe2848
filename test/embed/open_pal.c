/* SPDX-License-Identifier: BSD-3-Clause */
/* A program with two libraries that have functions of the same names: ours, and Open MPI's libopen-pal, which is
 * declared here by hand (its headers would contradict ours). Both run: each has its own variables, and its own
 * memory hooks. */
#include <opal/mca/rcache/provider.h>
#include <opal/mca/rcache/rcache.h>
#include <opal/opalmem.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE ((size_t) 4 << 20)

#define EXPECT(condition)                                            \
    do {                                                             \
        if (!(condition)) {                                          \
            printf("line %d: not true: %s\n", __LINE__, #condition); \
            return 1;                                                \
        }                                                            \
    } while (0)

/* Of libopen-pal.so.40. Where we have the same name, the macro of our header would change it. */
int opal_init(int *argc, char ***argv);
int opal_finalize(void);
typedef void(their_callback_t)(void *buffer, size_t length, void *arg, bool from_alloc);
int their_register_release(their_callback_t *callback, void *arg) __asm__("opal_mem_hooks_register_release");
int their_unregister_release(their_callback_t *callback) __asm__("opal_mem_hooks_unregister_release");
int their_support_level(void) __asm__("opal_mem_hooks_support_level");
int their_var_find(const char *project, const char *framework, const char *component,
                   const char *name) __asm__("mca_base_var_find");

int their_framework_open(void *framework, int flags) __asm__("mca_base_framework_open");
extern char opal_memory_base_framework[]; /* A structure of theirs. */

static volatile int our_releases, their_releases;

static void count(void *buffer, size_t length, void *arg, bool from_alloc)
{
    (void) buffer, (void) length, (void) from_alloc;
    (*(volatile int *) arg)++;
}

/* Another function: an identity of its own. */
static void count_theirs(void *buffer, size_t length, void *arg, bool from_alloc)
{
    count(buffer, length, arg, from_alloc);
}

static void release_memory(void)
{
    void *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    munmap(memory, SIZE);
}

static int own_value;

static bool we_know(const char *name)
{
    mca_base_var_info_t info;

    for (size_t i = 0; i < mca_base_var_count(); i++) {
        if (mca_base_var_get_info(i, &info) == OPAL_SUCCESS && strcmp(info.full_name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* A variable of ours is not one of theirs, and the other way round. */
static int try_variables(void)
{
    const mca_base_var_def_t def = {
        .framework = "memory",
        .component = "beside",
        .name = "value",
        .help = "Ours alone.",
        .type = MCA_BASE_VAR_TYPE_INT,
        .info_level = 9,
        .storage = &own_value,
    };

    EXPECT(mca_base_var_register(&def) == OPAL_SUCCESS);
    EXPECT(we_know("memory_beside_value"));
    EXPECT(their_var_find("opal", "memory", "beside", "value") < 0);
    EXPECT(their_var_find("opal", "opal", NULL, "signal") >= 0);
    EXPECT(!we_know("opal_signal"));
    return 0;
}

/* Callbacks that are registered with one are not called, nor known, by the other. */
static int try_hooks(void)
{
    const bool notices = opal_mem_hooks_support_level() != 0;
    int before;

    EXPECT(opal_mem_hooks_register_release(count, (void *) &our_releases)
           == (notices ? OPAL_SUCCESS : OPAL_ERR_NOT_SUPPORTED));
    release_memory();
    EXPECT((our_releases > 0) == notices);
    before = their_releases;
    (void) their_register_release(count_theirs, (void *) &their_releases);
    EXPECT(opal_mem_hooks_unregister_release(count_theirs) == OPAL_ERR_NOT_FOUND);
    release_memory();
    EXPECT(their_support_level() != 0 || their_releases == before);
    (void) their_unregister_release(count_theirs);
    if (notices) {
        EXPECT(opal_mem_hooks_unregister_release(count) == OPAL_SUCCESS);
    }
    printf("ours notices %#x, theirs %#x\n", (unsigned) opal_mem_hooks_support_level(),
           (unsigned) their_support_level());
    return 0;
}

static int run(bool ours_first, int argc, char **argv)
{
    if (ours_first) {
        EXPECT(opalmem_init(NULL, NULL) == OPAL_SUCCESS);
    }
    EXPECT(opal_init(&argc, &argv) == 0);
    if (!ours_first) {
        EXPECT(opalmem_init(NULL, NULL) == OPAL_SUCCESS);
    }
    EXPECT(try_variables() == 0);
    EXPECT(try_hooks() == 0);
    if (!ours_first) {
        EXPECT(opalmem_finalize() == OPAL_SUCCESS);
        EXPECT(their_var_find("opal", "memory", "beside", "value") < 0);
    }
    EXPECT(opal_finalize() == 0);
    if (ours_first) {
        EXPECT(we_know("memory_beside_value"));
        EXPECT(opalmem_finalize() == OPAL_SUCCESS);
    }
    return 0;
}

static bool holds(mca_rcache_base_module_t *cache, void *memory)
{
    mca_rcache_base_registration_t *reg = NULL;

    if (cache->rcache_find(cache, memory, SIZE, &reg) != OPAL_SUCCESS) {
        return false;
    }
    cache->rcache_deregister(cache, reg);
    return true;
}

static bool keeps(mca_rcache_base_module_t *cache, void *memory)
{
    mca_rcache_base_registration_t *reg = NULL;

    if (cache->rcache_register(cache, memory, SIZE, 0, MCA_RCACHE_ACCESS_ANY, &reg) == OPAL_SUCCESS) {
        cache->rcache_deregister(cache, reg);
    }
    return holds(cache, memory);
}

/* Ours runs and caches; then their memory/patcher starts, and takes libc over: its calls reach us still. (In all other
 * orders: test/company.) */
static int run_patcher(int argc, char **argv)
{
    mca_rcache_base_resources_t resources = { 0 };
    mca_rcache_provider_t *provider;
    mca_rcache_base_module_t *cache;
    void *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    EXPECT(opalmem_init(NULL, NULL) == OPAL_SUCCESS);
    EXPECT(mca_rcache_provider_open("none", &provider) == OPAL_SUCCESS);
    mca_rcache_provider_resources(provider, &resources);
    cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    EXPECT(cache != NULL);
    if (!keeps(cache, memory)) {
        return 77;
    }
    EXPECT(opal_init(&argc, &argv) == 0);
    EXPECT(their_framework_open(opal_memory_base_framework, 0) == 0);
    (void) their_register_release(count_theirs, (void *) &their_releases);
    if (their_support_level() == 0) {
        return 77;
    }
    release_memory();
    EXPECT(their_releases > 0);
    EXPECT(keeps(cache, memory));
    EXPECT(munmap(memory, SIZE) == 0);
    EXPECT(!holds(cache, memory));
    EXPECT(mca_rcache_base_module_destroy(cache) == OPAL_SUCCESS);
    mca_rcache_provider_close(provider);
    EXPECT(opalmem_finalize() == OPAL_SUCCESS);
    release_memory();
    (void) their_unregister_release(count_theirs);
    EXPECT(opal_finalize() == 0);
    return 0;
}

/* The argument says which is started first: "ours" or "theirs"; or "nothing"; or "patcher". */
int main(int argc, char **argv)
{
    if (argc != 2 || strcmp(argv[1], "nothing") == 0) {
        return 0;
    }
    alarm(60);
    return strcmp(argv[1], "patcher") == 0 ? run_patcher(1, argv) : run(strcmp(argv[1], "ours") == 0, 1, argv);
}
