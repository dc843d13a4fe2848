/* SPDX-License-Identifier: BSD-3-Clause */
/* The shared memory of a run: made by the launcher, attached by the peers; and
 * how a peer sleeps and is woken. */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tools/msg/msg_control.h"

/* A sleeper that nobody wakes looks again after this time, to notice that the run was stopped. */
#define SLEEP_NS 100000000

static msg_control_t *map_control(int fd, size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

msg_control_t *msg_control_create(uint32_t peers, int *fd)
{
    size_t size = sizeof(msg_control_t) + peers * sizeof(msg_peer_page_t);
    msg_control_t *control = NULL;
    int memory = memfd_create("opalmem-msg", MFD_CLOEXEC);

    if (memory >= 0 && ftruncate(memory, (off_t) size) == 0) {
        control = map_control(memory, size);
    }
    if (control == NULL) {
        msg_error("cannot make the memory that %u processes share: %s", peers, strerror(errno));
        if (memory >= 0) {
            close(memory);
        }
        return NULL;
    }
    control->size = size;
    *fd = memory;
    return control;
}

msg_control_t *msg_control_attach(int fd)
{
    struct stat status;
    msg_control_t *control;

    if (fstat(fd, &status) != 0 || (size_t) status.st_size < sizeof(*control)) {
        return NULL;
    }
    control = map_control(fd, (size_t) status.st_size);
    if (control != NULL && control->size != (size_t) status.st_size) {
        munmap(control, (size_t) status.st_size);
        return NULL;
    }
    return control;
}

void msg_control_detach(msg_control_t *control)
{
    munmap(control, control->size);
}

void msg_control_stop(msg_control_t *control)
{
    atomic_store(&control->stop, 1);
    for (uint32_t i = 0; i < control->options.peers; i++) {
        msg_bell_ring(&control->peers[i].bell);
    }
}

bool msg_control_stopped(const msg_control_t *control)
{
    return atomic_load(&control->stop) != 0;
}

static uint64_t hash_line(const char *line)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */

    while (*line != '\0') {
        hash = (hash ^ (unsigned char) *line++) * 0x100000001b3u;
    }
    return hash == 0 ? 1 : hash;
}

void msg_control_say(msg_control_t *control, const char *line)
{
    uint64_t hash = hash_line(line);

    for (size_t i = 0; i < MSG_SEEN_LINES; i++) {
        uint64_t found = 0;

        if (atomic_compare_exchange_strong(&control->seen[i], &found, hash)) {
            break;
        }
        if (found == hash) {
            return;
        }
    }
    msg_print_line(line);
}

static bool all_ready(void *arg)
{
    const msg_control_t *control = arg;

    return atomic_load(&control->ready) == control->options.peers || msg_control_stopped(control);
}

bool msg_control_start_line(msg_control_t *control, uint32_t rank)
{
    atomic_fetch_add(&control->ready, 1);
    for (uint32_t i = 0; i < control->options.peers; i++) {
        msg_bell_ring(&control->peers[i].bell);
    }
    while (!msg_bell_wait(&control->peers[rank].bell, all_ready, control, 0)) {
    }
    return !msg_control_stopped(control);
}

void msg_bell_ring(msg_bell_t *bell)
{
    /* Partner of the store in msg_bell_wait(). */
    if (atomic_load(&bell->asleep) == 0 || atomic_exchange(&bell->asleep, 0) == 0) {
        return;
    }
    atomic_fetch_add(&bell->rings, 1);
    syscall(SYS_futex, &bell->rings, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

bool msg_bell_wait(msg_bell_t *bell, bool (*ready)(void *arg), void *arg, uint64_t spin_ns)
{
    static const struct timespec timeout = { .tv_nsec = SLEEP_NS };
    uint64_t end = spin_ns == 0 ? 0 : msg_now_ns() + spin_ns;
    uint32_t rings;

    do {
        if (ready(arg)) {
            return true;
        }
    } while (spin_ns > 0 && msg_now_ns() < end);
    rings = atomic_load(&bell->rings);
    atomic_store(&bell->asleep, 1);
    if (!ready(arg)) {
        syscall(SYS_futex, &bell->rings, FUTEX_WAIT, rings, &timeout, NULL, 0);
    }
    atomic_store(&bell->asleep, 0);
    return ready(arg);
}
