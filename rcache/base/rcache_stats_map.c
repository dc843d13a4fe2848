/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory for figures: a sealed memfd that readers find below /proc/PID/fd, or
 * private memory. Nothing here may end the process: RLIMIT_FSIZE would raise
 * SIGXFSZ, a full tmpfs SIGBUS, and MCL_FUTURE would make all of it resident. */
#include "rcache/base/rcache_stats_map.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "opal/memoryhooks/memory_internal.h"
#include "opal/opalmem_config.h"
#include "rcache/base/rcache_raw.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define SIZE (sizeof(mca_rcache_stats_page_t))

static void *map(void *at, int protection, int flags, int fd)
{
    long address = rcache_raw(SYS_mmap, (long) at, SIZE, protection, flags, fd, 0);
    return address < 0 && address >= -4095 ? NULL : (void *) address;
}

void mca_rcache_stats_unmap(mca_rcache_stats_page_t *page)
{
    rcache_raw(SYS_munmap, (long) page, SIZE, 0, 0, 0, 0);
}

bool mca_rcache_stats_populate(const void *start, size_t size)
{
    const uintptr_t page_size = (uintptr_t) sysconf(_SC_PAGESIZE);
    uintptr_t first = (uintptr_t) start & ~(page_size - 1);
    uintptr_t end = ((uintptr_t) start + size + page_size - 1) & ~(page_size - 1);
    long rc = rcache_raw(SYS_madvise, (long) first, (long) (end - first), MADV_POPULATE_WRITE, 0, 0, 0);
    return rc == 0 || rc == -EINVAL;
}

/* ---- The header ---------------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

static void copy_text(char *to, const char *from, size_t size)
{
    size_t length = strlen(from) < size ? strlen(from) : size - 1;
    memcpy(to, from, length);
    to[length] = '\0';
}

static void fill_in_header(mca_rcache_stats_header_t *header)
{
    header->version = MCA_RCACHE_STATS_VERSION;
    header->size = SIZE;
    header->caches_offset = offsetof(mca_rcache_stats_page_t, cache);
    header->cache_size = sizeof(mca_rcache_counters_t);
    header->caches = MCA_RCACHE_STATS_CACHES;
    header->lines_offset = offsetof(mca_rcache_stats_page_t, line);
    header->line_size = sizeof(mca_rcache_thread_counters_t);
    header->lines = MCA_RCACHE_STATS_LINES;
    header->pid = (uint64_t) rcache_raw(SYS_getpid, 0, 0, 0, 0, 0, 0);
    header->created = now_ns();
    copy_text(header->library, OPALMEM_VERSION, sizeof(header->library));
    for (int i = 0; i < OPAL_MEM_HOOKS_CAUSE_COUNT; i++) {
        copy_text(header->cause_names[i], opal_mem_hooks_cause_name((opal_mem_hooks_cause_t) i),
                  sizeof(header->cause_names[i]));
    }
    /* Last: a reader may have found the file already. */
    __atomic_store_n(&header->magic, MCA_RCACHE_STATS_MAGIC, __ATOMIC_RELEASE);
}

/* ---- The file ------------------------------------------------------------------------------------ */

/* Growing a file past this limit would raise a signal. */
static bool is_within_limit(void)
{
    struct rlimit limit = { 0, 0 };
    return rcache_raw(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long) &limit, 0, 0) == 0
           && (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= SIZE);
}

static int create_file(void)
{
    static const char name[] = MCA_RCACHE_STATS_FILE;
    long fd =
        rcache_raw(SYS_memfd_create, (long) name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL, 0, 0, 0, 0);
    if (fd == -EINVAL) { /* Before Linux 6.3. */
        fd = rcache_raw(SYS_memfd_create, (long) name, MFD_CLOEXEC | MFD_ALLOW_SEALING, 0, 0, 0, 0);
    }
    return (int) fd;
}

static void close_number(int fd)
{
    rcache_raw(SYS_close, fd, 0, 0, 0, 0, 0);
}

/* Away from the low numbers that programs pass around, dup2 over, or count on; not so high that every fork copies a
 * table of descriptors that is almost empty. */
static int move_high(int fd)
{
    struct rlimit limit = { 0, 0 };
    if (rcache_raw(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long) &limit, 0, 0) != 0 || limit.rlim_cur < 64) {
        return fd;
    }
    long top = limit.rlim_cur < 1024 ? (long) limit.rlim_cur : 1024;
    long high = rcache_raw(SYS_fcntl, fd, F_DUPFD_CLOEXEC, top - top / 16, 0, 0, 0);
    if (high < 0) {
        return fd;
    }
    close_number(fd);
    return (int) high;
}

static bool identify(int fd, mca_rcache_stats_file_t *file)
{
    struct stat status = { .st_dev = 0 };
    if (rcache_raw(SYS_fstat, fd, (long) &status, 0, 0, 0, 0) != 0) {
        return false;
    }
    *file = (mca_rcache_stats_file_t){ fd, status.st_dev, status.st_ino };
    return true;
}

void mca_rcache_stats_close_file(mca_rcache_stats_file_t *file)
{
    mca_rcache_stats_file_t seen;
    if (file->fd >= 0 && identify(file->fd, &seen) && seen.device == file->device && seen.inode == file->inode) {
        close_number(file->fd);
    }
    file->fd = -1;
}

/* With MCL_FUTURE the kernel populates what is mapped accessible, and locks it: neither is wanted of 6 MiB. */
static mca_rcache_stats_page_t *map_sparsely(int fd)
{
    void *page = map(NULL, PROT_NONE, MAP_SHARED | MAP_NORESERVE, fd);
    if (page == NULL) {
        return NULL;
    }
    rcache_raw(SYS_munlock, (long) page, SIZE, 0, 0, 0, 0);
    if (rcache_raw(SYS_mprotect, (long) page, SIZE, PROT_READ | PROT_WRITE, 0, 0, 0) != 0
        || !mca_rcache_stats_populate(page, sizeof(mca_rcache_stats_header_t))) {
        mca_rcache_stats_unmap(page);
        return NULL;
    }
    return page;
}

/* Others may read, and nobody may cut it under us. Before Linux 5.1 the mode alone keeps writers out. */
static void seal(int fd)
{
    const long seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    rcache_raw(SYS_fchmod, fd, 0400, 0, 0, 0, 0);
    if (rcache_raw(SYS_fcntl, fd, F_ADD_SEALS, seals | F_SEAL_FUTURE_WRITE, 0, 0, 0) != 0) {
        rcache_raw(SYS_fcntl, fd, F_ADD_SEALS, seals, 0, 0, 0);
    }
}

mca_rcache_stats_page_t *mca_rcache_stats_map_shared(mca_rcache_stats_file_t *file)
{
    *file = (mca_rcache_stats_file_t){ .fd = -1 };
    int fd = is_within_limit() ? create_file() : -1;
    if (fd < 0) {
        return NULL;
    }
    fd = move_high(fd);
    mca_rcache_stats_page_t *page = NULL;
    if (rcache_raw(SYS_ftruncate, fd, SIZE, 0, 0, 0, 0) == 0 && identify(fd, file)) {
        page = map_sparsely(fd);
    }
    if (page == NULL) {
        close_number(fd);
        file->fd = -1;
        return NULL;
    }
    fill_in_header(&page->header);
    seal(fd);
    return page;
}

mca_rcache_stats_page_t *mca_rcache_stats_map_private(void)
{
    mca_rcache_stats_page_t *page = map(NULL, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    if (page == NULL) {
        return NULL;
    }
    rcache_raw(SYS_munlock, (long) page, SIZE, 0, 0, 0, 0);
    if (rcache_raw(SYS_mprotect, (long) page, SIZE, PROT_READ | PROT_WRITE, 0, 0, 0) != 0) {
        mca_rcache_stats_unmap(page);
        return NULL;
    }
    fill_in_header(&page->header);
    return page;
}

/* ---- Fork ---------------------------------------------------------------------------------------- */

static void copy_words(mca_rcache_stats_word_t *to, mca_rcache_stats_word_t *from, size_t bytes)
{
    for (size_t i = 0; i < bytes / sizeof(*to); i++) {
        atomic_store_explicit(&to[i], atomic_load_explicit(&from[i], memory_order_relaxed), memory_order_relaxed);
    }
}

/* Who has which place; not what was counted. */
static void copy_owners(mca_rcache_stats_page_t *to, mca_rcache_stats_page_t *from)
{
    uint64_t caches = atomic_load(&from->header.caches_used), lines = atomic_load(&from->header.lines_used);
    for (uint64_t i = 0; i < caches; i++) {
        copy_words(&to->cache[i].generation, &from->cache[i].generation, offsetof(mca_rcache_counters_t, misses));
    }
    for (uint64_t i = 0; i < lines; i++) {
        atomic_store(&to->line[i].owner, atomic_load(&from->line[i].owner));
    }
    atomic_store(&to->header.lines_used, lines);
    atomic_store(&to->header.caches_used, caches);
}

static bool populate_like(mca_rcache_stats_page_t *page, mca_rcache_stats_page_t *model)
{
    return mca_rcache_stats_populate(page->cache, atomic_load(&model->header.caches_used) * sizeof(page->cache[0]))
           && mca_rcache_stats_populate(page->line,
                                        atomic_load(&model->header.lines_used) * sizeof(page->line[0]));
}

static mca_rcache_stats_page_t *successor(mca_rcache_stats_page_t *model, bool shared,
                                          mca_rcache_stats_file_t *file)
{
    mca_rcache_stats_page_t *page = shared ? mca_rcache_stats_map_shared(file) : NULL;
    if (page != NULL && !populate_like(page, model)) {
        mca_rcache_stats_unmap(page);
        mca_rcache_stats_close_file(file);
        page = NULL;
    }
    return page != NULL ? page : mca_rcache_stats_map_private();
}

static bool replace(mca_rcache_stats_page_t *page, mca_rcache_stats_page_t *next)
{
    long rc = rcache_raw(SYS_mremap, (long) next, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, (long) page, 0);
    return rc == (long) page;
}

bool mca_rcache_stats_renew(mca_rcache_stats_page_t *page, mca_rcache_stats_file_t *file)
{
    const bool shared = file->fd >= 0;
    mca_rcache_stats_close_file(file);
    mca_rcache_stats_page_t *next = successor(page, shared, file);
    if (next != NULL) {
        copy_owners(next, page);
        if (replace(page, next)) {
            return true;
        }
        mca_rcache_stats_unmap(next);
        mca_rcache_stats_close_file(file);
    }
    map(page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1);
    return false;
}
