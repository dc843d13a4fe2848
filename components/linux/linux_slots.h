/* SPDX-License-Identifier: BSD-3-Clause */
/* The slots of one loaded object: what linux_got.c knows of ELF. All of it is
 * hook context. */
#ifndef COMPONENTS_LINUX_LINUX_SLOTS_H
#define COMPONENTS_LINUX_LINUX_SLOTS_H

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "components/linux/linux_got.h"

/** Relocations. */
typedef struct linux_table_t {
    uintptr_t start;
    size_t size;
    size_t entry; /* Bytes of one: Rela or Rel. Both begin with the same two words. */
} linux_table_t;

typedef struct linux_object_t {
    const char *name;
    uintptr_t bias, start, end;
    uintptr_t relro_start, relro_end; /* Whole pages, as ld.so protects them. */
    const ElfW(Dyn) * dynamic;
    const ElfW(Sym) * symbols;
    const char *strings;
    linux_table_t plt, rela, rel;
    const uintptr_t *pltgot;
} linux_object_t;

/* One word of an object, and the function that it belongs to. */
typedef struct linux_slot_t {
    uintptr_t *word;
    const linux_got_symbol_t *symbol;
    const ElfW(Sym) * entry;
} linux_slot_t;

/** Read what describes an object. @return false: it has no slots; its extent is filled in all the same. */
bool linux_object_read(linux_object_t *object, const char *name, uintptr_t bias, const ElfW(Phdr) * segments,
                       size_t count);

bool linux_object_has(const linux_object_t *object, uintptr_t address);

typedef void (*linux_visit_slot_fn_t)(const linux_object_t *object, const linux_slot_t *slot, void *arg);

/** Visit each slot for a function of the set, some more than once. */
void linux_slots_each(const linux_object_t *object, const linux_got_set_t *set, linux_visit_slot_fn_t visit,
                      void *arg);

/** Bit of a name's first letter. */
uint64_t linux_slots_letter(const char *name);

/** Before anything is redirected. @param[in] libc  Any address in libc. */
void linux_slots_prepare(uintptr_t libc);

/** Point the slots at their wrappers; adds to *result. */
void linux_slots_redirect(const linux_object_t *object, const linux_got_set_t *set, linux_got_result_t *result);

/** Point those that lead to wrappers at the functions. */
void linux_slots_restore(const linux_object_t *object, const linux_got_set_t *set);

#endif
