/* SPDX-License-Identifier: BSD-3-Clause */
/* Does the cache hear of a release?   demo arena | demo journal FILE | demo flood FILE   [--mca NAME VALUE] ...
 *
 * Registers memory, has its pages taken away in a way that no hook of this process sees, and looks whether the
 * cache would hand out the registration of pages that are gone. */
#include "arena.h"
#include "journal.h"

#include <opal/mca/rcache/provider.h>
#include <opal/opalmem.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int events; /* The compiler expects no callback from a system call. */

static void released(void *start, size_t length, void *cbdata, bool from_alloc)
{
    (void) start, (void) length, (void) cbdata, (void) from_alloc;
    events++;
}

/* Where the memory comes from, and how its pages go. */
typedef struct scene_t {
    void *memory;
    int (*release)(struct scene_t *scene);
    int journal_fd;
    journal_t *journal;
    int times; /* flood: more releases than a journal holds, so that nobody can read them all. */
} scene_t;

static int release_block(scene_t *scene)
{
    arena_interface.give(scene->memory);
    return 0;
}

/* Another process, as far as the hooks are concerned: the child's calls are not this one's. */
static int release_from_outside(scene_t *scene)
{
    int status = 1;
    pid_t child = fork();
    if (child == 0) {
        int rc = 0;
        for (int i = 0; i < scene->times && rc == 0; i++) {
            rc = journal_release(scene->journal_fd, scene->journal, scene->memory, ARENA_BLOCK_SIZE);
        }
        _exit(rc != 0);
    }
    return child < 0 || waitpid(child, &status, 0) != child || status != 0 ? -1 : 0;
}

/* Before the library starts: the component needs a journal that is there. */
static int prepare(scene_t *scene, int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "arena") == 0) {
        scene->memory = arena_interface.take();
        scene->release = release_block;
    } else if (argc > 2 && (strcmp(argv[1], "journal") == 0 || strcmp(argv[1], "flood") == 0)) {
        scene->times = argv[1][0] == 'f' ? JOURNAL_ENTRIES + 1 : 1;
        scene->journal_fd = journal_open(argv[2], &scene->journal);
        scene->memory = mmap(NULL, ARENA_BLOCK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        scene->release = release_from_outside;
    } else {
        fprintf(stderr, "usage: demo arena | demo journal FILE | demo flood FILE [--mca NAME VALUE] ...\n");
        return -1;
    }
    if (scene->journal_fd < 0 || scene->memory == NULL || scene->memory == MAP_FAILED) {
        perror("demo: no memory, or no journal");
        return -1;
    }
    return 0;
}

static int show(scene_t *scene, mca_rcache_base_module_t *cache)
{
    mca_rcache_base_registration_t *reg, *found = NULL;
    int rc = cache->rcache_register(cache, scene->memory, ARENA_BLOCK_SIZE, 0, MCA_RCACHE_ACCESS_ANY, &reg);
    if (rc == OPAL_SUCCESS) {
        rc = cache->rcache_deregister(cache, reg);
    }
    if (rc != OPAL_SUCCESS || scene->release(scene) != 0) {
        perror("demo: memory cannot be registered, or released");
        return 1;
    }
    rc = cache->rcache_find(cache, scene->memory, ARENA_BLOCK_SIZE, &found);
    printf("caching=%d events=%d stale=%d\n", mca_rcache_base_is_caching(cache), events, rc == OPAL_SUCCESS);
    return rc == OPAL_SUCCESS ? cache->rcache_deregister(cache, found) != OPAL_SUCCESS : 0;
}

/* Who is selected, and why others are not: the same that opalmem-info prints. */
static void list_components(void)
{
    mca_base_component_info_t info;
    for (size_t i = 0; mca_base_component_get_info(i, &info) == OPAL_SUCCESS; i++) {
        if (strcmp(info.framework, "memory") == 0) {
            printf("%s: %s%s%s\n", info.name, info.selected ? "selected" : "not selected",
                   info.reason[0] != '\0' ? ": " : "", info.reason);
        }
    }
}

int main(int argc, char **argv)
{
    mca_rcache_provider_t *provider;
    mca_rcache_base_resources_t resources = { 0 };
    scene_t scene = { 0 };
    if (prepare(&scene, argc, argv) != 0 || opalmem_init(&argc, &argv) != OPAL_SUCCESS
        || mca_rcache_provider_open("none", &provider) != OPAL_SUCCESS) {
        return 1;
    }
    mca_rcache_provider_resources(provider, &resources);
    mca_rcache_base_module_t *cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    if (cache == NULL) {
        return 1;
    }
    opal_mem_hooks_register_release(released,
                                    NULL); /* Refused where nothing is noticed: then there are no events. */
    list_components();
    int rc = show(&scene, cache);
    mca_rcache_base_module_destroy(cache);
    mca_rcache_provider_close(provider);
    return opalmem_finalize() != OPAL_SUCCESS || rc != 0;
}
