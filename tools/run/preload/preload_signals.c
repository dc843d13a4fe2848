/* SPDX-License-Identifier: BSD-3-Clause */
/* Knows whether code runs in a signal handler. A handler may have interrupted malloc, and a registration allocates: a
 * call from a handler is plain. The program's handlers are kept here, and a relay stands in their place; what the
 * program asks about its handlers is answered with its own. */
#define _GNU_SOURCE 1
#include <signal.h>

#include "tools/run/preload/preload.h"

typedef void (*handler_fn_t)(int signal, siginfo_t *info, void *context);

/* Of each signal; kept when the kernel's is not the relay any more. Written by whoever sets it. */
static _Atomic(handler_fn_t) handlers[NSIG];

/* Frame of the outermost handler of this thread. A handler may be left by longjmp: then the stack is above. */
static _Thread_local char *handler_frame PRELOAD_TLS;

bool preload_in_handler(void)
{
    if (handler_frame != NULL && (char *) __builtin_frame_address(0) > handler_frame) {
        handler_frame = NULL;
    }
    return handler_frame != NULL;
}

static void relay(int signal, siginfo_t *info, void *context)
{
    char *const outer = preload_in_handler() ? handler_frame : NULL;

    if (outer == NULL) {
        handler_frame = __builtin_frame_address(0);
    }
    atomic_load (&handlers[signal])(signal, info, context);
    handler_frame = outer;
}

static bool is_signal(int signal)
{
    return signal > 0 && signal < NSIG;
}

static bool is_function(const void *handler)
{
    return handler != (const void *) SIG_DFL && handler != (const void *) SIG_IGN
           && handler != (const void *) SIG_HOLD && handler != (const void *) SIG_ERR;
}

/* A vfork child's handlers are its own, but not this table: it gets no relay. */
static bool is_relayed(int signal, const void *handler)
{
    return is_signal(signal) && is_function(handler) && preload_is_own_process();
}

PRELOAD_EXPORT int sigaction(int signal, const struct sigaction *action, struct sigaction *old)
{
    const handler_fn_t previous = is_signal(signal) ? atomic_load(&handlers[signal]) : NULL;
    struct sigaction mine;
    int rc;

    if (action != NULL && is_relayed(signal, (const void *) action->sa_sigaction)) {
        mine = *action;
        atomic_store(&handlers[signal], action->sa_sigaction);
        mine.sa_sigaction = relay;
        rc = preload_libc()->sigaction(signal, &mine, old);
        if (rc != 0) {
            atomic_store(&handlers[signal], previous);
        }
    } else {
        rc = preload_libc()->sigaction(signal, action, old);
    }
    if (rc == 0 && old != NULL && old->sa_sigaction == relay) {
        old->sa_sigaction = previous;
    }
    return rc;
}

/* signal() and its relatives differ in what libc does with flags and mask. */
static void *set(void *(*real)(int signal, void *handler), int signal, void *handler)
{
    const handler_fn_t previous = is_signal(signal) ? atomic_load(&handlers[signal]) : NULL;
    void *old;

    if (is_relayed(signal, handler)) {
        atomic_store(&handlers[signal], (handler_fn_t) handler);
        old = real(signal, (void *) relay);
        if (old == (void *) SIG_ERR) {
            atomic_store(&handlers[signal], previous);
        }
    } else {
        old = real(signal, handler);
    }
    return old == (void *) relay ? (void *) previous : old;
}

PRELOAD_EXPORT sighandler_t signal(int number, sighandler_t handler)
{
    return (sighandler_t) set(preload_libc()->signal, number, (void *) handler);
}

PRELOAD_EXPORT sighandler_t ssignal(int number, sighandler_t handler)
{
    return signal(number, handler);
}

PRELOAD_EXPORT sighandler_t sysv_signal(int number, sighandler_t handler)
{
    return (sighandler_t) set(preload_libc()->sysv_signal, number, (void *) handler);
}

PRELOAD_EXPORT sighandler_t __sysv_signal(int number, sighandler_t handler)
{
    return sysv_signal(number, handler);
}

PRELOAD_EXPORT sighandler_t sigset(int number, sighandler_t handler)
{
    return (sighandler_t) set(preload_libc()->sigset, number, (void *) handler);
}
