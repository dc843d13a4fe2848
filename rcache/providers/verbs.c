/* SPDX-License-Identifier: BSD-3-Clause */
/* Provider verbs: memory is registered with an RDMA device through libibverbs.
 * Giving a registration back takes locks and frees memory there: it is not for hooks, so
 * that the cache does it at its next call. The device is set up in verbs_setup.c. */
#include "rcache/providers/verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "framework/util/barrier.h"
#include "framework/util/fork.h"
#include "opal/mca/base/base.h"
#include "opal/mca/base/var.h"

static verbs_provider_t *of(void *provider)
{
    return provider;
}

/* ---- Whose process, and does the device still answer? ------------------------------------------- */

static bool is_ours(const verbs_provider_t *provider)
{
    return atomic_load_explicit(&provider->made_for, memory_order_acquire) == 2 * opal_fork_generation() + 1;
}

/* Says once why nothing can be registered any more; what is cached goes. */
static int lose(verbs_provider_t *provider, const char *why)
{
    if (!atomic_exchange(&provider->lost, true)) {
        mca_rcache_base_void(provider);
        mca_base_log(MCA_BASE_LOG_WARN, "provider verbs: %s%s%s: nothing is registered any more",
                     provider->device_name[0] != '\0' ? "RDMA device " : "", provider->device_name, why);
    }
    return OPAL_ERR_UNREACH;
}

/* In a fork child: the parent's context is left alone (its mappings are not in the child, its descriptors close with
 * exec or exit), and a new one of the same device made. */
static int make_for_child(verbs_provider_t *provider)
{
    atomic_store(&provider->pd, NULL);
    atomic_store(&provider->lost, false);
    if (provider->foreign) {
        lose(provider,
             ": the protection domain is the parent's, and this is a fork child (open a provider with one "
             "of its own)");
        return OPAL_ERR_UNREACH;
    }
    int rc = mca_rcache_verbs_setup(provider, provider->device_name);
    atomic_store(&provider->lost, rc != OPAL_SUCCESS);
    return rc;
}

static int after_fork(void *reg_data)
{
    verbs_provider_t *provider = of(reg_data);
    uint64_t making = 2 * opal_fork_generation(), made = making + 1;
    uint64_t state = atomic_load(&provider->made_for);
    unsigned steps = 0;
    int rc = OPAL_SUCCESS;
    while (state != made) { /* Several caches may share the provider: the first one makes it. */
        if (state != making && atomic_compare_exchange_strong(&provider->made_for, &state, making)) {
            rc = make_for_child(provider);
            atomic_store(&provider->made_for, made);
        } else {
            wait_step(&steps);
        }
        state = atomic_load(&provider->made_for);
    }
    return rc;
}

/* The domain of this process, or NULL. */
static struct ibv_pd *usable_pd(verbs_provider_t *provider)
{
    if (!is_ours(provider)) {
        after_fork(provider); /* A cache that was made in the child does not call it. */
    }
    return atomic_load_explicit(&provider->lost, memory_order_relaxed) ? NULL : atomic_load(&provider->pd);
}

static int code_of(verbs_provider_t *provider, int error)
{
    switch (error) {
    case ENOMEM:
    case EAGAIN: return OPAL_ERR_OUT_OF_RESOURCE;
    case EFAULT: /* Not mapped, or to be written and read-only. */
    case EINVAL: return OPAL_ERR_BAD_PARAM;
    case EPERM:
    case EACCES: return OPAL_ERR_PERM;
    case EOPNOTSUPP:
    case ENOSYS: return OPAL_ERR_NOT_SUPPORTED;
    case EIO:
    case ENODEV: return lose(provider, " was removed, or has failed");
    case EBADF:
    case ENOTTY: return lose(provider, ": its descriptor was closed or replaced by this program");
    default: return OPAL_ERROR;
    }
}

/* ---- Registering -------------------------------------------------------------------------------- */

/* The kernel wants LOCAL_WRITE wherever others may write. */
static unsigned access_of(int32_t access)
{
    const int32_t writes =
        MCA_RCACHE_ACCESS_LOCAL_WRITE | MCA_RCACHE_ACCESS_REMOTE_WRITE | MCA_RCACHE_ACCESS_REMOTE_ATOMIC;
    return ((access & writes) != 0 ? IBV_ACCESS_LOCAL_WRITE : 0u)
           | ((access & MCA_RCACHE_ACCESS_REMOTE_READ) != 0 ? IBV_ACCESS_REMOTE_READ : 0u)
           | ((access & MCA_RCACHE_ACCESS_REMOTE_WRITE) != 0 ? IBV_ACCESS_REMOTE_WRITE : 0u)
           | ((access & MCA_RCACHE_ACCESS_REMOTE_ATOMIC) != 0 ? IBV_ACCESS_REMOTE_ATOMIC : 0u);
}

static struct ibv_mr *register_with(const verbs_provider_t *provider, struct ibv_pd *pd, void *base, size_t size,
                                    unsigned access)
{
    errno = 0;
    struct ibv_mr *mr = (access & IBV_ACCESS_OPTIONAL_RANGE) != 0
                            ? provider->library.reg_mr_iova2(pd, base, size, (uint64_t) (uintptr_t) base, access)
                            : provider->library.reg_mr(pd, base, size, (int) access);
    if (mr == NULL && errno == 0) {
        errno = EIO; /* A driver that does not say why is taken as broken. */
    }
    return mr;
}

/* A device whose driver refuses what it should pass over is asked without it from then on. */
static struct ibv_mr *register_somehow(verbs_provider_t *provider, struct ibv_pd *pd, void *base, size_t size,
                                       unsigned access)
{
    unsigned extras = atomic_load_explicit(&provider->extras, memory_order_relaxed);
    struct ibv_mr *mr = register_with(provider, pd, base, size, access | extras);
    if (mr != NULL || (extras & IBV_ACCESS_RELAXED_ORDERING) == 0 || (errno != EINVAL && errno != EOPNOTSUPP)) {
        return mr;
    }
    extras &= ~(unsigned) IBV_ACCESS_RELAXED_ORDERING;
    mr = register_with(provider, pd, base, size, access | extras);
    if (mr != NULL) {
        atomic_store_explicit(&provider->extras, extras, memory_order_relaxed);
        mca_base_log(MCA_BASE_LOG_INFO, "provider verbs: RDMA device %s refuses relaxed ordering: done without",
                     provider->device_name);
    }
    return mr;
}

static void fill_in(mca_rcache_verbs_registration_t *reg, struct ibv_mr *mr)
{
    reg->mr = mr;
    reg->lkey = mr->lkey;
    reg->rkey = mr->rkey;
    reg->generation = opal_fork_generation();
}

static int register_mem(void *reg_data, void *base, size_t size, mca_rcache_base_registration_t *reg)
{
    verbs_provider_t *provider = of(reg_data);
    struct ibv_pd *pd = usable_pd(provider);
    if (pd == NULL) {
        return OPAL_ERR_UNREACH;
    }
    struct ibv_mr *mr = register_somehow(provider, pd, base, size, access_of(reg->access_flags));
    if (mr == NULL) {
        return code_of(provider, errno);
    }
    fill_in((mca_rcache_verbs_registration_t *) reg, mr);
    return OPAL_SUCCESS;
}

/* Of a lost device: the library frees what it has, whatever the kernel says. */
static int deregister(verbs_provider_t *provider, mca_rcache_verbs_registration_t *reg)
{
    if (reg->generation != opal_fork_generation()) {
        return OPAL_SUCCESS; /* The parent's. */
    }
    int error = provider->library.dereg_mr(reg->mr);
    if (error == 0 || atomic_load_explicit(&provider->lost, memory_order_relaxed)) {
        return OPAL_SUCCESS;
    }
    int rc = error == EBUSY ? OPAL_ERR_RESOURCE_BUSY : code_of(provider, error);
    return rc == OPAL_ERR_UNREACH ? OPAL_SUCCESS : rc;
}

static int deregister_mem(void *reg_data, mca_rcache_base_registration_t *reg)
{
    return deregister(of(reg_data), (mca_rcache_verbs_registration_t *) reg);
}

static void resources(mca_rcache_provider_t *provider, mca_rcache_base_resources_t *resources)
{
    resources->sizeof_reg = sizeof(mca_rcache_verbs_registration_t);
    resources->register_mem = register_mem;
    resources->deregister_mem = deregister_mem;
    resources->after_fork = after_fork;
    if ((atomic_load(&of(provider)->extras) & IBV_ACCESS_ON_DEMAND) == 0) {
        resources->flags = MCA_RCACHE_RESOURCES_MEMLOCK_PROCESS;
    }
}

/* ---- dmabuf ------------------------------------------------------------------------------------- */

int mca_rcache_verbs_register_dmabuf(mca_rcache_provider_t *base_provider, int fd, uint64_t offset, size_t length,
                                     uint64_t iova, int32_t access_flags, mca_rcache_verbs_registration_t *reg)
{
    verbs_provider_t *provider = of(base_provider);
    if (base_provider->ops != &mca_rcache_provider_verbs || fd < 0 || length == 0
        || (access_flags & ~MCA_RCACHE_ACCESS_ANY) != 0) {
        return OPAL_ERR_BAD_PARAM;
    }
    struct ibv_pd *pd = usable_pd(provider);
    if (pd == NULL) {
        return OPAL_ERR_UNREACH;
    }
    if (provider->library.reg_dmabuf_mr == NULL) {
        return OPAL_ERR_NOT_SUPPORTED;
    }
    errno = 0;
    struct ibv_mr *mr =
        provider->library.reg_dmabuf_mr(pd, offset, length, iova, fd, (int) access_of(access_flags));
    if (mr == NULL) { /* EBADF speaks of `fd` here, not of the device. */
        return errno == EBADF ? OPAL_ERR_BAD_PARAM : code_of(provider, errno);
    }
    memset(reg, 0, sizeof(*reg));
    reg->super.access_flags = access_flags;
    fill_in(reg, mr);
    return OPAL_SUCCESS;
}

int mca_rcache_verbs_deregister_dmabuf(mca_rcache_provider_t *provider, mca_rcache_verbs_registration_t *reg)
{
    return provider->ops == &mca_rcache_provider_verbs ? deregister(of(provider), reg) : OPAL_ERR_BAD_PARAM;
}

/* ---- For the program that uses the device ------------------------------------------------------- */

struct ibv_pd *mca_rcache_verbs_pd(mca_rcache_provider_t *provider)
{
    return provider->ops == &mca_rcache_provider_verbs ? usable_pd(of(provider)) : NULL;
}

void mca_rcache_verbs_async_event(mca_rcache_provider_t *provider, const struct ibv_async_event *event)
{
    if (provider->ops == &mca_rcache_provider_verbs && event->event_type == IBV_EVENT_DEVICE_FATAL
        && is_ours(of(provider))) {
        lose(of(provider), " was removed, or has failed");
        mca_rcache_base_progress(); /* Gives back what nobody uses: the program may not call a cache again. */
    }
}

/* ---- Life --------------------------------------------------------------------------------------- */

/* What both ways to open have in common. NULL: *rc says why. */
static verbs_provider_t *new_provider(int *rc)
{
    verbs_provider_t *provider = calloc(1, sizeof(*provider));
    if (provider == NULL) {
        *rc = OPAL_ERR_OUT_OF_RESOURCE;
        return NULL;
    }
    provider->super.ops = &mca_rcache_provider_verbs;
    atomic_init(&provider->made_for, 2 * opal_fork_generation() + 1);
    *rc = mca_rcache_verbs_load(&provider->library);
    if (*rc == OPAL_SUCCESS) {
        *rc = mca_rcache_verbs_make_fork_safe(&provider->library);
    }
    if (*rc != OPAL_SUCCESS) {
        free(provider);
        return NULL;
    }
    return provider;
}

static int open_verbs(mca_rcache_provider_t **out)
{
    int rc;
    verbs_provider_t *provider = new_provider(&rc);
    if (provider == NULL) {
        return rc;
    }
    rc = mca_rcache_verbs_setup(provider, mca_base_var_load(mca_rcache_verbs_settings.device));
    if (rc != OPAL_SUCCESS) {
        free(provider);
        return rc;
    }
    *out = &provider->super;
    return OPAL_SUCCESS;
}

int mca_rcache_verbs_open_pd(struct ibv_pd *pd, mca_rcache_provider_t **out)
{
    int rc;
    verbs_provider_t *provider = pd == NULL ? NULL : new_provider(&rc);
    if (provider == NULL) {
        return pd == NULL ? OPAL_ERR_BAD_PARAM : rc;
    }
    provider->foreign = true;
    strncpy(provider->device_name, provider->library.get_device_name(pd->context->device),
            sizeof(provider->device_name) - 1);
    mca_rcache_verbs_choose_extras(provider, pd);
    atomic_store(&provider->pd, pd);
    *out = &provider->super;
    return OPAL_SUCCESS;
}

static void close_verbs(mca_rcache_provider_t *base_provider)
{
    verbs_provider_t *provider = of(base_provider);
    if (is_ours(provider)) {
        mca_rcache_verbs_release(provider);
    }
    free(provider);
}

const mca_rcache_provider_ops_t mca_rcache_provider_verbs = {
    .name = "verbs",
    .open = open_verbs,
    .close = close_verbs,
    .resources = resources,
    .register_variables = mca_rcache_verbs_register_variables,
};
