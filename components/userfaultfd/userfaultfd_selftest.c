/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether all of it works on this kernel, tried on a few pages and a
 * userfaultfd of its own. The one who releases sleeps until we have read: so he
 * is a process that shares our memory, not a thread, which would slow malloc
 * down and forbid unshare(CLONE_NEWUSER) from then on. */
#include <errno.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "components/userfaultfd/userfaultfd.h"
#include "components/userfaultfd/userfaultfd_sys.h"
#include "opal/mca/base/base.h"

#if defined(__SANITIZE_ADDRESS__)
#define IS_ADDRESS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_ADDRESS_SANITIZED 1
#endif
#endif
#ifdef IS_ADDRESS_SANITIZED
#include <sanitizer/asan_interface.h>
#else
#define ASAN_UNPOISON_MEMORY_REGION(memory, size) ((void) (memory), (void) (size))
#endif

#define REGISTERED 3
#define PAGES 4 /* The first one is unmapped, the second one moved onto the last one, which is not registered. */
#define LOST 2  /* Those two: another thread may have got the address since, so they are not unmapped again. */
#define STACK_BYTES 16384
#define PATIENCE_S 2

int uffd_say(const uffd_fault_t *fault)
{
    if (strcmp(fault->what, "UFFDIO_API") == 0 && fault->error == EINVAL) {
        mca_base_component_set_reason(
            "the kernel's userfaultfd has no asynchronous write protection: that takes Linux 6.7 "
            "or newer, with CONFIG_PTE_MARKER_UFFD_WP");
    } else if (fault->error == EPERM) {
        mca_base_component_set_reason("%s: %s (a seccomp filter or a security module forbids it)", fault->what,
                                      strerror(fault->error));
    } else {
        mca_base_component_set_reason("%s: %s", fault->what, strerror(fault->error));
    }
    return OPAL_ERR_NOT_AVAILABLE;
}

/* Who never returns leaves its frames to AddressSanitizer for good. */
#define NOT_SANITIZED __attribute__((no_sanitize_address))

/* ---- The releaser ---------------------------------------------------------------------------------- */

typedef struct trial_t {
    const char *what;
    int event; /* UFFD_EVENT_* that has to come. */
    void (*release)(char *memory, size_t page);
    char *memory;
    size_t page;
} trial_t;

NOT_SANITIZED static void discard(char *memory, size_t page)
{
    UFFD_SYS(SYS_madvise, (long) memory, (long) page, MADV_DONTNEED);
}

NOT_SANITIZED static void move(char *memory, size_t page)
{
    UFFD_SYS(SYS_mremap, (long) (memory + page), (long) page, (long) page, MREMAP_MAYMOVE | MREMAP_FIXED,
             (long) (memory + REGISTERED * page));
}

NOT_SANITIZED static void unmap(char *memory, size_t page)
{
    UFFD_SYS(SYS_munmap, (long) memory, (long) page);
}

NOT_SANITIZED static int run_release(void *argument)
{
    const trial_t *trial = argument;

    trial->release(trial->memory, trial->page);
    UFFD_SYS(SYS_exit, 0);
    return 0;
}

static bool is_over(int pid)
{
    const int rc = waitpid(pid, NULL, __WCLONE | WNOHANG);

    return rc == pid || (rc < 0 && errno != EINTR); /* The program may have waited for any child. */
}

/* All events until the releaser has ended: there may be more than the one that has to come. */
static bool read_events(const uffd_kernel_t *kernel, const trial_t *trial, int pid)
{
    struct timespec begin, now;
    struct uffd_msg message;
    bool has_come = false;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    while (!is_over(pid)) {
        if (uffd_sys_read(kernel->events.fd, &message, sizeof(message)) == sizeof(message)) {
            has_come = has_come || message.event == trial->event;
        }
        sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec - begin.tv_sec > PATIENCE_S) {
            return false;
        }
    }
    return has_come;
}

/* Whoever has not been woken by then, is so by the close. */
static bool try(uffd_kernel_t *kernel, trial_t *trial, char *memory, char *stack_top)
{
    uint64_t all = UINT64_MAX, mask;

    trial->memory = memory;
    UFFD_SYS(SYS_rt_sigprocmask, SIG_SETMASK, (long) &all, (long) &mask, sizeof(all));
    const int pid = clone(run_release, stack_top, CLONE_VM | CLONE_FS | CLONE_FILES, trial);
    UFFD_SYS(SYS_rt_sigprocmask, SIG_SETMASK, (long) &mask, 0, sizeof(mask));
    if (pid < 0) {
        mca_base_component_set_reason("self-test: clone: %s", strerror(errno));
        return false;
    }
    const bool is_good = read_events(kernel, trial, pid);
    if (!is_good) {
        mca_base_component_set_reason("self-test: no event when memory is %s", trial->what);
        uffd_kernel_close(kernel);
        waitpid(pid, NULL, __WCLONE);
    }
    return is_good;
}

/* ---- The tag --------------------------------------------------------------------------------------- */

static bool tag_works(const uffd_kernel_t *kernel, char *memory, size_t page)
{
    const uintptr_t start = (uintptr_t) memory, end = start + REGISTERED * page;
    uffd_vma_t vma;
    const char *what = NULL;

    if (uffd_kernel_tagged(kernel, start, end)) {
        what = "memory that is not registered looks as if it were";
    } else if (uffd_kernel_register(kernel, start, end) != 0) {
        what = "memory cannot be registered";
    } else if (!uffd_kernel_tagged(kernel, start, end)) {
        what = "memory that is registered does not look so";
    } else if (uffd_kernel_busy(kernel) != UFFD_CALM) {
        what = "a release seems to be under way that is not";
    } else if (!uffd_kernel_vma(kernel, start + page, &vma) || vma.start > start || vma.end < end) {
        what = "a mapping is not found";
    }
    if (what != NULL) {
        mca_base_component_set_reason("self-test: %s", what);
    }
    return what == NULL;
}

/* All of it is ours, before and afterwards. */
static bool learn_protection(const uffd_kernel_t *kernel, char *memory, size_t page)
{
    const uintptr_t start = (uintptr_t) memory, end = start + REGISTERED * page;
    uffd_kernel_t other;
    uffd_fault_t fault;

    if (uffd_kernel_open(&other, uffd_features(), &fault) != OPAL_SUCCESS) {
        uffd_say(&fault);
        return false;
    }
    uffd_kernel_protects_others = uffd_kernel_unregister(&other, start, end) == -EINVAL;
    uffd_kernel_close(&other);
    return uffd_kernel_protects_others || uffd_kernel_register(kernel, start, end) == 0;
}

/* @param[out] lost  The last trial that was begun: 1 moves the second page, 2 unmaps the first one. */
static bool try_all(uffd_kernel_t *kernel, char *memory, size_t page, char *stack_top, size_t *lost)
{
    trial_t trials[] = { { .what = "discarded", .event = UFFD_EVENT_REMOVE, .release = discard, .page = page },
                         { .what = "moved", .event = UFFD_EVENT_REMAP, .release = move, .page = page },
                         { .what = "unmapped", .event = UFFD_EVENT_UNMAP, .release = unmap, .page = page } };
    const size_t count = uffd_settings.unmap == UFFD_UNMAP_EVENT ? 3 : 2;

    if (!tag_works(kernel, memory, page) || !learn_protection(kernel, memory, page)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        *lost = i;
        if (!try(kernel, &trials[i], memory, stack_top)) {
            return false;
        }
    }
    return true;
}

/* What was lost, or may have been, is left alone. */
static void clean_up(char *memory, size_t page, size_t length, size_t lost)
{
    ASAN_UNPOISON_MEMORY_REGION(memory, length); /* The releaser never returns from its functions. */
    munmap(memory + LOST * page, length - LOST * page);
    if (lost < 1) {
        munmap(memory + page, page);
    }
    if (lost < 2) {
        munmap(memory, page);
    }
}

int uffd_selftest(void)
{
    const size_t page = (size_t) sysconf(_SC_PAGESIZE), length = PAGES * page + STACK_BYTES;
    size_t lost = 0;
    uffd_kernel_t kernel;
    uffd_fault_t fault;

#ifdef IS_ADDRESS_SANITIZED
    mca_base_component_set_reason(
        "built with AddressSanitizer, which does not follow a process that shares memory with this one");
    return OPAL_ERR_NOT_AVAILABLE;
#endif
    if (uffd_kernel_open(&kernel, uffd_features(), &fault) != OPAL_SUCCESS) {
        return uffd_say(&fault);
    }
    char *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool is_good = memory != MAP_FAILED;
    if (is_good) {
        memset(memory, 1, length);
        is_good = try_all(&kernel, memory, page, memory + length, &lost);
    }
    uffd_kernel_close(&kernel);
    if (memory != MAP_FAILED) {
        clean_up(memory, page, length, lost);
    }
    return is_good ? OPAL_SUCCESS : OPAL_ERR_NOT_AVAILABLE;
}
