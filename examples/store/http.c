/* SPDX-License-Identifier: Apache-2.0 */
/* Routes requests. libmicrohttpd calls handle() once when a request's headers are there, once for each part of its
 * body, and once at its end; what is answered in the first call is answered before the body is read, and ends the
 * connection. So writes are judged in the first call, and everything else is answered in the last one.
 *
 * Invariant: a request's context is NULL (first call), &to_answer, &answered_early or its upload, until ended().
 * Locking: none. One thread serves; the shelves are shared with reclaimers, and the two atomics with main.
 *
 * It polls and does not use epoll: with libmicrohttpd 0.9.75 a client that vanishes right after a part of its body is
 * not noticed by epoll before the connection times out, and its body would be kept for as long.
 */
#include "http.h"

#include <microhttpd.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "answer.h"
#include "linger.h"
#include "metrics.h"
#include "upload.h"

/* For headers, and to receive into: bodies pass through. */
#define CONNECTION_MEMORY_BYTES 16384
/* What a connection may cost in all: the above, a part to send, and libmicrohttpd's own records. */
#define CONNECTION_COST_BYTES (CONNECTION_MEMORY_BYTES + 8192 + 2048)
#define CONNECTION_TIMEOUT_S 30
#define STACK_BYTES (256 * 1024)

static struct MHD_Daemon *server;
static struct shelf *shelves;
static uint64_t reads;
static atomic_uint in_flight;
static atomic_bool draining;

/* Contexts that say something by their address. */
static int to_answer;      /* a request without a body: answered in the last call */
static int answered_early; /* answered in the first call: its body is not read */
static int is_charged;     /* a connection whose cost is charged */

/* ── routes ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static bool is(const char *text, const char *other)
{
    return strcmp(text, other) == 0;
}

static bool is_get(const char *method)
{
    return is(method, MHD_HTTP_METHOD_GET) || is(method, MHD_HTTP_METHOD_HEAD);
}

/* The shelf that a path names, and its key; NULL if it is no object's path. */
static struct shelf *find_shelf(const char *path, const char **ret_key)
{
    for (int i = 0; i < SHELF_COUNT; i++) {
        size_t length = strlen(shelves[i].name);
        if (path[0] == '/' && strncmp(path + 1, shelves[i].name, length) == 0 && path[length + 1] == '/') {
            *ret_key = path + length + 2;
            return &shelves[i];
        }
    }
    return NULL;
}

static bool is_key(const char *key)
{
    size_t length = strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    return length >= 1 && length <= KEY_MAX && key[length] == '\0';
}

/* ── writes: judged before the body ─────────────────────────────────────────────────────────────────────────────── */

static uint64_t body_length(struct MHD_Connection *connection)
{
    if (MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING))
        return BODY_LENGTH_UNKNOWN;
    const char *text = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    uint64_t length = text ? strtoull(text, NULL, 10) : 0; /* libmicrohttpd has refused what is no number */
    return length < INT64_MAX ? length : INT64_MAX;        /* far beyond any limit: what it costs still fits a count */
}

static enum MHD_Result begin_write(struct MHD_Connection *connection, const char *path, void **context)
{
    const char *key;
    struct shelf *shelf = find_shelf(path, &key);
    if (!shelf)
        return answer(connection, ANSWER_NO_PATH);
    if (!is_key(key))
        return answer(connection, ANSWER_BAD_KEY);
    struct refusal refusal;
    struct upload *upload = upload_begin(shelf, key, body_length(connection), &refusal);
    if (!upload)
        return answer_refusal(connection, &refusal);
    *context = upload;
    return MHD_YES;
}

/* ── everything else ────────────────────────────────────────────────────────────────────────────────────────────── */

static enum MHD_Result answer_status(struct MHD_Connection *connection, const char *method, const char *path)
{
    bool health = is(path, "/healthz"), ready = is(path, "/readyz"), metrics = is(path, "/metrics");
    if (!health && !ready && !metrics)
        return answer(connection, ANSWER_NO_PATH);
    if (!is_get(method))
        return answer(connection, ANSWER_ONLY_GET);
    if (metrics)
        return metrics_answer(connection, &(struct metrics_source){shelves, SHELF_COUNT, in_flight, reads});
    bool not_ready = ready && (draining || memory_level() >= HR_CRITICAL);
    return answer(connection, not_ready ? ANSWER_NOT_READY : ANSWER_OK);
}

static enum MHD_Result answer_rest(struct MHD_Connection *connection, const char *method, const char *path)
{
    const char *key;
    struct shelf *shelf = find_shelf(path, &key);
    if (!shelf)
        return answer_status(connection, method, path);
    if (!is_get(method) && !is(method, MHD_HTTP_METHOD_DELETE))
        return answer(connection, ANSWER_ONLY_OBJECT_METHODS);
    if (!is_key(key))
        return answer(connection, ANSWER_BAD_KEY);
    if (!is_get(method))
        return answer(connection, shelf_remove(shelf, key, strlen(key)) ? ANSWER_DONE : ANSWER_NO_OBJECT);
    struct object *object = shelf_get(shelf, key, strlen(key));
    if (!object)
        return answer(connection, ANSWER_NO_OBJECT);
    reads++;
    return answer_object(connection, shelf, object);
}

/* ── libmicrohttpd's calls ──────────────────────────────────────────────────────────────────────────────────────── */

static enum MHD_Result handle_headers(struct MHD_Connection *connection, const char *path, const char *method,
                                      void **context)
{
    const char *key;
    in_flight++;
    if (draining)
        answers_end_connections();
    *context = &answered_early;
    if (is(method, MHD_HTTP_METHOD_PUT) && find_shelf(path, &key))
        return begin_write(connection, path, context);
    if (body_length(connection) > 0)
        return answer_rest(connection, method, path); /* whatever it is, it takes no body */
    *context = &to_answer;
    return MHD_YES;
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *bytes, size_t *size, void **context)
{
    (void)cls, (void)version;
    if (!*context)
        return handle_headers(connection, path, method, context);
    if (*context == &to_answer)
        return answer_rest(connection, method, path);
    if (*size == 0)
        return upload_finish(*context, connection);
    upload_add(*context, bytes, *size);
    *size = 0;
    return MHD_YES;
}

/* A client that asks first (Expect: 100-continue) and is refused sends no body; any other may be in the midst of it. */
static void let_finish(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info && !MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT))
        linger_keep(info->connect_fd);
}

static void ended(void *cls, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode why)
{
    (void)cls, (void)why;
    if (!*context)
        return;
    if (*context == &answered_early)
        let_finish(connection);
    else if (*context != &to_answer)
        upload_end(*context);
    *context = NULL;
    in_flight--;
}

/* Charges what a connection costs. Where even that is refused it is served all the same, since reads and health checks
 * always are; the guard then sees it in the cgroup's figure. */
static void connection_changed(void *cls, struct MHD_Connection *connection, void **context,
                               enum MHD_ConnectionNotificationCode what)
{
    (void)cls, (void)connection;
    hr_budget *budget = memory_budgets()->connections;
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        *context = budget && hr_budget_charge(budget, CONNECTION_COST_BYTES) == 0 ? &is_charged : NULL;
    else if (*context)
        hr_budget_uncharge(budget, CONNECTION_COST_BYTES);
}

/* ── start and end ──────────────────────────────────────────────────────────────────────────────────────────────── */

int http_open(int listener, struct shelf served[SHELF_COUNT], unsigned max_connections)
{
    shelves = served;
    /* clang-format off */
    server = MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, handle, NULL,
                              MHD_OPTION_LISTEN_SOCKET, listener,
                              MHD_OPTION_CONNECTION_LIMIT, max_connections,
                              MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES,
                              MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONNECTION_TIMEOUT_S,
                              MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES,
                              MHD_OPTION_NOTIFY_COMPLETED, ended, NULL,
                              MHD_OPTION_NOTIFY_CONNECTION, connection_changed, NULL,
                              MHD_OPTION_END);
    /* clang-format on */
    return server ? 0 : -1;
}

void http_drain(void)
{
    draining = true;
    MHD_socket listener = MHD_quiesce_daemon(server);
    if (listener != MHD_INVALID_SOCKET)
        close(listener);
}

unsigned http_in_flight(void)
{
    return in_flight;
}

void http_close(void)
{
    MHD_stop_daemon(server);
    server = NULL;
}
