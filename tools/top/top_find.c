/* SPDX-License-Identifier: BSD-3-Clause */
/* Finds the pages of a process among its descriptors, or, where the program has
 * closed them, among its mappings (which only root may open), and maps them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/top/top.h"

#define CLOSED "it has closed the descriptor of its figures; root can read them, outside of user namespaces"
#define LINK "/memfd:" MCA_RCACHE_STATS_FILE " (deleted)"

/* A search for pages. */
typedef struct search_t {
    top_process_t *process;
    pid_t inner_pid; /* As the process itself sees it. */
    bool quiet, complained;
} search_t;

__attribute__((format(printf, 2, 3))) static void complain(search_t *search, const char *format, ...)
{
    va_list arguments;
    if (!search->quiet && !search->complained) {
        fprintf(stderr, "opalmem-top: process %d: ", (int) search->process->pid);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fputc('\n', stderr);
    }
    search->complained = true;
}

/* ---- Files below /proc/PID ----------------------------------------------------------------------- */

static FILE *open_text(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    FILE *stream = fd < 0 ? NULL : fdopen(fd, "r");
    if (stream == NULL && fd >= 0) {
        close(fd);
    }
    return stream;
}

/* In a container the process knows itself by another number: the last one of this line. */
static pid_t inner_pid(const top_process_t *process)
{
    char line[512];
    long pid = process->pid;
    FILE *stream = open_text(process->folder, "status");
    while (stream != NULL && fgets(line, sizeof line, stream) != NULL) {
        if (strncmp(line, "NSpid:", 6) == 0) {
            const char *last = strrchr(line, '\t');
            pid = last == NULL ? pid : strtol(last, NULL, 10);
        }
    }
    if (stream != NULL) {
        fclose(stream);
    }
    return (pid_t) pid;
}

void top_program_name(const top_process_t *process, char *name, size_t size)
{
    char raw[64] = "?";
    FILE *stream = open_text(process->folder, "comm");
    if (stream != NULL) {
        if (fgets(raw, sizeof raw, stream) != NULL) {
            raw[strcspn(raw, "\n")] = '\0';
        }
        fclose(stream);
    }
    top_printable(raw, name, size);
}

/* ---- One file ------------------------------------------------------------------------------------ */

static bool is_known(const top_process_t *process, const struct stat *status)
{
    for (size_t i = 0; i < process->pages; i++) {
        if (process->page[i].device == status->st_dev && process->page[i].inode == status->st_ino) {
            return true;
        }
    }
    return false;
}

/* Who cannot cut the file cannot make us fail while we read. */
static bool is_sealed(int fd)
{
    int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & F_SEAL_SHRINK) != 0;
}

static void keep(search_t *search, top_page_t *page)
{
    const char *fault = top_take_header(page);
    if (fault != NULL) {
        complain(search, "its figures cannot be read: %s", fault);
    }
    /* A child that a fork has just made still holds its parent's. */
    if (fault != NULL || page->layout.pid != (uint64_t) search->inner_pid) {
        munmap((void *) page->start, page->size);
        return;
    }
    search->process->page[search->process->pages++] = *page;
}

static void try_file(search_t *search, int fd, int number)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || is_known(search->process, &status) || search->process->pages == TOP_PAGES) {
        return;
    }
    if (!is_sealed(fd) || status.st_size < (off_t) sizeof(mca_rcache_stats_header_t)) {
        return; /* Being made just now, or somebody else's. */
    }
    void *start = mmap(NULL, (size_t) status.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (start == MAP_FAILED) {
        complain(search, "its figures cannot be mapped: %s", strerror(errno));
        return;
    }
    top_page_t page = { .start = start,
                        .size = (size_t) status.st_size,
                        .device = status.st_dev,
                        .inode = status.st_ino,
                        .number = number };
    keep(search, &page);
}

/* ---- All files ----------------------------------------------------------------------------------- */

/* Look at one entry of /proc/PID/fd or map_files. */
static void try_entry(search_t *search, int folder, const char *name)
{
    char target[sizeof LINK + 1];
    ssize_t length = readlinkat(folder, name, target, sizeof target - 1);
    if (length < 0 || (size_t) length != strlen(LINK) || memcmp(target, LINK, strlen(LINK)) != 0) {
        return;
    }
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        const bool is_mapping = strchr(name, '-') != NULL; /* Linux asks for CAP_CHECKPOINT_RESTORE there. */
        complain(search, is_mapping && errno == EPERM ? CLOSED : "its figures cannot be opened: %s",
                 strerror(errno));
        return;
    }
    try_file(search, fd, strchr(name, '-') == NULL ? atoi(name) : -1);
    close(fd);
}

/* @return false: the folder cannot be read; errno says why. */
static bool search_folder(search_t *search, const char *name)
{
    int fd = openat(search->process->folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (folder == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        try_entry(search, dirfd(folder), entry->d_name);
    }
    closedir(folder);
    return true;
}

/* Is such a file mapped? inode 0: any. */
static bool is_mapped(const top_process_t *process, uint64_t inode)
{
    char line[512];
    bool found = false;
    FILE *stream = open_text(process->folder, "maps");
    while (stream != NULL && !found && fgets(line, sizeof line, stream) != NULL) {
        unsigned long long number = 0;
        found = strstr(line, LINK) != NULL && sscanf(line, "%*s %*s %*s %*s %llu", &number) == 1
                && (inode == 0 || inode == number);
    }
    if (stream != NULL) {
        fclose(stream);
    }
    return found;
}

/* ---- The process --------------------------------------------------------------------------------- */

static void explain_refusal(search_t *search, int error)
{
    struct stat status;
    if (fstat(search->process->folder, &status) == 0 && geteuid() != 0 && status.st_uid != geteuid()) {
        complain(search,
                 "%s: it belongs to another user (%u), or may not be looked at (set-user-ID, PR_SET_DUMPABLE)",
                 strerror(error), (unsigned) status.st_uid);
    } else {
        complain(search, "its descriptors cannot be read: %s", strerror(error));
    }
}

static void search_all(search_t *search)
{
    search->inner_pid = inner_pid(search->process);
    if (!search_folder(search, "fd")) {
        explain_refusal(search, errno);
        return;
    }
    if (search->process->pages > 0 || search->complained) {
        return;
    }
    /* A number that its program closed. A fork child without a cache of its own may have its parent's mapping. */
    search_folder(search, "map_files");
    if (search->process->pages == 0) {
        complain(search, "%s",
                 geteuid() != 0 && is_mapped(search->process, 0)
                     ? CLOSED
                     : "it has no figures: it has no opalmem cache, or rcache_base_stats_page is false there");
    }
}

int top_open(pid_t pid, bool quiet, top_process_t *process)
{
    top_process_t found = { .pid = pid };
    search_t search = { .process = &found, .quiet = quiet };
    char path[32];
    snprintf(path, sizeof path, "/proc/%d", (int) pid);
    found.folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (found.folder < 0) {
        complain(&search, "%s", errno == ENOENT ? "there is no such process" : strerror(errno));
        return TOP_FAILED;
    }
    search_all(&search);
    if (found.pages == 0) {
        top_close(&found);
        return TOP_FAILED;
    }
    *process = found;
    return TOP_OK;
}

void top_close(top_process_t *process)
{
    for (size_t i = 0; i < process->pages; i++) {
        munmap((void *) process->page[i].start, process->page[i].size);
    }
    close(process->folder);
    process->pages = 0;
    process->folder = -1;
}

static bool has_page(const top_process_t *process, const top_page_t *page)
{
    struct stat status;
    char path[32];
    snprintf(path, sizeof path, "fd/%d", page->number);
    if (page->number >= 0 && fstatat(process->folder, path, &status, 0) == 0 && status.st_dev == page->device
        && status.st_ino == page->inode) {
        return true;
    }
    return is_mapped(process, page->inode);
}

/* A zombie has ended, too. */
static bool runs(const top_process_t *process)
{
    char line[512] = "";
    FILE *stream = open_text(process->folder, "stat");
    if (stream == NULL) {
        return false;
    }
    const char *read = fgets(line, sizeof line, stream);
    fclose(stream);
    const char *name_end = read == NULL ? NULL : strrchr(line, ')');
    return name_end != NULL && name_end[1] == ' ' && strchr("ZXx", name_end[2]) == NULL;
}

top_state_t top_state(const top_process_t *process)
{
    if (!runs(process)) {
        return TOP_ENDED;
    }
    for (size_t i = 0; i < process->pages; i++) {
        if (has_page(process, &process->page[i])) {
            return TOP_RUNS;
        }
    }
    return runs(process) ? TOP_WITHOUT_PAGE : TOP_ENDED;
}

const char *top_state_text(top_state_t state)
{
    static const char *const texts[] = {
        "runs", "has ended", "has given its figures up: it ended the library, or runs another program"
    };
    return texts[state];
}
