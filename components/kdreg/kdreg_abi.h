/* SPDX-License-Identifier: BSD-3-Clause */
/* What the device /dev/kdreg2 and a process say to each other: ioctls, the
 * status page that the driver maps into the process, and events. Numbers and
 * layouts are those of driver version 0.4 on 64 bits; declared anew here. */
#ifndef COMPONENTS_KDREG_KDREG_ABI_H
#define COMPONENTS_KDREG_KDREG_ABI_H

#include <stddef.h>
#include <stdint.h>

#define KDREG_DEVICE "/dev/kdreg2"

#define KDREG_CONFIG_DATA \
    UINT32_C(0xc0106b01)                     /**< kdreg_config_t: size of the tables; where the status page is. */
#define KDREG_MONITOR UINT32_C(0xc0286b02)   /**< kdreg_monitor_t */
#define KDREG_UNMONITOR UINT32_C(0x40186b03) /**< kdreg_unmonitor_t */
#define KDREG_UNMONITOR_ALL UINT32_C(0x00006b04) /**< Never used: the driver keeps the slots of what it ends so. */
#define KDREG_FLUSH UINT32_C(0x00006b05)         /**< Forget the events that wait, and that some were lost. */

/** Refused by the driver as a cookie. */
#define KDREG_BAD_COOKIE UINT64_MAX

/** The driver's tables have fewer regions than this. */
#define KDREG_MAX_REGIONS ((size_t) INT32_MAX - 1)

/** Read-only for the process; single words change at any time. */
typedef struct kdreg_status_t {
    uint64_t version;
    uint64_t max_regions;
    uint64_t pending_events;
    uint64_t total_events; /**< Grows by one with each event that is queued; not with one that is lost. */
    uint64_t num_active_regions;
    const volatile uint32_t *states; /**< max_regions words; NULL while there are none. */
} kdreg_status_t;

typedef struct kdreg_config_t {
    uint64_t max_regions;
    const volatile kdreg_status_t *status; /**< Out. */
} kdreg_config_t;

/** Where the word of a region is, and the value that it keeps as long as the region does. */
typedef struct kdreg_params_t {
    uint64_t location;
    uint32_t generation; /**< Bit 0 is set: in use. The driver counts in the other 31, and begins anew. */
    uint32_t pad;
} kdreg_params_t;

typedef struct kdreg_monitor_t {
    void *addr;
    uint64_t length;
    uint64_t cookie;
    kdreg_params_t params; /**< Out. */
} kdreg_monitor_t;

typedef struct kdreg_unmonitor_t {
    uint64_t cookie;
    kdreg_params_t params;
} kdreg_unmonitor_t;

#define KDREG_STATE_IN_USE 1u

#define KDREG_MAPPING_CHANGE 1u

/** What read() yields. Address and length are those of the region, whatever part of it has changed. */
typedef struct kdreg_event_t {
    uint32_t type;
    uint32_t pad; /**< Not initialised by the driver. */
    void *addr;
    uint64_t length;
    uint64_t cookie;
} kdreg_event_t;

_Static_assert(sizeof(kdreg_status_t) == 48 && offsetof(kdreg_status_t, states) == 40, "layout of the driver");
_Static_assert(sizeof(kdreg_config_t) == 16 && sizeof(kdreg_params_t) == 16, "layout of the driver");
_Static_assert(sizeof(kdreg_monitor_t) == 40 && sizeof(kdreg_unmonitor_t) == 24, "layout of the driver");
_Static_assert(sizeof(kdreg_event_t) == 32, "layout of the driver");

#endif
