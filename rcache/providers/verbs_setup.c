/* SPDX-License-Identifier: BSD-3-Clause */
/* Provider verbs: choosing and opening a device, what it can do, and explaining why
 * there is none. Registering is in verbs.c. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "opal/mca/base/base.h"
#include "opal/mca/base/var.h"
#include "rcache/providers/verbs.h"

#define FORK_STATUS_UNNEEDED 2 /* IBV_FORK_UNNEEDED */

static int code_of(int error)
{
    return error == ENOMEM || error == EMFILE || error == ENFILE ? OPAL_ERR_OUT_OF_RESOURCE
                                                                 : OPAL_ERR_NOT_AVAILABLE;
}

/* ---- Choosing a device -------------------------------------------------------------------------- */

static int no_devices(int error)
{
    mca_base_log(MCA_BASE_LOG_ERROR, "provider verbs: no RDMA device: %s",
                 error == ENOSYS ? "the kernel offers none to programs (module ib_uverbs is not loaded)"
                 : error != 0    ? strerror(error)
                              : "libibverbs finds none that a driver serves (Debian package: ibverbs-providers)");
    return code_of(error);
}

static int no_such_device(const verbs_library_t *library, struct ibv_device **list, const char *wanted)
{
    char names[256] = "";
    for (size_t i = 0; list[i] != NULL; i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof(names) - used, "%s%s", i == 0 ? "" : ", ",
                 library->get_device_name(list[i]));
    }
    mca_base_log(MCA_BASE_LOG_ERROR,
                 "provider verbs: there is no RDMA device \"%s\" (variable rcache_verbs_device); "
                 "there are: %s",
                 wanted, names);
    return OPAL_ERR_NOT_AVAILABLE;
}

static int cannot_open(const char *name, int error)
{
    mca_base_log(MCA_BASE_LOG_ERROR, "provider verbs: RDMA device %s cannot be opened: %s%s", name,
                 strerror(error),
                 error == EACCES || error == EPERM ? "; it needs read and write access to its "
                                                     "/dev/infiniband/uverbs file"
                                                   : "");
    return code_of(error);
}

static bool has_active_port(const verbs_library_t *library, struct ibv_context *context)
{
    struct ibv_port_attr attr;
    /* Ports are numbered from 1 without gaps; a number that is none ends the search. */
    for (unsigned port = 1; port < 256; port++) {
        memset(&attr, 0, sizeof(attr));
        if (library->query_port(context, (uint8_t) port, (struct _compat_ibv_port_attr *) &attr) != 0) {
            return false;
        }
        if (attr.state == IBV_PORT_ACTIVE) {
            return true;
        }
    }
    return false;
}

/* The first of that name that has an active port, else the first that opens. *error: why the last did not. */
static struct ibv_context *open_best(const verbs_library_t *library, struct ibv_device **list, const char *wanted,
                                     const char **tried, int *error)
{
    struct ibv_context *fallback = NULL;
    for (size_t i = 0; list[i] != NULL; i++) {
        const char *name = library->get_device_name(list[i]);
        if (wanted != NULL && strcmp(wanted, name) != 0) {
            continue;
        }
        *tried = name;
        errno = 0;
        struct ibv_context *context = library->open_device(list[i]);
        if (context == NULL) {
            *error = errno != 0 ? errno : EIO;
        } else if (has_active_port(library, context)) {
            if (fallback != NULL) {
                library->close_device(fallback);
            }
            return context;
        } else if (fallback == NULL) {
            fallback = context;
        } else {
            library->close_device(context);
        }
    }
    return fallback;
}

static int choose_device(const verbs_library_t *library, const char *wanted, struct ibv_context **context)
{
    errno = 0;
    struct ibv_device **list = library->get_device_list(NULL);
    if (list == NULL || list[0] == NULL) {
        int error = list == NULL ? errno : 0;
        if (list != NULL) {
            library->free_device_list(list);
        }
        return no_devices(error);
    }
    const char *tried = NULL;
    int error = 0, rc = OPAL_SUCCESS;
    *context = open_best(library, list, wanted, &tried, &error);
    if (tried == NULL) {
        rc = no_such_device(library, list, wanted);
    } else if (*context == NULL) {
        rc = cannot_open(tried, error);
    }
    library->free_device_list(list);
    return rc;
}

/* ---- What it can do ----------------------------------------------------------------------------- */

static bool can_page_on_demand(struct ibv_context *context)
{
    const uint32_t needed =
        IBV_ODP_SUPPORT_SEND | IBV_ODP_SUPPORT_RECV | IBV_ODP_SUPPORT_WRITE | IBV_ODP_SUPPORT_READ;
    struct ibv_device_attr_ex attr;
    memset(&attr, 0, sizeof(attr));
    /* The operation itself: ibv_query_device_ex() falls back to a function of the library, which is not linked. */
    struct verbs_context *extended = verbs_get_ctx_op(context, query_device_ex);
    return extended != NULL && extended->query_device_ex(context, NULL, &attr, sizeof(attr)) == 0
           && (attr.odp_caps.general_caps & IBV_ODP_SUPPORT) != 0
           && (attr.odp_caps.per_transport_caps.rc_odp_caps & needed) == needed;
}

void mca_rcache_verbs_choose_extras(verbs_provider_t *provider, struct ibv_pd *pd)
{
    unsigned extras = 0;
    /* The newer function passes it to kernels that know it, and leaves it out for others. */
    if (mca_base_var_load(mca_rcache_verbs_settings.relaxed_ordering) && provider->library.reg_mr_iova2 != NULL) {
        extras |= IBV_ACCESS_RELAXED_ORDERING;
    }
    if (mca_base_var_load(mca_rcache_verbs_settings.on_demand)) {
        if (can_page_on_demand(pd->context)) {
            extras |= IBV_ACCESS_ON_DEMAND;
        } else {
            mca_base_log(MCA_BASE_LOG_WARN,
                         "provider verbs: RDMA device %s has no on-demand paging (variable "
                         "rcache_verbs_on_demand): memory is pinned",
                         provider->library.get_device_name(pd->context->device));
        }
    }
    atomic_store(&provider->extras, extras);
}

int mca_rcache_verbs_make_fork_safe(const verbs_library_t *library)
{
    int wish = mca_base_var_load(mca_rcache_verbs_settings.fork_safety);
    if (wish == VERBS_FORK_NO
        || (library->is_fork_initialized != NULL && library->is_fork_initialized() == FORK_STATUS_UNNEEDED)) {
        return OPAL_SUCCESS;
    }
    int error = library->fork_init();
    if (error == 0) {
        return OPAL_SUCCESS;
    }
    mca_base_log(wish == VERBS_FORK_YES ? MCA_BASE_LOG_ERROR : MCA_BASE_LOG_INFO,
                 "provider verbs: ibv_fork_init failed (%s): %s", strerror(error),
                 error == EINVAL ? "this program registered memory before; call it first, or set IBV_FORK_SAFE=1"
                                 : "registered memory is not safe when this process forks");
    return wish == VERBS_FORK_YES ? OPAL_ERR_NOT_AVAILABLE : OPAL_SUCCESS;
}

/* ---- The protection domain ---------------------------------------------------------------------- */

int mca_rcache_verbs_setup(verbs_provider_t *provider, const char *device)
{
    const verbs_library_t *library = &provider->library;
    struct ibv_context *context = NULL;
    int rc = choose_device(library, device != NULL && device[0] != '\0' ? device : NULL, &context);
    if (rc != OPAL_SUCCESS) {
        return rc;
    }
    errno = 0;
    struct ibv_pd *pd = library->alloc_pd(context);
    if (pd == NULL) {
        int error = errno;
        mca_base_log(MCA_BASE_LOG_ERROR, "provider verbs: RDMA device %s gives no protection domain: %s",
                     library->get_device_name(context->device), strerror(error));
        library->close_device(context);
        return code_of(error);
    }
    snprintf(provider->device_name, sizeof(provider->device_name), "%s",
             library->get_device_name(context->device));
    mca_rcache_verbs_choose_extras(provider, pd);
    atomic_store(&provider->pd, pd);
    return OPAL_SUCCESS;
}

void mca_rcache_verbs_release(verbs_provider_t *provider)
{
    struct ibv_pd *pd = atomic_exchange(&provider->pd, NULL);
    if (pd == NULL || provider->foreign) {
        return;
    }
    struct ibv_context *context = pd->context;
    int error = provider->library.dealloc_pd(pd);
    if (error != 0) { /* Closing the device now would pull it away under what the program has in the domain. */
        mca_base_log(MCA_BASE_LOG_WARN,
                     "provider verbs: the protection domain of RDMA device %s is still in use "
                     "(%s): it stays open until the process ends",
                     provider->device_name, strerror(error));
        return;
    }
    provider->library.close_device(context);
}
