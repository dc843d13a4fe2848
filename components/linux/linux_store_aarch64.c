/* SPDX-License-Identifier: BSD-3-Clause */
/* Stores into running code, aarch64.
 *
 * A site is one instruction, `svc #0`, and becomes one other, `b stub`; later perhaps the first again. (The few sites that
 * begin with another instruction get a new page: linux_pages.c.) Why other threads may run it meanwhile:
 *
 * 1. The store. It is of 4 bytes, aligned, hence single-copy atomic: a fetch gets the old instruction or the new one.
 *    The Arm ARM (B2.2.5, "Concurrent modification and execution of instructions") lists the instructions for which a
 *    processor then executes one of the two, and nothing else, without any synchronization: B, BL, BRK, HVC, ISB, NOP, SMC
 *    and SVC. Both of ours are among them, in both directions.
 * 2. What the branch leads to. Stubs are complete before the first branch to them is stored. Their lines are cleaned and
 *    invalidated up to the point where instruction and data caches meet (linux_code_sync(), broadcast to all processors),
 *    and their pages become executable only after they were written: nobody can have fetched anything of them earlier.
 * 3. When all know. After the store its line is cleaned and invalidated likewise, so that each later fetch gets the new
 *    instruction. What a processor had fetched before, it runs at most once: both instructions lead to a `svc`, whose exception
 *    is a context synchronization event and drops what was fetched. An old `svc` makes the call that was meant, as if it had
 *    begun before the store; an old `b stub` leads to a stub, which lives on and makes it. So nobody has to be
 *    interrupted. (membarrier SYNC_CORE would do that; its first use takes milliseconds in a process with several threads.)
 * 4. Threads inside the kernel. The kernel returns behind the site, to an instruction that is never changed. A call
 *    that a signal interrupts and that the kernel restarts is restarted at the site: pc - 4, with x0 as it was at first, x1 to x7
 *    as they are, and x8 the number, or that of restart_syscall (arch/arm64/kernel/signal.c). That is what a call looks
 *    like that arrives there for the first time; there is no instruction before the site that would have to be executed
 *    again. If the site has become a branch meanwhile, the restarted call goes through the stub, and the event comes
 *    before it. restart_syscall is no number of ours: the stub compares x8 and passes it to the kernel, from where the
 *    parameters of the call come. If it was a branch and is `svc` again: the calls that stubs make restart in the stub or
 *    in linux_sys_real(), not here.
 * 5. Signal handlers and debuggers see the site's address, a stub's, or ours; none of these has to be executed
 *    without interruption. Who dies between two instructions leaves nothing half done. */
#include <stdint.h>

#include "components/linux/linux.h"

#define SVC 0xd4000001u
#define B 0x14000000u

static uint32_t load(const uint8_t *bytes)
{
    uint32_t word;

    __builtin_memcpy(&word, bytes, sizeof(word));
    return word;
}

/* In assembly: thread sanitizers keep no record of accesses to code. */
static bool compare_exchange(uint8_t *code, uint32_t expected, uint32_t wanted)
{
    uint32_t seen, failed;

    __asm__ volatile("1:  ldaxr %w[seen], [%[code]]\n"
                     "    cmp   %w[seen], %w[expected]\n"
                     "    b.ne  2f\n"
                     "    stlxr %w[failed], %w[wanted], [%[code]]\n"
                     "    cbnz  %w[failed], 1b\n"
                     "2:"
                     : [seen] "=&r"(seen), [failed] "=&r"(failed)
                     : [code] "r"(code), [expected] "r"(expected), [wanted] "r"(wanted)
                     : "cc", "memory");
    return seen == expected;
}

/* Of the instructions in the list, those that stand at sites. */
static bool is_exchangeable(uint32_t insn)
{
    return insn == SVC || (insn & 0xfc000000u) == B;
}

bool linux_code_can_store(const linux_patch_t *patch)
{
    return (uintptr_t) patch->address % LINUX_INSN == 0 && is_exchangeable(load(patch->from))
           && is_exchangeable(load(patch->to));
}

bool linux_code_store(const linux_patch_t *patch)
{
    return compare_exchange(patch->address, load(patch->from), load(patch->to));
}

bool linux_code_sync(uintptr_t start, size_t size)
{
    __builtin___clear_cache((char *) start, (char *) (start + size));
    return true;
}
