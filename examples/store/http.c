/* SPDX-License-Identifier: Apache-2.0 */
/* Routes requests. libmicrohttpd calls handle() once when a request's headers are there, once for each part of its
 * body, and once at its end. An answer in the first call is sent before the body is read, and ends the connection. So
 * writes are judged in the first call, and everything else is answered in the last one.
 *
 * Invariant: a request's context is NULL (first call), &to_answer, &answered_early or its upload, until ended().
 * Locking: none. One thread serves; the shelves are shared with reclaimers, and the atomics with main.
 *
 * It polls and does not use epoll. With libmicrohttpd 0.9.75, epoll does not notice a client that vanishes right after
 * a part of its body. Its body would be kept until the connection times out.
 */
#include "store.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STACK_BYTES (256 * 1024)

static struct MHD_Daemon *server;
static uint64_t reads;
atomic_uint http_in_flight;
atomic_bool http_draining;

/* Contexts that say something by their address. */
static int to_answer;      /* a request without a body: answered in the last call */
static int answered_early; /* answered in the first call: its body is not read */

static bool is(const char *text, const char *other)
{
    return strcmp(text, other) == 0;
}

static bool is_get(const char *method)
{
    return is(method, "GET") || is(method, "HEAD");
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

/* Paths are cut at a zero byte: one that is escaped stays so, and is no part of a key. */
static size_t unescape(void *cls, struct MHD_Connection *connection, char *path)
{
    (void)cls, (void)connection;
    return strstr(path, "%00") ? strlen(path) : MHD_http_unescape(path);
}

static uint64_t body_length(struct MHD_Connection *connection)
{
    if (MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Transfer-Encoding"))
        return LENGTH_UNKNOWN;
    const char *text = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
    uint64_t length = text ? strtoull(text, NULL, 10) : 0; /* libmicrohttpd has refused what is no number */
    return length < INT64_MAX ? length : INT64_MAX;        /* far beyond any limit: what it costs still fits a count */
}

static enum MHD_Result begin_write(struct MHD_Connection *connection, struct shelf *shelf, const char *key,
                                   void **context)
{
    if (!is_key(key))
        return answer(connection, ANSWER_BAD_KEY);
    struct upload *upload = upload_begin(shelf, key, body_length(connection));
    if (!upload)
        return answer(connection, ANSWER_NO_MEMORY);
    if (upload->verdict == HR_ADMITTED) {
        *context = upload;
        connection_await(connection, true);
        return MHD_YES;
    }
    enum MHD_Result result = answer_refusal(connection, upload->verdict, &upload->ticket);
    upload_end(upload);
    return result;
}

/* All of the body is there: libmicrohttpd drops a connection that ends before. */
static enum MHD_Result finish_write(struct MHD_Connection *connection, struct upload *upload)
{
    bool replaced;
    if (!upload_finish(upload, &replaced))
        return answer_refusal(connection, upload->verdict, &upload->ticket);
    return answer(connection, replaced ? ANSWER_DONE : ANSWER_CREATED);
}

static enum MHD_Result answer_status(struct MHD_Connection *connection, const char *method, const char *path)
{
    bool health = is(path, "/healthz"), ready = is(path, "/readyz"), metrics = is(path, "/metrics");
    if (!health && !ready && !metrics)
        return answer(connection, ANSWER_NO_PATH);
    if (!is_get(method))
        return answer(connection, ANSWER_ONLY_GET);
    if (metrics)
        return answer_metrics(connection, reads, http_in_flight);
    bool critical = memory.guard && hr_guard_level(memory.guard) == HR_CRITICAL;
    return answer(connection, ready && (critical || http_draining) ? ANSWER_NOT_READY : ANSWER_OK);
}

/* Whatever is no write. */
static enum MHD_Result answer_rest(struct MHD_Connection *connection, const char *method, const char *path)
{
    const char *key;
    struct shelf *shelf = find_shelf(path, &key);
    if (!shelf)
        return answer_status(connection, method, path);
    if (!is_get(method) && !is(method, "DELETE"))
        return answer(connection, ANSWER_ONLY_OBJECT_METHODS);
    if (!is_key(key))
        return answer(connection, ANSWER_BAD_KEY);
    if (!is_get(method))
        return answer(connection, shelf_remove(shelf, key) ? ANSWER_DONE : ANSWER_NO_OBJECT);
    struct loan loan;
    if (!shelf_lend(shelf, key, &loan))
        return answer(connection, ANSWER_NO_OBJECT);
    reads++;
    return answer_object(connection, &loan);
}

static enum MHD_Result begin(struct MHD_Connection *connection, const char *path, const char *method, void **context)
{
    const char *key;
    struct shelf *shelf = find_shelf(path, &key);
    http_in_flight++;
    *context = &answered_early;
    connection_await(connection, false);
    if (shelf && is(method, "PUT"))
        return begin_write(connection, shelf, key, context);
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
        return begin(connection, path, method, context);
    if (*context == &to_answer)
        return answer_rest(connection, method, path);
    if (*size == 0)
        return finish_write(connection, *context);
    connection_brought(connection, *size);
    upload_add(*context, bytes, *size);
    *size = 0;
    return MHD_YES;
}

static void ended(void *cls, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode why)
{
    (void)cls, (void)why;
    if (!*context)
        return;
    if (*context == &answered_early) {
        /* A client that asks first (Expect: 100-continue) sends no body now; any other may be in the midst of it. */
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        if (info && !MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Expect"))
            linger_keep(info->connect_fd);
    } else if (*context != &to_answer) {
        upload_end(*context);
    }
    *context = NULL;
    http_in_flight--;
    connection_await(connection, true);
}

static struct MHD_Daemon *start(const struct addrinfo *address, unsigned max_connections)
{
    unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC | (address->ai_family == AF_INET6 ? MHD_USE_IPv6 : 0);
    /* clang-format off */
    return MHD_start_daemon(flags, 0, NULL, NULL, handle, NULL,
                            MHD_OPTION_SOCK_ADDR, address->ai_addr,
                            MHD_OPTION_CONNECTION_LIMIT, max_connections,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES,
                            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONNECTION_TIMEOUT_S,
                            MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES,
                            MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL,
                            MHD_OPTION_NOTIFY_COMPLETED, ended, NULL,
                            MHD_OPTION_NOTIFY_CONNECTION, connection_changed, NULL,
                            MHD_OPTION_END);
    /* clang-format on */
}

/* Scripts wait for this line. False if it cannot be written: the end of the program reports that. */
static bool say_ready(const struct addrinfo *address)
{
    bool brackets = address->ai_family == AF_INET6;
    char host[64] = "?", limit[24];
    getnameinfo(address->ai_addr, address->ai_addrlen, host, sizeof host, NULL, 0, NI_NUMERICHOST);
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server, MHD_DAEMON_INFO_BIND_PORT);
    printf("headroom-store: listening on %s%s%s:%d, ", brackets ? "[" : "", host, brackets ? "]" : "", info->port);
    hr_figures figures;
    if (memory.guard && hr_guard_read(memory.guard, &figures) == 0)
        printf("limit %s (%s)\n", hr_size_format(figures.limit_bytes, limit, sizeof limit), figures.limit_source);
    else
        printf("unguarded\n");
    return fflush(stdout) == 0;
}

bool http_open(const struct options *options)
{
    connections_open(options->max_connections);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *address = NULL;
    int error = getaddrinfo(options->host, options->port, &hints, &address);
    server = error ? NULL : start(address, options->max_connections);
    bool said = server && say_ready(address);
    if (server && !said)
        http_close();
    if (!server)
        fprintf(stderr, "headroom-store: cannot listen on %s:%s: %s\n", options->host, options->port,
                error ? gai_strerror(error) : strerror(errno));
    if (address)
        freeaddrinfo(address);
    return said;
}

void http_drain(void)
{
    http_draining = true;
    MHD_socket listener = MHD_quiesce_daemon(server);
    if (listener != MHD_INVALID_SOCKET)
        close(listener);
}

void http_close(void)
{
    MHD_stop_daemon(server);
}
