/* SPDX-License-Identifier: BSD-3-Clause */
/* The part that all stubs share: from a replaced `svc` to linux_before(), the system call, linux_after(), and back, with
 * the state in which a system call leaves a thread.
 *
 * In:  x16 the site, x30 the way back into the stub; the rest as at the site, but that the stub has
 *      pushed x16, x17, x30 and the address behind the site: 32 bytes, in this order.
 * Out: x0 the result; x16 and x17 are lost (the stub has them), all else is as it was. The kernel keeps every register but
 *      x0, and the flags, and a site inlined into somebody's code relies on it: what C may change is saved here.
 *
 * The two functions use general registers only, but callbacks of the user may use others. The second entry, for code that
 * expects vector registers to survive a system call, keeps them. Of scalable vectors the kernel itself keeps but
 * the lower 128 bits, which are these registers.
 *
 * The unwind information leaves the stub out, for which there is none: the caller of this code is said to be the site,
 * with its stack pointer. The site is in a leaf function, as a rule, and has a return address of its own in x30; so the one
 * of this code needs another column: x17, which is lost anyway, for unwinders that ask for the return column, and PC for
 * gdb. The frame record does the same for those who follow x29. */

#define RETURN_COLUMN 17
#define PC_COLUMN 32

/* What the stub has pushed, upwards from the stack pointer. */
#define PUSHED 32
#define PUSHED_RESUME 24

/* linux_frame_t and linux_plan_t; checked in linux_calls.c. The stack pointer points to the frame. */
#define FRAME_ARGS 0
#define FRAME_NR 48
#define FRAME_RESULT 56
#define FRAME_BYTES 192
#define PLAN_MAKE_THEN 1

/* Behind it. */
#define RECORD FRAME_BYTES
#define TEMPORARIES (RECORD + 16)
#define FP_STATE (TEMPORARIES + 112)
#define VECTORS (FP_STATE + 16)

    .macro keep_vectors
    stp q0, q1, [sp, #VECTORS]
    stp q2, q3, [sp, #VECTORS + 32]
    stp q4, q5, [sp, #VECTORS + 64]
    stp q6, q7, [sp, #VECTORS + 96]
    stp q8, q9, [sp, #VECTORS + 128]
    stp q10, q11, [sp, #VECTORS + 160]
    stp q12, q13, [sp, #VECTORS + 192]
    stp q14, q15, [sp, #VECTORS + 224]
    stp q16, q17, [sp, #VECTORS + 256]
    stp q18, q19, [sp, #VECTORS + 288]
    stp q20, q21, [sp, #VECTORS + 320]
    stp q22, q23, [sp, #VECTORS + 352]
    stp q24, q25, [sp, #VECTORS + 384]
    stp q26, q27, [sp, #VECTORS + 416]
    stp q28, q29, [sp, #VECTORS + 448]
    stp q30, q31, [sp, #VECTORS + 480]
    mrs x17, fpsr
    mrs x18, fpcr
    stp x17, x18, [sp, #FP_STATE]
    .endm

    .macro restore_vectors
    ldp x17, x18, [sp, #FP_STATE]
    msr fpsr, x17
    msr fpcr, x18
    ldp q0, q1, [sp, #VECTORS]
    ldp q2, q3, [sp, #VECTORS + 32]
    ldp q4, q5, [sp, #VECTORS + 64]
    ldp q6, q7, [sp, #VECTORS + 96]
    ldp q8, q9, [sp, #VECTORS + 128]
    ldp q10, q11, [sp, #VECTORS + 160]
    ldp q12, q13, [sp, #VECTORS + 192]
    ldp q14, q15, [sp, #VECTORS + 224]
    ldp q16, q17, [sp, #VECTORS + 256]
    ldp q18, q19, [sp, #VECTORS + 288]
    ldp q20, q21, [sp, #VECTORS + 320]
    ldp q22, q23, [sp, #VECTORS + 352]
    ldp q24, q25, [sp, #VECTORS + 384]
    ldp q26, q27, [sp, #VECTORS + 416]
    ldp q28, q29, [sp, #VECTORS + 448]
    ldp q30, q31, [sp, #VECTORS + 480]
    .endm

    .macro load_arguments
    ldr x1, [sp, #FRAME_ARGS + 8]
    ldp x2, x3, [sp, #FRAME_ARGS + 16]
    ldp x4, x5, [sp, #FRAME_ARGS + 32]
    .endm

    .macro entry name, size, vectors
    .p2align 4
    .globl \name
    .hidden \name
    .type \name, @function
\name:
    .cfi_startproc
    .cfi_return_column RETURN_COLUMN
    .cfi_def_cfa sp, PUSHED
    .cfi_offset x16, -PUSHED
    .cfi_offset x30, -16
    .cfi_offset RETURN_COLUMN, PUSHED_RESUME - PUSHED
    .cfi_offset PC_COLUMN, PUSHED_RESUME - PUSHED
    hint #34 /* bti c */
    sub sp, sp, #(\size)
    .cfi_def_cfa_offset (\size) + PUSHED
    ldr x17, [sp, #(\size) + PUSHED_RESUME]
    stp x29, x17, [sp, #RECORD]
    .cfi_offset x29, RECORD - (\size) - PUSHED
    mrs x17, nzcv
    stp x0, x1, [sp, #FRAME_ARGS]
    stp x2, x3, [sp, #FRAME_ARGS + 16]
    stp x4, x5, [sp, #FRAME_ARGS + 32]
    stp x6, x7, [sp, #TEMPORARIES]
    stp x8, x9, [sp, #TEMPORARIES + 16]
    stp x10, x11, [sp, #TEMPORARIES + 32]
    stp x12, x13, [sp, #TEMPORARIES + 48]
    stp x14, x15, [sp, #TEMPORARIES + 64]
    stp x17, x18, [sp, #TEMPORARIES + 80]
    str x30, [sp, #TEMPORARIES + 96]
    mov w8, w8 /* The kernel looks at this half. */
    str x8, [sp, #FRAME_NR]
    .if \vectors
    keep_vectors
    .endif
    add x29, sp, #RECORD
    mov x0, x16
    mov x1, sp
    bl linux_before
1:  cmp w0, #PLAN_MAKE_THEN
    b.hi 2f
    load_arguments
    ldr x0, [sp, #FRAME_ARGS]
    ldr x8, [sp, #FRAME_NR]
    svc #0
    str x0, [sp, #FRAME_RESULT]
    b.lo 2f /* The kernel keeps the flags, too. */
    mov x0, sp
    bl linux_after
    b 1b
2:
    .if \vectors
    restore_vectors
    .endif
    load_arguments
    ldp x6, x7, [sp, #TEMPORARIES]
    ldp x8, x9, [sp, #TEMPORARIES + 16]
    ldp x10, x11, [sp, #TEMPORARIES + 32]
    ldp x12, x13, [sp, #TEMPORARIES + 48]
    ldp x14, x15, [sp, #TEMPORARIES + 64]
    ldp x17, x18, [sp, #TEMPORARIES + 80]
    ldr x30, [sp, #TEMPORARIES + 96]
    msr nzcv, x17
    ldr x0, [sp, #FRAME_RESULT]
    ldr x29, [sp, #RECORD]
    .cfi_restore x29
    add sp, sp, #(\size)
    .cfi_def_cfa_offset PUSHED
    ret
    .cfi_endproc
    .size \name, . - \name
    .endm

    .section .text.hot, "ax", @progbits /* Beside the functions that it calls: see OPAL_MEM_HOOKS_PATH. */
    entry linux_trampoline_common, FP_STATE, 0
    entry linux_trampoline_vectors, VECTORS + 32 * 16, 1

#ifdef __ARM_FEATURE_BTI_DEFAULT
/* The mark without which the linker would take branch target identification away from the whole library. */
    .section .note.gnu.property, "a"
    .p2align 3
    .word 4, 16, 5
    .asciz "GNU"
    .word 0xc0000000, 4, 1, 0 /* GNU_PROPERTY_AARCH64_FEATURE_1_AND: BTI */
#endif

    .section .note.GNU-stack, "", @progbits
