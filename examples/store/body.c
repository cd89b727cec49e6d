/* SPDX-License-Identifier: Apache-2.0 */
/* Invariant: all blocks but the last are full and have BLOCK_ROOM; the last has at most that, and at least a byte.
 * Locking: none. A body is filled by one thread and does not change once its object is in a table.
 */
#include "body.h"

#include <errno.h>
#include <string.h>

/* On glibc a block with its headers is exactly this large: four pages, small enough that the heap's top can shrink and
 * large enough that headers do not count. */
#define BLOCK_FOOTPRINT 16384
#define BLOCK_ROOM ((uint32_t)(BLOCK_FOOTPRINT - 40 - sizeof(struct block)))

static uint64_t block_cost(uint64_t room)
{
    return memory_footprint(sizeof(struct block) + room);
}

uint64_t body_cost(uint64_t size_bytes)
{
    uint64_t rest = size_bytes % BLOCK_ROOM;
    return size_bytes / BLOCK_ROOM * block_cost(BLOCK_ROOM) + (rest ? block_cost(rest) : 0);
}

static struct block *block_new(hr_ticket *ticket, uint64_t room)
{
    if (room > BLOCK_ROOM)
        room = BLOCK_ROOM;
    struct block *block = memory_take(ticket, sizeof *block + room);
    if (block)
        *block = (struct block){.room = (uint32_t)room};
    return block;
}

bool body_append(struct body *body, hr_ticket *ticket, uint64_t length_bytes, const char *bytes, size_t size)
{
    if (size > length_bytes - body->size_bytes) {
        errno = EFBIG; /* more than was announced */
        return false;
    }
    while (size > 0) {
        struct block *last = body->last;
        if (!last || last->size == last->room) {
            struct block *block = block_new(ticket, length_bytes - body->size_bytes);
            if (!block)
                return false;
            *(last ? &last->next : &body->first) = block;
            body->last = last = block;
        }
        uint32_t part = last->room - last->size;
        if (part > size)
            part = (uint32_t)size;
        memcpy(last->bytes + last->size, bytes, part);
        last->size += part;
        body->size_bytes += part;
        bytes += part;
        size -= part;
    }
    return true;
}

void body_trim(struct body *body, hr_ticket *ticket)
{
    struct block *last = body->last;
    if (!last || last->size == last->room)
        return;
    struct block *block = block_new(ticket, last->size);
    if (!block)
        return; /* it stays as it is: charged, and right */
    block->size = last->size;
    memcpy(block->bytes, last->bytes, last->size);
    struct block **link = &body->first;
    while (*link != last)
        link = &(*link)->next;
    *link = body->last = block;
    memory_give(last);
}

size_t body_read(struct body_cursor *cursor, char *buffer, size_t size)
{
    size_t done = 0;
    while (done < size && cursor->block) {
        uint32_t part = cursor->block->size - cursor->offset;
        if (part > size - done)
            part = (uint32_t)(size - done);
        memcpy(buffer + done, cursor->block->bytes + cursor->offset, part);
        done += part;
        cursor->offset += part;
        if (cursor->offset == cursor->block->size)
            *cursor = (struct body_cursor){.block = cursor->block->next};
    }
    return done;
}

void body_free(struct body *body)
{
    for (struct block *block = body->first, *next; block; block = next) {
        next = block->next;
        memory_give(block);
    }
    *body = (struct body){0};
}
