/* SPDX-License-Identifier: BSD-3-Clause */
/* What the device tells here: pages of our own are watched and released, in
 * the ways that a program has. Only what was seen is promised. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "components/kdreg/kdreg.h"
#include "components/kdreg/kdreg_sys.h"
#include "opal/memoryhooks/memory.h"

/* Releases by other threads just now can delay the driver, so that an attempt may fail. */
#define ATTEMPTS 5
#define PATIENCE_MS 100

typedef struct way_t {
    void *(*make)(int *fd);
    int (*release)(void *page, int fd);
} way_t;

/* ---- Ways to lose a page ------------------------------------------------------------------------- */

static void *make_anonymous(int *fd)
{
    *fd = -1;
    return kdreg_sys->map(NULL, kdreg_page_size(), PROT_READ | PROT_WRITE, 0);
}

static void *make_shared(int *fd)
{
    void *page = MAP_FAILED;

    *fd = memfd_create("kdreg", MFD_CLOEXEC);
    if (*fd >= 0 && ftruncate(*fd, (off_t) kdreg_page_size()) == 0) {
        page = mmap(NULL, kdreg_page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    }
    return page;
}

static int by_munmap(void *page, int fd)
{
    (void) fd;
    return kdreg_sys->unmap(page, kdreg_page_size());
}

static int by_madvise(void *page, int fd)
{
    (void) fd;
    return kdreg_sys->advise(page, kdreg_page_size(), MADV_DONTNEED);
}

static int by_truncate(void *page, int fd)
{
    (void) page;
    return kdreg_sys->truncate(fd, 0);
}

/* ---- Watching one -------------------------------------------------------------------------------- */

/* Reads until the event comes; nothing else is watched. */
static bool event_comes(const kdreg_device_t *device, uint64_t cookie, const void *page)
{
    struct pollfd which = { .fd = device->fd, .events = POLLIN };
    kdreg_event_t event;
    int rc;

    do {
        rc = kdreg_sys->poll(&which, 1, PATIENCE_MS);
    } while (rc == -EINTR);
    return kdreg_device_read(device, &event, 1) == 1 && event.type == KDREG_MAPPING_CHANGE
           && event.cookie == cookie && event.addr == page && event.length == kdreg_page_size();
}

static const char *watch_release(const kdreg_device_t *device, const way_t *way, void *page, int fd)
{
    const uint64_t cookie = opal_memory_base_new_cookie(), before = kdreg_device_total(device);
    kdreg_params_t params;

    *(volatile char *) page = 1; /* What was never there cannot go. */
    if (kdreg_device_monitor(device, page, kdreg_page_size(), cookie, &params) != 0) {
        return "it does not watch a page";
    }
    if (!kdreg_device_holds(device, params.location, params.generation)) {
        return "the word of a page that it watches is not what it says";
    }
    const bool is_gone = way->release(page, fd) == 0;
    const bool is_known =
        !kdreg_device_holds(device, params.location, params.generation) && kdreg_device_total(device) != before;
    const bool is_told = is_gone && event_comes(device, cookie, page);

    kdreg_device_unmonitor(device, cookie, &params);
    return is_known && is_told ? NULL : "it does not tell at once that a page has gone";
}

static const char *try_once(const kdreg_device_t *device, const way_t *way)
{
    const char *fault = "no memory";
    int fd;
    void *page = way->make(&fd);

    if (page != MAP_FAILED) {
        fault = watch_release(device, way, page, fd);
        if (way->release != by_munmap) {
            kdreg_sys->unmap(page, kdreg_page_size());
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    return fault;
}

static const char *try(const kdreg_device_t *device, way_t way)
{
    const char *fault = NULL;

    for (int i = 0; i < ATTEMPTS; i++) {
        fault = try_once(device, &way);
        if (fault == NULL) {
            break;
        }
        kdreg_device_flush(device);
    }
    return fault;
}

/* A notifier of the kernel hears of each change alike, whoever in the process makes it, and of System V segments as of
 * others; what another process does is not told. */
const char *kdreg_selftest(const kdreg_device_t *device, int *support, uint64_t *sees)
{
    const char *fault = try(device, (way_t){ make_anonymous, by_munmap });

    if (fault != NULL) {
        return fault;
    }
    *support = OPAL_MEMORY_MUNMAP_SUPPORT;
    *sees = OPAL_MEMORY_SEES_LIBC | OPAL_MEMORY_SEES_RAW | OPAL_MEMORY_SEES_SYSCALL | OPAL_MEMORY_SEES_SHM;
    if (try(device, (way_t){ make_anonymous, by_madvise }) == NULL) {
        *support |= OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_CHUNK_SUPPORT;
        *sees |= OPAL_MEMORY_SEES_DISCARD;
    }
    if (try(device, (way_t){ make_shared, by_truncate }) == NULL) {
        *sees |= OPAL_MEMORY_SEES_FILE;
    }
    return NULL;
}
