/* cc minimal.c $(pkg-config --cflags --libs opalmem) */
#include <opal/opalmem.h>
#include <stdio.h>
#include <stdlib.h>

static volatile int releases; /* volatile: the compiler expects no callback from free(). */

static void released(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
    releases++; /* Here a cache drops what overlaps the range. No malloc, no stdio, no waiting. */
}

int main(int argc, char **argv)
{
    if (opalmem_init(&argc, &argv) != OPAL_SUCCESS) /* Takes --mca NAME VALUE. */
        return 1;
    opal_mem_hooks_register_release(released, NULL);
    void *volatile block = malloc(64 << 20);
    free(block);
    printf("%s: %d release(s)\n", opal_memory->memoryc_version.mca_component_name, releases);
    return opalmem_finalize() != OPAL_SUCCESS;
}
