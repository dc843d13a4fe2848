/* SPDX-License-Identifier: BSD-3-Clause */
/** @file
 * MCA base: variables and messages, as components and tools use them.
 */
#ifndef OPAL_MCA_BASE_BASE_H
#define OPAL_MCA_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "opal/mca/mca.h"

BEGIN_C_DECLS

/* ---- Variables ------------------------------------------------------------------------------- */

typedef enum mca_base_var_type_t {
    MCA_BASE_VAR_TYPE_INT,    /**< int */
    MCA_BASE_VAR_TYPE_SIZE_T, /**< size_t; K, M, G, T multiply by powers of 1024 */
    MCA_BASE_VAR_TYPE_BOOL,   /**< bool; 0/1, true/false, yes/no, enabled/disabled */
    MCA_BASE_VAR_TYPE_STRING, /**< char *; the library owns what it stores there */
    MCA_BASE_VAR_TYPE_ENUM    /**< int; the names are listed in `enumerator` */
} mca_base_var_type_t;

typedef enum mca_base_var_source_t {
    MCA_BASE_VAR_SOURCE_DEFAULT,
    MCA_BASE_VAR_SOURCE_ENV,
    MCA_BASE_VAR_SOURCE_COMMAND_LINE
} mca_base_var_source_t;

/** One name of an enumeration; an array ends with name NULL. */
typedef struct mca_base_var_enum_value_t {
    const char *name;
    int value;
} mca_base_var_enum_value_t;

/** Description of a variable; copied at registration, but for enumerator and storage. */
typedef struct mca_base_var_def_t {
    const char *framework; /**< "memory"; NULL for a variable of the library itself. */
    const char *component; /**< "linux"; "base" for the framework's own, NULL for the selection variable. */
    const char *name;      /**< Last part of the name; NULL for the selection variable. */
    const char *help;      /**< One or two sentences. */
    mca_base_var_type_t type;
    int info_level;                              /**< 1 to 9: user, tuner, developer x basic, detail, all. */
    const mca_base_var_enum_value_t *enumerator; /**< ENUM only. */
    long min, max;                               /**< INT only, checked where min < max. */
    void *storage; /**< Holds the default on entry, the value afterwards; outlives the registration. */
} mca_base_var_def_t;

/** Make a variable known and set it from the command line, the environment, or its default.
 *
 * Its full name is framework, component and name joined by '_', the missing ones left out. The
 * environment is asked for OPALMEM_MCA_<name>, then OMPI_MCA_<name>.
 * @retval OPAL_SUCCESS              storage holds the value. Registering the same name again only
 *     sets the new storage.
 * @retval OPAL_ERR_BAD_PARAM        A value was given that cannot be used; a message names the value, where
 *     it came from and what is allowed; storage keeps its default.
 * @retval OPAL_ERR_OUT_OF_RESOURCE  No memory.
 * Thread-safe. Not from hook context.
 */
OPAL_DECLSPEC int mca_base_var_register(const mca_base_var_def_t *def);

/** What is known of a variable, for listings. Strings live until the next registration or finalize. */
typedef struct mca_base_var_info_t {
    const char *full_name;
    const char *framework; /**< "" for the library itself. */
    const char *component; /**< "base" where there is none. */
    const char *help;
    mca_base_var_type_t type;
    int info_level;
    const mca_base_var_enum_value_t *enumerator;
    mca_base_var_source_t source;
    const char *source_detail; /**< "OMPI_MCA_memory", "argument 3"; "" for defaults. */
    char value[256];           /**< As text, cut to fit. */
} mca_base_var_info_t;

/** Number of variables registered. */
OPAL_DECLSPEC size_t mca_base_var_count(void);

/** Describe the index-th variable, in order of registration.
 * @retval OPAL_SUCCESS / OPAL_ERR_NOT_FOUND
 */
OPAL_DECLSPEC int mca_base_var_get_info(size_t index, mca_base_var_info_t *info);

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

/** What is known of a component, for listings. Strings live until finalize. */
typedef struct mca_base_component_info_t {
    const char *framework;
    const char *name;
    int version[3];
    const char *path; /**< The DSO's; NULL for a static one. */
    bool selected;
    bool available;     /**< Query said yes. */
    int priority;       /**< Where available. */
    const char *reason; /**< Why it cannot run, or why it was not asked; "" otherwise. */
} mca_base_component_info_t;

/** Number of components found, over all frameworks, those that could not be loaded included. */
OPAL_DECLSPEC size_t mca_base_component_count(void);

/** Describe the index-th one, grouped by framework. @retval OPAL_SUCCESS / OPAL_ERR_NOT_FOUND */
OPAL_DECLSPEC int mca_base_component_get_info(size_t index, mca_base_component_info_t *info);

END_C_DECLS

#endif
