/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory component "linux": what its files share.
 *
 * Code enters the kernel by setting a number and executing one instruction (x86-64: `mov $nr,%eax; syscall`). The
 * component turns such a site, where the call can take pages away, into a jump to a stub, which lets the memory hooks
 * know, makes the call itself, and returns behind the instruction. linux_code_<cpu>.c knows machine code: sites, stubs,
 * jumps. linux_texts.c keeps the code that was searched and its sites, linux_stubs.c finds room for stubs, linux_patch.c
 * and linux_pages.c replace code, linux_calls.c, linux_ranges.c and linux_files.c know the calls, linux_selftest.c proves
 * it, linux_guard.c notices when others replace the sites, linux_install.c puts it together. */
#ifndef COMPONENTS_LINUX_LINUX_H
#define COMPONENTS_LINUX_LINUX_H

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "components/linux/linux_arch.h"
#include "opal/mca/memory/memory.h"
#include "opal/memoryhooks/memory_internal.h"

#define LINUX_PAGE (linux_facts.page)

/* ---- The calls ------------------------------------------------------------------------------- */

/** The calls that are taken over; index into linux_calls and bit number in masks of calls. */
typedef enum linux_call_id_t {
    LINUX_CALL_MMAP,
    LINUX_CALL_MUNMAP,
    LINUX_CALL_BRK,
    LINUX_CALL_MREMAP,
    LINUX_CALL_MADVISE,
    LINUX_CALL_SHMAT,
    LINUX_CALL_SHMDT,
    LINUX_CALL_REMAP_FILE_PAGES,
    LINUX_CALL_PROCESS_MADVISE,
    LINUX_CALL_TRUNCATE,
    LINUX_CALL_FTRUNCATE,
    LINUX_CALL_FALLOCATE,
    LINUX_CALL_OPEN,
    LINUX_CALL_OPENAT,
    LINUX_CALL_OPENAT2,
    LINUX_CALL_CREAT,
    LINUX_CALL_IOCTL,
    LINUX_CALL_MPROTECT,      /**< Takes nothing away; see linux_guard.c. */
    LINUX_CALL_PKEY_MPROTECT, /**< Likewise. */
    LINUX_CALL_COUNT
} linux_call_id_t;

#define LINUX_CALL_BIT(id) (UINT32_C(1) << (id))

typedef struct linux_call_t linux_call_t;

/** What a stub does next. Known to linux_trampoline_<cpu>.S. */
typedef enum linux_plan_t {
    LINUX_PLAN_MAKE,      /**< Make the call by the site's own instruction; nothing is to be done afterwards. */
    LINUX_PLAN_MAKE_THEN, /**< Make it with frame->args, store the result, then ask linux_after(). */
    LINUX_PLAN_DONE       /**< frame->result is the result. */
} linux_plan_t;

#define LINUX_FRAME_BYTES 192 /**< Room on the stack for the next; likewise. */

/** One call at a site, on the stack of its stub. */
typedef struct linux_frame_t {
    long args[6]; /**< As the registers are to be, for the call and behind it. */
    long nr;      /**< Likewise known to linux_trampoline_<cpu>.S, */
    long result;  /**< and so is this. */
    const linux_call_t *call;
    long kept;       /**< The call's own, */
    long lengths[2]; /**< and so are these. */
    size_t count;
    opal_mem_hooks_range_t ranges[OPAL_MEM_HOOKS_WINDOW_RANGES];
    opal_mem_hooks_window_t window; /**< Open if count is not 0. */
    bool loads;                     /**< ld.so maps a file. */
} linux_frame_t;

/** Open the window over frame->ranges, if there are any. Hook context. */
linux_plan_t linux_open_window(const linux_call_t *call, linux_frame_t *frame);

/** The call is over: tell its gain, from `seen`, the arguments as the kernel rounds them; close the window. Hook context. */
linux_plan_t linux_finish(linux_frame_t *frame, const long seen[6]);

/** For which calls a stub goes to the component at all; the others run the code of the site as it was. */
typedef struct linux_filter_t {
    enum {
        LINUX_FILTER_NONE,
        LINUX_FILTER_BITS,
        LINUX_FILTER_EQUAL
    } kind;               /**< All; (argument & value) != 0; (argument & mask) == value. */
    unsigned argument;    /**< 1 or 2; its lower 32 bits count. */
    uint32_t value, mask; /**< EQUAL: no bit of value is outside mask. */
} linux_filter_t;

/** One call. Constant. args are the six argument registers, results are the kernel's (-errno). */
struct linux_call_t {
    long nr; /**< -1: this architecture has no such call. */
    const char *name;
    opal_mem_hooks_cause_t cause;
    uint32_t bit; /**< LINUX_CALL_BIT of its id. */
    /** Up to the system call. */
    linux_plan_t (*before)(const linux_call_t *call, linux_frame_t *frame);
    /** Behind it; ends with the gain and the end of the window. NULL: only these. */
    linux_plan_t (*after)(linux_frame_t *frame);
    /** For calls that make their system calls themselves, with events: all of it. */
    long (*run)(const linux_call_t *call, const long args[6]);
    /** What it takes away, as far as the arguments tell; NULL: run finds out. @return ranges filled. */
    size_t (*ranges)(const long args[6], opal_mem_hooks_range_t out[OPAL_MEM_HOOKS_WINDOW_RANGES]);
    /** What it gave, once it has succeeded; NULL: nothing. @return ranges filled, 0 or 1. */
    size_t (*gain)(const long args[6], long result, opal_mem_hooks_range_t *out);
    linux_filter_t filter; /**< For sites of this call; run sees all calls all the same. */
};

extern const linux_call_t linux_calls[LINUX_CALL_COUNT];

/** The call with this number, or NULL. */
const linux_call_t *linux_call_by_nr(long nr);

/** Whose code it is; also the bit number of linux_sites_mask_t's members. */
typedef enum linux_kind_t {
    LINUX_LIBC,   /**< The libc.so.6 that this library uses. */
    LINUX_LOADER, /**< ld.so. */
    LINUX_OTHER,  /**< All else; also libc.so.6 of another namespace. */
    LINUX_KINDS
} linux_kind_t;

/** Bit of the sites that take their number from the caller (syscall(2)), in masks of calls. */
#define LINUX_ANY_CALL_BIT (UINT32_C(1) << 31)

/** Calls, for each kind of code. */
typedef struct linux_sites_mask_t {
    uint32_t calls[LINUX_KINDS];
} linux_sites_mask_t;

/** Id + 1 of the call with each number; 0: none of ours. For the stub of syscall(2), too. */
extern const uint8_t linux_call_ids[LINUX_CALL_NUMBERS];

/** Make a call as a site of it would, outside libc and ld.so. Hook context. */
long linux_calls_run(const linux_call_t *call, const long args[6]);

/** Calls that raise no events where their number is the caller's. While not live. */
void linux_calls_leave_alone(const linux_sites_mask_t *mask);

/** Do sites deliver events, or only make the call? Threads inside a call finish as they began. */
void linux_calls_go_live(bool live);

/** Calls that have reached a stub on this thread since the last time; for the self-test. */
uint32_t linux_calls_take_arrivals(void);

/** Does brk_function, libc's brk, reach a stub? Neither calls the kernel nor comes back through libc. */
bool linux_calls_probe_brk(int (*brk_function)(void *));

/* ---- Ranges: pure functions of arguments and linux_facts ------------------------------------- */

/** What the kernel was asked at the first enable. Constant from then on; tests set it. */
typedef struct linux_facts_t {
    uintptr_t page;        /**< Size of a page, a power of two. */
    uintptr_t address_end; /**< First address that no mapping can have. */
    size_t huge_page;      /**< Default size of MAP_HUGETLB pages. */
    uintptr_t heap_start;  /**< Lowest break that the kernel accepts; 0: unknown. */
    uintptr_t tag_bits;    /**< Bits of an address that the processor ignores (linear address masking). */
} linux_facts_t;

extern linux_facts_t linux_facts;

/** Ask the kernel; what cannot be found out keeps a value that is right on most machines. */
void linux_facts_read(void);

static inline bool linux_failed(long result)
{
    return (unsigned long) result > -4096UL;
}

static inline uintptr_t linux_round_down(uintptr_t value, uintptr_t unit)
{
    return value & ~(unit - 1);
}

/** 0 when value is 0 or rounding wraps, as in the kernel. */
static inline uintptr_t linux_round_up(uintptr_t value, uintptr_t unit)
{
    return (value + unit - 1) & ~(unit - 1);
}

/** An address as munmap, mremap and madvise take it. */
static inline uintptr_t linux_untag(long address)
{
    return (uintptr_t) address & ~linux_facts.tag_bits;
}

size_t linux_ranges_munmap(const long args[6], opal_mem_hooks_range_t out[]);
/** Only for MAP_FIXED. The length is that of args, which run_mmap has rounded for hugetlbfs files. */
size_t linux_ranges_mmap(const long args[6], opal_mem_hooks_range_t out[]);
/** Growth that may move takes nothing here: see linux_mremap_may_move(). */
size_t linux_ranges_mremap(const long args[6], opal_mem_hooks_range_t out[]);
size_t linux_ranges_madvise(const long args[6], opal_mem_hooks_range_t out[]);
size_t linux_ranges_remap_file_pages(const long args[6], opal_mem_hooks_range_t out[]);
/** @param[in] present  The break before the call. */
size_t linux_ranges_brk(uintptr_t wanted, uintptr_t present, opal_mem_hooks_range_t out[]);
/** @param[in] size  Of the segment; SIZE_MAX: unknown. */
size_t linux_ranges_shmat(const long args[6], size_t size, opal_mem_hooks_range_t out[]);

/** mremap that grows, may move and was given no place: the old range goes if it moves. */
bool linux_mremap_may_move(const long args[6]);
/** The old range of such a call. @return 1, or 0 where the kernel refuses. */
size_t linux_ranges_mremap_whole(const long args[6], opal_mem_hooks_range_t out[]);

/** mremap at a site, up to the system call and behind it. */
linux_plan_t linux_before_mremap(const linux_call_t *call, linux_frame_t *frame);
linux_plan_t linux_after_mremap(linux_frame_t *frame);

size_t linux_gain_mmap(const long args[6], long result, opal_mem_hooks_range_t *out);
size_t linux_gain_mremap(const long args[6], long result, opal_mem_hooks_range_t *out);

/** Page size that flags of mmap ask for. */
size_t linux_mmap_page(unsigned long flags);

/* ---- Questions to the kernel while a call is held up. Hook context. ------------------------------ */

/** Is fd certainly not open? */
bool linux_file_is_bad(int fd);
/** The unit to which the kernel rounds the length of a mapping of fd at addr: LINUX_PAGE, or the
 * page size of its hugetlbfs. Asks only where that could make a difference. */
size_t linux_file_page(int fd, uintptr_t addr, size_t length);
/** Can a mapping of huge pages begin at addr? */
static inline bool linux_may_be_huge(uintptr_t addr)
{
    return addr % LINUX_SMALLEST_HUGE_PAGE == 0;
}
/** The unit to which the kernel rounds lengths for the mapping at addr, likewise. */
size_t linux_mapping_page(uintptr_t addr, size_t old_length, size_t new_length);

/** What shmdt(addr) takes away.
 * @return Ranges filled; 0: nothing is attached there. Unreadable maps give all from addr on.
 */
size_t linux_shm_attached(uintptr_t addr, opal_mem_hooks_range_t out[OPAL_MEM_HOOKS_WINDOW_RANGES]);

/** Size in bytes of a segment. @return 0: the kernel will refuse shmat; SIZE_MAX: cannot be known. */
size_t linux_shm_size(int id);

/** One mapping of this process. */
typedef struct linux_mapping_t {
    uintptr_t start, end;
    uint64_t offset;
    uint64_t device; /**< major << 32 | minor */
    uint64_t inode;
    int prot;         /**< PROT_*. */
    bool is_private;  /**< Not MAP_SHARED. */
    bool is_sysv;     /**< Named like a System V segment. */
    const char *path; /**< As the kernel prints it; during the visit only. */
    bool is_path_cut; /**< It was longer than there is room for. */
} linux_mapping_t;

/** Call visit for each mapping, by rising address.
 * @return false when the list could not be read to its end, or a line not understood.
 */
bool linux_maps_each(void (*visit)(const linux_mapping_t *mapping, void *arg), void *arg);

/* ---- Code and its sites ------------------------------------------------------------------------ */

/** Read a comma-separated list of calls, each with whose sites are meant, or all: `munmap`, `libc:munmap`, `ld.so:mmap`, `other:mmap`, `syscall` for syscall(2).
 * @param[out] unknown  First name that is no call of ours and its length; untouched when all are.
 * @retval OPAL_SUCCESS / OPAL_ERR_BAD_PARAM
 */
int linux_sites_parse(const char *list, linux_sites_mask_t *mask, const char **unknown, size_t *unknown_length);

/** One site. Filled when found, then by the stub's writer; lives as long as its code is mapped, since a thread may be in
 * its stub at any time. `patched` is under linux_lock(); the rest is constant. */
typedef struct linux_site_t {
    const linux_call_t *call; /**< NULL: the number is the caller's (syscall(2)). */
    uint8_t *address;
    linux_kind_t kind;
    bool has_number; /**< At the replaced instruction the number is there already: it must be run, too. */
    bool patched;
    uint8_t original[LINUX_INSN];
    uint8_t jump[LINUX_INSN];
} linux_site_t;

static inline uint32_t linux_site_bit(const linux_site_t *site)
{
    return site->call != NULL ? site->call->bit : LINUX_ANY_CALL_BIT;
}

/** A site as it is found. */
typedef struct linux_found_t {
    uint8_t *address;
    const linux_call_t *call; /**< NULL: by number. */
    bool has_number;
    uint8_t original[LINUX_INSN];
} linux_found_t;

/** Sites that were found together, with their stubs: one area of memory near the code. */
typedef struct linux_text_t {
    _Atomic uintptr_t start,
        end; /**< The code that was searched. Both 0: the entry is free. Written under linux_lock(). */
    _Atomic bool is_open; /**< Somebody may be writing to it (linux_guard.c). */
    linux_kind_t kind;
    linux_site_t
        *sites;        /**< site_count of them, by rising address. Under linux_lock(), but for LIBC and LOADER, */
    size_t site_count; /**< which are never unloaded. */
    uintptr_t area;
    size_t area_length;
} linux_text_t;

#define LINUX_MAX_TEXTS 512
#define LINUX_FIND_AT_ONCE 128

/** The first linux_text_count of them may be in use; the number only grows. */
extern linux_text_t linux_texts[LINUX_MAX_TEXTS];
extern _Atomic size_t linux_text_count;

/** What could not be taken over for want of room: texts or sites; for reports. */
extern _Atomic size_t linux_texts_lost;

/** Add sites to the table, with stubs, and replace them if sites are replaced now. Under linux_lock().
 * @param[in]     start,end  The code that was searched; stubs will be near it.
 * @param[in,out] found      Those already known are taken out.
 * @retval OPAL_SUCCESS / OPAL_ERR_OUT_OF_RESOURCE / OPAL_ERR_PERM, as linux_stubs_make(), and then as linux_patch_apply().
 * Raw system calls only.
 */
int linux_texts_add(linux_kind_t kind, uintptr_t start, uintptr_t end, linux_found_t *found, size_t count,
                    int *sys_errno);

/** Code at [start, end) is about to go. Under linux_lock(); raw system calls only. */
void linux_texts_forget(uintptr_t start, uintptr_t end);

/** Somebody has changed code in [start, end): replace what looks like a site again. Under linux_lock(); raw system calls
 * only. */
void linux_texts_repair(uintptr_t start, uintptr_t end);

/** Replace all sites (and from now on those that are added), but for the disabled ones; or put the original code back
 * where it still holds our jump. Not from hook context.
 * @retval OPAL_SUCCESS / OPAL_ERR_PERM, as linux_patch_apply(), for libc and ld.so; what fails elsewhere stays as it is.
 */
int linux_texts_replace(const linux_sites_mask_t *disabled, int *sys_errno);
int linux_texts_restore(int *sys_errno);

/** Calls of which each site in code of this kind holds our jump. */
uint32_t linux_texts_held(linux_kind_t kind);

/* ---- Searching --------------------------------------------------------------------------------- */

/** Search libc and ld.so, in memory. Not from hook context.
 * @retval OPAL_SUCCESS / codes of linux_texts_add() */
int linux_search_libc(int *sys_errno);

/** Search the files of all other code that is mapped and was not searched before, objects of other namespaces included.
 * After libc and ld.so have been replaced: what is mapped from then on, linux_search_mapped() hears of.
 * @param[in] limit  Larger pieces of code are left alone; bytes. 0: all are. Kept for linux_search_mapped().
 * Not from hook context.
 */
void linux_search_others(size_t limit);

/** Search code in memory. Under linux_lock(); raw system calls only. @retval codes of linux_texts_add() */
int linux_search_memory(linux_kind_t kind, uintptr_t start, uintptr_t end, int *sys_errno);

/** Code at [start, end) is to be searched again when it is come upon. Under linux_lock(). */
void linux_search_forget(uintptr_t start, uintptr_t end);

/** ld.so has mapped fd: search it. Hook context; waits for linux_lock(). */
void linux_search_mapped(uintptr_t start, size_t length, int prot, int fd, uint64_t offset);

/** ld.so is about to unmap a range, or to map something over it. Hook context; waits for linux_lock(). */
void linux_search_unmapped(uintptr_t start, size_t length);

/** Find the sites in code that begin at code + from or behind; what is before tells whether it is one.
 * @return Number of sites found, at most capacity, by rising address; *end: offset up to which was searched. */
size_t linux_find_sites(const uint8_t *code, size_t size, size_t from, linux_found_t *found, size_t capacity,
                        size_t *end);

/** Visit each readable executable segment of libc.so.6 and ld.so, with the loader's lock held.
 * @return what visit returned, the first that is not 0. */
int linux_objects_each(int (*visit)(linux_kind_t kind, uintptr_t start, uintptr_t end, void *arg), void *arg);
/** Is there a libc.so.6? Cheap. */
bool linux_has_libc(void);

/** Make a stub for each site that was found, near the code; fills text but for start and end. Writes nothing to the sites.
 * @param[in]  start,end  What the stubs must be near to.
 * @param[in]  found      count of them, 1 to LINUX_FIND_AT_ONCE.
 * @param[out] sys_errno  Set on error.
 * @retval OPAL_SUCCESS / OPAL_ERR_OUT_OF_RESOURCE (no room within reach) / OPAL_ERR_PERM (not executable)
 * Raw system calls only.
 */
int linux_stubs_make(linux_text_t *text, uintptr_t start, uintptr_t end, const linux_found_t *found, size_t count,
                     int *sys_errno);

/** Where stubs go; linux_trampoline_<cpu>.S. Not callable from C. The second one keeps vector registers for code that
 * expects them to survive a system call. */
extern void linux_trampoline_common(void);
extern void linux_trampoline_vectors(void);

/** What both call: before the system call with frame->args, and frame->nr where the site leaves the number to its caller;
 * and behind it, with frame->result, as often as the plan says. The system call stands between the two in the trampoline:
 * on processors whose return predictor a system call empties, each return from a function that was called before it
 * costs some 5 ns (measured). Hook context. */
linux_plan_t linux_before(const linux_site_t *site, linux_frame_t *frame);
linux_plan_t linux_after(linux_frame_t *frame);

/** The same, without a stub: for tests.
 * @return What the kernel returned. Hook context.
 */
long linux_dispatch(const linux_site_t *site, const long args[6]);

/* ---- Replacing code -------------------------------------------------------------------------- */

/** Bytes of code to be replaced. */
typedef struct linux_patch_t {
    uint8_t *address;
    uint8_t from[LINUX_INSN];
    uint8_t to[LINUX_INSN];
    bool done; /**< Out: replaced. False: held something else. */
} linux_patch_t;

/** Replace code that other threads may be running; the protocol is written at the top of linux_patch.c.
 * @param[in,out] patches  By rising address.
 * @param[out] sys_errno   Set on error.
 * @retval OPAL_SUCCESS   Each patch's `done` tells.
 * @retval OPAL_ERR_PERM  The code could not be changed, or not protected again: some patches may be done.
 * Raw system calls only. Under linux_lock().
 */
int linux_patch_apply(linux_patch_t *patches, size_t count, int *sys_errno);

/** Put a copy of the pages [start, start + length) that was changed in their place, for all threads at the same time.
 * @param[in] copy  Of `length` bytes, at the start of a page, just mapped and written. It is gone afterwards.
 * @return 0 or -errno; then the pages are as they were. Raw system calls only.
 */
long linux_pages_replace(uintptr_t start, size_t length, uintptr_t copy);

/** Copy code. Thread sanitizers do not see it. @param[in] size  Whole pages. */
void linux_copy_page(uint8_t *to, const uint8_t *from, size_t size);
/** Likewise LINUX_INSN bytes. */
void linux_copy_insn(uint8_t *to, const uint8_t *from);

/** Make memory that was just written executable, and no longer writable. @return 0 or -errno */
long linux_pages_make_code(uintptr_t start, size_t length);

/** One thread at a time, which runs no signal handler meanwhile. Holders make raw system calls only, so that hooks may
 * wait for it. @return false: signals cannot be blocked; nothing to unlock. */
bool linux_lock(uint64_t *saved_signals);
void linux_unlock(const uint64_t *saved_signals);
/** Have fork children begin unlocked. Not from hook context. */
void linux_lock_prepare(void);

/* ---- Against others who replace code ---------------------------------------------------------- */

/** Watch over the code of libc and ld.so, until linux_guard_end(). @param[in] calls  Those that arrive now. */
void linux_guard_begin(uint32_t calls);
void linux_guard_end(void);

/** The run function of mprotect. Hook context. */
long linux_run_mprotect(const linux_call_t *call, const long args[6]);

/** memoryc_register of the component: may a registration be kept?
 * @retval OPAL_SUCCESS
 * @retval OPAL_ERR_OUT_OF_RESOURCE  Calls do not reach us any more (after a message, the first time), or code is being
 *     changed now.
 */
int linux_guard_register(void *base, size_t length, uint64_t cookie);

/* ---- The component --------------------------------------------------------------------------- */

/** Prove by harmless calls which calls reach a stub, directly or through somebody else's hook.
 * @return OR of LINUX_CALL_BIT, and LINUX_ANY_CALL_BIT. Not from hook context. */
uint32_t linux_selftest(void);

/** libc's function for a call; NULL: it has none. Not from hook context. */
const uint8_t *linux_selftest_function(linux_call_id_t id);

/** Can the component run here? Cheap. @return OPAL_SUCCESS / OPAL_ERR_NOT_AVAILABLE after a reason. */
int linux_query(void);

/** Settings. */
typedef struct linux_options_t {
    linux_sites_mask_t left_alone; /**< Sites that are not replaced. */
    size_t search_limit;           /**< As for linux_search_others(). */
} linux_options_t;

/** Replace the sites of all calls, and test.
 * @param[out] support  OPAL_MEMORY_*_SUPPORT.
 * @param[out] sees     OPAL_MEMORY_SEES_*.
 * @retval OPAL_SUCCESS / OPAL_ERR_NOT_AVAILABLE after a reason; nothing is patched.
 */
int linux_install(const linux_options_t *options, int *support, uint64_t *sees);

/** Put the original code back where it still holds our jump. Later calls just pass.
 * @retval OPAL_SUCCESS / OPAL_ERR_PERM (jumps stay, and pass) */
int linux_uninstall(void);

#endif
