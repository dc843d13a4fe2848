/* SPDX-License-Identifier: BSD-3-Clause */
/* A user of the runtime: memory that it has sent from goes, and comes again at the same place. */
#include <stdio.h>
#include <sys/mman.h>

#include "myruntime.h"

#define SIZE ((size_t) 1 << 20)

static void *get_memory(void *where)
{
    return mmap(where, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

int main(int argc, char **argv)
{
    void *buffer;
    bool held, still_held;

    if (myruntime_init(&argc, &argv) != 0) {
        return 1;
    }
    buffer = get_memory(NULL);
    if (buffer == MAP_FAILED || myruntime_send(buffer, SIZE) != 0) {
        return 1;
    }
    held = myruntime_holds(buffer, SIZE);
    munmap(buffer, SIZE);
    if (get_memory(buffer) != buffer) {
        return 1;
    }
    still_held = myruntime_holds(buffer, SIZE);
    printf("caching %s, held before %s, held after %s, releases %s\n", myruntime_caches() ? "yes" : "no",
           held ? "yes" : "no", still_held ? "yes" : "no", myruntime_releases() > 0 ? "yes" : "no");
    munmap(buffer, SIZE);
    return myruntime_finalize() == 0 && !still_held ? 0 : 1;
}
