/* SPDX-License-Identifier: BSD-3-Clause */
/* See fake_verbs.h. With FAKE_OLD defined: a library of 2018, without the newer functions. */
#include "test/rcache/fake_verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#undef ibv_query_port
#define EXPORT __attribute__((visibility("default")))

typedef struct fake_context_t {
    pid_t owner;
    int device;
    struct verbs_context extended; /* Ends with the ibv_context that is handed out. */
} fake_context_t;

typedef struct fake_pd_t {
    struct ibv_pd pd;
    pid_t owner;
} fake_pd_t;

typedef struct fake_mr_t {
    struct ibv_mr mr;
    pid_t owner;
} fake_mr_t;

EXPORT fake_verbs_t fake_verbs;
static struct ibv_device devices[FAKE_DEVICES] = { { .name = "fake0" }, { .name = "fake1" }, { .name = "fake2" } };

static fake_context_t *context_of(struct ibv_context *context)
{
    return (fake_context_t *) (void *) ((char *) context - offsetof(fake_context_t, extended.context));
}

/* Several threads use it at the same time; what the test has set is there before. */
#define NOTE(member, value) __atomic_store_n(&fake_verbs.member, (value), __ATOMIC_RELAXED)

static long one_more(long *counter)
{
    return __atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

static void used(pid_t owner)
{
    if (owner != getpid()) {
        one_more(&fake_verbs.of_another_process);
    }
}

EXPORT struct ibv_device **ibv_get_device_list(int *count)
{
    struct ibv_device **list =
        fake_verbs.list_error == 0 ? calloc(FAKE_DEVICES + 1, sizeof(struct ibv_device *)) : NULL;
    for (int i = 0; list != NULL && i < fake_verbs.devices; i++) {
        list[i] = &devices[i];
    }
    if (count != NULL) {
        *count = fake_verbs.devices;
    }
    errno = list == NULL ? fake_verbs.list_error : errno;
    return list;
}

EXPORT void ibv_free_device_list(struct ibv_device **list)
{
    free(list);
}

EXPORT const char *ibv_get_device_name(struct ibv_device *device)
{
    return device->name;
}

/* ---- Contexts ----------------------------------------------------------------------------------- */

static int query_device_ex(struct ibv_context *context, const struct ibv_query_device_ex_input *input,
                           struct ibv_device_attr_ex *attr, size_t attr_size)
{
    (void) input;
    used(context_of(context)->owner);
    memset(attr, 0, attr_size);
    if (fake_verbs.has_on_demand) {
        attr->odp_caps.general_caps = IBV_ODP_SUPPORT;
        attr->odp_caps.per_transport_caps.rc_odp_caps =
            IBV_ODP_SUPPORT_SEND | IBV_ODP_SUPPORT_RECV | IBV_ODP_SUPPORT_WRITE | IBV_ODP_SUPPORT_READ;
    }
    return 0;
}

EXPORT struct ibv_context *ibv_open_device(struct ibv_device *device)
{
    int index = (int) (device - devices);
    if (fake_verbs.open_error != 0 && (fake_verbs.open_fails_for == -1 || fake_verbs.open_fails_for == index)) {
        errno = fake_verbs.open_error;
        return NULL;
    }
    fake_context_t *context = calloc(1, sizeof(*context));
    if (context == NULL) {
        return NULL;
    }
    context->owner = getpid();
    context->device = index;
    context->extended.sz = sizeof(context->extended);
    context->extended.query_device_ex = query_device_ex;
    context->extended.context.device = device;
    context->extended.context.abi_compat = __VERBS_ABI_IS_EXTENDED;
    one_more(&fake_verbs.opened);
    return &context->extended.context;
}

EXPORT int ibv_close_device(struct ibv_context *context)
{
    used(context_of(context)->owner);
    one_more(&fake_verbs.closed);
    free(context_of(context));
    return 0;
}

/* Two ports: the first is down. */
EXPORT int ibv_query_port(struct ibv_context *context, uint8_t port, struct _compat_ibv_port_attr *attr)
{
    used(context_of(context)->owner);
    if (port < 1 || port > 2) {
        return EINVAL;
    }
    enum ibv_port_state state =
        port == 2 && fake_verbs.active == context_of(context)->device ? IBV_PORT_ACTIVE : IBV_PORT_DOWN;
    memcpy(attr, &state, sizeof(state)); /* The first member; the old structure has no declaration. */
    return 0;
}

EXPORT struct ibv_pd *ibv_alloc_pd(struct ibv_context *context)
{
    used(context_of(context)->owner);
    fake_pd_t *pd = fake_verbs.pd_error == 0 ? calloc(1, sizeof(*pd)) : NULL;
    if (pd == NULL) {
        errno = fake_verbs.pd_error;
        return NULL;
    }
    pd->owner = getpid();
    pd->pd.context = context;
    one_more(&fake_verbs.pds);
    return &pd->pd;
}

EXPORT int ibv_dealloc_pd(struct ibv_pd *pd)
{
    used(((fake_pd_t *) pd)->owner);
    if (fake_verbs.pd_free_error != 0) {
        return fake_verbs.pd_free_error;
    }
    one_more(&fake_verbs.pds_freed);
    free(pd);
    return 0;
}

/* ---- Memory ------------------------------------------------------------------------------------- */

static int refusal(unsigned access)
{
    if (fake_verbs.reg_error != 0) {
        return fake_verbs.reg_error;
    }
    if (fake_verbs.refuses_relaxed && (access & IBV_ACCESS_RELAXED_ORDERING) != 0) {
        return EINVAL;
    }
    return fake_verbs.capacity != 0 && fake_verbs.registered - fake_verbs.deregistered >= fake_verbs.capacity
               ? ENOMEM
               : 0;
}

static struct ibv_mr *make(struct ibv_pd *pd, void *addr, size_t length, unsigned access)
{
    used(((fake_pd_t *) pd)->owner);
    NOTE(access, access);
    NOTE(addr, addr);
    NOTE(length, length);
    int error = refusal(access);
    fake_mr_t *mr = error == 0 ? calloc(1, sizeof(*mr)) : NULL;
    if (mr == NULL) {
        errno = error == -1 ? 0 : error;
        return NULL;
    }
    mr->owner = getpid();
    mr->mr.lkey = (uint32_t) one_more(&fake_verbs.registered);
    mr->mr.rkey = mr->mr.lkey + 1000;
    mr->mr.pd = pd;
    if (fake_verbs.during != NULL) {
        fake_verbs.during();
    }
    return &mr->mr;
}

EXPORT struct ibv_mr *(ibv_reg_mr) (struct ibv_pd *pd, void *addr, size_t length, int access)
{
    return make(pd, addr, length, (unsigned) access);
}

EXPORT int ibv_dereg_mr(struct ibv_mr *mr)
{
    used(((fake_mr_t *) mr)->owner);
    if (fake_verbs.dereg_error != 0) {
        return fake_verbs.dereg_error;
    }
    one_more(&fake_verbs.deregistered);
    free(mr);
    return 0;
}

EXPORT int ibv_fork_init(void)
{
    one_more(&fake_verbs.fork_inits);
    return fake_verbs.fork_error;
}

#ifndef FAKE_OLD

EXPORT struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
                                       unsigned access)
{
    NOTE(iova, iova);
    return make(pd, addr, length, access);
}

EXPORT struct ibv_mr *ibv_reg_dmabuf_mr(struct ibv_pd *pd, uint64_t offset, size_t length, uint64_t iova, int fd,
                                        int access)
{
    NOTE(dmabuf, fd);
    NOTE(offset, offset);
    NOTE(iova, iova);
    return make(pd, NULL, length, (unsigned) access);
}

EXPORT enum ibv_fork_status ibv_is_fork_initialized(void)
{
    return (enum ibv_fork_status) fake_verbs.fork_status;
}

#endif
