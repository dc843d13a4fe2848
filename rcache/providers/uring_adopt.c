/* SPDX-License-Identifier: BSD-3-Clause */
/* Provider uring on a ring of the application's: a range of its buffer table is
 * filled and emptied, and nothing else of the ring touched. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "opal/mca/base/base.h"
#include "rcache/providers/uring.h"

/* ---- May any thread change the table? ----------------------------------------------------------- */

typedef struct probe_t {
    int fd;
    int error;
} probe_t;

/* Asks what the kernel can do, which changes nothing. */
static int ask(void *arg)
{
    probe_t *probe = arg;
    struct io_uring_probe answer;
    memset(&answer, 0, sizeof(answer));
    probe->error = syscall(__NR_io_uring_register, probe->fd, IORING_REGISTER_PROBE, &answer, 0) < 0 ? errno : 0;
    return 0;
}

/* A ring with IORING_SETUP_SINGLE_ISSUER takes orders from one task only, and releases come from every thread. Another
 * task has to try: one that shares everything with this one, as after vfork(), and ends without a signal. */
static int ask_as_another_task(int fd)
{
    _Alignas(64) char stack[16384];
    probe_t probe = { fd, EAGAIN };
    pid_t pid = clone(ask, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | CLONE_FILES, &probe);
    while (pid > 0 && waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR) {
    }
    return pid < 0 ? errno : probe.error;
}

/* ---- The range ---------------------------------------------------------------------------------- */

static int refuse(int fd, const char *why)
{
    mca_base_log(MCA_BASE_LOG_ERROR, "the io_uring descriptor %d cannot be adopted: %s", fd, why);
    return OPAL_ERR_BAD_PARAM;
}

static int refuse_error(int fd, int error)
{
    switch (error) {
    case EBADF: return refuse(fd, "it is not open");
    case EOPNOTSUPP: return refuse(fd, "it is not an io_uring");
    case ENXIO:
        return refuse(fd, "no buffer table is registered with it; io_uring_register_buffers_sparse() does that");
    case EINVAL: return refuse(fd, "its buffer table has not all of the slots that were named");
    case EEXIST:
        return refuse(fd, "it was made with IORING_SETUP_SINGLE_ISSUER: only one thread could register memory and "
                          "unpin what is released");
    default: return refuse(fd, strerror(error));
    }
}

/* Emptying the range shows that it is there. */
static int claim_range(uring_table_t *table)
{
    int rc = table->fd < 0 ? EBADF : ask_as_another_task(table->fd); /* -1 has a meaning of its own there. */
    if (rc != 0) {
        return refuse_error(table->fd, rc);
    }
    static const struct iovec nothing[URING_BATCH];
    for (uint32_t done = 0; done < table->slots;) {
        uint32_t left = table->slots - done;
        rc = uring_update(table, table->first + done, nothing, NULL, left < URING_BATCH ? left : URING_BATCH);
        if (rc < 0) {
            return refuse_error(table->fd, -rc);
        }
        done += (uint32_t) rc;
    }
    return OPAL_SUCCESS;
}

int mca_rcache_uring_adopt(int ring_fd, uint32_t first, uint32_t count, uint64_t tags, mca_rcache_provider_t **out)
{
    if (count == 0 || count > URING_SLOTS || first > URING_SLOTS - count) {
        return refuse(ring_fd, "it has to be given 1 to 16384 slots, all of them below 16384");
    }
    uring_provider_t *provider = uring_new_provider();
    if (provider == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    uring_table_t *table = &provider->first_table;
    uring_table_init(table, ring_fd, first, count);
    table->tags = tags;
    int rc = claim_range(table);
    if (rc != OPAL_SUCCESS) {
        free(provider);
        return rc;
    }
    provider->adopted = true;
    provider->spread = 1;
    provider->tables[0] = table;
    atomic_store(&provider->count, 1);
    *out = &provider->super;
    return OPAL_SUCCESS;
}
