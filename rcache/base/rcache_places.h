/* SPDX-License-Identifier: BSD-3-Clause */
/* Places of the program where it released memory in use: which of them have been reported, and stacks as text. */
#ifndef RCACHE_BASE_RCACHE_PLACES_H
#define RCACHE_BASE_RCACHE_PLACES_H

#include <stdbool.h>
#include <stddef.h>

#include "rcache/base/rcache_stack.h"

/** What became of a place. */
typedef enum mca_rcache_place_t {
    MCA_RCACHE_PLACE_NEW,   /**< Nobody has asked before. */
    MCA_RCACHE_PLACE_KNOWN, /**< Somebody has. */
    MCA_RCACHE_PLACE_LOST   /**< So many are known that this one cannot be kept. */
} mca_rcache_place_t;

/** Is it new? Two stacks are of one place if the call that leads out of the program's own code, into libc or an allocator and
 * from there to us, is the same.
 * Thread-safe. Not from hook context. */
mca_rcache_place_t mca_rcache_place_note(const mca_rcache_stack_t *stack);

/** Stacks as text, a line for each frame, from the first that is not this library's on.
 * @return text. Cut to fit; always ends with a zero. Not from hook context. */
char *mca_rcache_place_describe(const mca_rcache_stack_t *stack, char *text, size_t size);

#endif
