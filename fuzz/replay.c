/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs a fuzz target over its corpus, without a fuzzer: what was found once must
 * stay mended. `replay_NAME [FOLDER]`; the folder is $top_srcdir/fuzz/corpus/NAME. */
#include <dirent.h>
#include <sys/stat.h>

#include "fuzz/fuzz.h"

/* @return Has it been tried? */
static bool try_file(const char *path)
{
    struct stat status;
    FILE *stream = fopen(path, "re");
    if (stream == NULL || fstat(fileno(stream), &status) != 0) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    size_t size = S_ISREG(status.st_mode) ? (size_t) status.st_size : 0;
    uint8_t *data = malloc(size + 1);
    if (data == NULL || fread(data, 1, size, stream) != size) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    fclose(stream);
    if (S_ISREG(status.st_mode)) {
        LLVMFuzzerTestOneInput(data, size);
    }
    free(data);
    return S_ISREG(status.st_mode);
}

int main(int argc, char **argv)
{
    char folder[4096], path[8192];
    const char *top = getenv("top_srcdir");
    unsigned count = 0;
    snprintf(folder, sizeof folder, "%s/fuzz/corpus/" FUZZ_TARGET, top != NULL ? top : ".");
    const char *name = argc > 1 ? argv[1] : folder;
    DIR *stream = opendir(name);
    if (stream == NULL) {
        perror(name);
        return EXIT_FAILURE;
    }
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", name, entry->d_name);
        count += entry->d_name[0] != '.' && try_file(path);
    }
    closedir(stream);
    printf("%s: %u file(s)\n", name, count);
    return count == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
