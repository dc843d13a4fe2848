/* SPDX-License-Identifier: BSD-3-Clause */
/** @file
 * MCA base: variables (var.h), command lines (cmd_line.h), messages and components.
 */
#ifndef OPAL_MCA_BASE_BASE_H
#define OPAL_MCA_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "opal/mca/base/cmd_line.h"
#include "opal/mca/base/var.h"
#include "opal/mca/mca.h"

BEGIN_C_DECLS

/* ---- Messages -------------------------------------------------------------------------------- */

typedef enum mca_base_log_level_t {
    MCA_BASE_LOG_ERROR, /**< The user has to know. */
    MCA_BASE_LOG_WARN,  /**< Likewise, but the library goes on as asked. */
    MCA_BASE_LOG_INFO,  /**< Only with verbosity. */
    MCA_BASE_LOG_DEBUG
} mca_base_log_level_t;

/** Receives whole messages without a newline. May be called from any thread, never from hook context. */
typedef void (*mca_base_log_fn_t)(mca_base_log_level_t level, const char *message, void *arg);

/** Send messages to fn instead of stderr.
 * @param[in] fn   NULL: stderr again.
 */
OPAL_DECLSPEC void mca_base_set_log(mca_base_log_fn_t fn, void *arg);

/** Print one message: "opalmem: " and the text. Not from hook context. */
OPAL_DECLSPEC void mca_base_log(mca_base_log_level_t level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- Components ------------------------------------------------------------------------------ */

/** Say why the component that is being opened or queried cannot run here.
 *
 * One sentence, without a newline: what is missing and what would help. Shown by opalmem-info and
 * where the component was asked for by name. Only from open and query functions.
 */
OPAL_DECLSPEC void mca_base_component_set_reason(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Add a component that is linked into the program to a framework, as if it were one of the library's own.
 *
 * From the next opalmem_init() on, and for every later one: it cannot be taken back. Of components with one name
 * the library's own comes first, then the one that was added first, then DSOs.
 * @param[in] framework  "memory" or "rcache"; a name that no framework has is reported by opalmem_init().
 * @param[in] component  The framework's whole structure begins there (opal_memory_base_component_2_0_0_t,
 *     mca_rcache_base_component_2_0_0_t). Kept, not copied. Whether its versions fit is judged in opalmem_init(), as
 *     for a DSO.
 * @retval OPAL_SUCCESS              Added; also when this very component has been added before.
 * @retval OPAL_EXISTS               Another one of that name has been added to the framework before; it stays.
 * @retval OPAL_ERR_BAD_PARAM        A pointer is NULL, or the component has no name or one that no selection could
 *     hold; after a message.
 * @retval OPAL_ERR_RESOURCE_BUSY    The library runs; after a message.
 * @retval OPAL_ERR_OUT_OF_RESOURCE  No memory.
 * Thread-safe. Not from hook context.
 */
OPAL_DECLSPEC int mca_base_component_add_static(const char *framework, const mca_base_component_t *component);

/** What is known of a component, for listings. Strings live until finalize. */
typedef struct mca_base_component_info_t {
    const char *framework;
    const char *name;
    int version[3];
    const char *path; /**< The DSO's; NULL for a static one. */
    bool selected;
    bool available;     /**< Query said yes. */
    int priority;       /**< Where available. */
    bool failed;        /**< It could not be loaded: reason names the file and the cause. */
    const char *reason; /**< Why it cannot run, or why it was not asked; "" otherwise. */
} mca_base_component_info_t;

/** Number of components found, over all frameworks, those that could not be loaded included. */
OPAL_DECLSPEC size_t mca_base_component_count(void);

/** Describe the index-th one, grouped by framework. @retval OPAL_SUCCESS / OPAL_ERR_NOT_FOUND */
OPAL_DECLSPEC int mca_base_component_get_info(size_t index, mca_base_component_info_t *info);

END_C_DECLS

#endif
