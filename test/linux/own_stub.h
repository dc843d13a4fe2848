/* SPDX-License-Identifier: BSD-3-Clause */
/* A fixture: a page of the test's own with one site, and its stub. */
#ifndef TEST_LINUX_OWN_STUB_H
#define TEST_LINUX_OWN_STUB_H

#include <sys/syscall.h>

#include "test/linux/own_code.h"

/* A page with one site. */
static uint8_t *page;
static uint8_t *entry; /* Where the test calls it: the site, or what is before it. */
static linux_found_t found;
static linux_text_t text;

static inline void take_site(size_t at, const linux_call_t *call)
{
    found.address = page + at;
    found.call = call;
    found.has_number = call == NULL;
    memcpy(found.original, found.address, LINUX_INSN);
    own_open(page, 1);
}

static inline void own_stub_set_up(void)
{
    linux_code_begin();
    page = own_pages(1);
    entry = page;
    text = (linux_text_t){ .kind = LINUX_LIBC };
    own_write_site(page, SYS_munmap);
    take_site(0, &linux_calls[LINUX_CALL_MUNMAP]);
}

static inline void make(void)
{
    const uintptr_t start = (uintptr_t) page;
    int sys_errno = 0;

    ck_assert_int_eq(linux_stubs_make(&text, start, start + LINUX_PAGE, &found, 1, &sys_errno), OPAL_SUCCESS);
    ck_assert_uint_eq(text.site_count, 1);
}

static inline void make_and_jump(void)
{
    make();
    memcpy(found.address, text.sites[0].jump, LINUX_INSN);
}

#endif
