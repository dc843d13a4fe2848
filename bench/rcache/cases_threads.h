/* SPDX-License-Identifier: BSD-3-Clause */
/* Measures with more than one thread; part of cases.h. Each thread stays on a processor of its own; where there is only
 * one, these figures are missing.
 */

/* ---- Workers ----------------------------------------------------------------------------------- */

typedef struct worker_t {
    pthread_t thread;
    unsigned cpu;
    void (*loop)(struct worker_t *worker);
    char *base; /* Hits: places to look up, and where to start among them. */
    stream_t stream;
    size_t from, warm_up; /* So many lookups before the clock starts. */
    size_t done;
    double ns;
    bool was_pinned;
} worker_t;

enum { WORKERS_MAX = 2, HITS_AT_ONCE = 512, WINDOW_MS = 15, QUICK_WINDOW_MS = 8 };

static pthread_barrier_t workers_ready;
static atomic_bool workers_stop;

static void hit_until_stopped(worker_t *worker)
{
    do {
        hit(worker->base, worker->stream, worker->from + worker->warm_up + worker->done, HITS_AT_ONCE,
            scene->size);
        worker->done += HITS_AT_ONCE;
    } while (!atomic_load_explicit(&workers_stop, memory_order_relaxed));
}

static void release_until_stopped(worker_t *worker)
{
    do {
        munmap(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), PAGE);
        worker->done++;
    } while (!atomic_load_explicit(&workers_stop, memory_order_relaxed));
}

static void release_bare_until_stopped(worker_t *worker)
{
    do {
        long place = bare(SYS_mmap, 0, (long) PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        bare_munmap((void *) place, PAGE);
        worker->done++;
    } while (!atomic_load_explicit(&workers_stop, memory_order_relaxed));
}

static void *worker_main(void *arg)
{
    worker_t *worker = arg;
    worker->was_pinned = pin_to_cpu(worker->cpu);
    hit(worker->base, worker->stream, worker->from, worker->warm_up, scene->size);
    pthread_barrier_wait(&workers_ready);
    double start = now_ns();
    worker->loop(worker);
    worker->ns = now_ns() - start;
    return NULL;
}

static void start_workers(worker_t *workers, unsigned count)
{
    pthread_barrier_init(&workers_ready, NULL, count + 1);
    atomic_store(&workers_stop, false);
    for (unsigned i = 0; i < count; i++) {
        workers[i].done = 0;
        workers[i].from = workers[i].stream.mask / 2 * i;
        workers[i].warm_up = workers[i].stream.places != NULL ? warm_up_for(workers[i].stream) : 0;
        if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) != 0) {
            fail("no thread can be started");
        }
    }
    pthread_barrier_wait(&workers_ready);
}

static void stop_workers(worker_t *workers, unsigned count)
{
    atomic_store(&workers_stop, true);
    for (unsigned i = 0; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    pthread_barrier_destroy(&workers_ready);
}

static void run_workers(worker_t *workers, unsigned count)
{
    const struct timespec window = { 0, (is_quick ? QUICK_WINDOW_MS : WINDOW_MS) * 1000000L };
    start_workers(workers, count);
    nanosleep(&window, NULL);
    stop_workers(workers, count);
}

static bool has_two_cpus(void)
{
    worker_t worker = { .cpu = 1, .loop = release_bare_until_stopped };
    run_workers(&worker, 1);
    return worker.was_pinned;
}

static double ns_a_step(const worker_t *worker)
{
    return worker->ns / (double) worker->done;
}

/* Every hit of the workers, that of their first pass, too. */
static size_t hits_of(const worker_t *workers, unsigned count)
{
    size_t hits = 0;
    for (unsigned i = 0; i < count; i++) {
        hits += workers[i].stream.places != NULL ? workers[i].done + workers[i].warm_up : 0;
    }
    return hits;
}

/* ---- Two threads that hit ---------------------------------------------------------------------- */

static void measure_two(stream_t stream, const char *one_name, const char *two_name, const char *gain_name)
{
    double one[REPEATS_MAX], two[REPEATS_MAX], gain[REPEATS_MAX];
    worker_t workers[2] = { { .cpu = 0, .loop = hit_until_stopped, .base = arena, .stream = stream },
                            { .cpu = 1, .loop = hit_until_stopped, .base = arena, .stream = stream } };
    size_t count = repeats(3), hits = 0;
    side_counts_t before = side_counts();
    for (size_t i = 0; i < count; i++) {
        run_workers(workers, 1);
        hits += hits_of(workers, 1);
        one[i] = ns_a_step(&workers[0]);
        run_workers(workers, 2);
        hits += hits_of(workers, 2);
        two[i] = (ns_a_step(&workers[0]) + ns_a_step(&workers[1])) / 2;
        gain[i] = one[i] / ns_a_step(&workers[0]) + one[i] / ns_a_step(&workers[1]);
    }
    if (!were_hits(before, hits)) {
        return;
    }
    emit(one_name, scene, median(one, count));
    emit(two_name, scene, median(two, count));
    emit(gain_name, scene, median(gain, count));
}

static void run_threads(void)
{
    if (has_two_cpus()) {
        measure_two(same_region(), "one_same", "two_same", "gain_same");
        measure_two(random_regions(), "one_random", "two_random", "gain_random");
    }
}

/* ---- Hits while another thread releases -------------------------------------------------------- */

static bool disturbed_hit(stream_t stream, void (*loop)(worker_t *worker), double *result)
{
    worker_t workers[2] = { { .cpu = 0, .loop = hit_until_stopped, .base = arena, .stream = stream },
                            { .cpu = 1, .loop = loop } };
    unsigned count = loop != NULL ? 2 : 1;
    side_counts_t before = side_counts();
    run_workers(workers, count);
    *result = ns_a_step(&workers[0]);
    return were_hits(before, hits_of(workers, count));
}

static void run_disturbed(void)
{
    double quiet[REPEATS_MAX], disturbed[REPEATS_MAX], by_bare[REPEATS_MAX];
    stream_t stream = random_regions();
    size_t count = repeats(5);
    if (!has_two_cpus()) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (!disturbed_hit(stream, NULL, &quiet[i]) || !disturbed_hit(stream, release_until_stopped, &disturbed[i])
            || !disturbed_hit(stream, release_bare_until_stopped, &by_bare[i])) {
            return;
        }
    }
    emit("quiet", scene, median(quiet, count));
    emit("disturbed", scene, median(disturbed, count));
    emit("disturbed_bare", scene, median(by_bare, count));
}

/* ---- Releases while another thread hits -------------------------------------------------------- */

static void run_unrelated(void)
{
    worker_t other = { .cpu = 1, .loop = hit_until_stopped, .base = arena, .stream = random_regions() };
    measure_unrelated("unrelated", hole);
    measure_unrelated("near", near_hole);
    if (has_two_cpus()) {
        pin_to_cpu(0);
        start_workers(&other, 1);
        measure_unrelated("unrelated_two", hole);
        stop_workers(&other, 1);
    }
}

/* The other thread's region is not among those that are released. */
static void run_range(void)
{
    char *apart = spare();
    worker_t other = { .cpu = 1, .loop = hit_until_stopped, .base = apart, .stream = same_region() };
    get_and_put(apart, scene->size);
    measure_range("range", "range_all");
    if (has_two_cpus()) {
        pin_to_cpu(0);
        start_workers(&other, 1);
        measure_range("range_two", "range_two_all");
        stop_workers(&other, 1);
    }
}

/* ---- Memory ------------------------------------------------------------------------------------ */

static void hit_each_once(worker_t *worker)
{
    for (; worker->done < scene->regions; worker->done++) {
        get_and_put(arena + worker->done * scene->size, scene->size);
    }
}

/* A region's share of the cache, and how much more once another thread has used it, too. */
static void run_memory(void)
{
    worker_t other = { .cpu = 0, .loop = hit_each_once };
    emit("memory", scene, (double) filled_bytes / (double) scene->regions);
    side_counts_t counts_before = side_counts();
    size_t before = resident_bytes();
    start_workers(&other, 1);
    stop_workers(&other, 1);
    size_t after = resident_bytes();
    if (were_hits(counts_before, scene->regions)) {
        emit("memory_thread", scene, (double) (after > before ? after - before : 0) / (double) scene->regions);
    }
}
