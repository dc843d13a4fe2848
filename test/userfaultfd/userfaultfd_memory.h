/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory of every kind that there is, of 4 MiB; MAP_FAILED: not here. */
#ifndef TEST_USERFAULTFD_USERFAULTFD_MEMORY_H
#define TEST_USERFAULTFD_USERFAULTFD_MEMORY_H

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HUGE ((size_t) 2 << 20)
#define RW (PROT_READ | PROT_WRITE)

static inline char *make_private(void)
{
    return mmap(NULL, 2 * HUGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static inline char *make_huge(void)
{
    char *memory = mmap(NULL, 4 * HUGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *aligned = (char *) (((uintptr_t) memory + HUGE - 1) / HUGE * HUGE);

    madvise(aligned, 2 * HUGE, MADV_HUGEPAGE);
    return aligned;
}

static inline char *make_hugetlb(void)
{
    return mmap(NULL, 2 * HUGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
}

static inline char *make_shared(void)
{
    return mmap(NULL, 2 * HUGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static inline char *map_fd(int fd, int flags)
{
    if (fd < 0 || ftruncate(fd, (off_t) (2 * HUGE)) != 0) {
        return MAP_FAILED;
    }
    char *memory = mmap(NULL, 2 * HUGE, RW, flags, fd, 0);
    close(fd);
    return memory;
}

static inline char *make_memfd(void)
{
    return map_fd((int) syscall(SYS_memfd_create, "opalmem-test", 0), MAP_SHARED);
}

static inline int open_file(void)
{
    char name[] = "uffd-test-XXXXXX";
    const int fd = mkstemp(name);

    unlink(name);
    return fd;
}

static inline char *make_file(void)
{
    return map_fd(open_file(), MAP_SHARED);
}

static inline char *make_file_private(void)
{
    return map_fd(open_file(), MAP_PRIVATE);
}

static inline char *make_segment(void)
{
    const int id = shmget(IPC_PRIVATE, 2 * HUGE, IPC_CREAT | 0600);
    char *memory = shmat(id, NULL, 0);

    shmctl(id, IPC_RMID, NULL);
    return memory;
}

#endif
