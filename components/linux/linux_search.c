/* SPDX-License-Identifier: BSD-3-Clause */
/* Searches code for sites. libc and ld.so in memory, since others may have changed them; all other objects in their files,
 * so that no page of theirs becomes part of the process for it. What is mapped when the component is switched on is
 * found in the list of mappings, which also knows what dlopen() is about to load in another thread, and other namespaces;
 * what ld.so maps later is searched inside its own call of mmap, before anybody can run it. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "components/linux/linux.h"
#include "components/linux/linux_sys.h"

/* Under linux_lock(). */
static size_t search_limit;

/* ---- What was searched, with or without finding anything. Under linux_lock(). ---------------------- */

#define MAX_SEARCHED 2048

/* Of which file it was. Another one may be there after a time in which sites were not replaced, and ld.so not heard. */
static struct {
    uintptr_t start, end;
    uint64_t inode;
} searched[MAX_SEARCHED];
static size_t searched_count;

#define ANY_INODE 0 /* libc and ld.so stay. */

static bool is_searched(uintptr_t start, uint64_t inode)
{
    for (size_t i = 0; i < searched_count; i++) {
        if (start >= searched[i].start && start < searched[i].end
            && (searched[i].inode == inode || searched[i].inode == ANY_INODE)) {
            return true;
        }
    }
    return false;
}

void linux_search_forget(uintptr_t start, uintptr_t end)
{
    for (size_t i = searched_count; i-- > 0;) {
        if (searched[i].start < end && searched[i].end > start) {
            searched[i] = searched[--searched_count];
        }
    }
}

/* Without room it will be searched again the next time, which costs time only. */
static void note_searched(uintptr_t start, uintptr_t end, uint64_t inode)
{
    if (is_searched(start, inode)) {
        return;
    }
    linux_search_forget(start, end);
    if (searched_count < MAX_SEARCHED) {
        searched[searched_count].start = start;
        searched[searched_count].end = end;
        searched[searched_count++].inode = inode;
    }
}

/* ---- In memory ----------------------------------------------------------------------------------- */

int linux_search_memory(linux_kind_t kind, uintptr_t start, uintptr_t end, int *sys_errno)
{
    linux_found_t found[LINUX_FIND_AT_ONCE];
    int result = OPAL_SUCCESS;

    for (size_t at = 0; at < end - start && result == OPAL_SUCCESS;) {
        const size_t count =
            linux_find_sites((const uint8_t *) start, end - start, at, found, LINUX_FIND_AT_ONCE, &at);

        result = linux_texts_add(kind, start, end, found, count, sys_errno);
    }
    return result;
}

/* Locks, in this order: the loader's, which is held here and may be held in a hook; then ours. */
static int search_segment(linux_kind_t kind, uintptr_t start, uintptr_t end, void *arg)
{
    uint64_t saved;
    int result;

    if (!linux_lock(&saved)) {
        return OPAL_ERR_PERM;
    }
    note_searched(start, end, ANY_INODE);
    result = linux_search_memory(kind, start, end, arg);
    linux_unlock(&saved);
    return result;
}

int linux_search_libc(int *sys_errno)
{
    return linux_objects_each(search_segment, sys_errno);
}

/* ---- In files ------------------------------------------------------------------------------------ */

/* Read at once. A site near the end may have been cut off, and what is before a site tells whether it is one: the end is
 * read again the next time, and sites in its second half are looked for then. */
#define CHUNK ((size_t) 128 * 1024)
/* More than what is looked at before a site, and behind its beginning. */
#define AROUND ((size_t) LINUX_LOOK_BACK + 32)
#define OVERLAP (2 * AROUND)

static uint8_t chunk[CHUNK]; /* Under linux_lock(). */

/* A piece of code and its place in a file. */
typedef struct piece_t {
    uintptr_t start, end;
    uint64_t offset, inode;
    int fd;
} piece_t;

/* @return Bytes read; fewer at the end of the file, and where it cannot be read. */
static size_t read_at(int fd, uint8_t *buffer, size_t size, uint64_t offset)
{
    size_t done = 0;

    while (done < size) {
        const long got =
            LINUX_SYS(SYS_pread64, fd, (long) (buffer + done), (long) (size - done), (long) (offset + done));

        if (linux_failed(got) || got == 0) {
            break;
        }
        done += (size_t) got;
    }
    return done;
}

static bool is_same(const uint8_t *a, const uint8_t *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (a[i] != b[i]) {
            return false;
        }
    }
    return true;
}

/* From places in the buffer to places in memory. What does not look the same there has been changed by somebody. */
static size_t move_to_memory(linux_found_t *found, size_t count, const uint8_t *buffer, uintptr_t start)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        linux_found_t site = found[i];

        site.address = (uint8_t *) (start + (uintptr_t) (site.address - buffer));
        if (is_same(site.address, site.original, LINUX_INSN)) {
            found[kept++] = site;
        }
    }
    return kept;
}

static void search_chunk(const piece_t *piece, const uint8_t *buffer, size_t size, uintptr_t start)
{
    linux_found_t found[LINUX_FIND_AT_ONCE];
    int sys_errno;

    for (size_t at = start == piece->start ? 0 : AROUND; at < size;) {
        size_t count = linux_find_sites(buffer, size, at, found, LINUX_FIND_AT_ONCE, &at);

        count = move_to_memory(found, count, buffer, start);
        linux_texts_add(LINUX_OTHER, piece->start, piece->end, found, count, &sys_errno);
    }
}

static void search_piece(const piece_t *piece)
{
    const size_t size = piece->end - piece->start;

    for (size_t at = 0; at < size; at += CHUNK - OVERLAP) {
        const size_t wanted = size - at < CHUNK ? size - at : CHUNK;

        search_chunk(piece, chunk, read_at(piece->fd, chunk, wanted, piece->offset + at), piece->start + at);
    }
}

/* Under linux_lock(). */
static void search_file(const piece_t *piece)
{
    if (piece->end - piece->start <= search_limit && !is_searched(piece->start, piece->inode)) {
        note_searched(piece->start, piece->end, piece->inode);
        search_piece(piece);
    }
}

/* ---- What is mapped already ---------------------------------------------------------------------- */

static bool is_code(int prot)
{
    return (prot & (PROT_READ | PROT_WRITE | PROT_EXEC)) == (PROT_READ | PROT_EXEC);
}

/* Is the mapping's file still what its path names, and an ordinary one? Device numbers differ on file systems in layers. */
static bool is_at_its_path(const linux_mapping_t *mapping)
{
    struct stat info;

    return !linux_failed(LINUX_SYS(SYS_newfstatat, AT_FDCWD, (long) mapping->path, (long) &info, 0))
           && S_ISREG(info.st_mode) && (uint64_t) info.st_ino == mapping->inode;
}

/* A function of each runtime of a sanitizer: they give back memory of their own, at times when their checks, which our
 * code may have been compiled with, cannot run. */
static const char *const runtimes[] = { "__asan_report_load1",  "__tsan_func_entry",
                                        "__msan_warning",       "__hwasan_loadN",
                                        "__lsan_do_leak_check", "__ubsan_handle_add_overflow" };

#define RUNTIMES (sizeof(runtimes) / sizeof(runtimes[0]))

/* Code that belongs to one of them; 0: there is none. Set before the lock is taken. */
static uintptr_t left_out[RUNTIMES];

static void find_runtimes(void)
{
    for (size_t i = 0; i < RUNTIMES; i++) {
        left_out[i] = (uintptr_t) dlsym(RTLD_DEFAULT, runtimes[i]);
    }
}

/* Valgrind's own code is mapped as well, but no part of the process that it makes believe. */
static bool is_valgrind(const char *path)
{
    static const char name[] = "/valgrind/";

    for (; *path != '\0'; path++) {
        size_t i = 0;

        while (i < sizeof(name) - 1 && path[i] == name[i]) {
            i++;
        }
        if (i == sizeof(name) - 1) {
            return true;
        }
    }
    return false;
}

static bool is_left_out(const linux_mapping_t *mapping)
{
    if (is_valgrind(mapping->path)) {
        return true;
    }
    for (size_t i = 0; i < RUNTIMES; i++) {
        if (left_out[i] >= mapping->start && left_out[i] < mapping->end) {
            return true;
        }
    }
    return false;
}

static void search_mapping(const linux_mapping_t *mapping, void *arg)
{
    piece_t piece = {
        .start = mapping->start, .end = mapping->end, .offset = mapping->offset, .inode = mapping->inode
    };
    long fd;

    (void) arg;
    if (!is_code(mapping->prot) || !mapping->is_private || mapping->inode == 0
        || is_searched(mapping->start, mapping->inode) || mapping->is_path_cut || is_left_out(mapping)
        || !is_at_its_path(mapping)) {
        return;
    }
    fd = linux_sys_open(mapping->path, O_RDONLY | O_CLOEXEC);
    if (linux_failed(fd)) {
        return;
    }
    piece.fd = (int) fd;
    search_file(&piece);
    linux_sys_close(piece.fd);
}

void linux_search_others(size_t limit)
{
    uint64_t saved;

    find_runtimes();
    if (linux_lock(&saved)) {
        search_limit = limit;
        if (limit != 0) {
            linux_maps_each(search_mapping, NULL);
        }
        linux_unlock(&saved);
    }
}

/* ---- What ld.so does afterwards ------------------------------------------------------------------ */

void linux_search_mapped(uintptr_t start, size_t length, int prot, int fd, uint64_t offset)
{
    piece_t piece = { .start = start, .end = start + length, .offset = offset, .fd = fd };
    struct stat info;
    uint64_t saved;

    if (is_code(prot) && !linux_failed(LINUX_SYS(SYS_fstat, fd, (long) &info)) && linux_lock(&saved)) {
        piece.inode = info.st_ino;
        /* What was known of the place went while ld.so was not heard. */
        linux_search_forget(piece.start, piece.end);
        linux_texts_forget(piece.start, piece.end);
        search_file(&piece);
        linux_unlock(&saved);
    }
}

void linux_search_unmapped(uintptr_t start, size_t length)
{
    const uintptr_t end = start + linux_round_up(length, LINUX_PAGE);
    uint64_t saved;

    if (linux_lock(&saved)) {
        linux_search_forget(start, end);
        linux_texts_forget(start, end);
        linux_unlock(&saved);
    }
}
