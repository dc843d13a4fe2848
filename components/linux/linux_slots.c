/* SPDX-License-Identifier: BSD-3-Clause */
/* Finds the slots of a loaded object by its dynamic section, tells what each
 * holds, and changes them (linux_got.c says how, and when that is safe). */
#include "components/linux/linux_slots.h"

#include <sys/mman.h>

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

/* Any address in libc. Written before the first slot is. */
static _Atomic uintptr_t libc_address;

/* ---- Objects: what their dynamic section says --------------------------------------------------- */

static void note_segment(linux_object_t *object, const ElfW(Phdr) * segment)
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
static uintptr_t pointer_of(const linux_object_t *object, const ElfW(Dyn) * entry)
{
    const uintptr_t value = entry->d_un.d_ptr;

    return value >= object->start && value < object->end ? value : object->bias + value;
}

static void note_entry(linux_object_t *object, const ElfW(Dyn) * entry, bool *plt_is_rela)
{
    switch (entry->d_tag) {
    case DT_SYMTAB: object->symbols = (const ElfW(Sym) *) pointer_of(object, entry); break;
    case DT_STRTAB: object->strings = (const char *) pointer_of(object, entry); break;
    case DT_PLTGOT: object->pltgot = (const uintptr_t *) pointer_of(object, entry); break;
    case DT_PLTREL: *plt_is_rela = entry->d_un.d_val == DT_RELA; break;
    case DT_JMPREL: object->plt.start = pointer_of(object, entry); break;
    case DT_PLTRELSZ: object->plt.size = entry->d_un.d_val; break;
    case DT_RELA: object->rela.start = pointer_of(object, entry); break;
    case DT_RELASZ: object->rela.size = entry->d_un.d_val; break;
    case DT_REL: object->rel.start = pointer_of(object, entry); break;
    case DT_RELSZ: object->rel.size = entry->d_un.d_val; break;
    default: /* DT_RELR has no symbols. */ break;
    }
}

/* @return false: no slots. Hook context. */
bool linux_object_read(linux_object_t *object, const char *name, uintptr_t bias, const ElfW(Phdr) * segments,
                       size_t count)
{
    bool plt_is_rela = true;

    *object = (linux_object_t){ .name = name, .bias = bias };
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

bool linux_object_has(const linux_object_t *object, uintptr_t address)
{
    return address >= object->start && address < object->end;
}

/* ---- Slots --------------------------------------------------------------------------------------- */

uint64_t linux_slots_letter(const char *name)
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
    if ((set->letters & linux_slots_letter(name)) == 0) {
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

static bool read_slot(const linux_object_t *object, const ElfW(Rel) * relocation, const linux_got_set_t *set,
                      linux_slot_t *slot)
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

static void each_slot_of(const linux_object_t *object, const linux_table_t *table, const linux_got_set_t *set,
                         linux_visit_slot_fn_t visit, void *arg)
{
    linux_slot_t slot;

    for (size_t at = 0; at + table->entry <= table->size; at += table->entry) {
        if (read_slot(object, (const ElfW(Rel) *) (table->start + at), set, &slot)) {
            visit(object, &slot, arg);
        }
    }
}

void linux_slots_each(const linux_object_t *object, const linux_got_set_t *set, linux_visit_slot_fn_t visit,
                      void *arg)
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

void linux_slots_prepare(uintptr_t libc)
{
    atomic_store(&libc_address, libc);
}

/* A slot not resolved yet, of an object that has a definition of its own. Which one it will get can be told of libc, which
 * looks everything up in the global scope, and of the object whose definition is the global one. */
static bool is_bound_globally(const linux_object_t *object, const linux_slot_t *slot)
{
    return linux_object_has(object, atomic_load_explicit(&libc_address, memory_order_relaxed))
           || linux_object_has(object, atomic_load_explicit(&slot->symbol->real, memory_order_relaxed));
}

static content_t content_of(const linux_object_t *object, const linux_slot_t *slot, uintptr_t value)
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
    if (!linux_object_has(object, value)) {
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

static bool is_in_relro(const linux_object_t *object, const void *word)
{
    return (uintptr_t) word >= object->relro_start && (uintptr_t) word < object->relro_end;
}

static uintptr_t load_word(const uintptr_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void take_census(const linux_object_t *object, const linux_slot_t *slot, void *arg)
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
static void redirect_slot(const linux_object_t *object, const linux_slot_t *slot, void *arg)
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

static void restore_slot(const linux_object_t *object, const linux_slot_t *slot, void *arg)
{
    uintptr_t value = (uintptr_t) slot->symbol->wrapper;

    (void) object, (void) arg;
    if (load_word(slot->word) == value) {
        __atomic_compare_exchange_n(slot->word, &value, atomic_load(&slot->symbol->real), false, __ATOMIC_RELEASE,
                                    __ATOMIC_RELAXED);
    }
}

static bool protect_relro(const linux_object_t *object, int prot)
{
    return !linux_failed(linux_sys_mprotect(object->relro_start, object->relro_end - object->relro_start, prot));
}

static void note_trouble(linux_got_result_t *result, const linux_object_t *object, const char *symbol)
{
    result->culprit = object->name;
    result->symbol = symbol;
}

void linux_slots_redirect(const linux_object_t *object, const linux_got_set_t *set, linux_got_result_t *result)
{
    census_t census = { .foreign = NULL };
    bool is_written = true;
    bool leave_lazy;

    linux_slots_each(object, set, take_census, &census);
    leave_lazy = census.count[CONTENT_FOREIGN] != 0;
    if (census.in_relro != 0) {
        is_written = protect_relro(object, PROT_READ | PROT_WRITE);
    }
    if (is_written && census.count[CONTENT_REAL] + census.count[CONTENT_LAZY] != 0) {
        linux_slots_each(object, set, redirect_slot, &leave_lazy);
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

void linux_slots_restore(const linux_object_t *object, const linux_got_set_t *set)
{
    census_t census = { .foreign = NULL };
    const bool has_relro = object->relro_end > object->relro_start;

    linux_slots_each(object, set, take_census, &census);
    if (census.count[CONTENT_WRAPPER] == 0) {
        return;
    }
    /* Should the pages not let themselves be written to any more, the wrappers stay, and pass. */
    if (has_relro && !protect_relro(object, PROT_READ | PROT_WRITE)) {
        return;
    }
    linux_slots_each(object, set, restore_slot, NULL);
    if (has_relro) {
        protect_relro(object, PROT_READ);
    }
}
