/* SPDX-License-Identifier: BSD-3-Clause */
/* The messages of one sender, generated or cut from files. A file is read with
 * pread by sender and receiver alike, each through a descriptor of its own. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/msg/msg_feed.h"
#include "tools/msg/msg_payload.h"

static bool file_open(msg_file_t *file, const char *path)
{
    struct stat status;

    file->path = path;
    /* O_NONBLOCK: a FIFO without a writer is to be refused, not waited for. */
    file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (file->fd < 0 || fstat(file->fd, &status) != 0) {
        msg_error("cannot read the file \"%s\": %s", path, strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        msg_error("cannot send \"%s\": it is %s, not a regular file", path,
                  S_ISDIR(status.st_mode) ? "a directory" : "a device, pipe or socket");
    } else {
        file->size = (uint64_t) status.st_size;
        return true;
    }
    if (file->fd >= 0) {
        close(file->fd);
    }
    return false;
}

bool msg_files_open(msg_file_t *files, char *const *paths, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!file_open(&files[i], paths[i])) {
            msg_files_close(files, i);
            return false;
        }
    }
    return true;
}

void msg_files_close(msg_file_t *files, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        close(files[i].fd);
    }
}

void msg_feed_init(msg_feed_t *feed, const msg_options_t *options, const msg_file_t *files, uint32_t sender,
                   uint32_t links)
{
    *feed = (msg_feed_t){ .options = options, .files = files, .sender = sender };
    feed->quota = options->messages / links + (sender < options->messages % links);
}

/* Choose the file that the next message comes from. False: all are sent, often enough. */
static bool feed_enter_file(msg_feed_t *feed)
{
    if (feed->file_begun && feed->next_offset < feed->files[feed->file].size) {
        return true;
    }
    if (feed->file_begun) {
        feed->file++;
    }
    if (feed->file == feed->options->file_count) {
        if (feed->next >= feed->quota) {
            return false;
        }
        feed->file = 0;
    }
    feed->next_offset = 0;
    feed->file_begun = true;
    return true;
}

static bool feed_next_of_file(msg_feed_t *feed)
{
    uint64_t rest;

    if (!feed_enter_file(feed)) {
        return false;
    }
    rest = feed->files[feed->file].size - feed->next_offset;
    feed->length = msg_payload_size(feed->options, feed->sender, feed->next);
    feed->length = feed->length < rest ? feed->length : (size_t) rest;
    feed->offset = feed->next_offset;
    feed->next_offset += feed->length;
    return true;
}

bool msg_feed_next(msg_feed_t *feed)
{
    if (feed->options->file_count > 0) {
        if (!feed_next_of_file(feed)) {
            return false;
        }
    } else if (feed->next == feed->quota) {
        return false;
    } else {
        feed->length = msg_payload_size(feed->options, feed->sender, feed->next);
    }
    feed->message = feed->next++;
    return true;
}

static bool file_read(const msg_file_t *file, unsigned char *buffer, size_t length, uint64_t offset)
{
    while (length > 0) {
        ssize_t got = pread(file->fd, buffer, length, (off_t) offset);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            msg_error("reading the file \"%s\" at byte %llu failed: %s", file->path, (unsigned long long) offset,
                      got == 0 ? "it has become shorter" : strerror(errno));
            return false;
        }
        buffer += got;
        length -= (size_t) got;
        offset += (uint64_t) got;
    }
    return true;
}

static uint64_t feed_key(const msg_feed_t *feed)
{
    return msg_payload_key(feed->options->seed, feed->sender, feed->message);
}

bool msg_feed_fill(const msg_feed_t *feed, unsigned char *buffer)
{
    if (feed->options->file_count > 0) {
        return file_read(&feed->files[feed->file], buffer, feed->length, feed->offset);
    }
    msg_payload_fill(feed_key(feed), buffer, feed->length);
    return true;
}

static bool file_wrong(const msg_feed_t *feed, const unsigned char *buffer, uint64_t *wrong)
{
    static unsigned char truth[64 << 10];
    uint64_t count = 0;

    for (size_t done = 0; done < feed->length; done += sizeof(truth)) {
        size_t rest = feed->length - done;
        size_t length = rest < sizeof(truth) ? rest : sizeof(truth);

        if (!file_read(&feed->files[feed->file], truth, length, feed->offset + done)) {
            return false;
        }
        count += msg_payload_differing(buffer + done, truth, length);
    }
    *wrong = count;
    return true;
}

bool msg_feed_wrong(const msg_feed_t *feed, const unsigned char *buffer, uint64_t *wrong)
{
    if (feed->options->file_count > 0) {
        return file_wrong(feed, buffer, wrong);
    }
    *wrong = msg_payload_wrong(feed_key(feed), buffer, feed->length);
    return true;
}

uint64_t msg_feed_total(const msg_options_t *options, const msg_file_t *files, uint32_t links)
{
    uint64_t total = 0;

    if (options->file_count == 0) {
        return options->messages;
    }
    for (uint32_t sender = 0; sender < links; sender++) {
        msg_feed_t feed;

        msg_feed_init(&feed, options, files, sender, links);
        while (msg_feed_next(&feed)) {
        }
        total += feed.next;
    }
    return total;
}
