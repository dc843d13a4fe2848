/* SPDX-License-Identifier: BSD-3-Clause */
/* Watches of memory that may go without an event: which memory it was. The tag
 * says only that a mapping is registered, and a registered neighbour that grows
 * into the hole has it, too. So a lookup compares the memory as well: the object,
 * and the part of it that is mapped there. */
#include "components/userfaultfd/userfaultfd.h"
#include "opal/mca/memory/memory.h"

/* The words of watches, which never change: which one it is tells where the memory is noted. The first is of all watches that
 * need no note. (Were they constant, the file of the library would hold 256 KiB of zeros.) */
static volatile uint32_t words[UFFD_SHARED_WATCHES + 1];

/* One number for all mappings of the range; splitting one, or merging it with its like, does not change it.
 * @return false: there is a hole. */
static bool memory_of(const uffd_kernel_t *kernel, uintptr_t start, uintptr_t end, uint64_t *memory)
{
    uffd_vma_t vma = { .end = end };
    uint64_t last = 0;

    *memory = 1;
    for (uintptr_t at = start; at < end; at = vma.end) {
        if (!uffd_kernel_vma(kernel, at, &vma) || vma.start > at) {
            return false;
        }
        if (at == start || vma.memory != last) {
            *memory = *memory * UINT64_C(0x9e3779b97f4a7c15) + vma.memory;
        }
        last = vma.memory;
    }
    return true;
}

static uint32_t place_of(const opal_memory_watch_t *watch)
{
    return (uint32_t) (watch->generation - words);
}

bool uffd_shared_note(uffd_state_t *state, uintptr_t start, uintptr_t end, bool is_shared,
                      opal_memory_watch_t *watch)
{
    uffd_shared_t *shared = &state->shared;
    uint64_t memory;

    watch->generation = &words[0];
    watch->expected = 0;
    if (!is_shared) {
        return true;
    }
    if (!memory_of(&state->kernel, start, end, &memory)) {
        return false;
    }
    const uint32_t place = shared->free != 0 ? shared->free : shared->used + 1;
    if (place > UFFD_SHARED_WATCHES) {
        return false;
    }
    if (shared->free != 0) {
        shared->free = (uint32_t) atomic_load_explicit(&shared->memory[place], memory_order_relaxed);
    } else {
        shared->used++;
    }
    atomic_store_explicit(&shared->memory[place], memory, memory_order_release);
    watch->generation = &words[place];
    return true;
}

void uffd_shared_forget(uffd_state_t *state, const opal_memory_watch_t *watch)
{
    const uint32_t place = place_of(watch);

    if (place != 0 && place <= state->shared.used) {
        atomic_store_explicit(&state->shared.memory[place], state->shared.free, memory_order_relaxed);
        state->shared.free = place;
    }
}

bool uffd_shared_is_noted(const opal_memory_watch_t *watch)
{
    return watch->generation != &words[0];
}

bool uffd_shared_holds(uffd_state_t *state, uintptr_t start, uintptr_t end, const opal_memory_watch_t *watch)
{
    uint64_t memory;

    return memory_of(&state->kernel, start, end, &memory)
           && atomic_load_explicit(&state->shared.memory[place_of(watch)], memory_order_acquire) == memory;
}
