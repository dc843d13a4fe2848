/* SPDX-License-Identifier: BSD-3-Clause */
/* The launcher. Each peer is this program, executed anew, so that it starts
 * with nothing of the launcher's but three descriptors. The first peer that
 * fails says why; the launcher then stops the others, and speaks only where a
 * peer could not. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/msg/msg_channel.h"
#include "tools/msg/msg_control.h"
#include "tools/msg/msg_launch.h"
#include "tools/msg/msg_worker.h"

#define PROGRESS_MS 200
#define PATIENCE_NS 500000000u /* How long a stopped peer has before it is killed. */

static sigset_t inherited_mask;
static int signals = -1; /* signalfd */

typedef struct child_t {
    pid_t pid;               /* 0: not running. */
    int read_end, write_end; /* -1: none. */
} child_t;

typedef struct launch_t {
    const msg_command_t *command;
    msg_control_t *control;
    int control_fd;
    child_t *children;
    uint32_t running;
    int status;
    bool said;        /* The cause of a failure has been told. */
    bool killed;      /* The launcher itself has killed peers. */
    uint64_t stop_ns; /* When it told them to stop; 0: it has not. */
    uint64_t begin_ns, total;
    bool progress;
} launch_t;

uint32_t msg_links(const msg_options_t *options)
{
    return options->file_count > 0 ? options->peers - 1 : options->peers;
}

bool msg_launch_prepare(void)
{
    static const int fatal[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
        struct sigaction action;

        /* Who starts us with a signal ignored (nohup) wants it to stay so. */
        if (sigaction(fatal[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN) {
            sigaddset(&set, fatal[i]);
        }
    }
    signal(SIGCHLD, SIG_DFL);
    if (sigprocmask(SIG_BLOCK, &set, &inherited_mask) == 0) {
        signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    }
    if (signals < 0) {
        msg_error("cannot watch signals: %s", strerror(errno));
    }
    return signals >= 0;
}

/* ---- Starting a peer ------------------------------------------------------------------------- */

/* Variables that decide about the mode no-hooks; the user's settings of them do not count there. */
static const msg_setting_t no_hooks[] = { { "memory", "noop" }, { "rcache_base_unsafe", "1" } };

static bool is_overridden(msg_mode_t mode, const char *name)
{
    return mode == MSG_MODE_NO_HOOKS
           && (strcmp(name, no_hooks[0].name) == 0 || strcmp(name, no_hooks[1].name) == 0);
}

static size_t add_setting(const char **arguments, const msg_setting_t *setting)
{
    arguments[0] = "--mca";
    arguments[1] = setting->name;
    arguments[2] = setting->value;
    return 3;
}

/* Arguments of a peer's process. @return From malloc; NULL: no memory. */
static const char **make_arguments(const launch_t *launch, const char *where)
{
    const msg_command_t *command = launch->command;
    msg_mode_t mode = launch->control->mode;
    size_t most = 8 + 3 * (command->setting_count + 2) + command->options.file_count;
    const char **arguments = calloc(most, sizeof(*arguments));
    size_t count = 0;

    if (arguments == NULL) {
        return NULL;
    }
    arguments[count++] = command->program;
    arguments[count++] = MSG_WORKER_OPTION;
    arguments[count++] = where;
    for (size_t i = 0; i < command->setting_count; i++) {
        if (!is_overridden(mode, command->settings[i].name)) {
            count += add_setting(arguments + count, &command->settings[i]);
        }
    }
    for (size_t i = 0; mode == MSG_MODE_NO_HOOKS && i < 2; i++) {
        count += add_setting(arguments + count, &no_hooks[i]);
    }
    arguments[count++] = "--";
    memcpy(arguments + count, command->files, command->options.file_count * sizeof(*arguments));
    return arguments;
}

static void inherit(int fd)
{
    if (fd >= 0) {
        fcntl(fd, F_SETFD, 0);
    }
}

/* In the new process. Signals from the terminal reach the launcher too, which decides. */
static void __attribute__((noreturn))
become_peer(const launch_t *launch, uint32_t rank, const char **arguments, pid_t launcher)
{
    const child_t *child = &launch->children[rank];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != launcher) {
        _exit(MSG_EXIT_STOPPED);
    }
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_SETMASK, &inherited_mask, NULL);
    inherit(launch->control_fd);
    inherit(child->read_end);
    inherit(child->write_end);
    execv("/proc/self/exe", (char *const *) arguments);
    msg_error("peer %u cannot be executed: %s", rank, strerror(errno));
    _exit(MSG_EXIT_FAILED);
}

static bool start_peer(launch_t *launch, uint32_t rank)
{
    child_t *child = &launch->children[rank];
    const char **arguments;
    char where[64];
    pid_t launcher = getpid();
    pid_t pid = -1;

    snprintf(where, sizeof(where), "%d,%u,%d,%d", launch->control_fd, rank, child->write_end, child->read_end);
    arguments = make_arguments(launch, where);
    if (arguments != NULL) {
        pid = fork();
    }
    if (pid == 0) {
        become_peer(launch, rank, arguments, launcher);
    }
    free(arguments);
    if (pid < 0) {
        msg_error("cannot start peer %u: %s", rank, strerror(errno));
        return false;
    }
    child->pid = pid;
    launch->running++;
    return true;
}

static void close_end(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

/* Afterwards only the peers hold them, and a peer that is gone shows as a broken pipe. */
static void close_pipes(launch_t *launch)
{
    for (uint32_t i = 0; i < launch->control->options.peers; i++) {
        close_end(&launch->children[i].read_end);
        close_end(&launch->children[i].write_end);
    }
}

static bool make_pipes(launch_t *launch)
{
    msg_control_t *control = launch->control;
    uint32_t peers = control->options.peers;

    for (uint32_t i = 0; i < peers; i++) {
        launch->children[i].read_end = launch->children[i].write_end = -1;
    }
    for (uint32_t i = 0; i < control->links; i++) {
        int ends[2];

        if (!msg_channel_make_pipe(&control->peers[i].ring, ends)) {
            return false;
        }
        launch->children[i].write_end = ends[1];
        launch->children[i + 1 < peers ? i + 1 : 0].read_end = ends[0];
    }
    return true;
}

static bool start_peers(launch_t *launch)
{
    bool started = make_pipes(launch);

    for (uint32_t rank = 0; started && rank < launch->control->options.peers; rank++) {
        started = start_peer(launch, rank);
    }
    close_pipes(launch);
    return started;
}

/* ---- Watching -------------------------------------------------------------------------------- */

static void stop(launch_t *launch, int status)
{
    if (launch->status == MSG_EXIT_OK) {
        launch->status = status;
    }
    if (launch->stop_ns == 0) {
        launch->stop_ns = msg_now_ns();
        msg_control_stop(launch->control);
    }
}

/* A peer that was told to stop, or met a broken pipe, is not the cause: the one that is comes here too. */
static void note_end(launch_t *launch, uint32_t rank, pid_t pid, int wait_status)
{
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == MSG_EXIT_OK) {
        return;
    }
    if (WIFSIGNALED(wait_status) && !launch->killed && !launch->said && launch->status < 128) {
        int signal_number = WTERMSIG(wait_status);

        msg_error("peer %u (pid %d) was killed by signal %d (%s); the other peers are stopped", rank, (int) pid,
                  signal_number, strsignal(signal_number));
        launch->said = true;
    } else if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == MSG_EXIT_FAILED) {
        /* It has said why, or the one that failed before has; but exec may have failed without a word. */
        launch->said = launch->said || atomic_load(&launch->control->failed) != 0;
    }
    stop(launch, MSG_EXIT_FAILED);
}

static void reap(launch_t *launch)
{
    for (uint32_t rank = 0; rank < launch->control->options.peers; rank++) {
        child_t *child = &launch->children[rank];
        int wait_status;

        if (child->pid > 0 && waitpid(child->pid, &wait_status, WNOHANG) == child->pid) {
            pid_t pid = child->pid;

            child->pid = 0;
            launch->running--;
            note_end(launch, rank, pid, wait_status);
        }
    }
}

static void kill_peers(launch_t *launch)
{
    launch->killed = true;
    for (uint32_t rank = 0; rank < launch->control->options.peers; rank++) {
        if (launch->children[rank].pid > 0) {
            kill(launch->children[rank].pid, SIGKILL);
        }
    }
}

static void read_signals(launch_t *launch)
{
    struct signalfd_siginfo info;

    while (read(signals, &info, sizeof(info)) == (ssize_t) sizeof(info)) {
        if (info.ssi_signo != SIGCHLD) {
            stop(launch, 128 + (int) info.ssi_signo);
        }
    }
    reap(launch);
}

static void show_progress(const launch_t *launch)
{
    uint64_t done = 0;
    double seconds = (double) (msg_now_ns() - launch->begin_ns) / 1e9;

    if (!launch->progress || launch->stop_ns != 0) {
        return;
    }
    for (uint32_t i = 0; i < launch->control->options.peers; i++) {
        done += atomic_load_explicit(&launch->control->peers[i].done, memory_order_relaxed);
    }
    fprintf(stderr, "\r\033[Kopalmem-msg: %s: %llu of %llu messages, %.0f/s", msg_mode_name(launch->control->mode),
            (unsigned long long) done, (unsigned long long) launch->total, (double) done / seconds);
    fflush(stderr);
}

static void watch(launch_t *launch)
{
    struct pollfd pollfd = { .fd = signals, .events = POLLIN };

    launch->begin_ns = msg_now_ns();
    while (launch->running > 0) {
        poll(&pollfd, 1, launch->stop_ns != 0 || launch->progress ? PROGRESS_MS : -1);
        read_signals(launch);
        show_progress(launch);
        if (launch->stop_ns != 0 && !launch->killed && msg_now_ns() - launch->stop_ns > PATIENCE_NS) {
            kill_peers(launch);
        }
    }
    if (launch->progress) {
        fprintf(stderr, "\r\033[K");
    }
}

/* ---- Figures --------------------------------------------------------------------------------- */

static void add_stats(mca_rcache_base_stats_t *sum, const mca_rcache_base_stats_t *stats)
{
    sum->hits += stats->hits;
    sum->misses += stats->misses;
    sum->registrations += stats->registrations;
    sum->deregistrations += stats->deregistrations;
    sum->evictions += stats->evictions;
    for (int cause = 0; cause < OPAL_MEM_HOOKS_CAUSE_COUNT; cause++) {
        sum->invalidations[cause] += stats->invalidations[cause];
    }
    sum->invalidated_in_use += stats->invalidated_in_use;
    sum->unpinned_in_hook += stats->unpinned_in_hook;
    sum->retries += stats->retries;
    sum->queue_overflows += stats->queue_overflows;
    sum->count += stats->count;
    sum->peak_count += stats->peak_count;
    sum->bytes += stats->bytes;
    sum->peak_bytes += stats->peak_bytes;
}

static void add_figures(msg_figures_t *sum, const msg_figures_t *figures)
{
    sum->messages += figures->messages;
    sum->bytes += figures->bytes;
    sum->wrong_messages += figures->wrong_messages;
    sum->wrong_bytes += figures->wrong_bytes;
    sum->failed_transfers += figures->failed_transfers;
    sum->transfer_ns += figures->transfer_ns;
    sum->source_ns += figures->source_ns;
    sum->register_ns += figures->register_ns;
    sum->register_samples += figures->register_samples;
    sum->process_pinned += figures->process_pinned;
    if (figures->elapsed_ns > sum->elapsed_ns) {
        sum->elapsed_ns = figures->elapsed_ns;
    }
    for (size_t i = 0; i < MSG_HISTOGRAM_SIZE; i++) {
        sum->histogram[i] += figures->histogram[i];
    }
    add_stats(&sum->stats, &figures->stats);
}

static uint64_t median_of(const msg_figures_t *figures)
{
    uint64_t below = 0;

    for (size_t step = 0; step < MSG_HISTOGRAM_SIZE; step++) {
        below += figures->histogram[step];
        if (below * 2 > figures->messages) {
            return msg_histogram_time(step);
        }
    }
    return 0;
}

static void gather(const msg_control_t *control, msg_column_t *column)
{
    *column = (msg_column_t){ .mode = control->mode };
    for (uint32_t i = 0; i < control->options.peers; i++) {
        add_figures(&column->total, &control->peers[i].figures);
    }
    /* Alike in all peers. */
    column->total.support = control->peers[0].figures.support;
    column->total.caching = control->peers[0].figures.caching;
    memcpy(column->total.components, control->peers[0].figures.components, sizeof(column->total.components));
    column->median_ns = median_of(&column->total);
}

/* ---- A run ----------------------------------------------------------------------------------- */

static void run_peers(launch_t *launch)
{
    if (!start_peers(launch)) {
        launch->said = true;
        stop(launch, MSG_EXIT_FAILED);
        kill_peers(launch);
    }
    watch(launch);
    if (launch->status == MSG_EXIT_FAILED && !launch->said) {
        msg_error("a peer ended before its work was done, and did not say why");
    }
}

int msg_launch(const msg_command_t *command, const msg_plan_t *plan, msg_mode_t mode, uint64_t total,
               msg_column_t *column)
{
    launch_t launch = { .command = command, .total = total, .progress = isatty(STDERR_FILENO) != 0 };

    launch.children = calloc(command->options.peers, sizeof(*launch.children));
    launch.control =
        launch.children != NULL ? msg_control_create(command->options.peers, &launch.control_fd) : NULL;
    if (launch.control == NULL) {
        free(launch.children);
        return MSG_EXIT_FAILED;
    }
    launch.control->mode = mode;
    launch.control->options = command->options;
    launch.control->plan = *plan;
    launch.control->links = msg_links(&command->options);
    run_peers(&launch);
    if (launch.status == MSG_EXIT_OK) {
        gather(launch.control, column);
    }
    close(launch.control_fd);
    msg_control_detach(launch.control);
    free(launch.children);
    return launch.status;
}
