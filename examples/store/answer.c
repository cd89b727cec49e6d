/* SPDX-License-Identifier: Apache-2.0 */
/* Answers. Each sends; where memory is short even for that, the one for it is already there.
 * Locking: none. All of it runs on the thread that serves.
 */
#include "store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON "application/json"
#define METRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"
/* Room for our families behind the guard's report, and what there is more of it than was needed last. */
#define FAMILIES_BYTES 4096
#define GROWTH_BYTES 4096

#define ERROR(text) "{\"error\": \"" text "\"}\n"

static const struct {
    unsigned status; /* 503 comes with Retry-After */
    char *body;
    const char *allow; /* the methods that would be right */
} routine[ANSWER_COUNT] = {
    [ANSWER_OK] = {200, "{\"status\": \"ok\"}\n", NULL},
    [ANSWER_NOT_READY] = {503, ERROR("not ready for writes"), NULL},
    [ANSWER_CREATED] = {201, "", NULL},
    [ANSWER_DONE] = {204, "", NULL},
    [ANSWER_NO_PATH] = {404, ERROR("no such path: /cache/KEY, /pinned/KEY, /healthz, /readyz, /metrics"), NULL},
    [ANSWER_NO_OBJECT] = {404, ERROR("no such object"), NULL},
    [ANSWER_BAD_KEY] = {400, ERROR("a key is 1 to 200 letters, digits, dots, dashes and underscores"), NULL},
    [ANSWER_ONLY_GET] = {405, ERROR("only GET and HEAD here"), "GET, HEAD"},
    [ANSWER_ONLY_OBJECT_METHODS] = {405, ERROR("only GET, HEAD, PUT and DELETE here"), "GET, HEAD, PUT, DELETE"},
    [ANSWER_NO_MEMORY] = {503, ERROR("no memory for the answer"), NULL},
};

static struct MHD_Response *responses[ANSWER_COUNT];

bool answers_open(void)
{
    bool made = true;
    for (int i = 0; i < ANSWER_COUNT && made; i++) {
        size_t size = strlen(routine[i].body);
        responses[i] = MHD_create_response_from_buffer(size, routine[i].body, MHD_RESPMEM_PERSISTENT);
        made = responses[i] && (size == 0 || MHD_add_response_header(responses[i], "Content-Type", JSON)) &&
               (routine[i].status != 503 || MHD_add_response_header(responses[i], "Retry-After", "1")) &&
               (!routine[i].allow || MHD_add_response_header(responses[i], "Allow", routine[i].allow));
    }
    return made;
}

static enum MHD_Result queue(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response)
{
    if (http_draining) /* libmicrohttpd keeps one such header, however often it is added */
        MHD_add_response_header(response, "Connection", "close");
    return MHD_queue_response(connection, status, response);
}

enum MHD_Result answer(struct MHD_Connection *connection, enum answer which)
{
    return queue(connection, routine[which].status, responses[which]);
}

/* Sends a response made for this request; NULL is one that there was no memory for. Where there is none even for a
 * header, it is right without. */
static enum MHD_Result send_once(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response,
                                 const char *type)
{
    if (!response)
        return answer(connection, ANSWER_NO_MEMORY);
    MHD_add_response_header(response, "Content-Type", type);
    enum MHD_Result result = queue(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

enum MHD_Result answer_refusal(struct MHD_Connection *connection, hr_verdict verdict, const hr_ticket *ticket)
{
    static const unsigned statuses[] = {
        [HR_REFUSED_TOO_LARGE] = 413, [HR_REFUSED_OVERLOADED] = 503, [HR_REFUSED_NO_BUDGET] = 507};
    char body[512], limit[192], wait[24], seconds[24];
    /* A limit's name may carry a path of the machine: what JSON does not take becomes a question mark. */
    snprintf(limit, sizeof limit, "%s", ticket->limit_name);
    for (char *at = limit; *at; at++)
        if (*at < ' ' || *at > '~' || *at == '"' || *at == '\\')
            *at = '?';
    long long wait_ms = (ticket->retry_after_ns + 999999) / 1000000;
    snprintf(wait, sizeof wait, "%lld", wait_ms);
    snprintf(seconds, sizeof seconds, "%lld", (wait_ms + 999) / 1000);
    snprintf(body, sizeof body,
             "{\"error\": \"%s\", \"limit\": \"%s\", \"asked_bytes\": %" PRIu64 ", \"left_bytes\": %" PRIu64
             ", \"retry_after_ms\": %s}\n",
             hr_verdict_text(verdict), limit, ticket->asked_bytes, ticket->left_bytes, wait_ms ? wait : "null");
    struct MHD_Response *response = MHD_create_response_from_buffer(strlen(body), body, MHD_RESPMEM_MUST_COPY);
    if (response && wait_ms)
        MHD_add_response_header(response, "Retry-After", seconds);
    return send_once(connection, statuses[verdict], response, JSON);
}

static ssize_t send_part(void *context, uint64_t position, char *buffer, size_t size)
{
    const struct loan *sending = context;
    uint64_t left = sending->size_bytes - position;
    size = left < size ? (size_t)left : size;
    memcpy(buffer, sending->bytes + position, size);
    return (ssize_t)size;
}

static void end_sending(void *context)
{
    struct loan *sending = context;
    loan_release(sending);
    free(sending);
}

enum MHD_Result answer_object(struct MHD_Connection *connection, struct loan *loan)
{
    struct MHD_Response *response = NULL;
    struct loan *sending = malloc(sizeof *sending);
    if (sending) {
        *sending = *loan;
        response = MHD_create_response_from_callback(loan->size_bytes, SENDING_BYTES, send_part, sending, end_sending);
    }
    if (!response) {
        free(sending);
        loan_release(loan);
    }
    return send_once(connection, 200, response, "application/octet-stream");
}

#define FAMILY(name, type, help) "# TYPE headroom_store_" name " " type "\n# HELP headroom_store_" name " " help "\n"
#define SAMPLE(name) "headroom_store_" name " %" PRIu64 "\n"
#define SAMPLES(name) SAMPLE(name "{class=\"cache\"}") SAMPLE(name "{class=\"pinned\"}")

/* clang-format off */
static const char families[] =
    FAMILY("objects", "gauge", "objects kept") SAMPLES("objects")
    FAMILY("object_bytes", "gauge", "what their bodies hold") "# UNIT headroom_store_object_bytes bytes\n"
    SAMPLES("object_bytes")
    FAMILY("evictions", "counter", "objects evicted") SAMPLES("evictions_total")
    FAMILY("writes", "counter", "writes by verdict")
    SAMPLE("writes_total{verdict=\"admitted\"}") SAMPLE("writes_total{verdict=\"too large\"}")
    SAMPLE("writes_total{verdict=\"overloaded\"}") SAMPLE("writes_total{verdict=\"no budget\"}")
    FAMILY("reads", "counter", "objects sent") SAMPLE("reads_total")
    FAMILY("requests_in_flight", "gauge", "begun and not answered") SAMPLE("requests_in_flight")
    "# EOF\n";
/* clang-format on */

static ssize_t report(char *text, size_t room)
{
    if (memory.guard)
        return hr_report_format(memory.guard, HR_OPENMETRICS, text, room);
    if (room > 0)
        *text = '\0';
    return 0;
}

/* Writes the guard's report into a buffer that grows to what it needs, and has room for our families behind it. Returns
 * where those begin, since there is one "# EOF" for all; NULL if there is no memory for it. */
static char *begin_metrics(char **ret_text)
{
    static char *text;
    static size_t room; /* for the report */
    for (ssize_t length; (length = report(text, room)) < 0 || (size_t)length >= room;) {
        size_t needed = (size_t)length + GROWTH_BYTES;
        char *larger = length < 0 ? NULL : realloc(text, needed + FAMILIES_BYTES);
        if (!larger)
            return NULL;
        text = larger;
        room = needed;
    }
    *ret_text = text;
    char *end = strstr(text, "# EOF\n");
    return end ? end : text;
}

enum MHD_Result answer_metrics(struct MHD_Connection *connection, uint64_t reads, uint64_t requests_in_flight)
{
    char *text, *end = begin_metrics(&text);
    if (!end)
        return answer(connection, ANSWER_NO_MEMORY);
    struct shelf_figures cache, pinned;
    shelf_read(&shelves[SHELF_CACHE], &cache);
    shelf_read(&shelves[SHELF_PINNED], &pinned);
    snprintf(end, FAMILIES_BYTES, families, cache.objects, pinned.objects, cache.bytes, pinned.bytes, cache.evictions,
             pinned.evictions, upload_verdicts[HR_ADMITTED], upload_verdicts[HR_REFUSED_TOO_LARGE],
             upload_verdicts[HR_REFUSED_OVERLOADED], upload_verdicts[HR_REFUSED_NO_BUDGET], reads, requests_in_flight);
    struct MHD_Response *response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_COPY);
    return send_once(connection, 200, response, METRICS);
}
