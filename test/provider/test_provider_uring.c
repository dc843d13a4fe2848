/* SPDX-License-Identifier: BSD-3-Clause */
/* The provider uring through the conformance suite: a registration works if the
 * bytes that its device writes to a file are those in memory. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "opal/mca/rcache/provider.h"
#include "provider_suite.h"

static int open_uring(void **state, mca_rcache_base_resources_t *resources)
{
    mca_rcache_provider_t *provider;
    int rc = mca_rcache_provider_open("uring", &provider);
    if (rc == OPAL_SUCCESS) {
        mca_rcache_provider_resources(provider, resources);
        *state = provider;
    }
    return rc;
}

static void close_uring(void *state)
{
    mca_rcache_provider_close(state);
}

static bool arrives(void *state, int channel, mca_rcache_base_registration_t *reg, unsigned char *byte)
{
    unsigned char got = 0;
    *byte = (unsigned char) (*byte * 5 + 1);
    return mca_rcache_uring_write(state, channel, (mca_rcache_uring_registration_t *) reg, byte, 1, 0) == 1
           && pread(channel, &got, 1, 0) == 1 && got == *byte;
}

static bool works(void *state, mca_rcache_base_registration_t *reg)
{
    int channel = memfd_create("channel", MFD_CLOEXEC);
    bool good =
        channel >= 0 && arrives(state, channel, reg, reg->base) && arrives(state, channel, reg, reg->bound);
    close(channel);
    return good;
}

static void close_rings(void)
{
    char target[32];
    DIR *folder = opendir("/proc/self/fd");
    for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        ssize_t length = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target));
        if (length > 0 && strncmp(target, "anon_inode:[io_uring]", (size_t) length) == 0) {
            close(atoi(entry->d_name));
        }
    }
    closedir(folder);
}

/* As a program does that closes all descriptors; the next registration notices. */
static void lose(void *state)
{
    static char page[1 << 16] __attribute__((aligned(1 << 16)));
    mca_rcache_uring_registration_t reg;
    mca_rcache_base_resources_t resources;
    close_rings();
    mca_rcache_provider_resources(state, &resources);
    resources.register_mem(state, page, sizeof(page), &reg.super);
}

int main(int argc, char **argv)
{
    const provider_suite_t suite = {
        .name = "uring",
        .open = open_uring,
        .close = close_uring,
        .works = works,
        .lose = lose,
    };
    return provider_suite_main(&suite, argc, argv);
}
