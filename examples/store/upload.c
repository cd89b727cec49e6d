/* SPDX-License-Identifier: Apache-2.0 */
/* Writes. The room for a body is there before the first byte of it is read: reserved in the cache, which evicts for
 * it, or admitted and taken. Where the client names no length, that is done in steps. An object is acknowledged only
 * when it is whole and on its shelf. Until then, and if it never gets there, the old one under its key stays. Locking:
 * none; all of it runs on the thread that serves.
 */
#include "store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The first room for a body without a length; it grows by half of what it has, and by this at least. */
#define STEP_BYTES UINT64_C(65536)
/* Told to those for whose body there was no memory: they were admitted, so something else moved in. */
#define RETRY_NS INT64_C(1000000000)

uint64_t upload_verdicts[HR_REFUSED_NO_BUDGET + 1];

/* Drops what there is; the ticket says why. */
static void refuse(struct upload *upload, hr_verdict verdict)
{
    upload_verdicts[verdict]++;
    upload->verdict = verdict;
    draft_drop(&upload->draft);
}

/* Refuses for want of room. For what the cache had none the guard is asked, which says why; where there is room by now,
 * that was only then. */
static void refuse_for_want(struct upload *upload, int error, uint64_t bytes)
{
    hr_verdict verdict = HR_REFUSED_NO_BUDGET;
    hr_ticket_release(&upload->ticket);
    if (error == -EDQUOT)
        verdict = memory_admit(upload->draft.shelf->budget, bytes, &upload->ticket);
    if (error == -EDQUOT && verdict != HR_ADMITTED) {
        refuse(upload, verdict);
        return;
    }
    hr_ticket_release(&upload->ticket);
    upload->ticket.limit_name = error == -EDQUOT ? upload->draft.shelf->name : "the machine's memory";
    upload->ticket.asked_bytes = bytes;
    upload->ticket.left_bytes = 0;
    upload->ticket.retry_after_ns = RETRY_NS;
    refuse(upload, HR_REFUSED_NO_BUDGET);
}

/* Makes room for a body of this size. A body that no limit could ever hold is too large, whatever the library says of
 * this part; nothing is evicted for it. A cache makes room for itself. */
static bool make_room(struct upload *upload, uint64_t room_bytes)
{
    struct draft *draft = &upload->draft;
    struct shelf *shelf = draft->shelf;
    uint64_t before_bytes = draft->room_bytes, all_bytes = object_cost(shelf, room_bytes);
    uint64_t more_bytes = all_bytes - before_bytes;
    if (shelf->cache) /* which has both for a moment */
        all_bytes += before_bytes;
    bool hopeless = all_bytes > memory_most(shelf->budget);
    if (hopeless || !shelf->cache) {
        hr_ticket_release(&upload->ticket);
        hr_verdict verdict = memory_admit(shelf->budget, more_bytes, &upload->ticket);
        upload->ticket.asked_bytes = hopeless ? all_bytes : more_bytes;
        if (hopeless) {
            hr_ticket_release(&upload->ticket);
            upload->ticket.retry_after_ns = 0;
            verdict = HR_REFUSED_TOO_LARGE;
        }
        if (verdict != HR_ADMITTED) {
            refuse(upload, verdict);
            return false;
        }
    }
    int error = draft_grow(draft, &upload->ticket, room_bytes);
    if (error)
        refuse_for_want(upload, error, more_bytes);
    return !error;
}

struct upload *upload_begin(struct shelf *shelf, const char *key, uint64_t length_bytes)
{
    struct upload *upload = malloc(sizeof *upload);
    if (!upload)
        return NULL;
    *upload = (struct upload){.draft.shelf = shelf, .length_bytes = length_bytes};
    strncpy(upload->draft.key, key, KEY_MAX);
    make_room(upload, length_bytes == LENGTH_UNKNOWN ? STEP_BYTES : length_bytes);
    return upload;
}

void upload_add(struct upload *upload, const char *bytes, size_t size)
{
    struct draft *draft = &upload->draft;
    if (!draft->bytes)
        return;
    uint64_t whole = draft->size_bytes + size, step = draft->room_bytes / 2;
    uint64_t room = whole + (step > STEP_BYTES ? step : STEP_BYTES);
    if (whole > draft->room_bytes && (upload->length_bytes != LENGTH_UNKNOWN || !make_room(upload, room)))
        return;
    memcpy(draft->bytes + draft->size_bytes, bytes, size);
    draft->size_bytes = whole;
}

bool upload_finish(struct upload *upload, bool *ret_replaced)
{
    if (!upload->draft.bytes)
        return false;
    int result = draft_put(&upload->draft);
    if (result < 0) {
        refuse_for_want(upload, result, upload->draft.room_bytes);
        return false;
    }
    hr_ticket_release(&upload->ticket);
    upload_verdicts[HR_ADMITTED]++;
    *ret_replaced = result > 0;
    return true;
}

void upload_end(struct upload *upload)
{
    draft_drop(&upload->draft);
    hr_ticket_release(&upload->ticket);
    free(upload);
}
