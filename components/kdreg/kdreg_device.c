/* SPDX-License-Identifier: BSD-3-Clause */
/* One open /dev/kdreg2: calls of the driver with their traps, and the moving
 * of the pages that it maps. */
#include "components/kdreg/kdreg_device.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "components/kdreg/kdreg_sys.h"

size_t kdreg_page_size(void)
{
    return (size_t) sysconf(_SC_PAGESIZE);
}

/* ---- The descriptor ------------------------------------------------------------------------------ */

static dev_t number_of(int fd)
{
    struct stat status;

    return kdreg_sys->fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) ? status.st_rdev : 0;
}

bool kdreg_device_is_ours(const kdreg_device_t *device)
{
    return device->fd >= 0 && number_of(device->fd) == device->number;
}

/* Away from the numbers that programs pass around; where there are few at all, it stays where it is. */
static int move_high(int fd, int above)
{
    struct rlimit limit = { .rlim_cur = 0 };

    getrlimit(RLIMIT_NOFILE, &limit);
    const rlim_t top = limit.rlim_cur < 65536 ? limit.rlim_cur : 65536;
    const int lowest = top < 64 ? fd : (int) (top - top / 16);
    const int high = kdreg_sys->dup_above(fd, lowest > above ? lowest : above + 1);

    if (high < 0) {
        return fd;
    }
    kdreg_sys->close(fd);
    return high;
}

int kdreg_device_open(kdreg_device_t *device, const char *path, int above)
{
    int fd;

    do {
        fd = kdreg_sys->open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    } while (fd == -EINTR);
    *device = (kdreg_device_t){ .fd = -1 };
    if (fd < 0) {
        return fd;
    }
    device->number = number_of(fd);
    if (device->number == 0) {
        kdreg_sys->close(fd);
        return -ENOTTY;
    }
    device->fd = move_high(fd, above);
    return 0;
}

void kdreg_device_close(kdreg_device_t *device)
{
    if (!device->is_stuck && kdreg_device_is_ours(device)) {
        kdreg_sys->close(device->fd);
    }
    device->fd = -1;
}

/* ---- Pages --------------------------------------------------------------------------------------- */

/* Between the two calls another thread may be given the addresses. Then it keeps them, and the device must not be closed. */
static int move_away(kdreg_device_t *device, void *from, size_t size, void *to)
{
    const int rc = kdreg_sys->move(from, size, to);

    if (rc != 0) {
        return rc;
    }
    void *placeholder = kdreg_sys->map(from, size, PROT_NONE, MAP_NORESERVE | MAP_FIXED_NOREPLACE);
    if (placeholder != from) {
        device->is_stuck = true;
        if (placeholder != MAP_FAILED) {
            kdreg_sys->unmap(placeholder, size); /* A kernel that takes the address for a wish. */
        }
        return -EEXIST;
    }
    return 0;
}

/* Interrupted, the driver has changed nothing. */
static int config_data(const kdreg_device_t *device, kdreg_config_t *config)
{
    int rc;

    do {
        rc = kdreg_sys->ioctl(device->fd, KDREG_CONFIG_DATA, config);
    } while (rc == -EINTR);
    return rc;
}

static size_t states_size(size_t max_regions)
{
    const size_t page = kdreg_page_size();

    return (max_regions * sizeof(uint32_t) + page - 1) & ~(page - 1);
}

static int take_states(kdreg_device_t *device)
{
    const size_t size = states_size(device->max_regions);
    void *from = (void *) (uintptr_t) __atomic_load_n(&device->status->states, __ATOMIC_ACQUIRE);

    if (from == NULL) {
        return -EPROTO;
    }
    void *to = kdreg_sys->map(NULL, size, PROT_NONE, MAP_NORESERVE);
    if (to == MAP_FAILED) {
        return -ENOMEM;
    }
    const int rc = move_away(device, from, size, to);
    if (rc != 0) {
        kdreg_sys->unmap(to, size);
        return rc;
    }
    device->states = to;
    device->mapped_states = from;
    return 0;
}

int kdreg_device_find_status(const kdreg_device_t *device, const volatile kdreg_status_t **status)
{
    kdreg_config_t config = { .max_regions = 0 };
    const int rc = config_data(device, &config);

    *status = config.status;
    return rc == 0 && config.status == NULL ? -EPROTO : rc;
}

int kdreg_device_take_status(kdreg_device_t *device, void *place)
{
    const volatile kdreg_status_t *status;
    int rc = kdreg_device_find_status(device, &status);

    if (rc == 0) {
        rc = move_away(device, (void *) (uintptr_t) status, kdreg_page_size(), place);
    }
    if (rc == 0) {
        device->status = place;
    }
    return rc;
}

/* By what the status page says: which error leaves them alone, is the driver's affair. */
static bool has_its_tables(const kdreg_device_t *device)
{
    return __atomic_load_n(&device->status->max_regions, __ATOMIC_ACQUIRE) == device->max_regions
           && __atomic_load_n(&device->status->states, __ATOMIC_ACQUIRE) == device->mapped_states;
}

int kdreg_device_configure(kdreg_device_t *device, size_t max_regions)
{
    kdreg_config_t config = { .max_regions = max_regions };
    const int rc = config_data(device, &config);

    if ((rc == 0 && max_regions == device->max_regions) || (rc != 0 && has_its_tables(device))) {
        return rc;
    }
    device->former_states = device->states;
    device->former_size = states_size(device->max_regions);
    device->states = NULL;
    device->max_regions = rc == 0 ? max_regions : 0;
    return rc == 0 && max_regions != 0 ? take_states(device) : rc;
}

/* ---- Regions ------------------------------------------------------------------------------------- */

/* The driver's own test of a location lets one too many pass. */
bool kdreg_device_holds(const kdreg_device_t *device, uint64_t location, uint32_t generation)
{
    return device->states != NULL && location < device->max_regions
           && __atomic_load_n(&device->states[location], __ATOMIC_ACQUIRE) == generation;
}

int kdreg_device_monitor(const kdreg_device_t *device, void *addr, size_t length, uint64_t cookie,
                         kdreg_params_t *params)
{
    kdreg_monitor_t monitor = { .addr = addr, .length = length, .cookie = cookie };
    int rc;

    do {
        rc = kdreg_sys->ioctl(device->fd, KDREG_MONITOR, &monitor);
    } while (rc == -EINTR);
    if (rc == 0
        && (monitor.params.location >= device->max_regions
            || (monitor.params.generation & KDREG_STATE_IN_USE) == 0)) {
        return -EPROTO;
    }
    *params = monitor.params;
    return rc;
}

/* 0 also for a cookie that the driver does not know; EBADSLT, ESRCH: what it has is not this one. */
int kdreg_device_unmonitor(const kdreg_device_t *device, uint64_t cookie, const kdreg_params_t *params)
{
    kdreg_unmonitor_t unmonitor = { .cookie = cookie, .params = *params };
    int rc;

    do {
        rc = kdreg_sys->ioctl(device->fd, KDREG_UNMONITOR, &unmonitor);
    } while (rc == -EINTR);
    return rc == -EBADSLT || rc == -ESRCH ? 0 : rc;
}

int kdreg_device_flush(const kdreg_device_t *device)
{
    int rc;

    do {
        rc = kdreg_sys->ioctl(device->fd, KDREG_FLUSH, NULL);
    } while (rc == -EINTR);
    return rc;
}

/* ---- Events -------------------------------------------------------------------------------------- */

/* In a fork child the driver answers poll() with an error, and read() with EBADF or EIO. A program whose RLIMIT_NOFILE is 0
 * may poll nothing (EINVAL), but read what it has: read() does not wait either.
 * @return Not 0: read() is to be asked; or a negative errno. */
static int ask(const kdreg_device_t *device)
{
    struct pollfd which = { .fd = device->fd, .events = POLLIN };
    int rc;

    do {
        rc = kdreg_sys->poll(&which, 1, 0);
    } while (rc == -EINTR);
    if (rc > 0 && (which.revents & (POLLERR | POLLNVAL | POLLHUP)) != 0) {
        return -EBADF;
    }
    return rc == -EINVAL ? 1 : rc;
}

int kdreg_device_read(const kdreg_device_t *device, kdreg_event_t *events, size_t count)
{
    ssize_t got = ask(device);

    if (got <= 0) {
        return (int) got;
    }
    do {
        got = kdreg_sys->read(device->fd, events, count * sizeof(*events));
    } while (got == -EINTR);
    if (got == -EAGAIN) {
        return 0;
    }
    if (got < 0) {
        return (int) got;
    }
    return got == 0 || (size_t) got % sizeof(*events) != 0 ? -EPROTO : (int) ((size_t) got / sizeof(*events));
}
