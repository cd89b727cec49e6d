/* SPDX-License-Identifier: Apache-2.0 */
/* The report as a page: what the file has, handed to the library. */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SENTENCES_BYTES 1024

/* Writes which parts of the file are not on the page, a sentence a line. */
static void write_left_out(const struct history *history, char text[SENTENCES_BYTES])
{
    const hr_history_findings *findings = &history->findings;
    size_t at = 0;
    const struct {
        uint64_t count;
        const char *what;
    } parts[] = {
        {history->left_out, "older samples"},
        {history->event_count - events_kept(history), "older events"},
        {findings->damaged, "damaged entries"},
        {findings->unknown, "entries of a later version"},
        {findings->torn_bytes, "bytes of an entry that was never finished"},
    };
    text[0] = '\0';
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].count)
            at += (size_t)snprintf(text + at, SENTENCES_BYTES - at, "%s%" PRIu64 " %s", at ? "\n" : "", parts[i].count,
                                   parts[i].what);
}

/* The last that is known of the kernel's kills; HR_NONE where nobody looked from outside. */
static uint64_t kills_of(const struct history *history)
{
    for (size_t i = events_kept(history); i-- > 0;)
        if (event_at(history, i)->kind == HR_EVENT_KERNEL_KILL)
            return event_at(history, i)->kills;
    return HR_NONE;
}

static hr_event *copy_events(const struct history *history)
{
    hr_event *events = calloc(events_kept(history) + 1, sizeof *events);
    for (size_t i = 0; events && i < events_kept(history); i++)
        events[i] = *event_at(history, i);
    return events;
}

/* The texts and events to which a run on the page points. */
struct side {
    char left_out[SENTENCES_BYTES], source[512];
    hr_event *events;
};

static int describe(const struct history *history, struct side *side, hr_page_run *ret_run)
{
    const char *slash = strrchr(history->path, '/');
    side->events = copy_events(history);
    if (!side->events)
        return -ENOMEM;
    write_left_out(history, side->left_out);
    snprintf(side->source, sizeof side->source, "history file %s%s", history->path,
             history->findings.older ? " and its older part" : "");
    *ret_run = (hr_page_run){
        .title = slash ? slash + 1 : history->path,
        .command = *history->origin.command ? history->origin.command : NULL,
        .limit_source = *history->origin.limit_source ? history->origin.limit_source : NULL,
        .source = side->source,
        .left_out = side->left_out,
        .history = {history->records, history->count, side->events, events_kept(history)},
        .begins = history->begins,
        .begin_count = history->begin_count,
        .level = history->count ? history->records[history->count - 1].level : HR_NORMAL,
        .kernel_kills = kills_of(history),
        .census = history->census.count ? &history->census : NULL,
        .trend = history->has_trend && !history->trend_is_earlier ? &history->trend : NULL,
    };
    return 0;
}

int report_print_html(const struct history *history, FILE *out)
{
    size_t count = 0, made = 0;
    for (const struct history *each = history; each; each = each->next)
        count++;
    if (count == 0)
        return -EINVAL;
    struct side *sides = calloc(count, sizeof *sides);
    hr_page_run *runs = calloc(count, sizeof *runs);
    int error = sides && runs ? 0 : -ENOMEM;
    for (; !error && made < count; made++, history = history->next)
        error = describe(history, &sides[made], &runs[made]);
    if (!error) {
        fflush(out);
        error = hr_page_write(&(hr_page){.runs = runs, .run_count = count}, fileno(out));
    }
    for (size_t i = 0; i < made; i++)
        free(sides[i].events);
    free(sides);
    free(runs);
    return error;
}
