/* SPDX-License-Identifier: BSD-3-Clause */
/* Scenes: what libc and ld.so give back by themselves, behind the program. */
#include <dlfcn.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test/linux/paths.h"
#include "test/test_main.h"

#define BIG ((size_t) 1 << 20)
#define BLOCK ((size_t) 64 << 10) /* From the heap, not mapped. */
#define BLOCKS 64

/* gcc and clang say it in different ways. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_THREAD_SANITIZER 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define HAS_THREAD_SANITIZER 1
#endif
#ifndef HAS_THREAD_SANITIZER
#define HAS_THREAD_SANITIZER 0
#endif

/* Other allocators release in other ways. */
static bool has_libc_malloc(void)
{
    void *(*const function)(size_t) = malloc;
    void *address;
    Dl_info info;

    memcpy(&address, &function, sizeof(address));
    if (dladdr(address, &info) != 0 && strstr(info.dli_fname, "libc.so.6") != NULL) {
        return true;
    }
    cannot_play("malloc is not libc's");
    return false;
}

/* A block that libc maps by itself: two words, then the block, to the end of the page. */
static char *map_by_malloc(size_t size, char **start, size_t *length)
{
    char *block = malloc(size);

    ck_assert_ptr_nonnull(block);
    memset(block, FILL, size);
    *start = block - 2 * sizeof(size_t);
    *length = malloc_usable_size(block) + 2 * sizeof(size_t);
    ck_assert_uint_eq((uintptr_t) *start % PAGE, 0);
    ck_assert_uint_eq(*length % PAGE, 0);
    return block;
}

static void free_big(void)
{
    char *start, *block;
    size_t length;

    if (!has_libc_malloc()) {
        return;
    }
    block = map_by_malloc(BIG, &start, &length);
    expect(start, length, OPAL_MEM_HOOKS_CAUSE_MUNMAP);
    watch(false);
    free(block);
    unwatch();
}

static void realloc_shrinks(void)
{
    char *start, *block, *shrunk;
    size_t length, kept;

    if (under_emulator()) {
        cannot_play("the emulator moves what becomes smaller");
        return;
    }
    if (!has_libc_malloc()) {
        return;
    }
    block = map_by_malloc(BIG, &start, &length);
    kept = (BIG / 2 + 2 * sizeof(size_t) + PAGE - 1) & ~(PAGE - 1);
    expect(start + kept, length - kept, OPAL_MEM_HOOKS_CAUSE_MREMAP);
    watch(true);
    shrunk = realloc(block, BIG / 2);
    unwatch();
    ck_assert_ptr_eq(shrunk, start + 2 * sizeof(size_t));
}

static void realloc_moves(void)
{
    char *start, *block, *moved;
    size_t length;

    if (!has_libc_malloc()) {
        return;
    }
    block = map_by_malloc(BIG, &start, &length);
    /* Something must be behind it; if that fails, something is. */
    libc.mmap(start + length, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    expect(start, length, OPAL_MEM_HOOKS_CAUSE_MREMAP);
    watch(false);
    moved = realloc(block, 4 * BIG);
    unwatch();
    ck_assert(moved != start + 2 * sizeof(size_t) && moved[BIG - 1] == FILL);
}

/* The heap is cut back in one step or several, all together from the old break to the new. */
static void free_of_heap_top(void)
{
    char *blocks[BLOCKS], *before, *after;

    if (!has_libc_malloc()) {
        return;
    }
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(BLOCK);
        memset(blocks[i], FILL, BLOCK);
    }
    before = libc.sbrk(0);
    watch(false);
    for (int i = BLOCKS; i-- > 0;) {
        free(blocks[i]);
    }
    unwatch();
    after = libc.sbrk(0);
    ck_assert(after < before);
    expect_cover(after, (size_t) (before - after));
}

static void trim_of_inner_pages(void)
{
    char *blocks[BLOCKS];
    char *first, *last;

    if (!has_libc_malloc()) {
        return;
    }
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(BLOCK);
        memset(blocks[i], FILL, BLOCK);
    }
    for (int i = 8; i < 16; i++) {
        free(blocks[i]);
    }
    /* malloc keeps the head of the free chunk, which may reach into a second page. */
    first = blocks[8] + 2 * PAGE;
    last = blocks[15] + BLOCK - 2 * PAGE;
    expect_cover(first, (size_t) (last - first));
    watch(false);
    ck_assert_int_eq(malloc_trim(0), 1);
    unwatch();
}

typedef struct stack_range_t {
    void *start;
    size_t length;
} stack_range_t;

static void *find_stack(void *arg)
{
    stack_range_t *stack = arg;
    pthread_attr_t attributes;

    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &stack->start, &stack->length);
    pthread_attr_destroy(&attributes);
    return NULL;
}

/* Bigger than what libc keeps for the next thread. */
static void stack_of_a_thread(void)
{
    stack_range_t stack = { NULL, 0 };
    pthread_attr_t attributes;
    pthread_t thread;

    if (HAS_THREAD_SANITIZER) {
        cannot_play("the thread sanitizer cannot follow a thread to its last call");
        return;
    }
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 20);
    watch(false);
    ck_assert_int_eq(pthread_create(&thread, &attributes, find_stack, &stack), 0);
    pthread_join(thread, NULL);
    unwatch();
    expect_cover(stack.start, stack.length);
}

typedef struct object_t {
    const char *name;
    uintptr_t start, end;
} object_t;

static int find_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    object_t *object = arg;

    (void) size;
    if (strstr(info->dlpi_name, object->name) == NULL) {
        return 0;
    }
    object->start = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const uintptr_t end = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;

        object->end = info->dlpi_phdr[i].p_type == PT_LOAD && end > object->end ? end : object->end;
    }
    return 1;
}

/* Any library that is not loaded yet; ld.so unmaps it by a munmap of its own. */
static void unloading_of_a_library(void)
{
    static const char *const names[] = { "libBrokenLocale.so.1", "libutil.so.1", "libanl.so.1",
                                         "libnss_compat.so.2" };
    object_t object = { NULL, 0, 0 };
    void *handle = NULL;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && handle == NULL; i++) {
        object.name = names[i];
        handle = dlopen(names[i], RTLD_NOW | RTLD_NOLOAD) == NULL ? dlopen(names[i], RTLD_NOW) : NULL;
    }
    if (handle == NULL) {
        cannot_play("none of libc's small libraries is there to be loaded");
        return;
    }
    ck_assert_int_eq(dl_iterate_phdr(find_object, &object), 1);
    expect_cover((void *) object.start, object.end - object.start);
    watch(false);
    ck_assert_int_eq(dlclose(handle), 0);
    unwatch();
}

const scene_t scenes_malloc[] = {
    { "free of a big block", free_big, NULL },
    { "realloc shrinks", realloc_shrinks, NULL },
    { "realloc moves", realloc_moves, NULL },
    { "free of the top of the heap", free_of_heap_top, "brk" },
    { "malloc_trim", trim_of_inner_pages, NULL },
    { "stack of a thread", stack_of_a_thread, NULL },
    { "unloading of a library", unloading_of_a_library, NULL },
    { NULL, NULL, NULL },
};
