/* SPDX-License-Identifier: BSD-3-Clause */
/* Taking over functions of libc by their names: the slots through which loaded
 * objects call them (GOT entries) are pointed at wrappers of ours.
 *
 * What is reached: each call by name from an object of the main namespace,
 * those of libc.so.6 to its own malloc included. What is not, and stays as it
 * is: pointers in data (a table of functions, what dlsym returned), calls of an
 * object to a function that it defines itself, calls within libc, ld.so's own
 * memory since glibc 2.32 (it keeps such pointers), other namespaces (dlmopen). */
#ifndef COMPONENTS_LINUX_LINUX_GOT_H
#define COMPONENTS_LINUX_LINUX_GOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void (*linux_function_t)(void);

/** One function to be taken over. */
typedef struct linux_got_symbol_t {
    const char *name;
    linux_function_t wrapper; /**< Calls `real`, and never through a slot. */
    const char *alias; /**< Where nobody exports `name` to new programs: the name of the same function. Or NULL. */
    /** Constant once it is not 0: the process's one, that is the first definition in the global scope (libc's, or that
     * of a preloaded allocator). 0: there is none, and nothing calls it. */
    _Atomic uintptr_t real;
    atomic_bool is_left_alone; /**< Not taken over for the time being; changed only while the set is off. */
    uintptr_t canonical; /**< What pointers to it hold: real, or a jump to it in a program that is not PIE. */
} linux_got_symbol_t;

/** Functions that are taken over together. Static; never freed, as slots of others may lead to its wrappers for ever. */
typedef struct linux_got_set_t {
    linux_got_symbol_t *symbols;
    size_t count;
    uint64_t letters; /**< Bits of the names' first letters, to pass by the others quickly. */
    atomic_bool is_on;
} linux_got_set_t;

/** What became of the slots, over all objects. */
typedef struct linux_got_result_t {
    size_t held;         /**< Lead to our wrappers. */
    size_t refused;      /**< Should, but their page cannot be written to. */
    size_t foreign;      /**< Lead to a function that is neither the process's one nor of the object itself. */
    size_t lazy;         /**< Of `held`: had not been resolved yet. */
    const char *culprit; /**< An object with slots refused or foreign, and */
    const char *symbol; /**< the name of one; NULL: none. The first is the loader's: valid until it is unloaded. */
} linux_got_result_t;

/** Find what `real` is. @return Number of functions found. Not from hook context. */
size_t linux_got_resolve(linux_got_set_t *set);

/** The process's function of this name, as linux_got_symbol_t's `real`; 0: there is none. Not from hook context. */
uintptr_t linux_got_lookup(const char *name);

/** Is `address` in the program itself? Calls of a program to its own functions use no slot. Not from hook context. */
bool linux_got_is_in_program(uintptr_t address);

/** Do both addresses lie in the same object? Not from hook context. */
bool linux_got_is_same_object(uintptr_t one, uintptr_t other);

/** The file name of the object that has `address` in it, or "". Not from hook context. */
const char *linux_got_owner(uintptr_t address);

/** Point all slots for the functions of set at their wrappers, and those of objects loaded later, as
 * linux_got_object() and linux_got_refresh() come by them. After linux_got_resolve(). Other threads may be calling the
 * functions. Waits until no thread is loading an object.
 * @retval OPAL_SUCCESS              *result tells.
 * @retval OPAL_ERR_RESOURCE_BUSY    Objects come and go all the time; some slots may lead to wrappers.
 * Not from hook context. One thread at a time. */
int linux_got_install(linux_got_set_t *set, linux_got_result_t *result);

/** Point those slots that lead to our wrappers at the functions. A slot into which somebody else has saved and will put
 * back our wrapper is why wrappers must work for ever. Codes as before. */
int linux_got_remove(linux_got_set_t *set);

/** Has anything been loaded since the last install or refresh? Takes a lock of the loader: not from hook context. */
bool linux_got_is_stale(void);

/** Look at all objects once more, for all sets that are on; *result is theirs together. Any thread. Codes as before. */
int linux_got_refresh(linux_got_result_t *result);

/** An object has just been relocated, and nobody runs its code yet: for the thread that is loading it, when ld.so is about
 * to make its relocated data read-only (or has just done so). Every context of that thread, hook context too.
 * @param[in] start,end  Where it is mapped; start is its ELF header. */
void linux_got_object(uintptr_t start, uintptr_t end);

/** The same for the object that has `address` in it, which is looked up in the list of mappings. */
void linux_got_loaded(uintptr_t address);

#endif
