/* SPDX-License-Identifier: BSD-3-Clause */
/* One call of the program by way of the cache, or the reason why not.
 *
 * The file position. io_uring does not lock it, so read and write do not leave it to io_uring: the position is moved
 * first, by lseek(SEEK_CUR), which the kernel does as one step. That reserves the bytes: no other thread gets them.
 * What the transfer then falls short of is given back. Reads reserve no more than is in the file. Until it is given
 * back, another process would see too much: only descriptors that no other process has are treated so.
 *
 * What io_uring did not move is moved by the plain system call at its place: a short transfer looks like libc's. If it
 * moved nothing at all, the plain call decides about the result, errno and signals. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>

#include "tools/run/preload/preload_raw.h"
#include "tools/run/preload/preload_transfer.h"

/* This thread is in the cache, or in a handler that interrupted it there. */
static _Thread_local volatile int busy PRELOAD_TLS;

/* ---- May the cache be used ----------------------------------------------------------------------- */

static run_reason_t check_context(void)
{
    if (busy || preload_in_release()) {
        return RUN_NESTED;
    }
    if (atomic_load_explicit(&preload_forbidden, memory_order_relaxed) && preload_rule_is_on(RUN_FORBIDDEN)) {
        return RUN_FORBIDDEN;
    }
    if (preload_in_handler() && preload_rule_is_on(RUN_IN_HANDLER)) {
        return RUN_IN_HANDLER;
    }
    return preload_is_own_process() ? RUN_REASONS : RUN_IN_VFORK;
}

static bool has_file_limit(void)
{
    struct rlimit limit = { 0, 0 };

    PRELOAD_RAW(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long) &limit);
    return limit.rlim_cur != RLIM_INFINITY;
}

static run_reason_t check_write(const operation_t *operation)
{
    const long flags = operation->moves ? PRELOAD_RAW(SYS_fcntl, operation->fd, F_GETFL) : 0;

    if (flags < 0) {
        return RUN_ARGUMENT;
    }
    if ((flags & O_APPEND) != 0 && preload_rule_is_on(RUN_APPEND)) {
        return RUN_APPEND;
    }
    return has_file_limit() && preload_rule_is_on(RUN_FILE_LIMIT) ? RUN_FILE_LIMIT : RUN_REASONS;
}

/* No more than the file has is asked for, and pinned. */
static run_reason_t check_read(operation_t *operation)
{
    if (operation->offset >= operation->file_size) {
        return RUN_END;
    }
    if ((uint64_t) (operation->file_size - operation->offset) < operation->count) {
        operation->count = (size_t) (operation->file_size - operation->offset);
    }
    return operation->count < preload_threshold && preload_rule_is_on(RUN_END) ? RUN_END : RUN_REASONS;
}

static run_reason_t check_position(operation_t *operation, const struct stat *status)
{
    const run_reason_t reason = preload_descriptor_reason(operation->fd, status);

    if (reason != RUN_REASONS && preload_rule_is_on(reason)) {
        return reason;
    }
    operation->offset = PRELOAD_RAW(SYS_lseek, operation->fd, 0, SEEK_CUR);
    return operation->offset < 0 ? RUN_MOVED : RUN_REASONS;
}

static run_reason_t check_file(operation_t *operation)
{
    run_reason_t reason = RUN_REASONS;
    struct stat status = { .st_mode = 0 };

    if (operation->count > SSIZE_MAX || operation->offset < 0
        || PRELOAD_RAW(SYS_fstat, operation->fd, (long) &status) != 0) {
        return RUN_ARGUMENT;
    }
    if (!S_ISREG(status.st_mode) && preload_rule_is_on(RUN_NOT_REGULAR)) {
        return RUN_NOT_REGULAR;
    }
    operation->file_size = status.st_size;
    operation->count = operation->count < PRELOAD_MOST ? operation->count : PRELOAD_MOST;
    if (operation->moves) {
        reason = check_position(operation, &status);
    }
    if (reason != RUN_REASONS) {
        return reason;
    }
    return operation->is_write ? check_write(operation) : check_read(operation);
}

static run_reason_t check(operation_t *operation)
{
    const run_reason_t reason = check_context();

    return reason == RUN_REASONS ? check_file(operation) : reason;
}

/* ---- The file position ----------------------------------------------------------------------------- */

static void give_back(const operation_t *operation, size_t count)
{
    if (operation->moves && count != 0) {
        PRELOAD_RAW(SYS_lseek, operation->fd, -(long) count, SEEK_CUR);
    }
}

static bool reserve(operation_t *operation)
{
    long end;

    if (!operation->moves) {
        return true;
    }
    end = PRELOAD_RAW(SYS_lseek, operation->fd, (long) operation->count, SEEK_CUR);
    if (end < 0) {
        return false;
    }
    operation->offset = end - (long) operation->count;
    if (!operation->is_write && end > operation->file_size) { /* Another thread was there. */
        give_back(operation, operation->count);
        return false;
    }
    return true;
}

/* ---- The transfer ---------------------------------------------------------------------------------- */

#define PIECE ((uintptr_t) 1 << 30)

/* The kernel takes 1 GiB as one buffer, counted from the beginning of the page. */
static size_t piece_length(const char *start, size_t length)
{
    const size_t most = PIECE - ((uintptr_t) start & 0xffff);

    return length < most ? length : most;
}

/* @return Bytes moved: less than the piece if the rest is not for io_uring. */
static size_t move_piece(const operation_t *operation, mca_rcache_uring_registration_t *reg, size_t done,
                         size_t length)
{
    const ssize_t moved = preload_cache_move(reg, operation->fd, operation->is_write, operation->start + done,
                                             length, operation->offset + (off_t) done);

    preload_cache_put(reg);
    return moved < 0 ? 0 : (size_t) moved;
}

/* Pieces after the first. */
static size_t move_rest(const operation_t *operation, size_t done)
{
    mca_rcache_uring_registration_t *reg;
    size_t moved = 1, length = 1;

    while (moved == length && done < operation->count) {
        length = piece_length(operation->start + done, operation->count - done);
        if (preload_cache_get(operation->start + done, length, &reg) != RUN_REASONS) {
            break;
        }
        moved = move_piece(operation, reg, done, length);
        done += moved;
    }
    return done;
}

static size_t complete(const operation_t *operation, size_t done)
{
    const long nr = operation->is_write ? SYS_pwrite64 : SYS_pread64;
    const long moved = PRELOAD_RAW(nr, operation->fd, (long) (operation->start + done),
                                   (long) (operation->count - done), operation->offset + (long) done);

    run_add(&preload_page->completed, 1);
    return moved > 0 ? done + (size_t) moved : done;
}

static size_t move_all(const operation_t *operation, mca_rcache_uring_registration_t *reg, size_t length)
{
    size_t done = move_piece(operation, reg, 0, length);

    if (done == length) {
        done = move_rest(operation, done);
    }
    if (done != 0 && done < operation->count) {
        done = complete(operation, done);
    }
    give_back(operation, operation->count - done);
    return done;
}

static run_reason_t move(operation_t *operation, ssize_t *moved)
{
    const size_t length = piece_length(operation->start, operation->count);
    mca_rcache_uring_registration_t *reg;
    run_reason_t reason = preload_cache_start();
    size_t done;

    reason = reason == RUN_REASONS ? preload_cache_get(operation->start, length, &reg) : reason;
    if (reason != RUN_REASONS) {
        return reason;
    }
    if (!reserve(operation)) {
        preload_cache_put(reg);
        return RUN_MOVED;
    }
    done = move_all(operation, reg, length);
    if (done == 0) {
        return RUN_TRANSFER;
    }
    run_add(&preload_page->cached[operation->call], 1);
    run_add(&preload_page->bytes[operation->call], done);
    *moved = (ssize_t) done;
    return RUN_REASONS;
}

/* No handler runs until the result is there, as with the plain call. */
static run_reason_t move_alone(operation_t *operation, ssize_t *moved)
{
    const int saved_errno = errno;
    uint64_t mask;
    run_reason_t reason;

    pthread_testcancel();
    mask = preload_block_signals();
    busy = 1;
    reason = move(operation, moved);
    busy = 0;
    preload_restore_signals(mask);
    errno = saved_errno;
    return reason;
}

bool preload_transfer(operation_t operation, ssize_t *moved)
{
    run_reason_t reason = check(&operation);

    if (reason == RUN_REASONS) {
        reason = move_alone(&operation, moved);
    }
    if (reason != RUN_REASONS) {
        run_add(&preload_page->plain[operation.call][reason], 1);
    }
    return reason == RUN_REASONS;
}
