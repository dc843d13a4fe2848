/* SPDX-License-Identifier: BSD-3-Clause */
/* What scenes make their pages with. */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/coverage/scenes.h"

#define FILL 'x'
#define HUGE_PAGE ((uintptr_t) 2 << 20)

/* Each page begins with a number of its own: where page frames are not told, it shows that another one has come. */
void scene_fill(char *start, size_t length)
{
    static uint32_t stamp;
    size_t page = (PAGE - (uintptr_t) start % PAGE) % PAGE;

    coverage_need(start != NULL, "memory to fill");
    memset(start, FILL, length);
    for (; page + sizeof(stamp) <= length; page += PAGE) {
        stamp++;
        *(uint32_t *) (void *) (start + page) = stamp;
    }
}

/* One page is left out on each side: nothing merges with it, and nothing is unmapped that matters. */
char *scene_pages(size_t pages)
{
    char *memory = mmap(NULL, (pages + 3) * PAGE, RW, ANON, -1, 0);
    char *start;

    coverage_need(memory != MAP_FAILED, "mmap");
    start = memory + ((uintptr_t) (memory + PAGE) % HUGE_PAGE == 0 ? 2 * PAGE : PAGE);
    coverage_need(munmap(memory, (size_t) (start - memory)) == 0, "munmap");
    coverage_need(munmap(start + pages * PAGE, PAGE) == 0, "munmap");
    scene_fill(start, pages * PAGE);
    return start;
}

static bool write_pages(int fd, size_t pages)
{
    char page[COVERAGE_PAGE];

    scene_fill(page, sizeof(page));
    for (size_t i = 0; i < pages; i++) {
        if (write(fd, page, sizeof(page)) != (ssize_t) sizeof(page)) {
            return false;
        }
    }
    return true;
}

int scene_memory_file(size_t pages)
{
    const int fd = memfd_create("coverage-scene", MFD_CLOEXEC);

    coverage_need(fd >= 0 && write_pages(fd, pages), "memfd_create");
    return fd;
}

/* Unlinked by the caller, or at once if no path is asked for. */
int scene_disk_file(size_t pages, char *path, size_t size)
{
    const char *folder = getenv("TMPDIR");
    char buffer[PATH_MAX];
    int fd;

    snprintf(buffer, sizeof(buffer), "%s/opalmem-coverage-XXXXXX", folder != NULL ? folder : "/var/tmp");
    fd = mkostemp(buffer, O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    if (path == NULL) {
        unlink(buffer);
    } else {
        snprintf(path, size, "%s", buffer);
    }
    coverage_need(write_pages(fd, pages) && fsync(fd) == 0, "a file on disk");
    return fd;
}

char *scene_map_file(int fd, size_t pages)
{
    char *memory = mmap(NULL, pages * PAGE, RW, MAP_SHARED, fd, 0);

    coverage_need(memory != MAP_FAILED, "mmap of a file");
    scene_fill(memory, pages * PAGE);
    return memory;
}

void *scene_helper_symbol(void *handle, const char *name)
{
    void *symbol = dlsym(handle, name);

    coverage_need(symbol != NULL, "a symbol of coverage_helper.so");
    return symbol;
}

static void find_helper(char *path, size_t size)
{
    errno = 0;
    if (!coverage_find_file("coverage_helper.so", path, size)) {
        errno = 0;
        coverage_not_possible("coverage_helper.so is not installed");
    }
}

void *scene_helper_load(int flags)
{
    char path[PATH_MAX];
    void *handle;

    find_helper(path, sizeof(path));
    handle = (flags & SCENE_OWN_NAMESPACE) != 0 ? dlmopen(LM_ID_NEWLM, path, RTLD_NOW) : dlopen(path, flags);
    errno = 0;
    if (handle == NULL) {
        coverage_not_possible(dlerror());
    }
    return handle;
}
