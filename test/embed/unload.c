/* SPDX-License-Identifier: BSD-3-Clause */
/* `unload LIBRARY`: opens a library that contains a copy of opalmem, starts that, and closes the library as a
 * program does with a plug-in. If code of libc jumps into it by now, it must stay. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "side.h"

#define SIZE ((size_t) 1 << 20)

int main(int argc, char **argv)
{
    void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    const side_t *side = library != NULL ? dlsym(library, "side_embedded") : NULL;
    void *memory;
    bool has_patched;

    if (side == NULL || side->init(NULL, NULL) != 0) {
        puts("the library cannot be opened, or started");
        return 1;
    }
    has_patched = strcmp(side->component(), "linux") == 0;
    dlclose(library);
    memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(memory, SIZE);
    if (has_patched && dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD) == NULL) {
        puts("it was unloaded");
        return 1;
    }
    return 0;
}
