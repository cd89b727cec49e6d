/* SPDX-License-Identifier: Apache-2.0 */
/* The command line. Each mistake is answered with what was wrong and what would be right; nothing is guessed. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <headroom/headroom.h>

#define LIMIT_MIN_BYTES (UINT64_C(4) << 20)
#define CONNECTIONS_MAX 100000

enum {
    EXIT_USAGE = 2,
    GO_ON = -1
};

static const char help[] =
    "Usage: headroom-store [OPTION]...\n"
    "Keeps objects in memory and serves them over HTTP, under a memory limit that it survives.\n"
    "\n"
    "  --listen HOST:PORT     where to listen (default 127.0.0.1:8080; port 0 picks a free one)\n"
    "  --limit SIZE           memory to live in, such as 100MiB (default: the kernel's own limit)\n"
    "  --warn-at SHARE        from this share of the limit up the cache stops growing (default 0.80)\n"
    "  --degrade-at SHARE     above it the cache is evicted and large writes are refused (default 0.90)\n"
    "  --critical-at SHARE    above it every write is refused (default: half way from --degrade-at to 1)\n"
    "  --recover-below SHARE  where eviction aims (default 0.80)\n"
    "  --pinned-share SHARE   the most that pinned objects may take of the limit (default 0.30)\n"
    "  --max-connections N    connections served at a time; more wait (default 512)\n"
    "  --unguarded            the same server without headroom: no limit, no refusals, no eviction\n"
    "  --help, --version\n"
    "\n"
    "PUT, GET and DELETE /cache/KEY (may be evicted) and /pinned/KEY (kept); GET /healthz, /readyz, /metrics.\n"
    "SIGTERM finishes what is in flight, for at most 10 seconds, and ends.\n";

enum option_id {
    LISTEN = 1,
    LIMIT,
    WARN_AT,
    DEGRADE_AT,
    CRITICAL_AT,
    RECOVER_BELOW,
    PINNED_SHARE,
    MAX_CONNECTIONS,
    UNGUARDED,
    HELP,
    VERSION,
};

static const struct option known[] = {
    {"listen", required_argument, NULL, LISTEN},
    {"limit", required_argument, NULL, LIMIT},
    {"warn-at", required_argument, NULL, WARN_AT},
    {"degrade-at", required_argument, NULL, DEGRADE_AT},
    {"critical-at", required_argument, NULL, CRITICAL_AT},
    {"recover-below", required_argument, NULL, RECOVER_BELOW},
    {"pinned-share", required_argument, NULL, PINNED_SHARE},
    {"max-connections", required_argument, NULL, MAX_CONNECTIONS},
    {"unguarded", no_argument, NULL, UNGUARDED},
    {"help", no_argument, NULL, HELP},
    {"version", no_argument, NULL, VERSION},
    {0},
};

static __attribute__((format(printf, 1, 2))) int mistake(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("headroom-store: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs("\nTry 'headroom-store --help'.\n", stderr);
    va_end(arguments);
    return EXIT_USAGE;
}

/* HOST:PORT, where an IPv6 address stands in brackets. */
static int parse_listen(const char *text, struct options *options)
{
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    unsigned long port = colon && colon[1] >= '0' && colon[1] <= '9' ? strtoul(colon + 1, &end, 10) : 0;
    if (!end || *end || end - colon > 6 || port > 65535 || colon == text)
        return mistake("--listen '%s' is no HOST:PORT: write for example 127.0.0.1:8080 or [::1]:8080, "
                       "with a port from 0 to 65535",
                       text);
    size_t length = (size_t)(colon - text);
    if (*text == '[' && length > 2 && colon[-1] == ']') {
        text++;
        length -= 2;
    }
    if (length >= sizeof options->host)
        return mistake("--listen: the host is longer than %zu characters", sizeof options->host - 1);
    memcpy(options->host, text, length);
    options->host[length] = '\0';
    snprintf(options->port, sizeof options->port, "%lu", port);
    return GO_ON;
}

static int parse_limit(const char *text, uint64_t *ret_bytes)
{
    uint64_t bytes;
    int error = hr_size_parse(text, &bytes);
    if (error == -ERANGE)
        return mistake("--limit '%s' is more than can be counted: write a size below 16 EiB, or none", text);
    if (error)
        return mistake("--limit '%s' is no size: write a number and B, KiB, MiB, GiB or TiB, such as 100MiB", text);
    if (bytes < LIMIT_MIN_BYTES)
        return mistake("--limit '%s' is too small: the server itself needs some MiB; write at least 4MiB", text);
    *ret_bytes = bytes;
    return GO_ON;
}

static int parse_share(const char *name, const char *text, double *ret_share)
{
    char *end;
    errno = 0;
    double share = strtod(text, &end);
    if (end == text || *end || errno || !(share > 0 && share <= 1))
        return mistake("--%s '%s' is no share: write a number above 0 and up to 1, such as 0.85", name, text);
    *ret_share = share;
    return GO_ON;
}

static int parse_connections(const char *text, unsigned *ret_count)
{
    char *end = NULL;
    unsigned long count = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
    if (!end || *end || count < 1 || count > CONNECTIONS_MAX)
        return mistake("--max-connections '%s' is no such number: write one from 1 to %d", text, CONNECTIONS_MAX);
    *ret_count = (unsigned)count;
    return GO_ON;
}

static int apply(enum option_id id, const char *name, const char *value, struct options *options)
{
    switch (id) {
    case LISTEN:
        return parse_listen(value, options);
    case LIMIT:
        return parse_limit(value, &options->limit_bytes);
    case WARN_AT:
        return parse_share(name, value, &options->warn_at);
    case DEGRADE_AT:
        return parse_share(name, value, &options->degrade_at);
    case CRITICAL_AT:
        return parse_share(name, value, &options->critical_at);
    case RECOVER_BELOW:
        return parse_share(name, value, &options->recover_below);
    case PINNED_SHARE:
        return parse_share(name, value, &options->pinned_share);
    case MAX_CONNECTIONS:
        return parse_connections(value, &options->max_connections);
    case UNGUARDED:
        options->unguarded = true;
        return GO_ON;
    case HELP:
        fputs(help, stdout);
        return EXIT_SUCCESS;
    case VERSION:
        printf("headroom-store %s\n", hr_version());
        return EXIT_SUCCESS;
    }
    return EXIT_USAGE;
}

int options_parse(int argc, char **argv, struct options *ret_options)
{
    struct options options = {.host = "127.0.0.1", .port = "8080", .pinned_share = 0.30, .max_connections = 512};
    opterr = 0; /* getopt's own messages do not say what would be right */
    for (;;) {
        int at = optind, index = 0;
        int id = getopt_long(argc, argv, ":", known, &index);
        if (id == -1)
            break;
        if (id == ':')
            return mistake("%s needs a value", argv[at]);
        if (id == '?')
            return mistake(optopt ? "'%s' takes no value" : "there is no option '%s', or it is not clear which",
                           argv[at]);
        int status = apply((enum option_id)id, known[index].name, optarg, &options);
        if (status != GO_ON)
            return status;
    }
    if (optind < argc)
        return mistake("'%s' is not expected: there are only options", argv[optind]);
    *ret_options = options;
    return GO_ON;
}
