/* SPDX-License-Identifier: BSD-3-Clause */
/* The thread that reads events, so that nobody who releases memory waits for
 * long. It allocates nothing, calls nobody back, handles no signal, and takes
 * only the queue's lock. */
#include <errno.h>
#include <poll.h>
#include <time.h>

#include "components/userfaultfd/userfaultfd.h"
#include "components/userfaultfd/userfaultfd_sys.h"

/* A millisecond. */
static void rest(void)
{
    const struct timespec pause = { .tv_nsec = 1000000 };

    UFFD_SYS(SYS_nanosleep, (long) &pause, 0);
}

/* The program has forbidden to wait for descriptors: by a limit of them that is below their number here (RLIMIT_NOFILE), or by
 * a filter of system calls. Whoever releases memory still waits for us. */
static void look_from_time_to_time(struct pollfd sources[2])
{
    rest();
    sources[0].revents = POLLIN;
    sources[1].revents = 0;
}

/* Programs close descriptors that are not theirs: then nothing wakes the reader when it is to end. */
static long wait_for_some_time(struct pollfd sources[2])
{
    struct timespec second = { .tv_sec = 1 };

    return UFFD_SYS(SYS_ppoll, (long) sources, 2, (long) &second, 0, sizeof(uint64_t));
}

static bool is_ending(const uffd_state_t *state)
{
    return atomic_load_explicit(&state->is_ending, memory_order_acquire);
}

/* @return Is the userfaultfd still ours? */
static bool look(uffd_state_t *state, struct pollfd sources[2])
{
    if (sources[1].revents != 0) { /* It is to end, or the program has closed this: that is no reason to. */
        sources[1] = (struct pollfd){ .fd = -1 };
    }
    if (sources[0].revents != 0) {
        return uffd_fetch(state);
    }
    const bool is_ours = uffd_file_is_ours(&state->kernel.events);
    if (!is_ours) { /* The program waits for nothing there, either. */
        uffd_be_deaf(state);
    }
    return is_ours;
}

/* Another thread may have found the descriptor lost because it sees others than we do, or may not use it. While it is there for
 * us, whoever releases waits for us. If reading is what fails, we ask no more than that often. */
void *uffd_reader(void *argument)
{
    uffd_state_t *state = argument;
    struct pollfd sources[2] = { { .fd = state->kernel.events.fd, .events = POLLIN },
                                 { .fd = state->stop.fd, .events = POLLIN } };
    bool is_ours = true;

    __atomic_store_n(&state->reader_tid, (int) UFFD_SYS(SYS_gettid), __ATOMIC_RELAXED);
    while (is_ours && !is_ending(state)) {
        const long rc = wait_for_some_time(sources);

        if (rc == -EINTR) {
            continue; /* Of libc's own signals; the revents are those of before. */
        }
        if (rc < 0) {
            look_from_time_to_time(sources);
        }
        is_ours = look(state, sources);
        if (uffd_phase(state) == UFFD_DEAF) {
            rest();
        }
    }
    if (!is_ours) {
        uffd_forget_descriptors();
    }
    return NULL;
}
