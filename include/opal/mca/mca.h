/* SPDX-License-Identifier: BSD-3-Clause */
/** @file
 * The component structure that every component of every framework starts with.
 *
 * A component is a variable `mca_<framework>_<component>_component` whose first
 * member is a mca_base_component_t. It is linked into the library, added by the
 * program (mca_base_component_add_static()), or lies in a DSO
 * `mca_<framework>_<component>.so`; the source is the same.
 *
 * **Life.** mca_register_component_params, mca_open_component,
 * mca_query_component, use, mca_close_component; all by the thread that is in
 * opalmem_init() or opalmem_finalize(), one component after the other. After an
 * error of one of the first three the next are not called, and close is called
 * only if open has succeeded. A DSO is unloaded after close, its variables are
 * taken out of its memory before. It stays loaded if it is RESIDENT, if a memory
 * hook or a log callback of it is still registered, or if the framework says so
 * (a cache of it is left). So every part may run again after the next init, in
 * the same memory or in a fresh copy.
 *
 * **Versions.** What is fixed here is version 2.0.0 of the MCA. This library
 * takes components of exactly this major and minor version of the MCA and of
 * their framework, and of any version of their own.
 *
 * - A *release* of a framework changes no structure.
 * - Within 2.0 no member of a component structure moves, changes its meaning or
 *   its size. The reserved bytes stay zero.
 * - Module structures begin with struct_size, sizeof at the component's
 *   compilation. New members come at their end only, and zero means that there
 *   is none: a shorter structure is accepted, what it lacks reads as zero. A
 *   longer one comes from a later version, may ask for what this library cannot
 *   do, and is refused.
 * - Structures that a component is given (resources) have reserved members for
 *   what comes later; they are zero until then.
 * - A new member of a component structure, a new required function, or another
 *   meaning of an old one makes a new major version of the framework; a change of
 *   mca_base_component_t makes a new major version of the MCA.
 *
 * **Usual priorities** (0 to 100; the user's variable
 * <framework>_<component>_priority wins):
 *
 * | framework | component | priority | because |
 * |---|---|---|---|
 * | memory | noop | 0 | notices nothing |
 * | memory | polled, mainline kernel (userfaultfd) | 40 | asks at each lookup |
 * | memory | linux | 80 | notices before the pages go |
 * | memory | ummunotify | 85 | the kernel tells, where there is the device |
 * | memory | kdreg | 90 | the kernel tells, and each registration has its generation; linux runs beside it |
 * | rcache | grdma | 50 | serves every provider |
 * | rcache | one that is made for a device | 60 to 90 | serves that one better |
 *
 * Of equal priorities the name that comes first in the order of bytes wins.
 */
#ifndef OPAL_MCA_MCA_H
#define OPAL_MCA_MCA_H

#include <stdint.h>

#include "opal/constants.h"

BEGIN_C_DECLS

/** What a component's query function hands out; each framework defines its own. */
typedef struct mca_base_module_2_0_0_t mca_base_module_t;

/** Start using the component.
 * @retval OPAL_SUCCESS
 * @retval OPAL_ERR_NOT_AVAILABLE  Not here; mca_base_component_set_reason() has been told why. Other codes likewise.
 */
typedef int (*mca_base_open_component_fn_t)(void);

/** Stop using it. Called once for each successful open; what open and query have got is given back here.
 * @return OPAL_SUCCESS; another code is told at a high verbosity, and changes nothing.
 */
typedef int (*mca_base_close_component_fn_t)(void);

/** Can the component run here, and how much does it want to?
 * @param[out] module    The framework's module structure; NULL where the framework allows it. Lives until close.
 * @param[out] priority  0 to 100 (else cut, with a warning); see the usual priorities above.
 * @retval OPAL_SUCCESS            It can.
 * @retval OPAL_ERR_NOT_AVAILABLE  It cannot; mca_base_component_set_reason() has been told why. Other codes likewise.
 */
typedef int (*mca_base_query_component_fn_t)(mca_base_module_t **module, int *priority);

/** Register the component's variables (mca_base_var_register()), under the names of framework and component.
 * A variable "priority" that is not registered here is registered by the base.
 * @return OPAL_SUCCESS; another code, and the component cannot run. A user's setting that was refused makes
 *     opalmem_init() fail, whatever is returned.
 */
typedef int (*mca_base_register_component_fn_t)(void);

#define MCA_BASE_MAX_TYPE_NAME_LEN 31
#define MCA_BASE_MAX_COMPONENT_NAME_LEN 63

/** Common part of all components. The component fills in every member, in its initialiser; the library only reads.
 * A function that is NULL counts as one that returns OPAL_SUCCESS. */
typedef struct mca_base_component_2_0_0_t {
    int mca_major_version; /**< These three by MCA_BASE_VERSION_2_0_0: 2, 0, 0. Major and minor must fit. */
    int mca_minor_version;
    int mca_release_version;
    /** Framework ("memory"); it and its version by OPAL_MEMORY_BASE_VERSION_2_0_0 and the like. Must fit, but for
     * the release. */
    char mca_type_name[MCA_BASE_MAX_TYPE_NAME_LEN + 1];
    int mca_type_major_version;
    int mca_type_minor_version;
    int mca_type_release_version;
    /** As in the names of variable and file. Not empty; no blank, comma, plus or caret; usually a-z, 0-9 and '_'. */
    char mca_component_name[MCA_BASE_MAX_COMPONENT_NAME_LEN + 1];
    int mca_component_major_version; /**< The component's own three, for listings. */
    int mca_component_minor_version;
    int mca_component_release_version;
    mca_base_open_component_fn_t mca_open_component;                /**< NULL allowed. */
    mca_base_close_component_fn_t mca_close_component;              /**< NULL allowed. */
    mca_base_query_component_fn_t mca_query_component;              /**< NULL: priority 0, module NULL. */
    mca_base_register_component_fn_t mca_register_component_params; /**< NULL: no variables of its own. */
    int32_t flags;     /**< OR of MCA_BASE_COMPONENT_FLAG_*; usually 0. */
    char reserved[28]; /**< Zero. */
} mca_base_component_2_0_0_t;
typedef mca_base_component_2_0_0_t mca_base_component_t;

/** Kept from MCA 2.0.0; not read here. */
typedef struct mca_base_component_data_2_0_0_t {
    uint32_t param_field; /**< 0. */
    char reserved[32];    /**< Zero. */
} mca_base_component_data_2_0_0_t;
typedef mca_base_component_data_2_0_0_t mca_base_component_data_t;

/** flags: an error of this component (register, open or query) is an error of opalmem_init(). */
#define MCA_BASE_COMPONENT_FLAG_REQUIRED 1

/** flags: never unload the DSO (it has patched code, or leaves pointers to itself that are no memory hooks). */
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
