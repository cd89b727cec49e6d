/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of one object: a chain of blocks that all have the same footprint, but for the last one.
 *
 * A store that keeps each body in one piece tears its heap to shreds: the hole that a 900 KiB body leaves does not fit
 * one of 901 KiB. In blocks of one size any hole fits any body, and the process stays as large as what it keeps.
 */
#ifndef STORE_BODY_H
#define STORE_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory.h"

/* How much a body's length is, when the client does not say. */
#define BODY_LENGTH_UNKNOWN UINT64_MAX

struct block {
    struct block *next;
    uint32_t room; /* bytes that fit */
    uint32_t size; /* bytes that are there */
    unsigned char bytes[];
};

struct body {
    struct block *first;
    struct block *last;
    uint64_t size_bytes;
};

/* A place in a body, for reading on. Start with {body->first, 0}. */
struct body_cursor {
    const struct block *block;
    uint32_t offset;
};

/* What a body of this size costs, all blocks with their headers. */
uint64_t body_cost(uint64_t size_bytes);

/* Appends bytes, taking blocks from the ticket. `length_bytes` is what the whole body will have, or
 * BODY_LENGTH_UNKNOWN; it decides how large the last block is.
 *
 * returns  whether all of it is there; if not errno says why, and body_free() is all that can be done
 */
bool body_append(struct body *body, hr_ticket *ticket, uint64_t length_bytes, const char *bytes, size_t size);

/* Gives the unused part of the last block back, for a body whose length was not known. */
void body_trim(struct body *body, hr_ticket *ticket);

/* Copies what comes next, at most `size` bytes. 0 at the end. */
size_t body_read(struct body_cursor *cursor, char *buffer, size_t size);

/* Frees all blocks, and leaves an empty body. */
void body_free(struct body *body);

#endif
