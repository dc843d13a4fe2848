/* SPDX-License-Identifier: BSD-3-Clause */
/* Before the program is started: the shared page, and whether everything works here. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "opal/mca/rcache/provider.h"
#include "opal/opalmem.h"
#include "tools/run/run.h"

/* ---- The page ------------------------------------------------------------------------------------ */

static int fail(const char *what)
{
    fprintf(stderr, RUN_PROGRAM ": %s: %s\n", what, strerror(errno));
    return -1;
}

/* Away from the numbers that programs count on. It stays open across exec: children of the program need it. */
static int move_high(int fd)
{
    const int high = fcntl(fd, F_DUPFD, 900);

    if (high >= 0) {
        close(fd);
        return high;
    }
    return fd;
}

int run_page_make(const run_options_t *options, run_page_t **page)
{
    int fd = memfd_create(RUN_PROGRAM, 0);

    if (fd < 0 || ftruncate(fd, sizeof(run_page_t)) != 0) {
        return fail("the page for the counters cannot be made");
    }
    *page = mmap(NULL, sizeof(run_page_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (*page == MAP_FAILED) {
        return fail("the page for the counters cannot be mapped");
    }
    (*page)->magic = RUN_PAGE_MAGIC;
    (*page)->version = RUN_PAGE_VERSION;
    (*page)->verify = options->verify;
    (*page)->threshold = options->threshold;
    (*page)->seccomp = prctl(PR_GET_SECCOMP);
    return move_high(fd);
}

/* ---- The probe ----------------------------------------------------------------------------------- */

static bool sees_frames(void)
{
    const size_t page = (size_t) sysconf(_SC_PAGESIZE);
    uint64_t entry = 0;
    const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    const bool is_read =
        fd >= 0 && pread(fd, &entry, sizeof(entry), (off_t) ((uintptr_t) &entry / page * sizeof(entry))) == 8;

    if (fd >= 0) {
        close(fd);
    }
    return is_read && (entry & ((UINT64_C(1) << 55) - 1)) != 0;
}

/* As the preload library will do it, but that messages are seen. */
static bool start_library(void)
{
    mca_rcache_base_resources_t resources = { .cache_name = RUN_PROGRAM };
    mca_rcache_provider_t *provider;

    if (opalmem_init(NULL, NULL) != OPAL_SUCCESS || mca_rcache_provider_open("uring", &provider) != OPAL_SUCCESS) {
        return false;
    }
    mca_rcache_provider_resources(provider, &resources);
    return mca_rcache_base_module_create(NULL, NULL, &resources) != NULL;
}

static bool ends_well(pid_t child)
{
    int status;

    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return false;
        }
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool run_probe(const run_options_t *options)
{
    pid_t child;

    if (options->verify && !sees_frames()) {
        fputs(RUN_PROGRAM ": --verify: page frames cannot be seen here: that needs CAP_SYS_ADMIN (root)\n",
              stderr);
        return false;
    }
    child = fork();
    if (child == 0) {
        _exit(start_library() ? 0 : 1);
    }
    return child > 0 && ends_well(child);
}
