/* SPDX-License-Identifier: BSD-3-Clause */
/* The thread that reads events, so that nobody who releases memory waits for
 * long. It allocates nothing, calls nobody back, handles no signal, and takes
 * only the queue's lock. */
#include <errno.h>
#include <poll.h>

#include "components/userfaultfd/userfaultfd.h"
#include "components/userfaultfd/userfaultfd_sys.h"

void *uffd_reader(void *argument)
{
    uffd_state_t *state = argument;
    struct pollfd sources[2] = { { .fd = state->kernel.events, .events = POLLIN },
                                 { .fd = state->stop, .events = POLLIN } };

    __atomic_store_n(&state->reader_tid, (int) UFFD_SYS(SYS_gettid), __ATOMIC_RELAXED);
    do {
        const long rc = UFFD_SYS(SYS_ppoll, (long) sources, 2, 0, 0, sizeof(uint64_t));

        if (rc < 0) {
            continue; /* EINTR of libc's own signals; the revents are those of before. */
        }
        if (sources[0].revents != 0) {
            uffd_fetch(state);
        }
    } while (sources[1].revents == 0 && uffd_phase(state) != UFFD_DEAF);
    return NULL;
}
