/* SPDX-License-Identifier: Apache-2.0 */
/* A guard's page, live over HTTP. A library of its own (-lheadroom-http, headroom::http) on GNU libmicrohttpd, so that
 * the others need no web server.
 *
 *     hr_http *http;
 *     int error = hr_http_start(guard, &(hr_http_options){.address = "127.0.0.1:9464"}, &http);
 *     ...
 *     hr_http_stop(http);
 *
 *     /              the page, which asks for history.json each second
 *     /history.json  its data
 *     /metrics       OpenMetrics, for Prometheus
 *     /healthz       200 for as long as it answers
 *     /readyz        200, or 503 while the level is critical
 *
 * It listens on loopback; elsewhere only with a token, which a request brings as "Authorization: Bearer TOKEN" or as
 * "?token=TOKEN" ("/healthz" and "/readyz" need none). A request without a token is answered only if its Host is
 * localhost, an address, or the host that it listens on. So no web page can reach it by a name of its own that it makes
 * point here. A request of another origin is refused.
 *
 * Memory for answers is charged to a budget "http" from the start and touched: it answers at critical too. Two long
 * answers are sent at a time; further ones are 503 with Retry-After. Sixteen connections are open at a time; the next
 * one takes the place of the oldest that is not being answered, so that half-sent requests keep no probe out. After a
 * fork the server is the parent's alone: the child must not call hr_http_stop().
 */
#ifndef HEADROOM_HTTP_H
#define HEADROOM_HTTP_H

#include <headroom/base.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The shortest token. */
#define HR_HTTP_TOKEN_BYTES 16

/* Where answers come from if not from a guard. Each is called on the server's thread. The first two format as
 * snprintf() does; a negative errno of theirs is answered by 500. */
typedef struct hr_http_source {
    ssize_t (*page_data)(void *context, char *buffer, size_t size); /* JSON, as hr_page_format() gives it */
    ssize_t (*metrics)(void *context, char *buffer, size_t size);   /* OpenMetrics */
    hr_level (*level)(void *context);
    void *context;
} hr_http_source;

/* Zero means default everywhere. */
typedef struct hr_http_options {
    const char *address; /* "127.0.0.1:9464": HOST:PORT, [::1]:PORT or :PORT (on loopback); port 0: any that is free */
    const char *token;   /* at least HR_HTTP_TOKEN_BYTES; without one (NULL or "") it listens on loopback alone */
    const hr_http_source *source; /* copied; NULL: the guard */
} hr_http_options;

typedef struct hr_http hr_http;

/* Starts a thread that serves. The guard may be NULL where there is a source; then nothing is charged.
 *
 * returns  0; -EINVAL for an address that is none, a token that is too short, or neither guard nor source. -EACCES for
 *          an address beyond loopback without a token. -EDQUOT if the guard has no room for the reserve. -EADDRINUSE,
 *          -EADDRNOTAVAIL, -ENOMEM, -EAGAIN, -EMFILE …
 * threads  any
 * memory   allocates
 * undo     hr_http_stop()
 */
HR_API HR_MUST_CHECK int hr_http_start(hr_guard *guard, const hr_http_options *options, hr_http **ret_http);

/* Gives the port that it listens on.
 *
 * returns  the port; 0 without a server
 * threads  any
 */
HR_API unsigned hr_http_port(const hr_http *http);

/* Ends all connections, and the thread. NULL is fine. To be called before the guard is freed.
 *
 * threads  one, as the last user of the server
 */
HR_API void hr_http_stop(hr_http *http);

#ifdef __cplusplus
}
#endif

#endif
