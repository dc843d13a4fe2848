/* SPDX-License-Identifier: BSD-3-Clause */
/* Events from the kernel to the memory hooks. Whoever reads counts before: the
 * releasing call returns as soon as its event is read, and from then on every
 * lookup has to see that something happened. */
#include <errno.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <string.h>

#include "components/userfaultfd/userfaultfd.h"
#include "components/userfaultfd/userfaultfd_sys.h"
#include "opal/memoryhooks/memory_internal.h"

#define READ_AT_ONCE 8
#define DELIVER_AT_ONCE 32

/* ---- In -------------------------------------------------------------------------------------------- */

static void count_up(void)
{
    __atomic_fetch_add(&uffd_counter, 1, __ATOMIC_SEQ_CST);
}

static void add_locked(uffd_queue_t *queue, uintptr_t start, uintptr_t end, int kind)
{
    uffd_event_t *last = &queue->events[(queue->first + queue->count - 1) % UFFD_QUEUE_SIZE];

    /* The first ones may be being delivered. */
    if (queue->count > DELIVER_AT_ONCE && last->kind == kind && (last->end == start || last->start == end)) {
        last->start = start < last->start ? start : last->start;
        last->end = end > last->end ? end : last->end;
    } else if (queue->count == UFFD_QUEUE_SIZE) {
        queue->overflows++;
    } else {
        queue->events[(queue->first + queue->count++) % UFFD_QUEUE_SIZE] = (uffd_event_t){ start, end, kind };
    }
}

static void take_message_locked(uffd_state_t *state, const struct uffd_msg *message)
{
    switch (message->event) {
    case UFFD_EVENT_UNMAP:
        add_locked(&state->queue, message->arg.remove.start, message->arg.remove.end, UFFD_KIND_UNMAP);
        break;
    case UFFD_EVENT_REMOVE:
        uffd_quarantine_add_locked(&state->quarantine, message->arg.remove.start, message->arg.remove.end);
        add_locked(&state->queue, message->arg.remove.start, message->arg.remove.end, UFFD_KIND_REMOVE);
        break;
    case UFFD_EVENT_REMAP:
        if (message->arg.remap.len != 0) { /* 0: a second mapping of the same pages. */
            add_locked(&state->queue, message->arg.remap.from, message->arg.remap.from + message->arg.remap.len,
                       UFFD_KIND_MOVED_FROM);
            add_locked(&state->queue, message->arg.remap.to, message->arg.remap.to + message->arg.remap.len,
                       UFFD_KIND_MOVED_TO);
        }
        break;
    default: state->queue.overflows++; /* Not asked for: then it may be anything. */
    }
}

static void be_deaf_locked(uffd_state_t *state)
{
    count_up();
    atomic_store_explicit(&state->phase, UFFD_DEAF, memory_order_release);
}

void uffd_be_deaf(uffd_state_t *state)
{
    uint64_t mask;

    uffd_lock_blocked(&state->queue_lock, &mask);
    be_deaf_locked(state);
    uffd_unlock_blocked(&state->queue_lock, &mask);
}

/* @return How many bytes; 0: none is waiting; -EBADF: it is not ours; another negative errno: this thread may not read. Only the lock's holder reads, so what poll has seen is there, unless its
 * thread has been killed meanwhile. Of a file of the program's that has the number now, nothing is read. */
static long read_locked(uffd_state_t *state, struct uffd_msg *messages, size_t size)
{
    struct pollfd source = { .fd = state->kernel.events.fd, .events = POLLIN };
    const struct timespec {
        long seconds, nanoseconds;
    } at_once = { 0, 0 };

    if (UFFD_SYS(SYS_ppoll, (long) &source, 1, (long) &at_once, 0, sizeof(uint64_t)) == 0) {
        return 0;
    }
    count_up();
    const long length =
        uffd_file_is_ours(&state->kernel.events) ? uffd_sys_read(state->kernel.events.fd, messages, size) : -EBADF;
    if (length == -EAGAIN || length == -EINTR) {
        return 0;
    }
    if (length < (long) sizeof(*messages)) {
        be_deaf_locked(state);
        return length < 0 ? length : -EBADF;
    }
    return length;
}

static bool fetch_locked(uffd_state_t *state)
{
    struct uffd_msg messages[READ_AT_ONCE];
    long length;

    do {
        length = read_locked(state, messages, sizeof(messages));
        for (long i = 0; i < length / (long) sizeof(messages[0]); i++) {
            take_message_locked(state, &messages[i]);
        }
    } while (length == (long) sizeof(messages));
    return length != -EBADF;
}

bool uffd_fetch(uffd_state_t *state)
{
    uint64_t mask;

    uffd_lock_blocked(&state->queue_lock, &mask);
    const bool is_ours = fetch_locked(state);
    uffd_unlock_blocked(&state->queue_lock, &mask);
    return is_ours;
}

static void put_in(uffd_state_t *state, uintptr_t start, uintptr_t end, int kind)
{
    uint64_t mask;

    uffd_lock_blocked(&state->queue_lock, &mask);
    count_up();
    add_locked(&state->queue, start, end, kind);
    uffd_unlock_blocked(&state->queue_lock, &mask);
}

void uffd_queue_replaced(uffd_state_t *state, uintptr_t start, uintptr_t end)
{
    put_in(state, start, end, UFFD_KIND_UNMAP);
}

void uffd_queue_given(uffd_state_t *state, uintptr_t start, uintptr_t end)
{
    put_in(state, start, end, UFFD_KIND_GIVEN);
}

/* ---- Looking --------------------------------------------------------------------------------------- */

static bool overlaps_locked(const uffd_queue_t *queue, uintptr_t start, uintptr_t end)
{
    if (queue->overflows != queue->overflows_delivered) {
        return true;
    }
    for (uint32_t i = 0; i < queue->count; i++) {
        const uffd_event_t *event = &queue->events[(queue->first + i) % UFFD_QUEUE_SIZE];

        if (event->start < end && event->end > start) {
            return true;
        }
    }
    return false;
}

bool uffd_queue_overlaps(uffd_state_t *state, uintptr_t start, uintptr_t end)
{
    uint64_t mask;

    uffd_lock_blocked(&state->queue_lock, &mask);
    const bool result = overlaps_locked(&state->queue, start, end);
    uffd_unlock_blocked(&state->queue_lock, &mask);
    return result;
}

/* ---- Out ------------------------------------------------------------------------------------------- */

typedef struct batch_t {
    uffd_event_t events[DELIVER_AT_ONCE];
    uint32_t count;
    uint64_t overflows; /* All up to here are delivered by this batch. */
    bool is_everything;
} batch_t;

static bool look(uffd_state_t *state, batch_t *batch)
{
    const uffd_queue_t *queue = &state->queue;
    uint64_t mask;

    uffd_lock_blocked(&state->queue_lock, &mask);
    batch->count = queue->count < DELIVER_AT_ONCE ? queue->count : DELIVER_AT_ONCE;
    for (uint32_t i = 0; i < batch->count; i++) {
        batch->events[i] = queue->events[(queue->first + i) % UFFD_QUEUE_SIZE];
    }
    batch->overflows = queue->overflows;
    batch->is_everything = queue->overflows != queue->overflows_delivered;
    uffd_unlock_blocked(&state->queue_lock, &mask);
    return batch->count != 0 || batch->is_everything;
}

/* In a child that was forked by a callback, the queue is empty. */
static void take_out(uffd_state_t *state, const batch_t *batch)
{
    uffd_queue_t *queue = &state->queue;
    uint64_t mask;

    uffd_lock_blocked(&state->queue_lock, &mask);
    const uint32_t count = batch->count < queue->count ? batch->count : queue->count;
    queue->first = (queue->first + count) % UFFD_QUEUE_SIZE;
    queue->count -= count;
    if (batch->overflows <= queue->overflows) {
        queue->overflows_delivered = batch->overflows;
    }
    uffd_unlock_blocked(&state->queue_lock, &mask);
}

static opal_mem_hooks_cause_t cause_of(int kind)
{
    switch (kind) {
    case UFFD_KIND_REMOVE: return OPAL_MEM_HOOKS_CAUSE_MADVISE;
    case UFFD_KIND_UNMAP: return OPAL_MEM_HOOKS_CAUSE_KERNEL;  /* munmap, mmap, brk, mremap: it does not say. */
    case UFFD_KIND_GIVEN: return OPAL_MEM_HOOKS_CAUSE_UNKNOWN; /* Who has told before, has told the cause. */
    default: return OPAL_MEM_HOOKS_CAUSE_MREMAP;
    }
}

static void deliver_one(uffd_state_t *state, const uffd_event_t *event)
{
    opal_mem_hooks_release_cause((void *) event->start, event->end - event->start, true, cause_of(event->kind));
    if (event->kind == UFFD_KIND_MOVED_TO) {
        uffd_lock(&state->life_lock);
        uffd_spans_moved(state, event->start, event->end);
        uffd_unlock(&state->life_lock);
    }
}

int uffd_deliver(uffd_state_t *state)
{
    batch_t batch;

    uffd_handover_pause(true);
    while (look(state, &batch)) {
        if (batch.is_everything) {
            opal_mem_hooks_release_cause(NULL, SIZE_MAX, true, OPAL_MEM_HOOKS_CAUSE_KERNEL);
        }
        for (uint32_t i = 0; i < batch.count; i++) {
            deliver_one(state, &batch.events[i]);
        }
        take_out(state, &batch);
    }
    uffd_handover_pause(false);
    return uffd_phase(state) == UFFD_DEAF ? OPAL_ERR_NOT_AVAILABLE : OPAL_SUCCESS;
}
