/* SPDX-License-Identifier: Apache-2.0 */
/* headroom run --http: the page of what is run, by libheadroom-http. A build without libmicrohttpd has no such file. */
#include "cli.h"
#include "run/serve.h"

#include <headroom/http.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void complain(const char *address, const char *token, int error)
{
    const char *why = strerror(-error);
    size_t length = token ? strlen(token) : 0;
    if (length > 0 && length < HR_HTTP_TOKEN_BYTES) {
        fprintf(stderr,
                "headroom run: --http '%s': the token in HEADROOM_HTTP_TOKEN has %zu characters, and at least %d are "
                "asked: a right one is what 'openssl rand -hex 16' prints\n",
                address, length, HR_HTTP_TOKEN_BYTES);
        return;
    }
    if (error == -EINVAL)
        why = "it is no HOST:PORT: write for example 127.0.0.1:9464, or 127.0.0.1:0 for any port that is free";
    else if (error == -EACCES)
        why =
            "it can be reached from other machines: put a token of 16 characters or more into HEADROOM_HTTP_TOKEN, or "
            "listen on 127.0.0.1";
    fprintf(stderr, "headroom run: --http '%s': %s\n", address, why);
}

static void *start(const char *address, run_serve *serve)
{
    const hr_http_source source = {run_serve_page_data, run_serve_metrics, run_serve_level, serve};
    hr_http *http;
    hr_http_options options = {.address = address, .token = getenv("HEADROOM_HTTP_TOKEN"), .source = &source};
    int error = hr_http_start(NULL, &options, &http);
    if (error)
        complain(address, options.token, error);
    unsetenv("HEADROOM_HTTP_TOKEN"); /* it is no affair of the command's */
    if (error)
        return NULL;
    const char *colon = strrchr(address, ':');
    int length = colon && colon != address ? (int)(colon - address) : 0;
    fprintf(stderr, "headroom run: the page is at http://%.*s:%u/\n", length ? length : 9,
            length ? address : "127.0.0.1", hr_http_port(http));
    return http;
}

static void stop(void *http)
{
    hr_http_stop(http);
}

const run_server run_http = {start, stop};
