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
#include "components/linux/linux_sys.h"

/* Types of the relocations that make slots. Where the psABI has no type of its own for slots of data
 * (riscv), a pointer in data looks the same: only the slots of the PLT count there. */
#if defined(__x86_64__)
#define TYPE_PLT R_X86_64_JUMP_SLOT
#define TYPE_GOT R_X86_64_GLOB_DAT
#elif defined(__aarch64__)
#define TYPE_PLT R_AARCH64_JUMP_SLOT
#define TYPE_GOT R_AARCH64_GLOB_DAT
#elif defined(__riscv)
#define TYPE_PLT R_RISCV_JUMP_SLOT
#elif defined(__powerpc64__) && defined(_CALL_ELF) && _CALL_ELF == 2
#define TYPE_PLT R_PPC64_JMP_SLOT
#define TYPE_GOT R_PPC64_GLOB_DAT
#elif defined(__s390x__)
#define TYPE_PLT R_390_JMP_SLOT
#define TYPE_GOT R_390_GLOB_DAT
#else
#define TYPE_PLT UINT32_MAX /* None: no slot is found, and the self-tests fail. */
#endif
#ifndef TYPE_GOT
#define TYPE_GOT TYPE_PLT
#endif

#define MAX_SETS 2
#define MAX_TRIES 100
#define LAZY_PAUSE_NS 1000000

static linux_got_set_t *_Atomic sets[MAX_SETS];

/* The loader's count of objects loaded, when all sets that are on were last seen through. */
static _Atomic uint64_t seen_adds;

/* Any address in libc. Written before the first slot is. */
static _Atomic uintptr_t libc_address;

/* ---- Objects: what their dynamic section says --------------------------------------------------- */

typedef struct table_t {
    uintptr_t start;
    size_t size;
    size_t entry; /* Bytes of one: Rela or Rel. Both begin with the same two words. */
} table_t;

typedef struct object_t {
    const char *name;
    uintptr_t bias, start, end;
    uintptr_t relro_start, relro_end; /* Whole pages, as ld.so protects them. */
    const ElfW(Dyn) *dynamic;
    const ElfW(Sym) *symbols;
    const char *strings;
    table_t plt, rela, rel;
    const uintptr_t *pltgot;
} object_t;

static void note_segment(object_t *object, const ElfW(Phdr) * segment)
{
    const uintptr_t start = object->bias + segment->p_vaddr;
    const uintptr_t end = start + segment->p_memsz;

    if (segment->p_type == PT_LOAD) {
        object->start = object->end == 0 || start < object->start ? start : object->start;
        object->end = end > object->end ? end : object->end;
    } else if (segment->p_type == PT_DYNAMIC) {
        object->dynamic = (const ElfW(Dyn) *) start;
    } else if (segment->p_type == PT_GNU_RELRO) {
        object->relro_start = linux_round_down(start, LINUX_PAGE);
        object->relro_end = linux_round_down(end, LINUX_PAGE);
    }
}

/* ld.so adds the bias to most of these in place; not everywhere, and not for the vDSO. */
static uintptr_t pointer_of(const object_t *object, const ElfW(Dyn) * entry)
{
    const uintptr_t value = entry->d_un.d_ptr;

    return value >= object->start && value < object->end ? value : object->bias + value;
}

static void note_entry(object_t *object, const ElfW(Dyn) * entry, bool *plt_is_rela)
{
    switch (entry->d_tag) {
    case DT_SYMTAB:
        object->symbols = (const ElfW(Sym) *) pointer_of(object, entry);
        break;
    case DT_STRTAB:
        object->strings = (const char *) pointer_of(object, entry);
        break;
    case DT_PLTGOT:
        object->pltgot = (const uintptr_t *) pointer_of(object, entry);
        break;
    case DT_PLTREL:
        *plt_is_rela = entry->d_un.d_val == DT_RELA;
        break;
    case DT_JMPREL:
        object->plt.start = pointer_of(object, entry);
        break;
    case DT_PLTRELSZ:
        object->plt.size = entry->d_un.d_val;
        break;
    case DT_RELA:
        object->rela.start = pointer_of(object, entry);
        break;
    case DT_RELASZ:
        object->rela.size = entry->d_un.d_val;
        break;
    case DT_REL:
        object->rel.start = pointer_of(object, entry);
        break;
    case DT_RELSZ:
        object->rel.size = entry->d_un.d_val;
        break;
    default: /* DT_RELR has no symbols. */
        break;
    }
}

/* @return false: no slots. Hook context. */
static bool read_object(object_t *object, const char *name, uintptr_t bias, const ElfW(Phdr) * segments,
                        size_t count)
{
    bool plt_is_rela = true;

    *object = (object_t){ .name = name, .bias = bias };
    for (size_t i = 0; i < count; i++) {
        note_segment(object, &segments[i]);
    }
    if (object->dynamic == NULL) {
        return false;
    }
    for (const ElfW(Dyn) *entry = object->dynamic; entry->d_tag != DT_NULL; entry++) {
        note_entry(object, entry, &plt_is_rela);
    }
    object->plt.entry = plt_is_rela ? sizeof(ElfW(Rela)) : sizeof(ElfW(Rel));
    object->rela.entry = sizeof(ElfW(Rela));
    object->rel.entry = sizeof(ElfW(Rel));
    return object->symbols != NULL && object->strings != NULL;
}

static bool has_address(const object_t *object, uintptr_t address)
{
    return address >= object->start && address < object->end;
}

/* ---- Slots --------------------------------------------------------------------------------------- */

/* One word of an object, and the function that it belongs to. */
typedef struct slot_t {
    uintptr_t *word;
    const linux_got_symbol_t *symbol;
    const ElfW(Sym) * entry;
} slot_t;

static uint64_t letter_of(const char *name)
{
    return UINT64_C(1) << ((unsigned char) name[0] & 63);
}

/* By hand: strcmp may use vector registers, and the compiler knows this loop as well. */
static bool is_same(const volatile char *a, const char *b)
{
    while (*a == *b && *b != '\0') {
        a++;
        b++;
    }
    return *a == *b;
}

static const linux_got_symbol_t *find_symbol(const linux_got_set_t *set, const char *name)
{
    if ((set->letters & letter_of(name)) == 0) {
        return NULL;
    }
    for (size_t i = 0; i < set->count; i++) {
        const linux_got_symbol_t *symbol = &set->symbols[i];

        if (is_same(name, symbol->name)) {
            return atomic_load_explicit(&symbol->real, memory_order_relaxed) != 0
                           && !atomic_load_explicit(&symbol->is_left_alone, memory_order_relaxed)
                       ? symbol
                       : NULL;
        }
    }
    return NULL;
}

static bool read_slot(const object_t *object, const ElfW(Rel) * relocation, const linux_got_set_t *set,
                      slot_t *slot)
{
    const uint32_t type = (uint32_t) ELF64_R_TYPE(relocation->r_info);
    const size_t index = ELF64_R_SYM(relocation->r_info);
    const uintptr_t address = object->bias + relocation->r_offset;

    if ((type != TYPE_PLT && type != TYPE_GOT) || index == 0 || address % sizeof(uintptr_t) != 0) {
        return false;
    }
    slot->entry = &object->symbols[index];
    slot->symbol = find_symbol(set, object->strings + slot->entry->st_name);
    slot->word = (uintptr_t *) address;
    return slot->symbol != NULL;
}

typedef void (*visit_slot_fn_t)(const object_t *object, const slot_t *slot, void *arg);

static void each_slot_of(const object_t *object, const table_t *table, const linux_got_set_t *set,
                         visit_slot_fn_t visit, void *arg)
{
    slot_t slot;

    for (size_t at = 0; at + table->entry <= table->size; at += table->entry) {
        if (read_slot(object, (const ElfW(Rel) *) (table->start + at), set, &slot)) {
            visit(object, &slot, arg);
        }
    }
}

static void each_slot(const object_t *object, const linux_got_set_t *set, visit_slot_fn_t visit, void *arg)
{
    /* Some linkers let DT_RELA end with the table of the PLT. What is seen twice does no harm. */
    each_slot_of(object, &object->plt, set, visit, arg);
    each_slot_of(object, &object->rela, set, visit, arg);
    each_slot_of(object, &object->rel, set, visit, arg);
}

typedef enum content_t {
    CONTENT_WRAPPER,
    CONTENT_REAL,
    CONTENT_JUMP,    /* To the function, through a slot of the program: that one is redirected. */
    CONTENT_LAZY,    /* Not resolved yet. */
    CONTENT_PRIVATE, /* A definition of the object's own, or will be resolved to that. */
    CONTENT_FOREIGN,
} content_t;

/* A slot not resolved yet, of an object that has a definition of its own. Which one it will get can be told of libc, which
 * looks everything up in the global scope, and of the object whose definition is the global one. */
static bool is_bound_globally(const object_t *object, const slot_t *slot)
{
    return has_address(object, atomic_load_explicit(&libc_address, memory_order_relaxed))
           || has_address(object, atomic_load_explicit(&slot->symbol->real, memory_order_relaxed));
}

static content_t content_of(const object_t *object, const slot_t *slot, uintptr_t value)
{
    if (value == (uintptr_t) slot->symbol->wrapper) {
        return CONTENT_WRAPPER;
    }
    if (value == atomic_load_explicit(&slot->symbol->real, memory_order_relaxed)) {
        return CONTENT_REAL;
    }
    if (value == slot->symbol->canonical) {
        return CONTENT_JUMP;
    }
    if (!has_address(object, value)) {
        return CONTENT_FOREIGN;
    }
    return slot->entry->st_shndx == SHN_UNDEF || is_bound_globally(object, slot) ? CONTENT_LAZY : CONTENT_PRIVATE;
}

/* ---- One object ---------------------------------------------------------------------------------- */

/* How many slots hold what, and where those are that are to be changed. */
typedef struct census_t {
    size_t count[CONTENT_FOREIGN + 1];
    size_t in_relro; /* Of all but WRAPPER. */
    const char *foreign;
} census_t;

static bool is_in_relro(const object_t *object, const void *word)
{
    return (uintptr_t) word >= object->relro_start && (uintptr_t) word < object->relro_end;
}

static uintptr_t load_word(const uintptr_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void take_census(const object_t *object, const slot_t *slot, void *arg)
{
    census_t *census = arg;
    const content_t content = content_of(object, slot, load_word(slot->word));

    census->count[content]++;
    if (content == CONTENT_REAL || content == CONTENT_LAZY) {
        census->in_relro += is_in_relro(object, slot->word);
    } else if (content == CONTENT_FOREIGN) {
        census->foreign = slot->symbol->name;
    }
}

/* A lazy slot may be resolved by another thread meanwhile. */
static void redirect_slot(const object_t *object, const slot_t *slot, void *arg)
{
    const bool leave_lazy = *(const bool *) arg;
    uintptr_t value = load_word(slot->word);
    content_t content;

    do {
        content = content_of(object, slot, value);
        if (content != CONTENT_REAL && (content != CONTENT_LAZY || leave_lazy)) {
            return;
        }
    } while (!__atomic_compare_exchange_n(slot->word, &value, (uintptr_t) slot->symbol->wrapper, false,
                                          __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

static void restore_slot(const object_t *object, const slot_t *slot, void *arg)
{
    uintptr_t value = (uintptr_t) slot->symbol->wrapper;

    (void) object, (void) arg;
    if (load_word(slot->word) == value) {
        __atomic_compare_exchange_n(slot->word, &value, atomic_load(&slot->symbol->real), false, __ATOMIC_RELEASE,
                                    __ATOMIC_RELAXED);
    }
}

static bool protect_relro(const object_t *object, int prot)
{
    return !linux_failed(
        linux_sys_mprotect(object->relro_start, object->relro_end - object->relro_start, prot));
}

static void note_trouble(linux_got_result_t *result, const object_t *object, const char *symbol)
{
    result->culprit = object->name;
    result->symbol = symbol;
}

static void redirect(const object_t *object, const linux_got_set_t *set, linux_got_result_t *result)
{
    census_t census = { .foreign = NULL };
    bool is_written = true;
    bool leave_lazy;

    each_slot(object, set, take_census, &census);
    leave_lazy = census.count[CONTENT_FOREIGN] != 0;
    if (census.in_relro != 0) {
        is_written = protect_relro(object, PROT_READ | PROT_WRITE);
    }
    if (is_written && census.count[CONTENT_REAL] + census.count[CONTENT_LAZY] != 0) {
        each_slot(object, set, redirect_slot, &leave_lazy);
    }
    if (census.in_relro != 0) {
        protect_relro(object, PROT_READ);
    }
    result->foreign += census.count[CONTENT_FOREIGN] + (leave_lazy ? census.count[CONTENT_LAZY] : 0);
    result->refused += is_written ? 0 : census.count[CONTENT_REAL] + census.count[CONTENT_LAZY];
    result->lazy += leave_lazy ? 0 : census.count[CONTENT_LAZY];
    result->held += census.count[CONTENT_WRAPPER] + (is_written ? census.count[CONTENT_REAL] : 0)
                    + (is_written && !leave_lazy ? census.count[CONTENT_LAZY] : 0);
    if (leave_lazy || !is_written) {
        note_trouble(result, object, census.foreign);
    }
}

static void restore(const object_t *object, const linux_got_set_t *set)
{
    census_t census = { .foreign = NULL };
    const bool has_relro = object->relro_end > object->relro_start;

    each_slot(object, set, take_census, &census);
    if (census.count[CONTENT_WRAPPER] == 0) {
        return;
    }
    /* Should the pages not let themselves be written to any more, the wrappers stay, and pass. */
    if (has_relro && !protect_relro(object, PROT_READ | PROT_WRITE)) {
        return;
    }
    each_slot(object, set, restore_slot, NULL);
    if (has_relro) {
        protect_relro(object, PROT_READ);
    }
}

static void redirect_for_all(const object_t *object, linux_got_result_t *result)
{
    for (size_t i = 0; i < MAX_SETS; i++) {
        const linux_got_set_t *set = atomic_load(&sets[i]);

        if (set != NULL && atomic_load(&set->is_on)) {
            redirect(object, set, result);
        }
    }
}

/* ---- All objects ---------------------------------------------------------------------------------- */

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
    object_t object;

    (void) size;
    if (info->dlpi_adds != walk->counters.adds || info->dlpi_subs != walk->counters.subs) {
        return 1;
    }
    if (read_object(&object, info->dlpi_name, info->dlpi_addr, info->dlpi_phdr, info->dlpi_phnum)) {
        if (walk->restored != NULL) {
            restore(&object, walk->restored);
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
        set->letters |= letter_of(set->symbols[i].name);
    }
    atomic_store(&libc_address, linux_got_lookup("gnu_get_libc_version"));
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
    object_t object;

    (void) size;
    read_object(&object, info->dlpi_name, info->dlpi_addr, info->dlpi_phdr, info->dlpi_phnum);
    return has_address(&object, *address) ? 1 : -1; /* The program is the first, and the only one of interest. */
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

static void match_jump(const object_t *object, const slot_t *slot, void *arg)
{
    jump_search_t *search = arg;

    search->is_found |= slot->entry->st_shndx == SHN_UNDEF && slot->entry->st_value != 0
                        && object->bias + slot->entry->st_value == search->jump;
}

static int find_jump(struct dl_phdr_info *info, size_t size, void *arg)
{
    jump_search_t *search = arg;
    linux_got_symbol_t symbol = { .name = search->name, .real = 1 };
    const linux_got_set_t set = { .symbols = &symbol, .count = 1, .letters = letter_of(search->name) };
    object_t object;

    (void) size;
    if (read_object(&object, info->dlpi_name, info->dlpi_addr, info->dlpi_phdr, info->dlpi_phnum)
        && has_address(&object, search->jump)) {
        each_slot(&object, &set, match_jump, search);
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
static bool is_in_main_namespace(const object_t *object)
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
    const ElfW(Phdr) *segments;
    linux_got_result_t result = { .culprit = NULL };
    object_t object;

    if (end - start < LINUX_PAGE || *(const uint32_t *) start != *(const uint32_t *) ELFMAG || header->e_phnum == 0
        || header->e_phoff + header->e_phnum * sizeof(*segments) > end - start) {
        return;
    }
    segments = (const ElfW(Phdr) *) (start + header->e_phoff);
    /* The first segment is mapped at start; positions in the file below its size are addresses. */
    for (size_t i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_type == PT_LOAD) {
            const uintptr_t bias = start - linux_round_down(segments[i].p_vaddr, LINUX_PAGE);

            if (read_object(&object, "", bias, segments, header->e_phnum)) {
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
