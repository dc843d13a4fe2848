/* SPDX-License-Identifier: BSD-3-Clause */
/* Generated messages: sizes and contents that sender and receiver both compute
 * from seed, sender and message number, so that the receiver knows every byte
 * without having been told. */
#ifndef TOOLS_MSG_MSG_PAYLOAD_H
#define TOOLS_MSG_MSG_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "tools/msg/msg.h"

/** What a receiver's buffer holds before a message, so that what does not arrive shows. */
#define MSG_PAYLOAD_POISON 0xA5

/** Identity of a message's contents. */
uint64_t msg_payload_key(uint64_t seed, uint32_t sender, uint64_t message);

/** Size of a message: between size_min and size_max, each octave as likely as any other. */
size_t msg_payload_size(const msg_options_t *options, uint32_t sender, uint64_t message);

/** Write the contents of the message with this key: length bytes. */
void msg_payload_fill(uint64_t key, unsigned char *buffer, size_t length);

/** Count the bytes of buffer that differ from the message with this key. */
uint64_t msg_payload_wrong(uint64_t key, const unsigned char *buffer, size_t length);

/** Count the bytes that differ between two buffers. */
uint64_t msg_payload_differing(const unsigned char *a, const unsigned char *b, size_t length);

#endif
