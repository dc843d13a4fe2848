/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes the stubs that replaced sites jump to: one page for each object, near
 * it. Every stub is
 *
 *     lea    -128(%rsp),%rsp     step over the red zone: the sites are in leaf functions
 *     movabs $site,%rax          %rax, %rcx and %r11 are free: syscall overwrites them
 *     lea    resume(%rip),%rcx   behind the syscall instruction; what the kernel leaves in %rcx, too
 *     call   *common(%rip)       may be farther away than 2 GiB; call and ret balance, for shadow stacks
 *     lea    128(%rsp),%rsp
 *     jmp    resume
 *
 * A page is written completely, then made executable, and never changed or
 * freed: a thread may be in it at any time. */
#include "components/linux/linux.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "components/linux/linux_sys.h"

#define STUB_BYTES 48
#define STUBS_OFFSET 16 /* Behind the address of linux_trampoline_common. */
#define STUBS_PER_PAGE ((LINUX_PAGE - STUBS_OFFSET) / STUB_BYTES)

#define JMP_REL32 0xe9

/* ---- A place for the page -------------------------------------------------------------------- */

/* How far above a site the page may begin so that the last byte of the jump's distance is 0, as is the
 * last byte of the mov: a jump whose last byte lies in the next word is then stored at once. */
#define NEAR_REACH ((uintptr_t) 1 << 24)
#define NEAR_STEP ((uintptr_t) 16 * LINUX_PAGE)
#define FAR_REACH (((uintptr_t) 1 << 31) - ((uintptr_t) 1 << 20))
#define FAR_STEP ((uintptr_t) 1 << 20)

/* A page at that very address, or 0. Kernels before 4.17 take the address for a hint. */
static uintptr_t map_at(uintptr_t address)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    const long got = linux_sys_mmap(address, LINUX_PAGE, PROT_READ | PROT_WRITE, flags);

    if (linux_failed(got)) {
        return 0;
    }
    if ((uintptr_t) got != address) {
        linux_sys_munmap((uintptr_t) got, LINUX_PAGE);
        return 0;
    }
    return address;
}

static uintptr_t map_above(const linux_object_t *object, uintptr_t lowest_site)
{
    for (uintptr_t at = object->end; at + LINUX_PAGE <= lowest_site + NEAR_REACH; at += NEAR_STEP) {
        const uintptr_t page = map_at(at);

        if (page != 0) {
            return page;
        }
    }
    return 0;
}

static uintptr_t map_around(const linux_object_t *object)
{
    for (uintptr_t far = FAR_STEP; far + (object->end - object->start) < FAR_REACH; far += FAR_STEP) {
        uintptr_t page = object->start > far + FAR_STEP ? map_at(object->start - far) : 0;

        page = page == 0 ? map_at(object->end + far) : page;
        if (page != 0) {
            return page;
        }
    }
    return 0;
}

/* ---- Code ------------------------------------------------------------------------------------ */

typedef struct writer_t {
    uint8_t *at;
} writer_t;

static void put(writer_t *writer, const void *bytes, size_t size)
{
    memcpy(writer->at, bytes, size);
    writer->at += size;
}

/* The distance to target, counted from behind itself: the last operand of its instruction. */
static void put_distance(writer_t *writer, const void *target)
{
    const int32_t distance = (int32_t) ((intptr_t) target - ((intptr_t) writer->at + 4));

    put(writer, &distance, sizeof(distance));
}

static void write_stub(uint8_t *stub, const linux_site_t *site, const uint8_t *common)
{
    static const uint8_t step_over[] = { 0x48, 0x8d, 0x64, 0x24, 0x80 };
    static const uint8_t load_site[] = { 0x48, 0xb8 };
    static const uint8_t load_resume[] = { 0x48, 0x8d, 0x0d };
    static const uint8_t call_common[] = { 0xff, 0x15 };
    static const uint8_t step_back[] = { 0x48, 0x8d, 0xa4, 0x24, 0x80, 0x00, 0x00, 0x00 };
    static const uint8_t jump[] = { JMP_REL32 };
    const uint8_t *resume = site->address + LINUX_INSN + LINUX_SYSCALL;
    const uint64_t site_operand = (uintptr_t) site;
    writer_t writer = { stub };

    put(&writer, step_over, sizeof(step_over));
    put(&writer, load_site, sizeof(load_site));
    put(&writer, &site_operand, sizeof(site_operand));
    put(&writer, load_resume, sizeof(load_resume));
    put_distance(&writer, resume);
    put(&writer, call_common, sizeof(call_common));
    put_distance(&writer, common);
    put(&writer, step_back, sizeof(step_back));
    put(&writer, jump, sizeof(jump));
    put_distance(&writer, resume);
}

static void write_jump(linux_site_t *site, const uint8_t *stub)
{
    const int32_t distance = (int32_t) (stub - (site->address + LINUX_INSN));

    site->jump[0] = JMP_REL32;
    memcpy(site->jump + 1, &distance, sizeof(distance));
}

static void write_page(uint8_t *page, linux_site_t *sites, size_t count)
{
    void (*const common)(void) = linux_trampoline_common;

    memset(page, 0xcc, LINUX_PAGE);
    memcpy(page, &common, sizeof(common));
    for (size_t i = 0; i < count; i++) {
        uint8_t *stub = page + STUBS_OFFSET + i * STUB_BYTES;

        write_stub(stub, &sites[i], page);
        write_jump(&sites[i], stub);
    }
}

_Static_assert(LINUX_MAX_SITES <= STUBS_PER_PAGE, "the stubs of an object fit into one page");

int linux_trampoline_make(linux_site_t *sites, size_t count, int *sys_errno)
{
    const linux_object_t *object = sites[0].object;
    uintptr_t page = map_above(object, (uintptr_t) sites[0].address);
    long result;

    page = page == 0 ? map_around(object) : page;
    if (page == 0) {
        *sys_errno = ENOMEM;
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    write_page((uint8_t *) page, sites, count);
    result = linux_sys_mprotect(page, LINUX_PAGE, PROT_READ | PROT_EXEC);
    if (linux_failed(result)) {
        linux_sys_munmap(page, LINUX_PAGE);
        *sys_errno = (int) -result;
        return OPAL_ERR_PERM;
    }
    return OPAL_SUCCESS;
}
