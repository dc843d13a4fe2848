/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of test_linux_early.sh share: a library of its own that gives
 * memory back and counts how often it did since the hooks run, and, for the part
 * that starts the hooks, how that is done and reported. */
#ifndef TEST_LINUX_EARLY_H
#define TEST_LINUX_EARLY_H

#include <stddef.h>

/** Releases are told from others by their length. */
#define EARLY_LENGTH ((size_t) 37 * 4096)

/** Set when the callback is there; then early_release() counts. */
extern int early_is_started;
extern int early_released;

/** Map EARLY_LENGTH bytes and give them back. */
void early_release(void);

#ifdef EARLY_STARTS
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "opal/opalmem.h"

static atomic_int early_seen;

static void early_on_release(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) cbdata, (void) from_alloc;
    early_seen += length == EARLY_LENGTH;
}

/** Start the hooks. With the component noop the callback is refused, and all releases are missed. */
static inline void early_start(void)
{
    if (opalmem_init(NULL, NULL) != OPAL_SUCCESS) {
        fprintf(stderr, "opalmem_init failed\n");
        _Exit(1);
    }
    opal_mem_hooks_register_release(early_on_release, NULL);
    early_is_started = 1;
}

/** End the hooks, and print "seen N of M". Twice does no harm. */
static inline void early_report(void)
{
    if (opalmem_finalize() != OPAL_SUCCESS) {
        fprintf(stderr, "opalmem_finalize failed\n");
        _Exit(1);
    }
    early_is_started = 0;
    early_release(); /* Is told no more. */
    fprintf(stderr, "seen %d of %d\n", atomic_load(&early_seen), early_released);
}
#endif

#endif
