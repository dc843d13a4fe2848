/* SPDX-License-Identifier: BSD-3-Clause */
/* libc's own functions behind the wrappers, found once by the names that the wrappers took. */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "tools/run/preload/preload.h"

preload_real_t preload_real;

/* In the order of preload_real_t. */
static const char *const names[] = {
    "read",         "write",       "pread64",      "pwrite64", "__read_chk",  "__pread64_chk", "open64",
    "openat64",     "__open64_2",  "__openat64_2", "creat64",  "close",       "dup",           "dup2",
    "dup3",         "fcntl64",     "syscall",      "prctl",    "mprotect",    "pkey_mprotect", "sigaction",
    "signal",       "sysv_signal", "sigset",       "clone",    "posix_spawn", "posix_spawnp",  "pidfd_spawn",
    "pidfd_spawnp", "system",      "popen",        "sendmsg",  "sendmmsg",    "recvmsg",       "recvmmsg",
    "wordexp",      "_Fork",       "vfork",
};
_Static_assert(sizeof(names) / sizeof(names[0]) == sizeof(preload_real_t) / sizeof(void *), "a name for each");

/* Assembler code below jumps here; a child of its own where nothing has been looked up yet. */
__attribute__((visibility("hidden"))) int (*preload_real_vfork)(void) = fork;

const preload_real_t *preload_libc(void)
{
    static _Atomic int is_filled;
    void *found[sizeof(names) / sizeof(names[0])];

    if (!atomic_load_explicit(&is_filled, memory_order_acquire)) {
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            found[i] = dlsym(RTLD_NEXT, names[i]);
        }
        memcpy(&preload_real, found, sizeof(found)); /* Whoever comes at the same time writes the same. */
        preload_real_vfork = preload_real.vfork;
        atomic_store_explicit(&is_filled, 1, memory_order_release);
    }
    return &preload_real;
}

/* vfork returns twice into its caller's frame: a wrapper must leave none of its own. */
#if defined(__x86_64__)
__asm__(".text\n"
        ".globl vfork\n"
        ".type vfork, @function\n"
        "vfork:\n"
        "    .cfi_startproc\n"
        "    endbr64\n"
        "    lock addq $1, preload_shares(%rip)\n"
        "    jmp *preload_real_vfork(%rip)\n"
        "    .cfi_endproc\n"
        ".size vfork, .-vfork\n");
#else
__asm__(".text\n"
        ".globl vfork\n"
        ".type vfork, %function\n"
        "vfork:\n"
        "    .cfi_startproc\n"
        "    hint #34\n" /* A landing pad for indirect branches, where the processor looks for one. */
        "    adrp x9, preload_shares\n"
        "    add x9, x9, :lo12:preload_shares\n"
        "1:  ldaxr x10, [x9]\n"
        "    add x10, x10, #1\n"
        "    stlxr w11, x10, [x9]\n"
        "    cbnz w11, 1b\n"
        "    adrp x9, preload_real_vfork\n"
        "    ldr x16, [x9, :lo12:preload_real_vfork]\n"
        "    br x16\n"
        "    .cfi_endproc\n"
        ".size vfork, .-vfork\n");
#endif
