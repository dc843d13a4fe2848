/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings that were taken from command lines, from take to the end of the run
 * that uses them: a list of batches, one of each call. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "framework/base/base_internal.h"
#include "framework/base/mca_base_cmd_line.h"
#include "framework/util/fork.h"

/* Protects what follows. Nothing is called under it that logs, or that takes another lock but malloc's; the
 * variables' lock may be held around it. The list changes by one store: a fork child can go on with it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static mca_base_cmd_line_batch_t *batches;
static bool in_use; /* Between start and stop: the list is constant. */

void mca_base_cmd_line_reset_child(void)
{
    pthread_mutex_init(&lock, NULL);
}

/* Launchers take settings and fork without ever starting the library. */
static void lock_settings(void)
{
    opal_fork_prepare();
    pthread_mutex_lock(&lock);
}

const mca_base_cmd_line_batch_t *mca_base_cmd_line_lock(void)
{
    lock_settings();
    return batches;
}

void mca_base_cmd_line_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

/* ---- Finding ------------------------------------------------------------------------------------ */

static const mca_base_cmd_line_setting_t *find_locked(const char *name)
{
    for (const mca_base_cmd_line_batch_t *batch = batches; batch != NULL; batch = batch->next) {
        for (size_t i = 0; i < batch->count; i++) {
            if (strcmp(batch->settings[i].name, name) == 0) {
                return &batch->settings[i];
            }
        }
    }
    return NULL;
}

/* All files of --tune so far: the last batch that has any names those of the earlier ones, too. */
static const mca_base_cmd_line_setting_t *tune_files_locked(void)
{
    const mca_base_cmd_line_setting_t *found = NULL;
    for (const mca_base_cmd_line_batch_t *batch = batches; batch != NULL; batch = batch->next) {
        found = batch->tune != NULL ? &batch->tune_files : found;
    }
    return found;
}

const mca_base_cmd_line_setting_t *mca_base_cmd_line_find(const char *name)
{
    lock_settings();
    const mca_base_cmd_line_setting_t *found =
        strcmp(name, MCA_BASE_TUNE_FILES) == 0 ? tune_files_locked() : find_locked(name);
    pthread_mutex_unlock(&lock);
    return found;
}

int mca_base_cmd_line_get(size_t index, mca_base_cmd_line_setting_t *setting)
{
    int rc = OPAL_ERR_NOT_FOUND;
    lock_settings();
    const mca_base_cmd_line_batch_t *batch = batches;
    while (batch != NULL && index >= batch->count) {
        index -= batch->count;
        batch = batch->next;
    }
    if (batch != NULL) {
        *setting = batch->settings[index];
        rc = OPAL_SUCCESS;
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

int mca_base_cmd_line_tune_files(mca_base_file_list_t **list)
{
    mca_base_file_list_t *made = NULL;
    int rc = OPAL_SUCCESS;
    lock_settings();
    for (const mca_base_cmd_line_batch_t *batch = batches; batch != NULL && rc == OPAL_SUCCESS;
         batch = batch->next) {
        rc = batch->tune != NULL ? mca_base_file_list_append(&made, batch->tune) : OPAL_SUCCESS;
    }
    pthread_mutex_unlock(&lock);
    if (rc != OPAL_SUCCESS) {
        mca_base_file_list_free(made);
        return rc;
    }
    *list = made;
    return OPAL_SUCCESS;
}

/* ---- Taking ------------------------------------------------------------------------------------- */

/* A setting that an earlier call has kept with another value; it is copied, because messages wait for the
 * end of the lock. */
typedef struct conflict_t {
    mca_base_cmd_line_setting_t earlier, later;
} conflict_t;

static bool find_conflict_locked(const mca_base_cmd_line_batch_t *batch, conflict_t *conflict)
{
    for (size_t i = 0; i < batch->count; i++) {
        const mca_base_cmd_line_setting_t *earlier = find_locked(batch->settings[i].name);
        if (earlier != NULL && strcmp(earlier->value, batch->settings[i].value) != 0) {
            *conflict = (conflict_t){ *earlier, batch->settings[i] };
            return true;
        }
    }
    return false;
}

static void drop_repeated_locked(mca_base_cmd_line_batch_t *batch)
{
    size_t kept = 0;
    for (size_t i = 0; i < batch->count; i++) {
        if (find_locked(batch->settings[i].name) == NULL) {
            batch->settings[kept++] = batch->settings[i];
        }
    }
    batch->count = kept;
}

static int name_earlier_files_locked(mca_base_cmd_line_batch_t *batch)
{
    const mca_base_cmd_line_setting_t *earlier = tune_files_locked();
    if (batch->tune == NULL || earlier == NULL) {
        return OPAL_SUCCESS;
    }
    size_t size = strlen(earlier->value) + strlen(batch->tune_files.value) + 2;
    char *value = malloc(size);
    if (value == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    snprintf(value, size, "%s,%s", earlier->value, batch->tune_files.value);
    free((void *) (uintptr_t) batch->tune_files.value);
    batch->tune_files.value = value;
    return OPAL_SUCCESS;
}

static int keep_locked(mca_base_cmd_line_batch_t *batch, conflict_t *conflict)
{
    if (in_use) {
        return OPAL_ERR_RESOURCE_BUSY;
    }
    if (find_conflict_locked(batch, conflict)) {
        return OPAL_ERR_BAD_PARAM;
    }
    int rc = name_earlier_files_locked(batch);
    if (rc == OPAL_SUCCESS) {
        drop_repeated_locked(batch);
        mca_base_cmd_line_batch_t **link = &batches;
        while (*link != NULL) {
            link = &(*link)->next;
        }
        *link = batch;
    }
    return rc;
}

static int keep(mca_base_cmd_line_batch_t *batch)
{
    conflict_t conflict;
    lock_settings();
    int rc = keep_locked(batch, &conflict);
    pthread_mutex_unlock(&lock);
    if (rc == OPAL_ERR_BAD_PARAM) {
        mca_base_log(MCA_BASE_LOG_ERROR,
                     "variable %s is set twice, to \"%s\" (argument %d of an earlier call) and to \"%s\" "
                     "(argument %d)",
                     conflict.later.name, conflict.earlier.value, conflict.earlier.position, conflict.later.value,
                     conflict.later.position);
    }
    return rc;
}

int mca_base_cmd_line_take_batch(int *argc, char ***argv, mca_base_cmd_line_batch_t **batch)
{
    *batch = NULL;
    if (argc == NULL || argv == NULL || *argv == NULL || *argc < 1) {
        return OPAL_SUCCESS;
    }
    mca_base_cmd_line_batch_t *found = NULL;
    int rc = mca_base_cmd_line_parse(*argc, *argv, &found);
    if (rc != OPAL_SUCCESS || found == NULL) {
        return rc;
    }
    rc = keep(found);
    if (rc == OPAL_SUCCESS || rc == OPAL_ERR_RESOURCE_BUSY) {
        mca_base_cmd_line_remove(argc, *argv);
    }
    if (rc == OPAL_ERR_RESOURCE_BUSY) {
        mca_base_log(MCA_BASE_LOG_WARN,
                     "the library runs already: the settings of this command line have no effect");
    }
    if (rc == OPAL_SUCCESS) {
        *batch = found;
    } else {
        mca_base_cmd_line_batch_free(found);
    }
    return rc;
}

int mca_base_cmd_line_take(int *argc, char ***argv)
{
    mca_base_cmd_line_batch_t *batch;
    return mca_base_cmd_line_take_batch(argc, argv, &batch);
}

/* ---- Forgetting --------------------------------------------------------------------------------- */

static void free_all(mca_base_cmd_line_batch_t *batch)
{
    while (batch != NULL) {
        mca_base_cmd_line_batch_t *next = batch->next;
        mca_base_cmd_line_batch_free(batch);
        batch = next;
    }
}

void mca_base_cmd_line_drop(mca_base_cmd_line_batch_t *batch)
{
    lock_settings();
    mca_base_cmd_line_batch_t **link = &batches;
    while (*link != NULL && *link != batch) {
        link = &(*link)->next;
    }
    bool found = *link != NULL;
    if (found) {
        *link = batch->next;
    }
    pthread_mutex_unlock(&lock);
    if (found) {
        mca_base_cmd_line_batch_free(batch);
    }
}

/* Under the lock, which it lets go. */
static void forget_and_unlock(void)
{
    mca_base_cmd_line_batch_t *old = batches;
    batches = NULL;
    pthread_mutex_unlock(&lock);
    free_all(old);
}

void mca_base_cmd_line_release(void)
{
    lock_settings();
    if (in_use) {
        pthread_mutex_unlock(&lock);
        return;
    }
    forget_and_unlock();
}

void mca_base_cmd_line_start(void)
{
    lock_settings();
    in_use = true;
    pthread_mutex_unlock(&lock);
}

void mca_base_cmd_line_stop(bool keep_settings)
{
    lock_settings();
    in_use = false;
    if (keep_settings) {
        pthread_mutex_unlock(&lock);
        return;
    }
    forget_and_unlock();
}
