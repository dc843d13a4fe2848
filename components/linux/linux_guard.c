/* SPDX-License-Identifier: BSD-3-Clause */
/* Notices when another hook library replaces our jumps by its own: it does not ask, and from then on we
 * hear of no release. To write to code it has to make the pages writable, by a mprotect that we see. So what caches
 * keep is dropped before that, nothing is kept while a site may be changed, and afterwards only if all jumps are
 * still there. Who changes code without libc's mprotect is found out when the next registration is to be kept. */
#include "components/linux/linux.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "components/linux/linux_sys.h"
#include "opal/mca/base/base.h"

_Static_assert(LINUX_MAX_SITES <= 64, "one bit for each site");

/* Those that held our jumps when we were switched on. Sites are constant by then, and never freed. */
static const linux_site_t *_Atomic guarded[LINUX_MAX_SITES];
static _Atomic size_t guarded_count;
static _Atomic uint64_t writable; /* Bits of the sites that somebody may be changing now. */
static _Atomic bool is_told;      /* One message for each time. */

void linux_guard_begin(const linux_site_t *sites, size_t count)
{
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        if (sites[i].patched) {
            atomic_store(&guarded[used++], &sites[i]);
        }
    }
    atomic_store(&writable, 0);
    atomic_store(&is_told, false);
    atomic_store(&guarded_count, used);
}

void linux_guard_end(void)
{
    atomic_store(&guarded_count, 0);
}

/* Bits of the sites that lie in whole or in part in [start, end). */
static uint64_t sites_within(uintptr_t start, uintptr_t end)
{
    const size_t count = atomic_load(&guarded_count);
    uint64_t within = 0;

    for (size_t i = 0; i < count; i++) {
        const uintptr_t address = (uintptr_t) atomic_load(&guarded[i])->address;

        within |= (uint64_t) (address < end && address + LINUX_INSN > start) << i;
    }
    return within;
}

/* By hand: memcmp is allowed to use vector registers. */
static bool holds_jump(const linux_site_t *site)
{
    const volatile uint8_t *code = site->address;

    for (size_t i = 0; i < LINUX_INSN; i++) {
        if (code[i] != site->jump[i]) {
            return false;
        }
    }
    return true;
}

static bool holds_all(void)
{
    const size_t count = atomic_load(&guarded_count);

    for (size_t i = 0; i < count; i++) {
        if (!holds_jump(atomic_load(&guarded[i]))) {
            return false;
        }
    }
    return true;
}

static void drop_everything(void)
{
    opal_mem_hooks_release_cause(NULL, SIZE_MAX, true, OPAL_MEM_HOOKS_CAUSE_KERNEL);
}

/* A call that fails may have changed the first of its pages; EINVAL alone tells that it has not. */
long linux_run_mprotect(const linux_call_t *call, const long args[6])
{
    const uintptr_t start = (uintptr_t) args[0];
    const uint64_t within = sites_within(start, linux_round_up(start + (uintptr_t) args[1], LINUX_PAGE));
    const bool may_write = (args[2] & PROT_WRITE) != 0;
    uint64_t fresh = 0;
    long result;

    if (within != 0 && may_write) {
        fresh = within & ~atomic_fetch_or(&writable, within);
        drop_everything();
    }
    result = call->make == NULL ? linux_sys_call(call->nr, args) : call->make(call, args);
    if (result == -EINVAL) {
        atomic_fetch_and(&writable, ~fresh);
    } else if (!may_write && !linux_failed(result)) {
        atomic_fetch_and(&writable, ~within);
    }
    return result;
}

/* Its caller is about to keep a registration, and holds no lock. */
int linux_guard_register(void *base, size_t length, uint64_t cookie)
{
    (void) base, (void) length, (void) cookie;
    if (atomic_load(&writable) != 0) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    if (holds_all()) {
        if (atomic_load(&is_told)) {
            atomic_store(&is_told, false); /* They have been put back. */
        }
        return OPAL_SUCCESS;
    }
    if (!atomic_exchange(&is_told, true)) {
        drop_everything();
        mca_base_log(MCA_BASE_LOG_WARN,
                     "memory: another library has taken over system calls of libc that the component linux had "
                     "replaced: releases are not noticed any more, and caches keep nothing from now on. To cache "
                     "here, switch that library's memory hooks off (Open MPI: OMPI_MCA_memory=^patcher; UCX, also "
                     "within Open MPI: UCX_MEM_EVENTS=no)");
    }
    return OPAL_ERR_OUT_OF_RESOURCE;
}
