/* SPDX-License-Identifier: BSD-3-Clause */
/* Pages whose releases are counted; see watched.h. */
#include "test/linux/watched.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES ((size_t) 1 << 16)

void (*_Atomic watched_inside)(void *page);

static struct {
    atomic_size_t handed_out;
    atomic_int others, everything;
    atomic_int told[PAGES];
} * counts;
static char *pages;

static bool is_watched(const char *address)
{
    return address >= pages && address < pages + PAGES * PAGE;
}

static void count_pages(const char *start, size_t length)
{
    for (const char *page = start; page < start + length && is_watched(page); page += PAGE) {
        atomic_fetch_add(&counts->told[(size_t) (page - pages) / PAGE], 1);
    }
}

void watched_on_release(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    void (*inside)(void *page) = atomic_load(&watched_inside);

    (void) cbdata;
    (void) from_alloc;
    if (length == SIZE_MAX) {
        atomic_fetch_add(&counts->everything, 1);
    } else if (!is_watched(buf)) {
        atomic_fetch_add(&counts->others, 1);
    } else {
        count_pages(buf, length);
        if (inside != NULL) {
            inside(buf);
        }
    }
}

bool watched_start(const char *component)
{
    const int shared = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE;

    counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, shared, -1, 0);
    pages = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (counts == MAP_FAILED || pages == MAP_FAILED) {
        return false;
    }
    setenv("OPALMEM_MCA_memory", component, 1);
    if (opalmem_init(NULL, NULL) != OPAL_SUCCESS) {
        return false;
    }
    return opal_mem_hooks_register_release(watched_on_release, NULL)
           == (strcmp(component, "noop") == 0 ? OPAL_ERR_NOT_SUPPORTED : OPAL_SUCCESS);
}

bool watched_can_run(void)
{
    const pid_t child = fork();
    int status = 1;

    if (child == 0) {
        _exit(watched_start("linux") ? 0 : 1);
    }
    waitpid(child, &status, 0);
    return status == 0;
}

char *watched_pages(size_t count)
{
    const size_t index = atomic_fetch_add(&counts->handed_out, count);
    char *page = pages + index * PAGE;

    if (index + count > PAGES) {
        atomic_fetch_sub(&counts->handed_out, count);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        page[i * PAGE] = 'x';
    }
    return page;
}

char *watched_page(void)
{
    return watched_pages(1);
}

int watched_count(const void *page)
{
    return atomic_load(&counts->told[(size_t) ((const char *) page - pages) / PAGE]);
}

bool watched_all(void)
{
    const size_t used = atomic_load(&counts->handed_out);

    for (size_t i = 0; i < used; i++) {
        if (atomic_load(&counts->told[i]) == 0) {
            return false;
        }
    }
    return used != 0;
}

int watched_others(void)
{
    return atomic_load(&counts->others);
}

int watched_everything(void)
{
    return atomic_load(&counts->everything);
}
