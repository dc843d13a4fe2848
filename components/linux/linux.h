/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory component "linux": what its files share.
 *
 * libc and ld.so enter the kernel by `mov $nr,%eax; syscall`. The component
 * turns the mov of each call that can take pages away into a jump to a stub,
 * which lets the memory hooks know, makes the call itself, and returns behind
 * the syscall instruction. linux_find.c finds the sites, linux_trampoline.c
 * makes the stubs, linux_patch.c replaces code, linux_calls.c and
 * linux_ranges.c know the calls, linux_selftest.c proves it, linux_guard.c
 * notices when others replace them, linux_install.c puts it together. */
#ifndef COMPONENTS_LINUX_LINUX_H
#define COMPONENTS_LINUX_LINUX_H

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "opal/mca/memory/memory.h"
#include "opal/memoryhooks/memory_internal.h"

#define LINUX_PAGE ((uintptr_t) 4096)
#define LINUX_INSN 5    /**< Bytes of `mov $nr,%eax`, and of `jmp rel32`. */
#define LINUX_SYSCALL 2 /**< Bytes of `syscall`. */
#define LINUX_MAX_SITES 64

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
    LINUX_CALL_MPROTECT, /**< Takes nothing away; see linux_guard.c. */
    LINUX_CALL_COUNT
} linux_call_id_t;

#define LINUX_CALL_BIT(id) (UINT32_C(1) << (id))

typedef struct linux_call_t linux_call_t;

/** One call. Constant. args are the six argument registers, results are the kernel's (-errno). */
struct linux_call_t {
    long nr;
    const char *name;
    opal_mem_hooks_cause_t cause;
    uint32_t bit; /**< LINUX_CALL_BIT of its id. */
    /** Do it, with events; the only entry from a stub. */
    long (*run)(const linux_call_t *call, const long args[6]);
    /** What it takes away, as far as the arguments tell; NULL: run finds out. @return ranges filled. */
    size_t (*ranges)(const long args[6], opal_mem_hooks_range_t out[OPAL_MEM_HOOKS_WINDOW_RANGES]);
    /** What it gave, once it has succeeded; NULL: nothing. @return ranges filled, 0 or 1. */
    size_t (*gain)(const long args[6], long result, opal_mem_hooks_range_t *out);
    /** How to make the call itself; NULL: by linux_sys_call. Only in the copies of linux_interpose.c. */
    long (*make)(const linux_call_t *call, const long args[6]);
};

extern const linux_call_t linux_calls[LINUX_CALL_COUNT];

/** The call with this number, or NULL. */
const linux_call_t *linux_call_by_nr(long nr);

/** Mask of the calls in a comma-separated list of names.
 * @param[out] unknown  First name that is no call of ours and its length; untouched when all are.
 * @retval OPAL_SUCCESS / OPAL_ERR_BAD_PARAM
 */
int linux_calls_parse(const char *list, uint32_t *mask, const char **unknown, size_t *unknown_length);

/** Do sites deliver events, or only make the call? Threads inside a call finish as they began. */
void linux_calls_go_live(bool live);

/** Calls that have reached a stub on this thread since the last time; for the self-test. */
uint32_t linux_calls_take_arrivals(void);

/** Does brk_function, libc's brk, reach a stub? Neither calls the kernel nor comes back through libc. */
bool linux_calls_probe_brk(int (*brk_function)(void *));

/* ---- Ranges: pure functions of arguments and linux_facts ------------------------------------- */

/** What the kernel was asked at the first enable. Constant from then on; tests set it. */
typedef struct linux_facts_t {
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
    bool is_sysv; /**< Named like a System V segment. */
} linux_mapping_t;

/** Call visit for each mapping, by rising address.
 * @return false when the list could not be read to its end, or a line not understood.
 */
bool linux_maps_each(void (*visit)(const linux_mapping_t *mapping, void *arg), void *arg);

/* ---- Sites ----------------------------------------------------------------------------------- */

typedef ElfW(Phdr) linux_segment_t;

/** A loaded object whose sites are replaced; never unloaded. */
typedef struct linux_object_t {
    const char *name;     /**< For messages: "libc.so.6", "ld.so". */
    uintptr_t start, end; /**< Where it is mapped. Both 0: not found. */
    uintptr_t bias;       /**< Added to the addresses of its segments. */
    const linux_segment_t *segments;
    size_t segment_count;
} linux_object_t;

/** Index into the list of objects. */
enum { LINUX_LIBC, LINUX_LOADER, LINUX_OBJECTS };

/** One mov and syscall. Filled by linux_find.c, then by linux_trampoline.c; never freed, since a
 * thread may be in its stub at any time. Written under the init lock only. */
typedef struct linux_site_t {
    const linux_call_t *call; /**< First: the stub hands a pointer to this structure over. */
    uint8_t *address;
    const linux_object_t *object;
    uint8_t original[LINUX_INSN];
    uint8_t jump[LINUX_INSN]; /**< Valid once there is a stub. */
    bool patched;
} linux_site_t;

/** Offset of the first site in code[from, size), or size.
 * @param[out] nr  Its system call; untouched when there is none.
 */
size_t linux_find_next(const uint8_t *code, size_t size, size_t from, uint32_t *nr);

/** Find libc.so.6 and ld.so. Cheap. */
void linux_find_objects(linux_object_t objects[LINUX_OBJECTS]);

/** Find the sites in an object's executable segments.
 * @return Number of sites, at most capacity, by rising address. 0 for an object not found.
 */
size_t linux_find_sites(const linux_object_t *object, linux_site_t *sites, size_t capacity);

/** Make a stub for each site of one object, and each site's jump to it. Writes nothing to the sites.
 * @param[in,out] sites      count sites, all of one object; patched stays false.
 * @param[out]    sys_errno  Set on error.
 * @retval OPAL_SUCCESS / OPAL_ERR_OUT_OF_RESOURCE (no room within reach) / OPAL_ERR_PERM (not executable)
 */
int linux_trampoline_make(linux_site_t *sites, size_t count, int *sys_errno);

/** Where all stubs go; linux_trampoline_x86_64.S. Not callable from C. */
extern void linux_trampoline_common(void);

/** Where linux_trampoline_common goes: the call of a site, with its six arguments.
 * @return What the kernel returned. Hook context.
 */
long linux_dispatch(const linux_site_t *site, const long args[6]);

/* ---- Replacing code -------------------------------------------------------------------------- */

/** Five bytes of code to be replaced. */
typedef struct linux_patch_t {
    uint8_t *address;
    uint8_t from[LINUX_INSN];
    uint8_t to[LINUX_INSN];
    bool done; /**< Out: replaced. False: held something else, or cannot be replaced while running. */
} linux_patch_t;

/** Replace code that other threads may be running; the protocol is written at the top of linux_patch.c.
 * @param[out] sys_errno  Set on error.
 * @retval OPAL_SUCCESS   Each patch's `done` tells.
 * @retval OPAL_ERR_PERM  The code could not be made writable: nothing has changed; or could not be
 *     protected again (then some are done, and stay writable).
 * Not from hook context. One thread at a time.
 */
int linux_patch_apply(linux_patch_t *patches, size_t count, int *sys_errno);

/** Make the processors of all running threads of this process fetch code anew.
 * @return false: the kernel has no such call, or forbids it. */
bool linux_patch_sync(void);

/** Let no signal handler run on this thread, and no thread fork, until linux_quiet_end().
 * @return false: forks are under way all the time; nothing to end. */
bool linux_quiet_begin(void);
void linux_quiet_end(void);

/* ---- Against others who replace code ---------------------------------------------------------- */

/** Watch over the sites that are patched, of these, until linux_guard_end(). They stay where they are. */
void linux_guard_begin(const linux_site_t *sites, size_t count);
void linux_guard_end(void);

/** The run function of mprotect. Hook context. */
long linux_run_mprotect(const linux_call_t *call, const long args[6]);

/** memoryc_register of the component: may a registration be kept?
 * @retval OPAL_SUCCESS
 * @retval OPAL_ERR_OUT_OF_RESOURCE  A jump of ours is gone (after a message, the first time), or may be going.
 */
int linux_guard_register(void *base, size_t length, uint64_t cookie);

/* ---- The component --------------------------------------------------------------------------- */

/** Prove by harmless calls which calls reach a stub. @return OR of LINUX_CALL_BIT. */
uint32_t linux_selftest(const linux_site_t *sites, size_t count);

/** Can the component run here? Cheap. @return OPAL_SUCCESS / OPAL_ERR_NOT_AVAILABLE after a reason. */
int linux_query(void);

/** Replace the sites of all calls but those in disabled, and test.
 * @param[out] support  OPAL_MEMORY_*_SUPPORT.
 * @param[out] sees     OPAL_MEMORY_SEES_*.
 * @retval OPAL_SUCCESS / OPAL_ERR_NOT_AVAILABLE after a reason; nothing is patched.
 */
int linux_install(uint32_t disabled, int *support, uint64_t *sees);

/** Put the original code back where it still holds our jump. Later calls just pass.
 * @retval OPAL_SUCCESS / OPAL_ERR_PERM (jumps stay, and pass) */
int linux_uninstall(void);

#endif
