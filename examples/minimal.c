/* Counts the releases that the hooks report. Build: cc minimal.c $(pkg-config --cflags --libs opalmem) */
#include <opal/opalmem.h>
#include <stdio.h>
#include <stdlib.h>

static void released(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) from_alloc; /* Here a cache drops what overlaps the range. */
    ++*(int *) cbdata;                            /* No malloc, no stdio, no waiting: see memory.h. */
}

int main(int argc, char **argv)
{
    int count = 0;
    if (opalmem_init(&argc, &argv) != OPAL_SUCCESS) /* Takes --mca NAME VALUE. */
        return 1;
    opal_mem_hooks_register_release(released, &count);
    char *volatile block = malloc(64 << 20);
    free(block);
    printf("%s: %d release(s)\n", opal_memory->memoryc_version.mca_component_name, count);
    return opalmem_finalize() != OPAL_SUCCESS;
}
