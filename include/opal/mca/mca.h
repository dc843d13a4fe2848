/* SPDX-License-Identifier: BSD-3-Clause */
/** @file
 * The component structure that every component of every framework starts with.
 *
 * A component is a variable `mca_<framework>_<component>_component` whose first
 * member is a mca_base_component_t. It is linked into the library or lies in a
 * DSO `mca_<framework>_<component>.so`; the source is the same.
 */
#ifndef OPAL_MCA_MCA_H
#define OPAL_MCA_MCA_H

#include <stdint.h>

#include "opal/constants.h"

BEGIN_C_DECLS

/** What a component's query function hands out; each framework defines its own. */
typedef struct mca_base_module_2_0_0_t mca_base_module_t;

/** Start using the component. OPAL_ERR_NOT_AVAILABLE: not here, and no message. May be NULL. */
typedef int (*mca_base_open_component_fn_t)(void);
/** Stop using it. Called once for each successful open. May be NULL. */
typedef int (*mca_base_close_component_fn_t)(void);
/** Can the component run here, and how much does it want to?
 * @param[out] module    The framework's module structure, or NULL where the framework allows it.
 * @param[out] priority  0 to 100; the highest is selected.
 * @retval OPAL_SUCCESS            It can.
 * @retval OPAL_ERR_NOT_AVAILABLE  It cannot; mca_base_component_set_reason() has been told why.
 */
typedef int (*mca_base_query_component_fn_t)(mca_base_module_t **module, int *priority);
/** Register the component's variables; called before open. May be NULL. */
typedef int (*mca_base_register_component_fn_t)(void);

#define MCA_BASE_MAX_TYPE_NAME_LEN 31
#define MCA_BASE_MAX_COMPONENT_NAME_LEN 63

/** Common part of all components; filled in by the component, constant afterwards. */
typedef struct mca_base_component_2_0_0_t {
    int mca_major_version; /**< These three by MCA_BASE_VERSION_2_0_0. */
    int mca_minor_version;
    int mca_release_version;
    /** Framework; it and its version by OPAL_MEMORY_BASE_VERSION_2_0_0 and the like. */
    char mca_type_name[MCA_BASE_MAX_TYPE_NAME_LEN + 1];
    int mca_type_major_version;
    int mca_type_minor_version;
    int mca_type_release_version;
    char mca_component_name[MCA_BASE_MAX_COMPONENT_NAME_LEN + 1]; /**< No blank, comma, plus or caret. */
    int mca_component_major_version;
    int mca_component_minor_version;
    int mca_component_release_version;
    mca_base_open_component_fn_t mca_open_component;
    mca_base_close_component_fn_t mca_close_component;
    mca_base_query_component_fn_t mca_query_component;
    mca_base_register_component_fn_t mca_register_component_params;
    int32_t flags;
    char reserved[28]; /**< Zero. */
} mca_base_component_2_0_0_t;
typedef mca_base_component_2_0_0_t mca_base_component_t;

/** Kept from MCA 2.0.0; param_field 0. */
typedef struct mca_base_component_data_2_0_0_t {
    uint32_t param_field;
    char reserved[32];
} mca_base_component_data_2_0_0_t;
typedef mca_base_component_data_2_0_0_t mca_base_component_data_t;

/** flags: an error of this component is an error of the framework. */
#define MCA_BASE_COMPONENT_FLAG_REQUIRED 1

/** flags: never unload the DSO (it has patched code, or left pointers to itself). */
#define MCA_BASE_COMPONENT_FLAG_RESIDENT 2

/** Versions of the MCA that a component is written for; first in its initialiser. */
#define MCA_BASE_VERSION_2_0_0 2, 0, 0

/** Before the declaration of the component variable: visible in a DSO, hidden where it is linked in
 * (the library's own components are compiled with MCA_BASE_COMPONENT_IS_STATIC then). */
#ifdef MCA_BASE_COMPONENT_IS_STATIC
#define MCA_BASE_COMPONENT_DECLSPEC __attribute__((visibility("hidden")))
#else
#define MCA_BASE_COMPONENT_DECLSPEC OPAL_DECLSPEC
#endif

END_C_DECLS

#endif
