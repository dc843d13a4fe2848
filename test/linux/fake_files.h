/* SPDX-License-Identifier: BSD-3-Clause */
/* A kernel that answers as a test wants about one file and its mappings, makes
 * calls that take pages of it away, and checks that windows are open then; and
 * a callback that records the releases. Included by one test program each. */
#ifndef TEST_LINUX_FAKE_FILES_H
#define TEST_LINUX_FAKE_FILES_H

#include "components/linux/linux_files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "test/linux/fake_sys.h"
#include "test/test_main.h"

#ifdef SYS_creat
#define NR_CREAT SYS_creat
#else
#define NR_CREAT 500 /* This architecture has no such call. Its rule is tested all the same. */
#endif

#define K 4096L
#define MIB2 (2L << 20)
#define MAPS_FD 987654
#define FD 5
#define LOOK_FD 6
#define XFS_MAGIC 0x58465342

/* Of 0x10 pages at 20000000, and of pages 4 to 7 at 30000000; inode 7 of device fe:00. */
#define MAPPED                                                                      \
    "10000000-10002000 r-xp 00000000 fe:00 1234                       /usr/bin/x\n" \
    "20000000-20010000 rw-s 00000000 fe:00 7                          /tmp/file\n"  \
    "30000000-30004000 rw-p 00004000 fe:00 7                          /tmp/file\n"  \
    "7f0000100000-7f0000104000 rw-p 00000000 00:00 0 \n"

#define UNMAPPED "10000000-10002000 r-xp 00000000 fe:00 1234                       /usr/bin/x\n"

/* The world, as the fake kernel shows it. */
static const char *text;
static size_t text_at;
static struct stat file, other; /* What the path and descriptors are, and what they are after the call. */
static bool is_swapped;         /* The call has been made, and `other` counts from then on. */
static const char *text_after;  /* The mappings from the call on, or NULL. */
static long stat_error, flags, seals, magic, access_error, result, maps_error;
static int opened, closed, maps_read, calls, asked_access;

/* What happened, in order. */
typedef struct event_t {
    opal_mem_hooks_range_t range;
    bool is_late;
} event_t;

static event_t events[32];
static int event_count;

static void on_release(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) cbdata;
    ck_assert(from_alloc);
    ck_assert_int_lt(event_count, 32);
    events[event_count++] = (event_t){ { (uintptr_t) buf, length }, calls > 0 };
}

static long open_maps(void)
{
    if (maps_error != 0) {
        return maps_error;
    }
    opened++;
    maps_read++;
    text_at = 0;
    return MAPS_FD;
}

static long fake_read(const long args[6])
{
    const char *now = calls > 0 && text_after != NULL ? text_after : text;
    const size_t rest = strlen(now + text_at);
    const size_t size = rest < (size_t) args[2] ? rest : (size_t) args[2];

    memcpy((void *) args[1], now + text_at, size);
    text_at += size;
    return (long) size;
}

static long fake_close(const long args[6])
{
    (void) args;
    closed++;
    return 0;
}

static long show(void *out)
{
    if (stat_error != 0 && calls == 0) {
        return stat_error;
    }
    memcpy(out, calls > 0 && is_swapped ? &other : &file, sizeof(file));
    return 0;
}

static long fake_fstat(const long args[6])
{
    return show((void *) args[1]);
}

static long fake_newfstatat(const long args[6])
{
    return show((void *) args[2]);
}

static long fake_fcntl(const long args[6])
{
    switch (args[1]) {
    case F_GETFL: return flags;
    case F_GET_SEALS: return seals;
    default: return -EINVAL;
    }
}

static long fake_fstatfs(const long args[6])
{
    struct statfs *fs = (struct statfs *) args[1];

    memset(fs, 0, sizeof(*fs));
    fs->f_type = magic;
    fs->f_bsize = file.st_blksize;
    return 0;
}

static long fake_faccessat2(const long args[6])
{
    (void) args;
    asked_access++;
    return access_error;
}

/* openat2 for a look opens, the call itself is counted. */
static long fake_openat2(const long args[6])
{
    const struct open_how *how = (const struct open_how *) args[2];

    if ((how->flags & O_PATH) != 0) {
        ck_assert_uint_eq(how->resolve, RESOLVE_IN_ROOT);
        opened++;
        return stat_error != 0 ? stat_error : LOOK_FD;
    }
    calls++;
    return result;
}

/* The call in question; every window is open around it. */
static long fake_call(const long args[6])
{
    (void) args;
    for (int i = 0; i < event_count; i++) {
        ck_assert(opal_mem_hooks_window_overlaps(events[i].range.start, events[i].range.length));
    }
    calls++;
    return result;
}

/* The list of mappings is opened by the same call as the files. */
static long fake_openat(const long args[6])
{
    return strcmp((const char *) args[1], "/proc/thread-self/maps") == 0 ? open_maps() : fake_call(args);
}

static inline void listen_to_releases(void)
{
    opal_mem_hooks_set_support(OPAL_MEMORY_MUNMAP_SUPPORT);
    ck_assert_int_eq(opal_mem_hooks_register_release(on_release, NULL), OPAL_SUCCESS);
}

static void set_up_kernel(void)
{
    linux_facts.address_end = 0x7ffffffff000;
    text = MAPPED;
    file = (struct stat){ .st_mode = S_IFREG, .st_ino = 7, .st_size = 16 * K, .st_blksize = K };
    file.st_dev = makedev(0xfe, 0);
    flags = O_RDWR;
    seals = -EINVAL;
    magic = EXT4_SUPER_MAGIC;
    fake_sys_set(SYS_openat, fake_openat);
    fake_sys_set(SYS_read, fake_read);
    fake_sys_set(SYS_close, fake_close);
    fake_sys_set(SYS_fstat, fake_fstat);
    fake_sys_set(SYS_newfstatat, fake_newfstatat);
    fake_sys_set(SYS_fcntl, fake_fcntl);
    fake_sys_set(SYS_fstatfs, fake_fstatfs);
    fake_sys_set(SYS_faccessat2, fake_faccessat2);
    fake_sys_set(SYS_openat2, fake_openat2);
    fake_sys_set(SYS_truncate, fake_call);
    fake_sys_set(SYS_ftruncate, fake_call);
    fake_sys_set(SYS_fallocate, fake_call);
    fake_sys_set(NR_CREAT, fake_call);
}

static inline void set_up(void)
{
    set_up_kernel();
    listen_to_releases();
}

static const linux_call_t __attribute__((unused))
call_truncate = { .nr = SYS_truncate, .run = linux_run_truncate, .cause = OPAL_MEM_HOOKS_CAUSE_TRUNCATE };
static const linux_call_t __attribute__((unused))
call_ftruncate = { .nr = SYS_ftruncate, .run = linux_run_ftruncate, .cause = OPAL_MEM_HOOKS_CAUSE_TRUNCATE };
static const linux_call_t __attribute__((unused))
call_fallocate = { .nr = SYS_fallocate, .run = linux_run_fallocate, .cause = OPAL_MEM_HOOKS_CAUSE_FALLOCATE };
static const linux_call_t __attribute__((unused))
call_openat = { .nr = SYS_openat, .run = linux_run_openat, .cause = OPAL_MEM_HOOKS_CAUSE_TRUNCATE };
static const linux_call_t __attribute__((unused))
call_openat2 = { .nr = SYS_openat2, .run = linux_run_openat2, .cause = OPAL_MEM_HOOKS_CAUSE_TRUNCATE };
static const linux_call_t __attribute__((unused))
call_creat = { .nr = NR_CREAT, .run = linux_run_creat, .cause = OPAL_MEM_HOOKS_CAUSE_TRUNCATE };

static inline long run(const linux_call_t *call, const long args[6])
{
    return call->run(call, args);
}

#define RUN(call, ...) run(&call_##call, (const long[6]){ __VA_ARGS__ })
#define OPEN(open_flags) RUN(openat, AT_FDCWD, (long) "/tmp/file", (open_flags), 0600)

static void check_events(const char *name, const event_t *expected, int count)
{
    ck_assert_msg(event_count == count, "%s: %d releases, not %d; the first is 0x%lx + 0x%lx", name, event_count,
                  count, (long) events[0].range.start, (long) events[0].range.length);
    for (int i = 0; i < count; i++) {
        const event_t *got = &events[i];

        ck_assert_msg(got->range.start == expected[i].range.start && got->range.length == expected[i].range.length
                          && got->is_late == expected[i].is_late,
                      "%s: release %d is 0x%lx + 0x%lx, late %d", name, i, (long) got->range.start,
                      (long) got->range.length, got->is_late);
    }
    ck_assert_int_eq(opened, closed);
    ck_assert_int_eq(calls, 1);
    ck_assert(!opal_mem_hooks_window_overlaps(0, SIZE_MAX));
}

#define CHECK_EVENTS(...)                                    \
    check_events("events", (const event_t[]){ __VA_ARGS__ }, \
                 (int) (sizeof((const event_t[]){ __VA_ARGS__ }) / sizeof(event_t)))

static inline void check_quiet(const char *name)
{
    check_events(name, NULL, 0);
}

#define ALL                    \
    {                          \
        { 0, SIZE_MAX }, false \
    }
#define WHOLE_FIRST                    \
    {                                  \
        { 0x20000000, 0x10000 }, false \
    }
#define WHOLE_SECOND                  \
    {                                 \
        { 0x30000000, 0x4000 }, false \
    }

#endif
