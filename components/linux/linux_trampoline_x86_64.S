/* SPDX-License-Identifier: BSD-3-Clause */
/* The part that all stubs share: from a replaced site to linux_before(), the
 * system call, linux_after(), and back, with the state in which a system call
 * leaves a thread.
 *
 * In:  %r11 the site, %rcx the address behind its syscall instruction, %rax the number (only where the site leaves it to
 *      its caller), arguments in %rdi, %rsi, %rdx, %r10, %r8, %r9; the stub has stepped over the red zone.
 * Out: %rax the result. The kernel keeps all registers but %rax, %rcx and %r11;
 *      so do we: six are saved here, the rest are callee-saved or not used by
 *      the two functions, which are compiled to use general registers only.
 *
 * Where nothing is to be done afterwards, the site's own syscall instruction makes the call: it is right before the
 * address behind it. Nothing is returned from that was called before a system call (see linux_before()), and it is left by
 * a jump, as it was come to: shadow stacks have nothing to balance.
 *
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
#define JUMP_TO_CODE notrack jmp
#else
#define _CET_ENDBR
#define JUMP_TO_CODE jmp
#endif

#define RED_ZONE 128
#define SYSCALL_BYTES 2
#define RETURN_COLUMN 16 /* DWARF's numbers: the return address, */
#define RCX_COLUMN 2     /* and %rcx. */

/* linux_frame_t and linux_plan_t; checked in linux_calls.c. The stack pointer points to the frame. */
#define FRAME_BYTES 192
#define FRAME_ARGS 0
#define FRAME_NR 48
#define FRAME_RESULT 56
#define PLAN_MAKE_THEN 1

/* %rbp points to the saved %rbp, below it are the address to resume at, %r11 and, for one of the two, %rbx. */
    .macro enter name
    .p2align 4
    .globl \name
    .hidden \name
    .type \name, @function
\name:
    .cfi_startproc
    .cfi_def_cfa_offset RED_ZONE
    .cfi_register RETURN_COLUMN, RCX_COLUMN
    _CET_ENDBR
    pushq %rbp
    .cfi_def_cfa_offset RED_ZONE + 8
    .cfi_offset rbp, -(RED_ZONE + 8)
    movq %rsp, %rbp
    .cfi_def_cfa_register rbp
    pushq %rcx
    .cfi_offset RETURN_COLUMN, -(RED_ZONE + 16)
    pushq %rbx
    .cfi_offset rbx, -(RED_ZONE + 24)
    subq $FRAME_BYTES, %rsp
    andq $-16, %rsp
    movq %rdi, FRAME_ARGS(%rsp)
    movq %rsi, FRAME_ARGS + 8(%rsp)
    movq %rdx, FRAME_ARGS + 16(%rsp)
    movq %r10, FRAME_ARGS + 24(%rsp)
    movq %r8, FRAME_ARGS + 32(%rsp)
    movq %r9, FRAME_ARGS + 40(%rsp)
    movq %rax, FRAME_NR(%rsp)
    .endm

    .macro load_arguments
    movq FRAME_ARGS(%rsp), %rdi
    movq FRAME_ARGS + 8(%rsp), %rsi
    movq FRAME_ARGS + 16(%rsp), %rdx
    movq FRAME_ARGS + 24(%rsp), %r10
    movq FRAME_ARGS + 32(%rsp), %r8
    movq FRAME_ARGS + 40(%rsp), %r9
    .endm

/* To the site, `back` bytes before the address to resume at. */
    .macro leave_to_site back
    .cfi_remember_state
    movq -16(%rbp), %rbx
    .cfi_restore rbx
    movq -8(%rbp), %rcx
    .cfi_register RETURN_COLUMN, RCX_COLUMN
    leave
    .cfi_def_cfa rsp, RED_ZONE
    .cfi_restore rbp
    leaq RED_ZONE(%rsp), %rsp
    .cfi_def_cfa_offset 0
    .if \back
    subq $\back, %rcx
    .endif
    JUMP_TO_CODE *%rcx
    .cfi_restore_state
    .endm

    .macro finish name
    .cfi_endproc
    .size \name, . - \name
    .endm

    .section .text.hot, "ax", @progbits /* Beside the functions that it calls: see OPAL_MEM_HOOKS_PATH. */
    enter linux_trampoline_common
    movq %r11, %rdi
    movq %rsp, %rsi
    call linux_before
1:  cmpl $PLAN_MAKE_THEN, %eax
    load_arguments
    jb 3f
    ja 2f
    movq FRAME_NR(%rsp), %rax
    syscall
    movq %rax, FRAME_RESULT(%rsp)
    movq %rsp, %rdi
    call linux_after
    jmp 1b
2:  movq FRAME_RESULT(%rsp), %rax
    leave_to_site 0
3:  movq FRAME_NR(%rsp), %rax
    leave_to_site SYSCALL_BYTES
    finish linux_trampoline_common

/* Saves the vector registers around both calls. %rbx points to the frame, the stack pointer to what is saved: an area for
 * XSAVE begins at a multiple of 64, and its header, behind the first 512 bytes, with zeros. The result of `function` comes
 * in %ecx. */
    .macro call_keeping_vectors function
    movq linux_vectors_mask(%rip), %rax
    testq %rax, %rax
    jz 8f
    xorl %edx, %edx
    .irp offset, 512, 520, 528, 536, 544, 552, 560, 568
    movq %rdx, \offset(%rsp)
    .endr
    xsave64 (%rsp)
    call \function
    movl %eax, %ecx
    movq linux_vectors_mask(%rip), %rax
    xorl %edx, %edx
    xrstor64 (%rsp)
    jmp 9f
8:  fxsave64 (%rsp)
    call \function
    movl %eax, %ecx
    fxrstor64 (%rsp)
9:
    .endm

    .text
    enter linux_trampoline_vectors
    movq %rsp, %rbx
    subq linux_vectors_size(%rip), %rsp
    andq $-64, %rsp
    movq %r11, %rdi
    movq %rbx, %rsi
    call_keeping_vectors linux_before
1:  xchgq %rbx, %rsp
    load_arguments
    cmpl $PLAN_MAKE_THEN, %ecx
    jb 3f
    ja 2f
    movq FRAME_NR(%rsp), %rax
    syscall
    movq %rax, FRAME_RESULT(%rsp)
    movq %rsp, %rdi
    xchgq %rbx, %rsp
    call_keeping_vectors linux_after
    jmp 1b
2:  movq FRAME_RESULT(%rsp), %rax
    leave_to_site 0
3:  movq FRAME_NR(%rsp), %rax
    leave_to_site SYSCALL_BYTES
    finish linux_trampoline_vectors

    .section .note.GNU-stack, "", @progbits
