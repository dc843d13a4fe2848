/* SPDX-License-Identifier: BSD-3-Clause */
/* Machine code that tests write: sites, the same without looking like one, and
 * jumps as other libraries make them. */
#ifndef TEST_LINUX_OWN_BYTES_H
#define TEST_LINUX_OWN_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#ifdef __aarch64__

#define OWN_SITE_BYTES 16
#define OWN_SITE_OFFSET 4 /**< Where the site is in these. */

static inline void own_write_code(uint8_t *at, uint32_t first, uint32_t second, uint32_t third, uint32_t fourth)
{
    const uint32_t code[] = { first, second, third, fourth };

    memcpy(at, code, sizeof(code));
    __builtin___clear_cache((char *) at, (char *) at + sizeof(code));
}

/** `mov x8,#nr; svc #0; ret`: a function of at most three arguments. */
static inline void own_write_site(uint8_t *at, long nr)
{
    own_write_code(at, 0xd2800008 | (uint32_t) nr << 5, 0xd4000001, 0xd65f03c0, 0xd503201f);
}

/** Code that makes the same call without looking like a site: the kernel does not look at the number in the svc. */
static inline void own_write_hidden(uint8_t *at, long nr)
{
    own_write_code(at, 0xd2800008 | (uint32_t) nr << 5, 0xd4000021, 0xd65f03c0, 0xd503201f);
}

/** Where such a site is in the first bytes of a function of libc. NULL: it is not. */
static inline uint8_t *own_find(uint8_t *function, size_t size, long nr)
{
    const uint32_t site[] = { 0xd2800008 | (uint32_t) nr << 5, 0xd4000001 };
    uint8_t *found = memmem(function, size, site, sizeof(site));

    return found != NULL ? found + OWN_SITE_OFFSET : NULL;
}

/** Change what own_find() has found so that it does the same, but does not look like a site. */
static inline void own_hide(uint8_t *site, long nr)
{
    (void) nr;
    memcpy(site, &(uint32_t){ 0xd4000021 }, 4);
    __builtin___clear_cache((char *) site, (char *) site + 4);
}

#define OWN_JUMP_BYTES 16

/** `ldr x16, .+8; br x16`, the address: as hook libraries write it. */
static inline void own_write_jump(uint8_t *at, const void *target)
{
    const uint32_t jump[] = { 0x58000050, 0xd61f0200 };

    memcpy(at, jump, sizeof(jump));
    memcpy(at + sizeof(jump), &target, sizeof(target));
}

/** munmap by code that is no site. @return as the kernel's */
static inline long own_hidden_munmap(void *address, size_t length)
{
    register long x8 __asm__("x8") = SYS_munmap;
    register long x0 __asm__("x0") = (long) address;
    register long x1 __asm__("x1") = (long) length;

    __asm__ volatile("svc #1" : "+r"(x0) : "r"(x8), "r"(x1) : "memory");
    return x0;
}

#else

#define OWN_SITE_BYTES 8
#define OWN_SITE_OFFSET 0 /**< Where the site is in these. */

/** `mov $nr,%eax; syscall; ret`: a function of at most three arguments. */
static inline void own_write_site(uint8_t *at, long nr)
{
    const uint8_t bytes[OWN_SITE_BYTES] = { 0xb8, (uint8_t) nr, (uint8_t) (nr >> 8), 0, 0, 0x0f, 0x05, 0xc3 };

    memcpy(at, bytes, sizeof(bytes));
}

/** Code that makes the same call without looking like a site: `push $nr; pop %rax; nop`. nr below 128. */
static inline void own_write_hidden(uint8_t *at, long nr)
{
    const uint8_t bytes[OWN_SITE_BYTES] = { 0x6a, (uint8_t) nr, 0x58, 0x66, 0x90, 0x0f, 0x05, 0xc3 };

    memcpy(at, bytes, sizeof(bytes));
}

/** Where such a site is in the first bytes of a function of libc. NULL: it is not. */
static inline uint8_t *own_find(uint8_t *function, size_t size, long nr)
{
    const uint8_t site[] = { 0xb8, (uint8_t) nr, 0, 0, 0, 0x0f, 0x05 };

    return memmem(function, size, site, sizeof(site));
}

/** Change what own_find() has found so that it does the same, but does not look like a site. */
static inline void own_hide(uint8_t *site, long nr)
{
    const uint8_t bytes[] = { 0x6a, (uint8_t) nr, 0x58, 0x66, 0x90 };

    memcpy(site, bytes, sizeof(bytes));
}

#define OWN_JUMP_BYTES 13

/** `movabs $target,%r11; jmp *%r11`, as hook libraries write it. */
static inline void own_write_jump(uint8_t *at, const void *target)
{
    const uint8_t jump[OWN_JUMP_BYTES] = { 0x49, 0xbb, 0, 0, 0, 0, 0, 0, 0, 0, 0x41, 0xff, 0xe3 };

    memcpy(at, jump, sizeof(jump));
    memcpy(at + 2, &target, sizeof(target));
}

/** munmap by code that is no site. @return as the kernel's */
static inline long own_hidden_munmap(void *address, size_t length)
{
    long result;

    __asm__ volatile("nop\n syscall"
                     : "=a"(result)
                     : "0"((long) SYS_munmap), "D"(address), "S"(length)
                     : "rcx", "r11", "memory");
    return result;
}

#endif

#endif
