/* SPDX-License-Identifier: BSD-3-Clause */
/* What happens at a replaced site: the table of calls, and how each is made
 * with its events. All of it is hook context, and is compiled to leave vector
 * registers alone. To add a call: an id in linux.h, a line in linux_calls, and
 * its range in linux_ranges.c. */
#include "components/linux/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "components/linux/linux_files.h"
#include "components/linux/linux_sys.h"

#define IN_STATIC_TLS __attribute__((tls_model("initial-exec")))

/* Set around the time when sites hold jumps. A thread that reads the old value is one whose call began before
 * the change; the hooks wait for their callbacks by themselves. Each store is a release: all that a stub uses
 * (sites, linux_facts) was written before the first one, and the load in linux_dispatch() acquires it. */
static _Atomic bool is_live;

/* Calls that reached a stub on this thread; for the self-test. Own thread only. */
static _Thread_local uint32_t arrivals IN_STATIC_TLS;

/* Where the self-test's brk(0) goes instead of into the kernel. Own thread only. */
static _Thread_local jmp_buf *brk_probe IN_STATIC_TLS;

static void report_gain(const opal_mem_hooks_range_t *range)
{
    opal_mem_hooks_alloc_hook((void *) range->start, range->length, true);
}

/* Make the call with args; its gain is told from `seen`, the arguments as the kernel rounds them. */
OPAL_MEM_HOOKS_PATH static long call_with_events(const linux_call_t *call, const long args[6], const long seen[6],
                                                 const opal_mem_hooks_range_t *ranges, size_t count)
{
    opal_mem_hooks_window_t window;
    opal_mem_hooks_range_t gain;
    long result;

    if (count != 0) {
        opal_mem_hooks_window_open(&window, ranges, count, call->cause, true);
    }
    result = linux_sys_call(call->nr, args);
    if (call->gain != NULL && !linux_failed(result) && call->gain(seen, result, &gain) != 0) {
        report_gain(&gain);
    }
    if (count != 0) {
        opal_mem_hooks_window_close(&window);
    }
    return result;
}

/* Calls whose arguments say everything. */
OPAL_MEM_HOOKS_PATH static long run_plain(const linux_call_t *call, const long args[6])
{
    opal_mem_hooks_range_t ranges[OPAL_MEM_HOOKS_WINDOW_RANGES];

    return call_with_events(call, args, args, ranges, call->ranges(args, ranges));
}

/* A file mapped over something. A descriptor that is not open is found out here: programs do pass
 * such ones, and the event would be for nothing. */
static long run_mmap_file_over(const linux_call_t *call, const long args[6])
{
    opal_mem_hooks_range_t ranges[OPAL_MEM_HOOKS_WINDOW_RANGES];
    long seen[6] = { args[0], args[1], args[2], args[3] & ~(long) MAP_HUGETLB, args[4], args[5] };
    size_t count = linux_ranges_mmap(seen, ranges);

    if (count != 0 && linux_file_is_bad((int) args[4])) {
        return -EBADF;
    }
    if (count != 0) {
        const size_t page = linux_file_page((int) args[4], (uintptr_t) args[0], (size_t) args[1]);

        seen[1] = (long) linux_round_up((uintptr_t) args[1], page);
        count = linux_ranges_mmap(seen, ranges);
    }
    return call_with_events(call, args, seen, ranges, count);
}

OPAL_MEM_HOOKS_PATH static long run_mmap(const linux_call_t *call, const long args[6])
{
    const bool is_file_over = (args[3] & (MAP_FIXED | MAP_ANONYMOUS)) == MAP_FIXED;

    return is_file_over ? run_mmap_file_over(call, args) : run_plain(call, args);
}

static long run_brk_to(const linux_call_t *call, const long args[6])
{
    const uintptr_t present = (uintptr_t) LINUX_SYS(SYS_brk, 0);
    opal_mem_hooks_range_t ranges[OPAL_MEM_HOOKS_WINDOW_RANGES];
    const size_t count = linux_ranges_brk((uintptr_t) args[0], present, ranges);
    const long result = call_with_events(call, args, args, ranges, count);
    const uintptr_t old_end = linux_round_up(present, LINUX_PAGE);
    const uintptr_t new_end = linux_round_up((uintptr_t) result, LINUX_PAGE);

    if (!linux_failed(result) && new_end > old_end) {
        report_gain(&(opal_mem_hooks_range_t){ old_end, new_end - old_end });
    }
    return result;
}

static long run_brk(const linux_call_t *call, const long args[6])
{
    if (args[0] != 0) {
        return run_brk_to(call, args);
    }
    if (brk_probe != NULL) {
        _longjmp(*brk_probe, 1);
    }
    return linux_sys_call(call->nr, args);
}

/* Growth that may move. Nothing goes if it succeeds in place, so that is tried by itself. ENOMEM then
 * means that there is no room (or too little memory; the second try will tell). The other errors here are
 * the kernel's objections to the old range, to the flags and to locked memory, all raised before it
 * looks for room: the call as it was asked for would end the same way. */
static long run_mremap_grow(const linux_call_t *call, const long args[6])
{
    const long stay[6] = { args[0], args[1], args[2], args[3] & ~(long) MREMAP_MAYMOVE, 0, 0 };
    opal_mem_hooks_range_t ranges[OPAL_MEM_HOOKS_WINDOW_RANGES];
    const long result = call_with_events(call, stay, stay, NULL, 0);

    if (!linux_failed(result) || result == -EFAULT || result == -EINVAL || result == -EAGAIN || result == -EPERM) {
        return result;
    }
    return call_with_events(call, args, args, ranges, linux_ranges_mremap_whole(args, ranges));
}

static long run_mremap(const linux_call_t *call, const long args[6])
{
    opal_mem_hooks_range_t ranges[OPAL_MEM_HOOKS_WINDOW_RANGES];
    long seen[6] = { args[0], args[1], args[2], args[3], args[4], 0 };
    uintptr_t page;

    if (linux_mremap_may_move(args)) {
        return run_mremap_grow(call, args);
    }
    page = linux_mapping_page(linux_untag(args[0]), (size_t) args[1], (size_t) args[2]);
    seen[1] = (long) linux_round_up((uintptr_t) args[1], page);
    seen[2] = (long) linux_round_up((uintptr_t) args[2], page);
    return call_with_events(call, args, seen, ranges, linux_ranges_mremap(seen, ranges));
}

static long run_shmdt(const linux_call_t *call, const long args[6])
{
    opal_mem_hooks_range_t ranges[OPAL_MEM_HOOKS_WINDOW_RANGES];

    return call_with_events(call, args, args, ranges, linux_shm_attached((uintptr_t) args[0], ranges));
}

/* After shmat. A segment of huge pages is longer than its size says, which nothing tells before it is
 * attached: what it has replaced beyond its size is reported late. */
static void report_attached(uintptr_t start, size_t size, bool was_over)
{
    uintptr_t small, real;

    if (size == 0 || size == SIZE_MAX) {
        return;
    }
    small = linux_round_up(size, LINUX_PAGE);
    real = linux_round_up(size, linux_mapping_page(start, size, size));
    if (was_over && real > small) {
        opal_mem_hooks_release_cause((void *) (start + small), real - small, true, OPAL_MEM_HOOKS_CAUSE_SHMAT);
    }
    report_gain(&(opal_mem_hooks_range_t){ start, real });
}

static long run_shmat(const linux_call_t *call, const long args[6])
{
    const size_t size = linux_shm_size((int) args[0]);
    opal_mem_hooks_window_t window;
    opal_mem_hooks_range_t ranges[OPAL_MEM_HOOKS_WINDOW_RANGES];
    const size_t count = linux_ranges_shmat(args, size, ranges);
    long result;

    if (count != 0) {
        opal_mem_hooks_window_open(&window, ranges, count, call->cause, true);
    }
    result = linux_sys_call(call->nr, args);
    if (!linux_failed(result)) {
        report_attached((uintptr_t) result, size, count != 0);
    }
    if (count != 0) {
        opal_mem_hooks_window_close(&window);
    }
    return result;
}

/* The stub of open and its like calls us for O_TRUNC only, that of fallocate not for modes that only allocate, that of
 * ioctl for UFFDIO_MOVE; syscall(2) brings all. */
#define TRUNCATES(number) { LINUX_FILTER_BITS, (number), O_TRUNC }
#define DEALLOCATES { LINUX_FILTER_BITS, 1, ~(uint32_t) (FALLOC_FL_KEEP_SIZE | FALLOC_FL_UNSHARE_RANGE) }
#define MOVES_PAGES { LINUX_FILTER_EQUAL, 1, LINUX_UFFDIO_MOVE }

#define ID_OF(id, number, label, because) \
    .nr = (number), .name = (label), .bit = LINUX_CALL_BIT(LINUX_CALL_##id), .cause = OPAL_MEM_HOOKS_CAUSE_##because
#define ID(id, number, label) ID_OF(id, number, label, id)

/* In the order of the ids. */
const linux_call_t linux_calls[LINUX_CALL_COUNT] = {
    { ID(MMAP, SYS_mmap, "mmap"), .run = run_mmap, .ranges = linux_ranges_mmap, .gain = linux_gain_mmap },
    { ID(MUNMAP, SYS_munmap, "munmap"), .run = run_plain, .ranges = linux_ranges_munmap },
    { ID(BRK, SYS_brk, "brk"), .run = run_brk },
    { ID(MREMAP, SYS_mremap, "mremap"), .run = run_mremap, .gain = linux_gain_mremap },
    { ID(MADVISE, SYS_madvise, "madvise"), .run = run_plain, .ranges = linux_ranges_madvise },
    { ID(SHMAT, SYS_shmat, "shmat"), .run = run_shmat },
    { ID(SHMDT, SYS_shmdt, "shmdt"), .run = run_shmdt },
    { ID(REMAP_FILE_PAGES, SYS_remap_file_pages, "remap_file_pages"), .run = run_plain,
      .ranges = linux_ranges_remap_file_pages },
    { ID(PROCESS_MADVISE, SYS_process_madvise, "process_madvise"), .run = linux_run_process_madvise },
    { ID_OF(TRUNCATE, SYS_truncate, "truncate", TRUNCATE), .run = linux_run_truncate },
    { ID_OF(FTRUNCATE, SYS_ftruncate, "ftruncate", TRUNCATE), .run = linux_run_ftruncate },
    { ID(FALLOCATE, SYS_fallocate, "fallocate"), .run = linux_run_fallocate, .filter = DEALLOCATES },
    { ID_OF(OPEN, LINUX_SYS_OPEN, "open", TRUNCATE), .run = linux_run_open, .filter = TRUNCATES(1) },
    { ID_OF(OPENAT, SYS_openat, "openat", TRUNCATE), .run = linux_run_openat, .filter = TRUNCATES(2) },
    { ID_OF(OPENAT2, SYS_openat2, "openat2", TRUNCATE), .run = linux_run_openat2 },
    { ID_OF(CREAT, LINUX_SYS_CREAT, "creat", TRUNCATE), .run = linux_run_creat },
    { ID_OF(IOCTL, SYS_ioctl, "ioctl", UFFD_MOVE), .run = linux_run_ioctl, .filter = MOVES_PAGES },
    { ID_OF(MPROTECT, SYS_mprotect, "mprotect", UNKNOWN), .run = linux_run_mprotect },
};

#define ENTRY(id, number) [number] = LINUX_CALL_##id + 1

const uint8_t linux_call_ids[LINUX_CALL_NUMBERS] = {
    ENTRY(MMAP, SYS_mmap),
    ENTRY(MUNMAP, SYS_munmap),
    ENTRY(BRK, SYS_brk),
    ENTRY(MREMAP, SYS_mremap),
    ENTRY(MADVISE, SYS_madvise),
    ENTRY(SHMAT, SYS_shmat),
    ENTRY(SHMDT, SYS_shmdt),
    ENTRY(REMAP_FILE_PAGES, SYS_remap_file_pages),
    ENTRY(PROCESS_MADVISE, SYS_process_madvise),
    ENTRY(TRUNCATE, SYS_truncate),
    ENTRY(FTRUNCATE, SYS_ftruncate),
    ENTRY(FALLOCATE, SYS_fallocate),
    ENTRY(OPENAT, SYS_openat),
    ENTRY(OPENAT2, SYS_openat2),
    ENTRY(IOCTL, SYS_ioctl),
    ENTRY(MPROTECT, SYS_mprotect),
#ifdef SYS_open
    ENTRY(OPEN, SYS_open),
    ENTRY(CREAT, SYS_creat),
#endif
};

long linux_calls_run(const linux_call_t *call, const long args[6])
{
    return atomic_load_explicit(&is_live, memory_order_acquire) ? call->run(call, args)
                                                                : linux_sys_call(call->nr, args);
}

/* ld.so loads and unloads code: what is known of it must go before it does. */
static __attribute__((noinline)) long run_for_loader(const linux_call_t *call, const long args[6])
{
    const bool is_mmap = call == &linux_calls[LINUX_CALL_MMAP];
    const bool takes = is_mmap ? (args[3] & MAP_FIXED) != 0 : call == &linux_calls[LINUX_CALL_MUNMAP];
    long result;

    if (takes) {
        linux_search_unmapped((uintptr_t) args[0], (size_t) args[1]);
    }
    result = call->run(call, args);
    if (is_mmap && !linux_failed(result) && (args[3] & MAP_ANONYMOUS) == 0) {
        linux_search_mapped((uintptr_t) result, (size_t) args[1], (int) args[2], (int) args[4], (uint64_t) args[5]);
    }
    return result;
}

/* The stub has seen to it that a number of the caller's is one of ours. */
static const linux_call_t *call_of(const linux_site_t *site, const long args[7])
{
    const linux_call_t *call = site->call != NULL ? site->call : linux_call_by_nr(args[6]);

    arrivals |= linux_site_bit(site) | call->bit;
    return call;
}

OPAL_MEM_HOOKS_PATH long linux_dispatch(const linux_site_t *site, const long args[7])
{
    const bool has_events = atomic_load_explicit(&is_live, memory_order_acquire);
    const linux_call_t *call = call_of(site, args);

    if (!has_events) {
        return linux_sys_call(call->nr, args);
    }
    return site->kind == LINUX_LOADER ? run_for_loader(call, args) : call->run(call, args);
}

void linux_calls_go_live(bool live)
{
    atomic_store(&is_live, live);
}

uint32_t linux_calls_take_arrivals(void)
{
    const uint32_t seen = arrivals;

    arrivals = 0;
    return seen;
}

/* libc's brk stores what the kernel answers as its own idea of the break. Between the two another
 * thread may grow the heap, and would find it shorter afterwards: brk(0) is not harmless. So the probe
 * never returns to libc. Nothing is left behind: the function holds no lock and has only called us. */
bool linux_calls_probe_brk(int (*brk_function)(void *))
{
    jmp_buf escape;

    if (_setjmp(escape) != 0) {
        brk_probe = NULL;
        return true;
    }
    brk_probe = &escape;
    brk_function(NULL);
    brk_probe = NULL;
    return false;
}

OPAL_MEM_HOOKS_PATH const linux_call_t *linux_call_by_nr(long nr)
{
    const unsigned id = (unsigned long) nr < LINUX_CALL_NUMBERS ? linux_call_ids[nr] : 0;

    return id != 0 ? &linux_calls[id - 1] : NULL;
}

/* ---- Names of sites, for settings ---------------------------------------------------------------- */

static const char *const kind_names[LINUX_KINDS] = { "libc:", "ld.so:", "other:" };

static bool is_name(const char *name, const char *text, size_t length)
{
    return strlen(name) == length && strncmp(name, text, length) == 0;
}

static uint32_t bit_by_name(const char *name, size_t length)
{
    for (size_t i = 0; i < LINUX_CALL_COUNT; i++) {
        if (is_name(linux_calls[i].name, name, length)) {
            return linux_calls[i].bit;
        }
    }
    return is_name("syscall", name, length) ? LINUX_ANY_CALL_BIT : 0;
}

/* One item: [kind:]name. */
static bool add_site(const char *item, size_t length, linux_sites_mask_t *mask)
{
    uint32_t bit;
    size_t kind = 0;

    while (kind < LINUX_KINDS && strncmp(item, kind_names[kind], strlen(kind_names[kind])) != 0) {
        kind++;
    }
    if (kind < LINUX_KINDS) {
        bit = bit_by_name(item + strlen(kind_names[kind]), length - strlen(kind_names[kind]));
        mask->calls[kind] |= bit;
        return bit != 0;
    }
    bit = bit_by_name(item, length);
    for (kind = 0; kind < LINUX_KINDS; kind++) {
        mask->calls[kind] |= bit;
    }
    return bit != 0;
}

int linux_sites_parse(const char *list, linux_sites_mask_t *mask, const char **unknown, size_t *unknown_length)
{
    linux_sites_mask_t found = { { 0 } };

    while (*list != '\0') {
        const size_t length = strcspn(list, ",");

        if (!add_site(list, length, &found)) {
            *unknown = list;
            *unknown_length = length;
            return OPAL_ERR_BAD_PARAM;
        }
        list += length + (list[length] == ',');
    }
    *mask = found;
    return OPAL_SUCCESS;
}
