// SPDX-License-Identifier: BSD-3-Clause
// unwind_program SCENE: a callback is left by unwinding, through the library, the replaced code and libc's
// munmap. Destructors and handlers of the callers run, and the hooks work as before: nobody waits for the callback
// that never returned, and a release of the same pages is told. Exit status 0 if so.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "opal/memoryhooks/memory_internal.h"
#include "opal/opalmem.h"

namespace
{

const size_t page = 4096;
// Through pointers: libc declares them as functions that throw nothing.
int (*volatile unmap)(void *, size_t) = munmap;
int (*volatile cut)(int, off_t) = ftruncate;
void *(*volatile map_at)(void *, size_t, int, int, int, off_t) = mmap;
volatile int destroyed, told, leaves, is_inside;
void (*volatile leave)();
int file = -1; // Mapped in five places: callbacks in three windows.

// The call of this number, from now on, is left.
void count_down()
{
    if (leaves > 0) {
        leaves = leaves - 1;
        if (leaves == 0) {
            leave();
        }
    }
}

void on_release(void *, size_t, void *, bool)
{
    told = told + 1;
    count_down();
}

void on_alloc(void *, size_t, void *, bool)
{
    count_down();
}

struct witness {
    ~witness()
    {
        destroyed = destroyed + 1;
    }
};

__attribute__((noinline)) void *map()
{
    return mmap(nullptr, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

__attribute__((noinline)) void give_back(void *memory)
{
    witness here;
    if (file >= 0) {
        cut(file, 0);
    } else {
        unmap(memory, page);
    }
}

__attribute__((noinline)) void map_over(void *memory)
{
    witness here;
    map_at(memory, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

void throw_it()
{
    throw 42;
}

void exit_thread()
{
    pthread_exit(nullptr);
}

// A cancellation point, reached once the cancel is there.
void be_cancelled()
{
    pthread_cancel(pthread_self());
    pthread_testcancel();
}

// Anywhere, also where nothing is called.
void be_cancelled_at_once()
{
    is_inside = 1;
    for (;;) {
    }
}

void *give_back_in_thread(void *memory)
{
    int old;
    if (leave == be_cancelled_at_once) {
        pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
    }
    give_back(memory);
    return memory;
}

void run_thread(void *memory)
{
    pthread_t thread;
    pthread_create(&thread, nullptr, give_back_in_thread, memory);
    if (leave == be_cancelled_at_once) {
        while (!is_inside) {
        }
        pthread_cancel(thread);
    }
    pthread_join(thread, nullptr);
}

void run_exception(void *memory)
{
    try {
        give_back(memory);
    } catch (int) {
        destroyed = destroyed + 1;
    }
}

// The alloc callback is left, when the release has been told and made.
void run_over(void *memory)
{
    opal_mem_hooks_unregister_release(on_release);
    opal_mem_hooks_register_alloc(on_alloc, nullptr);
    try {
        map_over(memory);
    } catch (int) {
        destroyed = destroyed + 1;
    }
    opal_mem_hooks_unregister_alloc(on_alloc);
    opal_mem_hooks_register_release(on_release, nullptr);
}

// The third callback of five.
void run_file(void *)
{
    leaves = 3;
    try {
        give_back(nullptr);
    } catch (int) {
        destroyed = destroyed + 1;
    }
}

bool fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    return false;
}

// The pages are still there: the call was not made.
bool works_as_before(void *memory)
{
    const int before = told;
    if (opal_mem_hooks_window_overlaps(reinterpret_cast<uintptr_t>(memory), page)) {
        return fail("the release counts as in progress");
    }
    if (opal_mem_hooks_current_cause() != OPAL_MEM_HOOKS_CAUSE_UNKNOWN) {
        return fail("this thread counts as inside a callback");
    }
    give_back(memory);
    if (told == before) {
        return fail("the second release was not told");
    }
    if (opal_mem_hooks_unregister_release(on_release) != OPAL_SUCCESS || opalmem_finalize() != OPAL_SUCCESS) {
        return fail("the hooks cannot be stopped");
    }
    return true;
}

struct scene {
    const char *name;
    void (*leave)();
    void (*run)(void *);
    int destroyed;
} const scenes[] = {
    { "exception", throw_it, run_exception, 2 }, { "exit", exit_thread, run_thread, 1 },
    { "cancel", be_cancelled, run_thread, 1 },   { "cancel_at_once", be_cancelled_at_once, run_thread, 1 },
    { "alloc", throw_it, run_over, 2 },          { "file", throw_it, run_file, 2 },
};

void *map_file()
{
    void *first = nullptr;
    file = memfd_create("unwind", 0);
    if (ftruncate(file, page) != 0) {
        return nullptr;
    }
    for (int i = 0; i < 5; i++) {
        void *place = mmap(nullptr, 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        first = mmap(place, page, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0); // The lowest comes last.
    }
    return first;
}

} // namespace

int main(int argc, char **argv)
{
    alarm(20); // Should somebody wait for ever.
    if (argc != 2 || opalmem_init(nullptr, nullptr) != OPAL_SUCCESS) {
        return 2;
    }
    opal_mem_hooks_register_release(on_release, nullptr);
    for (const scene &it : scenes) {
        if (strcmp(it.name, argv[1]) == 0) {
            void *memory = it.run == run_file ? map_file() : map();
            leave = it.leave;
            leaves = 1;
            it.run(memory);
            if (leaves != 0) {
                return fail("no callback was left") ? 0 : 3;
            }
            if (destroyed != it.destroyed) {
                return fail("destructors or handlers did not run") ? 0 : 1;
            }
            return works_as_before(memory) ? 0 : 1;
        }
    }
    return 2;
}
