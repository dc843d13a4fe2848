/* SPDX-License-Identifier: BSD-3-Clause */
/* An object that calls functions of libc through its slots; built with lazy
 * binding, without, with a definition of its own. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT pid_t probe_call(void);
EXPORT void *probe_malloc(size_t size);
EXPORT void probe_free(void *block);
EXPORT int probe_munmap(void *addr, size_t length);
EXPORT pid_t (*probe_table(void))(void);

#ifdef PROBE_OWN
EXPORT pid_t getppid(void)
{
    return PROBE_OWN;
}
#endif

/* A pointer in data. */
static pid_t (*volatile table[])(void) = { getppid };

pid_t (*probe_table(void))(void)
{
    return table[0];
}

pid_t probe_call(void)
{
    return getppid();
}

void *probe_malloc(size_t size)
{
    return malloc(size);
}

void probe_free(void *block)
{
    free(block);
}

int probe_munmap(void *addr, size_t length)
{
    return munmap(addr, length);
}
