/* SPDX-License-Identifier: BSD-3-Clause */
/* What the driver ummunotify and its users have agreed on: the requests, the
 * structures, and the page that is mapped, whose first 8 bytes are the
 * generation. A descriptor is opened for reading only, and belongs to the
 * address space that opened it. */
#ifndef COMPONENTS_UMMUNOTIFY_UMMUNOTIFY_ABI_H
#define COMPONENTS_UMMUNOTIFY_UMMUNOTIFY_ABI_H

#include <stdint.h>
#include <sys/ioctl.h>

/** A region to be told of. */
struct ummunotify_register_ioctl {
    uint64_t start;
    uint64_t end;         /**< First byte behind it. */
    uint64_t user_cookie; /**< Comes back in events; no other region may have it. */
    uint32_t flags;       /**< 0. */
    uint32_t reserved;    /**< 0. */
};

#define UMMUNOTIFY_MAGIC 'U'
/** Has to come first. In: 0. Out: what the driver could do besides; nothing has been thought of. */
#define UMMUNOTIFY_EXCHANGE_FEATURES _IOWR(UMMUNOTIFY_MAGIC, 1, uint32_t)
/** EINVAL: the cookie is in use, the range is empty, or a word is not 0. */
#define UMMUNOTIFY_REGISTER_REGION _IOW(UMMUNOTIFY_MAGIC, 2, struct ummunotify_register_ioctl)
/** By cookie; an event of the region that waits to be read goes, too. EINVAL: there is none. */
#define UMMUNOTIFY_UNREGISTER_REGION _IOW(UMMUNOTIFY_MAGIC, 3, uint64_t)

enum {
    UMMUNOTIFY_EVENT_TYPE_INVAL = 0, /**< Of a region something has changed; it stays registered. */
    UMMUNOTIFY_EVENT_TYPE_LAST = 1,  /**< Nothing else waits. */
};

enum {
    UMMUNOTIFY_EVENT_FLAG_HINT =
        1, /**< The hint is exact: one change, cut to the region. Else it is the region. */
};

/** What read(2) gives: whole ones, 128 at most at a time. */
struct ummunotify_event {
    uint32_t type;
    uint32_t flags;
    uint64_t hint_start;
    uint64_t hint_end;            /**< First byte behind it. */
    uint64_t user_cookie_counter; /**< INVAL: the cookie. LAST: the generation by then. */
};

#define UMMUNOTIFY_EVENTS_A_READ 128

_Static_assert(sizeof(struct ummunotify_register_ioctl) == 32 && sizeof(struct ummunotify_event) == 32,
               "as the driver has them");

#endif
