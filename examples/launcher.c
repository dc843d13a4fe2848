/* Runs a program several times with MCA settings, as mpirun does:
 *
 *     launcher -n 4 --mca memory linux --tune site.conf ./program its arguments
 *
 * cc launcher.c $(pkg-config --cflags --libs opalmem) */
#include <opal/mca/base/cmd_line.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* Each child finds the settings in its environment, as strong as they are here. */
static int run_all(long count, char **program, char **environment)
{
    int failed = 0, status;
    for (long i = 0; i < count; i++) {
        pid_t child;
        int error = posix_spawnp(&child, program[0], NULL, NULL, program, environment);
        if (error != 0) {
            fprintf(stderr, "launcher: %s: %s\n", program[0], strerror(error));
            failed = 1;
        }
    }
    while (wait(&status) > 0) {
        failed |= status != 0;
    }
    return failed;
}

/* @return Where the program's name is in argv; 0: the arguments cannot be understood. */
static int parse(int argc, char **argv, long *count)
{
    int first = 1;
    *count = 1;
    if (argc > 2 && strcmp(argv[1], "-n") == 0) {
        char *end;
        *count = strtol(argv[2], &end, 10);
        first = *end == '\0' && *count > 0 && *count <= 1024 ? 3 : argc;
    }
    if (first < argc && strcmp(argv[first], "--") == 0) {
        first++; /* Settings behind it are the program's own. */
    }
    return first < argc ? first : 0;
}

int main(int argc, char **argv)
{
    long count;
    char **environment;
    if (mca_base_cmd_line_take(&argc, &argv) != OPAL_SUCCESS) {
        return 2; /* The library has said what is wrong. */
    }
    int first = parse(argc, argv, &count);
    if (first == 0) {
        fprintf(stderr,
                "usage: launcher [-n 1..1024] [--mca NAME VALUE | --tune FILE]... [--] PROGRAM [ARGUMENT]...\n");
        return 2;
    }
    if (mca_base_cmd_line_environ(NULL, &environment) != OPAL_SUCCESS) {
        fprintf(stderr, "launcher: no memory\n");
        return 1;
    }
    int failed = run_all(count, argv + first, environment);
    free(environment);
    mca_base_cmd_line_release();
    return failed;
}
