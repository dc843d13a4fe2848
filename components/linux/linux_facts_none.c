/* SPDX-License-Identifier: BSD-3-Clause */
/* Facts about addresses, of processors that nobody has written machine code for. */
#include <errno.h>
#include <sys/mman.h>

#include "components/linux/linux.h"
#include "components/linux/linux_sys.h"

/* More and less than any 64-bit processor gives to programs. */
enum { MOST_BITS = 57, LEAST_BITS = 38 };

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

/* The upper half of so many bits begins at an address that one bit less does not reach. */
static uintptr_t read_address_end(void)
{
    for (unsigned bits = MOST_BITS; bits > LEAST_BITS; bits--) {
        if (is_usable((uintptr_t) 1 << (bits - 1))) {
            return (uintptr_t) 1 << bits;
        }
    }
    return (uintptr_t) 1 << MOST_BITS;
}

void linux_facts_read_cpu(void)
{
    linux_facts.tag_bits = 0;
    linux_facts.address_end = read_address_end();
}
