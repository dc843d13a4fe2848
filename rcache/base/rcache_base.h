/* SPDX-License-Identifier: BSD-3-Clause */
/* Base of the registration caches: creation, the list of caches, and the
 * release callback that all of them share. */
#ifndef RCACHE_BASE_RCACHE_BASE_H
#define RCACHE_BASE_RCACHE_BASE_H

#include "opal/mca/rcache/rcache.h"

/** Values of the variables rcache_base_*; constant between open and close. */
typedef struct mca_rcache_base_settings_t {
    int leave_pinned; /**< -1 auto, 0, 1. */
    bool unsafe;
    size_t max_count; /**< 0: no limit. */
    size_t max_bytes;
    int in_use_policy; /**< mca_rcache_in_use_policy_t. */
} mca_rcache_base_settings_t;
extern mca_rcache_base_settings_t mca_rcache_base_settings;

/** Register variables. @retval OPAL_SUCCESS / OPAL_ERR_BAD_PARAM */
int mca_rcache_base_open(void);

/** Stop listening. @retval OPAL_SUCCESS / OPAL_ERR_RESOURCE_BUSY: caches are left. */
int mca_rcache_base_close(void);

/** In a fork child: every cache becomes empty. Hook context. */
void mca_rcache_base_reset_child(void);

#endif
