/* SPDX-License-Identifier: BSD-3-Clause */
/* The descriptor, the page of the counter, and what state they are in
 * (ummunotify.h has the rules). The page's address never changes: the device's
 * page, or an empty one, is mapped over what is there. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "components/ummunotify/ummunotify.h"
#include "opal/mca/memory/memory.h"

static struct {
    const char *path;
    unsigned char *pages; /* The counter's, and one that only settle uses. Never unmapped. */
    size_t page_size;
    _Atomic int state;
    _Atomic int fd;
    struct stat file; /* What fd was when it was opened. */
    uint64_t away;    /* Of a child: values of the counter from here on are its own, while it is AWAY. */
    atomic_bool is_wanted;
    atomic_bool has_left; /* The parent's, and nobody has been told yet. */
} device = { .state = UMMUNOTIFY_CLOSED, .fd = -1 };

/* ---- Opening --------------------------------------------------------------------------------------- */

static const char *cause_of(int error)
{
    switch (error) {
    case ENOENT: return "the driver is not loaded";
    case ENODEV:
    case ENXIO: return "there is no driver behind it";
    case EACCES:
    case EPERM: return "it has to be readable by this user";
    case EMFILE:
    case ENFILE: return "too many files are open";
    case ENOTTY:
    case EINVAL: return "it is no ummunotify device";
    default: return "the driver refuses";
    }
}

static int refuse(const char *path, const char *what, int error)
{
    mca_base_component_set_reason("%s: %s failed (%s): %s", path, what, strerror(error), cause_of(error));
    return OPAL_ERR_NOT_AVAILABLE;
}

/* Away from the low numbers that programs pass around, dup2 over, or count on. */
static int move_high(int fd)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return fd;
    }
    const rlim_t top = limit.rlim_cur < 65536 ? limit.rlim_cur : 65536;
    const int high = top < 64 ? -1 : ummunotify_sys->duplicate(fd, (int) (top - top / 16));
    if (high < 0) {
        return fd;
    }
    ummunotify_sys->close(fd);
    return high;
}

/* Interrupted requests are made again. */
static int request(int fd, unsigned long number, void *argument)
{
    int rc;

    do {
        rc = ummunotify_sys->ioctl(fd, number, argument);
    } while (rc == -EINTR);
    return rc;
}

/* @return A descriptor that answers as the driver does; or -errno, and in *what what failed. */
static int open_driver(const char *path, const char **what)
{
    uint32_t features = 0;
    int fd;

    *what = "open";
    do {
        fd = ummunotify_sys->open(path);
    } while (fd == -EINTR);
    if (fd < 0) {
        return fd;
    }
    *what = "UMMUNOTIFY_EXCHANGE_FEATURES";
    const int rc = request(fd, UMMUNOTIFY_EXCHANGE_FEATURES, &features);
    if (rc < 0) {
        ummunotify_sys->close(fd);
        return rc;
    }
    return fd;
}

int ummunotify_device_probe(const char *path)
{
    const char *what;
    const int fd = open_driver(path, &what);

    if (fd < 0) {
        return refuse(path, what, -fd);
    }
    ummunotify_sys->close(fd);
    return OPAL_SUCCESS;
}

const volatile uint64_t *ummunotify_device_counter(void)
{
    if (device.pages == NULL) {
        const size_t size = (size_t) sysconf(_SC_PAGESIZE);
        void *pages = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (pages == MAP_FAILED) {
            return NULL;
        }
        device.pages = pages;
        device.page_size = size;
        mprotect(device.pages + size, size, PROT_NONE);
    }
    return (const volatile uint64_t *) (void *) device.pages;
}

/* The state is stored last: whoever reads READY has the rest. @return 0 or -errno. */
static int take_driver(const char **what)
{
    struct stat file;
    int fd = open_driver(device.path, what);

    if (fd < 0) {
        return fd;
    }
    fd = move_high(fd);
    *what = "fstat";
    int rc = ummunotify_sys->identify(fd, &file);
    if (rc >= 0) {
        *what = "mmap";
        rc = ummunotify_sys->map(fd, device.pages, device.page_size);
    }
    if (rc < 0) {
        ummunotify_sys->close(fd);
        return rc;
    }
    device.file = file;
    atomic_store_explicit(&device.fd, fd, memory_order_relaxed);
    atomic_store_explicit(&device.state, UMMUNOTIFY_READY, memory_order_release);
    return 0;
}

int ummunotify_device_open(const char *path)
{
    const char *what;

    if (ummunotify_device_counter() == NULL || ummunotify_fork_start() != OPAL_SUCCESS) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    device.path = path;
    atomic_store(&device.has_left, false);
    const int rc = take_driver(&what);
    return rc < 0 ? refuse(path, what, -rc) : OPAL_SUCCESS;
}

/* ---- Is it ours? ----------------------------------------------------------------------------------- */

static bool is_ours(int fd)
{
    struct stat file;

    return ummunotify_sys->identify(fd, &file) >= 0 && file.st_dev == device.file.st_dev
           && file.st_ino == device.file.st_ino && file.st_rdev == device.file.st_rdev;
}

void ummunotify_device_close(void)
{
    ummunotify_fork_check();
    const int fd = atomic_load(&device.fd);

    if (fd >= 0 && is_ours(fd)) {
        ummunotify_sys->close(fd);
    }
    atomic_store(&device.fd, -1);
    atomic_store(&device.state, UMMUNOTIFY_CLOSED);
    ummunotify_sys->map(-1, device.pages, device.page_size);
}

ummunotify_state_t ummunotify_device_state(void)
{
    ummunotify_fork_check();
    return (ummunotify_state_t) atomic_load_explicit(&device.state, memory_order_acquire);
}

void ummunotify_device_lose(const char *why)
{
    int expected = UMMUNOTIFY_READY;

    if (atomic_compare_exchange_strong(&device.state, &expected, UMMUNOTIFY_LOST)) {
        mca_base_log(MCA_BASE_LOG_WARN, "the descriptor %d of %s %s: nothing is kept registered any more",
                     atomic_load(&device.fd), device.path, why);
    }
}

/* @return The descriptor, or -ENODEV. */
static int usable(void)
{
    if (ummunotify_device_state() != UMMUNOTIFY_READY) {
        return -ENODEV;
    }
    const int fd = atomic_load_explicit(&device.fd, memory_order_relaxed);
    if (is_ours(fd)) {
        return fd;
    }
    ummunotify_device_lose("was closed or replaced by this program");
    return -ENODEV;
}

/* ---- Using it -------------------------------------------------------------------------------------- */

int ummunotify_device_register(uint64_t start, uint64_t end, uint64_t cookie)
{
    struct ummunotify_register_ioctl region = { .start = start, .end = end, .user_cookie = cookie };
    const int fd = usable();

    return fd < 0 ? fd : request(fd, UMMUNOTIFY_REGISTER_REGION, &region);
}

int ummunotify_device_unregister(uint64_t cookie)
{
    const int fd = usable();

    return fd < 0 ? fd : request(fd, UMMUNOTIFY_UNREGISTER_REGION, &cookie);
}

/* Between two attempts a signal handler may have closed it. */
ssize_t ummunotify_device_read(struct ummunotify_event *events, size_t count)
{
    ssize_t result;

    do {
        const int fd = usable();
        result = fd < 0 ? fd : ummunotify_sys->read(fd, events, count * sizeof(*events));
    } while (result == -EINTR);
    return result;
}

int ummunotify_device_settle(void)
{
    return ummunotify_sys->settle(device.pages + device.page_size, device.page_size);
}

/* ---- In fork children ------------------------------------------------------------------------------ */

/* The counter of a new device starts from 0, and the base still has a value of the old one as `seen`: the new counter must
 * not reach that unnoticed. So, in between, the counter is a word of ours, far above what any device reaches, and the new
 * device comes when the base has seen that. What it has seen then is no value of the new one until it has processed again.
 * A thread that was in process when another one made this a child stores a sample of the old counter once more: its is
 * below `away`, so that does not count as seen. Each child has a range of its own. */
#define FAR (UINT64_C(3) << 62)
#define RANGE (UINT64_C(1) << 32)

void ummunotify_device_become_child(void)
{
    if (atomic_load(&device.state) == UMMUNOTIFY_CLOSED) {
        return;
    }
    device.away = device.away < FAR ? FAR : device.away + RANGE;
    atomic_store(&device.is_wanted, false);
    atomic_store(&device.has_left, true);
    atomic_store(&device.fd, -1);
    const bool is_mapped = ummunotify_sys->map(-1, device.pages, device.page_size) >= 0;
    if (is_mapped) {
        __atomic_store_n((uint64_t *) (void *) device.pages, device.away, __ATOMIC_RELEASE);
    }
    /* Without the page: the parent's counter may say that something has changed, which costs time and nothing else. */
    atomic_store(&device.state, is_mapped ? UMMUNOTIFY_AWAY : UMMUNOTIFY_GONE);
}

bool ummunotify_device_has_left(void)
{
    return atomic_exchange(&device.has_left, false);
}

static void take_driver_again(void)
{
    const char *what;
    const int rc = take_driver(&what);

    if (rc < 0) {
        mca_base_log(MCA_BASE_LOG_INFO, "%s: %s failed in a fork child (%s): nothing is kept registered there",
                     device.path, what, strerror(-rc));
        atomic_store(&device.state, UMMUNOTIFY_GONE);
    }
}

void ummunotify_device_return(void)
{
    if (__atomic_load_n(&opal_memory_base_state.seen, __ATOMIC_ACQUIRE) < device.away) {
        __atomic_add_fetch((uint64_t *) (void *) device.pages, 1, __ATOMIC_RELEASE); /* Has us called again. */
    } else if (atomic_load(&device.is_wanted)) {
        take_driver_again();
    } else {
        __atomic_add_fetch((uint64_t *) (void *) device.pages, 1, __ATOMIC_RELEASE);
    }
}

/* The base has to see two values; a third round may be another thread's that began before. */
bool ummunotify_device_want(void)
{
    atomic_store(&device.is_wanted, true);
    for (int i = 0; i < 4 && ummunotify_device_state() == UMMUNOTIFY_AWAY; i++) {
        if (opal_memory_base_sync() != OPAL_SUCCESS) {
            break;
        }
    }
    return ummunotify_device_state() == UMMUNOTIFY_READY;
}
