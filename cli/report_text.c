/* SPDX-License-Identifier: Apache-2.0 */
/* The report for people: the file, the trend in words, a line of bars for each ledger, levels, the last events. The
 * bars take what the terminal's width leaves beside their name and figures, and are ASCII where the locale has no
 * others.
 */
#include "report.h"

#include <ctype.h>
#include <jansson.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define WIDTH 80 /* where none is known */
#define WIDTH_MIN 52
#define WIDTH_MAX 300
#define NAME_WIDTH 17
#define FIGURES_WIDTH 27 /* " 1023.9 MiB to 1023.9 MiB", and a little */
#define SPARKS_MAX (WIDTH_MAX - NAME_WIDTH - FIGURES_WIDTH)
#define EVENTS_SHOWN 10
#define HOLDERS_SHOWN 5

static size_t find_width(FILE *out)
{
    const char *said = getenv("COLUMNS");
    struct winsize window = {0};
    long width = said ? strtol(said, NULL, 10) : 0;
    if (width <= 0 && ioctl(fileno(out), TIOCGWINSZ, &window) == 0)
        width = window.ws_col;
    if (width <= 0)
        width = WIDTH;
    return (size_t)(width < WIDTH_MIN ? WIDTH_MIN : width > WIDTH_MAX ? WIDTH_MAX : width);
}

/* Puts `length` bytes of a text that is not trusted. Of one that is not UTF-8, only the characters of ASCII are put. */
static void put_part(const char *name, size_t length, FILE *out)
{
    json_t *string = json_stringn(name, length); /* NULL: it is not UTF-8, or memory is short */
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)name[i];
        fputc(iscntrl(byte) || (!string && !isascii(byte)) ? '?' : byte, out);
    }
    json_decref(string);
}

static void put_name(const char *name, FILE *out)
{
    put_part(name, strlen(name), out);
}

static void put_wrapped(FILE *out, const char *sentence)
{
    size_t column = 0, width = find_width(out);
    while (*sentence) {
        size_t length = strcspn(sentence, " ");
        bool ends = column > 0 && column + 1 + length > width;
        fputs(ends ? "\n  " : column > 0 ? " " : "", out);
        column = (ends ? 2 : column > 0 ? column + 1 : 0) + length;
        put_part(sentence, length, out);
        sentence += length;
        sentence += strspn(sentence, " ");
    }
    fputc('\n', out);
}

/* Whose figures these are, where the file says it. */
static void put_origin(const struct history *history, FILE *out)
{
    char size[16], sentence[HR_COMMAND_BYTES + 16];
    const hr_history_origin *origin = &history->origin;
    uint64_t limit_bytes = history->count ? history->records[history->count - 1].limit_bytes : HR_NONE;
    if (*origin->command) {
        snprintf(sentence, sizeof sentence, "command: %s", origin->command);
        put_wrapped(out, sentence);
    }
    if (*origin->limit_source && limit_bytes != HR_NONE) {
        snprintf(sentence, sizeof sentence, "limit: %s by %s", hr_size_format(limit_bytes, size, sizeof size),
                 origin->limit_source);
        put_wrapped(out, sentence);
    }
}

static void put_head(const struct history *history, FILE *out)
{
    char first[DATE_BYTES], last[DATE_BYTES], sentence[512];
    size_t count = history->count;
    if (count == 0) {
        fputs("no samples\n", out);
        return;
    }
    snprintf(sentence, sizeof sentence, "%zu %s of %llu %s, %s to %s UTC", count, count == 1 ? "sample" : "samples",
             (unsigned long long)history->sessions, history->sessions == 1 ? "process" : "processes",
             write_date(history->records[0].wall_ns, first), write_date(history->records[count - 1].wall_ns, last));
    put_wrapped(out, sentence);
    if (history->has_trend) {
        int prefix =
            snprintf(sentence, sizeof sentence, "%s", history->trend_is_earlier ? "before the last start, " : "");
        hr_trend_format(&history->trend, sentence + prefix, sizeof sentence - (size_t)prefix);
        put_wrapped(out, sentence);
    } else {
        fputs("too short for a trend\n", out);
    }
}

/* The largest of each of `columns` stretches of the samples, by their number; HR_NONE where the ledger was absent. */
static void stretch(const struct history *history, hr_history_ledger ledger, size_t columns, uint64_t *ret_tops)
{
    for (size_t i = 0; i < columns; i++)
        ret_tops[i] = HR_NONE;
    for (size_t i = 0; i < history->count; i++) {
        uint64_t bytes = ledger_of(&history->records[i], ledger), *top = &ret_tops[i * columns / history->count];
        if (bytes != HR_NONE && (*top == HR_NONE || bytes > *top))
            *top = bytes;
    }
}

/* A bar for a share of the ledger's range. */
static const char *bar(double share)
{
    static const char *const blocks[] = {"\u2581", "\u2582", "\u2583", "\u2584",
                                         "\u2585", "\u2586", "\u2587", "\u2588"};
    static const char *const ascii[] = {".", ":", "-", "=", "+", "*", "%", "#"};
    bool is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    return (is_utf8 ? blocks : ascii)[(int)(share * 7.99)];
}

static void put_spark(const struct history *history, hr_history_ledger ledger, FILE *out)
{
    uint64_t tops[SPARKS_MAX], low = HR_NONE, high = 0;
    size_t sparks = find_width(out) - NAME_WIDTH - FIGURES_WIDTH;
    size_t columns = history->count < sparks ? history->count : sparks;
    stretch(history, ledger, columns, tops);
    for (size_t i = 0; i < columns; i++) {
        low = tops[i] < low ? tops[i] : low;
        high = tops[i] != HR_NONE && tops[i] > high ? tops[i] : high;
    }
    if (low == HR_NONE || high == 0) /* absent */
        return;
    fprintf(out, "%-*s", NAME_WIDTH, hr_history_ledger_text(ledger));
    for (size_t i = 0; i < columns; i++) {
        double share = high > low ? (double)(tops[i] - low) / (double)(high - low) : 0;
        fputs(tops[i] == HR_NONE ? " " : bar(share), out);
    }
    char from[16], to[16];
    fprintf(out, "%*s %s", (int)(sparks - columns), "", hr_size_format(low, from, sizeof from));
    if (high > low)
        fprintf(out, " to %s", hr_size_format(high, to, sizeof to));
    fputc('\n', out);
}

static void put_levels(const struct history *history, FILE *out)
{
    uint64_t samples[HR_CRITICAL + 1] = {0};
    for (size_t i = 0; i < history->count; i++)
        samples[history->records[i].level]++;
    fputs("\nlevels, by samples:", out);
    for (hr_level level = HR_NORMAL; level <= HR_CRITICAL; level++) {
        if (samples[level])
            fprintf(out, " %s %.1f %%", hr_level_text(level), 100.0 * (double)samples[level] / (double)history->count);
    }
    fputc('\n', out);
}

/* Says which requests were refused, and why; nothing where a file of an older version does not say it. */
static void put_refusals(const struct history *history, FILE *out)
{
    char sentence[768];
    static hr_event events[EVENTS_MAX];
    size_t count = events_kept(history);
    if (history->count == 0 || history->records[history->count - 1].refusals == HR_NONE)
        return;
    for (size_t i = 0; i < count; i++)
        events[i] = *event_at(history, i);
    const hr_history_view view = {history->records, history->count, events, count};
    hr_refusals_format(&view, sentence, sizeof sentence);
    fputc('\n', out);
    put_wrapped(out, sentence);
}

/* The largest holders of each kind by the last census. */
static void put_census(const hr_census *census, FILE *out)
{
    static const char *const kinds[HR_CENSUS_KINDS] = {"budget", "pool", "cache"};
    char date[DATE_BYTES], size[16];
    size_t shown[HR_CENSUS_KINDS] = {0};
    if (census->count)
        fprintf(out, "\nheld at %s UTC\n", write_date(census->wall_ns, date));
    for (size_t i = 0; i < census->count; i++) {
        const hr_census_row *row = &census->rows[i];
        if (shown[row->kind]++ >= HOLDERS_SHOWN)
            continue;
        fprintf(out, "  %-7s %11s", kinds[row->kind], hr_size_format(row->used_bytes, size, sizeof size));
        if (row->limit_bytes != HR_NONE)
            fprintf(out, " of %s", hr_size_format(row->limit_bytes, size, sizeof size));
        fputs(", ", out);
        put_name(row->name, out);
        fputc('\n', out);
    }
}

static void put_level(const hr_event *event, FILE *out)
{
    char size[16];
    fprintf(out, "%s, was %s, with %s held", hr_level_text(event->to), hr_level_text(event->from),
            hr_size_format(event->live_bytes, size, sizeof size));
    if (*event->decided_by)
        fprintf(out, ",\n%25sdecided by %s, %.1f %% full", "", event->decided_by, event->use * 100);
    fputc('\n', out);
}

static void put_spell(const hr_event *event, FILE *out)
{
    unsigned long long by_limit = event->refused_by_limit, by_level = event->refused_by_level;
    const char *verb = event->kind == HR_EVENT_REFUSALS ? "refused" : "would have been refused";
    fputs(*event->budget ? "budget \"" : "other budgets: ", out);
    put_name(event->budget, out);
    fputs(*event->budget ? "\": " : "", out);
    if (by_level)
        fprintf(out, "%llu %s by level%s", by_level, verb, by_limit ? ", " : "");
    if (by_limit)
        fprintf(out, "%llu %s by its limit", by_limit, verb);
    fprintf(out, " within %.0f s\n", (double)event->span_ns / 1e9);
}

/* Says an action of `headroom run`, or of the kernel. */
static void put_deed(const hr_event *event, FILE *out)
{
    if (event->kind == HR_EVENT_KERNEL_KILL && event->kills == 0) {
        fputs("kills by the kernel are counted from here on\n", out);
        return;
    }
    if (event->kind == HR_EVENT_KERNEL_KILL) {
        fprintf(out, "the kernel had killed %llu by then\n", (unsigned long long)event->kills);
        return;
    }
    fputs("headroom run: ", out);
    put_name(event->budget, out);
    fputc('\n', out);
}

static void put_events(const struct history *history, FILE *out)
{
    size_t count = events_kept(history), first = count > EVENTS_SHOWN ? count - EVENTS_SHOWN : 0;
    if (first)
        fprintf(out, "\nthe last %d of %llu events\n", EVENTS_SHOWN, (unsigned long long)history->event_count);
    else if (count)
        fputs("\nevents\n", out);
    for (size_t i = first; i < count; i++) {
        const hr_event *event = event_at(history, i);
        char date[DATE_BYTES], size[16];
        fprintf(out, "  %s  ", write_date(event->wall_ns, date));
        if (event->kind == HR_EVENT_LEVEL)
            put_level(event, out);
        else if (event->kind == HR_EVENT_REFUSALS || event->kind == HR_EVENT_WOULD_REFUSE)
            put_spell(event, out);
        else if (event->kind == HR_EVENT_ACTION || event->kind == HR_EVENT_KERNEL_KILL)
            put_deed(event, out);
        else if (event->kind == HR_EVENT_WOULD_RELIEVE)
            fprintf(out, "relief would have been asked for %s\n",
                    hr_size_format(event->freed_bytes, size, sizeof size));
        else
            fprintf(out, "%s gave back %s\n", event->kind == HR_EVENT_RELIEF ? "relief" : "a purge",
                    hr_size_format(event->freed_bytes, size, sizeof size));
    }
}

int report_print_text(const struct history *history, FILE *out)
{
    setlocale(LC_CTYPE, "");
    put_head(history, out);
    put_origin(history, out);
    if (history->count) {
        fputc('\n', out);
        for (hr_history_ledger ledger = 0; ledger < HR_HISTORY_LEDGERS; ledger++)
            put_spark(history, ledger, out);
        put_levels(history, out);
        put_refusals(history, out);
        put_census(&history->census, out);
    }
    put_events(history, out);
    return 0;
}
