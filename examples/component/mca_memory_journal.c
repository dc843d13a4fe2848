/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory component "journal", an example of a POLLED component: another process tells it what has gone.
 *
 * Releases of shared memory by another process cannot be noticed in this one by any hook. Here that process writes
 * them into a journal (see journal.h), whose counter is one of the two words that opal_memory_changed() compares.
 * Nothing is called as long as it stays. Meant to run beside a component that sees the releases of this process:
 * --mca memory linux+journal --mca memory_journal_file FILE. */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <opal/mca/base/base.h>
#include <opal/mca/memory/memory.h>
#include <opal/memoryhooks/memory_internal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int enable(void);

/* `counter` is set by open. Not const: the library reads it at each lookup, until close. */
static opal_memory_base_module_t module = {
    .struct_size = sizeof(module),
    .flags = OPAL_MEMORY_MODULE_POLLED,
    .sees = OPAL_MEMORY_SEES_FILE,
    .enable = enable,
};

/* ---- Variables ------------------------------------------------------------------------------------ */

static char *file; /* NULL: not set. The library owns the string. */
static bool covers_everything;

/* The priority need not be a variable: query returns a constant. */
static int register_params(void)
{
    int rc = mca_base_var_register(&(mca_base_var_def_t){
        .framework = "memory",
        .component = "journal",
        .name = "file",
        .help = "Journal of releases that other processes make in memory shared with this one.",
        .type = MCA_BASE_VAR_TYPE_STRING,
        .info_level = 3,
        .storage = &file,
    });
    if (rc != OPAL_SUCCESS) {
        return rc;
    }
    return mca_base_var_register(&(mca_base_var_def_t){
        .framework = "memory",
        .component = "journal",
        .name = "covers_everything",
        .help = "Nothing but memory of which the journal tells is ever registered: caches may rely on this "
                "component alone.",
        .type = MCA_BASE_VAR_TYPE_BOOL,
        .info_level = 3,
        .storage = &covers_everything,
    });
}

/* ---- Events --------------------------------------------------------------------------------------- */

static const journal_t *journal;
static uint64_t
    next; /* First entry that was not delivered. Only process() and enable() touch it: one at a time. */

/* False: the writer may have overwritten it while we read. All accesses are sequentially consistent: whoever
 * reads the new entry reads, after that, a counter that says so. */
static bool read_entry(uint64_t index, opal_mem_hooks_range_t *range)
{
    const journal_entry_t *entry = &journal->entry[index % JOURNAL_ENTRIES];
    range->start = (uintptr_t) atomic_load(&entry->start);
    range->length = atomic_load(&entry->length);
    return atomic_load(&journal->counter) - index < JOURNAL_ENTRIES;
}

/* Deliver every event up to the counter's value now. Called outside hook context, by a thread that looks something up
 * in a cache; the library lets one in at a time. An event that cannot be read is never skipped: whoever does
 * not know what has gone says that everything may have. */
static int process(void)
{
    uint64_t end = atomic_load(&journal->counter);
    bool complete = end >= next; /* Else somebody made the journal anew. */
    for (; complete && next != end; next++) {
        opal_mem_hooks_range_t range;
        complete = read_entry(next, &range);
        if (complete) {
            opal_mem_hooks_release_cause((void *) range.start, range.length, false, OPAL_MEM_HOOKS_CAUSE_KERNEL);
        }
    }
    if (!complete) {
        next = end;
        opal_mem_hooks_release_cause(NULL, SIZE_MAX, false, OPAL_MEM_HOOKS_CAUSE_KERNEL);
    }
    return OPAL_SUCCESS;
}

/* ---- Life ----------------------------------------------------------------------------------------- */

static int map_journal(int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || (size_t) status.st_size < sizeof *journal) {
        mca_base_component_set_reason("%s is no journal: it is too short", file);
        return OPAL_ERR_NOT_AVAILABLE;
    }
    const journal_t *mapped = mmap(NULL, sizeof *mapped, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) {
        mca_base_component_set_reason("%s cannot be mapped: %s", file, strerror(errno));
        return OPAL_ERR_NOT_AVAILABLE;
    }
    if (mapped->magic != JOURNAL_MAGIC || mapped->version != JOURNAL_VERSION) {
        munmap((void *) mapped, sizeof *mapped);
        mca_base_component_set_reason("%s is no journal of version %d", file, JOURNAL_VERSION);
        return OPAL_ERR_NOT_AVAILABLE;
    }
    journal = mapped;
    return OPAL_SUCCESS;
}

static int open_journal(void)
{
    if (file == NULL || file[0] == '\0') {
        mca_base_component_set_reason("memory_journal_file is not set");
        return OPAL_ERR_NOT_AVAILABLE;
    }
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        mca_base_component_set_reason("%s cannot be opened: %s", file, strerror(errno));
        return OPAL_ERR_NOT_AVAILABLE;
    }
    int rc = map_journal(fd);
    close(fd); /* The mapping stays. */
    if (rc == OPAL_SUCCESS) {
        module.counter = (const volatile uint64_t *) &journal->counter;
    }
    return rc;
}

/* Once for each successful open. Nobody reads the counter any more. */
static int close_journal(void)
{
    munmap((void *) journal, sizeof *journal);
    journal = NULL;
    module.counter = NULL;
    return OPAL_SUCCESS;
}

static int query(mca_base_module_t **out_module, int *priority)
{
    *out_module = (mca_base_module_t *) &module;
    *priority = 20;
    return OPAL_SUCCESS;
}

/* Nothing is registered yet: what happened before does not matter. */
static int enable(void)
{
    next = atomic_load(&journal->counter);
    module.support = covers_everything ? OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT : 0;
    return OPAL_SUCCESS;
}

/* ---- The component -------------------------------------------------------------------------------- */

/* Not RESIDENT: nothing outside points into this DSO when it has been closed. */
MCA_BASE_COMPONENT_DECLSPEC extern const opal_memory_base_component_t mca_memory_journal_component;
const opal_memory_base_component_t mca_memory_journal_component = {
    .memoryc_version = {
        OPAL_MEMORY_BASE_VERSION_2_0_0,
        .mca_component_name = "journal",
        .mca_component_major_version = 1,
        .mca_open_component = open_journal,
        .mca_close_component = close_journal,
        .mca_query_component = query,
        .mca_register_component_params = register_params,
    },
    .memoryc_process = process,
    .memoryc_register = opal_memory_base_component_register_empty,
    .memoryc_deregister = opal_memory_base_component_deregister_empty,
};
