/* SPDX-License-Identifier: BSD-3-Clause */
/* Provider verbs: finding libibverbs and its functions at run time (why it is not
 * linked: verbs.h), and the variables rcache_verbs_*. */
#include <dlfcn.h>
#include <string.h>

#include "opal/mca/base/base.h"
#include "opal/mca/base/var.h"
#include "rcache/providers/verbs.h"

#define DEFAULT_LIBRARY "libibverbs.so.1"

/* ---- Variables ---------------------------------------------------------------------------------- */

verbs_settings_t mca_rcache_verbs_settings = { .library = (char *) DEFAULT_LIBRARY };

static const mca_base_var_enum_value_t fork_safety_values[] = {
    { "auto", VERBS_FORK_AUTO },
    { "no", VERBS_FORK_NO },
    { "yes", VERBS_FORK_YES },
    { NULL, 0 },
};

static const mca_base_var_def_t variables[] = {
    { .framework = "rcache",
      .component = "verbs",
      .name = "library",
      .help = "File of libibverbs, as dlopen(3) takes it.",
      .type = MCA_BASE_VAR_TYPE_STRING,
      .info_level = 9,
      .storage = &mca_rcache_verbs_settings.library },
    { .framework = "rcache",
      .component = "verbs",
      .name = "device",
      .help = "RDMA device (as ibv_devices lists it); empty: the first that has an active port, else the first.",
      .type = MCA_BASE_VAR_TYPE_STRING,
      .info_level = 3,
      .storage = &mca_rcache_verbs_settings.device },
    { .framework = "rcache",
      .component = "verbs",
      .name = "relaxed_ordering",
      .help = "Let the device write the bytes of a message in any order, where it can. Not for programs that wait "
              "for data by looking at memory.",
      .type = MCA_BASE_VAR_TYPE_BOOL,
      .info_level = 5,
      .storage = &mca_rcache_verbs_settings.relaxed_ordering },
    { .framework = "rcache",
      .component = "verbs",
      .name = "on_demand",
      .help =
          "Register without pinning (on-demand paging), where the device can; elsewhere memory is pinned, after "
          "a warning.",
      .type = MCA_BASE_VAR_TYPE_BOOL,
      .info_level = 5,
      .storage = &mca_rcache_verbs_settings.on_demand },
    { .framework = "rcache",
      .component = "verbs",
      .name = "fork_safety",
      .help = "Keep registered memory from fork children (ibv_fork_init): auto (where the kernel does not copy "
              "pinned pages at fork, before Linux 5.12), no, yes (or fail).",
      .type = MCA_BASE_VAR_TYPE_ENUM,
      .info_level = 5,
      .enumerator = fork_safety_values,
      .storage = &mca_rcache_verbs_settings.fork_safety },
};

int mca_rcache_verbs_register_variables(void)
{
    int rc = OPAL_SUCCESS;
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]) && rc == OPAL_SUCCESS; i++) {
        rc = mca_base_var_register(&variables[i]);
    }
    return rc;
}

/* ---- The library -------------------------------------------------------------------------------- */

static int find_function(void *handle, const char *file, const char *name, void **function)
{
    *function = dlsym(handle, name);
    if (*function == NULL) {
        mca_base_log(MCA_BASE_LOG_ERROR,
                     "provider verbs: %s has no function %s: it is no libibverbs of version 1.1 "
                     "or later",
                     file, name);
        return OPAL_ERR_NOT_AVAILABLE;
    }
    return OPAL_SUCCESS;
}

int mca_rcache_verbs_load(verbs_library_t *library)
{
    const char *file = mca_base_var_load(mca_rcache_verbs_settings.library);
    file = file == NULL || file[0] == '\0' ? DEFAULT_LIBRARY : file;
    /* It never goes: its drivers, and contexts that a program has made with it, point into it. */
    void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle == NULL) {
        mca_base_log(MCA_BASE_LOG_ERROR,
                     "provider verbs: libibverbs cannot be loaded: %s (Debian packages: "
                     "libibverbs1, ibverbs-providers; variable rcache_verbs_library)",
                     dlerror());
        return OPAL_ERR_NOT_AVAILABLE;
    }
    const struct {
        const char *name;
        void *function;
    } required[] = {
        { "ibv_get_device_list", &library->get_device_list },
        { "ibv_free_device_list", &library->free_device_list },
        { "ibv_get_device_name", &library->get_device_name },
        { "ibv_open_device", &library->open_device },
        { "ibv_close_device", &library->close_device },
        { "ibv_query_port", &library->query_port },
        { "ibv_alloc_pd", &library->alloc_pd },
        { "ibv_dealloc_pd", &library->dealloc_pd },
        { "ibv_reg_mr", &library->reg_mr },
        { "ibv_dereg_mr", &library->dereg_mr },
        { "ibv_fork_init", &library->fork_init },
    };
    int rc = OPAL_SUCCESS;
    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]) && rc == OPAL_SUCCESS; i++) {
        rc = find_function(handle, file, required[i].name, required[i].function);
    }
    *(void **) &library->reg_mr_iova2 = dlsym(handle, "ibv_reg_mr_iova2");
    *(void **) &library->reg_dmabuf_mr = dlsym(handle, "ibv_reg_dmabuf_mr");
    *(void **) &library->is_fork_initialized = dlsym(handle, "ibv_is_fork_initialized");
    return rc;
}
