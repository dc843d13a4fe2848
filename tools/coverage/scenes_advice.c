/* SPDX-License-Identifier: BSD-3-Clause */
/* Scenes: madvise and its like, mprotect, mlock. */
#include <dlfcn.h>
#include <errno.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tools/coverage/scenes.h"

/* Advice that older headers do not name. */
enum {
    ADVICE_COLD = 20,
    ADVICE_PAGEOUT = 21,
    ADVICE_DONTNEED_LOCKED = 24,
    ADVICE_COLLAPSE = 25,
    ADVICE_GUARD = 102
};

#define SELF_PROCESS (-10001) /* PIDFD_SELF_THREAD_GROUP, as Linux has it since 6.17. */
#define HUGE_PAGE ((size_t) 2 << 20)
#define UNALIGNED 5000

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

typedef ssize_t process_madvise_fn_t(int pidfd, const struct iovec *ranges, size_t count, int advice,
                                     unsigned flags);

static void advise(char *memory, size_t length, int advice, const char *what)
{
    coverage_expect(0, memory, length);
    coverage_begin();
    if (madvise(memory, length, advice) != 0) {
        coverage_not_possible(what);
    }
    coverage_end();
}

void scene_madv_dontneed(void)
{
    advise(scene_pages(8) + 2 * PAGE, 4 * PAGE, MADV_DONTNEED, "MADV_DONTNEED");
}

void scene_madv_dontneed_unaligned(void)
{
    advise(scene_pages(2), UNALIGNED, MADV_DONTNEED, "MADV_DONTNEED");
}

void scene_madv_free(void)
{
    advise(scene_pages(4), 4 * PAGE, MADV_FREE, "MADV_FREE");
}

void scene_madv_remove(void)
{
    advise(scene_map_file(scene_memory_file(4), 4), 4 * PAGE, MADV_REMOVE, "MADV_REMOVE");
}

/* It is the file that loses the pages: all mappings of it do. */
void scene_madv_remove_alias(void)
{
    const int fd = scene_memory_file(4);
    char *memory = scene_map_file(fd, 4), *other = scene_map_file(fd, 4);

    coverage_expect(0, other, 4 * PAGE);
    coverage_begin();
    coverage_need(madvise(memory, 4 * PAGE, MADV_REMOVE) == 0, "MADV_REMOVE");
    coverage_end();
}

void scene_madv_dontneed_locked(void)
{
    char *memory = scene_pages(2);

    if (mlock(memory, 2 * PAGE) != 0) {
        coverage_not_possible("mlock");
    }
    advise(memory, 2 * PAGE, ADVICE_DONTNEED_LOCKED, "MADV_DONTNEED_LOCKED");
}

void scene_madv_guard_install(void)
{
    advise(scene_pages(4), 4 * PAGE, ADVICE_GUARD, "MADV_GUARD_INSTALL");
}

void scene_madv_pageout(void)
{
    advise(scene_pages(4), 4 * PAGE, ADVICE_PAGEOUT, "MADV_PAGEOUT");
}

void scene_madv_cold(void)
{
    advise(scene_pages(4), 4 * PAGE, ADVICE_COLD, "MADV_COLD");
}

void scene_madv_willneed(void)
{
    advise(scene_pages(4), 4 * PAGE, MADV_WILLNEED, "MADV_WILLNEED");
}

/* Small pages become one huge one. */
void scene_madv_collapse(void)
{
    char *memory = mmap(NULL, 2 * HUGE_PAGE, RW, ANON, -1, 0);

    coverage_need(memory != MAP_FAILED, "mmap");
    memory += HUGE_PAGE - (uintptr_t) memory % HUGE_PAGE;
    if (madvise(memory, HUGE_PAGE, MADV_NOHUGEPAGE) != 0) {
        coverage_not_possible("no transparent huge pages");
    }
    scene_fill(memory, HUGE_PAGE);
    if (madvise(memory, HUGE_PAGE, MADV_HUGEPAGE) != 0) {
        coverage_not_possible("MADV_HUGEPAGE");
    }
    advise(memory, HUGE_PAGE, ADVICE_COLLAPSE, "MADV_COLLAPSE");
}

/* libc's does nothing for DONTNEED, as that may lose data. */
void scene_posix_madvise(void)
{
    char *memory = scene_pages(4);

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    coverage_need(posix_madvise(memory, 4 * PAGE, POSIX_MADV_DONTNEED) == 0, "posix_madvise");
    coverage_end();
}

/* ---- process_madvise, of this process ----------------------------------------------------------- */

static process_madvise_fn_t *find_process_madvise(void)
{
    process_madvise_fn_t *function = (process_madvise_fn_t *) dlsym(RTLD_DEFAULT, "process_madvise");

    errno = 0;
    if (function == NULL) {
        coverage_not_possible("libc has no process_madvise");
    }
    return function;
}

static void advise_process(int pidfd)
{
    process_madvise_fn_t *function = find_process_madvise();
    char *memory = scene_pages(4);
    const struct iovec range = { memory, 4 * PAGE };

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    if (function(pidfd, &range, 1, MADV_DONTNEED, 0) != (ssize_t) (4 * PAGE)) {
        coverage_not_possible("process_madvise DONTNEED");
    }
    coverage_end();
}

void scene_process_madvise(void)
{
    const int pidfd = (int) syscall(SYS_pidfd_open, getpid(), 0);

    if (pidfd < 0) {
        coverage_not_possible("pidfd_open");
    }
    advise_process(pidfd);
}

void scene_process_madvise_self(void)
{
    advise_process(SELF_PROCESS);
}

/* ---- Pages that stay ------------------------------------------------------------------------------ */

/* Readable again before anybody looks at the content. */
void scene_mprotect_none(void)
{
    char *memory = scene_pages(4);

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    coverage_need(mprotect(memory, 4 * PAGE, PROT_NONE) == 0 && mprotect(memory, 4 * PAGE, RW) == 0, "mprotect");
    coverage_end();
}

void scene_mlock_cycle(void)
{
    char *memory = scene_pages(4);

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    if (mlock(memory, 4 * PAGE) != 0) {
        coverage_not_possible("mlock");
    }
    coverage_need(munlock(memory, 4 * PAGE) == 0, "munlock");
    coverage_end();
}
