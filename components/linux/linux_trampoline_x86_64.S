/* SPDX-License-Identifier: BSD-3-Clause */
/* The part that all stubs share: from a replaced site to linux_dispatch() and
 * back, with the state in which a system call leaves a thread.
 *
 * In:  %rax the site, %rcx the address behind its syscall instruction, arguments
 *      in %rdi, %rsi, %rdx, %r10, %r8, %r9; the stub has stepped over the red zone.
 * Out: %rax the result. The kernel keeps all registers but %rax, %rcx and %r11;
 *      so do we: six are saved here, the rest are callee-saved or not used by
 *      linux_dispatch(), which is compiled to use general registers only.
 * A callback of the user may use vector registers and flags. That is why sites
 * are taken only where the call is the whole body of a wrapper of libc or
 * ld.so, which nobody calls expecting vector registers to be kept; and no
 * compiler expects an asm statement to keep the flags.
 *
 * The unwind information leaves the stub out, for which there is none: the
 * caller of this code is said to be the site, with its stack pointer. So a
 * debugger shows munmap() and its callers behind a callback.
 */

#ifdef __CET__
#include <cet.h> /* The mark without which the linker would take shadow stacks away from the whole library. */
#else
#define _CET_ENDBR
#endif

#define RED_ZONE 128
#define RETURN_COLUMN 16 /* DWARF's numbers: the return address, */
#define RCX_COLUMN 2     /* and %rcx. */

    .section .text.hot, "ax", @progbits /* Beside the functions that it calls: see OPAL_MEM_HOOKS_PATH. */
    .p2align 4
    .globl linux_trampoline_common
    .hidden linux_trampoline_common
    .type linux_trampoline_common, @function
linux_trampoline_common:
    .cfi_startproc
    .cfi_def_cfa_offset RED_ZONE + 8
    .cfi_register RETURN_COLUMN, RCX_COLUMN
    _CET_ENDBR
    pushq %rbp
    .cfi_def_cfa_offset RED_ZONE + 16
    .cfi_offset rbp, -(RED_ZONE + 16)
    movq %rsp, %rbp
    .cfi_def_cfa_register rbp
    pushq %rcx
    .cfi_offset RETURN_COLUMN, -(RED_ZONE + 24)
    andq $-16, %rsp
    pushq %r9
    pushq %r8
    pushq %r10
    pushq %rdx
    pushq %rsi
    pushq %rdi
    movq %rax, %rdi
    movq %rsp, %rsi
    call linux_dispatch
    popq %rdi
    popq %rsi
    popq %rdx
    popq %r10
    popq %r8
    popq %r9
    movq -8(%rbp), %rcx
    .cfi_register RETURN_COLUMN, RCX_COLUMN
    leave
    .cfi_def_cfa rsp, RED_ZONE + 8
    .cfi_restore rbp
    rep ret /* A plain ret makes gdb take the stub, of which it knows nothing, for the caller here. */
    .cfi_endproc
    .size linux_trampoline_common, . - linux_trampoline_common

    .section .note.GNU-stack, "", @progbits
