/* SPDX-License-Identifier: BSD-3-Clause */
/* Where nobody has written the component's machine code yet. */
#include "components/linux/linux.h"

#include "opal/mca/base/base.h"

int linux_query(void)
{
    mca_base_component_set_reason("replacing system calls is written for x86-64 and aarch64 only");
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

int linux_sites_parse(const char *list, linux_sites_mask_t *mask, const char **unknown, size_t *unknown_length)
{
    (void) list;
    (void) unknown;
    (void) unknown_length;
    *mask = (linux_sites_mask_t){ { 0 } };
    return OPAL_SUCCESS;
}

int linux_guard_register(void *base, size_t length, uint64_t cookie)
{
    (void) base;
    (void) length;
    (void) cookie;
    return OPAL_SUCCESS;
}
