/* SPDX-License-Identifier: Apache-2.0 */
/* Answers. Each sends; where memory is short even for that, the one for it is already there.
 * Locking: none. All of it runs on the thread that serves.
 */
#include "answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How much of an object is copied for each send. */
#define SEND_BYTES 8192

#define JSON "application/json"

static struct routine {
    unsigned status;
    const char *body;
    const char *header; /* one more, with its value */
    const char *value;
    struct MHD_Response *response;
} routine[ANSWER_COUNT] = {
    [ANSWER_OK] = {MHD_HTTP_OK, "{\"status\": \"ok\"}\n", NULL, NULL, NULL},
    [ANSWER_NOT_READY] = {MHD_HTTP_SERVICE_UNAVAILABLE, "{\"error\": \"not ready for writes\"}\n", "Retry-After", "1",
                          NULL},
    [ANSWER_CREATED] = {MHD_HTTP_CREATED, "", NULL, NULL, NULL},
    [ANSWER_DONE] = {MHD_HTTP_NO_CONTENT, "", NULL, NULL, NULL},
    [ANSWER_NO_PATH] = {MHD_HTTP_NOT_FOUND,
                        "{\"error\": \"no such path: /cache/KEY, /pinned/KEY, /healthz, /readyz, /metrics\"}\n", NULL,
                        NULL, NULL},
    [ANSWER_NO_OBJECT] = {MHD_HTTP_NOT_FOUND, "{\"error\": \"no such object\"}\n", NULL, NULL, NULL},
    [ANSWER_BAD_KEY] = {MHD_HTTP_BAD_REQUEST,
                        "{\"error\": \"a key is 1 to 200 letters, digits, dots, dashes and underscores\"}\n", NULL,
                        NULL, NULL},
    [ANSWER_BAD_BODY] = {MHD_HTTP_BAD_REQUEST, "{\"error\": \"the body is not as long as announced\"}\n", NULL, NULL,
                         NULL},
    [ANSWER_ONLY_GET] = {MHD_HTTP_METHOD_NOT_ALLOWED, "{\"error\": \"only GET and HEAD here\"}\n", "Allow", "GET, HEAD",
                         NULL},
    [ANSWER_ONLY_OBJECT_METHODS] = {MHD_HTTP_METHOD_NOT_ALLOWED,
                                    "{\"error\": \"only GET, HEAD, PUT and DELETE here\"}\n", "Allow",
                                    "GET, HEAD, PUT, DELETE", NULL},
    [ANSWER_NO_MEMORY] = {MHD_HTTP_SERVICE_UNAVAILABLE, "{\"error\": \"no memory for the answer\"}\n", "Retry-After",
                          "1", NULL},
};

static bool ending; /* connections end after their answer */

bool answers_open(void)
{
    for (size_t i = 0; i < ANSWER_COUNT; i++) {
        struct routine *one = &routine[i];
        size_t size = strlen(one->body);
        union {
            const char *text;
            void *bytes; /* MHD does not write to persistent memory; its type does not say so */
        } body = {.text = one->body};
        one->response = MHD_create_response_from_buffer(size, body.bytes, MHD_RESPMEM_PERSISTENT);
        if (!one->response)
            return false;
        if (size > 0 && !MHD_add_response_header(one->response, MHD_HTTP_HEADER_CONTENT_TYPE, JSON))
            return false;
        if (one->header && !MHD_add_response_header(one->response, one->header, one->value))
            return false;
    }
    return true;
}

void answers_close(void)
{
    for (size_t i = 0; i < ANSWER_COUNT; i++)
        if (routine[i].response)
            MHD_destroy_response(routine[i].response);
}

void answers_end_connections(void)
{
    if (ending)
        return;
    ending = true;
    for (size_t i = 0; i < ANSWER_COUNT; i++)
        MHD_add_response_header(routine[i].response, MHD_HTTP_HEADER_CONNECTION, "close");
}

enum MHD_Result answer(struct MHD_Connection *connection, enum answer which)
{
    return MHD_queue_response(connection, routine[which].status, routine[which].response);
}

/* Sends a response made for this request; NULL is one that there was no memory for. */
static enum MHD_Result send_once(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response,
                                 const char *type)
{
    if (!response)
        return answer(connection, ANSWER_NO_MEMORY);
    enum MHD_Result result = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (result && ending)
        result = MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    result = result ? MHD_queue_response(connection, status, response) : answer(connection, ANSWER_NO_MEMORY);
    MHD_destroy_response(response);
    return result;
}

static unsigned status_of(hr_verdict verdict)
{
    switch (verdict) {
    case HR_REFUSED_TOO_LARGE:
        return MHD_HTTP_CONTENT_TOO_LARGE;
    case HR_REFUSED_NO_BUDGET:
        return MHD_HTTP_INSUFFICIENT_STORAGE;
    default:
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    }
}

/* A limit's name may carry a path of the machine: what JSON does not take becomes a question mark. */
static void copy_name(char *buffer, size_t size, const char *name)
{
    size_t length = 0;
    for (; name && *name && length + 1 < size; name++)
        buffer[length++] = *name >= ' ' && *name < 127 && *name != '"' && *name != '\\' ? *name : '?';
    buffer[length] = '\0';
}

enum MHD_Result answer_refusal(struct MHD_Connection *connection, const struct refusal *refusal)
{
    char body[512], limit[192], seconds[24];
    copy_name(limit, sizeof limit, refusal->limit_name);
    int64_t wait_ms = (refusal->retry_after_ns + 999999) / 1000000;
    int64_t wait_s = (wait_ms + 999) / 1000;
    snprintf(seconds, sizeof seconds, "%lld", (long long)(wait_s < 1 ? 1 : wait_s));
    int size = snprintf(body, sizeof body,
                        "{\"error\": \"%s\", \"limit\": \"%s\", \"asked_bytes\": %llu, \"left_bytes\": %llu, "
                        "\"retry_after_ms\": %lld}\n",
                        hr_verdict_text(refusal->verdict), limit, (unsigned long long)refusal->asked_bytes,
                        (unsigned long long)refusal->left_bytes, (long long)wait_ms);
    struct MHD_Response *response = MHD_create_response_from_buffer((size_t)size, body, MHD_RESPMEM_MUST_COPY);
    if (response && !MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, seconds)) {
        MHD_destroy_response(response);
        response = NULL;
    }
    return send_once(connection, status_of(refusal->verdict), response, JSON);
}

enum MHD_Result answer_text(struct MHD_Connection *connection, const char *type, char *text, size_t size)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(text);
    return send_once(connection, MHD_HTTP_OK, response, type);
}

/* ── objects ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* An object on its way to a client, which keeps it alive. */
struct sending {
    struct shelf *shelf;
    struct object *object;
    struct body_cursor cursor;
};

static ssize_t send_part(void *context, uint64_t position, char *buffer, size_t size)
{
    struct sending *sending = context;
    (void)position; /* MHD asks for one part after the other */
    size_t part = body_read(&sending->cursor, buffer, size);
    return part ? (ssize_t)part : MHD_CONTENT_READER_END_OF_STREAM;
}

static void send_end(void *context)
{
    struct sending *sending = context;
    shelf_release(sending->shelf, sending->object);
    free(sending);
}

enum MHD_Result answer_object(struct MHD_Connection *connection, struct shelf *shelf, struct object *object)
{
    struct MHD_Response *response = NULL;
    struct sending *sending = malloc(sizeof *sending);
    if (sending) {
        *sending = (struct sending){shelf, object, {.block = object->body.first}};
        response = MHD_create_response_from_callback(object->body.size_bytes, SEND_BYTES, send_part, sending, send_end);
    }
    if (!response) {
        free(sending);
        shelf_release(shelf, object);
    }
    return send_once(connection, MHD_HTTP_OK, response, "application/octet-stream");
}
