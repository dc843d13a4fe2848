/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a peer's process: start the library as a runtime does, make the
 * cache, run the loop (msg_peer.c), note the figures, stop the library. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "opal/opalmem.h"
#include "tools/msg/msg_payload.h"
#include "tools/msg/msg_peer.h"
#include "tools/msg/msg_worker.h"

#define CALIBRATION_MESSAGES 64
#define CALIBRATION_ROUNDS 3

typedef struct worker_t {
    msg_peer_t peer;
    int send_fd, recv_fd;
    bool starting; /* The launcher has started the library with the same settings: its warnings are known. */
} worker_t;

/* ---- Messages to the user -------------------------------------------------------------------- */

/* The first error of a run is its cause; what other peers meet afterwards only follows from it. */
static void print_first(const char *line, void *arg)
{
    msg_control_t *control = arg;

    if (atomic_exchange(&control->failed, 1) == 0) {
        msg_control_say(control, line);
    }
}

static void library_message(mca_base_log_level_t level, const char *message, void *arg)
{
    worker_t *worker = arg;
    msg_control_t *control = worker->peer.control;
    char line[1024];

    if (level == MCA_BASE_LOG_ERROR) {
        snprintf(line, sizeof(line), "opalmem: error: %s", message);
        print_first(line, control);
    } else if (level == MCA_BASE_LOG_WARN) {
        snprintf(line, sizeof(line), "opalmem: warning: %s", message);
        if (!worker->starting && control->mode != MSG_MODE_NO_HOOKS) {
            msg_control_say(control, line);
        }
    } else {
        snprintf(line, sizeof(line), "opalmem: peer %u: %s", worker->peer.rank, message);
        msg_print_line(line);
    }
}

/* ---- Figures --------------------------------------------------------------------------------- */

static void note_components(msg_figures_t *figures)
{
    mca_base_component_info_t info;
    size_t used = 0;

    for (size_t i = 0; mca_base_component_get_info(i, &info) == OPAL_SUCCESS; i++) {
        if (strcmp(info.framework, "memory") == 0 && info.selected && used < sizeof(figures->components)) {
            int length = snprintf(figures->components + used, sizeof(figures->components) - used, "%s%s",
                                  used > 0 ? "+" : "", info.name);

            used += length > 0 ? (size_t) length : 0;
        }
    }
    if (used == 0) {
        snprintf(figures->components, sizeof(figures->components), "%s",
                 opal_memory->memoryc_version.mca_component_name);
    }
}

static uint64_t pinned_by_process(void)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/self/status", "re");

    if (file == NULL) {
        return 0;
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "VmPin:", 6) == 0) {
            kib = strtoull(line + 6, NULL, 10);
        }
    }
    fclose(file);
    return kib * 1024;
}

static void note_figures(msg_peer_t *peer)
{
    msg_figures_t *figures = peer->figures;

    figures->support = opal_mem_hooks_support_level();
    figures->caching = mca_rcache_base_is_caching(peer->cache);
    note_components(figures);
    peer->cache->rcache_stats(peer->cache, &figures->stats);
    figures->process_pinned = pinned_by_process();
}

/* ---- What registering would have cost -------------------------------------------------------- */

/* Register and deregister one message of this size, in portions as the peer does. UINT64_MAX: refused. */
static uint64_t time_registration(msg_peer_t *peer, unsigned char *memory, size_t size)
{
    size_t chunk = peer->control->plan.chunk;
    uint64_t begin = msg_now_ns();

    for (size_t done = 0; done < size; done += chunk) {
        mca_rcache_base_registration_t *reg;
        size_t length = size - done < chunk ? size - done : chunk;

        if (peer->cache->rcache_register(peer->cache, memory, length, MCA_RCACHE_FLAGS_CACHE_BYPASS,
                                         MCA_RCACHE_ACCESS_LOCAL_WRITE, &reg)
            != OPAL_SUCCESS) {
            return UINT64_MAX;
        }
        peer->cache->rcache_deregister(peer->cache, reg);
    }
    return msg_now_ns() - begin;
}

static size_t calibration_size(const msg_peer_t *peer, uint64_t message)
{
    size_t size = msg_payload_size(&peer->control->options, peer->rank, message);
    uint64_t largest = 0;

    for (uint32_t i = 0; i < peer->control->options.file_count; i++) {
        largest = peer->files[i].size > largest ? peer->files[i].size : largest;
    }
    return peer->control->options.file_count > 0 && largest < size ? (size_t) largest : size;
}

/* The best of a few rounds for each of the first messages' sizes: neither interrupts nor cold caches. */
static void calibrate(msg_peer_t *peer)
{
    size_t size = peer->control->plan.chunk;
    unsigned char *memory = NULL;

    size = size < peer->control->options.size_max ? size : peer->control->options.size_max;
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    for (uint64_t i = 0; memory != MAP_FAILED && i < CALIBRATION_MESSAGES; i++) {
        uint64_t best = UINT64_MAX;

        for (int round = 0; round < CALIBRATION_ROUNDS; round++) {
            uint64_t ns = time_registration(peer, memory, calibration_size(peer, i));

            best = ns < best ? ns : best;
        }
        if (best != UINT64_MAX) {
            peer->figures->register_ns += best;
            peer->figures->register_samples++;
        }
    }
    if (memory != MAP_FAILED) {
        munmap(memory, size);
    }
}

/* ---- The process ----------------------------------------------------------------------------- */

static int run_with_cache(worker_t *worker)
{
    msg_peer_t *peer = &worker->peer;
    int status = MSG_EXIT_STOPPED;

    msg_peer_init(peer, worker->send_fd, worker->recv_fd);
    if (msg_control_start_line(peer->control, peer->rank)) {
        status = msg_peer_run(peer);
    }
    if (status == MSG_EXIT_OK) {
        note_figures(peer);
        calibrate(peer);
    }
    msg_peer_close(peer);
    return status;
}

static int run_with_provider(worker_t *worker)
{
    mca_rcache_base_resources_t resources = { .cache_name = "opalmem-msg" };
    msg_peer_t *peer = &worker->peer;
    int status;

    mca_rcache_provider_resources(peer->provider, &resources);
    resources.max_bytes = peer->control->plan.max_bytes;
    peer->cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    if (peer->cache == NULL) {
        return MSG_EXIT_FAILED;
    }
    worker->starting = false;
    status = run_with_cache(worker);
    if (mca_rcache_base_module_destroy(peer->cache) != OPAL_SUCCESS && status == MSG_EXIT_OK) {
        msg_error("peer %u cannot destroy its cache: references are left", peer->rank);
        status = MSG_EXIT_FAILED;
    }
    return status;
}

static int run_with_library(worker_t *worker, int *argc, char ***argv)
{
    int status;

    if (opalmem_init(argc, argv) != OPAL_SUCCESS) {
        return MSG_EXIT_FAILED;
    }
    status = MSG_EXIT_FAILED;
    if (mca_rcache_provider_open("uring", &worker->peer.provider) == OPAL_SUCCESS) {
        status = run_with_provider(worker);
        mca_rcache_provider_close(worker->peer.provider);
    }
    opalmem_finalize();
    return status;
}

static int run_with_files(worker_t *worker, int argc, char **argv)
{
    size_t count = worker->peer.control->options.file_count;
    int status = MSG_EXIT_FAILED;

    if (count > (size_t) argc) {
        msg_error("peer %u got %d arguments, fewer than files", worker->peer.rank, argc);
        return MSG_EXIT_FAILED;
    }
    worker->peer.files = calloc(count + 1, sizeof(*worker->peer.files));
    if (worker->peer.files == NULL) {
        msg_error("peer %u has no memory", worker->peer.rank);
    } else if (msg_files_open(worker->peer.files, argv + argc - count, count)) {
        status = run_with_library(worker, &argc, &argv);
        msg_files_close(worker->peer.files, count);
    }
    free(worker->peer.files);
    return status;
}

/* False: not what a launcher writes. */
static bool parse_worker(worker_t *worker, const char *text)
{
    int control_fd, rank, end = 0;

    *worker = (worker_t){ .starting = true };
    if (sscanf(text, "%d,%d,%d,%d%n", &control_fd, &rank, &worker->send_fd, &worker->recv_fd, &end) != 4
        || text[end] != '\0') {
        return false;
    }
    worker->peer.control = msg_control_attach(control_fd);
    if (worker->peer.control == NULL) {
        return false;
    }
    worker->peer.rank = (uint32_t) rank;
    return rank >= 0 && (uint32_t) rank < worker->peer.control->options.peers;
}

int msg_worker_main(int argc, char **argv)
{
    static worker_t worker;
    int status;

    if (argc < 3 || !parse_worker(&worker, argv[2])) {
        msg_error("%s is for the program's own use; see --help", MSG_WORKER_OPTION);
        return MSG_EXIT_USAGE;
    }
    prctl(PR_SET_NAME, "opalmem-msg"); /* Executed as /proc/self/exe, it would be called "exe". */
    worker.peer.figures = &worker.peer.control->peers[worker.peer.rank].figures;
    msg_set_printer(print_first, worker.peer.control);
    mca_base_set_log(library_message, &worker);
    status = run_with_files(&worker, argc, argv);
    mca_base_set_log(NULL, NULL);
    msg_set_printer(NULL, NULL);
    msg_control_detach(worker.peer.control);
    return status;
}
