/* SPDX-License-Identifier: BSD-3-Clause */
/* State and life: mapped at enable; descriptors and the reader from the first
 * watch to disable. A fork child finds all of it wiped, and starts anew. */
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "components/userfaultfd/userfaultfd.h"
#include "components/userfaultfd/userfaultfd_sys.h"

#define STACK_BYTES ((size_t) 128 << 10) /* Without thread-local variables. */
#define MOST_RANGES 65536

uffd_state_t *uffd_state;
uint64_t uffd_counter = 1;
uffd_settings_t uffd_settings = { .unmap = UFFD_UNMAP_EVENT, .lookup = UFFD_LOOKUP_AUTO };

/* One mapping: a page that cannot be touched, the reader's stack, the state, the table of ranges. Its advice keeps it from
 * being merged with a mapping of the program, so that it is never registered. */
typedef struct layout_t {
    size_t page, state, spans, total;
} layout_t;

static size_t max_map_count(void)
{
    char text[32] = "";
    const long fd = uffd_sys_open("/proc/sys/vm/max_map_count");
    size_t value = 65530;

    if (fd >= 0) {
        if (uffd_sys_read((int) fd, text, sizeof(text) - 1) > 0) {
            sscanf(text, "%zu", &value);
        }
        uffd_sys_close((int) fd);
    }
    return value;
}

static size_t range_limit(void)
{
    size_t limit = uffd_settings.max_ranges != 0 ? uffd_settings.max_ranges : max_map_count() / 16;

    limit = limit > MOST_RANGES ? MOST_RANGES : limit;
    return limit == 0 ? 1 : limit;
}

static int add_thread_locals(struct dl_phdr_info *object, size_t size, void *sum)
{
    (void) size;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        if (object->dlpi_phdr[i].p_type == PT_TLS) {
            *(size_t *) sum += object->dlpi_phdr[i].p_memsz + object->dlpi_phdr[i].p_align;
        }
    }
    return 0;
}

/* libc lays the program's thread-local variables into a stack that it is given, and refuses one that is too small for them. */
static size_t stack_bytes(size_t page)
{
    size_t thread_locals = 0;

    dl_iterate_phdr(add_thread_locals, &thread_locals);
    return STACK_BYTES + (thread_locals + page - 1) / page * page;
}

static layout_t lay_out(size_t limit)
{
    const size_t page = (size_t) sysconf(_SC_PAGESIZE);
    const size_t state = page + stack_bytes(page);
    const size_t spans = state + (sizeof(uffd_state_t) + page - 1) / page * page;

    return (layout_t){ page, state, spans, spans + (limit * sizeof(uffd_span_t) + page - 1) / page * page };
}

static layout_t layout; /* Of the mapping. */
static size_t mapped_limit;

int uffd_state_map(void)
{
    const size_t limit = range_limit();

    layout = lay_out(limit);
    char *memory =
        mmap(NULL, layout.total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    if (madvise(memory, layout.total, MADV_WIPEONFORK) != 0 || mprotect(memory, layout.page, PROT_NONE) != 0) {
        munmap(memory, layout.total);
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    mapped_limit = limit;
    uffd_state = (uffd_state_t *) (void *) (memory + layout.state);
    return OPAL_SUCCESS;
}

static char *mapping_of(uffd_state_t *state)
{
    return (char *) state - layout.state;
}

void uffd_state_unmap(void)
{
    if (uffd_state != NULL) {
        munmap(mapping_of(uffd_state), layout.total);
        uffd_state = NULL;
    }
}

uint64_t uffd_features(void)
{
    const uint64_t always = UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE;

    return uffd_settings.unmap == UFFD_UNMAP_EVENT ? always | UFFD_FEATURE_EVENT_UNMAP : always;
}

/* ---- Fork ------------------------------------------------------------------------------------------ */

/* The child's copies of our descriptors are closed before it does anything: they would keep the parent's registrations alive
 * when the parent has closed, or lost, its own. A child by another way than fork() keeps them until exec. */
static struct inherited_t {
    uffd_kernel_t kernel;
    uffd_file_t stop;
} inherited = { UFFD_NO_KERNEL,
                UFFD_NO_FILE }; /* Under life_lock, or when the reader gives up; read in children. */

static void close_all(struct inherited_t *descriptors)
{
    uffd_kernel_close(&descriptors->kernel);
    uffd_file_close(&descriptors->stop);
}

static void close_inherited(void)
{
    close_all(&inherited);
}

/* Number by number: a child may see it half done, and then knows what it sees. */
void uffd_forget_descriptors(void)
{
    inherited.kernel.events.fd = inherited.kernel.pagemap.fd = inherited.kernel.maps.fd = inherited.stop.fd = -1;
}

/* The library is never unloaded. */
static void watch_forks(void)
{
    static bool is_watched;

    if (!is_watched) {
        is_watched = pthread_atfork(NULL, NULL, close_inherited) == 0;
    }
}

/* ---- Start ----------------------------------------------------------------------------------------- */

/* libc's own two signals stay: setuid() and its like wait until every thread has handled theirs. */
static int start_thread(uffd_state_t *state)
{
    pthread_attr_t attributes;
    sigset_t all, old;
    int rc = pthread_attr_init(&attributes);

    if (rc != 0) {
        return rc;
    }
    pthread_attr_setstack(&attributes, mapping_of(state) + layout.page, layout.state - layout.page);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&state->reader, &attributes, uffd_reader, state);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    return rc;
}

/* Those of the reader, and the reader. @return false: *fault says what there is not. */
static bool start_reader(uffd_state_t *state, uffd_fault_t *fault)
{
    int error;

    state->stop = uffd_file_own(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (state->stop.fd < 0) {
        *fault = (uffd_fault_t){ "eventfd", errno };
    } else if (!uffd_handover_begin(state->kernel.events.fd)) {
        *fault = (uffd_fault_t){ "the descriptor's hand-over", ENOMEM };
    } else if ((error = start_thread(state)) != 0) {
        *fault = (uffd_fault_t){ "its thread", error };
    } else {
        return true;
    }
    return false;
}

int uffd_start_locked(uffd_state_t *state, uffd_fault_t *fault)
{
    const int phase = uffd_phase(state);

    if (phase != UFFD_IDLE) {
        return phase == UFFD_RUNNING ? OPAL_SUCCESS : OPAL_ERR_NOT_AVAILABLE;
    }
    state->spans.spans = (uffd_span_t *) (void *) (mapping_of(state) + layout.spans);
    state->spans.limit = mapped_limit;
    if (uffd_kernel_open(&state->kernel, uffd_features(), fault) != OPAL_SUCCESS) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    atomic_store_explicit(&state->is_ending, false, memory_order_relaxed);
    if (!start_reader(state, fault)) {
        uffd_file_close(&state->stop);
        uffd_kernel_close(&state->kernel);
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    watch_forks();
    inherited = (struct inherited_t){ state->kernel, state->stop };
    atomic_store_explicit(&state->phase, UFFD_RUNNING, memory_order_release);
    return OPAL_SUCCESS;
}

/* ---- Stop ------------------------------------------------------------------------------------------ */

/* Closing is not enough to end the registrations: a fork child may have inherited the descriptor. And a thread whose release is
 * under way is still to be woken. */
static void settle(uffd_state_t *state)
{
    const struct timespec pause = { .tv_nsec = 100000 };

    uffd_spans_clear(state);
    for (int i = 0; i < 10000 && uffd_kernel_busy(&state->kernel) == UFFD_BUSY; i++) {
        nanosleep(&pause, NULL);
    }
}

static void wake_up(const uffd_file_t *stop)
{
    const uint64_t one = 1;

    if (uffd_file_is_ours(stop)) {
        UFFD_SYS(SYS_write, stop->fd, (long) &one, sizeof(one));
    }
}

void uffd_stop(uffd_state_t *state)
{
    uffd_lock(&state->life_lock);
    if (uffd_phase(state) != UFFD_IDLE) {
        settle(state);
        atomic_store_explicit(&state->is_ending, true, memory_order_release);
        wake_up(&state->stop);
        pthread_join(state->reader, NULL);
        uffd_forget_descriptors();
        uffd_kernel_close(&state->kernel);
        uffd_file_close(&state->stop);
        atomic_store_explicit(&state->phase, UFFD_IDLE, memory_order_release);
    }
    uffd_unlock(&state->life_lock);
}
