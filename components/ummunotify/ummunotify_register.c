/* SPDX-License-Identifier: BSD-3-Clause */
/* memoryc_register and memoryc_deregister: regions begin and end to be told of. */
#include <errno.h>

#include "components/ummunotify/ummunotify.h"
#include "opal/mca/memory/memory.h"

/* What a registration that the driver refuses means to the caller: it cannot be kept. */
static int refused(int rc)
{
    if (rc != -ENODEV) {
        mca_base_log(MCA_BASE_LOG_DEBUG, "ummunotify: the driver refuses to watch a region (error %d)", -rc);
    }
    return rc == -EINVAL ? OPAL_EXISTS : OPAL_ERR_OUT_OF_RESOURCE;
}

static int tell_driver(ummunotify_range_t range, uint64_t cookie)
{
    const int rc = ummunotify_device_register(range.start, range.end, cookie);

    if (rc < 0) {
        return refused(rc);
    }
    if (ummunotify_device_settle() < 0) {
        ummunotify_device_unregister(cookie);
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    return OPAL_SUCCESS;
}

static bool is_there_a_device(void)
{
    const ummunotify_state_t state = ummunotify_device_state();

    return state == UMMUNOTIFY_READY || (state == UMMUNOTIFY_AWAY && ummunotify_device_want());
}

int ummunotify_register(void *base, size_t len, uint64_t cookie)
{
    const uint64_t start = (uintptr_t) base;

    if (cookie == 0 || len == 0 || len > UINT64_MAX - start) {
        return OPAL_ERR_BAD_PARAM;
    }
    if (!is_there_a_device()) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    const ummunotify_range_t range = { start, start + len };
    int rc = ummunotify_table_insert(cookie, range);
    if (rc == OPAL_SUCCESS) {
        rc = tell_driver(range, cookie);
        if (rc != OPAL_SUCCESS) {
            ummunotify_table_remove(cookie);
        }
    }
    return rc;
}

/* The cookie decides; of a lost device there is nothing to take back. */
int ummunotify_deregister(void *base, size_t len, uint64_t cookie)
{
    (void) base, (void) len;
    ummunotify_fork_check();
    if (!ummunotify_table_remove(cookie)) {
        return OPAL_ERR_NOT_FOUND;
    }
    return ummunotify_device_unregister(cookie) == -EINVAL ? OPAL_ERR_NOT_FOUND : OPAL_SUCCESS;
}
