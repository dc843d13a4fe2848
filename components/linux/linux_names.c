/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of sites, for the variable memory_linux_disable_sites. */
#include <string.h>

#include "components/linux/linux.h"

static const char *const kind_names[LINUX_KINDS] = { "libc:", "ld.so:", "other:" };

static bool is_name(const char *name, const char *text, size_t length)
{
    return strlen(name) == length && strncmp(name, text, length) == 0;
}

static uint32_t bit_by_name(const char *name, size_t length)
{
    for (size_t i = 0; i < LINUX_CALL_COUNT; i++) {
        if (is_name(linux_calls[i].name, name, length)) {
            return linux_calls[i].bit;
        }
    }
    return is_name("syscall", name, length) ? LINUX_ANY_CALL_BIT : 0;
}

/* One item: [kind:]name. */
static bool add_site(const char *item, size_t length, linux_sites_mask_t *mask)
{
    uint32_t bit;
    size_t kind = 0;

    while (kind < LINUX_KINDS && strncmp(item, kind_names[kind], strlen(kind_names[kind])) != 0) {
        kind++;
    }
    if (kind < LINUX_KINDS) {
        bit = bit_by_name(item + strlen(kind_names[kind]), length - strlen(kind_names[kind]));
        mask->calls[kind] |= bit;
        return bit != 0;
    }
    bit = bit_by_name(item, length);
    for (kind = 0; kind < LINUX_KINDS; kind++) {
        mask->calls[kind] |= bit;
    }
    return bit != 0;
}

int linux_sites_parse(const char *list, linux_sites_mask_t *mask, const char **unknown, size_t *unknown_length)
{
    linux_sites_mask_t found = { { 0 } };

    while (*list != '\0') {
        const size_t length = strcspn(list, ",");

        if (!add_site(list, length, &found)) {
            *unknown = list;
            *unknown_length = length;
            return OPAL_ERR_BAD_PARAM;
        }
        list += length + (list[length] == ',');
    }
    *mask = found;
    return OPAL_SUCCESS;
}
