/* SPDX-License-Identifier: Apache-2.0 */
/* The command line, by GNU argp, which brings --help, --usage and --version. Each mistake is answered with what was
 * wrong and what would be right; argp_error() ends the program.
 */
#include "store.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_MIN_BYTES (UINT64_C(4) << 20)
#define CONNECTIONS_MAX 100000
#define INTERVAL_MAX_MS 3600000

/* In the order of the table; beyond characters, so that none has a short form. */
enum key {
    LISTEN = 256,
    LIMIT,
    WARN_AT,
    DEGRADE_AT,
    CRITICAL_AT,
    RECOVER_BELOW,
    PINNED_SHARE,
    MAX_CONNECTIONS,
    HISTORY,
    INTERVAL,
    PAGE,
    UNGUARDED,
};

static const struct argp_option known[] = {
    {"listen", LISTEN, "HOST:PORT", 0, "where to listen (127.0.0.1:8080; port 0: any)", 0},
    {"limit", LIMIT, "SIZE", 0, "memory to live in (the kernel's limit)", 0},
    {"warn-at", WARN_AT, "SHARE", 0, "half way to --degrade-at the cache stops growing (0.80)", 0},
    {"degrade-at", DEGRADE_AT, "SHARE", 0, "above it large writes are refused (0.90)", 0},
    {"critical-at", CRITICAL_AT, "SHARE", 0, "above it every write is refused (half way to 1)", 0},
    {"recover-below", RECOVER_BELOW, "SHARE", 0, "where eviction aims (0.80)", 0},
    {"pinned-share", PINNED_SHARE, "SHARE", 0, "the most that pinned objects may take (0.30)", 0},
    {"max-connections", MAX_CONNECTIONS, "N", 0, "connections at a time; more wait (512)", 0},
    {"history", HISTORY, "FILE", 0, "append what happens, for 'headroom report FILE'", 0},
    {"interval-ms", INTERVAL, "N", 0, "milliseconds between samples at rest (1000)", 0},
    {"page", PAGE, "HOST:PORT", 0, "serve the guard's live page there", 0},
    {"unguarded", UNGUARDED, NULL, 0, "the same server without headroom", 0},
    {0},
};

static const char description[] =
    "Keeps objects in memory and serves them over HTTP, under a memory limit that it survives. SIZE is such "
    "as 100MiB; SHARE is of the limit, such as 0.85; in brackets are the defaults."
    "\v"
    "PUT, GET, HEAD and DELETE /cache/KEY (may be evicted) and /pinned/KEY (kept); GET /healthz, /readyz, /metrics. "
    "SIGTERM finishes what is in flight, for at most 10 seconds, and ends.";

/* A number without a sign; -1 if the text is none. */
static long parse_number(const char *text)
{
    bool digits = *text && text[strspn(text, "0123456789")] == '\0';
    return digits ? strtol(text, NULL, 10) : -1;
}

/* HOST:PORT, where an IPv6 address stands in brackets. */
static void parse_listen(char *text, struct argp_state *state, struct options *options)
{
    char *colon = strrchr(text, ':');
    long port = colon && colon != text ? parse_number(colon + 1) : -1;
    if (port < 0 || port > 65535) {
        argp_error(state,
                   "--listen '%s' is no HOST:PORT: write for example 127.0.0.1:8080 or [::1]:8080, with a port "
                   "from 0 to 65535",
                   text);
        return;
    }
    options->port = colon + 1;
    *colon = '\0';
    if (*text == '[' && colon[-1] == ']') {
        text++;
        colon[-1] = '\0';
    }
    options->host = text;
}

static void parse_limit(const char *text, struct argp_state *state, uint64_t *ret_bytes)
{
    int error = hr_size_parse(text, ret_bytes);
    if (error == -ERANGE)
        argp_error(state, "--limit '%s' is more than can be counted: write one below 16 EiB, such as 100MiB", text);
    if (error)
        argp_error(state, "--limit '%s' is no size: write a number and B, KiB, MiB, GiB or TiB, such as 100MiB", text);
    if (*ret_bytes < LIMIT_MIN_BYTES)
        argp_error(state, "--limit '%s' is too small: the server itself needs some MiB; write at least 4MiB", text);
}

static void parse_share(int key, const char *text, struct argp_state *state, double *ret_share)
{
    char *end;
    *ret_share = strtod(text, &end);
    if (end == text || *end || !(*ret_share > 0 && *ret_share <= 1))
        argp_error(state, "--%s '%s' is no share: write a number above 0 and up to 1, such as 0.85",
                   known[key - LISTEN].name, text);
}

static void parse_connections(const char *text, struct argp_state *state, unsigned *ret_count)
{
    long count = parse_number(text);
    if (count < 1 || count > CONNECTIONS_MAX)
        argp_error(state, "--max-connections '%s' is no such number: write one from 1 to %d", text, CONNECTIONS_MAX);
    *ret_count = (unsigned)count;
}

static void parse_interval(const char *text, struct argp_state *state, int64_t *ret_ns)
{
    long count = parse_number(text);
    if (count < 1 || count > INTERVAL_MAX_MS)
        argp_error(state, "--interval-ms '%s' is no such number: write one from 1 to %d", text, INTERVAL_MAX_MS);
    *ret_ns = count * 1000000;
}

static void parse_history(const char *text, struct argp_state *state, const char **ret_path)
{
    if (!*text)
        argp_error(state, "--history '' is no file: write where it is to be, such as /var/lib/store/history");
    *ret_path = text;
}

static void parse_page(const char *text, struct argp_state *state, const char **ret_address)
{
    if (!*text)
        argp_error(state, "--page '' is no HOST:PORT: write for example 127.0.0.1:9464");
    *ret_address = text;
}

/* An option that was given and means nothing without a guard; NULL: there is none. */
static const char *needs_guard(const struct options *options)
{
    bool shares = options->warn_at > 0 || options->degrade_at > 0 || options->critical_at > 0;
    if (options->limit_bytes)
        return "--limit is";
    if (shares || options->recover_below > 0)
        return "thresholds are";
    if (options->interval_ns)
        return "--interval-ms is";
    return options->history ? "--history is" : options->page ? "--page is" : NULL;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct options *options = state->input;
    double *const shares[] = {&options->warn_at, &options->degrade_at, &options->critical_at, &options->recover_below,
                              &options->pinned_share};
    if (key == LISTEN)
        parse_listen(value, state, options);
    else if (key == LIMIT)
        parse_limit(value, state, &options->limit_bytes);
    else if (key >= WARN_AT && key <= PINNED_SHARE)
        parse_share(key, value, state, shares[key - WARN_AT]);
    else if (key == MAX_CONNECTIONS)
        parse_connections(value, state, &options->max_connections);
    else if (key == HISTORY)
        parse_history(value, state, &options->history);
    else if (key == INTERVAL)
        parse_interval(value, state, &options->interval_ns);
    else if (key == PAGE)
        parse_page(value, state, &options->page);
    else if (key == UNGUARDED)
        options->unguarded = true;
    else if (key == ARGP_KEY_END && options->unguarded && needs_guard(options))
        argp_error(state, "%s for the guard, and --unguarded has none: leave one of them out", needs_guard(options));
    else if (key == ARGP_KEY_ARG)
        argp_error(state, "'%s' is not expected: there are only options, such as --limit 100MiB", value);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static void print_version(FILE *stream, struct argp_state *state)
{
    (void)state;
    fprintf(stream, "headroom-store %s\n", hr_version());
}

/* An option that ends the line without its value gets an empty one: its parser then names a right value. getopt would
 * only say that a value is missing. */
static void give_empty_value(int argc, char **argv)
{
    static char word[64];
    bool is_open = false; /* the option before waits for its value */
    for (int i = 1; i < argc; i++) {
        const struct argp_option *option = known;
        while (option->name &&
               !(option->arg && strncmp(argv[i], "--", 2) == 0 && strcmp(argv[i] + 2, option->name) == 0))
            option++;
        is_open = !is_open && option->name;
    }
    if (is_open) {
        snprintf(word, sizeof word, "%s=", argv[argc - 1]);
        argv[argc - 1] = word;
    }
}

void options_parse(int argc, char **argv, struct options *ret_options)
{
    static const struct argp argp = {.options = known, .parser = parse, .doc = description};
    static char name[] = "headroom-store"; /* argp calls the program by its first argument */
    argv[0] = name;
    argp_err_exit_status = EXIT_USAGE;
    argp_program_version_hook = print_version;
    *ret_options = (struct options){.host = "127.0.0.1", .port = "8080", .pinned_share = 0.30, .max_connections = 512};
    give_empty_value(argc, argv);
    argp_parse(&argp, argc, argv, 0, NULL, ret_options);
}
