/* SPDX-License-Identifier: BSD-3-Clause */
/* What differs between processors: sizes, and the functions that read and write machine code (linux_code_<cpu>.c).
 * To add a processor: its sizes here, linux_code_<cpu>.c, linux_sys_<cpu>.c, linux_trampoline_<cpu>.S, and its name in
 * configure's list. */
#ifndef COMPONENTS_LINUX_LINUX_ARCH_H
#define COMPONENTS_LINUX_LINUX_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#define LINUX_INSN 5        /**< Bytes of a site that are replaced: `mov $nr,%eax`, by `jmp rel32`. */
#define LINUX_RESUME 7      /**< From the site to behind its system-call instruction. */
#define LINUX_STUB_BYTES 96 /**< Room for the longest stub. */
#define LINUX_LOOK_BACK 25  /**< How far before a site linux_code_find() may look. */
#define LINUX_REACH (((uintptr_t) 1 << 31) - ((uintptr_t) 1 << 20)) /**< How far a jump goes, with a margin. */
/** Sizes of huge pages that there may be, rising. */
#define LINUX_HUGE_PAGES                   \
    {                                      \
        (size_t) 1 << 21, (size_t) 1 << 30 \
    }
#define LINUX_SMALLEST_HUGE_PAGE ((size_t) 1 << 21)
#else
#define LINUX_INSN 4 /* `svc #0`, or another, by `b stub`. */
#define LINUX_RESUME 4
#define LINUX_LOOK_BACK 64 /* Calls of ours in libc and ld.so of Debian 12 are set up within 13 instructions. */
#define LINUX_STUB_BYTES 128
#define LINUX_REACH (((uintptr_t) 1 << 27) - ((uintptr_t) 1 << 20))
/* With plain pages of 4 KiB 64K, 2M, 32M, 1G; of 16 KiB 2M, 32M, 1G; of 64 KiB 2M, 512M, 16G. */
#define LINUX_HUGE_PAGES                                                                          \
    {                                                                                             \
        (size_t) 1 << 16, (size_t) 1 << 21, (size_t) 1 << 25, (size_t) 1 << 29, (size_t) 1 << 30, \
            (size_t) 1 << 34                                                                      \
    }
#define LINUX_SMALLEST_HUGE_PAGE ((size_t) 1 << 16)
#endif

/** One more than the highest system-call number that is looked up in a table. */
#define LINUX_CALL_NUMBERS 512

/** The number of a site in syscall(2): the caller's. */
#define LINUX_NR_ANY (-1L)

/** Added to a number that is set before the instruction that is replaced. */
#define LINUX_NR_IS_SET (1L << 16)

struct linux_site_t;
struct linux_patch_t;

/** What a page of stubs begins with: the addresses that they call. */
typedef struct linux_stub_head_t {
    void (*common)(void);
    void (*vectors)(void);
} linux_stub_head_t;

/** The first site at or behind code + from whose number is_wanted() takes (or LINUX_NR_ANY).
 * @param[out] nr  Its number, perhaps with LINUX_NR_IS_SET.
 * @return Its offset in code, or size: there is none.
 */
size_t linux_code_find(const uint8_t *code, size_t size, size_t from, bool (*is_wanted)(long nr), long *nr);

/** Write the stub of a site, with its `address`, `call`, `kind`, `has_number` and `original` set, and the jump to it into `jump`.
 * @param[in] head  Of the stubs' memory, within reach.
 */
void linux_code_write_stub(uint8_t *stub, struct linux_site_t *site, const linux_stub_head_t *head);

/** May the patch be stored while other threads run this code? */
bool linux_code_can_store(const struct linux_patch_t *patch);

/** Store it, at once for everybody, if its old bytes are there. Pages must be writable.
 * @return Were they? */
bool linux_code_store(const struct linux_patch_t *patch);

/** After code was written at [start, start + size) by any thread: make this processor, and those that run other threads
 * of the process, fetch it anew. @return false: the kernel has no call for the others, or forbids it. */
bool linux_code_sync(uintptr_t start, size_t size);

/** Where a jump that somebody has put at code leads to, in the forms that hook libraries use; NULL: none of these. */
const uint8_t *linux_code_follow(const uint8_t *code);

/** Set linux_facts.address_end and tag_bits; linux_facts_<cpu>.c. */
void linux_facts_read_cpu(void);

/** Measure what stubs need to know of the processor. Called before the first stub is made. */
void linux_code_begin(void);

#endif
