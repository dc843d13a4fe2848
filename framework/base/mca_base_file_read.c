/* SPDX-License-Identifier: BSD-3-Clause */
/* The text of a file, if the file may be used. What the path leads to may be
 * anything: a pipe must not stop the program, a device not be opened. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "framework/base/mca_base_file.h"
#include "framework/base/mca_base_path.h"
#include "opal/constants.h"

static int tell_errno(char *cause, size_t size)
{
    int error = errno;
    snprintf(cause, size, "%s", strerror(error));
    return error == ENOENT || error == ENOTDIR || error == EACCES ? OPAL_ERR_NOT_FOUND : OPAL_ERR_NOT_AVAILABLE;
}

static bool is_plain(const struct stat *status, char *cause, size_t size)
{
    if (S_ISREG(status->st_mode)) {
        return true;
    }
    snprintf(cause, size, "it is %s", S_ISDIR(status->st_mode) ? "a directory" : "not a regular file");
    return false;
}

/* The size that stat tells is not asked: files of /proc say 0, and others may grow. */
static int read_all(int fd, char **text, size_t *length, char *cause, size_t size)
{
    char *block = malloc(MCA_BASE_FILE_MAX + 1);
    size_t used = 0;
    ssize_t got = 1;
    if (block == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    while (got != 0 && used <= MCA_BASE_FILE_MAX) {
        got = read(fd, block + used, MCA_BASE_FILE_MAX + 1 - used);
        if (got < 0 && errno != EINTR) {
            snprintf(cause, size, "%s", strerror(errno));
            free(block);
            return OPAL_ERR_NOT_AVAILABLE;
        }
        used += got > 0 ? (size_t) got : 0;
    }
    if (used > MCA_BASE_FILE_MAX) {
        snprintf(cause, size, "it is larger than %d bytes", MCA_BASE_FILE_MAX);
        free(block);
        return OPAL_ERR_NOT_AVAILABLE;
    }
    *text = block;
    *length = used;
    return OPAL_SUCCESS;
}

/* It is looked at again: it may be another one than a moment ago. */
static int read_opened(int fd, char **text, size_t *length, char *cause, size_t size)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        snprintf(cause, size, "%s", strerror(errno));
        return OPAL_ERR_NOT_AVAILABLE;
    }
    if (!is_plain(&status, cause, size) || !mca_base_status_is_safe(&status, cause, size)) {
        return OPAL_ERR_NOT_AVAILABLE;
    }
    return read_all(fd, text, length, cause, size);
}

int mca_base_file_read(const char *path, char **text, size_t *length, char *cause, size_t size)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        return tell_errno(cause, size);
    }
    if (!is_plain(&status, cause, size) || !mca_base_path_is_safe(path, cause, size)) {
        return OPAL_ERR_NOT_AVAILABLE;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        snprintf(cause, size, "%s", strerror(errno));
        return OPAL_ERR_NOT_AVAILABLE;
    }
    int rc = read_opened(fd, text, length, cause, size);
    close(fd);
    return rc;
}
