/* SPDX-License-Identifier: Apache-2.0 */
/* Writes. One ticket holds what the body will cost, or its next step where the client names no length, and all blocks
 * are taken from it. An object is acknowledged only when it is whole and on its shelf; until then, and if it never
 * gets there, the old one under its key stays. Locking: none; all of it runs on the thread that serves.
 */
#include "upload.h"

#include <errno.h>
#include <string.h>

/* What is admitted at a time of a body without a length. */
#define STEP_BYTES (64 * 1024)
/* Told to those whose block could not be had: they were admitted, so something else moved in. */
#define RETRY_NS INT64_C(1000000000)

struct upload {
    struct shelf *shelf;
    uint64_t length_bytes;
    hr_ticket ticket;
    struct object *object; /* NULL once it is on the shelf, or refused */
    struct refusal refusal;
};

static uint64_t verdicts[HR_REFUSED_NO_BUDGET + 1];

const uint64_t *upload_verdicts(void)
{
    return verdicts;
}

static void note(struct refusal *refusal, hr_verdict verdict, const hr_ticket *ticket)
{
    *refusal =
        (struct refusal){verdict, ticket->limit_name, ticket->asked_bytes, ticket->left_bytes, ticket->retry_after_ns};
}

/* Admits `bytes` more; a cache makes room for itself first. */
static hr_verdict admit(struct shelf *shelf, uint64_t bytes, hr_ticket *ret_ticket)
{
    if (shelf->yields)
        shelf_yield(shelf, memory_price(bytes), INT64_MAX);
    return memory_admit(shelf->budget, bytes, ret_ticket);
}

/* A block that an admitted write could not have: errno says whose fault it was. */
static void note_failure(struct upload *upload, uint64_t asked_bytes)
{
    static hr_refusal why; /* the name must stay for as long as the refusal: the latest one is true enough */
    struct refusal *refusal = &upload->refusal;
    *refusal = (struct refusal){HR_REFUSED_NO_BUDGET, "the machine's memory", asked_bytes, 0, RETRY_NS};
    if (errno == EDQUOT && hr_budget_refusal(&why) == 0) {
        refusal->limit_name = why.limit_name;
        refusal->left_bytes = why.left_bytes;
    }
}

/* Drops what there is, and remembers what to say at the body's end. */
static void drop(struct upload *upload)
{
    verdicts[upload->refusal.verdict]++;
    object_free(upload->object);
    upload->object = NULL;
    hr_ticket_release(&upload->ticket);
}

struct upload *upload_begin(struct shelf *shelf, const char *key, uint64_t length_bytes, struct refusal *ret_refusal)
{
    size_t key_size = strlen(key);
    uint64_t cost = memory_footprint(sizeof(struct upload)) + object_cost(key_size, length_bytes);
    if (length_bytes == BODY_LENGTH_UNKNOWN)
        cost += STEP_BYTES;
    hr_ticket ticket;
    hr_verdict verdict = admit(shelf, cost, &ticket);
    if (verdict != HR_ADMITTED) {
        verdicts[verdict]++;
        note(ret_refusal, verdict, &ticket);
        return NULL;
    }
    struct upload *upload = memory_take(&ticket, sizeof *upload);
    if (!upload) {
        struct upload unborn = {.ticket = ticket};
        note_failure(&unborn, cost);
        drop(&unborn);
        *ret_refusal = unborn.refusal;
        return NULL;
    }
    *upload = (struct upload){.shelf = shelf, .length_bytes = length_bytes, .ticket = ticket};
    upload->object = object_new(&upload->ticket, key, key_size);
    if (!upload->object) {
        note_failure(upload, cost);
        drop(upload);
    }
    return upload;
}

/* Sees that the ticket covers `size` more bytes of a body that announced no length. */
static bool cover(struct upload *upload, size_t size)
{
    uint64_t need = body_cost(size) + body_cost(1); /* and a block that is begun */
    if (upload->length_bytes != BODY_LENGTH_UNKNOWN || upload->ticket.left_bytes >= need)
        return true;
    hr_ticket_release(&upload->ticket);
    hr_verdict verdict = admit(upload->shelf, need > STEP_BYTES ? need : STEP_BYTES, &upload->ticket);
    if (verdict == HR_ADMITTED)
        return true;
    note(&upload->refusal, verdict, &upload->ticket);
    return false;
}

void upload_add(struct upload *upload, const char *bytes, size_t size)
{
    if (!upload->object)
        return;
    if (!cover(upload, size)) {
        drop(upload);
    } else if (!body_append(&upload->object->body, &upload->ticket, upload->length_bytes, bytes, size)) {
        note_failure(upload, body_cost(upload->length_bytes == BODY_LENGTH_UNKNOWN ? size : upload->length_bytes));
        drop(upload);
    }
}

enum MHD_Result upload_finish(struct upload *upload, struct MHD_Connection *connection)
{
    struct object *object = upload->object;
    if (!object)
        return answer_refusal(connection, &upload->refusal);
    if (upload->length_bytes == BODY_LENGTH_UNKNOWN)
        body_trim(&object->body, &upload->ticket);
    else if (object->body.size_bytes != upload->length_bytes)
        return answer(connection, ANSWER_BAD_BODY);
    upload->object = NULL;
    hr_ticket_release(&upload->ticket);
    verdicts[HR_ADMITTED]++;
    return answer(connection, shelf_put(upload->shelf, object) ? ANSWER_DONE : ANSWER_CREATED);
}

void upload_end(struct upload *upload)
{
    object_free(upload->object);
    hr_ticket_release(&upload->ticket);
    memory_give(upload);
}
