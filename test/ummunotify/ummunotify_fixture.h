/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the component share: the library on the fake driver, or,
 * with OPALMEM_TEST_UMMUNOTIFY_DEVICE=PATH, on a real one; memory to lose; and
 * a record of what was told. */
#ifndef TEST_UMMUNOTIFY_UMMUNOTIFY_FIXTURE_H
#define TEST_UMMUNOTIFY_UMMUNOTIFY_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "opal/opalmem.h"
#include "opal/mca/memory/memory.h"
#include "test/test_main.h"
#include "test/ummunotify/ummunotify_fake.h"

/** Is it a real device? Then the fake is not there, and nothing can be scripted. */
bool on_device(void);

/** Add a test that scripts the fake. On a device it is counted as left out. */
void add_scripted(TCase *tests, const TTest *test, const char *name, int first, int end);
#define ADD_SCRIPTED(tests, test) add_scripted((tests), (test), #test, 0, 1)
#define ADD_SCRIPTED_LOOP(tests, test, first, end) add_scripted((tests), (test), #test, (first), (end))

/** Run it. On a device says how many tests were left out, and why. */
int fixture_run(Suite *suite);

/** Start with the component named ("deaf": one that notices nothing), and listen to releases. @return what opalmem_init() says. */
int fixture_init(const char *component);
/** Start with ummunotify, which must work. */
void fixture_start(void);
/** Stop. Nothing may be left: no region, no device, no descriptor. */
void fixture_stop(void);

/** What the library has said since the last call, whole messages, each with a newline. */
const char *fixture_messages(void);

/* ---- Memory ---------------------------------------------------------------------------------------- */

#define PAGE ((size_t) sysconf(_SC_PAGESIZE))

/** Pages that are there, private ones without a file. */
unsigned char *get_pages(size_t count);
void unmap_pages(unsigned char *start, size_t count);

/** Lose pages, really, in some way; the driver is told of it. */
void lose(ummunotify_kind_t kind, unsigned char *start, size_t pages);

/** Begin to watch pages. */
opal_memory_watch_t watch_pages(unsigned char *start, size_t pages);
void unwatch_pages(unsigned char *start, size_t pages, opal_memory_watch_t *watch);

/** Have delivered what is to be told. */
void sync_now(void);

/* ---- What was told ---------------------------------------------------------------------------------- */

/** Number of releases told since the last forget_told() that overlap the range. */
size_t told(const void *start, size_t length);
/** Has one of them exactly this range? */
bool told_exactly(const void *start, size_t length);
/** Did one say that everything may have changed? */
bool told_everything(void);
void forget_told(void);

#endif
