/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory component "userfaultfd": the kernel tells of releases, and is asked at
 * each lookup. This file is what the framework sees of it. */
#include <stdlib.h>

#include "components/userfaultfd/userfaultfd.h"
#include "components/userfaultfd/userfaultfd_sys.h"
#include "opal/mca/memory/memory.h"
#include "opal/memoryhooks/memory.h"

static int component_priority = 40;

static int enable(void);
static int disable(void);

static opal_memory_base_module_t module = {
    .struct_size = sizeof(module),
    .flags = OPAL_MEMORY_MODULE_POLLED | OPAL_MEMORY_MODULE_SLOW_VALID,
    .counter = &uffd_counter,
    .watch = uffd_watch,
    .unwatch = uffd_unwatch,
    .valid = uffd_valid,
    .enable = enable,
    .disable = disable,
};

/* What the self-test has shown. Discards are seen but for MADV_GUARD_INSTALL and UFFDIO_MOVE, so they are not claimed; segments
 * neither: nobody tells when they go, a lookup finds out. */
static int enable(void)
{
    int rc = uffd_selftest();

    uffd_settings.keeps_files = uffd_settings.files == UFFD_FILES_AUTO
                                    ? (opal_memory_base_sees() & OPAL_MEMORY_SEES_FILE) != 0
                                    : uffd_settings.files == UFFD_FILES_ALWAYS;

    if (rc == OPAL_SUCCESS) {
        rc = uffd_state_map();
    }
    if (rc == OPAL_SUCCESS) {
        module.support = OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_CHUNK_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT;
        module.sees = OPAL_MEMORY_SEES_LIBC | OPAL_MEMORY_SEES_RAW | OPAL_MEMORY_SEES_SYSCALL;
    }
    return rc;
}

static int disable(void)
{
    if (uffd_state != NULL) {
        uffd_handover_end();
        uffd_stop(uffd_state);
        uffd_state_unmap();
    }
    module.support = 0;
    module.sees = 0;
    return OPAL_SUCCESS;
}

/* Is there anything to work with? Nothing is changed. */
static int query(mca_base_module_t **out_module, int *priority)
{
    uffd_kernel_t kernel;
    uffd_fault_t fault;

    if (uffd_kernel_open(&kernel, uffd_features(), &fault) != OPAL_SUCCESS) {
        return uffd_say(&fault);
    }
    uffd_kernel_close(&kernel);
    *out_module = (mca_base_module_t *) &module;
    *priority = component_priority;
    return OPAL_SUCCESS;
}

/* ---- Variables ------------------------------------------------------------------------------------- */

static const mca_base_var_enum_value_t unmap_values[] = {
    { "event", UFFD_UNMAP_EVENT },
    { "tag", UFFD_UNMAP_TAG },
    { NULL, 0 },
};

static const mca_base_var_enum_value_t lookup_values[] = {
    { "auto", UFFD_LOOKUP_AUTO },
    { "event", UFFD_LOOKUP_EVENT },
    { "both", UFFD_LOOKUP_BOTH },
    { NULL, 0 },
};

static const mca_base_var_enum_value_t files_values[] = {
    { "auto", UFFD_FILES_AUTO },
    { "always", UFFD_FILES_ALWAYS },
    { "never", UFFD_FILES_NEVER },
    { NULL, 0 },
};

static const mca_base_var_def_t variables[] = {
    { .name = "priority",
      .help = "Priority of the component that the kernel tells by userfaultfd.",
      .type = MCA_BASE_VAR_TYPE_INT,
      .info_level = 5,
      .max = 100,
      .storage = &component_priority },
    { .name = "unmap",
      .help = "How releases of whole mappings are noticed. event: the kernel tells, and the releasing thread "
              "waits until that is "
              "read. tag: only lookups ask, releases cost nothing; memory that is shrunk and grown again in place "
              "(mremap) is not "
              "noticed, so only together with linux (--mca memory linux+userfaultfd).",
      .type = MCA_BASE_VAR_TYPE_ENUM,
      .info_level = 5,
      .enumerator = unmap_values,
      .storage = &uffd_settings.unmap },
    { .name = "lookup",
      .help =
          "What a lookup asks the kernel. event: whether a release is under way. both: whether the mapping is the "
          "one that "
          "was watched, too. auto: both for shared mappings (a System V segment goes without an event) and with "
          "memory_userfaultfd_unmap tag, else event.",
      .type = MCA_BASE_VAR_TYPE_ENUM,
      .info_level = 5,
      .enumerator = lookup_values,
      .storage = &uffd_settings.lookup },
    { .name = "files",
      .help = "Whether registrations of mapped files are kept in caches. The kernel does not tell this component "
              "when a file is "
              "cut or gets a hole. auto: only if another component that runs notices that; always; never.",
      .type = MCA_BASE_VAR_TYPE_ENUM,
      .info_level = 5,
      .enumerator = files_values,
      .storage = &uffd_settings.files },
    { .name = "max_ranges",
      .help = "Most ranges of memory that are registered with the kernel at a time; 0: a sixteenth of "
              "vm.max_map_count. What "
              "exceeds it is not kept in caches.",
      .type = MCA_BASE_VAR_TYPE_SIZE_T,
      .info_level = 6,
      .storage = &uffd_settings.max_ranges },
    { .name = "min_size",
      .help = "Registrations of fewer bytes are not kept in caches: where registering costs less than asking at "
              "each lookup. 0: "
              "all are kept.",
      .type = MCA_BASE_VAR_TYPE_SIZE_T,
      .info_level = 6,
      .storage = &uffd_settings.min_size },
};

static int register_params(void)
{
    int rc = OPAL_SUCCESS;

    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]) && rc == OPAL_SUCCESS; i++) {
        mca_base_var_def_t def = variables[i];

        def.framework = "memory";
        def.component = "userfaultfd";
        rc = mca_base_var_register(&def);
    }
    return rc;
}

MCA_BASE_COMPONENT_DECLSPEC extern const opal_memory_base_component_t mca_memory_userfaultfd_component;
const opal_memory_base_component_t mca_memory_userfaultfd_component = {
    .memoryc_version = {
        OPAL_MEMORY_BASE_VERSION_2_0_0,
        .mca_component_name = "userfaultfd",
        .mca_component_major_version = OPALMEM_VERSION_MAJOR,
        .mca_component_minor_version = OPALMEM_VERSION_MINOR,
        .mca_component_release_version = OPALMEM_VERSION_RELEASE,
        .mca_query_component = query,
        .mca_register_component_params = register_params,
    },
    .memoryc_process = uffd_process,
    .memoryc_register = opal_memory_base_component_register_empty,
    .memoryc_deregister = opal_memory_base_component_deregister_empty,
};
