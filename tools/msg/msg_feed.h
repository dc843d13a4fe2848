/* SPDX-License-Identifier: BSD-3-Clause */
/* What a sender sends: its messages one after another, generated or cut from
 * files. Sender and receiver each walk a feed of their own over the same
 * options and files; nothing about the contents passes between them. */
#ifndef TOOLS_MSG_MSG_FEED_H
#define TOOLS_MSG_MSG_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/msg/msg.h"

/** A file that is sent. */
typedef struct msg_file_t {
    const char *path; /**< The caller's. */
    int fd;
    uint64_t size; /**< When it was opened. */
} msg_file_t;

/** Open the files and see that they are regular and readable.
 *
 * @param[out] files  count entries of the caller's; to be given to msg_files_close().
 * @return False after a message that names the file; nothing is left open.
 */
bool msg_files_open(msg_file_t *files, char *const *paths, size_t count);

void msg_files_close(msg_file_t *files, size_t count);

/** One sender's messages. Fields are the feed's own but for those marked. */
typedef struct msg_feed_t {
    const msg_options_t *options;
    const msg_file_t *files;
    uint32_t sender;
    uint64_t quota;
    uint64_t next;    /**< Number of the next message. */
    uint64_t message; /**< Present message; read by users. */
    size_t length;    /**< Its bytes; read by users. 0 only where a file is empty. */
    uint32_t file;
    uint64_t offset;      /**< Where the present message begins in the file. */
    uint64_t next_offset; /**< Where the next one does. */
    bool file_begun;
} msg_feed_t;

/** Start at the first message. options and files must outlive the feed.
 * @param[in] links  Number of senders, which share options->messages. */
void msg_feed_init(msg_feed_t *feed, const msg_options_t *options, const msg_file_t *files, uint32_t sender,
                   uint32_t links);

/** Go to the next message. @return False: that was the last. */
bool msg_feed_next(msg_feed_t *feed);

/** Write the present message into buffer. @return False after a message: a file could not be read. */
bool msg_feed_fill(const msg_feed_t *feed, unsigned char *buffer);

/** Count the bytes of buffer that are not those of the present message.
 * @return False after a message: a file could not be read, *wrong is not set. */
bool msg_feed_wrong(const msg_feed_t *feed, const unsigned char *buffer, uint64_t *wrong);

/** How many messages all senders together send. */
uint64_t msg_feed_total(const msg_options_t *options, const msg_file_t *files, uint32_t links);

#endif
