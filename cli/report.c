/* SPDX-License-Identifier: Apache-2.0 */
/* headroom report: what a history file has to tell, also after its process was killed, and while one still writes
 * it. */
#include "report.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum key {
    JSON = 256,
    CSV,
    HTML,
};

static const struct argp_option known[] = {
    {"json", JSON, NULL, 0, "one JSON object, with all samples; what is absent is null", 0},
    {"csv", CSV, NULL, 0, "a table of all samples for spreadsheets, a line each", 0},
    {"html", HTML, NULL, 0, "one page with charts, for a browser: it needs no network and no other file", 0},
    {"output", 'o', "PATH", 0, "write to this file instead of standard output", 0},
    {0},
};

static const char description[] =
    "Shows what a history file has to tell: how each ledger went, levels and relief, the trend, and when the limit "
    "would "
    "have been met."
    "\v"
    "FILE is what a program gave as hr_guard_options.history_file; FILE.1, its older part, is read too. What was torn "
    "by a "
    "kill or damaged is passed over and said. Exit status: 0 if there is a report, 1 if not, 2 for a wrong option.";

#define PATHS_MAX 4

enum form {
    AS_TEXT,
    AS_JSON,
    AS_CSV,
    AS_HTML,
};

struct options {
    const char *paths[PATHS_MAX];
    size_t path_count;
    enum form form;
    const char *output;
};

static void parse_form(enum form form, struct options *options, struct argp_state *state)
{
    if (options->form != AS_TEXT && options->form != form)
        argp_error(state, "--json, --csv and --html are forms of the same: give one of them");
    options->form = form;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case JSON:
    case CSV:
    case HTML:
        parse_form(key == JSON ? AS_JSON : key == CSV ? AS_CSV : AS_HTML, options, state);
        return 0;
    case 'o':
        options->output = parse_text("--output", value, "a file, such as /tmp/report.html", state);
        return 0;
    case ARGP_KEY_ARG:
        if (options->path_count == PATHS_MAX)
            argp_error(state, "'%s' is one file too many: a page shows %d side by side at most", value, PATHS_MAX);
        options->paths[options->path_count++] = value;
        return 0;
    case ARGP_KEY_END:
        if (options->path_count > 1 && options->form != AS_HTML)
            argp_error(state,
                       "'%s' is one file too many: a report is of one, and finds its older part itself; --html shows "
                       "several side by side",
                       options->paths[1]);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "a file is missing: write for example 'headroom report /var/lib/shop/history'");
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ── what is in it ──────────────────────────────────────────────────────────────────────────────────────────────── */

/* The older `half` of the records is gone, and with it the beginnings there. */
static void forget_begins(struct history *history, size_t half)
{
    size_t kept = 0;
    for (size_t i = 0; i < history->begin_count; i++)
        if (history->begins[i] >= half)
            history->begins[kept++] = history->begins[i] - half;
    history->begin_count = kept;
}

static void keep_begin(struct history *history)
{
    if (history->begin_count == SESSIONS_MAX)
        memmove(history->begins, history->begins + 1, --history->begin_count * sizeof *history->begins);
    history->begins[history->begin_count++] = history->count;
}

static int keep_record(struct history *history, const hr_record *record)
{
    if (history->count == history->room && history->room < RECORDS_MAX) {
        size_t room = history->room ? history->room * 2 : 4096;
        room = room < RECORDS_MAX ? room : RECORDS_MAX;
        hr_record *larger = realloc(history->records, room * sizeof *larger);
        if (!larger)
            return -ENOMEM;
        history->records = larger;
        history->room = room;
    }
    if (history->count == history->room) { /* the older half makes room */
        size_t half = history->room / 2;
        memmove(history->records, history->records + half, (history->count - half) * sizeof *history->records);
        history->count -= half;
        history->last_begin -= history->last_begin < half ? history->last_begin : half;
        forget_begins(history, half);
        history->left_out += half;
    }
    history->records[history->count++] = *record;
    return 0;
}

static int keep(void *context, const hr_history_entry *entry)
{
    struct history *history = context;
    if (history->sessions == 0 || entry->session != history->session) {
        history->sessions++;
        history->last_begin = history->count;
        keep_begin(history);
    }
    history->session = entry->session;
    if (!entry->is_event)
        return keep_record(history, &entry->record);
    history->events[history->event_count++ % EVENTS_MAX] = entry->event;
    return 0;
}

const hr_event *event_at(const struct history *history, size_t index)
{
    return &history->events[(history->event_count - events_kept(history) + index) % EVENTS_MAX];
}

size_t events_kept(const struct history *history)
{
    return history->event_count < EVENTS_MAX ? (size_t)history->event_count : EVENTS_MAX;
}

uint64_t ledger_of(const hr_record *record, hr_history_ledger ledger)
{
    const uint64_t all[HR_HISTORY_LEDGERS] = {record->live_bytes, record->rss_bytes, record->cgroup_anonymous_bytes,
                                              record->cgroup_kernel_bytes, record->cgroup_cache_bytes};
    return all[ledger];
}

const char *write_date(int64_t wall_ns, char text[DATE_BYTES])
{
    time_t seconds = (time_t)(wall_ns / 1000000000);
    struct tm parts;
    if (!gmtime_r(&seconds, &parts) || strftime(text, DATE_BYTES, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        snprintf(text, DATE_BYTES, "?");
    return text;
}

/* ── messages ───────────────────────────────────────────────────────────────────────────────────────────────────── */

static void complain(const char *path, int error)
{
    const char *why = strerror(-error);
    if (error == -EBADMSG)
        why = "it is no history file, or its head is damaged";
    else if (error == -ENODATA)
        why = "nothing was ever written to it: its process ended before the first sample, or has just begun";
    else if (error == -EPROTONOSUPPORT)
        why = "it was written by another version of headroom, with another format";
    else if (error == -EINVAL)
        why = "it is no regular file";
    fprintf(stderr, "headroom report: '%s': %s\n", path, why);
}

/* The same for every form: on stderr, so that programs that read the report are not disturbed. */
static void warn(const struct history *history)
{
    const hr_history_findings *findings = &history->findings;
    if (findings->torn_bytes)
        fprintf(stderr,
                "headroom report: '%s': the last %llu bytes are of an entry that was never finished: left out\n",
                history->path, (unsigned long long)findings->torn_bytes);
    if (findings->damaged)
        fprintf(stderr, "headroom report: '%s': %llu entries are damaged: left out\n", history->path,
                (unsigned long long)findings->damaged);
    if (findings->unknown)
        fprintf(stderr, "headroom report: '%s': %llu entries are of a later version: left out\n", history->path,
                (unsigned long long)findings->unknown);
    if (history->left_out)
        fprintf(stderr, "headroom report: '%s': %llu older samples are left out: the newest %u are enough\n",
                history->path, (unsigned long long)history->left_out, RECORDS_MAX);
}

/* Fewer have no interval of 95 %. */
#define TREND_RECORDS_MIN 5

/* A process that has just been started has nothing to tell yet: then it is what the one before it had come to. */
static void find_trend(struct history *history)
{
    size_t count = history->count, begin = history->last_begin;
    history->trend_is_earlier = count - begin < TREND_RECORDS_MIN && begin >= TREND_RECORDS_MIN;
    if (history->trend_is_earlier)
        count = begin;
    uint64_t limit_bytes = count ? history->records[count - 1].limit_bytes : HR_NONE;
    history->has_trend =
        count >= TREND_RECORDS_MIN && hr_trend_compute(history->records, count, limit_bytes, &history->trend) == 0;
}

/* Writes the report where it is to be, and says why it cannot. */
static int write_to(const char *path, int (*print)(const struct history *, FILE *), const struct history *history)
{
    FILE *out = path ? fopen(path, "we") : stdout;
    int error = out ? print(history, out) : -errno;
    if (path && out && (ferror(out) | fclose(out)) && !error)
        error = errno ? -errno : -EIO;
    if (error == -ENOTSUP)
        fprintf(
            stderr,
            "headroom report: --html: this headroom was built without its page: npm was missing, or could not fetch "
            "what bundles it (Debian: apt-get install npm; the build says more)\n");
    else if (error)
        fprintf(stderr, "headroom report: %s%s%s could not be written: %s\n", path ? "'" : "",
                path ? path : "the report", path ? "'" : "", strerror(-error));
    return error;
}

/* Reads a file. Gives 0, or a negative errno after a message. */
static int read_history(struct history *history, const char *path)
{
    history->path = path;
    int error = hr_history_file_visit(path, keep, history, &history->findings);
    const hr_history_findings *findings = &history->findings;
    if (!error && findings->entries + findings->damaged + findings->unknown + findings->census + findings->origin == 0)
        error = -ENODATA; /* a head and nothing behind it */
    if (error) {
        complain(path, error);
        return error;
    }
    warn(history);
    find_trend(history);
    if (hr_history_file_read_census(path, &history->census) != 0)
        history->census.count = 0;
    hr_history_origin origin;
    if (hr_history_file_read_origin(path, &origin) == 0 &&
        (origin.session == history->session || history->sessions == 0))
        history->origin = origin;
    return 0;
}

static bool is_same_file(const char *path, const struct stat *file)
{
    struct stat other;
    return stat(path, &other) == 0 && other.st_dev == file->st_dev && other.st_ino == file->st_ino;
}

/* Would the report be written over a file that it is made from, by whatever name? Says so. */
static bool destroys_input(const struct options *options)
{
    struct stat output;
    char older[PATH_MAX];
    if (!options->output || stat(options->output, &output) != 0)
        return false;
    for (size_t i = 0; i < options->path_count; i++) {
        snprintf(older, sizeof older, "%s.1", options->paths[i]);
        if (!is_same_file(options->paths[i], &output) && !is_same_file(older, &output))
            continue;
        fprintf(stderr, "headroom report: '%s' is what is read: write the report to another file\n", options->output);
        return true;
    }
    return false;
}

int report(int argc, char **argv)
{
    static const struct argp argp = {
        .options = known, .parser = parse, .children = short_help_children, .args_doc = "FILE...", .doc = description};
    static char name[] = "headroom report"; /* argp calls the program by its first argument */
    static struct history histories[PATHS_MAX];
    static int (*const print[])(const struct history *, FILE *) = {report_print_text, report_print_json,
                                                                   report_print_csv, report_print_html};
    struct options options = {0};
    argv[0] = name;
    parse_words(&argp, 0, argc, argv, &options);
    int error = destroys_input(&options) ? -EINVAL : 0;
    for (size_t i = 0; i < options.path_count && !error; i++) {
        error = read_history(&histories[i], options.paths[i]);
        histories[i].next = i + 1 < options.path_count ? &histories[i + 1] : NULL;
    }
    if (!error)
        error = write_to(options.output, print[options.form], &histories[0]);
    for (size_t i = 0; i < options.path_count; i++)
        free(histories[i].records);
    return error ? EXIT_FAILED : 0;
}
