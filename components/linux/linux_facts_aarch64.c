/* SPDX-License-Identifier: BSD-3-Clause */
/* Facts about addresses, aarch64. */
#include <errno.h>
#include <sys/mman.h>

#include "components/linux/linux.h"
#include "components/linux/linux_sys.h"

/* What kernels can be built for (CONFIG_ARM64_VA_BITS), the largest first. Where the processor does not have 52 bits,
 * such a kernel runs with 48. */
static const unsigned address_bits[] = { 52, 48, 47, 42, 39 };

/* The processor ignores the highest byte of an address, always. munmap, madvise, mremap (of the old place) and mprotect do
 * so, too, in every process; mmap, brk and mremap (of the new place) do not
 * (Documentation/arch/arm64/tagged-address-abi.rst). */
#define TOP_BYTE ((uintptr_t) 0xff << 56)

/* EEXIST says that something is mapped there. */
static bool is_usable(uintptr_t page)
{
    const long got = linux_sys_mmap(page, LINUX_PAGE, PROT_NONE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE);

    if (!linux_failed(got)) {
        linux_sys_munmap((uintptr_t) got, LINUX_PAGE);
    }
    return got == (long) page || got == -EEXIST;
}

/* The upper half of so many bits begins at an address that the next smaller number does not reach. Its end is not asked for:
 * an emulator on a machine with a guard page there does not have it. None of them is usable: nothing is known. */
static uintptr_t read_address_end(void)
{
    for (size_t i = 0; i < sizeof(address_bits) / sizeof(address_bits[0]); i++) {
        if (is_usable((uintptr_t) 1 << (address_bits[i] - 1))) {
            return (uintptr_t) 1 << address_bits[i];
        }
    }
    return (uintptr_t) 1 << address_bits[0];
}

void linux_facts_read_cpu(void)
{
    linux_facts.tag_bits = TOP_BYTE;
    linux_facts.address_end = read_address_end();
}
