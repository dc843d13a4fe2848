/* SPDX-License-Identifier: BSD-3-Clause */
/* A cache on the provider of ring_provider.h: what the kernel counts as pinned
 * while memory is used, when it is cached, and after it was released. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "ring_provider.h"

#define SIZE ((size_t) 1 << 20)

static long pinned_kb(void)
{
    char line[256];
    long value = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL && sscanf(line, "VmPin: %ld", &value) != 1) {
    }
    if (file != NULL) {
        fclose(file);
    }
    return value;
}

static int use(mca_rcache_base_module_t *cache, void *memory)
{
    mca_rcache_base_registration_t *reg;
    int rc = cache->rcache_register(cache, memory, SIZE, 0, MCA_RCACHE_ACCESS_LOCAL_WRITE, &reg);
    if (rc != OPAL_SUCCESS) {
        printf("cannot be registered: %s\n", opal_strerror(rc));
        return rc;
    }
    printf("in use:   slot %u, %ld KiB pinned\n", ((ring_registration_t *) reg)->slot, pinned_kb());
    return cache->rcache_deregister(cache, reg);
}

static int show(mca_rcache_base_module_t *cache)
{
    void *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || use(cache, memory) != OPAL_SUCCESS) {
        return 1;
    }
    printf("cached:   %ld KiB pinned\n", pinned_kb());
    munmap(memory, SIZE);
    printf("released: %ld KiB pinned\n", pinned_kb());
    return 0;
}

int main(void)
{
    ring_provider_t *provider;
    mca_rcache_base_resources_t resources = { .flags = 0 };
    int rc = opalmem_init(NULL, NULL);
    rc = rc == OPAL_SUCCESS ? ring_provider_open(&provider, &resources) : rc;
    if (rc != OPAL_SUCCESS) {
        printf("io_uring with sparse buffer tables cannot be used here: %s\n", opal_strerror(rc));
        return 77;
    }
    mca_rcache_base_module_t *cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    int status = cache == NULL ? 1 : show(cache);
    if (cache != NULL) {
        mca_rcache_base_module_destroy(cache);
    }
    ring_provider_close(provider);
    opalmem_finalize();
    return status;
}
