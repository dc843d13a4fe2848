/* SPDX-License-Identifier: BSD-3-Clause */
/* A program whose caches have known figures, to be looked at from outside. It obeys lines on
 * standard input, and answers each with a line.
 *
 *   cache NAME      make a cache; the following commands are about it
 *   register PAGES  register PAGES pages that no other registration has, and keep the reference
 *   hit N           look the last registration up N times
 *   thread N        the same on another thread, which then ends
 *   put             give the references of the last registration back
 *   release         tell that its memory goes, by munmap
 *   evict           drop an idle registration
 *   fork            go on in a child, whose number is the answer; the parent waits for its end
 *   destroy         destroy the last cache
 *   close           close all descriptors but the first three
 *   end / abort     with, and without, putting things in order
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "opal/mca/rcache/provider.h"
#include "opal/opalmem.h"

static mca_rcache_provider_t *provider;
static mca_rcache_base_module_t *cache;
static mca_rcache_base_registration_t *last;
static char *next_address = (char *) 0x100000000000; /* Nothing is pinned: addresses are numbers. */

static void check(int rc, const char *what)
{
    if (rc != OPAL_SUCCESS) {
        fprintf(stderr, "%s: %s\n", what, opal_strerror(rc));
        exit(1);
    }
}

static void make_cache(const char *name)
{
    mca_rcache_base_resources_t resources = { .cache_name = name };
    mca_rcache_provider_resources(provider, &resources);
    resources.cache_name = name;
    resources.in_use_policy = MCA_RCACHE_IN_USE_IGNORE;
    cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    check(cache == NULL ? OPAL_ERROR : OPAL_SUCCESS, "cache");
}

static void register_pages(size_t pages)
{
    size_t size = pages * (size_t) sysconf(_SC_PAGESIZE);
    check(cache->rcache_register(cache, next_address, size, 0, 0, &last), "register");
    next_address += 2 * size;
}

static void *hit(void *arg)
{
    for (long n = *(long *) arg; n > 0; n--) {
        mca_rcache_base_registration_t *reg;
        check(cache->rcache_register(cache, last->base, 1, 0, 0, &reg), "hit");
        check(cache->rcache_deregister(cache, reg), "give back");
    }
    return NULL;
}

static void hit_on_a_thread(long n)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, hit, &n) != 0 || pthread_join(thread, NULL) != 0) {
        perror("thread");
        exit(1);
    }
}

static void go_on_in_child(void)
{
    int status;
    pid_t child = fork();
    if (child > 0) {
        _exit(waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 1);
    }
}

static void obey(const char *command, const char *value)
{
    long number = atol(value);
    if (strcmp(command, "cache") == 0) {
        make_cache(value);
    } else if (strcmp(command, "register") == 0) {
        register_pages((size_t) number);
    } else if (strcmp(command, "hit") == 0) {
        hit(&number);
    } else if (strcmp(command, "thread") == 0) {
        hit_on_a_thread(number);
    } else if (strcmp(command, "put") == 0) {
        check(cache->rcache_deregister(cache, last), "put");
    } else if (strcmp(command, "release") == 0) {
        opal_mem_hooks_release_cause(last->base, (size_t) (last->bound - last->base) + 1, false,
                                     OPAL_MEM_HOOKS_CAUSE_MUNMAP);
    } else if (strcmp(command, "evict") == 0) {
        check(cache->rcache_evict(cache) ? OPAL_SUCCESS : OPAL_ERR_NOT_FOUND, "evict");
    } else if (strcmp(command, "fork") == 0) {
        go_on_in_child();
    } else if (strcmp(command, "destroy") == 0) {
        check(mca_rcache_base_module_destroy(cache), "destroy");
    } else if (strcmp(command, "close") == 0) {
        for (int fd = (int) sysconf(_SC_OPEN_MAX) - 1; fd > 2; fd--) {
            close(fd);
        }
    } else if (strcmp(command, "end") == 0) {
        check(opalmem_finalize(), "end");
        exit(0);
    } else if (strcmp(command, "abort") == 0) {
        _exit(0);
    } else {
        fprintf(stderr, "unknown: %s\n", command);
        exit(1);
    }
}

int main(void)
{
    char line[256];
    setenv("OPALMEM_MCA_rcache_base_unsafe", "1", 1); /* Releases are told by hand here, on every machine alike. */
    check(opalmem_init(NULL, NULL), "opalmem_init");
    check(mca_rcache_provider_open("none", &provider), "provider");
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *value = strchr(line, ' ');
        if (value != NULL) {
            *value++ = '\0';
        }
        obey(line, value == NULL ? "" : value);
        printf("%d\n", (int) getpid());
        fflush(stdout);
    }
    return 0;
}
