/* SPDX-License-Identifier: BSD-3-Clause */
/* What the objects of libfabric's cache need of the rest of libfabric: logging that says nothing, one page size, and no
 * memory but the host's. Linked by libfabric.sh.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/types.h>

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

char core_prov[512];
static size_t page_size_list[] = { 4096 };
size_t *page_sizes = page_size_list;
size_t num_page_sizes = 1;
void *cuda_monitor, *cuda_ipc_monitor, *rocr_monitor, *ze_monitor;

int fi_log_enabled(const void *provider, int level, int subsystem)
{
    (void) provider, (void) level, (void) subsystem;
    return 0;
}

void fi_log(const void *provider, int level, int subsystem, const char *function, int line, const char *format,
            ...)
{
    (void) provider, (void) level, (void) subsystem, (void) function, (void) line, (void) format;
}

const char *fi_strerror(int error)
{
    return strerror(error);
}

char *fi_tostr(const void *data, int type)
{
    static char empty[1];
    (void) data, (void) type;
    return empty;
}

int fi_param_define(const void *provider, const char *name, int type, const char *help, ...)
{
    (void) provider, (void) name, (void) type, (void) help;
    return 0;
}

int fi_param_get(void *provider, const char *name, void *value)
{
    (void) provider, (void) name, (void) value;
    return -ENODATA;
}

bool ofi_hmem_is_initialized(int interface)
{
    return interface == 0;
}

size_t ofi_get_mem_size(void)
{
    return (size_t) 1 << 34;
}

/* The pool of entries would use huge pages only if it were asked to. */
ssize_t ofi_get_hugepage_size(void)
{
    return -ENOSYS;
}

int ofi_mmap_anon_pages(void **place, size_t size, int flags)
{
    (void) place, (void) size, (void) flags;
    return -ENOSYS;
}

int ofi_unmap_anon_pages(void *place, size_t size)
{
    (void) place, (void) size;
    return -ENOSYS;
}

/* Functions of objects that are never called. */
int fi_no_bind(void)
{
    return -ENOSYS;
}

int fi_no_control(void)
{
    return -ENOSYS;
}

int fi_no_ops_open(void)
{
    return -ENOSYS;
}

int fi_no_ops_set(void)
{
    return -ENOSYS;
}

int fi_no_tostr(void)
{
    return -ENOSYS;
}
