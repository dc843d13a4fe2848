/* SPDX-License-Identifier: BSD-3-Clause */
/* The processes that have figures, with what they have pinned. */
#include <dirent.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/top/top.h"
#include "tools/util/json.h"

/* What is said of one process. */
typedef struct entry_t {
    pid_t pid;
    char user[33], program[64];
    size_t caches, count, bytes;
} entry_t;

static void user_name(const top_process_t *process, char *name, size_t size)
{
    struct stat status = { .st_uid = 0 };
    const struct passwd *user = fstat(process->folder, &status) == 0 ? getpwuid(status.st_uid) : NULL;
    if (user != NULL) {
        top_printable(user->pw_name, name, size);
    } else {
        snprintf(name, size, "%u", (unsigned) status.st_uid);
    }
}

static bool describe(const top_process_t *process, entry_t *entry)
{
    top_snapshot_t snapshot;
    if (!top_read(process, &snapshot)) {
        return false;
    }
    *entry = (entry_t){ .pid = process->pid, .caches = snapshot.count };
    for (size_t i = 0; i < snapshot.count; i++) {
        entry->count += snapshot.caches[i].stats.count;
        entry->bytes += snapshot.caches[i].stats.bytes;
    }
    top_free(&snapshot);
    user_name(process, entry->user, sizeof entry->user);
    top_program_name(process, entry->program, sizeof entry->program);
    return true;
}

/* Is it a process that the user may ask about? */
static bool is_candidate(int proc, const char *name)
{
    struct stat status;
    return name[strspn(name, "0123456789")] == '\0' && fstatat(proc, name, &status, 0) == 0
           && (geteuid() == 0 || status.st_uid == geteuid());
}

static void print_entry(const entry_t *entry, size_t number, json_t *json)
{
    char pinned[TOP_CELL];
    if (json != NULL) {
        json_object_begin(json, NULL, JSON_ONE_LINE);
        json_int(json, "pid", entry->pid);
        json_string(json, "user", entry->user);
        json_string(json, "program", entry->program);
        json_uint(json, "caches", entry->caches);
        json_uint(json, "registrations", entry->count);
        json_uint(json, "bytes", entry->bytes);
        json_object_end(json);
        return;
    }
    if (number == 0) {
        printf("%10s %-12s %6s %13s %11s  %s\n", "PID", "USER", "CACHES", "REGISTRATIONS", "PINNED", "PROGRAM");
    }
    top_write_bytes(entry->bytes, pinned);
    printf("%10d %-12s %6zu %13zu %11s  %s\n", (int) entry->pid, entry->user, entry->caches, entry->count, pinned,
           entry->program);
}

static size_t print_all(DIR *proc, json_t *json)
{
    size_t found = 0;
    const struct dirent *name;
    while ((name = readdir(proc)) != NULL) {
        top_process_t process;
        entry_t entry;
        if (name->d_name[0] == '.' || !is_candidate(dirfd(proc), name->d_name)
            || top_open(atoi(name->d_name), true, &process) != TOP_OK) {
            continue;
        }
        if (describe(&process, &entry)) {
            print_entry(&entry, found++, json);
        }
        top_close(&process);
    }
    return found;
}

int top_list(bool as_json)
{
    json_t json = { .stream = stdout };
    DIR *proc = opendir("/proc");
    if (proc == NULL) {
        perror("opalmem-top: /proc cannot be read");
        return TOP_FAILED;
    }
    if (as_json) {
        json_object_begin(&json, NULL, JSON_LINES);
        json_array_begin(&json, "processes", JSON_LINES);
    }
    size_t found = print_all(proc, as_json ? &json : NULL);
    closedir(proc);
    if (as_json) {
        json_array_end(&json);
        json_object_end(&json);
    } else if (found == 0) {
        fprintf(stderr, "opalmem-top: no process %sthat can be seen here has opalmem caches\n",
                geteuid() == 0 ? "" : "of this user ");
    }
    return found > 0 || as_json ? TOP_OK : TOP_FAILED;
}
