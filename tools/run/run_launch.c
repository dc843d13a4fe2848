/* SPDX-License-Identifier: BSD-3-Clause */
/* The program's life. It is the only child, in the same process group: what the terminal sends, it gets itself. What
 * others send to opalmem-run is passed on. When the program stops, opalmem-run stops, and goes on with it, so that a
 * shell sees one job. All signals that are passed on are blocked here and taken one by one. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "opal/mca/base/cmd_line.h"
#include "tools/run/run.h"

#ifndef OPALMEM_COMPONENTDIR
#define OPALMEM_COMPONENTDIR ""
#endif
#define PRELOAD_NAME "opalmem_run_preload.so"

/* ---- The environment ------------------------------------------------------------------------------ */

/* Seen from this program: in the build tree, or installed, perhaps moved. */
static const char *const beside[] = { "", ".libs/", "../lib/opalmem/run/", NULL };

static bool find_preload(char *path, size_t size)
{
    char self[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (length > 0) {
        self[length] = '\0';
        strrchr(self, '/')[1] = '\0';
        for (int i = 0; beside[i] != NULL; i++) {
            if ((size_t) snprintf(path, size, "%s%s" PRELOAD_NAME, self, beside[i]) < size
                && access(path, R_OK) == 0) {
                return true;
            }
        }
    }
    return (size_t) snprintf(path, size, "%s/run/" PRELOAD_NAME, OPALMEM_COMPONENTDIR) < size
           && access(path, R_OK) == 0;
}

/* ld.so takes the list apart at colons and blanks. */
static bool set_preload(void)
{
    char path[PATH_MAX];
    const char *others = getenv("LD_PRELOAD");
    char *list = NULL;
    bool is_set;

    if (!find_preload(path, sizeof(path))) {
        fputs(RUN_PROGRAM ": " PRELOAD_NAME " was not found beside this program, nor in " OPALMEM_COMPONENTDIR
                          "/run\n",
              stderr);
        return false;
    }
    if (strpbrk(path, ": ") != NULL) {
        fprintf(stderr, RUN_PROGRAM ": %s: ld.so takes no path with colons or blanks in LD_PRELOAD\n", path);
        return false;
    }
    is_set = asprintf(&list, "%s%s%s", path, others == NULL ? "" : ":", others == NULL ? "" : others) >= 0
             && setenv("LD_PRELOAD", list, 1) == 0;
    free(list);
    return is_set;
}

static bool set_page(int fd)
{
    char text[128];
    struct stat status;

    if (fstat(fd, &status) != 0) {
        return false;
    }
    snprintf(text, sizeof(text), "%d:%d:%lu:%lu", fd, (int) getpid(), (unsigned long) status.st_dev,
             (unsigned long) status.st_ino);
    return setenv(RUN_PAGE_VARIABLE, text, 1) == 0;
}

/* ---- The child ------------------------------------------------------------------------------------ */

/* What opalmem-run has changed and the program must not see. */
typedef struct inherited_t {
    sigset_t mask;
    struct sigaction child;
} inherited_t;

__attribute__((noreturn)) static void become(char **program, char **environment, const inherited_t *inherited,
                                             run_page_t *page)
{
    int rc;

    atomic_store(&page->main_pid, getpid());
    sigaction(SIGCHLD, &inherited->child, NULL);
    sigprocmask(SIG_SETMASK, &inherited->mask, NULL);
    execvpe(program[0], program, environment);
    rc = errno == ENOENT ? RUN_EXIT_NOT_FOUND : RUN_EXIT_CANNOT;
    fprintf(stderr, RUN_PROGRAM ": %s: %s\n", program[0], strerror(errno));
    atomic_store(&page->exec_failed, rc);
    _exit(rc);
}

/* ---- Signals -------------------------------------------------------------------------------------- */

/* SIGTSTP, too: opalmem-run stops when the program has stopped. */
static const int passed_on[] = { SIGHUP,    SIGINT,  SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1,  SIGUSR2, SIGALRM,
                                 SIGVTALRM, SIGPROF, SIGIO,   SIGPWR,  SIGURG,  SIGWINCH, SIGPIPE };

static void take_signals(inherited_t *inherited, sigset_t *set)
{
    const struct sigaction usual = { .sa_handler = SIG_DFL };

    sigemptyset(set);
    sigaddset(set, SIGCHLD);
    for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++) {
        sigaddset(set, passed_on[i]);
    }
    sigaction(SIGCHLD, &usual, &inherited->child); /* Ignored, it would leave nothing to wait for. */
    sigprocmask(SIG_BLOCK, set, &inherited->mask);
}

/* What the terminal has sent, or the program itself to its group, has reached it. */
static void pass_on(const siginfo_t *info, pid_t child)
{
    if (info->si_code <= 0 && info->si_pid != child) {
        kill(child, info->si_signo);
    }
}

static void stop_with(pid_t child)
{
    raise(SIGSTOP);
    kill(child, SIGCONT);
}

/* @return Whether it has ended. */
static bool look_after(pid_t child, int *status)
{
    pid_t found;

    while ((found = waitpid(child, status, WNOHANG | WUNTRACED)) == child) {
        if (!WIFSTOPPED(*status)) {
            return true;
        }
        stop_with(child);
    }
    return found < 0 && errno == ECHILD;
}

static int wait_for(pid_t child, const sigset_t *set)
{
    siginfo_t info;
    int status = 0;

    while (!look_after(child, &status)) {
        if (sigwaitinfo(set, &info) > 0 && info.si_signo != SIGCHLD) {
            pass_on(&info, child);
        }
    }
    return status;
}

/* ---- All of it ------------------------------------------------------------------------------------ */

run_end_t run_launch(const run_options_t *options, run_page_t *page, int page_fd)
{
    inherited_t inherited;
    char **environment;
    sigset_t set;
    pid_t child;

    if (!set_preload() || !set_page(page_fd) || mca_base_cmd_line_environ(NULL, &environment) != OPAL_SUCCESS) {
        return (run_end_t){ RUN_EXIT_FAILED, 0 };
    }
    take_signals(&inherited, &set);
    child = fork();
    if (child == 0) {
        become(options->program, environment, &inherited, page);
    }
    free(environment);
    if (child < 0) {
        fprintf(stderr, RUN_PROGRAM ": fork: %s\n", strerror(errno));
        return (run_end_t){ RUN_EXIT_FAILED, 0 };
    }
    const int status = wait_for(child, &set);
    return (run_end_t){ atomic_load(&page->exec_failed), status };
}
