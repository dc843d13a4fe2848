/* SPDX-License-Identifier: BSD-3-Clause */
/* Where opalmem-msg's buffers come from: every pattern gives memory that can be
 * used, really gives its pages back, and leaves nothing behind. */
#include <dirent.h>
#include <dlfcn.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test/test_main.h"
#include "tools/msg/msg_random.h"
#include "tools/msg/msg_sources.h"

#define ROUNDS 300
#define LARGEST ((size_t) 300 << 10)

static msg_sources_t sources;

/* TSan refuses threads in a process that was forked from one with threads, as Check's are. */
static bool may_start_threads(unsigned pattern)
{
    bool starts = pattern == MSG_SOURCE_MIXED || pattern == msg_source_find("stack");

    return !starts || dlsym(RTLD_DEFAULT, "__tsan_init") == NULL;
}

/* Does the allocator keep what is freed? That of a checker does, to find uses after free. */
static bool allocator_keeps_memory(unsigned pattern)
{
    bool uses_allocator = pattern == MSG_SOURCE_MIXED || pattern == msg_source_find("malloc")
                          || pattern == msg_source_find("realloc");

    return uses_allocator
           && (getenv("OPALMEM_TEST_VALGRIND") != NULL || dlsym(RTLD_DEFAULT, "__asan_init") != NULL
               || dlsym(RTLD_DEFAULT, "__tsan_init") != NULL);
}

static unsigned long process_kib(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%lu", &pages), 1);
    fclose(file);
    return pages * (unsigned long) sysconf(_SC_PAGESIZE) / 1024;
}

static int count_threads(void)
{
    DIR *folder = opendir("/proc/self/task");
    int count = 0;

    ck_assert_ptr_nonnull(folder);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        count += entry->d_name[0] != '.';
    }
    closedir(folder);
    return count;
}

static size_t random_length(uint64_t *random)
{
    return 1 + (size_t) msg_random_below(random, LARGEST);
}

/* One buffer after another, each written to its end. */
static void use_buffers(unsigned rounds)
{
    uint64_t random = 11;

    for (unsigned i = 0; i < rounds; i++) {
        msg_buffer_t buffer;
        size_t length = random_length(&random);

        ck_assert(msg_sources_acquire(&sources, length, &buffer));
        ck_assert_uint_ge(buffer.capacity, length);
        memset(buffer.addr, 0x5a, buffer.capacity);
        ck_assert(msg_sources_release(&sources, &buffer));
    }
}

START_TEST(every_pattern_gives_usable_memory_and_leaves_nothing)
{
    unsigned long before;
    int threads;

    if (!may_start_threads((unsigned) _i)) {
        return;
    }
    /* The first use grows what stays: the heap, cached stacks. */
    msg_sources_init(&sources, (unsigned) _i, LARGEST, 1, true);
    use_buffers(ROUNDS);
    ck_assert(msg_sources_close(&sources));
    before = process_kib();
    threads = count_threads(); /* A sanitizer may have one of its own. */
    msg_sources_init(&sources, (unsigned) _i, LARGEST, 2, true);
    use_buffers(ROUNDS);
    ck_assert(msg_sources_close(&sources));
    /* The emulator keeps something of each thread. */
    if (!allocator_keeps_memory((unsigned) _i) && emulator_can("size of the process")) {
        ck_assert_uint_le(process_kib(), before + 4 * LARGEST / 1024);
    }
    ck_assert_int_eq(count_threads(), threads);
}
END_TEST

START_TEST(every_pattern_works_without_realloc)
{
    if (!may_start_threads((unsigned) _i)) {
        return;
    }
    msg_sources_init(&sources, (unsigned) _i, LARGEST, 1, false);
    use_buffers(ROUNDS);
    ck_assert(msg_sources_close(&sources));
}
END_TEST

/* Addresses seen, and how often one came back with its old contents or with others. */
typedef struct returns_t {
    unsigned char *seen[4096];
    size_t count;
    unsigned same_pages, other_pages;
} returns_t;

static void note_return(returns_t *returns, const msg_buffer_t *buffer)
{
    for (size_t i = 0; i < returns->count; i++) {
        if (returns->seen[i] == buffer->addr) {
            /* Not the first bytes: an allocator may keep its own data there in a block that is free. */
            bool kept = buffer->addr[buffer->capacity / 2] == 0x5a;

            returns->same_pages += kept;
            returns->other_pages += !kept;
            return;
        }
    }
    ck_assert_uint_lt(returns->count, 4096);
    returns->seen[returns->count++] = buffer->addr;
}

static returns_t count_returns(unsigned pattern, size_t length, unsigned rounds)
{
    static returns_t returns;

    msg_sources_init(&sources, pattern, length, 5, true);
    for (unsigned i = 0; i < rounds; i++) {
        msg_buffer_t buffer;

        ck_assert(msg_sources_acquire(&sources, length, &buffer));
        note_return(&returns, &buffer);
        memset(buffer.addr, 0x5a, buffer.capacity);
        ck_assert(msg_sources_release(&sources, &buffer));
    }
    ck_assert(msg_sources_close(&sources));
    return returns;
}

/* qemu-user looks for room for a mapping behind the last one. */
#define COMES_BACK "addresses of mappings that come back"

/* Just what a cache must notice: the address of old, other pages behind it. */
START_TEST(every_pattern_brings_addresses_back_with_other_pages)
{
    returns_t returns;

    if (!may_start_threads((unsigned) _i) || getenv("OPALMEM_TEST_VALGRIND") != NULL) {
        return; /* Looking at memory that nobody wrote is the test, and for valgrind an error. */
    }
    returns = count_returns((unsigned) _i, 100000, ROUNDS);
    if (!allocator_keeps_memory((unsigned) _i) && emulator_can(COMES_BACK)) {
        ck_assert_uint_gt(returns.other_pages, 5);
    }
}
END_TEST

START_TEST(reuse_keeps_the_pages_of_nine_messages_in_ten)
{
    returns_t returns = count_returns(msg_source_find("reuse"), 100000, 2000);

    ck_assert_uint_gt(returns.same_pages, 1650);
    if (emulator_can(COMES_BACK)) {
        ck_assert_uint_gt(returns.other_pages, 100);
    }
}
END_TEST

START_TEST(fresh_never_keeps_pages)
{
    returns_t returns = count_returns(msg_source_find("fresh"), 100000, ROUNDS);

    ck_assert_uint_eq(returns.same_pages, 0);
    if (emulator_can(COMES_BACK)) {
        ck_assert_uint_gt(returns.other_pages, ROUNDS / 2);
    }
}
END_TEST

START_TEST(reuse_covers_smaller_messages_with_the_same_buffers)
{
    msg_buffer_t buffer;
    unsigned char *seen[64] = { NULL };
    size_t count = 0;
    uint64_t random = 1;

    msg_sources_init(&sources, msg_source_find("reuse"), LARGEST, 5, true);
    for (int i = 0; i < 9; i++) {
        bool known = false;

        ck_assert(msg_sources_acquire(&sources, 33000 + msg_random_below(&random, 30000), &buffer));
        ck_assert_uint_eq(buffer.capacity, 65536);
        for (size_t k = 0; k < count; k++) {
            known |= seen[k] == buffer.addr;
        }
        if (!known) {
            seen[count++] = buffer.addr;
        }
        ck_assert(msg_sources_release(&sources, &buffer));
    }
    ck_assert_uint_le(count, 4);
    ck_assert(msg_sources_close(&sources));
}
END_TEST

START_TEST(mixed_draws_from_every_kind)
{
    unsigned seen[MSG_SOURCE_KINDS] = { 0 };

    if (!may_start_threads(MSG_SOURCE_MIXED)) {
        return;
    }
    msg_sources_init(&sources, MSG_SOURCE_MIXED, LARGEST, 5, true);
    for (unsigned i = 0; i < 1000; i++) {
        msg_buffer_t buffer;

        ck_assert(msg_sources_acquire(&sources, 5000, &buffer));
        seen[buffer.kind]++;
        ck_assert(msg_sources_release(&sources, &buffer));
    }
    for (unsigned kind = 0; kind < MSG_SOURCE_KINDS; kind++) {
        ck_assert_msg(seen[kind] > 0, "no buffer from %s", msg_source_name(kind));
    }
    ck_assert(msg_sources_close(&sources));
}
END_TEST

/* Release until the buffer has really been given back and is not kept for the next message. */
static void release_for_good(msg_buffer_t *buffer)
{
    ck_assert(msg_sources_release(&sources, buffer));
    while (sources.kept[buffer->kind].addr != NULL) {
        ck_assert(msg_sources_acquire(&sources, 1, buffer));
        ck_assert(msg_sources_release(&sources, buffer));
    }
}

START_TEST(brk_never_takes_memory_that_lies_above)
{
    msg_buffer_t buffer;
    unsigned char *above;

    msg_sources_init(&sources, msg_source_find("brk"), 100000, 5, true);
    ck_assert(msg_sources_acquire(&sources, 100000, &buffer));
    if (buffer.addr + buffer.capacity != sbrk(0)) {
        return; /* A sanitizer's allocator does not leave the break to others. */
    }
    above = sbrk(4096);
    ck_assert_ptr_ne(above, (void *) -1);
    *above = 1;
    release_for_good(&buffer);
    ck_assert((unsigned char *) sbrk(0) >= above + 4096);
    ck_assert_uint_eq(*above, 1);
    ck_assert(msg_sources_close(&sources));
}
END_TEST

START_TEST(brk_goes_down_again)
{
    msg_buffer_t buffer;
    void *up;

    msg_sources_init(&sources, msg_source_find("brk"), 100000, 5, true);
    ck_assert(msg_sources_acquire(&sources, 100000, &buffer));
    up = sbrk(0);
    ck_assert((unsigned char *) up >= buffer.addr + buffer.capacity);
    release_for_good(&buffer);
    ck_assert(sbrk(0) < up);
    ck_assert(msg_sources_close(&sources));
}
END_TEST

START_TEST(stack_buffer_lives_on_a_thread_that_ends)
{
    msg_buffer_t buffer;
    int threads;

    if (!may_start_threads(msg_source_find("stack"))) {
        return;
    }
    msg_sources_init(&sources, msg_source_find("stack"), 1 << 20, 5, true);
    use_buffers(10);
    ck_assert(msg_sources_close(&sources));
    threads = count_threads();
    ck_assert(msg_sources_acquire(&sources, 1 << 20, &buffer));
    ck_assert_int_eq(count_threads(), threads + 1);
    memset(buffer.addr, 1, buffer.capacity);
    release_for_good(&buffer);
    for (int i = 0; i < 2000 && count_threads() != threads; i++) {
        usleep(1000); /* The kernel lists a thread a little longer than it can be joined. */
    }
    ck_assert_int_eq(count_threads(), threads);
    ck_assert(msg_sources_close(&sources));
}
END_TEST

START_TEST(unknown_pattern_is_not_found)
{
    ck_assert_uint_eq(msg_source_find("nosuch"), MSG_SOURCE_MIXED + 1);
    ck_assert_uint_eq(msg_source_find(""), MSG_SOURCE_MIXED + 1);
    ck_assert_uint_eq(msg_source_find("mixed"), MSG_SOURCE_MIXED);
    for (unsigned pattern = 0; pattern <= MSG_SOURCE_MIXED; pattern++) {
        ck_assert_uint_eq(msg_source_find(msg_source_name(pattern)), pattern);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("msg_sources");
    TCase *tcase = tcase_create("sources");

    tcase_add_loop_test(tcase, every_pattern_gives_usable_memory_and_leaves_nothing, 0, MSG_SOURCE_MIXED + 1);
    tcase_add_loop_test(tcase, every_pattern_works_without_realloc, 0, MSG_SOURCE_MIXED + 1);
    tcase_add_loop_test(tcase, every_pattern_brings_addresses_back_with_other_pages, 0, MSG_SOURCE_MIXED + 1);
    tcase_add_test(tcase, reuse_keeps_the_pages_of_nine_messages_in_ten);
    tcase_add_test(tcase, fresh_never_keeps_pages);
    tcase_add_test(tcase, reuse_covers_smaller_messages_with_the_same_buffers);
    tcase_add_test(tcase, mixed_draws_from_every_kind);
    tcase_add_test(tcase, brk_never_takes_memory_that_lies_above);
    tcase_add_test(tcase, brk_goes_down_again);
    tcase_add_test(tcase, stack_buffer_lives_on_a_thread_that_ends);
    tcase_add_test(tcase, unknown_pattern_is_not_found);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
