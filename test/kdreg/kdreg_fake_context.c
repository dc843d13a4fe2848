/* SPDX-License-Identifier: BSD-3-Clause */
/* One open file of the driver in user space: tables, regions, events, and the
 * notifier. */
#include "test/kdreg/kdreg_fake_context.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/kdreg/kdreg_fake.h"

#define MAX_CONTEXTS 64
#define MAX_RANGES 256
#define NO_STATE UINT32_C(0x7fffffff)
#define DRIVER_VERSION UINT64_C(0x416)

typedef struct range_t {
    uintptr_t start, last;
} range_t;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static fake_context_t contexts[MAX_CONTEXTS];
static range_t deferred[MAX_RANGES], not_forked[MAX_RANGES];
static size_t deferred_count, not_forked_count;

void fake_lock(void)
{
    pthread_mutex_lock(&lock);
}

void fake_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

/* ---- Shared pages -------------------------------------------------------------------------------- */

static int make_pages(fake_pages_t *pages, size_t bytes)
{
    const size_t page = (size_t) sysconf(_SC_PAGESIZE);

    *pages =
        (fake_pages_t){ .memory = memfd_create("kdreg2", MFD_CLOEXEC), .size = (bytes + page - 1) & ~(page - 1) };
    if (pages->memory < 0 || ftruncate(pages->memory, (off_t) pages->size) != 0) {
        return -ENOMEM;
    }
    pages->kernel = mmap(NULL, pages->size, PROT_READ | PROT_WRITE, MAP_SHARED, pages->memory, 0);
    pages->user = mmap(NULL, pages->size, PROT_READ, MAP_SHARED, pages->memory, 0);
    return pages->kernel == MAP_FAILED || pages->user == MAP_FAILED ? -ENOMEM : 0;
}

static void notify_locked(uintptr_t start, uintptr_t last);

/* Whatever is at the address that the process was told, goes. */
static void drop_pages(fake_pages_t *pages)
{
    if (pages->size != 0) {
        munmap(pages->user, pages->size);
        munmap(pages->kernel, pages->size);
        notify_locked((uintptr_t) pages->user, (uintptr_t) pages->user + pages->size - 1);
        if (pages->memory >= 0) {
            close(pages->memory);
        }
    }
    *pages = (fake_pages_t){ .memory = -1 };
}

static kdreg_status_t *status_of(fake_context_t *context)
{
    return context->status.kernel;
}

static uint32_t *states_of(fake_context_t *context)
{
    return context->states.kernel;
}

static void publish(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static void publish_counts(fake_context_t *context)
{
    publish(&status_of(context)->pending_events, context->pending);
    publish(&status_of(context)->num_active_regions, context->active);
}

/* ---- Tables -------------------------------------------------------------------------------------- */

static void set_state(fake_context_t *context, uint64_t location, uint32_t data, uint32_t in_use)
{
    __atomic_store_n(&states_of(context)[location], data << 1 | in_use, __ATOMIC_RELEASE);
}

static void free_state(fake_context_t *context, uint64_t location)
{
    set_state(context, location, context->free_state, 0);
    context->free_state = (uint32_t) location;
}

static int make_tables(fake_context_t *context, size_t max_regions)
{
    int rc = 0;

    drop_pages(&context->states);
    free(context->queue);
    context->queue = NULL;
    context->first = context->pending = 0;
    context->has_lost = false;
    context->next_generation = 0;
    context->free_state = NO_STATE;
    if (max_regions != 0) {
        rc = make_pages(&context->states, max_regions * sizeof(uint32_t));
        close(context->states.memory);
        context->states.memory = -1;
        context->queue = calloc(max_regions, sizeof(*context->queue));
    }
    for (size_t i = max_regions; i-- > 0;) {
        free_state(context, i);
    }
    context->max_regions = max_regions;
    publish(&status_of(context)->max_regions, max_regions);
    __atomic_store_n(&status_of(context)->states, (const volatile uint32_t *) context->states.user,
                     __ATOMIC_RELEASE);
    return rc;
}

/* Without memory, the driver ends with no tables at all; other errors are found before. */
int fake_context_configure_locked(fake_context_t *context, kdreg_config_t *config, int error)
{
    config->status = context->status.user;
    if (config->max_regions >= NO_STATE) {
        return -ENOSPC;
    }
    if ((error != 0 && error != -ENOMEM) || config->max_regions == context->max_regions) {
        return error;
    }
    if (context->active > 0 || context->pending > 0) {
        return -EBUSY;
    }
    const int rc = make_tables(context, error != 0 ? 0 : config->max_regions);
    publish_counts(context);
    return error != 0 ? error : rc;
}

/* ---- Files --------------------------------------------------------------------------------------- */

fake_context_t *fake_context_of(int fd)
{
    struct stat status;

    if (fstat(fd, &status) == 0) {
        for (int i = 0; i < MAX_CONTEXTS; i++) {
            if (contexts[i].is_used && contexts[i].inode == status.st_ino) {
                return &contexts[i];
            }
        }
    }
    return NULL;
}

static fake_context_t *find_unused(void)
{
    for (int i = 0; i < MAX_CONTEXTS; i++) {
        if (!contexts[i].is_used) {
            return &contexts[i];
        }
    }
    abort();
}

int fake_context_open(int flags)
{
    struct stat status;

    (void) flags;
    fake_lock();
    fake_context_t *context = find_unused();
    *context = (fake_context_t){ .is_used = true, .process = getpid(), .references = 1, .states.memory = -1 };
    const int rc = make_pages(&context->status, sizeof(kdreg_status_t));
    const int fd = context->status.memory;
    context->status.memory = -1; /* It is the program's to close. */
    if (rc == 0 && fstat(fd, &status) == 0) {
        context->inode = status.st_ino;
        status_of(context)->version = DRIVER_VERSION;
    }
    fake_unlock();
    return rc == 0 ? fd : rc;
}

static void drop_regions(fake_context_t *context)
{
    while (context->regions != NULL) {
        fake_region_t *region = context->regions;

        context->regions = region->next;
        free(region);
    }
    context->active = 0;
}

/* The last descriptor goes: the driver unmaps what it has mapped. One that a child has inherited is never the last here. */
void fake_context_put_locked(fake_context_t *context)
{
    if (--context->references > 0 || context->process != getpid()) {
        return;
    }
    drop_regions(context);
    context->is_used = false;
    free(context->queue);
    context->queue = NULL;
    drop_pages(&context->states);
    drop_pages(&context->status);
}

/* ---- Regions ------------------------------------------------------------------------------------- */

static fake_region_t **find(fake_context_t *context, uint64_t cookie)
{
    fake_region_t **place = &context->regions;

    while (*place != NULL && (*place)->monitor.cookie != cookie) {
        place = &(*place)->next;
    }
    return place;
}

static kdreg_params_t take_state(fake_context_t *context)
{
    kdreg_params_t params = { .location = context->free_state };

    context->free_state = states_of(context)[params.location] >> 1;
    set_state(context, params.location, context->next_generation, KDREG_STATE_IN_USE);
    params.generation = context->next_generation << 1 | KDREG_STATE_IN_USE;
    context->next_generation = (context->next_generation + 1) & NO_STATE;
    return params;
}

static void answer_wrongly(const fake_context_t *context, kdreg_params_t *params)
{
    if (fake_script.location_is_wrong) {
        params->location = context->max_regions;
    }
    if (fake_script.generation_is_wrong) {
        params->generation &= ~KDREG_STATE_IN_USE;
    }
}

int fake_context_monitor_locked(fake_context_t *context, kdreg_monitor_t *monitor)
{
    fake_region_t *other = *find(context, monitor->cookie);

    if (monitor->length == 0 || monitor->cookie == KDREG_BAD_COOKIE) {
        return -EINVAL;
    }
    if (context->active >= context->max_regions || context->free_state == NO_STATE) {
        return -ENOSPC;
    }
    if (other != NULL) {
        monitor->params = other->monitor.params;
        return other->monitor.addr == monitor->addr && other->monitor.length == monitor->length ? 0 : -EBUSY;
    }
    fake_region_t *region = malloc(sizeof(*region));
    monitor->params = take_state(context);
    *region = (fake_region_t){ *monitor, context->regions };
    context->regions = region;
    context->active++;
    publish_counts(context);
    answer_wrongly(context, &monitor->params);
    return 0;
}

static void remove_region(fake_context_t *context, fake_region_t **place)
{
    fake_region_t *region = *place;

    *place = region->next;
    free_state(context, region->monitor.params.location);
    free(region);
    context->active--;
    publish_counts(context);
}

int fake_context_unmonitor_locked(fake_context_t *context, const kdreg_unmonitor_t *unmonitor)
{
    fake_region_t **place = find(context, unmonitor->cookie);

    if (unmonitor->params.location >= context->max_regions) {
        return -EINVAL;
    }
    if (*place == NULL) {
        return 0;
    }
    if ((*place)->monitor.params.location != unmonitor->params.location
        || (*place)->monitor.params.generation != unmonitor->params.generation) {
        return -EBADSLT;
    }
    remove_region(context, place);
    return 0;
}

/* ---- Events -------------------------------------------------------------------------------------- */

int fake_context_flush_locked(fake_context_t *context)
{
    context->first = context->pending = 0;
    context->has_lost = false;
    publish_counts(context);
    return 0;
}

ssize_t fake_context_read_locked(fake_context_t *context, void *buffer, size_t size)
{
    kdreg_event_t *events = buffer;
    size_t count = size / sizeof(*events);

    if (count == 0) {
        return -EINVAL;
    }
    if (context->has_lost) {
        return -ENOSPC;
    }
    if (context->pending == 0) {
        return -EAGAIN;
    }
    count = count < context->pending ? count : context->pending;
    for (size_t i = 0; i < count; i++) {
        events[i] = context->queue[(context->first + i) % context->max_regions];
    }
    if (!fake_script.is_endless) {
        context->first = (context->first + count) % context->max_regions;
        context->pending -= count;
    }
    publish_counts(context);
    return (ssize_t) (count * sizeof(*events));
}

static bool is_full(const fake_context_t *context)
{
    return context->pending == context->max_regions
           || (fake_script.queue_size != 0 && context->pending >= fake_script.queue_size);
}

static void queue_event(fake_context_t *context, const kdreg_monitor_t *monitor)
{
    if (is_full(context)) {
        context->has_lost = true;
        return;
    }
    context->queue[(context->first + context->pending++) % context->max_regions] = (kdreg_event_t){
        .type = fake_script.event_type != 0 ? fake_script.event_type : KDREG_MAPPING_CHANGE,
        .pad = 0xdeadbeef,
        .addr = monitor->addr,
        .length = monitor->length,
        .cookie = monitor->cookie,
    };
    publish_counts(context);
    if (!fake_script.does_not_count) {
        publish(&status_of(context)->total_events, status_of(context)->total_events + 1);
    }
}

/* A script that needs more than there is room for is to fail, not to be forgotten. */
static void add_range(range_t *ranges, size_t *count, range_t range)
{
    if (*count == MAX_RANGES) {
        abort();
    }
    ranges[(*count)++] = range;
}

/* ---- The notifier -------------------------------------------------------------------------------- */

static bool overlaps(const fake_region_t *region, uintptr_t start, uintptr_t last)
{
    const uintptr_t first = (uintptr_t) region->monitor.addr;

    return first <= last && first + (region->monitor.length - 1) >= start;
}

static void hit(fake_context_t *context, uintptr_t start, uintptr_t last)
{
    fake_region_t **place = &context->regions;

    while (*place != NULL) {
        if (overlaps(*place, start, last) && !(fake_script.loses_silently && is_full(context))) {
            queue_event(context, &(*place)->monitor);
            remove_region(context, place);
        } else {
            place = &(*place)->next;
        }
    }
}

static void notify_locked(uintptr_t start, uintptr_t last)
{
    if (fake_script.noticed != NULL) {
        fake_script.noticed(start, last);
    }
    if (fake_script.deaf) {
        return;
    }
    if (fake_script.defers) {
        if (deferred_count == MAX_RANGES) { /* Without memory for more, the driver tells of everything. */
            deferred_count = 0;
            start = 0, last = UINTPTR_MAX;
        }
        add_range(deferred, &deferred_count, (range_t){ start, last });
        return;
    }
    for (int i = 0; i < MAX_CONTEXTS; i++) {
        if (contexts[i].is_used && contexts[i].process == getpid()) {
            hit(&contexts[i], start, last);
        }
    }
}

/* Other pages at the address are inherited. */
static void forget_not_forked(uintptr_t start, uintptr_t last)
{
    for (size_t i = 0; i < not_forked_count; i++) {
        if (not_forked[i].start <= last && not_forked[i].last >= start) {
            not_forked[i] = (range_t){ 1, 0 };
        }
    }
}

void fake_notify(void *start, size_t length)
{
    const uintptr_t first = (uintptr_t) start;
    const uintptr_t last = length - 1 > UINTPTR_MAX - first ? UINTPTR_MAX : first + length - 1;

    fake_lock();
    notify_locked(first, last);
    if (length != SIZE_MAX) {
        forget_not_forked(first, last);
    }
    fake_unlock();
}

void fake_run_deferred(void)
{
    fake_lock();
    fake_script.defers = false;
    while (deferred_count > 0) {
        deferred_count--;
        notify_locked(deferred[deferred_count].start, deferred[deferred_count].last);
    }
    fake_unlock();
}

/* ---- Forks --------------------------------------------------------------------------------------- */

void fake_dont_fork(void *start, size_t length)
{
    fake_lock();
    add_range(not_forked, &not_forked_count, (range_t){ (uintptr_t) start, (uintptr_t) start + length - 1 });
    fake_unlock();
}

static bool is_shared(uintptr_t first)
{
    for (int i = 0; i < MAX_CONTEXTS; i++) {
        if (contexts[i].is_used && first == (uintptr_t) contexts[i].status.user) {
            return true;
        }
    }
    return false;
}

static bool is_not_forked(uintptr_t first)
{
    for (size_t i = 0; i < not_forked_count; i++) {
        if (first >= not_forked[i].start && first <= not_forked[i].last) {
            return true;
        }
    }
    return false;
}

static bool is_mine(const fake_context_t *context)
{
    return context->is_used && context->process == getpid();
}

/* Write-protection of one region hits others that overlap it. */
void fake_notify_fork(void)
{
    fake_lock();
    for (int i = 0; i < MAX_CONTEXTS; i++) {
        fake_region_t *region = is_mine(&contexts[i]) ? contexts[i].regions : NULL;

        while (region != NULL) {
            const uintptr_t first = (uintptr_t) region->monitor.addr;
            const uintptr_t last = first + region->monitor.length - 1;
            const bool is_hit =
                !fake_script.deaf && !fake_script.defers && !is_shared(first) && !is_not_forked(first);

            if (is_hit) {
                notify_locked(first, last);
            }
            region = is_hit ? contexts[i].regions : region->next;
        }
    }
    fake_unlock();
}

void fake_notify_guards(void)
{
    fake_lock();
    for (int i = 0; i < MAX_CONTEXTS; i++) {
        if (is_mine(&contexts[i])) {
            const uintptr_t first = (uintptr_t) contexts[i].status.user;

            notify_locked(first, first + contexts[i].status.size - 1);
        }
    }
    fake_unlock();
}

/* ---- For tests ----------------------------------------------------------------------------------- */

void fake_set_generation(uint32_t generation)
{
    fake_context_t *largest = &contexts[0];

    fake_lock();
    for (int i = 0; i < MAX_CONTEXTS; i++) {
        if (is_mine(&contexts[i]) && contexts[i].max_regions > largest->max_regions) {
            largest = &contexts[i];
        }
    }
    largest->next_generation = generation & NO_STATE;
    fake_unlock();
}

int fake_open_files(void)
{
    int count = 0;

    fake_lock();
    for (int i = 0; i < MAX_CONTEXTS; i++) {
        count += is_mine(&contexts[i]);
    }
    fake_unlock();
    return count;
}

size_t fake_regions(void)
{
    size_t count = 0;

    fake_lock();
    for (int i = 0; i < MAX_CONTEXTS; i++) {
        count += is_mine(&contexts[i]) ? contexts[i].active : 0;
    }
    fake_unlock();
    return count;
}

size_t fake_pending(void)
{
    size_t count = 0;

    fake_lock();
    for (int i = 0; i < MAX_CONTEXTS; i++) {
        count += is_mine(&contexts[i]) ? contexts[i].pending : 0;
    }
    fake_unlock();
    return count;
}
