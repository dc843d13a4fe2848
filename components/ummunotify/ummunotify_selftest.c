/* SPDX-License-Identifier: BSD-3-Clause */
/* Loses pages of its own in each way that matters, and looks whether the
 * device tells of it: what it has not told of here is not promised. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "components/ummunotify/ummunotify.h"
#include "opal/mca/memory/memory.h"
#include "opal/memoryhooks/memory.h"

#define PAGES \
    4 /* The region is the second and third of them; the second goes; the last one is where it is moved. */

typedef struct scene_t {
    unsigned char *pages;
    size_t page_size;
    int fd; /* -1: no file. */
    uint64_t cookie;
} scene_t;

#define BIT(kind) (1u << UMMUNOTIFY_##kind)

/* Those that free() and munmap() are made of. */
#define NEEDED (BIT(UNMAP) | BIT(MAP_OVER) | BIT(DISCARD) | BIT(MOVE))

static uint64_t generation(void)
{
    return __atomic_load_n(ummunotify_device_counter(), __ATOMIC_ACQUIRE);
}

/* ---- Memory to lose ------------------------------------------------------------------------------- */

static int file_of(size_t size)
{
    const int fd = memfd_create("ummunotify-selftest", MFD_CLOEXEC);

    if (fd >= 0 && ftruncate(fd, (off_t) size) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool set_up(scene_t *scene, ummunotify_kind_t kind)
{
    scene->page_size = (size_t) sysconf(_SC_PAGESIZE);
    const size_t size = PAGES * scene->page_size;
    scene->fd = kind == UMMUNOTIFY_TRUNCATE ? file_of(size) : -1;
    if (kind == UMMUNOTIFY_TRUNCATE && scene->fd < 0) {
        return false;
    }
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       scene->fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, scene->fd, 0);
    if (pages == MAP_FAILED) {
        if (scene->fd >= 0) {
            close(scene->fd);
        }
        return false;
    }
    scene->pages = pages;
    memset(pages, 1, size);
    scene->cookie = opal_memory_base_new_cookie();
    return true;
}

/* What has gone is not ours any more: another thread may have got the address since. */
static void tear_down(const scene_t *scene, ummunotify_kind_t kind)
{
    if (kind == UMMUNOTIFY_UNMAP || kind == UMMUNOTIFY_MOVE) {
        munmap(scene->pages, scene->page_size);
        munmap(scene->pages + 2 * scene->page_size, (PAGES - 2) * scene->page_size);
    } else {
        munmap(scene->pages, PAGES * scene->page_size);
    }
    if (scene->fd >= 0) {
        close(scene->fd);
    }
}

static int lose(const scene_t *scene, ummunotify_kind_t kind)
{
    const bool is_file = kind == UMMUNOTIFY_TRUNCATE;
    const ummunotify_release_t release = {
        .kind = kind,
        .start = is_file ? scene->pages : scene->pages + scene->page_size,
        .length = is_file ? PAGES * scene->page_size : scene->page_size,
        .target = scene->pages + (PAGES - 1) * scene->page_size,
        .fd = scene->fd,
    };

    return ummunotify_sys->release(&release);
}

/* ---- What is told ---------------------------------------------------------------------------------- */

/* Does the event tell of the region, and of the page that went? */
static bool tells(const struct ummunotify_event *event, const scene_t *scene)
{
    const uint64_t start = (uintptr_t) scene->pages + scene->page_size;

    return event->type == UMMUNOTIFY_EVENT_TYPE_INVAL && event->user_cookie_counter == scene->cookie
           && event->hint_start <= start && event->hint_end >= start + scene->page_size;
}

/* Reads until there is no more. */
static bool is_told(const scene_t *scene)
{
    struct ummunotify_event events[UMMUNOTIFY_EVENTS_A_READ];
    bool result = false, is_over = false;

    for (int attempts = 0; attempts < 16 && !is_over; attempts++) {
        const ssize_t size = ummunotify_device_read(events, UMMUNOTIFY_EVENTS_A_READ);

        is_over = size < (ssize_t) sizeof(events[0]);
        for (size_t i = 0; !is_over && i < (size_t) size / sizeof(events[0]); i++) {
            result = result || tells(&events[i], scene);
            is_over = events[i].type == UMMUNOTIFY_EVENT_TYPE_LAST;
        }
    }
    return result;
}

static bool is_noticed(const scene_t *scene, ummunotify_kind_t kind)
{
    const uint64_t start = (uintptr_t) scene->pages + scene->page_size;

    if (ummunotify_device_register(start, start + 2 * scene->page_size, scene->cookie) < 0) {
        return false;
    }
    const uint64_t before = generation();
    const bool has_counted = lose(scene, kind) >= 0 && generation() != before;
    const bool result = is_told(scene) && has_counted;
    return ummunotify_device_unregister(scene->cookie) >= 0 && result;
}

static unsigned try_all(void)
{
    unsigned seen = 0;

    for (int kind = 0; kind < UMMUNOTIFY_KINDS; kind++) {
        scene_t scene;
        if (set_up(&scene, (ummunotify_kind_t) kind)) {
            seen |= is_noticed(&scene, (ummunotify_kind_t) kind) ? 1u << kind : 0;
            tear_down(&scene, (ummunotify_kind_t) kind);
        }
    }
    return seen;
}

/* The kernel detaches segments as it unmaps, and does not know which instruction made a call. */
void ummunotify_selftest(int *support, uint64_t *sees)
{
    const unsigned seen = try_all();

    *support = (seen & NEEDED) != NEEDED
                   ? 0
                   : OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_CHUNK_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT;
    *sees = *support == 0
                ? 0
                : OPAL_MEMORY_SEES_LIBC | OPAL_MEMORY_SEES_RAW | OPAL_MEMORY_SEES_SYSCALL | OPAL_MEMORY_SEES_SHM
                      | OPAL_MEMORY_SEES_DISCARD | ((seen & BIT(TRUNCATE)) != 0 ? OPAL_MEMORY_SEES_FILE : 0);
}
