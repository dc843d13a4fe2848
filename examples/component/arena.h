/* SPDX-License-Identifier: BSD-3-Clause */
/* An allocator of a program, with blocks of one size in a mapping of its own. It gives the pages of a free
 * block back by a system call that no memory hook sees, and so it offers a way to be told: whoever wants to know
 * of releases puts a function around them.
 *
 * A component cannot link the program that loads it: it asks the loader for the symbol `arena_interface`. The
 * program has to export it (link with -rdynamic). */
#ifndef ARENA_H
#define ARENA_H

#include <stddef.h>

#define ARENA_BLOCK_SIZE ((size_t) 64 << 10)

/** Gives the pages of a block back. @return 0, or -1 with errno. */
typedef int(arena_release_fn_t)(void *start, size_t length);

/** Called in place of release, which it has to call. Any thread; the arena holds no lock. */
typedef int(arena_around_fn_t)(void *start, size_t length, arena_release_fn_t *release);

#define ARENA_INTERFACE_VERSION 1

typedef struct arena_interface_t {
    unsigned version; /**< ARENA_INTERFACE_VERSION */
    /** A block of ARENA_BLOCK_SIZE bytes, all zero, or NULL. */
    void *(*take)(void);
    /** Give a block back. */
    void (*give)(void *block);
    /** Put a function around each release; NULL: none. @return The one before. */
    arena_around_fn_t *(*watch)(arena_around_fn_t *around);
} arena_interface_t;

extern const arena_interface_t arena_interface;

#endif
