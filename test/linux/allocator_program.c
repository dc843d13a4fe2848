/* SPDX-License-Identifier: BSD-3-Clause */
/* allocator_program NAME SCENE: allocates and gives back, through whatever
 * allocator is preloaded or linked, which must be NAME. Then it asks the kernel
 * which pages are gone, and compares with the releases that were told. Prints
 * "gone N missed N late N"; exit status 0 if all were told before they went, 1
 * if not, 2 if nothing went or something else is wrong. */
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "opal/opalmem.h"

#define PAGE ((size_t) 4096)

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(2);
}

/* ---- Pages ------------------------------------------------------------------------------------ */

#define MAX_PAGES ((size_t) 1 << 17)

/* Pages that hold memory of a scene, and whether their release was told, and too late. Made before anything is
 * given back; then changed by the callback alone. */
typedef struct page_t {
    uintptr_t address;
    atomic_bool is_told, is_late;
} page_t;

static page_t *pages;
static size_t page_count;

static void track(const void *memory, size_t length)
{
    const uintptr_t start = (uintptr_t) memory & ~(PAGE - 1);

    for (uintptr_t page = start; page < (uintptr_t) memory + length; page += PAGE) {
        if (page_count == MAX_PAGES) {
            fail("too many pages");
        }
        pages[page_count++].address = page;
    }
}

static int compare_pages(const void *a, const void *b)
{
    const uintptr_t first = ((const page_t *) a)->address, second = ((const page_t *) b)->address;

    return first < second ? -1 : first > second;
}

/* In order, and each once. Nothing is allocated: the array is not sorted by libc's qsort, which may. */
static void sort_pages(void)
{
    size_t kept = 0;

    for (size_t gap = page_count / 2; gap > 0; gap /= 2) {
        for (size_t i = gap; i < page_count; i++) {
            const uintptr_t address = pages[i].address;
            size_t k = i;

            for (; k >= gap && pages[k - gap].address > address; k -= gap) {
                pages[k].address = pages[k - gap].address;
            }
            pages[k].address = address;
        }
    }
    for (size_t i = 0; i < page_count; i++) {
        if (kept == 0 || compare_pages(&pages[kept - 1], &pages[i]) != 0) {
            pages[kept++].address = pages[i].address;
        }
    }
    page_count = kept;
}

static bool is_there(uintptr_t page)
{
    unsigned char residency = 0;

    return mincore((void *) page, PAGE, &residency) == 0 && (residency & 1) != 0;
}

/* Index of the first page at or behind address. */
static size_t first_page(uintptr_t address)
{
    size_t low = 0, high = page_count;

    while (low < high) {
        const size_t middle = (low + high) / 2;

        if (pages[middle].address < address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void on_release(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    const uintptr_t start = (uintptr_t) buf;

    (void) cbdata;
    (void) from_alloc;
    if (length == SIZE_MAX) {
        return; /* Everything: tells nothing of a page. */
    }
    for (size_t i = first_page(start); i < page_count && pages[i].address - start < length; i++) {
        if (!atomic_exchange(&pages[i].is_told, true)) {
            atomic_store(&pages[i].is_late, !is_there(pages[i].address));
        }
    }
}

static int report(void)
{
    size_t gone = 0, missed = 0, late = 0;

    for (size_t i = 0; i < page_count; i++) {
        if (!is_there(pages[i].address)) {
            gone++;
            missed += !pages[i].is_told;
            late += pages[i].is_late;
        }
    }
    printf("gone %zu missed %zu late %zu\n", gone, missed, late);
    if (gone == 0) {
        return 2;
    }
    return missed != 0 || late != 0;
}

/* ---- Allocators ------------------------------------------------------------------------------- */

static void find(const char *name, void *function)
{
    void *symbol = dlsym(RTLD_DEFAULT, name);

    memcpy(function, &symbol, sizeof(symbol));
}

/* Functions by which each is known and is asked to give back what it can; NULL where it is another. */
static int (*je_mallctl)(const char *name, void *old, size_t *old_size, void *value, size_t value_size);
static void (*mi_collect)(bool force);
static void (*tc_release)(void);

static const char *find_allocator(void)
{
    find("mallctl", &je_mallctl);
    find("mi_collect", &mi_collect);
    find("MallocExtension_ReleaseFreeMemory", &tc_release);
    return je_mallctl != NULL   ? "jemalloc"
           : mi_collect != NULL ? "mimalloc"
           : tc_release != NULL ? "tcmalloc"
                                : "libc";
}

static void give_back(void)
{
    if (je_mallctl != NULL) {
        je_mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
        je_mallctl("arena.4096.purge", NULL, NULL, NULL, 0); /* All arenas. */
    } else if (mi_collect != NULL) {
        mi_collect(true);
    } else if (tc_release != NULL) {
        tc_release();
    } else {
        malloc_trim(0);
    }
}

/* ---- Scenes ------------------------------------------------------------------------------------ */

static char *allocate(size_t size)
{
    char *memory = malloc(size);

    if (memory == NULL) {
        fail("out of memory");
    }
    memset(memory, 'x', size);
    return memory;
}

/* Blocks, tracked, then freed, then asked back. */
static void free_blocks(char **blocks, size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        blocks[i] = allocate(size);
        track(blocks[i], size);
    }
    sort_pages();
    for (size_t i = 0; i < count; i++) {
        free(blocks[i]);
    }
    give_back();
}

static void big_blocks(void)
{
    static char *blocks[40];

    free_blocks(blocks, 40, 1 << 20);
}

static void huge_blocks(void)
{
    static char *blocks[2];

    free_blocks(blocks, 2, 48 << 20);
}

static void small_blocks(void)
{
    static char *blocks[100000];

    free_blocks(blocks, 100000, 200);
}

/* Where it moves, the old pages go; where it shrinks, the end. */
static void reallocated_block(void)
{
    char *memory = allocate(8 << 20);

    track(memory, 8 << 20);
    sort_pages();
    memory = realloc(memory, 200 << 20);
    if (memory == NULL || memory[(8 << 20) - 1] != 'x') {
        fail("realloc lost its content");
    }
    memory = realloc(memory, 1 << 20);
    free(memory);
    give_back();
}

static void *use_blocks(void *arg)
{
    big_blocks();
    return arg;
}

/* What its allocator keeps for a thread goes when that ends. */
static void blocks_of_a_thread(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, use_blocks, NULL) != 0) {
        fail("no thread");
    }
    pthread_join(thread, NULL);
    give_back();
}

static char *map(size_t length)
{
    char *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        fail("mmap");
    }
    memset(memory, 'x', length);
    track(memory, length);
    return memory;
}

/* The program's own calls, which an allocator may have put its functions before. */
static void own_calls(void)
{
    char *unmapped = map(16 * PAGE), *moved = map(16 * PAGE), *discarded = map(16 * PAGE), *over = map(16 * PAGE);
    char *heap = sbrk(0);

    if (sbrk(16 * (intptr_t) PAGE) != heap) {
        fail("sbrk");
    }
    memset(heap, 'x', 16 * PAGE);
    track(heap + PAGE, 14 * PAGE);
    sort_pages();
    munmap(unmapped, 16 * PAGE);
    moved = mremap(moved, 16 * PAGE, 4096 * PAGE, MREMAP_MAYMOVE);
    munmap(moved, 4096 * PAGE);
    madvise(discarded, 16 * PAGE, MADV_DONTNEED);
    mmap(over, 16 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (sbrk(-16 * (intptr_t) PAGE) != heap + 16 * PAGE) {
        fail("sbrk back");
    }
}

static const struct {
    const char *name;
    void (*play)(void);
} scenes[] = {
    { "big", big_blocks },
    { "huge", huge_blocks },
    { "small", small_blocks },
    { "realloc", reallocated_block },
    { "thread", blocks_of_a_thread },
    { "own", own_calls },
};

static void play(const char *name)
{
    for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
        if (strcmp(scenes[i].name, name) == 0) {
            scenes[i].play();
            return;
        }
    }
    fail("no such scene");
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fail("usage: allocator_program NAME SCENE");
    }
    if (strcmp(find_allocator(), argv[1]) != 0) {
        fail(find_allocator());
    }
    pages = mmap(NULL, MAX_PAGES * sizeof(*pages), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || opalmem_init(NULL, NULL) != OPAL_SUCCESS) {
        fail("opalmem_init");
    }
    opal_mem_hooks_register_release(on_release, NULL); /* Refused with noop. */
    play(argv[2]);
    return report();
}
