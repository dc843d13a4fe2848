/* SPDX-License-Identifier: BSD-3-Clause */
/* The components that the frameworks have found: listing them, giving reasons,
 * letting them go. Finding and choosing is done in mca_base_framework.c.
 *
 * Everything here changes under the init lock only, and nothing between a
 * successful init and the last finalize: listings need no lock. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "framework/base/mca_base_component.h"
#include "framework/base/mca_base_log.h"
#include "framework/base/mca_base_object.h"
#include "framework/base/mca_base_repository.h"
#include "framework/base/mca_base_static.h"
#include "framework/base/mca_base_var.h"
#include "framework/hooks/hooks_internal.h"

/* Under the init lock. */
static mca_base_framework_t *frameworks;
static mca_base_component_item_t *current;

/* ---- Frameworks --------------------------------------------------------------------------------- */

void mca_base_framework_remember(mca_base_framework_t *framework)
{
    mca_base_framework_t **link = &frameworks;
    while (*link != NULL && *link != framework) {
        link = &(*link)->next;
    }
    if (*link == NULL) {
        framework->next = NULL;
        *link = framework;
    }
}

static bool framework_exists(const char *name)
{
    const mca_base_framework_t *framework = frameworks;
    while (framework != NULL && strcmp(framework->name, name) != 0) {
        framework = framework->next;
    }
    return framework != NULL;
}

void mca_base_component_report_added(void)
{
    mca_base_static_report(framework_exists);
}

void mca_base_framework_free_items(mca_base_framework_t *framework)
{
    while (framework->items != NULL) {
        mca_base_component_item_t *item = framework->items;
        framework->items = item->next;
        mca_base_component_release(item);
        mca_base_var_detach(framework->name, item->name); /* The item holds a variable, too. */
        free(item->path);
        free(item);
    }
}

void mca_base_components_close(void)
{
    while (frameworks != NULL) {
        mca_base_framework_t *framework = frameworks;
        frameworks = framework->next;
        framework->next = NULL;
        framework->is_open = false;
        mca_base_framework_free_items(framework);
    }
}

mca_base_component_item_t *mca_base_framework_find(const mca_base_framework_t *framework, const char *name,
                                                   size_t length)
{
    mca_base_component_item_t *item = framework->items;
    while (item != NULL && (strlen(item->name) != length || memcmp(item->name, name, length) != 0)) {
        item = item->next;
    }
    return item;
}

void mca_base_framework_list(const mca_base_framework_t *framework, char *text, size_t size)
{
    size_t length = 0;
    snprintf(text, size, "none");
    for (const mca_base_component_item_t *i = framework->items; i != NULL && length < size; i = i->next) {
        int added = snprintf(text + length, size - length, "%s%s", length > 0 ? ", " : "", i->name);
        length += added > 0 ? (size_t) added : 0;
    }
}

/* Behind prefix and '_', or NULL. */
static const char *skip_prefix(const char *name, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(name, prefix, length) == 0 && name[length] == '_' ? name + length + 1 : NULL;
}

bool mca_base_component_owns(const char *name)
{
    for (const mca_base_framework_t *f = frameworks; f != NULL; f = f->next) {
        const char *rest = skip_prefix(name, f->name);
        for (const mca_base_component_item_t *i = f->items; rest != NULL && i != NULL; i = i->next) {
            if (!i->registered && skip_prefix(rest, i->name) != NULL) {
                return true;
            }
        }
    }
    return false;
}

/* ---- One component ------------------------------------------------------------------------------ */

void mca_base_component_begin(mca_base_component_item_t *item)
{
    current = item;
}

void mca_base_component_end(void)
{
    current = NULL;
}

void mca_base_component_set_reason(const char *format, ...)
{
    char reason[MCA_BASE_REASON_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    if (current != NULL) {
        memcpy(current->reason, reason, sizeof reason);
    } else {
        mca_base_log(MCA_BASE_LOG_DEBUG, "a component gives a reason when nobody asked: %s", reason);
    }
}

static void close_component(mca_base_component_item_t *item)
{
    if (!item->opened) {
        return;
    }
    item->opened = false;
    int rc = item->component->mca_close_component != NULL ? item->component->mca_close_component() : OPAL_SUCCESS;
    if (rc != OPAL_SUCCESS) {
        mca_base_log(MCA_BASE_LOG_INFO, "component %s cannot be closed: %s", item->name, opal_strerror(rc));
    }
}

/* Is a callback of its still registered? Only code is looked for: what else it left behind cannot be known. */
static bool is_registered(const mca_base_component_item_t *item)
{
    uintptr_t start, end;
    return mca_base_object_find(item->component, &start, &end)
           && (opal_mem_hooks_has_callback_in(start, end) || mca_base_log_has_callback_in(start, end));
}

static void keep_if_needed(mca_base_component_item_t *item)
{
    bool registered = is_registered(item);
    if (!registered && !item->keep) {
        return;
    }
    for (const mca_base_framework_t *f = frameworks; f != NULL; f = f->next) {
        if (strcmp(f->name, item->component->mca_type_name) == 0) {
            mca_base_verbose(f, 10, "component %s stays loaded: %s", item->name,
                             registered ? "it has left a callback behind" : "something may still call it");
        }
    }
    mca_base_repository_keep(item);
}

/* Before the DSO goes: the variables' storage lies in it, also that of variables with names of others. */
static void detach_variables(const mca_base_component_item_t *item)
{
    uintptr_t start, end;
    mca_base_var_detach(item->component->mca_type_name, item->name);
    if (mca_base_object_find(item->component, &start, &end)) {
        mca_base_var_detach_object(start, end);
    }
}

void mca_base_component_release(mca_base_component_item_t *item)
{
    close_component(item);
    item->module = NULL;
    if (item->dl == NULL) {
        return;
    }
    keep_if_needed(item);
    if ((item->component->flags & MCA_BASE_COMPONENT_FLAG_RESIDENT) == 0) {
        detach_variables(item);
    }
    mca_base_repository_unload(item);
}

/* ---- Listings ----------------------------------------------------------------------------------- */

size_t mca_base_component_count(void)
{
    size_t count = 0;
    for (const mca_base_framework_t *f = frameworks; f != NULL; f = f->next) {
        for (const mca_base_component_item_t *i = f->items; i != NULL; i = i->next) {
            count++;
        }
    }
    return count;
}

static void fill_info(const mca_base_framework_t *framework, const mca_base_component_item_t *item,
                      mca_base_component_info_t *info)
{
    *info = (mca_base_component_info_t){
        .framework = framework->name,
        .name = item->name,
        .version = { item->version[0], item->version[1], item->version[2] },
        .path = item->path,
        .selected = item->selected,
        .failed = item->failed,
        .available = item->available,
        .priority = item->priority,
        .reason = item->reason,
    };
}

int mca_base_component_get_info(size_t index, mca_base_component_info_t *info)
{
    for (const mca_base_framework_t *f = frameworks; f != NULL; f = f->next) {
        for (const mca_base_component_item_t *i = f->items; i != NULL; i = i->next) {
            if (index-- == 0) {
                fill_info(f, i, info);
                return OPAL_SUCCESS;
            }
        }
    }
    return OPAL_ERR_NOT_FOUND;
}
