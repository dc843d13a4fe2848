/* SPDX-License-Identifier: BSD-3-Clause */
/* Two processes move data by RDMA out of and into buffers that come and go,
 * registered through the cache, and check every byte that arrives.
 *
 *   rdma_scene [--operations N] [--seed N] [--expect right|wrong] [--mca NAME VALUE]...
 *
 * Expecting right (the default), it fails at one wrong byte, and if there was no
 * hit or no invalidation: then nothing was shown. Expecting wrong (without
 * hooks, caching forced), it fails if all bytes are right. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "opal/mca/base/cmd_line.h"
#include "opal/mca/rcache/provider.h"
#include "opal/opalmem.h"
#include "test/vm/rdma_buffers.h"
#include "test/vm/rdma_link.h"

#define STREAMS 4 /* Buffers of one role. */
#define PIECES 16 /* Transfers for one buffer. */
#define MAX_SIZE ((uint64_t) 48 << 10)
#define SECONDS 600

/* What happens to a buffer in a round; two streams, write and read, in each direction. */
typedef enum role_t { WRITTEN_FROM, WRITTEN_INTO, READ_FROM, READ_INTO, ROLES } role_t;

/* Where the peer may write to, and read from. */
typedef struct exposed_t {
    uint64_t addr;
    uint64_t rkey;
} exposed_t;

/* Summed over both processes. */
typedef struct outcome_t {
    uint64_t operations, bytes, wrong_bytes, wrong_operations;
    uint64_t hits, misses, invalidations, evictions;
    uint64_t ways[RDMA_WAYS];
} outcome_t;

typedef struct side_t {
    unsigned number; /* 0 or 1. */
    int socket;
    uint64_t operations, seed, random;
    mca_rcache_provider_t *provider;
    mca_rcache_base_module_t *cache;
    rdma_link_t link;
    rdma_buffer_t buffers[ROLES][STREAMS];
    mca_rcache_verbs_registration_t *exposed[2][STREAMS]; /* WRITTEN_INTO, READ_FROM. */
    exposed_t peers[2][STREAMS];
    mca_rcache_verbs_registration_t *moving[2 * STREAMS * PIECES];
    outcome_t outcome;
} side_t;

/* ---- What both sides know ----------------------------------------------------------------------- */

/* Who asks for the transfer; both ends of a stream give the same answer. */
static unsigned initiator(const side_t *side, role_t role)
{
    return role == WRITTEN_FROM || role == READ_INTO ? side->number : 1 - side->number;
}

/* A number that both ends of a stream compute alike, another one in each round. */
static uint64_t common(const side_t *side, uint64_t round, role_t role, unsigned stream)
{
    bool is_write = role == WRITTEN_FROM || role == WRITTEN_INTO;
    uint64_t state = (side->seed + 1) * UINT64_C(0x9e3779b97f4a7c15)
                     ^ (((round * 2 + initiator(side, role)) * 2 + is_write) * STREAMS + stream + 1);
    state |= UINT64_C(1) << 63;
    rdma_random(&state);
    return rdma_random(&state) << 16 ^ rdma_random(&state);
}

static uint64_t word_at(uint64_t key, size_t offset)
{
    return key + offset * UINT64_C(0xd6e8feb86659fd93);
}

/* ---- Buffers ------------------------------------------------------------------------------------ */

/* Three of four buffers are new in each round; of the others some lose their pages. */
static void renew(side_t *side, uint64_t round, role_t role, unsigned stream)
{
    rdma_buffer_t *buffer = &side->buffers[role][stream];
    uint64_t choice = common(side, round, role, stream);
    if (round == 0 || choice % 4 != 0) {
        rdma_buffer_remake(buffer, (512 + (choice >> 8) % (MAX_SIZE - 512)) & ~(size_t) 7, &side->random);
    } else if (rdma_random(&side->random) % 2 == 0) {
        rdma_buffer_discard(buffer);
    }
}

static void fill(const rdma_buffer_t *buffer, uint64_t key)
{
    uint64_t *words = (uint64_t *) (void *) buffer->addr;
    for (size_t i = 0; i < buffer->size / 8; i++) {
        words[i] = word_at(key, i);
    }
}

static uint64_t wrong_bytes_of(uint64_t found, uint64_t wanted)
{
    uint64_t difference = found ^ wanted, count = 0;
    for (; difference != 0; difference >>= 8) {
        count += (difference & 0xff) != 0;
    }
    return count;
}

/* ---- Pieces of a buffer ------------------------------------------------------------------------- */

static size_t piece_start(size_t size, unsigned piece)
{
    return size / 8 * piece / PIECES * 8;
}

static void check_piece(side_t *side, const rdma_buffer_t *buffer, uint64_t key, unsigned piece)
{
    const uint64_t *words = (const uint64_t *) (const void *) buffer->addr;
    uint64_t wrong = 0;
    for (size_t i = piece_start(buffer->size, piece) / 8; i < piece_start(buffer->size, piece + 1) / 8; i++) {
        if (words[i] != word_at(key, i)) {
            wrong += wrong_bytes_of(words[i], word_at(key, i));
        }
    }
    side->outcome.wrong_bytes += wrong;
    side->outcome.wrong_operations += wrong != 0;
}

static void check(side_t *side, uint64_t round, role_t role)
{
    for (unsigned stream = 0; stream < STREAMS; stream++) {
        for (unsigned piece = 0; piece < PIECES; piece++) {
            check_piece(side, &side->buffers[role][stream], common(side, round, role, stream), piece);
        }
    }
}

/* ---- Registrations ------------------------------------------------------------------------------ */

static mca_rcache_verbs_registration_t *get(side_t *side, void *addr, size_t size, int32_t access)
{
    mca_rcache_base_registration_t *reg = NULL;
    int rc = side->cache->rcache_register(side->cache, addr, size, 0, access, &reg);
    if (rc != OPAL_SUCCESS) {
        fprintf(stderr, "rdma_scene: registering %zu bytes failed: %s\n", size, opal_strerror(rc));
    }
    return (mca_rcache_verbs_registration_t *) reg;
}

static void put(side_t *side, mca_rcache_verbs_registration_t *reg)
{
    side->cache->rcache_deregister(side->cache, &reg->super);
}

static bool expose(side_t *side)
{
    static const role_t roles[2] = { WRITTEN_INTO, READ_FROM };
    exposed_t mine[2][STREAMS];
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned stream = 0; stream < STREAMS; stream++) {
            rdma_buffer_t *buffer = &side->buffers[roles[i]][stream];
            mca_rcache_verbs_registration_t *reg =
                get(side, buffer->addr, buffer->size,
                    i == 0 ? MCA_RCACHE_ACCESS_REMOTE_WRITE : MCA_RCACHE_ACCESS_REMOTE_READ);
            if (reg == NULL) {
                return false;
            }
            side->exposed[i][stream] = reg;
            mine[i][stream] = (exposed_t){ (uint64_t) (uintptr_t) buffer->addr, reg->rkey };
        }
    }
    return rdma_exchange(side->socket, mine, side->peers, sizeof(mine));
}

static void withdraw(side_t *side)
{
    for (unsigned i = 0; i < 2 * STREAMS; i++) {
        put(side, side->exposed[i / STREAMS][i % STREAMS]);
    }
}

/* ---- A round ------------------------------------------------------------------------------------ */

/* Each piece asks the cache for itself, as a message would. */
static bool post(side_t *side, role_t role, unsigned stream, unsigned piece)
{
    bool is_write = role == WRITTEN_FROM;
    const rdma_buffer_t *buffer = &side->buffers[role][stream];
    const exposed_t *peer = &side->peers[is_write ? 0 : 1][stream];
    size_t start = piece_start(buffer->size, piece), size = piece_start(buffer->size, piece + 1) - start;
    mca_rcache_verbs_registration_t *reg =
        get(side, buffer->addr + start, size, is_write ? 0 : MCA_RCACHE_ACCESS_LOCAL_WRITE);
    if (reg == NULL) {
        return false;
    }
    side->moving[((unsigned) !is_write * STREAMS + stream) * PIECES + piece] = reg;
    rdma_transfer_t transfer = { .addr = buffer->addr + start,
                                 .length = (uint32_t) size,
                                 .lkey = reg->lkey,
                                 .rkey = (uint32_t) peer->rkey,
                                 .remote_addr = peer->addr + start };
    side->outcome.operations++;
    side->outcome.bytes += size;
    return rdma_link_post(&side->link, is_write ? IBV_WR_RDMA_WRITE : IBV_WR_RDMA_READ, &transfer);
}

static bool transfer_all(side_t *side)
{
    bool good = true;
    for (unsigned i = 0; i < STREAMS * PIECES && good; i++) {
        good =
            post(side, WRITTEN_FROM, i % STREAMS, i / STREAMS) && post(side, READ_INTO, i % STREAMS, i / STREAMS);
    }
    good = good && rdma_link_wait(&side->link);
    for (unsigned i = 0; i < 2 * STREAMS * PIECES && good; i++) {
        put(side, side->moving[i]);
    }
    return good;
}

static bool play_round(side_t *side, uint64_t round)
{
    char done = 1;
    for (unsigned i = 0; i < ROLES * STREAMS; i++) {
        renew(side, round, (role_t) (i / STREAMS), i % STREAMS);
    }
    for (unsigned stream = 0; stream < STREAMS; stream++) {
        fill(&side->buffers[WRITTEN_FROM][stream], common(side, round, WRITTEN_FROM, stream));
        fill(&side->buffers[READ_FROM][stream], common(side, round, READ_FROM, stream));
    }
    if (!expose(side) || !transfer_all(side) || !rdma_exchange(side->socket, &done, &done, 1)) {
        return false;
    }
    withdraw(side);
    check(side, round, WRITTEN_INTO);
    check(side, round, READ_INTO);
    return true;
}

/* ---- A process ---------------------------------------------------------------------------------- */

static bool play(side_t *side)
{
    bool good = rdma_link_open(&side->link, mca_rcache_verbs_pd(side->provider), side->socket);
    for (uint64_t round = 0; good && side->outcome.operations < (side->operations + 1) / 2; round++) {
        good = play_round(side, round);
    }
    for (unsigned i = 0; i < ROLES * STREAMS; i++) {
        rdma_buffer_release(&side->buffers[i / STREAMS][i % STREAMS]);
    }
    rdma_link_close(&side->link);
    return good;
}

static void count(side_t *side)
{
    mca_rcache_base_stats_t stats;
    side->cache->rcache_stats(side->cache, &stats);
    side->outcome.hits = stats.hits;
    side->outcome.misses = stats.misses;
    side->outcome.evictions = stats.evictions;
    for (unsigned i = 0; i < MCA_RCACHE_STATS_CAUSES; i++) {
        side->outcome.invalidations += stats.invalidations[i];
    }
    memcpy(side->outcome.ways, rdma_ways_gone, sizeof(side->outcome.ways));
}

static bool run_side(side_t *side)
{
    mca_rcache_base_resources_t resources;
    side->random = side->seed * 2 + side->number + 1;
    rdma_buffers_start();
    if (mca_rcache_provider_open("verbs", &side->provider) != OPAL_SUCCESS) {
        return false;
    }
    mca_rcache_provider_resources(side->provider, &resources);
    side->cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    bool good = side->cache != NULL && play(side);
    if (side->cache != NULL) {
        count(side);
        good = mca_rcache_base_module_destroy(side->cache) == OPAL_SUCCESS && good;
    }
    mca_rcache_provider_close(side->provider);
    return good;
}

/* ---- The report --------------------------------------------------------------------------------- */

static void add(outcome_t *sum, const outcome_t *other)
{
    uint64_t *to = (uint64_t *) sum;
    const uint64_t *from = (const uint64_t *) other;
    for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++) {
        to[i] += from[i];
    }
}

static void report(const outcome_t *sum, uint64_t seed)
{
    printf("rdma_scene: %llu RDMA writes and reads (%llu MiB), seed %llu, %s\n",
           (unsigned long long) sum->operations, (unsigned long long) sum->bytes >> 20, (unsigned long long) seed,
           (opal_mem_hooks_support_level() & OPAL_MEMORY_MUNMAP_SUPPORT) != 0 ? "releases are noticed"
                                                                              : "nobody notices releases");
    printf("  buffers made:");
    for (unsigned i = 0; i < RDMA_WAYS; i++) {
        printf(" %s %llu%s", rdma_way_names[i], (unsigned long long) sum->ways[i], i + 1 < RDMA_WAYS ? "," : "\n");
    }
    printf("  registrations: %llu hits, %llu misses, %llu invalidations, %llu evictions\n",
           (unsigned long long) sum->hits, (unsigned long long) sum->misses,
           (unsigned long long) sum->invalidations, (unsigned long long) sum->evictions);
    printf("  wrong: %llu bytes in %llu operations\n", (unsigned long long) sum->wrong_bytes,
           (unsigned long long) sum->wrong_operations);
}

static bool fail(const char *why)
{
    printf("rdma_scene: FAILED: %s\n", why);
    return false;
}

static bool is_as_expected(const outcome_t *sum, uint64_t operations, bool expect_wrong)
{
    if (sum->operations < operations) {
        return fail("not all operations were done");
    }
    if (sum->hits == 0) {
        return fail("no hit: nothing was cached");
    }
    if (expect_wrong) {
        return sum->wrong_bytes > 0 || fail("all bytes are right although nobody noticed releases");
    }
    if (sum->invalidations == 0) {
        return fail("no invalidation: no cached buffer was released");
    }
    return sum->wrong_bytes == 0 || fail("wrong bytes");
}

/* ---- Start -------------------------------------------------------------------------------------- */

typedef struct options_t {
    uint64_t operations, seed;
    bool expect_wrong;
} options_t;

static bool parse_options(int argc, char **argv, options_t *options)
{
    static const struct option known[] = { { "operations", required_argument, NULL, 'o' },
                                           { "seed", required_argument, NULL, 's' },
                                           { "expect", required_argument, NULL, 'e' },
                                           { NULL, 0, NULL, 0 } };
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case 'o': options->operations = strtoull(optarg, NULL, 10); break;
        case 's': options->seed = strtoull(optarg, NULL, 10); break;
        case 'e':
            options->expect_wrong = strcmp(optarg, "wrong") == 0;
            if (options->expect_wrong || strcmp(optarg, "right") == 0) {
                break;
            }
            fprintf(stderr, "rdma_scene: --expect takes right or wrong, not \"%s\"\n", optarg);
            return false;
        default: return false;
        }
    }
    return optind == argc && options->operations > 0;
}

/* The child: side 1. Its figures go to the parent. */
static int run_child(side_t *side)
{
    outcome_t unused;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    bool good = run_side(side) && rdma_exchange(side->socket, &side->outcome, &unused, sizeof(unused));
    return good && opalmem_finalize() == OPAL_SUCCESS ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run_parent(side_t *side, pid_t child, const options_t *options)
{
    int status = -1;
    outcome_t of_child;
    memset(&of_child, 0, sizeof(of_child));
    bool good = run_side(side) && rdma_exchange(side->socket, &side->outcome, &of_child, sizeof(of_child));
    close(side->socket);
    waitpid(child, &status, 0);
    add(&side->outcome, &of_child);
    report(&side->outcome, options->seed);
    good = (good && status == 0) || fail("a process did not come to its end");
    good = good && is_as_expected(&side->outcome, options->operations, options->expect_wrong);
    return opalmem_finalize() == OPAL_SUCCESS && good ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    static side_t side;
    options_t options = { .operations = 100000, .seed = 1 };
    int sockets[2];
    if (mca_base_cmd_line_take(&argc, &argv) != OPAL_SUCCESS || !parse_options(argc, argv, &options)) {
        fprintf(stderr,
                "usage: rdma_scene [--operations N] [--seed N] [--expect right|wrong] [--mca NAME VALUE]...\n");
        return 2;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
        perror("rdma_scene: socketpair");
        return EXIT_FAILURE;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    pid_t child = fork(); /* Before the library starts: two processes that have nothing in common. */
    if (child < 0) {
        perror("rdma_scene: fork");
        return EXIT_FAILURE;
    }
    close(sockets[child != 0]);
    side.number = child == 0;
    side.socket = sockets[child == 0];
    side.operations = options.operations;
    side.seed = options.seed;
    alarm(SECONDS); /* A transfer that never ends ends the test. */
    if (opalmem_init(NULL, NULL) != OPAL_SUCCESS) {
        return EXIT_FAILURE;
    }
    return child == 0 ? run_child(&side) : run_parent(&side, child, &options);
}
