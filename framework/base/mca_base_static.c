/* SPDX-License-Identifier: BSD-3-Clause */
/* Components that the program has added to those of the library: a list that
 * only grows, and lives as long as the process. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "framework/base/base_internal.h"
#include "framework/base/mca_base_static.h"
#include "framework/opalmem_internal.h"

typedef struct added_t {
    struct added_t *next; /* In the order of adding. */
    char framework[MCA_BASE_MAX_TYPE_NAME_LEN + 1];
    const mca_base_component_t *component;
} added_t;

/* Protects the list against other writers; an entry is complete before it is in the list, and never changes.
 * Nothing is called under it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static added_t *all;

void mca_base_component_reset_child(void)
{
    pthread_mutex_init(&lock, NULL);
}

static bool is_name(const char *name, size_t size)
{
    size_t length = strnlen(name, size);
    return length > 0 && length < size && strcspn(name, ",+^ \t\n\r\v\f") == length;
}

static int check(const char *framework, const mca_base_component_t *component)
{
    const char *fault = NULL;
    if (framework == NULL || component == NULL) {
        fault = framework == NULL ? "no framework is given" : "it is NULL";
    } else if (!is_name(framework, sizeof component->mca_type_name)) {
        fault = "the framework's name is empty, too long, or holds a blank, comma, plus or caret";
    } else if (!is_name(component->mca_component_name, sizeof component->mca_component_name)) {
        fault = "its name is empty, too long, or holds a blank, comma, plus or caret";
    }
    if (fault != NULL) {
        mca_base_log(MCA_BASE_LOG_ERROR, "a component cannot be added: %s", fault);
        return OPAL_ERR_BAD_PARAM;
    }
    if (opalmem_is_running()) {
        mca_base_log(MCA_BASE_LOG_ERROR,
                     "component %s cannot be added to framework %s: the library runs already; add it before "
                     "opalmem_init()",
                     component->mca_component_name, framework);
        return OPAL_ERR_RESOURCE_BUSY;
    }
    return OPAL_SUCCESS;
}

/* *appended: the entry belongs to the list now. */
static int append_locked(added_t *added, bool *appended)
{
    added_t **link = &all;
    *appended = false;
    for (; *link != NULL; link = &(*link)->next) {
        const mca_base_component_t *earlier = (*link)->component;
        if (strcmp((*link)->framework, added->framework) == 0
            && strcmp(earlier->mca_component_name, added->component->mca_component_name) == 0) {
            return earlier == added->component ? OPAL_SUCCESS : OPAL_EXISTS;
        }
    }
    *link = added;
    *appended = true;
    return OPAL_SUCCESS;
}

int mca_base_component_add_static(const char *framework, const mca_base_component_t *component)
{
    bool appended;
    int rc = check(framework, component);
    if (rc != OPAL_SUCCESS) {
        return rc;
    }
    added_t *added = calloc(1, sizeof *added);
    if (added == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    memcpy(added->framework, framework, strlen(framework) + 1); /* check() has measured it. */
    added->component = component;
    pthread_mutex_lock(&lock);
    rc = append_locked(added, &appended);
    pthread_mutex_unlock(&lock);
    if (!appended) {
        free(added);
    }
    return rc;
}

/* The index-th entry of a framework, or of all of them; NULL behind the last. */
static const added_t *find(const char *framework, size_t index)
{
    pthread_mutex_lock(&lock);
    const added_t *added = all;
    while (added != NULL && ((framework != NULL && strcmp(added->framework, framework) != 0) || index-- > 0)) {
        added = added->next;
    }
    pthread_mutex_unlock(&lock);
    return added;
}

const mca_base_component_t *mca_base_static_get(const char *framework, size_t index)
{
    const added_t *added = find(framework, index);
    return added != NULL ? added->component : NULL;
}

void mca_base_static_report(bool (*exists)(const char *framework))
{
    const added_t *added;
    for (size_t i = 0; (added = find(NULL, i)) != NULL; i++) {
        if (!exists(added->framework)) {
            mca_base_log(MCA_BASE_LOG_WARN, "component %s was added to framework \"%s\", which does not exist",
                         added->component->mca_component_name, added->framework);
        }
    }
}
