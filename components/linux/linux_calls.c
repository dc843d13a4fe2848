/* SPDX-License-Identifier: BSD-3-Clause */
/* What happens at a replaced site: the table of calls, and how each is made
 * with its events. All of it is hook context, and is compiled to leave vector
 * registers alone. To add a call: an id in linux.h, a line in linux_calls, and
 * its range in linux_ranges.c. */
#include "components/linux/linux.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "components/linux/linux_files.h"
#include "components/linux/linux_got.h"
#include "components/linux/linux_sys.h"

#define IN_STATIC_TLS __attribute__((tls_model("initial-exec")))

/* Set around the time when sites hold jumps. A thread that reads the old value is one whose call began before
 * the change; the hooks wait for their callbacks by themselves. Each store is a release: all that a stub uses
 * (sites, linux_facts) was written before the first one, and the load in linux_before() acquires it. */
static OPAL_MEM_HOOKS_DATA _Atomic bool is_live;

/* Calls that are left alone also where they come by number. Set while not live. */
static linux_sites_mask_t left_alone;

/* Calls that reached a stub on this thread; for the self-test. Own thread only. */
static _Thread_local uint32_t arrivals IN_STATIC_TLS;

/* Where the self-test's brk(0) goes instead of into the kernel. Own thread only. */
static _Thread_local jmp_buf *brk_probe IN_STATIC_TLS;

static void report_gain(const opal_mem_hooks_range_t *range)
{
    opal_mem_hooks_alloc_hook((void *) range->start, range->length, true);
}

/* ---- Around the system call of a stub -------------------------------------------------------------- */

OPAL_MEM_HOOKS_PATH linux_plan_t linux_open_window(const linux_call_t *call, linux_frame_t *frame)
{
    if (frame->count != 0) {
        opal_mem_hooks_window_open(&frame->window, frame->ranges, frame->count, call->cause, true);
        return LINUX_PLAN_MAKE_THEN;
    }
    return call->gain != NULL && opal_mem_hooks_wants_alloc() ? LINUX_PLAN_MAKE_THEN : LINUX_PLAN_MAKE;
}

static inline __attribute__((always_inline)) void close_window(linux_frame_t *const *frame)
{
    if ((*frame)->count != 0) {
        opal_mem_hooks_window_close(&(*frame)->window);
    }
}

/* The window is closed also when an alloc callback is left by unwinding. */
OPAL_MEM_HOOKS_PATH linux_plan_t linux_finish(linux_frame_t *frame, const long seen[6])
{
    linux_frame_t *const closed __attribute__((unused, cleanup(close_window))) = frame;
    const linux_call_t *call = frame->call;
    opal_mem_hooks_range_t gain;

    if (call->gain != NULL && opal_mem_hooks_wants_alloc() && !linux_failed(frame->result)
        && call->gain(seen, frame->result, &gain) != 0) {
        report_gain(&gain);
    }
    return LINUX_PLAN_DONE;
}

/* Calls whose arguments say everything. */
OPAL_MEM_HOOKS_PATH static linux_plan_t before_plain(const linux_call_t *call, linux_frame_t *frame)
{
    frame->count = call->ranges(frame->args, frame->ranges);
    return linux_open_window(call, frame);
}

/* Calls that are rare, and ask the kernel more than once: they make all system calls themselves. */
static linux_plan_t before_run(const linux_call_t *call, linux_frame_t *frame)
{
    frame->result = call->run(call, frame->args);
    return LINUX_PLAN_DONE;
}

OPAL_MEM_HOOKS_PATH static linux_plan_t before_madvise(const linux_call_t *call, linux_frame_t *frame)
{
    if ((int) frame->args[2] == MADV_REMOVE) {
        frame->result = linux_run_remove(call, frame->args);
        return LINUX_PLAN_DONE;
    }
    return before_plain(call, frame);
}

/* ---- mmap ---------------------------------------------------------------------------------------- */

/* A file mapped over something. A descriptor that is not open is found out here: programs do pass
 * such ones, and the event would be for nothing. */
static linux_plan_t before_mmap_file_over(const linux_call_t *call, linux_frame_t *frame)
{
    const long *args = frame->args;
    long seen[6] = { args[0], args[1], args[2], args[3] & ~(long) MAP_HUGETLB, args[4], args[5] };

    frame->count = linux_ranges_mmap(seen, frame->ranges);
    if (frame->count != 0 && linux_file_is_bad((int) args[4])) {
        frame->result = -EBADF;
        return LINUX_PLAN_DONE;
    }
    if (frame->count != 0) {
        seen[1] = (long) linux_round_up((uintptr_t) args[1],
                                        linux_file_page((int) args[4], (uintptr_t) args[0], (size_t) args[1]));
        frame->count = linux_ranges_mmap(seen, frame->ranges);
    }
    frame->lengths[0] = seen[1];
    return linux_open_window(call, frame);
}

OPAL_MEM_HOOKS_PATH static linux_plan_t before_mmap(const linux_call_t *call, linux_frame_t *frame)
{
    frame->lengths[0] = 0;
    if ((frame->args[3] & (MAP_FIXED | MAP_ANONYMOUS)) == MAP_FIXED) {
        return before_mmap_file_over(call, frame);
    }
    return before_plain(call, frame);
}

OPAL_MEM_HOOKS_PATH static linux_plan_t after_mmap(linux_frame_t *frame)
{
    const long *args = frame->args;
    const long seen[6] = { args[0], frame->lengths[0], args[2], args[3] & ~(long) MAP_HUGETLB, args[4], args[5] };

    return linux_finish(frame, frame->lengths[0] != 0 ? seen : args);
}

/* ---- brk ----------------------------------------------------------------------------------------- */

/* What the last call of brk that came through a site asked for; 0: not known. libc takes what the kernel answers for the
 * break, so the two differ when the kernel has refused. Threads that move the break at the same time do not know themselves
 * where it is. */
static _Atomic uintptr_t known_break;
static const uintptr_t
    *libc_break; /* __curbrk, which libc takes for the break; NULL: another libc. Set while not live. */

/* Asking costs a system call. Who moves the break behind our back changes libc's idea of it (his brk is a copy of libc's)
 * or leaves the break where he found it; who does neither has no use for a heap that libc and he take from each other. */
OPAL_MEM_HOOKS_PATH static uintptr_t present_break(void)
{
    const uintptr_t known = atomic_load_explicit(&known_break, memory_order_relaxed);
    const bool is_sure =
        known != 0 && libc_break != NULL && __atomic_load_n(libc_break, __ATOMIC_RELAXED) == known;

    return is_sure ? known : (uintptr_t) LINUX_SYS(SYS_brk, 0);
}

static linux_plan_t before_brk_question(linux_frame_t *frame)
{
    if (brk_probe != NULL) {
        _longjmp(*brk_probe, 1);
    }
    frame->kept = INTPTR_MAX; /* Nothing is gained. */
    frame->count = 0;
    return LINUX_PLAN_MAKE_THEN;
}

OPAL_MEM_HOOKS_PATH static linux_plan_t before_brk(const linux_call_t *call, linux_frame_t *frame)
{
    if (frame->args[0] == 0) {
        return before_brk_question(frame);
    }
    frame->kept = (long) present_break();
    atomic_store_explicit(&known_break, (uintptr_t) frame->args[0], memory_order_relaxed);
    frame->count = linux_ranges_brk((uintptr_t) frame->args[0], (uintptr_t) frame->kept, frame->ranges);
    linux_open_window(call, frame);
    return frame->count != 0 || opal_mem_hooks_wants_alloc() ? LINUX_PLAN_MAKE_THEN : LINUX_PLAN_MAKE;
}

OPAL_MEM_HOOKS_PATH static linux_plan_t after_brk(linux_frame_t *frame)
{
    const uintptr_t old_end = linux_round_up((uintptr_t) frame->kept, LINUX_PAGE);
    const uintptr_t new_end = linux_round_up((uintptr_t) frame->result, LINUX_PAGE);

    if (!linux_failed(frame->result) && new_end > old_end) {
        report_gain(&(opal_mem_hooks_range_t){ old_end, new_end - old_end });
    }
    return linux_finish(frame, frame->args);
}

/* ---- System V segments --------------------------------------------------------------------------- */

/* Make the call within a window. */
static long call_in_window(const linux_call_t *call, const long args[6], const opal_mem_hooks_range_t *ranges,
                           size_t count)
{
    opal_mem_hooks_window_t window;
    long result;

    if (count != 0) {
        opal_mem_hooks_window_open(&window, ranges, count, call->cause, true);
    }
    result = linux_sys_call(call->nr, args);
    if (count != 0) {
        opal_mem_hooks_window_close(&window);
    }
    return result;
}

static long run_shmdt(const linux_call_t *call, const long args[6])
{
    opal_mem_hooks_range_t ranges[OPAL_MEM_HOOKS_WINDOW_RANGES];

    return call_in_window(call, args, ranges, linux_shm_attached((uintptr_t) args[0], ranges));
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
    linux_spans_windows_t windows __attribute__((cleanup(linux_spans_close))) = { 0 };
    linux_spans_t over;
    long result;

    over.count = linux_ranges_shmat(args, size, over.ranges);
    linux_spans_open(&over, &windows, call->cause);
    result = linux_sys_call(call->nr, args);
    if (!linux_failed(result)) {
        report_attached((uintptr_t) result, size, over.count != 0);
    }
    return result;
}

/* The stub of open and its like calls us for O_TRUNC only, that of fallocate not for modes that only allocate, that of
 * ioctl for the requests of a userfaultfd (their type is 0xaa); syscall(2) brings all. */
#define TRUNCATES(number)                       \
    {                                           \
        LINUX_FILTER_BITS, (number), O_TRUNC, 0 \
    }
#define DEALLOCATES                                                                          \
    {                                                                                        \
        LINUX_FILTER_BITS, 1, ~(uint32_t) (FALLOC_FL_KEEP_SIZE | FALLOC_FL_UNSHARE_RANGE), 0 \
    }
#define OF_USERFAULTFD                        \
    {                                         \
        LINUX_FILTER_EQUAL, 1, 0xaa00, 0xff00 \
    }

#define ID_OF(id, number, label, because)                                    \
    .nr = (number), .name = (label), .bit = LINUX_CALL_BIT(LINUX_CALL_##id), \
    .cause = OPAL_MEM_HOOKS_CAUSE_##because
#define ID(id, number, label) ID_OF(id, number, label, id)

/* In the order of the ids. */
const linux_call_t linux_calls[LINUX_CALL_COUNT] = {
    { ID(MMAP, SYS_mmap, "mmap"), .before = before_mmap, .after = after_mmap, .ranges = linux_ranges_mmap,
      .gain = linux_gain_mmap },
    { ID(MUNMAP, SYS_munmap, "munmap"), .before = before_plain, .ranges = linux_ranges_munmap },
    { ID(BRK, SYS_brk, "brk"), .before = before_brk, .after = after_brk },
    { ID(MREMAP, SYS_mremap, "mremap"), .before = linux_before_mremap, .after = linux_after_mremap,
      .gain = linux_gain_mremap },
    { ID(MADVISE, SYS_madvise, "madvise"), .before = before_madvise, .ranges = linux_ranges_madvise },
    { ID(SHMAT, SYS_shmat, "shmat"), .before = before_run, .run = run_shmat },
    { ID(SHMDT, SYS_shmdt, "shmdt"), .before = before_run, .run = run_shmdt },
    { ID(REMAP_FILE_PAGES, SYS_remap_file_pages, "remap_file_pages"), .before = before_plain,
      .ranges = linux_ranges_remap_file_pages },
    { ID(PROCESS_MADVISE, SYS_process_madvise, "process_madvise"), .before = before_run,
      .run = linux_run_process_madvise },
    { ID_OF(TRUNCATE, SYS_truncate, "truncate", TRUNCATE), .before = before_run, .run = linux_run_truncate },
    { ID_OF(FTRUNCATE, SYS_ftruncate, "ftruncate", TRUNCATE), .before = before_run, .run = linux_run_ftruncate },
    { ID(FALLOCATE, SYS_fallocate, "fallocate"), .before = before_run, .run = linux_run_fallocate,
      .filter = DEALLOCATES },
    { ID_OF(OPEN, LINUX_SYS_OPEN, "open", TRUNCATE), .before = before_run, .run = linux_run_open,
      .filter = TRUNCATES(1) },
    { ID_OF(OPENAT, SYS_openat, "openat", TRUNCATE), .before = before_run, .run = linux_run_openat,
      .filter = TRUNCATES(2) },
    { ID_OF(OPENAT2, SYS_openat2, "openat2", TRUNCATE), .before = before_run, .run = linux_run_openat2 },
    { ID_OF(CREAT, LINUX_SYS_CREAT, "creat", TRUNCATE), .before = before_run, .run = linux_run_creat },
    { ID_OF(IOCTL, SYS_ioctl, "ioctl", UFFD_MOVE), .before = before_run, .run = linux_run_ioctl,
      .filter = OF_USERFAULTFD },
    { ID_OF(MPROTECT, SYS_mprotect, "mprotect", UNKNOWN), .before = before_run, .run = linux_run_mprotect },
    { ID_OF(PKEY_MPROTECT, SYS_pkey_mprotect, "pkey_mprotect", UNKNOWN), .before = before_run,
      .run = linux_run_mprotect },
};

#define ENTRY(id, number) [number] = (LINUX_CALL_##id + 1)

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
    ENTRY(PKEY_MPROTECT, SYS_pkey_mprotect),
#ifdef SYS_open
    ENTRY(OPEN, SYS_open),
    ENTRY(CREAT, SYS_creat),
#endif
};

/* ---- From stubs ---------------------------------------------------------------------------------- */

/* ld.so loads and unloads code: what is known of it must go before it does, and what comes is searched. */
static __attribute__((noinline)) linux_plan_t before_for_loader(const linux_call_t *call, linux_frame_t *frame)
{
    const bool is_mmap = call == &linux_calls[LINUX_CALL_MMAP];
    const bool takes = is_mmap ? (frame->args[3] & MAP_FIXED) != 0 : call == &linux_calls[LINUX_CALL_MUNMAP];
    linux_plan_t plan;

    if (takes) {
        linux_search_unmapped((uintptr_t) frame->args[0], (size_t) frame->args[1]);
    }
    if (call == &linux_calls[LINUX_CALL_MPROTECT] && frame->args[2] == PROT_READ) {
        linux_got_loaded((uintptr_t) frame->args[0]); /* An object has been relocated. */
    }
    plan = call->before(call, frame);
    frame->loads = is_mmap && (frame->args[3] & MAP_ANONYMOUS) == 0;
    return plan == LINUX_PLAN_MAKE && frame->loads ? LINUX_PLAN_MAKE_THEN : plan;
}

static __attribute__((noinline)) void search_loaded(const linux_frame_t *frame)
{
    if (!linux_failed(frame->result)) {
        linux_search_mapped((uintptr_t) frame->result, (size_t) frame->args[1], (int) frame->args[2],
                            (int) frame->args[4], (uint64_t) frame->args[5]);
    }
}

static inline __attribute__((always_inline)) linux_plan_t begin(const linux_site_t *site, const linux_call_t *call,
                                                                linux_frame_t *frame, bool has_events)
{
    arrivals |= linux_site_bit(site) | call->bit;
    frame->call = call;
    frame->nr = call->nr;
    frame->loads = false;
    if (!has_events) {
        return LINUX_PLAN_MAKE;
    }
    return site->kind == LINUX_LOADER ? before_for_loader(call, frame) : call->before(call, frame);
}

/* The stub has seen to it that the number is one of ours. */
static __attribute__((noinline)) linux_plan_t begin_by_number(const linux_site_t *site, linux_frame_t *frame,
                                                              bool has_events)
{
    const linux_call_t *call = linux_call_by_nr((uint32_t) frame->nr); /* The kernel looks at no more. */

    return (left_alone.calls[site->kind] & call->bit) != 0 ? LINUX_PLAN_MAKE
                                                           : begin(site, call, frame, has_events);
}

OPAL_MEM_HOOKS_PATH linux_plan_t linux_before(const linux_site_t *site, linux_frame_t *frame)
{
    const bool has_events = atomic_load_explicit(&is_live, memory_order_acquire); /* Before the site is read. */

    return site->call != NULL ? begin(site, site->call, frame, has_events)
                              : begin_by_number(site, frame, has_events);
}

OPAL_MEM_HOOKS_PATH linux_plan_t linux_after(linux_frame_t *frame)
{
    const linux_plan_t plan =
        frame->call->after != NULL ? frame->call->after(frame) : linux_finish(frame, frame->args);

    if (frame->loads) {
        search_loaded(frame);
    }
    return plan;
}

/* As the trampolines do it. */
static long complete(linux_frame_t *frame, linux_plan_t plan)
{
    while (plan == LINUX_PLAN_MAKE_THEN) {
        frame->result = linux_sys_call(frame->nr, frame->args);
        plan = linux_after(frame);
    }
    return plan == LINUX_PLAN_DONE ? frame->result : linux_sys_call(frame->nr, frame->args);
}

long linux_calls_run(const linux_call_t *call, const long args[6])
{
    const linux_site_t site = { .call = call, .kind = LINUX_OTHER };

    return linux_dispatch(&site, args);
}

long linux_dispatch(const linux_site_t *site, const long args[6])
{
    linux_frame_t frame;

    for (size_t i = 0; i < 6; i++) {
        frame.args[i] = args[i];
    }
    return complete(&frame, linux_before(site, &frame));
}

_Static_assert(sizeof(linux_frame_t) <= LINUX_FRAME_BYTES && offsetof(linux_frame_t, nr) == 48
                   && offsetof(linux_frame_t, result) == 56 && LINUX_PLAN_MAKE == 0 && LINUX_PLAN_MAKE_THEN == 1,
               "as linux_trampoline_<cpu>.S knows them");

void linux_calls_leave_alone(const linux_sites_mask_t *mask)
{
    left_alone = *mask;
}

void linux_calls_go_live(bool live)
{
    if (libc_break == NULL) {
        libc_break = dlsym(RTLD_DEFAULT, "__curbrk");
    }
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
