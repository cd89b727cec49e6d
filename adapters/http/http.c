/* SPDX-License-Identifier: Apache-2.0 */
/* The server: one thread of libmicrohttpd's that polls, and two buffers that are there from the start.
 *
 * An answer that is formatted stands in a buffer until its last byte is sent; where both are in use, another request is
 * told to come again. Everything else that is answered is a constant. libmicrohttpd allocates for connections at
 * most CONNECTIONS times CONNECTION_BYTES. That is charged with the buffers, so that no grant takes the room for it.
 *
 * libmicrohttpd accepts nobody while all connections are open. Clients that send no request, or half of one, would keep
 * a probe out until they time out, 16 of them in two seconds. So the newest connection hangs up the oldest one that is
 * not being answered. A probe has sent its request by the time that it is accepted, and needs no more than one turn.
 *
 * Locking: none. Handlers run on the one thread; it alone takes buffers, and gives them back.
 */
#include "http.h"

#include <headroom/guard.h>
#include <headroom/report.h>

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BUFFERS 2
#define BUFFER_BYTES ((size_t)256 << 10)
#define CONNECTIONS 16
#define CONNECTION_BYTES ((size_t)16 << 10)
#define CONNECTION_COST_BYTES (CONNECTION_BYTES + ((size_t)4 << 10)) /* with what it knows of a connection */
#define STACK_BYTES ((size_t)256 << 10)
#define TIMEOUT_S 2 /* of a client that sends nothing, or reads nothing of its answer */
#define RESERVE_BYTES (BUFFERS * BUFFER_BYTES + CONNECTIONS * CONNECTION_COST_BYTES + STACK_BYTES)
#define LIVE_POLICY "; connect-src 'self'"

enum routine {
    ROUTINE_OK,
    ROUTINE_NOT_READY,
    ROUTINE_BUSY,
    ROUTINE_NO_PATH,
    ROUTINE_NO_METHOD,
    ROUTINE_NO_TOKEN,
    ROUTINE_HOST,
    ROUTINE_ORIGIN,
    ROUTINE_NO_PAGE,
    ROUTINE_FAILED,
    ROUTINE_COUNT,
};

static const struct {
    unsigned status;
    const char *body, *header, *value;
} routines[ROUTINE_COUNT] = {
    [ROUTINE_OK] = {200, "ok\n", NULL, NULL},
    [ROUTINE_NOT_READY] = {503, "not ready: the level is critical\n", "Retry-After", "1"},
    [ROUTINE_BUSY] = {503, "two answers are being sent: come again\n", "Retry-After", "1"},
    [ROUTINE_NO_PATH] = {404, "no such path: /, /history.json, /metrics, /healthz, /readyz\n", NULL, NULL},
    [ROUTINE_NO_METHOD] = {405, "only GET and HEAD here\n", "Allow", "GET, HEAD"},
    [ROUTINE_NO_TOKEN] = {401, "a token is needed: Authorization: Bearer TOKEN, or ?token=TOKEN\n", "WWW-Authenticate",
                          "Bearer"},
    [ROUTINE_HOST] = {403, "this Host is not answered: use an address, or localhost\n", NULL, NULL},
    [ROUTINE_ORIGIN] = {403, "another origin is not answered\n", NULL, NULL},
    [ROUTINE_NO_PAGE] = {501, "this headroom was built without its page; /metrics and /history.json are there\n", NULL,
                         NULL},
    [ROUTINE_FAILED] = {500, "the answer could not be made\n", NULL, NULL},
};

struct buffer {
    bool taken;
    char *text;
};

/* One of the connections that are open. */
struct client {
    bool open;
    bool answered; /* an answer is being sent */
    int fd;
    uint64_t number; /* of all that were opened */
};

struct hr_http {
    hr_guard *guard;
    hr_budget *budget; /* NULL: nothing is charged */
    hr_http_source source;
    http_address address;
    char *token; /* NULL: none */
    hr_page_parts page;
    bool has_page;
    char *policy; /* of the page, with what its connections may reach */
    struct MHD_Daemon *daemon;
    struct MHD_Response *responses[ROUTINE_COUNT];
    char *pages;
    struct buffer buffers[BUFFERS];
    struct client clients[CONNECTIONS];
    uint64_t opened;
};

/* ── a guard as a source ────────────────────────────────────────────────────────────────────────────────────────── */

static ssize_t guard_page_data(void *context, char *text, size_t size)
{
    return hr_report_format(context, HR_PAGE_DATA, text, size);
}

static ssize_t guard_metrics(void *context, char *text, size_t size)
{
    return hr_report_format(context, HR_OPENMETRICS, text, size);
}

static hr_level guard_level(void *context)
{
    return hr_guard_level(context);
}

/* ── answers ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Adds the headers of every answer. Without memory for a header there is no answer. */
static bool add_headers(struct MHD_Response *response, const char *type, const char *policy)
{
    const char *const headers[][2] = {
        {"Content-Type", type},
        {"Content-Security-Policy", policy},
        {"Cache-Control", "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        if (MHD_add_response_header(response, headers[i][0], headers[i][1]) != MHD_YES)
            return false;
    return true;
}

static bool make_routines(hr_http *http)
{
    for (int i = 0; i < ROUTINE_COUNT; i++) {
        const char *body = routines[i].body, *header = routines[i].header;
        struct MHD_Response *response =
            MHD_create_response_from_buffer(strlen(body), (void *)(uintptr_t)body, MHD_RESPMEM_PERSISTENT);
        http->responses[i] = response;
        if (!response || !add_headers(response, "text/plain; charset=utf-8", "default-src 'none'") ||
            (header && MHD_add_response_header(response, header, routines[i].value) != MHD_YES))
            return false;
    }
    return true;
}

static enum MHD_Result answer(hr_http *http, struct MHD_Connection *connection, enum routine which)
{
    return MHD_queue_response(connection, routines[which].status, http->responses[which]);
}

static struct buffer *take_buffer(hr_http *http)
{
    for (size_t i = 0; i < BUFFERS; i++) {
        if (!http->buffers[i].taken) {
            http->buffers[i].taken = true;
            return &http->buffers[i];
        }
    }
    return NULL;
}

static void give_buffer(void *context)
{
    struct buffer *buffer = context;
    buffer->taken = false;
}

/* The page around its data. */
static struct MHD_Response *make_page(hr_http *http, struct buffer *buffer, size_t size)
{
    const hr_page_parts *page = &http->page;
    const struct MHD_IoVec parts[] = {
        {page->head, page->head_bytes}, {LIVE_POLICY, sizeof LIVE_POLICY - 1}, {page->middle, page->middle_bytes},
        {buffer->text, size},           {page->tail, page->tail_bytes},
    };
    return MHD_create_response_from_iovec(parts, sizeof parts / sizeof *parts, give_buffer, buffer);
}

/* Formats into a buffer and sends it, as it is or as the page's data. */
static enum MHD_Result answer_formatted(hr_http *http, struct MHD_Connection *connection,
                                        ssize_t (*format)(void *, char *, size_t), const char *type, bool as_page)
{
    struct buffer *buffer = take_buffer(http);
    if (!buffer)
        return answer(http, connection, ROUTINE_BUSY);
    ssize_t length = format(http->source.context, buffer->text, BUFFER_BYTES);
    if (length < 0 || (size_t)length >= BUFFER_BYTES) {
        give_buffer(buffer);
        return answer(http, connection, ROUTINE_FAILED);
    }
    struct MHD_Response *response =
        as_page
            ? make_page(http, buffer, (size_t)length)
            : MHD_create_response_from_buffer_with_free_callback_cls((size_t)length, buffer->text, give_buffer, buffer);
    if (!response) {
        give_buffer(buffer);
        return answer(http, connection, ROUTINE_BUSY);
    }
    enum MHD_Result result = MHD_NO;
    if (add_headers(response, type, as_page ? http->policy : "default-src 'none'"))
        result = MHD_queue_response(connection, 200, response);
    MHD_destroy_response(response);
    return result;
}

/* ── connections ────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Hangs up the oldest connection that is not being answered, if all are open. libmicrohttpd takes it as if the client
 * had hung up. */
static void make_room(hr_http *http, const struct client *newest)
{
    struct client *oldest = NULL;
    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct client *client = &http->clients[i];
        if (!client->open)
            return;
        if (client != newest && !client->answered && (!oldest || client->number < oldest->number))
            oldest = client;
    }
    if (oldest)
        shutdown(oldest->fd, SHUT_RDWR);
}

static void opened_or_closed(void *context, struct MHD_Connection *connection, void **state,
                             enum MHD_ConnectionNotificationCode code)
{
    hr_http *http = context;
    struct client *client = *state;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (client)
            client->open = false;
        return;
    }
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    for (size_t i = 0; i < CONNECTIONS && !client; i++)
        client = http->clients[i].open ? NULL : &http->clients[i];
    if (!client || !info)
        return;
    *client = (struct client){.open = true, .fd = info->connect_fd, .number = http->opened++};
    *state = client;
    make_room(http, client);
}

/* An answer begins and ends. */
static void mark(struct MHD_Connection *connection, bool answered)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct client *client = info ? info->socket_context : NULL;
    if (client)
        client->answered = answered;
}

static void completed(void *context, struct MHD_Connection *connection, void **state,
                      enum MHD_RequestTerminationCode code)
{
    (void)context, (void)state, (void)code;
    mark(connection, false);
}

/* ── requests ───────────────────────────────────────────────────────────────────────────────────────────────────── */

static const char *header_of(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static bool has_token(const hr_http *http, struct MHD_Connection *connection)
{
    static const char bearer[] = "Bearer ";
    const char *header = header_of(connection, "Authorization");
    const char *argument = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "token");
    if (header && strncmp(header, bearer, sizeof bearer - 1) == 0)
        return http_token_is(http->token, header + sizeof bearer - 1);
    return http_token_is(http->token, argument);
}

static enum MHD_Result route(hr_http *http, struct MHD_Connection *connection, const char *path)
{
    const hr_http_source *source = &http->source;
    const char *host = header_of(connection, "Host");
    if (strcmp(path, "/healthz") == 0)
        return answer(http, connection, ROUTINE_OK);
    if (strcmp(path, "/readyz") == 0)
        return answer(http, connection, source->level(source->context) == HR_CRITICAL ? ROUTINE_NOT_READY : ROUTINE_OK);
    if (http->token && !has_token(http, connection))
        return answer(http, connection, ROUTINE_NO_TOKEN);
    if (!http->token && !http_host_is_known(host, &http->address))
        return answer(http, connection, ROUTINE_HOST);
    if (!http_origin_is_own(header_of(connection, "Origin"), host))
        return answer(http, connection, ROUTINE_ORIGIN);
    if (strcmp(path, "/metrics") == 0)
        return answer_formatted(http, connection, source->metrics,
                                "application/openmetrics-text; version=1.0.0; charset=utf-8", false);
    if (strcmp(path, "/history.json") == 0)
        return answer_formatted(http, connection, source->page_data, "application/json", false);
    if (strcmp(path, "/") != 0)
        return answer(http, connection, ROUTINE_NO_PATH);
    if (!http->has_page)
        return answer(http, connection, ROUTINE_NO_PAGE);
    return answer_formatted(http, connection, source->page_data, "text/html; charset=utf-8", true);
}

/* The first call has the headers; whatever is answered then ends a connection that still sends a body. */
static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *bytes, size_t *size, void **ret_state)
{
    (void)version, (void)bytes, (void)size;
    static int seen;
    bool is_read = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    if (is_read && !*ret_state) {
        *ret_state = &seen;
        return MHD_YES;
    }
    mark(connection, true);
    if (!is_read)
        return answer(context, connection, ROUTINE_NO_METHOD);
    return route(context, connection, path);
}

/* ── from the start to the stop ─────────────────────────────────────────────────────────────────────────────────── */

static void free_all(hr_http *http)
{
    if (http->daemon)
        MHD_stop_daemon(http->daemon);
    for (int i = 0; i < ROUTINE_COUNT; i++)
        if (http->responses[i])
            MHD_destroy_response(http->responses[i]);
    if (http->pages)
        munmap(http->pages, BUFFERS * BUFFER_BYTES);
    if (http->budget) {
        hr_budget_uncharge(http->budget, RESERVE_BYTES);
        hr_budget_free(http->budget);
    }
    free(http->policy);
    free(http->token);
    free(http);
}

/* Charges what all answers take. */
static int charge(hr_http *http)
{
    hr_budget *budget;
    int error = http->guard ? hr_budget_new(hr_guard_root(http->guard), "http", HR_NONE, &budget) : 0;
    if (error || !http->guard)
        return error;
    error = hr_budget_charge(budget, RESERVE_BYTES);
    if (error)
        hr_budget_free(budget);
    else
        http->budget = budget;
    return error;
}

/* Maps the buffers and touches them. */
static int make_buffers(hr_http *http)
{
    void *pages =
        mmap(NULL, BUFFERS * BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (pages == MAP_FAILED)
        return -errno;
    http->pages = pages;
    for (size_t i = 0; i < BUFFERS; i++)
        http->buffers[i].text = http->pages + i * BUFFER_BYTES;
    return 0;
}

static int copy_texts(hr_http *http, const char *token)
{
    http->has_page = hr_page_read_parts(&http->page) == 0;
    if (http->has_page) {
        static const char behind[] = LIVE_POLICY "; frame-ancestors 'none'";
        size_t size = strlen(http->page.policy) + sizeof behind;
        http->policy = malloc(size);
        if (!http->policy)
            return -ENOMEM;
        snprintf(http->policy, size, "%s%s", http->page.policy, behind);
    }
    http->token = token ? strdup(token) : NULL;
    return token && !http->token ? -ENOMEM : 0;
}

static int start(hr_http *http)
{
    unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC;
    if (http->address.socket.ss_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    errno = 0;
    /* clang-format off */
    http->daemon = MHD_start_daemon(flags, 0, NULL, NULL, handle, http,
                                    MHD_OPTION_SOCK_ADDR, &http->address.socket,
                                    MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS,
                                    MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES,
                                    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S,
                                    MHD_OPTION_NOTIFY_CONNECTION, opened_or_closed, http,
                                    MHD_OPTION_NOTIFY_COMPLETED, completed, NULL,
                                    MHD_OPTION_THREAD_STACK_SIZE, STACK_BYTES,
                                    MHD_OPTION_END);
    /* clang-format on */
    return http->daemon ? 0 : errno ? -errno : -EAGAIN;
}

int hr_http_start(hr_guard *guard, const hr_http_options *options, hr_http **ret_http)
{
    const hr_http_options standard = {0};
    options = options ? options : &standard;
    const char *token = options->token && *options->token ? options->token : NULL;
    if (!ret_http || (!guard && !options->source) || (token && strlen(token) < HR_HTTP_TOKEN_BYTES))
        return -EINVAL;
    hr_http *http = calloc(1, sizeof *http);
    if (!http)
        return -ENOMEM;
    http->guard = guard;
    http->source =
        options->source ? *options->source : (hr_http_source){guard_page_data, guard_metrics, guard_level, guard};
    int error = http_address_parse(options->address ? options->address : "127.0.0.1:9464", &http->address);
    if (!error && !http->address.is_loopback && !token)
        error = -EACCES;
    if (!error)
        error = charge(http);
    if (!error)
        error = make_buffers(http);
    if (!error)
        error = copy_texts(http, token);
    if (!error && !make_routines(http))
        error = -ENOMEM;
    if (!error)
        error = start(http);
    if (error) {
        free_all(http);
        return error;
    }
    *ret_http = http;
    return 0;
}

unsigned hr_http_port(const hr_http *http)
{
    const union MHD_DaemonInfo *info = http ? MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT) : NULL;
    return info ? info->port : 0;
}

void hr_http_stop(hr_http *http)
{
    if (http)
        free_all(http);
}
