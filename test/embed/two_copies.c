/* SPDX-License-Identifier: BSD-3-Clause */
/* Two copies of the library in one process: `two_copies SCENARIO FIRST`, where FIRST (installed or embedded) is the copy
 * that is started first. One scenario for each process. Prints what is wrong; exit status 77: cannot be tried. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "side.h"

#define SIZE ((size_t) 1 << 20)
#define ROUNDS 20

static int wrong;

#define EXPECT(condition)                                            \
    do {                                                             \
        if (!(condition)) {                                          \
            printf("line %d: not true: %s\n", __LINE__, #condition); \
            wrong = 1;                                               \
        }                                                            \
    } while (0)

static void *map_with(void *where, int prot, int flags)
{
    void *memory = mmap(where, SIZE, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

    if (memory == MAP_FAILED) {
        abort();
    }
    return memory;
}

static void *map(void *where)
{
    return map_with(where, PROT_READ | PROT_WRITE, 0);
}

static bool is_linux(const side_t *side)
{
    return strcmp(side->component(), "linux") == 0;
}

/* One that must notice, as nobody else has the sites. Where the first one of the process cannot, there is nothing to
 * try. */
static void start_as_linux(const side_t *side)
{
    static bool has_worked;

    EXPECT(side->init(NULL, NULL) == 0);
    if (wrong == 0 && !has_worked && !is_linux(side)) {
        printf("SKIP: the component linux cannot run: %s\n", side->reason_of_linux());
        exit(77);
    }
    has_worked = true;
    EXPECT(is_linux(side));
    EXPECT(side->caches());
}

/* The other holds the sites: this one says so, and keeps nothing. */
static void start_as_noop(const side_t *side)
{
    EXPECT(side->init(NULL, NULL) == 0);
    EXPECT(strcmp(side->component(), "noop") == 0);
    EXPECT(!side->caches());
    EXPECT(strlen(side->reason_of_linux()) > 0);
}

/* Memory that is pinned goes and comes again: a cache may hold it only before. */
static void use(const side_t *side, bool should_notice)
{
    for (int i = 0; i < ROUNDS; i++) {
        void *memory = map(NULL);
        unsigned long before = side->releases();

        EXPECT(side->pin(memory, SIZE) == 0);
        EXPECT(side->holds(memory, SIZE) == should_notice);
        munmap(memory, SIZE);
        EXPECT((side->releases() > before) == should_notice);
        EXPECT(map(memory) == memory);
        EXPECT(!side->holds(memory, SIZE));
        munmap(memory, SIZE);
    }
}

/* As use(), while other threads map and unmap: the addresses are never free for them, so that nobody else's memory lies
 * where we unmap. Where a thread is held up within the cache and the others release more than can be remembered, all goes.
 * @return How often the memory was kept. */
static unsigned use_own_addresses(const side_t *side)
{
    void *memory = map_with(NULL, PROT_NONE, 0);
    unsigned kept = 0;

    for (int i = 0; i < ROUNDS; i++) {
        unsigned long before;

        map_with(memory, PROT_READ | PROT_WRITE, MAP_FIXED);
        before = side->releases();
        EXPECT(side->pin(memory, SIZE) == 0);
        kept += side->holds(memory, SIZE);
        map_with(memory, PROT_NONE, MAP_FIXED);
        EXPECT(side->releases() > before);
        EXPECT(!side->holds(memory, SIZE));
    }
    munmap(memory, SIZE);
    return kept;
}

/* ---- Scenarios ------------------------------------------------------------------------------- */

static void first_ends_first(const side_t *first, const side_t *second)
{
    start_as_linux(first);
    start_as_noop(second);
    use(first, true);
    use(second, false);
    EXPECT(first->finalize() == 0);
    use(second, false);
    EXPECT(second->finalize() == 0);
}

static void first_ends_last(const side_t *first, const side_t *second)
{
    start_as_linux(first);
    start_as_noop(second);
    use(second, false);
    EXPECT(second->finalize() == 0);
    use(first, true);
    EXPECT(first->finalize() == 0);
}

/* What the first gives back, the second may take, and the other way round, again and again. */
static void in_turns(const side_t *first, const side_t *second)
{
    for (int i = 0; i < ROUNDS; i++) {
        const side_t *now = i % 2 == 0 ? first : second;
        const side_t *then = i % 2 == 0 ? second : first;

        start_as_linux(now);
        use(now, true);
        start_as_noop(then);
        use(then, false);
        use(now, true);
        EXPECT(now->finalize() == 0);
        use(then, false);
        EXPECT(then->finalize() == 0);
    }
}

/* The copy without sites is started anew, after the other has gone. */
static void takes_over(const side_t *first, const side_t *second)
{
    start_as_linux(first);
    start_as_noop(second);
    EXPECT(first->finalize() == 0);
    EXPECT(second->finalize() == 0);
    start_as_linux(second);
    start_as_noop(first);
    use(second, true);
    use(first, false);
    EXPECT(second->finalize() == 0);
    use(first, false);
    EXPECT(first->finalize() == 0);
}

/* Some calls are left to the second: what it can get is not enough, and the first keeps its part. */
static void shares_no_sites(const side_t *first, const side_t *second)
{
    start_as_linux(first);
    EXPECT(first->finalize() == 0);
    setenv("OPALMEM_MCA_memory_linux_disable_sites", "shmat,shmdt", 1);
    EXPECT(first->init(NULL, NULL) == 0);
    unsetenv("OPALMEM_MCA_memory_linux_disable_sites");
    EXPECT(is_linux(first));
    start_as_noop(second);
    EXPECT(second->finalize() == 0);
    EXPECT(first->finalize() == 0);
    start_as_linux(second);
    use(second, true);
    EXPECT(second->finalize() == 0);
}

/* Asked for by name, the second does not start: the message says why. */
static void second_is_asked_for(const side_t *first, const side_t *second)
{
    static char text[4096];
    char *arguments[] = { "two_copies", "--mca", "memory", "linux", NULL };
    char **argv = arguments;
    int argc = 4;

    start_as_linux(first);
    second->log_to(text, sizeof(text));
    EXPECT(second->init(&argc, &argv) != 0);
    EXPECT(strstr(text, "linux") != NULL && strstr(text, "another") != NULL);
    if (wrong != 0) {
        printf("the message was: %s\n", text);
    }
    use(first, true);
    EXPECT(first->finalize() == 0);
}

static void own_variables(const side_t *first, const side_t *second)
{
    char name_first[64], name_second[64], setting[80];

    snprintf(name_first, sizeof(name_first), "side_%s_value", first->prefix);
    snprintf(name_second, sizeof(name_second), "side_%s_value", second->prefix);
    snprintf(setting, sizeof(setting), "OPALMEM_MCA_side_%s_value", first->prefix);
    setenv(setting, "7", 1);
    EXPECT(first->init(NULL, NULL) == 0);
    unsetenv(setting);
    EXPECT(second->init(NULL, NULL) == 0);
    EXPECT(first->own_value() == 7);
    EXPECT(second->own_value() == 1);
    EXPECT(first->knows_variable(name_first) && !first->knows_variable(name_second));
    EXPECT(second->knows_variable(name_second) && !second->knows_variable(name_first));
    EXPECT(first->finalize() == 0);
    EXPECT(second->finalize() == 0);
}

static void after_fork(const side_t *first, const side_t *second)
{
    int status = 0;
    pid_t child;

    start_as_linux(first);
    start_as_noop(second);
    child = fork();
    if (child == 0) {
        use(first, true);
        use(second, false);
        EXPECT(second->finalize() == 0);
        EXPECT(first->finalize() == 0);
        fflush(stdout);
        _exit(wrong);
    }
    EXPECT(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    use(first, true);
    EXPECT(first->finalize() == 0);
    EXPECT(second->finalize() == 0);
}

/* ---- Both at once, while another thread releases memory ----------------------------------------- */

static atomic_bool done;

static void *release_memory(void *arg)
{
    (void) arg;
    while (!atomic_load(&done)) {
        munmap(map(NULL), SIZE);
        free(malloc(SIZE));
    }
    return NULL;
}

static void *start_and_stop(void *arg)
{
    const side_t *side = arg;
    unsigned kept = 0, started = 0;

    for (int i = 0; i < 10 * ROUNDS; i++) {
        EXPECT(side->init(NULL, NULL) == 0);
        if (is_linux(side)) {
            kept += use_own_addresses(side);
            started++;
        }
        EXPECT(side->finalize() == 0);
    }
    EXPECT(started == 0 || kept >= started);
    return NULL;
}

static void at_once(const side_t *first, const side_t *second)
{
    pthread_t threads[2], releaser;

    start_as_linux(first);
    EXPECT(first->finalize() == 0);
    if (pthread_create(&releaser, NULL, release_memory, NULL) != 0
        || pthread_create(&threads[0], NULL, start_and_stop, (void *) (size_t) first) != 0
        || pthread_create(&threads[1], NULL, start_and_stop, (void *) (size_t) second) != 0) {
        abort();
    }
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    atomic_store(&done, true);
    pthread_join(releaser, NULL);
    start_as_linux(first);
    use(first, true);
    EXPECT(first->finalize() == 0);
    start_as_linux(second);
    use(second, true);
    EXPECT(second->finalize() == 0);
}

static const struct {
    const char *name;
    void (*run)(const side_t *first, const side_t *second);
} scenarios[] = {
    { "first_ends_first", first_ends_first },
    { "first_ends_last", first_ends_last },
    { "in_turns", in_turns },
    { "takes_over", takes_over },
    { "shares_no_sites", shares_no_sites },
    { "second_is_asked_for", second_is_asked_for },
    { "own_variables", own_variables },
    { "after_fork", after_fork },
    { "at_once", at_once },
};

int main(int argc, char **argv)
{
    const bool installed_first = argc == 3 && strcmp(argv[2], "installed") == 0;

    alarm(120);
    for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        if (argc == 1) {
            puts(scenarios[i].name);
        } else if (strcmp(argv[1], scenarios[i].name) == 0) {
            scenarios[i].run(installed_first ? &side_installed : &side_embedded,
                             installed_first ? &side_embedded : &side_installed);
            return wrong;
        }
    }
    return argc == 1 ? 0 : 2;
}
