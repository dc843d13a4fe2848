/* SPDX-License-Identifier: BSD-3-Clause */
/* rounds COUNT: start the library, make caches, use and destroy them, stop, and
 * again. For test_rounds_valgrind.sh, which counts what is left. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "opal/mca/rcache/provider.h"
#include "opal/opalmem.h"

#define LENGTH 65536

static int use(mca_rcache_base_module_t *cache)
{
    mca_rcache_base_registration_t *reg;
    void *memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || cache->rcache_register(cache, memory, LENGTH, 0, 0, &reg) != OPAL_SUCCESS
        || cache->rcache_deregister(cache, reg) != OPAL_SUCCESS) {
        return 1;
    }
    munmap(memory, LENGTH);
    return 0;
}

static int one_round(int argc, char **argv)
{
    mca_rcache_provider_t *provider;
    mca_rcache_base_resources_t resources = { .cache_name = "rounds" };
    if (opalmem_init(&argc, &argv) != OPAL_SUCCESS
        || mca_rcache_provider_open("none", &provider) != OPAL_SUCCESS) {
        return 1;
    }
    mca_rcache_provider_resources(provider, &resources);
    mca_rcache_base_module_t *cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    int rc = cache != NULL ? use(cache) : 1;
    if (mca_rcache_base_module_destroy(cache) != OPAL_SUCCESS) {
        rc = 1;
    }
    mca_rcache_provider_close(provider);
    return opalmem_finalize() != OPAL_SUCCESS ? 1 : rc;
}

/* What was there in the last round, so that a run that tests nothing is noticed. */
static void print_components(void)
{
    mca_base_component_info_t info;
    for (size_t i = 0; mca_base_component_get_info(i, &info) == OPAL_SUCCESS; i++) {
        printf("%s %s %s\n", info.framework, info.name, info.path != NULL ? "dso" : "static");
    }
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 1;
    for (int i = 0; i < rounds; i++) {
        char *arguments[] = { argv[0], NULL };
        if (one_round(1, arguments) != 0) {
            fprintf(stderr, "round %d failed\n", i + 1);
            return 1;
        }
    }
    if (opalmem_init(NULL, NULL) != OPAL_SUCCESS) {
        return 1;
    }
    print_components();
    return opalmem_finalize() != OPAL_SUCCESS;
}
