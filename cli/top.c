/* SPDX-License-Identifier: Apache-2.0 */
/* headroom top: guarded and watched processes of this machine, from their status pages: once, as JSON, or live
 * (top_screen.c). */
#include "top.h"

#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum key {
    JSON = 256,
    ONCE,
    SORT,
    FILTER,
};

static const struct argp_option known[] = {
    {"json", JSON, NULL, 0, "one JSON object a process and look; with --once one look", 0},
    {"once", ONCE, NULL, 0, "print one look and end", 0},
    {"sort", SORT, "BY", 0, "the order: share (of the limit, the default), use, rate, full, level, name or pid", 0},
    {"filter", FILTER, "TEXT", 0, "only processes whose name has this text in it, or whose number it is", 0},
    {0},
};

static const char description[] = "Shows the guarded processes of this machine, and those that 'headroom run' watches: "
                                  "what they use, of what, at which "
                                  "level, how fast that grows, and when it will be full."
                                  "\v"
                                  "Processes are found by what they write to /dev/shm, which their own user and root "
                                  "can read. Live it obeys keys: s sorts "
                                  "by the next column, r turns the order, / filters, q ends.";

static const char *const orders[] = {
    [BY_SHARE] = "share", [BY_USE] = "use",   [BY_RATE] = "rate", [BY_FULL] = "full",
    [BY_LEVEL] = "level", [BY_NAME] = "name", [BY_PID] = "pid",
};

const char *top_order_text(enum top_order order)
{
    return orders[order];
}

struct options {
    struct top top;
    bool json, once;
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case JSON:
        options->json = true;
        return 0;
    case ONCE:
        options->once = true;
        return 0;
    case SORT:
        for (unsigned i = 0; i < BY_COUNT; i++) {
            if (strcmp(orders[i], value) == 0) {
                options->top.order = (enum top_order)i;
                return 0;
            }
        }
        argp_error(state, "--sort '%s' is no order: there are share, use, rate, full, level, name and pid", value);
        return EINVAL;
    case FILTER:
        snprintf(options->top.filter, sizeof options->top.filter, "%s",
                 parse_text("--filter", value, "a part of a name, such as redis", state));
        return 0;
    case ARGP_KEY_ARG:
        return refuse_word(value, "--filter redis", state);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ── a look ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

double top_share(const hr_status *status)
{
    bool has_limit = status->limit_bytes != HR_NONE && status->limit_bytes > 0 && status->use_bytes != HR_NONE;
    return has_limit ? (double)status->use_bytes / (double)status->limit_bytes : 0;
}

static bool is_wanted(const struct top *top, const hr_status *status)
{
    char number[16];
    snprintf(number, sizeof number, "%d", status->pid);
    return !*top->filter || strcasestr(status->name, top->filter) || strcmp(number, top->filter) == 0;
}

static int keep(void *context, const hr_status *status)
{
    struct top *top = context;
    if (!is_wanted(top, status))
        return 0;
    if (top->count == top->room) {
        size_t room = top->room ? top->room * 2 : 64;
        hr_status *larger = realloc(top->list, room * sizeof *larger);
        if (!larger)
            return -ENOMEM;
        top->list = larger;
        top->room = room;
    }
    top->list[top->count++] = *status;
    return 0;
}

static int order_of(double a, double b)
{
    return (a > b) - (a < b);
}

/* The most comes first; of names and numbers the least. */
static int compare(const void *first, const void *second, void *context)
{
    const hr_status *a = first, *b = second;
    const struct top *top = context;
    int order = 0;
    switch (top->order) {
    case BY_USE:
        order = order_of((double)b->use_bytes, (double)a->use_bytes);
        break;
    case BY_RATE:
        order = order_of(b->rate_bytes_per_s, a->rate_bytes_per_s);
        break;
    case BY_FULL:
        order = order_of(a->full_in_ns < 0 ? INFINITY : (double)a->full_in_ns,
                         b->full_in_ns < 0 ? INFINITY : (double)b->full_in_ns);
        break;
    case BY_LEVEL:
        order = (int)b->level - (int)a->level;
        break;
    case BY_NAME:
        order = strcmp(a->name, b->name);
        break;
    case BY_PID:
        order = a->pid - b->pid;
        break;
    default:
        break;
    }
    order = order ? order : order_of(top_share(b), top_share(a));
    order = order ? order : a->pid - b->pid;
    return top->reversed ? -order : order;
}

int top_look(struct top *top)
{
    top->count = 0;
    int error = hr_status_visit(keep, top);
    if (top->count)
        qsort_r(top->list, top->count, sizeof *top->list, compare, top);
    return error == -ENOENT ? 0 : error;
}

/* ── lines ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void write_name(const hr_status *status, char text[HR_STATUS_NAME_BYTES])
{
    snprintf(text, HR_STATUS_NAME_BYTES, "%s", status->name);
    for (char *at = text; *at; at++)
        if ((unsigned char)*at < ' ' || (unsigned char)*at > '~')
            *at = '?';
}

static void write_time(int64_t time_ns, char *text, size_t size)
{
    double time_s = (double)time_ns / 1e9;
    if (time_ns < 0 || time_s > 100 * 86400.0)
        snprintf(text, size, "-");
    else if (time_s < 120)
        snprintf(text, size, "%.0f s", time_s);
    else if (time_s < 7200)
        snprintf(text, size, "%.0f min", time_s / 60);
    else if (time_s < 172800)
        snprintf(text, size, "%.1f h", time_s / 3600);
    else
        snprintf(text, size, "%.0f days", time_s / 86400);
}

/* The newest points as bars, a character each, from empty to the limit. */
static void write_spark(const hr_status *status, bool unicode, size_t width, char *text, size_t size)
{
    static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char plain[] = ".:-=+*%#";
    size_t first = status->point_count > width ? status->point_count - width : 0, at = 0;
    text[0] = '\0';
    for (size_t i = first; i < status->point_count && at + 4 < size; i++) {
        unsigned step = status->points[i] * 8u / 1000;
        step = step < 7 ? step : 7;
        at += (size_t)(unicode ? snprintf(text + at, size - at, "%s", bars[step])
                               : snprintf(text + at, size - at, "%c", plain[step]));
    }
}

void top_write_head(char *text, size_t size)
{
    snprintf(text, size, "%7s %-15s %-8s %10s %10s %10s %6s %11s %8s  %s", "PID", "NAME", "LEVEL", "USE", "LIVE",
             "LIMIT", "SHARE", "RATE", "FULL IN", "LAST MINUTE");
}

void top_write_line(const hr_status *status, bool unicode, size_t width, char *text, size_t size)
{
    char name[HR_STATUS_NAME_BYTES], use[16], live[16] = "-", limit[16], rate[16], speed[20], full[16],
                                              spark[4 * HR_STATUS_POINTS];
    double bytes = fabs(status->rate_bytes_per_s);
    write_name(status, name);
    hr_size_format(status->use_bytes, use, sizeof use);
    hr_size_format(status->limit_bytes, limit, sizeof limit);
    if (status->live_bytes != HR_NONE)
        hr_size_format(status->live_bytes, live, sizeof live);
    hr_size_format(bytes < 0x1p63 ? (uint64_t)bytes : INT64_MAX, rate, sizeof rate);
    snprintf(speed, sizeof speed, "%s%s/s", bytes < 1 ? "" : status->rate_bytes_per_s < 0 ? "-" : "+", rate);
    write_time(status->full_in_ns, full, sizeof full);
    write_spark(status, unicode, width, spark, sizeof spark);
    snprintf(text, size, "%7d %-15.15s %-8s %10s %10s %10s %5.1f%% %11s %8s  %s", status->pid, name,
             hr_level_text(status->level), use, live, limit, top_share(status) * 100, speed, full, spark);
}

/* ── forms ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void put_number(const char *name, uint64_t value)
{
    if (value == HR_NONE)
        printf(", \"%s\": null", name);
    else
        printf(", \"%s\": %llu", name, (unsigned long long)value);
}

static void print_json(const struct top *top)
{
    for (size_t i = 0; i < top->count; i++) {
        const hr_status *status = &top->list[i];
        char name[HR_STATUS_NAME_BYTES];
        write_name(status, name);
        for (char *at = name; *at; at++)
            *at = *at == '"' || *at == '\\' ? '?' : *at;
        printf("{\"pid\": %d, \"name\": \"%s\", \"watched\": %s, \"level\": \"%s\", \"share\": %.4f", status->pid, name,
               status->watched ? "true" : "false", hr_level_text(status->level), top_share(status));
        put_number("use_bytes", status->use_bytes);
        put_number("limit_bytes", status->limit_bytes);
        put_number("peak_bytes", status->peak_bytes);
        put_number("refusals", status->refusals);
        put_number("live_bytes", status->live_bytes);
        printf(", \"rate_bytes_per_s\": %.0f, \"full_in_ns\": %lld, \"time_ns\": %lld, \"points\": [",
               status->rate_bytes_per_s, (long long)status->full_in_ns, (long long)status->time_ns);
        for (uint32_t k = 0; k < status->point_count; k++)
            printf("%s%.3f", k ? ", " : "", status->points[k] / 1000.0);
        puts("]}");
    }
}

static void print_text(const struct top *top)
{
    char line[512];
    top_write_head(line, sizeof line);
    puts(top->count ? line : "no process is guarded or watched here, or none of this user");
    for (size_t i = 0; i < top->count; i++) {
        top_write_line(&top->list[i], top_has_unicode(), 20, line, sizeof line);
        puts(line);
    }
}

static int complain(int error)
{
    fprintf(stderr, "headroom top: /dev/shm cannot be listed: %s\n", strerror(-error));
    return EXIT_FAILED;
}

/* Lines of JSON for as long as somebody reads them. */
static int stream(struct top *top)
{
    int error;
    while ((error = top_look(top)) == 0) {
        print_json(top);
        if (fflush(stdout) != 0)
            return EXIT_FAILED;
        nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    }
    return complain(error);
}

int top(int argc, char **argv)
{
    static const struct argp argp = {
        .options = known, .parser = parse, .children = short_help_children, .doc = description};
    static char name[] = "headroom top";
    struct options options = {0};
    argv[0] = name; /* argp calls the program by its first argument */
    parse_words(&argp, 0, argc, argv, &options);
    if (!options.once)
        return options.json ? stream(&options.top) : top_show(&options.top);
    int error = top_look(&options.top);
    if (error)
        return complain(error);
    (options.json ? print_json : print_text)(&options.top);
    free(options.top.list);
    return 0;
}
