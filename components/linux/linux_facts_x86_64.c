/* SPDX-License-Identifier: BSD-3-Clause */
/* Facts about addresses, x86-64. */
#include <asm/prctl.h>
#include <errno.h>
#include <sys/mman.h>

#include "components/linux/linux.h"
#include "components/linux/linux_sys.h"

#ifndef ARCH_GET_UNTAG_MASK
#define ARCH_GET_UNTAG_MASK 0x4001
#endif

/* 47 bits less a guard page; 56 where the processor has five levels of page tables. */
#define ADDRESS_END_47 (((uintptr_t) 1 << 47) - 4096)
#define ADDRESS_END_56 (((uintptr_t) 1 << 56) - 4096)

/* Something may be mapped above 47 bits only with five levels; EEXIST says that something is. */
static bool has_five_levels(void)
{
    const uintptr_t above = (uintptr_t) 1 << 47;
    const long got = linux_sys_mmap(above, LINUX_PAGE, PROT_NONE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE);

    if (!linux_failed(got)) {
        linux_sys_munmap((uintptr_t) got, LINUX_PAGE);
    }
    return got == (long) above || got == -EEXIST;
}

/* Can be switched on only before the process has a second thread: in practice, at its start. */
static uintptr_t read_tag_bits(void)
{
    uintptr_t mask = UINTPTR_MAX;

    return linux_failed(LINUX_SYS(SYS_arch_prctl, ARCH_GET_UNTAG_MASK, (long) &mask)) ? 0 : ~mask;
}

void linux_facts_read_cpu(void)
{
    linux_facts.tag_bits = read_tag_bits();
    linux_facts.address_end = has_five_levels() ? ADDRESS_END_56 : ADDRESS_END_47;
}
