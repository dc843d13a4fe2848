/* SPDX-License-Identifier: BSD-3-Clause */
/* May this process use io_uring? The provider "uring" is asked: it knows the
 * settings that forbid it, and says which in its message. */
#include <stdio.h>

#include "opal/mca/base/base.h"
#include "opal/mca/rcache/provider.h"
#include "tools/info/info.h"

typedef struct text_t {
    char *text;
    size_t size;
} text_t;

static void keep_message(mca_base_log_level_t level, const char *message, void *arg)
{
    const text_t *to = arg;
    if (level == MCA_BASE_LOG_ERROR) {
        snprintf(to->text, to->size, "%s", message);
    }
}

bool info_uring_is_allowed(char *reason, size_t size)
{
    /* Not on the stack: another thread may still call a log function that has been replaced. */
    static text_t message;
    message = (text_t){ reason, size };
    reason[0] = '\0';
    mca_rcache_provider_t *provider;
    mca_base_set_log(keep_message, &message);
    int rc = mca_rcache_provider_open("uring", &provider);
    mca_base_set_log(NULL, NULL);
    if (rc == OPAL_SUCCESS) {
        mca_rcache_provider_close(provider);
        reason[0] = '\0';
    } else if (reason[0] == '\0') {
        snprintf(reason, size, "%s", opal_strerror(rc));
    }
    return rc == OPAL_SUCCESS;
}
