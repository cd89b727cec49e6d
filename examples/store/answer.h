/* SPDX-License-Identifier: Apache-2.0 */
/* What the store says. The routine answers are made once at start, so that saying "ok", "no such object" or "out of
 * memory" never needs any.
 */
#ifndef STORE_ANSWER_H
#define STORE_ANSWER_H

#include <microhttpd.h>

#include "memory.h"
#include "objects.h"

enum answer {
    ANSWER_OK,
    ANSWER_NOT_READY,
    ANSWER_CREATED,
    ANSWER_DONE, /* replaced or deleted */
    ANSWER_NO_PATH,
    ANSWER_NO_OBJECT,
    ANSWER_BAD_KEY,
    ANSWER_BAD_BODY,
    ANSWER_ONLY_GET,
    ANSWER_ONLY_OBJECT_METHODS,
    ANSWER_NO_MEMORY, /* for the answer itself */
    ANSWER_COUNT,
};

/* Why a write is refused; kept until it can be said. */
struct refusal {
    hr_verdict verdict; /* HR_ADMITTED: it is not */
    const char *limit_name;
    uint64_t asked_bytes;
    uint64_t left_bytes;
    int64_t retry_after_ns;
};

/* Makes the routine answers. Returns whether there was memory for them. */
bool answers_open(void);
void answers_close(void);

/* From now on connections end after their answer: the server drains. On the thread that serves; again is harmless. */
void answers_end_connections(void);

enum MHD_Result answer(struct MHD_Connection *connection, enum answer which);

/* Says why: 413, 503 or 507, with Retry-After and the figures as JSON. */
enum MHD_Result answer_refusal(struct MHD_Connection *connection, const struct refusal *refusal);

/* Sends an object, and releases the reference to it in any case. */
enum MHD_Result answer_object(struct MHD_Connection *connection, struct shelf *shelf, struct object *object);

/* Sends `size` bytes of malloc's, and frees them in any case. */
enum MHD_Result answer_text(struct MHD_Connection *connection, const char *type, char *text, size_t size);

#endif
