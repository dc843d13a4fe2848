/* SPDX-License-Identifier: BSD-3-Clause */
/* Which process this is. The shared page comes through an inherited descriptor or, where the program that did the exec
 * has closed all descriptors, through /proc of opalmem-run. A fork child is known by a page that the kernel wipes in
 * it; one that shares its parent's memory by its number alone. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tools/run/preload/preload.h"
#include "tools/run/preload/preload_raw.h"

run_page_t *preload_page;
size_t preload_threshold = SIZE_MAX;
_Atomic uint64_t preload_shares = 1;
_Atomic int preload_forbidden;

enum { WIPED, ALIVE, NOTICING };

/* On a page of its own, which a fork child finds full of zeros. */
typedef struct own_t {
    _Atomic int state;
    _Atomic int pid;
} own_t;
static own_t *own;

static int own_number(void)
{
    return (int) PRELOAD_RAW(SYS_getpid, 0);
}

static void become_child(void)
{
    preload_cache_reset_child();
    preload_share_all(); /* Its parent may not know: a fork by number runs no handlers. */
    run_add(&preload_page->forks, 1);
    atomic_store(&own->pid, own_number());
}

bool preload_is_own_process(void)
{
    int expected = WIPED;

    if (own == NULL) {
        return false;
    }
    if (atomic_load(&own->state) == WIPED && atomic_compare_exchange_strong(&own->state, &expected, NOTICING)) {
        become_child();
        atomic_store(&own->state, ALIVE);
    }
    return atomic_load(&own->pid) == own_number();
}

void preload_share_all(void)
{
    atomic_fetch_add(&preload_shares, 1);
}

/* ---- The shared page ---------------------------------------------------------------------------- */

typedef struct place_t {
    int fd, pid;
    unsigned long device, inode;
} place_t;

static bool is_the_page(int fd, const place_t *place)
{
    struct stat status;

    return fd >= 0 && fstat(fd, &status) == 0 && status.st_dev == place->device && status.st_ino == place->inode
           && status.st_size >= (off_t) sizeof(run_page_t);
}

static run_page_t *map_page(int fd)
{
    run_page_t *page = mmap(NULL, sizeof(run_page_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (page != MAP_FAILED && page->magic == RUN_PAGE_MAGIC && page->version == RUN_PAGE_VERSION) {
        return page;
    }
    return NULL;
}

static run_page_t *find_page(const place_t *place)
{
    char path[64];
    run_page_t *page = NULL;
    int fd;

    if (is_the_page(place->fd, place)) {
        return map_page(place->fd);
    }
    snprintf(path, sizeof(path), "/proc/%d/fd/%d", place->pid, place->fd);
    fd = (int) PRELOAD_RAW(SYS_openat, AT_FDCWD, (long) path, O_RDWR | O_CLOEXEC);
    if (is_the_page(fd, place)) {
        page = map_page(fd);
    }
    if (fd >= 0) {
        PRELOAD_RAW(SYS_close, fd);
    }
    return page;
}

static bool read_place(place_t *place)
{
    const char *text = getenv(RUN_PAGE_VARIABLE);

    return text != NULL
           && sscanf(text, "%d:%d:%lu:%lu", &place->fd, &place->pid, &place->device, &place->inode) == 4;
}

static own_t *make_own(void)
{
    const size_t size = (size_t) sysconf(_SC_PAGESIZE);
    own_t *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED || madvise(memory, size, MADV_WIPEONFORK) != 0) {
        return NULL;
    }
    atomic_init(&memory->pid, own_number());
    atomic_init(&memory->state, ALIVE);
    return memory;
}

/* ---- The start ---------------------------------------------------------------------------------- */

static void count_image(void)
{
    run_add(&preload_page->images, 1);
    if (atomic_load(&preload_page->main_pid) == own_number()) {
        run_add(&preload_page->main_seen, 1);
    }
}

void preload_process_start(void)
{
    place_t place;

    if (!read_place(&place)) {
        return;
    }
    preload_page = find_page(&place);
    if (preload_page == NULL || pthread_atfork(preload_share_all, NULL, NULL) != 0) {
        return;
    }
    own = make_own();
    /* A filter that came with an exec, after opalmem-run: it may end the process for io_uring. */
    if (PRELOAD_RAW(SYS_prctl, PR_GET_SECCOMP) != preload_page->seccomp) {
        atomic_store(&preload_forbidden, 1);
    }
    count_image();
    if (own != NULL) {
        preload_threshold = preload_page->threshold;
    }
}

__attribute__((constructor)) static void start(void)
{
    const int saved_errno = errno;

    preload_libc();
    preload_process_start();
    errno = saved_errno;
}
