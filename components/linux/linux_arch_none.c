/* SPDX-License-Identifier: BSD-3-Clause */
/* Where nobody has written the component's machine code yet: no code is
 * replaced, and linux_mechanism.c chooses interposition. */
#include "components/linux/linux.h"
#include "components/linux/linux_sys.h"
#include "opal/mca/base/base.h"

int linux_query(void)
{
    mca_base_component_set_reason("replacing system calls is not written for this processor");
    return OPAL_ERR_NOT_AVAILABLE;
}

int linux_install(const linux_options_t *options, int *support, uint64_t *sees)
{
    (void) options;
    (void) support;
    (void) sees;
    return linux_query();
}

int linux_uninstall(void)
{
    return OPAL_SUCCESS;
}

int linux_guard_register(void *base, size_t length, uint64_t cookie)
{
    (void) base;
    (void) length;
    (void) cookie;
    return OPAL_SUCCESS;
}

/* There is no code of ours to watch over, */
long linux_run_mprotect(const linux_call_t *call, const long args[6])
{
    return linux_sys_call(call->nr, args);
}

/* and none to be searched. */
void linux_search_mapped(uintptr_t start, size_t length, int prot, int fd, uint64_t offset)
{
    (void) start;
    (void) length;
    (void) prot;
    (void) fd;
    (void) offset;
}

void linux_search_unmapped(uintptr_t start, size_t length)
{
    (void) start;
    (void) length;
}
