/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory components that configure linked into the library. */
#include "framework/memory/memory_base.h"

#ifdef OPALMEM_STATIC_MEMORY_KDREG
extern const opal_memory_base_component_t mca_memory_kdreg_component;
#endif
#ifdef OPALMEM_STATIC_MEMORY_LINUX
extern const opal_memory_base_component_t mca_memory_linux_component;
#endif
#ifdef OPALMEM_STATIC_MEMORY_NOOP
extern const opal_memory_base_component_t mca_memory_noop_component;
#endif
#ifdef OPALMEM_STATIC_MEMORY_UMMUNOTIFY
extern const opal_memory_base_component_t mca_memory_ummunotify_component;
#endif
#ifdef OPALMEM_STATIC_MEMORY_USERFAULTFD
extern const opal_memory_base_component_t mca_memory_userfaultfd_component;
#endif

const mca_base_component_t *const opal_memory_base_static_components[] = {
#ifdef OPALMEM_STATIC_MEMORY_KDREG
    &mca_memory_kdreg_component.memoryc_version,
#endif
#ifdef OPALMEM_STATIC_MEMORY_LINUX
    &mca_memory_linux_component.memoryc_version,
#endif
#ifdef OPALMEM_STATIC_MEMORY_NOOP
    &mca_memory_noop_component.memoryc_version,
#endif
#ifdef OPALMEM_STATIC_MEMORY_UMMUNOTIFY
    &mca_memory_ummunotify_component.memoryc_version,
#endif
#ifdef OPALMEM_STATIC_MEMORY_USERFAULTFD
    &mca_memory_userfaultfd_component.memoryc_version,
#endif
    NULL,
};
