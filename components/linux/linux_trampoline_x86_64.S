/* SPDX-License-Identifier: BSD-3-Clause */
/* The part that all stubs share: from a replaced site to linux_dispatch() and
 * back, with the state in which a system call leaves a thread.
 *
 * In:  %r11 the site, %rcx the address behind its syscall instruction, %rax the number (only where the site leaves it to
 *      its caller), arguments in %rdi, %rsi, %rdx, %r10, %r8, %r9; the stub has stepped over the red zone.
 * Out: %rax the result. The kernel keeps all registers but %rax, %rcx and %r11;
 *      so do we: six are saved here, the rest are callee-saved or not used by
 *      linux_dispatch(), which is compiled to use general registers only.
 * A callback of the user may use vector registers. The sites of libc and ld.so are in functions that nobody calls
 * expecting vector registers to be kept: they use linux_trampoline_common. Elsewhere a system call may stand in the
 * middle of any function: linux_trampoline_vectors keeps vector registers as well.
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

/* The stack is aligned to 16 bytes at the call of linux_dispatch(). */
    .macro enter name, keep_rbx=0
    .p2align 4
    .globl \name
    .hidden \name
    .type \name, @function
\name:
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
    .if \keep_rbx
    pushq %rbx
    .cfi_offset rbx, -(RED_ZONE + 32)
    .endif
    andq $-16, %rsp
    pushq %rax      /* Fills up. */
    pushq %rax      /* The number, and the arguments. */
    pushq %r9
    pushq %r8
    pushq %r10
    pushq %rdx
    pushq %rsi
    pushq %rdi
    .endm

    .macro resume name, keep_rbx=0
    popq %rdi
    popq %rsi
    popq %rdx
    popq %r10
    popq %r8
    popq %r9
    .if \keep_rbx
    movq -16(%rbp), %rbx
    .cfi_restore rbx
    .endif
    movq -8(%rbp), %rcx
    .cfi_register RETURN_COLUMN, RCX_COLUMN
    leave
    .cfi_def_cfa rsp, RED_ZONE + 8
    .cfi_restore rbp
    ret
    .cfi_endproc
    .size \name, . - \name
    .endm

    .section .text.hot, "ax", @progbits /* Beside the functions that it calls: see OPAL_MEM_HOOKS_PATH. */
    enter linux_trampoline_common
    movq %r11, %rdi
    movq %rsp, %rsi
    call linux_dispatch
    resume linux_trampoline_common

/* %rbx is where the arguments are, %rsp where the vector registers are: an area for XSAVE begins at a multiple of 64, and
 * its header, behind the first 512 bytes, with zeros. */
    .text
    enter linux_trampoline_vectors, 1
    movq %rsp, %rbx
    subq linux_vectors_size(%rip), %rsp
    andq $-64, %rsp
    movq %r11, %rdi
    movq %rbx, %rsi
    movq linux_vectors_mask(%rip), %rax
    testq %rax, %rax
    jz 1f
    xorl %edx, %edx
    .irp offset, 512, 520, 528, 536, 544, 552, 560, 568
    movq %rdx, \offset(%rsp)
    .endr
    xsave64 (%rsp)
    call linux_dispatch
    movq %rax, %rcx
    movq linux_vectors_mask(%rip), %rax
    xorl %edx, %edx
    xrstor64 (%rsp)
    jmp 2f
1:  fxsave64 (%rsp)
    call linux_dispatch
    movq %rax, %rcx
    fxrstor64 (%rsp)
2:  movq %rcx, %rax
    movq %rbx, %rsp
    resume linux_trampoline_vectors, 1

    .section .note.GNU-stack, "", @progbits
