/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver of ummunotify_fake.h: what it knows of a device, and of regions. */
#include "test/ummunotify/ummunotify_fake.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_DEVICES 8
#define MAX_REGIONS 8192

typedef struct region_t {
    uint64_t start, end, cookie;
    uint64_t hint_start, hint_end;
    uint64_t order; /* 0: no event waits; else its place in the list. */
    bool is_merged;
} region_t;

typedef struct device_t {
    bool is_open, has_features;
    pid_t owner;
    unsigned descriptors; /* But for those that a program has closed by itself. */
    dev_t dev;
    ino_t ino;
    uint64_t *generation; /* In a file that whoever maps the device shares. */
    size_t count;
    region_t region[MAX_REGIONS];
} device_t;

/* Protects the devices; not held across a script, nor across what is real. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t is_over = PTHREAD_COND_INITIALIZER;
static device_t *devices;
static uint64_t last_order;
static unsigned in_progress, settling; /* Releases, and those who wait for them. */

static atomic_uint *strangers; /* Shared with children. */

static struct {
    atomic_uint count[FAKE_CALLS], failures[FAKE_CALLS];
    atomic_int error[FAKE_CALLS];
    void (*_Atomic action[FAKE_CALLS])(void);
    atomic_size_t read_limit;
    atomic_uint muted;
    atomic_bool settle_is_muted;
    atomic_bool has_bytes;
    unsigned char bytes[4096];
    size_t size;
} script;

static size_t page_size(void)
{
    return (size_t) sysconf(_SC_PAGESIZE);
}

/* ---- The script ------------------------------------------------------------------------------------ */

/* @return 0, or what the call fails with. */
static int begin(fake_call_t call)
{
    void (*action)(void) = atomic_load(&script.action[call]);
    unsigned left;

    atomic_fetch_add(&script.count[call], 1);
    if (action != NULL) {
        action();
    }
    left = atomic_load(&script.failures[call]);
    while (left > 0 && !atomic_compare_exchange_weak(&script.failures[call], &left, left - 1)) {
    }
    return left > 0 ? -atomic_load(&script.error[call]) : 0;
}

void fake_fail(fake_call_t call, int error, unsigned times)
{
    atomic_store(&script.error[call], error);
    atomic_store(&script.failures[call], times);
}

void fake_during(fake_call_t call, void (*action)(void))
{
    atomic_store(&script.action[call], action);
}

unsigned fake_count(fake_call_t call)
{
    return atomic_load(&script.count[call]);
}

void fake_limit_reads(size_t bytes)
{
    atomic_store(&script.read_limit, bytes);
}

void fake_read_bytes(const void *bytes, size_t size)
{
    if (size > 0) {
        memcpy(script.bytes, bytes, size);
    }
    script.size = size;
    atomic_store(&script.has_bytes, true);
}

void fake_mute(unsigned kinds)
{
    atomic_store(&script.muted, kinds);
}

void fake_mute_settle(bool is_muted)
{
    atomic_store(&script.settle_is_muted, is_muted);
}

/* ---- Devices --------------------------------------------------------------------------------------- */

/* The device that a descriptor leads to; NULL: it is some other file. */
static device_t *device_of_locked(int fd)
{
    struct stat file;

    if (fstat(fd, &file) != 0) {
        return NULL;
    }
    for (int i = 0; i < MAX_DEVICES; i++) {
        if (devices[i].is_open && devices[i].dev == file.st_dev && devices[i].ino == file.st_ino) {
            atomic_fetch_add(strangers, devices[i].owner != getpid());
            return &devices[i];
        }
    }
    return NULL;
}

/* The file is as long as it takes to be mapped. */
static int make_locked(device_t *device)
{
    struct stat file;
    const int fd = memfd_create("ummunotify", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, (off_t) page_size()) != 0 || fstat(fd, &file) != 0) {
        return -errno;
    }
    device->generation = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (device->generation == MAP_FAILED) {
        return -errno;
    }
    device->is_open = true;
    device->has_features = false;
    device->owner = getpid();
    device->descriptors = 1;
    device->dev = file.st_dev;
    device->ino = file.st_ino;
    device->count = 0;
    return fd;
}

static int fake_open(const char *path)
{
    int rc = begin(FAKE_OPEN);

    if (rc != 0 || strcmp(path, FAKE_DEVICE) != 0) {
        return rc != 0 ? rc : ummunotify_sys_real.open(path);
    }
    pthread_mutex_lock(&lock);
    rc = -EMFILE;
    for (int i = 0; i < MAX_DEVICES && rc == -EMFILE; i++) {
        rc = devices[i].is_open ? -EMFILE : make_locked(&devices[i]);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

static int fake_close(int fd)
{
    int rc = begin(FAKE_CLOSE);

    if (rc != 0) {
        return rc;
    }
    pthread_mutex_lock(&lock);
    device_t *device = device_of_locked(fd);
    if (device != NULL && --device->descriptors == 0) {
        munmap(device->generation, page_size());
        device->is_open = false;
    }
    pthread_mutex_unlock(&lock);
    return ummunotify_sys_real.close(fd);
}

static int fake_duplicate(int fd, int lowest)
{
    const int rc = begin(FAKE_DUPLICATE), made = rc != 0 ? rc : ummunotify_sys_real.duplicate(fd, lowest);

    pthread_mutex_lock(&lock);
    device_t *device = made >= 0 ? device_of_locked(fd) : NULL;
    if (device != NULL) {
        device->descriptors++;
    }
    pthread_mutex_unlock(&lock);
    return made;
}

static int fake_identify(int fd, struct stat *file)
{
    const int rc = begin(FAKE_IDENTIFY);

    return rc != 0 ? rc : ummunotify_sys_real.identify(fd, file);
}

/* Read-only, as the driver allows it alone. */
static int fake_map(int fd, void *at, size_t size)
{
    const int rc = begin(FAKE_MAP);

    if (rc == 0 && fd >= 0 && size != page_size()) {
        return -EINVAL;
    }
    return rc != 0 ? rc : ummunotify_sys_real.map(fd, at, size);
}

/* ---- Regions --------------------------------------------------------------------------------------- */

static region_t *find_locked(device_t *device, uint64_t cookie)
{
    for (size_t i = 0; i < device->count; i++) {
        if (device->region[i].cookie == cookie) {
            return &device->region[i];
        }
    }
    return NULL;
}

static int register_locked(device_t *device, const struct ummunotify_register_ioctl *wanted)
{
    if (wanted->flags != 0 || wanted->reserved != 0 || wanted->start >= wanted->end
        || find_locked(device, wanted->user_cookie) != NULL) {
        return -EINVAL;
    }
    if (device->count == MAX_REGIONS) {
        return -ENOMEM;
    }
    device->region[device->count++] =
        (region_t){ .start = wanted->start, .end = wanted->end, .cookie = wanted->user_cookie };
    return 0;
}

/* Its event goes, too. */
static int unregister_locked(device_t *device, uint64_t cookie)
{
    region_t *region = find_locked(device, cookie);

    if (region == NULL) {
        return -EINVAL;
    }
    *region = device->region[--device->count];
    return 0;
}

static int request_locked(device_t *device, unsigned long request, void *argument)
{
    if (request == UMMUNOTIFY_EXCHANGE_FEATURES) {
        device->has_features = true;
        *(uint32_t *) argument = 0;
        return 0;
    }
    if (!device->has_features || device->owner != getpid()) {
        return -EINVAL;
    }
    return request == UMMUNOTIFY_REGISTER_REGION ? register_locked(device, argument)
                                                 : unregister_locked(device, *(const uint64_t *) argument);
}

static fake_call_t call_of(unsigned long request)
{
    return request == UMMUNOTIFY_EXCHANGE_FEATURES ? FAKE_FEATURES
           : request == UMMUNOTIFY_REGISTER_REGION ? FAKE_REGISTER
                                                   : FAKE_UNREGISTER;
}

static int fake_ioctl(int fd, unsigned long request, void *argument)
{
    int rc = begin(call_of(request));

    if (rc != 0) {
        return rc;
    }
    pthread_mutex_lock(&lock);
    device_t *device = device_of_locked(fd);
    rc = device == NULL ? 0 : request_locked(device, request, argument);
    pthread_mutex_unlock(&lock);
    return device == NULL ? ummunotify_sys_real.ioctl(fd, request, argument) : rc;
}

/* ---- Events ---------------------------------------------------------------------------------------- */

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The first hit keeps its place in the list; a second one makes the hint useless. */
static bool hit_locked(region_t *region, uint64_t start, uint64_t end)
{
    if (region->start >= end || region->end <= start) {
        return false;
    }
    region->is_merged = region->order != 0;
    region->hint_start = region->is_merged ? region->start : larger(start, region->start);
    region->hint_end = region->is_merged ? region->end : smaller(end, region->end);
    region->order = region->order != 0 ? region->order : ++last_order;
    return true;
}

static bool notify_device_locked(device_t *device, uint64_t start, uint64_t end)
{
    bool is_hit = false;

    if (!device->is_open || device->owner != getpid()) {
        return false;
    }
    for (size_t i = 0; i < device->count; i++) {
        is_hit |= hit_locked(&device->region[i], start, end);
    }
    if (is_hit) {
        __atomic_add_fetch(device->generation, 1, __ATOMIC_RELEASE);
    }
    return is_hit;
}

static bool notify_locked(uint64_t start, uint64_t end)
{
    bool is_hit = false;

    for (int i = 0; i < MAX_DEVICES; i++) {
        is_hit |= notify_device_locked(&devices[i], start, end);
    }
    return is_hit;
}

bool fake_notify(uint64_t start, uint64_t end)
{
    pthread_mutex_lock(&lock);
    const bool is_hit = notify_locked(start, end);
    pthread_mutex_unlock(&lock);
    return is_hit;
}

static region_t *first_event_locked(device_t *device)
{
    region_t *first = NULL;

    for (size_t i = 0; i < device->count; i++) {
        region_t *region = &device->region[i];
        if (region->order != 0 && (first == NULL || region->order < first->order)) {
            first = region;
        }
    }
    return first;
}

static ssize_t read_locked(device_t *device, struct ummunotify_event *events, size_t size)
{
    const size_t limit = atomic_load(&script.read_limit);
    size_t room = (limit != 0 && limit < size ? limit : size) / sizeof(*events), count = 0;
    region_t *region = first_event_locked(device);

    room = room < UMMUNOTIFY_EVENTS_A_READ ? room : UMMUNOTIFY_EVENTS_A_READ;
    if (region == NULL) {
        return -EAGAIN;
    }
    for (; region != NULL && count < room; region = first_event_locked(device)) {
        events[count++] = (struct ummunotify_event){
            .type = UMMUNOTIFY_EVENT_TYPE_INVAL,
            .flags = region->is_merged ? 0 : UMMUNOTIFY_EVENT_FLAG_HINT,
            .hint_start = region->hint_start,
            .hint_end = region->hint_end,
            .user_cookie_counter = region->cookie,
        };
        region->order = 0;
    }
    if (region == NULL && count < room) {
        events[count++] = (struct ummunotify_event){
            .type = UMMUNOTIFY_EVENT_TYPE_LAST,
            .user_cookie_counter = __atomic_load_n(device->generation, __ATOMIC_ACQUIRE),
        };
    }
    return (ssize_t) (count * sizeof(*events));
}

static ssize_t fake_read(int fd, void *buffer, size_t size)
{
    ssize_t rc = begin(FAKE_READ);

    if (rc != 0) {
        return rc;
    }
    if (atomic_exchange(&script.has_bytes, false)) {
        memcpy(buffer, script.bytes, script.size < size ? script.size : size);
        return (ssize_t) (script.size < size ? script.size : size);
    }
    pthread_mutex_lock(&lock);
    device_t *device = device_of_locked(fd);
    rc = device == NULL                           ? 0
         : device->owner != getpid()              ? -EINVAL
         : size < sizeof(struct ummunotify_event) ? -ENOSPC
                                                  : read_locked(device, buffer, size);
    pthread_mutex_unlock(&lock);
    return device == NULL ? ummunotify_sys_real.read(fd, buffer, size) : rc;
}

/* ---- Releases -------------------------------------------------------------------------------------- */

static void end_release(void)
{
    pthread_mutex_lock(&lock);
    in_progress--;
    pthread_cond_broadcast(&is_over);
    pthread_mutex_unlock(&lock);
}

/* The kernel tells of it before the pages go, and holds the address space's lock until they are gone. */
static int fake_release(const ummunotify_release_t *release)
{
    const uint64_t start = (uintptr_t) release->start, target = (uintptr_t) release->target;

    pthread_mutex_lock(&lock);
    in_progress++;
    if ((atomic_load(&script.muted) & 1u << release->kind) == 0) {
        notify_locked(start, start + release->length);
        if (release->kind == UMMUNOTIFY_MOVE) { /* First moved, then unmapped, as the target is. */
            notify_locked(start, start + release->length);
            notify_locked(target, target + release->length);
        }
    }
    pthread_mutex_unlock(&lock);
    int rc = begin(FAKE_RELEASE);
    rc = rc != 0 ? rc : ummunotify_sys_real.release(release);
    end_release();
    return rc;
}

static int fake_settle(void *page, size_t size)
{
    const int rc = begin(FAKE_SETTLE);

    if (rc != 0 || atomic_load(&script.settle_is_muted)) {
        return rc;
    }
    pthread_mutex_lock(&lock);
    settling++;
    while (in_progress > 0) {
        pthread_cond_wait(&is_over, &lock);
    }
    settling--;
    pthread_mutex_unlock(&lock);
    return ummunotify_sys_real.settle(page, size);
}

/* ---- For tests ------------------------------------------------------------------------------------- */

size_t fake_regions(void)
{
    size_t count = 0;

    pthread_mutex_lock(&lock);
    for (int i = 0; i < MAX_DEVICES; i++) {
        count += devices[i].is_open && devices[i].owner == getpid() ? devices[i].count : 0;
    }
    pthread_mutex_unlock(&lock);
    return count;
}

size_t fake_devices(void)
{
    size_t count = 0;

    pthread_mutex_lock(&lock);
    for (int i = 0; i < MAX_DEVICES; i++) {
        count += devices[i].is_open && devices[i].owner == getpid();
    }
    pthread_mutex_unlock(&lock);
    return count;
}

unsigned fake_strangers(void)
{
    return atomic_load(strangers);
}

unsigned fake_settling(void)
{
    pthread_mutex_lock(&lock);
    const unsigned count = settling;
    pthread_mutex_unlock(&lock);
    return count;
}

/* fork() protects all that is private, and the driver tells of that. */
static void before_fork(void)
{
    pthread_mutex_lock(&lock);
    notify_locked(0, UINT64_MAX);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&lock);
}

static const ummunotify_sys_t fake = {
    .open = fake_open,
    .close = fake_close,
    .duplicate = fake_duplicate,
    .identify = fake_identify,
    .ioctl = fake_ioctl,
    .read = fake_read,
    .map = fake_map,
    .settle = fake_settle,
    .release = fake_release,
};

void fake_install(void)
{
    void *shared = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    devices = calloc(MAX_DEVICES, sizeof(*devices));
    if (devices == NULL || shared == MAP_FAILED || pthread_atfork(before_fork, after_fork, after_fork) != 0) {
        fputs("the fake driver cannot be set up\n", stderr);
        exit(1);
    }
    strangers = shared;
    ummunotify_sys = &fake;
}
