/* SPDX-License-Identifier: Apache-2.0 */
/* Writes. One ticket holds what the object will cost, or its next step where the client names no length, and all blocks
 * are taken from it. An object is acknowledged only when it is whole and on its shelf; until then, and if it never
 * gets there, the old one under its key stays. Locking: none; all of it runs on the thread that serves.
 */
#include "store.h"

#include <errno.h>
#include <stdlib.h>

/* What is admitted at a time of a body without a length. */
#define STEP_BYTES (4 * BLOCK_ROOM)
/* Told to those for whose block there was no memory: they were admitted, so something else moved in. */
#define RETRY_NS INT64_C(1000000000)

uint64_t upload_verdicts[HR_REFUSED_NO_BUDGET + 1];

/* What an unfinished upload had is to be free, not to wait for another one. */
static void drop(struct upload *upload)
{
    if (!upload->object)
        return;
    object_release(upload->object);
    upload->object = NULL;
    shelf_trim(upload->shelf);
}

/* Drops what there is; the ticket says why. */
static void refuse(struct upload *upload, hr_verdict verdict)
{
    upload_verdicts[verdict]++;
    upload->verdict = verdict;
    drop(upload);
}

/* Refuses for want of a block that was admitted: errno says whose fault it is. */
static void refuse_for_want(struct upload *upload)
{
    static hr_refusal why; /* the name must stay for as long as the ticket: the latest one is true enough */
    bool ours = errno == EDQUOT && hr_budget_refusal(&why) == 0;
    hr_ticket_release(&upload->ticket);
    upload->ticket.limit_name = ours ? why.limit_name : "the machine's memory";
    upload->ticket.left_bytes = ours ? why.left_bytes : 0;
    upload->ticket.retry_after_ns = RETRY_NS;
    refuse(upload, HR_REFUSED_NO_BUDGET);
}

/* What the object would cost with a part of the body for `cost_bytes` more. */
static uint64_t cost_in_all(const struct upload *upload, uint64_t cost_bytes)
{
    const struct object *object = upload->object;
    return cost_bytes + (object ? object_cost(upload->shelf, object->key, object->room_bytes) : 0);
}

/* Admits `cost_bytes` for the next part of the body, in the place of what is left of an earlier one; a cache makes room
 * for itself first. Of the part `blocks_bytes` come in full blocks, and gives those of them that waited. What no limit
 * could ever hold is too large, whatever the library says of this part; nothing is evicted for it. */
static bool admit(struct upload *upload, uint64_t cost_bytes, uint64_t blocks_bytes, struct block **ret_blocks)
{
    struct shelf *shelf = upload->shelf;
    struct idle idle;
    uint64_t all_bytes = cost_in_all(upload, cost_bytes);
    bool hopeless = all_bytes > memory_most(shelf->budget);
    *ret_blocks = shelf_take_idle(shelf, hopeless ? 0 : blocks_bytes, &idle);
    uint64_t more = cost_bytes - idle.taken_bytes;
    hr_ticket_release(&upload->ticket);
    if (shelf->cache && !hopeless && more > idle.left_bytes)
        hr_cache_make_room(shelf->cache, more - idle.left_bytes);
    hr_verdict verdict = memory_admit(shelf->budget, more, &upload->ticket);
    upload->ticket.asked_bytes = hopeless ? all_bytes : cost_bytes;
    if (verdict == HR_ADMITTED)
        return true;
    if (hopeless)
        upload->ticket.retry_after_ns = 0;
    shelf_give(shelf, *ret_blocks);
    refuse(upload, hopeless ? HR_REFUSED_TOO_LARGE : verdict);
    return false;
}

struct upload *upload_begin(struct shelf *shelf, const char *key, uint64_t length_bytes)
{
    struct upload *upload = malloc(sizeof *upload);
    if (!upload)
        return NULL;
    *upload = (struct upload){.shelf = shelf, .length_bytes = length_bytes};
    uint64_t part_bytes = length_bytes == LENGTH_UNKNOWN ? STEP_BYTES : length_bytes;
    struct block *blocks;
    if (!admit(upload, object_cost(shelf, key, part_bytes), part_bytes, &blocks))
        return upload;
    upload->object = object_new(shelf, &upload->ticket, key);
    if (upload->object) {
        object_add(upload->object, blocks);
    } else {
        shelf_give(shelf, blocks);
        refuse_for_want(upload);
    }
    return upload;
}

/* The next step of a body without a length. */
static bool step(struct upload *upload)
{
    struct block *blocks;
    if (!admit(upload, object_cost(upload->shelf, "", STEP_BYTES), STEP_BYTES, &blocks))
        return false;
    object_add(upload->object, blocks);
    return true;
}

void upload_add(struct upload *upload, const char *bytes, size_t size)
{
    if (!upload->object)
        return;
    /* What libmicrohttpd brings at a time begins two blocks at most. */
    struct object *object = upload->object;
    uint64_t left_bytes = upload->ticket.left_bytes + object->room_bytes - object->size_bytes;
    bool is_short = left_bytes < object_cost(upload->shelf, "", 2 * BLOCK_ROOM);
    if (upload->length_bytes == LENGTH_UNKNOWN && is_short && !step(upload))
        return;
    if (!object_append(object, &upload->ticket, upload->length_bytes, bytes, size))
        refuse_for_want(upload);
}

bool upload_finish(struct upload *upload, bool *ret_replaced)
{
    if (!upload->object)
        return false;
    object_fit(upload->object, &upload->ticket);
    int result = shelf_put(upload->shelf, upload->object);
    if (result < 0) {
        errno = -result;
        refuse_for_want(upload);
        return false;
    }
    upload->object = NULL;
    hr_ticket_release(&upload->ticket);
    upload_verdicts[HR_ADMITTED]++;
    *ret_replaced = result > 0;
    return true;
}

void upload_end(struct upload *upload)
{
    drop(upload);
    hr_ticket_release(&upload->ticket);
    free(upload);
}
