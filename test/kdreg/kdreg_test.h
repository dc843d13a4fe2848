/* SPDX-License-Identifier: BSD-3-Clause */
/* What the suite of the component "kdreg" shares. The programs run on a fake of
 * the driver, or, with OPALMEM_TEST_KDREG_DEVICE=/dev/kdreg2, on the device: then
 * only the kernel tells of what the functions here release, and scenes that need
 * a script say that they are left out. */
#ifndef TEST_KDREG_KDREG_TEST_H
#define TEST_KDREG_KDREG_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "opal/mca/memory/memory.h"
#include "opal/opalmem.h"
#include "test/children.h"
#include "test/kdreg/kdreg_fake.h"
#include "test/test_main.h"

/** Choose fake or device. @return 0; else the exit status of main(): the device was asked for, and is not there. */
int kdreg_test_prepare(void);

bool kdreg_test_on_device(void);

/** May a scene that needs the fake's script run? Else says that it is left out. */
bool kdreg_test_can_script(const char *what);

/** Let the next opalmem_init() take this component. @param[in] max_regions, limit  0: as by default. */
void kdreg_test_select(size_t max_regions, size_t limit);

/** Can linux run beside it in this program? Else says why scenes are left out. Outside of tests. */
bool kdreg_test_can_have_linux(void);

/** For twins: let the next opalmem_init() take a component that notices nothing. */
void kdreg_test_select_nothing(void);

/** Start the library with the component, and note releases from then on. */
void kdreg_test_start(size_t max_regions, size_t limit);

/** The same with another selection; NULL: as by default. */
void kdreg_test_start_as(const char *selection, size_t max_regions, size_t limit);

/** Stop it: nothing of the device may be left. */
void kdreg_test_stop(void);

/* ---- Memory -------------------------------------------------------------------------------------- */

#define PAGE ((size_t) sysconf(_SC_PAGESIZE))

/** Pages that are there. */
unsigned char *kdreg_test_pages(size_t count);

/** As the calls of the same name; the kernel tells the device, or the fake is told. */
void kdreg_test_munmap(void *start, size_t length);
void kdreg_test_discard(void *start, size_t length);
void kdreg_test_map_over(void *start, size_t length);
/** @return Where it is now. */
void *kdreg_test_mremap(void *start, size_t length);
/** Cut the file of a mapping that begins at `start`. */
void kdreg_test_truncate(int fd, void *start, size_t length);
void kdreg_test_dont_fork(void *start, size_t length);
/** @param[in] is_raw  libc does not hear of it. */
pid_t kdreg_test_fork(bool is_raw);
int kdreg_test_close(int fd);
/** @return Descriptor `to` stands for what `from` does. */
int kdreg_test_dup2(int from, int to);

/* ---- Events -------------------------------------------------------------------------------------- */

/** Watch a range with a new cookie. @return opal_memory_base_watch()'s. */
int kdreg_test_watch(void *start, size_t length, opal_memory_watch_t *watch);

/** Nothing tells of a change of the region. */
bool kdreg_test_is_good(const opal_memory_watch_t *watch);

/** Release callbacks since the last start or forget that covered some byte of the range, and those of everything. */
long kdreg_test_told(const void *start, size_t length);
long kdreg_test_told_everything(void);
void kdreg_test_forget(void);

/** Deliver; with a device whose driver may be late, wait for an event first. */
void kdreg_test_deliver(void);

/** Descriptors of the device in this process, ascending. @return Their number. */
size_t kdreg_test_descriptors(int *fds, size_t room);

#endif
