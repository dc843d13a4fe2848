/* SPDX-License-Identifier: BSD-3-Clause */
/* A libibverbs without devices: what the provider verbs loads in tests. It
 * registers nothing, counts everything, and fails where the test says. The test
 * finds its state by dlsym(..., "fake_verbs"). */
#ifndef TEST_RCACHE_FAKE_VERBS_H
#define TEST_RCACHE_FAKE_VERBS_H

#include <infiniband/verbs.h>
#include <stdbool.h>
#include <stddef.h>

#define FAKE_DEVICES 3 /* fake0, fake1, fake2 */

typedef struct fake_verbs_t {
    /* Set by the test; 0: all is well. Errors are errno values. */
    int devices;    /* How many there are. */
    int active;     /* Index of the device that has an active port, on port 2; -1: none. */
    int list_error; /* ibv_get_device_list fails. */
    int open_error; /* ibv_open_device fails for device open_fails_for; -1: for all. */
    int open_fails_for;
    int pd_error;         /* ibv_alloc_pd fails. */
    int pd_free_error;    /* ibv_dealloc_pd fails. */
    int reg_error;        /* Registering fails; -1: without an errno. */
    long capacity;        /* Registrations at most, then ENOMEM; 0: no limit. */
    bool refuses_relaxed; /* Relaxed ordering is EINVAL. */
    bool has_on_demand;
    int dereg_error;
    int fork_status, fork_error;
    void (*during)(void); /* Called when memory has been registered, before the caller hears of it. */

    /* Seen. */
    unsigned access; /* Of the last registration that was tried. */
    void *addr;
    size_t length;
    int dmabuf;
    uint64_t offset, iova;
    long opened, closed, pds, pds_freed, registered, deregistered, fork_inits;
    long of_another_process; /* Uses of what the parent has made. */
} fake_verbs_t;

#endif
