/* SPDX-License-Identifier: BSD-3-Clause */
/* Making a ring, and explaining why it cannot be made. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "opal/mca/base/base.h"
#include "rcache/providers/uring.h"

/* Transfers under way that need no list in the kernel: half of what the completion queue holds. */
#define QUEUE_ENTRIES 64

/* ---- Why not ------------------------------------------------------------------------------------ */

static int read_number(const char *path, const char *key, int fallback)
{
    char line[256];
    int value = fallback;
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0) {
            value = atoi(line + strlen(key));
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return value;
}

static const char *cause_of(int error)
{
    int disabled = read_number("/proc/sys/kernel/io_uring_disabled", "", 0);
    if (disabled == 2) {
        return "the sysctl kernel.io_uring_disabled is 2, which forbids it to everybody; root can set it to 0";
    }
    if (disabled == 1 && error == EPERM) {
        return "the sysctl kernel.io_uring_disabled is 1, which allows it only to members of the group "
               "kernel.io_uring_group and with CAP_SYS_ADMIN; root can set it to 0";
    }
    if ((error == EPERM || error == ENOSYS || error == EACCES)
        && read_number("/proc/self/status", "Seccomp:", 0) != 0) {
        return "a seccomp filter is active for this process, as container runtimes set up; run it with a profile "
               "that "
               "allows io_uring_setup, io_uring_enter and io_uring_register";
    }
    if (error == ENOSYS) {
        return "the kernel was built without it, or is older than Linux 5.1";
    }
    if (error == ENOMEM) {
        return "the limit of lockable memory is reached (ulimit -l); raise it in limits.conf, or end other users "
               "of it";
    }
    if (error == EMFILE || error == ENFILE) {
        return "no file descriptor is left (ulimit -n)";
    }
    if (error == EINVAL) {
        return "buffer tables that are filled slot by slot need Linux 5.19";
    }
    return "the kernel gave no reason that is known here";
}

int uring_explain(const char *what, int error)
{
    mca_base_log(MCA_BASE_LOG_ERROR, "io_uring is not usable here: %s failed (%s): %s", what, strerror(error),
                 cause_of(error));
    return error == EMFILE || error == ENFILE ? OPAL_ERR_OUT_OF_RESOURCE : OPAL_ERR_NOT_AVAILABLE;
}

/* ---- The ring ----------------------------------------------------------------------------------- */

/* Away from the low numbers that programs pass around, dup2 over, or count on. */
static void move_descriptor_high(struct io_uring *ring)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    rlim_t top = limit.rlim_cur < 65536 ? limit.rlim_cur : 65536;
    int high = top < 64 ? -1 : fcntl(ring->ring_fd, F_DUPFD_CLOEXEC, (int) (top - top / 16));
    if (high >= 0) {
        close(ring->ring_fd);
        ring->ring_fd = ring->enter_ring_fd = high;
    }
}

int uring_make_ring(struct io_uring *ring, uint32_t slots, const char **what)
{
    *what = "io_uring_setup";
    int rc = io_uring_queue_init(QUEUE_ENTRIES, ring, 0);
    if (rc < 0) {
        return rc;
    }
    *what = "registering a buffer table";
    rc = io_uring_register_buffers_sparse(ring, slots);
    if (rc < 0) {
        io_uring_queue_exit(ring);
        return rc;
    }
    move_descriptor_high(ring);
    return 0;
}
