/* SPDX-License-Identifier: BSD-3-Clause */
/* Who could have written what is at a path? Asked of everything that decides
 * which code runs in this process: parameter files, directories of components,
 * and the components themselves. */
#ifndef FRAMEWORK_BASE_MCA_BASE_PATH_H
#define FRAMEWORK_BASE_MCA_BASE_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/** Can nobody but root, this user, and the owner of this library change a file or directory?
 *
 * Looks at its owner and mode only; for what has been opened, with fstat(2).
 * @param[out] cause  On false, why not; cut to fit.
 */
bool mca_base_status_is_safe(const struct stat *status, char *cause, size_t size);

/** Likewise for what is at a path, and can nobody else put another one in its place?
 *
 * Follows symbolic links, and looks at each directory above them and above what they lead to: one that everybody may
 * write to must have the sticky bit, and there a link of another user is not followed.
 * @param[out] cause  On false, why not, also if there is nothing at the path; cut to fit.
 * @return On false errno tells the system's error, or is 0: it is there, but not safe. Thread-safe.
 */
bool mca_base_path_is_safe(const char *path, char *cause, size_t size);

#endif
