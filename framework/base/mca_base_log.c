/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages: each one whole, to the log callback or with one write(2) to stderr,
 * so that those of several threads do not mix. No lock: a thread that logs
 * while another forks leaves nothing behind in the child. What is worth saying,
 * and in which words, is decided by the callers. */
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "framework/base/base_internal.h"
#include "framework/base/mca_base_log.h"

#define LINE_SIZE 1024 /* Longer ones take memory from the heap, or are cut where there is none. */

/* A callback and its argument. Constant once it is in the list, and never freed: another thread may be
 * about to call it. There are as many as different callbacks were ever set. */
typedef struct log_target_t {
    mca_base_log_fn_t fn;
    void *arg;
    struct log_target_t *next;
} log_target_t;

/* All targets; grows only at its head, by compare-and-exchange (release, with the loads here). */
static _Atomic(log_target_t *) all_targets;
/* The one in use, NULL for stderr. Stored with release by mca_base_set_log(), loaded with acquire. */
static _Atomic(log_target_t *) current_target;
int mca_base_log_verbosity;

static log_target_t *find_target(mca_base_log_fn_t fn, const void *arg)
{
    log_target_t *target = atomic_load_explicit(&all_targets, memory_order_acquire);
    while (target != NULL && (target->fn != fn || target->arg != arg)) {
        target = target->next;
    }
    return target;
}

static log_target_t *add_target(mca_base_log_fn_t fn, void *arg)
{
    log_target_t *target = malloc(sizeof *target);
    if (target == NULL) {
        return NULL;
    }
    *target = (log_target_t){ .fn = fn, .arg = arg };
    target->next = atomic_load_explicit(&all_targets, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&all_targets, &target->next, target, memory_order_release,
                                                  memory_order_relaxed)) {
    }
    return target;
}

void mca_base_set_log(mca_base_log_fn_t fn, void *arg)
{
    log_target_t *target = NULL;
    if (fn != NULL) {
        target = find_target(fn, arg);
        if (target == NULL) {
            target = add_target(fn, arg);
        }
    }
    atomic_store_explicit(&current_target, target, memory_order_release);
    if (fn != NULL && target == NULL) {
        mca_base_log(MCA_BASE_LOG_ERROR, "no memory for the log callback; messages go to stderr");
    }
}

bool mca_base_log_has_callback_in(uintptr_t start, uintptr_t end)
{
    const log_target_t *target = atomic_load_explicit(&current_target, memory_order_acquire);
    return target != NULL && (uintptr_t) target->fn >= start && (uintptr_t) target->fn < end;
}

static bool is_wanted(mca_base_log_level_t level)
{
    int limit = mca_base_var_load(mca_base_log_verbosity);
    switch (level) {
    case MCA_BASE_LOG_INFO: return limit >= MCA_BASE_VERBOSE_INFO;
    case MCA_BASE_LOG_DEBUG: return limit >= MCA_BASE_VERBOSE_DEBUG;
    default: return true;
    }
}

static const char *stderr_prefix(mca_base_log_level_t level)
{
    switch (level) {
    case MCA_BASE_LOG_ERROR: return "opalmem: error: ";
    case MCA_BASE_LOG_WARN: return "opalmem: warning: ";
    default: return "opalmem: ";
    }
}

/* A pipe may take less than was offered; then, and only then, is there a second write. */
static void write_all(const char *text, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDERR_FILENO, text, length);
        if (written > 0) {
            text += written;
            length -= (size_t) written;
        } else if (written == 0 || errno != EINTR) {
            return;
        }
    }
}

/* A line is the prefix and the message, with room for one byte behind; stderr gets all of it, a callback the message. */
static void emit(mca_base_log_level_t level, char *line)
{
    const log_target_t *target = atomic_load_explicit(&current_target, memory_order_acquire);
    if (target != NULL) {
        target->fn(level, line + strlen(stderr_prefix(level)), target->arg);
        return;
    }
    size_t length = strlen(line);
    line[length] = '\n';
    write_all(line, length + 1);
}

static void log_formatted(mca_base_log_level_t level, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

static void log_formatted(mca_base_log_level_t level, const char *format, va_list args)
{
    int saved_errno = errno;
    char small[LINE_SIZE + 1];
    va_list again;
    va_copy(again, args);
    size_t front = (size_t) snprintf(small, LINE_SIZE, "%s", stderr_prefix(level));
    int length = vsnprintf(small + front, LINE_SIZE - front, format, args);
    size_t needed = front + (size_t) length + 1;
    char *large = length >= 0 && needed > LINE_SIZE ? malloc(needed + 1) : NULL;
    if (large != NULL) {
        snprintf(large, needed, "%s", stderr_prefix(level));
        vsnprintf(large + front, needed - front, format, again);
    }
    va_end(again);
    if (length >= 0) {
        emit(level, large != NULL ? large : small);
    }
    free(large);
    errno = saved_errno;
}

void mca_base_log(mca_base_log_level_t level, const char *format, ...)
{
    if (!is_wanted(level)) {
        return;
    }
    va_list args;
    va_start(args, format);
    log_formatted(level, format, args);
    va_end(args);
}

void mca_base_verbose(const mca_base_framework_t *framework, int level, const char *format, ...)
{
    if (mca_base_var_load(framework->verbose) < level) {
        return;
    }
    int saved_errno = errno;
    char line[LINE_SIZE + 1];
    size_t front = (size_t) snprintf(line, LINE_SIZE, "%s%s: ", stderr_prefix(MCA_BASE_LOG_INFO), framework->name);
    va_list args;
    va_start(args, format);
    vsnprintf(line + front, LINE_SIZE - front, format, args);
    va_end(args);
    /* Not mca_base_log(): the framework's own verbosity has decided. */
    emit(MCA_BASE_LOG_INFO, line);
    errno = saved_errno;
}
