/* SPDX-License-Identifier: Apache-2.0 */
/* headroom run: the words of its command line. */
#include "cli.h"
#include "run/run.h"

#include <argp.h>
#include <string.h>

enum key {
    LIMIT = 256,
    AT,
    GRACE,
    ON_LIMIT,
    OBSERVE,
    PID,
    REPORT,
    QUIET,
    SUMMARY,
    HTTP,
};

static const struct argp_option known[] = {
    {"limit", LIMIT, "SIZE|N%", 0,
     "the limit, or a share of it (default: 'headroom doctor' finds it, less 2 % and at least 2 MiB)", 0},
    {"at", AT, "LEVEL=ACTION", 0,
     "at warning, degraded, critical, a size or N%: signal:NAME, exec:COMMAND, purge, freeze or log", 0},
    {"on-limit", ON_LIMIT, "HOW", 0,
     "at the limit: term, freeze or abort; or, by headroom's malloc in the command: fail or wait", 0},
    {"grace", GRACE, "TIME", 0, "the time from SIGTERM to SIGKILL (default 10s)", 0},
    {"observe", OBSERVE, NULL, 0, "look and tell what would be done, and do nothing", 0},
    {"pid", PID, "PID", 0, "watch this process, instead of a command", 0},
    {"report", REPORT, "FILE", 0, "keep a history file, for 'headroom report FILE'", 0},
    {"http", HTTP, "HOST:PORT", 0, "serve a live page, metrics and health there", 0},
    {"summary-json", SUMMARY, "FILE", 0, "write the summary as JSON; - is standard output", 0},
    {"quiet", QUIET, NULL, 0, "no status line and no summary on standard error", 0},
    {0},
};

static const char description[] =
    "Watches a command and all that it starts, and acts before the kernel kills: by default SIGTERM at level "
    "critical, and SIGKILL after the grace."
    "\v"
    "Exit status: the command's; 128 + N if signal N ended it; 125 if headroom failed, 126 if the command cannot be "
    "executed, 127 if there is none.";

static void parse_own_limit(const char *text, run_options *options, struct argp_state *state)
{
    options->limit_bytes = 0;
    options->limit_share = 0;
    if (!run_share_parse(text, &options->limit_share))
        options->limit_bytes = parse_limit("--limit", text, ", or a share such as 90%", state);
}

static void parse_at(const char *text, run_options *options, struct argp_state *state)
{
    if (options->trigger_count == RUN_TRIGGERS_MAX)
        argp_error(state, "--at: write at most %d of them", RUN_TRIGGERS_MAX);
    const char *error = run_trigger_parse(text, &options->triggers[options->trigger_count++]);
    if (error)
        argp_error(state, "--at '%s': %s", text, error);
}

static void parse_on_limit(const char *text, run_options *options, struct argp_state *state)
{
    for (int i = 0; run_on_limit_text((run_on_limit)i); i++) {
        if (strcmp(text, run_on_limit_text((run_on_limit)i)) == 0) {
            options->on_limit = (run_on_limit)i;
            return;
        }
    }
    argp_error(state, "--on-limit '%s' is not known: there are term, freeze, abort, fail and wait", text);
}

/* Without a word of what is to be done there is a default. To log or to purge below critical is no such word. */
static void complete(run_options *options, bool has_on_limit, struct argp_state *state)
{
    if (options->pid && options->command)
        argp_error(state, "--pid watches a process that runs already: there is no command beside it");
    if (!options->pid && !options->command)
        argp_error(state, "a command is missing: write for example 'headroom run -- ./server'");
    bool by_heap = options->on_limit == RUN_LIMIT_FAIL || options->on_limit == RUN_LIMIT_WAIT;
    if (by_heap && options->pid)
        argp_error(state,
                   "--on-limit %s is done in the command from its start: it goes with a command, and without --pid",
                   run_on_limit_text(options->on_limit));
    bool replaced = has_on_limit;
    for (size_t i = 0; i < options->trigger_count; i++) {
        const run_trigger *trigger = &options->triggers[i];
        replaced |= trigger->level == HR_CRITICAL || (trigger->action != RUN_LOG && trigger->action != RUN_PURGE);
    }
    if (!replaced)
        parse_at("critical=signal:TERM", options, state);
}

struct line {
    run_options options;
    bool has_on_limit;
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct line *line = state->input;
    run_options *options = &line->options;
    switch (key) {
    case LIMIT:
        parse_own_limit(value, options, state);
        return 0;
    case AT:
        parse_at(value, options, state);
        return 0;
    case GRACE:
        if (!run_time_parse(value, &options->grace_ns))
            argp_error(state, "--grace '%s' is no time: write for example 10s, 500ms or 2m", value);
        return 0;
    case ON_LIMIT:
        parse_on_limit(value, options, state);
        line->has_on_limit = true;
        return 0;
    case OBSERVE:
        options->observe = true;
        return 0;
    case PID:
        options->pid = parse_pid("--pid", value, state);
        return 0;
    case REPORT:
        options->report = parse_text("--report", value, "a file, such as /var/tmp/history", state);
        return 0;
    case HTTP:
#ifndef HEADROOM_HAS_HTTP
        argp_error(state, "--http: this headroom was built without libmicrohttpd: install it (Debian: apt-get install "
                          "libmicrohttpd-dev) and build again");
#else
        options->server = &run_http;
#endif
        options->http = parse_text("--http", value, "HOST:PORT, such as 127.0.0.1:9464", state);
        return 0;
    case QUIET:
        options->quiet = true;
        return 0;
    case SUMMARY:
        options->summary = parse_text("--summary-json", value, "a file, such as /tmp/summary.json, or -", state);
        return 0;
    case ARGP_KEY_ARG:
        options->command = state->argv + state->next - 1;
        state->next = state->argc; /* the rest is the command's */
        return 0;
    case ARGP_KEY_END:
        complete(options, line->has_on_limit, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int run(int argc, char **argv)
{
    static const struct argp argp = {.options = known,
                                     .parser = parse,
                                     .children = short_help_children,
                                     .args_doc = "[--] COMMAND [ARG...]\n--pid PID",
                                     .doc = description};
    static char name[] = "headroom run";
    static struct line line = {.options.grace_ns = INT64_C(10000000000)};
    argp_err_exit_status = RUN_EXIT_FAILED;
    argv[0] = name; /* argp calls the program by its first argument */
    parse_words(&argp, ARGP_IN_ORDER, argc, argv, &line);
    if (!line.options.pid && refuse_declared(name))
        return RUN_EXIT_FAILED;
    return run_supervise(&line.options);
}
