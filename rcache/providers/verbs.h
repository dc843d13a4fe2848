/* SPDX-License-Identifier: BSD-3-Clause */
/* Provider verbs, inside: the library that is found at run time, and a
 * protection domain of one device in which memory is registered.
 *
 * libibverbs is opened with dlopen, not linked: programs that never use this
 * provider do not carry it (it brings libnl and every device's driver), a
 * package of this library does not depend on it, and it is absent without harm.
 * A program that uses verbs has it loaded already: dlopen finds that copy. */
#ifndef RCACHE_PROVIDERS_VERBS_H
#define RCACHE_PROVIDERS_VERBS_H

#include <infiniband/verbs.h>
#include <stdatomic.h>

#include "rcache/providers/provider.h"

/** What is used of libibverbs; constant once loaded. */
typedef struct verbs_library_t {
    struct ibv_device **(*get_device_list)(int *count);
    void (*free_device_list)(struct ibv_device **list);
    const char *(*get_device_name)(struct ibv_device *device);
    struct ibv_context *(*open_device)(struct ibv_device *device);
    int (*close_device)(struct ibv_context *context);
    int (*query_port)(struct ibv_context *context, uint8_t port, struct _compat_ibv_port_attr *attr);
    struct ibv_pd *(*alloc_pd)(struct ibv_context *context);
    int (*dealloc_pd)(struct ibv_pd *pd);
    struct ibv_mr *(*reg_mr)(struct ibv_pd *pd, void *addr, size_t length, int access);
    int (*dereg_mr)(struct ibv_mr *mr);
    int (*fork_init)(void);
    /* NULL in older ones. */
    struct ibv_mr *(*reg_mr_iova2)(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova, unsigned access);
    struct ibv_mr *(*reg_dmabuf_mr)(struct ibv_pd *pd, uint64_t offset, size_t length, uint64_t iova, int fd,
                                    int access);
    int (*is_fork_initialized)(void); /**< enum ibv_fork_status, which headers before rdma-core 36 lack. */
} verbs_library_t;

/** Variables rcache_verbs_*. */
typedef struct verbs_settings_t {
    char *library;         /**< What is opened with dlopen. */
    char *device;          /**< NULL: the first that has an active port, else the first. */
    bool relaxed_ordering; /**< Ask for it, where the device takes it. */
    bool on_demand;        /**< Ask for it, where the device has it. */
    int fork_safety;       /**< verbs_fork_safety_t. */
} verbs_settings_t;

typedef enum verbs_fork_safety_t {
    VERBS_FORK_AUTO, /**< ibv_fork_init() where the kernel needs it; its failure is no error. */
    VERBS_FORK_NO,
    VERBS_FORK_YES /**< As auto, but a failure is an error. */
} verbs_fork_safety_t;

/** Written by the variables; strings are read with mca_base_var_load(). */
extern verbs_settings_t mca_rcache_verbs_settings;

typedef struct verbs_provider_t {
    mca_rcache_provider_t super;
    verbs_library_t library;
    bool foreign;              /**< The protection domain is the user's: never freed here. Constant. */
    char device_name[64];      /**< Written by verbs_setup(), under made_for. */
    struct ibv_pd *_Atomic pd; /**< Of the process of made_for; NULL: there is none. Under made_for. */
    atomic_uint extras;        /**< IBV_ACCESS_* for every registration: RELAXED_ORDERING, ON_DEMAND. */
    /** Fork generation of the process that makes (2 * n) or has made (2 * n + 1) the protection domain. No lock: a
     * child that is forked meanwhile would inherit it held. */
    _Atomic uint64_t made_for;
    atomic_bool lost; /**< Nothing can be registered any more; the reason was said. */
} verbs_provider_t;

/** @return as mca_base_var_register() */
int mca_rcache_verbs_register_variables(void);

/** Open libibverbs and look its functions up.
 * @retval OPAL_SUCCESS / OPAL_ERR_NOT_AVAILABLE after a message. Thread-safe. Never closed again. */
int mca_rcache_verbs_load(verbs_library_t *library);

/** Open the device and make a protection domain.
 * @param[in] device  Its name; NULL or "": any.
 * @retval OPAL_SUCCESS / OPAL_ERR_NOT_AVAILABLE / OPAL_ERR_OUT_OF_RESOURCE after a message; the provider has none then. */
int mca_rcache_verbs_setup(verbs_provider_t *provider, const char *device);

/** Decide `extras` from the variables and what the device of this domain can do. */
void mca_rcache_verbs_choose_extras(verbs_provider_t *provider, struct ibv_pd *pd);

/** Obey the variable fork_safety; before memory is registered.
 * @retval OPAL_SUCCESS / OPAL_ERR_NOT_AVAILABLE after a message */
int mca_rcache_verbs_make_fork_safe(const verbs_library_t *library);

/** Give the domain and the device back, as far as nobody uses them. */
void mca_rcache_verbs_release(verbs_provider_t *provider);

#endif
