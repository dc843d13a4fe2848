/* SPDX-License-Identifier: BSD-3-Clause */
/* Executable pages: new ones for stubs, and copies that take the place of pages whose code cannot be changed in place.
 *
 * Why a page may be replaced under running threads: the kernel takes the old translation away, has every processor
 * that runs a thread of ours forget it, and lets no thread have the new one before it is there (all under the lock of
 * the address space: a fetch meanwhile faults and waits). A processor is interrupted for that between two
 * instructions, and fetches anew afterwards. So every instruction runs from the old page or from the new one, also one
 * that lies across two pages that are replaced together. No thread spins or is stopped; the worst that it meets is a
 * page fault.
 *
 * A system that lets nobody make written memory executable (PR_SET_MDWE) may still let a file be mapped as code: then the
 * content goes into a file in memory first. Where both are refused, so are we. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "components/linux/linux.h"
#include "components/linux/linux_sys.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

/* ---- Copies -------------------------------------------------------------------------------------- */

/* Accesses that a thread sanitizer must not see: it does not know that raw system calls give memory back and anew, and
 * takes whoever had these addresses before for a competitor. Nor may they become a call of memcpy. */
#define UNSEEN __attribute__((no_sanitize("thread")))

typedef uint64_t copy_word_t __attribute__((may_alias));

UNSEEN void linux_copy_page(uint8_t *to, const uint8_t *from, size_t size)
{
    for (size_t i = 0; i < size; i += sizeof(copy_word_t)) {
        *(volatile copy_word_t *) (uintptr_t) (to + i) = *(const copy_word_t *) (uintptr_t) (from + i);
    }
}

UNSEEN void linux_copy_insn(uint8_t *to, const uint8_t *from)
{
    for (size_t i = 0; i < LINUX_INSN; i++) {
        *(volatile uint8_t *) (to + i) = from[i];
    }
}

/* ---- By memory that was written before ----------------------------------------------------------- */

/* @return 0: `copy` is there now, and nothing any more where it was. */
static long replace_by_move(uintptr_t start, size_t length, uintptr_t copy)
{
    const long result = linux_sys_mprotect(copy, length, PROT_READ | PROT_EXEC);

    return linux_failed(result) ? result
                                : LINUX_SYS(SYS_mremap, (long) copy, (long) length, (long) length,
                                            MREMAP_MAYMOVE | MREMAP_FIXED, (long) start);
}

/* ---- By a file ----------------------------------------------------------------------------------- */

/* Kernels before 6.3 do not know MFD_EXEC, and make such files executable anyway. */
static long make_file(void)
{
    static const char name[] = "opalmem-code";
    const long fd = LINUX_SYS(SYS_memfd_create, (long) name, MFD_CLOEXEC | MFD_EXEC);

    return fd == -EINVAL ? LINUX_SYS(SYS_memfd_create, (long) name, MFD_CLOEXEC) : fd;
}

static long write_all(int fd, const uint8_t *content, size_t length)
{
    size_t done = 0;

    while (done < length) {
        const long result = LINUX_SYS(SYS_write, fd, (long) (content + done), (long) (length - done));

        if (linux_failed(result) || result == 0) {
            return result == 0 ? -EIO : result;
        }
        done += (size_t) result;
    }
    return 0;
}

static long replace_by_file(uintptr_t start, size_t length, uintptr_t content)
{
    const long fd = make_file();
    long result;

    if (linux_failed(fd)) {
        return fd;
    }
    result = write_all((int) fd, (const uint8_t *) content, length);
    if (!linux_failed(result)) {
        result = LINUX_SYS(SYS_mmap, (long) start, (long) length, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED,
                           fd, 0);
    }
    linux_sys_close((int) fd);
    return linux_failed(result) ? result : 0;
}

long linux_pages_replace(uintptr_t start, size_t length, uintptr_t copy)
{
    long result = replace_by_move(start, length, copy);

    if (!linux_failed(result)) {
        return 0;
    }
    result = replace_by_file(start, length, copy);
    linux_sys_munmap(copy, length);
    return result;
}

long linux_pages_make_code(uintptr_t start, size_t length)
{
    const long result = linux_sys_mprotect(start, length, PROT_READ | PROT_EXEC);

    return linux_failed(result) ? replace_by_file(start, length, start) : 0;
}
