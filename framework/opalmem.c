/* SPDX-License-Identifier: BSD-3-Clause */
/* Start and stop: opens the parts in order, closes them in reverse, counts. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "framework/base/base_internal.h"
#include "framework/base/mca_base_cmd_line.h"
#include "framework/hooks/hooks_internal.h"
#include "framework/memory/memory_base.h"
#include "framework/opalmem_internal.h"
#include "framework/util/fork.h"
#include "opal/opalmem.h"
#include "rcache/base/rcache_base.h"

/* Highest rank: held over all of init and finalize, so that they may race. No hook takes it. */
static pthread_mutex_t init_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned init_count; /* Under init_lock. */
static atomic_bool running;
/* A thread starts or stops the library; &me of that thread. Under init_lock, but read by a fork child. */
static _Atomic(const void *) working;
static _Thread_local char me __attribute__((tls_model("initial-exec")));
/* In a fork child: another thread of the parent was at it, what it did is half done, and nobody will finish. */
static atomic_bool torn;

static int lock_init(void)
{
    /* Before the lock is ever held: a child that is forked meanwhile must be able to make it anew. */
    int rc = opal_fork_start();
    if (rc != OPAL_SUCCESS) {
        return rc;
    }
    opal_fork_check();
    if (atomic_load(&torn)) {
        mca_base_log(MCA_BASE_LOG_ERROR,
                     "this process was forked while another thread was starting or stopping the "
                     "library: the library cannot be used in it");
        return OPAL_ERR_NOT_AVAILABLE;
    }
    pthread_mutex_lock(&init_lock);
    atomic_store(&working, &me);
    return OPAL_SUCCESS;
}

static void unlock_init(void)
{
    atomic_store(&working, NULL);
    pthread_mutex_unlock(&init_lock);
}

/* The caller's arguments as they were, to put back after an error. */
struct saved_arguments {
    int count;
    char **copy; /* NULL: there are none. */
};

static int save_arguments(struct saved_arguments *saved, const int *argc, char **const *argv)
{
    saved->copy = NULL;
    if (argc == NULL || argv == NULL || *argv == NULL || *argc < 0) {
        return OPAL_SUCCESS;
    }
    saved->count = *argc;
    size_t size = ((size_t) *argc + 1) * sizeof(char *);
    saved->copy = malloc(size);
    if (saved->copy == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    memcpy(saved->copy, *argv, size);
    return OPAL_SUCCESS;
}

static void restore_arguments(const struct saved_arguments *saved, int *argc, char ***argv)
{
    if (saved->copy != NULL) {
        *argc = saved->count;
        memcpy(*argv, saved->copy, ((size_t) saved->count + 1) * sizeof(char *));
    }
}

static int open_parts(void)
{
    int rc = mca_base_open();
    if (rc == OPAL_SUCCESS) {
        rc = opal_memory_base_open();
        if (rc == OPAL_SUCCESS) {
            rc = mca_rcache_base_open();
            if (rc == OPAL_SUCCESS) {
                mca_base_component_report_added();
                return mca_base_report_unknown();
            }
            opal_memory_base_close();
        }
    }
    mca_base_abandon();
    return rc;
}

/* After an error everything is as before: also what earlier calls of mca_base_cmd_line_take() have kept. */
static int first_init(int *argc, char ***argv)
{
    struct saved_arguments saved;
    mca_base_cmd_line_batch_t *taken = NULL;
    int rc = mca_base_environ_find();
    if (rc == OPAL_SUCCESS) {
        rc = save_arguments(&saved, argc, argv);
    }
    if (rc != OPAL_SUCCESS) {
        return rc;
    }
    if (saved.copy != NULL) {
        rc = mca_base_cmd_line_take_batch(argc, argv, &taken);
    }
    if (rc == OPAL_SUCCESS) {
        rc = open_parts();
    }
    if (rc != OPAL_SUCCESS) {
        mca_base_cmd_line_drop(taken);
        restore_arguments(&saved, argc, argv);
    }
    free(saved.copy);
    return rc;
}

/* The library runs: settings come too late, but are not the program's arguments either. */
static int later_init(int *argc, char ***argv)
{
    int rc = mca_base_cmd_line_take(argc, argv);
    return rc == OPAL_ERR_RESOURCE_BUSY ? OPAL_SUCCESS : rc;
}

int opalmem_init(int *argc, char ***argv)
{
    int rc = lock_init();
    if (rc != OPAL_SUCCESS) {
        return rc;
    }
    rc = init_count > 0 ? later_init(argc, argv) : first_init(argc, argv);
    if (rc == OPAL_SUCCESS && ++init_count == 1) {
        atomic_store(&running, true);
    }
    unlock_init();
    return rc;
}

int opalmem_finalize(void)
{
    int rc = lock_init();
    if (rc != OPAL_SUCCESS) {
        return rc;
    }
    if (init_count > 0 && --init_count == 0) {
        atomic_store(&running, false);
        rc = mca_rcache_base_close();
        opal_mem_hooks_stop();
        opal_memory_base_close();
        mca_base_close();
    }
    unlock_init();
    return rc;
}

bool opalmem_is_running(void)
{
    return atomic_load(&running);
}

void opalmem_reset_child(void)
{
    const void *worker = atomic_load(&working);
    if (worker == &me) {
        return; /* Forked from inside init or finalize, which goes on in both processes. */
    }
    if (worker != NULL) {
        atomic_store(&torn, true);
        atomic_store(&running, false);
    }
    pthread_mutex_init(&init_lock, NULL);
}

int opal_mem_hooks_init(void)
{
    return opalmem_init(NULL, NULL);
}

int opal_mem_hooks_finalize(void)
{
    return opalmem_finalize();
}
