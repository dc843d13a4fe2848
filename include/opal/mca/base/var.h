/* SPDX-License-Identifier: BSD-3-Clause */
/** @file
 * MCA variables: what can be set in the library, from where, and how programs
 * read, set and list it.
 *
 * A variable has a full name, framework, component and name joined by '_' (the
 * missing ones left out), and takes its value from the strongest of these:
 *
 *   1. override file   $sysconfdir/opalmem-mca-params-override.conf
 *   2. command line    --mca NAME VALUE, or handed on by a parent (cmd_line.h)
 *   3. environment     OPALMEM_MCA_<name>, then OMPI_MCA_<name>
 *   4. tune files      --tune FILE
 *   5. parameter files ~/.opalmem/mca-params.conf, $sysconfdir/opalmem-mca-params.conf
 *   6. its default
 *
 * Within one of them, the variable's own name comes before its synonyms. What a
 * parent has handed on (mca_base_cmd_line_environ()) ranks as command line or tune
 * file, behind this process's own. A value that cannot be used is an error: it is
 * never cut, rounded or replaced. Set-uid processes ignore the environment.
 */
#ifndef OPAL_MCA_BASE_VAR_H
#define OPAL_MCA_BASE_VAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "opal/constants.h"

BEGIN_C_DECLS

typedef enum mca_base_var_type_t {
    MCA_BASE_VAR_TYPE_INT,          /**< int */
    MCA_BASE_VAR_TYPE_UNSIGNED_INT, /**< unsigned; whole numbers of all types may be hexadecimal: 0x10 */
    MCA_BASE_VAR_TYPE_SIZE_T,       /**< size_t; K, M, G, T multiply by powers of 1024 */
    MCA_BASE_VAR_TYPE_BOOL,         /**< bool; 0/1, true/false, t/f, yes/no, y/n, enabled/disabled, in any case */
    MCA_BASE_VAR_TYPE_DOUBLE,       /**< double; decimal, finite, with a point in every locale */
    MCA_BASE_VAR_TYPE_STRING,       /**< char *; the library owns what it stores there */
    MCA_BASE_VAR_TYPE_ENUM          /**< int; the names are listed in `enumerator` */
} mca_base_var_type_t;

/** Which processes have to agree on a value, and when it may change; the meaning is MPI_T's. */
typedef enum mca_base_var_scope_t {
    MCA_BASE_VAR_SCOPE_READONLY, /**< Set at the start, never changed. */
    MCA_BASE_VAR_SCOPE_CONSTANT, /**< Cannot be set at all: it tells something. */
    MCA_BASE_VAR_SCOPE_LOCAL,    /**< Each process may have its own. */
    MCA_BASE_VAR_SCOPE_GROUP,    /**< Changes must be made in a group of processes. */
    MCA_BASE_VAR_SCOPE_GROUP_EQ, /**< Likewise, and to the same value. */
    MCA_BASE_VAR_SCOPE_ALL,
    MCA_BASE_VAR_SCOPE_ALL_EQ
} mca_base_var_scope_t;

/* Flags; values of Open MPI. */
#define MCA_BASE_VAR_FLAG_INTERNAL 0x0001     /**< Listed only where everything is asked for. */
#define MCA_BASE_VAR_FLAG_DEFAULT_ONLY 0x0002 /**< Nobody may set it: a setting is an error. As scope CONSTANT. */
#define MCA_BASE_VAR_FLAG_SETTABLE 0x0004     /**< May change at run time; needs scope LOCAL or wider. */
#define MCA_BASE_VAR_FLAG_DEPRECATED 0x0008 /**< Setting it draws a warning; the help says what to use instead. */
#define MCA_BASE_VAR_FLAG_ENVIRONMENT_ONLY 0x0020 /**< A setting elsewhere is an error. */

/** Where a value came from, the weakest first. */
typedef enum mca_base_var_source_t {
    MCA_BASE_VAR_SOURCE_DEFAULT,
    MCA_BASE_VAR_SOURCE_FILE, /**< Parameter file. */
    MCA_BASE_VAR_SOURCE_TUNE, /**< File of --tune. */
    MCA_BASE_VAR_SOURCE_ENV,
    MCA_BASE_VAR_SOURCE_COMMAND_LINE,
    MCA_BASE_VAR_SOURCE_SET, /**< By mca_base_var_set() and its like. */
    MCA_BASE_VAR_SOURCE_OVERRIDE
} mca_base_var_source_t;

/** One name of an enumeration; an array ends with name NULL. */
typedef struct mca_base_var_enum_value_t {
    const char *name;
    int value;
} mca_base_var_enum_value_t;

/** Description of a variable; everything but `storage` is copied at registration. Leave unused members zero. */
typedef struct mca_base_var_def_t {
    const char *framework; /**< "memory"; NULL for a variable of the library itself. */
    const char *component; /**< "linux"; "base" for the framework's own, NULL for the selection variable. */
    const char *name;      /**< Last part of the name; NULL for the selection variable. */
    const char *help;      /**< One or two sentences. */
    mca_base_var_type_t type;
    int info_level; /**< 1 to 9, not 0: user, tuner, developer x basic, detail, all. */
    const mca_base_var_enum_value_t *enumerator; /**< ENUM: all names. INT: names besides the numbers, or NULL. */
    long min, max; /**< INT, UNSIGNED_INT, SIZE_T, DOUBLE: both ends allowed; checked where min < max. The names of
                        an INT, and the default, may lie outside. */
    void *storage; /**< Holds the default on entry, the value afterwards; outlives the registration. */
    mca_base_var_scope_t scope;
    uint32_t flags; /**< OR of MCA_BASE_VAR_FLAG_*. */
    void *reserved[4];
} mca_base_var_def_t;

/** Make a variable known and give it its value.
 *
 * Before opalmem_init() the variable keeps its default, and gets its value within init; a value that cannot be used
 * makes init fail. The last finalize, and an init that fails, forget every variable, and put the defaults back.
 * @param[in] def  See there. The full name has letters, digits, '_', '.' and '-', at most 200.
 * @retval OPAL_SUCCESS              storage holds the value. Registering the same variable again leaves its value as it
 *     is, and puts it into the new storage; the old one gets its default back.
 * @retval OPAL_ERR_BAD_PARAM        A value was given that cannot be used, or the description contradicts itself or an
 *     earlier one; a message names the value, where it came from and what is allowed; storage keeps its default.
 *     With a value that cannot be used the variable is registered all the same, and can be set and listed:
 *     mca_base_var_deregister() before its storage goes.
 * @retval OPAL_ERR_OUT_OF_RESOURCE  No memory. Deregister likewise (it may be unknown), or register again.
 * Thread-safe. Not from hook context.
 */
OPAL_DECLSPEC int mca_base_var_register(const mca_base_var_def_t *def);

/** Give a registered variable a second name, under which it can be set and found.
 *
 * @param[in] full_name  Of the variable.
 * @param[in] synonym    The second full name ("mpi_leave_pinned").
 * @param[in] flags      MCA_BASE_VAR_FLAG_DEPRECATED or 0.
 * A variable whose value was given under the synonym gets it now, if no stronger source has set it.
 * Where one place (but the command line) sets both names to different values, the variable's own name counts, after a
 * warning.
 * @retval OPAL_SUCCESS              Also if it is a synonym of this variable already.
 * @retval OPAL_ERR_NOT_FOUND        There is no such variable; no message.
 * @retval OPAL_ERR_OUT_OF_RESOURCE  No memory.
 * @retval OPAL_ERR_BAD_PARAM        The synonym names another variable, or a value that cannot be used was given under
 *     it, or the command line sets both names to different values; after a message. The variable keeps its value.
 * Thread-safe. Not from hook context.
 */
OPAL_DECLSPEC int mca_base_var_register_synonym(const char *full_name, const char *synonym, uint32_t flags);

/** Forget a variable and its synonyms; its storage gets the default back and is not touched any more.
 *
 * @param[in] full_name  Of the variable: a synonym is not found here. No thread may read its strings any more.
 * @retval OPAL_SUCCESS / OPAL_ERR_NOT_FOUND
 * Thread-safe. Not from hook context. */
OPAL_DECLSPEC int mca_base_var_deregister(const char *full_name);

/** Read a variable in its storage while other threads may set it: one load. Strings stay as they are until the
 * variable is deregistered or the last finalize. In C++ the storage must not be const. Every context. */
#define mca_base_var_load(storage)                                         \
    __extension__({                                                        \
        __typeof__(((void) 0, (storage))) mca_base_var_value_;             \
        __atomic_load(&(storage), &mca_base_var_value_, __ATOMIC_ACQUIRE); \
        mca_base_var_value_;                                               \
    })

/** Read a variable by name (or synonym).
 *
 * @param[in]  type   Must be the variable's; an ENUM may be read as INT.
 * @param[out] value  int, unsigned, size_t, bool, double or const char * (NULL possible; valid until the variable
 *     is deregistered or the last finalize). Untouched on error.
 * @retval OPAL_SUCCESS / OPAL_ERR_NOT_FOUND / OPAL_ERR_BAD_PARAM (another type); no message.
 * Thread-safe. Not from hook context.
 */
OPAL_DECLSPEC int mca_base_var_get_value(const char *full_name, mca_base_var_type_t type, void *value);

/** The whole value as text that mca_base_var_set() would take; the caller frees it.
 *
 * Only a default may have no such text: a string that is NULL shows as "", a number outside the bounds as a number.
 * @retval OPAL_SUCCESS / OPAL_ERR_NOT_FOUND / OPAL_ERR_OUT_OF_RESOURCE. Thread-safe. Not from hook context. */
OPAL_DECLSPEC int mca_base_var_get_text(const char *full_name, char **text);

/** Change a SETTABLE variable, from text; parsed as from any other source.
 *
 * A variable that is not yet initialised may be set, too, and keeps that value in opalmem_init(). For each different
 * text that a string is set to, a copy is kept as long as the variable: threads may be reading it.
 * @param[in] text  NULL: back to the value it had after registration.
 * @retval OPAL_SUCCESS              Threads that read the storage see the old value or the new one.
 * @retval OPAL_ERR_NOT_FOUND        No such variable; the message has the nearest name.
 * @retval OPAL_ERR_PERM             It is not settable, or the override file fixes it, or its component was unloaded;
 *     after a message.
 * @retval OPAL_ERR_BAD_PARAM        The value cannot be used; after a message.
 * @retval OPAL_ERR_OUT_OF_RESOURCE  No memory. After every error the old value stays.
 * Thread-safe. Not from hook context.
 */
OPAL_DECLSPEC int mca_base_var_set(const char *full_name, const char *text);

/** Change a SETTABLE variable, from a value of its type.
 *
 * @param[in] type   Must be the variable's; an ENUM may be set as INT.
 * @param[in] value  Points to int, unsigned, size_t, bool, double or const char * (NULL allowed; it is copied).
 * Codes, threads and context of mca_base_var_set(); another type is OPAL_ERR_BAD_PARAM.
 */
OPAL_DECLSPEC int mca_base_var_set_value(const char *full_name, mca_base_var_type_t type, const void *value);

/** What is known of a variable, for listings. Strings live until the next registration, deregistration or finalize. */
typedef struct mca_base_var_info_t {
    const char *full_name;
    const char *framework; /**< "" for the library itself. */
    const char *component; /**< "base" where there is none. */
    const char *help;
    mca_base_var_type_t type;
    int info_level;
    const mca_base_var_enum_value_t *enumerator;
    mca_base_var_source_t source;
    char source_detail
        [256];       /**< "OMPI_MCA_memory", "argument 3", "/etc/opalmem-mca-params.conf:12"; of a parent's command
                          line "OPALMEM_MCA_memory"; "" for defaults and for values that were set. */
    char value[256]; /**< As text, cut to fit; mca_base_var_get_text() has all of it. */
    mca_base_var_scope_t scope;
    uint32_t flags;
    long min, max;          /**< As in the description. */
    const char *synonym_of; /**< Full name of the variable that this is another name of; else NULL. The rest of a
                                 synonym is the variable's, but flags may have DEPRECATED in addition. */
} mca_base_var_info_t;

/** Number of variables registered, synonyms included. Thread-safe. */
OPAL_DECLSPEC size_t mca_base_var_count(void);

/** Describe the index-th one, in order of registration. @retval OPAL_SUCCESS / OPAL_ERR_NOT_FOUND. Thread-safe. */
OPAL_DECLSPEC int mca_base_var_get_info(size_t index, mca_base_var_info_t *info);

/** Describe a variable or synonym by name. @retval OPAL_SUCCESS / OPAL_ERR_NOT_FOUND. Thread-safe. */
OPAL_DECLSPEC int mca_base_var_find_info(const char *full_name, mca_base_var_info_t *info);

END_C_DECLS

#endif
