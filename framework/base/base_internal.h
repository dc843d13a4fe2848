/* SPDX-License-Identifier: BSD-3-Clause */
/* The MCA base as the frameworks and opalmem_init() see it. Nothing here is
 * thread-safe by itself: opalmem_init() holds the init lock around all of it.
 * Components and tools use opal/mca/base/base.h instead. */
#ifndef FRAMEWORK_BASE_BASE_INTERNAL_H
#define FRAMEWORK_BASE_BASE_INTERNAL_H

#include "opal/mca/base/base.h"

#define MCA_BASE_REASON_MAX 256

/** One component that was found, loaded or not. Owned by its framework, from open to close. */
typedef struct mca_base_component_item_t {
    struct mca_base_component_item_t *next; /**< By falling priority, ties by name; unavailable ones last. */
    char name[MCA_BASE_MAX_COMPONENT_NAME_LEN + 1];
    char *path;                            /**< DSO, else NULL. */
    void *dl;                              /**< Handle of the repository, NULL for static ones. */
    const mca_base_component_t *component; /**< NULL: not loaded, or unloaded again; reason says why. */
    int version[3];                        /**< Of the component; 0 if it was never loaded. */
    bool registered;                       /**< Its variables are known. */
    bool opened;
    bool available; /**< Opened, and query said yes. */
    bool selected;  /**< Set by the framework. */
    bool failed;    /**< It could not be loaded; reason says why. */
    bool keep;      /**< Set by the framework: something may still call it, so the DSO stays loaded. */
    int priority;
    int priority_setting;             /**< Storage of the variable, where the base has registered it. */
    mca_base_module_t *module;        /**< From query; may be NULL. */
    int support;                      /**< Of framework memory: what it has said of itself by then. */
    char reason[MCA_BASE_REASON_MAX]; /**< Why it is not available; "" otherwise. */
} mca_base_component_item_t;

/** What the selection variable says. */
typedef enum mca_base_selection_kind_t {
    MCA_BASE_SELECT_ALL,     /**< Not set, or empty. */
    MCA_BASE_SELECT_INCLUDE, /**< a,b: any of these. */
    MCA_BASE_SELECT_EXCLUDE, /**< ^a,b: any but these. */
    MCA_BASE_SELECT_SUM      /**< a+b: all of these together. */
} mca_base_selection_kind_t;

/** A framework: static data of its base, and what is open. */
typedef struct mca_base_framework_t {
    const char *name;
    int version[2];                                       /**< Major and minor that a component must have. */
    size_t component_size;                                /**< Size of its component structure. */
    const mca_base_component_t *const *static_components; /**< Ends with NULL. */
    bool no_sum;                                          /**< Components never run together: no a+b. */
    /** Called behind each component that was tried, before the next is. May be NULL. */
    void (*after_try)(mca_base_component_item_t *item);

    char *selection; /**< Variable <name>. */
    int verbose;     /**< Variable <name>_base_verbose, 0 to 100. */
    mca_base_selection_kind_t selection_kind;
    mca_base_component_item_t *items;
    bool is_open;
    struct mca_base_framework_t *next; /**< Of those opened since mca_base_open(), in that order. */
} mca_base_framework_t;

/** Make sure that the environment can be read, before anything is: libc may not have it yet.
 * @retval OPAL_SUCCESS (also after a warning that it cannot be found) / OPAL_ERR_OUT_OF_RESOURCE */
int mca_base_environ_find(void);

/** Read the files of settings, and register the base's own variables.
 * @retval OPAL_SUCCESS / OPAL_ERR_BAD_PARAM (after a message) / OPAL_ERR_OUT_OF_RESOURCE: nothing is open. */
int mca_base_open(void);

/** After all frameworks are open: report settings that nobody asked for, with the nearest known name.
 *
 * Looks at the command line, files and OPALMEM_MCA_*; at OMPI_MCA_* only where the name begins with one of
 * our frameworks and '_'. Nothing with mca_base_warn_unknown off. @return OPAL_SUCCESS always: unknown names are warnings.
 */
int mca_base_report_unknown(void);

/** Forget variables, components and settings. Allowed at any time, also after a failed open. */
void mca_base_close(void);

/** Likewise, but what the command line gave is kept: for an init that has failed. */
void mca_base_abandon(void);

/** In a fork child: nobody is inside the variables or takes settings. Hook context. */
void mca_base_reset_child(void);

/** In a fork child: nobody is adding a component. Hook context. */
void mca_base_component_reset_child(void);

/** After all frameworks are open: report components that were added to none of them. */
void mca_base_component_report_added(void);

/** Register the framework's variables, find its components, open and query those that the
 * selection admits, and sort them.
 *
 * @retval OPAL_SUCCESS              items is filled, possibly with nothing available.
 * @retval OPAL_ERR_NOT_FOUND        The selection names a component that does not exist; the message lists those
 *     that do. Nothing is open.
 * @retval OPAL_ERR_BAD_PARAM        The selection cannot be parsed; likewise.
 * @retval OPAL_ERR_OUT_OF_RESOURCE
 */
int mca_base_framework_open(mca_base_framework_t *framework);

/** The selection asked for something that is not available: say what there is, and why each cannot run.
 * @return OPAL_ERR_NOT_FOUND, for the caller to return. */
int mca_base_framework_unavailable(const mca_base_framework_t *framework);

/** That message for the caller to print: of the selection, or where component is not NULL, of that one, which the program
 * has asked for by name. @return To be freed; NULL without memory. */
char *mca_base_framework_describe_refusal(const mca_base_framework_t *framework, const char *component);

/** Warn if there is no component at all, which the installation does not mean: folders have been moved, or are missing.
 * Nothing where the user forbids DSOs. */
void mca_base_framework_report_empty(const mca_base_framework_t *framework, const char *consequence);

/** At verbosity 10, say of each component that could run why it was not selected, or that none was. */
void mca_base_framework_explain_losers(const mca_base_framework_t *framework);

/** Does the selection name this component (INCLUDE, SUM)? */
bool mca_base_framework_names(const mca_base_framework_t *framework, const char *component);

/** Between these two, mca_base_component_set_reason() speaks of this item (enable functions of frameworks). */
void mca_base_component_begin(mca_base_component_item_t *item);
void mca_base_component_end(void);

/** Close and, unless it must stay, unload one component; its item stays for listings.
 *
 * available, priority and reason are kept; component is NULL afterwards if it was unloaded, and module is.
 */
void mca_base_component_release(mca_base_component_item_t *item);

/** Release all components. Items and variables go with mca_base_close(). */
void mca_base_framework_close(mca_base_framework_t *framework);

/** Message at a verbosity of this framework: printed if framework->verbose >= level. */
void mca_base_verbose(const mca_base_framework_t *framework, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
