/* SPDX-License-Identifier: BSD-3-Clause */
/* Rewrites GOT slots (linux_got.h says what for).
 *
 * A slot is one aligned word, changed by compare-and-swap: a thread that calls
 * through it reaches the function or the wrapper, and somebody else's change
 * is never overwritten. Nothing is recorded: a slot is ours as long as it holds
 * the wrapper that belongs to its name, so that unloaded objects are no matter.
 * A slot that was not resolved yet (lazy binding) is left resolved on removal.
 *
 * Which slots: those whose target is the process's one function. Resolved slots
 * say so by their value. Slots not resolved yet point into their own object;
 * in the main namespace they would get the process's one, unless the object
 * was opened with RTLD_DEEPBIND: then its resolved slots differ from it, and its
 * other ones are left alone, too.
 *
 * Objects being loaded by another thread are in the loader's list before they
 * are relocated. To write to them then, or to protect their pages, would break
 * them. So: read the loader's counters, wait for its lock once (from then on all that
 * was in the list is relocated), and go through the list only if the counters
 * are still the same; the list cannot change under dl_iterate_phdr(). An object
 * that is loaded later is the business of linux_got_object(), in the thread
 * that loads it: it is in the list before it asks whether the set is on.
 *
 * One race stays: a thread that was about to resolve a slot (its first call of
 * that function from that object) when we changed it stores the function over
 * our wrapper. So lazy slots are looked at twice, a moment apart. */
#include "components/linux/linux_got.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "components/linux/linux.h"
#include "components/linux/linux_slots.h"
#include "components/linux/linux_sys.h"

#define MAX_SETS 2
#define MAX_TRIES 100
#define LAZY_PAUSE_NS 1000000

static linux_got_set_t *_Atomic sets[MAX_SETS];

/* The loader's count of objects loaded, when all sets that are on were last seen through. */
static _Atomic uint64_t seen_adds;

/* ---- All objects ---------------------------------------------------------------------------------- */

static void redirect_for_all(const linux_object_t *object, linux_got_result_t *result)
{
    for (size_t i = 0; i < MAX_SETS; i++) {
        const linux_got_set_t *set = atomic_load(&sets[i]);

        if (set != NULL && atomic_load(&set->is_on)) {
            linux_slots_redirect(object, set, result);
        }
    }
}

typedef struct counters_t {
    uint64_t adds, subs;
} counters_t;

static int read_counters(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void) size;
    *(counters_t *) arg = (counters_t){ info->dlpi_adds, info->dlpi_subs };
    return 1;
}

typedef struct walk_t {
    counters_t counters;
    const linux_got_set_t *restored; /* NULL: redirect for all sets that are on. */
    linux_got_result_t *result;
} walk_t;

static int visit_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    walk_t *walk = arg;
    linux_object_t object;

    (void) size;
    if (info->dlpi_adds != walk->counters.adds || info->dlpi_subs != walk->counters.subs) {
        return 1;
    }
    if (linux_object_read(&object, info->dlpi_name, info->dlpi_addr, info->dlpi_phdr, info->dlpi_phnum)) {
        if (walk->restored != NULL) {
            linux_slots_restore(&object, walk->restored);
        } else {
            redirect_for_all(&object, walk->result);
        }
    }
    return 0;
}

/* dladdr takes the lock that a thread holds while it loads an object. */
static void wait_for_loader(void)
{
    Dl_info info;

    dladdr(sets, &info);
}

static int walk_objects(const linux_got_set_t *restored, linux_got_result_t *result)
{
    walk_t walk = { .restored = restored, .result = result };

    for (int i = 0; i < MAX_TRIES; i++) {
        *result = (linux_got_result_t){ .culprit = NULL };
        dl_iterate_phdr(read_counters, &walk.counters);
        wait_for_loader();
        if (dl_iterate_phdr(visit_object, &walk) == 0) {
            atomic_store(&seen_adds, walk.counters.adds);
            return OPAL_SUCCESS;
        }
    }
    return OPAL_ERR_RESOURCE_BUSY;
}

/* The folder has a link for each thread, besides its two own. */
static bool has_other_threads(void)
{
    struct stat folder;

    return stat("/proc/self/task", &folder) != 0 || folder.st_nlink != 3;
}

int linux_got_refresh(linux_got_result_t *result)
{
    const struct timespec pause = { 0, LAZY_PAUSE_NS };
    int status = walk_objects(NULL, result);

    if (status == OPAL_SUCCESS && result->lazy != 0 && has_other_threads()) {
        const size_t lazy = result->lazy;

        linux_sys_nanosleep(&pause);
        status = walk_objects(NULL, result);
        result->lazy += lazy;
    }
    return status;
}

bool linux_got_is_stale(void)
{
    counters_t counters = { 0, 0 };

    dl_iterate_phdr(read_counters, &counters);
    return counters.adds != atomic_load(&seen_adds);
}

/* Sets are few, and known by their address. */
static void add_set(linux_got_set_t *set)
{
    for (size_t i = 0; i < MAX_SETS; i++) {
        linux_got_set_t *known = NULL;

        if (atomic_compare_exchange_strong(&sets[i], &known, set) || known == set) {
            return;
        }
    }
}

int linux_got_install(linux_got_set_t *set, linux_got_result_t *result)
{
    for (size_t i = 0; i < set->count; i++) {
        set->letters |= linux_slots_letter(set->symbols[i].name);
    }
    linux_slots_prepare(linux_got_lookup("gnu_get_libc_version"));
    add_set(set);
    atomic_store(&set->is_on, true);
    return linux_got_refresh(result);
}

int linux_got_remove(linux_got_set_t *set)
{
    linux_got_result_t result;

    atomic_store(&set->is_on, false);
    return walk_objects(set, &result);
}

/* ---- The process's function of a name -------------------------------------------------------------- */

const char *linux_got_owner(uintptr_t address)
{
    Dl_info info;

    return dladdr((const void *) address, &info) != 0 && info.dli_fname != NULL ? info.dli_fname : "";
}

static int match_program(struct dl_phdr_info *info, size_t size, void *arg)
{
    uintptr_t *address = arg;
    linux_object_t object;

    (void) size;
    linux_object_read(&object, info->dlpi_name, info->dlpi_addr, info->dlpi_phdr, info->dlpi_phnum);
    return linux_object_has(&object, *address) ? 1
                                               : -1; /* The program is the first, and the only one of interest. */
}

bool linux_got_is_in_program(uintptr_t address)
{
    return dl_iterate_phdr(match_program, &address) == 1;
}

bool linux_got_is_same_object(uintptr_t one, uintptr_t other)
{
    Dl_info first, second;

    return dladdr((const void *) one, &first) != 0 && dladdr((const void *) other, &second) != 0
           && first.dli_fbase == second.dli_fbase;
}

/* A program that is not PIE and takes the address of a function has a jump of its own, whose address
 * all pointers to the function hold; dlsym returns it, too. Its symbol is undefined, and has a value. */
typedef struct jump_search_t {
    const char *name;
    uintptr_t jump;
    bool is_found;
} jump_search_t;

static void match_jump(const linux_object_t *object, const linux_slot_t *slot, void *arg)
{
    jump_search_t *search = arg;

    search->is_found |= slot->entry->st_shndx == SHN_UNDEF && slot->entry->st_value != 0
                        && object->bias + slot->entry->st_value == search->jump;
}

static int find_jump(struct dl_phdr_info *info, size_t size, void *arg)
{
    jump_search_t *search = arg;
    linux_got_symbol_t symbol = { .name = search->name, .real = 1 };
    const linux_got_set_t set = { .symbols = &symbol, .count = 1, .letters = linux_slots_letter(search->name) };
    linux_object_t object;

    (void) size;
    if (linux_object_read(&object, info->dlpi_name, info->dlpi_addr, info->dlpi_phdr, info->dlpi_phnum)
        && linux_object_has(&object, search->jump)) {
        linux_slots_each(&object, &set, match_jump, search);
    }
    return search->is_found;
}

static uintptr_t symbol_of(void *handle, const char *name)
{
    return (uintptr_t) dlsym(handle, name);
}

/* The first definition in an object behind the program, in the order of the global scope. */
static uintptr_t find_behind_program(void *program, const char *name)
{
    struct link_map *map = NULL;

    if (dlinfo(program, RTLD_DI_LINKMAP, &map) != 0) {
        return 0;
    }
    for (map = map->l_next; map != NULL; map = map->l_next) {
        void *handle = map->l_name[0] != '\0' ? dlopen(map->l_name, RTLD_LAZY | RTLD_NOLOAD) : NULL;
        const uintptr_t address = handle != NULL ? symbol_of(handle, name) : 0;
        Dl_info info;

        if (handle != NULL) {
            dlclose(handle);
        }
        if (address != 0 && dladdr((const void *) address, &info) != 0
            && (uintptr_t) info.dli_fbase == map->l_addr) {
            return address;
        }
    }
    return 0;
}

static void resolve(void *program, linux_got_symbol_t *symbol)
{
    const char *name = symbol->name;
    uintptr_t address = symbol_of(program, name);
    jump_search_t search = { .is_found = false };

    if (address == 0 && symbol->alias != NULL) {
        name = symbol->alias;
        address = symbol_of(program, name);
    }
    symbol->canonical = address;
    search.name = name;
    search.jump = address;
    if (address != 0 && dl_iterate_phdr(find_jump, &search) != 0) {
        address = find_behind_program(program, name);
    }
    atomic_store(&symbol->real, address);
}

size_t linux_got_resolve(linux_got_set_t *set)
{
    void *program = dlopen(NULL, RTLD_LAZY);
    size_t count = 0;

    for (size_t i = 0; i < set->count && program != NULL; i++) {
        if (atomic_load(&set->symbols[i].real) == 0) {
            resolve(program, &set->symbols[i]);
        }
        count += atomic_load(&set->symbols[i].real) != 0;
    }
    if (program != NULL) {
        dlclose(program);
    }
    return count;
}

uintptr_t linux_got_lookup(const char *name)
{
    linux_got_symbol_t symbol = { .name = name };
    linux_got_set_t set = { .symbols = &symbol, .count = 1 };

    linux_got_resolve(&set);
    return atomic_load(&symbol.real);
}

/* ---- An object that is being loaded by this thread --------------------------------------------------- */

/* The loader keeps its description of a lazily bound object in the second word of the PLT's table. All
 * of a namespace are chained; that of the program begins at _r_debug. The chain stands still: this
 * thread holds the lock that changes it. Slots that are resolved need not be asked this. */
static bool is_in_main_namespace(const linux_object_t *object)
{
    const struct link_map *map;

    if (object->pltgot == NULL || object->pltgot[1] == 0) {
        return false;
    }
    map = (const struct link_map *) object->pltgot[1];
    while (map->l_prev != NULL) {
        map = map->l_prev;
    }
    return map == _r_debug.r_map;
}

void linux_got_object(uintptr_t start, uintptr_t end)
{
    const ElfW(Ehdr) *header = (const ElfW(Ehdr) *) start;
    const ElfW(Phdr) * segments;
    linux_got_result_t result = { .culprit = NULL };
    linux_object_t object;

    if (end - start < LINUX_PAGE || *(const uint32_t *) (uintptr_t) start != *(const uint32_t *) (uintptr_t) ELFMAG
        || header->e_phnum == 0 || header->e_phoff + header->e_phnum * sizeof(*segments) > end - start) {
        return;
    }
    segments = (const ElfW(Phdr) *) (start + header->e_phoff);
    /* The first segment is mapped at start; positions in the file below its size are addresses. */
    for (size_t i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_type == PT_LOAD) {
            const uintptr_t bias = start - linux_round_down(segments[i].p_vaddr, LINUX_PAGE);

            if (linux_object_read(&object, "", bias, segments, header->e_phnum)) {
                if (!is_in_main_namespace(&object)) {
                    object.end = object.start; /* Leave what is not resolved: nothing lies within the object. */
                }
                redirect_for_all(&object, &result);
            }
            return;
        }
    }
}

typedef struct range_search_t {
    uintptr_t address;
    uint64_t device, inode;
    uintptr_t start, end;
} range_search_t;

/* Mappings come by rising address: those of the object that end up around the address are of one file. */
static void match_mapping(const linux_mapping_t *mapping, void *arg)
{
    range_search_t *search = arg;
    const bool is_same_file =
        search->inode == mapping->inode && search->device == mapping->device && mapping->inode != 0;

    if (mapping->start > search->address) {
        search->end = is_same_file && search->end > search->address ? mapping->end : search->end;
        return;
    }
    if (!is_same_file || mapping->offset == 0) {
        search->start = mapping->start;
        search->device = mapping->device;
        search->inode = mapping->inode;
    }
    search->end = mapping->end;
}

static bool is_any_on(void)
{
    for (size_t i = 0; i < MAX_SETS; i++) {
        const linux_got_set_t *set = atomic_load(&sets[i]);

        if (set != NULL && atomic_load(&set->is_on)) {
            return true;
        }
    }
    return false;
}

void linux_got_loaded(uintptr_t address)
{
    range_search_t search = { .address = address };

    if (is_any_on() && linux_maps_each(match_mapping, &search) && search.inode != 0 && search.end > address) {
        linux_got_object(search.start, search.end);
    }
}
