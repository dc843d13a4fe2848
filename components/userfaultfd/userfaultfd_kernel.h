/* SPDX-License-Identifier: BSD-3-Clause */
/* What the component asks of the kernel, one function a question. None takes a
 * lock or allocates; each may be called from every thread that may make system
 * calls. */
#ifndef COMPONENTS_USERFAULTFD_USERFAULTFD_KERNEL_H
#define COMPONENTS_USERFAULTFD_USERFAULTFD_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "components/userfaultfd/userfaultfd_file.h"

typedef struct uffd_kernel_t {
    uffd_file_t events;  /* userfaultfd, does not block. */
    uffd_file_t pagemap; /* /proc/self/pagemap. */
    uffd_file_t maps;    /* /proc/self/maps. */
} uffd_kernel_t;

#define UFFD_NO_KERNEL                           \
    {                                            \
        UFFD_NO_FILE, UFFD_NO_FILE, UFFD_NO_FILE \
    }

/** Which system call said no, and with what. */
typedef struct uffd_fault_t {
    const char *what;
    int error; /* A positive errno. */
} uffd_fault_t;

/** Open all three, close-on-exec and with high numbers.
 * @param[in] features  OR of UFFD_FEATURE_EVENT_*.
 * @retval OPAL_SUCCESS / OPAL_ERR_NOT_AVAILABLE  Nothing is open, and *fault says why. */
int uffd_kernel_open(uffd_kernel_t *kernel, uint64_t features, uffd_fault_t *fault);
void uffd_kernel_close(uffd_kernel_t *kernel);

/** Register whole mappings. @return 0 or a negative errno: -EBUSY: another userfaultfd has a part of it. */
int uffd_kernel_register(const uffd_kernel_t *kernel, uintptr_t start, uintptr_t end);
int uffd_kernel_unregister(const uffd_kernel_t *kernel, uintptr_t start, uintptr_t end);

/** Is a release of registered memory under way? */
typedef enum uffd_busy_t {
    UFFD_CALM,
    UFFD_BUSY,
    UFFD_LOST /* The descriptor is not ours any more. */
} uffd_busy_t;
uffd_busy_t uffd_kernel_busy(const uffd_kernel_t *kernel);

/** Is each mapping in the range one that was registered? Holes are not looked at. */
bool uffd_kernel_tagged(const uffd_kernel_t *kernel, uintptr_t start, uintptr_t end);

/** Unregister a range within one mapping, if it is ours. */
void uffd_kernel_give_back(const uffd_kernel_t *kernel, uintptr_t start, uintptr_t end);

/** Does the kernel refuse to unregister what another userfaultfd has registered? False until the self-test has seen it. */
extern bool uffd_kernel_protects_others;

/** Unregister a range of which something is ours, if nothing is another userfaultfd's. What is nobody's may be registered for
 * a moment. */
void uffd_kernel_give_up(const uffd_kernel_t *kernel, uintptr_t start, uintptr_t end);

/** Is there a hole in the range? */
bool uffd_kernel_has_hole(uintptr_t start, uintptr_t end);

typedef struct uffd_vma_t {
    uintptr_t start, end;
    bool is_shared;
    uint64_t memory; /* Of another object, or another part of it, it is another number; 0: private memory. */
    bool is_file;    /* Of a file that somebody can cut: not one that the kernel made for shared memory alone. */
} uffd_vma_t;

/** The mapping that holds an address, or the next one behind it. @return Is there any? */
bool uffd_kernel_vma(const uffd_kernel_t *kernel, uintptr_t addr, uffd_vma_t *vma);

/** By reading /proc/self/maps, from its beginning: for kernels without PROCMAP_QUERY. */
bool uffd_maps_find(uintptr_t addr, uffd_vma_t *vma);

/** Names the memory of a mapping. It stays the same when the mapping is split or merged. */
uint64_t uffd_maps_memory(const uffd_vma_t *vma, uint64_t offset, uint64_t device, uint64_t inode);

/** Is it the name (of /proc/self/maps) of a file that can be cut? Not those of System V segments, and of anonymous
 * memory that is shared or of huge pages. */
bool uffd_maps_is_file(const char *name);

#endif
